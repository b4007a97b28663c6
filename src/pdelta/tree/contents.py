"""Two contents of a file compared by the pages of their chunk lists, and chunks looked for in them.

Called wherever a file is replaced by a relative. A page that both lists have stands
for all of its chunks, so what this takes grows with what is different and hardly
with the file. Never opens a file.
"""

from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from pdelta.model.snapshot import ChunkRun
from pdelta.tree.reader import Span, TreeReader


class Stretch(NamedTuple):
    """A part of the newer content.

    Attributes:
        offset: First byte.
        length: Bytes.
        old_offset: Where the older content has the same bytes; -1 where that is not known from the pages.
        span: The part of the chunk list that it is.
    """

    offset: int
    length: int
    old_offset: int
    span: Span


def stretches(old: bytes, new: bytes, tree: TreeReader) -> Iterator[Stretch]:
    """Give the newer content in order, cut where pages begin.

    Args:
        old: Any ``Entry.content`` of a file; empty for none.
        new: Likewise.
        tree: Reads chunk lists.
    """
    # The length counts too: a page above that lies about it must not move what follows.
    held = {(span.page, span.length): span.offset for span in reversed(tree.spans(old)) if span.page}
    for span in tree.spans(new):
        yield Stretch(span.offset, span.length, held.get((span.page, span.length), -1), span)


def new_runs(old: bytes, new: bytes, tree: TreeReader) -> Iterator[tuple[int, ChunkRun]]:
    """Give the runs of the newer content, each with its offset, whose chunks the older one does not have anywhere.

    Args:
        old: Any ``Entry.content`` of a file; empty for none.
        new: Likewise.
        tree: Reads chunk lists.
    """
    parts = [stretch for stretch in stretches(old, new, tree) if stretch.old_offset < 0]
    ids = {run.id for part in parts for run in tree.span_runs(part.span)} if old else set[bytes]()
    held = find_chunks(old, ids, tree)
    for part in parts:
        offset = part.offset
        for run in tree.span_runs(part.span):
            if run.id not in held:
                yield offset, run
            offset += run.length * run.count


def runs_in(
    content: bytes, begin: int, end: int, tree: TreeReader, ids: Collection[bytes] = ()
) -> Iterator[tuple[int, ChunkRun]]:
    """Give the runs that overlap a range, each with its own offset.

    Args:
        content: Any ``Entry.content`` of a file.
        begin: First byte of the range.
        end: The byte after it.
        tree: Reads chunk lists.
        ids: The chunks that are looked for, where others may be left out; empty for all.
    """
    for span in tree.spans(content):
        if span.offset >= end:
            return
        offset = span.offset
        if offset + span.length <= begin or (ids and not tree.may_hold(span, ids)):
            continue
        for run in tree.span_runs(span):
            after = offset + run.length * run.count
            if begin < after and offset < end:
                yield offset, run
            offset = after


def find_chunks(content: bytes, wanted: AbstractSet[bytes], tree: TreeReader) -> dict[bytes, int]:
    """Give the first offset of each wanted chunk that a content has.

    Few ids are looked for in the bytes of a page before it is decoded.

    Args:
        content: Any ``Entry.content`` of a file.
        wanted: Chunk ids.
        tree: Reads chunk lists.
    """
    found: dict[bytes, int] = {}
    for span in tree.spans(content) if wanted else ():
        if not tree.may_hold(span, wanted):
            continue
        offset = span.offset
        for run in tree.span_runs(span):
            if run.id in wanted:
                found.setdefault(run.id, offset)
            offset += run.length * run.count
        if len(found) == len(wanted):
            break
    return found
