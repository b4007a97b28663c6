"""The same work on many databases at once."""

import threading
import time

import pytest

from pdelta.databases.spread import spread

MANY = 50


def test_spread_when_all_is_done_then_the_values_are_in_order() -> None:
    def work(number: int) -> int:
        time.sleep(0.001 * (number % 3))
        return number * number

    for width in (1, 4, 2 * MANY):
        assert spread(work, range(MANY), width) == [number * number for number in range(MANY)]
    assert spread(work, [], 4) == []


def test_spread_when_threads_are_few_then_no_more_are_at_work() -> None:
    at_work: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        at_work.append(number)
        most.append(len(at_work))
        time.sleep(0.002)
        at_work.remove(number)

    spread(work, range(MANY), 3)
    assert max(most) <= 3


def test_spread_when_one_fails_then_it_is_raised_the_rest_is_left_out_and_who_hangs_is_left_behind() -> None:
    begun: list[int] = []
    going_on = threading.Event()

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            going_on.wait()
        elif number == 1:
            raise ValueError("one")

    try:
        with pytest.raises(ValueError, match="one"):
            spread(work, range(MANY), 2)
        assert sorted(begun) == [0, 1]
    finally:
        going_on.set()


def test_spread_when_there_are_no_more_threads_then_it_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert spread(str, range(3), 2) == ["0", "1", "2"]
    with pytest.raises(ZeroDivisionError):
        spread(lambda number: 1 // number, range(3), 2)
