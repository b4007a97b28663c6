"""A push over a real sshd that is cut: what has arrived is not sent again, and the tree ends as the new snapshot."""

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.sshd import Sshd

SIZE = 12 << 20


@pytest.fixture
def host(sshd: Sshd, cli: Cli) -> Iterator[Sshd]:
    """The server, and no kept connection afterwards."""
    yield sshd
    for path in cli.home.rglob("*"):
        if path.is_socket():
            subprocess.run(["ssh", "-S", path, "-O", "exit", "any"], check=False, capture_output=True, timeout=10)


def _fill(folder: Path) -> None:
    dice = random.Random(5)
    for number in range(12):
        (folder / f"part {number}").write_bytes(dice.randbytes(SIZE // 12))


def _contents(folder: Path) -> dict[str, bytes]:
    return {it.name: it.read_bytes() for it in folder.iterdir() if it.name != ".pdelta"}


@pytest.mark.parametrize("victim", ["controller", "connection"])
def test_push_when_cut_in_the_middle_then_the_next_one_sends_only_the_rest(
    host: Sshd, cli: Cli, tmp_path: Path, victim: str
) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.mkdir()
    (source / "old").write_text("what is there already")
    where = (source, f"{host.host}:{destination}", "--rsh", host.rsh_text, "--no-keep", "--yes")
    cli("push", *where)  # agent and tree are there from now on
    _fill(source)
    running = cli.start("push", *where, "--bwlimit", str(4 << 20))
    deadline = time.monotonic() + 60
    while _staged(destination) < SIZE // 3:
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()
        time.sleep(0.02)
    if victim == "controller":
        running.kill()
    else:
        os.kill(_child(running.pid), signal.SIGKILL)
    _, complaint = running.communicate(timeout=60)
    if victim == "connection":
        assert running.returncode in {6, 69}, complaint
        assert host.host.encode() in complaint
    assert list(_contents(destination)) == ["old"]
    again = cli("push", *where, "--json", "--wait").json()
    sent = _find(again, "sent_bytes")
    assert 0 < sent < SIZE * 3 // 4
    assert _contents(destination) == _contents(source)
    assert cli("verify", where[1], "--rsh", host.rsh_text, "--no-keep").status == 0


def _staged(destination: Path) -> int:
    """Give how many bytes are in the staging area; it changes while it is looked at."""
    total = 0
    for path in (destination / ".pdelta/staging").rglob("*"):
        with contextlib.suppress(OSError):
            total += path.stat().st_blocks * 512
    return total


def _child(pid: int) -> int:
    """Give the ssh that a controller has started."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _find(document: object, name: str) -> int:
    """Give a field of a JSON document, wherever it stands."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == name:
                return int(value)
            if (found := _find(value, name)) >= 0:
                return found
    return -1
