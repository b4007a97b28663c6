"""Whatever a delta says, lint answers: no text of the dialects makes it fail, and layout changes no finding."""

import re

from hypothesis import given, reject
from hypothesis import strategies as st

from pdelta.errors import ScriptError
from pdelta.sql.lint.finding import Fleet, LintFinding
from pdelta.sql.lint.script import RULES, lint_script
from pdelta.sql.script import Part, Script, Section
from pdelta.sql.token import Dialect

WORDS = """
ALTER TABLE t|ADD|COLUMN|DROP|CONSTRAINT|CREATE|INDEX|ON|TABLE|UPDATE|SET|DELETE FROM|WHERE|a.b|"x"|(|)|,|;|NOT NULL
DEFAULT|f(|1|'s'|TYPE|RENAME|TO|TRUNCATE|WITH x AS (|SELECT|INSERT INTO|REFERENCES|CASCADE|IF EXISTS|PRAGMA|=|MODIFY
CHANGE|CONVERT|ENGINE|COMMENT ON COLUMN|GRANT|${v}|.|EXISTS|int|CONCURRENTLY|REINDEX|PRIMARY KEY|@|::|AS|UNIQUE|USING
"""
BLOCK_WORDS = r"""
BEGIN|END|;|DECLARE|IF|THEN|ELSE|ELSIF|CASE|WHEN|LOOP|FOR|IN|WHILE|EXCEPTION|<<l>>|#|:=|=|a.b|a|[|INTO|STRICT|EXECUTE
SELECT|FROM|UPDATE|SET|COMMIT|DO|'COMMIT'|'DO ''x'''|$a$ x $a$|'x \'|LANGUAGE|PERFORM|RAISE|%ROWTYPE|CONSTANT|(|)|,
CREATE PROCEDURE|ATOMIC
"""


def texts(words: str) -> st.SearchStrategy[str]:
    """Give texts of some of these words."""
    return st.lists(st.sampled_from(re.split(r"[|\n]", words.strip())), min_size=1, max_size=25).map(" ".join)


TEXTS = texts(WORDS)


@given(TEXTS, TEXTS, st.sampled_from(Dialect), st.sampled_from(["", "schemas", "databases", "files"]))
def test_lint_when_given_any_words_then_it_answers_and_every_finding_has_a_rule(
    forward: str, reverse: str, dialect: Dialect, fan: str
) -> None:
    sections = (Section(Part.FORWARD, None, balanced(forward), 1), Section(Part.REVERSE, None, balanced(reverse), 9))
    script = Script("delta_20250315_a", "a", sections=sections)
    try:
        for section in sections:
            script.statements(section.part, dialect)
    except ScriptError:
        reject()
    found = lint_script(script, dialect, fleet=Fleet(fan=fan))  # type: ignore[arg-type]  # one of them
    assert {one.rule for one in found} <= set(RULES)
    spread = tuple(Section(one.part, None, one.text.replace(" ", " /* x */\t"), one.line) for one in sections)
    again = lint_script(Script("delta_20250315_a", "a", sections=spread), dialect, fleet=Fleet(fan=fan))  # type: ignore[arg-type]
    assert again == found


def balanced(text: str) -> str:
    """Give the text with every bracket closed, so that the statements can be cut."""
    return text + ")" * max(0, text.count("(") - text.count(")")) + " x"


@given(texts(BLOCK_WORDS))
def test_lint_when_a_block_holds_any_words_then_it_answers(text: str) -> None:
    def lint(block: str) -> tuple[LintFinding, ...]:
        script = Script("delta_20250315_a", "a", sections=(Section(Part.FORWARD, None, f"DO $$ {block} $$", 1),))
        return lint_script(script, Dialect.POSTGRESQL, fleet=Fleet(fan="schemas"))

    found = lint(text)
    assert {one.rule for one in found} <= set(RULES)
    assert lint(text.replace(" ", " /* x */\t")) == found
