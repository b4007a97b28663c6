"""The marks by which a reverse tells the rows that a delta has put into a table of its own from those of others.

Behind each statement that changes such a table a mark says what it holds then, and another one what it held before.
Where the statement found what the last one left, all of it is the delta's, and its reverse may empty the table if it
still holds that; where others have been there in between, what it holds is nobody's to take away. ``derive`` writes the
marks, and who gathers a reverse does so by them; here nothing is executed. The values of a column of its own are told
in the same way, and go with that; right before the DROP, from which other steps may part the guard, they are counted
once more.
"""

import re
from itertools import pairwise
from typing import Final

from pdelta.sql.piece import LOSS_GUARD

NONE: Final = "0 0"
"""What a table without rows holds, and a column without values of anybody's."""

_LEFT: Final = "/* pdelta left {key}: "
_EMPTIED: Final = "/* pdelta left {key} */"
_FOUND: Final = re.compile(r"/\* pdelta found (\w+): ([0-9]+ -?[0-9]+)( rows stay| rows move)? \*/")
_FOUNDS: Final = re.compile(rf"(?:{_FOUND.pattern})+")


def left(key: str) -> tuple[str, str]:
    """Give what stands before and behind what a table holds after a statement: the number of rows, and a digest."""
    return _LEFT.format(key=key), " */"


def found(key: str, *, stay: bool = False, move: bool = False) -> tuple[str, str]:
    """Give what stands before and behind what it held before.

    Args:
        key: Of the table.
        stay: Whether the statement leaves as many rows as it finds, and its own reverse makes them look as before.
        move: Whether rows go or come with it, and its own reverse brings and takes them.
    """
    return f"/* pdelta found {key}: ", f"{' rows stay' * stay}{' rows move' * move} */"


def counting(key: str) -> str:
    """Give what stands before the guard that counts what it holds, less ``OWN``, as ``n``."""
    return f"/* pdelta held {key}: 0 */"


OWN: Final = "count(*) - 0 AS n"
"""How many rows or values there are that the delta has not put there; how many it has, is known when it has."""


def emptied(key: str) -> str:
    """Give what ends the part that begins with a guard and what was left, and may empty the table."""
    return _EMPTIED.format(key=key)


def put_before(undo: str, reverse: str) -> str:
    """Give the reverse of a delta with what takes its latest statement back in front.

    Args:
        undo: That, as the tenant calculated it.
        reverse: Of the statements before it.
    """
    for mark in _FOUND.finditer(undo):
        key, before, stays = mark.groups()
        undo = undo.replace(mark[0], "", 1)
        now = _holds(undo, key)
        as_left = before == (_holds(reverse, key) or NONE)
        if now and as_left and not (stays == " rows stay" and before.split()[0] != now.split()[0]):
            reverse = _with_own(_without_mark(reverse, key), key, max(int(before.split()[0]), int(now.split()[0])))
            reverse = reverse if stays else _without_part(reverse, key)
        else:
            undo = _without_part(_without_mark(undo, key), key)
    return undo + reverse


def settled(reverse: str) -> str:
    """Give a reverse that was gathered by putting texts in front of it, with what its marks ask for done.

    Who gathers it may be a server, which only joins texts. Of one that is settled it gives that.
    """
    ends = [0, *(mark.end() for mark in _FOUNDS.finditer(reverse))]
    done = reverse[ends[-1] :]
    for begin, end in reversed(list(pairwise(ends))):
        done = put_before(reverse[begin:end], done)
    return done


def _holds(text: str, key: str) -> str:
    """Give what the table held last, as a text says; empty for that it does not say so."""
    return text.partition(_LEFT.format(key=key))[2].partition(" */")[0]


def _with_own(text: str, key: str, number: int) -> str:
    """Let the guard before the DROP know that so many are the delta's own, where it knows of fewer."""
    counted = re.search(rf"/\* pdelta held {re.escape(key)}: ([0-9]+) \*/", text)
    if counted is None or int(counted[1]) >= number:
        return text
    mark = counted[0].replace(counted[1] + " ", f"{number} ")
    rest = text[counted.end() :].replace(OWN.replace("0", counted[1]), OWN.replace("0", str(number)), 1)
    return text[: counted.start()] + mark + rest


def _without_mark(text: str, key: str) -> str:
    """Leave out a mark that stands for itself, as one behind an ALTER TABLE does."""
    begin = re.escape(_LEFT.format(key=key))
    return re.sub(rf"(?<!{re.escape(LOSS_GUARD)}){begin}[-0-9 ]+ \*/", "", text)


def _without_part(text: str, key: str) -> str:
    """Leave out the part that empties the table."""
    begin, end = LOSS_GUARD + _LEFT.format(key=key), emptied(key)
    before, is_there, rest = text.partition(begin)
    return before + rest.partition(end)[2] if is_there else text
