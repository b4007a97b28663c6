"""From one catalogue of MySQL to another; each statement commits by itself, so each leaves whole tables behind."""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.bridge.mysql_create import (
    HIDDEN,
    column,
    constraint,
    index,
    options,
    stored,
    table,
    ticks,
)
from pdelta.sql.bridge.mysql_types import keeps_values
from pdelta.sql.bridge.order import Work, bare, in_order
from pdelta.sql.bridge.result import Bridge, Refusal, Step
from pdelta.sql.catalogue import COLUMN, Catalogue, Item
from pdelta.sql.difference import ORDER, difference
from pdelta.sql.token import Dialect

_STORED: Final = ("view", "trigger", "function", "procedure", "event")
_OPTIONS: Final = frozenset({"engine", "collation", "options", "comment"})
_CHECK: Final = "_pdelta_not_null"
_HIDDEN: Final = "{tenant}"


def bridge_mysql(found: Catalogue, wanted: Catalogue) -> Bridge:
    """Give the way from what is found to what is wanted, as ``bridge`` promises it."""
    return _Way(found, wanted).bridge()


class _Way:
    """What is there, what should be, and what has been decided, by its turn."""

    def __init__(self, found: Catalogue, wanted: Catalogue) -> None:
        self._found = {(item.kind, item.name): item for item in found.items}
        self._wanted = {(item.kind, item.name): item for item in wanted.items}
        self._differences = difference(wanted, found)
        self._turns: list[list[Step]] = [[] for _turn in range(7)]
        self._works: list[Work] = []
        self._refused: list[Refusal] = []
        self._kept: set[str] = set()

    def bridge(self) -> Bridge:
        for key, item in self._wanted.items():
            other = self._found.get(key)
            if other is None:
                self._missing(item)
            elif other.facts != item.facts:
                self._changed(other, item)
        for key, item in self._found.items():
            if key not in self._wanted:
                self._extra(item)
        self._order()
        self._turns[5] = [step for work in in_order(self._works, Dialect.MYSQL) for step in work.steps]
        return Bridge(tuple(step for turn in self._turns for step in turn), tuple(self._refused))

    def _say(self, turn: int, words: str, *statements: str) -> None:
        """Put statements in their turn: 0 and 1 drop, 2 tables, 3 columns, 4 keys, 5 what is stored, 6 the rest."""
        if any(_HIDDEN in sql for sql in statements):
            self._refused.append(Refusal(words, "it names the tenant itself"))
        else:
            self._turns[turn].extend(Step(sql, words) for sql in statements)

    def _refuse(self, words: str, reason: str, *sql: str) -> None:
        self._refused.append(Refusal(words, reason, sql))

    def _is_new(self, name: str) -> bool:
        return ("table", name) in self._wanted and ("table", name) not in self._found

    def _missing(self, item: Item) -> None:
        words = f"missing {item}"
        match item.kind:
            case "table":
                self._say(2, words, self._table(item))
            case "column":
                if ("table", item.owner) in self._found:
                    place = self._place(item)
                    self._say(3, words, f"ALTER TABLE {ticks(item.owner)} ADD COLUMN {column(item)}{place}")
            case "index":
                if not self._is_new(item.owner):
                    self._say(4, words, f"ALTER TABLE {ticks(item.owner)} ADD {index(item)}")
            case "constraint":
                if not self._is_new(item.owner) or _is_foreign(item):
                    self._say(
                        6 if _is_foreign(item) else 4, words, f"ALTER TABLE {ticks(item.owner)} ADD {constraint(item)}"
                    )
            case _ if item.kind in _STORED:
                self._store(item, words)
            case _:
                self._refuse(words, f"pdelta does not write a {item.kind}")

    def _table(self, item: Item) -> str:
        own = [other for other in self._wanted.values() if other.owner == item.name]
        checks = [other for other in own if other.kind == "constraint" and not _is_foreign(other)]
        columns, indexes = ([other for other in own if other.kind == kind] for kind in (COLUMN, "index"))
        return table(item, columns, indexes, checks)

    def _place(self, item: Item) -> str:
        """Give the column that comes before, which is there by then: columns are made in their order."""
        names = [other for other in self._wanted.values() if other.kind == COLUMN and other.owner == item.owner]
        at = [other.name for other in names].index(item.name)
        return f" AFTER {ticks(names[at - 1].last_name)}" if at else " FIRST"

    def _store(self, item: Item, words: str) -> None:
        if item.kind == "event" and item.fact("schedule") == "once":
            self._refuse(words, "when an event is to happen once is not in the catalogue")
            return
        statement = stored(item)
        if _HIDDEN in statement:
            self._refuse(words, "it names the tenant itself")
            return
        needs = " ".join(value for key, value in item.facts if key in {"definition", "body"})
        rank = _STORED.index(item.kind)
        self._works.append(
            Work(rank, bare(item.last_name), needs if item.kind == "view" else "", (Step(statement, words),))
        )

    def _changed(self, found: Item, wanted: Item) -> None:
        words = _words(found, wanted)
        match wanted.kind:
            case "table":
                self._changed_table(found, wanted, words)
            case "column":
                if ("table", wanted.owner) in self._wanted:
                    self._changed_column(found, wanted, words)
            case "index":
                self._say(4, words, *_changed_index(found, wanted))
            case "constraint":
                self._say(0, words, f"ALTER TABLE {ticks(found.owner)} {_drop_constraint(found)}")
                self._say(
                    6 if _is_foreign(wanted) else 4,
                    words,
                    f"ALTER TABLE {ticks(wanted.owner)} ADD {constraint(wanted)}",
                )
            case _ if wanted.kind in _STORED:
                if wanted.kind != "view":
                    self._say(0, words, f"DROP {wanted.kind.upper()} {ticks(wanted.last_name)}")
                self._store(wanted, words)
            case "schema":
                self._refuse(words, "the collation of a database is for tables that are made later", _database(wanted))
            case _:
                self._refuse(words, f"pdelta does not change a {wanted.kind}")

    def _changed_table(self, found: Item, wanted: Item, words: str) -> None:
        have, want = dict(found.facts), dict(wanted.facts)
        keys = {key for key in {*have, *want} if have.get(key) != want.get(key)}
        if keys - _OPTIONS or "engine" in keys:
            self._refuse(words, "that changes where and how rows are kept")
            return
        changed = {key: want.get(key, "") for key in keys}
        gone = [option.partition("=")[0] for option in have.get("options", "").split(", ")] if "options" in keys else []
        kept = [option.partition("=")[0] for option in want.get("options", "").split(", ")]
        said = [*options(changed), *(f"{option.upper()}=DEFAULT" for option in gone if option and option not in kept)]
        self._say(3, words, f"ALTER TABLE {ticks(wanted.name)} {' '.join(said)}")

    def _changed_column(self, found: Item, wanted: Item, words: str) -> None:
        have, want = dict(found.facts), dict(wanted.facts)
        statement = f"ALTER TABLE {ticks(wanted.owner)} MODIFY COLUMN {column(wanted)}"
        if reason := self._loses(found, wanted):
            self._kept.add(found.name)
            self._refuse(words, reason, statement)
            return
        owner = ticks(wanted.owner)
        if "not null" in want and "not null" not in have:
            # A server that is not strict makes NULL a 0 without a word; a constraint it always keeps.
            check = f"ADD CONSTRAINT {_CHECK} CHECK ({ticks(wanted.last_name)} IS NOT NULL)"
            self._say(
                3, words, f"ALTER TABLE {owner} {check}", statement, f"ALTER TABLE {owner} DROP CONSTRAINT {_CHECK}"
            )
        elif "not null" in have and "not null" not in want:
            self._say(6, words, statement)  # a column of a primary key takes no NULL while it is one
        else:
            self._say(3, words, statement)

    def _loses(self, found: Item, wanted: Item) -> str:
        """Give what a change of a column would lose; empty for nothing."""
        if wanted.fact("generated") is not None and found.fact("generated") is None:
            return "its values would give way to generated ones"
        old, new = (item.fact("type") or "" for item in (found, wanted))
        if not keeps_values(old, new):
            return f"values may be lost or changed on the way from {old} to {new}"
        if found.fact("collation") != wanted.fact("collation") and not self._keeps_letters(found, wanted):
            return "letters may be lost on the way to another character set"
        return ""

    def _keeps_letters(self, found: Item, wanted: Item) -> bool:
        """Say whether the new character set has every letter of the old one."""
        sets = []
        for items, item in ((self._found, found), (self._wanted, wanted)):
            held = items.get(("table", item.owner))
            collation = item.fact("collation") or (held.fact("collation") if held else None) or ""
            sets.append(collation.split("_")[0])
        return sets[0] == sets[1] or sets[1] == "utf8mb4"

    def _extra(self, item: Item) -> None:
        words = f"additional {item}"
        name = ticks(item.last_name)
        gone = item.owner and ("table", item.owner) not in self._wanted and item.owner != item.name
        match item.kind:
            case "table":
                self._refuse(words, "its rows would be lost", f"DROP TABLE {ticks(item.name)}")
            case _ if gone:
                pass  # goes without saying
            case "column" if ("table", item.owner) not in self._wanted or ("view", item.owner) in self._found:
                pass
            case "column":
                statement = f"ALTER TABLE {ticks(item.owner)} DROP COLUMN {name}"
                if item.fact("generated") is not None:
                    self._say(1, words, statement)
                else:
                    self._refuse(words, "its values would be lost", statement)
            case "index":
                self._say(1, words, f"ALTER TABLE {ticks(item.owner)} {_drop_index(item)}")
            case "constraint":
                self._say(0, words, f"ALTER TABLE {ticks(item.owner)} {_drop_constraint(item)}")
            case _ if item.kind in _STORED:
                self._say(0, words, f"DROP {item.kind.upper()} {name}")
            case _:
                self._refuse(words, "what it has come to would be lost", f"DROP {item.kind.upper()} {name}")

    def _order(self) -> None:
        """Bring columns into their order, which a MODIFY does without a change."""
        for one in self._differences:
            if one.facts == (ORDER,) and one.item.kind == "table":
                own = [item for item in self._wanted.values() if item.kind == COLUMN and item.owner == one.item.name]
                for item in own:
                    found = self._found.get((COLUMN, item.name))
                    if found is not None:
                        as_it_is = column(found if found.name in self._kept else item)
                        place = self._place(item)
                        self._say(3, one.words, f"ALTER TABLE {ticks(item.owner)} MODIFY COLUMN {as_it_is}{place}")


def _words(found: Item, wanted: Item) -> str:
    return "; ".join(one.words for one in difference(Catalogue.of((wanted,)), Catalogue.of((found,))))


def _is_foreign(item: Item) -> bool:
    return (item.fact("definition") or "").startswith("FOREIGN KEY")


def _changed_index(found: Item, wanted: Item) -> Iterator[str]:
    start = f"ALTER TABLE {ticks(wanted.owner)}"
    have, want = dict(found.facts), dict(wanted.facts)
    hidden = [key for key in HIDDEN if have.pop(key, None) != want.pop(key, None)]
    if have != want:
        # In one statement: between two, nothing would keep values apart.
        yield f"{start} {_drop_index(found)}, ADD {index(wanted)}"
    for key in hidden:
        yield f"{start} ALTER INDEX {ticks(wanted.last_name)} {key.upper() if wanted.fact(key) else HIDDEN[key]}"


def _drop_index(item: Item) -> str:
    return "DROP PRIMARY KEY" if bare(item.last_name) == "PRIMARY" else f"DROP INDEX {ticks(item.last_name)}"


def _drop_constraint(item: Item) -> str:
    word = "FOREIGN KEY" if _is_foreign(item) else "CONSTRAINT"
    return f"DROP {word} {ticks(item.last_name)}"


def _database(item: Item) -> str:
    return f"ALTER DATABASE COLLATE {item.fact('collation')}"
