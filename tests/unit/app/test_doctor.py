"""Runs that have not ended are told to whom they concern."""

import os
from pathlib import Path

import click
import pytest

from pdelta.app.context import Context, Link
from pdelta.app.doctor import LISTED, Check, examine
from pdelta.app.runs import open_journal
from pdelta.app.upkeep import recover_tree
from pdelta.cli.render.upkeep import recovery_lines
from pdelta.errors import UsageError
from pdelta.formats.plan import freeze
from pdelta.model.course import OnFailure
from pdelta.model.delta import Delta
from pdelta.model.plan import Step
from pdelta.model.run import Direction
from pdelta.model.target import Target
from pdelta.testing.failpoints import CrashAt, SimulatedCrash
from tests.fixtures.desk import Desk


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Surroundings whose journal has a run on each of two folders that never ended."""
    made = Context(
        cache=tmp_path / "cache",
        state=tmp_path / "state",
        runs=tmp_path / "runs",
        control=tmp_path / "control",
        who="me",
        host="here",
        clock=lambda: 1,
    )
    for name in ("one", "two"):
        leave_open(made, f"run:{name}", tmp_path / name)
    return made


def leave_open(context: Context, run: str, folder: Path) -> None:
    """Record a run that begins and whose process then dies."""
    delta = Delta("tree", b"before", b"after", change_count=1)
    plan = freeze((Step("1", Target("tree", str(folder)), delta),), OnFailure.STOP)
    with open_journal(context, durable=False) as journal, journal.open_run(run, plan) as log:
        log.started("1", Direction.EXECUTE)
        log.flush()


def _journal_checks(where: Path | None, context: Context) -> list[Check]:
    report = examine(None if where is None else str(where), context, Link())
    return [check for check in report.checks if check.name == "journal"]


def test_doctor_when_a_destination_is_named_then_only_its_own_runs_are_told(tmp_path: Path, context: Context) -> None:
    (found,) = _journal_checks(tmp_path / "one", context)
    assert (found.good, found.message) == (False, "run:one has not ended")
    assert found.hint == f"pdelta recover {tmp_path}/one"
    (other,) = _journal_checks(tmp_path / "three", context)
    assert (other.good, other.message) == (True, "every run on this destination has ended")


def test_doctor_when_no_destination_is_named_then_every_run_is_told_with_its_address(
    tmp_path: Path, context: Context
) -> None:
    found = _journal_checks(None, context)
    assert [check.message for check in found] == [
        f"run:{name} on {tmp_path}/{name} has not ended" for name in ("one", "two")
    ]


def test_doctor_when_a_run_was_on_databases_then_it_names_the_section_and_what_ends_it(
    tmp_path: Path, context: Context
) -> None:
    delta = Delta("sql", b"before", b"after", change_count=1)
    targets = ("shop@1/", "shop/c_1", "shop/c_2")
    plan = freeze(tuple(Step(str(at), Target("sql", name), delta) for at, name in enumerate(targets)), OnFailure.STOP)
    with open_journal(context, durable=False) as journal, journal.open_run("run:sql", plan) as log:
        log.started("1", Direction.EXECUTE)
        log.flush()
    found = _journal_checks(None, context)[-1]
    assert found.message == "run:sql on shop has not ended"
    assert found.hint == ("the same command again, or any other pdelta sql apply or rollback --database shop, ends it")
    with pytest.raises(UsageError, match="on one tree") as caught:
        recover_tree("run:sql", context, Link())
    assert "the same pdelta sql command again ends it" in caught.value.hint


def test_doctor_when_many_runs_have_not_ended_then_the_rest_is_counted(tmp_path: Path, context: Context) -> None:
    for number in range(LISTED):
        leave_open(context, f"run:{number}", tmp_path / "many")
    assert _journal_checks(None, context)[-1].message == "2 more runs have not ended"


def test_doctor_when_a_run_is_at_work_then_that_is_no_fault(tmp_path: Path, context: Context) -> None:
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with open_journal(context) as journal, journal.resume("run:one"):
                os.write(ready[1], b"!")
                os.read(done[0], 1)
        finally:
            os._exit(0)
    os.read(ready[0], 1)
    (found,) = _journal_checks(tmp_path / "one", context)
    os.write(done[1], b"!")
    os.waitpid(pid, 0)
    assert (found.good, found.message) == (True, "run:one is at work")
    assert not _journal_checks(tmp_path / "one", context)[0].good


def test_doctor_when_the_journal_is_damaged_then_that_is_told(tmp_path: Path, context: Context) -> None:
    context.journal.write_bytes(b"rubbish" * 1000)
    (found,) = _journal_checks(tmp_path / "one", context)
    assert not found.good


def test_doctor_and_recover_when_a_run_was_killed_while_it_staged_then_they_agree(
    tmp_path: Path, context: Context
) -> None:
    desk = Desk(tmp_path)
    desk.write({"a": "1"})
    desk.failpoint = CrashAt(1, "stage.synced")
    with pytest.raises(SimulatedCrash):
        desk.push()
    leave_open(context, "run:killed", desk.dest)
    kept = "staged content of an unfinished run is kept: the same command goes on"
    (run,) = _journal_checks(desk.dest, context)
    assert (run.good, run.message) == (False, "run:killed has not ended")
    assert f"no commit was cut off; {kept}" in _unfinished(desk.dest, context)
    first = "".join(map(click.unstyle, recovery_lines("there", recover_tree(str(desk.dest), context, Link()))))
    assert first.startswith(f"recovered  1 run that had not ended, now closed in the journal; {kept}")
    (run,) = _journal_checks(desk.dest, context)
    assert (run.good, run.message) == (True, "every run on this destination has ended")
    assert f"no commit was cut off; {kept}" in _unfinished(desk.dest, context)
    again = "".join(map(click.unstyle, recovery_lines("there", recover_tree(str(desk.dest), context, Link()))))
    assert again.startswith(f"nothing to recover  {kept}")


def _unfinished(where: Path, context: Context) -> str:
    return next(check.message for check in examine(str(where), context, Link()).checks if check.name == "unfinished")
