"""``pdelta sql drift --delta``: the delta from one group of tenants to another, and all of them alike by it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fixtures.cli import Cli, Result

NAME: Final = "delta_20250401_like_the_others"
ALL: Final = ("--only", "[abcd].sqlite")
TABLE: Final = "users (id integer PRIMARY KEY, name text)"
MISSING: Final = "missing index users_by_name on users"


class Fleet:
    """Five tenants that are files; ``d`` lacks an index, and ``e`` has a column of its own."""

    def __init__(self, cli: Cli, folder: Path) -> None:
        self._cli, self._folder = cli, folder
        (folder / "deltas").mkdir()
        (folder / "pdelta.toml").write_text('[databases.app]\ndeltas = "deltas"\ntenants = { files = "*.sqlite" }\n')
        for name in "abcde":
            self.run(name, f"CREATE TABLE {TABLE}")
            if name != "d":
                self.run(name, "CREATE INDEX users_by_name ON users (name)")
        self.run("e", "ALTER TABLE users ADD COLUMN age integer")

    def run(self, name: str, sql: str) -> None:
        with closing(sqlite3.connect(self._folder / f"{name}.sqlite")) as connection:
            connection.executescript(sql)

    def __call__(self, *words: str, status: int | None = 0) -> Result:
        return self._cli("sql", *words, cwd=self._folder, status=status)

    def told(self, *words: str) -> Any:
        return self("drift", *words, "--json", status=4).json()

    def write(self, name: str, text: str) -> Path:
        file = self._folder / f"deltas/{name}.sql"
        file.write_text(text)
        return file


@pytest.fixture
def fleet(cli: Cli, tmp_path: Path) -> Fleet:
    return Fleet(cli, tmp_path)


def test_drift_when_a_delta_is_asked_for_then_it_brings_one_group_to_the_first(fleet: Fleet) -> None:
    result = fleet("drift", "--delta", *ALL, status=4)
    assert (result.out.splitlines()[0], result.err) == (
        "-- takes what 'd.sqlite' is made of to what 'a.sqlite' and 2 more are made of",
        "",
    )
    file = fleet.write(NAME, result.out)
    fleet("lint")
    fleet("apply", "--only", "d.sqlite")
    assert "4 tenants, all made alike" in fleet("drift", *ALL).out
    file.unlink()
    fleet("rollback", "--only", "d.sqlite")
    assert fleet.told(*ALL)["groups"][1]["differences"] == [MISSING]


def test_drift_when_no_tool_kept_the_tenants_then_all_are_taken_in_by_its_delta(fleet: Fleet) -> None:
    first = f"CREATE TABLE {TABLE};\nCREATE INDEX users_by_name ON users (name);\n-- +reverse\n-- DROP TABLE users;\n"
    fleet.write("delta_20250301_everything", first)
    fleet("adopt", "--up-to", "delta_20250301_everything", *ALL, status=3)
    file = fleet.write(NAME, fleet("drift", "--delta", *ALL, status=4).out)
    fleet("adopt", "--up-to", "delta_20250301_everything", "--only", "d.sqlite")
    fleet("apply", "--only", "d.sqlite")
    file.unlink()
    assert "in 3 of 4 tenants" in fleet("adopt", "--up-to", "delta_20250301_everything", *ALL).out
    fleet("provision", "new.sqlite")
    assert "nothing to do" in fleet("apply", *ALL, "--only", "new.sqlite").out
    assert "5 tenants, all made alike" in fleet("drift", *ALL, "--only", "new.sqlite").out


@pytest.mark.parametrize(
    ("words", "group", "begins"),
    [
        (["--delta", "B"], 1, "-- takes what 'd.sqlite' is made of to what 'a.sqlite' and 2 more are made of"),
        (["--delta=d.sqlite"], 1, "-- takes what 'd.sqlite' is made of to what 'a.sqlite' and 2 more are made of"),
        (["--delta", "C"], 2, "-- takes what 'e.sqlite' is made of to what 'a.sqlite' and 2 more are made of"),
        (
            ["--like", "e.sqlite", "--delta", "b.sqlite"],
            1,
            "-- takes what 'a.sqlite' and 2 more are made of to what 'e.sqlite' is made of",
        ),
    ],
)
def test_drift_when_a_group_is_named_then_its_delta_is_written(
    fleet: Fleet, words: Sequence[str], group: int, begins: str
) -> None:
    result = fleet("drift", *words, status=4)
    assert result.out.startswith(begins)
    groups = fleet.told(*words)["groups"]
    assert [one["group"] for one in groups] == ["A", "B", "C"]
    if group == 2:
        assert (groups[group]["delta"], len(groups[group]["left"])) == ("", 1)
        assert "warning: there is nothing to apply in it" in result.err
    else:
        assert groups[group]["delta"] == result.out
    assert [one["delta"] for place, one in enumerate(groups) if place != group] == ["", ""]


def test_drift_when_no_delta_is_asked_for_then_its_document_has_none(fleet: Fleet) -> None:
    assert [(one["group"], one["delta"], one["left"]) for one in fleet.told()["groups"]] == [
        ("A", "", []),
        ("B", "", []),
        ("C", "", []),
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--delta"], "groups B to C differ from A, and none is named for the delta"),
        (["--delta", "A"], "'A' is what the others are compared with"),
        (["--delta", "c.sqlite"], "'c.sqlite' is what the others are compared with"),
        (["--delta", "D"], "there is no group or tenant 'D'"),
    ],
)
def test_drift_when_it_is_not_sure_which_group_is_meant_then_it_is_refused(
    fleet: Fleet, words: Sequence[str], said: str
) -> None:
    result = fleet("drift", *words, status=2)
    assert said in result.err
    assert result.out == ""


def test_drift_when_all_are_alike_then_there_is_no_delta_but_a_comment(fleet: Fleet) -> None:
    assert fleet("drift", "--only", "[abc].sqlite", "--delta").out == "-- app: 3 tenants, all made alike\n"
    assert fleet("diff", "a.sqlite", "b.sqlite", "--delta").out == "-- b.sqlite is made like a.sqlite\n"
    (one,) = fleet("drift", "--only", "[abc].sqlite", "--delta", "--json").json()["groups"]
    assert (one["delta"], one["left"]) == ("", [])


def test_drift_when_a_tenant_has_the_name_of_another_group_then_it_is_asked_which_is_meant(
    fleet: Fleet, tmp_path: Path
) -> None:
    (tmp_path / "e.sqlite").rename(tmp_path / "C")
    (tmp_path / "pdelta.toml").write_text('[databases.app]\ndeltas = "deltas"\ntenants = { files = "[a-dC]*" }\n')
    assert [one["tenants"] for one in fleet.told()["groups"][1:]] == [["C"], ["d.sqlite"]]
    result = fleet("drift", "--delta", "C", status=2)
    assert "C is the name of a group, and of a tenant of group B" in result.err
    assert "is made of to what" in fleet("drift", "--delta", "B", status=4).out


def test_drift_when_a_tenant_can_not_be_read_then_the_delta_is_written_and_it_is_named(
    fleet: Fleet, tmp_path: Path
) -> None:
    (tmp_path / "e.sqlite").write_text("no database" * 100)
    result = fleet("drift", "--delta", status=4)
    assert result.out.startswith("-- takes what 'd.sqlite' is made of")
    assert result.err == "warning: 1 tenant can't be read, and in no group: e.sqlite\n"
