"""Catalogues of SQLite files: what changes them, what does not, and what is said of the difference."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, reject
from hypothesis import strategies as st

from pdelta.databases.catalogue.sqlite import STATEMENT, catalogue, read
from pdelta.errors import ScriptError
from pdelta.sql.catalogue import Catalogue, fingerprint
from pdelta.sql.difference import difference
from pdelta.sql.plain import plain, tokens_of
from pdelta.sql.sqlite_table import parse_table

GOLDEN = Path(__file__).parents[2] / "golden/catalogue"
SCHEMA = (GOLDEN / "sqlite.sql").read_text()
CHANGES = [tuple(one.values()) for one in json.loads((GOLDEN / "sqlite.json").read_text())]
WAYS = [tuple(one.values()) for one in json.loads((GOLDEN / "sqlite-ways.json").read_text())]


@pytest.fixture
def file() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        yield connection


def of(connection: sqlite3.Connection, *, parked: bool = False) -> Catalogue:
    return catalogue(lambda text: connection.execute(text).fetchall(), parked=parked)


def made_by(script: str, *, parked: bool = False) -> Catalogue:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(script)
        return of(connection, parked=parked)


def words(wanted: Catalogue, found: Catalogue) -> list[str]:
    return [str(one) for one in difference(wanted, found)]


@pytest.mark.parametrize(("there", "back", "said"), CHANGES, ids=[change[0][-60:] for change in CHANGES])
def test_catalogue_when_something_changes_and_changes_back_then_it_says_so_and_is_as_before(
    file: sqlite3.Connection, there: str, back: str, said: list[str]
) -> None:
    file.executescript(SCHEMA)
    before = of(file)
    file.executescript(there)
    after = of(file)
    assert words(before, after) == said
    assert fingerprint(before) != fingerprint(after)
    file.executescript(back)
    assert words(before, of(file)) == []
    assert fingerprint(before) == fingerprint(of(file))


@pytest.mark.parametrize(("one", "other", "same"), WAYS, ids=[way[1][:60] for way in WAYS])
def test_fingerprint_when_a_table_came_about_in_another_way_then_only_what_it_is_counts(
    one: str, other: str, same: bool
) -> None:
    assert (words(made_by(one), made_by(other)) == []) == same
    assert (fingerprint(made_by(one)) == fingerprint(made_by(other))) == same


def test_catalogue_when_pdelta_has_tables_of_its_own_or_parked_something_then_they_do_not_count() -> None:
    ours = """
    CREATE TABLE pdelta_applied (id TEXT PRIMARY KEY);
    CREATE TABLE pdelta_history (seq INTEGER PRIMARY KEY AUTOINCREMENT);
    CREATE INDEX pdelta_i ON pdelta_history (seq); CREATE TABLE pdelta_kept_1 (a);
    DROP VIEW adults; DROP TRIGGER stamped; ALTER TABLE users RENAME score TO _pdelta_park_1_score;
    CREATE INDEX by_score ON users (_pdelta_park_1_score); ALTER TABLE orders RENAME TO _pdelta_park_2_orders;
    """
    without = "DROP VIEW adults; DROP TRIGGER stamped; ALTER TABLE users DROP score; DROP TABLE orders"
    assert words(made_by(SCHEMA + without), made_by(SCHEMA + ours)) == []
    said = words(made_by(SCHEMA + without), made_by(SCHEMA + ours, parked=True))
    assert "additional table _pdelta_park_2_orders" in said
    assert "additional column users._pdelta_park_1_score" in said
    assert not any("pdelta_applied" in one or "pdelta_history" in one for one in said)


def test_read_when_a_file_has_the_same_rows_then_nothing_is_read_twice(file: sqlite3.Connection) -> None:
    file.executescript(SCHEMA)
    rows = file.execute(STATEMENT).fetchall()
    assert read(rows) is read(list(rows))


@pytest.mark.parametrize(
    "text", ["CREATE VIRTUAL TABLE t USING fts5 (a)", "CREATE TABLE t", "SELECT 1", "CREATE TABLE t (a"]
)
def test_parse_table_when_it_is_none_then_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no CREATE TABLE|a bracket"):
        parse_table(text)


def test_catalogue_when_a_text_can_not_be_read_then_it_counts_as_it_stands() -> None:
    rows = [("table", "t", "t", "CREATE TABLE t (a FOO BAR NOT)"), ("view", "v", "v", "CREATE VIEW v AS SELECT 'x")]
    found = {str(item): item.fact("definition") for item in read(rows).items}
    assert found == {"table t": "CREATE TABLE t (a FOO BAR NOT)", "view v": "CREATE VIEW v AS SELECT 'x"}


NAMES = st.sampled_from(["a", "B", "key", "order", "c d", 'e"f', "now", "select", "[x", "g'h", "CHECK"])
TYPES = st.sampled_from(["", "INTEGER", "varchar(10)", "decimal (10, 2)", "UNSIGNED BIG INT", '"odd type"'])
QUOTES = st.sampled_from(['""', "``", "[]"])
EXTRAS = st.sampled_from(
    [
        "",
        "NOT NULL",
        "DEFAULT 5",
        "DEFAULT -1.5",
        "DEFAULT 'it''s'",
        "DEFAULT (1 + 2)",
        "DEFAULT CURRENT_TIMESTAMP",
        "COLLATE nocase",
        "CHECK (1 <> ')')",
        "CONSTRAINT n CHECK (2 > 1)",
        "REFERENCES t ON DELETE SET NULL NOT DEFERRABLE",
        "REFERENCES t (x) ON UPDATE CASCADE MATCH FULL DEFERRABLE INITIALLY DEFERRED",
        "NULL",
        "NOT NULL ON CONFLICT IGNORE DEFAULT 7 COLLATE rtrim",
        "/* , */ DEFAULT ','",
        "AS (1 + 1) STORED",
        "GENERATED ALWAYS AS (length('x')) VIRTUAL",
    ]
)


@st.composite
def columns(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Give names, and the text of columns that are called so."""
    made = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=5, unique_by=str.lower)):
        quotes = draw(QUOTES) if "[" not in name else '""'
        inner = name.replace('"', '""') if quotes == '""' else name
        made.append((name, f"{quotes[0]}{inner}{quotes[1]} {draw(TYPES)} {draw(EXTRAS)}"))
    return made


@given(columns())
def test_parse_table_when_sqlite_takes_it_then_it_says_what_the_pragma_says(made: list[tuple[str, str]]) -> None:
    text = f"CREATE TABLE t (first INTEGER PRIMARY KEY, {', '.join(part for _name, part in made)})"
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(text)
        told = connection.execute("SELECT name, type, \"notnull\", dflt_value FROM pragma_table_xinfo('t')").fetchall()
    table = parse_table(text)
    assert [column.name for column in table.columns] == [name for name, _type, _not_null, _default in told]
    for column, (_name, kind, not_null, default) in zip(table.columns, told, strict=True):
        facts = dict(column.facts)
        # The pragma leaves the words that generate a value in the type.
        if "generated" not in facts:
            assert facts.get("type", "").replace(" ", "").strip('"') == kind.upper().replace(" ", "")
        assert ("not null" in facts) == bool(not_null)
        if default is None:
            assert "default" not in facts
        else:
            assert facts["default"].strip("()") == plain(tokens_of(default)).replace("- ", "-")


@given(columns())
def test_catalogue_when_columns_are_added_one_by_one_then_it_is_as_if_they_had_stood_there(
    made: list[tuple[str, str]],
) -> None:
    parts = [part for _name, part in made]
    one_by_one = "".join(f"ALTER TABLE t ADD COLUMN {part};" for part in [*parts, "last TEXT"])
    try:
        added = made_by(f"CREATE TABLE t (first INTEGER PRIMARY KEY); {one_by_one}")
    except sqlite3.OperationalError:
        reject()  # ALTER TABLE does not take every column that CREATE TABLE takes
    at_once = made_by(f"CREATE TABLE t (first INTEGER PRIMARY KEY, {', '.join([*parts, 'last TEXT'])})")
    assert words(at_once, added) == []


@given(st.text(st.sampled_from(list("ab '\"[]`(),.;-/*\n=!<>1")), max_size=12))
@example("1 .<")
@example(". 1")
@example("( .1")
def test_plain_when_it_is_read_again_then_it_stays(text: str) -> None:
    try:
        once = plain(tokens_of(text))
    except ScriptError:
        return
    assert plain(tokens_of(once)) == once
