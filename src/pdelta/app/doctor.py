"""``pdelta doctor [WHERE]``: what this machine and a destination lack; changes nothing."""

import os
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pdelta import __version__
from pdelta.app.compose import OpenTree, open_tree
from pdelta.app.context import Context, Link
from pdelta.app.runs import open_journal
from pdelta.errors import PdeltaError
from pdelta.filesystem import syscalls
from pdelta.formats.history import NEVER_PUSHED
from pdelta.model.amount import counted
from pdelta.model.target import Target
from pdelta.operations.sql.target import KIND as SQL
from pdelta.operations.sql.target import section_of

if TYPE_CHECKING:
    from pdelta.engine.journal import Journal

_TOLD: Final = frozenset({"unfinished", "unmanaged"})
"""What the facts of the tree have said already."""

STAGED_KEPT: Final = "staged content of an unfinished run is kept: the same command goes on, pdelta gc removes it"

LISTED: Final = 10
"""How many runs that have not ended are told one by one."""


class Check(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        name: What.
        good: Whether it is as it should be.
        message: What was found.
        hint: What to do; empty when nothing needs doing.
    """

    name: str
    good: bool
    message: str
    hint: str = ""


class DoctorReport(msgspec.Struct, frozen=True):
    """Everything that was looked at."""

    checks: tuple[Check, ...]
    healthy: bool


def examine(where: str | None, context: Context, link: Link) -> DoctorReport:
    """Look at this machine, and at a destination where one is named.

    Args:
        where: The destination; None for this machine alone.
        context: The command's surroundings.
        link: How a host is reached.

    Raises:
        UsageError: The destination is none.
    """
    checks = [*_machine(context)]
    if where is None:
        checks += _journal(context, None)
    else:
        with open_tree(where, context, link) as tree:
            checks += _journal(context, tree.target)
            checks += _destination(where, tree)
    return DoctorReport(tuple(checks), all(check.good for check in checks))


def _machine(context: Context) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("pdelta", good=True, message=f"{__version__}, Python {version}, SQLite {sqlite3.sqlite_version}")
    if syscalls.has_openat2():
        yield Check("safe paths", good=True, message="the kernel resolves paths beneath a folder (openat2)")
    else:
        yield Check("safe paths", good=True, message="no openat2 here: paths are walked a component at a time")
    ssh = shutil.which("ssh")
    hint = "install the OpenSSH client to push to hosts"
    yield Check("ssh", good=ssh is not None, message=ssh or "there is no ssh in PATH", hint=hint)
    for name, folder in (("cache", context.cache), ("state", context.state), ("runs", context.runs)):
        yield _writable(name, folder)


def _writable(name: str, folder: Path) -> Check:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    good = os.access(there, os.W_OK | os.X_OK)
    text = f"{folder}" if good else f"{folder} can't be written"
    return Check(name, good=good, message=text, hint=f"make {there} writable, or name another folder (XDG variables)")


def _journal(context: Context, target: Target | None) -> Iterator[Check]:
    """Look for runs that have not ended: those on one target, or all of them with theirs."""
    here = "" if target is None else " on this destination"
    if not context.journal.exists():
        yield Check("journal", good=True, message=f"no run{here} so far")
        return
    try:
        with open_journal(context) as journal:
            left = [found for run in journal.open_runs() if (found := _left(journal, run)).concerns(target)]
    except PdeltaError as error:
        yield Check("journal", good=False, message=error.message, hint=error.hint)
        return
    if not left:
        yield Check("journal", good=True, message=f"every run{here} has ended")
    for found in left[:LISTED]:
        told = f"{found.run} on {', '.join(found.places)}" if target is None else found.run
        state = "is at work" if found.at_work else "has not ended"
        yield Check("journal", good=found.at_work, message=f"{told} {state}", hint=found.hint)
    if len(left) > LISTED:
        more = len(left) - LISTED
        message = f"{counted(more, 'more run')}{here} {'has' if more == 1 else 'have'} not ended"
        yield Check("journal", good=False, message=message)


class _Left(NamedTuple):
    """A run without an end: where, and whether a process is still at it."""

    run: str
    addresses: tuple[str, ...]
    at_work: bool
    databases: tuple[str, ...] = ()

    @property
    def places(self) -> tuple[str, ...]:
        """Where it was: of tenants, which may be thousands, the sections that have them."""
        return self.databases or self.addresses

    @property
    def hint(self) -> str:
        """What ends it."""
        if self.databases:
            section = f" --database {shlex.quote(self.databases[0])}"
            return f"the same command again, or any other pdelta sql apply or rollback{section}, ends it"
        return f"pdelta recover {shlex.quote(self.addresses[0] if len(self.addresses) == 1 else self.run)}"

    def concerns(self, target: Target | None) -> bool:
        return target is None or target.address in self.addresses


def _left(journal: "Journal", run: str) -> _Left:
    plan, _, _ = journal.read(run)
    addresses = tuple(dict.fromkeys(step.target.address for step in plan.steps))
    databases = tuple(dict.fromkeys(section_of(step.target) for step in plan.steps if step.target.kind == SQL))
    return _Left(run, addresses, journal.at_work(run), databases)


def _destination(where: str, tree: OpenTree) -> Iterator[Check]:
    try:
        facts = tree.tree.describe()
        yield Check("reachable", good=True, message=where)
        told = f"entry {facts.number} is the newest" if facts.managed else NEVER_PUSHED
        yield Check("history", good=True, message=told)
        hint = f"pdelta recover {shlex.quote(where)}"
        told = "no commit was cut off" + (f"; {STAGED_KEPT}" if facts.staged else "")
        if facts.unfinished:
            told = "a commit has begun and not ended: a run is at work, or was killed"
        yield Check("unfinished", good=not facts.unfinished, message=told, hint=hint)
        for finding in tree.tree.examine():
            if finding.code in _TOLD:
                continue
            yield Check(finding.code, good=not finding.blocks, message=finding.message, hint=finding.hint)
    except PdeltaError as error:
        yield Check("destination", good=False, message=error.message, hint=error.hint)
