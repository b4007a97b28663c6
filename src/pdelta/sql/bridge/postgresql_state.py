"""What is known and decided on the way from one catalogue of PostgreSQL to another."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pdelta.sql.bridge.order import Work, bare
from pdelta.sql.bridge.postgresql_alter import LossError
from pdelta.sql.bridge.postgresql_create import HIDDEN, UnwrittenError
from pdelta.sql.bridge.result import Refusal, Step
from pdelta.sql.catalogue import COLUMN, Catalogue, Item

Items = dict[tuple[str, str], Item]
"""By kind and name."""

RIGHTS: Final = frozenset({"grant", "revoke"})
RANKS: Final = {
    "extension": 0, "type": 10, "domain": 10, "sequence": 20, "function": 30, "procedure": 30, "table": 40,
    "foreign table": 40, COLUMN: 45, "constraint": 50, "index": 60, "settings of index": 62, "view": 70,
    "materialized view": 70, "statistics": 75, "trigger": 80, "rule": 80, "policy": 80,
}  # fmt: skip
"""What comes first where no object mentions another."""

_LAST: Final = 90
_FOREIGN_KEY: Final = 65
_AFTER_TABLES: Final = 68
_DROPPED_IN_THIS_ORDER: Final = (
    "rule", "trigger", "policy", "view", "materialized view", "statistics", "foreign key", "index", "constraint",
)  # fmt: skip
_DROPPED_AT_THE_END: Final = frozenset({"type", "domain", "function", "procedure", "aggregate"})
"""Columns and defaults may use them until they are changed."""


class State:
    """What is left to do, and what was decided.

    Args:
        found: What a tenant has.
        wanted: What it should have.
    """

    def __init__(self, found: Catalogue, wanted: Catalogue) -> None:
        self.found: Items = {(item.kind, item.name): item for item in found.items}
        self.wanted: Items = {(item.kind, item.name): item for item in wanted.items}
        self.renames: list[Step] = []
        self.drops: list[tuple[int, Step]] = []
        self.works: list[Work] = []
        self.lates: list[Step] = []
        self.refused: list[Refusal] = []
        self.identities = {name: item for item in wanted.items if (name := item.fact("identity column")) is not None}

    def attempt(self, words: str, make: Callable[[], Iterable[str]]) -> list[Step]:
        """Give the steps, or note why there are none."""
        try:
            steps = [Step(sql, words) for sql in make()]
        except UnwrittenError as error:
            self.refused.append(Refusal(words, str(error)))
        except LossError as error:
            self.refused.append(Refusal(words, error.reason, error.sql))
        else:
            if not any(hidden in step.sql for step in steps for hidden in HIDDEN):
                return steps
            self.refused.append(Refusal(words, "it names the tenant itself"))
        return []

    def drop(self, item: Item, words: str, *, anew: bool = False) -> None:
        """Drop an object that holds nothing."""
        kind = item.kind
        if kind == "constraint":
            where = "DOMAIN" if item.fact("of") == "domain" else "TABLE"
            sql = f"ALTER {where} {item.owner} DROP CONSTRAINT {item.last_name}"
            kind = "foreign key" if is_foreign_key(item) else kind
        elif kind in {"trigger", "rule", "policy"}:
            sql = f"DROP {kind.upper()} {item.last_name} ON {item.owner}"
        else:
            sql = f"DROP {kind.upper()} {item.name}"
        order = _DROPPED_IN_THIS_ORDER
        if kind in _DROPPED_AT_THE_END and not anew:
            self.lates.append(Step(sql, words))
        else:
            self.drops.append((order.index(kind) if kind in order else len(order), Step(sql, words)))


def columns(items: Items, holder: str) -> Iterator[Item]:
    """Give the columns of what is called so, in their order."""
    return (item for item in items.values() if item.kind == COLUMN and item.owner == holder)


def is_foreign_key(item: Item) -> bool:
    """Say whether a constraint is a foreign key."""
    return (item.fact("definition") or "").startswith("FOREIGN KEY")


def rank_of(item: Item) -> int:
    """Give what is made before and after an object of this kind."""
    if item.kind == "constraint" and is_foreign_key(item):
        return _FOREIGN_KEY
    if item.kind == "constraint" and item.fact("of") == "domain":
        return RANKS["domain"] + 1
    if item.fact("sql body") is not None:
        return _AFTER_TABLES
    return RANKS.get(item.kind, _LAST)


def work_of(item: Item, steps: Iterable[Step], *, provides: bool = True) -> Work:
    """Give a work that needs whatever the facts mention."""
    needs = " ".join(value for key, value in item.facts if key not in {"comment", "settings", "owning column"})
    name = item.last_name
    if item.kind in {"function", "procedure"}:
        name = name[: name.index("(")]
    if item.kind in {COLUMN, "constraint"}:
        needs += f" {item.owner}"
    return Work(rank_of(item), bare(name) if provides and item.kind != COLUMN else "", needs, tuple(steps))
