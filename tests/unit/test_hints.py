"""Every hint is a phrase: it begins with a small letter, ends without a full stop, and is no two sentences.

Hints stand behind ``hint:``, and behind a finding and a dash; several are joined with a semicolon.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCES = sorted((Path(__file__).resolve().parents[2] / "src/pdelta").rglob("*.py"))
A_CAPITAL = re.compile(r"[A-Z](?![A-Z_])")
"""Begins a sentence; the names of arguments and variables are all capitals."""


class Text(NamedTuple):
    """A literal of which a hint begins, ends or consists."""

    text: str
    begins: bool
    ends: bool


def texts(node: ast.expr, *, begins: bool = True, ends: bool = True) -> Iterator[Text]:
    """Give the literals of an expression whose value is a hint."""
    match node:
        case ast.Constant(value=str() as text) if text:
            yield Text(text, begins, ends)
        case ast.JoinedStr(values=parts):
            for part in parts:
                if isinstance(part, ast.Constant):
                    yield Text(str(part.value), begins and part is parts[0], ends and part is parts[-1])
        case ast.BinOp(left=left, right=right):
            yield from texts(left, begins=begins, ends=False)
            yield from texts(right, begins=False, ends=ends)
        case _:
            for one in alternatives(node):
                yield from texts(one, begins=begins, ends=ends)


def alternatives(node: ast.expr) -> list[ast.expr]:
    """Give the expressions of which any may be the hint; of a table of pairs (a sign, then its hint) the hints."""
    match node:
        case ast.IfExp(body=body, orelse=other):
            return [body, other]
        case ast.BoolOp(values=values) | ast.Dict(values=values):
            return values
        case ast.Tuple(elts=[*_, ast.Tuple()] as pairs):
            return pairs
        case ast.Tuple(elts=[*_, last]):
            return [last]
        case _:
            return []


def expressions(tree: ast.Module, names: set[str]) -> Iterator[ast.expr]:
    """Give what is a hint in a module, by its keyword or by the name that it is given."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            yield node.value
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if (
                value is not None
                and isinstance(target, ast.Name)
                and (target.id in names or "hint" in target.id.lower())
            ):
                yield value


def hint_names() -> set[str]:
    """Give the names of constants that are handed over as hints."""
    names: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "hint":
                names |= {part.id for part in ast.walk(node.value) if isinstance(part, ast.Name) and part.id.isupper()}
    return names


NAMES = hint_names()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_hints_when_written_then_they_are_phrases(path: Path) -> None:
    found = [text for node in expressions(ast.parse(path.read_text()), NAMES) for text in texts(node)]
    assert [it.text for it in found if it.begins and A_CAPITAL.match(it.text)] == []
    assert [it.text for it in found if it.ends and re.search(r"(?:^|[^.])\.$", it.text)] == []
    assert [it.text for it in found if re.search(r"\. [A-Z]", it.text)] == []


def test_hints_when_they_are_sentences_then_the_rule_finds_them() -> None:
    code = 'f(hint="Do it." if a else f"{b}. Then c."); ADVICE = "Look"; HINTS = (("A", "b"), ("C", "Do"))'
    found = [text for node in expressions(ast.parse(code), {"ADVICE"}) for text in texts(node)]
    assert {(it.text, it.begins, it.ends) for it in found} == {
        ("Do it.", True, True),
        (". Then c.", False, True),
        ("Look", True, True),
        ("b", True, True),
        ("Do", True, True),
    }
