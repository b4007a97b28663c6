"""Laws of delta files: any text is a script or a refusal with its line, and every statement is where it says."""

from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError, ScriptError
from pdelta.formats.sql_delta import parse_delta
from pdelta.sql.order import SUFFIX
from pdelta.sql.script import Part, Script, digest
from pdelta.sql.token import Dialect, Mode

NAME = "delta_20250315_add_last_login"
LINES = st.sampled_from(
    [
        *(
            "",
            "\r",
            ";",
            "SELECT 1;",
            "SELECT 'a",
            "b';",
            "-- SELECT 2;",
            "--",
            "-- -- c",
            "/*",
            "*/",
            "$$",
            "CREATE TABLE t (",
            ");",
        ),
        *(
            "-- Reversible delta",
            "-- reversible delta: DROP TABLE t;",
            "SELECT 1; -- Reversible delta --",
            "-- rollback:",
        ),
        *(
            "-- +forward",
            "-- +forward mysql",
            "-- +reverse",
            "-- +check sqlite",
            "-- +verify",
            "-- +other",
            "-- undo: x",
        ),
        *(
            "-- pdelta: id=a",
            "-- pdelta: engine=mysql scope=once",
            '-- pdelta: irreversible="b"',
            "-- pdelta: requires=a,b",
        ),
        *(
            "DELIMITER //",
            "SELECT 3//",
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN",
            "END;",
            "# SELECT 4;",
            "-- DROP TABLE t;",
        ),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(LINES, max_size=12).map("\n".join))
PARTS = st.sampled_from([Part.REVERSE, Part.CHECK, Part.VERIFY])
STATEMENTS = st.lists(
    st.sampled_from(["SELECT 1;", "SELECT 'a -- b;\n  c';", "DELETE FROM t\n\n WHERE a = ${b};", "-- note\nSELECT 2;"]),
    min_size=1,
    max_size=4,
)


def parse(data: bytes, dialect: Dialect, modes: frozenset[Mode] = frozenset()) -> Script:
    return parse_delta(data, name=NAME, dialect=dialect, modes=modes)


@given(text=TEXTS, dialect=st.sampled_from(Dialect), modes=st.frozensets(st.sampled_from(Mode)))
def test_file_when_it_is_any_text_then_it_is_a_script_or_a_refusal_with_its_line(
    text: str, dialect: Dialect, modes: frozenset[Mode]
) -> None:
    lines = text.replace("\r\n", "\n").split("\n")
    try:
        script = parse(text.encode(), dialect, modes)
    except ScriptError as error:
        refused = error
    else:
        for part in Part:
            for statement in script.statements(part, script.dialect or dialect, modes=modes):
                assert statement.tokens[0].text.split("\n")[0] in lines[statement.line - 1]
        return
    assert refused.message.startswith(f"{NAME}{SUFFIX}: line {refused.line}: ")
    assert 1 <= refused.line <= len(lines)


@given(data=st.binary())
def test_file_when_it_is_any_bytes_then_nothing_else_is_raised(data: bytes) -> None:
    try:
        parse(data, Dialect.SQLITE)
    except FormatError as error:
        refused = error.message
    else:
        return
    assert NAME in refused


@given(
    forward=STATEMENTS,
    commented=st.dictionaries(PARTS, STATEMENTS, max_size=3),
    dialect=st.sampled_from(Dialect),
    marked=st.booleans(),
)
def test_sections_when_written_then_they_read_back(
    forward: list[str], commented: dict[Part, list[str]], dialect: Dialect, marked: bool
) -> None:
    written = "\n".join(forward)
    for part, statements in commented.items():
        head = "Reversible delta" if marked and part is Part.REVERSE else f"+{part}"
        lines = "\n".join(statements).split("\n")
        written += "\n".join([f"\n-- {head}", *(f"-- {line}" if line else "" for line in lines)])
    script = parse(written.encode(), dialect)
    for part, statements in {Part.FORWARD: forward, **commented}.items():
        plain = parse("\n".join(statements).encode(), dialect)
        assert digest(script.statements(part, dialect), dialect) == digest(
            plain.statements(Part.FORWARD, dialect), dialect
        )
