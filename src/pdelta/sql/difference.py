"""How two catalogues differ, in words for people, and as data for what takes one to the other."""

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from pdelta.sql.catalogue import COLUMN, HOLDERS, YES, Catalogue, Item

ORDER: Final = "order"
"""Stands for the order of a table's columns, which is no fact of any of them."""

_SHOWN_CHARACTERS: Final = 80
_FLAGS: Final = {"not null": ("does not allow NULL", "allows NULL")}
_FIRST: Final = ("schema", "extension", "type", "sequence", "table", "column", "constraint", "index")
_ALONE: Final = frozenset({"grant", "revoke"})
"""Kinds whose names are no owner's."""

_Items = Mapping[tuple[str, str], Item]


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not alike.

    Attributes:
        words: What is said to people.
        wanted: As it should be; None where it should not be.
        found: As it is; None where it is missing.
        facts: The keys of the facts that differ where both are there; ``ORDER`` for that of a table's columns.
    """

    words: str
    wanted: Item | None
    found: Item | None
    facts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.words

    @property
    def item(self) -> Item:
        """What it is about, as it should be where it should be."""
        item = self.wanted or self.found
        if item is None:
            raise ValueError("a difference is about something")
        return item


def difference(wanted: Catalogue, found: Catalogue) -> tuple[Difference, ...]:
    """Give what tells ``found`` from ``wanted``: ``missing table logs``, ``column users.age is integer, not bigint``.

    Empty exactly if their fingerprints are equal. What belongs to a table that is missing, or should not be there, goes
    without saying.
    """
    ours = {(item.kind, item.name): item for item in wanted.items}
    theirs = {(item.kind, item.name): item for item in found.items}
    differences = [
        *(Difference(f"missing {_placed(item)}", item, None) for item in _only(ours, theirs)),
        *(Difference(f"additional {_placed(item)}", None, item) for item in _only(theirs, ours)),
        *_changed(ours, theirs),
        *_reordered(ours, theirs),
    ]
    return tuple(sorted(differences, key=_rank))


def _rank(one: Difference) -> tuple[int, str, str]:
    item = one.item
    return _FIRST.index(item.kind) if item.kind in _FIRST else len(_FIRST), item.kind, item.name


def _placed(item: Item) -> str:
    is_named_alone = item.kind.endswith("index") and not item.name.startswith(f"{item.owner}.")
    return f"{item} on {item.owner}" if is_named_alone else str(item)


def _only(here: _Items, there: _Items) -> Iterator[Item]:
    """Give what only one has, without what belongs to something that only it has."""
    known = {name for kind, name in there if kind not in _ALONE}
    gone = {name for kind, name in here if kind not in _ALONE} - known
    return (item for key, item in here.items() if key not in there and item.owner not in gone)


def _changed(ours: _Items, theirs: _Items) -> Iterator[Difference]:
    for key, wanted in ours.items():
        found = theirs.get(key)
        if found is None or found.facts == wanted.facts:
            continue
        want, have = dict(wanted.facts), dict(found.facts)
        keys = [key for key in dict.fromkeys((*want, *have)) if want.get(key) != have.get(key)]
        words = ", and ".join(_fact(key, want.get(key), have.get(key)) for key in keys)
        yield Difference(f"{wanted} {words}", wanted, found, tuple(keys))


def _fact(key: str, want: str | None, have: str | None) -> str:
    if YES in {want, have}:
        yes, no = _FLAGS.get(key, (f"is {key}", f"is not {key}"))
        return yes if have else no
    want, have = want and want.strip(), have and have.strip()
    if have is None:
        return f"lacks {key} {want}" if _is_short(want) else f"lacks a {key}"
    if not (_is_short(want) and _is_short(have)):
        return f"has another {key}"
    verb = "is" if key == "type" else f"has {key}"
    return f"{verb} {have}" + ("" if want is None else f", not {want}")


def _is_short(value: str | None) -> bool:
    return value is None or (len(value) <= _SHOWN_CHARACTERS and "\n" not in value)


def _reordered(ours: _Items, theirs: _Items) -> Iterator[Difference]:
    """Compare the order of the columns that both have; where others are missing, saying that is enough."""
    found = _orders(theirs, ours)
    for table, names in _orders(ours, theirs).items():
        if names != found[table]:
            words = f"the columns of {table} are in the order {', '.join(found[table])}, not {', '.join(names)}"
            yield Difference(words, _holder(table, ours), _holder(table, theirs), (ORDER,))


def _orders(items: _Items, others: _Items) -> dict[str, list[str]]:
    orders: dict[str, list[str]] = {}
    for key, item in items.items():
        if item.kind == COLUMN and key in others:
            orders.setdefault(item.owner, []).append(item.last_name)
    return orders


def _holder(table: str, items: _Items) -> Item:
    return next((items[kind, table] for kind in HOLDERS if (kind, table) in items), Item("table", table))
