"""The first stage on a machine of its own: finding, placing, refusing; run through the real loader."""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pdelta.app.bundle import pack_records
from pdelta.errors import TransportError
from pdelta.transports import stage
from pdelta.transports.base import HostFacts
from pdelta.transports.contact import Contact
from pdelta.transports.loader import LOADER, PYTHON_OPTIONS, compress_stage
from pdelta.transports.subprocess import SubprocessChannel
from pdelta.wire.frames import Buffer

SERVE = b"""
import os
def serve(incoming, outgoing, pending=b""):
    print("this goes to stderr")
    os.write(outgoing, b"<" + pending + os.read(incoming, 100) + b">")
    return 3
"""
FILES = {"pdelta/__init__.py": b"", "pdelta/app/__init__.py": b"", "pdelta/app/serve.py": SERVE}


class Archives:
    """An agent that gives back what it hears."""

    def __init__(self, files: Mapping[str, bytes] = FILES, tag: str = "") -> None:
        self.data = b"".join(pack_records(files))
        self.packed = zlib.compress(self.data)
        self.tag = tag or stage.platform_tag()
        self.digest = hashlib.sha256(self.data).hexdigest()

    def stage(self) -> bytes:
        """Give the real first stage."""
        return compress_stage()

    def digests(self) -> dict[str, str]:
        """Give one."""
        return {self.tag: self.digest}

    def archive(self, facts: HostFacts) -> bytes:
        """Give it for its own platform."""
        if facts.tag != self.tag:
            raise TransportError(f"no agent for {facts.tag}", hint="run: pdelta agent fetch")
        return self.packed


@pytest.fixture(autouse=True)
def _no_fallback() -> Iterator[None]:
    """Remove what a test may have placed in the fallback folder, if it was not there before."""
    fallback = Path(f"/var/tmp/pdelta-agent-{os.geteuid()}")
    before = fallback.exists()
    yield
    if not before:
        shutil.rmtree(fallback, ignore_errors=True)


@contextmanager
def _host(home: Path, **environment: str) -> Iterator[SubprocessChannel]:
    path = os.environ["PATH"]
    command = [sys.executable, *PYTHON_OPTIONS, "-c", LOADER]
    channel = SubprocessChannel(command, environment={"HOME": str(home), "PATH": path, **environment})
    yield channel
    channel.close(at_once=True)


def _contact(channel: SubprocessChannel, archives: Archives) -> Contact:
    return Contact(channel, archives, nonce="0123456789abcdef", clock=time.monotonic, timeout_s=20)


def _talk(home: Path, archives: Archives, **environment: str) -> Contact:
    """Open a contact, say something, and hear the agent say it."""
    with _host(home, **environment) as channel:
        contact = _contact(channel, archives)
        heard = contact.open([b"hel", b"lo "])
        channel.send([b"world"])
        while piece := channel.receive(20):
            heard += piece
        assert heard == b"<hello world>"
        assert channel._wait_for_exit(10) == 3
        assert channel.complaints() == "this goes to stderr"
    return contact


def _refusal(home: Path, archives: Archives, **environment: str) -> TransportError:
    with _host(home, **environment) as channel, pytest.raises(TransportError) as caught:
        _contact(channel, archives).open([b""])
    return caught.value


def test_agent_when_absent_then_is_placed_durably_and_privately_and_found_again(tmp_path: Path) -> None:
    archives = Archives()
    assert _talk(tmp_path, archives).placed
    folder = tmp_path / ".cache/pdelta/agent" / archives.digest
    for path in [folder, folder.parent, folder.parent.parent, folder / "pdelta", folder / "pdelta/app/serve.py"]:
        assert path.stat().st_mode & 0o077 == 0
    assert (folder / "pdelta/app/serve.py").read_bytes() == SERVE
    assert not _talk(tmp_path, archives).placed
    assert [it.name for it in folder.parent.iterdir()] == [archives.digest]


def test_cache_folder_when_named_by_xdg_then_is_used(tmp_path: Path) -> None:
    cache = tmp_path / "xdg"
    _talk(tmp_path, Archives(), XDG_CACHE_HOME=str(cache))
    assert (cache / "pdelta/agent").is_dir()
    assert not (tmp_path / ".cache").exists()
    _talk(tmp_path, Archives(), XDG_CACHE_HOME="relative")
    assert (tmp_path / ".cache/pdelta/agent").is_dir()


def test_agent_of_another_version_when_placed_then_both_stay(tmp_path: Path) -> None:
    _talk(tmp_path, Archives())
    assert _talk(tmp_path, Archives({**FILES, "pdelta/more.py": b"1"})).placed
    assert len(list((tmp_path / ".cache/pdelta/agent").iterdir())) == 2


class Flipped(Archives):
    """Announces one agent, and sends another one of the same length."""

    def archive(self, facts: HostFacts) -> bytes:  # noqa: ARG002 - the port
        """Give what was not announced."""
        return zlib.compress(self.data[:-1] + bytes([self.data[-1] ^ 1]))


class Torn:
    """A channel that flips a bit of everything long that it sends."""

    def __init__(self, channel: SubprocessChannel) -> None:
        self.receive, self.explain, self.close = channel.receive, channel.explain, channel.close
        self._channel = channel

    def send(self, parts: Sequence[Buffer]) -> None:
        """Damage the archive alone."""
        damaged = [bytes(it[:-9]) + b"XXXXXXXXX" if bytes(it[:1]) == b"x" and len(parts) == 2 else it for it in parts]
        self._channel.send(damaged)


@pytest.mark.parametrize("torn", [True, False])
def test_archive_when_damaged_on_the_way_or_another_one_then_nothing_is_left(tmp_path: Path, torn: bool) -> None:
    archives = Archives() if torn else Flipped()
    with _host(tmp_path) as channel:
        contact = Contact(
            Torn(channel) if torn else channel, archives, nonce="0123456789abcdef", clock=time.monotonic, timeout_s=20
        )
        with pytest.raises(TransportError, match="arrived damaged" if torn else "announced"):
            contact.open([b""])
    assert list((tmp_path / ".cache/pdelta/agent").glob("*")) == []


def test_attack_1_record_that_leaves_its_folder_when_unpacked_then_nothing_is_written(tmp_path: Path) -> None:
    for name in ("../../escaped", "/escaped", "a//b", "a/./b", "a/../../../escaped", ""):
        error = _refusal(tmp_path, Archives({name: b"x"}))
        assert "damaged record" in error.message, name
    assert not list(tmp_path.rglob("escaped"))
    assert list((tmp_path / ".cache/pdelta/agent").iterdir()) == []


def test_record_when_its_hash_is_wrong_then_is_refused(tmp_path: Path) -> None:
    archives = Archives()
    archives.data = archives.data.replace(b"goes to", b"goes 2!")
    archives.packed = zlib.compress(archives.data)
    archives.digest = hashlib.sha256(archives.data).hexdigest()
    assert "damaged record" in _refusal(tmp_path, archives).message


def test_platform_when_no_agent_fits_then_the_command_to_run_is_said(tmp_path: Path) -> None:
    error = _refusal(tmp_path, Archives(tag="cpython-399-linux-vax-glibc"))
    assert stage.platform_tag() in error.message
    assert "pdelta agent fetch" in error.hint


def test_planted_agent_when_others_may_write_to_it_then_is_not_run(tmp_path: Path) -> None:
    archives = Archives()
    _talk(tmp_path, archives)
    folder = tmp_path / ".cache/pdelta/agent"
    planted = folder / archives.digest / "pdelta/app/serve.py"
    planted.write_bytes(b"raise SystemExit('owned')")
    (folder / archives.digest).chmod(0o777)
    _talk(tmp_path, archives, XDG_CACHE_HOME=str(tmp_path / "other"))
    with _host(tmp_path) as channel:
        contact = _contact(channel, archives)
        heard = contact.open([b"x"])
        assert b"owned" not in heard
        assert contact.placed


def test_home_that_cannot_hold_it_when_placing_then_the_fallback_of_this_user_does(tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("no folder")
    assert _talk(home, Archives({**FILES, "pdelta/unique.py": str(time.time_ns()).encode()})).placed


def test_folders_when_none_can_hold_it_then_the_error_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "bases", lambda: ["/proc/pdelta", "/dev/null/pdelta"])
    assert "/proc/pdelta" in stage.prepare("/proc/pdelta")
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    assert "writable by others" in stage.prepare(str(open_folder))
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert not stage.own(str(link))


def test_noexec_folder_when_preparing_then_is_named() -> None:
    for folder in ("/dev/shm", "/run", "/run/lock", "/sys/fs/cgroup"):
        if os.path.isdir(folder) and os.access(folder, os.W_OK) and os.statvfs(folder).f_flag & os.ST_NOEXEC:
            name = f"{folder}/pdelta-noexec-{os.getpid()}"
            try:
                assert "noexec" in stage.prepare(name)
            finally:
                os.rmdir(name)
            return
    pytest.skip("no writable noexec file system")


def test_leftovers_when_placing_then_old_ones_are_removed(tmp_path: Path) -> None:
    _talk(tmp_path, Archives())
    folder = tmp_path / ".cache/pdelta/agent"
    day = 86400
    for name, age in ((".new-1-a", 2 * day), (".new-2-b", 0), ("c" * 64, 100 * day), ("d" * 64, 50 * day)):
        (folder / name).mkdir()
        (folder / name / "file").write_bytes(b"")
        os.utime(folder / name, (time.time() - age,) * 2)
    _talk(tmp_path, Archives({**FILES, "pdelta/more.py": b"2"}))
    assert {it.name for it in folder.iterdir()} >= {".new-2-b", "d" * 64}
    assert len(list(folder.iterdir())) == 4


def test_two_first_contacts_when_at_once_then_both_work(tmp_path: Path) -> None:
    archives = Archives({**FILES, "pdelta/big.py": b"#" * 3_000_000})
    with _host(tmp_path) as one, _host(tmp_path) as two:
        contacts = [_contact(channel, archives) for channel in (one, two)]
        stage_bytes = archives.stage()
        assert stage_bytes
        for contact, channel in zip(contacts, (one, two), strict=True):
            heard = contact.open([b"x"])
            channel.send([b"y"])
            while piece := channel.receive(20):
                heard += piece
            assert heard == b"<xy>"


def test_old_python_when_it_is_the_only_one_then_is_refused_by_version(tmp_path: Path) -> None:
    source = zlib.decompress(compress_stage()).decode()
    assert "MINIMUM = (3, 11)" in source
    ast.parse(source, feature_version=(3, 7))
    lines = b"#pdelta-agent 0123456789abcdef -=- 2\nhi"
    script = source.replace("MINIMUM = (3, 11)", "MINIMUM = (9, 0)").replace("'python3.1", "'no-such-python3.1")
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], input=lines, capture_output=True, check=False, cwd=tmp_path
    )
    assert result.stdout.startswith(b"#pdelta-0123456789abcdef\tstate=old\t")
    assert b"why=python3 is 3." in result.stdout


def test_old_python_when_a_newer_one_is_there_then_hands_over_to_it(tmp_path: Path) -> None:
    newer = tmp_path / "python3.14"
    newer.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    newer.chmod(0o755)
    old = zlib.decompress(compress_stage()).replace(b"MINIMUM = (3, 11)", b"MINIMUM = (9, 0)", 1)
    # What is handed over is the variable of the loader: give it the real stage.
    program = f"s = {zlib.decompress(compress_stage())!r}\nexec({old!r})"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        input=b"#pdelta-agent 0123456789abcdef -=- 0\n#pdelta-quit 0 - 0\n",
        capture_output=True,
        check=False,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
    )
    assert b"state=absent" in result.stdout, result.stderr


def test_stage_when_compressed_then_is_small_and_complete() -> None:
    data = compress_stage()
    assert len(data) < 2600
    compile(zlib.decompress(data), "stage", "exec")


def test_loader_when_input_ends_early_then_executes_nothing() -> None:
    for data in (b"", b"#pdelta-stage 100\n", b"#pdelta-stage 100\nprint(1)"):
        result = subprocess.run(
            [sys.executable, "-I", "-S", "-c", LOADER], input=data, capture_output=True, check=False
        )
        assert result.returncode != 0
        assert result.stdout == b""
