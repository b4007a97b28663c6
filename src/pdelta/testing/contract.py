"""The contract of the five verbs, as a suite that every kind binds to.

A test module derives a class from ``OperationContract``, gives it ``subject``,
and any runner that collects ``test_`` methods runs it. The suite itself knows
no runner and no kind. A crash is simulated at every durable write that passes
a fail point, of the journal as of the kind, and again during recovery.
"""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from pdelta.engine.executor import execute
from pdelta.engine.journal import Journal
from pdelta.engine.planner import plan as calculate_plan
from pdelta.engine.recovery import recover
from pdelta.engine.rollback import rollback
from pdelta.errors import NeedsOperatorError
from pdelta.model.failpoint import FailPoint, never
from pdelta.model.operation import Operation, Standing
from pdelta.model.plan import Plan
from pdelta.model.run import Direction, RunPhase, fold
from pdelta.model.target import Target
from pdelta.testing.clock import FakeClock
from pdelta.testing.failpoints import CrashAt, SimulatedCrash

FORWARD: Final = "run:forward"
BACK: Final = "run:back"


class Subject(Protocol):
    """One target with a wish for it, as a contract test uses and damages it."""

    target: Target

    def operation(self, failpoint: FailPoint) -> Operation:
        """Give the kind as a process that has just started has it."""
        ...

    def desired(self) -> bytes:
        """Give a wish that takes several durable writes to fulfil."""
        ...

    def seen(self) -> Any:  # noqa: ANN401 - whatever compares equal
        """Give everything that a reader of the target can see, as a value that compares."""
        ...

    def disturb(self) -> None:
        """Make the target foreign to the delta: change something that the delta edits."""
        ...

    def crash(self) -> None:
        """Let go of what a killed process would have let go of: locks, descriptors; write nothing."""
        ...

    def close(self) -> None:
        """Tidy up."""
        ...


class OperationContract(ABC):
    """What every kind keeps; derive from it and give it ``subject``."""

    stride = 1
    """Test every n-th pair of crashes; 1 for all."""

    @abstractmethod
    def subject(self, folder: Path) -> Subject:
        """Give a fresh target below an empty folder."""

    def test_calculate_when_already_there_then_empty(self) -> None:
        """An empty delta means already there, and gives no step."""
        with self._bench() as bench:
            bench.execute()
            plan = calculate_plan(bench.operations(), [(bench.subject.target, bench.subject.desired())])
            assert plan.steps == ()
            assert plan.settled == (bench.subject.target,)

    def test_reading_verbs_when_called_then_nothing_visible_changes(self) -> None:
        """``calculate``, ``preflight`` and ``verify`` write nothing that a reader sees."""
        with self._bench() as bench:
            before = bench.subject.seen()
            operation = bench.operations()[bench.subject.target.kind]
            delta = operation.calculate(bench.subject.target, bench.subject.desired())
            assert operation.verify(delta, bench.subject.target) is Standing.BEFORE
            assert not [finding for finding in operation.preflight(delta, bench.subject.target) if finding.blocks]
            assert bench.subject.seen() == before
            assert delta == operation.calculate(bench.subject.target, bench.subject.desired())

    def test_execute_when_done_then_after_and_again_harmless(self) -> None:
        """``execute`` leads to ``AFTER``; a second one changes nothing."""
        with self._bench() as bench:
            plan = bench.execute()
            after = bench.subject.seen()
            assert after != bench.before
            assert bench.verify(plan) is Standing.AFTER
            bench.act(plan, Direction.EXECUTE)
            assert bench.subject.seen() == after
            assert bench.verify(plan) is Standing.AFTER

    def test_reverse_when_executed_then_identity_and_again_harmless(self) -> None:
        """Reversing what was executed gives exactly what was there; a second one changes nothing."""
        with self._bench() as bench:
            plan = bench.execute()
            assert bench.roll_back().phase is RunPhase.REVERSED
            assert bench.subject.seen() == bench.before
            assert bench.verify(plan) is Standing.BEFORE
            bench.act(plan, Direction.REVERSE)
            assert bench.subject.seen() == bench.before

    def test_execute_when_foreign_then_untouched_and_named(self) -> None:
        """A target that is neither before nor after is left alone, and named."""
        with self._bench() as bench:
            plan = bench.plan()
            bench.subject.disturb()
            found = bench.subject.seen()
            assert bench.verify(plan) is Standing.FOREIGN
            message = _needs_operator(lambda: bench.execute(plan))
            assert bench.subject.target.address in message
            assert "FOREIGN" in message
            assert bench.subject.seen() == found

    def test_reverse_when_foreign_then_untouched_and_named(self) -> None:
        """The same on the way back."""
        with self._bench() as bench:
            bench.execute()
            bench.subject.disturb()
            found = bench.subject.seen()
            message = _needs_operator(bench.roll_back)
            assert bench.subject.target.address in message
            assert bench.subject.seen() == found

    def test_recover_when_foreign_after_crash_then_untouched_and_open(self) -> None:
        """What somebody changed between a crash and the recovery is left alone; the run stays open."""
        with self._bench() as bench:
            bench.crash_during(bench.execute, 1, only="journal.flushed")
            bench.subject.disturb()
            found = bench.subject.seen()
            _needs_operator(bench.recover)
            assert bench.subject.seen() == found
            with bench.journal(never) as journal:
                assert journal.open_runs() == [FORWARD]

    def test_execute_when_killed_twice_at_each_durable_write_then_entirely_after(self) -> None:
        """Forward: whatever the two moments, recovery ends at ``AFTER``, or nothing had begun."""
        self._kill_twice(Direction.EXECUTE, turn=False)

    def test_execute_when_killed_twice_and_turned_then_entirely_before(self) -> None:
        """Forward, then taken back by choice: recovery ends at ``BEFORE``."""
        self._kill_twice(Direction.EXECUTE, turn=True)

    def test_reverse_when_killed_twice_at_each_durable_write_then_entirely_before(self) -> None:
        """Back: whatever the two moments, recovery ends at ``BEFORE``, or nothing had begun."""
        self._kill_twice(Direction.REVERSE, turn=False)

    def _kill_twice(self, direction: Direction, *, turn: bool) -> None:
        first = pair = 0
        crashed = True
        while crashed:
            first += 1
            second = 0
            crashed_again = True
            while crashed and crashed_again:
                second += 1
                pair += 1
                if pair % self.stride and second > 1:
                    continue
                with self._bench() as bench:
                    crashed, crashed_again = bench.kill_twice(direction, first, second, turn=turn)
        assert first > 2, "no durable write passes a fail point"

    @contextmanager
    def _bench(self) -> Iterator["_Bench"]:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "target").mkdir()
            subject = self.subject(folder / "target")
            try:
                yield _Bench(folder, subject)
            finally:
                subject.close()


class _Bench:
    """A target, its journal, and processes that come and go."""

    def __init__(self, folder: Path, subject: Subject) -> None:
        self._folder = folder
        self._clock = FakeClock()
        self._failpoint: FailPoint = never
        self.subject = subject
        self.before = subject.seen()

    def operations(self) -> dict[str, Operation]:
        return {self.subject.target.kind: self.subject.operation(self._failpoint)}

    def journal(self, failpoint: FailPoint) -> Journal:
        return Journal(self._folder / "runs" / "journal.sqlite", clock=self._clock, failpoint=failpoint)

    def plan(self) -> Plan:
        plan = calculate_plan(self.operations(), [(self.subject.target, self.subject.desired())])
        assert len(plan.steps) == 1
        return plan

    def verify(self, plan: Plan) -> Standing:
        step = plan.steps[0]
        return self.operations()[step.target.kind].verify(step.delta, step.target)

    def execute(self, plan: Plan | None = None) -> Plan:
        plan = plan or self.plan()
        with self.journal(self._failpoint) as journal:
            report = execute(plan, self.operations(), journal, run=FORWARD)
        assert report.phase is RunPhase.DONE
        return plan

    def roll_back(self) -> Any:  # noqa: ANN401 - a report
        with self.journal(self._failpoint) as journal:
            return rollback(FORWARD, self.operations(), journal, run=BACK)

    def recover(self, *, turn: bool = False) -> None:
        """Do what the next command does: end every open run."""
        with self.journal(self._failpoint) as journal:
            for run in journal.open_runs():
                recover(run, self.operations(), journal, turn=turn)

    def act(self, plan: Plan, direction: Direction) -> None:
        """Call the verb itself, past the engine's own look at the target."""
        step = plan.steps[0]
        operation = self.operations()[step.target.kind]
        with self.journal(never) as journal:
            log = journal.open_run("run:direct", plan, direction=direction, of=FORWARD)
            log.started(step.id, direction)
            act = operation.execute if direction is Direction.EXECUTE else operation.reverse
            act(step.delta, step.target, log.notes(step.id))
            log.finished(step.id, Standing.AFTER if direction is Direction.EXECUTE else Standing.BEFORE)
            log.closed(RunPhase.DONE if direction is Direction.EXECUTE else RunPhase.REVERSED)

    def crash_during(self, act: Callable[[], object], count: int, only: str = "") -> bool:
        """Run something in a process that dies at its n-th durable write; say whether it did."""
        failpoint = CrashAt(count, only)
        self._failpoint = failpoint
        try:
            act()
        except SimulatedCrash:
            self.subject.crash()
        finally:
            self._failpoint = never
        return failpoint.crashed

    def kill_twice(self, direction: Direction, first: int, second: int, *, turn: bool) -> tuple[bool, bool]:
        """Die at the first moment, again at the second while recovering, then recover in peace."""
        plan = self.plan()
        if direction is Direction.REVERSE:
            self.execute(plan)
            after = self.subject.seen()
            crashed = self.crash_during(self.roll_back, first)
        else:
            after = None
            crashed = self.crash_during(lambda: self.execute(plan), first)
        self._check_prefixes()
        crashed_again = self.crash_during(lambda: self.recover(turn=turn), second)
        self.recover(turn=turn)
        self._check_prefixes()
        self._check_end(plan, direction, after, where=f"crashes {first} and {second}")
        return crashed, crashed_again

    def _check_end(self, plan: Plan, direction: Direction, after: object, *, where: str) -> None:
        with self.journal(never) as journal:
            assert journal.open_runs() == [], where
            phases = {summary.id: summary.phase for summary in journal.runs()}
        run = FORWARD if direction is Direction.EXECUTE else BACK
        phase = phases.get(run)
        standing = self.verify(plan)
        if phase is None:
            # It died before its first record was durable, so it had touched nothing.
            untouched = Standing.BEFORE if direction is Direction.EXECUTE else Standing.AFTER
            assert standing is untouched, where
        else:
            assert standing is (Standing.AFTER if phase is RunPhase.DONE else Standing.BEFORE), where
        seen = self.subject.seen()
        assert (seen == self.before) is (standing is Standing.BEFORE), where
        if direction is Direction.REVERSE and standing is Standing.AFTER:
            assert seen == after, where

    def _check_prefixes(self) -> None:
        """Any prefix of a journal is a legal run state."""
        with self.journal(never) as journal:
            for summary in list(journal.runs()):
                plan, _, records = journal.read(summary.id)
                for length in range(len(records) + 1):
                    fold([step.id for step in plan.steps], records[:length])


def _needs_operator(act: Callable[[], object]) -> str:
    try:
        act()
    except NeedsOperatorError as error:
        return error.message
    raise AssertionError("expected a refusal that needs an operator")
