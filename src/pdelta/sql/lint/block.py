"""What PostgreSQL's ``DO`` executes: the statements and expressions in its block, told by their tokens.

Called by whoever asks rules about single statements. The block is PL/pgSQL, or nothing is said of it, nor of one that
can't be cut into tokens. Nothing is decided about what would be executed when; what is calculated is not seen.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from pdelta.errors import ScriptError
from pdelta.sql.body import PostgresBody
from pdelta.sql.lint.reading import NAMES, Cursor
from pdelta.sql.lint.texts import content
from pdelta.sql.split import cut
from pdelta.sql.token import Dialect, Kind, Token
from pdelta.sql.tokens import tokenize

Tokens = Sequence[Token]

_DEEPEST: Final = 4
"""So many texts in texts are read: each costs as much as all that it holds."""
_ENDS: Final = {
    **dict.fromkeys(("IF", "ELSIF", "ELSEIF", "WHEN"), "THEN"),
    **dict.fromkeys(("FOR", "FOREACH", "WHILE"), "LOOP"),
    "CASE": "WHEN",
}
"""What ends a piece that begins with one of these words; any other ends at a semicolon."""
_BETWEEN: Final = frozenset({"BEGIN", "ELSE", "EXCEPTION", "LOOP", ";"})
"""What stands between pieces and belongs to none."""
_THREE_WORDS: Final = frozenset({"<<", "#"})
"""What begins a label (``<<l>>``) or an option (``#variable_conflict error``), which no semicolon ends."""
_ASSIGNS: Final = frozenset({":=", "="})
_QUERIES: Final = frozenset({"DELETE", "EXECUTE", "INSERT", "MERGE", "SELECT", "TABLE", "UPDATE", "VALUES", "WITH"})
_WRITES_INTO: Final = frozenset({"INSERT", "MERGE"})


def statements_within(tokens: Tokens) -> Iterator[tuple[Token, ...]]:
    """Give what the block of a ``DO`` executes, in the order in which it stands there; nothing of any other statement.

    That is each statement, without the variables that it fills; each query of a loop; each text that EXECUTE gets as it
    is; and what else is calculated. The last begins with the word or sign that makes it so (``IF``, ``WHEN``, ``:=``,
    ``DECLARE``), so that the name of a variable is never taken for a verb.

    Args:
        tokens: Of one statement of PostgreSQL.
    """
    waiting = [(one, 1) for one in _of_block(tokens)][::-1]
    while waiting:
        piece, depth = waiting.pop()
        yield piece
        if depth < _DEEPEST:
            inner = (*_of_block(piece), *_of_text(piece))
            waiting.extend((one, depth + 1) for one in reversed(inner))


def _of_block(tokens: Tokens) -> Iterator[tuple[Token, ...]]:
    body = _body(tokens) if tokens[0].word == "DO" else None
    for piece, declare in _pieces(_read(body)) if body else ():
        yield from filter(None, _executed(piece, declare))


def _of_text(tokens: Tokens) -> Sequence[tuple[Token, ...]]:
    """Give the statements of the text that an EXECUTE is given as it is."""
    for place, token in enumerate(tokens[:-1]):
        string, behind = tokens[place + 1], tokens[place + 2 : place + 3]
        if token.word == "EXECUTE" and string.kind is Kind.STRING and (not behind or behind[0].word == "USING"):
            try:
                return list(cut(_read(string), Dialect.POSTGRESQL))
            except ScriptError:
                return ()
    return ()


def _body(tokens: Tokens) -> Token | None:
    """Give the string that is the block of a DO; None where it is in another language."""
    body, last = None, ""
    for token in tokens[1:]:
        if last == "LANGUAGE":
            if token.text.strip("\"'").lower() != "plpgsql":
                return None
        elif token.kind is Kind.STRING:
            body = token
        last = token.word
    return body


def _read(string: Token) -> list[Token]:
    """Give the tokens of what a string holds, on the lines on which they stand; none where that is no SQL."""
    try:
        found = list(tokenize(content(string.text) or "", Dialect.POSTGRESQL, line=string.line))
    except ScriptError:
        return []
    return [token for token in found if token.kind is not Kind.COMMENT]


def _pieces(tokens: Tokens) -> Iterator[tuple[list[Token], Token | None]]:
    """Cut a block at its semicolons and at the words between which statements stand.

    With each piece comes the DECLARE that it stands behind; None where it is no declaration.
    """
    held: list[Token] = []
    declare: Token | None = None
    end, passed = _End(";"), 0
    for token in tokens:
        word = token.word
        if passed or (not held and word in _THREE_WORDS):
            passed = (passed or 3) - 1
            continue
        if held and end.is_reached(token):
            yield held, declare
            held = []
            if word != "WHEN":
                continue
        if held:
            held.append(token)
        elif word == "DECLARE":
            declare = token
        elif word in _BETWEEN:
            declare = None if word == "BEGIN" else declare
        else:
            held, end = [token], _End(";" if declare else _ENDS.get(word, ";"))
            end.is_reached(token)
    if held:
        yield held, declare


class _End:
    """Finds the word that ends a piece, where it stands in no brackets, expression or routine.

    Args:
        word: Which.
    """

    def __init__(self, word: str) -> None:
        self._word = word
        self._body = PostgresBody()
        self._cases = -1 if word == "WHEN" else 0

    def is_reached(self, token: Token) -> bool:
        """Read the next token, the first one too; say whether it is the end."""
        self._body.take(token)
        if self._body.is_open:
            return False
        if self._word != ";":
            # No semicolon stands in a CASE that is an expression, but THEN and WHEN do.
            self._cases += (token.word == "CASE") - (token.word == "END")
        return token.word == self._word and not self._cases


def _executed(piece: list[Token], declare: Token | None) -> Iterator[tuple[Token, ...]]:
    """Give what of a piece rules can read."""
    first, rest = piece[0].word, piece[1:]
    second = rest[0].word if rest else ""
    if declare is not None:
        yield (declare, *(rest[1:] if second == "CONSTANT" else rest))
    elif first in {"END", "RAISE"}:
        pass
    elif piece[0].kind in NAMES and second in {*_ASSIGNS, ".", "["}:
        place = next((place for place, token in enumerate(piece) if token.word in _ASSIGNS), len(piece))
        if place < len(piece):
            yield tuple(piece[place:])
    elif first == "FOR":
        place = next((place for place, token in enumerate(rest) if token.word == "IN"), len(rest))
        query = rest[place + 1 :]
        yield tuple(query if query and query[0].word in _QUERIES else piece)
    else:
        yield tuple(piece if first == "IMPORT" else _unfilled(piece))


def _unfilled(piece: list[Token]) -> Iterator[Token]:
    """Leave out the variables that a statement fills: ``INTO [STRICT] a, b.c``."""
    place, last = 0, ""
    while place < len(piece):
        token = piece[place]
        if token.word == "INTO" and last not in _WRITES_INTO:
            place = _behind_targets(piece, place + 1)
        else:
            yield token
            place += 1
        last = token.word


def _behind_targets(piece: list[Token], place: int) -> int:
    """Give the place behind the variables that stand here."""
    cursor = Cursor(piece, Dialect.POSTGRESQL)
    cursor.at = place
    cursor.skip("STRICT")
    while cursor.name() is not None and cursor.skip(","):
        pass
    return cursor.at
