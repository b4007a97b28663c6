"""Fingerprints of PostgreSQL's schemas: what changes them, what does not, and what is said of the difference."""

import json
from collections.abc import Iterator

import pytest

from pdelta.databases.base import Work
from pdelta.databases.catalogue.postgresql import (
    SETTINGS_BEFORE,
    catalogues,
    database_catalogue,
    database_statement,
    fingerprints,
    read_database,
    statement,
)
from pdelta.databases.catalogue.postgresql import read as reading_of
from pdelta.databases.postgresql import reading
from pdelta.errors import Cause, DatabaseError
from pdelta.sql.catalogue import Catalogue, fingerprint, groups
from pdelta.sql.difference import difference
from pdelta.sql.ledger import EMPTY_HEAD
from tests.fixtures.catalogue_postgresql import ROLES, SCHEMA, Change, changes, make, query, quoted, watch, within
from tests.fixtures.pg_fleet import schemas
from tests.fixtures.postgresql import PostgreSQL

ODD_NAME = "Robert'); DROP \"TABLE\\x"
CHANGES = changes()


@pytest.fixture(scope="module")
def fleet(postgresql: PostgreSQL) -> Iterator[str]:
    """A database with three schemas that one script made."""
    with postgresql.fresh_database() as name:
        roles = "".join(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role};" for role in ROLES)
        postgresql.sql(roles + make("tenant_1") + make("tenant_2") + make(ODD_NAME), name)
        yield name
        postgresql.sql("".join(f"DROP OWNED BY {role};" for role in ROLES), name)


def words(wanted: Catalogue, found: Catalogue) -> list[str]:
    return [str(one) for one in difference(wanted, found)]


def of(server: PostgreSQL, database: str, *schemas: str, parked: bool = False) -> list[str]:
    """Give the fingerprints of schemas, after proving that all ways to read them say the same."""
    ask = query(server, database)
    found = fingerprints(ask, schemas, parked=parked)
    read = catalogues(ask, schemas, parked=parked)
    ((text,),) = ask(statement(server.version, schemas, parked=parked))
    assert reading_of(text) == read
    assert found == {schema: fingerprint(catalogue) for schema, catalogue in read.items()}
    return [found[schema] for schema in schemas]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("change", CHANGES, ids=[change.there[:60] for change in CHANGES])
def test_catalogue_when_something_changes_and_changes_back_then_it_says_so_and_is_as_before(
    postgresql: PostgreSQL, fleet: str, change: Change
) -> None:
    there, back = (text.replace("{schema}", "tenant_1") for text in (change.there, change.back))
    before, after, again = watch(postgresql, fleet, "tenant_1", there, back)
    assert words(before, after) == change.said
    assert fingerprint(before) != fingerprint(after)
    if back:
        assert words(before, again) == []
        assert fingerprint(before) == fingerprint(again)


def test_fingerprints_when_one_script_made_the_schemas_then_they_are_equal(postgresql: PostgreSQL, fleet: str) -> None:
    assert len(set(of(postgresql, fleet, "tenant_1", "tenant_2", ODD_NAME))) == 1


def test_fingerprints_when_a_schema_is_gone_then_it_is_missing(postgresql: PostgreSQL, fleet: str) -> None:
    ask = query(postgresql, fleet)
    assert list(fingerprints(ask, ["tenant_2", "nobody"])) == ["tenant_2"]
    assert catalogues(ask, ["nobody"]) == {}
    assert fingerprints(ask, []) == {} == catalogues(ask, [])


def test_fingerprints_when_the_server_calculates_them_then_they_are_those_of_the_catalogues(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    chosen = [change for change in CHANGES if "EXTENSION" not in change.there][::4]
    names = [f"tenant_{number}" for number in range(len(chosen))]
    for name, change in zip(names, chosen, strict=True):
        postgresql.sql(make(name) + within(name, change.there.replace("{schema}", name)), pg_database)
    postgresql.sql(make("plain"), pg_database)
    found = of(postgresql, pg_database, "plain", *names)
    assert len(set(found)) == len(found)


MOVABLE = """
CREATE TYPE mood AS ENUM ('sad'); CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN small AS integer CHECK (VALUE < 9); CREATE SEQUENCE s;
CREATE COLLATION c (provider = icu, locale = 'und');
CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n serial UNIQUE, of integer REFERENCES t (n));
CREATE VIEW v AS SELECT 1 AS a; CREATE MATERIALIZED VIEW m AS SELECT 1 AS a; CREATE STATISTICS x ON id, n FROM t;
CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1';
CREATE OPERATOR @@@ (rightarg = integer, function = int4um); CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
CREATE AGGREGATE total(integer) (sfunc = int4pl, stype = integer);
GRANT USAGE ON TYPE t, v, pair, mood TO reader; COMMENT ON TYPE pair IS 'two'; COMMENT ON COLUMN pair.a IS 'one'
"""
MOVED = (
    "TYPE mood", "TYPE pair", "DOMAIN small", "SEQUENCE s", "COLLATION c", "TABLE t", "VIEW v",
    "MATERIALIZED VIEW m", "STATISTICS x", "FUNCTION f()", "OPERATOR @@@ (NONE, integer)", "AGGREGATE total(integer)",
    "TEXT SEARCH CONFIGURATION plain",
)  # fmt: skip


def test_fingerprints_when_objects_were_made_in_another_schema_and_moved_then_they_count_where_they_are(
    postgresql: PostgreSQL, fleet: str
) -> None:
    postgresql.sql(make("made", MOVABLE) + make("left", MOVABLE) + "CREATE SCHEMA moved; CREATE SCHEMA bare", fleet)
    postgresql.sql(within("left", "; ".join(f"ALTER {what} SET SCHEMA moved" for what in MOVED)), fleet)
    one, two, left, bare = of(postgresql, fleet, "made", "moved", "left", "bare")
    assert one == two
    assert left == bare != one
    postgresql.sql('DROP SCHEMA made, moved, "left", bare CASCADE', fleet)


def test_groups_when_three_of_a_fleet_drifted_then_they_stand_behind_the_others(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    script = "CREATE TABLE users (id bigint PRIMARY KEY, email text); CREATE INDEX users_email ON users (email)"
    names = [f"tenant_{number:02}" for number in range(20)]
    postgresql.sql("".join(make(name, script) for name in names), pg_database)
    postgresql.sql("DROP INDEX tenant_03.users_email; DROP INDEX tenant_07.users_email", pg_database)
    postgresql.sql("ALTER TABLE tenant_11.users ALTER email SET NOT NULL", pg_database)
    ask = query(postgresql, pg_database)
    most, two, one = groups(fingerprints(ask, names))
    assert len(most.tenants) == 17
    assert (two.tenants, one.tenants) == (("tenant_03", "tenant_07"), ("tenant_11",))
    read = catalogues(ask, ["tenant_00", "tenant_03", "tenant_11"])
    assert words(read["tenant_00"], read["tenant_03"]) == ["missing index users_email on users"]
    assert words(read["tenant_00"], read["tenant_11"]) == ["column users.email does not allow NULL"]


WAYS = {
    "a column is added later": (
        """CREATE TABLE t (id integer PRIMARY KEY, name text NOT NULL);
        ALTER TABLE t ADD COLUMN n integer DEFAULT 0""",
        [],
    ),
    "all is added later": (
        """CREATE TABLE t (id integer); ALTER TABLE t ADD PRIMARY KEY (id); ALTER TABLE t ADD name text;
        ALTER TABLE t ALTER name SET NOT NULL; ALTER TABLE t ADD n smallint DEFAULT 7;
        ALTER TABLE t ALTER n TYPE integer; ALTER TABLE t ALTER n SET DEFAULT 0""",
        [],
    ),
    "things were dropped and renamed": (
        """CREATE TABLE s (i int4, x int, name text NOT NULL, n int DEFAULT 0); ALTER TABLE s DROP x;
        ALTER TABLE s RENAME TO t; ALTER TABLE t RENAME i TO id;
        ALTER TABLE t ADD CONSTRAINT t_pkey PRIMARY KEY (id)""",
        [],
    ),
    "things were given and taken away": (
        """CREATE TABLE t (id integer PRIMARY KEY, name text NOT NULL, n integer DEFAULT 0);
        ALTER TABLE t ADD x integer; ALTER TABLE t DROP x; GRANT SELECT ON t TO reader;
        REVOKE SELECT ON t FROM reader; COMMENT ON TABLE t IS 'x'; COMMENT ON TABLE t IS NULL""",
        [],
    ),
    "the columns have another order": (
        """CREATE TABLE t (id integer PRIMARY KEY, n integer DEFAULT 0);
        ALTER TABLE t ADD name text NOT NULL""",
        ["the columns of t are in the order id, n, name, not id, name, n"],
    ),
    "a constraint has a name of its own": (
        "CREATE TABLE t (id integer CONSTRAINT k PRIMARY KEY, name text NOT NULL, n integer DEFAULT 0)",
        ["additional constraint t.k", "missing constraint t.t_pkey"],
    ),
    "an index is no constraint": (
        """CREATE TABLE t (id integer NOT NULL, name text NOT NULL, n integer DEFAULT 0);
        CREATE UNIQUE INDEX t_pkey ON t (id)""",
        ["missing constraint t.t_pkey", "additional index t_pkey on t"],
    ),
}


@pytest.mark.parametrize(("other", "said"), WAYS.values(), ids=WAYS)
def test_fingerprints_when_a_table_came_about_in_another_way_then_only_what_it_is_counts(
    postgresql: PostgreSQL, fleet: str, other: str, said: list[str]
) -> None:
    plain = "CREATE TABLE t (id integer PRIMARY KEY, name text NOT NULL, n integer DEFAULT 0)"
    one, two = (watch(postgresql, fleet, "tenant_1", script)[-1] for script in (plain, other))
    assert words(one, two) == said


OWN_NAME = """
CREATE TABLE t (a text DEFAULT '{name}.t', b integer CHECK (b::text <> '{name}.x'), c regclass DEFAULT 't'::regclass);
CREATE SEQUENCE s;
CREATE VIEW v AS SELECT '{name}.t' AS x, nextval('s') AS y FROM t {alias};
CREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN '{name}.t'; /* {name}.t */ END $$;
CREATE FUNCTION g() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION g('{name}.t');
COMMENT ON TABLE t IS '{name}.t'
"""


def test_fingerprints_when_a_text_merely_holds_the_name_of_a_schema_then_it_stays(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    same = OWN_NAME.format(name="one", alias="one")
    postgresql.sql(
        make("one", same) + make("two", same) + make("three", OWN_NAME.format(name="three", alias="one")), pg_database
    )
    one, two, three = of(postgresql, pg_database, "one", "two", "three")
    assert one == two != three
    read = catalogues(query(postgresql, pg_database), ["one", "three"])
    assert [one.item.name for one in difference(read["one"], read["three"])] == [
        "t", "t.a", "t.t_b_check", "f()", "t.r", "v",
    ]  # fmt: skip


FUNCTIONS = """
CREATE TABLE t (a integer);
CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM {name} . t $$;
CREATE FUNCTION g() RETURNS bigint LANGUAGE plpgsql SET search_path = {name}, pg_temp AS $$ BEGIN
    RETURN (SELECT {name}.f()); -- 'unfinished
END $$;
CREATE FUNCTION h() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM {name}.t; END;
"""


def test_fingerprints_when_functions_name_their_own_schema_then_it_is_neutral(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    names = ("one", 'Two "x"', "public")
    postgresql.sql("DROP SCHEMA public", pg_database)
    for name in names:
        postgresql.sql(make(name, FUNCTIONS.format(name=quoted(name))), pg_database)
    postgresql.sql(make("four", FUNCTIONS.format(name="ONE")), pg_database)
    one, two, three, four = of(postgresql, pg_database, *names, "four")
    assert one == two == three != four
    item = catalogues(query(postgresql, pg_database), ['Two "x"'])['Two "x"'].get("function", "g()")
    assert item is not None
    assert item.fact("settings") == "search_path={tenant}, pg_temp"
    assert "(SELECT {tenant}.f())" in (item.fact("body") or "")


def test_fingerprints_when_names_are_those_of_the_server_then_they_are_told_apart(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    own = """
    CREATE FUNCTION lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;
    CREATE DOMAIN inet AS integer; CREATE TABLE pg_class (a integer);
    CREATE TABLE t (a text DEFAULT {own}.lower('A'), b {own}.inet, c oid DEFAULT '{own}.pg_class'::regclass);
    """
    theirs = own.replace("{own}.lower", "pg_catalog.lower")
    postgresql.sql(make("one", own.format(own="one")) + make("two", own.format(own="two")), pg_database)
    postgresql.sql(make("three", theirs.format(own="three")), pg_database)
    one, two, three = of(postgresql, pg_database, "one", "two", "three")
    assert one == two != three
    read = catalogues(query(postgresql, pg_database), ["one", "three"])
    assert words(read["one"], read["three"]) == [
        "column t.a has default pg_catalog.lower('A'::text), not lower('A'::text)"
    ]


OURS = """
CREATE TABLE pdelta_applied (id text PRIMARY KEY, at timestamptz DEFAULT now());
CREATE TABLE pdelta_history (seq bigserial, who text CHECK (who <> ''));
CREATE INDEX pdelta_history_who ON pdelta_history (who);
CREATE TABLE pdelta_kept_1 (id integer PRIMARY KEY);
COMMENT ON TABLE pdelta_applied IS '1:abc';
"""
RIGHTS = """
GRANT SELECT ON ALL TABLES IN SCHEMA tenant_1 TO reader;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA tenant_1 TO reader
"""
PARKED = """
ALTER TABLE users RENAME score TO _pdelta_park_1_score;
CREATE INDEX by_score ON users (_pdelta_park_1_score);
ALTER TABLE orders RENAME TO _pdelta_park_2_orders;
ALTER DOMAIN old RENAME TO _pdelta_park_3_old; ALTER TYPE age RENAME TO _pdelta_park_4_age;
"""


def test_fingerprints_when_pdelta_has_tables_of_its_own_then_they_do_not_count(
    postgresql: PostgreSQL, fleet: str
) -> None:
    _, without, with_ = watch(postgresql, fleet, "tenant_1", RIGHTS, OURS + RIGHTS)
    assert words(without, with_) == []


def test_fingerprints_when_something_is_parked_then_it_is_gone_unless_it_is_asked_for(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    gone = "ALTER TABLE users DROP score; DROP TABLE orders CASCADE; DROP DOMAIN old; DROP TYPE age"
    types = "; CREATE DOMAIN old AS integer CHECK (VALUE > 1); CREATE TYPE age AS ENUM ('x')"
    types += "; GRANT USAGE ON TYPE age TO reader"
    postgresql.sql(make("parked", SCHEMA + types) + make("dropped", SCHEMA + types), pg_database)
    postgresql.sql(
        within("parked", "DROP MATERIALIZED VIEW totals; DROP RULE no_delete ON orders;" + PARKED), pg_database
    )
    postgresql.sql(within("dropped", gone), pg_database)
    parked, dropped = of(postgresql, pg_database, "parked", "dropped")
    read = catalogues(query(postgresql, pg_database), ["parked", "dropped"])
    # The procedure's text still names the table, and both have it.
    assert words(read["dropped"], read["parked"]) == []
    assert parked == dropped
    parked, dropped = of(postgresql, pg_database, "parked", "dropped", parked=True)
    assert parked != dropped


def test_fingerprints_when_roles_belong_to_one_tenant_then_they_are_neutral(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    names = ("cat_1", "cat_2")
    script = "CREATE TABLE t (a integer); GRANT SELECT ON t TO {name}, reader; CREATE POLICY p ON t TO {name}"
    for name in names:
        postgresql.sql(
            f"CREATE ROLE owner_{name}; CREATE ROLE {name}; CREATE SCHEMA {name} AUTHORIZATION owner_{name};"
            f"GRANT USAGE ON SCHEMA {name} TO {name};" + within(name, script.format(name=name))
            + f"ALTER TABLE {name}.t OWNER TO owner_{name}",
            pg_database,
        )  # fmt: skip
    one, two = of(postgresql, pg_database, *names)
    assert one == two
    postgresql.sql("ALTER TABLE cat_2.t OWNER TO keeper", pg_database)
    read = catalogues(query(postgresql, pg_database), names)
    assert words(read["cat_1"], read["cat_2"]) == ["table t has owner keeper"]
    postgresql.sql(
        "DROP SCHEMA cat_1, cat_2 CASCADE;" + "".join(f"DROP ROLE owner_{name}; DROP ROLE {name};" for name in names),
        pg_database,
    )


SETTINGS = """
SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'Asia/Tokyo'; SET bytea_output = 'escape';
SET extra_float_digits = 0; SET quote_all_identifiers = on; SET standard_conforming_strings = off;
SET search_path = tenant_2, tenant_1; CREATE TEMPORARY TABLE users (a integer); CREATE TEMPORARY SEQUENCE tickets;
"""
VALUES = r"""
CREATE TABLE v (a timestamptz DEFAULT '2025-01-31 12:00+00', b interval DEFAULT '1 day 2 hours',
                c bytea DEFAULT '\x00ff', d float8 DEFAULT 0.1, e text DEFAULT 'a\b''c', f date DEFAULT '2025-01-31',
                g regclass DEFAULT 'tickets'::regclass)
"""


def test_statement_when_the_session_has_settings_then_they_do_not_matter_and_are_left(
    postgresql: PostgreSQL, fleet: str
) -> None:
    look = statement(postgresql.version, ["tenant_1"])
    names = ("DateStyle", "TimeZone", "search_path", "quote_all_identifiers", "standard_conforming_strings")
    shown = "SELECT " + " || '|' || ".join(f"current_setting('{name}')" for name in names)
    script = f"BEGIN; SET LOCAL search_path TO tenant_1; {VALUES}; {look}; {SETTINGS}{shown}; {look}; {shown}; ROLLBACK"
    told, former, again, now = (row[0] for row in postgresql.sql(script, fleet))
    plain, text = (json.loads(one)["tenant_1"] for one in (told, again))
    assert sorted(plain.split("\n\n")) == sorted(text.split("\n\n"))
    assert former == now
    for said in (
        "'2025-01-31 12:00:00+00'::timestamp with time zone", "'1 day 02:00:00'::interval", "'\\\\x00ff'::bytea",
        "0.1", "'a\\\\b''c'::text", "'2025-01-31'::date", "'tickets'::regclass",
    ):  # fmt: skip
        assert f"default: {said}" in plain


INDEXES = """
CREATE TABLE i (a integer, b text, c varchar(9), d numeric, e date, f inet, g jsonb, h char(3), "K k" bigint,
                l int4range, m text COLLATE "C", n bigint, o "char", p name, q integer[],
                UNIQUE (a, b) INCLUDE (d), UNIQUE (c, "K k"), CONSTRAINT x EXCLUDE (a WITH =),
                UNIQUE (n) DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX ON i (a); CREATE INDEX ON i (a, b); CREATE INDEX ON i (a, b, c); CREATE INDEX ON i (a, b, c, d);
CREATE UNIQUE INDEX ON i ("K k", e); CREATE INDEX ON i (c varchar_pattern_ops); CREATE INDEX ON i (c bpchar_ops);
CREATE INDEX ON i (b COLLATE "C"); CREATE INDEX ON i (m); CREATE INDEX ON i (m COLLATE "POSIX");
CREATE INDEX ON i (a DESC); CREATE INDEX ON i (a NULLS FIRST, b); CREATE INDEX ON i (f); CREATE INDEX ON i (h);
CREATE INDEX ON i USING hash (a); CREATE INDEX ON i USING gist (l); CREATE INDEX ON i USING brin (e);
CREATE INDEX ON i USING gin (g); CREATE INDEX ON i ((a + 1)); CREATE INDEX ON i (a, lower(b));
CREATE INDEX ON i (a) WHERE b IS NULL; CREATE INDEX ON i (q); CREATE INDEX ON i (a) INCLUDE (b);
CREATE INDEX ON i (a) WITH (fillfactor = 50); CREATE INDEX ON i (o); CREATE INDEX ON i (p);
CREATE UNIQUE INDEX ON i (e) NULLS NOT DISTINCT;
CREATE TABLE j (a integer, b integer, c integer, PRIMARY KEY (c, a)); ALTER TABLE j DROP b; CREATE INDEX ON j (c);
"""
ASKED = """
SELECT 'index', pg_get_indexdef(indexrelid, 0, true) FROM pg_index JOIN pg_class c ON c.oid = indexrelid
 WHERE relnamespace = 'one'::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
UNION ALL
SELECT 'constraint', pg_get_constraintdef(oid) FROM pg_constraint
 WHERE connamespace = 'one'::regnamespace AND contype <> 'n'
"""


def test_catalogue_when_it_writes_indexes_itself_then_it_does_so_as_the_server_would(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    postgresql.sql(make("one", INDEXES), pg_database)
    found = catalogues(query(postgresql, pg_database), ["one"])["one"]
    asked = postgresql.sql(within("one", ASKED), pg_database)
    assert len(asked) > 30
    written = [[item.kind, item.fact("definition")] for item in found.items if item.kind in {"index", "constraint"}]
    assert sorted(map(str, written)) == sorted(map(str, asked))


def test_database_catalogue_when_a_tenant_is_a_database_then_all_its_schemas_count(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    script = within("public", "CREATE TABLE t (a integer)") + make(
        "audit", "CREATE TABLE audit.log (t regclass DEFAULT 'public.t'::regclass); CREATE VIEW v AS SELECT t FROM log"
    )
    with postgresql.fresh_database() as other:
        for database in (pg_database, other):
            postgresql.sql(script, database)
        one, two = (database_catalogue(query(postgresql, database)) for database in (pg_database, other))
        assert fingerprint(one) == fingerprint(two)
        assert {str(item) for item in one.items} >= {
            "the schema", "schema audit", "table t", "table audit.log", "column audit.log.t", "view audit.v",
        }  # fmt: skip
        postgresql.sql(
            "ALTER TABLE audit.log ALTER t SET DEFAULT 'audit.log'::regclass;"
            "CREATE FUNCTION public.e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;"
            "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()",
            other,
        )
        assert words(one, database_catalogue(query(postgresql, other))) == [
            "column audit.log.t has default 'audit.log'::regclass, not 't'::regclass",
            "additional event trigger e",
            "additional function e()",
        ]


def test_fingerprints_when_a_login_may_only_look_then_they_are_the_same(postgresql: PostgreSQL, fleet: str) -> None:
    postgresql.sql("CREATE ROLE looker; GRANT USAGE ON SCHEMA tenant_1, tenant_2 TO looker", fleet)
    try:
        said = f"BEGIN READ ONLY; {SETTINGS_BEFORE}; SET LOCAL ROLE looker; "

        def look(text: str) -> list[list[str]]:
            return postgresql.sql(f"{said}{text}; ROLLBACK", fleet)

        assert len(set(fingerprints(look, ["tenant_1", "tenant_2"]).values())) == 1
        postgresql.sql("REVOKE USAGE ON SCHEMA tenant_2 FROM looker", fleet)
        for ask in (fingerprints, catalogues):
            with pytest.raises(DatabaseError, match="may not use the schema tenant_2") as caught:
                ask(look, ["tenant_1", "tenant_2"])
            assert caught.value.cause is Cause.DENIED
    finally:
        postgresql.sql("DROP OWNED BY looker; DROP ROLE looker", fleet)


def test_adapter_when_the_server_compiles_what_looks_expensive_then_questions_about_catalogues_are_not_compiled(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    script = "CREATE TABLE t (id serial PRIMARY KEY, a text CHECK (a <> ''))"
    postgresql.sql(make("one", script) + make("two", script), pg_database)
    # Compiling any of these takes ten times as long as they may take.
    limits = "jit = on", "jit_above_cost = 0", "jit_inline_above_cost = 0", "jit_optimize_above_cost = 0"
    for setting in (*limits, "statement_timeout = '5s'"):
        postgresql.sql(f"ALTER DATABASE {pg_database} SET {setting}", pg_database)
    with schemas(postgresql.url(pg_database)) as database:
        found = database.fingerprints(["one", "two"])
        assert len({*found.values()}) == 1
        read = database.catalogues(["one"])["one"]
        assert isinstance(read, Catalogue)
        assert fingerprint(read) == found["one"]
        session = database.session(database.lane("one"))
        text, reader = session.made_of(["one"])
        assert reader(session.query("one", text)[0][0]) == {"one": read}
        work = Work("one", EMPTY_HEAD, EMPTY_HEAD, (), database.glance(["one"])["one"])  # type: ignore[arg-type]
        ((value,),) = session.rehearse([work], [text], lock_timeout_ms=1000)
        assert reader(value) == {"one": read}
        session.close()


def test_statement_when_a_whole_database_is_asked_then_it_says_what_its_catalogue_holds(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    script = "CREATE TABLE t (id serial PRIMARY KEY, a text CHECK (a <> '')); CREATE FUNCTION two() RETURNS int"
    script += " LANGUAGE sql AS 'SELECT 2'; CREATE SCHEMA more; CREATE TABLE more.t (a int)"
    postgresql.sql(script, pg_database)
    ask = query(postgresql, pg_database)
    ((version,),) = ask("SELECT current_setting('server_version_num')::int")
    ((text,),) = ask(database_statement(int(version)))
    assert read_database(text) == database_catalogue(ask)
    assert "more.t" in text
    postgresql.sql(make("most", MOVABLE) + within("public", "DROP TABLE t;" + MOVABLE), pg_database)
    postgresql.sql("CREATE EXTENSION pg_trgm", pg_database)
    ((text,),) = ask(database_statement(int(version)))
    assert read_database(text) == database_catalogue(ask)
    assert {"collation most.c", "aggregate total(integer)", "extension pg_trgm"} <= {
        str(item) for item in read_database(text).items
    }


def test_adapter_when_there_are_many_schemas_then_two_connections_say_the_same(
    postgresql: PostgreSQL, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["tenant_1", "tenant_2", ODD_NAME, "nobody"]
    monkeypatch.setattr(reading, "MANY", 2)
    with schemas(postgresql.url(fleet)) as database:
        found = dict(database.fingerprints(names))
    assert isinstance(found.pop("nobody"), DatabaseError)
    assert found == fingerprints(query(postgresql, fleet), names)


def test_fingerprints_when_the_server_knows_nothing_of_its_catalogue_or_all_then_they_take_no_detours(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    names = [f"tenant_{number}" for number in range(150)]
    script = "".join(
        f"CREATE TABLE t{i} (id serial PRIMARY KEY, a text DEFAULT '', b integer CHECK (b > 0));"
        f"CREATE INDEX ON t{i} (a);"
        f"COMMENT ON COLUMN t{i}.a IS 'x'; GRANT SELECT ON t{i} TO reader;" for i in range(5)
    )  # fmt: skip
    for name in names:
        postgresql.sql(make(name, script), pg_database)
    ask = query(postgresql, pg_database)
    # A nested loop where there should be none takes minutes for this.
    limited = lambda text: ask(f"SET statement_timeout = '20s'; {text}")  # noqa: E731 - said once
    for known in ("", "ANALYZE"):
        postgresql.sql(known, pg_database)
        for part in (names, names[:75], names[:1]):
            assert len(set(fingerprints(limited, part).values())) == 1
        assert len(catalogues(limited, names)) == 150
