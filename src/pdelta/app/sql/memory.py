"""What is remembered of the deltas of a section, so that nothing but head stamps need be read where nothing is to do.

The ids and digests of the files as they lie there now, and that the operator's journal held no open run: all told by
the bytes and the states of what was read. Losing it costs time only, and so does a damaged one. No SQL comes from
here: whatever is executed was read from its file in the same run.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from pdelta import __version__
from pdelta.app.context import Context
from pdelta.app.sql.scripts import Files
from pdelta.databases.base import Database
from pdelta.formats.database import DatabaseSection
from pdelta.sql.ledger import Head, head_of
from pdelta.sql.scope import Scope

_MAGIC: Final = b"pdelta known deltas 2\n"
_CHECK_BYTES: Final = 32

State = tuple[int, int, int]
"""Of a file: inode, length, and the time of its last change in nanoseconds; all 0 where there is none.

Not the time of its inode's last change: SQLite sets the log's owner whenever root opens it.
"""


class Known(msgspec.Struct, frozen=True, array_like=True):
    """One delta.

    Attributes:
        id: What ledgers know it by.
        name: Of its file, without ``.sql``.
        digest: Of its forward statements.
        scope: Who receives it.
        baseline: Whether it stands for those before it, so that only tenants which began with it have it.
    """

    id: str
    name: str
    digest: str
    scope: Scope
    baseline: bool = False


class _Kept(msgspec.Struct, array_like=True):
    """What is written.

    Attributes:
        key: Of the files that the deltas were read from.
        deltas: In the order of application.
        heads: Of ledgers that lack none of them.
        journal: The state of the journal when it held no open run of the section.
    """

    key: bytes
    deltas: tuple[Known, ...]
    heads: tuple[Head, ...]
    journal: tuple[State, ...] = ()


class Memory:
    """What is remembered of one section.

    Args:
        section: Which.
        database: Its database, which says how its files are read.
        files: As they lie there now.
        context: The command's surroundings.
    """

    def __init__(self, section: DatabaseSection, database: Database, files: Files, context: Context) -> None:
        """Read nothing yet."""
        self._key = _key(section, database, files)
        place = blake3(f"{context.folder}\n{section.name}".encode()).hexdigest(length=16)
        self._path = str(context.cache / "deltas" / f"{place}.known")
        self._kept: _Kept | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of the files as they are now."""
        return self._loaded() is None

    def heads(self, last: str = "") -> tuple[Head, ...]:
        """Give the heads of tenants that have all deltas up to this one, by id or file; none where that isn't known.

        There are several where tenants began with a baseline, and others did not.
        """
        kept = self._loaded()
        if kept is None or any(known.scope is Scope.ONCE for known in kept.deltas):
            return ()
        if not last:
            return kept.heads
        last = last.removesuffix(".sql")
        for place, known in enumerate(kept.deltas):
            if last in {known.id, known.name}:
                return _heads(kept.deltas[: place + 1])
        return ()

    def trusts(self, journal: tuple[State, ...]) -> bool:
        """Say whether the journal in these states held no open run; one that isn't there holds none."""
        kept = self._loaded()
        return not any(map(any, journal)) or (kept is not None and kept.journal == journal)

    def learn(self, deltas: Sequence[Known]) -> None:
        """Keep what the files say."""
        self._kept = _Kept(self._key, tuple(deltas), _heads(deltas))
        self._save()

    def learn_ended(self, journal: tuple[State, ...]) -> None:
        """Keep that the journal in these states holds no open run of the section."""
        kept = self._loaded()
        if kept is not None:
            kept.journal = journal
            self._save()

    def _loaded(self) -> _Kept | None:
        if self._kept is None:
            kept = _load(self._path)
            self._kept = kept if kept is not None and kept.key == self._key else None
        return self._kept

    def _save(self) -> None:
        data = msgspec.msgpack.encode(self._kept)
        staged = f"{self._path}.{os.getpid()}.new"
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            with open(staged, "wb") as stream:
                # Without a sync: what a power cut leaves of it is told by the checksum.
                stream.write(_MAGIC + blake3(data).digest() + data)
            os.replace(staged, self._path)


def _key(section: DatabaseSection, database: Database, files: Files) -> bytes:
    """Give what tells all that deltas are made of: this version, whose SQL it is, and every byte of the files."""
    hasher = blake3()
    words = [__version__, database.dialect.value, *sorted(mode.value for mode in database.modes), section.style or ""]
    parts = [word.encode() for word in words]
    for texts in (files.texts, files.configurations):
        parts.append(str(len(texts)).encode())
        for name, data in texts.items():
            parts += [os.fsencode(name), data]
    for part in parts:
        hasher.update(len(part).to_bytes(8, "big") + part)
    return hasher.digest()


def _heads(deltas: Sequence[Known]) -> tuple[Head, ...]:
    plain = [known for known in deltas if not known.baseline]
    began = [_head([*plain, known]) for known in deltas if known.baseline]
    # A tenant that has nothing at all may begin with a baseline yet.
    return (*began, _head(plain)) if plain or not began else tuple(began)


def _head(deltas: Sequence[Known]) -> Head:
    return head_of((known.id, known.digest, "applied") for known in deltas)


def _load(path: str) -> _Kept | None:
    with suppress(OSError, msgspec.DecodeError):
        with open(path, "rb") as stream:
            data = stream.read()
        body = data[len(_MAGIC) + _CHECK_BYTES :]
        if data[: len(_MAGIC)] == _MAGIC and blake3(body).digest() == data[len(_MAGIC) : -len(body) or None]:
            return _KEPT.decode(body)
    return None


def states_of(journal: Path) -> tuple[State, ...]:
    """Give the states of the journal and of its log, in which its newest records are."""
    return tuple(_state(f"{journal}{suffix}") for suffix in ("", "-wal"))


def _state(path: str) -> State:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


_KEPT: Final = msgspec.msgpack.Decoder(_Kept)
