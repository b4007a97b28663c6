"""Many targets in waves: carried out together, judged between, taken back together.

``executor`` and ``recovery`` come here with plans that have waves. What fails in one target never stops another that
is under way; how many may fail, and what happens then, the plan says.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from pdelta.engine.planner import operation_for
from pdelta.engine.report import RunReport, StepReport
from pdelta.engine.runlog import RunLog
from pdelta.engine.step import Operations
from pdelta.errors import CancelledError, DatabaseError, NeedsOperatorError, PdeltaError, UsageError
from pdelta.model.course import Gate, OnFailure
from pdelta.model.event import Event, Observer, silent
from pdelta.model.fleet import Arrival, FleetOperation
from pdelta.model.operation import Standing
from pdelta.model.plan import Step, Wave
from pdelta.model.run import Direction, RunPhase, StepPhase

_GOALS = {Direction.EXECUTE: Standing.AFTER, Direction.REVERSE: Standing.BEFORE}
_SETTLED = frozenset({StepPhase.DONE, StepPhase.UNDONE})
_BROUGHT_BACK = "what was done there was taken back"


class Conduct(msgspec.Struct, frozen=True):
    """How a roll-out meets the world outside its targets.

    Attributes:
        sleep: Waits for some seconds.
        ask: Says why a gate doesn't hold after these steps; empty where it holds.
        observer: Hears progress.
    """

    sleep: Callable[[float], None]
    ask: Callable[[Gate, Sequence[Step]], str]
    observer: Observer = silent


def go_on(log: RunLog, operations: Operations, conduct: Conduct) -> RunReport:
    """Carry an executing roll-out on from wherever its records and targets stand.

    The report's phase is ``DONE``; ``STOPPED`` when steps failed or a gate did not hold, and the plan says to keep
    what is done; ``REVERSED`` when it says to take that back; still open when the standing of a target can't be told.

    Raises:
        CancelledError: A person asked to stop; the run can be recovered.
    """
    crew = _Crew(log, operations, conduct)
    crew.finish_turning()
    waves = list(log.plan.waves())
    for number, (wave, steps) in enumerate(waves, start=1):
        if not crew.must_stop:
            waiting = [step for step in steps if log.state.steps[step.id].phase not in _SETTLED]
            crew.carry(waiting, Direction.EXECUTE, wave)
        if crew.must_stop or (number < len(waves) and not crew.pass_gates(wave, steps)):
            break
    return _end(crew)


def _end(crew: "_Crew") -> RunReport:
    """End a run that begins nothing more, as its plan says."""
    if crew.must_stop and crew.log.plan.on_failure is OnFailure.REVERSE:
        crew.log.turned(crew.reason)
        return _take_back(crew)
    return crew.close()


def settle(log: RunLog, operations: Operations, conduct: Conduct) -> RunReport:
    """End an executing roll-out whose process died: finish what is half done, and begin nothing."""
    crew = _Crew(log, operations, conduct)
    crew.finish_turning()
    waiting = [step for step in log.plan.steps if log.state.steps[step.id].phase not in _SETTLED]
    started = [step for step in waiting if log.state.steps[step.id].touched]
    standings = crew.look(started)
    for step, standing in zip(started, standings, strict=True):
        if standing in {Standing.BEFORE, Standing.AFTER}:
            log.finished(step.id, standing)
    between = [
        step
        for step, standing in zip(started, standings, strict=True)
        # What was being taken back does not go on: nobody asked for that.
        if standing is Standing.BETWEEN and log.state.steps[step.id].direction is Direction.EXECUTE
    ]
    crew.carry(between, Direction.EXECUTE, None)
    for step, standing in zip(started, standings, strict=True):
        if standing not in {Standing.BEFORE, Standing.AFTER, Standing.BETWEEN}:
            crew.unclear(step, standing)
    return _end(crew)


def take_back(log: RunLog, operations: Operations, conduct: Conduct) -> RunReport:
    """Reverse what a reversing roll-out still has to reverse, and close it.

    A target that doesn't come back keeps none of the others from coming back; then the run is ``STOPPED``.

    Raises:
        CancelledError: A person asked to stop; the run stays open.
    """
    return _take_back(_Crew(log, operations, conduct))


def _take_back(crew: "_Crew") -> RunReport:
    log = crew.log
    own = log.state.opened is not None and log.state.opened.direction is Direction.EXECUTE
    for wave, steps in reversed(list(log.plan.waves())):
        outstanding = [
            step
            for step in reversed(steps)
            if log.state.steps[step.id].phase is not StepPhase.UNDONE and (log.state.steps[step.id].touched or not own)
        ]
        crew.carry(outstanding, Direction.REVERSE, wave)
    return crew.close()


class _Crew:
    """One roll-out at work: its log, what it saw, and why it stops."""

    def __init__(self, log: RunLog, operations: Operations, conduct: Conduct) -> None:
        self.log = log
        self._stop: PdeltaError | None = None
        self._operations = operations
        self._conduct = conduct
        self._reports: dict[str, StepReport] = {}
        self._causes: dict[str, PdeltaError] = {}
        self._failures = 0
        self._done = 0
        rollout = log.plan.rollout
        self._limit = rollout.max_failures if rollout is not None else 0
        for step in log.plan.steps:
            if log.state.steps[step.id].failed:
                # Before the process died that this one goes on for.
                self._count(PdeltaError(f"{step.target.kind} {step.target.address} failed"))

    @property
    def reason(self) -> str:
        """Why no further step may begin; empty where it may. It says in which state a target is by now."""
        return self._stop.message if self._stop is not None else ""

    @property
    def must_stop(self) -> bool:
        """Whether no further step may begin."""
        return self._stop is not None

    def carry(self, steps: Sequence[Step], direction: Direction, wave: Wave | None) -> None:
        """Carry these steps out together, and record where each target was seen.

        What was recorded last is durable with what comes next: the beginning of the next wave, or the end.
        """
        if not steps:
            return
        operation = fleet_for(self._operations, steps)
        name = wave.name if wave is not None else ""
        # What was started before, by a process that died perhaps, may be this run's work however it is found now.
        states = self.log.state.steps
        begun = {step.id for step in steps if states[step.id].touched}
        self.log.started_all([step.id for step in steps], direction)
        tries_again: list[Step] = []
        try:
            for arrival in operation.carry_all(steps, direction, lambda: self._halts(direction)):
                self._take(arrival, direction, tries_again, is_ours=arrival.touched or arrival.step.id in begun)
                self._done += 1
                self._conduct.observer(
                    Event("apply", self._done, len(self.log.plan.steps), unit="targets", message=name)
                )
        except (CancelledError, KeyboardInterrupt):
            self.log.flush()
            raise
        if tries_again:
            # Half-way in a failed attempt: back to where it came from, so that the run may end.
            self.carry(tries_again, Direction.REVERSE, wave)

    def finish_turning(self) -> None:
        """Take back what failed half-way before the process died, and was being taken back."""
        states = self.log.state.steps
        turned = [
            step
            for step in self.log.plan.steps
            if states[step.id].direction is Direction.REVERSE and states[step.id].phase not in _SETTLED
        ]
        waiting: list[Step] = []
        for step, seen in zip(turned, self.look(turned), strict=True):
            if seen in {Standing.BEFORE, Standing.AFTER}:
                # Somebody else brought it there since, as a later run does: that stays.
                self.log.finished(step.id, seen)
            else:
                waiting.append(step)
        self.carry(waiting, Direction.REVERSE, None)

    def look(self, steps: Sequence[Step]) -> Sequence[Standing | PdeltaError]:
        """Say where the targets of these steps stand."""
        return fleet_for(self._operations, steps).verify_all(steps) if steps else ()

    def pass_gates(self, wave: Wave, steps: Sequence[Step]) -> bool:
        """Wait after a wave, then say whether its gates hold."""
        if wave.soak_s or wave.gates:
            self.log.flush()
        if wave.soak_s:
            self._conduct.observer(Event("soak", message=f"{wave.name}: waiting {wave.soak_s:g} s", level="info"))
            self._conduct.sleep(wave.soak_s)
        for gate in wave.gates:
            problem = self._conduct.ask(gate, steps)
            if problem:
                self._stop = PdeltaError(f"the gate after {wave.name} does not hold: {problem}")
                return False
        return True

    def unclear(self, step: Step, seen: Standing | PdeltaError) -> None:
        """Record a target of which a person must decide."""
        if isinstance(seen, PdeltaError):
            standing, error = None, seen
        else:
            standing, error = seen, _foreign(step)
        self.log.failed(step.id, standing, error)
        self._report(step, standing, touched=True, error=error)

    def close(self) -> RunReport:
        """End the run where every target's standing is known, and give its report."""
        states = self.log.state.steps
        open_steps = [
            step for step in self.log.plan.steps if states[step.id].touched and states[step.id].phase not in _SETTLED
        ]
        if all(states[step.id].standing is Standing.FOREIGN for step in open_steps):
            self.log.closed(self._end())
        else:
            self.log.flush()
        steps = tuple(self._reports.get(step.id) or self._recorded(step) for step in self.log.plan.steps)
        return RunReport(self.log.run, self.log.state.phase, steps, self.log.plan.settled, self.reason)

    def _end(self) -> RunPhase:
        states, phase = self.log.state.steps.values(), self.log.state.phase
        if phase is RunPhase.EXECUTING and all(state.phase is StepPhase.DONE for state in states):
            return RunPhase.DONE
        own = self.log.state.opened is not None and self.log.state.opened.direction is Direction.EXECUTE
        if phase is RunPhase.REVERSING and all(
            state.phase is StepPhase.UNDONE or (own and not state.touched) for state in states
        ):
            return RunPhase.REVERSED
        return RunPhase.STOPPED

    def _halts(self, direction: Direction) -> bool:
        return direction is Direction.EXECUTE and self.must_stop

    def _take(self, arrival: Arrival, direction: Direction, tries_again: list[Step], *, is_ours: bool) -> None:
        step, standing, error = arrival.step, arrival.standing, arrival.error
        if standing is None and error is not None:
            # Seen by nobody while it happened: a look now may still tell.
            (seen,) = self.look([step])
            standing = seen if isinstance(seen, Standing) else None
        if standing is _GOALS[direction] or (error is None and standing in {Standing.BEFORE, Standing.AFTER}):
            # What somebody else has brought there is not for this run to take back.
            self.log.finished(step.id, standing, arrival.facts, touched=is_ours)
            former = self._reports.get(step.id)
            earlier = former.error if former is not None else None
            if earlier is not None and direction is Direction.REVERSE:
                earlier.leaves(_BROUGHT_BACK)
            self._report(step, standing, touched=arrival.touched, facts=arrival.facts, error=earlier)
            return
        error = error or _foreign(step)
        is_for_a_person = isinstance(error, NeedsOperatorError)
        if direction is Direction.EXECUTE:
            self._causes[step.id] = error
        elif step.id in self._causes and standing is not Standing.FOREIGN:
            error = _neither(self._causes[step.id], error)
        self.log.failed(step.id, standing, error)
        # What this run has done there stays its work, though taking it back did nothing.
        touched = arrival.touched or (is_ours and direction is Direction.REVERSE)
        self._report(step, standing, touched=touched, facts=arrival.facts, error=error)
        if direction is Direction.EXECUTE:
            self._count(error)
            if standing is Standing.BETWEEN and not is_for_a_person:
                tries_again.append(step)
        if standing in {Standing.BEFORE, Standing.AFTER}:
            self.log.finished(step.id, standing)

    def _count(self, error: PdeltaError) -> None:
        self._failures += 1
        if self._failures > self._limit and self.log.plan.on_failure is not OnFailure.CONTINUE and not self.must_stop:
            self._stop = error

    def _report(
        self,
        step: Step,
        standing: Standing | None,
        *,
        touched: bool,
        facts: dict[str, object] | None = None,
        error: PdeltaError | None = None,
    ) -> None:
        self._reports[step.id] = StepReport(step, standing, touched, facts or {}, error)

    def _recorded(self, step: Step) -> StepReport:
        state = self.log.state.steps[step.id]
        return StepReport(step, state.standing, state.touched, state.facts)


def fleet_for(operations: Operations, steps: Iterable[Step]) -> FleetOperation:
    """Give the operation that carries these steps out together.

    Raises:
        UsageError: They are of several kinds, or of one that knows no roll-outs.
    """
    kinds = {step.target.kind: step for step in steps}
    operation = operation_for(operations, next(iter(kinds.values())).target)
    if len(kinds) > 1 or not isinstance(operation, FleetOperation):
        raise UsageError(f"the kinds {', '.join(sorted(kinds))} can't be rolled out together in one wave")
    return operation


def _neither(there: PdeltaError, back: PdeltaError) -> PdeltaError:
    """Give the error of a target that came neither to its end nor back."""
    # Not the messages: they say in which state one statement left it, and that is not where it stands.
    text = f"{place}: {there.reason}" if (place := _place(there)) else there.reason
    if back.reason != there.reason:
        where = f"the reverse of {place}: " if (place := _place(back)) else ""
        text = f"{text}; nor could it be brought back: {where}{back.reason}"
    neither = NeedsOperatorError(text, hint=back.hint or there.hint)
    for error in (there, neither) if back.state else ():
        error.leaves(back.state)
    return neither


def _place(error: PdeltaError) -> str:
    """Give which delta failed, and which statement of it, where that is known."""
    return error.place if isinstance(error, DatabaseError) else ""


def _foreign(step: Step) -> PdeltaError:
    text = f"{step.target.kind} {step.target.address} is neither before nor after step {step.id}; it was not touched"
    return PdeltaError(text, hint="compare it with what was expected")
