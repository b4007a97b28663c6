"""``pdelta sql adopt``: tenants that other tools, or people, brought where they are; on every engine."""

from typing import Any, Final

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.former_tools import VERSIONS, rows_of, table_of
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import FORWARD, Fleet

AGE: Final = "delta_20250316_age"
ADD_AGE: Final = "ALTER TABLE users ADD COLUMN age integer"
BODIES: Final = {
    NAME: f"{FORWARD};\n-- Reversible delta\n-- ALTER TABLE users DROP COLUMN last_login;\n",
    AGE: f"{ADD_AGE};\n-- Reversible delta\n-- ALTER TABLE users DROP COLUMN age;\n",
}


class Former(Desk):
    """Tenants that another tool kept: two have both changes, two the first alone, one more than we know, one none."""

    def __init__(self, fleet: Fleet, cli: Cli) -> None:
        super().__init__(fleet, cli)
        self.full, self.part = fleet.names[0:2], fleet.names[2:4]
        self.more, self.none = fleet.names[4], fleet.names[5]
        self.chosen = [word for name in fleet.names[:6] for word in ("--only", name)]

    def kept_by(self, tool: str, *, map_files: bool = True) -> None:
        """Let a tool have kept the tenants."""
        versions = VERSIONS[tool]
        for (name, body), version in zip(BODIES.items(), versions, strict=False):
            self.project.write(name, f'-- pdelta: replaces="{tool}:{version}"\n{body}' if map_files else body)
        for names, count in ((self.full, 2), (self.part, 1), ([self.more], 3)):
            for name in names:
                self.run(name, table_of(tool, self.fleet.engine), FORWARD, *[ADD_AGE] * (count > 1))
                self.run(name, *rows_of(tool, versions[:count]))

    def run(self, tenant: str, *texts: str) -> None:
        for text in texts:
            self.fleet.sql(tenant, text)

    def ledger(self, tenant: str) -> list[tuple[str, ...]]:
        if tenant not in self.fleet.having("digest", "pdelta_applied"):
            return []
        return self.fleet.sql(tenant, "SELECT id, captured, reverse FROM pdelta_applied ORDER BY id")

    def left_out(self, told: Any) -> dict[str, str]:
        return {name: group["reason"] for group in told["left_out"] for name in group["tenants"]}


@pytest.fixture
def former(fleet: Fleet, cli: Cli) -> Former:
    return Former(fleet, cli)


@pytest.mark.parametrize("tool", sorted(VERSIONS))
def test_adopt_when_a_tool_kept_them_then_what_its_table_says_is_recorded_and_nothing_executed(
    former: Former, tool: str
) -> None:
    former.kept_by(tool)
    before = {name: former.fleet.columns(name) for name in former.fleet.names}
    told = former.done("adopt", "--from", tool, *former.chosen, status=4)
    assert {name: former.fleet.columns(name) for name in former.fleet.names} == before
    mark = f'{{"adopted":"{tool}"}}'
    rows = [
        (NAME, mark, "ALTER TABLE users DROP COLUMN last_login;\n"),
        (AGE, mark, "ALTER TABLE users DROP COLUMN age;\n"),
    ]
    assert [former.ledger(name) for name in former.full] == [rows] * 2
    assert [former.ledger(name) for name in former.part] == [rows[:1]] * 2
    assert [former.ledger(former.more), former.ledger(former.none)] == [[], []]
    assert {result["tenant"]: result["deltas"] for result in told["results"]} == {
        **{name: [f"*{NAME}", f"*{AGE}"] for name in former.full},
        **{name: [f"*{NAME}"] for name in former.part},
    }
    reasons = former.left_out(told)
    assert sorted(reasons) == sorted([former.more, former.none])
    assert VERSIONS[tool][2] in reasons[former.more]
    assert f"of {tool}" in reasons[former.none]
    assert (told["source"], told["exit_status"], told["phase"]) == (tool, 4, "done")

    taken = [word for name in (*former.full, *former.part) for word in ("--only", name)]
    again = former.done("adopt", "--from", tool, *taken)
    assert (again["results"], again["left_out"]) == ([], [])
    applied = former.done("apply", *taken)
    assert {result["tenant"]: result["deltas"] for result in applied["results"]} == {
        name: [AGE] for name in former.part
    }
    former.done("rollback", "--to", "0", *taken)
    assert [former.fleet.columns(name) for name in (*former.full, *former.part)] == [["id", "name"]] * 4


def test_adopt_when_the_run_is_taken_back_then_only_the_rows_go(former: Former) -> None:
    former.kept_by("alembic")
    words = [word for name in former.full for word in ("--only", name)]
    before = [former.fleet.columns(name) for name in former.full]
    run = former.done("adopt", "--from", "alembic", *words)["run"]
    told = former.done("rollback", "--run", run, "--only", former.full[0])
    assert told["results"][0]["deltas"] == [f"-{AGE}", f"-{NAME}"]
    assert [former.fleet.columns(name) for name in former.full] == before
    assert [len(former.ledger(name)) for name in former.full] == [0, 2]
    # Also where nothing else would take it back, or the file is gone.
    former.project.write(NAME, f"-- pdelta: replaces=alembic:{VERSIONS['alembic'][0]}\n{FORWARD};\n")
    run = former.done("adopt", "--from", "alembic", "--only", former.full[0])["run"]
    (former.project.deltas / f"{AGE}.sql").unlink()
    former.done("rollback", "--run", run, "--only", former.full[0])
    assert (former.ledger(former.full[0]), former.fleet.columns(former.full[0])) == ([], before[0])


def test_adopt_when_it_fails_and_is_reversed_then_nothing_is_executed(former: Former) -> None:
    former.kept_by("alembic")
    before = [former.fleet.columns(name) for name in former.full]
    only = [word for name in former.full for word in ("--only", name)]
    ways = ("--waves", "1,rest", "--gate", "false", "--on-failure", "reverse")
    told = former.done("adopt", "--from", "alembic", *only, *ways, status=5)
    assert [result["standing"] for result in told["results"]] == ["before", None]
    assert [former.fleet.columns(name) for name in former.full] == before
    assert [former.ledger(name) for name in former.full] == [[], []]


def test_adopt_when_forced_then_what_is_known_is_recorded(former: Former) -> None:
    former.kept_by("django")
    told = former.done("adopt", "--from", "django", *former.chosen, "--force", status=4)
    assert list(former.left_out(told)) == [former.none]
    assert [row[0] for row in former.ledger(former.more)] == [NAME, AGE]


def test_adopt_when_entries_are_to_be_ignored_then_they_need_no_delta(former: Former) -> None:
    former.kept_by("django")
    one = former.full[0]
    former.run(one, *rows_of("django", ["auth.0001_initial", "contenttypes.0001_initial"]))
    words = ("adopt", "--from", "django", "--only", one)
    told = former.done(*words, status=4)
    assert former.left_out(told)[one].endswith("it has: auth.0001_initial, contenttypes.0001_initial")
    former.done(*words, "--ignore", "auth.*", status=4)
    former.done(*words, "--ignore", "auth.*", "--ignore", "contenttypes.*")
    assert [row[0] for row in former.ledger(one)] == [NAME, AGE]


def test_adopt_when_it_is_tried_then_all_is_told_and_nothing_recorded(former: Former) -> None:
    former.kept_by("flyway")
    result = former("adopt", "--from", "flyway", *former.chosen, "--dry-run", status=4)
    assert f"    record  {NAME}\n    record  {AGE}\n" in result.out
    assert "2 deltas would be recorded in 4 of 6 tenants; nothing was changed" in result.out
    assert "1 tenant left out: no delta replaces what flyway says it has: 7" in result.out
    assert former.fleet.having("digest", "pdelta_applied") == []
    told = former.done("adopt", "--from", "flyway", *former.chosen, "--waves", "canary=1,rest", status=4)
    assert [(wave["name"], wave["tenants"]) for wave in told["waves"]] == [("canary", 1), ("rest", 3)]


def test_adopt_when_a_table_has_another_name_or_is_another_tools_then_it_says_so(former: Former) -> None:
    former.kept_by("golang-migrate")
    one = former.full[0]
    told = former.done("adopt", "--from", "dbmate", "--only", one, status=4)
    assert former.left_out(told)[one] == (
        "has a table schema_migrations with the column dirty, which is not that of dbmate"
    )
    former.run(one, "ALTER TABLE schema_migrations RENAME TO Our_Versions")
    words = ("adopt", "--from", "golang-migrate", "--only", one)
    assert "has no table schema_migrations" in former.left_out(former.done(*words, status=4))[one]
    former.done(*words, "--table", "our_versions")
    assert len(former.ledger(one)) == 2
    assert "is no name of a table" in former(*words, "--table", "x'; --", status=2).err


def test_adopt_when_a_tool_stopped_half_way_then_it_is_left_out_even_when_forced(former: Former) -> None:
    former.kept_by("golang-migrate")
    one = former.full[0]
    former.run(one, "UPDATE schema_migrations SET dirty = true")
    told = former.done("adopt", "--from", "golang-migrate", "--only", one, "--force", status=4)
    assert former.left_out(told)[one] == "golang-migrate says: its version 2 is dirty: it stopped half-way"


@pytest.mark.parametrize("tool", ["dbmate", "flyway", "goose"])
def test_adopt_when_the_folder_is_the_tools_own_then_its_files_need_no_mapping(former: Former, tool: str) -> None:
    (former.project.deltas / f"{NAME}.sql").unlink()
    if tool == "flyway":
        files = {"V1__login": FORWARD, "U1__login": "ALTER TABLE users DROP COLUMN last_login", "V1_1__age": ADD_AGE}
        ids = ["V1_1__age", "V1__login"]
    else:
        up, down = ("-- migrate:up", "-- migrate:down") if tool == "dbmate" else ("-- +goose Up", "-- +goose Down")
        first, second = VERSIONS[tool][:2]
        files = {
            f"{first}_login": f"{up}\n{FORWARD};\n{down}\nALTER TABLE users DROP COLUMN last_login;",
            f"{second}_age": f"{up}\n{ADD_AGE};\n{down}\nALTER TABLE users DROP COLUMN age;",
        }
        ids = [f"{first}_login", f"{second}_age"]
    for name, text in files.items():
        former.project.write(name, text)
    one = former.fleet.names[0]
    former.run(one, table_of(tool, former.fleet.engine), FORWARD, ADD_AGE, *rows_of(tool, VERSIONS[tool][:2]))
    former.done("adopt", "--from", tool, "--only", one)
    assert [row[0] for row in former.ledger(one)] == ids
    assert former.done("apply", "--only", one)["results"] == []


def test_adopt_when_one_says_up_to_where_then_only_if_they_are_made_alike(former: Former) -> None:
    former.kept_by("alembic", map_files=False)
    result = former("adopt", "--up-to", AGE, *former.chosen, status=3)
    assert "the tenants are not made alike" in result.err
    assert "missing column users.age" in result.err
    assert former.fleet.having("digest", "pdelta_applied") == []
    full = [word for name in (*former.full, former.more) for word in ("--only", name)]
    told = former.done("adopt", "--up-to", AGE, *full)
    assert [len(former.ledger(name)) for name in former.full] == [2, 2]
    assert former.ledger(former.more)[0][1] == '{"adopted":"up-to"}'
    assert (told["source"], told["left_out"]) == ("up-to", [])
    former.done("adopt", "--up-to", NAME, "--only", former.part[0])
    assert [row[0] for row in former.ledger(former.part[0])] == [NAME]
    former.done("adopt", "--up-to", NAME, "--only", former.part[1], "--only", former.none, "--force")
    assert [row[0] for row in former.ledger(former.none)] == [NAME]


@pytest.mark.parametrize("tool", ["alembic", "flyway"])
def test_adopt_when_one_was_changed_by_hand_then_what_its_tools_table_says_is_not_believed(
    former: Former, tool: str
) -> None:
    former.kept_by(tool)
    odd, even = former.part
    former.run(odd, "ALTER TABLE users ADD COLUMN nick integer")
    # Of two that are made otherwise, nobody knows which is right.
    told = former.done("adopt", "--from", tool, "--only", odd, "--only", even, status=4)
    reasons = former.left_out(told)
    assert set(reasons) == {odd, even}
    assert any("users.nick" in reason for reason in reasons.values())
    assert any(reason.endswith("name the one to go by, --like TENANT") for reason in reasons.values())
    assert former.fleet.having("digest", "pdelta_applied") == []

    told = former.done("adopt", "--from", tool, "--only", odd, "--only", even, "--like", even, status=4)
    assert former.left_out(told) == {odd: f"not made like {even}: additional column users.nick"}
    assert [former.ledger(odd), [row[:2] for row in former.ledger(even)]] == [
        [],
        [(NAME, f'{{"adopted":"{tool}"}}')],
    ]
    told = former.done("adopt", "--from", tool, "--only", odd, "--force")
    assert [row[0] for row in former.ledger(odd)] == [NAME]


def test_adopt_when_most_are_made_alike_then_the_others_are_left_out(former: Former) -> None:
    former.kept_by("django")
    third, fourth, fifth = former.none, *former.fleet.names[6:8]
    for name in (third, fourth, fifth):
        former.run(name, table_of("django", former.fleet.engine), FORWARD)
        former.run(name, *rows_of("django", VERSIONS["django"][:1]))
    odd = former.part[0]
    former.run(odd, "CREATE INDEX users_by_name ON users (id)")
    former.done("adopt", "--from", "django", "--only", third)
    former.done("apply", "--only", third)  # it has more by now, so that nobody else need be made like it
    names = [odd, former.part[1], third, fourth, fifth]
    told = former.done("adopt", "--from", "django", *[word for name in names for word in ("--only", name)], status=4)
    assert former.left_out(told)[odd].startswith("not made like the others: additional index ")
    assert len(told["left_out"]) == 1
    assert [[row[0] for row in former.ledger(name)] for name in names] == [[], [NAME], [NAME, AGE], [NAME], [NAME]]


def test_adopt_when_one_alone_is_chosen_then_it_is_compared_with_the_others_all_the_same(former: Former) -> None:
    former.kept_by("alembic")
    odd = former.fleet.names[6]
    former.run(odd, table_of("alembic", former.fleet.engine), FORWARD, ADD_AGE, "ALTER TABLE users ADD nick integer")
    former.run(odd, *rows_of("alembic", VERSIONS["alembic"][:2]))
    told = former.done("adopt", "--from", "alembic", "--only", odd, status=4)
    assert former.left_out(told) == {odd: "not made like the others: additional column users.nick"}
    assert former.ledger(odd) == []
    former.done("adopt", "--from", "alembic", "--only", odd, "--force")
    # What it has stands in its ledger now: there is nothing to leave out.
    names = [word for name in (odd, *former.full) for word in ("--only", name)]
    assert former.done("adopt", "--from", "alembic", *names)["left_out"] == []


@pytest.mark.parametrize("tool", ["alembic", "flyway"])
def test_adopt_when_they_took_a_delta_back_then_the_tools_table_is_not_believed(former: Former, tool: str) -> None:
    former.kept_by(tool)
    full = [word for name in former.full for word in ("--only", name)]
    former.done("adopt", "--from", tool, *full)
    former.done("rollback", *full)
    assert [former.fleet.columns(name) for name in former.full] == [["id", "name", "last_login"]] * 2
    told = former.done("adopt", "--from", tool, *full, status=4)
    reason = f"its own history says that it took back what {tool} says it has: {AGE}"
    assert former.left_out(told) == dict.fromkeys(former.full, reason)
    assert [[row[0] for row in former.ledger(name)] for name in former.full] == [[NAME]] * 2
    former.done("apply", *full)
    assert former.done("adopt", "--from", tool, *full)["left_out"] == []


def test_adopt_when_names_need_quoting_then_their_tables_are_found(former: Former) -> None:
    if former.fleet.engine != "postgresql":
        pytest.skip("names are folded by PostgreSQL alone")
    names = ["tenant_Upper", "tenant_a b", "tenant_x.y", "tenant_x'); DROP TABLE"]
    former.kept_by("alembic")
    section = '[databases.app]\nurl = "file:url"\ndeltas = "deltas"\ntenants = { schemas = "tenant_*" }\n'
    (former.fleet.folder / "pdelta.toml").write_text(section)
    for name in names:
        former.fleet.sql(former.fleet.shared, f'CREATE SCHEMA "{name}"')
        former.run(name, "CREATE TABLE users (id integer, name varchar(9))", FORWARD)
        former.run(name, table_of("alembic", "postgresql"), *rows_of("alembic", VERSIONS["alembic"][:1]))
    told = former.done("adopt", "--from", "alembic", *[word for name in names for word in ("--only", name)])
    assert {one["tenant"] for one in told["results"]} == set(names)


def test_adopt_when_they_have_all_up_to_one_and_are_to_be_like_one_then_only_those_that_are(former: Former) -> None:
    former.kept_by("alembic", map_files=False)
    told = former.done("adopt", "--up-to", AGE, "--like", former.more, *former.chosen, status=4)
    assert [len(former.ledger(name)) for name in (*former.full, former.more)] == [2, 2, 2]
    reasons = former.left_out(told)
    assert sorted(reasons) == sorted([*former.part, former.none])
    assert reasons[former.part[0]] == f"not made like {former.more}: missing column users.age"


def test_adopt_when_they_are_to_be_like_one_then_only_those_that_are(former: Former) -> None:
    former.kept_by("alembic", map_files=False)
    reference = former.fleet.names[7]
    former.done("apply", "--only", reference)
    told = former.done("adopt", "--like", reference, *former.chosen, status=4)
    assert [row[:2] for row in former.ledger(former.full[0])] == [
        (NAME, f'{{"adopted":"like:{reference}"}}'),
        (AGE, f'{{"adopted":"like:{reference}"}}'),
    ]
    reasons = former.left_out(told)
    assert sorted(reasons) == sorted([*former.part, former.none])
    assert reasons[former.part[0]] == f"not made like {reference}: missing column users.age"
    assert "missing column users.last_login" in reasons[former.none]
    assert [len(former.ledger(name)) for name in (*former.full, former.more)] == [2, 2, 2]
    former.done("rollback", "--only", former.full[0])
    assert "age" not in former.fleet.columns(former.full[0])


def test_adopt_when_the_one_to_be_like_has_deltas_without_a_file_then_they_can_not_be_reversed(former: Former) -> None:
    former.kept_by("alembic", map_files=False)
    reference = former.fleet.names[7]
    former.done("apply", "--only", reference)
    (former.project.deltas / f"{AGE}.sql").unlink()
    former.done("adopt", "--like", reference, "--only", former.full[0])
    told = former.done("rollback", "--to", NAME, "--only", former.full[0], status=3)
    assert "where its reverse is another's" in told["error"]["findings"][0]


def test_adopt_when_a_ledger_contradicts_then_the_tenant_is_left_out(former: Former) -> None:
    former.kept_by("alembic")
    one = former.full[0]
    former.done("adopt", "--from", "alembic", "--only", one)
    former.project.write(AGE, BODIES[AGE].replace("integer", "bigint"))
    told = former.done("adopt", "--up-to", AGE, "--only", one, "--only", former.full[1], status=4)
    assert former.left_out(told) == {one: f"has another version of {AGE}"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing says what the tenants have"),
        (["--from", "alembic", "--up-to", NAME], "--up-to and --from say different things"),
        (["--up-to", "delta_20990101_no"], "there is no delta"),
        (["--like", "nobody"], "'nobody' is no tenant of app"),
        (["--from", "rails"], "'rails' is not one of"),
    ],
)
def test_adopt_when_it_makes_no_sense_then_it_says_why(former: Former, words: list[str], told: str) -> None:
    assert told in former("adopt", *words, status=2).err
    assert "has no delta in its ledger" in former("adopt", "--like", former.none, status=2).err


def test_adopt_when_one_baseline_replaces_all_then_old_tenants_have_it_and_new_ones_begin_with_it(
    former: Former,
) -> None:
    former.kept_by("alembic", map_files=False)
    for name in BODIES:
        (former.project.deltas / f"{name}.sql").unlink()
    everything = "delta_20250301_everything"
    former.project.write(
        everything,
        '-- pdelta: baseline=yes replaces="alembic:1975ea83b712" irreversible="this is where we began"\n'
        "CREATE TABLE users (id integer PRIMARY KEY);\n",
    )
    former.project.write(
        "delta_20250302_city",
        "ALTER TABLE users ADD COLUMN city integer;\n-- Reversible delta\n-- ALTER TABLE users DROP COLUMN city;\n",
    )
    full = [word for name in former.full for word in ("--only", name)]
    told = former.done("adopt", "--from", "alembic", *former.chosen, status=4)
    assert {result["tenant"]: result["deltas"] for result in told["results"]} == {
        name: [f"*{everything}"] for name in former.full
    }
    applied = former.done("apply", *full)
    assert {tuple(result["deltas"]) for result in applied["results"]} == {("delta_20250302_city",)}
    assert former.done("apply", *full)["results"] == []
    assert "adopted: alembic" in former("show", everything, *full).out


def test_adopt_when_a_baseline_stands_for_others_then_these_are_recorded_as_well(former: Former) -> None:
    former.kept_by("alembic", map_files=False)
    base = "delta_20250401_base"
    former.project.write(
        base, "-- pdelta: baseline=yes replaces=alembic:1975ea83b712\nCREATE TABLE users (id integer PRIMARY KEY);\n"
    )
    full = [word for name in former.full for word in ("--only", name)]
    told = former.done("adopt", "--from", "alembic", *full)
    assert {tuple(result["deltas"]) for result in told["results"]} == {(f"*{NAME}", f"*{AGE}", f"*{base}")}
    status = former.done("status", *full)
    assert [(group["pending"], group["baseline"]) for group in status["groups"]] == [([], base)]
    assert f"up to date; with the baseline {base}" in former("status", *full).out
    assert former.done("apply", *full)["results"] == []
    told = former.done("rollback", *full)
    assert {tuple(result["deltas"]) for result in told["results"]} == {(f"-{base}", f"-{AGE}")}
    assert former.fleet.columns(former.full[0]) == ["id", "name", "last_login"]
