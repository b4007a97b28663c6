"""What a roll-out is asked for and what became of it: what the command line knows of roll-outs.

Apart from ``rollout``, which carries them out: finding out that there is nothing to do imports none of that.
"""

from typing import TYPE_CHECKING

import msgspec

from pdelta.model.course import Gate, OnFailure

if TYPE_CHECKING:
    from pdelta.errors import PdeltaError
    from pdelta.model.finding import Finding
    from pdelta.model.operation import Standing
    from pdelta.model.run import RunPhase


class RolloutOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a roll-out goes.

    Attributes:
        waves: As ``engine.waves.parse_waves`` reads it; empty for what the project file says, else one first.
        soak_s: How long to wait after each wave but the last.
        gates: What must hold then.
        on_failure: What to do when more tenants fail than may.
        max_failures: How many may, as a number, or as a percentage of the tenants to change.
        batch: How many tenants share a transaction at most.
        lock_timeout_ms: How long a statement waits for a lock; 0 for what the project file says, else two seconds.
        dry_run: Whether to stop before anything is changed.
        prove: Whether to try the way back first, in one tenant and a transaction that is rolled back.
        rehearse: Whether to do all of it in transactions that are rolled back, and change nothing.
        note: What is remembered of it.
    """

    waves: str = ""
    soak_s: float = 0.0
    gates: tuple[Gate, ...] = ()
    on_failure: OnFailure = OnFailure.STOP
    max_failures: str = "0"
    batch: int = 1
    lock_timeout_ms: int = 0
    dry_run: bool = False
    prove: bool = True
    rehearse: bool = False
    note: str = ""


class Looked(msgspec.Struct, frozen=True):
    """How many were looked at, of tenants or of servers.

    Attributes:
        count: All of them.
        settled: How many lacked nothing.
        unread: How many could not be read, and were left out.
    """

    count: int = 0
    settled: int = 0
    unread: int = 0


class TenantResult(msgspec.Struct, frozen=True):
    """What became of one tenant, or one server, that lacked something.

    Attributes:
        tenant: Its name.
        wave: In which it was.
        deltas: What it lacked, in order; those to be taken back begin with ``-``, those only recorded with ``*``.
        standing: Where it was last seen; None where it could not be seen.
        touched: Whether anything was done there.
        duration_s: How long that took; 0 where nothing was done.
        found: Deltas whose effect was there already, so that they were only recorded.
        error: Why it is not where it should be; None where it is, or was not begun.
        proof: Of a rehearsal: what the way back brings back, ``schema`` or ``rows`` as well; empty for not all of that.
        lost: Of a rehearsal: what it does not bring back, in words.
        untried: Of a rehearsal: why the way back could not be tried.
        is_server: Whether it is a server, which gets what is to be done once.
    """

    tenant: str
    wave: str
    deltas: tuple[str, ...]
    standing: "Standing | None"
    touched: bool = False
    duration_s: float = 0.0
    found: tuple[str, ...] = ()
    error: "PdeltaError | None" = None
    proof: str = ""
    lost: tuple[str, ...] = ()
    untried: str = ""
    is_server: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether it was to come back and did not, so that what was done there stays."""
        return self.error is not None and self.standing == "after"


class RolloutOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a roll-out.

    Attributes:
        database: The section's name.
        run: The run's id; empty where nothing was executed.
        earlier: The ids of the runs before it that did a part of this, where other operators were at work meanwhile.
        phase: How it ended; None where nothing was executed.
        exit_status: Of the command.
        reason: Why it began nothing more; empty where it came to its end.
        tenants: How many were looked at.
        settled: How many of them lacked nothing.
        unread: How many of them could not be read, and were left out.
        servers: The same of servers; nothing where no delta is for them.
        waves: The names and sizes of the waves.
        results: What became of those that lacked something, in the order of the waves.
        findings: Warnings of the pre-flight; of a dry run also what blocks.
        duration_s: How long all of it took.
        dry_run: Whether it was only told.
        rehearsed: Whether all was done and rolled back.
    """

    database: str
    run: str = ""
    earlier: tuple[str, ...] = ()
    phase: "RunPhase | None" = None
    exit_status: int = 0
    reason: str = ""
    tenants: int = 0
    settled: int = 0
    unread: int = 0
    servers: Looked = Looked()
    waves: tuple[tuple[str, int], ...] = ()
    results: tuple[TenantResult, ...] = ()
    findings: "tuple[Finding, ...]" = ()
    duration_s: float = 0.0
    dry_run: bool = False
    rehearsed: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all could be read."""
        return not (self.unread or self.servers.unread)

    @property
    def failures(self) -> tuple[TenantResult, ...]:
        """Those that did not get where they should."""
        return tuple(result for result in self.results if result.error is not None)

    @property
    def kept(self) -> tuple[TenantResult, ...]:
        """Those that failed to come back, so that what was done there stays; they are among the failures."""
        return tuple(result for result in self.failures if result.is_kept)

    @property
    def changed(self) -> tuple[TenantResult, ...]:
        """Those that the way back would leave as another, of a rehearsal."""
        return tuple(result for result in self.results if result.lost)

    @property
    def untried(self) -> tuple[TenantResult, ...]:
        """Those in which the way back could not be tried, of a rehearsal."""
        return tuple(result for result in self.results if result.untried)

    @property
    def proved(self) -> int:
        """In how many the way back was seen to bring all back, of a rehearsal."""
        return sum(bool(result.proof) for result in self.results)
