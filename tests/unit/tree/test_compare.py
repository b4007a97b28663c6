"""Whether two entries differ, and in what."""

from typing import Any

import pytest

from pdelta.model.snapshot import Entry, Kind
from pdelta.tree.compare import is_adopted, metadata_difference, same_content, same_metadata


def entry(**fields: Any) -> Entry:
    values = {"name": b"a", "kind": Kind.FILE, "mode": 0o644, "mtime_ns": 5, "size": 1, "content": b"c", **fields}
    return Entry(**values)


@pytest.mark.parametrize(
    ("fields", "content", "metadata"),
    [
        ({}, True, True),
        ({"content": b"d"}, False, True),
        ({"size": 2}, False, True),
        ({"kind": Kind.SYMLINK}, False, True),
        ({"mode": 0o600}, True, False),
        ({"mtime_ns": 6}, True, False),
        ({"extra": {"a": True}}, True, True),
        ({"extra": {"l": True}}, True, True),
        ({"extra": {"o": [1, 2]}}, True, True),
    ],
)
def test_entries_when_one_field_differs_then_content_or_metadata_does(
    fields: dict[str, Any], *, content: bool, metadata: bool
) -> None:
    assert same_content(entry(), entry(**fields)) is content
    assert same_metadata(entry(), entry(**fields)) is metadata


@pytest.mark.parametrize(
    ("one", "two", "difference"),
    [
        ({"o": [1, 2]}, {"o": [1, 3]}, "owner"),
        ({"x": [[b"a", b"b"]]}, {"x": []}, "xattrs"),
        ({"x": [[b"a", b"b"]]}, {}, ""),
        ({"o": [1, 2]}, {"x": []}, ""),
    ],
)
def test_optional_fields_when_both_sides_have_them_then_compared(
    one: dict[str, Any], two: dict[str, Any], difference: str
) -> None:
    assert metadata_difference(entry(extra=one), entry(extra=two)) == difference
    assert same_metadata(entry(extra=one), entry(extra=two)) is (not difference)


def test_holes_when_they_differ_then_the_content_does() -> None:
    assert not same_content(entry(extra={"h": [[0, 1]]}), entry(extra={"h": [[0, 2]]}))


def test_folders_when_compared_then_what_is_in_them_does_not_count() -> None:
    assert same_content(entry(kind=Kind.DIRECTORY), entry(kind=Kind.DIRECTORY, content=b"other"))


def test_difference_when_several_fields_differ_then_all_are_named() -> None:
    assert metadata_difference(entry(), entry(mode=0o600, mtime_ns=6)) == "mode 0644 → 0600, mtime"


def test_adopted_when_flagged_then_said() -> None:
    assert (is_adopted(entry(extra={"a": True})), is_adopted(entry())) == (True, False)
