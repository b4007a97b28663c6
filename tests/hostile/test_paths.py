"""Attacks on paths: whoever names files, or changes the tree meanwhile, must not lead pdelta out of it.

Each attack is made twice: on the real thing, where it must fail, and on a plain stand-in without the protection,
where it must succeed; otherwise the test would prove nothing. ``PDELTA_SOAK=1`` runs 1,000,000 races for 20,000.
"""

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from pdelta.errors import FilesystemError, FormatError
from pdelta.filesystem import metadata, syscalls
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.metadata import Attributes
from pdelta.filesystem.opening import Opening, open_beneath, open_walking
from pdelta.filesystem.safe import Directory
from pdelta.model import names
from tests.fixtures.depth import by_depth

TRIES = by_depth(brief=5_000, full=20_000, soak=1_000_000)
SECRET = b"outside"


def open_plainly(directory_fd: int, path: bytes, flags: int) -> int:
    """Open as a program without protection does: links are followed."""
    return os.open(path, (flags | os.O_CLOEXEC) & ~os.O_NOFOLLOW, dir_fd=directory_fd)


def open_after_a_check(directory_fd: int, path: bytes, flags: int) -> int:
    """Open as a program does that looks for links first: right until somebody is quick."""
    parts = path.split(b"/")
    for count in range(1, len(parts) + 1):
        if stat.S_ISLNK(os.lstat(b"/".join(parts[:count]), dir_fd=directory_fd).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    return open_plainly(directory_fd, path, flags)


@pytest.fixture(params=[open_beneath, open_walking], ids=["openat2", "walk"])
def opening(request: pytest.FixtureRequest) -> Opening:
    """Give each protected way of opening in turn."""
    if request.param is open_beneath and not syscalls.has_openat2():
        pytest.skip("this kernel or sandbox has no openat2")
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Give a folder that holds a tree, and a secret beside it."""
    (tmp_path / "tree" / "d").mkdir(parents=True)
    (tmp_path / "tree" / "d" / "f").write_bytes(b"inside")
    (tmp_path / "outside" / "deep").mkdir(parents=True)
    (tmp_path / "outside" / "f").write_bytes(SECRET)
    (tmp_path / "outside" / "f").chmod(0o600)
    (tmp_path / "tree" / "s").symlink_to(tmp_path / "outside")
    (tmp_path / "tree" / "up").symlink_to("..")
    return tmp_path


def open_tree(base: Path, opening: Opening) -> Directory:
    """Open the tree in a given way."""
    return Directory.open_root(os.fsencode(base / "tree"), opening=opening)


def read(fd: int) -> bytes:
    """Read a short file and close it."""
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def outside(base: Path) -> list[str]:
    """List all that lies outside the tree."""
    return sorted(str(path.relative_to(base)) for path in (base / "outside").rglob("*"))


UNTOUCHED = ["outside/deep", "outside/f"]


# 1: path nonsense.

NONSENSE = {
    b"../outside/f": "outside/f",
    b"d/../../outside/f": "outside/f",
    b"s/../outside/f": "outside/f",
    b"d//f": "tree/d/f",
    b"./d/f": "tree/d/f",
    b"d/./f": "tree/d/f",
    b"d/f\0.txt": "tree/d/f",
    b"d/": "tree/d",
    b".": "tree",
    b"..": ".",
    b"/": "/",
}
"""What a peer might say, and what it reaches where nobody checks: something outside, or a file by a second name."""


def _calls(tree: Directory, path: bytes) -> list[Callable[[], object]]:
    return [
        lambda: tree.open_file(path),
        lambda: tree.open_file(path, os.O_RDWR),
        lambda: tree.open_directory(path),
        lambda: tree.open_handle(path),
        lambda: tree.lstat(path),
        lambda: tree.readlink(path),
        lambda: tree.mkdir(path),
        lambda: tree.unlink(path),
        lambda: tree.create_exclusive(path),
        lambda: tree.replace(b"d", tree, path),
        lambda: tree.exchange(path, tree, b"d"),
        lambda: metadata.set_attributes_of(tree, path, Attributes(mode=0o777)),
    ]


@pytest.mark.parametrize("path", [*NONSENSE, b"d/" + b"n" * 256, b"n/" * 3000 + b"n"])
def test_nonsense_when_given_as_a_path_then_refused_by_every_call(base: Path, opening: Opening, path: bytes) -> None:
    with open_tree(base, opening) as tree:
        for call in _calls(tree, path):
            with pytest.raises(FormatError):
                call()
        with pytest.raises(FormatError):
            tree.open_file(os.fsencode(base / "outside" / "f"))
    assert outside(base) == UNTOUCHED


@pytest.mark.parametrize(("path", "reached"), NONSENSE.items())
def test_nonsense_when_unprotected_then_reaches_something(
    base: Path, path: bytes, reached: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pdelta.filesystem.safe.check_relative", lambda _path: None)

    def cut_at_nul(directory_fd: int, path: bytes, flags: int) -> int:
        return open_plainly(directory_fd, path.split(b"\0")[0], flags)  # as C sees a path

    with open_tree(base, cut_at_nul) as tree:
        fd = tree.open_handle(path)
        assert os.path.samestat(os.fstat(fd), (base / reached).stat())
        os.close(fd)


def test_nonsense_when_it_climbs_unprotected_then_reads_the_secret(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pdelta.filesystem.safe.check_relative", lambda _path: None)
    with open_tree(base, open_plainly) as tree:
        for path in (b"../outside/f", b"d/../../outside/f", os.fsencode(base / "outside" / "f")):
            assert read(tree.open_file(path)) == SECRET


def test_nonsense_when_only_the_kernel_guards_then_openat2_refuses_too(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not syscalls.has_openat2():
        pytest.skip("this kernel or sandbox has no openat2")
    monkeypatch.setattr("pdelta.filesystem.safe.check_relative", lambda _path: None)
    with open_tree(base, open_beneath) as tree:
        for path in (
            b"../outside/f",
            b"d/../../outside/f",
            os.fsencode(base / "outside" / "f"),
            b"s/f",
            b"up/outside/f",
        ):
            with pytest.raises(FilesystemError):
                tree.open_file(path)


@pytest.mark.parametrize("pair", [(b"\xff", b"\xef\xbf\xbd"), (b"\xc3\xa9", b"e\xcc\x81"), (b"A", b"a"), (b"a", b"a ")])
def test_names_when_they_look_alike_then_each_is_its_own_file_or_refused(
    base: Path, opening: Opening, pair: tuple[bytes, bytes]
) -> None:
    with open_tree(base, opening) as tree:
        fd = tree.create_exclusive(pair[0])
        os.write(fd, b"first")
        os.close(fd)
        try:
            os.close(tree.create_exclusive(pair[1]))
        except FileExistsError:
            pass  # a file system that folds names: the first file is still what it was
        else:
            assert pair[1] in tree.names()
        assert read(tree.open_file(pair[0])) == b"first"


def test_names_when_unprotected_decoding_then_two_names_become_one(base: Path) -> None:
    for content in (b"\xff", b"\xef\xbf\xbd"):
        (base / "tree" / content.decode(errors="replace")).write_bytes(content)
    assert len([name for name in os.listdir(base / "tree") if name not in {"d", "s", "up"}]) == 1


@pytest.mark.parametrize("path", [b".pdelta/ledger.sqlite", b"d/.pdelta", b".pdelta-stage-9/x", b"d/.pdelta-runs/x"])
def test_reserved_when_a_peer_names_it_then_refused(path: bytes) -> None:
    with pytest.raises(FormatError, match="keeps for itself"):
        names.check_path(path)
    names.check_relative(path)  # the check without that protection lets it pass


# 2: a link in the tree that leads out of it.


def _through_links(tree: Directory) -> list[Callable[[], object]]:
    return [
        lambda: tree.open_file(b"s/f"),
        lambda: tree.open_file(b"up/outside/f"),
        lambda: tree.open_file(b"s/f", os.O_RDWR),
        lambda: tree.open_directory(b"s"),
        lambda: tree.open_directory(b"s/deep"),
        lambda: tree.open_directory(b"up"),
        lambda: tree.open_handle(b"s/f"),
        lambda: metadata.read_xattrs_of(tree, b"s/f"),
        lambda: DirectoryCache(tree).parent(b"s/f"),
        lambda: DirectoryCache(tree).verify(b"s/deep"),
    ]


def test_link_when_it_leaves_the_tree_then_nothing_goes_through_it(base: Path, opening: Opening) -> None:
    with open_tree(base, opening) as tree:
        for call in _through_links(tree):
            with pytest.raises(FilesystemError, match="symbolic link"):
                call()
        assert tree.lstat(b"s/f") is None
        with pytest.raises(NotADirectoryError):
            tree.rmdir(b"s")
        with pytest.raises(FileExistsError):
            tree.create_exclusive(b"s")
        metadata.set_attributes_of(tree, b"s", Attributes(mode=0o777, mtime_ns=1))
        tree.unlink(b"s")
    assert outside(base) == UNTOUCHED
    assert stat.S_IMODE((base / "outside" / "f").stat().st_mode) == 0o600
    assert (base / "outside").stat().st_mtime_ns != 1


def test_link_when_unprotected_then_everything_goes_through_it(base: Path) -> None:
    with open_tree(base, open_plainly) as tree:
        for call in _through_links(tree):
            call()
        assert read(tree.open_file(b"s/f")) == SECRET
        with tree.open_directory(b"s") as folder:
            folder.mkdir(b"planted")
    assert outside(base) == [*UNTOUCHED, "outside/planted"]


# 3: a link swapped in between check and use.

SWAP = """
import os, select, sys
from pdelta.filesystem.syscalls import RENAME_EXCHANGE, renameat2
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
first, second = os.fsencode(sys.argv[2]), os.fsencode(sys.argv[3])
print("ready", flush=True)
while not select.select([0], [], [], 0)[0]:
    for _ in range(1000):
        renameat2(fd, first, fd, second, RENAME_EXCHANGE)
"""


@contextmanager
def swapping(folder: Path, first: str, second: str) -> Iterator[None]:
    """Let another process exchange two names as fast as it can."""
    command = [sys.executable, "-c", SWAP, os.fspath(folder), first, second]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as racer:
        assert racer.stdout is not None
        try:
            assert racer.stdout.readline() == b"ready\n"
            yield
            assert racer.poll() is None
        finally:
            racer.kill()


class EscapedError(Exception):
    """Something was read or made outside the tree."""


class Race:
    """What came of many tries.

    Attributes:
        inside: Tries that worked, in the tree.
        refused: Tries that pdelta refused.
        escaped: Tries that got outside.
    """

    def __init__(self) -> None:
        self.inside = self.refused = self.escaped = 0

    def run(self, attempt: Callable[[], None], *, tries: int) -> None:
        """Try again and again, until the first escape."""
        for _ in range(tries):
            try:
                attempt()
            except EscapedError:
                self.escaped += 1
                return
            except (FilesystemError, NotADirectoryError):
                self.refused += 1
            else:
                self.inside += 1


def _attempt(kind: str, tree: Directory, base: Path) -> Callable[[], None]:
    """Give one try at the folder that is swapped: reading, writing, or a batch of the folder cache."""
    planted = os.fsencode(base / "outside" / "new")

    def reads() -> None:
        if read(tree.open_file(b"d/f")) == SECRET:
            raise EscapedError

    def makes(folder: Directory) -> None:
        os.close(folder.create_exclusive(b"new"))
        if os.path.lexists(planted):
            raise EscapedError
        folder.replace(b"new", folder, b"newer")
        folder.unlink(b"newer")

    def writes() -> None:
        with tree.open_directory(b"d") as folder:
            makes(folder)

    def batch() -> None:
        with DirectoryCache(tree) as cache:
            makes(cache.directory(b"d"))
            cache.verify(b"d")

    return {"reads": reads, "writes": writes, "batch": batch}[kind]


ATTEMPTS = pytest.mark.parametrize("kind", ["reads", "writes", "batch"])


@ATTEMPTS
def test_swap_when_a_racing_process_exchanges_folder_and_link_then_never_outside(
    base: Path, opening: Opening, kind: str
) -> None:
    race = Race()
    with open_tree(base, opening) as tree, swapping(base / "tree", "d", "s"):
        race.run(_attempt(kind, tree, base), tries=TRIES)
    assert race.escaped == 0
    assert race.inside > 0
    assert race.refused > 0
    assert outside(base) == UNTOUCHED


@ATTEMPTS
def test_swap_when_only_checked_before_use_then_gets_outside(base: Path, kind: str) -> None:
    race = Race()
    with open_tree(base, open_after_a_check) as tree, swapping(base / "tree", "d", "s"):
        race.run(_attempt(kind, tree, base), tries=1_000_000)
    assert race.escaped == 1


def test_swap_when_attributes_are_set_then_never_those_of_a_file_outside(base: Path, opening: Opening) -> None:
    (base / "tree" / "file").write_bytes(b"")
    (base / "tree" / "link").symlink_to(base / "outside" / "f")
    secret = base / "outside" / "f"
    before = secret.stat()
    with open_tree(base, opening) as tree, swapping(base / "tree", "file", "link"):
        for number in range(TRIES // 4):
            metadata.set_attributes_of(tree, b"file", Attributes(mode=0o777, mtime_ns=number))
    assert secret.stat() == before


def test_swap_when_attributes_are_set_after_a_check_then_those_of_a_file_outside(base: Path) -> None:
    (base / "tree" / "file").write_bytes(b"")
    (base / "tree" / "link").symlink_to(base / "outside" / "f")
    secret = base / "outside" / "f"
    with swapping(base / "tree", "file", "link"):
        for _ in range(1_000_000):
            if not (base / "tree" / "file").is_symlink():
                os.chmod(base / "tree" / "file", 0o777)
            if stat.S_IMODE(secret.stat().st_mode) == 0o777:
                return
    pytest.fail("the race was never won")


# 4: a hard link to a file outside.


def test_hard_link_when_its_file_lies_outside_then_never_written_through(base: Path, opening: Opening) -> None:
    (base / "tree" / "hard").hardlink_to(base / "outside" / "f")
    with open_tree(base, opening) as tree:
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
            with pytest.raises(FilesystemError, match="2 names"):
                tree.open_file(b"hard", flags)
        fd = tree.create_exclusive(b"staged")
        os.write(fd, b"new")
        os.close(fd)
        tree.replace(b"staged", tree, b"hard")
        assert read(tree.open_file(b"hard")) == b"new"
    assert (base / "outside" / "f").read_bytes() == SECRET


def test_hard_link_when_unprotected_then_written_through(base: Path) -> None:
    (base / "tree" / "hard").hardlink_to(base / "outside" / "f")
    fd = os.open(base / "tree" / "hard", os.O_WRONLY)
    os.write(fd, b"new")
    os.close(fd)
    assert (base / "outside" / "f").read_bytes() != SECRET


# 5: the parent is renamed away meanwhile.


@pytest.mark.parametrize("successor", ["nothing", "folder", "link"])
def test_parent_when_moved_away_during_a_batch_then_noticed_and_nothing_is_written_elsewhere(
    base: Path, opening: Opening, successor: str
) -> None:
    with open_tree(base, opening) as tree, DirectoryCache(tree) as cache:
        with pytest.raises(FilesystemError, match="moved, replaced or removed"):
            _work_while_taken_away(cache, base, successor)
        assert (base / "outside" / "taken" / "new").exists()  # in the folder that was verified, and nowhere else
        assert outside(base) == ["outside/deep", "outside/f", "outside/taken", "outside/taken/f", "outside/taken/new"]
        if successor == "folder":
            assert cache.verify(b"d").names() == []
        else:
            with pytest.raises((FilesystemError, FileNotFoundError)):
                cache.verify(b"d")


@pytest.mark.parametrize("successor", ["nothing", "folder"])
def test_parent_when_moved_away_before_a_batch_then_the_batch_does_not_begin(
    base: Path, opening: Opening, successor: str
) -> None:
    with open_tree(base, opening) as tree, DirectoryCache(tree) as cache:
        cache.verify(b"d")
        _take_away(base, successor)
        with pytest.raises(FilesystemError, match="moved, replaced or removed"), cache.batch(b"d"):
            pytest.fail("the batch began")


def test_parent_when_moved_away_unprotected_then_not_noticed(base: Path) -> None:
    with open_tree(base, open_plainly) as tree, DirectoryCache(tree) as cache:
        folder = cache.directory(b"d")
        _take_away(base, "folder")
        os.close(folder.create_exclusive(b"new"))
    assert (base / "outside" / "taken" / "new").exists()
    (base / "staged").write_bytes(b"x")
    (base / "tree" / "d").rmdir()
    (base / "tree" / "d").symlink_to(base / "outside" / "deep")
    (base / "staged").rename(base / "tree" / "d" / "new")
    assert (base / "outside" / "deep" / "new").exists()


def _work_while_taken_away(cache: DirectoryCache, base: Path, successor: str) -> None:
    with cache.batch(b"d") as folder:
        _take_away(base, successor)
        os.close(folder.create_exclusive(b"new"))


def _take_away(base: Path, successor: str) -> None:
    (base / "tree" / "d").rename(base / "outside" / "taken")
    if successor == "folder":
        (base / "tree" / "d").mkdir()
    elif successor == "link":
        (base / "tree" / "d").symlink_to(base / "outside" / "deep")


# 6: something else in place of a file.


class HungError(Exception):
    """An open waited."""


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Interrupt a block that waits."""

    def expire(_signal: int, _frame: FrameType | None) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(params=["a FIFO", "a socket", "a device", "a folder"])
def special(request: pytest.FixtureRequest, base: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Put something that is no file where a file is expected."""
    path = base / "tree" / "special"
    match request.param:
        case "a FIFO":
            os.mkfifo(path)
        case "a socket":
            monkeypatch.chdir(base / "tree")  # its address may have 108 bytes at most
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("special")
        case "a device":
            try:
                os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
            except PermissionError:
                pytest.skip("only root may make devices")
        case _:
            path.mkdir()
    return str(request.param)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR])
def test_special_when_in_place_of_a_file_then_refused_at_once(
    base: Path, opening: Opening, special: str, flags: int
) -> None:
    with open_tree(base, opening) as tree, deadline(5):
        with pytest.raises(FilesystemError, match=f"{special}|a socket or device"):
            tree.open_file(b"special", flags)
        tree.lstat(b"special")
        metadata.set_attributes_of(tree, b"special", Attributes(mode=0o700, mtime_ns=5))


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_WRONLY])
def test_special_when_a_fifo_and_unprotected_then_waits(base: Path, flags: int) -> None:
    os.mkfifo(base / "tree" / "special")
    with pytest.raises(HungError), deadline(0.2):
        os.open(base / "tree" / "special", flags)


def test_special_when_a_device_and_unprotected_then_reads_without_end(base: Path) -> None:
    path = base / "tree" / "special"
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        fd = os.open(path, os.O_RDONLY)
    except PermissionError:
        pytest.skip("only root may make devices, and they may not work here")
    assert len(os.read(fd, 1 << 16)) == 1 << 16
    os.close(fd)
