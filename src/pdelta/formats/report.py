"""What a tree operation says of its tree: facts, checks, and what a calculated delta carries.

Called by ``operations.tree``, which makes these values, by ``operations.remote``,
which carries them, and by ``app``, which shows them.
"""

from typing import Final

import msgspec

from pdelta.errors import FormatError
from pdelta.formats.history import Counts, Wish
from pdelta.model import UNDECODABLE
from pdelta.model.change import Change
from pdelta.model.finding import Finding
from pdelta.model.snapshot import Chunking, Selection

STAT_DATA: Final = "contents by stat data"
"""What ``TreeBody.trusted`` says where every name was looked at, and contents were taken for what stat data says."""


class TreeBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a tree's delta.

    Attributes:
        wish: What was asked for.
        wanted: Snapshot that was asked for.
        recorded: Snapshot that the ledger held when this was calculated; empty for an unmanaged tree.
        number: Newest ledger entry at that time, 0 for none.
        counts: What will be done; ``bytes_changed`` is the size of new and changed content, ``bytes_fetched`` what
            the source must give, ``bytes_reused`` what is copied here.
        findings: What looking at the tree brought up.
        released: Paths that were held and are now ignored: neither deleted nor replaced.
        trusted: What was not looked at, in words; empty when everything was.
        deleted: Files and links that will be deleted, counted below deleted folders too.
        found: What the tree was found to hold, where only the record differs from it; empty otherwise.
    """

    wish: Wish
    wanted: bytes
    recorded: bytes
    number: int
    counts: Counts
    findings: tuple[Finding, ...] = ()
    released: tuple[bytes, ...] = ()
    trusted: str = ""
    deleted: int = 0
    found: bytes = b""


def encode_body(body: TreeBody) -> bytes:
    """Give the body of a tree's delta as bytes."""
    return msgspec.msgpack.encode(body)


def decode_body(data: bytes) -> TreeBody:
    """Read the body of a tree's delta.

    Raises:
        FormatError: It does not follow its specification.
    """
    try:
        return msgspec.msgpack.decode(data, type=TreeBody)
    except UNDECODABLE as error:
        text = f"the delta does not follow its specification: {error}"
        raise FormatError(text) from error


class TreeFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tree is before anything is asked of it.

    Attributes:
        exists: Whether the folder is there.
        managed: Whether pdelta has an entry for it.
        number: Newest entry, 0 for none.
        held: Snapshot that it holds; empty for an unmanaged tree.
        wanted: Snapshot that was asked for last; empty for an unmanaged tree.
        chunking: How its contents are cut; None for an unmanaged tree.
        selection: What its snapshots look at; None for an unmanaged tree.
        unfinished: Whether a run was killed during its commit, and recovery is due.
        staged: Snapshot of which an earlier run left staged content; empty for none.
    """

    exists: bool
    managed: bool
    number: int = 0
    held: bytes = b""
    wanted: bytes = b""
    chunking: Chunking | None = None
    selection: Selection | None = None
    unfinished: bool = False
    staged: bytes = b""


class CheckReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What reading every byte of a tree brought up.

    Attributes:
        number: Entry whose held snapshot it was compared with.
        files: Files that were read.
        bytes: Their size.
        changes: Differences, with the actions ``changed``, ``missing``, ``extra`` and ``metadata``.
        findings: What could not be read.
    """

    number: int
    files: int
    bytes: int
    changes: tuple[Change, ...] = ()
    findings: tuple[Finding, ...] = ()


class RecoverReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What recovery found and did.

    Attributes:
        found: ``nothing``, ``staged`` (content of an unfinished transfer, kept), or ``commit``.
        direction: ``forward`` or ``backward`` for a commit.
        number: Entry that was finished; 0 when there was none.
        foreign: Paths that somebody changed meanwhile, which were left.
    """

    found: str
    direction: str = ""
    number: int = 0
    foreign: tuple[bytes, ...] = ()


class Retention(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much undo data stays; None does not limit.

    Attributes:
        keep: How many newest entries.
        older_than_ns: Entries made before this time may go, nanoseconds since the epoch.
        max_bytes: Undo data in all, in bytes.
        newest: Whether even the newest entry's undo data may go.
    """

    keep: int | None = None
    older_than_ns: int | None = None
    max_bytes: int | None = None
    newest: bool = False


class CollectReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """What collecting freed.

    Attributes:
        entries: Numbers whose undo data was removed.
        freed_bytes: Its size, and what staged content took of the disk.
        kept_bytes: Undo data that is left.
        pages: Snapshot pages that were removed.
        staged: Whether staged content of an unfinished transfer was removed.
    """

    entries: tuple[int, ...] = ()
    freed_bytes: int = 0
    kept_bytes: int = 0
    pages: int = 0
    staged: bool = False
