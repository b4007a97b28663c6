"""What must change, and what a tree holds afterwards.

A merge walks the snapshot that a tree holds and the one that is wanted, and
descends only where page ids differ. It decides the fate of every name that is
held and not wanted. Called by ``operations.tree``; never opens a file.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from pdelta.model.names import check_length
from pdelta.model.snapshot import ADOPTED, Entry, Kind, Root
from pdelta.tree.compare import is_adopted, same_content, same_metadata
from pdelta.tree.reader import BuildDirectory, PageSink, TreeReader, join, walk

IsIgnored = Callable[[bytes, bool], bool]

_DIRECTORY: Final = int(Kind.DIRECTORY)


class Edit(msgspec.Struct, frozen=True):
    """One path that must change.

    An edit whose ``before`` is None adds everything below it; one whose
    ``after`` is None deletes everything below it.

    Attributes:
        path: Raw path; ``b""`` is the tree itself.
        before: What is held there.
        after: What will be held there.
        content: Whether more than metadata changes. For a directory on both
            sides it says that names inside it change.
    """

    path: bytes
    before: Entry | None
    after: Entry | None
    content: bool = True


class Policy(msgspec.Struct, frozen=True):
    """How names are treated that are held and not wanted.

    Attributes:
        ignored: Whether the wanted selection ignores (path, is a directory).
        delete: ``ours`` deletes what was once asked for, ``all`` everything, ``none`` nothing.
        suspended: Paths at and below which nothing is deleted.
        occupied: Directories on disk that hold names which no snapshot knows.
        keep: Paths whose held entry stays as it is; of a folder, its metadata.
        whole: Folders of which everything stays as it is.
        relink: Paths that must be made anew because their hard-link group changes.
    """

    ignored: IsIgnored
    delete: str = "ours"
    suspended: tuple[bytes, ...] = ()
    occupied: frozenset[bytes] = frozenset()
    keep: frozenset[bytes] = frozenset()
    whole: frozenset[bytes] = frozenset()
    relink: frozenset[bytes] = frozenset()


class Merge(msgspec.Struct):
    """The result: edits in path order, and the directories that they touch.

    Attributes:
        top: The tree's own directory afterwards.
        edits: Files, links and whole directories, parents before children.
        directories: Directories that stay and whose names or metadata change, children before parents.
        released: Paths that were held and are now ignored.
        occupied: Directories that stay only because they hold ignored or unknown names.
        conflicts: Directories that cannot give way because something in them must stay.
        extras: Whether the result holds names that are not wanted.
    """

    top: Entry
    edits: list[Edit] = msgspec.field(default_factory=list)
    directories: list[Edit] = msgspec.field(default_factory=list)
    released: list[bytes] = msgspec.field(default_factory=list)
    occupied: list[bytes] = msgspec.field(default_factory=list)
    conflicts: list[bytes] = msgspec.field(default_factory=list)
    extras: bool = False


def merge(held: Root, wanted: Root, tree: TreeReader, policy: Policy, build: BuildDirectory, sink: PageSink) -> Merge:
    """Say what takes a tree from the held snapshot to the wanted one.

    Args:
        held: What the tree holds.
        wanted: What is asked for.
        tree: Reads the pages of both.
        policy: The fate of names that are not wanted.
        build: Makes the pages of a directory from its entries.
        sink: Takes the pages of directories that hold extras.

    Raises:
        FormatError: What is wanted has a path longer than any that an entry may have.
    """
    return _Merger(tree, policy, build, sink).run(held, wanted)


class _Pair(msgspec.Struct):
    """A directory that is on both sides, half merged.

    Attributes:
        path: Raw path.
        before: What is held.
        after: What is wanted.
        adopted: Whether what is held in it was never asked for.
        held: Held entries that may differ, by name.
        wanted: Wanted entries that may differ, by name.
        names: Names of both that were not looked at yet.
        changed: What is held afterwards where that is not what is wanted.
        absent: Names that are wanted and not held afterwards.
        content: Whether names or files in it change.
    """

    path: bytes
    before: Entry
    after: Entry
    adopted: bool
    held: dict[bytes, Entry]
    wanted: dict[bytes, Entry]
    names: Iterator[bytes]
    changed: dict[bytes, Entry] = msgspec.field(default_factory=dict)
    absent: set[bytes] = msgspec.field(default_factory=set)
    content: bool = False

    def settle(self, name: bytes, kept: Entry | None) -> None:
        """Take what is held afterwards under a name."""
        if kept is self.wanted.get(name):
            return
        if kept is None:
            self.absent.add(name)
        else:
            self.changed[name] = kept


class _Leaving(msgspec.Struct):
    """A directory that is held and not wanted, and of which something may have to stay.

    Attributes:
        path: Raw path.
        entry: What is held.
        adopted: Whether it was never asked for.
        stays: Whether the policy keeps the directory itself.
        children: Entries that were not looked at yet.
        edits: How many edits there were before it.
        released: How many paths were released before it.
        remaining: What stays of its entries.
        whole: Whether all of them stay as they are.
    """

    path: bytes
    entry: Entry
    adopted: bool
    stays: bool
    children: Iterator[Entry]
    edits: int
    released: int
    remaining: list[Entry] = msgspec.field(default_factory=list)
    whole: bool = True

    def settle(self, child: Entry, kept: Entry | None) -> None:
        """Take what stays of a child."""
        self.whole = self.whole and kept is child
        if kept is not None:
            self.remaining.append(kept)


class _Merger:
    """Goes through both snapshots with stacks of its own: a path has up to 2,048 folders."""

    def __init__(self, tree: TreeReader, policy: Policy, build: BuildDirectory, sink: PageSink) -> None:
        self._tree = tree
        self._policy = policy
        self._build = build
        self._sink = sink
        self._result = Merge(top=Entry(b"", Kind.DIRECTORY, 0, 0, 0, b""))
        self._relinking = _folders_above(policy.relink)
        self._ignored_below = b""

    def run(self, held: Root, wanted: Root) -> Merge:
        result = self._result
        result.top = self._tree_itself(held.top, wanted.top)
        result.edits.sort(key=lambda edit: edit.path)
        return result

    def _tree_itself(self, held: Entry, wanted: Entry) -> Entry:
        after = self._kept_folder(b"", held, wanted)
        stack = [self._enter(b"", held, after, adopted=False)]
        while True:
            pair = stack[-1]
            below = self._next_below(pair)
            if below is not None:
                stack.append(below)
                continue
            stack.pop()
            entry = self._leave(pair)
            if not stack:
                return entry
            stack[-1].settle(entry.name, entry)

    # -- directories on both sides ------------------------------------------------------------------------------

    def _enter(self, path: bytes, before: Entry, after: Entry, *, adopted: bool) -> _Pair:
        held: dict[bytes, Entry] = {}
        wanted: dict[bytes, Entry] = {}
        if self._differs_below(path, before, after):
            held, wanted = self._differing(before.content, after.content, path)
        names = iter(sorted(held.keys() | wanted.keys()))
        return _Pair(path, before, after, adopted or is_adopted(before), held, wanted, names)

    def _next_below(self, pair: _Pair) -> _Pair | None:
        """Merge the names of a directory up to the next one that must be entered; None when there is none left."""
        held, wanted, adopted = pair.held, pair.wanted, pair.adopted
        prefix = join(pair.path, b"")
        for name in pair.names:
            path = prefix + name
            old, new = held.get(name), wanted.get(name)
            if old is not None and path in self._policy.whole:
                # As with a name that stays where nothing is wanted: no later push may take what is in it for its own.
                kept: Entry | None = _flagged(old, adopted=True)
            elif old is not None and new is not None and old.kind == _DIRECTORY == new.kind:
                after = self._kept_folder(path, old, new)
                if self._differs_below(path, old, after):
                    return self._enter(path, old, after, adopted=adopted)
                if not same_metadata(old, after):
                    self._result.directories.append(Edit(path, old, after, content=False))
                kept = after
            else:
                kept, edited = self._name(path, old, new, adopted=adopted)
                if edited:
                    pair.content = True
            if kept is not new:
                pair.settle(name, kept)
        return None

    def _leave(self, pair: _Pair) -> Entry:
        """Give what a directory is afterwards, everything in it being merged."""
        entry = after = pair.after
        if pair.changed or pair.absent:
            entries = {
                entry.name: entry for entry in self._tree.directory(after.content) if entry.name not in pair.absent
            }
            self._result.extras = self._result.extras or bool(pair.changed.keys() - entries.keys())
            entries.update(pair.changed)
            id_, pages = self._build([entries[name] for name in sorted(entries)])
            self._sink.write_pages(pages)
            entry = msgspec.structs.replace(after, content=id_)
        if pair.content or not same_metadata(pair.before, after):
            self._result.directories.append(Edit(pair.path, pair.before, entry, pair.content))
        return entry

    def _differs_below(self, path: bytes, before: Entry, after: Entry) -> bool:
        return before.content != after.content or path in self._relinking

    def _differing(self, held: bytes, wanted: bytes, path: bytes) -> tuple[dict[bytes, Entry], dict[bytes, Entry]]:
        """Give the entries of the leaf pages that only one side has."""
        left, right = self._tree.leaves(held), self._tree.leaves(wanted)
        common = set() if path in self._relinking else set(left) & set(right)
        return (
            {entry.name: entry for leaf in left if leaf not in common for entry in self._tree.entries(leaf)},
            {entry.name: entry for leaf in right if leaf not in common for entry in self._tree.entries(leaf)},
        )

    def _name(self, path: bytes, old: Entry | None, new: Entry | None, *, adopted: bool) -> tuple[Entry | None, bool]:
        """Give what is held afterwards at a path, and whether the folder's names or files change."""
        if path in self._policy.keep and (old is None or new is None):
            # What stays where nothing is wanted is nobody's any more: no later push may take it for its own.
            return (_flagged(old, adopted=True) if old is not None and new is None else old), False
        edits = self._result.edits
        if old is None:
            assert new is not None  # noqa: S101 - the name came from one of the two sides
            check_length(path)
            edits.append(Edit(path, None, new))
            return new, True
        if new is None:
            before = len(edits)
            kept = self._remove(path, old, edits, adopted=adopted)
            return kept, len(edits) > before
        if path in self._policy.keep:
            return old, False
        if old.kind == Kind.DIRECTORY and self._remove(path, old, [], adopted=adopted) is not None:
            self._result.conflicts.append(path)
        content = not same_content(old, new) or path in self._policy.relink
        if content or not same_metadata(old, new):
            edits.append(Edit(path, old, new, content))
        return new, content

    def _kept_folder(self, path: bytes, old: Entry, new: Entry) -> Entry:
        """Give what is wanted of a folder; one that is kept keeps its metadata, while its names are merged."""
        return msgspec.structs.replace(old, content=new.content) if path in self._policy.keep else new

    # -- what is not wanted -------------------------------------------------------------------------------------

    def _remove(self, path: bytes, entry: Entry, edits: list[Edit], *, adopted: bool) -> Entry | None:
        """Take a name away as far as the policy lets; give what stays of it in the held snapshot."""
        fate = self._fate(path, entry, edits, adopted=adopted)
        if not isinstance(fate, _Leaving):
            return fate
        stack = [fate]
        while True:
            folder = stack[-1]
            below = self._next_leaving(folder, edits)
            if below is not None:
                stack.append(below)
                continue
            stack.pop()
            kept = self._left(folder, edits)
            if not stack:
                return kept
            stack[-1].settle(folder.entry, kept)

    def _fate(self, path: bytes, entry: Entry, edits: list[Edit], *, adopted: bool) -> "Entry | _Leaving | None":
        """Decide what becomes of one name; of a directory, what is in it may have to be decided first."""
        adopted = adopted or is_adopted(entry)
        directory = entry.kind == Kind.DIRECTORY
        policy = self._policy
        if policy.ignored(path, directory):
            self._result.released.append(path)
            return None
        if path in policy.keep and not directory:
            return _flagged(entry, adopted=True)
        stays = (
            policy.delete == "none"
            or (adopted and policy.delete != "all")
            or any(path == top or not top or path.startswith(top + b"/") for top in policy.suspended)
        )
        if not directory:
            if not stays:
                edits.append(Edit(path, entry, None))
                return None
            return _flagged(entry, adopted=adopted)
        if (
            stays
            and (adopted or policy.delete == "none")
            and not policy.suspended
            and not self._ignores_below(path, entry)
        ):
            return _flagged(entry, adopted=adopted)
        children = self._tree.directory(entry.content)
        return _Leaving(path, entry, adopted, stays, children, len(edits), len(self._result.released))

    def _next_leaving(self, folder: _Leaving, edits: list[Edit]) -> _Leaving | None:
        """Decide the names of a directory up to the next one that must be entered; None when there is none left."""
        prefix, adopted = folder.path + b"/", folder.adopted
        for child in folder.children:
            fate = self._fate(prefix + child.name, child, edits, adopted=adopted)
            if fate is None:
                folder.whole = False
            elif isinstance(fate, _Leaving):
                return fate
            else:
                folder.settle(child, fate)
        return None

    def _left(self, folder: _Leaving, edits: list[Edit]) -> Entry | None:
        """Give what stays of a directory, everything in it being decided."""
        path, entry, remaining = folder.path, folder.entry, folder.remaining
        occupied = path in self._policy.occupied or len(self._result.released) > folder.released
        if not remaining and not folder.stays and not occupied:
            # It goes as one: what is below it needs no edits of its own.
            del edits[folder.edits :]
            edits.append(Edit(path, entry, None))
            return None
        if not remaining and not folder.stays:
            self._result.occupied.append(path)
        if folder.whole:
            return _flagged(entry, adopted=folder.adopted)
        id_, pages = self._build(remaining)
        self._sink.write_pages(pages)
        result = _flagged(msgspec.structs.replace(entry, content=id_), adopted=folder.adopted)
        self._result.directories.append(Edit(path, entry, result))
        return result

    def _ignores_below(self, path: bytes, entry: Entry) -> bool:
        if self._ignored_below.startswith(path + b"/"):
            return True
        ignored = self._policy.ignored
        for below, found in walk(self._tree, path, entry.content):
            if ignored(below, found.kind == Kind.DIRECTORY):
                # Asked next of the folders on the way there: each would walk as far.
                self._ignored_below = below
                return True
        return False


def _folders_above(paths: Iterable[bytes]) -> frozenset[bytes]:
    """Give every folder that leads to one of the paths."""
    found: set[bytes] = set()
    for path in paths:
        here = path
        while here:
            here = here.rpartition(b"/")[0]
            if here in found:
                break
            found.add(here)
    return frozenset(found)


def _flagged(entry: Entry, *, adopted: bool) -> Entry:
    if not adopted or is_adopted(entry):
        return entry
    return msgspec.structs.replace(entry, extra={**entry.extra, ADOPTED: True})
