"""What SQL text is made of: the dialects, and the tokens that every dialect is cut into."""

from enum import StrEnum

import msgspec


class Dialect(StrEnum):
    """How the text is read; MariaDB reads it as MySQL does."""

    POSTGRESQL = "postgresql"
    MYSQL = "mysql"
    SQLITE = "sqlite"


class Mode(StrEnum):
    """What a MySQL server's ``sql_mode`` changes about reading; the other dialects pass it over."""

    ANSI_QUOTES = "ansi_quotes"
    NO_BACKSLASH_ESCAPES = "no_backslash_escapes"


class Kind(StrEnum):
    """What a token is; the value stands in the digest of a script and never changes."""

    WORD = "w"
    QUOTED = "q"
    STRING = "s"
    NUMBER = "n"
    PLACEHOLDER = "p"
    SYMBOL = "y"
    COMMENT = "c"
    DELIMITER = "d"
    """Ends a statement where ``DELIMITER`` chose another end than the semicolon."""
    COMMAND = "m"
    """The ``DELIMITER`` line itself, which the client reads and no server sees."""


class Token(msgspec.Struct, frozen=True, gc=False):
    """A piece of SQL text; white space stands between tokens and is none.

    Attributes:
        kind: What it is.
        text: As it is written.
        offset: Where it begins, in characters from the start of the text.
        line: The line on which it begins, from 1.
    """

    kind: Kind
    text: str
    offset: int
    line: int

    @property
    def end(self) -> int:
        """Where it ends, in characters from the start of the text."""
        return self.offset + len(self.text)

    @property
    def word(self) -> str:
        """A word in capitals or a symbol as it stands; empty for what no grammar is made of."""
        if self.kind is Kind.WORD:
            return self.text.upper()
        return self.text if self.kind is Kind.SYMBOL else ""
