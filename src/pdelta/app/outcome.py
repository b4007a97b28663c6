"""What a push, rollback or repair came to; every command that changes a tree gives one."""

from typing import Any, Final

import msgspec

from pdelta.formats.history import Counts
from pdelta.model.change import Change
from pdelta.model.finding import Finding


class SourceProblem(msgspec.Struct, frozen=True):
    """A path of the source that was left out.

    Attributes:
        path: Raw path below the source.
        kind: ``unreadable``, ``vanished``, ``changing`` or ``special``.
        message: What happened.
    """

    path: bytes
    kind: str
    message: str


SPECIAL: Final = "special"
"""The kind of problem that is none: FIFOs, sockets and devices are never pushed, and nobody waits for them."""


class TreeOutcome(msgspec.Struct, frozen=True):
    """What became of a tree.

    Attributes:
        verb: ``push``, ``rollback`` or ``repair``.
        source: Where it came from; empty for a rollback.
        destination: Where it went.
        changed: Whether anything differs from before (or would, in a dry run).
        dry_run: Whether nothing was executed.
        number: History entry; 0 when there is none.
        run: Id of the run; empty when nothing was to be done.
        before: Snapshot that the tree held before, in hexadecimal.
        after: Snapshot that it holds now.
        counts: Changes by their sort.
        changes: The first of them.
        change_count: How many there are.
        released: Paths that were held and are ignored now: neither deleted, replaced nor restored.
        findings: Warnings of the pre-flight; of a dry run also what blocks, first.
        problems: Paths of the source that were left out.
        scanned_files: Files that were looked at.
        scanned_bytes: Their size.
        read_bytes: How much of that was read.
        sent_bytes: Sent to the host; for a destination on this machine, content that was copied.
        agent_bytes: Sent besides, once, where the host had no agent yet.
        received_bytes: Received from the host.
        duration_s: Wall time.
        trusted: What was not looked at, in words; empty when everything was.
        reversible: Whether a rollback can take it back.
        recovered: What an interrupted run had left and this one finished first, in words.
        local: Whether the destination is a folder of this machine, to which nothing is sent.
    """

    verb: str
    destination: str
    source: str = ""
    changed: bool = False
    dry_run: bool = False
    number: int = 0
    run: str = ""
    before: str = ""
    after: str = ""
    counts: Counts = Counts()
    changes: tuple[Change, ...] = ()
    change_count: int = 0
    released: tuple[bytes, ...] = ()
    findings: tuple[Finding, ...] = ()
    problems: tuple[SourceProblem, ...] = ()
    scanned_files: int = 0
    scanned_bytes: int = 0
    read_bytes: int = 0
    sent_bytes: int = 0
    agent_bytes: int = 0
    received_bytes: int = 0
    duration_s: float = 0.0
    trusted: str = ""
    reversible: bool = True
    recovered: str = ""
    local: bool = False
    facts: dict[str, Any] = {}

    @property
    def left_out(self) -> int:
        """How many paths of the source could not be read, and are neither pushed nor deleted."""
        return sum(problem.kind != SPECIAL for problem in self.problems)
