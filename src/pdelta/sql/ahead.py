"""Which guards of a reverse for MySQL can be asked before its first step, told by what the steps before them touch.

Called by whoever goes through a reverse a step at a time, where each commits and a refusal in the middle would leave a
tenant in between. What a guard asks of a table that an earlier step changes is tried behind that step, in a transaction
that is rolled back; where the step can't be tried, the guard waits for it. Nothing is executed here.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from pdelta.sql.derive.kept import KEPT
from pdelta.sql.naming import names_in, plain
from pdelta.sql.piece import LOSS_GUARD, Piece
from pdelta.sql.split import Statement
from pdelta.sql.token import Kind, Token

_CHANGES_ROWS: Final = frozenset({"DELETE", "INSERT", "REPLACE", "UPDATE"})
_DEFINES: Final = frozenset({"ALTER", "CREATE", "DROP", "RENAME", "TRUNCATE"})
_NOTHING: Final = frozenset({"ANALYZE", "CHECK", "DO", "OPTIMIZE", "SELECT"})
_KEYS: Final = frozenset({"key_column_usage", "referential_constraints"})
_HOLDS: Final = frozenset(
    {"BIGINT", "INT", "LONGTEXT", "MEDIUMINT", "MEDIUMTEXT", "SMALLINT", "TEXT", "TINYINT", "VARCHAR"}
)
"""Types that a derived reverse brings back where the delta gave a column one that holds all values of these."""
_FROM: Final = re.compile(r"\bFROM (`(?:[^`]|``)+`)")
_SAME: Final = re.compile(
    r" AND (?P<cast>CAST\()?t\.(?P<name>`(?:[^`]|``)+`)(?(cast) AS BINARY\))"
    r" <=> (?(cast)CAST\()x\.(?P=name)(?(cast) AS BINARY\))"
)
"""That one column of a row is as the delta left it, behind others of which that is asked."""


class Ahead(NamedTuple):
    """What can be asked before the first step.

    Attributes:
        asked: Guards that need nothing but what is there, in order.
        tried: The others, each before a statement that changes rows or does nothing; all of them are to be tried
            together. None is there without a guard.
    """

    asked: tuple[str, ...]
    tried: tuple[Piece, ...]


def ahead(pieces: Sequence[Piece], read: Callable[[str], Sequence[Statement]], *, whole: bool) -> Ahead:
    """Give what can be asked of a tenant before a reverse begins, of which no answer depends on what can't be tried.

    Args:
        pieces: Its steps.
        read: Cuts text into statements.
        whole: Whether the delta was applied as a whole, so that no triggers of ours are left from it.
    """
    steps = _Steps(whole=whole)
    asked: list[str] = []
    tried: list[_Tried] = []
    for piece in pieces:
        (statement, *_) = read(steps.as_called(read(piece.statement)[0]))
        waiting: list[str] = []
        reads: set[str] = set()
        for guard in piece.before:
            text = steps.without_changed(guard[: guard.index("*/") + 3] + steps.as_called(read(guard)[0]))
            question = _Question(read(text))
            if not steps.leave(question, is_loss=guard.startswith(LOSS_GUARD)):
                continue
            if question.tables.isdisjoint(steps.written):
                asked.append(text)
            else:
                waiting.append(text)
                reads |= question.tables
        target = steps.go_past(statement)
        if waiting or target:
            held = statement.text if target else "SELECT 1"
            tried.append(_Tried(Piece(held, before=tuple(waiting)), target, reads))
        if steps.is_lost:
            break
    return Ahead(tuple(asked), tuple(_needed(tried))[::-1])


class _Tried(NamedTuple):
    piece: Piece
    target: str
    reads: set[str]


def _needed(tried: Sequence[_Tried]) -> Iterator[Piece]:
    """Give the pieces that guards need, the last one first."""
    reads: set[str] = set()
    for piece, target, read in reversed(tried):
        if target in reads:
            yield piece
        elif piece.before:
            yield msgspec.structs.replace(piece, statement="SELECT 1")
        reads |= read


class _Question:
    """What a guard, or a statement that changes rows, asks for."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        tokens = [token for statement in statements for token in statement.tokens]
        # Derived ones have names in quotes, and call rows by words.
        self.names = {plain(token.text) for token in tokens if token.kind is Kind.QUOTED}
        self.tables: set[str] = set()
        self.catalogue: set[str] = set()
        for place, token in enumerate(tokens[:-1]):
            if token.word not in {"FROM", "JOIN"} or not _is_name(tokens[place + 1]):
                continue
            name = plain(tokens[place + 1].text)
            if name == "information_schema":
                self.catalogue.add(plain(tokens[place + 3].text))
            else:
                self.tables.add(name)
        if self.catalogue:
            # The catalogue is asked for a table by a string.
            self.tables |= {token.text.strip("'").lower() for token in tokens if token.kind is Kind.STRING}


class _Steps:
    """What is known of a tenant while the steps of a reverse are gone past, none of which is done.

    Args:
        whole: As ``ahead`` has it.
    """

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._unknown: set[str] = set()
        self._changed: dict[str, set[str]] = {}
        self._set: dict[str, set[str]] = {}
        self._widened: dict[str, set[str]] = {}
        self._called: dict[str, str] = {}
        self._is_defined_anew = self._has_other_keys = self._has_other_triggers = False
        self.written: set[str] = set()
        """Tables whose rows are changed by what can be tried."""
        self.is_lost = False
        """Whether a step was met of which nothing is known."""

    def leave(self, question: _Question, *, is_loss: bool = False) -> bool:
        """Say whether the steps so far leave the answer as it is, but for those that can be tried.

        What is counted as a loss is one whatever its column is called or defined as by then; where that is not there
        yet, the server says so.
        """
        changes = (self._set,) if is_loss else (self._set, self._changed)
        if not question.tables.isdisjoint(self._unknown) or any(
            question.names & changed.get(table, set()) for changed in changes for table in question.tables
        ):
            return False
        others = question.catalogue - _KEYS - {"triggers"}
        return not (
            (others and self._is_defined_anew)
            or (question.catalogue & _KEYS and self._has_other_keys)
            or ("triggers" in question.catalogue and self._has_other_triggers)
        )

    def as_called(self, statement: Statement) -> str:
        """Give a statement's text with the names that tables have before a step renames them."""
        if not self._called:
            return statement.text
        parts: list[str] = []
        end = statement.offset
        for token in statement.tokens:
            name = plain(token.text) if token.kind is Kind.QUOTED else token.text.strip("'").lower()
            now = self._called.get(name) if token.kind in {Kind.QUOTED, Kind.STRING} else None
            start = end - statement.offset
            parts.append(statement.text[start : token.offset - statement.offset])
            parts.append(f"{token.text[0]}{now}{token.text[0]}" if now else token.text)
            end = token.end
        return "".join(parts)

    def without_changed(self, guard: str) -> str:
        """Leave columns out of a comparison of rows that a step changes, so that the others are compared at least.

        What has another type only is compared by value: the same characters may be other bytes.
        """
        tables = {plain(name) for name in _FROM.findall(guard)}
        changed = set().union(*(one.get(table, ()) for one in (self._changed, self._set) for table in tables))
        widened = set().union(*(self._widened.get(table, ()) for table in tables))

        def left(same: re.Match[str]) -> str:
            name = plain(same["name"])
            if name in changed:
                return ""
            return f" AND t.{same['name']} <=> x.{same['name']}" if name in widened else same[0]

        return _SAME.sub(left, guard)

    def go_past(self, statement: Statement) -> str:
        """Go past a step; give the table whose rows it changes if that can be tried, else nothing."""
        tokens = statement.tokens
        first = tokens[0].word
        if first in _CHANGES_ROWS:
            return self._past_rows(statement)
        if first in _DEFINES:
            self._past_definition(tokens)
        elif first not in _NOTHING and not (first == "SET" and tokens[1].word == "FOREIGN_KEY_CHECKS"):
            self.is_lost = True
        return ""

    def _past_rows(self, statement: Statement) -> str:
        tokens = statement.tokens
        place = 3 if tokens[0].word == "DELETE" else 2 if tokens[1].word == "INTO" else 1
        if len(tokens) <= place or tokens[place].kind is not Kind.QUOTED:
            # Of another form than derived ones have, and what it changes is not told.
            self._unknown |= names_in([statement])
            return ""
        table = plain(tokens[place].text)
        question = _Question([statement])
        question.tables.add(table)
        if self.leave(question):
            self.written.add(table)
            return table
        sets = next((at for at, token in enumerate(tokens) if token.word == "SET"), None)
        if tokens[0].word == "UPDATE" and sets is not None and table not in self._unknown:
            columns = (plain(token.text) for token in tokens[sets:] if token.kind is Kind.QUOTED)
            self._set.setdefault(table, set()).update(columns)
        else:
            self._unknown.add(table)
        return ""

    def _past_definition(self, tokens: Sequence[Token]) -> None:
        words = [token.word for token in tokens]
        if next((plain(one.text) for one in tokens if one.kind is Kind.QUOTED), "").startswith(KEPT):
            # What rows are kept by goes, of which no later guard speaks.
            self._has_other_triggers |= "TRIGGER" in words and not self._whole
        elif "TRIGGER" in words[:4]:
            self._has_other_triggers = True
        elif "VIEW" in words and words[0] != "ALTER":
            self._unknown |= _names(tokens[words.index("VIEW") : words.index("VIEW") + 4])
        elif words[0] == "TRUNCATE":
            self._unknown |= _names(tokens)
        elif "INDEX" in words[:3] and "ON" in words:
            # Rows are what they were.
            self._is_defined_anew = True
        elif words[:2] == ["RENAME", "TABLE"] and words[3:4] == ["TO"] and len(words) == 5:
            self._rename(tokens[2], tokens[4])
        elif words[:2] == ["ALTER", "TABLE"]:
            self._past_alter(tokens, words)
        else:
            self._is_defined_anew = self._has_other_keys = True
            self._unknown |= _names(tokens)

    def _past_alter(self, tokens: Sequence[Token], words: Sequence[str]) -> None:
        if words[3:5] == ["RENAME", "TO"] and len(words) == 6:
            self._rename(tokens[2], tokens[5])
            return
        self._is_defined_anew = True
        self._has_other_keys |= not {"CONSTRAINT", "FOREIGN", "RENAME"}.isdisjoint(words)
        table = plain(tokens[2].text)
        # Behind which other one a column comes says nothing of that.
        passed = {place for place in range(4, len(words)) if words[place - 1] == "AFTER"}
        for place in range(3, len(words) - 4):
            name = plain(tokens[place + 2].text)
            same_name = words[place : place + 2] == ["CHANGE", "COLUMN"] and name == plain(tokens[place + 3].text)
            if same_name and words[place + 4] in _HOLDS and "AS" not in words:
                self._widened.setdefault(table, set()).add(name)
                passed |= {place + 2, place + 3}
        about = [token for place, token in enumerate(tokens[3:], 3) if place not in passed]
        self._changed.setdefault(table, set()).update(_names(about))

    def _rename(self, old: Token, new: Token) -> None:
        """Call a table as it is called now, of which later steps speak by the name that it gets."""
        self._called[plain(new.text)] = plain(old.text)


def _names(tokens: Sequence[Token]) -> set[str]:
    """Give the words and names of these tokens as they compare."""
    return {plain(token.text) for token in tokens if _is_name(token)}


def _is_name(token: Token) -> bool:
    return token.kind in {Kind.QUOTED, Kind.WORD}
