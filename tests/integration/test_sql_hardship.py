"""Roll-outs on a PostgreSQL where things go wrong: other operators, poolers, restarts, lost tenants, missing rights."""

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fixtures.cli import Cli, Result
from tests.fixtures.pg_fleet import schemas
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.postgresql import PASSWORD, PostgreSQL
from tests.fixtures.tenants import ORIGIN, Project, SchemaFleet

NAME = "delta_20250315_add_last_login"
SECOND = "CREATE TABLE visits (id integer PRIMARY KEY);\n-- Reversible delta\n-- DROP TABLE visits;\n"


class Desk:
    """One operator on a database of that server."""

    def __init__(self, folder: Path, server: PostgreSQL, database: str, cli: Cli, names: Sequence[str]) -> None:
        self.fleet = SchemaFleet(folder, names, server, database)
        self.project = Project(folder, self.fleet.section)
        self.project.write(NAME, ORIGIN)
        self.project.write("delta_20250316_visits", SECOND)
        self.cli = cli

    def __call__(self, *words: str, status: int | None = 0) -> Result:
        return self.cli("sql", *words, status=status, cwd=self.fleet.folder)

    def begin(self, *words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*self.cli.command, "sql", *words],
            cwd=self.fleet.folder,
            env=self.cli.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def address(self, url: str) -> None:
        (self.fleet.folder / "url").write_text(url)

    def check_once(self) -> None:
        """Every tenant has both deltas, each of which came exactly once."""
        assert self.fleet.having("last_login") == self.fleet.names
        assert self.fleet.having("id", "visits") == self.fleet.names
        for name in self.fleet.names:
            assert self.fleet.sql(name, "SELECT count(*) FROM pdelta_applied WHERE state = 'applied'") == [("2",)]
            assert self.fleet.sql(name, "SELECT count(*) FROM pdelta_history") == [("0",)]


def desk_of(tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli, *names: str) -> Desk:
    return Desk(tmp_path, postgresql, pg_database, cli, names or [f"t{number:02d}" for number in range(20)])


@pytest.fixture
def desk(tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli) -> Desk:
    return desk_of(tmp_path, postgresql, pg_database, cli)


@pytest.mark.parametrize("pooled", [False, True])
def test_operators_when_two_apply_at_once_then_each_delta_comes_once(
    desk: Desk, pgbouncer: PgBouncer, pg_database: str, pooled: bool
) -> None:
    if pooled:
        desk.address(pgbouncer.url(pg_database))
    words = ("apply", "--waves", "all", "--lock-timeout", "5s")
    operators = [desk.begin(*words, "--batch", batch) for batch in ("1", "1", "4")]
    ends = [operator.communicate(timeout=120) for operator in operators]
    assert [operator.returncode for operator in operators] == [0, 0, 0], ends
    desk.check_once()


def test_names_when_they_need_quotes_then_they_are_tenants_like_others(
    tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    hostile = "Robert'); DROP TABLE users;--"
    names = [hostile, "UPPER", 'a "quote"', "söme Ünicode 𝄞", "back\\slash", "$$;$x$", "%s %(a)s"]
    desk = desk_of(tmp_path, postgresql, pg_database, cli, *names)
    desk("apply")
    desk.check_once()
    assert "7 up to date" in desk("status").out
    desk("rollback", "--to", "0", "--only", hostile)
    assert desk.fleet.having("last_login") == sorted(set(names) - {hostile})


@pytest.mark.parametrize("how", [signal.SIGQUIT, signal.SIGKILL])
def test_server_when_it_dies_in_the_middle_then_the_same_command_does_the_rest(
    desk: Desk, postgresql: PostgreSQL, how: signal.Signals
) -> None:
    # A gate ends when the server is down: what comes after it meets no server, or one that comes back.
    gate = "touch reached; while [ ! -e gone ]; do sleep 0.02; done"
    run = desk.begin("apply", "--waves", "a=5,b=5,rest", "--gate", gate)
    deadline_s = time.monotonic() + 60
    while not (desk.fleet.folder / "reached").exists() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    port = postgresql.port
    postgresql.stop(how)
    (desk.fleet.folder / "gone").touch()
    _out, error = run.communicate(timeout=120)
    assert run.returncode in {6, 8}, error
    assert "can't be reached" in error or "connection" in error or "failed" in error
    postgresql.start()
    assert postgresql.port == port
    assert len(desk.fleet.having("last_login")) == 5
    desk("apply")
    desk.check_once()


def test_tenant_when_it_is_dropped_meanwhile_then_it_is_named_and_the_others_go_on(
    desk: Desk, postgresql: PostgreSQL, pg_database: str
) -> None:
    url = postgresql.url(pg_database)
    drop = f"'{postgresql.programs}/psql' -Xqc 'DROP SCHEMA t07 CASCADE' '{url}' 2>/dev/null"
    result = desk("apply", "--gate", drop, "--on-failure", "continue", status=None)
    assert result.status == 6
    assert "t07: is gone" in result.out
    # It has ended all the same: nothing can be finished there.
    doctor = desk.cli("doctor", cwd=desk.fleet.folder)
    assert "every run has ended" in doctor.out
    desk.fleet.names.remove("t07")
    assert desk.fleet.having("last_login") == desk.fleet.names


def test_killed_when_a_tenant_of_the_run_is_gone_then_the_next_command_ends_it(
    desk: Desk, postgresql: PostgreSQL, pg_database: str
) -> None:
    assert desk("apply", "--waves", "3,rest", "--gate", "kill -9 $PPID", status=None).status != 0
    postgresql.sql("DROP SCHEMA t00 CASCADE", pg_database)
    doctor = desk.cli("doctor", cwd=desk.fleet.folder, status=4)
    assert "on app has not ended" in doctor.out
    assert "any other pdelta sql apply or rollback --database app, ends it" in doctor.out
    desk("apply", status=None)
    assert "every run has ended" in desk.cli("doctor", cwd=desk.fleet.folder).out


def test_drift_when_the_login_may_not_use_some_schemas_then_only_those_are_unread(
    desk: Desk, postgresql: PostgreSQL, pg_database: str
) -> None:
    postgresql.sql(f"DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD '{PASSWORD}'")
    closed = ["t05", "t07"]
    for name in desk.fleet.names:
        if name not in closed:
            desk.fleet.sql(name, f"GRANT USAGE ON SCHEMA {name} TO reader")
    desk.fleet.sql("t03", "CREATE TABLE other (id integer)")
    desk.address(postgresql.url(pg_database, user="reader"))
    try:
        told = desk("drift", "--json", status=4).json()
    finally:
        desk.address(postgresql.url(pg_database))
        postgresql.sql("DROP OWNED BY reader; DROP ROLE reader", pg_database)
    assert [len(group["tenants"]) for group in told["groups"]] == [17, 1]
    assert [(one["tenant"], one["message"]) for one in told["unread"]] == [
        (name, f"reader may not use the schema {name}") for name in closed
    ]


def test_rights_when_they_are_missing_in_one_tenant_then_only_it_fails_and_the_password_is_not_shown(
    desk: Desk, postgresql: PostgreSQL, pg_database: str
) -> None:
    postgresql.sql("DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN PASSWORD '" + PASSWORD + "'")
    for name in desk.fleet.names:
        if name != "t05":
            desk.fleet.sql(name, f"ALTER SCHEMA {name} OWNER TO clerk; ALTER TABLE users OWNER TO clerk")
    desk.address(postgresql.url(pg_database, user="clerk"))
    try:
        result = desk("apply", "--on-failure", "continue", status=None)
        assert result.status == 8
        assert "permission denied" in result.out
        assert PASSWORD not in result.out + result.err
        assert desk.fleet.having("last_login") == [name for name in desk.fleet.names if name != "t05"]
    finally:
        postgresql.sql(
            f'ALTER DATABASE "{pg_database}" OWNER TO postgres; DROP OWNED BY clerk CASCADE; DROP ROLE clerk',
            pg_database,
        )


def test_login_when_it_is_refused_then_unreachable_and_no_password_shown(
    desk: Desk, postgresql: PostgreSQL, pg_database: str
) -> None:
    desk.address(postgresql.url(pg_database, password="wrong-and-secret"))
    result = desk("apply", status=69)
    assert "authentication failed" in result.err
    assert "wrong-and-secret" not in result.out + result.err


def test_replica_when_it_only_reads_then_status_works_and_apply_changes_nothing(
    desk: Desk, postgresql: PostgreSQL, pg_database: str
) -> None:
    desk("apply", "--to", NAME)
    with postgresql.standby() as replica:
        desk.address(replica.url(pg_database))
        assert "lack delta_20250316_visits" in desk("status", status=4).out
        result = desk("apply", status=8)
        assert "during recovery" in result.out
    desk.address(postgresql.url(pg_database))
    assert desk.fleet.having("id", "visits") == []


def test_locks_when_a_reader_holds_one_then_who_holds_it_is_told_and_the_others_do_not_wait(desk: Desk) -> None:
    with desk.fleet.locked("t03"):
        begun = time.monotonic()
        desk("apply", "--waves", "all", "--lock-timeout", "100ms", "--on-failure", "continue", status=8)
        assert time.monotonic() - begun < 30
        assert "psql" in desk("apply", "-v", "--lock-timeout", "50ms", status=8).out
    assert desk.fleet.having("last_login") == [name for name in desk.fleet.names if name != "t03"]
    desk("apply")
    desk.check_once()


def test_tables_when_somebody_holds_them_for_a_while_then_the_tenant_is_tried_again(
    desk: Desk, postgresql: PostgreSQL, pg_database: str
) -> None:
    psql = subprocess.Popen(
        [str(postgresql.programs / "psql"), "-XAtq", postgresql.url(pg_database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with psql:
        assert psql.stdin is not None
        assert psql.stdout is not None
        psql.stdin.write(
            "BEGIN; LOCK TABLE t04.users IN ACCESS SHARE MODE;\n\\echo held\nSELECT pg_sleep(1); COMMIT;\n"
        )
        psql.stdin.flush()
        assert psql.stdout.readline() == "held\n"
        desk("apply", "--waves", "all", "--lock-timeout", "3s")
        psql.stdin.close()
    desk.check_once()


@pytest.mark.parametrize("once", [False, True])
def test_delta_when_no_transaction_takes_it_then_a_direct_url_leads_past_the_pooler(
    desk: Desk, postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str, once: bool
) -> None:
    desk("apply")
    table = "public.shared" if once else "users"
    postgresql.sql("CREATE TABLE public.shared (id integer)", pg_database)
    header = "-- pdelta: scope=once\n" if once else ""
    name = "delta_20250401_index"
    build = f"SET maintenance_work_mem = '33MB';\nCREATE INDEX CONCURRENTLY by_id ON {table} (id);"
    index = f"{header}{build}\n-- Reversible delta\n-- DROP INDEX"
    desk.project.write(name, f"{index} {'public.' if once else ''}by_id;\n")
    desk.address(pgbouncer.url(pg_database))
    refused = desk("apply", status=8)
    assert "behind a pooler" in refused.out
    assert "direct_url" in refused.out + refused.err
    count = "SELECT count(*) FROM pg_indexes WHERE indexname = 'by_id'"
    assert postgresql.sql(count, pg_database) == [["0"]]
    project = desk.fleet.folder / "pdelta.toml"
    (desk.fleet.folder / "direct").write_text(postgresql.url(pg_database))
    project.write_text(project.read_text().replace("[databases.app]", '[databases.app]\ndirect_url = "file:direct"'))
    expected = "1" if once else str(len(desk.fleet.names))
    for _ in range(2):
        desk("apply")
        assert postgresql.sql(count, pg_database) == [[expected]]
        desk("rollback", "--to", "delta_20250316_visits")
        assert postgresql.sql(count, pg_database) == [["0"]]
    # What the delta sets, nobody meets who gets a connection of the pooler's later.
    with schemas(pgbouncer.url(pg_database), desk.fleet.names[0]) as database:
        session = database.session(database.lane(desk.fleet.names[0]))
        usual = [tuple(row) for row in postgresql.sql("SHOW maintenance_work_mem", pg_database)]
        asked = "SELECT current_setting('maintenance_work_mem')"
        assert session.query(desk.fleet.names[0], asked) == usual != [("33MB",)]
        session.close()


@pytest.mark.parametrize(("number", "heeds"), [(signal.SIGTERM, True), (signal.SIGTERM, False), (signal.SIGHUP, True)])
def test_gate_when_the_command_is_stopped_then_so_is_all_that_its_gate_has_started(
    desk: Desk, number: signal.Signals, heeds: bool
) -> None:
    deaf = "" if heeds else "trap '' TERM; "
    gate = f"{deaf}sleep 300 & echo $! $$ > started.new; mv started.new started; sleep 300"
    operator = desk.begin("apply", "--waves", "1,rest", "--gate", gate)
    started = desk.fleet.folder / "started"
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        assert operator.poll() is None, operator.communicate()
        time.sleep(0.05)
    operator.send_signal(number)
    _, told = operator.communicate(timeout=60)
    assert operator.returncode == 130, told
    assert len(desk.fleet.having("last_login")) == 1
    for process in started.read_text().split():
        status = Path(f"/proc/{process}/status")
        # Whoever takes over orphans may not have asked for them yet.
        assert not status.exists() or "zombie" in status.read_text()
