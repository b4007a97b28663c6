"""``pdelta sql show`` as its users meet it: the command line, on every engine."""

import re

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import ORIGIN, Fleet

FULL = """-- pdelta: id=gate lock_timeout=2s requires=delta_20250315_add_last_login phase=expand
-- pdelta: allow="table-rewrite: it's small" irreversible="rows are gone"
-- +check
-- SELECT count(*) = 2 FROM users;
-- +forward
DELETE FROM users WHERE id = 2;
DELETE FROM users WHERE id = 3;
-- +verify
-- SELECT count(*) = 1 FROM users;
"""


@pytest.fixture
def desk(fleet: Fleet, cli: Cli) -> Desk:
    return Desk(fleet, cli)


def held(told: dict[str, object]) -> dict[str, int]:
    return {group["having"]: len(group["tenants"]) for group in told["holdings"]}  # type: ignore[attr-defined]


def test_show_when_some_have_it_then_what_it_is_who_has_it_and_from_which_run(desk: Desk) -> None:
    first, second, *_ = desk.fleet.names
    one = desk.done("apply", "--only", first, "--only", second)["run"]
    other = desk.done("apply", "--only", desk.fleet.names[5])["run"]
    told = desk.done("show", f"{NAME}.sql")
    assert (told["id"], told["reverse"], told["tenants"]) == (NAME, "written", 12)
    assert told["file"].endswith(f"deltas/{NAME}.sql")
    assert told["statements"]["reverse"] == ["ALTER TABLE users DROP COLUMN last_login"]
    assert held(told) == {"lacks": 9, "has": 3}
    assert [(came["run"], came["tenants"]) for came in told["arrivals"]] == [
        (one, [first, second]),
        (other, [desk.fleet.names[5]]),
    ]
    assert [len(way["tenants"]) for way in told["ways_back"]] == [3]
    assert told["history"] is None
    text = desk("show", NAME).out
    assert "    ALTER TABLE users ADD COLUMN last_login TIMESTAMP;" in text
    assert re.search(r"^ +9 {2}lack it$", text, re.MULTILINE)
    assert f"{one} brought it to 2 tenants" in text
    assert "reverse in" not in text


def test_show_when_it_came_and_went_then_its_history_in_a_tenant_tells_so(desk: Desk) -> None:
    one = desk.fleet.names[0]
    assert desk.done("show", NAME, "--only", one)["history"] == []
    assert "it never was in these tenants" in desk("show", NAME, "--only", one).out
    runs = [desk.done(verb, "--only", one)["run"] for verb in ("apply", "rollback", "apply")]
    told = desk.done("show", NAME, "--only", one, "--only", desk.fleet.names[1])
    assert [(it["tenant"], it["what"], it["run"]) for it in told["history"]] == [
        (one, what, run) for what, run in zip(("applied", "reversed", "applied"), runs, strict=True)
    ]
    assert held(told) == {"has": 1, "lacks": 1}
    assert re.search(rf"{re.escape(one)}\n  \S+  applied   {runs[0]}, ", desk("show", NAME, "--only", one).out)


def test_show_when_its_header_says_much_then_all_of_it_is_told(desk: Desk) -> None:
    desk.project.write("delta_20250316_gate", FULL)
    told = desk.done("show", "gate")
    assert told["file"].endswith("delta_20250316_gate.sql")
    assert (told["reverse"], told["header"]["lock_timeout_ms"], told["header"]["phase"]) == ("none", 2000, "expand")
    assert [len(told["statements"][part]) for part in ("check", "forward", "verify", "reverse")] == [1, 2, 1, 0]
    text = desk("show", "delta_20250316_gate").out
    assert f"  lock_timeout=2000ms requires={NAME} phase=expand\n  irreversible: rows are gone\n" in text
    assert "  may break table-rewrite: it's small\n" in text
    assert "\nreverse: none\n" in text


def test_show_when_it_was_edited_then_who_has_the_other_version(desk: Desk) -> None:
    desk.done("apply", "--only", desk.fleet.names[0])
    desk.project.write(NAME, ORIGIN.replace("TIMESTAMP", "DATE").replace("COLUMN last_login;", "last_login;"))
    told = desk.done("show", NAME)
    assert held(told) == {"lacks": 11, "other": 1}
    text = desk("show", NAME).out
    assert "have another version of it" in text
    assert f"reverse in 1 tenant: {desk.fleet.names[0]}\n    ALTER TABLE users DROP COLUMN last_login;" in text


def test_show_when_no_reverse_is_written_then_those_that_ledgers_hold(desk: Desk) -> None:
    desk.project.write("delta_20250316_age", "ALTER TABLE users ADD COLUMN age integer;\n")
    told = desk.done("show", "delta_20250316_age")
    assert (told["reverse"], told["statements"]["reverse"], held(told)) == ("derived", [], {"lacks": 12})
    assert "reverse: derived in each tenant" in desk("show", "delta_20250316_age").out
    if desk.fleet.engine == "postgresql":
        desk.done("apply")
        (way,) = desk.done("show", "delta_20250316_age")["ways_back"]
        assert "DROP COLUMN" in way["reverse"]
        assert way["tenants"] == desk.fleet.names
        assert "reverse in 12 tenants" in desk("show", "delta_20250316_age").out


def test_show_when_no_file_tells_of_it_then_ledgers_and_histories_do(desk: Desk) -> None:
    desk.project.write("delta_20250316_age", "SELECT 1;\n-- Reversible delta\n-- SELECT 2;\n")
    desk.done("apply")
    (desk.project.deltas / "delta_20250316_age.sql").unlink()
    told = desk.done("show", "delta_20250316_age")
    assert (told["file"], told["header"], told["reverse"], held(told)) == ("", None, None, {"has": 12})
    assert "no file tells of it" in desk("show", "delta_20250316_age").out
    desk.done("rollback", "--to", NAME)
    assert "there is no delta" in desk("show", "delta_20250316_age", status=2).err
    only = desk.done("show", "delta_20250316_age", "--only", desk.fleet.names[3])
    assert [it["what"] for it in only["history"]] == ["applied", "reversed"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["delta_20990101_no"], "there is no delta 'delta_20990101_no'"),
        (["x' OR 'a' = 'a"], "is no name of a delta"),
        ([NAME, "--only", "nobody"], "means no tenant of 12"),
    ],
)
def test_show_when_it_makes_no_sense_then_it_says_why(desk: Desk, words: list[str], told: str) -> None:
    assert told in desk("show", *words, status=2).err
