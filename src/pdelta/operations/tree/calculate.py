"""What takes a tree from what it holds to what is wanted.

Called by ``TreeOperation.calculate``. Reads the tree, the ledger and the
source's pages; writes nothing but pages into memory.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from pdelta.errors import UsageError
from pdelta.filesystem.index import Index
from pdelta.filesystem.observe import Observation, Observer, occupied_folders
from pdelta.filesystem.safe import Directory
from pdelta.formats.history import PushWish, RepairWish, RollbackWish, Wish
from pdelta.formats.page import (
    PagedTree,
    build_directory,
    build_links,
    decode_root,
    encode_root,
)
from pdelta.model.finding import Finding
from pdelta.model.names import parent_of, quoted
from pdelta.model.snapshot import LINKED, Chunking, Entry, Kind, PageStore, Root, Selection
from pdelta.operations.tree.adopting import name_adopted
from pdelta.tree.merge import Edit, Merge, Policy, merge
from pdelta.tree.order import Rename, find_renames, is_below
from pdelta.tree.override import Finder, override
from pdelta.tree.reader import link_groups
from pdelta.tree.select import Selector

EMPTY_DIRECTORY, EMPTY_PAGES = build_directory([])


class Overlay:
    """Pages in memory over pages on disk: nothing is written before it is executed.

    Args:
        below: Pages on disk; None where there are none.
    """

    def __init__(self, below: PageStore | None) -> None:
        """Begin with the empty directory alone."""
        self.below = below
        self.new: dict[bytes, bytes] = dict(EMPTY_PAGES)

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Give pages by id."""
        ids = list(ids)
        found = {id_: self.new[id_] for id_ in ids if id_ in self.new}
        rest = [id_ for id_ in ids if id_ not in found]
        if rest and self.below is not None:
            found.update(self.below.read_pages(rest))
            rest = []
        if rest:
            raise UsageError(f"page {rest[0].hex()} is not known here")
        return found

    def write_pages(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep pages in memory."""
        self.new.update(pages)

    def missing_pages(self, ids: Iterable[bytes]) -> list[bytes]:
        """Say which pages are neither in memory nor on disk, in the order given."""
        absent = [id_ for id_ in ids if id_ not in self.new]
        return absent if self.below is None or not absent else self.below.missing_pages(absent)

    def read_root(self, id_: bytes) -> Root:
        """Give a root record by its snapshot id."""
        return decode_root(self.read_pages([id_])[id_])

    def write_root(self, root: Root) -> bytes:
        """Keep a root record; give its snapshot id."""
        id_, data = encode_root(root)
        self.new[id_] = data
        return id_


class GatheredPages:
    """Takes pages that somebody else writes later.

    Attributes:
        pages: (id, bytes) in the order in which they came.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.pages: list[tuple[bytes, bytes]] = []

    def write_pages(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        """Take pages."""
        self.pages += pages


class Calculation(msgspec.Struct, frozen=True):
    """A delta with everything that executing it in the same process can use.

    Attributes:
        before: What the tree holds, as it was found.
        after: What it will hold.
        before_id: Snapshot id of ``before``.
        after_id: Snapshot id of ``after``.
        wanted: Snapshot that was asked for.
        edits: What must change.
        directories: Folders whose names or metadata change.
        renames: Which of the edits are mere renames.
        findings: What looking at the tree brought up.
        released: Paths that were held and are ignored now.
        drifted: Paths that are not what the record says.
        emptied: Whether nothing at all is wanted.
    """

    before: Root
    after: Root
    before_id: bytes
    after_id: bytes
    wanted: bytes
    edits: tuple[Edit, ...]
    directories: tuple[Edit, ...]
    renames: tuple[Rename, ...]
    findings: tuple[Finding, ...]
    released: tuple[bytes, ...]
    drifted: Mapping[bytes, str]
    emptied: bool = False


class Calculator:
    """Calculates for one tree.

    Args:
        root: The tree; None where the folder does not exist yet.
        overlay: Reads every page that is needed, and takes new ones.
        index: Fingerprints recorded after the last entry.
        jobs: Threads for hashing.
    """

    def __init__(self, root: Directory | None, overlay: Overlay, index: Index | None, jobs: int) -> None:
        """Look at nothing yet."""
        self._root = root
        self._overlay = overlay
        self._tree = PagedTree(overlay)
        self._index = index
        self._jobs = jobs

    def calculate(
        self, held: Root, wanted_id: bytes, wish: Wish, observation: Observation | None, asked: Root | None = None
    ) -> Calculation:
        """Say what must change.

        Args:
            held: What the tree holds by its record, or as a scan found it.
            wanted_id: What is asked for; its pages are in the overlay.
            wish: How.
            observation: What a look at the whole tree found; None looks at the touched paths alone.
            asked: What was asked for last time; where the tree was left otherwise, that is told again.
        """
        wanted = self._overlay.read_root(wanted_id)
        selector = Selector(wanted.selection.rules)
        policy = Policy(
            ignored=selector.ignored,
            delete=_deleting(wish),
            suspended=wish.suspended if isinstance(wish, PushWish) else (),
            relink=frozenset(self._relinked(held, wanted)),
        )
        drift = "overwrite" if isinstance(wish, RepairWish) else wish.drift
        before, result = held, self._merge(held, wanted, policy)
        if observation is None:
            observation = self._observe(held, result, selector) if self._root is not None else Observation()
        elif observation.found:
            before = self._override(held, observation)
            result = self._merge(before, wanted, policy)
            _add_collisions(result, observation)
        for edit in result.directories:
            if edit.path in observation.times:
                observation.found.setdefault(edit.path, observation.times[edit.path])
        if self._root is not None:
            observation.occupied |= occupied_folders(self._root, self._tree, result.edits)
        if asked is not None and isinstance(wish, PushWish):
            self._remember(asked, held, observation)
        keep = frozenset(observation.drifted) if drift == "keep" else frozenset()
        if observation.found or observation.occupied or keep:
            before = self._override(held, observation)
            whole = frozenset(self._intruders(held, observation, keep))
            policy = msgspec.structs.replace(policy, occupied=frozenset(observation.occupied), keep=keep, whole=whole)
            result = self._merge(before, wanted, policy)
        released = Selector(held.selection.rules) if isinstance(wish, RollbackWish) else None
        found = [
            *self._drift_findings(result, observation, drift, released),
            *name_adopted(self._tree, result.top, observation.unknown, wish.listed),
        ]
        return self._finished(before, wanted, wanted_id, result, observation, found)

    def edits_between(self, before: Root, after: Root, released: tuple[bytes, ...]) -> Merge:
        """Give the edits of a delta that was calculated before, from its two snapshots alone."""
        skipped = frozenset(released)
        policy = Policy(
            ignored=lambda path, _directory: path in skipped,
            delete="all",
            relink=frozenset(self._relinked(before, after)),
        )
        return self._merge(before, after, policy)

    def _merge(self, held: Root, wanted: Root, policy: Policy) -> Merge:
        return merge(held, wanted, self._tree, policy, build_directory, self._overlay)

    def _override(self, held: Root, observation: Observation) -> Root:
        top = override(self._tree, held.top, observation.found, build_directory, self._overlay)
        return msgspec.structs.replace(held, top=top)

    def _intruders(self, held: Root, observation: Observation, keep: Iterable[bytes]) -> Iterator[bytes]:
        """Give the folders that stand where the record has none: nothing in one that is kept is pdelta's."""
        finder = Finder(self._tree, held.top)
        for path in sorted(keep):
            found = observation.found.get(path)
            if found is not None and found.kind == Kind.DIRECTORY:
                recorded = finder.find(path)
                if recorded is not None and recorded.kind != Kind.DIRECTORY:
                    yield path

    def _remember(self, asked: Root, held: Root, observation: Observation) -> None:
        """Add the paths that an earlier push left otherwise than it was asked to: kept drift."""
        if asked.top.content == held.top.content:
            return
        policy = Policy(ignored=lambda _path, _directory: False, delete="all")
        for edit in self._merge(asked, held, policy).edits:
            if edit.before is not None:
                what = "missing" if edit.after is None else "its drift was kept"
                observation.drifted.setdefault(edit.path, what)

    def _observe(self, held: Root, result: Merge, selector: Selector) -> Observation:
        from pdelta.filesystem.read import Reader

        assert self._root is not None  # noqa: S101 - the caller asked
        if not result.edits and not result.directories:
            return Observation()
        reader = Reader(held.chunking, held.selection, self._overlay, self._jobs)
        observer = Observer(self._root, self._tree, self._index, reader, selector.ignored, self._overlay)
        try:
            return observer.look(result.edits, result.directories)
        finally:
            observer.close()
            reader.close()

    def _drift_findings(
        self, result: Merge, observation: Observation, drift: str, released: Selector | None
    ) -> Iterator[Finding]:
        """Tell what is drifted at touched paths; ``released`` knows what a rollback may never overwrite."""
        touched = {edit.path for edit in result.edits} | {edit.path for edit in result.directories if edit.path}
        exact = {edit.path for edit in result.directories}
        for path, what in sorted(observation.drifted.items()):
            if drift == "keep":
                yield Finding("drift-kept", f"{quoted(path)} is kept as it is: {what}", blocks=False, subject=path)
            elif path not in exact and not is_below(path, touched):
                continue
            elif released is not None and _ignores(released, path):
                text = f"{quoted(path)} was released: it is ignored since, and the host changed it ({what})"
                yield Finding("released", text, hint="move it away, or leave it with --drift keep", subject=path)
            elif drift == "refuse":
                text = f"{quoted(path)} is not as pdelta left it: {what}"
                hint = "give --drift overwrite (the content is kept for rollback) or --drift keep"
                yield Finding("drift", text, hint=hint, subject=path)

    def _finished(
        self,
        before: Root,
        wanted: Root,
        wanted_id: bytes,
        result: Merge,
        observation: Observation,
        drifted: Iterable[Finding],
    ) -> Calculation:
        after = Root(result.top, self._links(before, wanted, result), wanted.chunking, wanted.selection)
        findings = [*observation.findings, *drifted]
        for path in result.conflicts:
            text = f"the folder {quoted(path)} cannot give way to a file: it holds names that must stay"
            findings.append(Finding("conflict", text, hint="move them away, or ignore the path", subject=path))
        for path in result.occupied:
            text = f"the folder {quoted(path)} stays: it holds ignored or unknown names"
            findings.append(Finding("occupied", text, blocks=False, subject=path))
        blocked = frozenset(observation.occupied)
        return Calculation(
            before=before,
            after=after,
            before_id=self._overlay.write_root(before),
            after_id=self._overlay.write_root(after),
            wanted=wanted_id,
            edits=tuple(result.edits),
            directories=tuple(result.directories),
            renames=tuple(find_renames(result.edits, self._tree, blocked=blocked)),
            findings=tuple(findings),
            released=tuple(result.released),
            drifted=observation.drifted,
            emptied=wanted.top.content == EMPTY_DIRECTORY,
        )

    # -- hard links ---------------------------------------------------------------------------------------------

    def _relinked(self, held: Root, wanted: Root) -> Iterator[bytes]:
        """Give the paths whose hard-link group is not the same on both sides."""
        if held.links == wanted.links:
            return
        old, new = link_groups(self._tree, held.links), link_groups(self._tree, wanted.links)
        finder = Finder(self._tree, wanted.top)
        for path in sorted(old.keys() | new.keys()):
            if old.get(path) != new.get(path) and finder.find(path) is not None:
                yield path

    def _links(self, before: Root, wanted: Root, result: Merge) -> bytes:
        if not result.extras or not before.links:
            return wanted.links
        groups = {frozenset(group) for group in link_groups(self._tree, wanted.links).values()}
        finder = Finder(self._tree, result.top)
        for group in set(link_groups(self._tree, before.links).values()):
            stays = frozenset(path for path in sorted(group) if _is_linked(finder.find(path)))
            if len(stays) > 1 and not any(stays & known for known in groups):
                groups.add(stays)
        id_, pages = build_links(sorted(sorted(group) for group in groups))
        self._overlay.write_pages(pages)
        return id_


def empty_root(chunking: Chunking, selection: Selection, mode: int, mtime_ns: int) -> Root:
    """Give the snapshot of a folder that holds nothing."""
    return Root(Entry(b"", Kind.DIRECTORY, mode, mtime_ns, 0, EMPTY_DIRECTORY), b"", chunking, selection)


def _is_linked(entry: Entry | None) -> bool:
    return entry is not None and LINKED in entry.extra


def _ignores(selector: Selector, path: bytes) -> bool:
    """Whether a path, or a folder above it, is ignored."""
    above = path
    while above:
        if selector.ignored(above, above != path) or (above == path and selector.ignored(path, True)):  # noqa: FBT003
            return True
        above = parent_of(above)
    return False


def _deleting(wish: Wish) -> str:
    if isinstance(wish, PushWish) and wish.delete is not None:
        return "all" if wish.delete else "none"
    return "ours"


def _add_collisions(result: Merge, observation: Observation) -> None:
    """Add to what drifted: unknown names where something else is wanted, as a look at the touched paths does."""
    unknown = set(observation.unknown)
    for edit in result.edits:
        if edit.before is not None and edit.after is not None and is_below(edit.path, unknown):
            observation.drifted.setdefault(edit.path, "something unknown is in its place")
