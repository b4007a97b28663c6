"""The second part of ``pdelta demo``: 200 tenants, a bad delta that the canary stops, a reversal, a success.

SQLite files play the tenants. What is claimed is proved by reading every file's schema and rows.
"""

import hashlib
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.apply import ApplyOptions, apply
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome
from pdelta.formats.database import DatabaseSection, Of, Tenants
from pdelta.model.amount import counted
from pdelta.model.course import OnFailure

Tell = Callable[[str], None]
COUNT: Final = 200
_LATE: Final = 150
"""The tenant with two equal addresses: no canary meets it."""

_FIRST: Final = """-- delta_20250315_add_last_login
ALTER TABLE users ADD COLUMN last_login TIMESTAMP;
-- Reversible delta
-- ALTER TABLE users DROP COLUMN last_login;
"""
_BAD: Final = """-- delta_20250316_unique_email
CREATE UNIQUE INDEX users_email ON user (email);
-- Reversible delta
-- DROP INDEX users_email;
"""
_GOOD: Final = """-- delta_20250316_unique_email
UPDATE users SET email = id || '+' || email
 WHERE id > (SELECT min(id) FROM users AS first WHERE first.email = users.email);
CREATE UNIQUE INDEX users_email ON users (email);
-- Reversible delta
-- DROP INDEX users_email;
"""


class FleetStep(msgspec.Struct, frozen=True):
    """One thing that the demo did to the tenants.

    Attributes:
        title: What.
        changed: How many tenants have more or less than before.
        duration_s: Wall time.
        proof: What was proved, in words.
        holds: Whether it was.
    """

    title: str
    changed: int
    duration_s: float
    proof: str
    holds: bool


def run_fleet(folder: Path, context: Context, tell: Tell) -> tuple[FleetStep, ...]:
    """Run the tour in a folder of its own.

    Raises:
        PdeltaError: Something failed that should not.
    """
    section = DatabaseSection("shop", deltas="deltas", tenants=Tenants(Of.FILES, ("tenants/*.sqlite",)))
    surroundings = msgspec.structs.replace(context, databases={"shop": section}, folder=folder)
    return _FleetTour(folder, surroundings, tell).run()


class _FleetTour:
    """One run of it."""

    def __init__(self, folder: Path, context: Context, tell: Tell) -> None:
        self._folder = folder
        self._context = context
        self._tell = tell
        self._steps: list[FleetStep] = []

    def run(self) -> tuple[FleetStep, ...]:
        self._tell("")
        self._tell(f"And databases: {COUNT} tenants of a shop, each a SQLite file.")
        (self._folder / "deltas").mkdir(parents=True)
        (self._folder / "tenants").mkdir()
        for number in range(COUNT):
            self._make(number)
        self._write("delta_20250315_add_last_login", _FIRST)
        self._step("one delta", "all tenants have it", 0, COUNT, "$ pdelta sql apply")
        self._step("the same again", "nothing was touched", 0, 0, "$ pdelta sql apply")
        self._write("delta_20250316_unique_email", _BAD)
        self._tell("Now a delta with a mistake; three tenants go first.")
        canary = RolloutOptions(waves="canary=3,rest")
        self._step("a bad delta", "the canary stopped it", 8, 0, "$ pdelta sql apply --waves canary=3,rest", canary)
        self._write("delta_20250316_unique_email", _BAD.replace("ON user ", "ON users "))
        self._tell("The mistake is corrected, but one tenant has an address twice.")
        back = RolloutOptions(waves="canary=3,rest", on_failure=OnFailure.REVERSE)
        self._step("one tenant fails", "all came back", 5, 0, "$ pdelta sql apply --on-failure reverse", back)
        self._write("delta_20250316_unique_email", _GOOD)
        self._step("corrected", "all tenants have it", 0, COUNT, "$ pdelta sql apply")
        return tuple(self._steps)

    def _step(
        self,
        title: str,
        proof: str,
        status: int,
        changed: int,
        command: str,
        rollout: RolloutOptions | None = None,
    ) -> None:
        self._tell(command)
        before = [self._digest(number) for number in range(COUNT)]
        began = time.monotonic()
        outcome = apply(ApplyOptions(), rollout or RolloutOptions(), self._context)
        took_s = time.monotonic() - began
        after = [self._digest(number) for number in range(COUNT)]
        differ = sum(one != other for one, other in zip(before, after, strict=True))
        self._tell(_said(outcome))
        holds = (outcome.exit_status, differ) == (status, changed)
        self._steps.append(FleetStep(title, differ, took_s, proof if holds else f"NOT TRUE: {proof}", holds))

    def _make(self, number: int) -> None:
        with closing(sqlite3.connect(self._path(number))) as database:
            database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL)")
            names = ("ada@example.com", "bob@example.com", "ada@example.com" if number == _LATE else "eve@example.com")
            database.executemany("INSERT INTO users (email) VALUES (?)", [(name,) for name in names])
            database.commit()

    def _digest(self, number: int) -> str:
        """Give a hash of a tenant's schema and rows, without pdelta's own tables."""
        with closing(sqlite3.connect(self._path(number))) as database:
            schema = database.execute(
                "SELECT sql FROM sqlite_schema WHERE sql NOT NULL AND tbl_name NOT LIKE 'pdelta%' ORDER BY name"
            ).fetchall()
            rows = database.execute("SELECT * FROM users ORDER BY id").fetchall()
        return hashlib.sha256(repr((schema, rows)).encode()).hexdigest()

    def _path(self, number: int) -> Path:
        return self._folder / "tenants" / f"shop_{number:03d}.sqlite"

    def _write(self, name: str, text: str) -> None:
        (self._folder / "deltas" / f"{name}.sql").write_text(text)


def _said(outcome: RolloutOutcome) -> str:
    if not outcome.results:
        return f"nothing to do in {counted(outcome.tenants, 'tenant')}"
    if outcome.failures:
        error = outcome.failures[0].error
        end = "; everything was reversed" if outcome.exit_status == 5 else "; stopped there"
        return f"{error.message if error else ''}{end}"
    return f"{len(outcome.results)} of {counted(outcome.tenants, 'tenant')} changed in {outcome.duration_s:.2f} s"
