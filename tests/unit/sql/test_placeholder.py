"""Placeholders: where they stand, what a value becomes there, and what is refused by name."""

import pytest

from pdelta.errors import ScriptError
from pdelta.sql.placeholder import Form, Placeholder, placeholders, quoted, template
from pdelta.sql.split import split
from pdelta.sql.token import Dialect, Mode

DELTA = "delta_20250315_a"


def fill(text: str, dialect: Dialect = Dialect.POSTGRESQL, **values: str) -> str:
    (statement,) = split(text, dialect)
    return template(statement, DELTA).fill(values, dialect, tenant="acme")


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("SELECT ${a}, ${b:number}, ${c:name}", "SELECT 'x''y', 5, \"t 1\""),
        ("SELECT ${a:text} AS a", "SELECT 'x''y' AS a"),
        ("${c:name}.${c:name}", '"t 1"."t 1"'),
        ("SELECT 1-${n:number}", "SELECT 1- -5"),
        ("SELECT 1 -${n:number}", "SELECT 1 - -5"),
        ("SELECT U&${a}", "SELECT U& 'x''y'"),
        (
            "SELECT '${a}', \"${a}\", $$${a}$$ /* ${a} */ -- ${a}\n, 1",
            "SELECT '${a}', \"${a}\", $$${a}$$ /* ${a} */ -- ${a}\n, 1",
        ),
        ("SELECT 1", "SELECT 1"),
    ],
)
def test_fill_when_a_statement_has_placeholders_then_each_is_one_token(text: str, filled: str) -> None:
    assert fill(text, a="x'y", b="5", c="t 1", n="-5") == filled


def test_fill_when_a_value_is_missing_then_delta_line_and_tenant_are_named() -> None:
    with pytest.raises(ScriptError) as caught:
        fill("SELECT 1,\n  ${region}", b="1")
    assert caught.value.message == f"{DELTA}.sql: line 2: tenant 'acme' has no value for ${{region}}"
    assert "pdelta.toml" in caught.value.hint


@pytest.mark.parametrize(
    ("form", "value", "named"),
    [
        ("number", "5; DROP TABLE x", "no number"),
        ("number", "", "no number"),
        ("number", "٣", "no number"),
        ("number", "1e", "no number"),
        ("number", "5.", "no number"),
        ("name", "", "empty"),
        ("name", "ä" * 32, "63 bytes"),
        ("text", "a\0b", "NUL"),
    ],
)
def test_fill_when_a_value_is_not_fit_then_it_is_refused_by_name(form: str, value: str, named: str) -> None:
    with pytest.raises(ScriptError, match=rf"line 1: the value of \$\{{a\}} in tenant 'acme' .*{named}"):
        fill(f"SELECT ${{a:{form}}}", a=value)


@pytest.mark.parametrize("value", ["5", "-5", "1.5", "-1.5e10", "2E-3", "007"])
def test_number_when_it_is_one_then_it_stands_as_it_is(value: str) -> None:
    assert quoted(value, Form.NUMBER, Dialect.MYSQL) == value


@pytest.mark.parametrize(
    ("value", "dialect", "modes", "text"),
    [
        ("a\\'b", Dialect.POSTGRESQL, frozenset(), "E'a\\\\''b'"),
        ("a\\'b", Dialect.MYSQL, frozenset(), "'a\\\\''b'"),
        ("a\\'b", Dialect.MYSQL, frozenset({Mode.NO_BACKSLASH_ESCAPES}), "'a\\''b'"),
        ("a\\'b", Dialect.SQLITE, frozenset(), "'a\\''b'"),
    ],
)
def test_text_when_it_holds_backslashes_then_the_dialect_reads_it_as_it_is(
    value: str, dialect: Dialect, modes: frozenset[Mode], text: str
) -> None:
    assert quoted(value, Form.TEXT, dialect, modes=modes) == text


@pytest.mark.parametrize(
    ("dialect", "text"),
    [(Dialect.POSTGRESQL, '"a""b`c"'), (Dialect.MYSQL, '`a"b``c`'), (Dialect.SQLITE, '"a""b`c"')],
)
def test_name_when_it_holds_quotes_then_they_are_doubled(dialect: Dialect, text: str) -> None:
    assert quoted('a"b`c', Form.NAME, dialect) == text


@pytest.mark.parametrize("text", ["tenant_${a}", "${a}_x", "'x'${a}", "${a}'x'", "${a}${b}", "E${a}", "1${a:number}"])
def test_template_when_a_placeholder_touches_a_token_then_it_is_refused(text: str) -> None:
    (statement,) = split(f"SELECT\n{text}", Dialect.POSTGRESQL)
    with pytest.raises(ScriptError, match=rf"{DELTA}\.sql: line 2: .* touches"):
        template(statement, DELTA)


def test_template_when_the_form_is_unknown_then_the_known_ones_are_named() -> None:
    with pytest.raises(ScriptError, match=r"\$\{a:ident\} asks for an unknown form") as caught:
        fill("SELECT ${a:ident}", a="x")
    assert "${a:name}" in caught.value.hint


def test_placeholders_when_a_delta_has_many_then_each_is_given_with_its_line() -> None:
    found = placeholders(split("SELECT ${a};\nSELECT -${b:number}", Dialect.SQLITE), DELTA)
    assert found == (Placeholder("a", Form.TEXT, 1), Placeholder("b", Form.NUMBER, 2, apart=True))
