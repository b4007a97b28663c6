"""What the other end is given of a scanned folder, and that a changed file is never passed off as the scanned one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdelta.app.context import Context
from pdelta.app.no_source import NoSource
from pdelta.app.options import SourceOptions
from pdelta.app.scanning import ScannedSource
from pdelta.app.source import PIECE_BYTES, LocalSource
from pdelta.chunking.fine import apply_patch, signature
from pdelta.errors import FilesystemError, PdeltaError, PreflightError, SourceChangedError, UsageError
from pdelta.formats.page import PagedTree, decode_root
from pdelta.model.snapshot import Chunking
from pdelta.model.source import Want


def make_context(folder: Path) -> Context:
    return Context(
        cache=folder / "cache",
        state=folder / "state",
        runs=folder / "runs",
        control=folder / "control",
        who="tester@here",
        host="here",
        clock=lambda: 1_700_000_000_000_000_000,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "large").write_bytes(os.urandom(3 * PIECE_BYTES + 17))
    for number in range(50):
        (source / "sub" / str(number)).write_bytes(b"%d" % number * 100)
    return source


@pytest.fixture
def scanned(folder: Path, tmp_path: Path) -> Iterator[ScannedSource]:
    source = ScannedSource(SourceOptions(str(folder)), make_context(tmp_path))
    yield source
    source.close()


@pytest.fixture
def reader(scanned: ScannedSource) -> LocalSource:
    return scanned.scan(Chunking())


def test_root_record_when_asked_for_then_all_pages_hang_from_it(scanned: ScannedSource, reader: LocalSource) -> None:
    snapshot = scanned.result.snapshot
    root = decode_root(reader.read_pages([snapshot])[snapshot])
    names = [entry.name for entry in PagedTree(reader).directory(root.top.content)]
    assert names == [b"large", b"sub"]


def test_ranges_when_read_then_they_are_the_files_bytes_in_pieces(reader: LocalSource, folder: Path) -> None:
    large = (folder / "large").read_bytes()
    wants = [Want(b"large", 0, len(large)), Want(b"large", 5, 10)]
    wants += [Want(b"sub/%d" % number, 0, 100) for number in range(50)]
    pieces = [bytes(piece) for piece in reader.read_ranges(wants)]
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert len(pieces) < 8, "small files are joined"
    expected = large + large[5:15] + b"".join((b"%d" % number * 100)[:100] for number in range(50))
    assert b"".join(pieces) == expected


def test_range_when_a_signature_comes_with_it_then_the_answer_is_a_patch(reader: LocalSource, folder: Path) -> None:
    new = (folder / "large").read_bytes()[:65536]
    old = new[:30000] + b"other" + new[30000:]
    answer = b"".join(reader.read_ranges([Want(b"large", 0, 65536, signature=signature(old))]))
    assert answer[0] == 1
    assert int.from_bytes(answer[1:5]) == len(answer) - 5 < 16_384
    assert apply_patch(old, answer[5:], limit=65536) == new


@pytest.mark.parametrize("change", ["grow", "touch", "replace", "remove", "symlink", "fifo"])
def test_file_when_changed_after_the_scan_then_it_is_an_error_naming_it(
    reader: LocalSource, folder: Path, change: str
) -> None:
    file = folder / "sub" / "7"
    data = file.read_bytes()
    match change:
        case "grow":
            file.write_bytes(data + b"x")
        case "touch":
            os.utime(file, ns=(1, 1))
        case "replace":
            fresh = folder / "fresh"
            fresh.write_bytes(data)
            fresh.rename(file)
        case "remove":
            file.unlink()
        case "symlink":
            file.unlink()
            file.symlink_to("8")
        case _:
            file.unlink()
            os.mkfifo(file)
    for names in (b"7",), (b"5", b"6", b"7", b"8"):
        with pytest.raises(SourceChangedError) as caught:
            list(reader.read_ranges([Want(b"sub/" + name, 0, 100) for name in names]))
        assert caught.value.path == b"sub/7"


@pytest.mark.parametrize("path", [b"../outside", b"/etc/passwd", b"sub/../../outside", b"absent", b"sub"])
def test_range_when_a_hostile_peer_asks_for_another_path_then_it_is_refused(
    reader: LocalSource, folder: Path, path: bytes
) -> None:
    (folder.parent / "outside").write_text("secret")
    with pytest.raises(PdeltaError):
        list(reader.read_ranges([Want(path, 0, 1)]))


def test_ignored_file_when_a_hostile_peer_asks_for_it_then_it_is_not_given(folder: Path, tmp_path: Path) -> None:
    (folder / ".pdeltaignore").write_text("secret\n")
    (folder / "secret").write_text("key")
    source = ScannedSource(SourceOptions(str(folder)), make_context(tmp_path))
    try:
        with pytest.raises(SourceChangedError):
            list(source.scan(Chunking()).read_ranges([Want(b"secret", 0, 3)]))
    finally:
        source.close()


def test_scan_when_repeated_then_nothing_is_read_again(scanned: ScannedSource, reader: LocalSource) -> None:
    first = scanned.result
    scanned.scan(Chunking())
    assert scanned.result.snapshot == first.snapshot
    assert scanned.result.read_bytes < first.read_bytes


def test_scan_when_something_is_unreadable_and_errors_stop_then_it_is_refused(folder: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    (folder / "sub" / "7").chmod(0)
    source = ScannedSource(SourceOptions(str(folder), stop_on_error=True), make_context(tmp_path))
    try:
        with pytest.raises(PreflightError):
            source.scan(Chunking())
    finally:
        source.close()


def test_source_when_it_is_no_folder_then_it_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("absent", "file"):
        with pytest.raises(UsageError):
            ScannedSource(SourceOptions(str(tmp_path / name)), make_context(tmp_path))


def test_no_source_when_asked_then_it_refuses() -> None:
    assert NoSource().read_pages([]) == {}
    with pytest.raises(FilesystemError):
        NoSource().read_pages([bytes(32)])
    with pytest.raises(FilesystemError):
        list(NoSource().read_ranges([Want(b"a", 0, 1)]))
