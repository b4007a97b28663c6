"""Laws of SQL text: nothing is lost, and cuts are where the servers' own parsers cut."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pglast.parser import ParseError, scan
from pglast.parser import split as pg_split

from pdelta.errors import ScriptError
from pdelta.sql.script import digest
from pdelta.sql.split import Statement, split
from pdelta.sql.token import Dialect, Kind, Mode, Token
from pdelta.sql.tokens import tokenize

BLANK = " \t\n\r\f\v\ufeff"
DIALECTS = st.sampled_from(Dialect)
MODES = st.frozensets(st.sampled_from(Mode))
# Each takes a tenth of a millisecond, and what breaks them is rare.
MANY = settings(max_examples=max(1000, settings().max_examples))
KEYWORDS = {"SELECT", "CREATE", "BEGIN", "END", "CASE"}
PIECES = (
    *(
        "'",
        '"',
        "`",
        "[",
        "]",
        "(",
        ")",
        ";",
        "\\",
        "--",
        "-- ",
        "#",
        "/*",
        "*/",
        "/*!50000 ",
        "$$",
        "$a$",
        "${x}",
        "$1",
    ),
    *(
        "\n",
        " ",
        "\r",
        "E'",
        "U&'",
        "''",
        "'it''s'",
        "x",
        "é",
        "1e5",
        "+",
        "-",
        "=",
        "@>",
        "::",
        "0x1F",
        ".",
        ":a",
        "?1",
    ),
    *("CREATE ", "TRIGGER ", "FUNCTION ", "BEGIN ", "ATOMIC ", "END", "END IF", "CASE ", "IF ", "THEN ", "LOOP "),
    *("DELIMITER //\n", "DELIMITER $$\n", "//", "COPY t FROM stdin", "SELECT 1", "select 2", "\ufeff", "\0"),
)
SOUP = st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))

TEXT = st.text(st.characters(exclude_characters="\0'\"$\\", exclude_categories=["Cs"]), max_size=8)
INSIDE = st.sampled_from(["", ";", "--", "/*", "*/", "''", "END;", "BEGIN", "$x", "é", "\n", "a"])
CONTENT = st.lists(INSIDE | TEXT, max_size=4).map("".join)
GAPS = st.lists(st.sampled_from([" ", "\n", "\t", "-- ; it's\n", "/* ; ' */", '-- "\n']), min_size=1, max_size=3).map(
    "".join
)
PG_GAPS = GAPS | st.sampled_from([" /* a /* ; */ ' */ ", "\v", "\f", " --+\r"])

PG_LITERALS = st.one_of(
    CONTENT.map(lambda text: f"'{text}'"),
    CONTENT.map(lambda text: f"E'\\';{text}\\\\'"),
    CONTENT.map(lambda text: f"E'a'\n 'b\\';{text}'"),
    CONTENT.filter(lambda text: "$" not in text).map(lambda text: f"$${text}$$"),
    CONTENT.map(lambda text: f"$t1${text} $t2$ ; $$$t1$"),
    st.sampled_from(["U&'d\\0061t;'", "B'01'", "X'1F'", "N'a;b'", "1", "-1", "1.5e3", "$1", "now()::date", "a->>'b;'"]),
)
NESTED = (
    "create function f() returns int begin atomic "
    "create function g() returns int begin atomic select 1; end; select begin atomic from t; select 2 end; end"
)
TRIGGER = (
    "CREATE TRIGGER IF NOT EXISTS r AFTER INSERT ON [a;b] BEGIN SELECT {}; "
    'SELECT CASE WHEN 1 THEN 2 END; UPDATE [a;b] SET "c;d" = 1; END'
)
WHOLE = st.sampled_from(
    [
        *(
            "a",
            "B1",
            "_x$y",
            "é",
            "1",
            "1.5",
            ".5",
            "1e5",
            "0x1F",
            "1_000",
            "1..2",
            "$1",
            "'x'",
            "''",
            "E'\\''",
            "e'a\\\\'",
        ),
        *(
            '"q;"',
            'U&"x"',
            "U&'y'",
            "X'1F'",
            "b'0'",
            "$$;$$",
            "$t$ $$ $t$",
            "--c\n",
            "--;\r",
            "/*;*/",
            "/* /*'*/ */",
            "\n",
            "\r",
        ),
        *(
            "+",
            "-",
            "*",
            "/",
            "<",
            ">",
            "=",
            "@",
            "?",
            "|",
            "`",
            "#",
            "~",
            "::",
            ":=",
            ":",
            ".",
            ",",
            "[",
            "]",
            "(1;2)",
            "()",
        ),
        *(" ", " ", ";", "; SELECT ", "SELECT ", "CREATE ", "BEGIN ", "END ", "CASE "),
    ]
)
PG_SOUP = st.lists(WHOLE, max_size=30).map(lambda parts: "SELECT " + "".join(parts))
PG_FORMS = st.sampled_from(
    [
        "SELECT {}",
        "SELECT a=-1, {} AS end",
        "SELECT begin atomic, CASE WHEN true THEN {} END FROM t",
        'CREATE TABLE "a;b" (c text DEFAULT {}, "e""f" int)',
        "DO LANGUAGE plpgsql $body$ BEGIN PERFORM 1; END $body$",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2;)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT {}; SELECT CASE WHEN true THEN 1 END; END",
        "CREATE OR REPLACE PROCEDURE p(a int) LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (a); SELECT 1 AS end; END",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC END",
        NESTED,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END; $f$",
        "CREATE FUNCTION begin() RETURNS int RETURN {}",
        "BEGIN",
        "END",
        "COMMIT",
        "UPDATE t SET end_at = {}",
        "CREATE SCHEMA s CREATE TABLE t (a int) CREATE VIEW v AS SELECT 1",
        "COPY t TO STDOUT",
    ]
)
LITE_FORMS = st.sampled_from(
    [
        "SELECT {}",
        "SELECT ?1, $v, :v, @v, {}",
        "INSERT INTO [a;b] VALUES ({}, NULL)",
        'SELECT "c;d" FROM `a``;b`',
        TRIGGER,
        "CREATE TEMP TRIGGER IF NOT EXISTS begin AFTER INSERT ON [a;b] BEGIN SELECT 1;END",
        "EXPLAIN QUERY PLAN SELECT {}",
        "CREATE VIEW IF NOT EXISTS v AS SELECT 1 AS end",
        "PRAGMA user_version",
    ]
)


@st.composite
def scripts(
    draw: st.DrawFn, forms: st.SearchStrategy[str], literals: st.SearchStrategy[str], gaps: st.SearchStrategy[str]
) -> tuple[str, int]:
    """A text of whole statements, and how many they are."""
    count = draw(st.integers(1, 5))
    parts = [draw(gaps)]
    for _ in range(count):
        parts += [draw(forms).replace("{}", draw(literals)), draw(gaps), ";", *([";"] if draw(st.booleans()) else [])]
        parts.append(draw(gaps))
    return "".join(parts), count


def only_comments(text: str, dialect: Dialect) -> bool:
    return all(token.kind is Kind.COMMENT for token in tokenize(text, dialect))


@given(text=SOUP, dialect=DIALECTS, modes=MODES)
@example("+-" * 5000, Dialect.POSTGRESQL, frozenset())
@example("DELIMITER $$\nSELECT 1$$ SELECT a$$", Dialect.MYSQL, frozenset())
def test_tokens_when_joined_then_only_white_space_was_between_them(
    text: str, dialect: Dialect, modes: frozenset[Mode]
) -> None:
    tokens: list[Token] = []
    whole = True
    try:
        tokens.extend(tokenize(text, dialect, modes=modes))
    except ScriptError:
        whole = False
    at = 0
    for token in tokens:
        assert text[token.offset : token.end] == token.text != ""
        assert not text[at : token.offset].strip(BLANK)
        assert token.line == 1 + text.count("\n", 0, token.offset)
        at = token.end
    assert not whole or not text[at:].strip(BLANK)


@given(text=SOUP, dialect=DIALECTS, modes=MODES)
def test_split_when_given_any_text_then_it_loses_nothing_or_names_a_line(
    text: str, dialect: Dialect, modes: frozenset[Mode]
) -> None:
    try:
        found = list(split(text, dialect, modes=modes))
    except ScriptError as error:
        found, lines = [], [error.line]
    else:
        lines = [statement.line for statement in found]
    assert all(1 <= line <= 1 + text.count("\n") for line in lines)
    if not found:
        return
    kept = [token for token in tokenize(text, dialect, modes=modes) if token.kind not in {Kind.COMMENT, Kind.COMMAND}]
    held = [token for statement in found for token in statement.tokens]
    assert [token for token in kept if token in held] == held
    assert all(token.text == ";" or token.kind is Kind.DELIMITER for token in kept if token not in held)


@given(script=scripts(PG_FORMS, PG_LITERALS, PG_GAPS))
def test_postgresql_when_it_parses_then_the_cuts_are_those_of_its_parser(script: tuple[str, int]) -> None:
    text, count = script
    try:
        theirs = pg_split(text, with_parser=True, only_slices=True)
    except ParseError:
        assume(False)
    assert len(theirs) == count
    compare(list(split(text, Dialect.POSTGRESQL)), theirs, text)


@MANY
@given(text=PG_SOUP)
def test_postgresql_when_it_is_tokens_alone_then_the_cuts_are_those_of_its_scanner(text: str) -> None:
    """Its scanner cuts only what holds a keyword, and knows no BEGIN ATOMIC."""
    try:
        theirs = pg_split(text, with_parser=False, only_slices=True)
        ours = list(split(text, Dialect.POSTGRESQL))
    except (ParseError, ScriptError):
        return
    assume(all(KEYWORDS & {token.word for token in statement.tokens} for statement in ours))
    compare(ours, theirs, text)


@MANY
@given(text=PG_SOUP | SOUP)
def test_postgresql_when_tokens_are_compared_then_they_end_where_its_own_do(text: str) -> None:
    try:
        theirs = [(token.start, token.end + 1) for token in scan(text)]
        ours = list(tokenize(text, Dialect.POSTGRESQL))
    except (ParseError, ScriptError):
        return
    # Ours are finer in two places: a string that goes on after a line's end, and what a placeholder is made of.
    starts = {token.offset for token in ours if token.kind is not Kind.PLACEHOLDER}
    ends = {token.end for token in ours if token.kind is not Kind.PLACEHOLDER}
    if any(token.kind is Kind.PLACEHOLDER for token in ours):
        return
    assert {start for start, _ in theirs} <= starts
    assert {end for _, end in theirs} <= ends


def compare(ours: list[Statement], theirs: tuple[slice, ...], text: str) -> None:
    assert len(ours) == len(theirs)
    for statement, cut in zip(ours, theirs, strict=True):
        assert cut.start <= statement.offset
        assert only_comments(text[cut.start : statement.offset], Dialect.POSTGRESQL)
        end = statement.tokens[-1].end
        assert end <= cut.stop
        assert only_comments(text[end : cut.stop], Dialect.POSTGRESQL)


@given(script=scripts(LITE_FORMS, CONTENT.map(lambda text: f"'{text}'") | st.sampled_from(["x'1F'", "1"]), GAPS))
def test_sqlite_when_cut_then_every_piece_executes_as_one_statement(script: tuple[str, int]) -> None:
    text, count = script
    found = list(split(text, Dialect.SQLITE))
    assert len(found) == count
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        database.execute('CREATE TABLE [a;b] ("c;d", b)')
        database.execute('CREATE TABLE [a`;b] ("c;d", b)')
        for statement in found:
            database.execute(statement.text, [1, 2, 3, 4] if "?1," in statement.text else [])
            assert sqlite3.complete_statement(statement.text + ";")


@given(text=SOUP.filter(lambda text: "\0" not in text))
def test_sqlite_when_given_any_text_then_no_piece_is_two_statements(text: str) -> None:
    try:
        found = list(split(text, Dialect.SQLITE))
    except ScriptError:
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        for statement in found:
            assert "one statement at a time" not in refusal(database, statement.text)


def refusal(database: sqlite3.Connection, text: str) -> str:
    try:
        database.execute(text)
    except (sqlite3.Error, sqlite3.Warning) as error:
        return str(error)
    return ""


@given(script=scripts(PG_FORMS, PG_LITERALS, PG_GAPS), data=st.data())
def test_digest_when_the_layout_changes_then_it_stays(script: tuple[str, int], data: st.DataObject) -> None:
    text, _ = script
    found = list(split(text, Dialect.POSTGRESQL))
    # A string that goes on in the next line needs that line's end.
    assume(
        all(
            "'" not in a.text[-1:] or "'" not in b.text[:1]
            for s in found
            for a, b in zip(s.tokens, s.tokens[1:], strict=False)
        )
    )
    other = f" {data.draw(PG_GAPS)}".join(
        token.text.swapcase() if token.kind is Kind.WORD and token.text.isascii() else token.text
        for statement in found
        for token in (*statement.tokens, Token(Kind.SYMBOL, ";", 0, 1))
    )
    changed = list(split(other, Dialect.POSTGRESQL))
    assert digest(changed, Dialect.POSTGRESQL) == digest(found, Dialect.POSTGRESQL)


@given(one=CONTENT, two=CONTENT, dialect=DIALECTS)
def test_digest_when_literals_differ_then_it_differs(one: str, two: str, dialect: Dialect) -> None:
    assume(one != two)
    digests = {digest(split(f"SELECT '{text}'", dialect), dialect) for text in (one, two)}
    assert len(digests) == 2


@pytest.mark.parametrize("dialect", Dialect)
@given(text=SOUP)
def test_digest_when_statements_are_cut_again_then_it_stays(dialect: Dialect, text: str) -> None:
    try:
        found = list(split(text, dialect))
        # Two hyphens at the end are a comment, though none before a semicolon.
        assume(dialect is not Dialect.MYSQL or not any(statement.text.endswith("--") for statement in found))
        again = [piece for statement in found for piece in split(statement.text + "\n", dialect)]
    except ScriptError:
        return
    if dialect is not Dialect.MYSQL or "DELIMITER" not in text:
        assert digest(again, dialect) == digest(found, dialect)
