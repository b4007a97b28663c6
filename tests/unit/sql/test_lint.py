"""Lint: every rule with its bad and its good example, the golden cases, and how findings are weighed."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pglast
import pytest

from pdelta.formats.sql_delta import parse_delta
from pdelta.sql.lint.finding import Fleet, LintFinding, Severity, TableSize
from pdelta.sql.lint.script import RULES, counts, lint_script
from pdelta.sql.script import Part
from pdelta.sql.token import Dialect

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests/golden/sql-lint"
EXAMPLES = json.loads((GOLDEN / "rules.json").read_text())
CASES = json.loads((GOLDEN / "cases.json").read_text())
BLOCKS = json.loads((GOLDEN / "blocks.json").read_text())
PAGE = (ROOT / "docs/reference/sql-lint.md").read_text()
EVERYWHERE = "no-reverse"
"""What every example without a reverse has."""


def lint(text: str, dialect: str, fleet: dict[str, Any] | None = None) -> tuple[LintFinding, ...]:
    script = parse_delta(text.encode(), name="delta_20250315_a", dialect=Dialect(dialect))
    return lint_script(script, Dialect(dialect), fleet=msgspec.convert(fleet or {}, Fleet))


def told(findings: tuple[LintFinding, ...], *, but: str = EVERYWHERE) -> list[list[Any]]:
    return [[one.line, str(one.severity), one.rule, one.what] for one in findings if one.rule != but]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["rule"])
def test_rule_when_its_examples_are_linted_then_the_bad_one_has_it_and_the_good_one_has_not(
    example: dict[str, Any],
) -> None:
    rule = RULES[example["rule"]]
    assert Dialect(example["dialect"]) in rule.dialects
    but = "" if rule.name == EVERYWHERE else EVERYWHERE
    bad = lint(example["bad"], example["dialect"], example["fleet"])
    assert told(bad, but=but) == example["findings"]
    assert [one for one in bad if (one.rule, one.why, one.safe) == (rule.name, rule.why, rule.safe)]
    good = lint(example["good"], example["dialect"], example["fleet"])
    assert told(good, but=but) == example["left"]
    assert rule.name not in {one.rule for one in good}


def test_rules_when_they_are_listed_then_each_has_an_example() -> None:
    assert [example["rule"] for example in EXAMPLES] == list(RULES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["rule"])
def test_rule_when_it_exists_then_the_page_has_its_row_and_its_examples(example: dict[str, Any]) -> None:
    rule = RULES[example["rule"]]
    every = len(rule.dialects) == len(Dialect)
    engines = "all" if every else ", ".join(rule.dialects)
    assert f"\n| `{rule.name}` | {rule.severity} | {engines} | {rule.why} | {rule.safe} |\n" in PAGE
    assert f"\n{example['bad']}\n" in PAGE
    assert f"\n{example['good']}\n" in PAGE


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['dialect']}: {case['text'][:60]!r}")
def test_case_when_it_is_golden_then_the_findings_are_its(case: dict[str, Any]) -> None:
    found = [
        [one.line, str(one.part), str(one.severity), one.rule, one.what]
        for one in lint(case["text"], case["dialect"], case["fleet"])
        if one.rule != EVERYWHERE
    ]
    assert found == case["findings"]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["what"])
def test_block_when_postgresql_executes_it_then_its_statements_are_found_and_nothing_else(
    block: dict[str, Any],
) -> None:
    found = lint(block["text"], "postgresql", {"fan": "schemas", "shared": ["shared"]})
    rules = {"transaction-control", "session-setting", "cluster-global", "qualified-name", "qualified-read"}
    assert [f"{one.line} {one.rule} {one.what}" for one in found if one.rule in rules] == block["findings"]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["what"])
def test_block_when_postgresql_parses_it_then_it_is_one(block: dict[str, Any]) -> None:
    for text in statements(block["text"], Dialect.POSTGRESQL):
        # It looks types up, and knows two schemas.
        assert pglast.parse_plpgsql(text.replace("tenant_1.", "public.")) or not text.startswith("DO")


def test_block_when_texts_stand_in_texts_without_end_then_they_are_read_in_no_time() -> None:
    text = "COMMIT"
    for number in range(2_000):
        text = f"DO $a{number}$ BEGIN {text}; END $a{number}$"
    assert told(lint(f"{text};", "postgresql")) == []


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
def test_rule_when_it_speaks_then_it_is_a_phrase(rule: Any) -> None:
    for text in (rule.why, rule.safe):
        assert text
        assert not text.endswith(".")
        assert "  " not in text


def test_size_when_a_table_is_small_then_only_what_fails_is_found() -> None:
    text = "ALTER TABLE t ALTER a TYPE bigint, ADD b int NOT NULL;"
    fleet = {"sizes": {"t": {"rows": 10_000, "bytes": 1 << 20}}}
    assert {one.rule for one in lint(text, "postgresql", fleet)} == {"column-not-null-without-default", "no-reverse"}
    for larger in ({"rows": 10_001, "bytes": 0}, {"rows": 1, "bytes": (16 << 20) + 1}):
        rules = {one.rule for one in lint(text, "postgresql", {"sizes": {"t": larger}})}
        assert "change-type" in rules
    assert msgspec.convert(fleet, Fleet).sizes == {"t": TableSize(10_000, 1 << 20)}


def test_allowance_when_the_header_has_one_then_the_finding_keeps_its_reason_and_does_not_count() -> None:
    found = {one.rule: one for one in lint('-- pdelta: allow="truncate: a cache"\nTRUNCATE t;', "postgresql")}
    assert found["truncate"].allowed == "a cache"
    assert not counts(found["truncate"], strict=True)
    other = next(one for one in lint("TRUNCATE t;", "postgresql") if one.rule == "truncate")
    assert counts(other)


def test_others_when_another_program_found_something_then_it_is_sorted_in_and_can_be_allowed() -> None:
    text = '-- pdelta: allow="prefer-robust-stmts: no"\nSELECT 1;\n\nSELECT 2;'
    script = parse_delta(text.encode(), name="delta_20250315_a", dialect=Dialect.POSTGRESQL)
    other = LintFinding("f", 4, "squawk/prefer-robust-stmts", Severity.WARNING, Part.FORWARD, "w", "y")
    found = lint_script(script, Dialect.POSTGRESQL, others=[other])
    assert [(one.rule, one.allowed) for one in found] == [("no-reverse", ""), ("squawk/prefer-robust-stmts", "no")]


def test_strict_when_it_is_asked_for_then_warnings_count_and_hints_do_not() -> None:
    found = {one.severity: one for one in lint("DROP TABLE t; TRUNCATE u;", "postgresql")}
    assert {severity: counts(one) for severity, one in found.items()} == {
        Severity.HINT: False,
        Severity.WARNING: False,
        Severity.ERROR: True,
    }
    assert counts(found[Severity.WARNING], strict=True)
    assert not counts(found[Severity.HINT], strict=True)


def statements(text: str, dialect: Dialect) -> list[str]:
    script = parse_delta(text.encode(), name="delta_20250315_a", dialect=dialect)
    return [one.text for one in script.statements(Part.FORWARD, dialect)]


@pytest.mark.parametrize(
    "text",
    [example[key] for example in EXAMPLES if example["dialect"] == "postgresql" for key in ("bad", "good")],
)
def test_example_when_postgresql_parses_it_then_it_is_sql(text: str) -> None:
    for statement in statements(text, Dialect.POSTGRESQL):
        assert pglast.parse_sql(statement.replace("${region}", "1"))


@pytest.mark.parametrize(
    "example", [one for one in EXAMPLES if one["dialect"] == "sqlite"], ids=lambda example: example["rule"]
)
def test_example_when_sqlite_executes_it_then_errors_are_errors(example: dict[str, Any]) -> None:
    def execute(text: str) -> str:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.executescript(
            "PRAGMA foreign_keys = ON; CREATE TABLE teams (id INTEGER PRIMARY KEY); INSERT INTO teams VALUES (1);"
            "CREATE TABLE users (id INTEGER PRIMARY KEY, nick TEXT); INSERT INTO users VALUES (1, 'x');"
        )
        try:
            for statement in statements(text, Dialect.SQLITE):
                connection.execute(statement)
        except sqlite3.OperationalError as error:
            return str(error)
        finally:
            connection.close()
        return ""

    assert execute(example["good"]) == ""
    assert bool(execute(example["bad"])) is (RULES[example["rule"]].severity is Severity.ERROR)


@pytest.mark.parametrize("beginning", ["-- pdelta: transaction=none\n", "VACUUM t;"])
def test_setting_when_no_transaction_holds_the_delta_then_the_one_that_ends_with_its_step(beginning: str) -> None:
    text = "SET work_mem = '1MB'; RESET work_mem; SET LOCAL work_mem = '2MB'; DO 'BEGIN SET LOCAL a.b = 1; END'"
    found = [one.what for one in lint(f"{beginning}{text};", "postgresql") if one.rule == "session-setting"]
    assert found == ["SET LOCAL ends with its step: pdelta sql apply refuses it"]
