"""What is imported while somebody waits, and when that stops."""

import sys
import threading
from types import SimpleNamespace

import pytest

from pdelta import idle

FIRST, SECOND = "colorsys", "this_is_imported_second"


class Silence:
    """A ``poll`` of what has nothing to say until it was asked so often without waiting.

    Args:
        turns: How often.
    """

    def __init__(self, turns: int) -> None:
        self._left = turns
        self.waited = 0
        self.limit_ms: float | None = None

    def poll(self, timeout_ms: float | None = None) -> list[tuple[int, int]]:
        if timeout_ms != 0:
            self.waited += 1
            self.limit_ms = timeout_ms
            return [(0, 1)]
        self._left -= 1
        return [] if self._left >= 0 else [(0, 1)]


def wait(turns: int, **limit: float) -> Silence:
    poll = Silence(turns)
    idle.wait(poll, **limit)  # type: ignore[arg-type]
    return poll


@pytest.fixture(autouse=True)
def imports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the names that were imported."""
    imported: list[str] = []
    monkeypatch.setattr(idle, "import_module", imported.append)
    monkeypatch.delitem(sys.modules, FIRST, raising=False)
    monkeypatch.setattr(idle, "_expected", {})
    return imported


def test_wait_when_modules_are_expected_then_they_are_imported_until_there_is_an_answer(imports: list[str]) -> None:
    idle.expect([FIRST, SECOND])
    assert wait(1).waited == 1
    assert imports == [FIRST]
    wait(5)
    assert imports == [FIRST, SECOND]
    wait(5)
    assert imports == [FIRST, SECOND]


def test_wait_when_another_thread_expects_them_then_nothing_is_imported(imports: list[str]) -> None:
    idle.expect([FIRST])
    waiting = threading.Thread(target=wait, args=(5,))
    waiting.start()
    waiting.join()
    assert imports == []


def test_wait_when_the_answer_is_there_then_nothing_is_imported(imports: list[str]) -> None:
    idle.expect([FIRST])
    assert wait(0).waited == 1
    assert imports == []


def test_wait_when_a_module_is_there_then_it_is_passed_over(imports: list[str]) -> None:
    idle.expect(["sys", FIRST])
    wait(2)
    assert imports == [FIRST]


def test_wait_when_there_is_a_limit_then_what_is_imported_counts(
    imports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "time", SimpleNamespace(monotonic=iter((10.0, 10.0, 12.0)).__next__))
    idle.expect([FIRST], surely=True)
    assert wait(2, limit_s=5.0).limit_ms == 3000.0
    assert imports == [FIRST]


def test_wait_when_it_may_end_by_itself_and_a_module_may_not_be_needed_then_nothing_is_imported(
    imports: list[str],
) -> None:
    idle.expect([FIRST])
    assert wait(2, limit_s=5.0).waited == 1
    assert imports == []


def test_wait_when_importing_takes_all_the_time_there_is_then_nothing_more_is_imported(
    imports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "time", SimpleNamespace(monotonic=iter((10.0, 10.0, 16.0, 16.0)).__next__))
    idle.expect([FIRST, SECOND], surely=True)
    assert wait(5, limit_s=5.0).waited == 0
    assert imports == [FIRST]
