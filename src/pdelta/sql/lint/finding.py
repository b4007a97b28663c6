"""What a rule says about a delta, and how much that weighs."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal

import msgspec

from pdelta.sql.script import Part
from pdelta.sql.token import Dialect


class Severity(StrEnum):
    """How much a finding weighs; the first ones come first where a line has several."""

    ERROR = "error"
    """It fails, hits what it must not, or stops the application for as long as a large table takes."""
    WARNING = "warning"
    """It may stop the application, lose data, or not do what its author thinks."""
    HINT = "hint"
    """Another form is better in the long run."""


class Rule(msgspec.Struct, frozen=True):
    """One thing that is looked for.

    Attributes:
        name: What findings and allowances call it; never changes.
        severity: How much it weighs.
        dialects: Whose SQL it is about.
        why: What is bad about it, in one sentence without a full stop.
        safe: What to write instead.
    """

    name: str
    severity: Severity
    dialects: tuple[Dialect, ...]
    why: str
    safe: str


class Hit(msgspec.Struct, frozen=True):
    """One place where a rule is broken.

    Attributes:
        rule: The rule's name.
        line: In the file, from 1.
        what: What stands there, and what of it is known.
        severity: How much it weighs here; None for as much as the rule says.
    """

    rule: str
    line: int
    what: str
    severity: Severity | None = None


class LintFinding(msgspec.Struct, frozen=True):
    """A hit with all that its reader needs.

    Attributes:
        file: The delta's file.
        line: The line in it, from 1.
        rule: The rule's name; with ``squawk/`` before it, one of that program's.
        severity: How much it weighs.
        part: Whether it stands in the forward or in the reverse statements.
        what: What stands there.
        why: What is bad about it.
        safe: What to write instead; empty where there is nothing.
        allowed: Why the delta breaks the rule on purpose; empty where it doesn't say so.
    """

    file: str
    line: int
    rule: str
    severity: Severity
    part: Part
    what: str
    why: str
    safe: str = ""
    allowed: str = ""


class TableSize(msgspec.Struct, frozen=True):
    """How large a table is in that tenant in which it is largest."""

    rows: int
    bytes: int


def largest(these: Mapping[str, TableSize], others: Mapping[str, TableSize]) -> dict[str, TableSize]:
    """Give each table as where it has more of either."""
    found = dict(these)
    for name, size in others.items():
        former = found.get(name, size)
        found[name] = TableSize(max(former.rows, size.rows), max(former.bytes, size.bytes))
    return found


SMALL_ROWS: Final = 10_000
SMALL_BYTES: Final = 16 << 20
"""Up to these a table counts as small. Measured on 2 cores with PostgreSQL 15, 10,000 rows of 100 bytes: a rewrite took
15 to 30 ms, an index 4 to 6 ms, a scan 1 ms; no application notices a lock for that long."""

Fan = Literal["", "schemas", "databases", "files"]


class Fleet(msgspec.Struct, frozen=True):
    """Where the deltas go.

    Attributes:
        fan: What each tenant is; empty for one database alone.
        shared: Schemas that all tenants look names up in.
        sizes: Of the tables, by their names without a schema; None where nothing is known of any.
    """

    fan: Fan = ""
    shared: tuple[str, ...] = ()
    sizes: Mapping[str, TableSize] | None = None
