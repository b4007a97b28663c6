"""The session's table: what is allowed is allowed, and every other message in every state is refused."""

from typing import TYPE_CHECKING

import pytest

from pdelta.errors import FormatError
from pdelta.wire.messages import Type
from pdelta.wire.session import MAX_OWED, Role, Session, State

if TYPE_CHECKING:
    from collections.abc import Callable

ALLOWED = {
    (State.START, Role.CONTROLLER): {Type.HELLO},
    (State.GREETING, Role.AGENT): {Type.WELCOME, Type.FAILURE},
    (State.IDLE, Role.CONTROLLER): {Type.CALL, Type.BYE},
    (State.CALLING, Role.AGENT): {
        *(Type.RESULT, Type.FAILURE, Type.PART, Type.PROGRESS, Type.PAGES_WANTED, Type.RANGES_WANTED, Type.NOTE),
    },
}


def _reach(role: Role, state: State) -> Session:
    session = Session(role)
    forth: Callable[[Type], None] = session.send if role is Role.CONTROLLER else session.receive
    back: Callable[[Type], None] = session.receive if role is Role.CONTROLLER else session.send
    steps = {
        State.START: [],
        State.GREETING: [(forth, Type.HELLO)],
        State.IDLE: [(forth, Type.HELLO), (back, Type.WELCOME)],
        State.CALLING: [(forth, Type.HELLO), (back, Type.WELCOME), (forth, Type.CALL)],
        State.CLOSED: [(forth, Type.HELLO), (back, Type.FAILURE)],
    }
    for step, kind in steps[state]:
        step(kind)
    assert session.state is state
    return session


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("sender", list(Role))
@pytest.mark.parametrize("kind", list(Type))
def test_message_when_its_state_does_not_allow_it_then_is_refused(
    state: State, role: Role, sender: Role, kind: Type
) -> None:
    session = _reach(role, state)
    step = session.send if sender is role else session.receive
    if kind in ALLOWED.get((state, sender), set()):
        step(kind)
    else:
        with pytest.raises(FormatError):
            step(kind)


def test_answers_when_owed_then_are_allowed_once() -> None:
    session = _reach(Role.CONTROLLER, State.CALLING)
    session.receive(Type.RANGES_WANTED)
    session.receive(Type.RANGES_WANTED)
    session.send(Type.DATA, end=False)
    session.send(Type.DATA)
    session.send(Type.DECLINED, declines=Type.RANGES_WANTED)
    with pytest.raises(FormatError, match="nobody asked"):
        session.send(Type.DATA)


def test_answers_when_their_call_has_ended_then_only_the_agent_still_hears_them() -> None:
    agent = _reach(Role.AGENT, State.CALLING)
    agent.send(Type.RANGES_WANTED)
    agent.send(Type.RESULT)
    agent.receive(Type.DATA, end=False)
    agent.receive(Type.CALL)
    with pytest.raises(FormatError, match="nobody asked"):
        agent.receive(Type.DATA)
    controller = _reach(Role.CONTROLLER, State.CALLING)
    controller.receive(Type.RANGES_WANTED)
    controller.receive(Type.RESULT)
    with pytest.raises(FormatError, match="nobody asked"):
        controller.send(Type.DATA)


def test_requests_when_too_many_are_open_then_are_refused() -> None:
    session = _reach(Role.CONTROLLER, State.CALLING)
    for _ in range(MAX_OWED):
        session.receive(Type.RANGES_WANTED)
    with pytest.raises(FormatError, match="are open"):
        session.receive(Type.RANGES_WANTED)
