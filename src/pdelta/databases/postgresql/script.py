"""A string of statements: whose each is, so that a failure can be told by its place.

Called by ``transaction``, which writes those that change tenants, and by everybody who asks something.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from pdelta.databases.postgresql.ledger import Place
from pdelta.databases.postgresql.quoting import name

WAIT_MS: Final = 10_000
"""How long what is no delta waits for a lock: a row of the ledger, a question."""


class Role(StrEnum):
    """What a statement of the string is there for."""

    FRAME = "frame"
    LEDGER = "ledger"
    """Takes, makes or reads the ledger: fails where the tenant is gone or busy."""
    HEAD = "head"
    """Fails where the ledger is not as it must be, which its message or its code tells."""
    GUARD = "guard"
    PIECE = "piece"
    STEP = "step"
    """A piece without a transaction around it, of which only the caller knows what delta it is of."""
    TOLD = "told"
    """Tells what the head is made of, for the client to compare."""
    VALUE = "value"
    """Gives a value that the caller asked for."""


class Line(NamedTuple):
    """One statement of the string.

    Attributes:
        text: Without what ends it.
        role: What it is there for.
        tenant: In which tenant; empty for all.
        delta: The id of the delta that it belongs to; empty for none.
        number: Of the delta's statement, from 1; 0 for none.
    """

    text: str
    role: Role = Role.FRAME
    tenant: str = ""
    delta: str = ""
    number: int = 0


class Script:
    """Statements in the order in which they are executed."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.lines = list(lines)

    def add(self, *texts: str) -> None:
        """Add statements that are there for the transaction itself."""
        self.lines.extend(map(Line, texts))

    @property
    def text(self) -> str:
        """The string that is sent."""
        return ";\n".join(line.text for line in self.lines)

    def position(self, index: int, position: int) -> int:
        """Give where in its statement a position of the string is, both in characters from 1; 0 for unknown."""
        inside = position - sum(len(line.text) + 2 for line in self.lines[:index])
        return inside if 0 < inside <= len(self.lines[index].text) else 0


UNCOMPILED: Final = "SET LOCAL jit = off"
"""Before a question to the catalogue: compiling it takes the server up to a hundred times as long as answering it."""


def read_only(place: Place, text: str, statement_timeout_ms: int = 0) -> Script:
    """Give a transaction around one statement that is to read, which can't write, and is rolled back.

    Raises:
        ScriptError: It is none, or more than one.
    """
    from pdelta.databases.postgresql.statement import single

    script = Script([Line("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")])
    script.add(f"SET LOCAL lock_timeout = {WAIT_MS}", f"SET LOCAL statement_timeout = {statement_timeout_ms}")
    script.add(UNCOMPILED)
    script.lines += enter(place)
    script.lines.append(Line(single(text), Role.VALUE, place.tenant))
    script.add(*roll_back())
    return script


def roll_back() -> tuple[str, ...]:
    """Give what ends a transaction without a trace; these two things of a session would survive it.

    In one string with it, because behind a pooler the next one may be executed in another session.
    """
    return ("ROLLBACK", "DEALLOCATE ALL", "SELECT pg_advisory_unlock_all()")


def enter(place: Place) -> list[Line]:
    """Give what makes a tenant the one in which names are looked for."""
    if not place.path:
        return []
    return [Line(f"SET LOCAL search_path TO {', '.join(map(name, place.path))}", Role.FRAME, place.tenant)]
