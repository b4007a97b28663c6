"""What is known and decided on the way from one catalogue of PostgreSQL to another."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from pdelta.sql.bridge.order import Work, bare
from pdelta.sql.bridge.postgresql_create import HIDDEN, LossError, UnwrittenError
from pdelta.sql.bridge.result import Refusal, Step
from pdelta.sql.catalogue import COLUMN, Catalogue, Item

Items = dict[tuple[str, str], Item]
"""By kind and name."""

RIGHTS: Final = frozenset({"grant", "revoke"})
RANKS: Final = {
    "type": 10, "domain": 10, "sequence": 20, "function": 30, "procedure": 30, "table": 40,
    "foreign table": 40, COLUMN: 45, "constraint": 50, "index": 60, "settings of index": 62, "view": 70,
    "materialized view": 70, "statistics": 75, "trigger": 80, "rule": 80, "policy": 80,
}  # fmt: skip
"""What comes first where no object mentions another."""

_LAST: Final = 90
_FOREIGN_KEY: Final = 65
_AFTER_TABLES: Final = 68
_NEEDED_BY_NAME: Final = frozenset(
    {"type", "domain", "sequence", "function", "procedure", "aggregate", "collation", "table", "foreign table", "view"}
    | {"materialized view", "operator class", "operator family", "text search configuration", "text search dictionary"}
)
"""What others need, and mention by the name."""


class Gone(msgspec.Struct, frozen=True):
    """Something that is dropped.

    Attributes:
        item: What.
        words: Why.
        anew: Whether it is made again.
    """

    item: Item
    words: str
    anew: bool


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
        self.gone: list[Gone] = []
        self.works: list[Work] = []
        self.lates: list[Step] = []
        self.refused: list[Refusal] = []
        self.lacking: set[str] = set()
        self.lacking_columns: set[tuple[str, str]] = set()
        self.lacks: set[str] = set()
        self.staying: list[Item] = []
        self.identities = {name: item for item in wanted.items if (name := item.fact("identity column")) is not None}

    def attempt(self, words: str, make: Callable[[], Iterable[str]], *, left: str = "") -> list[Step]:
        """Give the steps, or note why there are none.

        Args:
            words: What they are for.
            make: Gives the statements.
            left: Why they are left to a person; empty where they are not.
        """
        try:
            steps = [Step(sql, words) for sql in make()]
        except UnwrittenError as error:
            self.refused.append(Refusal(words, str(error)))
        except LossError as error:
            self.refused.append(Refusal(words, error.reason, error.sql))
        else:
            if any(hidden in step.sql for step in steps for hidden in HIDDEN):
                self.refused.append(Refusal(words, "it names the tenant itself"))
            elif left and steps:
                self.refused.append(Refusal(words, left, tuple(step.sql for step in steps)))
            else:
                return steps
        return []

    def drop(self, item: Item, words: str, *, anew: bool = False) -> None:
        """Drop an object that holds nothing."""
        self.gone.append(Gone(item, words, anew))

    def keep(self, item: Item, words: str, reason: str, *sql: str) -> None:
        """Leave something as it is that should be another, or not be there."""
        self.refused.append(Refusal(words, reason, sql))
        self.staying.append(item)

    def lack(self, item: Item) -> None:
        """Know that something is not made, with all that only it has; what it was to replace stays what it is."""
        key = (item.kind, item.name)
        for former in [one for one in self.gone if one.anew and (one.item.kind, one.item.name) == key]:
            self.gone.remove(former)
            self.staying.append(former.item)
        self.lacks.add(item.name)
        if item.kind == COLUMN:
            self.lacking_columns.add((item.owner, item.last_name))
        elif item.kind in _NEEDED_BY_NAME:
            self.lacking.add(called(item))

    def is_foreign(self, table: str) -> bool:
        """Say whether a table is one of another server, of which nothing is derived."""
        return any(("foreign table", table) in items for items in (self.found, self.wanted))


def dropped(item: Item) -> str:
    """Give the statement that drops an object."""
    if item.kind == "constraint":
        where = "DOMAIN" if item.fact("of") == "domain" else "TABLE"
        return f"ALTER {where} {item.owner} DROP CONSTRAINT {item.last_name}"
    if item.kind in {"trigger", "rule", "policy"}:
        return f"DROP {item.kind.upper()} {item.last_name} ON {item.owner}"
    return f"DROP {item.kind.upper()} {item.name}"


def called(item: Item) -> str:
    """Give the name by which others mention an object."""
    name = item.last_name
    if item.kind in {"function", "procedure", "aggregate"}:
        name = name[: name.index("(")]
    return bare(name.split(" USING ")[0] if item.kind.startswith("operator ") else name)


def is_partitioned(item: Item) -> bool:
    """Say whether an index is one of a partitioned table, or a part of such a one."""
    is_whole = " ON ONLY " in (item.fact("definition") or "")
    return item.kind == "index" and (is_whole or item.fact("parent index") is not None)


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


def work_of(item: Item, steps: Iterable[Step], *, makes: bool = True) -> Work:
    """Give a work that needs whatever the facts mention."""
    needs = " ".join(value for key, value in item.facts if key not in {"comment", "settings", "owning column"})
    if item.kind in {COLUMN, "constraint"}:
        needs += f" {item.owner}"
    provides = called(item) if makes and item.kind != COLUMN else ""
    return Work(rank_of(item), provides, needs, tuple(steps), item, makes)
