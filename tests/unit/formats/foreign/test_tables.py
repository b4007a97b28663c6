"""What the tables of other tools say, and which deltas that means: rows in, ids out."""

from collections.abc import Sequence
from typing import Any

import pytest

from pdelta.formats.foreign.matching import Matching, match
from pdelta.formats.foreign.tables import NAMES, TABLES, Chronicle, canonical, read_rows
from pdelta.sql.script import Replaced, Script, Tool


def names(chronicle: Chronicle) -> list[str]:
    return [entry.names[0] for entry in chronicle.entries]


def deltas(tool: Tool, *versions: str) -> list[Script]:
    """Give a delta for each of these words, which names its versions with commas between them; ``-`` for none."""
    scripts = []
    for number, held in enumerate(versions):
        replaced = () if held == "-" else tuple(Replaced(tool, version) for version in held.split(","))
        scripts.append(Script(f"delta_{number}", f"d{number}", replaces=replaced))
    return scripts


@pytest.mark.parametrize("tool", Tool)
def test_table_when_a_tool_has_one_then_its_columns_are_known(tool: Tool) -> None:
    table = TABLES[tool]
    assert table.order in table.columns
    assert table.name in NAMES
    assert not set(table.unlike) & set(table.columns)


@pytest.mark.parametrize(
    ("tool", "rows", "had"),
    [
        (Tool.ALEMBIC, [("ae10",), ("bf20",)], ["ae10", "bf20"]),
        (Tool.DBMATE, [("20250101",), ("0007",)], ["20250101", "0007"]),
        (
            Tool.DJANGO,
            [(1, "app", "0001_initial"), (2, "auth", "0001_initial")],
            ["app.0001_initial", "auth.0001_initial"],
        ),
        (Tool.GOOSE, [(1, 0, True), (2, 7, True), (3, 8, 1), (4, 7, False)], ["8"]),
        (Tool.GOOSE, [(1, 0, True), (2, 7, True), (3, 7, False), (4, 7, True)], ["7"]),
        (Tool.GOLANG_MIGRATE, [(20250101, False)], ["20250101"]),
        (Tool.GOLANG_MIGRATE, [], []),
        (
            Tool.LIQUIBASE,
            [
                (1, "1", "ada", "a.xml", "EXECUTED"),
                (2, "2", "ada", "a.xml", "FAILED"),
                (3, "3", "bob", "b.xml", "MARK_RAN"),
            ],
            ["a.xml::1::ada", "b.xml::3::bob"],
        ),
        (
            Tool.FLYWAY,
            [
                (0, None, "<< Flyway Schema Creation >>", "SCHEMA", True),
                (1, "1", "users", "SQL", 1),
                (2, "1.1", "age", "SQL", 1),
                (3, None, "all views", "SQL", 1),
                (4, "1.1", "age", "UNDO_SQL", 1),
                (5, "2", "gone", "SQL", 1),
                (6, "2", "gone", "DELETE", 1),
                (7, "3", "java", "JDBC", 1),
            ],
            ["1", "R all views", "3"],
        ),
    ],
)
def test_rows_when_they_are_read_then_what_the_tool_says_it_has(
    tool: Tool, rows: Sequence[Sequence[Any]], had: list[str]
) -> None:
    chronicle = read_rows(tool, rows)
    assert (names(chronicle), chronicle.problems) == (had, ())


@pytest.mark.parametrize(
    ("tool", "rows", "told"),
    [
        (Tool.GOLANG_MIGRATE, [(7, True)], "its version 7 is dirty: it stopped half-way"),
        (Tool.FLYWAY, [(1, "1", "a", "SQL", True), (2, "2", "b", "SQL", False)], "its version 2 failed"),
    ],
)
def test_rows_when_the_tool_stopped_half_way_then_it_is_a_problem(
    tool: Tool, rows: Sequence[Sequence[Any]], told: str
) -> None:
    assert read_rows(tool, rows).problems == (told,)


@pytest.mark.parametrize(
    ("tool", "first", "second", "equal"),
    [
        (Tool.FLYWAY, "1", "1.0", True),
        (Tool.FLYWAY, "1_2", "1.2", True),
        (Tool.FLYWAY, "1.2", "1.20", False),
        (Tool.FLYWAY, "R a_b", "R a.b", False),
        (Tool.GOOSE, "00007", "7", True),
        (Tool.GOLANG_MIGRATE, "007", "7", True),
        (Tool.DBMATE, "007", "7", False),
        (Tool.ALEMBIC, "AE10", "ae10", False),
    ],
)
def test_canonical_when_versions_are_compared_then_as_the_tool_does(
    tool: Tool, first: str, second: str, equal: bool
) -> None:
    assert (canonical(tool, first) == canonical(tool, second)) is equal


@pytest.mark.parametrize(
    ("versions", "heads", "ids", "unmatched"),
    [
        (["a", "b", "c"], ["b"], "d0 d1", []),
        (["a", "b", "c"], ["c"], "d0 d1 d2", []),
        (["a", "-", "c"], ["c"], "d0 d2", []),
        (["a,b,c", "d"], ["c"], "d0", []),
        (["a,b,c", "d"], ["b"], "", ["2 of the 3 that d0 replaces"]),
        (["a", "b"], ["x"], "", ["x"]),
        (["a", "b"], ["a", "x"], "d0", ["x"]),
        (["a", "b"], [], "", []),
    ],
)
def test_match_when_a_tool_keeps_heads_alone_then_all_before_them_is_had(
    versions: list[str], heads: list[str], ids: str, unmatched: list[str]
) -> None:
    chronicle = read_rows(Tool.ALEMBIC, [(head,) for head in heads])
    found = match(Tool.ALEMBIC, chronicle, deltas(Tool.ALEMBIC, *versions))
    assert found == Matching(tuple(ids.split()), tuple(unmatched))


@pytest.mark.parametrize(
    ("versions", "number", "ids", "unmatched"),
    [
        (["1", "2", "3"], 2, "d0 d1", []),
        (["10", "9"], 9, "d1", []),
        (["1", "3"], 2, "d0", ["2"]),
        (["1,2", "3"], 1, "", ["1 of the 2 that d0 replaces"]),
    ],
)
def test_match_when_a_tool_keeps_a_number_then_no_greater_one_is_had(
    versions: list[str], number: int, ids: str, unmatched: list[str]
) -> None:
    chronicle = read_rows(Tool.GOLANG_MIGRATE, [(number, False)])
    found = match(Tool.GOLANG_MIGRATE, chronicle, deltas(Tool.GOLANG_MIGRATE, *versions))
    assert found == Matching(tuple(ids.split()), tuple(unmatched))


def test_match_when_a_tool_keeps_everything_then_each_entry_counts() -> None:
    rows = [(number, "app", name) for number, name in enumerate(["1", "2", "4"])] + [(9, "auth", "1")]
    chronicle = read_rows(Tool.DJANGO, rows)
    scripts = deltas(Tool.DJANGO, "app.1", "app.2,app.3", "app.4", "-", "app.5")
    partly = "1 of the 2 that d1 replaces"
    assert match(Tool.DJANGO, chronicle, scripts) == Matching(("d0", "d2"), ("auth.1", partly))
    assert match(Tool.DJANGO, chronicle, scripts, ignore=["auth.*"]) == Matching(("d0", "d2"), (partly,))
    assert match(Tool.DJANGO, chronicle, deltas(Tool.GOOSE, "1")).ids == ()


def test_match_when_flyway_began_with_a_baseline_then_what_is_not_newer_is_had() -> None:
    rows = [(1, "1.5", "<< Flyway Baseline >>", "BASELINE", True), (2, "2", "b", "SQL", True)]
    found = match(Tool.FLYWAY, read_rows(Tool.FLYWAY, rows), deltas(Tool.FLYWAY, "1", "1.5", "1.6", "2", "R v"))
    assert found == Matching(("d0", "d1", "d3"), ())


def test_match_when_a_change_set_of_liquibase_is_named_shortly_then_only_where_that_means_one() -> None:
    rows = [
        (1, "1", "ada", "a.xml", "EXECUTED"),
        (2, "1", "bob", "b.xml", "EXECUTED"),
        (3, "2", "ada", "a.xml", "RERAN"),
    ]
    chronicle = read_rows(Tool.LIQUIBASE, rows)
    assert match(Tool.LIQUIBASE, chronicle, deltas(Tool.LIQUIBASE, "1::ada", "b.xml::1::bob", "2")).unmatched == ()
    assert match(Tool.LIQUIBASE, chronicle, deltas(Tool.LIQUIBASE, "1", "2")) == Matching(
        ("d1",), ("a.xml::1::ada", "b.xml::1::bob")
    )
