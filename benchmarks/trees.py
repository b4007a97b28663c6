"""The trees, made by seed, and the changes made to them in place, as their owner would."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.content import Content

MIB = 1 << 20
EPOCH_S = 1_700_000_000
FILES_A_FOLDER = 100


def make_small_files(root: Path, scale: float) -> None:
    """Make 20,000 files, 240 MB together, half prose and half noise: a site with its pictures."""
    content = Content(1)
    for number, path in _paths(root, int(20_000 * scale)):
        # Log-normal, as sizes of files are (Downey 2001); this mean is 12 kB.
        size = min(int(content.random.lognormvariate(8.4, 1.39)) + 1, 4 * MIB)
        _write(path, content.prose(size) if number % 2 else content.noise(size), number)


def make_many_files(root: Path, scale: float) -> None:
    """Make 100,000 files of about 300 bytes."""
    content = Content(2)
    for number, path in _paths(root, int(100_000 * scale)):
        _write(path, content.noise(content.random.randrange(100, 500)), number)


def make_million_files(root: Path, scale: float) -> None:
    """Make 1,000,000 files of a few bytes."""
    for number, path in _paths(root, int(1_000_000 * scale)):
        _write(path, b"%d\n" % number, number)


def make_huge_file(root: Path, scale: float) -> None:
    """Make one file of 2 GiB of noise."""
    _write_blocks(root / "disk.img", Content(3).blocks(int(2048 * scale) * MIB))


def make_big_file(root: Path, scale: float) -> None:
    """Make one file of 1 GiB of noise."""
    _write_blocks(root / "archive.bin", Content(4).blocks(int(1024 * scale) * MIB))


def make_assets(root: Path, scale: float) -> None:
    """Make a directory of 500 MB in 2,000 files beside a few small ones."""
    content = Content(5)
    for number in range(max(1, int(2000 * scale))):
        path = root / "assets" / f"{number % 20:02}" / f"picture-{number}.raw"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content.noise(content.random.randrange(200_000, 300_000)), number)
    for number in range(20):
        _write(root / f"page-{number}.html", content.prose(8000), number)


def make_logs(root: Path, scale: float) -> None:
    """Make 500 MB of logs and JSON in 100 files."""
    content = Content(6)
    size = int(5_000_000 * scale)
    for number in range(100):
        kind = "json" if number % 2 else "log"
        path = root / kind / f"{number:03}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content.json(size) if number % 2 else content.log(size), number)


def make_sparse_file(root: Path, scale: float) -> None:
    """Make a file of 10 GiB, one MiB in sixteen written and the rest holes."""
    content = Content(7)
    root.mkdir(parents=True, exist_ok=True)
    size = int(10_240 * scale) * MIB
    with (root / "volume.img").open("wb") as stream:
        stream.truncate(size)
        for offset in range(0, size, 16 * MIB):
            stream.seek(offset)
            stream.write(content.noise(MIB))


def change_some(root: Path, turn: int) -> None:
    """Make 30 changes in a tree of small files: 20 edits, 5 new files, 5 deleted."""
    chance = random.Random(turn)
    files = sorted(path for path in root.rglob("*.dat"))
    chosen = chance.sample(files, 25)
    for path in chosen[:20]:
        data = bytearray(path.read_bytes())
        at = chance.randrange(len(data))
        data[at : at + 16] = chance.randbytes(16)
        path.write_bytes(data)
    for path in chosen[20:]:
        path.unlink()
        path.with_name(f"new-{turn}-{path.name}").write_bytes(chance.randbytes(12_000))


def overwrite_blocks(root: Path, turn: int) -> None:
    """Overwrite ten ranges of 4 KiB of the only file."""
    chance = random.Random(turn)
    (path,) = root.iterdir()
    size = path.stat().st_size
    with path.open("r+b") as stream:
        for _ in range(10):
            stream.seek(chance.randrange(size // 4096) * 4096)
            stream.write(chance.randbytes(4096))


def shift(root: Path, turn: int) -> None:
    """Insert 1 KiB after the first fifth of the only file, and delete 100 bytes after four fifths."""
    chance = random.Random(turn)
    (path,) = root.iterdir()
    size = path.stat().st_size
    fresh = root.parent / f"{root.name}.shifted"
    with path.open("rb") as old, fresh.open("wb") as new:
        _copy(old.fileno(), new.fileno(), size // 5)
        os.write(new.fileno(), chance.randbytes(1024))
        _copy(old.fileno(), new.fileno(), size * 4 // 5 - size // 5)
        os.lseek(old.fileno(), 100, os.SEEK_CUR)
        _copy(old.fileno(), new.fileno(), size)
    fresh.replace(path)


def rename_folder(root: Path, turn: int) -> None:
    """Rename the large directory."""
    (old,) = root.glob("assets*")
    old.rename(root / f"assets-{turn}")


def copy_folder(root: Path, turn: int) -> None:
    """Copy the large directory; the copies get new times, as ``cp -r`` gives them."""
    shutil.copytree(root / "assets", root / f"copy-{turn}", copy_function=shutil.copyfile)


def put_copy_away(root: Path, turn: int) -> None:
    """Take the copy out of the tree again, without deleting: deleting en masse slows ext4 for minutes."""
    grave = root.parent / f"{root.name}.grave"
    grave.mkdir(exist_ok=True)
    (root / f"copy-{turn}").rename(grave / f"copy-{turn}")


def touch_all(root: Path, turn: int) -> None:
    """Give every file another modification time."""
    for path in root.rglob("*"):
        if path.is_file():
            stamp = EPOCH_S + 4000 * (turn + 1)
            os.utime(path, (stamp, stamp))


def _paths(root: Path, count: int) -> Iterator[tuple[int, Path]]:
    """Give paths two folders deep, a hundred files a folder."""
    folder = root
    for number in range(count):
        if number % FILES_A_FOLDER == 0:
            group = number // FILES_A_FOLDER
            folder = root / f"d{group // 20:03}" / f"e{group % 20:02}"
            folder.mkdir(parents=True)
        yield number, folder / f"file-{number:07}.dat"


def _write(path: Path, data: bytes, number: int) -> None:
    path.write_bytes(data)
    os.utime(path, ns=(EPOCH_S * 10**9, EPOCH_S * 10**9 + number * 1_000_003))


def _write_blocks(path: Path, blocks: Iterator[bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.writelines(blocks)


def _copy(source: int, target: int, length: int) -> None:
    """Copy up to so many bytes from one position to the other."""
    while length > 0:
        done = os.sendfile(target, source, None, min(length, 1 << 30))
        if not done:
            return
        length -= done
