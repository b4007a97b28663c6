"""What a tenant has: the rows of its ledger, and the head that stands for all of them.

The ledger lies in the tenant itself, in ``pdelta_applied``; ``docs/formats/sql-ledger.md`` describes its tables. Two
tenants with one head have the same deltas in the same states, so that one of them tells about all. Pure: the adapters
of ``databases`` read and write the rows.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Final, Self

import msgspec

from pdelta.errors import FormatError
from pdelta.sql.sha import sha256_of


class State(StrEnum):
    """How far a delta got in a tenant; only ``APPLIED`` is after it, the others are in between."""

    APPLYING = "applying"
    APPLIED = "applied"
    REVERSING = "reversing"


class Way(StrEnum):
    """Which way a delta goes."""

    APPLY = "apply"
    REVERSE = "reverse"


FORGOTTEN: Final = "forget"
"""What the history says in place of a way where a row alone was taken out, and nothing executed."""


class Proved(StrEnum):
    """What a reverse was seen to bring back."""

    SCHEMA = "schema"
    """What the tenant is made of."""
    ROWS = "rows"
    """Its rows as well."""


class Applied(msgspec.Struct, frozen=True):
    """One row of ``pdelta_applied``: a delta that the tenant has.

    Attributes:
        id: The delta.
        digest: Of its forward statements, as ``sql.script.digest`` gives it.
        state: How far it got.
        step: Without a transaction, how many of its steps are done, in the direction of the state.
        steps: How many there are; 0 where a transaction holds them all.
        reverse: The SQL that takes it back in this tenant; empty where nothing does.
        captured: What was found in the tenant before each step without a transaction, as JSON; empty for nothing.
        irreversible: Why nothing takes it back; empty where ``reverse`` does.
        proof: How the reverse was proved, as ``Proved`` says; empty for not at all.
        run: The run that applied it.
        who: Who asked for that.
        at: When, in UTC, as ``2026-01-31T23:59:59Z``.
        tool: Which program and version applied it.
    """

    id: str
    digest: str
    state: State = State.APPLIED
    step: int = 0
    steps: int = 0
    reverse: str = ""
    captured: str = ""
    irreversible: str = ""
    proof: str = ""
    run: str = ""
    who: str = ""
    at: str = ""
    tool: str = ""


class Head(msgspec.Struct, frozen=True):
    """All that a ledger says about what a tenant has, in one value.

    Attributes:
        count: How many rows there are.
        digest: SHA-256 in lower-case hexadecimal of the lines ``id digest state``, sorted by the bytes of
            the id, with a line feed between them. (SHA-256, because every server can calculate it.)
    """

    count: int
    digest: str

    def __str__(self) -> str:
        return f"{self.count}:{self.digest}"

    @classmethod
    @lru_cache(maxsize=256)  # thousands of tenants have a few
    def parse(cls, text: str) -> Self:
        """Read what ``str`` gives.

        Raises:
            FormatError: It is no head.
        """
        count, colon, digest = text.partition(":")
        if not (colon and count.isascii() and count.isdecimal() and len(digest) == 64):
            raise FormatError(f"{text!r} is no head of a ledger")
        return cls(int(count), digest)


def way_out(former: Applied, row: Applied | None) -> Way | None:
    """Give as what a former row goes into the history where this one takes its place; None for the same, further on."""
    if row is None:
        return Way.REVERSE
    match former.state, row.state:
        case State.APPLIED, State.APPLYING:
            return Way.APPLY
        case State.REVERSING, State.APPLIED if (row.run, row.digest) != (former.run, former.digest):
            # The version that the former one had replaced.
            return Way.REVERSE
    return None


def head_of(rows: Iterable[tuple[str, str, str]]) -> Head:
    """Give the head of these rows, each its id, its digest and its state."""
    return _head_of(tuple(rows))


# Nearly all tenants of a fleet have the same rows, and each is asked twice (measured: 12 µs for two rows, else 0.4).
@lru_cache(maxsize=16)
def _head_of(rows: tuple[tuple[str, str, str], ...]) -> Head:
    lines = sorted(rows, key=lambda row: row[0].encode())
    text = "\n".join(f"{id} {digest} {state}" for id, digest, state in lines)
    return Head(len(lines), sha256_of(text.encode()))


def head_of_rows(rows: Iterable[Applied]) -> Head:
    """Give the head of a ledger with these rows."""
    return head_of((row.id, row.digest, row.state.value) for row in rows)


EMPTY_HEAD: Final = Head(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
"""The head of a ledger without rows, and of a tenant without a ledger: ``head_of(())``.

Spelt out, as comparing heads is all that many commands do, and importing what calculates them takes 2.5 ms, measured.
"""
