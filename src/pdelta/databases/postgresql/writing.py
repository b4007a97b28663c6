"""Works -> the statements of a transaction, or of several in a row.

Called by ``session``, which sends them.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pdelta.databases.base import Work
from pdelta.databases.postgresql import failure, ledger
from pdelta.databases.postgresql.connection import Result, StatementError
from pdelta.databases.postgresql.layout import Layout
from pdelta.databases.postgresql.ledger import Place
from pdelta.databases.postgresql.pattern import Patterns
from pdelta.databases.postgresql.quoting import is_name
from pdelta.databases.postgresql.script import Line, Role, Script
from pdelta.databases.postgresql.transaction import Limits, Transaction, fits, marked
from pdelta.errors import PdeltaError, ScriptError
from pdelta.sql.ledger import Head

_END: Final = "COMMIT"
_WAITS: Final = "SET LOCAL synchronous_commit TO DEFAULT"
"""Before the last COMMIT of several, whatever a delta has set."""


def written(works: Sequence[Work], places: Sequence[Place], limits: Limits) -> Transaction:
    """Give the transaction that does these works, without its end; ledgers that are there are stamped.

    Of several the client compares the ledgers before it sends the end.

    Raises:
        StaleError: A work's heads can't be of one ledger.
        DatabaseError: A statement can't be read, or would end the transaction.
    """
    is_told = len(works) > 1
    writing = Transaction(limits, is_told=is_told)
    write(works, places, writing, lambda work, place: stamp_lines(place, work.after) if place.oid else [])
    if is_told:
        writing.script.lines.append(marked(works[-1].tenant))
    return writing


def whole(works: Sequence[Work], places: Sequence[Place], limits: Limits) -> Script:
    """Give the same with its end; arguments and errors as for ``written``."""
    writing = written(works, places, limits)
    return Script((*writing.script.lines, *writing.commit()))


def write(
    works: Sequence[Work],
    places: Sequence[Place],
    writing: Transaction,
    follow: Callable[[Work, Place], Sequence[Line]],
) -> None:
    """Add what each work does and what follows it.

    Raises:
        StaleError: As ``written``.
        DatabaseError: Likewise.
    """
    for work, place in zip(works, places, strict=True):
        if not fits(work):
            raise failure.stale(work.tenant)
        try:
            writing.work(work, place, is_last=work is works[-1])
            writing.script.lines += follow(work, place)
        except ScriptError as error:
            raise failure.unfit(error, work.tenant) from error


def stamp_lines(place: Place, head: Head) -> list[Line]:
    """Give what writes a ledger's stamp."""
    return [Line(text, Role.LEDGER, place.tenant) for text in ledger.stamp(place, head)]


class Together(NamedTuple):
    """Works that one transaction does which is sent in two strings: all that it does, and what ends it.

    Where there are several, the client compares between these what their ledgers have now with what they are to have:
    that costs a round trip, and spares the server a quarter of what it does in a tenant. A new ledger gets its stamp in
    the second string.

    Attributes:
        works: All of them.
        places: Where their ledgers are.
        limits: Of the transaction.
        text: The first string; None for that of ``script``.
        told: The places of its statements that tell what ledgers have; empty for a single work.
        ending: What ends it.
    """

    works: Sequence[Work]
    places: Sequence[Place]
    limits: Limits
    text: str | None
    told: Sequence[int]
    ending: Sequence[str]

    @classmethod
    def of(cls, works: Sequence[Work], places: Sequence[Place], patterns: Patterns, limits: Limits) -> "Together":
        """Give what does these works.

        Raises:
            StaleError: As ``written``.
            DatabaseError: Likewise.
        """
        if all(place.oid for place in places) and (filled := patterns.fill(works, places, limits)):
            return cls(works, places, limits, filled.text, filled.told, filled.ending)
        writing = written(works, places, limits)
        told = [index for index, line in enumerate(writing.script.lines) if line.role is Role.TOLD]
        return cls(works, places, limits, None, told, [line.text for line in writing.commit()])

    def script(self) -> Script:
        """Give the statements of the first string."""
        script = written(self.works, self.places, self.limits).script
        # A comment can't be calculated, and has the number of a table that is not there yet.
        script.lines += [Line(ledger.number(one), Role.LEDGER, one.tenant) for one in self.places if not one.oid]
        return script

    def last(self, results: Sequence[Result]) -> Script:
        """Give the second string.

        Args:
            results: Of the first.

        Raises:
            StaleError: A ledger is another than it is to be.
        """
        for index, work in zip(self.told, self.works, strict=False):
            if ledger.read_told(results[index]) != work.after:
                raise failure.stale(work.tenant)
        new = [(work, place) for work, place in zip(self.works, self.places, strict=True) if not place.oid]
        script = Script()
        for (work, place), result in zip(new, results[len(results) - len(new) :], strict=True):
            script.lines += stamp_lines(ledger.numbered(place, result.rows[0][0]), work.after)
        script.add(*self.ending)
        return script


class Series(NamedTuple):
    """Works that are sent as one string, each in a transaction of its own.

    Attributes:
        works: In order.
        places: Where their ledgers are.
        limits: Of each transaction.
        text: The string.
    """

    works: Sequence[Work]
    places: Sequence[Place]
    limits: Limits
    text: str

    @classmethod
    def of(cls, works: Sequence[Work], layout: Layout, patterns: Patterns, limits: Limits) -> "Series":
        """Give the first of these works, as far as their tenants have a ledger and they can be written."""
        places: list[Place] = []
        rests: list[str] = []
        for work in works:
            place = layout.known(work.tenant, work.glance)
            if place is None or not place.oid or not is_name(work.tenant):
                break
            try:
                rests.append(patterns.fill_rest(work, place, limits) or _rest(work, place, limits))
            except PdeltaError:
                # Why, its own commit tells.
                break
            places.append(place)
        begins, begins_last = (Transaction(limits, is_followed=follows).script.text for follows in (True, False))
        texts = [f"{begins};\n{rest}" for rest in rests[:-1]]
        texts += [f"{begins_last};\n{rest.removesuffix(_END)}{_WAITS};\n{_END}" for rest in rests[-1:]]
        return cls(works[: len(places)], places, limits, ";\n".join(texts))

    def script(self) -> Script:
        """Give the statements of the string."""
        last = len(self.works) - 1
        script = Script(
            line
            for number, (work, place) in enumerate(zip(self.works, self.places, strict=True))
            for line in (*_frame(self.limits, is_followed=number < last), *_rest_lines(work, place, self.limits))
        )
        script.lines.insert(-1, Line(_WAITS))
        return script

    def place_of(self, error: StatementError) -> int:
        """Give in the how manieth work, from 0, a statement failed."""
        script = self.script()
        before = script.lines[: failure.index_of(error, script)]
        return sum(line.role is Role.FRAME and line.text == _END for line in before)


def _frame(limits: Limits, *, is_followed: bool) -> list[Line]:
    return Transaction(limits, is_followed=is_followed).script.lines


def _rest(work: Work, place: Place, limits: Limits) -> str:
    return ";\n".join(line.text for line in _rest_lines(work, place, limits))


def _rest_lines(work: Work, place: Place, limits: Limits) -> list[Line]:
    """Give what stands behind the beginning of a work's transaction."""
    writing = written([work], [place], limits)
    return [*writing.script.lines[len(_frame(limits, is_followed=False)) :], *writing.commit()]
