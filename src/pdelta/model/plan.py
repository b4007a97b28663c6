"""What calculating froze: steps that are executed unchanged."""

from collections.abc import Iterator

import msgspec

from pdelta.model.course import Gate, OnFailure
from pdelta.model.delta import Delta
from pdelta.model.target import Target


class Step(msgspec.Struct, frozen=True):
    """One delta on one target.

    Attributes:
        id: Its wish's position, counted from 1, as decimal text; unique in its plan.
        target: Where.
        delta: What; never empty. Steps of a roll-out share one where it is equal.
    """

    id: str
    target: Target
    delta: Delta


class Wave(msgspec.Struct, frozen=True, omit_defaults=True):
    """Steps that are carried out together, before any of the next wave.

    Attributes:
        name: As people know it.
        count: How many of the plan's steps it holds, from where the wave before ends.
        soak_s: How long to wait after it.
        gates: What must hold then.
    """

    name: str
    count: int
    soak_s: float = 0.0
    gates: tuple[Gate, ...] = ()


class Rollout(msgspec.Struct, frozen=True):
    """How many steps are carried out together, and how many may fail.

    Attributes:
        waves: In order; together they hold every step.
        max_failures: How many steps may fail before the run does what ``on_failure`` says.
    """

    waves: tuple[Wave, ...]
    max_failures: int = 0


class Plan(msgspec.Struct, frozen=True):
    """Steps in order, executed unchanged.

    Attributes:
        id: BLAKE3-256 of the canonical encoding of everything else, in hexadecimal.
        steps: In the order of execution.
        on_failure: What to do when a step fails.
        settled: Targets that were already there when the plan was calculated.
        rollout: The waves; None where each step waits for the one before.
    """

    id: str
    steps: tuple[Step, ...]
    on_failure: OnFailure = OnFailure.STOP
    settled: tuple[Target, ...] = ()
    rollout: Rollout | None = None

    def waves(self) -> Iterator[tuple[Wave, tuple[Step, ...]]]:
        """Give each wave with its steps; none without a roll-out."""
        start = 0
        for wave in self.rollout.waves if self.rollout is not None else ():
            yield wave, self.steps[start : start + wave.count]
            start += wave.count
