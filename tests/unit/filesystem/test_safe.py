"""An open folder does to one name what was asked, and says which path when it cannot."""

import ctypes
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pdelta.errors import FilesystemError, FormatError
from pdelta.filesystem import failure, syscalls
from pdelta.filesystem.opening import Opening, best_opening, open_beneath, open_walking
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.syscalls import UnsupportedError
from tests.fixtures.chain import LETTERS


@pytest.fixture(params=[open_beneath, open_walking], ids=["openat2", "walk"])
def opening(request: pytest.FixtureRequest) -> Opening:
    """Give each way of opening in turn."""
    if request.param is open_beneath and not syscalls.has_openat2():
        pytest.skip("this kernel or sandbox has no openat2")
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Give the path of a small tree."""
    root = tmp_path / "tree"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_bytes(b"content")
    (root / "link").symlink_to("a/b/file")
    (root / "to-a").symlink_to("a")
    return root


@pytest.fixture
def tree(base: Path, opening: Opening) -> Iterator[Directory]:
    """Give the small tree, open."""
    with Directory.open_root(os.fsencode(base), opening=opening) as opened:
        yield opened


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_root_when_its_address_is_a_link_then_followed_once(base: Path, tmp_path: Path, opening: Opening) -> None:
    (tmp_path / "current").symlink_to(base)
    with Directory.open_root(os.fsencode(tmp_path / "current"), opening=opening) as root:
        (tmp_path / "current").unlink()
        (tmp_path / "current").symlink_to("/")
        assert sorted(root.names()) == [b"a", b"link", b"to-a"]
        assert root.same_as(base.stat())


def test_opening_when_the_sandbox_forbids_openat2_then_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_arguments: object) -> int:
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(syscalls, "_openat2", forbid)
    syscalls.has_openat2.cache_clear()
    try:
        assert best_opening() is open_walking
    finally:
        monkeypatch.undo()
        syscalls.has_openat2.cache_clear()


def test_open_when_nested_then_reads_and_knows_its_identity(tree: Directory, base: Path) -> None:
    assert _read(tree.open_file(b"a/b/file")) == b"content"
    with tree.open_directory(b"a/b") as below:
        assert below.names() == [b"file"]
        assert below.same_as((base / "a" / "b").stat())
        assert not below.same_as((base / "a").stat())
        assert below.path == os.fsencode(base / "a" / "b")
        assert _read(below.open_file(b"file")) == b"content"
    with tree.open_directory(b"") as again:
        assert (again.device, again.inode) == (tree.device, tree.inode)


def test_close_when_called_twice_then_nothing_else_is_closed(tree: Directory) -> None:
    below = tree.open_directory(b"a")
    fd = below.fd
    below.close()
    reused = os.open("/", os.O_PATH)
    assert reused == fd
    below.close()
    os.close(reused)


def test_open_when_it_fails_then_no_descriptor_is_left(tree: Directory) -> None:
    held = os.listdir("/proc/self/fd")
    for path in (b"a/b/none", b"a/none/file", b"to-a/b/file", b"a/b", b"a/b/file/x", b"link"):
        with pytest.raises((OSError, FilesystemError)):
            tree.open_file(path)
        with pytest.raises((OSError, FilesystemError)):
            tree.open_directory(path + b"/x")
    tree.lstat(b"a/none/file")
    tree.lstat(b"to-a/b")
    assert len(os.listdir("/proc/self/fd")) == len(held)


@pytest.mark.parametrize(
    ("path", "kind"),
    [(b"a/none", FileNotFoundError), (b"none/a", FileNotFoundError), (b"a/b/file/x", NotADirectoryError)],
)
def test_open_when_the_kernel_refuses_then_its_error_names_the_full_path(
    tree: Directory, path: bytes, kind: type[OSError]
) -> None:
    for call in (tree.open_file, tree.open_directory, tree.open_handle, tree.readlink):
        with pytest.raises(kind) as caught:
            call(path)
        assert caught.value.filename == tree.locate(path)


@pytest.mark.parametrize("path", [b"link", b"to-a/b/file", b"to-a/none"])
def test_open_when_a_link_is_in_the_way_then_refused_in_words(tree: Directory, path: bytes) -> None:
    with pytest.raises(FilesystemError, match="symbolic link") as caught:
        tree.open_file(path)
    assert caught.value.hint


def test_open_file_when_it_would_create_then_a_bug(tree: Directory) -> None:
    for flag in (os.O_CREAT, os.O_TRUNC, os.O_TMPFILE):
        with pytest.raises(ValueError, match="create_exclusive"):
            tree.open_file(b"a/b/file", os.O_RDWR | flag)
    assert _read(tree.open_file(b"a/b/file")) == b"content"


def test_open_file_when_to_be_written_then_writes(tree: Directory, base: Path) -> None:
    fd = tree.open_file(b"a/b/file", os.O_RDWR)
    os.pwrite(fd, b"C", 0)
    assert _read(fd) == b"Content"
    os.link(base / "a" / "b" / "file", base / "second")
    with pytest.raises(FilesystemError, match="2 names"):
        tree.open_file(b"a/b/file", os.O_WRONLY)
    os.close(tree.open_file(b"second", os.O_WRONLY, names=2))


LEASE = """
import fcntl, os, signal, sys
fd = os.open(sys.argv[1], os.O_RDWR)
def release(*_):
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
signal.signal(signal.SIGIO, release)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("ready", flush=True)
sys.stdin.read()
"""


def test_open_file_when_another_process_holds_a_lease_then_waits_for_it(tree: Directory, base: Path) -> None:
    command = [sys.executable, "-c", LEASE, os.fspath(base / "a" / "b" / "file")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            if holder.stdout.readline() != b"ready\n":
                pytest.skip("no leases here")
            assert _read(tree.open_file(b"a/b/file")) == b"content"
        finally:
            holder.send_signal(signal.SIGKILL)


def test_open_when_the_path_is_longer_than_one_call_takes_then_opened_in_steps(base: Path, opening: Opening) -> None:
    LETTERS.build(base)
    kept = b".pdelta/undo/1/" + b"k" * 120
    os.makedirs(os.fsencode(base) + b"/" + kept)
    (base / "d").rename(os.fsdecode(os.fsencode(base) + b"/" + kept + b"/d"))
    bottom = kept + b"/d" * LETTERS.levels
    assert len(bottom) > 4095
    with Directory.open_root(os.fsencode(base), opening=opening) as root:
        with root.open_directory(bottom) as folder:
            assert folder.names() == [b"file"]
        assert _read(root.open_file(bottom + b"/file")).startswith(b"level 2000")
        assert root.lstat(bottom + b"/none") is None
        with root.open_directory(kept + b"/d" * (LETTERS.levels - 1)) as above:
            above.symlink(b"d", b"link")
        with pytest.raises(FilesystemError, match="symbolic link"):
            root.open_file(bottom[:-1] + b"link/file")


def test_lstat_when_nothing_has_that_path_then_none(tree: Directory) -> None:
    for path in (b"none", b"none/x", b"a/none", b"a/b/file/x", b"to-a/b"):
        assert tree.lstat(path) is None


def test_lstat_when_present_then_of_the_thing_itself(tree: Directory, base: Path) -> None:
    for path in ("", "a", "link", "a/b/file", "to-a"):
        status = tree.lstat(path.encode())
        assert status is not None
        expected = (base / path).lstat()
        assert (status.st_ino, status.st_mode, status.st_size) == (expected.st_ino, expected.st_mode, expected.st_size)


def test_readlink_when_a_link_then_its_raw_target(tree: Directory, base: Path) -> None:
    os.symlink(b"\xff\n/../x", os.fsencode(base / "a" / "raw"))
    assert tree.readlink(b"a/raw") == b"\xff\n/../x"
    assert tree.readlink(b"link") == b"a/b/file"
    with pytest.raises(OSError, match="Invalid argument") as caught:
        tree.readlink(b"a/b/file")
    assert caught.value.errno == errno.EINVAL


def test_names_when_any_bytes_then_raw_and_complete_each_time(tree: Directory, base: Path) -> None:
    names = [b"\xff\xfe", b"new\nline", b"-rf", b"n" * 255, "\N{SNOWMAN}".encode(), b" "]
    with tree.open_directory(b"a/b") as folder:
        folder.unlink(b"file")
        assert folder.names() == []
        for name in names:
            os.close(folder.create_exclusive(name))
        for _ in range(2):
            assert sorted(folder.names()) == sorted(names)
    assert len(list((base / "a" / "b").iterdir())) == len(names)


def test_mutations_when_asked_then_done_to_one_name(tree: Directory, base: Path) -> None:
    with tree.open_directory(b"a") as folder:
        tree.mkdir(b"new")
        tree.symlink(b"../../anything", b"sym")
        tree.link(b"sym", folder, b"sym2")
        assert folder.readlink(b"sym2") == b"../../anything"
        fd = tree.create_exclusive(b"x")
        os.write(fd, b"x")
        os.close(fd)
        tree.link(b"x", folder, b"x2")
        assert (base / "a" / "x2").read_bytes() == b"x"
        tree.rename_noreplace(b"x", folder, b"x3")
        tree.replace(b"link", folder, b"x2")
        assert (base / "a" / "x2").is_symlink()
        folder.exchange(b"x3", tree, b"new")
        assert (base / "new").read_bytes() == b"x"
        folder.rmdir(b"x3")
        folder.unlink(b"x2")
        folder.sync()
        assert sorted(folder.names()) == [b"b", b"sym2"]


def test_mutations_when_the_name_is_taken_then_nothing_is_replaced(tree: Directory, base: Path) -> None:
    (base / "dangling").symlink_to("nowhere")
    (base / "file").write_bytes(b"mine")
    for name in (b"a", b"link", b"dangling"):
        for call in (
            tree.mkdir,
            lambda name: tree.symlink(b"x", name),
            lambda name: tree.link(b"file", tree, name),
            lambda name: tree.rename_noreplace(b"file", tree, name),
            tree.create_exclusive,
        ):
            with pytest.raises(FileExistsError) as caught:
                call(name)
            assert tree.locate(name) in {caught.value.filename, caught.value.filename2}
    assert (base / "file").read_bytes() == b"mine"
    assert not (base / "nowhere").exists()


def test_rename_when_the_file_system_cannot_then_unsupported_and_nothing_happened(
    tree: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syscalls, "RENAME_EXCHANGE", 1 << 20)
    with pytest.raises(UnsupportedError) as caught:
        tree.exchange(b"link", tree, b"a")
    assert caught.value.filename == tree.locate(b"link")
    assert tree.readlink(b"link") == b"a/b/file"


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/a", b"a\0", b"n" * 256])
def test_mutations_when_the_name_is_none_then_refused_before_the_kernel_sees_it(tree: Directory, name: bytes) -> None:
    calls: list[Callable[[], object]] = [
        lambda: tree.mkdir(name),
        lambda: tree.rmdir(name),
        lambda: tree.unlink(name),
        lambda: tree.symlink(b"x", name),
        lambda: tree.link(name, tree, b"x"),
        lambda: tree.link(b"link", tree, name),
        lambda: tree.replace(name, tree, b"x"),
        lambda: tree.replace(b"link", tree, name),
        lambda: tree.rename_noreplace(name, tree, b"x"),
        lambda: tree.rename_noreplace(b"link", tree, name),
        lambda: tree.exchange(name, tree, b"a"),
        lambda: tree.exchange(b"link", tree, name),
        lambda: tree.create_exclusive(name),
    ]
    for call in calls:
        with pytest.raises(FormatError):
            call()


def test_failure_when_translated_then_says_action_path_and_hint() -> None:
    with pytest.raises(FilesystemError) as caught, failure.translated("write the staged file"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), b"/x/\xff", None, b"/y")
    assert caught.value.message.startswith("cannot write the staged file '/x/")
    assert "and '/y': No space left" in caught.value.message
    assert "gc" in caught.value.hint
    assert isinstance(caught.value.__cause__, OSError)
