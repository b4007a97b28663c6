"""What must change, and what a tree holds afterwards.

A merge walks the snapshot that a tree holds and the one that is wanted, and
descends only where page ids differ. It decides the fate of every name that is
held and not wanted. Called by ``operations.tree``; never opens a file.
"""

from collections.abc import Callable

import msgspec

from pdelta.model.snapshot import ADOPTED, Entry, Kind, Root
from pdelta.tree.compare import is_adopted, same_content, same_metadata
from pdelta.tree.reader import BuildDirectory, PageSink, TreeReader, join, walk

IsIgnored = Callable[[bytes, bool], bool]


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
        keep: Paths whose held entry stays as it is.
        relink: Paths that must be made anew because their hard-link group changes.
    """

    ignored: IsIgnored
    delete: str = "ours"
    suspended: tuple[bytes, ...] = ()
    occupied: frozenset[bytes] = frozenset()
    keep: frozenset[bytes] = frozenset()
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
    """
    return _Merger(tree, policy, build, sink).run(held, wanted)


class _Merger:
    def __init__(self, tree: TreeReader, policy: Policy, build: BuildDirectory, sink: PageSink) -> None:
        self._tree = tree
        self._policy = policy
        self._build = build
        self._sink = sink
        self._result = Merge(top=Entry(b"", Kind.DIRECTORY, 0, 0, 0, b""))

    def run(self, held: Root, wanted: Root) -> Merge:
        result = self._result
        result.top = self._directory(b"", held.top, self._kept_folder(b"", held.top, wanted.top), adopted=False)
        result.edits.sort(key=lambda edit: edit.path)
        return result

    def _directory(self, path: bytes, before: Entry, after: Entry, *, adopted: bool) -> Entry:
        """Merge a directory that is on both sides."""
        adopted = adopted or is_adopted(before)
        changed: dict[bytes, Entry] = {}
        absent: set[bytes] = set()
        content = False
        if before.content != after.content or self._has_relinks(path):
            held, wanted = self._differing(before.content, after.content, path)
            for name in sorted(held.keys() | wanted.keys()):
                old, new = held.get(name), wanted.get(name)
                kept, edited = self._name(join(path, name), old, new, adopted=adopted)
                content = content or edited
                if kept is None and new is not None:
                    absent.add(name)
                elif kept is not None and kept is not new:
                    changed[name] = kept
        entry = after
        if changed or absent:
            entries = {entry.name: entry for entry in self._tree.directory(after.content) if entry.name not in absent}
            self._result.extras = self._result.extras or bool(changed.keys() - entries.keys())
            entries.update(changed)
            id_, pages = self._build([entries[name] for name in sorted(entries)])
            self._sink.write_pages(pages)
            entry = msgspec.structs.replace(after, content=id_)
        if content or not same_metadata(before, after):
            self._result.directories.append(Edit(path, before, entry, content))
        return entry

    def _differing(self, held: bytes, wanted: bytes, path: bytes) -> tuple[dict[bytes, Entry], dict[bytes, Entry]]:
        """Give the entries of the leaf pages that only one side has."""
        left, right = self._tree.leaves(held), self._tree.leaves(wanted)
        common = set() if self._has_relinks(path) else set(left) & set(right)
        return (
            {entry.name: entry for leaf in left if leaf not in common for entry in self._tree.entries(leaf)},
            {entry.name: entry for leaf in right if leaf not in common for entry in self._tree.entries(leaf)},
        )

    def _has_relinks(self, path: bytes) -> bool:
        if not self._policy.relink:
            return False
        prefix = path + b"/" if path else b""
        return any(relinked.startswith(prefix) for relinked in self._policy.relink)

    def _name(self, path: bytes, old: Entry | None, new: Entry | None, *, adopted: bool) -> tuple[Entry | None, bool]:
        """Give what is held afterwards at a path, and whether the folder's names or files change."""
        if path in self._policy.keep and (old is None or new is None):
            # What stays where nothing is wanted is nobody's any more: no later push may take it for its own.
            return (_flagged(old, adopted=True) if old is not None and new is None else old), False
        if old is None:
            assert new is not None  # noqa: S101 - the name came from one of the two sides
            self._result.edits.append(Edit(path, None, new))
            return new, True
        if new is None:
            edits: list[Edit] = []
            kept = self._remove(path, old, edits, adopted=adopted)
            self._result.edits += edits
            return kept, bool(edits)
        if old.kind == new.kind == Kind.DIRECTORY:
            return self._directory(path, old, self._kept_folder(path, old, new), adopted=adopted), False
        if path in self._policy.keep:
            return old, False
        if old.kind == Kind.DIRECTORY and self._remove(path, old, [], adopted=adopted) is not None:
            self._result.conflicts.append(path)
        content = not same_content(old, new) or path in self._policy.relink
        if content or not same_metadata(old, new):
            self._result.edits.append(Edit(path, old, new, content))
        return new, content

    def _kept_folder(self, path: bytes, old: Entry, new: Entry) -> Entry:
        """Give what is wanted of a folder; one that is kept keeps its metadata, while its names are merged."""
        return msgspec.structs.replace(old, content=new.content) if path in self._policy.keep else new

    def _remove(self, path: bytes, entry: Entry, edits: list[Edit], *, adopted: bool) -> Entry | None:
        """Take a name away as far as the policy lets; give what stays of it in the held snapshot."""
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
        return self._remove_directory(path, entry, edits, adopted=adopted, stays=stays)

    def _remove_directory(
        self, path: bytes, entry: Entry, edits: list[Edit], *, adopted: bool, stays: bool
    ) -> Entry | None:
        below: list[Edit] = []
        remaining: list[Entry] = []
        released = len(self._result.released)
        whole = True
        for child in self._tree.directory(entry.content):
            kept = self._remove(join(path, child.name), child, below, adopted=adopted)
            whole = whole and kept is child
            if kept is not None:
                remaining.append(kept)
        occupied = path in self._policy.occupied or len(self._result.released) > released
        if not remaining and not stays and not occupied:
            edits.append(Edit(path, entry, None))
            return None
        edits += below
        if not remaining and not stays:
            self._result.occupied.append(path)
        if whole:
            return _flagged(entry, adopted=adopted)
        id_, pages = self._build(remaining)
        self._sink.write_pages(pages)
        result = _flagged(msgspec.structs.replace(entry, content=id_), adopted=adopted)
        self._result.directories.append(Edit(path, entry, result))
        return result

    def _ignores_below(self, path: bytes, entry: Entry) -> bool:
        ignored = self._policy.ignored
        return any(
            ignored(below, found.kind == Kind.DIRECTORY) for below, found in walk(self._tree, path, entry.content)
        )


def _flagged(entry: Entry, *, adopted: bool) -> Entry:
    if not adopted or is_adopted(entry):
        return entry
    return msgspec.structs.replace(entry, extra={**entry.extra, ADOPTED: True})
