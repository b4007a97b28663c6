"""From one catalogue of PostgreSQL to another: what is renamed, dropped, made and changed, in an order that works."""

from collections.abc import Iterable
from functools import partial
from typing import Final

from pdelta.sql.bridge.order import Work, in_order
from pdelta.sql.bridge.postgresql_alter import alter, changed, go_on
from pdelta.sql.bridge.postgresql_clear import clear, rename
from pdelta.sql.bridge.postgresql_create import column, create, details
from pdelta.sql.bridge.postgresql_late import column_rights, comment, owner, rights
from pdelta.sql.bridge.postgresql_state import RANKS, RIGHTS, State, columns, work_of
from pdelta.sql.bridge.result import Bridge, Refusal, Step
from pdelta.sql.catalogue import COLUMN, HOLDERS, Catalogue, Item, name_parts
from pdelta.sql.difference import ORDER, Difference, difference
from pdelta.sql.token import Dialect

_TABLES: Final = ("table", "foreign table")
_VIEWS: Final = ("view", "materialized view")
_LOSSES: Final = {
    "table": "its rows would be lost",
    "foreign table": "nobody could reach its rows any more",
    "sequence": "the value that it has come to would be lost",
    "extension": "what needs it would be lost",
}
_WITHOUT_STATEMENT: Final = {
    "default privileges": "the statement takes the name of the schema",
    "switched triggers of constraint": "only a superuser switches them, by names that are chance",
}


def bridge_postgresql(found: Catalogue, wanted: Catalogue) -> Bridge:
    """Give the way from what is found to what is wanted, as ``bridge`` promises it."""
    state = State(found, wanted)
    orders = [one for one in difference(wanted, found) if one.facts == (ORDER,) and one.item.kind not in _VIEWS]
    rename(state)
    clear(state)
    _drop(state)
    _make(state, orders)
    _change(state)
    _finish(state)
    for one in orders:
        state.refused.append(Refusal(one.words, "only a table that is made anew gets its columns in another order"))
    drops = [step for _rank, step in sorted(state.drops, key=lambda drop: drop[0])]
    works = [step for work in in_order(state.works, Dialect.POSTGRESQL) for step in work.steps]
    return Bridge((*state.renames, *drops, *works, *state.lates), tuple(state.refused))


def _drop(state: State) -> None:
    """Drop what should not be there, but nothing that holds anything."""
    extra = [item for key, item in state.found.items() if key not in state.wanted and item.kind not in RIGHTS]
    names = {item.name for item in extra}
    for item in extra:
        words = f"additional {item}"
        goes_along = item.owner in names or item.fact("origin") == "inherited" or item.fact("owning column") in names
        if goes_along or item.fact("identity column") is not None:
            continue
        if item.kind == COLUMN:
            _extra_column(state, item, words)
        elif item.kind in _WITHOUT_STATEMENT:
            state.refused.append(Refusal(words, _WITHOUT_STATEMENT[item.kind]))
        elif item.kind in _LOSSES:
            state.refused.append(Refusal(words, _LOSSES[item.kind], (f"DROP {item.kind.upper()} {item.name}",)))
        elif item.kind == "settings of index":
            usual = Item(item.kind, item.name, (("on", item.owner),))
            state.works.append(work_of(item, state.attempt(words, partial(alter, item, usual, {})), provides=False))
        else:
            state.drop(item, words)


def _extra_column(state: State, item: Item, words: str) -> None:
    if any((kind, item.owner) in state.found for kind in _VIEWS):
        return  # its query says so
    if ("type", item.owner) in state.found:
        sql = f"ALTER TYPE {item.owner} DROP ATTRIBUTE {item.last_name}"
    else:
        sql = f"ALTER TABLE {item.owner} DROP COLUMN {item.last_name}"
    if item.fact("generated") is not None or item.fact("generated when read") is not None:
        state.works.append(work_of(item, [Step(sql, words)]))
    else:
        state.refused.append(Refusal(words, "its values would be lost", (sql,)))


def _make(state: State, orders: Iterable[Difference]) -> None:
    """Make what is missing."""
    missing = [item for key, item in state.wanted.items() if key not in state.found and item.kind not in RIGHTS]
    holders = {item.name for item in missing if item.kind in HOLDERS}
    reordered = {one.item.name for one in orders}
    for item in missing:
        words = f"missing {item}"
        if _comes_along(state, item, holders):
            continue
        if item.kind == COLUMN:
            _missing_column(state, item, words)
            if item.owner not in reordered and not _stands_last(state, item):
                state.refused.append(Refusal(f"the place of {item}", "a column that is added stands at the end"))
        elif item.kind in _WITHOUT_STATEMENT:
            state.refused.append(Refusal(words, _WITHOUT_STATEMENT[item.kind]))
        else:
            _missing(state, item, words)


def _comes_along(state: State, item: Item, holders: set[str]) -> bool:
    """Say whether something is made with something else that is made, or that is there."""
    if item.kind == COLUMN:
        return (
            item.owner in holders
            or item.fact("origin") == "inherited"
            or any((kind, item.owner) in state.found for kind in _VIEWS)
        )
    if item.fact("identity column") is not None or item.fact("origin") == "inherited":
        return True
    if item.fact("from the partitioned table") is not None:
        return True
    parent = item.fact("parent index")
    return parent is not None and item.owner in holders and ("index", parent) in state.found


def _missing(state: State, item: Item, words: str) -> None:
    held = [*columns(state.wanted, item.name)]
    steps = state.attempt(words, partial(create, item, held, state.identities))
    if not steps:
        return
    facts = (*item.facts, *(fact for one in held for fact in one.facts))
    state.works.append(work_of(Item(item.kind, item.name, facts), steps))
    owning = item.fact("owning column")
    if item.kind == "sequence" and owning is not None:
        *table, name = name_parts(owning)
        after = [Step(f"ALTER SEQUENCE {item.name} OWNED BY {owning}", words)]
        if ("table", ".".join(table)) in state.found:
            after.append(Step(go_on(item.name, Item(COLUMN, owning)), words))
        state.works.append(Work(RANKS[COLUMN] + 1, "", f"{item.name} {table[-1]} {name}", tuple(after)))


def _missing_column(state: State, item: Item, words: str) -> None:
    if ("type", item.owner) in state.found:
        sql = [f"ALTER TYPE {item.owner} ADD ATTRIBUTE {column(item, {})}"]
    else:
        sql = [f"ALTER TABLE {item.owner} ADD COLUMN {column(item, state.identities)}", *details(item)]
    state.works.append(work_of(item, [Step(text, words) for text in sql]))


def _stands_last(state: State, item: Item) -> bool:
    here = {one.name for one in columns(state.found, item.owner)}
    there = [one.name for one in columns(state.wanted, item.owner)]
    return not any(name in here for name in there[there.index(item.name) :])


def _change(state: State) -> None:
    """Change what is there and differs."""
    for key, wanted in state.wanted.items():
        found = state.found.get(key)
        if found is None or wanted.kind in RIGHTS or not changed(found, wanted):
            continue
        (one,) = difference(Catalogue.of((wanted,)), Catalogue.of((found,)))
        reason = _why_not(state, found, wanted)
        if reason:
            state.refused.append(Refusal(one.words, reason))
        elif not (wanted.kind == COLUMN and any((kind, wanted.owner) in state.found for kind in _VIEWS)):
            steps = state.attempt(one.words, partial(alter, found, wanted, state.identities))
            state.works.append(work_of(wanted, steps, provides=False))


def _why_not(state: State, found: Item, wanted: Item) -> str:
    """Give why a change is not even tried; empty where it is."""
    if wanted.kind != COLUMN:
        return _WITHOUT_STATEMENT.get(wanted.kind, "")
    if ("type", wanted.owner) in state.found:
        return "what is stored as that type would have to be read again"
    table = state.wanted.get(("table", wanted.owner))
    is_partition = table is not None and table.fact("bounds") is not None
    if wanted.fact("origin") == "inherited" != found.fact("origin") and not is_partition:
        return "a column that was a table's own stays its own"
    return ""


def _finish(state: State) -> None:
    """Give owners, comments and rights, of what was made as well."""
    for key in dict.fromkeys((*state.wanted, *state.found)):
        found, wanted = state.found.get(key), state.wanted.get(key)
        if key[0] in RIGHTS:
            _right(state, found, wanted)
        elif wanted is not None:
            for fact in ("owner", "comment", "grants"):
                _late(state, fact, found, wanted)


def _right(state: State, found: Item | None, wanted: Item | None) -> None:
    item = wanted or found
    if item is None or (found is not None and wanted is not None and found.facts == wanted.facts):
        return
    # What is dropped takes its rights with it.
    if wanted is None and item.owner and not any(name == item.owner for _kind, name in state.wanted):
        return
    word = "additional" if wanted is None else "missing" if found is None else "another"
    state.lates.extend(state.attempt(f"{word} {item}", partial(rights, found, wanted)))


def _late(state: State, fact: str, found: Item | None, wanted: Item) -> None:
    have, want = (found.fact(fact) if found else None), wanted.fact(fact)
    if have == want:
        return
    words = f"the {fact} of {wanted}"
    match fact:
        case "owner" if wanted.fact("identity column") is None and wanted.fact("owning column") is None:
            state.lates.extend(state.attempt(words, lambda: [owner(wanted, want)]))
        case "comment":
            state.lates.extend(state.attempt(words, lambda: [comment(wanted, want)]))
        case "grants":
            state.lates.extend(state.attempt(words, partial(column_rights, wanted, have, want)))
        case _:
            pass  # the owner of a sequence that follows its table
