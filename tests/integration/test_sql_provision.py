"""``pdelta sql provision`` and baselines: the command line, on every engine."""

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import sql_child
from tests.fixtures.cli import Cli
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import Fleet

BOOKS, YEAR, BASE, TITLE = (
    f"delta_2025010{number}_{word}" for number, word in enumerate(("books", "year", "base", "title"), 1)
)
FILES = {
    BOOKS: "CREATE TABLE books (id integer PRIMARY KEY);\n-- Reversible delta\n-- DROP TABLE books;\n",
    YEAR: "ALTER TABLE books ADD COLUMN year integer;\n-- Reversible delta\n-- ALTER TABLE books DROP COLUMN year;\n",
    BASE: "-- pdelta: baseline=yes\nCREATE TABLE books (id integer PRIMARY KEY, year integer);\n"
    "INSERT INTO books VALUES (1, 1843);\n",
    TITLE: "ALTER TABLE books ADD COLUMN title varchar(40);\n"
    "-- Reversible delta\n-- ALTER TABLE books DROP COLUMN title;\n",
}
COLUMNS = ["id", "year", "title"]


class Shop(Desk):
    """A fleet with a baseline, and names for tenants that are not there yet."""

    def __init__(self, fleet: Fleet, cli: Cli) -> None:
        super().__init__(fleet, cli)
        (self.project.deltas / f"{NAME}.sql").unlink()
        for name, text in FILES.items():
            self.project.write(name, text)
        self.old = fleet.names[:2]
        if fleet.engine == "postgresql":
            config = fleet.folder / "pdelta.toml"
            before = config.read_text().partition("schemas = ")[0]
            config.write_text(f'{before}schemas = "{self.name("*")}" }}\n')

    def name(self, word: str) -> str:
        """Give the name of a tenant that the section covers."""
        first = self.fleet.names[0]
        return (
            f"tenants/{word}.sqlite" if self.fleet.engine == "sqlite" else first.replace("tenant_01", f"tenant_{word}")
        )

    def new(self, *words: str) -> list[str]:
        """Give the names of tenants that are to be made; whatever becomes of them is removed in the end."""
        names = [self.name(word) for word in words]
        self.fleet.names += [name for name in names if name not in self.fleet.names]
        return names

    def only(self, names: list[str]) -> list[str]:
        return [word for name in names for word in ("--only", name)]

    def ledger(self, tenant: str) -> list[tuple[str, ...]]:
        return self.fleet.sql(tenant, "SELECT id, state, captured, irreversible FROM pdelta_applied ORDER BY id")


@pytest.fixture
def shop(fleet: Fleet, cli: Cli) -> Shop:
    return Shop(fleet, cli)


def test_provision_when_there_is_a_baseline_then_it_and_what_comes_behind_and_the_rest_recorded(shop: Shop) -> None:
    (new,) = shop.new("new")
    shop.done("apply", *shop.only(shop.old))
    told = shop.done("provision", new)
    assert (told["made"], told["baseline"], told["exit_status"]) == ([new], BASE, 0)
    (result,) = told["results"]
    assert (result["tenant"], result["standing"]) == (new, "after")
    assert result["deltas"] == [BASE, f"*{BOOKS}", f"*{YEAR}", TITLE]
    assert shop.fleet.columns(new, "books") == shop.fleet.columns(shop.old[0], "books") == COLUMNS
    assert shop.fleet.sql(new, "SELECT id, year FROM books") == [("1", "1843")]
    held = f'{{"holds":["{BOOKS}","{YEAR}"]}}'
    came = f'{{"baseline":"{BASE}"}}'
    assert shop.ledger(new) == [
        (BOOKS, "applied", came, ""),
        (YEAR, "applied", came, ""),
        (BASE, "applied", held, ""),
        (TITLE, "applied", "", ""),
    ]
    both = [new, *shop.old]
    status = shop.done("status", *shop.only(both))
    assert {tuple(group["pending"]) for group in status["groups"]} == {()}
    assert shop.done("apply", *shop.only(both))["results"] == []
    assert shop.done("apply", *shop.only(both))["settled"] == 3
    assert shop.done("plan", *shop.only(both))["groups"] == []


def test_provision_when_there_is_no_baseline_then_all_deltas(shop: Shop) -> None:
    (shop.project.deltas / f"{BASE}.sql").unlink()
    first, second = shop.new("a", "b")
    told = shop.done("provision", first, second)
    assert (told["made"], told["baseline"]) == ([first, second], "")
    assert {tuple(result["deltas"]) for result in told["results"]} == {(BOOKS, YEAR, TITLE)}
    assert [shop.fleet.columns(name, "books") for name in (first, second)] == [COLUMNS] * 2


def test_provision_when_the_tenant_is_there_then_it_gets_what_it_lacks_and_never_the_baseline(shop: Shop) -> None:
    old = shop.old[0]
    shop.done("apply", "--only", old, "--to", BOOKS)
    told = shop.done("provision", old)
    assert (told["made"], told["results"][0]["deltas"]) == ([], [YEAR, TITLE])
    assert shop.fleet.sql(old, "SELECT count(*) FROM books") == [("0",)]
    (new,) = shop.new("new")
    shop.done("provision", new, "--to", BASE)
    assert shop.fleet.columns(new, "books") == ["id", "year"]
    again = shop.done("provision", new)
    assert (again["made"], again["results"][0]["deltas"]) == ([], [TITLE])
    assert shop.done("provision", new, old)["results"] == []


def test_provision_when_the_fleet_is_rolled_back_then_new_tenants_go_the_same_way(shop: Shop) -> None:
    (new,) = shop.new("new")
    shop.done("apply", *shop.only(shop.old))
    shop.done("provision", new)
    all_of_them = shop.only([new, *shop.old])
    assert {tuple(result["deltas"]) for result in shop.done("rollback", *all_of_them)["results"]} == {(f"-{TITLE}",)}
    told = shop.done("rollback", *all_of_them)
    by_tenant = {result["tenant"]: result["deltas"] for result in told["results"]}
    assert by_tenant == {new: [f"-{BASE}", f"-{YEAR}"], **{name: [f"-{YEAR}"] for name in shop.old}}
    assert [shop.fleet.columns(name, "books") for name in (new, *shop.old)] == [["id"]] * 3
    assert [row[0] for row in shop.ledger(new)] == [BOOKS]
    assert len(shop.done("status", *all_of_them, status=4)["groups"]) == 1
    shop.done("apply", *all_of_them)
    assert [shop.fleet.columns(name, "books") for name in (new, *shop.old)] == [COLUMNS] * 3
    shop.done("rollback", "--to", "0", *all_of_them)
    assert shop.ledger(new) == []
    assert shop.fleet.columns(new, "books") == []


def test_provision_when_the_run_is_taken_back_then_the_tenant_has_nothing(shop: Shop) -> None:
    (new,) = shop.new("new")
    run = shop.done("provision", new)["run"]
    shop.done("rollback", "--run", run)
    assert (shop.ledger(new), shop.fleet.columns(new, "books")) == ([], [])
    shop.done("provision", new)
    assert shop.fleet.columns(new, "books") == COLUMNS


def test_provision_when_a_delta_comes_before_the_baseline_later_then_it_is_applied(shop: Shop) -> None:
    (new,) = shop.new("new")
    shop.done("provision", new)
    shop.project.write(
        "delta_20250102b_pages",
        "ALTER TABLE books ADD COLUMN pages integer;\n-- Reversible delta\n-- ALTER TABLE books DROP COLUMN pages;\n",
    )
    told = shop.done("apply", "--only", new)
    assert told["results"][0]["deltas"] == ["delta_20250102b_pages"]
    assert shop.fleet.columns(new, "books") == [*COLUMNS, "pages"]


def test_provision_when_a_delta_comes_before_the_baseline_later_then_its_reverse_is_derived(shop: Shop) -> None:
    first, second = shop.new("a", "b")
    shop.done("provision", first)
    shop.project.write("delta_20250102b_pages", "ALTER TABLE books ADD COLUMN pages integer;\n")
    shop.project.write(BASE, FILES[BASE].replace("year integer", "year integer, pages integer"))
    result = shop("provision", first, second, status=3)
    assert f"{BASE} was edited since" in result.err
    assert shop.done("status", "--only", first, status=4)["tenants"] == 1
    assert "means no tenant of" in shop("status", "--only", second, status=2).err
    shop.project.write(BASE, FILES[BASE])
    told = shop.done("provision", first)
    assert told["results"][0]["deltas"] == ["delta_20250102b_pages"]
    shop.done("rollback", "--only", first, "--run", told["run"])
    assert shop.fleet.columns(first, "books") == COLUMNS


def test_provision_when_a_reverse_is_not_written_then_the_ledger_says_that_it_is_not_known(shop: Shop) -> None:
    shop.project.write(YEAR, FILES[YEAR].partition("-- Reversible")[0])
    (new,) = shop.new("new")
    shop.done("provision", new)
    assert shop.ledger(new)[1] == (
        YEAR,
        "applied",
        f'{{"baseline":"{BASE}"}}',
        f"it came with the baseline {BASE}",
    )
    told = shop.done("rollback", "--only", new, "--to", BOOKS, status=3)
    assert f"it came with the baseline {BASE}" in told["error"]["findings"][0]
    assert shop.fleet.columns(new, "books") == COLUMNS


def test_provision_when_a_name_is_not_covered_then_nothing_is_made(shop: Shop) -> None:
    (new,) = shop.new("new")
    before = shop.done("status", status=None)["tenants"]
    result = shop("provision", new, "elsewhere", "", status=2)
    assert "'elsewhere', '': no tenant of app is called so; nothing was made" in result.err
    assert shop.done("status", status=None)["tenants"] == before
    result = shop("provision", new, "--to", "delta_20990101_no", status=2)
    assert "there is no delta" in result.err
    assert shop.done("status", status=None)["tenants"] == before


def test_provision_when_a_tenant_has_tables_and_no_ledger_then_refused_before_anything_is_made(shop: Shop) -> None:
    (new,) = shop.new("new")
    before = shop.done("status", status=4)["tenants"]
    result = shop("provision", new, *shop.old, status=3)
    assert "no delta was applied: not every tenant is new" in result.err
    assert shop.done("status", status=4)["tenants"] == before
    shop("provision", new, *shop.old, "--dry-run", status=3)
    assert f"foreign: {shop.old[0]} holds tables, and has no ledger" in result.err
    assert "pdelta sql adopt" in result.err
    assert shop.fleet.having("digest", "pdelta_applied") == []


def test_provision_when_tried_then_all_is_told_and_nothing_is_made(shop: Shop) -> None:
    (new,) = shop.new("new")
    shop.done("apply", "--only", shop.old[0], "--to", BOOKS)
    before = shop.done("status", status=4)["tenants"]
    told = shop.done("provision", new, shop.old[0], "--dry-run")
    assert (told["made"], told["moves"]) == ([new], [BASE, f"*{BOOKS}", f"*{YEAR}", TITLE])
    assert [result["deltas"] for result in told["results"]] == [[YEAR, TITLE]]
    text = shop("provision", new, "--dry-run").out
    assert f"would be made  {new}\n    apply   {BASE}\n    record  {BOOKS}\n" in text
    assert shop.done("status", status=4)["tenants"] == before


def test_provision_when_a_delta_makes_no_sense_then_refused_before_anything_is_made(shop: Shop) -> None:
    (new,) = shop.new("new")
    before = shop.done("status", status=4)["tenants"]
    shop.project.write("delta_20250106_lost", "INSERT INTO books (id, title) VALUES (7, ${nobody_says});\n")
    assert "nobody_says" in shop("provision", new, status=65).err
    shop.project.write("delta_20250106_lost", "SELECT 1 FROM nowhere;\nDROP DATABASE elsewhere;\n")
    assert "delta_20250106_lost" in shop("provision", new, status=3).err
    assert shop.done("status", status=4)["tenants"] == before


def test_provision_when_one_fails_then_the_others_are_done_and_the_same_command_goes_on(shop: Shop) -> None:
    bad, good = shop.new("bad", "good")
    shop.done("provision", bad, "--to", BASE)
    shop.fleet.sql(bad, "ALTER TABLE books ADD COLUMN title integer")
    told = shop.done("provision", bad, good, status=8)
    assert {result["tenant"]: result["standing"] for result in told["results"]} == {bad: "before", good: "after"}
    shop.fleet.sql(bad, "ALTER TABLE books DROP COLUMN title")
    shop.done("provision", bad, good)
    assert [shop.fleet.columns(name, "books") for name in (bad, good)] == [COLUMNS] * 2


def test_provision_when_values_are_asked_for_then_the_new_tenant_has_its_own(shop: Shop) -> None:
    shop.project.write(
        "delta_20250105_owner",
        "INSERT INTO books (id, title) VALUES (2, ${tenant});\n"
        "-- Reversible delta\n-- DELETE FROM books WHERE id = 2;\n",
    )
    first, second = shop.new("a", "b")
    shop.done("provision", first, second)
    asked = "SELECT title FROM books WHERE id = 2"
    assert [shop.fleet.sql(name, asked) for name in (first, second)] == [[(first,)], [(second,)]]


def test_provision_when_killed_at_any_step_then_the_same_command_goes_on(shop: Shop, cli: Cli) -> None:
    chance = random.Random(11)
    passes = 60 if shop.fleet.engine == "mysql" else 16
    for number, count in enumerate(sorted(chance.sample(range(1, passes), 6))):
        first, second = shop.new(f"a{number}", f"b{number}")
        status, told = sql_child.die(cli, shop.fleet.folder, f":{count}", "provision", first, second)
        assert status in {-signal.SIGKILL, 0}, told
        shop.done("provision", first, second)
        for name in (first, second):
            assert shop.fleet.columns(name, "books") == COLUMNS, count
            assert shop.fleet.sql(name, "SELECT id, year FROM books") == [("1", "1843")], count
            assert [row[:2] for row in shop.ledger(name)] == [
                (delta, "applied") for delta in (BOOKS, YEAR, BASE, TITLE)
            ], count
        assert shop.done("provision", first, second)["results"] == []


def test_baseline_when_the_files_before_it_are_gone_then_it_is_where_new_tenants_begin(shop: Shop) -> None:
    old = shop.old[0]
    shop.done("apply", "--only", old)
    for name in (BOOKS, YEAR):
        (shop.project.deltas / f"{name}.sql").unlink()
    shop.project.write(BASE, FILES[BASE] + "-- Reversible delta\n-- DROP TABLE books;\n")
    first, second = shop.new("a", "b")
    told = shop.done("provision", first)
    assert told["results"][0]["deltas"] == [BASE, TITLE]
    status = shop.done("status", "--only", old, "--only", first)
    assert {tuple(group["pending"]) for group in status["groups"]} == {()}
    shop.done("provision", second, "--to", BASE)
    both = shop.only([old, first])
    told = shop.done("rollback", "--to", "0", *both)
    assert {result["tenant"]: result["deltas"] for result in told["results"]} == {
        old: [f"-{name}" for name in (TITLE, YEAR, BOOKS)],
        first: [f"-{name}" for name in (TITLE, BASE)],
    }
    assert [shop.fleet.columns(name, "books") for name in (old, first)] == [[], []]
    shop.done("apply", *both)
    assert [shop.fleet.columns(name, "books") for name in (old, first)] == [COLUMNS] * 2


def test_show_when_a_delta_is_a_baseline_then_it_says_what_takes_it_back(shop: Shop) -> None:
    (new,) = shop.new("new")
    shop.done("provision", new)
    told = shop.done("show", BASE)
    assert (told["header"]["baseline"], told["reverse"]) == (True, "parts")
    assert "reverse: that of each delta that it stands for" in shop("show", BASE).out
    assert "baseline=yes" in shop("show", BASE).out


@pytest.fixture
def servers(postgresql: PostgreSQL, tmp_path: Path) -> Any:
    (tmp_path / "deltas").mkdir()
    for name, text in FILES.items():
        (tmp_path / "deltas" / f"{name}.sql").write_text(text)
    (tmp_path / "url").write_text(postgresql.url())
    made: list[str] = []
    yield tmp_path, postgresql, made
    for name in made:
        quoted = name.replace('"', '""')
        postgresql.sql(f'DROP DATABASE IF EXISTS "{quoted}" WITH (FORCE)')


def test_provision_when_tenants_are_databases_then_one_is_made(cli: Cli, servers: Any) -> None:
    folder, server, made = servers
    made += [f"pv_{server.port}_{word}" for word in ('ac"me', "of", "out")]
    (folder / "pdelta.toml").write_text(
        '[databases.app]\nurl = "file:url"\ndeltas = "deltas"\n'
        f'tenants = {{ databases = "pv_{server.port}_*", exclude = "{made[2]}" }}\n'
    )
    told = cli("sql", "provision", made[0], "--json", cwd=folder).json()
    assert (told["made"], told["results"][0]["standing"]) == (made[:1], "after")
    assert server.sql("SELECT count(*) FROM books", made[0]) == [["1"]]
    cli("sql", "provision", "postgres", cwd=folder, status=2)
    cli("sql", "provision", made[2], cwd=folder, status=2)
    assert server.sql(f"SELECT count(*) FROM pg_database WHERE datname = '{made[2]}'") == [["0"]]  # noqa: S608 - ours


def test_provision_when_a_query_lists_tenants_then_it_must_list_the_new_one_first(cli: Cli, servers: Any) -> None:
    folder, server, made = servers
    made += [f"pv_{server.port}_{word}" for word in ("listed", "unlisted")]
    server.sql(f"CREATE TABLE customers (name text); INSERT INTO customers VALUES ('{made[0]}')")  # noqa: S608 - ours
    try:
        (folder / "pdelta.toml").write_text(
            '[databases.app]\nurl = "file:url"\ndeltas = "deltas"\n'
            'tenants = { query = "SELECT name FROM customers", of = "databases" }\n'
        )
        told = cli("sql", "provision", made[0], "--dry-run", "--json", cwd=folder).json()
        assert told["made"] == made[:1]
        assert "no tenant of app is called so" in cli("sql", "provision", made[1], cwd=folder, status=2).err
        cli("sql", "provision", made[0], cwd=folder)
        assert server.sql("SELECT count(*) FROM books", made[0]) == [["1"]]
        assert cli("sql", "status", "--json", cwd=folder).json()["tenants"] == 1
    finally:
        server.sql("DROP TABLE customers")
