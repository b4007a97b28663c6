"""From one catalogue of PostgreSQL to another: what is renamed, dropped, made and changed, in an order that works."""

from collections.abc import Iterable
from functools import partial
from typing import Final

from pdelta.sql.bridge.order import Work, in_order
from pdelta.sql.bridge.postgresql_alter import ONCE, alter, changed, go_on, new_labels
from pdelta.sql.bridge.postgresql_clear import clear, rename
from pdelta.sql.bridge.postgresql_create import column, create, details, quote
from pdelta.sql.bridge.postgresql_drop import VIEWS, WITHOUT_STATEMENT, drop, drops, keep_what_is_needed
from pdelta.sql.bridge.postgresql_late import column_rights, comment, owner, rights
from pdelta.sql.bridge.postgresql_left import leave_what_lacks_something
from pdelta.sql.bridge.postgresql_state import RANKS, RIGHTS, State, columns, work_of
from pdelta.sql.bridge.result import Bridge, Refusal, Step
from pdelta.sql.catalogue import COLUMN, HOLDERS, Catalogue, Item, name_parts
from pdelta.sql.difference import ORDER, Difference, difference
from pdelta.sql.token import Dialect

_COMMENTED: Final = frozenset(
    {*VIEWS, "table", "sequence", "index", "settings of index", "statistics", COLUMN, "constraint", "trigger", "rule"}
    | {"policy", "function", "procedure", "type", "domain"}
)
_OWNED: Final = frozenset({*VIEWS, "table", "sequence", "function", "procedure", "type", "domain", "statistics"})
"""Kinds whose former comment, or owner, a tenant can derive."""
_NOT_BACK: Final = "what it was before is not derived"
_FOREIGN: Final = "of a table of another server nothing is derived"


def bridge_postgresql(found: Catalogue, wanted: Catalogue) -> Bridge:
    """Give the way from what is found to what is wanted, as ``bridge`` promises it."""
    state = State(found, wanted)
    orders = [one for one in difference(wanted, found) if one.facts == (ORDER,) and one.item.kind not in VIEWS]
    rename(state)
    clear(state)
    drop(state)
    _make(state, orders)
    _change(state)
    leave_what_lacks_something(state)
    _finish(state)
    keep_what_is_needed(state)
    for one in orders:
        state.refused.append(Refusal(one.words, "only a table that is made anew gets its columns in another order"))
    first, last = drops(state)
    works = [step for work in in_order(state.works, Dialect.POSTGRESQL) for step in work.steps]
    return Bridge((*state.renames, *first, *works, *last, *state.lates), tuple(state.refused))


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
        elif item.kind in WITHOUT_STATEMENT:
            state.refused.append(Refusal(words, WITHOUT_STATEMENT[item.kind]))
        elif item.kind == "extension":
            sql = f"CREATE EXTENSION {item.name} VERSION {quote(item.fact('version') or '')}"
            state.refused.append(Refusal(words, ONCE, (sql,)))
        else:
            _missing(state, item, words)


def _comes_along(state: State, item: Item, holders: set[str]) -> bool:
    """Say whether something is made with something else that is made, or that is there."""
    if item.kind == COLUMN:
        return (
            item.owner in holders
            or item.fact("origin") == "inherited"
            or any((kind, item.owner) in state.found for kind in VIEWS)
        )
    if item.fact("identity column") is not None or item.fact("origin") == "inherited":
        return True
    if item.fact("from the partitioned table") is not None:
        return True
    parent = item.fact("parent index")
    return parent is not None and (item.owner in holders or ("index", parent) not in state.found)


def _missing(state: State, item: Item, words: str) -> None:
    held = [*columns(state.wanted, item.name)]
    foreign = _FOREIGN if item.kind == "foreign table" else ""
    steps = state.attempt(words, partial(create, item, held, state.identities), left=foreign)
    if not steps:
        state.lack(item)
        return
    facts = (*item.facts, *(fact for one in held for fact in one.facts))
    state.works.append(work_of(Item(item.kind, item.name, facts), steps))
    owning = item.fact("owning column")
    if item.kind == "sequence" and owning is not None:
        *table, name = name_parts(owning)
        after = [Step(f"ALTER SEQUENCE {item.name} OWNED BY {owning}", words)]
        # A column that is new got its numbers from it.
        if (COLUMN, owning) in state.found:
            after.append(Step(go_on(item, Item(COLUMN, owning)), words))
        state.works.append(Work(RANKS[COLUMN] + 1, "", f"{item.name} {table[-1]} {name}", tuple(after)))


def _missing_column(state: State, item: Item, words: str) -> None:
    if ("type", item.owner) in state.found:
        sql = [f"ALTER TYPE {item.owner} ADD ATTRIBUTE {column(item, {})}"]
    else:
        sql = [f"ALTER TABLE {item.owner} ADD COLUMN {column(item, state.identities)}", *details(item)]
    steps = state.attempt(words, lambda: sql, left=_FOREIGN if state.is_foreign(item.owner) else "")
    if steps:
        state.works.append(work_of(item, steps))
    else:
        state.lack(item)


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
        reason, sql = _why_not(state, found, wanted)
        if reason:
            state.keep(found, one.words, reason, *sql)
        elif not (wanted.kind == COLUMN and any((kind, wanted.owner) in state.found for kind in VIEWS)):
            foreign = _FOREIGN if state.is_foreign(wanted.owner) or wanted.kind == "foreign table" else ""
            steps = state.attempt(one.words, partial(alter, found, wanted, state.identities), left=foreign)
            if steps:
                state.works.append(work_of(wanted, steps, makes=False))
            else:
                state.staying.append(found)
                state.lacking |= new_labels(found, wanted)


def _why_not(state: State, found: Item, wanted: Item) -> tuple[str, tuple[str, ...]]:
    """Give why a change is not even tried, and what a person may choose; empty where it is tried."""
    if wanted.kind == "table" and (sql := _leaves_parents(state, found, wanted)):
        return "what it has by inheriting would become its own for good", sql
    if wanted.kind != COLUMN:
        return WITHOUT_STATEMENT.get(wanted.kind, ""), ()
    if ("type", wanted.owner) in state.found:
        return "what is stored as that type would have to be read again", ()
    table = state.wanted.get(("table", wanted.owner))
    is_partition = table is not None and table.fact("bounds") is not None
    if wanted.fact("origin") == "inherited" != found.fact("origin") and not is_partition:
        return "a column that was a table's own stays its own", ()
    return "", ()


def _leaves_parents(state: State, found: Item, wanted: Item) -> tuple[str, ...]:
    """Give the statements by which a table would cease to inherit what is not its own; none where it is a partition."""
    own = [item for item in state.found.values() if item.owner == found.name]
    if found.fact("bounds") is not None or not any(item.fact("origin") == "inherited" for item in own):
        return ()
    kept = (wanted.fact("parents") or "").split(", ")
    parents = [parent for parent in (found.fact("parents") or "").split(", ") if parent and parent not in kept]
    return tuple(f"ALTER TABLE {found.name} NO INHERIT {parent}" for parent in parents)


def _finish(state: State) -> None:
    """Give owners, comments and rights, of what was made as well."""
    for key in dict.fromkeys((*state.wanted, *state.found)):
        found, wanted = state.found.get(key), state.wanted.get(key)
        item = wanted or found
        if item is None or {item.name, item.owner} & state.lacks:
            continue
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
            left = "" if wanted.kind in _OWNED else _NOT_BACK
            state.lates.extend(state.attempt(words, lambda: [owner(wanted, want)], left=left))
        case "comment":
            left = "" if wanted.kind in _COMMENTED else _NOT_BACK
            state.lates.extend(state.attempt(words, lambda: [comment(wanted, want)], left=left))
        case "grants":
            state.lates.extend(state.attempt(words, partial(column_rights, wanted, have, want)))
        case _:
            pass  # the owner of a sequence that follows its table
