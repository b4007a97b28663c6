"""Deltas of tenants and of servers that require each other: the order between them, refusals by name, and failures."""

from typing import Any

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import Fleet

ONCE = "delta_20250401_catalogue"
AFTER = "delta_20250320_visits"  # By its date before what it requires.
SHARED = """-- pdelta: scope=once{}
CREATE TABLE {} (id integer);
-- Reversible delta
-- DROP TABLE {};
"""
VISITS = """-- pdelta: requires={}
CREATE TABLE visits (id integer PRIMARY KEY);
-- Reversible delta
-- DROP TABLE visits;
"""


@pytest.fixture
def desk(fleet: Fleet, cli: Cli) -> Desk:
    if not fleet.shared:
        pytest.skip("there is no server")
    return Desk(fleet, cli)


def shared(name: str, requires: str = "") -> str:
    return SHARED.format(f" requires={requires}" if requires else "", name, name)


def waves(told: Any) -> list[tuple[str, list[str]]]:
    """The waves with the deltas that somebody in them gets."""
    names = [wave["name"] for wave in told["waves"]]
    moved = {name: {id for one in told["results"] if one["wave"] == name for id in one["deltas"]} for name in names}
    return [(name, sorted(moved[name])) for name in names]


def refusal(desk: Desk, *words: str) -> str:
    result = desk(*words, status=3)
    return result.out + result.err


def test_apply_when_tenants_require_what_is_done_once_then_servers_come_first_and_last_on_the_way_back(
    desk: Desk,
) -> None:
    desk.project.write(ONCE, shared("catalogue"))
    desk.project.write(AFTER, VISITS.format(ONCE))
    told = desk.done("apply")
    assert waves(told) == [("servers", [ONCE]), ("canary", [NAME, AFTER]), ("rest", [NAME, AFTER])]
    assert desk.had() == {NAME: 12, ONCE: 1, AFTER: 12}
    # The order of the files is that of the requirements: up to the one that requires includes the other.
    back = desk.done("rollback", "--to", NAME)
    assert waves(back) == [("canary", [f"-{AFTER}"]), ("rest", [f"-{AFTER}"]), ("servers", [f"-{ONCE}"])]
    only_first = desk.done("apply", "--to", ONCE)
    assert waves(only_first) == [("servers", [ONCE])]
    assert waves(desk.done("apply", "--to", AFTER))[-1] == ("rest", [AFTER])


SEEN = """-- pdelta: requires={}
CREATE VIEW seen AS SELECT id FROM {}.catalogue;
"""


def proofs(desk: Desk, id: str) -> set[str]:
    read = [row for name in desk.fleet.names for row in desk.fleet.sql(name, "SELECT id, proof FROM pdelta_applied")]
    return {row[1] for row in read if row[0] == id}


def test_apply_when_a_reverse_can_be_tried_behind_the_servers_alone_then_it_is_proved_there(desk: Desk) -> None:
    desk.project.write(ONCE, shared("catalogue"))
    desk.project.write(AFTER, SEEN.format(ONCE, desk.fleet.shared))
    told = desk.done("apply")
    assert waves(told)[-1] == ("rest", [NAME, AFTER])
    proved = "schema" if desk.fleet.engine == "postgresql" else ""
    assert (told["findings"], proofs(desk, AFTER), proofs(desk, NAME)) == ([], {proved}, {proved})
    desk.done("rollback", "--to", "0")
    assert desk.fleet.columns(desk.fleet.shared, "catalogue") == []
    file = str(desk.fleet.folder / "saved.plan")
    desk.done("plan", "--output", file, status=4)
    assert desk.done("apply", "--plan", file)["findings"] == []
    assert proofs(desk, AFTER) == {proved}
    desk.done("rollback", "--to", "0")

    desk.project.write(AFTER, SEEN.format(ONCE, desk.fleet.shared) + "-- Reversible delta\n-- SELECT 1;\n")
    told = desk.done("apply")
    assert [one["message"].split(" is another: ")[-1] for one in told["findings"]] == (
        ["additional view seen"] if proved else []
    )
    assert proofs(desk, AFTER) == {""}


KEEPER = """-- pdelta: scope=once
CREATE TABLE catalogue (id integer);
CREATE FUNCTION keep() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'nothing goes'; END $$;
CREATE EVENT TRIGGER keep ON sql_drop EXECUTE FUNCTION keep();
-- Reversible delta
-- DROP EVENT TRIGGER keep;
-- DROP FUNCTION keep();
-- DROP TABLE catalogue;
"""


def test_apply_when_a_derived_reverse_fails_behind_the_servers_then_no_tenant_gets_it(desk: Desk) -> None:
    if desk.fleet.engine != "postgresql":
        pytest.skip("the statements are PostgreSQL's")
    desk.project.write(ONCE, KEEPER)
    desk.project.write(AFTER, SEEN.format(ONCE, desk.fleet.shared))
    told = desk.done("apply", status=8)
    assert "the gate after servers does not hold" in told["reason"]
    assert f"{AFTER}: the reverse fails in {desk.fleet.names[0]}: nothing goes" in told["reason"]
    assert (desk.fleet.having("id", "seen"), desk.having()) == ([], [])
    told = desk("apply", status=3).err
    assert f"{AFTER}: the reverse fails in {desk.fleet.names[0]}: nothing goes" in told
    assert desk.done("rollback", "--to", "0")["results"][0]["deltas"] == [f"-{ONCE}"]


def test_rehearse_when_a_tenant_lacks_what_was_taken_back_on_the_server_then_it_says_so(desk: Desk) -> None:
    if desk.fleet.engine != "postgresql":
        pytest.skip("what can't be rolled back can't be rehearsed")
    desk.project.write(ONCE, shared("catalogue"))
    desk.project.write(AFTER, SEEN.format(ONCE, desk.fleet.shared))
    result = desk("apply", "--rehearse", status=3)
    assert f"{ONCE} was taken back on the server; where that is what it lacks, apply it first" in result.out
    desk.done("apply", "--to", ONCE)
    desk.done("apply", "--rehearse")


def test_apply_when_the_server_fails_and_the_run_goes_on_then_no_tenant_gets_what_requires_it(desk: Desk) -> None:
    desk.project.write(ONCE, shared("catalogue"))
    desk.project.write(AFTER, VISITS.format(ONCE))
    desk.fleet.sql(desk.fleet.shared, "CREATE TABLE catalogue (id integer)")
    told = desk.done("apply", "--on-failure", "continue", status=8)
    assert f"lacks {ONCE}, which deltas of tenants require" in told["reason"]
    assert desk.fleet.having("id", "visits") == []
    desk.fleet.sql(desk.fleet.shared, "DROP TABLE catalogue")
    desk.done("apply", "--on-failure", "continue")
    assert desk.fleet.having("id", "visits") == desk.fleet.names


def test_rollback_when_a_tenant_fails_and_the_run_goes_on_then_the_server_keeps_what_it_requires(desk: Desk) -> None:
    desk.project.write(ONCE, shared("catalogue"))
    desk.project.write(AFTER, VISITS.format(ONCE))
    desk.done("apply")
    kept = desk.fleet.names[3]
    desk.fleet.sql(kept, "DROP TABLE visits")
    told = desk.done("rollback", "--to", NAME, "--on-failure", "continue", status=None)
    assert told["exit_status"] in {6, 8}
    assert desk.fleet.columns(desk.fleet.shared, "catalogue") == ["id"]
    desk.fleet.sql(kept, "CREATE TABLE IF NOT EXISTS visits (id integer PRIMARY KEY)")
    desk.done("rollback", "--to", NAME)
    assert desk.fleet.columns(desk.fleet.shared, "catalogue") == []


def test_apply_when_only_some_tenants_are_meant_then_what_they_require_of_a_server_must_be_there(desk: Desk) -> None:
    desk.project.write(ONCE, shared("catalogue"))
    desk.project.write(AFTER, VISITS.format(ONCE))
    one = ("--only", desk.fleet.names[0])
    assert f"{AFTER} requires {ONCE}, which is done once" in refusal(desk, "apply", *one)
    assert f"{AFTER} requires {ONCE}" in desk("plan", *one, status=None).out
    assert desk.having() == []
    desk.done("apply", "--to", NAME, *one)
    desk.done("apply", "--to", ONCE)
    desk.done("apply", *one)
    assert desk.fleet.having("id", "visits") == [desk.fleet.names[0]]


def test_provision_when_a_server_lacks_what_the_deltas_require_then_no_tenant_is_made(desk: Desk) -> None:
    if desk.fleet.engine != "mysql":
        pytest.skip("the tenants of this fleet are a list of names")
    desk.project.write(NAME, "CREATE TABLE users (id integer);\n-- Reversible delta\n-- DROP TABLE users;\n")
    desk.project.write(ONCE, shared("catalogue"))
    desk.project.write(AFTER, VISITS.format(ONCE))
    new = desk.fleet.names[0] + "_new"
    desk.fleet.names.append(new)
    assert f"{AFTER} requires {ONCE}" in refusal(desk, "provision", new)
    assert desk.fleet.columns(new) == []
    desk.done("apply", "--to", ONCE, status=None)
    assert desk.done("provision", new)["made"] == [new]
    assert desk.fleet.columns(new, "visits") == ["id"]


def test_apply_when_what_is_done_once_requires_tenants_then_only_behind_all_of_them(desk: Desk) -> None:
    desk.project.write("delta_20250310_visits", VISITS.format(NAME))
    desk.project.write(ONCE, shared("catalogue", "delta_20250310_visits"))
    told = refusal(desk, "apply")
    assert f"{ONCE} is done once on each server, before all tenants, and requires delta_20250310_visits" in told
    assert "pdelta sql apply --to delta_20250310_visits" in told
    assert (desk.having(), desk.fleet.columns(desk.fleet.shared, "catalogue")) == ([], [])
    desk.done("apply", "--to", "delta_20250310_visits", "--only", desk.fleet.names[0])
    refusal(desk, "apply")
    desk.done("apply", "--to", "delta_20250310_visits")
    assert waves(desk.done("apply")) == [("servers", [ONCE])]
    told = refusal(desk, "rollback", "--to", NAME)
    assert f"delta_20250310_visits can't be taken back in tenants before {ONCE} on the server" in told
    told = refusal(desk, "rollback", "--to", NAME, "--only", desk.fleet.names[0])
    assert "without --only" in told
    desk.done("rollback", "--to", "delta_20250310_visits")
    desk.done("rollback", "--to", NAME)
    assert (desk.fleet.having("id", "visits"), desk.fleet.columns(desk.fleet.shared, "catalogue")) == ([], [])


def test_apply_when_deltas_of_both_kinds_require_each_other_then_the_circle_is_named(desk: Desk) -> None:
    desk.project.write(ONCE, shared("catalogue", AFTER))
    desk.project.write(AFTER, VISITS.format(ONCE))
    result = desk("apply", status=65)
    assert f"{AFTER} -> {ONCE} -> {AFTER}" in result.err or f"{ONCE} -> {AFTER} -> {ONCE}" in result.err
