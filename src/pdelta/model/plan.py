"""What calculating froze: steps that are executed unchanged."""

from enum import StrEnum

import msgspec

from pdelta.model.delta import Delta
from pdelta.model.target import Target


class OnFailure(StrEnum):
    """What a run does with the steps before the one that failed."""

    STOP = "stop"
    REVERSE = "reverse"


class Step(msgspec.Struct, frozen=True):
    """One delta on one target.

    Attributes:
        id: Its wish's position, counted from 1, as decimal text; unique in its plan.
        target: Where.
        delta: What; never empty.
    """

    id: str
    target: Target
    delta: Delta


class Plan(msgspec.Struct, frozen=True):
    """Steps in order, executed unchanged.

    Attributes:
        id: BLAKE3-256 of the canonical encoding of everything else, in hexadecimal.
        steps: In the order of execution.
        on_failure: ``stop`` leaves what is done, ``reverse`` takes this run back.
        settled: Targets that were already there when the plan was calculated.
    """

    id: str
    steps: tuple[Step, ...]
    on_failure: OnFailure = OnFailure.STOP
    settled: tuple[Target, ...] = ()
