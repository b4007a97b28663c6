"""What a user asks of a push: values alone, cheap to import, so that a host is contacted before what is heavy loads."""

from typing import Final

import msgspec

from pdelta.model.snapshot import Chunking, Rule, Selection

BASE_CACHE_BYTES: Final = 2 << 30


class SourceOptions(msgspec.Struct, frozen=True):
    """What of a source is looked at, and how.

    Attributes:
        path: As it was typed.
        rules: Ordered ignore rules; those of the tree's own ignore files come before them.
        owner: Whether owner and group are carried.
        xattrs: Whether extended attributes are carried.
        chmod: Clause that changes every mode; empty for none.
        checksum: Whether every byte is read.
        changes: Clean relative paths that alone are looked at, as ``formats.change_list`` gives them; None looks at
            everything.
        stop_on_error: Whether an unreadable path refuses the push.
        chunking: What the user asked for; None for what the destination records.
    """

    path: str
    rules: tuple[Rule, ...] = ()
    owner: bool = False
    xattrs: bool = False
    chmod: str = ""
    checksum: bool = False
    changes: tuple[bytes, ...] | None = None
    stop_on_error: bool = False
    chunking: Chunking | None = None

    @property
    def selection(self) -> Selection:
        """What the snapshot will say of this."""
        return Selection(rules=self.rules, owner=self.owner, xattrs=self.xattrs, chmod=self.chmod)


class BaseCacheWish(msgspec.Struct, frozen=True):
    """What ``--base-cache`` says.

    Attributes:
        mode: ``auto``, ``on`` or ``off``.
        limit_bytes: Budget.
    """

    mode: str = "auto"
    limit_bytes: int = BASE_CACHE_BYTES


class PushOptions(msgspec.Struct, frozen=True):
    """What a push may do; see ``formats.history.PushWish`` for the fields of the same name.

    Attributes:
        dry_run: Whether to stop after the pre-flight.
        base_cache: What is kept for the next push, and used.
    """

    delete: bool | None = None
    max_delete: int | None = None
    yes: bool = False
    drift: str = "refuse"
    check: str = "trust"
    durable: bool = True
    undo: bool = True
    note: str = ""
    release: bool = False
    convert: bool = False
    inplace: bool = False
    dry_run: bool = False
    listed: int = 1000
    base_cache: BaseCacheWish = BaseCacheWish()
