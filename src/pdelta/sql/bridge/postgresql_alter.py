"""The statements that change an object of PostgreSQL that is there, one function a kind."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Final

from pdelta.sql.bridge.postgresql_create import (
    LossError,
    UnwrittenError,
    generated_as,
    index_settings,
    quote,
    routine,
    settings,
    switch,
)
from pdelta.sql.bridge.postgresql_types import keeps_values
from pdelta.sql.catalogue import Item

LATE: Final = frozenset({"comment", "owner", "grants", "privileges", "role", "on"})
"""Facts that are taken care of at the end, for everything alike."""

ONCE: Final = "it belongs to the database, and not to the tenant: it needs a delta of its own with scope=once"
_USUAL_STORAGE: Final = {"numeric": "MAIN", "inet": "MAIN", "cidr": "MAIN"}


_SWITCHES: Final = {
    "unlogged": ("SET UNLOGGED", "SET LOGGED"),
    "under row security": ("ENABLE ROW LEVEL SECURITY", "DISABLE ROW LEVEL SECURITY"),
    "under forced row security": ("FORCE ROW LEVEL SECURITY", "NO FORCE ROW LEVEL SECURITY"),
}
_SETTINGS: Final = {
    "not null": ("SET NOT NULL", "DROP NOT NULL"),
    "default": ("SET DEFAULT {}", "DROP DEFAULT"),
    "storage": ("SET STORAGE {}", ""),
    "compression": ("SET COMPRESSION {}", "SET COMPRESSION default"),
    "statistics": ("SET STATISTICS {}", "SET STATISTICS -1"),
}


Changed = dict[str, tuple[str | None, str | None]]
"""Facts that differ: as they are, and as they should be."""


def changed(found: Item, wanted: Item) -> Changed:
    """Give the facts that differ, without those that are taken care of at the end."""
    have, want = dict(found.facts), dict(wanted.facts)
    return {
        key: (have.get(key), want.get(key))
        for key in dict.fromkeys((*have, *want))
        if key not in LATE and have.get(key) != want.get(key)
    }


def alter(found: Item, wanted: Item, identities: Mapping[str, Item]) -> Iterator[str]:
    """Give what makes this object like that one.

    Raises:
        UnwrittenError: There is no statement for it, or none that pdelta writes.
        LossError: There is one, and it would lose something.
    """
    facts = changed(found, wanted)
    if wanted.kind == "column":
        yield from _column(wanted, facts, identities)
    elif wanted.kind in {"index", "settings of index"}:
        yield from _index(found, wanted)
    elif facts:
        changer = _CHANGERS.get(wanted.kind)
        if changer is None:
            raise UnwrittenError("there is no statement that changes it")
        yield from changer(wanted, facts)


def options(start: str, have: str | None, want: str | None, *, prefix: str = "") -> Iterator[str]:
    """Give what sets and resets options."""
    old, new = (dict(_pairs(text)) for text in (have, want))
    if gone := [f"{prefix}{key}" for key in old if key not in new]:
        yield f"{start} RESET ({', '.join(gone)})"
    if set_ := [f"{prefix}{key}={value}" for key, value in new.items() if old.get(key) != value]:
        yield f"{start} SET ({settings(', '.join(set_))})"


def _pairs(text: str | None) -> Iterator[tuple[str, str]]:
    for option in (text or "").split(", "):
        key, _equals, value = option.partition("=")
        if key:
            yield key, value


def _relation(item: Item, facts: Changed) -> Iterator[str]:
    start = f"ALTER {item.kind.upper()} {item.name}"
    for key, (have, want) in facts.items():
        if key in _SWITCHES:
            yield f"{start} {_SWITCHES[key][0 if want else 1]}"
            continue
        match key:
            case "options":
                yield from options(start, have, want)
            case "toast options":
                yield from options(start, have, want, prefix="toast.")
            case "replica identity":
                yield f"{start} REPLICA IDENTITY {(want or 'default').upper()}"
            case "definition" if item.kind == "view":
                yield f"CREATE OR REPLACE VIEW {item.name} AS\n{want}"
            case "parents":
                yield from _parents(item, have, want, facts)
            case "bounds" if "parents" in facts:
                pass  # goes with them
            case _:
                raise UnwrittenError(f"the {key} of what is there can't be changed")


def _parents(item: Item, have: str | None, want: str | None, facts: Changed) -> Iterator[str]:
    old_bounds, bounds = facts.get("bounds", (item.fact("bounds"), item.fact("bounds")))
    if old_bounds is not None:
        yield f"ALTER TABLE {have} DETACH PARTITION {item.name}"
        have = None
    if bounds is not None:
        yield f"ALTER TABLE {want} ATTACH PARTITION {item.name} {bounds}"
        return
    old, new = ((text or "").split(", ") for text in (have, want))
    for parent in old:
        if parent and parent not in new:
            yield f"ALTER TABLE {item.name} NO INHERIT {parent}"
    for parent in new:
        if parent and parent not in old:
            yield f"ALTER TABLE {item.name} INHERIT {parent}"


def _column(item: Item, facts: Changed, identities: Mapping[str, Item]) -> Iterator[str]:
    start = f"ALTER TABLE {item.owner} ALTER COLUMN {item.last_name}"
    if "type" in facts or "collation" in facts:
        yield _retyped(item, start, facts)
    for key, (have, want) in facts.items():
        match key:
            case "identity":
                yield from _identity(item, start, have, want, identities)
            case "options":
                yield from options(start, have, want)
            case "generated" | "generated when read" if want is not None:
                raise UnwrittenError("a column is generated only from its beginning, so it must be made anew")
            case "generated" | "generated when read":
                raise LossError("nothing makes a column a generated one again", f"{start} DROP EXPRESSION")
            case "type" | "collation" | "origin":
                pass
            case _ if key in _SETTINGS:
                yield f"{start} {_setting(item, key, want)}"
            case _:
                raise UnwrittenError(f"the {key} of a column that is there can't be changed")


def _setting(item: Item, key: str, want: str | None) -> str:
    """Give what sets one fact of a column, or takes it away."""
    if want is None and key == "storage":
        return f"SET STORAGE {_USUAL_STORAGE.get((item.fact('type') or '').split('(')[0], 'EXTENDED')}"
    with_, without = _SETTINGS[key]
    return without if want is None else with_.format(want)


def _retyped(item: Item, start: str, facts: Changed) -> str:
    have, want = facts.get("type", (item.fact("type"), item.fact("type")))
    collation = item.fact("collation")
    statement = f"{start} TYPE {want}" + (f" COLLATE {collation}" if collation else "")
    if have != want and not keeps_values(have or "", want or ""):
        raise LossError(
            f"values may be lost or changed on the way from {have} to {want}",
            f"{statement} USING {item.last_name}::{want}",
        )
    return statement


def _identity(
    item: Item, start: str, have: str | None, want: str | None, identities: Mapping[str, Item]
) -> Iterator[str]:
    if want is None:
        raise LossError("the value that its sequence has come to would be lost", f"{start} DROP IDENTITY")
    if have is not None:
        yield f"{start} SET GENERATED {want.upper()}"
        return
    yield f"{start} ADD {generated_as(item, want, identities)}"
    sequence = identities.get(item.name)
    if sequence is not None:
        yield go_on(sequence, item)


def go_on(sequence: Item, column: Item) -> str:
    """Give what lets a new sequence go on behind the values that a column has already.

    How far that is, each tenant knows for itself; where it has no values, or none that the sequence could give, the
    sequence begins at its own beginning. Nothing need take it back: the sequence goes, with its position.
    """
    numbers = dict(pairwise((sequence.fact("definition") or "").split(" ")))
    value = f"{'min' if numbers['BY'].startswith('-') else 'max'}({column.last_name})"
    bounds = f"{numbers['MINVALUE']} AND {numbers['MAXVALUE']}"
    return f"SELECT setval({quote(sequence.name)}, {value}) FROM {column.owner} HAVING {value} BETWEEN {bounds}"  # noqa: S608 - names


def _sequence(item: Item, facts: Changed) -> Iterator[str]:
    for key, (_have, want) in facts.items():
        match key:
            case "definition":
                numbers = want or ""
                if " CYCLE" not in numbers:
                    numbers += " NO CYCLE"
                yield f"ALTER SEQUENCE {item.name} {numbers}"
            case "owning column":
                yield f"ALTER SEQUENCE {item.name} OWNED BY {want or 'NONE'}"
            case "unlogged":
                yield f"ALTER SEQUENCE {item.name} SET {'UNLOGGED' if want else 'LOGGED'}"
            case _:
                raise UnwrittenError("a sequence does not become that of an identity column")


def _type(item: Item, facts: Changed) -> Iterator[str]:
    start = f"ALTER {item.kind.upper()} {item.name}"
    for key, (have, want) in facts.items():
        match key:
            case "labels":
                raise LossError("no label is ever taken away again", *_labels(start, have or "", want or ""))
            case "default":
                yield f"{start} SET DEFAULT {want}" if want is not None else f"{start} DROP DEFAULT"
            case "not null":
                yield f"{start} {'SET' if want else 'DROP'} NOT NULL"
            case _:
                raise UnwrittenError(f"the {key} of a type can't be changed")


def _labels(start: str, have: str, want: str) -> Iterator[str]:
    old, new = _strings(have), _strings(want)
    if [label for label in new if label in old] != old:
        raise UnwrittenError("a label of an enum can't be taken away, nor get another place")
    there = set(old)
    for number, label in enumerate(new):
        if label in there:
            continue
        following = next((other for other in new[number:] if other in there), None)
        yield f"{start} ADD VALUE {label}" + (f" BEFORE {following}" if following else "")
        there.add(label)


def new_labels(found: Item, wanted: Item) -> set[str]:
    """Give the labels of an enum that only the wanted one has, as others mention them."""
    have, want = (_strings(item.fact("labels") or "") for item in (found, wanted))
    return {label[1:-1] for label in want if label not in have}


def _strings(labels: str) -> list[str]:
    """Cut at the commas between strings."""
    parts: list[str] = []
    for part in labels.split(", "):
        # A comma inside a string leaves an odd number of quotes on its left.
        if parts and parts[-1].count("'") % 2:
            parts[-1] += f", {part}"
        elif part:
            parts.append(part)
    return parts


def _index(found: Item, wanted: Item) -> Iterator[str]:
    if found.fact("clustered") and not wanted.fact("clustered"):
        yield f"ALTER TABLE {wanted.owner} SET WITHOUT CLUSTER"
    if found.fact("replica identity") and not wanted.fact("replica identity"):
        yield f"ALTER TABLE {wanted.owner} REPLICA IDENTITY DEFAULT"
    if wanted.kind != "index":
        yield from options(f"ALTER INDEX {wanted.name}", found.fact("options"), wanted.fact("options"))
    done = set(index_settings(found))
    wanted_numbers = [number for number, _target in _targets(wanted)]
    for number, _target in _targets(found):
        if number not in wanted_numbers:
            yield f"ALTER INDEX {wanted.name} ALTER COLUMN {number} SET STATISTICS -1"
    yield from (text for text in index_settings(wanted) if text not in done)


def _targets(item: Item) -> list[tuple[str, str]]:
    parts = (one.partition(" ") for one in (item.fact("statistics") or "").split(", ") if one)
    return [(number, target) for number, _space, target in parts]


def _routine(item: Item, _facts: Changed) -> Iterator[str]:
    yield routine(item, replace=True)


def _switched(item: Item, facts: Changed) -> Iterator[str]:
    yield switch(item, facts["state"][1])


def _constraint(item: Item, facts: Changed) -> Iterator[str]:
    if "definition" in facts:
        yield f"ALTER TABLE {item.owner} VALIDATE CONSTRAINT {item.last_name}"


def _statistics(item: Item, facts: Changed) -> Iterator[str]:
    yield f"ALTER STATISTICS {item.name} SET STATISTICS {facts['target'][1] or -1}"


def _extension(item: Item, facts: Changed) -> Iterator[str]:
    raise LossError(ONCE, f"ALTER EXTENSION {item.name} UPDATE TO {quote(facts['version'][1] or '')}")


_CHANGERS: Final[Mapping[str, Callable[[Item, Changed], Iterator[str]]]] = {
    "table": _relation,
    "foreign table": _relation,
    "view": _relation,
    "materialized view": _relation,
    "sequence": _sequence,
    "function": _routine,
    "procedure": _routine,
    "type": _type,
    "domain": _type,
    "trigger": _switched,
    "rule": _switched,
    "constraint": _constraint,
    "statistics": _statistics,
    "extension": _extension,
}
