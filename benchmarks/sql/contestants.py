"""Who takes part: what each is given, and its exact commands."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from benchmarks.sql.deltas import Delta
from benchmarks.sql.fleets import DatabaseFleet, FileFleet, Fleet, SchemaFleet
from benchmarks.sql.measure import Command

DATABASE = "fleet"
ADDRESS = "BENCH_URL"
"""The variable that holds the fleet's URL: no command line shows a password."""


class Form(msgspec.Struct, frozen=True):
    """One way to use pdelta.

    Attributes:
        name: How tables call it.
        options: What ``pdelta sql apply`` and ``rollback`` are given beside the choice of tenants.
        fleet: Whose tenants it works on.
    """

    name: str
    options: tuple[str, ...]
    fleet: str


FORMS = {
    form.name: form
    for form in (
        Form("pdelta", (), "pdelta"),
        Form("pdelta-batch", ("--batch", "50"), "pdelta-batch"),
        # It changes nothing where there is nothing to do, so it looks at the tenants of the plain form.
        Form("pdelta-trust", ("--trust-stamps",), "pdelta"),
    )
}


class Contestant(Protocol):
    """One program, ready to work on its fleet."""

    def give(self, deltas: Sequence[Delta]) -> None:
        """Write these deltas in its form; those that it has already stay."""
        ...

    def apply(self, *, only: Sequence[str] = (), options: Sequence[str] = ()) -> Command:
        """Give the command that applies whatever is lacking, in all tenants or only in these."""
        ...

    def reverse(self, count: int, *, only: Sequence[str] = (), options: Sequence[str] = ()) -> Command:
        """Give the command that takes the newest deltas back."""
        ...


class Pdelta:
    """The program under test.

    Args:
        program: Its path.
        folder: For its project file, its deltas and its home.
        fleet: Its tenants.
    """

    def __init__(self, program: str, folder: Path, fleet: Fleet) -> None:
        self._program = program
        self._folder = folder
        self._given: list[Delta] = []
        (folder / "deltas").mkdir(parents=True)
        (folder / "pdelta.toml").write_text(_project(fleet), encoding="utf-8")
        self._environment = surroundings(folder / "home", fleet)

    def give(self, deltas: Sequence[Delta]) -> None:
        """Write the origin's form: the reverse in comments below its marker."""
        for delta in deltas:
            forward = "".join(f"{statement};\n" for statement in delta.forward)
            reverse = "".join(f"-- {statement};\n" for statement in delta.reverse)
            text = f"{forward}\n-- Reversible delta --\n{reverse}"
            (self._folder / "deltas" / f"{_file_of(delta)}.sql").write_text(text, encoding="utf-8")
            self._given.append(delta)

    def apply(self, *, only: Sequence[str] = (), options: Sequence[str] = ()) -> Command:
        """``pdelta sql apply``."""
        return self._command("apply", *options, *(word for name in only for word in ("--only", name)))

    def reverse(self, count: int, *, only: Sequence[str] = (), options: Sequence[str] = ()) -> Command:
        """``pdelta sql rollback --to`` what stays."""
        stays = _file_of(self._given[-count - 1])
        chosen = (word for name in only for word in ("--only", name))
        return self._command("rollback", "--to", stays, *options, *chosen)

    def drift(self) -> Command:
        """``pdelta sql drift``."""
        return self._command("drift")

    def _command(self, *words: str) -> Command:
        return Command((self._program, "sql", *words), self._folder, self._environment)


def surroundings(home: Path, fleet: Fleet) -> Mapping[str, str]:
    """Give a contestant's environment: a home of its own, and where its tenants are."""
    home.mkdir(mode=0o700, parents=True)
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_RUNTIME_DIR": str(home),
        ADDRESS: fleet.address,
    }


def default_program() -> str:
    """Give the pdelta beside this interpreter, or else the one on PATH."""
    beside = Path(sys.executable).with_name("pdelta")
    return str(beside) if beside.exists() else shutil.which("pdelta") or "pdelta"


def _file_of(delta: Delta) -> str:
    return f"delta_{delta.day}_{delta.name}"


def _project(fleet: Fleet) -> str:
    match fleet:
        case FileFleet():
            tenants, url = 'files = "tenants/*.sqlite"', ""
        case DatabaseFleet():
            tenants, url = f'databases = "{fleet.prefix}*"', f'url = "env:{ADDRESS}"\n'
        case SchemaFleet():
            tenants, url = 'schemas = "tenant_*"', f'url = "env:{ADDRESS}"\n'
    return f'[databases.{DATABASE}]\n{url}deltas = "deltas"\ntenants = {{ {tenants} }}\n'
