"""What takes a delta back, derived from its statements, and from what each tenant is like when they are executed."""

from collections.abc import Iterable
from typing import Any, Final, Protocol

from pdelta.sql.alone import alone
from pdelta.sql.derive.draft import Draft, Terms
from pdelta.sql.derive.result import Derived, Refusal, RefusedError
from pdelta.sql.piece import Piece
from pdelta.sql.script import digest
from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect, Kind

ROWS_AT_MOST: Final = 100_000
"""How many rows one statement may change where they are kept: beyond, keeping them takes longer than people wait."""


def derive(
    statements: Iterable[Statement],
    dialect: Dialect,
    *,
    delta: str,
    irreversible: str = "",
    park: bool = True,
    once: bool = False,
    stepwise: bool = False,
    rows_at_most: int = ROWS_AT_MOST,
) -> Derived:
    """Give the pieces of a delta whose reverse each tenant calculates, and what could not be derived.

    Executed and taken back, a tenant is what it was: its schema, and its rows as far as nobody else has changed them.
    What has no such reverse is refused, never guessed.

    Args:
        statements: The delta's forward statements in order, with values in place of placeholders.
        dialect: Whose.
        delta: The id of the delta; what is parked and kept is named after it.
        irreversible: Why there is to be no reverse; then nothing is derived, and nothing refused.
        park: Whether what would be lost is parked; otherwise it is refused.
        once: Whether the delta may touch what belongs to the whole database.
        stepwise: Whether it is executed statement by statement, without a transaction around all of them.
        rows_at_most: How many rows one statement may change where they are kept.
    """
    held = tuple(statements)
    by_itself = alone(held, dialect)
    if irreversible:
        return Derived(
            tuple(Piece(one.text, alone=place in by_itself, number=place + 1) for place, one in enumerate(held))
        )
    terms = Terms(delta, digest(held, dialect)[:4], park=park, once=once, rows_at_most=rows_at_most, stepwise=stepwise)
    try:
        begun, add = _begin(dialect, terms)
    except ModuleNotFoundError as error:
        if error.name != "pglast":
            raise
        return Derived((), tuple(Refusal(one.line, one.text, _NO_PARSER, _INSTALL) for one in held))
    refusals = []
    numbers: list[int] = []
    for place, statement in enumerate(held):
        try:
            _refuse_placeholder(statement)
            add(begun, statement, alone=place in by_itself)
        except RefusedError as error:
            refusals.append(Refusal(statement.line, statement.text, error.reason, error.hint))
        numbers += [place + 1] * (begun.place - len(numbers))
    if not refusals:
        begun.finish()
    pieces = tuple(map(_plain, begun.pieces, numbers))
    return Derived(pieces, tuple(refusals), tuple(begun.notes), begun.rows)


def _plain(piece: Piece, number: int) -> Piece:
    """Give a piece of that statement, whose texts are nothing but text, as whoever stores it needs them."""
    return Piece(
        str(piece.statement),
        tuple(map(str, piece.before)),
        str(piece.undo),
        str(piece.late_undo),
        tuple(map(str, piece.after)),
        piece.alone,
        piece.calculated,
        number,
    )


_NO_PARSER: Final = (
    "PostgreSQL's parser is not installed (pip install 'pdelta[derive]'); without it no reverse is derived"
)
_INSTALL: Final = "install pdelta with its extra derive, or write the reverse"


def _refuse_placeholder(statement: Statement) -> None:
    if any(token.kind is Kind.PLACEHOLDER for token in statement.tokens):
        raise RefusedError("a placeholder stands for what only the tenant knows", "derive it with the values in place")


class _Add(Protocol):
    """Appends the pieces of one statement to a draft of its dialect."""

    def __call__(self, draft: Any, statement: Statement, /, *, alone: bool) -> None: ...  # noqa: ANN401


def _begin(dialect: Dialect, terms: Terms) -> tuple[Draft, _Add]:
    """Give a new draft, and what takes statements into it; only the dialect at hand is imported."""
    if dialect is Dialect.POSTGRESQL:
        from pdelta.sql.derive import postgresql

        return postgresql.Delta(terms), postgresql.add_statement
    if dialect is Dialect.SQLITE:
        from pdelta.sql.derive import sqlite

        return sqlite.Delta(terms), sqlite.add_statement
    from pdelta.sql.derive import mysql

    return mysql.Delta(terms), mysql.add_statement


__all__ = ["ROWS_AT_MOST", "Derived", "Refusal", "derive"]
