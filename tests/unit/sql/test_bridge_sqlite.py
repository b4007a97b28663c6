"""The way from one catalogue of SQLite to another: it arrives, and loses nothing on the way."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from pdelta.databases.catalogue.sqlite import catalogue
from pdelta.formats.sql_delta import parse_delta
from pdelta.sql.bridge import bridge
from pdelta.sql.bridge.result import Bridge, Refusal, Step
from pdelta.sql.catalogue import Catalogue, fingerprint
from pdelta.sql.difference import difference
from pdelta.sql.script import Part
from pdelta.sql.split import split
from pdelta.sql.token import Dialect
from tests.fixtures.catalogue_rows import SQLITE as ROWS

GOLDEN = Path(__file__).parents[2] / "golden/catalogue"
SCHEMA = (GOLDEN / "sqlite.sql").read_text()
CHANGES = [one["there"] for one in json.loads((GOLDEN / "sqlite.json").read_text())]


@contextmanager
def file(*scripts: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for script in scripts:
            connection.executescript(script)
        yield connection


def of(connection: sqlite3.Connection) -> Catalogue:
    return catalogue(lambda text: connection.execute(text).fetchall())


def cross(connection: sqlite3.Connection, way: Bridge) -> None:
    connection.execute("BEGIN")
    for step in way.steps:
        connection.execute(step.sql)
    connection.execute("COMMIT")


def rows(connection: sqlite3.Connection) -> dict[str, object]:
    """Give every value of every table, and the counters."""
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    held: dict[str, object] = {}
    for table in tables:
        shown = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,)).fetchall()
        for (name,) in shown:
            values = connection.execute(f'SELECT quote("{name}") FROM "{table}"').fetchall()  # noqa: S608 - of our own
            held[f"{table}.{name}"] = sorted(values)
    return held


@pytest.mark.parametrize("forth", [True, False], ids=["there", "back"])
@pytest.mark.parametrize("change", CHANGES, ids=[change[-60:] for change in CHANGES])
def test_bridge_when_it_is_crossed_then_the_fingerprints_are_equal_and_no_value_is_lost(
    change: str, forth: bool
) -> None:
    here, there = ((SCHEMA,), (SCHEMA, change)) if forth else ((SCHEMA, change), (SCHEMA,))
    with file(*there) as other:
        wanted = of(other)
    with file(here[0], ROWS, *here[1:]) as connection:
        before = rows(connection)
        way = bridge(of(connection), wanted, Dialect.SQLITE)
        cross(connection, way)
        assert (fingerprint(of(connection)) == fingerprint(wanted)) == way.is_complete
        after = rows(connection)
        if "AUTOINCREMENT" in change:  # the counter of a table is there only with that
            before = {name: values for name, values in before.items() if not name.startswith("sqlite_")}
        assert {name: values for name, values in after.items() if name in before} == before
        again = bridge(of(connection), wanted, Dialect.SQLITE)
        assert again.steps == ()
        assert [one.reason for one in again.refused] == [one.reason for one in way.refused][: len(again.refused)]


def test_bridge_when_the_file_is_empty_then_it_makes_everything() -> None:
    with file(SCHEMA) as other, file() as connection:
        way = bridge(of(connection), of(other), Dialect.SQLITE)
        assert way.refused == ()
        cross(connection, way)
        assert difference(of(other), of(connection)) == ()
        assert bridge(of(connection), of(other), Dialect.SQLITE) == Bridge((), ())


def test_bridge_when_a_table_is_made_anew_then_its_counter_and_hidden_rowids_stay() -> None:
    text = "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT{}); CREATE TABLE c (d TEXT{})"
    with file(text.format(" NOT NULL", " CHECK (d <> '')")) as other:
        wanted = of(other)
    rows_ = "INSERT INTO a (b) VALUES ('x'), ('y'); DELETE FROM a; INSERT INTO c (rowid, d) VALUES (40, 'z'), (7, 'y')"
    with file(text.format("", ""), rows_) as connection:
        cross(connection, bridge(of(connection), wanted, Dialect.SQLITE))
        assert difference(wanted, of(connection)) == ()
        assert connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall() == [("a", 2)]
        assert connection.execute("SELECT rowid, d FROM c ORDER BY 1").fetchall() == [(7, "y"), (40, "z")]


@pytest.mark.parametrize("conflict", ["REPLACE", "IGNORE"])
def test_bridge_when_rows_do_not_fit_then_it_fails_and_leaves_none_out(conflict: str) -> None:
    text = "CREATE TABLE a (b TEXT, c TEXT{})"
    with file(text.format(f" UNIQUE ON CONFLICT {conflict}")) as other:
        wanted = of(other)
    with file(text.format(""), "INSERT INTO a VALUES ('1', 'x'), ('2', 'x')") as connection:
        way = bridge(of(connection), wanted, Dialect.SQLITE)
        with pytest.raises(sqlite3.IntegrityError):
            cross(connection, way)
        connection.execute("ROLLBACK")
        assert connection.execute("SELECT count(*) FROM a").fetchone() == (2,)


@pytest.mark.parametrize(
    ("have", "want", "reason"),
    [
        ("a TEXT, b", "a TEXT", "columns would be lost with their values"),
        ("a TEXT", "a INTEGER", "values may be changed on the way from TEXT to INTEGER"),
        ("a", "a REAL", "values may be changed on the way from no type to REAL"),
        ("a TEXT, b", "a TEXT AS ('x'), b", "its values would give way to generated ones"),
        ("a VARCHAR(3)", "a TEXT", ""),
        ("a TEXT", "a BLOB", ""),
        ("a INT", "a NUMERIC", ""),
        ("a TEXT AS ('x'), b", "a TEXT AS ('y'), b", ""),
        ("a TEXT AS ('x'), b", "b", ""),
        ("a", "a, b TEXT NOT NULL DEFAULT 'x' CHECK (b <> '') COLLATE NOCASE", ""),
        ("a", "a, b TEXT CONSTRAINT n CHECK (b <> '') REFERENCES c ON DELETE CASCADE", ""),
        ("a", "a, b TEXT UNIQUE", ""),
        ("a", "a, b DEFAULT CURRENT_TIMESTAMP", ""),
        ("a", "a, b DEFAULT (1 + 1), CHECK (a <> 2)", ""),
        ("a", "a, b AS (a) STORED, c AS (a) VIRTUAL", ""),
        ("a", "b, a", ""),
        ("a, b", "a, c", "columns would be lost with their values"),
        ("a, b", "a, c UNIQUE", "columns would be lost with their values"),
    ],
)
def test_bridge_when_columns_differ_then_values_stay_or_it_is_refused(have: str, want: str, reason: str) -> None:
    with file(
        f"CREATE TABLE t ({want}); CREATE INDEX i ON t ({'c' if ', c' in want else 'a' if 'a' in want else 'b'})"
    ) as other:
        wanted = of(other)
    with file(f"CREATE TABLE t ({have})") as connection:
        connection.execute(
            "INSERT INTO t (b) VALUES ('007')" if have.startswith("a TEXT AS") else "INSERT INTO t (a) VALUES ('007')"
        )
        before = rows(connection)
        way = bridge(of(connection), wanted, Dialect.SQLITE)
        assert {one.reason for one in way.refused} - {"it may need what was refused of its table"} == ({reason} - {""})
        cross(connection, way)
        assert (difference(wanted, of(connection)) == ()) == (not reason)
        after = rows(connection)
        assert {name: after.get(name) for name in before if name in after} == {
            k: v for k, v in before.items() if k in after
        }
        assert set(before) <= set(after) or "AS (" in have


def test_text_when_it_is_written_then_what_is_left_stands_in_comments_and_the_rest_is_sql() -> None:
    way = Bridge(
        (Step("CREATE TABLE a (b)", "missing table a"), Step("CREATE TABLE c (d)", "missing table a")),
        (Refusal("additional table x", "its rows would be lost", ("DROP TABLE x",)), Refusal("e", "f\ng")),
    )
    assert way.text("about it") == (
        "-- about it\n-- left as it is: additional table x: its rows would be lost\n--   DROP TABLE x;\n"
        "-- left as it is: e: f g\n-- missing table a\nCREATE TABLE a (b);\nCREATE TABLE c (d);\n"
    )
    assert [one.text for one in split(way.text(""), Dialect.SQLITE)] == [step.sql for step in way.steps]
    assert Bridge((), ()).text("nothing") == "-- nothing\n"


def test_text_when_steps_say_what_takes_them_back_then_that_is_the_reverse_of_the_file() -> None:
    body = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n  -- Reversible delta\n\n  SELECT 'x\n  y';\nEND"
    way = Bridge(
        (Step("ALTER TABLE a ADD b", "w", "ALTER TABLE a DROP COLUMN b"), Step("DROP TRIGGER t", "w", body)),
        (Refusal("r", "s", ("CREATE VIEW v AS\nSELECT 1", "x\nReversible delta\n-- undo DELETE FROM a\n+reverse")),),
    )
    script = parse_delta(way.text("w").encode(), name="delta_20250315_a", dialect=Dialect.SQLITE)
    forward, reverse = (
        [one.text for one in script.statements(part, Dialect.SQLITE)] for part in (Part.FORWARD, Part.REVERSE)
    )
    assert forward == [step.sql for step in way.steps]
    assert reverse == [step.back for step in reversed(way.steps)]
    assert "goes with all that has come into it since" in way.text("w")
