"""Commands that meet another run in the middle of its commit."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.desk import Desk

COMMANDS = {
    "push": ["push", "{source}", "{dest}"],
    "push dry": ["push", "--dry-run", "{source}", "{dest}"],
    "rollback": ["rollback", "{dest}"],
    "verify": ["verify", "{dest}"],
    "repair": ["verify", "--repair-from", "{source}", "{dest}"],
    "gc": ["gc", "--keep", "1", "{dest}"],
    "recover": ["recover", "{dest}"],
}


class Committing:
    """A push of another process, which stands where its intent is written until it is let go."""

    def __init__(self, desk: Desk) -> None:
        """Come to that point."""
        here, self._there = os.pipe()
        reached, say = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._there)
            try:
                desk.failpoint = lambda name: _stand(name, say, here)
                desk.push()
                os._exit(0)
            finally:
                os._exit(1)
        os.close(here)
        os.close(say)
        assert os.read(reached, 1) == b"x"
        os.close(reached)
        self.status = -1

    def go_on(self) -> int:
        """Let it come to its end, and give how it exited."""
        if self._pid:
            os.close(self._there)
            self.status = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
            self._pid = 0
        return self.status


def _stand(name: str, say: int, here: int) -> None:
    if name == "intent.written":
        os.write(say, b"x")
        os.read(here, 1)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Give a destination with one entry, and a source with more."""
    desk = Desk(tmp_path)
    desk.write({"a": "1"})
    desk.push()
    desk.write({"a": "two"})
    return desk


@pytest.fixture
def other(desk: Desk) -> Iterator[Committing]:
    """Give a push of entry 2 in the middle of its commit, ended with the test."""
    committing = Committing(desk)
    yield committing
    committing.go_on()


@pytest.mark.parametrize("command", COMMANDS)
def test_command_when_another_is_committing_then_it_waits_if_asked_to_and_ends_with_7_otherwise(
    cli: Cli, desk: Desk, other: Committing, command: str
) -> None:
    words = [word.format(source=desk.source, dest=desk.dest) for word in COMMANDS[command]]
    assert "another run holds" in cli(*words, status=7).err
    cli(words[0], "--wait=0.2", *words[1:], status=7)
    waiting = cli.start(words[0], "--wait", *words[1:])
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(1.0)
    assert other.go_on() == 0
    said = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, said
    assert desk.read("a") == ("1" if command == "rollback" else "two")
    cli("verify", desk.dest)
