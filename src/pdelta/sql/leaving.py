"""What statements leave in their session for later ones of their delta, and what of that is lost with it.

Called by whoever goes on with a delta on another session than the one that its first steps were done on. Told by
tokens alone: what routines and triggers do is not seen.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from pdelta.sql.alone import behind_settings
from pdelta.sql.naming import concerned, names_in, plain
from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect, Kind, Token

_ROWS: Final = frozenset({"(", "DELETE", "DO", "INSERT", "REPLACE", "SELECT", "UPDATE", "WITH"})
"""What begins statements that may give variables a value at once; a trigger's does so later."""
_NUMBERED: Final = frozenset({"INSERT", "LOAD", "REPLACE"})
_NUMBER: Final = "LAST_INSERT_ID"
_NOT_FOR_THE_SESSION: Final = frozenset({"LOCAL", "CONSTRAINTS", "TRANSACTION"})
_ASSIGNS: Final = frozenset({"=", ":="})


def is_setting(statement: Statement) -> bool:
    """Say whether a statement of PostgreSQL sets something until its session ends, and does nothing else."""
    first, second, *_ = [*(token.word for token in statement.tokens[:2]), ""]
    return first == "RESET" or (first == "SET" and second not in _NOT_FOR_THE_SESSION)


def is_for_its_transaction(statement: Statement) -> bool:
    """Say whether a statement of PostgreSQL sets something that ends with its transaction."""
    return [token.word for token in statement.tokens[:2]] == ["SET", "LOCAL"]


def held(done: Sequence[Statement]) -> list[Statement]:
    """Give the statements of PostgreSQL that have set what still holds behind these, in order."""
    found: list[Statement] = []
    for one in done:
        if [token.word for token in one.tokens[:2]] == ["DISCARD", "ALL"]:
            found.clear()
        elif is_setting(one):
            found.append(one)
    return found


class _Seen:
    """A statement of MySQL as far as it matters here, without the edges of ``/*! … */``."""

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        tokens = [one for one in statement.tokens if not one.word.startswith("/*") and one.word != "*/"]
        self.tokens: Sequence[Token] = tokens[behind_settings([one.word for one in tokens]) :]
        self.words = [one.word for one in self.tokens]
        self.first = self.words[0] if self.words else ""
        self.sets = self.first == "SET"
        self.variables = dict(self._variables())

    @property
    def calculates(self) -> bool:
        """Whether it gives variables values that nobody can calculate again."""
        if self.sets:
            return bool(self.variables) and "(" in self.words
        into = any(pair == ("INTO", "@") for pair in zip(self.words, self.words[1:], strict=False))
        return self.first in _ROWS and bool(self.variables) and (":=" in self.words or into)

    @property
    def temporary(self) -> frozenset[str]:
        """The table that it makes for its session alone."""
        if self.words[:2] != ["CREATE", "TEMPORARY"]:
            return frozenset()
        return concerned(self.statement, Dialect.MYSQL) - {"table", "sequence"}

    def needs(self, name: str) -> bool:
        """Say whether it reads a variable of its before it gives it a value."""
        places = self.variables[name]
        ahead = [*self.tokens[places[0] + 2 : places[0] + 4]]
        is_given = self.words[places[0] - 1] == "INTO" or (
            bool(ahead) and ahead[0].word in (_ASSIGNS if self.sets else {":="})
        )
        is_plain = len(ahead) > 1 and (ahead[1].kind in {Kind.NUMBER, Kind.STRING} or ahead[1].word == "NULL")
        return not (is_given and (is_plain or len(places) == 1))

    def _variables(self) -> Iterator[tuple[str, list[int]]]:
        found: dict[str, list[int]] = {}
        for place, word in enumerate(self.words[:-1]):
            # Two of them begin a setting, and one behind a name the host of an account.
            if word == "@" and self.words[place + 1] != "@" and self.words[place - 1] != "@":
                found.setdefault(plain(self.tokens[place + 1].text), []).append(place)
        yield from found.items()


def settings(done: Sequence[Statement]) -> Iterator[Statement]:
    """Give the statements of MySQL that have set something which another session can be given, in order."""
    for one in map(_Seen, done):
        # What is calculated is not needed, as ``lost`` says; but another setting may stand beside it.
        if one.sets and not (one.calculates and sum(word in _ASSIGNS for word in one.words) == 1):
            yield one.statement


def lost(done: Sequence[Statement], left: Sequence[Statement]) -> Statement | None:
    """Give the statement of MySQL that gave what another session lacks and the rest of a delta may need; None for none.

    That is a variable whose value was calculated, a temporary table, or the number of a row that was inserted.

    Args:
        done: What was executed, in order.
        left: What is still to be.
    """
    calculated: dict[str, Statement] = {}
    temporary: dict[str, Statement] = {}
    for one in map(_Seen, done):
        for name in one.variables if one.sets else ():
            if name in calculated and one.needs(name):
                return calculated[name]
            calculated.pop(name, None)
        if one.calculates:
            calculated |= dict.fromkeys(one.variables, one.statement)
        temporary |= dict.fromkeys(one.temporary, one.statement)
        if one.first == "DROP":
            temporary = {name: made for name, made in temporary.items() if name not in names_in([one.statement])}
    for one in map(_Seen, left):
        for name in one.variables:
            if name in calculated and one.needs(name):
                return calculated[name]
            calculated.pop(name, None)
        if used := temporary.keys() & names_in([one.statement]):
            return temporary[min(used)]
    return _number_lost([*map(_Seen, done)], [*map(_Seen, left)])


def _number_lost(done: Sequence[_Seen], left: Sequence[_Seen]) -> Statement | None:
    for one in left:
        if _NUMBER in one.words:
            given = (past for past in reversed(done) if past.first in _NUMBERED or _NUMBER in past.words)
            return next((past.statement for past in given), None)
        if one.first in _NUMBERED:
            break
    return None
