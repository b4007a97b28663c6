"""From one catalogue of MySQL to another; each statement commits by itself, so each leaves whole tables behind.

Each statement has one that takes it back. Taken from the last to the first they lead through the same tables, so that a
delta that stops half-way is taken back by as many of them.
"""

from collections.abc import Iterable
from typing import Final

from pdelta.sql.bridge.mysql_create import column, constraint, index, stored, table, table_options, ticks
from pdelta.sql.bridge.mysql_index import KeyChange, begins_with, changed_index, drop_index, is_primary
from pdelta.sql.bridge.mysql_types import keeps_values
from pdelta.sql.bridge.order import Work, bare, in_order
from pdelta.sql.bridge.result import Bridge, Refusal, Step
from pdelta.sql.catalogue import COLUMN, Catalogue, Item, name_parts
from pdelta.sql.difference import ORDER, difference
from pdelta.sql.token import Dialect

Pair = tuple[str, str]
"""A statement, and the one that takes it back."""

_STORED: Final = ("view", "trigger", "function", "procedure", "event")
_OPTIONS: Final = frozenset({"engine", "collation", "options", "comment"})
_CHECK: Final = "_pdelta_not_null"
_HIDDEN: Final = "{tenant}"
_COUNTS: Final = "auto increment"
_DERIVED: Final = frozenset({"type", "not null", "generated", "default", "on update", "comment"})
"""Facts of a column whose former value is derived in every tenant, where no other one is there to change."""
_TEXTS: Final = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set")
_NOT_BACK: Final = "it could not be brought back"


def bridge_mysql(found: Catalogue, wanted: Catalogue) -> Bridge:
    """Give the way from what is found to what is wanted, as ``bridge`` promises it."""
    return _Way(found, wanted).bridge()


class _Way:
    """What is there, what should be, and what has been decided, by its turn."""

    def __init__(self, found: Catalogue, wanted: Catalogue) -> None:
        self._found = _spelt_out(found, wanted)
        self._wanted = _spelt_out(wanted, found)
        self._differences = difference(wanted, found)
        self._turns: list[list[Step]] = [[] for _turn in range(7)]
        self._works: list[Work] = []
        self._drops: list[Work] = []
        self._refused: list[Refusal] = []
        self._kept: set[str] = set()
        self._added: list[Item] = []
        self._joined: set[str] = set()
        self._gone: set[str] = set()
        self._derives = True

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
        # What stands on others goes first, and so comes back last.
        dropped = [step for work in reversed(in_order(self._drops, Dialect.MYSQL)) for step in work.steps]
        self._turns[0] = dropped + self._turns[0]
        self._turns[5] = [step for work in in_order(self._works, Dialect.MYSQL) for step in work.steps]
        steps = [step for turn in self._turns for step in turn]
        if self._derives:
            steps = [Step(step.sql, step.words) for step in steps]
        return Bridge(tuple(steps), tuple(self._refused))

    def _say(self, turn: int, words: str, *pairs: Pair, derives: bool = False) -> None:
        """Put statements in their turn: 0 and 1 drop, 2 tables, 3 columns, 4 keys, 5 what is stored, 6 the rest.

        Args:
            turn: When.
            words: What they are for.
            pairs: They, and what takes them back.
            derives: Whether that can be left to what is derived in each tenant.
        """
        if any(_HIDDEN in sql for pair in pairs for sql in pair):
            self._refused.append(Refusal(words, "it names the tenant itself"))
        else:
            self._turns[turn].extend(Step(sql, words, back) for sql, back in pairs)
            self._derives &= derives

    def _refuse(self, words: str, reason: str, *sql: str) -> None:
        self._refused.append(Refusal(words, reason, sql))

    def _is_new(self, name: str) -> bool:
        return ("table", name) in self._wanted and ("table", name) not in self._found

    def _missing(self, item: Item) -> None:
        words = f"missing {item}"
        match item.kind:
            case "table":
                self._say(2, words, (self._table(item), f"DROP TABLE {ticks(item.name)}"), derives=True)
            case "column":
                if ("table", item.owner) in self._found:
                    self._missing_column(item, words)
            case "index":
                if not self._is_new(item.owner) and not self._is_joined(None, item):
                    start = f"ALTER TABLE {ticks(item.owner)}"
                    derives = not (is_primary(item) or self._has_foreign_keys(item.owner))
                    self._say(4, words, (f"{start} ADD {index(item)}", f"{start} {drop_index(item)}"), derives=derives)
            case "constraint":
                if not self._is_new(item.owner) or _is_foreign(item):
                    added, dropped = _constraint(item)
                    is_foreign = _is_foreign(item)
                    self._say(6 if is_foreign else 4, words, (added, dropped), derives=not is_foreign)
            case _ if item.kind in _STORED:
                self._store(item, None, words)
            case _:
                self._refuse(words, f"pdelta does not write a {item.kind}")

    def _table(self, item: Item) -> str:
        own = [other for other in self._wanted.values() if other.owner == item.name]
        checks = [other for other in own if other.kind == "constraint" and not _is_foreign(other)]
        columns, indexes = ([other for other in own if other.kind == kind] for kind in (COLUMN, "index"))
        return table(item, columns, indexes, checks)

    def _missing_column(self, item: Item, words: str) -> None:
        added = f"ADD COLUMN {column(item)}{self._place(item)}"
        forth, back = self._with_keys(item, [added], [f"DROP COLUMN {ticks(item.last_name)}"])
        self._added.append(item)
        derives = item.fact(_COUNTS) is None and item.fact("check") is None
        self._say(3, words, (forth, back), derives=derives)

    def _place(self, item: Item) -> str:
        """Give the column that comes before, which is there by then: columns are made in their order."""
        return _behind(_names(self._wanted.values(), item.owner), item.name)

    def _with_keys(self, item: Item, forth: list[str], back: list[str]) -> Pair:
        """Give the statement that changes a column, and the keys that it must have where it counts by itself."""
        for change in self._keys_of(item):
            self._joined.add(change.name)
            forth.extend(change.forth)
            back.extend(change.back)
        start = f"ALTER TABLE {ticks(item.owner)} "
        return start + ", ".join(forth), start + ", ".join(back)

    def _keys_of(self, item: Item) -> list[KeyChange]:
        """Give what is different of the keys that begin with a column, if it counts by itself before or after."""
        both = [items.get((COLUMN, item.name)) for items in (self._found, self._wanted)]
        if all(one is None or one.fact(_COUNTS) is None for one in both) or self._is_new(item.owner):
            return []
        names = dict.fromkeys(key for items in (self._found, self._wanted) for key in items if key[0] == "index")
        changes = (KeyChange(key[1], self._found.get(key), self._wanted.get(key)) for key in names)
        return [one for one in changes if one.is_any and one.begins_with(item)]

    def _is_joined(self, found: Item | None, wanted: Item | None) -> bool:
        """Say whether an index is seen to with the column that it begins with, which counts by itself."""
        item = wanted or found
        if item is None or item.name in self._joined:
            return True
        names = dict.fromkeys(key[1] for items in (self._found, self._wanted) for key in items if key[0] == COLUMN)
        first = next((name for name in names if begins_with(item, Item(COLUMN, name))), None)
        changes = self._keys_of(Item(COLUMN, first)) if first else []
        if first is None or not changes:
            return False
        have, want = (items.get((COLUMN, first)) for items in (self._found, self._wanted))
        stays = have is not None and (want is None or bool(self._loses(have, want)))
        if not stays and have != want:
            return True
        words = f"the keys of column {first}"
        if want is None or not any(change.wanted for change in changes):
            self._joined.update(change.name for change in changes)
            self._refuse(words, "it counts by itself, and can't be without a key")
        else:
            self._say(4, words, self._with_keys(want, [], []))
        return True

    def _has_foreign_keys(self, name: str) -> bool:
        """Say whether a table has foreign keys, or is referred to: then the server looks for indexes by itself."""
        return any(
            _is_foreign(item) and (item.owner == name or f" REFERENCES {name} " in (item.fact("definition") or ""))
            for items in (self._found, self._wanted)
            for item in items.values()
            if item.kind == "constraint"
        )

    def _unwritten(self, item: Item) -> str:
        """Give why there is no statement that makes something stored; empty where there is one."""
        if item.kind == "event" and item.fact("schedule") == "once":
            return "when an event is to happen once is not in the catalogue"
        return "it names the tenant itself" if _HIDDEN in stored(item) else ""

    def _store(self, item: Item, former: Item | None, words: str) -> None:
        """Make something that is stored; of what is there, a view alone can be replaced."""
        drop = f"DROP {item.kind.upper()} {ticks(item.last_name)}"
        if reason := self._unwritten(item):
            self._refuse(words, reason)
            return
        if former is not None and (reason := self._unwritten(former)):
            self._refuse(words, f"{_NOT_BACK}: {reason}", *((drop,) if item.kind != "view" else ()), stored(item))
            return
        back = drop
        if former is not None and item.kind == "view":
            back = stored(former)
        elif former is not None:
            self._drops.append(_work(former, Step(drop, words, stored(former))))
        self._works.append(_work(item, Step(stored(item), words, back)))
        is_new = former is None and item.kind != "event"
        is_view = former is not None and item.kind == "view" and former.fact("algorithm") is None
        self._derives &= is_new or is_view

    def _changed(self, found: Item, wanted: Item) -> None:
        words = _words(found, wanted)
        match wanted.kind:
            case "table":
                self._changed_table(found, wanted, words)
            case "column":
                if ("table", wanted.owner) in self._wanted:
                    self._changed_column(found, wanted, words)
            case "index":
                if not self._is_joined(found, wanted):
                    derives = not (is_primary(wanted) or self._has_foreign_keys(wanted.owner))
                    pairs = changed_index(found, wanted)
                    self._say(4, words, *pairs, derives=derives and "ALTER INDEX" not in pairs[-1][0])
            case "constraint":
                (added, dropped), (again, gone) = _constraint(wanted), _constraint(found)
                self._say(0, words, (gone, again), derives=not _is_foreign(found))
                turn = 6 if _is_foreign(wanted) else 4
                self._say(turn, words, (added, dropped), derives=not _is_foreign(wanted))
            case _ if wanted.kind in _STORED:
                self._store(wanted, found, words)
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
        start = f"ALTER TABLE {ticks(wanted.name)}"
        forth, back = (f"{start} {table_options(one, other)}" for one, other in ((have, want), (want, have)))
        self._say(3, words, (forth, back))

    def _changed_column(self, found: Item, wanted: Item, words: str) -> None:
        have, want = dict(found.facts), dict(wanted.facts)
        forth, back = (f"MODIFY COLUMN {column(one)}" for one in (wanted, found))
        if reason := self._loses(found, wanted):
            self._kept.add(found.name)
            self._refuse(words, reason, f"ALTER TABLE {ticks(wanted.owner)} {forth}")
            return
        pair = self._with_keys(wanted, [forth], [back])
        keys = {key for key in (*have, *want) if have.get(key) != want.get(key)}
        others = {"collation", "check", "invisible", _COUNTS} & {*have, *want}
        is_listed = any((facts.get("type") or "").startswith(("enum", "set")) for facts in (have, want))
        derives = keys <= _DERIVED and not others and not (is_listed and "type" in keys)
        if ("not null" in have) != ("not null" in want):
            # A server that is not strict makes NULL a 0 without a word, on the way back too; a constraint it keeps.
            owner = f"ALTER TABLE {ticks(wanted.owner)}"
            check = f"{owner} ADD CONSTRAINT {_CHECK} CHECK ({ticks(wanted.last_name)} IS NOT NULL)"
            gone = f"{owner} DROP CONSTRAINT {_CHECK}"
            if "not null" in have:
                # A column of a primary key takes no NULL while it is one, and so changes last.
                self._kept.add(found.name)
            self._say(6 if "not null" in have else 3, words, (check, gone), pair, (gone, check), derives=derives)
        else:
            self._say(3, words, pair, derives=derives)

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
        gone = item.owner and ("table", item.owner) not in self._wanted and item.owner != item.name
        match item.kind:
            case "table":
                self._refuse(words, "its rows would be lost", f"DROP TABLE {ticks(item.name)}")
            case _ if gone:
                pass  # goes without saying
            case "column" if ("table", item.owner) not in self._wanted or ("view", item.owner) in self._found:
                pass
            case "column":
                self._extra_column(item, words)
            case "index":
                if not self._is_joined(item, None):
                    start = f"ALTER TABLE {ticks(item.owner)}"
                    derives = not (is_primary(item) or self._has_foreign_keys(item.owner))
                    self._say(1, words, (f"{start} {drop_index(item)}", f"{start} ADD {index(item)}"), derives=derives)
            case "constraint":
                added, dropped = _constraint(item)
                self._say(0, words, (dropped, added), derives=not _is_foreign(item))
            case _ if item.kind in _STORED:
                self._extra_stored(item, words)
            case _:
                sql = f"DROP {item.kind.upper()} {ticks(item.last_name)}"
                self._refuse(words, "what it has come to would be lost", sql)

    def _extra_column(self, item: Item, words: str) -> None:
        start = f"ALTER TABLE {ticks(item.owner)}"
        dropped = f"{start} DROP COLUMN {ticks(item.last_name)}"
        if item.fact("generated") is None:
            self._refuse(words, "its values would be lost", dropped)
            return
        place = _behind(
            [name for name in _names(self._found.values(), item.owner) if name not in self._gone], item.name
        )
        self._gone.add(item.name)
        self._say(1, words, (dropped, f"{start} ADD COLUMN {column(item)}{place}"))

    def _extra_stored(self, item: Item, words: str) -> None:
        drop = f"DROP {item.kind.upper()} {ticks(item.last_name)}"
        if reason := self._unwritten(item):
            self._refuse(words, f"{_NOT_BACK}: {reason}", drop)
            return
        self._drops.append(_work(item, Step(drop, words, stored(item))))
        self._derives &= item.kind == "view" and item.fact("algorithm") is None

    def _order(self) -> None:
        """Bring columns into their order, which a MODIFY does without a change."""
        for one in self._differences:
            if one.facts == (ORDER,) and one.item.kind == "table":
                names = [name for name in _names(self._found.values(), one.item.name) if name not in self._gone]
                for added in self._added:
                    if added.owner == one.item.name:
                        _move(names, added.name, _names(self._wanted.values(), added.owner))
                for item in [item for item in self._wanted.values() if item.kind == COLUMN]:
                    found = self._found.get((COLUMN, item.name))
                    if item.owner != one.item.name or found is None:
                        continue
                    back = _behind(names, item.name)
                    _move(names, item.name, _names(self._wanted.values(), item.owner))
                    as_it_is = column(found if found.name in self._kept else item)
                    start = f"ALTER TABLE {ticks(item.owner)} MODIFY COLUMN {as_it_is}"
                    self._say(3, one.words, (f"{start}{self._place(item)}", f"{start}{back}"))


def _spelt_out(catalogue: Catalogue, other: Catalogue) -> dict[tuple[str, str], Item]:
    """Give the items, with the collation of each column whose table is to have another one.

    A column has that of its table until the table gets another, and then keeps it.
    """
    mine, others = (
        {item.name: item.fact("collation") or "" for item in one.items if item.kind == "table"}
        for one in (catalogue, other)
    )
    collations = {name: held for name, held in mine.items() if others.get(name, held) != held}
    return {(item.kind, item.name): _with_collation(item, collations.get(item.owner, "")) for item in catalogue.items}


def _with_collation(item: Item, collation: str) -> Item:
    if item.kind != COLUMN or not collation or not (item.fact("type") or "").startswith(_TEXTS):
        return item
    own = item.fact("collation") or collation
    return Item(COLUMN, item.name, (*(fact for fact in item.facts if fact[0] != "collation"), ("collation", own)))


def _names(items: Iterable[Item], owner: str) -> list[str]:
    """Give the names of a table's columns, in their order."""
    return [item.name for item in items if item.kind == COLUMN and item.owner == owner]


def _behind(names: list[str], name: str) -> str:
    """Give how a column's place is said."""
    at = names.index(name)
    return f" AFTER {ticks(name_parts(names[at - 1])[-1])}" if at else " FIRST"


def _move(names: list[str], name: str, order: list[str]) -> None:
    """Put a column behind the one that comes before it in an order."""
    if name in names:
        names.remove(name)
    at = order.index(name)
    names.insert(names.index(order[at - 1]) + 1 if at and order[at - 1] in names else 0, name)


def _work(item: Item, step: Step) -> Work:
    """Give a work that needs what a view mentions; what is executed later needs nothing to be made."""
    needs = " ".join(value for key, value in item.facts if key in {"definition", "body"})
    return Work(_STORED.index(item.kind), bare(item.last_name), needs if item.kind == "view" else "", (step,))


def _words(found: Item, wanted: Item) -> str:
    return "; ".join(one.words for one in difference(Catalogue.of((wanted,)), Catalogue.of((found,))))


def _is_foreign(item: Item) -> bool:
    return (item.fact("definition") or "").startswith("FOREIGN KEY")


def _constraint(item: Item) -> Pair:
    """Give what adds a constraint, and what drops it."""
    start = f"ALTER TABLE {ticks(item.owner)}"
    word = "FOREIGN KEY" if _is_foreign(item) else "CONSTRAINT"
    return f"{start} ADD {constraint(item)}", f"{start} DROP {word} {ticks(item.last_name)}"


def _database(item: Item) -> str:
    return f"ALTER DATABASE COLLATE {item.fact('collation')}"
