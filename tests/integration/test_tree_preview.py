"""What a diff says in advance is what the push then does."""

import os
import random
from pathlib import Path

import pytest

from tests.fixtures.desk import Desk


def content(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Two files are pushed, one of them large."""
    desk = Desk(tmp_path)
    desk.write({"big": content(1, 400_000), "folder": {"small": content(2, 20_000)}})
    desk.push()
    return desk


def test_fetched_bytes_when_measured_then_they_are_what_the_source_gives(desk: Desk) -> None:
    big = desk.source / "big"
    big.write_bytes(content(1, 100_000) + b"some new words" + big.read_bytes()[100_000:])
    (desk.source / "copy").write_bytes((desk.source / "folder/small").read_bytes())
    (desk.source / "new").write_bytes(content(3, 50_000))
    os.rename(desk.source / "folder", desk.source / "moved")
    done = desk.push(measure=True)
    assert done.refusals == []
    assert 50_000 < done.body.counts.bytes_fetched < 100_000
    assert done.fetched_bytes == done.body.counts.bytes_fetched


def test_ranges_when_a_file_changed_then_they_hold_every_changed_byte(desk: Desk) -> None:
    places = (10, 150_000, 399_000)
    data = bytearray((desk.source / "big").read_bytes())
    for place in places:
        data[place] ^= 0xFF
    (desk.source / "big").write_bytes(data)
    (change,) = [change for change in desk.push().delta.changes if change.subject == b"big"]
    assert all(any(start <= place < start + length for start, length in change.ranges) for place in places)
    assert change.changed_bytes == sum(length for _, length in change.ranges) < 200_000
    assert change.ranges == tuple(sorted(change.ranges))
