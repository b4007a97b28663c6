"""Deltas that no transaction holds and that fail half-way: where the tenant is said to stand, why, and what goes on."""

import itertools
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from pdelta.errors import DatabaseError
from tests.fixtures import sql_child
from tests.fixtures.cli import Cli
from tests.fixtures.lone_desk import LoneDesk
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.pg_fleet import schemas
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.tenants import Fleet, MysqlFleet, Project, SchemaFleet

NAME: Final = "delta_20250401_stepwise"
INDEX: Final = {
    "postgresql": "SELECT count(*) FROM pg_class WHERE oid = to_regclass('t_c')",
    "mysql": (
        "SELECT count(*) FROM information_schema.statistics WHERE table_schema = DATABASE() AND index_name = 't_c'"
    ),
}
ROUTINES: Final = "SELECT count(*) FROM information_schema.routines WHERE routine_schema = DATABASE()"
PACKAGE: Final = "SET sql_mode = ORACLE; CREATE PACKAGE people AS PROCEDURE fire(one INT); END;"
BODY: Final = "CREATE PACKAGE BODY people AS PROCEDURE fire(one INT) AS BEGIN DELETE FROM t WHERE id = one; END; END;"
CONCURRENTLY: Final = {"mysql": "", "postgresql": "CONCURRENTLY"}
HEADERS: Final = {"mysql": "", "postgresql": "-- pdelta: transaction=none\n"}


class Desk(LoneDesk):
    """One tenant with the table ``t``, and a delta that goes through it step by step."""

    def __init__(self, fleet: Fleet, cli: Cli) -> None:
        super().__init__(fleet, cli)
        self.sql("CREATE TABLE t (id int PRIMARY KEY, c int); INSERT INTO t VALUES (5, 1), (9, 2)")

    def write(self, forward: str, reverse: str = "") -> None:
        back = f"-- Reversible delta\n-- {reverse}\n" if reverse else ""
        self.project.write(NAME, f"{HEADERS[self.fleet.engine]}{forward}\n{back}")

    def columns(self, table: str = "t") -> list[str]:
        return self.fleet.columns(self.tenant, table)

    @property
    def states(self) -> list[tuple[str, ...]]:
        return self.sql("SELECT state, step FROM pdelta_applied")


@pytest.fixture(params=["postgresql", "mysql"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, cli: Cli) -> Iterator[Desk]:
    if request.param == "postgresql":
        database = request.getfixturevalue("pg_database")
        yield Desk(SchemaFleet(tmp_path, ["one"], request.getfixturevalue("postgresql"), database), cli)
        return
    fleet = MysqlFleet(tmp_path, ["one"], request.getfixturevalue("mariadb"))
    yield Desk(fleet, cli)
    fleet.drop()


@pytest.fixture
def mysql(tmp_path: Path, mariadb: MariaDB, cli: Cli) -> Iterator[Desk]:
    fleet = MysqlFleet(tmp_path, ["one"], mariadb)
    yield Desk(fleet, cli)
    fleet.drop()


@pytest.fixture
def postgres(tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli) -> Desk:
    return Desk(SchemaFleet(tmp_path, ["one"], postgresql, pg_database), cli)


def test_rollback_when_a_later_step_fails_then_it_is_in_between_and_the_same_command_goes_on(desk: Desk) -> None:
    desk.write("ALTER TABLE t ADD COLUMN z INT;", "ALTER TABLE t DROP COLUMN z; DROP TABLE lacking;")
    desk("apply")
    for _ in range(2):
        told = desk("rollback", status=6)
        assert "in between" in told
        assert "lacking" in told
        assert "was taken back by 1 of 2 steps" in told
        assert (desk.columns(), desk.states) == (["id", "c"], [("reversing", "1")])
    desk.sql("CREATE TABLE lacking (id int)")
    assert "1 delta reversed in 1 of 1 tenant" in desk("rollback")
    assert (desk.columns("lacking"), desk.states) == ([], [])
    # The runs that failed do nothing more.
    desk("rollback", status=2)
    assert (desk.columns(), desk.states) == (["id", "c"], [])
    desk("apply")
    assert "nothing to do" in desk("apply")
    assert (desk.columns(), len(desk.states)) == (["id", "c", "z"], 1)


def test_rollback_when_its_first_step_fails_then_it_is_as_it_was(desk: Desk) -> None:
    desk.write("ALTER TABLE t ADD COLUMN z INT;", "DROP TABLE lacking; ALTER TABLE t DROP COLUMN z;")
    desk("apply")
    told = desk("rollback", status=8)
    assert "as it was" in told
    assert "lacking" in told
    assert (desk.columns(), desk.states) == (["id", "c", "z"], [("applied", "2")])


def test_rollback_when_a_middle_step_of_many_fails_then_the_server_is_quoted(desk: Desk) -> None:
    desk.write(
        "CREATE TABLE a (i int); CREATE TABLE b (i int); CREATE TABLE c (i int);",
        "DROP TABLE c; DROP TABLE lacking; DROP TABLE b; DROP TABLE a;",
    )
    desk("apply")
    told = desk("rollback", status=6)
    assert "lacking" in told
    assert "already exists" not in told
    assert desk.states == [("reversing", "1")]


def test_rollback_when_a_later_step_would_lose_data_then_nothing_is_done_and_the_way_out_is_named(desk: Desk) -> None:
    desk.write("ALTER TABLE t ADD a INT; ALTER TABLE t ADD b INT;")
    desk("apply")
    desk.sql("UPDATE t SET a = 1")
    told = desk("rollback", status=8)
    assert "as it was" in told
    assert "have a value in a that would be lost" in told
    assert "--accept-data-loss" in told
    assert (desk.columns(), desk.states) == (["id", "c", "a", "b"], [("applied", "2")])
    assert "nothing to do" in desk("apply")
    desk("rollback", "--accept-data-loss")
    assert (desk.columns(), desk.states) == (["id", "c"], [])


def test_rollback_when_the_delta_filled_its_own_column_then_that_is_no_loss(desk: Desk) -> None:
    desk.write("ALTER TABLE t ADD a INT; UPDATE t SET a = 4; ALTER TABLE t ADD b INT;")
    desk("apply")
    desk("rollback")
    assert (desk.columns(), desk.states) == (["id", "c"], [])


@pytest.mark.parametrize("header", ["", "-- pdelta: transaction=none\n"])
@pytest.mark.parametrize(
    ("forward", "reverse", "after"),
    [
        ("CREATE INDEX CONCURRENTLY iz ON t (c);", "", "as written"),
        ("DROP INDEX CONCURRENTLY held;", "", "as written"),
        ("CREATE INDEX iz ON t (c);", "DROP INDEX CONCURRENTLY iz;", "as written"),
        ("CREATE INDEX CONCURRENTLY iz ON t (c);", "DROP INDEX CONCURRENTLY iz;", "deleted"),
        ("CREATE INDEX CONCURRENTLY iz ON t (c);", "DROP INDEX CONCURRENTLY iz;", "edited"),
        ("CREATE INDEX CONCURRENTLY iz ON t (c);", "", "deleted"),
    ],
)
def test_rollback_when_only_the_reverse_in_the_ledger_tells_that_no_transaction_takes_it_then_it_has_none(
    postgres: Desk, header: str, forward: str, reverse: str, after: str
) -> None:
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 't' AND schemaname = current_schema() ORDER BY 1"
    postgres.sql("CREATE INDEX held ON t (c)")
    text = header + forward + "\n" + (f"-- Reversible delta\n-- {reverse}\n" if reverse else "")
    path = postgres.project.write(NAME, text)
    postgres("apply")
    assert postgres.sql(indexes) == ([("t_pkey",)] if "held" in forward else [("held",), ("iz",), ("t_pkey",)])
    if after == "deleted":
        path.unlink()
    elif after == "edited":
        postgres.project.write(NAME, "CREATE TABLE other (i int);\n")
    postgres("rollback")
    assert postgres.sql(indexes) == [("held",), ("t_pkey",)]
    assert postgres.states == []


def test_apply_when_a_later_delta_fails_then_a_reverse_that_no_transaction_takes_has_none(postgres: Desk) -> None:
    postgres.project.write(
        "delta_20250401_a", "CREATE INDEX iz ON t (c);\n-- Reversible delta\n-- DROP INDEX CONCURRENTLY iz;\n"
    )
    postgres.project.write(
        "delta_20250402_b",
        "-- pdelta: transaction=none\nALTER TABLE lacking ADD q int;\n-- Reversible delta\n-- SELECT 1;\n",
    )
    told = postgres("apply", "--on-failure", "reverse", status=5)
    assert "lacking" in told
    assert postgres.states == []
    assert postgres.sql("SELECT to_regclass('iz') IS NULL") == [("t",)]


@pytest.mark.parametrize("way", ["written", "irreversible"])
def test_apply_when_it_stops_half_way_for_good_then_it_is_in_between_with_the_cause(desk: Desk, way: str) -> None:
    desk.write("ALTER TABLE t DROP COLUMN c; ALTER TABLE lacking ADD q INT;", "ALTER TABLE t ADD COLUMN c INT;")
    if way == "irreversible":
        header = '-- pdelta: irreversible="meant"\n'
        text = "ALTER TABLE t DROP COLUMN c; ALTER TABLE lacking ADD q INT;\n"
        desk.project.write(NAME, HEADERS[desk.fleet.engine] + header + text)
    for _ in range(2):
        told = desk("apply", status=6)
        assert "in between" in told
        assert "lacking" in told
        assert "stopped after 1 of 2 steps" in told
        assert "apply it again: it goes on behind the last step" in told
        assert ("can't be reversed: meant" in told) == (way == "irreversible")
        assert "still applied" not in told
        assert "nothing was changed" not in told
        assert (desk.columns(), desk.states) == (["id"], [("applying", "1")])
    desk.sql("CREATE TABLE lacking (i int)")
    # Whoever asks for the way back does not get the rest of the way there.
    told = desk("rollback", status=6)
    assert "in between" in told
    assert "stopped after 1 of 2 steps" in told
    assert (desk.columns("lacking"), desk.states) == (["i"], [("applying", "1")])
    assert "1 delta applied in 1 of 1 tenant" in desk("apply")
    assert (desk.columns("lacking"), desk.states) == (["i", "q"], [("applied", "2")])
    assert "nothing to do" in desk("apply")


def test_apply_when_its_reverse_goes_forward_then_nothing_of_other_steps_is_taken_back(desk: Desk) -> None:
    word = "CONCURRENTLY" if desk.fleet.engine == "postgresql" else ""
    place = "" if word else " ON t"
    forward = f"CREATE TABLE y (a int); CREATE INDEX {word} i1 ON t (c); CREATE UNIQUE INDEX {word} i2 ON t (d);"
    back = ["DROP TABLE y", f"DROP INDEX i1{place}", f"DROP INDEX i2{place}"]
    desk.sql("ALTER TABLE t ADD COLUMN d int; UPDATE t SET d = 1")
    desk.write(forward, "; ".join(back) + ";")
    told = desk("apply", "--on-failure", "reverse", status=6)
    assert "in between" in told
    assert "uplicate" in told or "could not create unique index" in told
    assert told.count("nor could it be brought back") == 1
    assert f"{NAME}, statement 3: " in told
    assert "DROP INDEX i2" in told
    assert "stopped after 2 of 3 steps" in told
    assert "into the opposite order" in told
    assert (desk.columns("y"), desk.states) == (["a"], [("applying", "2")])
    # Its author corrects the reverse.
    desk.write(forward, "; ".join(reversed(back)) + ";")
    desk("rollback")
    assert (desk.columns("y"), desk.states) == ([], [])
    told = desk("apply", status=8)
    assert "as it was" in told
    assert (desk.columns("y"), desk.states) == ([], [])
    desk.sql("UPDATE t SET d = id")
    desk("apply")
    assert desk.states == [("applied", "3")]


def test_apply_when_its_steps_differ_in_words_of_the_grammar_alone_then_it_is_taken_back(mysql: Desk) -> None:
    mysql.sql("ALTER TABLE t ADD KEY k (c); INSERT INTO t VALUES (8, 1)")
    mysql.write(
        "ALTER TABLE t DROP KEY k; ALTER TABLE t ADD UNIQUE KEY u (c);",
        "ALTER TABLE t DROP KEY u; ALTER TABLE t ADD KEY k (c);",
    )
    assert "as it was" in mysql("apply", status=8)
    assert (mysql.states, mysql.sql("SHOW KEYS FROM t WHERE Key_name = 'k'") != []) == ([], True)


def test_apply_when_its_way_back_fails_as_well_then_both_statements_are_named(desk: Desk) -> None:
    forward = "ALTER TABLE t ADD COLUMN z int; ALTER TABLE t ADD COLUMN y int; ALTER TABLE lacking ADD q int;"
    desk.write(forward, "SELECT 1; ALTER TABLE t DROP COLUMN y; ALTER TABLE absent DROP COLUMN z;")
    told = " ".join(desk("apply", status=6).split())
    first, _, last = told.partition("nor could it be brought back: ")
    assert re.search(rf"{NAME}, statement 3: .*lacking", first), told
    assert re.match(rf"the reverse of {NAME}, statement 2: .*absent", last), told
    assert (desk.columns(), desk.states) == (["id", "c", "z"], [("reversing", "1")])


def test_apply_when_another_run_goes_through_the_tenant_step_by_step_then_it_waits_its_turn(
    postgres: Desk, postgresql: PostgreSQL, pg_database: str
) -> None:
    postgres.write("CREATE INDEX CONCURRENTLY t_c ON t (c);", "DROP INDEX CONCURRENTLY t_c;")
    with schemas(postgresql.url(pg_database), "one") as database:
        session = database.session(database.lane("one"))
        with session.hold("one", lock_timeout_ms=1000):
            told = postgres("apply", "--lock-timeout", "100ms", status=8)
            assert "another run is at work there" in told
            assert postgres.columns("pdelta_applied") == []
        session.close()
        assert "1 delta applied in 1 of 1 tenant" in postgres("apply")
    assert postgres.states == [("applied", "1")]


def test_hold_when_a_pooler_stands_between_then_nothing_is_locked_there(
    postgres: Desk, pgbouncer: PgBouncer, postgresql: PostgreSQL, pg_database: str
) -> None:
    with schemas(pgbouncer.url(pg_database), "one") as database:
        session = database.session(database.lane("one"))
        with (
            pytest.raises(DatabaseError, match="behind a pooler"),
            session.hold("one", lock_timeout_ms=1000),
        ):
            pytest.fail("it holds")
        session.close()
    assert postgresql.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [["0"]]


def test_apply_when_an_index_of_that_name_lies_there_invalid_then_it_is_built_again(postgres: Desk) -> None:
    postgres.sql("INSERT INTO t VALUES (10, 2)")
    postgres.write("CREATE INDEX CONCURRENTLY IF NOT EXISTS T_c ON t (c);", "DROP INDEX CONCURRENTLY t_c;")
    with pytest.raises(RuntimeError, match="could not create unique index"):
        postgres.sql("CREATE UNIQUE INDEX CONCURRENTLY t_c ON t (c)")
    assert postgres.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_c'::regclass") == [("f",)]
    postgres("apply")
    assert postgres.sql("SELECT indisvalid FROM pg_index WHERE indexrelid = 't_c'::regclass") == [("t",)]


@pytest.mark.parametrize("point", ["alone.before:1", "alone.after:1"])
@pytest.mark.parametrize("verb", ["apply", "rollback"])
def test_step_when_killed_around_it_and_others_change_the_tenant_then_it_is_done_once(
    desk: Desk, verb: str, point: str
) -> None:
    made, dropped = {
        "postgresql": ("CREATE INDEX CONCURRENTLY t_c ON t (c);", "DROP INDEX CONCURRENTLY t_c;"),
        "mysql": ("CREATE INDEX t_c ON t (c);", "DROP INDEX t_c ON t;"),
    }[desk.fleet.engine]
    desk.write(made, dropped)
    if verb == "rollback":
        desk("apply")
    desk.killed(point, verb)
    desk.sql("ALTER TABLE t ADD COLUMN of_others INT")
    desk.sql("CREATE INDEX of_others ON t (of_others)")
    desk(verb)
    assert desk.sql(INDEX[desk.fleet.engine]) == [("1" if verb == "apply" else "0",)]
    assert "nothing to do" in desk("apply") if verb == "apply" else desk.states == []


@pytest.mark.parametrize("name", ['"Äpfel"', "Äpfel", '"[x]"', '"`q"', '"CaSe"', r'U&"\00C4pfel"', "t_" + "x" * 70])
def test_step_when_killed_behind_it_then_it_is_known_by_its_very_name(postgres: Desk, name: str) -> None:
    postgres.write(f"CREATE INDEX CONCURRENTLY {name} ON t (c);", f"DROP INDEX CONCURRENTLY {name};")
    postgres.killed("alone.after:1", "apply")
    postgres("apply")
    postgres.killed("alone.after:1", "rollback")
    postgres("rollback")
    assert postgres.sql("SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass") == [("1",)]


def test_step_when_killed_behind_a_database_that_it_makes_or_drops_then_that_is_seen(
    postgres: Desk, pg_database: str
) -> None:
    name = f"{pg_database}_more"
    postgres.write(f"CREATE DATABASE {name};", f"DROP DATABASE {name};")
    for verb, count in (("apply", "1"), ("rollback", "0")):
        postgres.killed("alone.after:1", verb)
        postgres(verb)
        assert postgres.sql(f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == [(count,)]  # noqa: S608


@pytest.mark.parametrize("verb", ["apply", "rollback"])
@pytest.mark.parametrize(
    ("forward", "back", "step"),
    [
        ('SET sql_mode = ANSI_QUOTES; ALTER TABLE "t" ADD COLUMN "z" INT;', "ALTER TABLE t DROP COLUMN z; DO 0;", 1),
        (PACKAGE, "SET sql_mode = ORACLE; DROP PACKAGE people;", 1),
        (f"{PACKAGE} {BODY}", "SET sql_mode = ORACLE; DROP PACKAGE BODY people; DROP PACKAGE people;", 2),
    ],
    ids=["quotes", "package", "body"],
)
def test_step_when_killed_behind_it_and_the_mode_is_the_deltas_own_then_it_counts_as_done(
    mysql: Desk, forward: str, back: str, step: int, verb: str
) -> None:
    mysql.write(forward, back)
    mysql.killed(f"alone.after:{step}", "apply")
    if verb == "apply":
        mysql(verb)
        assert mysql.states == [("applied", str(step + 1))]
    mysql("rollback", "--only", mysql.tenant)
    assert (mysql.columns(), mysql.sql(ROUTINES), mysql.states) == (["id", "c"], [("0",)], [])


@pytest.mark.parametrize("other", ["CREATE TABLE b (id INT)", "CREATE TABLE b (id INT, more INT)"])
def test_step_when_killed_behind_tables_that_swap_their_names_then_they_do_not_swap_back(
    mysql: Desk, other: str
) -> None:
    mysql.sql("CREATE TABLE a (id INT)")
    # Of tables with the same columns only the second tells in which they got their names.
    time.sleep(1.1)
    mysql.sql(other)
    mysql.sql("INSERT INTO b (id) VALUES (7)")
    swap = "RENAME TABLE a TO other, b TO a, other TO b;"
    mysql.write(swap, swap)
    mysql.killed("alone.after:1", "apply")
    mysql("apply")
    assert mysql.sql("SELECT id FROM a") == [("7",)]
    mysql.killed("alone.before:1", "rollback")
    mysql("rollback")
    assert mysql.sql("SELECT id FROM b") == [("7",)]


EXCHANGE: Final = "ALTER TABLE parts EXCHANGE PARTITION `low` WITH TABLE `Apart`;"


@pytest.fixture
def parts(mysql: Desk) -> Desk:
    """A table with rows in its partition, and one with others that takes its place."""
    mysql.sql("CREATE TABLE Apart (id INT, word VARCHAR(9)); INSERT INTO Apart VALUES (3, 'c')")
    mysql.sql(
        "CREATE TABLE parts (id INT, word VARCHAR(9)) PARTITION BY RANGE (id)"
        " (PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN MAXVALUE)"
    )
    mysql.sql("INSERT INTO parts VALUES (1, 'a'), (2, NULL), (11, 'z')")
    mysql.write(EXCHANGE, EXCHANGE)
    return mysql


@pytest.mark.parametrize("point", ["alone.before:1", "alone.after:1"])
def test_step_when_killed_around_a_partition_that_is_exchanged_then_it_is_not_exchanged_back(
    parts: Desk, point: str
) -> None:
    for verb, rows in (("apply", [("1",), ("2",)]), ("rollback", [("3",)])):
        parts.killed(point, verb)
        parts(verb)
        assert parts.sql("SELECT id FROM Apart ORDER BY id") == rows
    assert parts.states == []


def test_step_when_killed_around_a_partition_and_others_change_its_rows_then_nobody_guesses(parts: Desk) -> None:
    parts.killed("alone.before:1", "apply")
    parts.sql("INSERT INTO Apart VALUES (4, 'd')")
    told = parts("apply", status=6)
    assert "whether the partition was exchanged can't be told" in told
    assert parts.sql("SELECT id FROM Apart ORDER BY id") == [("3",), ("4",)]
    parts.sql("DELETE FROM Apart WHERE id = 4")
    parts("apply")
    assert parts.sql("SELECT id FROM Apart ORDER BY id") == [("1",), ("2",)]


def test_apply_when_killed_behind_a_setting_then_the_next_run_sets_it_again(mysql: Desk) -> None:
    mysql.write(
        """SET sql_mode = 'ANSI_QUOTES'; SET @n = 5; CREATE TABLE "q" (id INT); INSERT INTO "q" VALUES (@n);""",
        "DROP TABLE q;",
    )
    mysql.killed("alone.before:1", "apply")
    mysql("apply")
    assert mysql.sql("SELECT id FROM q") == [("5",)]


def test_apply_when_killed_behind_a_calculated_variable_then_it_is_not_taken_for_null(mysql: Desk) -> None:
    mysql.write(
        "SET @n = (SELECT max(id) FROM t); CREATE TABLE q (id INT); INSERT INTO q VALUES (@n);",
        "DELETE FROM q; DROP TABLE q; DO 0;",
    )
    mysql.killed("alone.before:1", "apply")
    told = mysql("apply", status=6)
    assert "what SET @n = (SELECT max(id) FROM t) gave is lost" in told
    assert mysql.columns("q") == []
    mysql("rollback", "--only", mysql.tenant)
    mysql("apply")
    assert mysql.sql("SELECT id FROM q") == [("9",)]


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("SELECT max(id) INTO @n FROM t;", "INSERT INTO q VALUES (@n);"),
        ("INSERT INTO numbered VALUES (NULL);", "INSERT INTO q VALUES (LAST_INSERT_ID());"),
    ],
    ids=["variable", "number"],
)
def test_apply_when_killed_behind_what_gave_its_session_something_then_it_is_not_gone_on_without(
    mysql: Desk, given: str, used: str
) -> None:
    mysql.sql("CREATE TABLE numbered (id INT PRIMARY KEY AUTO_INCREMENT) AUTO_INCREMENT = 9")
    reverse = "DELETE FROM q; DROP TABLE q; DELETE FROM numbered;"
    mysql.write(f"{given} CREATE TABLE q (id INT); {used}", reverse)
    mysql.killed("alone.after:1", "apply")
    assert "gave is lost with its session" in mysql("apply", status=6)
    assert mysql.sql("SELECT * FROM q") == []
    mysql("rollback", "--only", mysql.tenant)
    mysql.sql("ALTER TABLE numbered AUTO_INCREMENT = 9")
    mysql("apply")
    assert mysql.sql("SELECT id FROM q") == [("9",)]


def test_apply_when_killed_behind_a_statement_with_a_setting_of_its_own_then_it_is_not_done_again(mysql: Desk) -> None:
    forward = "UPDATE t SET c = c + 1; ALTER TABLE t ADD COLUMN z INT;"
    back = "DROP TABLE q; ALTER TABLE t DROP COLUMN z; UPDATE t SET c = c - 1;"
    mysql.write(
        re.sub("(?=UPDATE|ALTER)", "SET STATEMENT max_statement_time = 9 FOR ", forward) + " CREATE TABLE q (id INT);",
        re.sub("(?=UPDATE|ALTER)", "SET STATEMENT max_statement_time = 9 FOR ", back),
    )
    mysql.killed("alone.after:1", "apply")
    mysql("apply")
    assert (mysql.sql("SELECT id, c FROM t"), mysql.columns()) == ([("5", "2"), ("9", "3")], ["id", "c", "z"])
    mysql("rollback")
    assert (mysql.sql("SELECT id, c FROM t"), mysql.columns()) == ([("5", "1"), ("9", "2")], ["id", "c"])


def test_rollback_when_killed_while_a_version_goes_then_the_one_before_comes_back(mysql: Desk) -> None:
    def version(columns: str) -> None:
        made = f"DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT {columns} FROM t;"  # noqa: S608
        mysql.write(f"-- pdelta: repeatable=yes\n{made}", "DROP VIEW v; CREATE VIEW v AS SELECT id FROM t;")
        mysql("apply")

    version("id")
    first = mysql.sql("SELECT digest, run FROM pdelta_applied")
    for number in itertools.count(1):
        version("id, c")
        status, told = sql_child.die(mysql.cli, mysql.fleet.folder, f"record.before:{number}", "rollback")
        if status == 0:
            break
        assert status == -signal.SIGKILL, told
        mysql("rollback")
        assert mysql.sql("SELECT digest, run FROM pdelta_applied") == first, number
        assert mysql.sql("SELECT count(*) FROM pdelta_history WHERE way = 'reverse'") == [(str(number),)]
    assert number > 3
    assert mysql.sql("SELECT digest, run FROM pdelta_applied") == first


def test_apply_when_the_server_goes_on_with_the_step_of_a_killed_client_then_it_waits_for_the_end(
    postgres: Desk,
) -> None:
    postgres.sql("INSERT INTO t VALUES (10, 2)")
    postgres.sql(
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.7); RETURN $1; END'"
    )
    postgres.write("CREATE UNIQUE INDEX CONCURRENTLY t_c ON t (slow(c));", "DROP INDEX CONCURRENTLY t_c;")
    run = subprocess.Popen([*postgres.cli.command, "sql", "apply"], cwd=postgres.fleet.folder, env=postgres.cli.env)
    try:
        deadline_s = time.monotonic() + 60
        building = (
            "SELECT 1 FROM pg_stat_progress_create_index WHERE datname = current_database() AND phase ~ 'building'"
        )
        while not postgres.sql(building):
            assert time.monotonic() < deadline_s
    finally:
        run.kill()
        run.wait()
    assert postgres.states == [("applying", "0")]
    # The other run has not waited for nothing: there are equal rows, and so there is no index.
    told = postgres("apply", status=8)
    assert "could not create unique index" in told
    assert (postgres.states, postgres.sql("SELECT to_regclass('t_c')")) == ([], [("",)])


def test_apply_when_a_step_fails_then_its_delta_and_its_place_there_are_told(desk: Desk) -> None:
    Project(desk.fleet.folder, desk.fleet.section).write(
        "delta_20250331_before",
        "ALTER TABLE t ADD COLUMN d int;\n-- Reversible delta\n-- ALTER TABLE t DROP COLUMN d;\n",
    )
    index = f"CREATE INDEX {CONCURRENTLY[desk.fleet.engine]} i ON nope (a)"
    desk.write(f"CREATE TABLE w (x int);\nALTER TABLE w ADD COLUMN y int;\n{index};")
    assert f"1 tenant failed at {NAME}, statement 3" in desk("apply", status=8)


@pytest.mark.parametrize("reverse", ["", "DROP INDEX x; DELETE FROM t WHERE id = 7; DROP TABLE w;"])
@pytest.mark.parametrize("failing", ["INSERT INTO w VALUES (1), (1)", "CREATE INDEX i ON nope (a)"])
def test_apply_when_a_step_fails_then_its_statement_is_told_by_its_number_in_the_file(
    desk: Desk, failing: str, reverse: str
) -> None:
    if desk.fleet.engine == "postgresql" and not reverse:
        pytest.skip("nothing can be kept there beside a statement that stands alone")
    failing = failing.replace("INDEX", f"INDEX {CONCURRENTLY[desk.fleet.engine]}")
    # What a derived reverse keeps is no statement of the file.
    desk.write(f"CREATE TABLE w (x int PRIMARY KEY);\nINSERT INTO t VALUES (7, 7);\n{failing};", reverse)
    (result,) = desk.cli("sql", "apply", "--json", cwd=desk.fleet.folder, status=8).json()["results"]
    assert "statement 3" in result["error"]["message"]
    assert "statement 1" not in result["error"]["message"]
    assert f"{NAME}, statement 3" in desk("apply", status=8)


def test_apply_when_a_failed_step_was_taken_back_then_nothing_is_said_to_be_left(desk: Desk) -> None:
    desk.write(
        f"CREATE TABLE w (x int);\nCREATE INDEX {CONCURRENTLY[desk.fleet.engine]} i ON nope (a);",
        "SELECT 1;\n-- DROP TABLE w;",
    )
    told = desk.cli("sql", "apply", "--json", cwd=desk.fleet.folder, status=8).json()
    for message in (told["results"][0]["error"]["message"], told["reason"]):
        assert message.endswith("; what was done there was taken back")
        assert not {"may be left", "not known"} & set(message.split("; "))
    told = desk("apply", "-v", status=8)
    assert "; what was done there was taken back" in told
    assert "may be left" not in told


def test_apply_when_a_failed_step_stays_then_what_is_left_of_its_delta_is_told(desk: Desk) -> None:
    index = f"CREATE INDEX {CONCURRENTLY[desk.fleet.engine]} i ON nope (a);"
    desk.write(
        f"CREATE TABLE w (x int);\nCREATE TABLE v (x int);\n{index}",
        "SELECT 1;\n-- DROP TABLE v;\n-- DROP TABLE lacking;",
    )
    before = "ALTER TABLE t ADD d int;\n-- Reversible delta\n-- ALTER TABLE t DROP d;"
    desk.project.write("delta_20250331_before", before)
    told = desk.cli("sql", "apply", "--json", cwd=desk.fleet.folder, status=6).json()
    left = f"{NAME} was taken back by 1 of 2 steps"
    for message in (told["results"][0]["error"]["message"], told["reason"]):
        assert message.endswith(f"; delta_20250331_before is applied; {left}")
    assert f"in between: {left}" in desk("apply", status=6)


@pytest.mark.parametrize("statement", ["START TRANSACTION", "LOCK TABLES t WRITE", "CALL p()", "USE other", "COMMIT"])
@pytest.mark.parametrize("is_back", [False, True], ids=["forward", "reverse"])
def test_apply_when_a_statement_can_stand_in_no_delta_then_no_tenant_is_touched(
    mysql: Desk, statement: str, *, is_back: bool
) -> None:
    forward, reverse = "CREATE TABLE first (i int);", "DROP TABLE first;"
    mysql.write(*((forward, f"{statement}; {reverse}") if is_back else (f"{forward}\n{statement};", reverse)))
    told = mysql("apply", "--dry-run", status=3) + mysql("apply", status=3)
    assert told.count(f"{NAME}.sql: line {3 if is_back else 2}: {statement.split(maxsplit=1)[0]}") == 2
    assert "in between" not in told
    assert mysql.columns("first") == []
    # Where tenants have it, it can be looked at and taken back.
    mysql.write(forward, reverse)
    mysql("apply")
    mysql.write(forward, f"{statement}; {reverse}")
    mysql("status")
    assert "nothing to do" in mysql("apply")
    mysql("rollback")
    assert mysql.columns("first") == []


def test_apply_when_no_transaction_holds_a_delta_that_ends_one_then_no_tenant_is_touched(postgres: Desk) -> None:
    postgres.write("CREATE TABLE first (i int);\nCOMMIT;", "DROP TABLE first;")
    assert "line 3: COMMIT can't stand in a delta" in postgres("apply", status=3)
    assert postgres.columns("first") == []


def test_apply_when_tenants_stop_half_way_for_one_cause_then_they_are_told_as_one(
    tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    fleet = SchemaFleet(tmp_path, ["one", "two"], postgresql, pg_database)
    text = '-- pdelta: transaction=none irreversible="meant"\nCREATE TABLE a (i int);\nDROP TABLE lacking;\n'
    Project(fleet.folder, fleet.section).write(NAME, text)
    told = cli("sql", "apply", "--waves", "all=100%", "--max-failures", "2", cwd=fleet.folder, status=6).out
    assert "2 tenants failed" in told
    assert told.count("stopped after 1 of 2 steps") == 1
