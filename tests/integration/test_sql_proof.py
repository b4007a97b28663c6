"""What a reverse brings back, as its users are told: by the proof before an apply, and by a rehearsal everywhere."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import ORIGIN, TABLES, Fleet, Project

HALF = (
    "CREATE TABLE one (id integer);\nCREATE SCHEMA more;\nCREATE TABLE more.two (id integer);\n"
    "-- Reversible delta\n-- DROP TABLE one;\n-- DROP TABLE more.two;\n"
)
PROOFS = "SELECT id, proof FROM pdelta_applied ORDER BY id"
ROWS = "delta_20250320_rows"
LOSES = "UPDATE users SET name = upper(name);\n-- Reversible delta\n-- UPDATE users SET name = lower(name);\n"
KEEPS = (
    "DELETE FROM users WHERE id = 2;\nINSERT INTO users (id, name) VALUES (3, 'cyd');\n-- Reversible delta\n"
    "-- DELETE FROM users WHERE id = 3;\n-- INSERT INTO users (id, name) VALUES (2, 'bob');\n"
)


@pytest.mark.integration
@pytest.mark.parametrize("single", [False, True], ids=["databases", "single"])
def test_proof_when_tenants_are_whole_databases_then_all_of_their_schemas_are_compared(
    postgresql: PostgreSQL, tmp_path: Path, cli: Cli, *, single: bool
) -> None:
    with contextlib.ExitStack() as stack:
        names = sorted(stack.enter_context(postgresql.fresh_database()) for _ in range(1 if single else 2))
        for name in names:
            postgresql.sql("; ".join(TABLES), name)
        (tmp_path / "url").write_text(postgresql.url(names[0] if single else "postgres"))
        tenants = "" if single else f'tenants = {{ databases = ["{names[0]}", "{names[1]}"] }}\n'
        project = Project(tmp_path, f'[databases.app]\nurl = "file:url"\ndeltas = "deltas"\n{tenants}')
        project.write(NAME, ORIGIN)
        cli("sql", "apply", cwd=tmp_path)
        assert [postgresql.sql(PROOFS, name) for name in names] == [[[NAME, "schema"]]] * len(names)
        project.write("delta_20250316_derived", "CREATE TABLE three (id integer);\n")
        assert "could not be proved" not in cli("sql", "apply", cwd=tmp_path).out
        project.write("delta_20250323_half", HALF)
        told = cli("sql", "apply", cwd=tmp_path).out
        assert f"after forward and reverse {names[0]} is another: additional schema more" in told
        proved = [[NAME, "schema"], ["delta_20250316_derived", "schema"], ["delta_20250323_half", ""]]
        assert postgresql.sql(PROOFS, names[0]) == proved


@pytest.fixture
def desk(fleet: Fleet, cli: Cli) -> Desk:
    """An operator whose fleet has the first delta."""
    desk = Desk(fleet, cli)
    desk.done("apply")
    return desk


def test_proof_when_the_first_tenant_has_the_effect_already_then_it_is_tried_in_the_next(desk: Desk) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing can be tried where each statement commits")
    there = "SELECT count(*) = 1 FROM users WHERE name = 'cyd'"
    asked = f"-- +check\n-- SELECT NOT ({there});\n-- +verify\n-- {there};\n"
    forward = "-- +forward\nINSERT INTO users (id, name) VALUES (3, 'cyd');\nCREATE TABLE made (id integer);\n"
    back = "-- +reverse\n-- DELETE FROM users WHERE id = 3;\n"
    desk.project.write("delta_20250320_cyd", asked + forward + back)
    first, second = desk.fleet.names[:2]
    desk.fleet.sql(first, "INSERT INTO users (id, name) VALUES (3, 'cyd')")
    told = desk("apply").out
    assert f"after forward and reverse {second} is another: additional table made" in told
    assert desk.fleet.sql(first, "SELECT proof FROM pdelta_applied WHERE id = 'delta_20250320_cyd'") == [("",)]


def results(told: Any, field: str) -> dict[str, Any]:
    return {result["tenant"]: result[field] for result in told["results"]}


def test_rehearse_when_a_reverse_brings_every_row_back_then_it_is_proved_everywhere(desk: Desk) -> None:
    desk.project.write(ROWS, KEEPS)
    told = desk.done("apply", "--rehearse")
    assert (told["proved"], told["not_proved"], told["exit_status"]) == (12, 0, 0)
    assert set(results(told, "proof").values()) == {"rows"}
    assert "12 of them without failure; the way back proved in 12 of 12" in desk("apply", "--rehearse").out
    assert desk.fleet.sql(desk.fleet.names[0], "SELECT name FROM users ORDER BY id") == [("ada",), ("bob",)]
    assert desk.had() == {NAME: 12, ROWS: 0}


def test_rehearse_when_the_journal_can_not_be_used_then_a_rollback_is_rehearsed_all_the_same(desk: Desk) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing can be tried where each statement commits")
    (desk.fleet.folder / ".pdelta-runs" / "journal.sqlite").write_bytes(b"no journal" * 1000)
    for words in ((), ("--to", "0")):
        assert desk.done("rollback", "--rehearse", *words)["rehearsed"]


def test_apply_when_the_journal_can_not_be_used_then_it_is_tried_all_the_same(desk: Desk) -> None:
    for name in ("journal.sqlite-wal", "journal.sqlite-shm"):
        (desk.fleet.folder / ".pdelta-runs" / name).unlink(missing_ok=True)
    (desk.fleet.folder / ".pdelta-runs" / "journal.sqlite").write_bytes(b"no journal" * 1000)
    assert desk.done("apply", "--dry-run")["results"] == []
    desk.project.write(ROWS, KEEPS)
    for way in ("--dry-run",) if desk.fleet.engine == "mysql" else ("--dry-run", "--rehearse"):
        assert len(desk.done("apply", way)["results"]) == 12
    ran = desk.fleet.sql(desk.fleet.names[0], "SELECT run FROM pdelta_applied")[0][0]
    assert len(desk.done("rollback", "--run", ran, "--dry-run")["results"]) == 12
    assert "journal.sqlite" in desk("apply", status=None).err


def test_rehearse_when_a_reverse_loses_rows_somewhere_then_the_tenants_and_tables_are_told(desk: Desk) -> None:
    first, second, third = desk.fleet.names[2:5]
    desk.fleet.sql(first, "INSERT INTO users (id, name) VALUES (3, 'Cyd'), (4, 'Dot'), (5, 'eve')")
    desk.fleet.sql(second, "INSERT INTO users (id, name) VALUES (3, 'Cyd')")
    desk.fleet.sql(third, "CREATE TABLE log (entry varchar(9))")
    desk.fleet.sql(third, "INSERT INTO log VALUES ('a'), ('a'), (NULL)")
    desk.project.write(ROWS, LOSES)
    told = desk.done("apply", "--rehearse", status=3)
    assert (told["proved"], told["not_proved"]) == (10, 2)
    assert {name: lost for name, lost in results(told, "lost").items() if lost} == {
        first: ["table users: 2 rows differ after the reverse"],
        second: ["table users: 1 row differs after the reverse"],
    }
    assert results(told, "error") == dict.fromkeys(desk.fleet.names)
    result = desk("apply", "--rehearse", status=3)
    assert "not brought back in 1 tenant: table users: 2 rows differ after the reverse" in result.out
    assert "the way back proved in 10 of 12" in result.out
    assert "the way back does not bring 2 of 12 tenants back; nothing was changed" in result.err
    assert desk.fleet.sql(second, "SELECT name FROM users WHERE id = 3") == [("Cyd",)]


def test_rehearse_when_a_table_without_a_key_gets_another_number_of_equal_rows_then_they_are_counted(
    desk: Desk,
) -> None:
    name = desk.fleet.names[7]
    for tenant in desk.fleet.names:
        desk.fleet.sql(tenant, "CREATE TABLE log (entry varchar(9))")
    desk.fleet.sql(name, "INSERT INTO log VALUES ('a'), ('a'), ('b')")
    text = "INSERT INTO log VALUES ('a');\n-- Reversible delta\n-- DELETE FROM log WHERE entry = 'a';\n"
    desk.project.write(ROWS, text)
    told = desk.done("apply", "--rehearse", status=3)
    assert {one: lost for one, lost in results(told, "lost").items() if lost} == {
        name: ["table log: 2 rows are missing after the reverse"]
    }
    desk.project.write(ROWS, text.replace("INSERT INTO log VALUES ('a')", "DELETE FROM users WHERE id = 9"))
    desk.fleet.sql(name, "DELETE FROM log")
    assert desk.done("apply", "--rehearse")["proved"] == 12


def test_rehearse_when_a_reverse_fails_or_there_is_none_then_that_is_told(desk: Desk) -> None:
    name = desk.fleet.names[0]
    desk.project.write(ROWS, LOSES.replace("SET name = lower(name)", "SET nick = 'x'"))
    told = desk.done("apply", "--rehearse", "--only", name, status=3)
    assert (told["proved"], told["not_proved"]) == (0, 1)
    assert "the reverse fails: " in results(told, "lost")[name][0]
    assert "nick" in results(told, "lost")[name][0]
    desk.project.write(ROWS, '-- pdelta: irreversible="names have no case"\n' + LOSES.partition("--")[0])
    told = desk.done("apply", "--rehearse", "--only", name)
    assert (told["proved"], told["not_proved"], told["exit_status"]) == (0, 1, 0)
    assert "can't be taken back: names have no case" in results(told, "untried")[name]
    told = desk("apply", "--rehearse", "--only", name).out
    assert f"the way back was not tried in 1 tenant: {ROWS} can't be taken back" in told


def test_rehearse_when_the_reverse_of_ddl_brings_columns_back_without_their_values_then_rows_differ(
    desk: Desk,
) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing can be tried where each statement commits")
    text = (
        "ALTER TABLE orders DROP COLUMN total;\n-- Reversible delta\n-- ALTER TABLE orders ADD COLUMN total integer;\n"
    )
    desk.project.write(ROWS, text)
    name = desk.fleet.names[3]
    desk.fleet.sql(name, "INSERT INTO orders VALUES (1, 1, 7), (2, 1, NULL), (3, 2, 8)")
    told = desk.done("apply", "--rehearse", status=3)
    assert {one: lost for one, lost in results(told, "lost").items() if lost} == {
        name: ["table orders: 2 rows differ after the reverse"]
    }
    desk.project.write(ROWS, "ALTER TABLE orders DROP COLUMN total;\n")
    if desk.fleet.engine == "postgresql":
        # Which would not bring it back to its place, were it not only parked.
        assert desk.done("apply", "--rehearse")["proved"] == 12


def test_rehearse_when_mysql_goes_back_by_ddl_then_it_says_that_it_can_not_be_tried(desk: Desk) -> None:
    if desk.fleet.engine != "mysql":
        pytest.skip("DDL has transactions")
    text = "DELETE FROM users WHERE id = 9;\n-- Reversible delta\n-- ALTER TABLE users DROP COLUMN last_login;\n"
    desk.project.write(ROWS, text)
    told = desk.done("apply", "--rehearse")
    assert (told["proved"], told["not_proved"]) == (0, 12)
    assert set(results(told, "untried").values()) == {"the reverse runs without a transaction"}
    assert desk.having() == desk.fleet.names


def test_rehearse_when_deltas_are_taken_back_then_nothing_is_said_of_the_way_back(desk: Desk) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing can be tried where each statement commits")
    told = desk.done("rollback", "--to", "0", "--rehearse")
    assert (told["proved"], told["not_proved"], len(told["results"])) == (0, 0, 12)
    assert "the way back" not in desk("rollback", "--to", "0", "--rehearse").out


def test_proof_when_rows_come_back_in_the_first_tenant_then_its_ledger_alone_says_so(desk: Desk) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing can be tried where each statement commits")
    desk.project.write(ROWS, "UPDATE users SET name = upper(name);\nDELETE FROM users WHERE id = 2;\n")
    desk.done("apply")
    said = [desk.fleet.sql(name, PROOFS)[1] for name in desk.fleet.names]
    assert said == [(ROWS, "rows"), *[(ROWS, "schema")] * 11]
    desk.done("rollback", "--to", NAME)
    desk.project.write(ROWS, LOSES)
    desk.fleet.sql(desk.fleet.names[0], "INSERT INTO users (id, name) VALUES (3, 'Cyd')")
    told = desk("apply").out
    assert f"after forward and reverse {desk.fleet.names[0]} is another: table users: " in told


def test_proof_when_tenants_with_the_same_deltas_have_it_then_others_are_not_tried(desk: Desk) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing can be tried where each statement commits")
    first, *others = desk.fleet.names
    lenient = "CREATE TABLE IF NOT EXISTS one (id integer);\n-- Reversible delta\n-- DROP TABLE IF EXISTS one;\n"
    desk.project.write("delta_20250321_lenient", lenient)
    desk.done("apply", *(word for name in others for word in ("--only", name)))
    desk.fleet.sql(first, "CREATE TABLE one (id integer)")
    # Tried there, it would take away what the tenant had before.
    missing = f"after forward and reverse {first} is another: missing table one"
    assert missing not in desk("apply").out
    assert [desk.fleet.sql(name, PROOFS)[1] for name in desk.fleet.names] == [("delta_20250321_lenient", "schema")] * 12
    # Neither a tenant without company, nor another reverse, was proved before.
    for reverse, only in (("-- DROP TABLE IF EXISTS one;\n", ("--only", first)), ("-- DROP TABLE one;\n", ())):
        desk.done("rollback", "--to", NAME, "--only", first)
        desk.fleet.sql(first, "CREATE TABLE one (id integer)")
        desk.project.write("delta_20250321_lenient", lenient.partition("-- DROP")[0] + reverse)
        assert missing in desk("apply", *only).out


def test_proof_when_others_got_it_together_with_more_then_it_is_tried_alone(desk: Desk) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing can be tried where each statement commits")
    first, *others = desk.fleet.names
    desk.project.write("delta_20250320_t", "CREATE TABLE t (id integer);\n-- Reversible delta\n-- DROP TABLE t;\n")
    desk.done("apply", "--only", first)
    # Of both together the reverse of the first takes all away, whatever that of the second leaves.
    desk.project.write("delta_20250321_x", "ALTER TABLE t ADD COLUMN x integer;\n-- Reversible delta\n-- SELECT 1;\n")
    desk.done("apply", *(word for name in others for word in ("--only", name)))
    told = desk("apply").out
    assert f"delta_20250321_x: after forward and reverse {first} is another: " in told
    assert desk.fleet.sql(first, PROOFS)[2] == ("delta_20250321_x", "")


def test_rehearse_when_tenants_share_a_transaction_then_the_same_is_told_of_each(desk: Desk) -> None:
    first, second = desk.fleet.names[2], desk.fleet.names[8]
    desk.fleet.sql(first, "INSERT INTO users (id, name) VALUES (3, 'Cyd'), (4, 'Dot')")
    desk.project.write(ROWS, LOSES)
    if desk.fleet.engine != "mysql":
        half = (
            "CREATE TABLE one (id integer);\nCREATE TABLE two (id integer);\n-- Reversible delta\n-- DROP TABLE one;\n"
        )
        desk.project.write("delta_20250321_half", half)
        desk.fleet.sql(second, "CREATE TABLE two (id integer)")
    fields = ("error", "lost", "proof", "untried", "standing")
    alone, together = (desk.done("apply", "--rehearse", *words, status=3) for words in ((), ("--batch", "5")))
    for field in fields:
        assert results(alone, field) == results(together, field)
    assert "table users: 2 rows differ after the reverse" in results(together, "lost")[first]
    if desk.fleet.engine != "mysql":
        assert results(together, "lost")[desk.fleet.names[0]] == ["additional table two"]
        assert "two" in results(together, "error")[second]["message"]


KEPT = (
    "CREATE FUNCTION kept() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'nothing goes'; END $$; "
    "CREATE EVENT TRIGGER kept ON sql_drop EXECUTE FUNCTION kept()"
)


@pytest.fixture
def single(postgresql: PostgreSQL, tmp_path: Path) -> Iterator[tuple[str, Project]]:
    """One tenant that is a whole database, and the folder of its deltas."""
    with postgresql.fresh_database() as name:
        postgresql.sql("; ".join(TABLES), name)
        (tmp_path / "url").write_text(postgresql.url(name))
        yield name, Project(tmp_path, '[databases.app]\nurl = "file:url"\ndeltas = "deltas"\n')


@pytest.mark.integration
def test_apply_when_a_derived_reverse_fails_in_the_proof_then_nothing_is_applied(
    postgresql: PostgreSQL, single: tuple[str, Project], cli: Cli
) -> None:
    name, project = single
    postgresql.sql(KEPT, name)
    project.write(ROWS, "ALTER TABLE users ADD COLUMN zz integer;\n")
    told = cli("sql", "apply", cwd=project.folder, status=3).err
    assert f"{ROWS}: the reverse fails in {name}: nothing goes" in told
    assert postgresql.sql("SELECT count(*) FROM information_schema.columns WHERE column_name = 'zz'", name) == [["0"]]


def test_apply_when_a_written_reverse_fails_in_the_proof_then_that_is_told(desk: Desk) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing can be tried where each statement commits")
    desk.project.write(ROWS, "ALTER TABLE users ADD zz integer;\n-- Reversible delta\n-- DROP TABLE zzz;\n")
    told = desk("apply").out
    assert f"{ROWS}: the reverse fails in {desk.fleet.names[0]}: " in told
    assert "zzz" in told
    assert desk.had() == {NAME: 12, ROWS: 12}
    assert desk.fleet.sql(desk.fleet.names[0], PROOFS)[1] == (ROWS, "")


@pytest.mark.integration
def test_apply_when_a_reverse_can_not_stand_in_one_transaction_with_its_delta_then_it_is_no_failure(
    postgresql: PostgreSQL, single: tuple[str, Project], cli: Cli
) -> None:
    name, project = single
    postgresql.sql("ALTER TABLE orders ALTER CONSTRAINT orders_user_id_fkey DEFERRABLE INITIALLY DEFERRED", name)
    postgresql.sql("INSERT INTO orders VALUES (1, 1, 1)", name)
    forward = "ALTER TABLE orders ADD x integer;\nUPDATE orders SET x = 1, user_id = 2;\n"
    project.write(ROWS, f"{forward}-- Reversible delta\n-- ALTER TABLE orders DROP COLUMN x;\n")
    told = cli("sql", "apply", "--rehearse", cwd=project.folder).out
    assert "not in the delta's own transaction: cannot ALTER TABLE" in told
    assert "the reverse fails" not in cli("sql", "apply", cwd=project.folder).out
    cli("sql", "rollback", cwd=project.folder)


@pytest.mark.integration
@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE users ADD at timestamptz DEFAULT clock_timestamp();",
        "ALTER TABLE users ADD u uuid DEFAULT gen_random_uuid(); ALTER TABLE users ALTER u TYPE text;",
        "INSERT INTO users VALUES (3 + (random() * 1000000000)::integer, random()::text);",
        "ALTER TABLE users ADD x float8; UPDATE users SET name = random()::text, x = random();",
    ],
)
def test_apply_when_a_delta_writes_something_else_each_time_then_its_reverse_is_proved(
    postgresql: PostgreSQL, single: tuple[str, Project], cli: Cli, text: str
) -> None:
    name, project = single
    project.write(ROWS, f"{text}\n")
    assert "the way back proved in 1 of 1" in cli("sql", "apply", "--rehearse", cwd=project.folder).out
    assert "could not be proved" not in cli("sql", "apply", cwd=project.folder).out
    assert postgresql.sql(PROOFS, name)[0][1] in {"schema", "rows"}
    cli("sql", "rollback", cwd=project.folder)
    assert postgresql.sql("SELECT * FROM users ORDER BY id", name) == [["1", "ada"], ["2", "bob"]]
