"""Commands that meet another run in the middle of its commit."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from pdelta.app import verify
from pdelta.app.context import Context, Link
from tests.fixtures.cli import Cli
from tests.fixtures.desk import Desk
from tests.fixtures.sshd import Sshd

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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.go_on()

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
    with Committing(desk) as committing:
        yield committing


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


def test_verify_when_another_begins_its_commit_after_the_first_look_then_it_waits(
    desk: Desk, other: Committing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "finish_interrupted", lambda _tree, _link: "")
    context = Context(
        cache=tmp_path / "cache",
        state=tmp_path / "state",
        runs=tmp_path / "runs",
        control=tmp_path / "control",
        who="tester@here",
        host="here",
        clock=time.time_ns,
    )
    ending = threading.Timer(0.5, other.go_on)
    ending.start()
    result = verify.verify_tree(str(desk.dest), context, Link(wait_s=60.0), jobs=1)
    ending.join()
    assert (result.number, other.status) == (2, 0)


@pytest.mark.parametrize("command", ["verify", "gc", "recover"])
def test_command_on_a_host_when_another_is_committing_then_it_waits(
    cli: Cli, desk: Desk, other: Committing, sshd: Sshd, command: str
) -> None:
    waiting = cli.start(command, "--wait", "--rsh", sshd.rsh_text, "--no-keep", f"{sshd.host}:{desk.dest}")
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(3.0)
    assert other.go_on() == 0
    said = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, said


def test_gc_on_a_host_when_it_is_stopped_while_it_waits_then_nothing_is_collected_later(
    cli: Cli, desk: Desk, tmp_path: Path
) -> None:
    desk.push()
    desk.write({"a": "three"})
    # A shell whose children are nobody's when it is gone: what waits there goes on waiting.
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\nshift\nsetsid sh -c "$*"\ntrue\n')
    shell.chmod(0o755)
    where = ("--rsh", str(shell), f"host:{desk.dest}")
    cli("gc", "--keep=9", *where)  # whoever comes first brings the agent, which takes time
    with Committing(desk) as other:
        waiting = cli.start("gc", "--keep=1", "--wait", *where)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(3.0)
        waiting.send_signal(signal.SIGINT)
        said = waiting.communicate(timeout=60)
        assert waiting.returncode == 130, said
        assert other.go_on() == 0
    # Longer than any attempt is apart from the next.
    time.sleep(1.5)
    cli("rollback", "--to", "1", desk.dest)
    assert desk.read("a") == "1"
