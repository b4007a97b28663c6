"""Transactions that are the same in many tenants but for their names: written once, and then only filled in.

Called by ``session``. Writing a transaction took the client a third of its time in a roll-out over 1,000 schemas. What
is filled in is, to the letter, what ``transaction`` would write; that is compared when a pattern is made.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from pdelta.databases.base import Move, Work
from pdelta.databases.postgresql import ledger
from pdelta.databases.postgresql.ledger import Place
from pdelta.databases.postgresql.quoting import name
from pdelta.databases.postgresql.transaction import Limits, Transaction, ending, fits, marked
from pdelta.errors import ScriptError

_HOLE: Final = "\x01"
"""Stands where a tenant's name is to be; a text that has this character by itself gets no pattern."""
_QUOTED: Final = name(_HOLE)
_MOST: Final = 64
"""Patterns that are kept; a roll-out needs one or two, unless its tenants differ from each other."""

_Key = tuple[object, ...]


class _Pattern(msgspec.Struct, frozen=True):
    """What one work does in any tenant.

    Attributes:
        text: With holes.
        count: How many statements it has.
        sets: As the transaction's is behind it.
        leaves: Likewise.
    """

    text: str
    count: int
    sets: bool
    leaves: bool


_UNMADE: Final = _Pattern("", 0, sets=False, leaves=False)
"""Stands for the pattern of what was met once."""


class Filled(NamedTuple):
    """A transaction as text.

    Attributes:
        text: All but what ends it.
        ending: That.
        told: The places, from 0, of the statements that tell what ledgers have.
    """

    text: str
    ending: tuple[str, ...]
    told: list[int]


class Patterns:
    """The patterns of one database, for all sessions on it."""

    def __init__(self) -> None:
        self._kept: dict[_Key, tuple[tuple[Move, ...], _Pattern | None]] = {}

    def fill(self, works: Sequence[Work], places: Sequence[Place], limits: Limits) -> Filled | None:
        """Give what does these works in one transaction; None where it has to be written.

        Args:
            works: All that the transaction does.
            places: Where their ledgers are.
            limits: Of the transaction.
        """
        is_told = len(works) > 1
        writing = Transaction(limits, is_told=is_told)
        texts, told, count = [writing.script.text], [], len(writing.script.lines)
        for work, place in zip(works, places, strict=True):
            is_last = work is works[-1]
            pattern = self._find(work, place, limits, sets=writing.sets, is_last=is_last, is_told=is_told)
            if pattern is None:
                return None
            filled = _filled(pattern, work, place)
            texts += filled
            count += pattern.count
            told.append(count - 1)
            count += len(filled) - 1
            writing.sets, writing.leaves = pattern.sets, writing.leaves or pattern.leaves
        if is_told:
            texts.append(marked(works[-1].tenant).text)
        return Filled(";\n".join(texts), ending(leaves=writing.leaves), told)

    def fill_rest(self, work: Work, place: Place, limits: Limits) -> str | None:
        """Give what stands behind the beginning of a transaction that does one work; None likewise."""
        pattern = self._find(work, place, limits, sets=False, is_last=True, is_told=False)
        if pattern is None:
            return None
        return ";\n".join((*_filled(pattern, work, place), *ending(leaves=pattern.leaves)))

    def _find(
        self, work: Work, place: Place, limits: Limits, *, sets: bool, is_last: bool, is_told: bool
    ) -> _Pattern | None:
        if not place.oid or place.database or place.path[:1] != (place.schema,):
            return None
        key = (*map(id, work.moves), work.before, work.after, limits, sets, is_last, is_told)
        kept = self._kept.get(key)
        if kept is None and not is_told:
            # A second tenant is what makes it pay.
            pattern: _Pattern | None = _UNMADE
        elif kept is None or kept[1] is _UNMADE:
            pattern = _make(work, place, limits, sets=sets, is_last=is_last, is_told=is_told)
        else:
            return kept[1]
        if len(self._kept) >= _MOST:
            self._kept.clear()
        # Moves are kept with it, so that no other gets the number of one.
        self._kept[key] = (work.moves, pattern)
        return None if pattern is _UNMADE else pattern


def _filled(pattern: _Pattern, work: Work, place: Place) -> tuple[str, ...]:
    return (pattern.text.replace(_QUOTED, name(place.schema)), *ledger.stamp(place, work.after))


def _make(work: Work, place: Place, limits: Limits, *, sets: bool, is_last: bool, is_told: bool) -> _Pattern | None:
    """Give the pattern of a work; None where there can be none."""
    hole = msgspec.structs.replace(place, tenant=_HOLE, schema=_HOLE, path=(_HOLE, *place.path[1:]))
    if not fits(work):
        return None
    try:
        there, written = (
            _write(work, one, limits, sets=sets, is_last=is_last, is_told=is_told) for one in (place, hole)
        )
    except ScriptError:
        # Whoever writes it for the tenant tells what is wrong, and where.
        return None
    if _HOLE in there.text or written.text.replace(_QUOTED, name(place.schema)) != there.text:
        return None
    return written


def _write(work: Work, place: Place, limits: Limits, *, sets: bool, is_last: bool, is_told: bool) -> _Pattern:
    writing = Transaction(limits, is_told=is_told)
    writing.sets = sets
    lines = writing.script.lines
    frame, before = len(writing.script.text), len(lines)
    writing.work(work, place, is_last=is_last)
    text = writing.script.text[frame + 2 :]
    return _Pattern(text, len(lines) - before, sets=writing.sets, leaves=writing.leaves)
