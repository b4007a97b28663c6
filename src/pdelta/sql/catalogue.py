"""What a tenant's schema is, as data: its objects in canonical text, and the fingerprint that stands for all of them.

The readers of ``databases.catalogue`` make it; ``difference`` says how two of them differ, and ``bridge`` what takes
one to the other. Names are quoted as in SQL where they must be, and the tenant's own schema is in none of them, so that
two tenants made by one script have equal catalogues. ``docs/reference/sql-fingerprint.md`` lists what is in it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, Self

import msgspec

YES: Final = "yes"
"""The value of a fact that an object has or has not."""

COLUMN: Final = "column"
HOLDERS: Final = frozenset({"table", "view", "materialized view", "foreign table", "type"})
"""Kinds that have columns."""

_SEPARATOR: Final = "\n\n"
_ESCAPE: Final = re.compile(r"\\(.)", re.DOTALL)
_NAME: Final = re.compile(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`|\((?:[^()"]|"(?:[^"]|"")*")*\)|[^."`(]+|.', re.DOTALL)
_CHILDREN: Final = frozenset({COLUMN, "constraint", "trigger", "policy", "rule"})


class Item(msgspec.Struct, frozen=True):
    """One object of a catalogue.

    Attributes:
        kind: What it is, in words of the engine: ``table``, ``materialized view``, ``grant``.
        name: Which one; those that belong to a table begin with its name and a dot, as in ``users.age``.
        facts: What there is to say of it, key and value, in the order in which the engine's reader gives them. What is
            as it always is has no fact.
        source: The statement that makes it, where the engine keeps that; no part of its text.
    """

    kind: str
    name: str
    facts: tuple[tuple[str, str], ...] = ()
    source: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else f"the {self.kind}"

    def fact(self, key: str) -> str | None:
        """Give what is said under this key; None for nothing."""
        return next((value for known, value in self.facts if known == key), None)

    @property
    def owner(self) -> str:
        """The name of what it belongs to and goes away with; empty for what stands by itself."""
        found = self.fact("on")
        if found is not None:
            return found
        column = self.fact("identity column") or self.fact("owning column")
        if column is not None:
            return ".".join(name_parts(column)[:-1])
        return ".".join(name_parts(self.name)[:-1]) if self.kind in _CHILDREN else ""

    @property
    def last_name(self) -> str:
        """Its own name, without that of what it belongs to."""
        return name_parts(self.name)[-1]

    def text(self) -> str:
        """Give its canonical text: a line for its name and one for each fact."""
        lines = ((self.kind, self.name), *self.facts)
        return "\n".join(f"{key}: {escape(value)}" for key, value in lines)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``text`` gives; the same text comes out again.

        Raises:
            ValueError: It is no such text.
        """
        pairs = []
        for line in text.split("\n"):
            key, colon, value = line.partition(": ")
            if not colon:
                raise ValueError(f"{line!r} is no line of a catalogue")
            pairs.append((key, _unescape(value)))
        (kind, name), *facts = pairs
        return cls(kind, name, tuple(facts))


class Catalogue(msgspec.Struct, frozen=True):
    """The objects of one tenant; ``of`` makes it.

    Attributes:
        items: Each table, view or type with its columns behind it in their order, and all that by the order of the
            text; no two have one kind and name.
    """

    items: tuple[Item, ...]

    @classmethod
    def of(cls, items: Iterable[Item]) -> Self:
        """Give the catalogue of these objects; their order matters for the columns of one table alone."""
        columns: defaultdict[str, list[Item]] = defaultdict(list)
        others = []
        for item in items:
            if item.kind == COLUMN:
                columns[item.owner].append(item)
            else:
                others.append(item)
        groups_ = [(item, *(columns.pop(item.name, ()) if item.kind in HOLDERS else ())) for item in others]
        groups_.extend(tuple(left) for left in columns.values())
        return cls(tuple(item for group in sorted(groups_, key=_text) for item in group))

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read texts of objects, each with an empty line between it and the next, as a server gives them.

        Raises:
            ValueError: One is no such text.
        """
        return cls.of(Item.parse(part) for text in texts for part in text.split(_SEPARATOR))

    def get(self, kind: str, name: str) -> Item | None:
        """Give one object; None where there is none."""
        return next((item for item in self.items if (item.kind, item.name) == (kind, name)), None)


class Group(msgspec.Struct, frozen=True):
    """Tenants that are alike.

    Attributes:
        fingerprint: Theirs.
        tenants: Their names, sorted.
    """

    fingerprint: str
    tenants: tuple[str, ...]


def fingerprint(catalogue: Catalogue) -> str:
    """Give the SHA-256, in lower-case hexadecimal, of the texts of all objects with an empty line between them.

    Servers calculate the same from the same texts: their order is that of the bytes of UTF-8.
    """
    from hashlib import sha256  # it brings OpenSSL, which a catalogue alone does without: 3 ms

    return sha256(_text(catalogue.items).encode()).hexdigest()


def _text(items: Iterable[Item]) -> str:
    return _SEPARATOR.join(item.text() for item in items)


def groups(fingerprints: Mapping[str, str]) -> tuple[Group, ...]:
    """Give the tenants by fingerprint, the biggest group first; of equal ones the one with the first tenant's name.

    Args:
        fingerprints: Of each tenant, by its name.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    for tenant, value in fingerprints.items():
        found[value].append(tenant)
    made = (Group(value, tuple(sorted(tenants))) for value, tenants in found.items())
    return tuple(sorted(made, key=lambda group: (-len(group.tenants), group.tenants)))


def escape(value: str) -> str:
    r"""Give a value on one line: a backslash as ``\\``, a line feed as ``\n``."""
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _unescape(value: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], value) if "\\" in value else value


def name_parts(name: str) -> list[str]:
    """Give the parts of a name that dots divide; dots in quotes and brackets belong to a part."""
    parts = [""]
    for found in _NAME.finditer(name):
        if found[0] == ".":
            parts.append("")
        else:
            parts[-1] += found[0]
    return parts
