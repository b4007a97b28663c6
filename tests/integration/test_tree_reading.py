"""A look at a whole destination by stat data reads no content, however large the files are."""

import os
from pathlib import Path
from typing import Any

import pytest

from pdelta.filesystem.scan import Scan, scan
from tests.fixtures.desk import Desk
from tests.fixtures.release import ReleaseDesk


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[Scan]:
    """What every look at a whole destination found."""
    found: list[Scan] = []

    def look(*arguments: Any) -> Scan:
        found.append(scan(*arguments))
        return found[-1]

    monkeypatch.setattr("pdelta.operations.tree.inspect.scan", look)
    return found


def test_push_when_the_whole_destination_is_compared_then_large_files_are_not_read_again(
    tmp_path: Path, scans: list[Scan]
) -> None:
    desk = Desk(tmp_path)
    desk.write({"large": os.urandom(1 << 20), "version": "1"})
    desk.push()
    desk.write({"version": "2"})
    desk.push(check="stat")
    assert [(found.files, found.read_bytes) for found in scans] == [(2, 0)]


def test_release_when_it_holds_large_files_then_they_are_not_read_again(tmp_path: Path, scans: list[Scan]) -> None:
    desk = ReleaseDesk(tmp_path)
    desk.write({"large": os.urandom(1 << 20), "version": "1"})
    desk.push()
    desk.write({"version": "2"})
    desk.push()
    desk.rollback()
    assert scans
    assert {found.read_bytes for found in scans} == {0}
