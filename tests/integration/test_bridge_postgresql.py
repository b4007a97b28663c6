"""The way from one catalogue of PostgreSQL to another: it arrives, and loses nothing on the way."""

import json
from collections.abc import Iterator

import pytest

from pdelta.databases.catalogue.postgresql import catalogues, read, statement
from pdelta.sql.bridge import bridge
from pdelta.sql.bridge.postgresql_types import keeps_values
from pdelta.sql.bridge.result import Bridge
from pdelta.sql.catalogue import Catalogue, fingerprint
from pdelta.sql.difference import difference
from pdelta.sql.split import split
from pdelta.sql.token import Dialect
from tests.fixtures.catalogue_postgresql import ROLES, Change, changes, make, query, watch
from tests.fixtures.catalogue_rows import POSTGRESQL as ROWS
from tests.fixtures.postgresql import PostgreSQL

CHANGES = changes()
TABLES = ("users", "orders", "events_2025", "parent", "child")


@pytest.fixture(scope="module")
def fleet(postgresql: PostgreSQL) -> Iterator[str]:
    """A database with a schema of everything, with rows in it, and one that is empty."""
    with postgresql.fresh_database() as name:
        roles = "".join(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role};" for role in ROLES)
        postgresql.sql(roles + make("tenant_1") + make("empty", ""), name)
        yield name
        postgresql.sql("".join(f"DROP OWNED BY {role};" for role in ROLES), name)


@pytest.fixture(scope="module")
def seen() -> dict[str, list[Catalogue]]:
    """What was read already: the catalogues before and after a change."""
    return {}


def sql_of(way: Bridge) -> str:
    return "; ".join(step.sql for step in way.steps) or "SELECT 1"


def words(wanted: Catalogue, found: Catalogue) -> list[str]:
    return [str(one) for one in difference(wanted, found)]


def cross(server: PostgreSQL, database: str, first: str, way: Bridge) -> tuple[Catalogue, list[object], list[object]]:
    """Take a way in a transaction that is rolled back; give the catalogue, and the rows before and after.

    Of the rows, those columns that are there on both sides.
    """
    rows = "".join(f"SELECT E'\\x03' || coalesce(json_agg(t ORDER BY t)::text, '[]') FROM ONLY {t} t;" for t in TABLES)  # noqa: S608
    script = (
        f"BEGIN; SET LOCAL search_path TO tenant_1, public; {first}; {rows} {sql_of(way)}; {rows}"
        f"SELECT E'\\x02' || ({statement(server.version, ['tenant_1'])}); ROLLBACK"
    )
    said = [row[0] for row in server.sql(script, database) if row[0][:1] in {"\x02", "\x03"}]
    held = [json.loads(text[1:]) for text in said[:-1]]
    before, after = held[: len(TABLES)], held[len(TABLES) :]
    for old, new in zip(before, after, strict=True):
        shared = {*old[0]} & {*new[0]} if old and new else set()
        for row in (*old, *new):
            for name in [*row.keys() - shared]:
                del row[name]
    return read(said[-1][1:])["tenant_1"], before, after


@pytest.mark.sampled(3)
@pytest.mark.parametrize("forth", [True, False], ids=["there", "back"])
@pytest.mark.parametrize("change", CHANGES, ids=[change.there[:60] for change in CHANGES])
def test_bridge_when_it_is_crossed_then_the_fingerprints_are_equal_and_no_value_is_lost(
    postgresql: PostgreSQL, fleet: str, seen: dict[str, list[Catalogue]], change: Change, forth: bool
) -> None:
    there = change.there.replace("{schema}", "tenant_1")
    if there not in seen:
        seen[there] = watch(postgresql, fleet, "tenant_1", there)
    plain, changed = seen[there]
    found, wanted = (plain, changed) if forth else (changed, plain)
    way = bridge(found, wanted, Dialect.POSTGRESQL)
    arrived, before, after = cross(postgresql, fleet, ROWS if forth else f"{ROWS}; {there}", way)
    assert before == after
    assert (fingerprint(arrived) == fingerprint(wanted)) == way.is_complete
    assert bridge(arrived, wanted, Dialect.POSTGRESQL).steps == ()


def test_bridge_when_the_schema_is_empty_then_it_makes_everything(postgresql: PostgreSQL, fleet: str) -> None:
    read = catalogues(query(postgresql, fleet), ["tenant_1", "empty"])
    way = bridge(read["empty"], read["tenant_1"], Dialect.POSTGRESQL)
    assert [one.words for one in way.refused] == [
        "missing aggregate product(integer)",
        "missing collation nocase",
        "missing operator === (integer, integer)",
        "missing text search configuration plain",
    ]
    arrived = watch(postgresql, fleet, "empty", sql_of(way))[-1]
    assert words(read["tenant_1"], arrived) == [one.words for one in way.refused]
    assert len([*split(way.text("x"), Dialect.POSTGRESQL)]) == len(way.steps)


MANY = """
DROP INDEX users_email; ALTER TABLE users DROP CONSTRAINT users_age_check, ADD COLUMN nick text DEFAULT 'x';
ALTER TABLE orders ALTER amount SET DEFAULT 5; ALTER TABLE users RENAME CONSTRAINT users_name_key TO named;
DROP VIEW adults; CREATE VIEW adults AS SELECT name, id FROM users; CREATE VIEW elders AS SELECT * FROM adults;
DROP POLICY own_orders ON orders; GRANT SELECT ON elders TO writer; COMMENT ON VIEW elders IS 'old';
CREATE FUNCTION thrice(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 3';
ALTER TABLE orders ADD CHECK (thrice(amount) < 100);
ALTER TABLE orders ADD COLUMN total bigint GENERATED ALWAYS AS (thrice(amount)) STORED;
CREATE TABLE notes (id integer GENERATED ALWAYS AS IDENTITY (START 7) PRIMARY KEY, user_id bigint REFERENCES users (id),
                    feeling mood NOT NULL DEFAULT 'sad', at timestamptz DEFAULT now());
CREATE INDEX notes_user ON notes (user_id) INCLUDE (feeling); CREATE TRIGGER t BEFORE INSERT ON notes
FOR EACH ROW EXECUTE FUNCTION stamp(); ALTER INDEX users_pkey SET (fillfactor = 60)
"""


def test_bridge_when_many_things_differ_then_they_are_done_in_an_order_that_works(
    postgresql: PostgreSQL, fleet: str
) -> None:
    plain, changed = watch(postgresql, fleet, "tenant_1", MANY)
    way = bridge(plain, changed, Dialect.POSTGRESQL)
    assert way.refused == ()
    assert words(changed, watch(postgresql, fleet, "tenant_1", sql_of(way))[-1]) == []
    back = bridge(changed, plain, Dialect.POSTGRESQL)
    assert [(one.words, one.reason) for one in back.refused] == [
        ("additional table notes", "its rows would be lost"),
        ("additional column users.nick", "its values would be lost"),
    ]
    left = words(plain, watch(postgresql, fleet, "tenant_1", MANY, sql_of(back))[-1])
    assert left == ["additional table notes", "additional column users.nick"]


RETYPED = """
CREATE TABLE t (a integer, b varchar(5)); CREATE VIEW v AS SELECT a FROM t; CREATE VIEW w AS SELECT a + 1 AS x FROM v;
GRANT SELECT ON v TO reader; COMMENT ON COLUMN w.x IS 'y'; CREATE RULE r AS ON UPDATE TO t WHERE new.a > 1 DO NOTHING;
CREATE POLICY p ON t USING (a > 0); CREATE TRIGGER g BEFORE UPDATE OF a ON t FOR EACH ROW EXECUTE FUNCTION stamp();
"""


def test_bridge_when_a_type_changes_under_views_then_they_come_back_with_all_that_is_theirs(
    postgresql: PostgreSQL, fleet: str
) -> None:
    wider = RETYPED.replace("a integer, b varchar(5)", "a bigint, b text")
    narrow, wide = (watch(postgresql, fleet, "tenant_1", script)[-1] for script in (RETYPED, wider))
    way = bridge(narrow, wide, Dialect.POSTGRESQL)
    assert way.refused == ()
    assert words(wide, watch(postgresql, fleet, "tenant_1", RETYPED, sql_of(way))[-1]) == []


def test_bridge_when_a_sequence_is_new_then_it_goes_on_behind_the_values_that_are_there(
    postgresql: PostgreSQL, fleet: str
) -> None:
    plain = "CREATE TABLE s (a integer NOT NULL, b integer NOT NULL); INSERT INTO s VALUES (41, 7)"
    made = "CREATE TABLE s (a integer GENERATED ALWAYS AS IDENTITY, b serial)"
    have, want = (watch(postgresql, fleet, "tenant_1", script)[-1] for script in (plain, made))
    way = bridge(have, want, Dialect.POSTGRESQL)
    assert way.refused == ()
    seen = "DO $$ BEGIN INSERT INTO s DEFAULT VALUES; ASSERT (SELECT (max(a), max(b)) FROM s) = (42, 8); END $$"
    assert words(want, watch(postgresql, fleet, "tenant_1", plain, sql_of(way), seen)[-1]) == []


@pytest.mark.parametrize(
    "change",
    [
        # A function with another result is made anew, and this one names the tenant; and a view with other columns,
        # which needs an aggregate that pdelta does not write.
        """DROP FUNCTION twice(integer, integer); CREATE FUNCTION twice(a integer, b integer DEFAULT 2) RETURNS bigint
           LANGUAGE sql SET search_path FROM CURRENT AS 'SELECT 1::bigint'""",
        """CREATE AGGREGATE most(integer) (sfunc = int4larger, stype = integer); DROP VIEW adults;
           CREATE VIEW adults AS SELECT most(age) AS most FROM users""",
    ],
)
def test_bridge_when_something_could_not_be_made_anew_then_it_stays_what_it_is(
    postgresql: PostgreSQL, fleet: str, change: str
) -> None:
    plain, changed = watch(postgresql, fleet, "tenant_1", change)
    way = bridge(plain, changed, Dialect.POSTGRESQL)
    assert way.steps == ()
    assert len(way.refused) == change.count("CREATE")


def test_bridge_when_a_sequence_would_not_give_such_values_then_it_begins_at_its_beginning(
    postgresql: PostgreSQL, fleet: str
) -> None:
    plain = "CREATE TABLE s (a integer NOT NULL, b integer NOT NULL); INSERT INTO s VALUES (41, -7), (3, -9)"
    made = (
        "CREATE TABLE s (a integer GENERATED ALWAYS AS IDENTITY (START 100 MINVALUE 100),"
        " b integer GENERATED ALWAYS AS IDENTITY (START -1 INCREMENT -1))"
    )
    have, want = (watch(postgresql, fleet, "tenant_1", script)[-1] for script in (plain, made))
    way = bridge(have, want, Dialect.POSTGRESQL)
    assert way.refused == ()
    seen = "DO $$ BEGIN INSERT INTO s DEFAULT VALUES; ASSERT EXISTS (SELECT FROM s WHERE (a, b) = (100, -10)); END $$"
    assert words(want, watch(postgresql, fleet, "tenant_1", plain, sql_of(way), seen)[-1]) == []


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("integer", "bigint", True), ("bigint", "integer", True), ("integer", "numeric", True),
        ("integer", "numeric(12,2)", True), ("integer", "numeric(11,2)", False), ("bigint", "double precision", False),
        ("numeric(10,2)", "numeric(12,3)", True), ("numeric(10,2)", "numeric(10,3)", False),
        ("numeric", "numeric(9,2)", False), ("numeric(9,2)", "numeric", True), ("numeric(10,2)", "integer", False),
        ("character varying(8)", "character varying(9)", True), ("character varying(9)", "character varying(8)", False),
        ("character varying", "text", True), ("text", "character varying(3)", False), ("text", "integer", False),
        ("text", "character varying", True), ("real", "double precision", True), ("double precision", "real", False),
        ("date", "timestamp without time zone", True), ("timestamp without time zone", "date", False),
        ("timestamp without time zone", "timestamp with time zone", False), ("json", "jsonb", False),
        ("integer[]", "bigint[]", False), ("mood", "text", False), ("cidr", "inet", True),
    ],
)  # fmt: skip
def test_keeps_values_when_types_differ_then_it_says_whether_every_value_stays(old: str, new: str, kept: bool) -> None:
    assert keeps_values(old, new) is kept
