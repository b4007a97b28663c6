"""Attributes land on the very inode that was meant, in an order that loses none."""

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdelta.errors import FilesystemError, FormatError
from pdelta.filesystem import metadata
from pdelta.filesystem.metadata import Attributes, OwnerRights
from pdelta.filesystem.safe import Directory

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
MTIME_NS = 1_600_000_000_123_456_789


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Directory]:
    """Give an open tree with a file, a folder, and links to both and to nothing."""
    root = tmp_path / "tree"
    (root / "folder").mkdir(parents=True)
    (root / "file").write_bytes(b"content")
    (root / "to-file").symlink_to("file")
    (root / "to-folder").symlink_to("folder")
    (root / "dangling").symlink_to("nowhere")
    with Directory.open_root(os.fsencode(root)) as opened:
        yield opened


def _look(tree: Directory, name: bytes) -> os.stat_result:
    status = tree.lstat(name)
    assert status is not None
    return status


@pytest.mark.parametrize("name", [b"file", b"folder", b""])
@pytest.mark.parametrize("mode", [0o000, 0o600, 0o755, 0o6755, 0o1777])
def test_set_when_a_name_then_mode_and_time_are_exact(tree: Directory, name: bytes, mode: int) -> None:
    before = _look(tree, name)
    metadata.set_attributes_of(tree, name, Attributes(mode=mode, mtime_ns=MTIME_NS))
    after = _look(tree, name)
    assert stat.S_IMODE(after.st_mode) == mode
    assert after.st_mtime_ns == MTIME_NS
    assert after.st_atime_ns == before.st_atime_ns


@pytest.mark.parametrize("name", [b"to-file", b"to-folder", b"dangling"])
def test_set_when_a_symbolic_link_then_the_link_itself_and_never_its_target(tree: Directory, name: bytes) -> None:
    targets = (_look(tree, b"file"), _look(tree, b"folder"))
    metadata.set_attributes_of(tree, name, Attributes(mode=0o600, mtime_ns=MTIME_NS, xattrs=()))
    assert _look(tree, name).st_mtime_ns == MTIME_NS
    assert (_look(tree, b"file"), _look(tree, b"folder")) == targets


@needs_root
def test_set_when_the_owner_changes_then_setuid_survives(tree: Directory) -> None:
    wanted = Attributes(mode=0o4755, mtime_ns=MTIME_NS, owner=(12, 34))
    metadata.set_attributes_of(tree, b"file", wanted)
    fd = tree.open_file(b"file", os.O_RDWR)
    os.chmod(fd, 0o600)
    metadata.set_attributes(fd, wanted)
    os.close(fd)
    status = _look(tree, b"file")
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o4755)
    assert status.st_mtime_ns == MTIME_NS


@needs_root
def test_set_when_the_owner_of_a_link_changes_then_its_target_keeps_its_own(tree: Directory) -> None:
    metadata.set_attributes_of(tree, b"to-file", Attributes(owner=(12, 34)))
    assert (_look(tree, b"to-file").st_uid, _look(tree, b"to-file").st_gid) == (12, 34)
    assert _look(tree, b"file").st_uid == 0


@pytest.mark.parametrize("name", [b"../x", b"folder/x", b"..", b"."])
def test_set_when_not_one_component_then_refused(tree: Directory, name: bytes) -> None:
    with pytest.raises(FormatError):
        metadata.set_attributes_of(tree, name, Attributes(mode=0o777))


def test_set_when_the_name_is_absent_then_the_full_path_is_named(tree: Directory) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        metadata.set_attributes_of(tree, b"none", Attributes(mode=0o777))
    assert caught.value.filename == tree.locate(b"none")


def _xattrs_work(tree: Directory) -> bool:
    try:
        os.setxattr(tree.fd, b"user.probe", b"")
    except OSError:
        return False
    os.removexattr(tree.fd, b"user.probe")
    return True


def test_xattrs_when_written_then_read_back_sorted_and_others_removed(tree: Directory) -> None:
    if not _xattrs_work(tree):
        pytest.skip("no extended attributes here")
    first = ((b"user.a", b"\0\xff"), (b"user.b", b""))
    metadata.set_attributes_of(tree, b"file", Attributes(xattrs=first[::-1]))
    assert metadata.read_xattrs_of(tree, b"file") == first
    metadata.set_attributes_of(tree, b"file", Attributes(xattrs=((b"user.b", b"2"),)))
    assert metadata.read_xattrs_of(tree, b"to-file") == ()
    fd = tree.open_file(b"file")
    assert metadata.read_xattrs(fd) == ((b"user.b", b"2"),)
    os.close(fd)


@pytest.mark.parametrize("name", [b"security.capability", b"trusted.x", b"system.other", b"users.x", b""])
def test_xattrs_when_the_namespace_does_not_travel_then_nothing_is_changed(tree: Directory, name: bytes) -> None:
    held = metadata.read_xattrs_of(tree, b"file")
    with pytest.raises(FilesystemError, match="does not travel"):
        metadata.set_attributes_of(tree, b"file", Attributes(xattrs=((b"user.a", b"1"), (name, b"1"))))
    assert metadata.read_xattrs_of(tree, b"file") == held


def _acl(group: int) -> bytes:
    """Encode an ACL as ``system.posix_acl_*`` holds it: owner rwx, user 1000 rw, group, mask rwx, others none."""
    entries = [(1, 7, 0xFFFFFFFF), (2, 6, 1000), (4, group, 0xFFFFFFFF), (0x10, 7, 0xFFFFFFFF), (0x20, 0, 0xFFFFFFFF)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_acl_when_set_with_a_mode_then_both_are_exact(tree: Directory) -> None:
    acl = _acl(5)
    try:
        os.setxattr(tree.fd, metadata.DEFAULT_ACL, acl)
    except OSError:
        pytest.skip("no ACLs here")
    assert metadata.has_default_acl(tree.fd)
    wanted = Attributes(
        mode=0o2770, mtime_ns=MTIME_NS, xattrs=((metadata.ACCESS_ACL, acl), (metadata.DEFAULT_ACL, acl))
    )
    metadata.set_attributes_of(tree, b"folder", wanted)
    assert metadata.read_xattrs_of(tree, b"folder") == wanted.xattrs
    assert stat.S_IMODE(_look(tree, b"folder").st_mode) == 0o2770


def test_acl_when_there_is_none_then_said(tree: Directory) -> None:
    assert not metadata.has_default_acl(tree.fd)


def _rights(**fields: object) -> OwnerRights:
    everyone = ((0, 1 << 32),)
    known: dict[str, object] = {
        "uids": everyone,
        "gids": everyone,
        "user": 1000,
        "groups": frozenset({1000, 27}),
        "privileged": False,
        **fields,
    }
    return OwnerRights(**known)  # type: ignore[arg-type]


def test_owner_when_the_namespace_does_not_map_it_then_it_is_named() -> None:
    rights = _rights(uids=((0, 1), (1000, 10)), gids=((0, 65536),))
    assert [rights.unmapped(*ids) for ids in ((0, 65535), (1009, 0))] == [(), ()]
    assert rights.unmapped(1, 0) == ("user 1",)
    assert rights.unmapped(1010, 65536) == ("user 1010", "group 65536")
    assert rights.unmapped(-1, 0) == ("user -1",)


def test_owner_when_nobody_at_all_then_named_even_where_all_are_mapped() -> None:
    assert _rights().unmapped(0xFFFFFFFF, 0) == ("user 4294967295",)


def test_owner_when_this_user_is_a_plain_one_then_only_itself_and_its_groups_are_allowed() -> None:
    rights = _rights()
    assert [rights.forbidden(1000, group) for group in (1000, 27)] == [(), ()]
    assert rights.forbidden(0, 28) == ("user 0", "group 28")
    assert _rights(privileged=True).forbidden(0, 28) == ()


def test_owner_rights_when_read_then_they_are_of_this_process() -> None:
    rights = OwnerRights.read()
    assert rights.unmapped(os.getuid(), os.getgid()) == rights.forbidden(os.getuid(), os.getgid()) == ()
    assert rights.unlimited <= rights.privileged
    assert not _rights().unlimited


@needs_root
def test_owner_rights_when_this_process_stops_being_root_then_they_are_gone() -> None:
    before = OwnerRights.read()
    os.seteuid(65534)
    try:
        assert not OwnerRights.read().privileged
    finally:
        os.seteuid(0)
    assert OwnerRights.read() == before
