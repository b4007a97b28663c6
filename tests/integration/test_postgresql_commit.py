"""Transactions of the PostgreSQL adapter: all or nothing over tenants, with ledger, history and stamp."""

import re
import time
from collections.abc import Sequence
from functools import partial

import pytest

from pdelta.databases.base import Database, Move, Session
from pdelta.databases.postgresql import transaction
from pdelta.databases.postgresql.connection import Result
from pdelta.databases.postgresql.script import Line, Script
from pdelta.databases.postgresql.writing import Together
from pdelta.errors import Cause, DatabaseError, GuardError, StaleError
from pdelta.sql.ledger import EMPTY_HEAD, Applied, Way
from pdelta.sql.piece import GUARD, LOSS_GUARD, Piece
from tests.fixtures.pg_fleet import (
    adds,
    apply,
    commit,
    glance_of,
    head,
    ids,
    ledger_of,
    make_schemas,
    plan,
    row,
    schemas,
    session_of,
    takes_back,
)
from tests.fixtures.postgresql import PostgreSQL

ADD = "ALTER TABLE users ADD COLUMN last_login timestamp"
DROP = "ALTER TABLE users DROP COLUMN last_login"


def columns(postgresql: PostgreSQL, database: str, schema: str) -> list[str]:
    asked = (
        f"SELECT column_name FROM information_schema.columns WHERE table_name = 'users' AND table_schema = '{schema}'"
    )
    return [name for (name,) in postgresql.sql(f"{asked} ORDER BY ordinal_position", database)]


def test_port_when_it_is_type_checked_then_the_adapter_is_one(postgresql: PostgreSQL, pg_database: str) -> None:
    database: Database = schemas(postgresql.url(pg_database))
    session: Session = database.session(database.lane("t1"))
    session.close()
    assert (database.name, str(database.dialect), database.transactional) == ("test", "postgresql", True)


def test_commit_when_two_tenants_have_no_ledger_then_both_have_one_with_row_and_stamp(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    with schemas(postgresql.url(pg_database)) as database:
        move = adds("delta_a", ADD, reverse=DROP + ";", run="run:1", who="me", at="2026-01-31T23:59:59Z", tool="pdelta")
        assert glance_of(database, "t1").managed is False
        commit(database, plan(database, "t1", move), plan(database, "t2", move))
        for tenant in ("t1", "t2"):
            assert columns(postgresql, pg_database, tenant) == ["id", "name", "last_login"]
            assert ledger_of(database, tenant) == [move.row]
            glance = glance_of(database, tenant)
            assert (glance.managed, glance.head) == (True, head([move.row]))


def test_commit_when_the_second_tenant_fails_then_the_first_is_unchanged_and_the_second_named(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2", "t3")
    postgresql.sql("DROP TABLE t2.users", pg_database)
    with schemas(postgresql.url(pg_database)) as database:
        move = adds("delta_a", "SELECT 1", f"{ADD};")
        works = [plan(database, tenant, move) for tenant in ("t1", "t2", "t3")]
        with pytest.raises(DatabaseError) as caught:
            commit(database, *works)
        error = caught.value
        assert (error.cause, error.sqlstate) == (Cause.REFUSED, "42P01")
        assert error.message.startswith('t2: delta_a: relation "users" does not exist (statement 2: ALTER TABLE users')
        assert error.message.endswith("nothing was changed")
        assert error.reason == 'relation "users" does not exist'
        assert [glance_of(database, tenant).managed for tenant in ("t1", "t2", "t3")] == [False] * 3
        assert "last_login" not in columns(postgresql, pg_database, "t1")


def test_error_when_the_statement_fails_as_it_runs_then_its_number_is_known_without_a_position(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        work = plan(
            database,
            "t1",
            adds("delta_a", ADD),
            adds("delta_b", "SELECT 1", "SELECT 1 /\n(id - id) FROM (VALUES (1)) v(id)"),
        )
        with pytest.raises(DatabaseError, match=r"t1: delta_b: division by zero \(statement 2: SELECT 1 /\)"):
            commit(database, work)


def test_error_when_the_server_gives_a_position_then_the_line_of_the_statement_is_named(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        work = plan(database, "t1", adds("delta_a", ADD, "SELECT 'ü',\n  id,\n  nowhere\nFROM users"))
        with pytest.raises(DatabaseError, match=r'column "nowhere" does not exist \(statement 2, line 3: nowhere\)'):
            commit(database, work)


def test_reverse_when_done_then_the_whole_row_is_in_the_history_and_the_tenant_as_before(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        first, second = adds("delta_a", ADD, reverse=DROP + ";", run="run:1", who="me"), adds("delta_b", "SELECT 1")
        apply(database, "t1", first, second)
        apply(database, "t1", takes_back(second.row), takes_back(first.row, DROP))
        assert ledger_of(database, "t1") == []
        assert glance_of(database, "t1").head == EMPTY_HEAD
        assert columns(postgresql, pg_database, "t1") == ["id", "name"]
        asked = "SELECT way, left_run, left_who, id, run, who, reverse FROM t1.pdelta_history ORDER BY number"
        assert postgresql.sql(asked, pg_database) == [
            ["forget", "run:2", "somebody else", "delta_b", "", "", ""],
            ["reverse", "run:2", "somebody else", "delta_a", "run:1", "me", DROP + ";"],
        ]
        (left_at,) = postgresql.sql("SELECT DISTINCT left_at FROM t1.pdelta_history", pg_database)[0]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", left_at)
        apply(database, "t1", first)
        assert ids(database, "t1") == ["delta_a"]


def test_replace_when_a_delta_is_applied_again_then_the_old_row_is_in_the_history(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_view", "CREATE VIEW v AS SELECT 1 AS one"), adds("delta_b", "SELECT 1"))
        new = row("delta_view", digest="f" * 64)
        again = Move(Way.APPLY, new, (Piece("CREATE OR REPLACE VIEW v AS SELECT 2 AS one"),), replaces=True)
        apply(database, "t1", again)
        assert {one.id: one.digest for one in ledger_of(database, "t1")}["delta_view"] == "f" * 64
        assert postgresql.sql("SELECT way, id, digest FROM t1.pdelta_history", pg_database) == [
            ["apply", "delta_view", row("delta_view").digest]
        ]
        assert postgresql.sql("SELECT one FROM t1.v", pg_database) == [["2"]]


def test_undo_when_pieces_calculate_it_then_later_ones_come_first_and_see_the_tenant_as_it_was(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    postgresql.sql("ALTER TABLE t1.users ALTER name SET DEFAULT 'old'", pg_database)
    default = (
        "'ALTER TABLE users ALTER name SET DEFAULT ' || (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef"
        " WHERE adrelid = 'users'::regclass) || ';'"
    )
    count = "'-- ' || (SELECT count(*) FROM users) || ' rows;'"
    pieces = (
        Piece("ALTER TABLE users ALTER name SET DEFAULT 'new'", undo=default + " -- why"),
        Piece("INSERT INTO users VALUES (1)", undo=count, late_undo=count, before=("SELECT 1",), after=("SELECT 2",)),
        Piece("SELECT 1", undo="''"),
    )
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", Move(Way.APPLY, row("delta_a", reverse="rest;"), pieces))
        (held,) = ledger_of(database, "t1")
        assert held.reverse == "-- 1 rows;-- 0 rows;ALTER TABLE users ALTER name SET DEFAULT 'old'::text;rest;"


@pytest.mark.parametrize("marker", [GUARD, LOSS_GUARD])
@pytest.mark.parametrize("words", ["12 rows would be lost", 'it\'s "quoted"\n; and \\ 100 %', "ü" * 300])
def test_guard_when_it_says_something_then_nothing_happens_and_its_words_are_the_message(
    postgresql: PostgreSQL, pg_database: str, marker: str, words: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    quoted = words.replace("'", "''")
    guard = f"{marker} SELECT '{quoted}' WHERE EXISTS (SELECT FROM users) -- why"
    with schemas(postgresql.url(pg_database)) as database:
        move = adds("delta_a", Piece(ADD, before=(guard, f"{marker} SELECT NULL", f"{marker}\nSELECT '';")))
        apply(database, "t1", move)
        postgresql.sql("INSERT INTO t1.users VALUES (1)", pg_database)
        with pytest.raises(GuardError) as caught:
            apply(database, "t1", adds("delta_b", Piece("SELECT 1", before=(guard,))))
        assert caught.value.message == words
        assert ids(database, "t1") == ["delta_a"]


def test_guard_when_its_own_query_fails_then_that_is_no_refusal_of_the_guard(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        move = adds("delta_a", Piece("SELECT 1", before=(f"{GUARD} SELECT 'a'::int::text",)))
        with pytest.raises(DatabaseError, match="invalid input syntax for type integer"):
            apply(database, "t1", move)


def test_commit_when_another_run_has_applied_it_then_it_is_stale_and_nothing_is_done_twice(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    with schemas(postgresql.url(pg_database)) as database:
        move = adds("delta_a", "INSERT INTO users VALUES (1)")
        works = [plan(database, "t2", move), plan(database, "t1", move)]
        apply(database, "t1", move)
        with pytest.raises(StaleError, match=r"^t1: its ledger"):
            commit(database, *works)
        assert postgresql.sql("SELECT count(*) FROM t1.users", pg_database) == [["1"]]
        assert ids(database, "t2") == []


EDITS = {
    "added": "INSERT INTO t2.pdelta_applied SELECT 'delta_0', digest, state, step, steps, reverse, captured,"
    " irreversible, proof, run, who, at, tool FROM t2.pdelta_applied",
    "removed": "DELETE FROM t2.pdelta_applied",
    "changed": "UPDATE t2.pdelta_applied SET digest = repeat('0', 64)",
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("is_met", [False, True], ids=["first", "met"])
def test_commit_when_a_ledger_of_several_was_edited_by_hand_then_it_is_stale_and_nothing_lasts_anywhere(
    postgresql: PostgreSQL, pg_database: str, edit: str, is_met: bool
) -> None:
    tenants = ("t1", "t2", "t3")
    make_schemas(postgresql, pg_database, *tenants)
    with schemas(postgresql.url(pg_database)) as database:
        for tenant in tenants:
            apply(database, tenant, adds("delta_a", "SELECT 1"))
        move, way_back = adds("delta_b", ADD), takes_back(row("delta_b"), DROP)
        if is_met:
            commit(database, *(plan(database, tenant, move) for tenant in tenants))
            commit(database, *(plan(database, tenant, way_back) for tenant in tenants))
        works = [plan(database, tenant, move) for tenant in tenants]
        postgresql.sql(EDITS[edit], pg_database)
        with pytest.raises(StaleError, match=r"^t2: its ledger"):
            commit(database, *works)
        for tenant in tenants:
            assert "last_login" not in columns(postgresql, pg_database, tenant)
        assert ids(database, "t1") == ids(database, "t3") == ["delta_a"]
        locks = "SELECT count(*) FROM pg_locks WHERE relation::regclass::text LIKE '%pdelta_applied'"
        assert postgresql.sql(locks, pg_database) == [["0"]]


def test_commit_when_a_delta_of_several_takes_the_mark_away_then_the_next_tenant_does_not_hide_it(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    move = adds("delta_a", "SET LOCAL pdelta.transaction = 'gone'")
    with schemas(postgresql.url(pg_database)) as database:
        with pytest.raises(DatabaseError, match=r"^t1: .*ended the transaction"):
            commit(database, plan(database, "t1", move), plan(database, "t2", adds("delta_a", "SELECT 1")))
        assert not any(seen.managed for seen in map(partial(glance_of, database), ("t1", "t2")))


def test_commit_when_the_client_is_gone_before_it_ends_what_several_share_then_the_server_ends_it(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")

    def last(_self: Together, _results: Sequence[Result]) -> Script:
        time.sleep(1)
        return Script([Line("COMMIT")])

    monkeypatch.setattr(transaction, "_IDLE", "SET LOCAL idle_in_transaction_session_timeout = 200")
    monkeypatch.setattr(Together, "last", last)
    with schemas(postgresql.url(pg_database)) as database:
        works = [plan(database, tenant, adds("delta_a", ADD)) for tenant in ("t1", "t2")]
        with pytest.raises(DatabaseError) as caught:
            commit(database, *works)
        assert caught.value.cause is Cause.LOST
        assert ids(database, "t1") == ids(database, "t2") == []
        assert "last_login" not in columns(postgresql, pg_database, "t1")


def test_commit_when_another_run_has_applied_something_else_then_it_is_stale(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        work = plan(database, "t1", adds("delta_b", "INSERT INTO users VALUES (2)"))
        fails = plan(database, "t1", adds("delta_b", "SELECT * FROM gone"))
        guarded = plan(database, "t1", adds("delta_b", Piece("SELECT 1", before=(f"{GUARD} SELECT 'no'",))))
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        for stale in (work, fails, guarded):
            with pytest.raises(StaleError, match="t1"):
                commit(database, stale)
        assert postgresql.sql("SELECT count(*) FROM t1.users", pg_database) == [["0"]]


@pytest.mark.parametrize("change", ["reversed", "replaced"])
def test_reverse_when_the_row_is_another_by_now_then_it_is_stale(
    postgresql: PostgreSQL, pg_database: str, change: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        move = adds("delta_a", ADD)
        apply(database, "t1", move, adds("delta_b", "SELECT 1"))
        work = plan(database, "t1", takes_back(move.row, "INSERT INTO users VALUES (1)"))
        if change == "reversed":
            apply(database, "t1", takes_back(move.row, DROP))
        else:
            apply(database, "t1", Move(Way.APPLY, row("delta_a", digest="e" * 64), (), replaces=True))
        with pytest.raises(StaleError, match="t1"):
            commit(database, work)
        assert postgresql.sql("SELECT count(*) FROM t1.users", pg_database) == [["0"]]


def test_replace_when_the_row_was_replaced_in_the_meantime_then_it_is_stale(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")

    def version(digit: str) -> Move:
        return Move(Way.APPLY, row("delta_view", digest=digit * 64), (Piece("SELECT 1"),), replaces=True)

    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_view", "SELECT 1"))
        work = plan(database, "t1", version("1"))
        apply(database, "t1", version("2"))
        with pytest.raises(StaleError, match="t1"):
            commit(database, work)
        assert [one.digest for one in ledger_of(database, "t1")] == ["2" * 64]


def test_commit_when_the_plan_miscalculates_the_head_then_nothing_is_committed(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    from msgspec.structs import replace

    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        work = plan(database, "t1", adds("delta_a", ADD))
        with pytest.raises(DatabaseError, match="changed the ledger"):
            commit(database, replace(work, after=head([row("delta_x")])))
        assert glance_of(database, "t1").managed is False


def test_commit_when_a_delta_writes_to_the_ledger_then_it_is_refused(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        for tampering in ("DELETE FROM pdelta_applied WHERE id = 'delta_a'", "UPDATE pdelta_applied SET state = 'no'"):
            with pytest.raises(DatabaseError, match="t1: a statement of a delta changed the ledger"):
                apply(database, "t1", adds("delta_b", tampering))
        assert ids(database, "t1") == ["delta_a"]


def test_commit_when_a_constraint_is_deferred_then_nothing_is_done_and_no_other_tenant_is_blamed(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    table = "users (id int PRIMARY KEY, boss int, name text, FOREIGN KEY (boss) REFERENCES {} INITIALLY DEFERRED)"
    for tenant in ("t1", "t2", "t3"):
        make_schemas(postgresql, pg_database, tenant, table=table.format(f"{tenant}.users"))
    postgresql.sql("INSERT INTO t2.users VALUES (7)", pg_database)
    with schemas(postgresql.url(pg_database)) as database:
        move = adds("delta_a", "INSERT INTO users VALUES (1, (SELECT 8 FROM users WHERE id = 7))")
        with pytest.raises(DatabaseError, match=r"^insert or update on table .*violates foreign key") as caught:
            commit(database, *(plan(database, tenant, move) for tenant in ("t1", "t2", "t3")))
        assert caught.value.sqlstate == "23503"
        assert postgresql.sql("SELECT count(*) FROM t1.users", pg_database) == [["0"]]
        with pytest.raises(DatabaseError, match=r"^t2: delta_a: .*violates foreign key"):
            commit(database, plan(database, "t2", move))


def test_commit_when_a_delta_needs_constraints_to_be_deferred_then_they_are_in_every_tenant(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    for tenant in ("t1", "t2", "t3"):
        table = f"users (id int PRIMARY KEY, boss int REFERENCES {tenant}.users INITIALLY DEFERRED)"
        make_schemas(postgresql, pg_database, tenant, table=table)
    with schemas(postgresql.url(pg_database)) as database:
        move = adds("delta_a", "INSERT INTO users VALUES (1, 2)", "INSERT INTO users VALUES (2, 1)")
        commit(database, *(plan(database, tenant, move) for tenant in ("t1", "t2", "t3")))
        assert postgresql.sql("SELECT count(*) FROM t3.users", pg_database) == [["2"]]


def test_commit_when_a_delta_sets_something_for_its_transaction_then_neither_the_next_delta_nor_tenant_meets_it(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2", "elsewhere")
    with schemas(postgresql.url(pg_database)) as database:
        sets = adds("delta_a", "SET LOCAL search_path TO elsewhere", "SET LOCAL lock_timeout = '7h'")
        meets = adds("delta_b", "INSERT INTO users VALUES (1, current_setting('search_path'))")
        asks = adds("delta_c", "INSERT INTO users VALUES (2, current_setting('lock_timeout'))")
        commit(database, plan(database, "t1", sets, meets), plan(database, "t2", asks))
        assert postgresql.sql("SELECT name FROM t1.users", pg_database) == [["t1"]]
        assert postgresql.sql("SELECT name FROM t2.users", pg_database) == [["2s"]]
        assert postgresql.sql("SELECT name FROM elsewhere.users", pg_database) == []


def test_commit_when_a_statement_takes_too_long_then_it_is_ended(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        work = plan(database, "t1", adds("delta_a", "SELECT pg_sleep(60)"))
        start_s = time.monotonic()
        with pytest.raises(DatabaseError, match="timeout") as caught:
            session.commit([work], lock_timeout_ms=1000, statement_timeout_ms=200)
        assert time.monotonic() - start_s < 20
        assert caught.value.sqlstate == "57014"
        session.commit([plan(database, "t1", adds("delta_a", "SELECT 1"))], lock_timeout_ms=1000)
        assert ids(database, "t1") == ["delta_a"]


def test_commit_when_there_are_no_works_or_no_moves_then_nothing_changes_but_the_stamp(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        session.commit([], lock_timeout_ms=1000)
        apply(database, "t1", adds("delta_a", ADD))
        postgresql.sql("COMMENT ON TABLE t1.pdelta_applied IS 'lost'", pg_database)
        assert glance_of(database, "t1").head is None
        commit(database, plan(database, "t1"))
        assert glance_of(database, "t1").head == head([row("delta_a")])


def test_ledger_when_rows_hold_any_text_then_they_come_back_equal(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    nasty = "a'b\\c\\'d\"e%s $1 $$;\n-- ü\r\n\t{}\x1f\U0001f600"
    held = Applied(
        "delta_a", "d" * 64, step=1, steps=2, reverse=nasty, captured=nasty, irreversible=nasty, proof="rows",
        run=nasty, who=nasty, at=nasty, tool=nasty,
    )  # fmt: skip
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", Move(Way.APPLY, held, (Piece("SELECT 1"),)))
        assert ledger_of(database, "t1") == [held]
