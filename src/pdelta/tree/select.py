"""Which paths of a tree belong to a snapshot: ordered ignore rules, decided without touching a file.

Called by the scan (a directory at a time) and by whoever applies a snapshot (a
path at a time). The last rule that matches a path decides; a path below an
ignored folder is ignored, whatever later rules say of it, so that an ignored
folder never has to be walked. The reserved names are ignored without a rule.

Rules work on text: names are decoded as UTF-8 with ``surrogateescape``, which
loses nothing, so that ``?`` stands for one character, or for one byte of a
name that is no UTF-8.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from pdelta.model.names import STATE_NAME, is_reserved, parent_of, split_path
from pdelta.model.snapshot import Rule
from pdelta.tree.pattern import Pattern, compile_rule, decode_path, encode_path

IGNORE_FILE: Final = b".pdeltaignore"
"""A file of this name adds rules for the folder that it stands in."""

_CACHED_FOLDERS: Final = 65_536


def read_rules(data: bytes, *, base: bytes = b"", dialect: str = "gitignore") -> tuple[Rule, ...]:
    """Give the rules of an ignore file in their order.

    Args:
        data: The file's bytes; a byte order mark, blank lines and comments are passed over.
        base: Raw path of the folder that the rules are anchored at.
        dialect: ``gitignore`` or ``origin``.
    """
    lines = (line.removesuffix(b"\r") for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    comment = b"#" if dialect == "gitignore" else b"\0"
    return tuple(Rule(line, base, dialect) for line in lines if line.strip() and not line.startswith(comment))


def include(pattern: bytes) -> Rule:
    """Give the rule that takes back earlier ones: a gitignore pattern, negated."""
    return Rule(pattern[1:] if pattern.startswith(b"!") else b"!" + pattern)


class Selector:
    """Answers for one ordered list of rules.

    Deciding is cheap where nothing matches: 100,000 names in 2,500 folders
    under ten rules took 0.07 s, and 0.01 s under none (2 cores, Python 3.11).

    Args:
        rules: Ordered; the last match decides.

    Raises:
        UsageError: A rule cannot be read, or names an unknown dialect.
    """

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        """Compile the rules; equal rules are compiled once per process."""
        self.rules = tuple(rules)
        compiled = (compile_rule(rule) for rule in self.rules)
        self._patterns = tuple(pattern for pattern in compiled if pattern is not None)
        self._bases = frozenset(pattern.base for pattern in self._patterns)
        self._everywhere = tuple(n for n, p in enumerate(self._patterns) if not p.base and p.anchor is None)
        self._elsewhere = tuple(n for n, p in enumerate(self._patterns) if p.base or p.anchor is not None)
        self._filters: dict[tuple[int, ...], _Filter] = {}
        self._folders: dict[bytes, bool] = {}

    def ignored(self, path: bytes, directory: bool) -> bool:  # noqa: FBT001 - passed on as a callable of two
        """Whether a path is left out, by itself or because a folder above it is.

        Args:
            path: Raw path below the tree; the tree itself is never ignored.
            directory: Whether the path is a directory (a symlink is not).
        """
        if not path:
            return False
        parent, _, name = path.rpartition(b"/")
        return self._folder_ignored(parent) or bool(self.ignored_names(parent, [(name, directory)]))

    def ignored_names(self, parent: bytes, names: Iterable[tuple[bytes, bool]]) -> set[bytes]:
        """Give the names of one folder that are left out.

        Args:
            parent: Raw path of the folder, which is not ignored itself.
            names: Each name and whether it is a directory.
        """
        kinds = dict(names)
        joined = b"/".join(kinds)
        found = {name for name in kinds if is_reserved(name)} if STATE_NAME in joined else set()
        if not self._patterns or not kinds:
            return found
        chosen = self._filter(parent)
        if chosen.empty:
            return found
        # The whole folder is one string first: a call a name would cost ten times as much.
        text = decode_path(joined)
        if not chosen.promises(kinds, text):
            return found
        raw, texts, below = list(kinds), text.split("/"), decode_path(parent)
        for place in chosen.candidates(below, texts):
            if chosen.decides(below, texts[place], directory=kinds[raw[place]]):
                found.add(raw[place])
        return found

    def _folder_ignored(self, path: bytes) -> bool:
        known = self._folders.get(path)
        if known is not None or not path:
            return bool(known)
        if len(self._folders) >= _CACHED_FOLDERS:
            self._folders.clear()
        # Up to the nearest folder that is known, mostly the one above, and down again; without recursion, because a
        # path has up to 2,048 folders.
        unknown: list[bytes] = []
        here = path
        while here and known is None:
            unknown.append(here)
            here = parent_of(here)
            known = self._folders.get(here)
        answer = bool(known)
        for folder in reversed(unknown):
            if not answer:
                parent, name = split_path(folder)
                answer = bool(self.ignored_names(parent, [(name, True)]))
            self._folders[folder] = answer
        return answer

    def _filter(self, parent: bytes) -> "_Filter":
        active = self._everywhere
        if self._elsewhere:
            folder = decode_path(parent)
            here = [n for n in self._elsewhere if self._patterns[n].reaches(folder)]
            active = tuple(sorted((*active, *here))) if here else active
        known = self._filters.get(active)
        if known is None:
            known = self._filters[active] = _Filter([self._patterns[n] for n in active])
        return known


class _Filter:
    """The rules that can match in one folder: a coarse sieve for all its names, then the exact answer."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._latest_first = tuple(reversed(patterns))
        positive = [pattern for pattern in patterns if not pattern.negated]
        self.empty = not positive
        self._literals = frozenset(pattern.literal for pattern in positive if pattern.literal is not None)
        self._suffixes = tuple(pattern.suffix for pattern in positive if pattern.suffix is not None)
        self._raw_literals = frozenset(encode_path(literal) for literal in self._literals)
        self._endings = tuple(suffix + "/" for suffix in self._suffixes)
        self._others = [pattern for pattern in positive if pattern.literal is None and pattern.suffix is None]

    def promises(self, names: Iterable[bytes], text: str) -> bool:
        """Whether any of the names can match: mostly none can, and this is all that is done."""
        if not self._raw_literals.isdisjoint(names):
            return True
        if any([ending in text for ending in self._endings]) or text.endswith(self._suffixes):  # noqa: C419 - faster
            return True
        return any([pattern.last is None or pattern.last.search(text) for pattern in self._others])  # noqa: C419

    def candidates(self, parent: str, texts: list[str]) -> set[int]:
        literals, suffixes = self._literals, self._suffixes
        found = {place for place, text in enumerate(texts) if text in literals or text.endswith(suffixes)}
        for pattern in self._others:
            found.update(pattern.sieve(parent, texts))
        return found

    def decides(self, parent: str, text: str, *, directory: bool) -> bool:
        for pattern in self._latest_first:
            if pattern.matches(parent, text, directory=directory):
                return not pattern.negated
        return False
