"""The rows of the table: which tenants there are, what is done in a turn, and the marks set before the first run."""

from enum import StrEnum

import msgspec

from benchmarks.sql.deltas import LAST_LOGIN, TABLES, Delta, twenty

PEERS = ("alembic", "node-pg-migrate")


class Kind(StrEnum):
    """What a tenant is."""

    SCHEMAS = "schemas"
    DATABASES = "databases"
    FILES = "files"


class Act(StrEnum):
    """What one turn consists of, in this order; each act is measured by itself."""

    APPLY = "apply"
    SAME = "same"
    SOME = "some"
    REVERSE = "reverse"
    LOCKED = "locked"
    DRIFT = "drift"


class Mark(msgspec.Struct, frozen=True):
    """What is asked of one form of pdelta in one act.

    Attributes:
        act: Which.
        form: Its name.
        least: How many times faster than the best peer it must be; None publishes the figure alone.
        most: How many times as long as undisturbed it may take.
        peak_mb: How much memory it may take, in MB.
        label: What the row says beside the scenario's title.
        against: The peer and the act that it is compared with; None for the best peer in the same act.
    """

    act: Act
    form: str = "pdelta"
    least: float | None = None
    most: float | None = None
    peak_mb: float | None = None
    label: str = ""
    against: tuple[str, Act] | None = None


class Scenario(msgspec.Struct, frozen=True):
    """One kind of tenants, and what happens to them in a turn.

    Attributes:
        name: Chosen by this on the command line.
        title: What tables say.
        kind: What a tenant is.
        tenants: How many at full scale.
        marks: The rows.
        acts: What a turn consists of; in the end all tenants are where they began.
        deltas: What is applied.
        tables: How many tables a tenant has.
        peers: Who else takes part.
        most_turns: Upper limit of the turns; 0 for none.
    """

    name: str
    title: str
    kind: Kind
    tenants: int
    marks: tuple[Mark, ...]
    acts: tuple[Act, ...] = (Act.APPLY, Act.SAME, Act.SOME, Act.REVERSE)
    deltas: tuple[Delta, ...] = (LAST_LOGIN,)
    tables: int = len(TABLES)
    peers: tuple[str, ...] = PEERS
    most_turns: int = 0

    def count(self, scale: float) -> int:
        """Give how many tenants there are at a scale."""
        return max(4, round(self.tenants * scale))


def one_in_a_hundred(names: list[str]) -> list[str]:
    """Give the tenants that lack a delta, or are locked: spread, and never the first, which is the canary."""
    wanted = max(1, len(names) // 100)
    step = len(names) // wanted
    return names[step // 2 :: step][:wanted]


BATCH, TRUST = "pdelta-batch", "pdelta-trust"

SCENARIOS = (
    Scenario(
        "schemas",
        "1,000 schemas",
        Kind.SCHEMAS,
        1000,
        (
            Mark(Act.APPLY, least=8, label="one delta, a transaction each"),
            Mark(Act.APPLY, BATCH, 13, label="one delta, 50 a transaction"),
            Mark(Act.SAME, least=25, label="nothing to do"),
            Mark(Act.SOME, least=20, label="990 have it"),
            Mark(Act.REVERSE, least=8, label="reverse"),
            Mark(Act.REVERSE, BATCH, label="reverse, 50 a transaction"),
            # Nobody else does it: half a second where Alembic takes five to find that there is nothing to do.
            Mark(Act.DRIFT, least=10, label="drift, against nothing to do", against=("alembic", Act.SAME)),
        ),
        acts=(Act.APPLY, Act.SAME, Act.DRIFT, Act.SOME, Act.REVERSE),
    ),
    Scenario(
        "twenty",
        "200 schemas",
        Kind.SCHEMAS,
        200,
        (
            Mark(Act.APPLY, least=3.5, label="20 deltas"),
            Mark(Act.APPLY, BATCH, label="20 deltas, 50 a transaction"),
            Mark(Act.REVERSE, label="20 reversed"),
        ),
        acts=(Act.APPLY, Act.REVERSE),
        deltas=twenty(),
    ),
    Scenario(
        "databases",
        "200 databases",
        Kind.DATABASES,
        200,
        (
            Mark(Act.APPLY, least=2.5, label="one delta"),
            Mark(Act.SAME, least=3, label="nothing to do"),
            Mark(Act.SAME, TRUST, 30, label="nothing to do, --trust-stamps"),
            Mark(Act.REVERSE, label="reverse"),
        ),
        acts=(Act.APPLY, Act.SAME, Act.REVERSE),
    ),
    Scenario(
        "files",
        "1,000 SQLite files",
        Kind.FILES,
        1000,
        (
            Mark(Act.APPLY, least=4, label="one delta"),
            Mark(Act.SAME, least=25, label="nothing to do"),
            Mark(Act.SOME, label="990 have it"),
            Mark(Act.REVERSE, label="reverse"),
        ),
        peers=("alembic",),
    ),
    Scenario(
        "locked",
        "1,000 schemas, ten locked by long readers: until the last of the other 990",
        Kind.SCHEMAS,
        1000,
        (
            Mark(Act.LOCKED, most=1.2, label="a transaction each"),
            Mark(Act.LOCKED, BATCH, label="50 a transaction"),
        ),
        acts=(Act.APPLY, Act.REVERSE, Act.LOCKED, Act.REVERSE),
        peers=(),
    ),
    Scenario(
        "memory-schemas",
        "10,000 schemas, peak memory",
        Kind.SCHEMAS,
        10_000,
        (
            Mark(Act.APPLY, peak_mb=150, label="one delta"),
            Mark(Act.SAME, peak_mb=150, label="nothing to do"),
        ),
        acts=(Act.APPLY, Act.SAME, Act.REVERSE),
        tables=1,
        peers=(),
        most_turns=1,
    ),
    Scenario(
        "memory-files",
        "10,000 SQLite files, peak memory",
        Kind.FILES,
        10_000,
        (
            Mark(Act.APPLY, peak_mb=150, label="one delta"),
            Mark(Act.SAME, peak_mb=150, label="nothing to do"),
        ),
        acts=(Act.APPLY, Act.SAME, Act.REVERSE),
        tables=1,
        peers=(),
        most_turns=1,
    ),
)
