"""The record of what is being staged, by which a later attempt knows whether what it finds is of use.

Called by the transactions of both modes, which hold the lock. Looks at no staged
content: staging verifies that itself.
"""

from collections.abc import Callable

import msgspec

from pdelta.filesystem.state import RECORD, STAGING, StateFolder
from pdelta.model import UNDECODABLE
from pdelta.model.failpoint import FailPoint


class Record(msgspec.Struct, frozen=True):
    """What is being staged, durable before the first staged file.

    Attributes:
        before: What it starts from. In a folder, the root pages of the content and not the snapshot, since making the
            state folder changes the time of the tree itself.
        after: Snapshot that it leads to.
        number: Ledger entry that it will be.
        folders: Staging folders outside the state folder.
    """

    before: bytes
    after: bytes
    number: int
    folders: tuple[bytes, ...]


def read_record(state: StateFolder) -> Record | None:
    """Give the record of what an unfinished transfer left; None where there is none, or one that was cut off."""
    found = state.read(STAGING + b"/" + RECORD)
    if found is None:
        return None
    try:
        return msgspec.msgpack.decode(found, type=Record)
    except UNDECODABLE:
        return None


def open_staging(
    state: StateFolder, record: Record, clear: Callable[[], None], failpoint: FailPoint, *, durable: bool
) -> bool:
    """Make the staging folder, or go on with what an equal attempt left; say which.

    Args:
        state: Holds the staging folder.
        record: What will be staged.
        clear: Removes what another attempt left.
        failpoint: Called after every durable write.
        durable: Whether the record is synced.
    """
    if read_record(state) == record:
        return True
    clear()
    failpoint("stage.cleared")
    state.begin_staging(msgspec.msgpack.encode(record), durable=durable)
    failpoint("stage.record")
    return False
