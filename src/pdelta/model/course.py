"""How a run goes on: what is asked before it does, and what a failure changes.

Apart from ``plan``, which holds it: what a command is asked for is known before anything is calculated.
"""

from enum import StrEnum

import msgspec


class OnFailure(StrEnum):
    """What a run does when a step fails."""

    STOP = "stop"
    """Keep what is done, and begin nothing more."""
    REVERSE = "reverse"
    """Take back everything that this run did."""
    CONTINUE = "continue"
    """Keep what is done, and go on with the other steps; only of roll-outs."""


class Gate(msgspec.Struct, frozen=True):
    """What must hold before the next wave begins; whoever executes the plan knows how to ask.

    Attributes:
        kind: How it is asked, for example ``command``.
        text: What is asked.
    """

    kind: str
    text: str
