"""SQL text -> tokens, one after the other, each with the place where it stands.

What ``split``, the digest of a script and the reader of delta files stand on. It knows
where strings, comments and bodies in dollars end, and nothing of any statement. Time is linear
in the length of the text, and nothing recurses.
"""

import re
from collections.abc import Iterator
from typing import Final

from pdelta.errors import ScriptError
from pdelta.sql import lexicon
from pdelta.sql.token import Dialect, Kind, Mode, Token

_EDGE: Final = re.compile(r"/\*|\*/")
_DELIMITER: Final = re.compile(r"[ \t]*+([^\s\\]*)[^\n]*")
_KEEPS_ITS_SIGNS: Final = frozenset("~!@#^&|`?%")
_KINDS: Final = {
    "word": Kind.WORD,
    "quoted": Kind.QUOTED,
    "string": Kind.STRING,
    "escaped": Kind.STRING,
    "number": Kind.NUMBER,
    "placeholder": Kind.PLACEHOLDER,
    "symbol": Kind.SYMBOL,
    "comment": Kind.COMMENT,
}


def tokenize(
    text: str, dialect: Dialect, *, modes: frozenset[Mode] = frozenset(), offset: int = 0, line: int = 1
) -> Iterator[Token]:
    """Give the tokens of this text in order, comments included; only white space is left out.

    Args:
        text: SQL.
        dialect: Whose.
        modes: What the server's ``sql_mode`` changes.
        offset: Where to begin.
        line: The line that has this offset, from 1.

    Raises:
        ScriptError: A string, name, comment or body that does not end, or a backslash outside of all of them, when the
            tokens before it have been given; a NUL character, before any.
    """
    nul = text.find("\0", offset)
    if nul >= 0:
        # No server takes one, not even in a string.
        raise ScriptError("there is a NUL character", line=line + text.count("\n", offset, nul))
    reader = _Reader(text, offset, line, nested=dialect is Dialect.POSTGRESQL)
    if dialect is Dialect.MYSQL:
        return _DelimitedReader(reader).tokens(lexicon.pattern(dialect, modes))
    return reader.tokens(lexicon.pattern(dialect, modes))


class _Reader:
    """Where reading has got to, and the tokens that an expression alone can't match."""

    def __init__(self, text: str, at: int, line: int, *, nested: bool) -> None:
        self.text = text
        self.at = at
        self.line = line
        self.nested = nested
        self.in_version = False
        self._continued = -1

    def tokens(self, pattern: re.Pattern[str]) -> Iterator[Token]:
        while self.at < len(self.text):
            yield from self.next(pattern)

    def next(self, pattern: re.Pattern[str]) -> Iterator[Token]:
        """Read the next match; white space gives no token, a run of operators may give several."""
        found = (lexicon.CONTINUED if self.at == self._continued else pattern).match(self.text, self.at)
        if found is None:
            raise self._unreadable()
        group = found.lastgroup or "string"
        match group:
            case "space":
                self.advance(found.end())
            case "block":
                yield self.take(Kind.COMMENT, self._closing())
            case "dollar":
                yield self.take(
                    Kind.STRING, self._after(found[0], found.end(), f"the body that begins with {found[0]}")
                )
            case "operator":
                yield from self._operators(found[0])
            case "version":
                yield self._version(found[0])
            case "wrong":
                raise self._unreadable()
            case _:
                yield self.take(_KINDS[group], found.end())
                if group == "escaped" or found.re is lexicon.CONTINUED:
                    more = lexicon.CONTINUATION.match(self.text, self.at)
                    self._continued = more.end() if more else -1

    def take(self, kind: Kind, end: int) -> Token:
        """Give what stands before ``end`` as a token, and go there."""
        token = Token(kind, self.text[self.at : end], self.at, self.line)
        self.advance(end)
        return token

    def advance(self, end: int) -> None:
        self.line += self.text.count("\n", self.at, end)
        self.at = end

    def _after(self, closing: str, start: int, what: str) -> int:
        found = self.text.find(closing, start)
        if found < 0:
            raise ScriptError(f"{what} does not end", line=self.line)
        return found + len(closing)

    def _closing(self) -> int:
        """Give where the block comment that begins here ends; in PostgreSQL comments hold comments."""
        if not self.nested:
            return self._after("*/", self.at + 2, "the comment that begins with /*")
        depth = 0
        for edge in _EDGE.finditer(self.text, self.at):
            depth += 1 if edge[0] == "/*" else -1
            if not depth:
                return edge.end()
        return self._after("*/", len(self.text), "the comment that begins with /*")

    def _operators(self, run: str) -> Iterator[Token]:
        """Cut a run of operator characters as PostgreSQL does, so that ``a=-1`` is ``a = -1``."""
        if _KEEPS_ITS_SIGNS.isdisjoint(run[:-1]):
            one = run.rstrip("+-") or run[0]
            # What is left are signs alone, which would be cut one by one: matching the rest again would be quadratic.
            ends = range(self.at + len(one), self.at + len(run) + 1)
        else:
            ends = range(self.at + len(run), self.at + len(run) + 1)
        for end in ends:
            yield self.take(Kind.SYMBOL, end)

    def _version(self, text: str) -> Token:
        """Give the edge of a MySQL comment that is executed; what it holds are tokens as others are."""
        if text == "*/" and not self.in_version:
            return self.take(Kind.SYMBOL, self.at + 1)
        self.in_version = text != "*/"
        return self.take(Kind.SYMBOL, self.at + len(text))

    def _unreadable(self) -> ScriptError:
        character = self.text[self.at]
        if character in "'\"`[":
            return ScriptError(f"the text that begins with {character} does not end", line=self.line)
        return ScriptError(
            "a backslash outside a string begins a command of the client",
            line=self.line,
            hint="a delta holds SQL alone: write the statements that the command stands for",
        )


class _DelimitedReader:
    """MySQL's: the client's ``DELIMITER`` line chooses what ends a statement, wherever that stands outside quotes."""

    def __init__(self, reader: _Reader) -> None:
        self._reader = reader
        self._delimiter = ";"
        self._fresh = True

    def tokens(self, pattern: re.Pattern[str]) -> Iterator[Token]:
        reader = self._reader
        while reader.at < len(reader.text):
            if self._delimiter != ";" and reader.text.startswith(self._delimiter, reader.at):
                self._fresh = True
                yield reader.take(Kind.DELIMITER, reader.at + len(self._delimiter))
                continue
            if self._fresh and (command := self._command()):
                yield command
                continue
            for token in reader.next(pattern):
                yield self._shortened(token)

    def _command(self) -> Token | None:
        reader = self._reader
        start = reader.at + len("delimiter")
        if reader.text[reader.at : start].lower() != "delimiter" or reader.text[start : start + 1] not in " \t\n":
            return None
        found = _DELIMITER.match(reader.text, start)
        if found is None or not found[1]:
            raise ScriptError("DELIMITER names no delimiter", line=reader.line)
        self._delimiter = found[1]
        return reader.take(Kind.COMMAND, found.end())

    def _shortened(self, token: Token) -> Token:
        """Cut a token short where the delimiter begins in it, as in ``END$$``: a ``$`` is a letter otherwise."""
        if token.kind is Kind.COMMENT:
            return token
        self._fresh = token.text == self._delimiter == ";"
        if self._delimiter == ";" or token.kind not in {Kind.WORD, Kind.NUMBER, Kind.SYMBOL}:
            return token
        reader = self._reader
        found = reader.text.find(self._delimiter, token.offset, token.end + len(self._delimiter) - 1)
        if found <= token.offset:
            return token
        # None of these kinds holds a line's end.
        reader.at = found
        return Token(token.kind, reader.text[token.offset : found], token.offset, token.line)
