"""``pdelta doctor [WHERE]``: what this machine and a destination lack; changes nothing."""

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pdelta import __version__
from pdelta.app.compose import JOURNAL, open_journal, open_tree
from pdelta.app.context import Context, Link
from pdelta.errors import PdeltaError
from pdelta.filesystem import syscalls


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
    checks = [*_machine(context), *(_destination(where, context, link) if where is not None else ())]
    return DoctorReport(tuple(checks), all(check.good for check in checks))


def _machine(context: Context) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("pdelta", good=True, message=f"{__version__}, Python {version}, SQLite {sqlite3.sqlite_version}")
    if syscalls.has_openat2():
        yield Check("safe paths", good=True, message="the kernel resolves paths beneath a folder (openat2)")
    else:
        yield Check("safe paths", good=True, message="no openat2 here: paths are walked a component at a time")
    ssh = shutil.which("ssh")
    hint = "Install the OpenSSH client to push to hosts."
    yield Check("ssh", good=ssh is not None, message=ssh or "there is no ssh in PATH", hint=hint)
    for name, folder in (("cache", context.cache), ("state", context.state), ("runs", context.runs)):
        yield _writable(name, folder)
    yield _journal(context)


def _writable(name: str, folder: Path) -> Check:
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    good = os.access(there, os.W_OK | os.X_OK)
    text = f"{folder}" if good else f"{folder} can't be written"
    return Check(name, good=good, message=text, hint=f"Make {there} writable, or name another folder (XDG variables).")


def _journal(context: Context) -> Check:
    if not (context.runs / JOURNAL).exists():
        return Check("journal", good=True, message="no run so far")
    try:
        with open_journal(context) as journal:
            left = journal.open_runs()
    except PdeltaError as error:
        return Check("journal", good=False, message=error.message, hint=error.hint)
    if not left:
        return Check("journal", good=True, message="every run has ended")
    return Check(
        "journal",
        good=False,
        message=f"{len(left)} runs have not ended: {', '.join(left[:3])}",
        hint="`pdelta recover WHERE` finishes or undoes what they left.",
    )


def _destination(where: str, context: Context, link: Link) -> Iterator[Check]:
    tree = open_tree(where, context, link)
    try:
        with tree:
            facts = tree.tree.describe()
            yield Check("reachable", good=True, message=where)
            told = f"entry {facts.number} is the newest" if facts.managed else "pdelta has not pushed there yet"
            yield Check("history", good=True, message=told)
            hint = f"pdelta recover {where}"
            unfinished = "a run was killed during its commit" if facts.unfinished else "nothing is unfinished"
            yield Check("unfinished", good=not facts.unfinished, message=unfinished, hint=hint)
            for finding in tree.tree.examine():
                yield Check(finding.code, good=not finding.blocks, message=finding.message, hint=finding.hint)
    except PdeltaError as error:
        yield Check("destination", good=False, message=error.message, hint=error.hint)
