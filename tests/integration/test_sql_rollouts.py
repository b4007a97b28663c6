"""Roll-outs of SQL deltas as their users meet them: the command line, real engines, one suite for all of them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import FORWARD, ORIGIN, Fleet, SqliteFleet

SECOND = """ALTER TABLE users ADD COLUMN age integer;
CREATE INDEX users_age ON users (age);
-- +reverse
-- DROP INDEX users_age;
-- ALTER TABLE users DROP COLUMN age;
-- +reverse mysql
-- DROP INDEX users_age ON users;
-- ALTER TABLE users DROP COLUMN age;
"""


@pytest.fixture
def desk(fleet: Fleet, cli: Cli) -> Desk:
    return Desk(fleet, cli)


def by_tenant(told: Any) -> dict[str, Any]:
    return {result["tenant"]: result for result in told["results"]}


def failed(told: Any) -> list[str]:
    return [result["tenant"] for result in told["results"] if result["error"]]


def test_apply_when_nobody_has_it_then_everybody_gets_it_once_and_it_comes_back(desk: Desk) -> None:
    before = desk.fleet.columns(desk.fleet.names[0])
    told = desk.done("apply")
    assert [(wave["name"], wave["tenants"]) for wave in told["waves"]] == [("canary", 1), ("rest", 11)]
    assert {result["standing"] for result in told["results"]} == {"after"}
    assert desk.having() == desk.fleet.names
    again = desk.done("apply")
    assert (again["run"], again["results"], again["settled"]) == ("", [], 12)
    back = desk.done("rollback")
    assert {tuple(result["deltas"]) for result in back["results"]} == {(f"-{NAME}",)}
    assert desk.having() == []
    assert desk.fleet.columns(desk.fleet.names[0]) == before
    desk.done("apply")
    assert desk.having() == desk.fleet.names


def test_apply_when_some_have_it_already_then_only_the_others_are_touched(desk: Desk) -> None:
    first, second = desk.fleet.names[3], desk.fleet.names[7]
    others = [name for name in desk.fleet.names if name not in {first, second}]
    desk.done("apply", *(word for name in others for word in ("--only", name)))
    assert desk.having() == others
    told = desk.done("apply")
    assert sorted(by_tenant(told)) == [first, second]
    assert desk.having() == desk.fleet.names


def test_apply_when_the_canary_fails_then_nobody_else_is_touched(desk: Desk) -> None:
    bad = desk.fleet.names[0]
    desk.fleet.sql(bad, FORWARD)
    result = desk("apply", status=8)
    assert f"1 tenant failed at {NAME}" in result.out
    assert "last_login" in result.out
    assert desk.having() == [bad]
    assert desk.had() == {NAME: 0}


def test_apply_when_one_fails_in_the_middle_then_stopped_and_the_same_command_goes_on(desk: Desk) -> None:
    bad = desk.fleet.names[5]
    desk.fleet.sql(bad, FORWARD)
    told = desk.done("apply", status=8)
    assert failed(told) == [bad]
    assert by_tenant(told)[bad]["standing"] == "before"
    assert {result["standing"] for result in told["results"]} <= {"before", "after"}
    desk.fleet.sql(bad, "ALTER TABLE users DROP COLUMN last_login")
    desk.done("apply")
    assert desk.having() == desk.fleet.names


def test_apply_when_it_is_to_reverse_then_all_of_the_run_comes_back(desk: Desk) -> None:
    bad = desk.fleet.names[-1]
    desk.fleet.sql(bad, FORWARD)
    told = desk.done("apply", "--on-failure", "reverse", status=5)
    assert told["phase"] == "reversed"
    assert desk.having() == [bad]
    assert desk.had() == {NAME: 0}


def test_apply_when_it_is_to_continue_then_the_failing_ones_are_left_out_and_grouped(desk: Desk) -> None:
    bad = [desk.fleet.names[2], desk.fleet.names[9]]
    for name in bad:
        desk.fleet.sql(name, FORWARD)
    result = desk("apply", "--on-failure", "continue", status=8)
    assert "2 tenants failed" in result.out
    assert all(name in result.out for name in bad)
    assert desk.had() == {NAME: 10}


def test_apply_when_failures_stay_within_the_budget_then_the_rest_goes_on(desk: Desk) -> None:
    desk.fleet.sql(desk.fleet.names[2], FORWARD)
    told = desk.done("apply", "--max-failures", "1", status=8)
    assert failed(told) == [desk.fleet.names[2]]
    assert desk.had() == {NAME: 11}


@pytest.mark.parametrize("batch", ["1", "5"])
def test_apply_when_several_deltas_wait_then_all_or_none_of_them_in_each_tenant(desk: Desk, batch: str) -> None:
    desk.project.write("delta_20250316_age", SECOND)
    bad = desk.fleet.names[6]
    desk.fleet.sql(bad, "ALTER TABLE users ADD COLUMN age integer")
    told = desk.done("apply", "--batch", batch, "--on-failure", "continue", status=8)
    assert failed(told) == [bad]
    assert bad not in desk.having()
    assert len(desk.having()) == 11
    back = desk.done("rollback", "--to", "0", "--batch", batch)
    assert {tuple(result["deltas"]) for result in back["results"]} == {("-delta_20250316_age", f"-{NAME}")}
    assert desk.having() == []
    assert desk.having("age") == [bad]


def test_apply_when_only_up_to_a_delta_then_the_later_ones_wait(desk: Desk) -> None:
    desk.project.write("delta_20250316_age", SECOND)
    desk.done("apply", "--to", NAME)
    assert (desk.having(), desk.having("age")) == (desk.fleet.names, [])
    assert "lack delta_20250316_age" in desk("status", status=4).out
    desk.done("apply")
    assert desk.having("age") == desk.fleet.names
    assert "12 up to date" in desk("status").out


def test_rollback_when_what_stays_requires_what_a_run_applied_then_both_are_named_and_nothing_happens(
    desk: Desk,
) -> None:
    needed, needing = "delta_20250401_needed", "delta_20250320_needing"
    table = "CREATE TABLE {0} (id integer);\n-- Reversible delta\n-- DROP TABLE {0};\n"
    desk.project.write(needed, table.format("needed"))
    first = desk.done("apply")["run"]
    desk.project.write(needing, f"-- pdelta: requires={needed}\n{table.format('needing')}")
    second = desk.done("apply")["run"]
    refused = desk("rollback", "--run", first, status=3).err
    assert f"{needed} can't be taken back before {needing}, which requires it and is still applied" in refused
    assert f"pdelta sql rollback --run {second}" in refused
    assert desk.had()[needed] == 12
    desk.done("rollback", "--run", second)
    desk.done("rollback", "--run", first)
    assert desk.had() == {NAME: 0, needing: 0, needed: 0}


def test_rollback_when_a_run_is_named_then_what_it_applied_comes_back_and_nothing_else(desk: Desk) -> None:
    run = desk.done("apply", "--only", desk.fleet.names[0])["run"]
    desk.done("apply")
    told = desk.done("rollback", "--run", run)
    assert sorted(by_tenant(told)) == [desk.fleet.names[0]]
    assert desk.having() == desk.fleet.names[1:]


def test_apply_when_an_edit_was_accepted_and_the_run_is_reversed_then_the_delta_is_still_applied(desk: Desk) -> None:
    desk.done("apply")
    asked = "SELECT digest FROM pdelta_applied"
    before = desk.fleet.sql(desk.fleet.names[0], asked)
    desk.project.write(NAME, ORIGIN.replace("TIMESTAMP", "timestamp DEFAULT NULL"))
    ways = ("--waves", "1,rest", "--gate", "false", "--on-failure", "reverse")
    desk.done("apply", "--accept-edit", *ways, status=5)
    assert desk.having() == desk.fleet.names
    assert desk.fleet.sql(desk.fleet.names[0], asked) == before


def test_rollback_when_a_guard_refuses_then_the_delta_is_still_applied_and_it_says_why(desk: Desk) -> None:
    (desk.project.deltas / f"{NAME}.sql").unlink()
    name = "delta_20250401_notes"
    desk.project.write(name, "CREATE TABLE notes (id integer PRIMARY KEY);\n")
    tenant = desk.fleet.names[0]
    only = ("--only", tenant)
    desk.done("apply", *only)
    desk.fleet.sql(tenant, "INSERT INTO notes VALUES (1)")
    before = desk.fleet.sql(tenant, "SELECT id, state, step, steps, captured, reverse FROM pdelta_applied")
    for _ in range(2):
        told = desk.done("rollback", *only, status=8)
        (result,) = told["results"]
        assert result["standing"] == "before"
        assert "1 row of notes would be lost" in result["error"]["message"]
        assert "--accept-data-loss" in result["error"]["hint"]
        assert desk.fleet.sql(tenant, "SELECT id, state, step, steps, captured, reverse FROM pdelta_applied") == before
    assert desk.done("apply", *only)["results"] == []
    desk.done("rollback", *only, "--accept-data-loss")
    assert desk.fleet.columns(tenant, "notes") == []


def test_rollback_when_ids_do_not_sort_as_deltas_are_applied_then_only_what_is_asked_for_goes(desk: Desk) -> None:
    (desk.project.deltas / f"{NAME}.sql").unlink()
    for day, header, column in (
        (1, "id=zebra", "one"), (2, "id=ant requires=bee", "two"), (3, "id=bee", "three"), (4, "id=cat", "four"),
    ):  # fmt: skip
        desk.project.write(
            f"delta_2025040{day}_{column}",
            f"-- pdelta: {header}\nALTER TABLE users ADD COLUMN {column} integer;\n"
            f"-- Reversible delta\n-- ALTER TABLE users DROP COLUMN {column};\n",
        )
    desk.done("apply")
    told = desk.done("rollback")
    assert {tuple(result["deltas"]) for result in told["results"]} == {("-cat",)}
    told = desk.done("rollback", "--to", "bee")
    assert {tuple(result["deltas"]) for result in told["results"]} == {("-ant",)}
    assert desk.fleet.columns(desk.fleet.names[0]) == ["id", "name", "one", "three"]
    desk.done("rollback", "--to", "0")
    assert desk.fleet.columns(desk.fleet.names[0]) == ["id", "name"]


def test_rollback_when_the_file_is_gone_then_the_ledger_still_knows_the_way(desk: Desk) -> None:
    path = desk.project.write("delta_20250316_age", SECOND)
    desk.done("apply")
    path.unlink()
    status = desk("status").out
    assert "1 delta without a file: delta_20250316_age" in status
    desk.done("rollback", "--to", NAME)
    assert (desk.having("age"), desk.having()) == ([], desk.fleet.names)


def test_apply_when_a_gate_fails_in_a_tenant_then_that_is_named_once(desk: Desk) -> None:
    result = desk("apply", "--gate-sql", "SELECT nonsense FROM users", status=8)
    assert result.err.count(f"{desk.fleet.names[0]}: ") == 1


def test_plan_when_some_can_not_be_read_then_they_are_not_among_those_without_anything_to_do(desk: Desk) -> None:
    desk.done("apply")
    if desk.fleet.engine != "sqlite":
        pytest.skip("one file that is none stands for all")
    (desk.fleet.folder / desk.fleet.names[3]).write_bytes(b"rubbish" * 1000)
    planned = desk("plan", status=3).out
    assert "blocks: " in planned
    assert "nothing to do in 11 tenants, and 1 could not be read" in planned
    assert desk.done("plan", status=3)["unread"] == 1


def test_rollback_when_it_stopped_then_no_hint_says_that_its_run_could_be_taken_back(desk: Desk) -> None:
    desk.done("apply")
    bad = desk.fleet.names[5]
    desk.fleet.sql(bad, "ALTER TABLE users DROP COLUMN last_login")
    stopped = desk("rollback", "--waves", "canary=3,rest", status=8)
    assert "the same command goes on with what is left" in stopped.err
    assert "rollback --run" not in stopped.err


def test_rollback_when_nobody_knows_the_run_then_it_is_refused(desk: Desk) -> None:
    run = desk.done("apply")["run"]
    for count in (12, 0):
        assert "knows a run 'run:nosuch'" in desk("rollback", "--run", "run:nosuch", status=2).err
        assert len(desk.done("rollback", "--run", run)["results"]) == count


def test_rollback_when_files_are_gone_then_the_newest_goes_alone_all_the_same(desk: Desk) -> None:
    ids = [NAME, "delta_20250316_age", "delta_20250317_town"]
    paths = [desk.project.deltas / f"{NAME}.sql", desk.project.write(ids[1], SECOND)]
    paths.append(desk.project.write(ids[2], ORIGIN.replace("last_login", "town")))
    desk.done("apply")
    paths[1].unlink()
    told = desk.done("rollback", "--dry-run")
    assert {tuple(result["deltas"]) for result in told["results"]} == {(f"-{ids[2]}",)}
    for path in (paths[0], paths[2]):
        path.unlink()
    told = desk.done("rollback", "--to", NAME, "--dry-run")
    assert {tuple(result["deltas"]) for result in told["results"]} == {(f"-{ids[2]}", f"-{ids[1]}")}
    assert "there is no delta" in desk("rollback", "--to", "delta_20990101_no", status=2).err
    for id in reversed(ids):
        told = desk.done("rollback")
        assert {tuple(result["deltas"]) for result in told["results"]} == {(f"-{id}",)}
    assert (desk.having(), desk.having("age"), desk.having("town")) == ([], [], [])


def test_apply_when_a_delta_was_edited_then_refused_naming_the_tenants(desk: Desk) -> None:
    desk.done("apply", "--only", desk.fleet.names[0])
    desk.project.write(NAME, ORIGIN.replace("TIMESTAMP", "DATE"))
    result = desk("apply", status=3)
    assert f"{NAME} was edited since {desk.fleet.names[0]} received it" in result.err
    assert desk.having() == desk.fleet.names[:1]
    desk.done("apply", "--accept-edit")
    assert desk.having() == desk.fleet.names
    desk.done("rollback")
    assert desk.having() == []


def test_apply_when_only_comments_and_layout_changed_then_it_is_the_same_delta(desk: Desk) -> None:
    desk.done("apply")
    desk.project.write(NAME, "-- licence\r\n" + ORIGIN.replace("ADD COLUMN", "ADD\n    COLUMN"))
    assert desk.done("apply")["results"] == []


def test_apply_when_a_check_does_not_hold_then_nothing_happens_unless_its_effect_is_there(desk: Desk) -> None:
    count = "SELECT count(*) FROM orders"
    desk.project.write(
        "delta_20250317_seed",
        f'-- pdelta: irreversible="only rows"\n-- +check\n-- SELECT ({count}) = 0;\n-- +forward\n'
        f"INSERT INTO orders VALUES (1, 1, 5);\n-- +verify\n-- SELECT ({count}) = 1;\n",
    )
    there, wrong = desk.fleet.names[1], desk.fleet.names[2]
    desk.fleet.sql(there, "INSERT INTO orders VALUES (7, 1, 5)")
    desk.fleet.sql(wrong, "INSERT INTO orders VALUES (7, 1, 5), (8, 2, 5)")
    told = desk.done("apply", "--on-failure", "continue", status=8)
    assert failed(told) == [wrong]
    assert "check" in by_tenant(told)[wrong]["error"]["message"]
    assert by_tenant(told)[there]["found"] == ["delta_20250317_seed"]
    assert desk.fleet.sql(there, "SELECT id FROM orders") == [("7",)]
    assert wrong not in desk.having()
    assert desk.had()["delta_20250317_seed"] == 11
    desk.fleet.sql(wrong, "DELETE FROM orders WHERE id = 8")
    assert "in 1 of 12 tenants (1 had its effect, so only recorded)" in desk("apply").out


@pytest.mark.parametrize("part", ["check", "verify"])
@pytest.mark.parametrize("transaction", ["auto", "none"])
def test_apply_when_a_check_gives_several_rows_then_it_does_not_hold_by_the_first(
    desk: Desk, part: str, transaction: str
) -> None:
    several = "SELECT id = 1 FROM (SELECT 1 AS id UNION ALL SELECT 2) AS x ORDER BY id"
    asked = f"-- +{part}\n-- {several};\n"
    forward = "-- +forward\nCREATE TABLE several (id int);\n-- +reverse\n-- DROP TABLE several;\n"
    header = f"-- pdelta: transaction={transaction}\n"
    desk.project.write("delta_20250317_several", header + (asked + forward if part == "check" else forward + asked))
    told = desk.done("apply", status=8)
    assert failed(told)[:1] == desk.fleet.names[:1]
    assert desk.having() == []


_EARLY = """-- +check
-- SELECT count(*) = 99 FROM users;
-- +forward
CREATE TABLE q (a int);
-- +verify
-- SELECT count(*) = 0 FROM q;
-- +reverse
-- DROP TABLE q;
"""


@pytest.mark.parametrize("transaction", ["auto", "none"])
def test_apply_when_a_check_does_not_hold_and_verify_can_not_be_asked_then_the_check_is_told(
    desk: Desk, transaction: str
) -> None:
    desk.project.write("delta_20250317_early", f"-- pdelta: transaction={transaction}\n{_EARLY}")
    told = desk.done("apply", status=8)
    message = by_tenant(told)[desk.fleet.names[0]]["error"]["message"]
    assert "its check does not hold before: SELECT count(*) = 99 FROM users" in message
    assert desk.having() == []


def test_apply_when_a_verify_does_not_hold_then_the_tenant_is_as_it_was(desk: Desk) -> None:
    desk.project.write(
        "delta_20250317_wrong",
        "-- +forward\nDELETE FROM users WHERE id = 2;\n-- +verify\n-- SELECT (SELECT count(*) FROM users) = 2;\n"
        "-- +reverse\n-- INSERT INTO users VALUES (2, 'bob');\n",
    )
    told = desk.done("apply", status=8)
    assert "its verify does not hold" in by_tenant(told)[desk.fleet.names[0]]["error"]["message"]
    assert desk.fleet.sql(desk.fleet.names[0], "SELECT count(*) FROM users") == [("2",)]
    assert desk.having() == []


def test_apply_when_a_delta_is_irreversible_then_it_says_so_and_does_not_come_back(desk: Desk) -> None:
    desk.project.write("delta_20250318_gone", '-- pdelta: irreversible="the data is gone"\nDELETE FROM orders;\n')
    result = desk("apply")
    assert "delta_20250318_gone can't be taken back: the data is gone" in result.out
    assert "the data is gone" in desk("rollback", status=3).err
    assert desk.had()["delta_20250318_gone"] == 12


@pytest.mark.parametrize("stuck", [[0], [5], list(range(12))])
def test_rollback_when_some_can_not_be_taken_back_then_refused_before_anything_and_named(
    desk: Desk, stuck: Sequence[int]
) -> None:
    desk.done("apply")
    names = [desk.fleet.names[place] for place in stuck]
    for name in names:
        desk.fleet.sql(name, "UPDATE pdelta_applied SET irreversible = 'purged'")
    runs = len(list((desk.fleet.folder / ".pdelta-runs").iterdir()))
    named = ", ".join(names) if len(names) == 1 else f"{', '.join(names[:5])} and 7 more tenants"
    told = f"{NAME} can't be taken back in {named}: purged"
    planned = desk.done("plan", "--rollback", status=3)
    assert [(one["code"], one["message"]) for one in planned["findings"]] == [("no-way-back", told)]
    able = 12 - len(names)
    if stuck == [5]:
        # Its ledger is like the others', of which one is read for all: what it can't do it says when its turn comes.
        return
    for words in (("plan", "--rollback"), ("rollback", "--dry-run")):
        dry = desk(*words, status=3).out
        assert f"blocks: {told}" in dry
        assert f"1 delta would be reversed in {able} of 12 tenants" in dry
    refused = desk("rollback", status=3).err
    assert f"no-way-back: {told}" in refused
    assert "restore a backup" in refused
    assert "--on-failure continue takes it back in the others" in refused
    assert len(list((desk.fleet.folder / ".pdelta-runs").iterdir())) == runs
    assert desk.had() == {NAME: 12}
    dry = desk.done("rollback", "--dry-run", "--on-failure", "continue")
    assert sorted(failed(dry)) == names
    left = desk("rollback", "--on-failure", "continue", status=8)
    assert f"{len(names)} of 12 tenants failed" in left.err
    assert "the same command goes on" not in left.err
    assert desk.having() == names


def test_apply_when_it_is_to_reverse_and_can_not_then_who_keeps_the_delta_is_counted_as_having_it(desk: Desk) -> None:
    desk.project.write(NAME, f'-- pdelta: irreversible="gone"\n{FORWARD};\n')
    bad = desk.fleet.names[-1]
    desk.fleet.sql(bad, FORWARD)
    words = ("apply", "--on-failure", "reverse", "--waves", "5,rest")
    first, second = (
        [word for name in half for word in ("--only", name)] for half in (desk.fleet.names[6:], desk.fleet.names[:6])
    )
    told = desk.done(*words, *first, status=8)
    assert desk.had() == {NAME: told["kept"]} == {NAME: 5}
    assert [one["message"] for one in told["findings"]] == [
        f"{NAME} can't be taken back: gone",
        "6 targets could not be brought back if another one fails",
    ]
    desk.fleet.sql(desk.fleet.names[5], FORWARD)
    result = desk(*words, *second, status=8)
    assert re.search(r"5 +5 tenants: 5 not brought back", result.out)
    assert "1 tenant failed at" in result.out
    assert re.search(r"1 delta applied in 5 of 6 tenants in", result.out)
    assert "1 of 6 tenants failed; 5 of 6 tenants could not be brought back, and stay after their deltas" in result.err
    assert "the same command goes on with what is left, and leaves those as they are" in result.err
    desk.fleet.sql(desk.fleet.names[5], "ALTER TABLE users DROP COLUMN last_login")
    desk.fleet.sql(bad, "ALTER TABLE users DROP COLUMN last_login")
    desk.done(*words)
    assert desk.had() == {NAME: 12}


def test_apply_when_a_delta_has_no_way_back_then_refused_before_anything(desk: Desk) -> None:
    desk.project.write("delta_20250318_none", "CREATE TABLE fine (id integer);\nDO 'BEGIN END';\n")
    result = desk("apply", status=3)
    assert "delta_20250318_none.sql: line" in result.err
    assert desk.having() == []


def test_rollback_when_data_would_be_lost_then_it_says_everywhere_what_allows_that(desk: Desk, tmp_path: Path) -> None:
    (desk.project.deltas / f"{NAME}.sql").unlink()
    desk.project.write("delta_20250401_notes", "CREATE TABLE notes (id integer PRIMARY KEY);\n")
    desk.done("apply")
    held = desk.fleet.names[3:6]
    desk.fleet.each(held, "INSERT INTO notes VALUES (1)")
    plan = str(tmp_path / "back.plan")
    desk("plan", "--rollback", "--waves", "all", "--on-failure", "continue", "--output", plan, status=4)
    for words in (
        ["rollback", "--waves", "all", "--max-failures", "5", "--rehearse"],
        ["rollback", "--waves", "all", "--batch", "4", "--max-failures", "1"],
        ["rollback", "--waves", "all", "--on-failure", "continue"],
        ["apply", "--plan", plan],
    ):
        is_rehearsed = "--rehearse" in words
        if is_rehearsed and desk.fleet.engine == "mysql":
            continue
        told = desk.done(*words, status=None)
        wrong = [result["error"] for result in told["results"] if result["error"]]
        assert wrong, words
        assert {error["message"].rpartition(": ")[2] for error in wrong} == {"1 row of notes would be lost"}, words
        assert all("--accept-data-loss" in error["hint"] for error in wrong), words
        again = desk(*words, status=None)
        assert "--accept-data-loss" in again.out, words
        assert again.err.endswith("hint: where that may be lost: pdelta sql rollback --accept-data-loss\n"), words
    desk.done("rollback", "--accept-data-loss")
    assert desk.had() == {"delta_20250401_notes": 0}


def test_apply_when_tried_then_nothing_changes_and_all_is_told(desk: Desk) -> None:
    result = desk("apply", "--dry-run")
    assert re.search(r"apply\s+delta_20250315_add_last_login", result.out)
    assert "would be applied in 12 of 12 tenants" in result.out
    assert desk.having() == []


def test_apply_when_rehearsed_then_what_would_fail_is_named_and_nothing_changes(desk: Desk) -> None:
    desk.project.write("delta_20250316_age", SECOND)
    if desk.fleet.engine == "mysql":
        told = desk("apply", "--rehearse", status=3)
        assert "can't be rehearsed" in told.out
        assert "12 of 12 tenants can't be rehearsed; nothing was changed" in told.err
        return
    bad = desk.fleet.names[6]
    desk.fleet.sql(bad, "ALTER TABLE users ADD COLUMN age integer")
    told = desk.done("apply", "--rehearse", status=3)
    assert failed(told) == [bad]
    assert (told["rehearsed"], told["run"], len(told["results"])) == (True, "", 12)
    assert (desk.having(), desk.having("age")) == ([], [bad])
    desk.fleet.sql(bad, "ALTER TABLE users DROP COLUMN age")
    assert "rehearsed in 12 tenants, 12 of them without failure" in desk("apply", "--rehearse").out
    assert desk.having() == []
    desk("apply")
    desk("rollback", "--to", "0", "--rehearse")
    assert desk.having() == desk.fleet.names


def test_gate_when_it_does_not_hold_then_the_next_wave_does_not_begin(desk: Desk) -> None:
    result = desk("apply", "--gate", "cat; echo too slow >&2; false", status=8)
    assert "too slow" in result.err
    assert desk.having() == desk.fleet.names[:1]
    desk("apply", "--waves", "25%,rest", "--gate-sql", "SELECT count(*) = 2 FROM users", "--soak", "10ms")
    assert desk.having() == desk.fleet.names


def test_gate_when_it_asks_a_tenant_then_the_one_that_says_no_is_named(desk: Desk) -> None:
    desk.fleet.sql(desk.fleet.names[0], "DELETE FROM users")
    result = desk("apply", "--gate-sql", "SELECT count(*) = 2 FROM users", "--on-failure", "reverse", status=5)
    assert desk.fleet.names[0] in result.err
    assert desk.having() == []


def test_apply_when_a_tenant_is_busy_then_the_others_go_on_and_it_is_named_in_the_end(desk: Desk) -> None:
    busy = desk.fleet.names[4]
    config = desk.fleet.folder / "pdelta.toml"
    config.write_text(config.read_text() + "retries = 1\n")
    with desk.fleet.locked(busy):
        told = desk.done("apply", "--waves", "all", "--lock-timeout", "50ms", "--on-failure", "continue", status=8)
    assert failed(told) == [busy]
    assert by_tenant(told)[busy]["standing"] == "before"
    assert desk.having() == [name for name in desk.fleet.names if name != busy]
    with desk.fleet.locked(busy):
        result = desk("apply", "--lock-timeout", "50ms", status=8)
    assert f"1 tenant failed at {NAME}" in result.out
    if desk.fleet.engine == "postgresql":
        assert re.search(rf"\n    {busy}: as it was; held by process \d+", result.out)
    desk.done("apply")
    assert desk.having() == desk.fleet.names


def test_status_when_tenants_differ_then_they_are_grouped(desk: Desk) -> None:
    desk.project.write("delta_20250316_age", SECOND)
    desk.done("apply", "--only", desk.fleet.names[0])
    desk.done("apply", "--to", NAME, "--only", desk.fleet.names[1])
    told = desk.done("status", status=4)
    assert [len(group["tenants"]) for group in told["groups"]] == [10, 1, 1]
    matrix = desk("status", "--matrix", status=4).out
    assert re.search(r"delta_20250315_add_last_login\s+2\s+x\s+x", matrix)
    pending = desk("status", "--pending", status=4).out.splitlines()
    assert len(pending) == 11
    assert pending[0] == f"{desk.fleet.names[1]}: delta_20250316_age"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["apply", "--to", "delta_20990101_no"], 2, "there is no delta"),
        (["apply", "--only", "nobody"], 2, "means no tenant of 12"),
        (["apply", "--database", "other"], 2, "known are: app"),
        (["apply", "--waves", "rest,5%"], 2, "no wave can come after"),
        (["apply", "--waves", "canary=tag:canry,rest"], 2, "app has no such tag"),
        (["apply", "--waves", ""], 2, "--waves says nothing"),
        (["apply", "--gate", " "], 2, "--gate says nothing"),
        (["apply", "--max-failures", "x"], 2, "neither a number"),
        (["rollback", "--to", NAME, "--run", "run:x"], 2, "say different things"),
        (["rollback", "--run", "x"], 2, "no id of a run"),
        (["rollback"], 2, "no tenant of app has a delta"),
    ],
)
def test_command_when_it_makes_no_sense_then_it_says_why(
    desk: Desk, words: Sequence[str], status: int, told: str
) -> None:
    assert told in desk(*words, status=status).err
    assert desk.having() == []


def test_apply_when_deltas_can_not_be_read_then_each_file_is_named(desk: Desk) -> None:
    desk.project.write("delta_20250319_broken", "SELECT 'x")
    result = desk("apply", status=65)
    assert "delta_20250319_broken.sql" in result.err


def test_repeatable_when_it_changes_then_it_is_applied_again_and_comes_back_to_the_former_one(desk: Desk) -> None:
    view = "-- pdelta: repeatable=yes\nDROP VIEW IF EXISTS names;\nCREATE VIEW names AS SELECT {0} FROM users;\n{1}"
    desk.project.write("delta_20250320_names", view.format("name", "-- Reversible delta\n-- DROP VIEW names;\n"))
    desk.done("apply")
    back = "-- Reversible delta\n-- DROP VIEW names;\n-- CREATE VIEW names AS SELECT name FROM users;\n"
    desk.project.write("delta_20250320_names", view.format("id", back))
    told = desk.done("apply")
    assert {tuple(result["deltas"]) for result in told["results"]} == {("delta_20250320_names",)}
    assert [one["message"] for one in told["findings"]] == [
        "delta_20250320_names replaces another version: what brings that back is its written reverse, untried"
    ]
    assert desk.fleet.columns(desk.fleet.names[0], "names") == ["id"]
    assert desk.done("apply")["results"] == []
    # Twice there, so that the history holds several rows of one digest; and others never had the first version.
    new = desk.fleet.names[5]
    desk.done("rollback", "--to", NAME, "--only", new)
    desk.done("apply", "--only", new)
    for _ in range(2):
        desk.done("rollback", "--only", desk.fleet.names[0])
        assert desk.fleet.columns(desk.fleet.names[0], "names") == ["name"]
        assert "delta_20250320_names" in desk("status", status=4).out
        desk.done("apply", "--only", desk.fleet.names[0])
    assert len(desk.done("rollback")["results"]) == 12
    assert {desk.fleet.columns(name, "names")[0] for name in desk.fleet.names} == {"name"}
    assert len(desk.done("rollback")["results"]) == 11
    assert desk.fleet.having("name", "names") == [new]
    assert desk.fleet.sql(new, "SELECT id FROM pdelta_applied") == [(NAME,)]
    assert desk.had() == {NAME: 12, "delta_20250320_names": 0}


def test_rollback_when_a_repeatable_delta_has_a_derived_reverse_then_each_takes_one_version_back(desk: Desk) -> None:
    view = "-- pdelta: repeatable=yes\nDROP VIEW IF EXISTS names;\nCREATE VIEW names AS SELECT {0} FROM users;\n"
    shown = ["id", "name", "id, name"]
    for columns in shown:
        desk.project.write("delta_20250320_names", view.format(columns))
        desk.done("apply")
    for columns in [*reversed(shown), ""]:
        assert ", ".join(desk.fleet.columns(desk.fleet.names[0], "names")) == columns
        if columns:
            desk.done("rollback")
    assert desk.had() == {NAME: 12, "delta_20250320_names": 0}


def test_rollback_when_some_tenants_went_back_before_then_they_stay_and_the_others_follow(desk: Desk) -> None:
    """Whoever repeats a command that was killed half-way must not take some of the tenants back twice."""
    names = desk.fleet.names
    versions(desk, "delta_20250320_names", ["id", "name"])
    desk.done("rollback", "--only", names[0])
    assert {result["tenant"] for result in desk.done("rollback")["results"]} == set(names[1:])
    assert [desk.fleet.columns(name, "names") for name in names] == [["id"]] * 12
    assert len(desk.done("rollback")["results"]) == 12
    assert desk.had() == {NAME: 12, "delta_20250320_names": 0}


REPEATABLE = "-- pdelta: repeatable=yes\nDROP VIEW IF EXISTS names;\nCREATE VIEW names AS SELECT {0} FROM users;\n{1}"


def dated(desk: Desk, moment: str, *ids: str) -> None:
    """Let deltas have come at another moment."""
    which = ", ".join(f"'{id}'" for id in ids)
    for name in desk.fleet.names:
        desk.fleet.sql(name, f"UPDATE pdelta_applied SET at = '{moment}' WHERE id IN ({which})")  # noqa: S608


def versions(desk: Desk, view: str, shown: Sequence[str]) -> None:
    """Apply a repeatable delta in one version after the other, each a day after the one before."""
    for day, columns in enumerate(shown, start=1):
        desk.project.write(view, REPEATABLE.format(columns, ""))
        desk.done("apply")
        dated(desk, f"2025-05-0{day}T00:00:00Z", view, *([NAME] if day == 1 else []))


def test_status_when_tenants_have_different_versions_then_words_tell_them_apart(desk: Desk) -> None:
    first, second, third, *_ = desk.fleet.names
    name, edited = "delta_20250320_names", "delta_20250321_edited"
    digests = {}
    for tenant, columns in ((first, "id"), (second, "name")):
        desk.project.write(name, REPEATABLE.format(columns, "-- Reversible delta\n-- DROP VIEW names;\n"))
        desk.project.write(edited, f"CREATE INDEX e ON users ({columns});\n-- Reversible delta\n-- SELECT 1;\n")
        desk("apply", "--only", tenant)
        shown = (desk.done("show", name)["digest"], desk.done("show", edited)["digest"])
        digests[tenant] = dict(zip((name, edited), shown, strict=True))
    desk.project.write(name, REPEATABLE.format("id, name", "-- Reversible delta\n-- DROP VIEW names;\n"))
    desk.project.write(edited, "CREATE INDEX e ON users (id, name);\n-- Reversible delta\n-- SELECT 1;\n")
    told = desk("status", status=4).out
    for tenant in (first, second):
        view, other = (digests[tenant][id][:8] for id in (name, edited))
        assert (
            f"      1  behind in {name} (an older version, {view}); have another version of {edited} ({other})\n"
            f"         {tenant}\n"
        ) in told
    assert f"     10  lack {NAME}, {name}, {edited}\n" in told
    groups = {group["tenants"][0]: group for group in desk.done("status", status=4)["groups"]}
    assert [groups[tenant]["versions"] for tenant in (first, second, third)] == [digests[first], digests[second], {}]
    matrix = next(line for line in desk("status", "--matrix", status=4).out.splitlines() if line.startswith(name))
    assert matrix.split()[1:] == ["2", "old", "old"]


def test_rollback_when_a_repeatable_delta_came_in_versions_then_one_call_takes_all_of_them_back(desk: Desk) -> None:
    for to in (NAME, "0"):
        versions(desk, "delta_20250320_names", ["id", "name", "id, name", "name, id"])
        assert "3 versions before" in desk("plan", "--rollback", "--to", to, "-v", status=4).out
        if desk.fleet.engine != "mysql":
            assert "12 of them without failure" in desk("rollback", "--to", to, "--rehearse").out
        told = desk.done("rollback", "--to", to)
        assert {result["deltas"][0] for result in told["results"]} == {"-delta_20250320_names"}
        assert desk.fleet.having("id", "names") == desk.fleet.having("name", "names") == []
        assert desk.had() == {NAME: 12 if to == NAME else 0, "delta_20250320_names": 0}
        assert desk.done("rollback", "--to", to)["results"] == []


def test_rollback_when_a_delta_stays_then_repeatable_ones_have_the_version_that_they_had_then(desk: Desk) -> None:
    view, late = "delta_20250310_names", "delta_20250401_age"
    versions(desk, view, ["id", "name"])
    desk.project.write(late, SECOND)
    desk.done("apply")
    dated(desk, "2025-05-02T12:00:00Z", NAME)
    dated(desk, "2025-05-03T12:00:00Z", late)
    # All need the column that goes, and one of them is there twice.
    for columns in ["id, age", "age", "id, age", "name, age"]:
        desk.project.write(view, REPEATABLE.format(columns, ""))
        desk.done("apply")
    told = desk.done("rollback", "--to", NAME)
    assert {tuple(result["deltas"]) for result in told["results"]} == {(f"-{view}", f"-{late}")}
    assert {tuple(desk.fleet.columns(name, "names")) for name in desk.fleet.names} == {("name",)}
    assert desk.having("age") == []
    assert desk.done("rollback", "--to", NAME)["results"] == []
    desk.project.write(view, REPEATABLE.format("name", ""))
    assert {tuple(result["deltas"]) for result in desk.done("apply")["results"]} == {(late,)}
    desk.done("rollback", "--to", "0")
    assert desk.had() == {NAME: 0, view: 0, late: 0}


def test_rollback_when_one_fails_and_all_is_to_come_back_then_what_was_derived_is_applied_again(desk: Desk) -> None:
    derived = "delta_20250401_age"
    desk.project.write(derived, "ALTER TABLE users ADD COLUMN age integer;\n")
    desk.done("apply")
    bad = desk.fleet.names[-1]
    desk.fleet.sql(bad, "UPDATE users SET age = 5")
    told = desk.done("rollback", "--on-failure", "reverse", status=5)
    assert told["phase"] == "reversed"
    assert failed(told) == [bad]
    assert desk.having("age") == desk.fleet.names
    assert desk.had() == {NAME: 12, derived: 12}
    desk.done("rollback", "--accept-data-loss")
    assert desk.having("age") == []


def test_rollback_when_what_is_to_come_back_has_no_file_then_it_says_what_was_reversed(desk: Desk) -> None:
    derived = "delta_20250401_age"
    desk.project.write(derived, "ALTER TABLE users ADD COLUMN age integer;\n")
    desk.done("apply")
    (desk.project.deltas / f"{derived}.sql").unlink()
    first, *_, bad = desk.fleet.names
    desk.fleet.sql(bad, "UPDATE users SET age = 5")
    result = desk("rollback", "--to", NAME, "--on-failure", "reverse", status=8)
    assert f"{first}: was reversed" in result.out
    assert f"{bad}: as it was" in result.out
    assert desk.having("age") == [bad]


def test_rollback_when_all_of_it_is_reversed_then_a_repeatable_delta_is_there_and_goes_again(desk: Desk) -> None:
    view = "delta_20250320_names"
    # It takes back whatever version was there before.
    back = "-- +reverse\n-- DROP VIEW IF EXISTS names;\n-- CREATE TABLE made (a integer);\n-- DROP TABLE made;\n"
    for columns in ("id", "name", "id, name"):
        desk.project.write(view, REPEATABLE.format(columns, back))
        desk.done("apply")
    bad = desk.fleet.names[-1]
    desk.fleet.sql(bad, "CREATE TABLE made (a integer)")
    is_whole = desk.fleet.engine != "mysql"
    told = desk.done("rollback", "--to", NAME, "--on-failure", "reverse", status=5 if is_whole else 6)
    assert failed(told) == [bad]
    others = desk.fleet.names[:-1]
    assert {tuple(desk.fleet.columns(name, "names")) for name in others} == {("id", "name")}
    desk.fleet.sql(bad, "DROP TABLE made")
    desk.done("rollback", "--to", NAME)
    assert not any(desk.fleet.columns(name, "names") for name in desk.fleet.names)
    assert desk.had() == {NAME: 12, view: 0}


def test_rollback_when_an_older_version_requires_nothing_then_it_stays_without_what_the_new_one_requires(
    desk: Desk,
) -> None:
    view, late = "delta_20250310_names", "delta_20250401_age"
    versions(desk, view, ["id"])
    dated(desk, "2025-05-02T00:00:00Z", NAME)
    desk.project.write(late, SECOND)
    desk.done("apply")
    requiring = REPEATABLE.replace("repeatable=yes", f"repeatable=yes requires={late}")
    desk.project.write(view, requiring.format("id, age", ""))
    told = desk.done("rollback", "--to", NAME)
    assert {tuple(result["deltas"]) for result in told["results"]} == {(f"-{late}",)}
    desk.done("apply")
    told = desk.done("rollback", "--to", NAME)
    assert {tuple(result["deltas"]) for result in told["results"]} == {(f"-{view}", f"-{late}")}
    assert {tuple(desk.fleet.columns(name, "names")) for name in desk.fleet.names} == {("id",)}


@pytest.mark.parametrize("view", ["delta_20250310_names", "delta_20250320_names"])
def test_rollback_when_it_stops_between_two_versions_then_the_same_command_goes_on(desk: Desk, view: str) -> None:
    back = "-- +reverse\n-- DROP VIEW names;\n-- CREATE TABLE made (a integer);\n-- DROP TABLE made;\n"
    back += "-- CREATE VIEW names AS SELECT id FROM users;\n"
    versions(desk, view, ["id"])
    dated(desk, "2025-05-01T12:00:00Z", NAME)
    for columns in ["name", "id, name", "name, id"]:
        desk.project.write(view, REPEATABLE.format(columns, back))
        desk.done("apply")
    tenant = desk.fleet.names[0]
    desk.fleet.sql(tenant, "CREATE TABLE made (a integer)")
    is_whole = desk.fleet.engine != "mysql"
    desk.done("rollback", "--to", NAME, status=8 if is_whole else 6)
    if is_whole:
        assert desk.fleet.columns(tenant, "names") == ["name", "id"]
    desk.fleet.sql(tenant, "DROP TABLE made")
    desk.done("rollback", "--to", NAME)
    assert {tuple(desk.fleet.columns(name, "names")) for name in desk.fleet.names} == {("id",)}
    assert desk.done("rollback", "--to", NAME)["results"] == []
    desk.project.write(view, REPEATABLE.format("id", ""))
    assert desk.done("apply")["results"] == []
    desk.done("rollback", "--to", "0")
    assert desk.had() == {NAME: 0, view: 0}


def test_placeholders_when_values_differ_then_each_tenant_gets_its_own(desk: Desk) -> None:
    config = desk.fleet.folder / "pdelta.toml"
    first = Path(desk.fleet.names[0]).as_posix()
    with config.open("a") as stream:
        stream.write(f'[databases.app.values]\n"*" = {{ city = "Łódź" }}\n"{first}" = {{ city = "O\'Hara\'; --" }}\n')
    desk.project.write(
        "delta_20250321_city",
        "INSERT INTO users (id, name) VALUES (3, ${city});\n"
        "-- Reversible delta\n-- DELETE FROM users WHERE name = ${city};\n",
    )
    desk.done("apply")
    asked = "SELECT name FROM users WHERE id = 3"
    assert desk.fleet.sql(desk.fleet.names[0], asked) == [("O'Hara'; --",)]
    assert desk.fleet.sql(desk.fleet.names[1], asked) == [("Łódź",)]
    desk.done("rollback")
    assert [desk.fleet.sql(name, asked) for name in desk.fleet.names[:2]] == [[], []]


def test_apply_when_there_is_no_project_file_then_the_command_line_says_enough(cli: Cli, tmp_path: Path) -> None:
    fleet = SqliteFleet(tmp_path, ["one", "two"])
    (tmp_path / "changes").mkdir()
    (tmp_path / "changes" / f"{NAME}.sql").write_text(ORIGIN)
    where = ("--deltas", "changes", "--tenants", "files=tenants/*.sqlite")
    told = cli("sql", "apply", *where, "--json", cwd=tmp_path).json()
    assert [result["tenant"] for result in told["results"]] == fleet.names
    single = ("--url", f"sqlite:///{fleet.names[0]}", "--deltas", "changes")
    assert cli("sql", "apply", *single, "--json", cwd=tmp_path).json()["results"] == []
    cli("sql", "rollback", *single, cwd=tmp_path)
    assert [("last_login" in fleet.columns(name)) for name in fleet.names] == [False, True]
    assert "goes with --url" in cli("sql", "apply", "--deltas", "changes", cwd=tmp_path, status=2).err


def test_history_when_a_delta_goes_step_by_step_then_it_has_what_left_and_no_steps(desk: Desk) -> None:
    desk.project.write(
        "delta_20250316_alone",
        "-- pdelta: transaction=none\nUPDATE users SET name = 'a';\nUPDATE users SET name = 'b';\n"
        "ALTER TABLE users ADD COLUMN age integer;\n-- Reversible delta\n-- ALTER TABLE users DROP COLUMN age;\n"
        "-- UPDATE users SET name = 'c';\n-- UPDATE users SET name = 'd';\n",
    )
    tenant = desk.fleet.names[0]
    count = "SELECT count(*) FROM pdelta_history"
    for turn in (0, 1):
        desk.done("apply", "--only", tenant)
        assert desk.fleet.sql(tenant, count) == [(str(turn),)]
        desk.done("rollback", "--to", NAME, "--only", tenant)
        assert desk.fleet.sql(tenant, count) == [(str(turn + 1),)]
        assert desk.fleet.sql(tenant, "SELECT name FROM users") == [("d",), ("d",)]
    moves = desk.fleet.sql(tenant, "SELECT way, id FROM pdelta_history")
    assert moves == [("reverse", "delta_20250316_alone")] * 2


ONCE = """-- pdelta: scope=once
CREATE TABLE catalogue (id integer);
-- Reversible delta
-- DROP TABLE catalogue;
"""


def test_once_when_a_delta_is_for_the_server_then_it_goes_there_before_all_tenants_and_back_behind_them(
    desk: Desk,
) -> None:
    desk.project.write("delta_20250310_catalogue", ONCE)
    if desk.fleet.engine == "sqlite":
        assert "SQLite has none" in desk("apply", status=2).err
        return
    told = desk.done("apply")
    waves = [(wave["name"], wave["tenants"], wave["servers"]) for wave in told["waves"]]
    assert waves == [("servers", 0, 1), ("canary", 1, 0), ("rest", 11, 0)]
    assert desk.fleet.columns(desk.fleet.shared, "catalogue") == ["id"]
    assert desk.fleet.having("id", "catalogue") == []
    assert desk.done("apply")["results"] == []
    assert desk.had() == {NAME: 12, "delta_20250310_catalogue": 1}
    back = desk.done("rollback", "--to", "0")
    assert [wave["name"] for wave in back["waves"]] == ["canary", "rest", "servers"]
    assert desk.fleet.columns(desk.fleet.shared, "catalogue") == []


def test_once_when_a_delta_is_for_the_server_then_that_is_counted_as_no_tenant(desk: Desk, tmp_path: Path) -> None:
    if desk.fleet.engine == "sqlite":
        pytest.skip("it has no server")
    desk.project.write("delta_20250310_catalogue", ONCE)
    both = "12 of 12 tenants and 1 of 1 server"
    planned = desk.done("plan", "--output", str(tmp_path / "plan"), status=4)
    assert (planned["tenants"], planned["settled"], planned["servers"]) == (
        12,
        0,
        {"count": 1, "settled": 0, "unread": 0},
    )
    held = [[(len(one["tenants"]), len(one["servers"])) for one in planned[kind]] for kind in ("groups", "waves")]
    assert held == [[(12, 0), (0, 1)], [(0, 1), (1, 0), (11, 0)]]
    assert f"2 deltas would be applied in {both}" in desk("plan", status=4).out
    assert f"2 deltas would be applied in {both}" in desk("apply", "--dry-run").out
    told = desk.done("apply", "--plan", str(tmp_path / "plan"))
    assert (told["tenants"], told["settled"], told["servers"]["count"]) == (12, 0, 1)
    assert [result["wave"] for result in told["results"] if result["server"]] == ["servers"]
    assert "nothing to do in 12 tenants and 1 server" in desk("apply").out
    assert "nothing to do in 12 tenants and 1 server" in desk("apply", "--plan", str(tmp_path / "plan")).out
    assert "app: 12 tenants and 1 server, 2 deltas; 12 tenants and 1 server up to date" in desk("status").out
    assert desk.done("status")["servers"] == 1
    assert "app: 1 server" in desk("show", "delta_20250310_catalogue").out
    assert "1 delta reversed in 12 of 12 tenants in" in desk("rollback").out
    assert "1 delta reversed in 1 of 1 server in" in desk("rollback").out
    desk.project.write("delta_20250310_catalogue", ONCE.replace("integer", "nonsense"))
    failed = desk("apply", status=8)
    assert "1 server failed at delta_20250310_catalogue" in failed.out
    assert "1 of 1 server failed" in failed.err


def test_apply_when_a_constraint_that_is_deferred_fails_in_a_batch_then_only_that_tenant_is_left_out(
    desk: Desk,
) -> None:
    if desk.fleet.engine != "postgresql":
        pytest.skip("the statements are PostgreSQL's")
    bad = desk.fleet.names[6]
    desk.fleet.sql(bad, "INSERT INTO users (id, name) VALUES (7, 'eve')")
    desk.project.write(
        "delta_20250322_bosses",
        "CREATE TABLE bosses (id integer PRIMARY KEY, boss integer REFERENCES bosses INITIALLY DEFERRED);\n"
        "INSERT INTO bosses SELECT 1, 8 FROM users WHERE id = 7;\n-- Reversible delta\n-- DROP TABLE bosses;\n",
    )
    told = desk.done("apply", "--batch", "5", "--on-failure", "continue", "--no-prove", status=8)
    assert failed(told) == [bad]
    (result,) = (result for result in told["results"] if result["tenant"] == bad)
    assert f"{bad}: delta_20250322_bosses: insert or update on table" in result["error"]["message"]
    assert desk.fleet.having("boss", "bosses") == [name for name in desk.fleet.names if name != bad]


def test_apply_when_no_reverse_is_written_then_each_tenant_derives_its_own(desk: Desk) -> None:
    if desk.fleet.engine != "postgresql":
        pytest.skip("the statements are PostgreSQL's")
    desk.project.write(
        "delta_20250322_derived",
        "ALTER TABLE users ADD COLUMN IF NOT EXISTS age integer;\n"
        "ALTER TABLE users ALTER COLUMN name SET DEFAULT 'nobody';\nCREATE INDEX users_age ON users (age);\n",
    )
    there = desk.fleet.names[2]
    desk.fleet.sql(there, "ALTER TABLE users ADD COLUMN age integer; ALTER TABLE users ALTER name SET DEFAULT 'x'")
    desk.done("apply")
    assert desk.having("age") == desk.fleet.names
    assert desk.done("apply")["results"] == []
    desk.done("rollback", "--to", NAME)
    assert desk.having("age") == [there]
    default = (
        "SELECT column_default FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND column_name = 'name'"
    )
    assert desk.fleet.sql(there, default) == [("'x'::character varying",)]
    assert desk.fleet.sql(desk.fleet.names[0], default) == [("",)]
    desk.done("apply")
    desk.fleet.sql(desk.fleet.names[0], "UPDATE users SET age = 7")
    told = desk.done("rollback", "--to", NAME, "--on-failure", "continue", status=8)
    assert failed(told) == [desk.fleet.names[0]]
    assert "--accept-data-loss" in desk("rollback", "--to", NAME, status=8).out
    desk.done("rollback", "--to", NAME, "--accept-data-loss")
    assert desk.having("age") == [there]


def test_drift_when_tenants_are_made_alike_or_not_then_they_are_grouped_and_told_apart(desk: Desk) -> None:
    desk.done("apply", "--only", desk.fleet.names[0])
    desk.done("rollback", "--only", desk.fleet.names[0])
    assert "12 tenants, all made alike" in desk("drift").out
    first, second = desk.fleet.names[3:5]
    desk.fleet.sql(first, "CREATE INDEX users_by_name ON users (name)")
    desk.fleet.sql(second, "ALTER TABLE users ADD COLUMN age integer")
    told = desk.done("drift", status=4)
    assert [len(group["tenants"]) for group in told["groups"]] == [10, 1, 1]
    assert "additional column users.age" in desk("drift", status=4).out
    assert re.search(
        r"additional index (users\.)?users_by_name", desk("diff", desk.fleet.names[0], first, status=4).out
    )
    assert "is made like" in desk("diff", desk.fleet.names[0], desk.fleet.names[1]).out
    bridge = desk("diff", "--delta", first, desk.fleet.names[0], status=4).out
    group = desk("drift", "--like", first, "--delta", desk.fleet.names[0], status=4).out
    assert group.splitlines()[1:] == bridge.splitlines()[1:]
    desk.project.write("delta_20250401_bridge", bridge)
    desk.done("apply", "--only", desk.fleet.names[0])
    desk.done("apply", "--to", NAME, "--only", first)
    assert "is made like" in desk("diff", first, desk.fleet.names[0]).out
    desk.done("rollback", "--to", "0", "--only", desk.fleet.names[0])
    like = desk.done("drift", "--like", second, status=4)["groups"]
    assert like[0]["tenants"] == [second]
    assert any("missing column users.age" in one for one in like[1]["differences"])


def test_proof_when_a_reverse_does_not_bring_all_back_then_it_is_told_and_the_ledger_says_what_was_proved(
    desk: Desk,
) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing can be tried where each statement commits")
    desk.project.write(
        "delta_20250323_half",
        "CREATE TABLE one (id integer);\nCREATE TABLE two (id integer);\n-- Reversible delta\n-- DROP TABLE one;\n",
    )
    desk.project.write("delta_20250324_derived", "CREATE TABLE three (id integer);\nCREATE INDEX t ON three (id);\n")
    name = desk.fleet.names[0]
    proofs = "SELECT id, proof FROM pdelta_applied ORDER BY id"
    desk.done("apply", "--to", NAME)
    assert desk.fleet.sql(name, proofs) == [(NAME, "schema")]
    result = desk("apply", "--to", "delta_20250323_half")
    assert f"after forward and reverse {name} is another: additional table two" in result.out
    assert desk.fleet.sql(name, proofs)[1] == ("delta_20250323_half", "")
    desk.done("apply")
    assert desk.fleet.sql(name, proofs)[2] == ("delta_20250324_derived", "schema")
    assert desk.fleet.having("id", "three") == desk.fleet.names
    desk.done("rollback")
    assert desk.fleet.having("id", "three") == []


def test_purge_when_a_delta_has_parked_something_then_it_goes_and_the_way_back_with_it(desk: Desk) -> None:
    if desk.fleet.engine == "mysql":
        pytest.skip("nothing is parked there")
    desk.project.write("delta_20250325_drop", "DROP TABLE orders;\n")
    desk.done("apply")
    assert desk.fleet.having("total", "orders") == []
    parked = desk.done("purge", "--dry-run")["purged"]
    assert [one["tenant"] for one in parked] == desk.fleet.names
    assert {tuple(one["deltas"]) for one in parked} == {("delta_20250325_drop",)}
    kept = desk.fleet.names[0]
    desk.done("rollback", "--only", kept)
    assert desk.fleet.having("total", "orders") == [kept]
    assert "not confirmed" in desk("purge", status=2).err
    assert len(desk.done("purge", "--yes")["purged"]) == 11
    assert desk.done("purge", "--yes")["purged"] == []
    assert desk.done("purge", "--yes", "delta_20250325_drop")["purged"] == []
    assert "there is no delta 'nosuch'" in desk("purge", "--yes", "nosuch", status=2).err
    assert "was purged" in desk("rollback", status=3).err
    assert desk.had()["delta_20250325_drop"] == 11
