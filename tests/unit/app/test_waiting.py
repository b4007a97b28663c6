"""Waiting for a tree that another run holds."""

import pytest

from pdelta.app.context import Link
from pdelta.app.waiting import until_free
from pdelta.errors import LockedError


class Held:
    """An action on a tree that is held for some attempts."""

    def __init__(self, attempts: int) -> None:
        self.attempts = attempts

    def __call__(self) -> str:
        self.attempts -= 1
        if self.attempts >= 0:
            raise LockedError("another run holds it")
        return "done"


def test_until_free_when_the_tree_becomes_free_in_time_then_it_is_done() -> None:
    assert until_free(Held(2), Link(wait_s=60.0)) == "done"


def test_until_free_when_nothing_is_said_then_it_is_tried_once() -> None:
    held = Held(2)
    with pytest.raises(LockedError):
        until_free(held, Link())
    assert held.attempts == 1


def test_until_free_when_the_time_is_over_then_the_other_run_is_told() -> None:
    held = Held(1000)
    with pytest.raises(LockedError):
        until_free(held, Link(wait_s=0.25))
    assert 990 < held.attempts < 998
