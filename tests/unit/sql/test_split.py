"""Cutting SQL: the vectors, what is refused, and the time that it takes."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from pdelta.errors import FormatError, ScriptError
from pdelta.sql.split import split
from pdelta.sql.token import Dialect, Kind, Mode
from pdelta.sql.tokens import tokenize

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/sql-delta/statements.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['dialect']}: {vector['text'][:40]!r}")
def test_statements_when_they_are_a_vector_then_cuts_and_lines_are_its(vector: dict[str, Any]) -> None:
    modes = frozenset(map(Mode, vector.get("modes", [])))
    found = split(vector["text"], Dialect(vector["dialect"]), modes=modes)
    if "error" in vector:
        with pytest.raises(ScriptError) as caught:
            list(found)
        assert {"line": caught.value.line, "problem": caught.value.problem} == vector["error"]
    else:
        assert [[statement.line, statement.text] for statement in found] == vector["statements"]


def test_tokens_when_given_then_each_knows_what_and_where_it_is() -> None:
    found = list(tokenize("SELECT\n  'a', \"b\", 1.5 -- c\n, ${d}", Dialect.POSTGRESQL))
    assert [(token.kind, token.text, token.offset, token.line) for token in found] == [
        (Kind.WORD, "SELECT", 0, 1),
        (Kind.STRING, "'a'", 9, 2),
        (Kind.SYMBOL, ",", 12, 2),
        (Kind.QUOTED, '"b"', 14, 2),
        (Kind.SYMBOL, ",", 17, 2),
        (Kind.NUMBER, "1.5", 19, 2),
        (Kind.COMMENT, "-- c", 23, 2),
        (Kind.SYMBOL, ",", 28, 3),
        (Kind.PLACEHOLDER, "${d}", 30, 3),
    ]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(("text", "kinds"), [("${a}", "p"), ("tenant_${a}_x", "wpw"), ("'${a}'", "s"), ("a$b", "w")])
def test_placeholder_when_it_stands_outside_quotes_then_it_is_one_token(
    dialect: Dialect, text: str, kinds: str
) -> None:
    assert "".join(token.kind for token in tokenize(text, dialect)) == kinds


@pytest.mark.parametrize(
    "text",
    [
        "\\connect other",
        "COPY public.users (id, name) FROM STDIN WITH (FORMAT csv);\n1,a\n",
        "copy t from stdin",
    ],
)
def test_split_when_psql_would_read_it_itself_then_it_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        list(split(text, Dialect.POSTGRESQL))
    assert caught.value.exit_status == 65
    assert caught.value.hint


@pytest.mark.parametrize("text", ["COPY t FROM '/file'", "COPY (SELECT 1) TO STDOUT", "COPY t TO 'stdin'"])
def test_split_when_copy_takes_nothing_from_the_client_then_it_is_a_statement(text: str) -> None:
    assert [statement.text for statement in split(text, Dialect.POSTGRESQL)] == [text]


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize(
    "piece",
    ["+-", "(", "' '", '"a" ', "/* */", "/*", "E'a'\n", "$$ $$", "-- x\n", "a.", "BEGIN ", "CASE ", "END;", "(;"],
)
def test_split_when_a_text_is_eight_times_as_long_then_it_takes_no_square_of_that(dialect: Dialect, piece: str) -> None:
    def duration_s(count: int) -> float:
        begun = time.process_time()
        try:
            for _ in split("CREATE TRIGGER x " + piece * count, dialect):
                pass
        except ScriptError:
            pass
        return time.process_time() - begun

    # Quadratic would be 64 times; the constant is for what is over in no time at all.
    assert duration_s(8000) < 24 * duration_s(1000) + 0.2
