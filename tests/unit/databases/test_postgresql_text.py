"""What is said about the texts of deltas before they are sent, and how names and values are put into SQL."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.databases.postgresql.quoting import is_name, literal, name
from pdelta.databases.postgresql.script import Line, Script
from pdelta.databases.postgresql.statement import look_over, single
from pdelta.errors import ScriptError
from pdelta.sql.split import split
from pdelta.sql.token import Dialect, Kind

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(TEXTS)
def test_literal_when_read_back_then_it_is_one_string_of_that_value(text: str) -> None:
    (statement,) = split(f"SELECT {literal(text)}", Dialect.POSTGRESQL)
    _select, token = statement.tokens
    assert token.kind is Kind.STRING
    body = token.text.removeprefix("E")[1:-1].replace("''", "'")
    assert (body.replace("\\\\", "\\") if token.text.startswith("E") else body) == text


@given(TEXTS)
def test_name_when_read_back_then_it_is_one_name_or_no_name_at_all(text: str) -> None:
    if not is_name(text):
        assert not 0 < len(text.encode()) <= 63
        with pytest.raises(ValueError, match="no name"):
            name(text)
        return
    (statement,) = split(f"SELECT {name(text)}", Dialect.POSTGRESQL)
    assert [token.kind for token in statement.tokens] == [Kind.WORD, Kind.QUOTED]
    assert statement.tokens[1].text[1:-1].replace('""', '"') == text


@pytest.mark.parametrize("text", ["", "a\0b", "x" * 64, "ü" * 32])
def test_is_name_when_the_server_would_cut_or_refuse_it_then_it_is_none(text: str) -> None:
    assert not is_name(text)


def test_look_over_when_a_text_has_several_statements_then_each_is_given_without_its_end() -> None:
    looked = look_over("-- a\nSELECT 1 /* b */ ; ; SELECT ';' -- c")
    assert looked.statements == ("SELECT 1", "SELECT ';'")
    assert single("SELECT 1;") == "SELECT 1"
    for text in ("", "-- nothing", "SELECT 1; SELECT 2"):
        with pytest.raises(ScriptError, match="where there must be one"):
            single(text)


@pytest.mark.parametrize(
    ("text", "leaves", "temporary", "role"),
    [
        ("UPDATE users SET a = 1", False, False, False),
        ("ALTER TABLE users ALTER a SET NOT NULL", False, False, False),
        ("SET LOCAL lock_timeout = 1", False, False, False),
        ("SET CONSTRAINTS ALL DEFERRED", False, False, False),
        ("SET lock_timeout = 1", True, False, False),
        ("SET SESSION lock_timeout = 1", True, False, False),
        ("RESET ALL", True, False, False),
        ("SET ROLE clerk", True, False, True),
        ("SET LOCAL ROLE clerk", False, False, True),
        ("SET SESSION AUTHORIZATION clerk", True, False, True),
        ("SELECT set_config('a.b', 'c', false)", True, False, False),
        ("SELECT pg_try_advisory_lock_shared(1)", True, False, False),
        ("SELECT pg_advisory_xact_lock(1)", False, False, False),
        ("CREATE TEMP TABLE a ()", False, True, False),
        ("CREATE TABLE pg_temp.a ()", False, True, False),
        ("INSERT INTO a VALUES ('SET temp')", False, False, False),
        ("DO $$ BEGIN SET x = 1; CREATE TEMP TABLE a (); END $$", True, True, False),
        ("CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SET x = 1'", False, False, False),
    ],
)
def test_look_over_when_something_would_be_left_behind_then_it_says_what(
    text: str, leaves: bool, temporary: bool, role: bool
) -> None:
    looked = look_over(text)
    assert (looked.leaves, looked.temporary, looked.role) == (leaves, temporary, role)


@pytest.mark.parametrize(
    "text", ["ROLLBACK TO a", "ROLLBACK WORK TO SAVEPOINT a", "SAVEPOINT a", "RELEASE a", "PREPARE a AS SELECT 1"]
)
def test_look_over_when_a_statement_only_looks_like_an_end_then_it_passes(text: str) -> None:
    assert look_over(text).statements == (text,)


@pytest.mark.parametrize(("position", "inside"), [(0, 0), (1, 0), (9, 0), (10, 0), (11, 1), (12, 2), (18, 8), (19, 0)])
def test_position_when_it_is_in_the_string_then_it_is_known_in_its_statement(position: int, inside: int) -> None:
    script = Script([Line("SELECT 1"), Line("SELECT 2"), Line("COMMIT")])
    assert script.text == "SELECT 1;\nSELECT 2;\nCOMMIT"
    assert script.position(1, position) == inside
