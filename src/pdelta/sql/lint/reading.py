"""A statement as far as rules look into it: what it is about, and the actions and columns that it names.

Told by tokens, and forgiving: what is not understood is a ``Plain`` statement with its words. Never decides what is
executed.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect, Kind, Token

NAMES: Final = frozenset({Kind.WORD, Kind.QUOTED, Kind.PLACEHOLDER})
_OPEN: Final = frozenset("([")
_CLOSE: Final = frozenset(")]")


class Name(msgspec.Struct, frozen=True):
    """The name of a table or another thing, as the dialect folds it.

    Attributes:
        parts: Schema and name, or the name alone.
        line: Where it stands.
    """

    parts: tuple[str, ...]
    line: int

    @property
    def last(self) -> str:
        """The name without its schema."""
        return self.parts[-1]

    @property
    def schema(self) -> str:
        """The schema that is written before it; empty for none."""
        return self.parts[-2] if len(self.parts) > 1 else ""

    def __str__(self) -> str:
        return ".".join(self.parts)


class Words(msgspec.Struct, frozen=True):
    """Some tokens of a statement: an action of ALTER TABLE, the definition of a column.

    Attributes:
        tokens: At least one.
        dialect: Whose.
    """

    tokens: tuple[Token, ...]
    dialect: Dialect

    @property
    def line(self) -> int:
        """Where they begin."""
        return self.tokens[0].line

    @property
    def words(self) -> list[str]:
        """Give the words in capitals and symbols that stand in no brackets; empty ones for names in quotes."""
        return [token.word for token in outside(self.tokens)]

    def has(self, *words: str) -> bool:
        """Say whether these words stand in it, one behind the other and in no brackets."""
        mine = self.words
        return any(mine[start : start + len(words)] == list(words) for start in range(len(mine)))

    @property
    def cursor(self) -> "Cursor":
        """Give what reads them from the beginning."""
        return Cursor(self.tokens, self.dialect)


class Column(msgspec.Struct, frozen=True):
    """What is said of a column that is added or defined.

    Attributes:
        name: As the dialect folds it.
        kind: The words of its type, brackets and what is in them included.
        default: The tokens of its default; none where there is none.
        rest: What stands behind its name.
    """

    name: str
    kind: tuple[Token, ...]
    default: tuple[Token, ...]
    rest: Words

    @property
    def type_words(self) -> list[str]:
        """Give the words of its type that stand in no brackets."""
        return [token.word for token in outside(self.kind)]


class AlterTable(msgspec.Struct, frozen=True):
    """``ALTER TABLE``: the table, and what is done to it."""

    table: Name
    actions: tuple[Words, ...]


class CreateTable(msgspec.Struct, frozen=True):
    """``CREATE TABLE``: the table, what stands in its brackets, and what follows them."""

    table: Name
    definitions: tuple[Words, ...]
    options: tuple[Token, ...]
    is_temporary: bool = False


class CreateIndex(msgspec.Struct, frozen=True):
    """``CREATE INDEX``: its table, how it is built, its name where it has one, and the names in its brackets."""

    table: Name
    concurrently: bool
    name: Name | None = None
    columns: frozenset[str] = frozenset()


class Drop(msgspec.Struct, frozen=True):
    """``DROP`` of a kind of thing: what is dropped, and how."""

    kind: str
    names: tuple[Name, ...]
    concurrently: bool
    cascade: bool


class Write(msgspec.Struct, frozen=True):
    """``INSERT``, ``UPDATE``, ``DELETE`` and the like: the table, and whether its rows are chosen.

    Attributes:
        verb: The first word.
        table: Whose rows.
        chosen: Whether a WHERE or a LIMIT says which.
        many: Whether how many rows it writes depends on those of a table.
    """

    verb: str
    table: Name
    chosen: bool
    many: bool


class Truncate(msgspec.Struct, frozen=True):
    """``TRUNCATE``: the tables."""

    tables: tuple[Name, ...]


class Plain(msgspec.Struct, frozen=True):
    """Any other statement."""


Shape = AlterTable | CreateTable | CreateIndex | Drop | Write | Truncate | Plain


class Cursor:
    """Reads tokens from the left to the right.

    Args:
        tokens: What is read.
        dialect: How names are folded.
    """

    def __init__(self, tokens: Sequence[Token], dialect: Dialect) -> None:
        """Begin with the first."""
        self.tokens = tokens
        self.dialect = dialect
        self.at = 0

    def word(self, ahead: int = 0) -> str:
        """Give the next word, or one further ahead; empty behind the last."""
        place = self.at + ahead
        return self.tokens[place].word if place < len(self.tokens) else ""

    def skip(self, *words: str) -> bool:
        """Go behind these words if they come now."""
        found = all(self.word(number) == word for number, word in enumerate(words))
        self.at += len(words) if found else 0
        return found

    def skip_any(self, words: frozenset[str]) -> frozenset[str]:
        """Go behind every one of these words that comes now, and give those that came."""
        found: set[str] = set()
        while self.word() in words:
            found.add(self.word())
            self.at += 1
        return frozenset(found)

    def name(self) -> Name | None:
        """Go behind a name with dots in it, and give it; None where none comes now."""
        parts: list[str] = []
        start = self.at
        while self.at < len(self.tokens) and self.tokens[self.at].kind in NAMES:
            parts.append(folded(self.tokens[self.at], self.dialect))
            self.at += 1
            if self.word() != ".":
                break
            self.at += 1
        return Name(tuple(parts), self.tokens[start].line) if parts else None

    def names(self) -> tuple[Name, ...]:
        """Go behind names with commas between them, and give them."""
        found: list[Name] = []
        while (name := self._whole_name()) is not None:
            found.append(name)
            self.skip("*")
            self.group()
            if not self.skip(","):
                break
        return tuple(found)

    def _whole_name(self) -> Name | None:
        if self.dialect is Dialect.POSTGRESQL:
            self.skip("ONLY")
        return self.name()

    def group(self) -> tuple[Token, ...] | None:
        """Go behind brackets, and give what stands in them; None where none open now."""
        if self.word() != "(":
            return None
        depth, start = 0, self.at + 1
        for place in range(self.at, len(self.tokens)):
            depth += (self.tokens[place].word in _OPEN) - (self.tokens[place].word in _CLOSE)
            if not depth:
                self.at = place + 1
                return tuple(self.tokens[start:place])
        self.at = len(self.tokens)
        return tuple(self.tokens[start:])

    def rest(self) -> tuple[Token, ...]:
        """Give what was not read yet."""
        return tuple(self.tokens[self.at :])


def folded(token: Token, dialect: Dialect) -> str:
    """Give the name that a token is, without quotes and in the case that the dialect compares it in."""
    if token.kind is Kind.QUOTED:
        quote = token.text[-1]
        text = token.text[token.text.index('"' if quote == '"' else token.text[0]) + 1 : -1]
        text = text.replace(quote * 2, quote)
        return text.lower() if dialect is Dialect.SQLITE else text
    if token.kind is Kind.PLACEHOLDER or dialect is Dialect.MYSQL:
        return token.text
    return token.text.lower()


def outside(tokens: Sequence[Token]) -> Iterator[Token]:
    """Give the tokens that stand in no brackets, the brackets left out."""
    depth = 0
    for token in tokens:
        if token.word in _OPEN:
            depth += 1
        elif token.word in _CLOSE:
            depth = max(0, depth - 1)
        elif not depth:
            yield token


def pieces(tokens: Sequence[Token], dialect: Dialect) -> tuple[Words, ...]:
    """Give what stands between commas that are in no brackets."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.word in _OPEN) - (token.word in _CLOSE)
        if token.word == "," and depth <= 0:
            found.append([])
        else:
            found[-1].append(token)
    return tuple(Words(tuple(piece), dialect) for piece in found if piece)


def significant(statement: Statement) -> tuple[Token, ...]:
    """Give the tokens without the edges of MySQL's ``/*! … */``."""
    return tuple(token for token in statement.tokens if not token.word.startswith("/*") and token.word != "*/")
