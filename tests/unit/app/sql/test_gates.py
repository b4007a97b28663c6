"""A gate's command, and the moment in which it begins."""

import os
import signal
import subprocess
from typing import Any

import pytest

from pdelta.app.sql import gates


def test_command_when_we_are_stopped_while_it_begins_then_it_is_ended_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen[str]):
        """Another process tells us to end before we know of this one."""

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            begun.append(self)
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        gates.command_holds("sleep 300", ["one"])
    (process,) = begun
    assert process.returncode == -signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_command_when_it_ends_then_its_words_and_status_tell() -> None:
    assert gates.command_holds("cat > /dev/null", ["one"]) == ""
    assert gates.command_holds("cat; exit 3", ["one", "two"]) == "cat; exit 3 ended with 3: two"
