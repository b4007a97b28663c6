"""SQLite's CREATE TABLE -> columns and constraints: what the pragmas do not tell, and what ALTER TABLE adds elsewhere.

A constraint of one column and the same one of the table are one thing here, because SQLite takes them for one.
Knows the grammar of what SQLite has stored, which is right; it does not judge what somebody wrote.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from pdelta.sql.catalogue import YES
from pdelta.sql.plain import name_of, plain, spelling, spelt, tokens_of
from pdelta.sql.token import Kind, Token

_TABLE_CONSTRAINTS: Final = frozenset({"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"})
_COLUMN_CONSTRAINTS: Final = frozenset(
    {"CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS"}
)
_FACTS: Final = ("type", "not null", "resolution", "default", "collation", "generated")
"""In this order, whatever the order of the text."""

_TAIL_OF_REFERENCES: Final = frozenset({"ON", "MATCH", "NOT", "DEFERRABLE"})


class Column(msgspec.Struct, frozen=True):
    """One column.

    Attributes:
        name: As it is called.
        facts: What there is to say of it, key and value.
    """

    name: str
    facts: tuple[tuple[str, str], ...]


class Constraint(msgspec.Struct, frozen=True):
    """One constraint.

    Attributes:
        name: That its author gave it; empty for none.
        definition: In the form of a table's constraint.
    """

    name: str
    definition: str


class Table(msgspec.Struct, frozen=True):
    """What a CREATE TABLE says.

    Attributes:
        columns: In their order.
        constraints: In the order of the text.
        options: Behind the bracket: ``STRICT``, ``WITHOUT ROWID``; sorted.
    """

    columns: tuple[Column, ...]
    constraints: tuple[Constraint, ...]
    options: tuple[str, ...]


def parse_table(text: str) -> Table:
    """Read a CREATE TABLE that SQLite has stored.

    Raises:
        ValueError: It is none; a virtual table, for example.
        ScriptError: It can't be cut into tokens.
    """
    tokens = tokens_of(text)
    start = next((at for at, token in enumerate(tokens) if token.text == "("), len(tokens))
    words = [token.word for token in tokens[:start]]
    if words[:1] != ["CREATE"] or words[1:2] not in (["TABLE"], ["TEMP"], ["TEMPORARY"]):
        raise ValueError(f"{text[:40]!r} is no CREATE TABLE")
    end = _closing(tokens, start)
    columns: list[Column] = []
    constraints: list[Constraint] = []
    for element in _elements(tokens[start + 1 : end]):
        reader = _Reader(element)
        if element[0].word in _TABLE_CONSTRAINTS:
            constraints.extend(reader.table_constraints())
        else:
            columns.append(reader.column(constraints))
    options = sorted(plain(part) for part in _elements(tokens[end + 1 :]))
    return Table(tuple(columns), tuple(constraints), tuple(options))


def _closing(tokens: Sequence[Token], start: int) -> int:
    """Give the place of the bracket that closes the one at ``start``."""
    depth = 0
    for at in range(start, len(tokens)):
        depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
        if not depth:
            return at
    raise ValueError("a bracket is not closed")


def _elements(tokens: Sequence[Token]) -> list[list[Token]]:
    """Cut at the commas that stand in no bracket."""
    elements: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and not depth:
            elements.append([])
        else:
            elements[-1].append(token)
    return [element for element in elements if element]


class _Reader:
    """Reads the tokens of one element from the left to the right."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def column(self, constraints: list[Constraint]) -> Column:
        """Read a column; its constraints that are a table's go into the list."""
        name = name_of(self._take())
        facts: dict[str, str] = {}
        kind = self._until(_COLUMN_CONSTRAINTS)
        if kind:
            facts["type"] = plain(kind).upper().replace(" (", "(")
        called = ""
        while self._word:
            if self._word == "CONSTRAINT":
                called = self._called()
                continue
            found = self._column_constraint(spelt(name), facts)
            if found:
                constraints.append(Constraint(called, found))
            called = ""
        return Column(name, tuple((key, facts[key]) for key in _FACTS if key in facts))

    def table_constraints(self) -> list[Constraint]:
        """Read constraints of a table; SQLite asks for no commas between them."""
        found = []
        while self._word:
            called = self._called() if self._word == "CONSTRAINT" else ""
            start = self._at
            self._take()
            self._until(_TABLE_CONSTRAINTS)
            found.append(Constraint(called, plain(self._tokens[start : self._at])))
        return found

    @property
    def _word(self) -> str:
        """What comes next, in capitals; empty at the end."""
        return spelling(self._tokens[self._at]).upper() if self._at < len(self._tokens) else ""

    def _take(self) -> Token:
        if self._at >= len(self._tokens):
            raise ValueError("the definition of a column ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _until(self, words: frozenset[str]) -> Sequence[Token]:
        """Take all before one of these words; what stands in brackets is passed over."""
        start, depth = self._at, 0
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if not depth and token.kind is Kind.WORD and token.word in words:
                break
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            self._at += 1
        return self._tokens[start : self._at]

    def _called(self) -> str:
        self._take()
        return name_of(self._take())

    def _brackets(self) -> str:
        """Take what stands in brackets, with them."""
        start = self._at
        self._at = _closing(self._tokens, start) + 1
        return plain(self._tokens[start : self._at])

    def _conflict(self) -> str:
        """Take ``ON CONFLICT …``, if that comes next."""
        if self._word != "ON":
            return ""
        start = self._at
        self._at += 3
        return " " + plain(self._tokens[start : self._at])

    def _column_constraint(self, name: str, facts: dict[str, str]) -> str:
        """Read one constraint of a column into its facts, or give it as a table's."""
        match word := self._take().word:
            case "PRIMARY":
                return self._primary_key(name)
            case "UNIQUE":
                return f"UNIQUE ({name}){self._conflict()}"
            case "CHECK":
                return f"CHECK {self._brackets()}{self._conflict()}"
            case "REFERENCES":
                return f"FOREIGN KEY ({name}) REFERENCES {self._references()}"
            case _:
                facts.update(self._fact(word))
        return ""

    def _fact(self, word: str) -> dict[str, str]:
        """Read what is the column's alone."""
        match word:
            case "NOT":
                self._take()
                conflict = self._conflict().removeprefix(" ON CONFLICT ")
                return {"not null": YES} | ({"resolution": conflict} if conflict else {})
            case "NULL":
                self._conflict()
                return {}
            case "DEFAULT":
                return {"default": self._default()}
            case "COLLATE":
                return {"collation": spelt(name_of(self._take())).upper()}
            case "GENERATED":
                self._at += 2
                return {"generated": self._generated()}
            case "AS":
                return {"generated": self._generated()}
            case _:
                raise ValueError(f"{word!r} begins no constraint of a column")

    def _primary_key(self, name: str) -> str:
        self._take()
        order = f" {self._take().word}" if self._word in {"ASC", "DESC"} else ""
        conflict = self._conflict()
        automatic = f" {self._take().word}" if self._word == "AUTOINCREMENT" else ""
        return f"PRIMARY KEY ({name}{order.replace(' ASC', '')}{automatic}){conflict}"

    def _references(self) -> str:
        text = spelt(name_of(self._take()))
        if self._word == "(":
            text += f" {self._brackets()}"
        start = self._at
        while self._word in _TAIL_OF_REFERENCES:
            if self._word == "NOT" and self._tokens[self._at + 1].word == "NULL":
                break
            self._at += {"ON": 2, "MATCH": 2, "NOT": 2, "DEFERRABLE": 1}[self._word]
            if self._word in {"SET", "NO"}:
                self._at += 2
            elif self._word in {"CASCADE", "RESTRICT"}:
                self._at += 1
            elif self._word == "INITIALLY":
                self._at += 2
        tail = plain(self._tokens[start : self._at])
        return f"{text} {tail}" if tail else text

    def _default(self) -> str:
        if self._word == "(":
            text = self._brackets()
            inner = tokens_of(text)[1:-1]
            return plain(inner) if len(inner) == 1 and inner[0].kind in {Kind.STRING, Kind.NUMBER} else text
        sign = self._take().text if self._word in {"+", "-"} else ""
        return sign + spelling(self._take())

    def _generated(self) -> str:
        text = self._brackets()
        return f"{text} {self._take().word}" if self._word in {"STORED", "VIRTUAL"} else text
