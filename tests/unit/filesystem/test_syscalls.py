"""The calls that Python lacks do what their manual pages say."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdelta.filesystem import syscalls
from pdelta.filesystem.syscalls import UnsupportedError

BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """Give the descriptor of an empty folder."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@pytest.mark.skipif(not syscalls.has_openat2(), reason="this kernel or sandbox has no openat2")
@pytest.mark.parametrize(
    ("path", "code"),
    [(b"../x", errno.EXDEV), (b"/etc", errno.EXDEV), (b"link", errno.ELOOP), (b"none", errno.ENOENT)],
)
def test_openat2_when_the_path_leaves_then_the_kernel_refuses(
    folder: int, tmp_path: Path, path: bytes, code: int
) -> None:
    (tmp_path / "link").symlink_to("/etc")
    with pytest.raises(OSError, match=r".") as caught:
        syscalls.openat2(folder, path, os.O_RDONLY, 0, BENEATH)
    assert caught.value.errno == code
    assert caught.value.filename == path


def test_openat2_when_the_path_holds_nul_then_not_cut_short(folder: int) -> None:
    with pytest.raises(ValueError, match="null byte"):
        syscalls.openat2(folder, b".\0x", os.O_RDONLY)


def test_renameat2_when_the_new_name_is_taken_then_both_stay(folder: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    with pytest.raises(FileExistsError) as caught:
        syscalls.renameat2(folder, b"a", folder, b"b", syscalls.RENAME_NOREPLACE)
    assert (caught.value.filename, caught.value.filename2) == (b"a", b"b")
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "b").read_bytes()) == (b"a", b"b")


def test_renameat2_when_exchanging_then_names_swap(folder: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").mkdir()
    syscalls.renameat2(folder, b"a", folder, b"b", syscalls.RENAME_EXCHANGE)
    assert (tmp_path / "b").read_bytes() == b"a"
    assert (tmp_path / "a").is_dir()


def test_renameat2_when_the_flag_is_unknown_then_unsupported(folder: int, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    with pytest.raises(UnsupportedError) as caught:
        syscalls.renameat2(folder, b"a", folder, b"b", 1 << 20)
    assert caught.value.errno == errno.EINVAL
    assert (tmp_path / "a").exists()


def test_punch_when_supported_then_the_range_reads_as_zeros(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 16384)
    fd = os.open(path, os.O_RDWR)
    syscalls.punch(fd, 4096, 4096)
    os.close(fd)
    assert path.read_bytes() == b"x" * 4096 + bytes(4096) + b"x" * 8192


def test_sync_when_the_descriptor_is_closed_then_raises(folder: int) -> None:
    syscalls.sync_filesystem(folder)
    fd = os.dup(folder)
    os.close(fd)
    with pytest.raises(OSError, match="descriptor"):
        syscalls.sync_filesystem(fd)


def test_clone_when_between_file_systems_then_unsupported(folder: int, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    fd = os.open(tmp_path / "f", os.O_RDWR)
    other = os.open("/proc/self/status", os.O_RDONLY)
    with pytest.raises(UnsupportedError):
        syscalls.clone(other, fd)
    with pytest.raises(UnsupportedError):
        syscalls.clone_range(other, 0, fd, 0, 4096)
    os.close(fd)
    os.close(other)


def test_filesystem_id_when_asked_twice_then_equal_and_told_from_another(folder: int, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    below = os.open(tmp_path / "below", os.O_RDONLY)
    proc = os.open("/proc", os.O_RDONLY)
    assert syscalls.filesystem_id(folder) == syscalls.filesystem_id(below)
    assert syscalls.filesystem_id(folder) != syscalls.filesystem_id(proc)
    assert syscalls.filesystem_type(proc) == 0x9FA0
    os.close(below)
    os.close(proc)
