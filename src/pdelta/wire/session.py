"""The order of a session as a table, without input or output.

Both ends hold the same table and apply it to what they send and to what they
receive; a message that its state does not know ends the session. Called by
``transports.link``.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from pdelta.errors import FormatError
from pdelta.wire.messages import Type


class State(Enum):
    """Where a session is."""

    START = auto()
    GREETING = auto()
    IDLE = auto()
    CALLING = auto()
    CLOSED = auto()


class Role(Enum):
    """Who an end is."""

    CONTROLLER = auto()
    AGENT = auto()


_FROM_CONTROLLER: Final[Mapping[State, Mapping[int, State]]] = {
    State.START: {Type.HELLO: State.GREETING},
    State.GREETING: {},
    # Answers that were on their way when the call ended are still heard in IDLE, as far as they are owed.
    State.IDLE: {
        Type.CALL: State.CALLING,
        Type.BYE: State.CLOSED,
        Type.PAGES: State.IDLE,
        Type.DATA: State.IDLE,
        Type.NOTED: State.IDLE,
        Type.DECLINED: State.IDLE,
    },
    State.CALLING: {
        Type.PAGES: State.CALLING,
        Type.DATA: State.CALLING,
        Type.NOTED: State.CALLING,
        Type.DECLINED: State.CALLING,
    },
    State.CLOSED: {},
}

_FROM_AGENT: Final[Mapping[State, Mapping[int, State]]] = {
    State.START: {},
    State.GREETING: {Type.WELCOME: State.IDLE, Type.FAILURE: State.CLOSED},
    State.IDLE: {},
    State.CALLING: {
        Type.RESULT: State.IDLE,
        Type.FAILURE: State.IDLE,
        Type.PART: State.CALLING,
        Type.PROGRESS: State.CALLING,
        Type.PAGES_WANTED: State.CALLING,
        Type.RANGES_WANTED: State.CALLING,
        Type.NOTE: State.CALLING,
    },
    State.CLOSED: {},
}

REQUESTS: Final[Mapping[int, int]] = {
    Type.PAGES: Type.PAGES_WANTED,
    Type.DATA: Type.RANGES_WANTED,
    Type.NOTED: Type.NOTE,
}
"""Which request each answer answers."""

MAX_OWED: Final = 40
"""No honest agent has more requests of one type open; each waits in the controller's memory."""


class Session:
    """One end's view of a session.

    Args:
        role: Who this end is.
    """

    def __init__(self, role: Role) -> None:
        """Begin before ``Hello``."""
        self.role = role
        self.state = State.START
        self._owed: dict[int, int] = dict.fromkeys(REQUESTS.values(), 0)

    def send(self, kind: Type, *, end: bool = True, declines: int = 0) -> None:
        """Note that this end sends a message.

        Args:
            kind: Its type.
            end: Whether it completes its answer.
            declines: The request that a ``DECLINED`` is about.

        Raises:
            FormatError: The state does not allow it.
        """
        self._step(self.role, kind, end=end, declines=declines)

    def receive(self, kind: Type, *, end: bool = True, declines: int = 0) -> None:
        """Note that a message came; the arguments are those of ``send``.

        Raises:
            FormatError: The state does not allow it.
        """
        peer = Role.AGENT if self.role is Role.CONTROLLER else Role.CONTROLLER
        self._step(peer, kind, end=end, declines=declines)

    def _step(self, sender: Role, kind: Type, *, end: bool, declines: int) -> None:
        table = _FROM_CONTROLLER if sender is Role.CONTROLLER else _FROM_AGENT
        after = table[self.state].get(kind)
        if after is None:
            text = f"the {sender.name.lower()} sent {kind.name} while the session was {self.state.name}"
            raise FormatError(text)
        if kind in self._owed:
            self._request(kind)
        elif kind is Type.DECLINED:
            self._answer(declines, end=True)
        elif kind in REQUESTS:
            self._answer(REQUESTS[kind], end=end)
        elif kind is Type.CALL or (self.role is Role.CONTROLLER and after is State.IDLE):
            # A call that has ended owes nothing: the controller stops answering, the agent stops waiting.
            self._owed = dict.fromkeys(self._owed, 0)
        self.state = after

    def _request(self, request: Type) -> None:
        self._owed[request] += 1
        if self._owed[request] > MAX_OWED:
            text = f"more than {MAX_OWED} requests {request.name} are open"
            raise FormatError(text)

    def _answer(self, request: int, *, end: bool) -> None:
        if not self._owed.get(request, 0):
            text = "an answer came that nobody asked for"
            raise FormatError(text)
        if end:
            self._owed[request] -= 1
