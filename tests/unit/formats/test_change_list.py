"""What another program says has changed is believed as far as it names paths below the source."""

import pytest

from pdelta.errors import UsageError
from pdelta.formats.change_list import read_changes


@pytest.mark.parametrize(
    ("data", "paths"),
    [
        (b"", ()),
        (b"a\0", (b"a",)),
        (b"a\0b/c", (b"a", b"b/c")),
        (b"./a\0b/\0./c/\0", (b"a", b"b", b"c")),
        (b".\0./\0", (b"", b"")),
        (b"with\nline break\0..hidden\0...\0caf\xe9\0", (b"with\nline break", b"..hidden", b"...", b"caf\xe9")),
        (b".pdelta/ledger.sqlite\0", (b".pdelta/ledger.sqlite",)),
    ],
)
def test_changes_when_clean_then_each_is_given_relative_to_the_source(data: bytes, paths: tuple[bytes, ...]) -> None:
    assert read_changes(data, "list") == paths


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        (b"/etc/passwd", "it is absolute"),
        (b"/", "it is absolute"),
        (b".//etc", "it is absolute"),
        (b"..", "'..' part"),
        (b"../x", "'..' part"),
        (b"a/../b", "'..' part"),
        (b"a/..", "'..' part"),
        (b"a//b", "empty"),
        (b"a//", "empty"),
        (b"a/./b", "'.'"),
        (b"././a", "'.'"),
        (b"", "it is empty"),
        (b"a/" + b"x" * 256, "more than 255"),
        (b"x/" * 2048 + b"x", "more than 4095"),
    ],
)
def test_changes_when_a_path_is_not_clean_then_it_is_refused_by_name(path: bytes, fault: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_changes(b"good\0" + path + b"\0also good\0", "list")
    assert caught.value.message.startswith("list: '" + path[:80].decode())
    assert fault in caught.value.message
    assert "nothing was looked at" in caught.value.message
    assert "css/site.css" in caught.value.hint


@pytest.mark.parametrize("data", [b"a\n", b"a\nb\n", b"\n"])
def test_changes_when_separated_by_line_breaks_then_refused(data: bytes) -> None:
    with pytest.raises(UsageError, match="not by line breaks"):
        read_changes(data, "list")
