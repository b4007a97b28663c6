"""SQL text -> statements, cut where the server's own parser would cut.

Called by the reader of delta files, and by whatever executes one statement at a time.
For PostgreSQL the cuts are those of its parser (tests compare with ``pglast``); every piece cut for SQLite executes as
one statement.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise

import msgspec

from pdelta.errors import ScriptError
from pdelta.sql.body import body_of
from pdelta.sql.token import Dialect, Kind, Mode, Token
from pdelta.sql.tokens import tokenize


class Statement(msgspec.Struct, frozen=True):
    """One statement without what ends it.

    Attributes:
        text: From its first token to its last, comments between them included.
        tokens: The same without comments; never empty.
    """

    text: str
    tokens: tuple[Token, ...]

    @property
    def offset(self) -> int:
        """Where it begins, in characters from the start of the text."""
        return self.tokens[0].offset

    @property
    def line(self) -> int:
        """The line on which it begins, from 1."""
        return self.tokens[0].line


@lru_cache(maxsize=4096)
def statements_of(text: str, dialect: Dialect, modes: frozenset[Mode], line: int) -> tuple[Statement, ...]:
    """Give the statements of a section of a delta file; the reader asks for them, and so does who executes them.

    Raises:
        ScriptError: As ``split``.
    """
    return tuple(split(text, dialect, modes=modes, line=line))


def split(text: str, dialect: Dialect, *, modes: frozenset[Mode] = frozenset(), line: int = 1) -> Iterator[Statement]:
    """Give the statements of this text in order, without empty ones.

    Between two of them stand only comments, white space, what ends a statement, and MySQL's ``DELIMITER`` lines.

    Args:
        text: SQL.
        dialect: Whose.
        modes: What the server's ``sql_mode`` changes.
        line: The line of the file that the text begins on.

    Raises:
        ScriptError: Something does not end, or is not SQL: a command of the client, the data of a ``COPY``.
    """
    for tokens in cut(tokenize(text, dialect, modes=modes, line=line), dialect):
        yield Statement(text[tokens[0].offset : tokens[-1].end], tokens)


def cut(tokens: Iterable[Token], dialect: Dialect) -> Iterator[tuple[Token, ...]]:
    """Give the tokens of one statement after the other, without comments and without what ends a statement.

    Raises:
        ScriptError: As ``split``.
    """
    held: list[Token] = []
    body = body_of(dialect)
    for token in tokens:
        if token.kind in {Kind.COMMENT, Kind.COMMAND}:
            continue
        if token.kind is Kind.DELIMITER or (token.word == ";" and not body.is_open):
            if held:
                yield _whole(held, dialect)
            held, body = [], body_of(dialect)
        else:
            held.append(token)
            body.take(token)
    if held and body.is_open:
        raise ScriptError(
            f"the statement that begins with {held[0].text} has a bracket, a BEGIN or a comment that is not closed",
            line=held[0].line,
        )
    if held:
        yield _whole(held, dialect)


def _whole(held: list[Token], dialect: Dialect) -> tuple[Token, ...]:
    if dialect is Dialect.POSTGRESQL and held[0].word == "COPY":
        words = [token.word for token in held]
        if ("FROM", "STDIN") in pairwise(words):
            raise ScriptError(
                "COPY … FROM stdin takes its data from the client, and a delta has none",
                line=held[0].line,
                hint="write the rows as INSERT statements",
            )
    return tuple(held)
