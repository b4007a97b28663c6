"""From one catalogue of SQLite to another: few changes have a statement, and for all others a table is made anew.

A table that is made anew keeps its rows, their rowids and its counter. It is refused where a column would go, or where
values would be read as another type.
"""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.bridge.order import Work, bare, in_order, mentioned
from pdelta.sql.bridge.result import Bridge, Refusal, Step
from pdelta.sql.catalogue import COLUMN, Catalogue, Item
from pdelta.sql.difference import Difference, difference
from pdelta.sql.plain import quoted, tokens_of
from pdelta.sql.token import Dialect, Kind

NEW: Final = "_pdelta_new_"
"""Begins the name of a table while it is filled."""

_STORED: Final = ("index", "view", "trigger")
"""What is kept as the text of its statement; made in this order."""

_TOUCHED: Final = frozenset({COLUMN, "constraint", "table"})


def bridge_sqlite(found: Catalogue, wanted: Catalogue) -> Bridge:
    """Give the way from what is found to what is wanted, as ``bridge`` promises it."""
    return _Way(found, wanted).bridge()


class _Way:
    """What is there, what should be, and what has been decided."""

    def __init__(self, found: Catalogue, wanted: Catalogue) -> None:
        self._found, self._wanted = found, wanted
        self._steps: list[Step] = []
        self._refused: list[Refusal] = []
        self._anew: dict[str, str] = {}
        self._short: set[str] = set()
        self._gone: set[tuple[str, str]] = set()

    def bridge(self) -> Bridge:
        by_table: dict[str, list[Difference]] = {}
        others = []
        for one in difference(self._wanted, self._found):
            table = one.item.name if one.item.kind == "table" else one.item.owner
            if one.item.kind in _TOUCHED:
                by_table.setdefault(table, []).append(one)
            else:
                others.append(one)
        tables = [work for table, differences in by_table.items() if (work := self._table(table, differences))]
        self._drop(others)
        if self._anew:
            # Within a transaction it does nothing; a client that runs the file on its own must not cascade.
            self._steps.insert(0, Step("PRAGMA foreign_keys = OFF", "tables are made anew"))
        for work in in_order(tables, Dialect.SQLITE):
            self._steps.extend(work.steps)
        self._make()
        return Bridge(tuple(self._steps), tuple(self._refused))

    def _table(self, table: str, differences: list[Difference]) -> Work | None:
        """Decide about one table; None where nothing is done about it."""
        words = "; ".join(one.words for one in differences)
        here, there = self._found.get("table", table), self._wanted.get("table", table)
        if there is None:
            self._refused.append(Refusal(words, "its rows would be lost", (f"DROP TABLE {table}",)))
            return None
        if here is None:
            return Work(0, bare(table), there.source, (Step(there.source, words),))
        if any(one.fact("definition") is not None for one in (here, there)):
            self._refused.append(Refusal(words, "only its module knows how to make a virtual table anew"))
            return None
        lost = [one for one in differences if one.wanted is None and one.item.kind == COLUMN]
        lost = [one for one in lost if one.item.fact("generated") is None]
        steps = self._with_losses(table, differences, lost) if lost else self._without(here, there, differences, words)
        return Work(1, bare(table), there.source, tuple(steps)) if steps else None

    def _with_losses(self, table: str, differences: list[Difference], lost: list[Difference]) -> list[Step]:
        """Give what can be done for a table that may not lose its columns: others can be added."""
        words = "; ".join(one.words for one in differences)
        drops = tuple(f"ALTER TABLE {table} DROP COLUMN {one.item.last_name}" for one in lost)
        self._refused.append(Refusal(words, "columns would be lost with their values", drops))
        added = self._added([one for one in differences if one.found is None])
        if not added and any(one.item.kind == COLUMN and one.found is None for one in differences):
            self._short.add(table)
        return [Step(sql, words) for sql in added]

    def _without(self, here: Item, there: Item, differences: list[Difference], words: str) -> list[Step]:
        missing = [one.wanted for one in differences if one.found is None and one.wanted is not None]
        if len(missing) == len(differences) and self._are_last([item for item in missing if item.kind == COLUMN]):
            added = self._added(differences)
            if added:
                return [Step(sql, words) for sql in added]
        return self._rebuilt(here, there, words)

    def _added(self, differences: list[Difference]) -> list[str]:
        """Give the statements if ALTER TABLE ADD COLUMN brings all that is missing; none otherwise."""
        missing = [one.wanted for one in differences if one.wanted is not None]
        constraints = {item.name: item for item in missing if item.kind == "constraint"}
        statements = []
        for item in missing:
            if item.kind != COLUMN:
                continue
            text = _definition(item)
            if text is None:
                return []
            for name, constraint in [*constraints.items()]:
                part = _of_column(constraint, item)
                if part:
                    text += f" {part}"
                    del constraints[name]
            statements.append(f"ALTER TABLE {item.owner} ADD COLUMN {text}")
        return [] if constraints else statements

    def _are_last(self, new: list[Item]) -> bool:
        if not new:
            return False
        names = [item.name for item in self._wanted.items if item.kind == COLUMN and item.owner == new[0].owner]
        return set(names[len(names) - len(new) :]) == {item.name for item in new}

    def _rebuilt(self, here: Item, there: Item, words: str) -> list[Step]:
        """Give the steps that make a table anew, or none, and the reason."""
        columns = {
            name: [item for item in catalogue.items if item.kind == COLUMN and item.owner == here.name]
            for name, catalogue in (("found", self._found), ("wanted", self._wanted))
        }
        kept = {item.name: item for item in columns["wanted"]}
        for item in columns["found"]:
            wanted = kept.get(item.name)
            if wanted is not None and not _keeps_values(item, wanted):
                self._short.add(here.name)
                have, want = (one.fact("type") or "no type" for one in (item, wanted))
                reason = f"values may be changed on the way from {have} to {want}"
                if wanted.fact("generated") is not None:
                    reason = "its values would give way to generated ones"
                self._refused.append(Refusal(words, reason))
                return []
        shared = [
            item.last_name
            for item in columns["found"]
            if item.name in kept and item.fact("generated") is None and kept[item.name].fact("generated") is None
        ]
        self._anew[here.name] = words
        return [Step(sql, words) for sql in self._anew_with(here, there, shared)]

    def _anew_with(self, here: Item, there: Item, shared: list[str]) -> Iterator[str]:
        name = quoted(f"{NEW}{bare(here.name)}")
        yield _called(there.source, name)
        if self._has_rowids(here, there):
            shared = ["rowid", *shared]
        listed = ", ".join(shared)
        # ABORT, because a table's own ON CONFLICT would leave rows out without a word.
        yield f"INSERT OR ABORT INTO {name} ({listed}) SELECT {listed} FROM {here.name}"  # noqa: S608 - names
        if all(self._counts(catalogue, here.name) for catalogue in (self._found, self._wanted)):
            text, new = (f"'{bare(one).replace(chr(39), chr(39) * 2)}'" for one in (here.name, name))
            yield f"DELETE FROM sqlite_sequence WHERE name = {new}"  # noqa: S608 - strings
            yield f"INSERT INTO sqlite_sequence (name, seq) SELECT {new}, seq FROM sqlite_sequence WHERE name = {text}"  # noqa: S608 - strings
        yield f"DROP TABLE {here.name}"
        yield f"ALTER TABLE {name} RENAME TO {here.name}"

    def _has_rowids(self, here: Item, there: Item) -> bool:
        """Say whether rows have numbers that no column shows, and that would be others."""
        if any(item.fact("without rowid") for item in (here, there)):
            return False
        columns = [
            item for catalogue in (self._found, self._wanted) for item in catalogue.items
            if item.kind == COLUMN and item.owner == here.name
        ]  # fmt: skip
        is_hidden = not any(bare(item.last_name).lower() == "rowid" for item in columns)
        return is_hidden and not any(
            self._shows_rowid(catalogue, here.name) for catalogue in (self._found, self._wanted)
        )

    def _shows_rowid(self, catalogue: Catalogue, table: str) -> bool:
        keys = [
            item.fact("definition") or ""
            for item in catalogue.items
            if item.kind == "constraint" and item.owner == table
        ]
        integers = {
            item.last_name for item in catalogue.items
            if item.kind == COLUMN and item.owner == table and item.fact("type") == "INTEGER"
        }  # fmt: skip
        return any(
            key.startswith(f"PRIMARY KEY ({name}{end}")
            for key in keys
            for name in integers
            for end in (")", " AUTOINCREMENT")
        )

    def _counts(self, catalogue: Catalogue, table: str) -> bool:
        return any(
            "AUTOINCREMENT" in (item.fact("definition") or "")
            for item in catalogue.items
            if item.kind == "constraint" and item.owner == table
        )

    def _drop(self, others: list[Difference]) -> None:
        """Drop what differs, and what would break when a table goes and comes back."""
        words = {(one.item.kind, one.item.name): one.words for one in others}
        names = {bare(name) for name in self._anew}
        short = {bare(name) for name in self._short}
        for item in self._found.items:
            key = (item.kind, item.name)
            if item.kind not in _STORED:
                continue
            breaks = item.kind != "index" and bool(mentioned(item.source, Dialect.SQLITE) & names)
            if not (key in words or breaks or item.owner in self._anew):
                continue
            wanted = self._wanted.get(*key)
            if wanted is not None and mentioned(wanted.source, Dialect.SQLITE) & short:
                continue  # it could not be made again
            self._gone.add(key)
            # Indexes and triggers of a table go with it.
            if item.owner not in self._anew:
                sql = f"DROP {item.kind.upper()} {item.last_name}"
                self._steps.append(Step(sql, words.get(key, f"{item} is made anew")))

    def _make(self) -> None:
        """Make what is missing, and again what went away."""
        short = {bare(name) for name in self._short}
        for kind in _STORED:
            works = []
            for item in self._wanted.items:
                there = self._found.get(kind, item.name) if item.kind == kind else None
                if item.kind != kind or (
                    there is not None and there.facts == item.facts and (kind, item.name) not in self._gone
                ):
                    continue
                words = f"{item} is made anew" if there else f"missing {item}"
                if mentioned(item.source, Dialect.SQLITE) & short:
                    self._refused.append(Refusal(words, "it may need what was refused of its table", (item.source,)))
                else:
                    works.append(Work(0, bare(item.last_name), item.source, (Step(item.source, words),)))
            self._steps.extend(step for work in in_order(works, Dialect.SQLITE) for step in work.steps)


def _called(source: str, name: str) -> str:
    """Give a CREATE TABLE with another name."""
    tokens = tokens_of(source)
    at = next(number for number, token in enumerate(tokens) if token.text == "(") - 1
    start = at - 2 if at > 2 and tokens[at - 1].text == "." else at
    return source[: tokens[start].offset] + name + source[tokens[at].end :]


def _definition(item: Item) -> str | None:
    """Give a column as ALTER TABLE ADD COLUMN takes it; None where it takes it not."""
    facts = dict(item.facts)
    default, generated = facts.get("default"), facts.get("generated")
    constant = default is None or not (default.startswith("(") or default.upper().startswith("CURRENT_"))
    is_filled = default is not None and default.upper() != "NULL"
    if not constant or ("not null" in facts and not is_filled) or (generated or "").endswith("STORED"):
        return None
    text = " ".join(filter(None, (item.last_name, facts.get("type"))))
    if "not null" in facts:
        text += " NOT NULL" + (f" ON CONFLICT {facts['resolution']}" if "resolution" in facts else "")
    for key, word in (("default", "DEFAULT"), ("collation", "COLLATE"), ("generated", "GENERATED ALWAYS AS")):
        if key in facts:
            text += f" {word} {facts[key]}"
    return text


def _of_column(constraint: Item, item: Item) -> str:
    """Give a constraint of a table as one of this column; empty where it is none, or ADD COLUMN takes it not."""
    definition = constraint.fact("definition") or ""
    named = f"CONSTRAINT {constraint.last_name} " if not constraint.name.endswith(f" on {item.owner}") else ""
    beginning = f"FOREIGN KEY ({item.last_name}) REFERENCES "
    if definition.startswith(beginning):
        return "" if item.fact("default") else named + definition.removeprefix(f"FOREIGN KEY ({item.last_name}) ")
    names = {token.text.lower() for token in tokens_of(definition) if token.kind in {Kind.WORD, Kind.QUOTED}}
    return named + definition if definition.startswith("CHECK ") and item.last_name.lower() in names else ""


def _keeps_values(have: Item, want: Item) -> bool:
    """Say whether values of the one column stay what they are in the other."""
    if want.fact("generated") is not None:
        return have.fact("generated") is not None
    old, new = (_affinity(item.fact("type") or "") for item in (have, want))
    return new in {old, "BLOB"} or {old, new} == {"INTEGER", "NUMERIC"}


def _affinity(kind: str) -> str:
    """Give the affinity of a declared type, by the rules of SQLite's documentation (datatype3.html, 3.1)."""
    for parts, affinity in (
        (("INT",), "INTEGER"), (("CHAR", "CLOB", "TEXT"), "TEXT"), (("BLOB",), "BLOB"),
        (("REAL", "FLOA", "DOUB"), "REAL"),
    ):  # fmt: skip
        if any(part in kind for part in parts):
            return affinity
    return "NUMERIC" if kind else "BLOB"
