"""Pages as differences: what they cost, and what a hostile one can do."""

import tracemalloc
from contextlib import suppress

import pytest
from backports.zstd import compress
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError
from pdelta.formats.page import build_directory
from pdelta.model.snapshot import Entry
from pdelta.wire.page_patch import LIMIT_BYTES, apply_page_patch, make_page_patch


@given(st.binary(min_size=8, max_size=3000), st.binary(min_size=1, max_size=3000))
def test_patch_when_applied_to_its_base_then_the_page(base: bytes, page: bytes) -> None:
    assert apply_page_patch(base, make_page_patch(base, page)) == page


def test_patch_when_times_alone_changed_then_a_fraction_of_the_page() -> None:
    def page(shift: int) -> bytes:
        entries = [
            Entry(
                b"%04d" % n,
                1,
                0o644,
                1_700_000_000_000_000_000 + 7_777_777 * n + shift,
                9,
                bytes([n % 251]) * 31 + b"x" * 9,
            )
            for n in range(200)
        ]
        return build_directory(entries)[1][0][1]

    old, new = page(0), page(123_456_789)
    assert len(make_page_patch(old, new)) < len(new) / 4


@pytest.mark.parametrize("patch", [b"", b"nonsense", compress(bytes(LIMIT_BYTES + 1))])
def test_patch_when_damaged_or_too_large_then_refused(patch: bytes) -> None:
    with pytest.raises(FormatError):
        apply_page_patch(b"a base of some bytes", patch)


def test_patch_when_a_second_frame_follows_then_refused_before_it_is_unpacked() -> None:
    base = b"a base of some bytes"
    bomb = make_page_patch(base, b"a page") + compress(bytes(64 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match="does not end"):
            apply_page_patch(base, bomb)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_patch_when_it_is_cut_off_then_refused() -> None:
    base = b"a base of some bytes"
    with pytest.raises(FormatError):
        apply_page_patch(base, make_page_patch(base, b"a page that is not in its base")[:-3])


@pytest.mark.parametrize("base", [b"", b"1234567", build_directory([])[1][0][1]])
def test_patch_when_its_base_is_too_short_for_one_then_refused(base: bytes) -> None:
    with pytest.raises(FormatError):
        apply_page_patch(base, make_page_patch(b"12345678", b"a page"))


def test_patch_when_against_another_base_then_not_the_page() -> None:
    base, other = b"one base of a page" * 20, b"a different basis " * 20
    patch = make_page_patch(base, base + b"end")
    with suppress(FormatError):
        assert apply_page_patch(other, patch) != base + b"end"


def test_patch_when_the_base_is_an_empty_folder_then_none() -> None:
    assert make_page_patch(build_directory([])[1][0][1], b"a page") == b""
