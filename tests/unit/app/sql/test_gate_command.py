"""A gate's command, and the moment in which it begins."""

import os
import signal
import subprocess
from typing import Any

import pytest

from pdelta.app.sql import gate_command


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM])
def test_command_when_we_are_stopped_while_it_begins_then_it_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    former = signal.signal(number, signal.default_int_handler)
    begun: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen[str]):
        """Another process tells us to end before we know of this one."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.append(self)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(gate_command, "Popen", Interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            gate_command.command_holds("sleep 300", ["one"])
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, former)
    (process,) = begun
    assert process.returncode == -signal.SIGTERM


def test_command_when_a_signal_is_ignored_then_it_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hung(subprocess.Popen[str]):
        """Our terminal goes away."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr(gate_command, "Popen", Hung)
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert gate_command.command_holds("cat > /dev/null", ["one"]) == ""
    finally:
        signal.signal(signal.SIGHUP, former)


def test_command_when_it_ends_then_its_words_and_status_tell() -> None:
    assert gate_command.command_holds("cat > /dev/null", ["one"]) == ""
    assert gate_command.command_holds("cat; exit 3", ["one", "two"]) == "cat; exit 3 ended with 3: two"
