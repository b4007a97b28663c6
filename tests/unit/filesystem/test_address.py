"""What is wrong with the address of a tree is told as what it is: impossible, not allowed, or a failure."""

import errno
import os
from pathlib import Path

import pytest

from pdelta.errors import FilesystemError, PreflightError, UsageError
from pdelta.filesystem.address import addressed, check_address, follow_links
from pdelta.filesystem.safe import Directory


@pytest.fixture
def place(tmp_path: Path) -> bytes:
    """A folder with a file, and links to it, to nothing and to itself."""
    (tmp_path / "file").write_text("")
    for name, target in (("to-file", "file"), ("dangling", "nowhere"), ("loop", "loop"), ("to-folder", ".")):
        (tmp_path / name).symlink_to(target)
    return os.fsencode(tmp_path)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (b"file", "file' is no folder"),
        (b"to-file", "to-file' is no folder"),
        (b"file/x", "file', on the way to '"),
        (b"file/x/y", "file', on the way to '"),
        (b"loop", "links that lead back"),
        (b"x" * 300, "has 300 bytes, more than 255"),
        (b"x/" * 3000, "more than 4095"),
    ],
)
def test_address_when_no_folder_can_be_there_then_the_request_is_impossible(
    place: bytes, path: bytes, told: str
) -> None:
    whole = place + b"/" + path
    with pytest.raises(UsageError) as caught, addressed(whole):
        Directory.open_root(whole)
    assert told in caught.value.message
    assert caught.value.message.endswith("; nothing was changed")
    assert len(caught.value.message) < 500


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EACCES, PreflightError),
        (errno.EPERM, PreflightError),
        (errno.EROFS, PreflightError),
        (errno.ENOSPC, PreflightError),
        (errno.EDQUOT, PreflightError),
        (errno.ENOENT, UsageError),
        (errno.EIO, FilesystemError),
        (errno.EMFILE, FilesystemError),
    ],
)
def test_address_when_the_system_refuses_then_the_kind_of_error_says_who_can_help(
    place: bytes, number: int, kind: type[Exception]
) -> None:
    with pytest.raises(kind) as caught, addressed(place):
        raise OSError(number, os.strerror(number), place)
    assert os.fsdecode(place) in str(caught.value)


def test_address_when_it_is_a_link_to_nothing_then_nothing_is_made_there(place: bytes) -> None:
    with pytest.raises(UsageError, match="'nowhere', where nothing is") as caught:
        check_address(place + b"/dangling")
    assert "mount" in caught.value.hint


@pytest.mark.parametrize(
    ("path", "found"),
    [(b"to-folder", b""), (b"to-folder/new", b"/new"), (b"new/deeper", b"/new/deeper"), (b"dangling/x", b"/nowhere/x")],
)
def test_address_when_links_are_on_the_way_then_they_are_followed(place: bytes, path: bytes, found: bytes) -> None:
    check_address(place + b"/" + path)
    assert follow_links(place + b"/" + path) == os.path.realpath(place) + found
