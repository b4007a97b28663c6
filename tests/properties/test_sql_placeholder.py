"""A value of any text is one token wherever it is put, and the database gets it as it was."""

import sqlite3

from hypothesis import given
from hypothesis import strategies as st

from pdelta.sql.placeholder import Form, quoted, template
from pdelta.sql.split import split
from pdelta.sql.token import Dialect, Kind, Mode
from pdelta.sql.tokens import tokenize

CHARACTERS = st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"])
TEXTS = st.text(st.one_of(st.sampled_from("'\"`\\;-/*$\n{}"), CHARACTERS), max_size=20)
MODES = st.frozensets(st.sampled_from(Mode))


@given(TEXTS, st.sampled_from(Dialect), MODES)
def test_text_when_it_is_filled_in_then_it_is_one_string_and_nothing_else_changes(
    value: str, dialect: Dialect, modes: frozenset[Mode]
) -> None:
    (statement,) = split("SELECT 1 -${a}&${a} FROM t", dialect, modes=modes)
    filled = template(statement, "delta_20250315_a").fill({"a": value}, dialect, tenant="t", modes=modes)
    kinds = "".join(token.kind for token in tokenize(filled, dialect, modes=modes))
    assert kinds == "".join(token.kind for token in statement.tokens).replace("p", "s")


@given(TEXTS.filter(bool).map(lambda text: text[:15]), st.sampled_from(Dialect), MODES)
def test_name_when_it_is_filled_in_then_it_is_one_name(value: str, dialect: Dialect, modes: frozenset[Mode]) -> None:
    (token,) = tokenize(quoted(value, Form.NAME, dialect), dialect, modes=modes)
    assert token.kind is Kind.QUOTED


@given(TEXTS, TEXTS.filter(bool))
def test_values_when_sqlite_reads_them_then_it_has_them_as_they_were(value: str, name: str) -> None:
    text, column = quoted(value, Form.TEXT, Dialect.SQLITE), quoted(name, Form.NAME, Dialect.SQLITE)
    connection = sqlite3.connect(":memory:")
    found = connection.execute(f"SELECT {text} AS {column}")
    assert (found.description[0][0], found.fetchone()) == (name, (value,))
    connection.close()
