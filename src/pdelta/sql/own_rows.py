"""The marks by which a reverse tells the rows that a delta has put into a table of its own from those of others.

Behind each statement that changes such a table a mark says what it holds then, and another one what it held before.
Where the statement found what the last one left, all of it is the delta's, and its reverse may empty the table if it
still holds that; where others have been there in between, what it holds is nobody's to take away. ``derive`` writes the
marks, and who gathers a reverse does so by them; here nothing is executed. The values of a column of its own are told
in the same way, and go with that.
"""

import re
from typing import Final

from pdelta.sql.piece import LOSS_GUARD

NONE: Final = "0 0"
"""What a table without rows holds, and a column without values of anybody's."""

_LEFT: Final = "/* pdelta left {key}: "
_EMPTIED: Final = "/* pdelta left {key} */"
_FOUND: Final = re.compile(r"/\* pdelta found (\w+): ([0-9]+ [0-9]+)( rows stay)? \*/")


def left(key: str) -> tuple[str, str]:
    """Give what stands before and behind what a table holds after a statement: the number of rows, and a digest."""
    return _LEFT.format(key=key), " */"


def found(key: str, *, stay: bool = False) -> tuple[str, str]:
    """Give what stands before and behind what it held before.

    Args:
        key: Of the table.
        stay: Whether the statement leaves as many rows as it finds.
    """
    return f"/* pdelta found {key}: ", f"{' rows stay' * stay} */"


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
        if now and as_left and not (stays and before.split()[0] != now.split()[0]):
            reverse = _without_mark(reverse, key)
            reverse = reverse if stays else _without_part(reverse, key)
        else:
            undo = _without_part(_without_mark(undo, key), key)
    return undo + reverse


def _holds(text: str, key: str) -> str:
    """Give what the table held last, as a text says; empty for that it does not say so."""
    return text.partition(_LEFT.format(key=key))[2].partition(" */")[0]


def _without_mark(text: str, key: str) -> str:
    """Leave out a mark that stands for itself, as one behind an ALTER TABLE does."""
    begin = re.escape(_LEFT.format(key=key))
    return re.sub(rf"(?<!{re.escape(LOSS_GUARD)}){begin}[0-9 ]+ \*/", "", text)


def _without_part(text: str, key: str) -> str:
    """Leave out the part that empties the table."""
    begin, end = LOSS_GUARD + _LEFT.format(key=key), emptied(key)
    before, is_there, rest = text.partition(begin)
    return before + rest.partition(end)[2] if is_there else text
