"""What must be out of the way first: other names, and what can only be made anew with all that stands on it."""

from typing import Final

from pdelta.sql.bridge.order import bare, in_order, mentioned
from pdelta.sql.bridge.postgresql_alter import changed
from pdelta.sql.bridge.postgresql_state import RIGHTS, Items, State, columns, dropped, is_partitioned, work_of
from pdelta.sql.bridge.postgresql_types import keeps_values
from pdelta.sql.bridge.result import Step
from pdelta.sql.catalogue import COLUMN, Item, name_parts
from pdelta.sql.token import Dialect

_VIEWS: Final = frozenset({"view", "materialized view"})
_MADE_BY_DEFINITION: Final = frozenset({"trigger", "rule", "statistics", "index", "constraint"})


def rename(state: State) -> None:
    """Find what is there under another name; making an index anew takes long, and a rename does not."""
    _rename_sequences(state)
    for kind in ("index", "constraint"):
        gone = {_signature(item): item for item in _only(state.found, state.wanted, kind)}
        for item in _only(state.wanted, state.found, kind):
            other = gone.pop(_signature(item), None)
            if other is None:
                continue
            where = "DOMAIN" if item.fact("of") == "domain" else "TABLE"
            sql = (
                f"ALTER INDEX {other.name} RENAME TO {item.last_name}"
                if kind == "index"
                else f"ALTER {where} {item.owner} RENAME CONSTRAINT {other.last_name} TO {item.last_name}"
            )
            state.renames.append(Step(sql, f"{other} is called {item.last_name}"))
            del state.found[kind, other.name]
            state.found[kind, item.name] = Item(kind, item.name, _with_definition(other, item))
            settings = state.found.pop(("settings of index", other.last_name), None)
            if settings is not None:
                state.found[settings.kind, item.last_name] = Item(settings.kind, item.last_name, settings.facts)


def _rename_sequences(state: State) -> None:
    """Keep the sequence of a column, with the value that it has come to."""
    gone = {_counted(item): item for item in _only(state.found, state.wanted, "sequence")}
    for item in _only(state.wanted, state.found, "sequence"):
        other = gone.get(_counted(item)) if _counted(item) else None
        if other is None:
            continue
        sql = f"ALTER SEQUENCE {other.name} RENAME TO {item.last_name}"
        state.renames.append(Step(sql, f"{other} is called {item.last_name}"))
        del state.found[other.kind, other.name]
        state.found[item.kind, item.name] = Item(item.kind, item.name, other.facts)


def _counted(item: Item) -> str:
    """Give the column that a sequence counts for."""
    return item.fact("identity column") or item.fact("owning column") or ""


def clear(state: State) -> None:
    """Drop what can only be made anew, and take it for missing, so that it is made again with all that is its own."""
    retyped = _retyped(state)
    for key, item in [*state.found.items()]:
        wanted = state.wanted.get(key)
        if wanted is None or key not in state.found:
            continue
        if not (_must_be_anew(state, item, wanted) or _keeps_a_type(item, retyped)):
            continue
        if is_partitioned(item):
            sql = (dropped(item), (wanted.fact("definition") or "").replace(" ON ONLY ", " ON ", 1))
            state.keep(
                item, f"{item} is to be another", "an index of a partitioned table could not be brought back", *sql
            )
        else:
            _drop_to_remake(state, item)
    _clear_views(state, {table for table, _column in retyped})


def _only(here: Items, there: Items, kind: str) -> list[Item]:
    return [item for key, item in here.items() if key not in there and item.kind == kind]


def _signature(item: Item) -> tuple[str, str]:
    return item.owner, (item.fact("definition") or "").replace(f"INDEX {item.last_name} ON", "INDEX ON")


def _with_definition(old: Item, new: Item) -> tuple[tuple[str, str], ...]:
    definition = new.fact("definition") or ""
    return tuple((key, definition if key == "definition" else value) for key, value in old.facts)


def _retyped(state: State) -> set[tuple[str, str]]:
    """Give tables and their columns whose type will be another."""
    return {
        (item.owner, item.last_name)
        for key, item in state.found.items()
        if item.kind == COLUMN and (wanted := state.wanted.get(key)) is not None and _becomes(item, wanted)
    }


def _becomes(found: Item, wanted: Item) -> bool:
    facts = changed(found, wanted)
    have, want = facts.get("type", ("", ""))
    return ("type" in facts and keeps_values(have or "", want or "")) or (have == want and "collation" in facts)


def _must_be_anew(state: State, found: Item, wanted: Item) -> bool:
    facts = changed(found, wanted)
    definition = wanted.fact("definition")
    if wanted.kind == "policy":
        return bool(facts)
    if wanted.kind in {"function", "procedure"}:
        return bool({"returns", "arguments"} & facts.keys())
    if wanted.kind == "constraint" and facts.get("definition") == (f"{definition} NOT VALID", definition):
        return False
    if wanted.kind == "index" and ("invalid" in facts or ("parent index" in facts and not _follows(state, wanted))):
        return True
    return wanted.kind in _MADE_BY_DEFINITION and ("definition" in facts or found.fact("on") != wanted.fact("on"))


def _follows(state: State, index: Item) -> bool:
    """Say whether an index is attached or detached by itself: with its table, or by the one above it that is made."""
    have, want = (items.get(("table", index.owner)) for items in (state.found, state.wanted))
    moves = have is not None and want is not None and have.fact("bounds") != want.fact("bounds")
    parent = index.fact("parent index")
    return moves or (parent is not None and ("index", parent) not in state.found)


def _keeps_a_type(item: Item, retyped: set[tuple[str, str]]) -> bool:
    """Say whether PostgreSQL would keep a column from changing its type because of this."""
    if item.kind not in {"policy", "rule", "trigger"}:
        return False
    text = " ".join(value for key, value in item.facts if key in {"definition", "using", "with check"})
    names = mentioned(text, Dialect.POSTGRESQL)
    return any(table == item.owner and bare(name) in names for table, name in retyped)


def _drop_to_remake(state: State, item: Item) -> None:
    definition = item.fact("definition") or ""
    if item.kind == "constraint" and definition.startswith(("PRIMARY KEY", "UNIQUE")):
        for other in [*state.found.values()]:
            if other.kind == "constraint" and f" REFERENCES {item.owner}(" in (other.fact("definition") or ""):
                _drop_to_remake(state, other)
    if state.found.pop((item.kind, item.name), None) is None:
        return
    for key, other in [*state.found.items()]:
        if other.kind in RIGHTS and other.owner == item.name:
            del state.found[key]
    state.drop(item, f"{item} is made anew", anew=True)


def _clear_views(state: State, tables: set[str]) -> None:
    """Drop views that another query must replace, and those that stand on them or on a column that changes."""
    views = [item for item in state.found.values() if item.kind in _VIEWS]
    gone = {
        item.name
        for item in views
        if (wanted := state.wanted.get((item.kind, item.name))) and not _is_replaceable(state, item, wanted)
    }
    names = {bare(name_parts(name)[-1]) for name in tables | gone}
    grown = True
    while grown:
        grown = False
        for item in views:
            if item.name not in gone and mentioned(item.fact("definition") or "", Dialect.POSTGRESQL) & names:
                gone.add(item.name)
                names.add(bare(item.last_name))
                grown = True
    by_name = {bare(item.last_name): item for item in views if item.name in gone}
    made = in_order((work_of(item, ()) for item in by_name.values()), Dialect.POSTGRESQL)
    for item in (by_name[work.provides] for work in reversed(made)):
        for key, other in [*state.found.items()]:
            if item.name in {other.name, other.owner}:
                del state.found[key]
        state.drop(item, f"{item} is made anew", anew=True)


def _is_replaceable(state: State, found: Item, wanted: Item) -> bool:
    """Say whether CREATE OR REPLACE takes the one view for the other: it must begin with the same columns."""
    if found.fact("definition") == wanted.fact("definition"):
        return True
    if wanted.kind != "view":
        return False
    have, want = (
        [(one.name, one.fact("type")) for one in columns(items, wanted.name)] for items in (state.found, state.wanted)
    )
    return have == want[: len(have)]
