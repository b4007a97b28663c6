"""What may name something inside a tree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError
from pdelta.model import names

NONSENSE = {
    "absolute": b"/etc/passwd",
    "parent": b"../x",
    "parent within": b"a/../../x",
    "parent last": b"a/..",
    "dot": b".",
    "dot within": b"a/./b",
    "dot last": b"a/.",
    "double slash": b"a//b",
    "slash last": b"a/",
    "slash": b"/",
    "NUL": b"a\0b",
    "NUL alone": b"\0",
    "long name": b"n" * 256,
    "long name within": b"a/" + b"n" * 256 + b"/b",
    "long path": b"/".join([b"n" * 200] * 23),
}

LEGAL = [
    b"a",
    b"a/b",
    b"...",
    b".a",
    b"..a",
    b"a..",
    b"-rf",
    b"a\nb",
    b"\xff\xfe",
    "\N{PILE OF POO}".encode(),
    b"n" * 255,
]


@pytest.mark.parametrize("path", NONSENSE.values(), ids=NONSENSE.keys())
def test_path_when_nonsense_then_refused_as_path_and_as_name(path: bytes) -> None:
    for check in (names.check_relative, names.check_path, names.check_component, names.check_name):
        with pytest.raises(FormatError, match="was not used") as caught:
            check(path)
        assert len(caught.value.message) < 400


@pytest.mark.parametrize("path", LEGAL)
def test_path_when_any_legal_posix_name_then_accepted(path: bytes) -> None:
    names.check_relative(path)
    names.check_path(path)


def test_path_when_empty_then_the_tree_itself_but_no_name() -> None:
    names.check_path(b"")
    with pytest.raises(FormatError):
        names.check_name(b"")


def test_path_when_exactly_at_the_limit_then_accepted() -> None:
    path = b"/".join([b"n" * 255] * 15) + b"/" + b"n" * 255
    assert len(path) == names.PATH_LIMIT_BYTES
    names.check_path(path)


def test_path_when_only_what_stands_before_it_makes_it_long_then_opened_but_no_entry() -> None:
    path = b".pdelta/undo/1/new/" + b"/".join([b"n" * 255] * 16)
    names.check_relative(path)
    with pytest.raises(FormatError, match="it has 4114 bytes, more than 4095"):
        names.check_path(path)
    with pytest.raises(FormatError, match="more than 4607"):
        names.check_relative(b"/".join([b"n" * 255] * 18) + b"/" + b"n")


@pytest.mark.parametrize("name", [b".pdelta", b".pdelta-runs", b".pdelta-stage-", b".pdelta-stage-7"])
def test_reserved_when_pdeltas_own_then_no_entry_may_have_it_at_any_depth(name: bytes) -> None:
    assert names.is_reserved(name)
    names.check_component(name)
    for path in (name, b"a/" + name, b"a/" + name + b"/b"):
        names.check_relative(path)
        with pytest.raises(FormatError, match="keeps for itself"):
            names.check_path(path)
    with pytest.raises(FormatError, match="keeps for itself"):
        names.check_name(name)


@pytest.mark.parametrize(
    "name", [b".pdelta2", b".pdeltaignore", b".pdelta-stage", b".pdelta-run", b"x.pdelta", b"pdelta"]
)
def test_reserved_when_only_alike_then_free(name: bytes) -> None:
    assert not names.is_reserved(name)
    names.check_path(b"a/" + name)


def test_split_when_nested_or_at_the_top_then_joins_back() -> None:
    assert names.split_path(b"a/b/c") == (b"a/b", b"c")
    assert names.split_path(b"c") == (b"", b"c")
    assert names.parent_of(b"a/b") == b"a"
    assert names.parent_of(b"a") == b""
    assert names.join_path(b"", b"c") == b"c"
    assert names.join_path(b"a/b", b"c") == b"a/b/c"


@given(st.lists(st.sampled_from([b"", b".", b"..", b"a", b"\0", b"...", b"n" * 255, b"n" * 256, b"\xff"]), max_size=20))
def test_check_when_any_path_then_the_same_as_a_check_of_each_component(parts: list[bytes]) -> None:
    path = b"/".join(parts)
    good = path == b"" or (
        len(path) <= names.SLOT_LIMIT_BYTES
        and all(part not in {b"", b".", b".."} and b"\0" not in part and len(part) < 256 for part in parts)
    )
    try:
        names.check_relative(path)
    except FormatError:
        assert not good
    else:
        assert good
