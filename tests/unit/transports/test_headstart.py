"""A contact begun on a guess: taken over when it was right, ended when it was wrong."""

import fcntl
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import run

import pytest

from pdelta.errors import TransportError
from pdelta.transports import headstart, subprocess
from pdelta.transports.headstart import FILE, KEPT, Headstarts
from pdelta.transports.subprocess import SubprocessChannel

ECHO = (sys.executable, "-c", "import sys; sys.stdout.buffer.write(b'heard ' + sys.stdin.buffer.readline())")
WORDS = ["push", "a\nb", "web1:/srv"]
NONCE = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    made = tmp_path / "control"
    made.mkdir(mode=0o700)
    return str(made)


def remember(folder: str, command: tuple[str, ...] = ECHO, first: bytes = b"hello %s\n" % NONCE.encode()) -> None:
    """Let one command need a contact, and end."""
    before = Headstarts()
    before.begin(WORDS, {"HOME": "/home/x"}, folder)
    before.note(command, first, NONCE)
    before.end()


def begun(folder: str, words: list[str] | None = None, home: str = "/home/x") -> Headstarts:
    found = Headstarts()
    found.begin(words or WORDS, {"HOME": home}, folder)
    return found


def ended(pid: int) -> bool:
    """Whether a child is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_begin_when_the_words_were_seen_then_the_same_contact_runs_with_a_fresh_nonce(folder: str) -> None:
    remember(folder)
    found = begun(folder).take(list(ECHO))
    assert found is not None
    assert found.nonce != NONCE
    assert len(found.nonce) == 32
    assert found.first == b"hello %s\n" % found.nonce.encode()
    with open(found.streams[1], "rb", closefd=False) as stream:
        assert stream.read() == b"heard " + found.first
    found.end()


@pytest.mark.parametrize(
    ("words", "home"), [(["push", "other"], "/home/x"), (WORDS, "/home/y"), (["diff", *WORDS[1:]], "/home/x")]
)
def test_begin_when_words_or_home_differ_then_nothing_runs(folder: str, words: list[str], home: str) -> None:
    remember(folder)
    assert begun(folder, words, home).take(ECHO) is None


def test_begin_when_the_folder_is_not_ours_alone_then_nothing_runs_and_nothing_is_written(folder: str) -> None:
    remember(folder)
    os.chmod(folder, 0o755)
    assert begun(folder).take(ECHO) is None
    Path(folder, FILE).unlink()
    remember(folder)
    assert not Path(folder, FILE).exists()


def test_begin_when_the_working_folder_is_gone_then_nothing_runs_and_nothing_breaks(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(folder)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = begun(folder)
    assert found.take(ECHO) is None
    found.end()


def test_begin_when_a_configuration_is_gone_then_nothing_runs(folder: str, tmp_path: Path) -> None:
    config = tmp_path / "ssh.conf"
    config.touch()
    remember(folder, (*ECHO, "-F", str(config)))
    assert begun(folder)._begun is not None
    config.unlink()
    assert begun(folder)._begun is None


@pytest.mark.parametrize("damage", [b"", b"garbage", b"9\x009\x00x", b"-1\x00-1\x00", b"\xff\xfe" * 100])
def test_begin_when_what_is_remembered_is_damaged_then_nothing_runs(folder: str, damage: bytes) -> None:
    remember(folder)
    Path(folder, FILE).write_bytes(damage)
    assert begun(folder).take(ECHO) is None
    remember(folder)
    found = begun(folder)
    assert found._begun is not None
    found.end()


def test_take_when_another_command_is_needed_then_the_guess_is_ended(folder: str) -> None:
    remember(folder, (sys.executable, "-c", "import time; time.sleep(60)"))
    found = begun(folder)
    assert found._begun is not None
    pid = found._begun.pid
    assert found.take(ECHO) is None
    assert ended(pid)


def test_end_when_nobody_took_the_guess_then_it_is_ended(folder: str) -> None:
    remember(folder, (sys.executable, "-c", "import time; time.sleep(60)"))
    found = begun(folder)
    assert found._begun is not None
    pid = found._begun.pid
    found.end()
    assert ended(pid)


def spawning(monkeypatch: pytest.MonkeyPatch, prepare: Callable[[int, int], object]) -> list[int]:
    """Do something with what is begun, and its input, before a word is written; give the process ids to come."""
    begin, pids = headstart.spawn, []

    def spawn(command: Sequence[str], environment: Mapping[str, str] | None) -> tuple[int, tuple[int, int, int]]:
        pid, streams = begin(command, environment)
        pids.append(pid)
        prepare(pid, streams[0])
        return pid, streams

    monkeypatch.setattr(headstart, "spawn", spawn)
    return pids


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_begin_when_the_command_dies_before_it_hears_anything_then_nothing_of_it_is_left(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(folder, (sys.executable, "-c", "pass"))
    pids = spawning(monkeypatch, lambda pid, _: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT))
    before = open_descriptors()
    found = begun(folder)
    assert found._begun is None
    assert found.take(ECHO) is None
    assert [ended(pid) for pid in pids] == [True]
    assert open_descriptors() == before


def test_begin_when_the_pipe_takes_a_part_then_nothing_of_it_is_left(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(folder, (sys.executable, "-c", "import time; time.sleep(60)"), bytes(9000))
    pids = spawning(monkeypatch, lambda _, outgoing: fcntl.fcntl(outgoing, fcntl.F_SETPIPE_SZ, 4096))
    before = open_descriptors()
    assert begun(folder)._begun is None
    assert [ended(pid) for pid in pids] == [True]
    assert open_descriptors() == before


def test_end_when_the_command_does_not_listen_then_it_is_killed(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headstart, "END_TIMEOUT_S", 0.1)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    remember(folder, (sys.executable, "-c", code))
    found = begun(folder)
    assert found._begun is not None
    pid = found._begun.pid
    os.read(found._begun.streams[1], 1)
    found.end()
    assert ended(pid)


def test_end_when_children_are_nobodys_to_wait_for_then_nothing_breaks(folder: str) -> None:
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        remember(folder, (sys.executable, "-c", "import time; time.sleep(60)"))
        found = begun(folder)
        assert found._begun is not None
        pid = found._begun.pid
        found.end()
        assert ended(pid)
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_end_when_two_contacts_were_needed_then_none_is_remembered(folder: str) -> None:
    before = begun(folder)
    before.note(ECHO, b"one", NONCE)
    before.note(ECHO, b"two", NONCE)
    before.end()
    assert not Path(folder, FILE).exists()


def test_end_when_many_commands_were_seen_then_the_latest_stay(folder: str) -> None:
    for number in range(KEPT + 3):
        one = begun(folder, ["push", str(number)])
        one.note(ECHO, b"first", NONCE)
        one.end()
    known = headstart._read(str(Path(folder, FILE)))
    assert [key[-1] for key in known] == [str(number) for number in range(3, KEPT + 3)]


def channel_over(found: Headstarts, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> SubprocessChannel:
    monkeypatch.setattr(subprocess, "HEADSTARTS", found)
    return SubprocessChannel(command)


def test_channel_when_its_words_were_sent_already_then_they_are_not_sent_again(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(folder)
    channel = channel_over(begun(folder), monkeypatch, ECHO)
    channel.send([b"hello ", channel.nonce.encode(), b"\n"])
    assert channel.receive(10) == b"heard hello " + channel.nonce.encode() + b"\n"
    channel.close()


def test_channel_when_it_has_other_words_then_the_contact_begins_again(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(folder)
    channel = channel_over(begun(folder), monkeypatch, ECHO)
    first = channel.pid
    channel.send([b"other words\n"])
    assert channel.receive(10) == b"heard other words\n"
    assert channel.pid != first
    assert ended(first)
    channel.close()


def test_channel_when_it_cannot_begin_again_then_it_closes_no_descriptor_of_others(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(folder)
    channel = channel_over(begun(folder), monkeypatch, ECHO)

    def fail(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(subprocess, "spawn", fail)
    with pytest.raises(TransportError):
        channel.send([b"other words\n"])
    others = [os.open("/dev/null", os.O_RDONLY) for _ in range(6)]
    channel.close()
    for descriptor in others:
        os.close(descriptor)


def test_channel_when_nothing_was_begun_then_it_has_no_nonce(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = channel_over(begun(folder), monkeypatch, ECHO)
    assert channel.nonce == ""
    channel.send([b"hello\n"])
    assert channel.receive(10) == b"heard hello\n"
    channel.close()


def test_module_when_imported_then_nothing_comes_with_it() -> None:
    """The guess must begin before anything else is imported."""
    code = "import sys; a = set(sys.modules); import pdelta.transports.headstart; print(*sorted(set(sys.modules) - a))"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["pdelta", "pdelta.transports", "pdelta.transports.headstart"]
