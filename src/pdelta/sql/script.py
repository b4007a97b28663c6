"""One delta as its author wrote it: what it is called, how it wants to be executed, and its sections of SQL.

``formats.sql_delta`` reads it from a file. Whether an author has changed a delta is told
by a digest over tokens: comments, white space and line ends never matter, literals always do.
"""

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec
from blake3 import blake3

from pdelta.sql.scope import Scope
from pdelta.sql.token import Dialect, Kind, Mode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pdelta.sql.split import Statement

DIGEST_PREFIX: Final = b"pdelta sql 1\n"
_FOLDING: Final = frozenset({Dialect.POSTGRESQL, Dialect.SQLITE})
"""Where the case of a word that is not quoted means nothing; a MySQL table may be another one in capitals."""


class Part(StrEnum):
    """What a section is for."""

    FORWARD = "forward"
    REVERSE = "reverse"
    CHECK = "check"
    VERIFY = "verify"


class Transaction(StrEnum):
    """Whether the statements may stand in one transaction with the ledger."""

    AUTO = "auto"
    NONE = "none"


class Phase(StrEnum):
    """Where a delta stands in a change that spans several releases of an application; shown, and nothing more."""

    EXPAND = "expand"
    CONTRACT = "contract"


class Allowance(msgspec.Struct, frozen=True):
    """Rules of ``sql.lint`` that a delta may break.

    Attributes:
        rules: Their names.
        reason: Why.
    """

    rules: tuple[str, ...]
    reason: str


class Tool(StrEnum):
    """Another program that keeps schemas at a version, by a table of its own in them."""

    ALEMBIC = "alembic"
    DBMATE = "dbmate"
    DJANGO = "django"
    FLYWAY = "flyway"
    GOLANG_MIGRATE = "golang-migrate"
    GOOSE = "goose"
    LIQUIBASE = "liquibase"


class Replaced(msgspec.Struct, frozen=True):
    """What another tool knows a delta by.

    Attributes:
        tool: Which.
        version: As that tool's table has it: a revision, a version, or whatever names one entry there.
    """

    tool: Tool
    version: str

    def __str__(self) -> str:
        return f"{self.tool}:{self.version}"


class Section(msgspec.Struct, frozen=True):
    """SQL for one purpose.

    Attributes:
        part: What it is for.
        dialect: The only one that it is for; None for whichever the delta is applied to.
        text: Without the hyphens of the comments that held it.
        line: The line of the file that the text begins on.
    """

    part: Part
    dialect: Dialect | None
    text: str
    line: int


class Script(msgspec.Struct, frozen=True):
    """One delta file.

    Attributes:
        name: The file's name without ``.sql``.
        id: What the ledger knows it by; the name, unless the header says otherwise.
        dialect: The only one that the whole delta is for; None for any.
        transaction: Whether it may run in a transaction.
        lock_timeout_ms: How long a statement waits for a lock; None for the default.
        requires: Ids of the deltas that come first.
        scope: Who receives it.
        irreversible: Why there is no reverse; empty where there is or may be one.
        sections: In the order of the file.
        repeatable: Whether it is applied again when its digest has changed, as views and functions are.
        phase: Where it stands in a longer change; None where that isn't said.
        allows: Which rules of lint it may break.
        key: Sorts it among the scripts of its folder by code points; empty where its name does.
        baseline: Whether it holds all that the deltas before it do, for tenants that have none of those.
        replaces: What other tools know it by, the oldest first.
    """

    name: str
    id: str
    dialect: Dialect | None = None
    transaction: Transaction = Transaction.AUTO
    lock_timeout_ms: int | None = None
    requires: tuple[str, ...] = ()
    scope: Scope = Scope.TENANT
    irreversible: str = ""
    sections: tuple[Section, ...] = ()
    repeatable: bool = False
    phase: Phase | None = None
    allows: tuple[Allowance, ...] = ()
    key: str = ""
    baseline: bool = False
    replaces: tuple[Replaced, ...] = ()

    def section(self, part: Part, dialect: Dialect) -> Section | None:
        """Give the section for this dialect, else the one for any, else None."""
        found = {section.dialect: section for section in self.sections if section.part is part}
        return found.get(dialect) or found.get(None)

    def statements(
        self, part: Part, dialect: Dialect, *, modes: frozenset[Mode] = frozenset()
    ) -> "tuple[Statement, ...]":
        """Give the statements of one part, with the lines that they have in the file; none where it is missing."""
        section = self.section(part, dialect)
        if section is None:
            return ()
        from pdelta.sql.split import statements_of

        return statements_of(section.text, dialect, modes, section.line)


def digest(statements: "Iterable[Statement]", dialect: Dialect) -> str:
    """Give the BLAKE3-256 of these statements' tokens, in lower-case hexadecimal.

    Equal exactly if the tokens are: how they are laid out, commented and ended does not matter. The case of words that
    are not quoted matters in MySQL alone. A placeholder stands for itself.
    """
    hasher = blake3(DIGEST_PREFIX)
    for statement in statements:
        for token in statement.tokens:
            # A program may well hold half of a character; UTF-8 may not.
            data = token.text.encode("utf-8", "surrogatepass")
            if token.kind is Kind.WORD and dialect in _FOLDING:
                data = data.lower()  # of bytes: ASCII alone, as the servers do
            hasher.update(token.kind.value.encode() + len(data).to_bytes(4, "big") + data)
        hasher.update(b";")
    return hasher.hexdigest()
