"""What of a catalogue of PostgreSQL should not be there: what is dropped, in which order, and what stays and why."""

from functools import partial
from typing import Final

from pdelta.sql.bridge.order import in_order, mentioned
from pdelta.sql.bridge.postgresql_alter import alter
from pdelta.sql.bridge.postgresql_state import (
    RIGHTS,
    State,
    called,
    columns,
    dropped,
    is_foreign_key,
    is_partitioned,
    work_of,
)
from pdelta.sql.bridge.result import Refusal, Step
from pdelta.sql.catalogue import COLUMN, Item
from pdelta.sql.token import Dialect

VIEWS: Final = ("view", "materialized view")
WITHOUT_STATEMENT: Final = {
    "default privileges": "the statement takes the name of the schema",
    "switched triggers of constraint": "only a superuser switches them, by names that are chance",
}
_LOSSES: Final = {
    "table": "its rows would be lost",
    "foreign table": "nobody could reach its rows any more",
    "sequence": "the value that it has come to would be lost",
    "extension": "what needs it would be lost",
}
_DERIVED: Final = frozenset(
    {*VIEWS, "index", "settings of index", "function", "procedure", "trigger", "rule", "policy", "statistics"}
    | {"domain", "constraint"}
)
"""Kinds that a tenant can derive the statement for that makes them again."""
_IN_THIS_ORDER: Final = (
    "rule", "trigger", "policy", "view", "statistics", "foreign key", "index", "constraint",
)  # fmt: skip
_AT_THE_END: Final = frozenset({"type", "domain", "function", "procedure"})
"""Columns and defaults may use them until they are changed."""
_NEEDED: Final = _AT_THE_END | frozenset(VIEWS)


def drop(state: State) -> None:
    """Drop what should not be there, but nothing that holds anything, and nothing that could not be brought back."""
    extra = [item for key, item in state.found.items() if key not in state.wanted and item.kind not in RIGHTS]
    names = {item.name for item in extra}
    for item in extra:
        goes_along = item.owner in names or item.fact("origin") == "inherited" or item.fact("owning column") in names
        if goes_along or item.fact("identity column") is not None or item.fact("parent index") in names:
            continue
        _extra(state, item, f"additional {item}")


def _extra(state: State, item: Item, words: str) -> None:
    if item.kind == COLUMN:
        _extra_column(state, item, words)
    elif item.kind in WITHOUT_STATEMENT:
        state.keep(item, words, WITHOUT_STATEMENT[item.kind])
    elif item.kind in _LOSSES:
        state.keep(item, words, _LOSSES[item.kind], f"DROP {item.kind.upper()} {item.name}")
    elif not _comes_back(state, item):
        state.keep(item, words, "it could not be brought back", dropped(item))
    elif item.kind == "settings of index":
        usual = Item(item.kind, item.name, (("on", item.owner),))
        state.works.append(work_of(item, state.attempt(words, partial(alter, item, usual, {})), makes=False))
    else:
        state.drop(item, words)


def _comes_back(state: State, item: Item) -> bool:
    if item.kind == "type":
        return item.fact("labels") is not None or any(columns(state.found, item.name))
    return item.kind in _DERIVED and not is_partitioned(item)


def _extra_column(state: State, item: Item, words: str) -> None:
    if any((kind, item.owner) in state.found for kind in VIEWS):
        return  # its query says so
    if ("type", item.owner) in state.found:
        sql = f"ALTER TYPE {item.owner} DROP ATTRIBUTE {item.last_name}"
    else:
        sql = f"ALTER TABLE {item.owner} DROP COLUMN {item.last_name}"
    is_generated = item.fact("generated") is not None or item.fact("generated when read") is not None
    if is_generated and not state.is_foreign(item.owner):
        state.works.append(work_of(item, [Step(sql, words)], makes=False))
    else:
        state.keep(item, words, "its values would be lost", sql)


def keep_what_is_needed(state: State) -> None:
    """Keep what something needs that stays, for whatever reason that does."""
    staying = [*state.staying]
    while staying:
        item = staying.pop()
        own = [one for one in state.found.values() if one.owner == item.name]
        names = set().union(*(_mentions(one) for one in (item, *own)))
        for gone in [gone for gone in state.gone if gone.item.kind in _NEEDED and not gone.anew]:
            if called(gone.item) in names:
                state.gone.remove(gone)
                staying.append(gone.item)
                state.refused.append(Refusal(gone.words, "what stays may need it", (dropped(gone.item),)))


def _mentions(item: Item) -> set[str]:
    text = " ".join(value for key, value in item.facts if key not in {"comment", "owner"})
    return mentioned(text, Dialect.POSTGRESQL)


def drops(state: State) -> tuple[list[Step], list[Step]]:
    """Give what is dropped before all else, and at the end; what stands on others goes before them."""
    works = [work_of(gone.item, [Step(dropped(gone.item), gone.words)]) for gone in state.gone]
    late = {
        work.steps: gone.item.kind in _AT_THE_END and not gone.anew
        for work, gone in zip(works, state.gone, strict=True)
    }
    ordered = in_order(works, Dialect.POSTGRESQL)[::-1]
    first = sorted((work for work in ordered if not late[work.steps]), key=lambda work: _turn(work.item))
    return (
        [step for work in first for step in work.steps],
        [step for work in ordered if late[work.steps] for step in work.steps],
    )


def _turn(item: Item | None) -> int:
    if item is None:
        return len(_IN_THIS_ORDER)
    kind = "foreign key" if is_foreign_key(item) else "view" if item.kind in VIEWS else item.kind
    return _IN_THIS_ORDER.index(kind) if kind in _IN_THIS_ORDER else len(_IN_THIS_ORDER)
