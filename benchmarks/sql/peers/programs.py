"""The peers: installed below the work folder, and configured as their own documents say for many tenants."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sql.contestants import surroundings
from benchmarks.sql.deltas import Delta
from benchmarks.sql.fleets import DatabaseFleet, FileFleet, Fleet, SchemaFleet
from benchmarks.sql.measure import Command

ALEMBIC = {"alembic": "1.20.1", "SQLAlchemy": "2.1.9", "psycopg2-binary": "2.9.13"}
NODE_PG_MIGRATE = {"node-pg-migrate": "9.0.0", "pg": "8.23.1"}
"""Releases that are paired, so that two runs compare the same."""

_TEXTS = Path(__file__).parent
_VERSION = """\
from alembic import op

revision = {revision!r}
down_revision = {down!r}


def upgrade():
{upgrade}


def downgrade():
{downgrade}
"""


class Alembic:
    """Alembic, with the loop over tenants in ``env.py``: one process, and one connection where tenants share one.

    The form of its cookbook: ``search_path`` set to the tenant, so that the version table is the tenant's own.

    Args:
        program: Its path.
        folder: For its configuration.
        fleet: Its tenants.
    """

    def __init__(self, program: str, folder: Path, fleet: Fleet) -> None:
        self._program = program
        self._folder = folder
        self._revisions: list[str] = []
        (folder / "migrations" / "versions").mkdir(parents=True)
        (folder / "alembic.ini").write_text("[alembic]\nscript_location = migrations\n", encoding="utf-8")
        shutil.copyfile(_TEXTS / "env.py.in", folder / "migrations" / "env.py")
        self._environment = {**surroundings(folder / "home", fleet), **_tenants(fleet)}

    def give(self, deltas: Sequence[Delta]) -> None:
        """Write a revision each."""
        for delta in deltas:
            revision = f"{delta.day}_{delta.name}"
            text = _VERSION.format(
                revision=revision,
                down=self._revisions[-1] if self._revisions else None,
                upgrade="\n".join(f"    op.execute({statement!r})" for statement in delta.forward),
                downgrade="\n".join(f"    op.execute({statement!r})" for statement in delta.reverse),
            )
            (self._folder / "migrations" / "versions" / f"{revision}.py").write_text(text, encoding="utf-8")
            self._revisions.append(revision)

    def apply(self, *, only: Sequence[str] = (), options: Sequence[str] = ()) -> Command:  # noqa: ARG002 - it has none
        """``alembic upgrade head``."""
        return self._command(only, "upgrade", "head")

    def reverse(self, count: int, *, only: Sequence[str] = (), options: Sequence[str] = ()) -> Command:  # noqa: ARG002
        """``alembic downgrade`` to what stays."""
        return self._command(only, "downgrade", self._revisions[-count - 1])

    def _command(self, only: Sequence[str], *words: str) -> Command:
        chosen = ("-x", f"only={','.join(only)}") if only else ()
        return Command((self._program, *chosen, *words), self._folder, self._environment)


class NodePgMigrate:
    """node-pg-migrate, by its own ``runner`` for one tenant after the other, over one client where they share one.

    Args:
        modules: The folder of its packages.
        folder: For its files.
        fleet: Its tenants.
    """

    def __init__(self, modules: Path, folder: Path, fleet: Fleet) -> None:
        self._folder = folder
        (folder / "migrations").mkdir(parents=True)
        (folder / "node_modules").symlink_to(modules)
        shutil.copyfile(_TEXTS / "roll.mjs", folder / "roll.mjs")
        self._environment = {**surroundings(folder / "home", fleet), **_tenants(fleet)}

    def give(self, deltas: Sequence[Delta]) -> None:
        """Write a file of SQL each, with both directions."""
        for delta in deltas:
            forward = "".join(f"{statement};\n" for statement in delta.forward)
            reverse = "".join(f"{statement};\n" for statement in delta.reverse)
            text = f"-- Up Migration\n{forward}\n-- Down Migration\n{reverse}"
            (self._folder / "migrations" / f"{delta.day}000000_{delta.name}.sql").write_text(text, encoding="utf-8")

    def apply(self, *, only: Sequence[str] = (), options: Sequence[str] = ()) -> Command:  # noqa: ARG002 - it has none
        """Everything up."""
        return self._command("up", "Infinity", *only)

    def reverse(self, count: int, *, only: Sequence[str] = (), options: Sequence[str] = ()) -> Command:  # noqa: ARG002
        """So many down."""
        return self._command("down", str(count), *only)

    def _command(self, *words: str) -> Command:
        return Command(("node", "roll.mjs", *words), self._folder, self._environment)


def install_alembic(folder: Path) -> str:
    """Make a virtual environment with Alembic; give its program.

    Raises:
        RuntimeError: It can't be made; the text holds why.
    """
    _run([sys.executable, "-m", "venv", str(folder)])
    packages = [f"{name}=={version}" for name, version in ALEMBIC.items()]
    _run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input", *packages])
    return str(folder / "bin" / "alembic")


def install_node_pg_migrate(folder: Path) -> Path:
    """Install node-pg-migrate; give the folder of its packages.

    Raises:
        RuntimeError: There is no node, or npm fails; the text holds why.
    """
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        raise RuntimeError(f"{missing[0]} is not installed")
    folder.mkdir(parents=True)
    packages = [f"{name}@{version}" for name, version in NODE_PG_MIGRATE.items()]
    _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *packages])
    return folder / "node_modules"


def _run(words: Sequence[str]) -> None:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(f"it can't be installed: {said[-1] if said else done.returncode}")


def _tenants(fleet: Fleet) -> dict[str, str]:
    """Give what tells the loops which tenants there are."""
    match fleet:
        case FileFleet():
            return {"BENCH_KIND": "files", "BENCH_LIKE": ""}
        case DatabaseFleet():
            return {"BENCH_KIND": "databases", "BENCH_LIKE": _like(fleet.prefix)}
        case SchemaFleet():
            return {"BENCH_KIND": "schemas", "BENCH_LIKE": _like("tenant_")}


def _like(prefix: str) -> str:
    return prefix.replace("_", "\\_") + "%"
