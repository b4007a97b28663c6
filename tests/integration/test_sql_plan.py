"""``pdelta sql plan``, and plans that are saved and executed unchanged: the command line, on every engine."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fixtures import sql_child
from tests.fixtures.cli import Cli
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import FORWARD, ORIGIN, Fleet

if TYPE_CHECKING:
    from tests.fixtures.mariadb import MariaDB
    from tests.fixtures.postgresql import PostgreSQL

SECOND = "delta_20250316_age"
AGE = """-- +check
-- SELECT count(*) = 2 FROM users;
-- +forward
ALTER TABLE users ADD COLUMN age integer;
UPDATE users SET age = 7;
-- +verify
-- SELECT count(*) = 0 FROM users WHERE age IS NULL;
-- +reverse
-- ALTER TABLE users DROP COLUMN age;
"""


@pytest.fixture
def desk(fleet: Fleet, cli: Cli) -> Desk:
    return Desk(fleet, cli)


@pytest.fixture
def saved(desk: Desk) -> Path:
    """A plan of the first delta for all tenants but the second, which has it."""
    desk.done("apply", "--only", desk.fleet.names[1])
    file = desk.fleet.folder / "friday.plan"
    told = desk.done("plan", "--output", str(file), "--waves", "canary=2,rest", status=4)
    assert told["file"] == str(file)
    return file


def everything(fleet: Fleet) -> list[Any]:
    """All that a tenant holds which a plan could have written."""
    asked = "SELECT count(*) FROM pdelta_applied", "SELECT count(*) FROM pdelta_history"
    # The table that is made last: on MySQL a run may be killed between the two.
    managed = fleet.having("digest", "pdelta_history")
    return [managed, fleet.having("last_login"), *([fleet.sql(name, text) for text in asked] for name in managed)]


def test_plan_when_tenants_differ_then_waves_groups_and_each_statement_once(desk: Desk) -> None:
    desk.project.write(SECOND, AGE)
    first, second, *_ = desk.fleet.names
    desk.done("apply", "--only", first)
    desk.done("apply", "--only", second, "--to", NAME)
    before = everything(desk.fleet)
    told = desk.done("plan", "--waves", "canary=3,rest", "--soak", "2s", "--gate", "true", status=4)
    assert everything(desk.fleet) == before
    assert [(wave["name"], len(wave["tenants"])) for wave in told["waves"]] == [("canary", 3), ("rest", 8)]
    assert told["waves"][0]["gates"] == [{"kind": "command", "text": "true"}]
    assert [wave["soak_s"] for wave in told["waves"]] == [2.0, 0.0]
    assert (told["tenants"], told["settled"], told["file"]) == (12, 1, "")
    many, one = told["groups"]
    assert (many["tenants"], one["tenants"]) == (desk.fleet.names[2:], [second])
    assert [move["delta"] for move in many["moves"]] == [NAME, SECOND]
    (move,) = one["moves"]
    assert move == {
        "delta": SECOND,
        "way": "apply",
        "file": SECOND,
        "together": desk.fleet.engine != "mysql",
        "check": ["SELECT count(*) = 2 FROM users"],
        "statements": ["ALTER TABLE users ADD COLUMN age integer", "UPDATE users SET age = 7"],
        "verify": ["SELECT count(*) = 0 FROM users WHERE age IS NULL"],
        "note": "",
        "refused": "",
    }
    text = desk("plan", status=4).out
    assert text.count("    UPDATE users SET age = 7;\n") == 2
    assert "    -- must be true before: SELECT count(*) = 2 FROM users;\n" in text
    assert f"10 tenants: {', '.join(desk.fleet.names[2:7])} and 5 more\n" in text
    assert "2 deltas would be applied in 11 of 12 tenants; a failure stops it; nothing was changed" in text
    assert "pdelta_" not in text
    assert f"{desk.fleet.names[-2]}, {desk.fleet.names[-1]}\n" in desk("plan", "-v", status=4).out


def test_plan_when_nothing_is_to_be_done_then_it_ends_well(desk: Desk) -> None:
    desk.done("apply")
    told = desk.done("plan", "--output", str(desk.fleet.folder / "empty.plan"))
    assert (told["groups"], told["waves"], told["settled"]) == ([], [], 12)
    assert "nothing to do in 12 tenants" in desk("plan").out
    assert desk.done("apply", "--plan", str(desk.fleet.folder / "empty.plan"))["results"] == []


def test_plan_when_it_would_be_refused_then_it_says_so_and_is_not_saved(desk: Desk) -> None:
    desk.done("apply", "--only", desk.fleet.names[0])
    desk.project.write(NAME, ORIGIN.replace("TIMESTAMP", "DATE"))
    file = desk.fleet.folder / "no.plan"
    result = desk("plan", "--output", str(file), status=3)
    assert f"{NAME} was edited since {desk.fleet.names[0]} received it" in result.out
    assert not file.exists()
    accepted = desk.done("plan", "--accept-edit", status=4)
    notes = {move["note"] for group in accepted["groups"] for move in group["moves"]}
    assert "nothing is executed, the ledger alone is written" in notes


def test_plan_of_a_rollback_when_ledgers_differ_then_each_reverse_with_its_tenants(desk: Desk) -> None:
    desk.project.write(SECOND, AGE)
    desk.done("apply", "--only", desk.fleet.names[0])
    desk.project.write(SECOND, AGE.replace("DROP COLUMN age", "DROP age"))
    desk.done("apply")
    file = desk.fleet.folder / "back.plan"
    told = desk.done("plan", "--rollback", "--to", NAME, "--output", str(file), status=4)
    assert [(group["tenants"], group["moves"][0]["statements"]) for group in told["groups"]] == [
        (desk.fleet.names[1:], ["ALTER TABLE users DROP age"]),
        (desk.fleet.names[:1], ["ALTER TABLE users DROP COLUMN age"]),
    ]
    told = desk.done("plan", "--rollback", "--to", "0", status=4)
    _, group = told["groups"]
    assert [(move["delta"], move["way"], move["statements"]) for move in group["moves"]] == [
        (SECOND, "reverse", ["ALTER TABLE users DROP COLUMN age"]),
        (NAME, "reverse", ["ALTER TABLE users DROP COLUMN last_login"]),
    ]
    assert "1 delta would be reversed in 12 of 12 tenants" in desk("plan", "--rollback", status=4).out
    assert desk.having("age") == desk.fleet.names
    desk.done("apply", "--plan", str(file))
    assert (desk.having("age"), desk.having()) == ([], desk.fleet.names)


def test_plan_when_placeholders_differ_then_every_tenant_is_a_group(desk: Desk) -> None:
    desk.project.write(
        "delta_20250321_who",
        "DELETE FROM users WHERE name = ${tenant};\n-- Reversible delta\n-- SELECT 1;\n",
    )
    told = desk.done("plan", status=4)
    assert [group["tenants"] for group in told["groups"]] == [[name] for name in desk.fleet.names]
    assert told["groups"][3]["moves"][1]["statements"] == [
        f"DELETE FROM users WHERE name = '{desk.fleet.names[3]}'"  # noqa: S608 - compared, and not executed
    ]


def test_saved_plan_when_executed_then_that_and_nothing_else(desk: Desk, saved: Path) -> None:
    (desk.project.deltas / f"{NAME}.sql").unlink()
    desk.project.write(SECOND, AGE)
    told = desk.done("apply", "--plan", str(saved))
    assert [(wave["name"], wave["tenants"]) for wave in told["waves"]] == [("canary", 2), ("rest", 9)]
    assert (told["settled"], told["phase"], len(told["results"])) == (1, "done", 11)
    assert (desk.having(), desk.having("age")) == (desk.fleet.names, [])
    again = desk.done("apply", "--plan", str(saved))
    assert (again["run"], again["results"], again["settled"]) == ("", [], 12)
    desk.done("rollback", "--run", told["run"])
    assert desk.having() == desk.fleet.names[1:2]


def test_saved_plan_when_tried_then_nothing_changes(desk: Desk, saved: Path) -> None:
    before = everything(desk.fleet)
    assert desk.done("apply", "--plan", str(saved), "--dry-run")["dry_run"]
    status = 3 if desk.fleet.engine == "mysql" else 0  # whose DDL is in no transaction
    assert desk.done("apply", "--plan", str(saved), "--rehearse", status=status)["rehearsed"]
    assert everything(desk.fleet) == before


def test_saved_plan_when_a_byte_of_it_was_edited_then_refused(desk: Desk, saved: Path) -> None:
    data = saved.read_bytes()
    chance = random.Random(3)
    for place in {0, len(data) - 1, len(data) // 2, *chance.sample(range(len(data)), 6)}:
        edited = bytearray(data)
        edited[place] ^= 0x20
        saved.write_bytes(edited)
        result = desk("apply", "--plan", str(saved), status=None)
        assert result.status in {65, 66}, place
        assert str(saved) in result.err
        assert "nothing was changed" in result.err
    saved.write_bytes(data[:-1])
    desk("apply", "--plan", str(saved), status=65)
    assert desk.having() == desk.fleet.names[1:2]
    saved.write_bytes(data)
    desk("apply", "--plan", str(saved))


def test_saved_plan_when_tenants_changed_since_then_they_are_named_and_nobody_is_touched(
    desk: Desk, saved: Path
) -> None:
    desk.project.write(
        "delta_20250301_note", "CREATE TABLE note (id integer);\n-- Reversible delta\n-- DROP TABLE note;\n"
    )
    other = desk.fleet.names[6]
    desk.done("apply", "--only", other, "--to", "delta_20250301_note")
    result = desk("apply", "--plan", str(saved), status=3)
    assert f"stale: {other}: changed since the plan was calculated" in result.err
    assert "pdelta sql plan" in result.err
    assert desk.having() == desk.fleet.names[1:2]
    desk.done("rollback", "--only", other)
    desk("apply", "--plan", str(saved))
    assert desk.having() == desk.fleet.names


def test_saved_plan_when_another_run_brought_a_tenant_half_way_then_it_is_named(desk: Desk) -> None:
    desk.project.write(SECOND, AGE)
    file = str(desk.fleet.folder / "a.plan")
    desk.done("plan", "--output", file, status=4)
    other = desk.fleet.names[6]
    desk.done("apply", "--only", other, "--to", NAME)
    refused = desk("apply", "--plan", file, status=3)
    assert f"stale: {other}: changed since the plan was calculated" in refused.err
    assert (desk.having(), desk.having("age")) == ([other], [])


def test_saved_plan_when_it_goes_on_without_those_that_fail_then_the_changed_ones_are_left_out(desk: Desk) -> None:
    file = str(desk.fleet.folder / "a.plan")
    desk.done("plan", "--output", file, "--on-failure", "continue", status=4)
    desk.project.write(
        "delta_20250301_note", "CREATE TABLE note (id integer);\n-- Reversible delta\n-- DROP TABLE note;\n"
    )
    other = desk.fleet.names[6]
    desk.done("apply", "--only", other, "--to", "delta_20250301_note")
    told = desk.done("apply", "--plan", file, status=8)
    (failure,) = [result for result in told["results"] if result["error"]]
    assert (failure["tenant"], failure["error"]["code"], failure["standing"]) == (other, "stale", "before")
    assert desk.having() == [name for name in desk.fleet.names if name != other]


def test_saved_plan_when_it_stopped_half_way_then_the_same_command_goes_on(desk: Desk, saved: Path) -> None:
    bad = desk.fleet.names[5]
    desk.fleet.sql(bad, FORWARD)
    told = desk.done("apply", "--plan", str(saved), status=8)
    assert [result["tenant"] for result in told["results"] if result["error"]] == [bad]
    desk.fleet.sql(bad, "ALTER TABLE users DROP COLUMN last_login")
    desk.done("apply", "--plan", str(saved))
    assert desk.having() == desk.fleet.names


def test_saved_plan_when_another_run_brought_some_there_then_they_are_told_apart(desk: Desk, saved: Path) -> None:
    others = [name for name in desk.fleet.names if name not in desk.having()][:3]
    desk("apply", *(word for name in others for word in ("--only", name)))
    told = desk("apply", "--plan", str(saved)).out
    assert "8 of 12 tenants (3 there already) in" in told
    assert desk.having() == desk.fleet.names


def test_saved_plan_when_it_is_for_another_database_then_refused(desk: Desk, saved: Path) -> None:
    config = desk.fleet.folder / "pdelta.toml"
    config.write_text(config.read_text() + desk.fleet.section.replace("databases.app", "databases.other"))
    assert "app, other" in desk("apply", "--plan", str(saved), status=2).err
    result = desk("apply", "--plan", str(saved), "--database", "other", status=2)
    assert "is a plan for the database 'app', not for 'other'" in result.err
    desk("apply", "--plan", str(saved), "--database", "app")
    assert desk.having() == desk.fleet.names
    empty = str(desk.fleet.folder / "empty.plan")
    desk.done("plan", "--output", empty, "--database", "app")
    desk("apply", "--plan", empty, "--database", "other", status=2)


def test_saved_plan_when_a_tenant_of_it_is_none_any_more_then_it_is_named(desk: Desk, saved: Path) -> None:
    config = desk.fleet.folder / "pdelta.toml"
    gone = desk.fleet.names[0]
    if desk.fleet.engine == "postgresql":
        config.write_text(config.read_text().replace(f'"{gone}", ', ""))
    else:
        config.write_text(config.read_text().replace(" }", f', exclude = "{gone}" }}'))
    assert f"{gone}: no tenant of app any more" in desk("apply", "--plan", str(saved), status=3).err
    assert desk.having() == desk.fleet.names[1:2]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["apply", "--plan", "friday.plan", "--only", "x"], "--only can't stand beside --plan"),
        (["apply", "--plan", "friday.plan", "--on-failure", "stop", "--to", NAME], "--to, --on-failure can't"),
        (["apply", "--plan", "nowhere.plan"], "there is no plan 'nowhere.plan'"),
        (["plan", "--run", "run:x"], "--run means nothing without --rollback"),
        (["plan", "--rollback", "--accept-edit"], "--accept-edit can't stand beside --rollback"),
        (["plan", "--rollback", "--to", NAME, "--run", "run:x"], "say different things"),
        (["plan", "--rollback"], "no tenant of app has a delta"),
        (["plan", "--waves", "rest,5%"], "no wave can come after"),
    ],
)
def test_command_when_it_makes_no_sense_then_it_says_why(desk: Desk, words: list[str], told: str) -> None:
    assert told in desk(*words, status=2).err
    assert desk.having() == []


def test_plan_when_a_run_was_killed_then_it_finishes_nothing(desk: Desk, cli: Cli) -> None:
    failpoint = ":30" if desk.fleet.engine == "mysql" else ":9"
    sql_child.die(cli, desk.fleet.folder, failpoint, "apply")
    before = everything(desk.fleet)
    journal = (desk.fleet.folder / ".pdelta-runs" / "journal.sqlite").read_bytes()
    assert desk.having() not in ([], desk.fleet.names)
    desk("plan", status=4)
    desk("apply", "--dry-run")
    desk("apply", "--rehearse", status=3 if desk.fleet.engine == "mysql" else 0)
    assert everything(desk.fleet) == before
    assert (desk.fleet.folder / ".pdelta-runs" / "journal.sqlite").read_bytes() == journal
    desk("apply")
    assert desk.having() == desk.fleet.names


def test_plan_when_the_login_can_only_read_then_it_works(desk: Desk, request: pytest.FixtureRequest) -> None:
    if desk.fleet.engine == "sqlite":
        before = {name: (desk.fleet.folder / name).stat().st_mtime_ns for name in desk.fleet.names}
        desk("plan", status=4)
        assert {name: (desk.fleet.folder / name).stat().st_mtime_ns for name in desk.fleet.names} == before
        return
    if desk.fleet.engine == "mysql":
        read_in_mysql(desk, request.getfixturevalue("mariadb"))
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    database: str = request.getfixturevalue("pg_database")
    desk.done("apply", "--only", desk.fleet.names[0])
    desk.project.write(SECOND, AGE)
    grants = "".join(
        f'GRANT USAGE ON SCHEMA "{name}" TO plan_reader; GRANT SELECT ON ALL TABLES IN SCHEMA "{name}" TO plan_reader;'
        for name in desk.fleet.names
    )
    server.sql(f"CREATE ROLE plan_reader LOGIN PASSWORD 'reads'; {grants}", database)
    try:
        (desk.fleet.folder / "url").write_text(server.url(database, user="plan_reader", password="reads"))
        told = desk.done("plan", "--output", str(desk.fleet.folder / "a.plan"), status=4)
        assert [len(group["tenants"]) for group in told["groups"]] == [11, 1]
        assert desk.done("plan", "--rollback", status=4)["groups"][0]["tenants"] == desk.fleet.names[:1]
    finally:
        server.sql("DROP OWNED BY plan_reader; DROP ROLE plan_reader", database)


def read_in_mysql(desk: Desk, server: "MariaDB") -> None:
    desk.done("apply", "--only", desk.fleet.names[0])
    desk.project.write(SECOND, AGE)
    grants = [f"GRANT SELECT ON `{name}`.* TO plan_reader" for name in desk.fleet.names]
    server.sql("CREATE USER plan_reader IDENTIFIED BY 'reads'", *grants)
    try:
        url = (desk.fleet.folder / "url").read_text().partition("@")[2]
        (desk.fleet.folder / "url").write_text(f"mysql://plan_reader:reads@{url}")
        told = desk.done("plan", status=4)
        assert [len(group["tenants"]) for group in told["groups"]] == [11, 1]
    finally:
        server.sql("DROP USER plan_reader")


def test_plan_when_a_statement_takes_no_transaction_then_it_says_so(desk: Desk) -> None:
    engine = desk.fleet.engine
    forward = {"postgresql": "CREATE INDEX CONCURRENTLY i ON users (name)", "sqlite": "VACUUM"}.get(engine, "SELECT 1")
    desk.project.write("delta_20250322_alone", f'-- pdelta: irreversible="no need"\n{forward};\n')
    told = desk.done("plan", status=4)
    assert [move["together"] for move in told["groups"][0]["moves"]] == [engine != "mysql", False]
    assert "one statement after the other without a transaction" in desk("plan", status=4).out
