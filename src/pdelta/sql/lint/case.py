"""What a rule is asked about: one statement of a delta, with what is known around it."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from pdelta.model.amount import counted
from pdelta.sql.lint.block import statements_within
from pdelta.sql.lint.finding import SMALL_BYTES, SMALL_ROWS, Fleet, Hit
from pdelta.sql.lint.reading import AlterTable, CreateTable, Name, Shape, Words, significant
from pdelta.sql.lint.shape import shape_of
from pdelta.sql.script import Part, Script
from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect, Token


class Case(msgspec.Struct, frozen=True):
    """One statement.

    Attributes:
        script: Its delta.
        part: Whether it is forward or reverse.
        place: Which of the part's statements it is, from 0.
        tokens: Without the edges of comments that are executed.
        shape: What it is about.
        dialect: Whose.
        fleet: Where it goes.
        made: Tables that earlier statements of this part have made, which are empty or almost so.
        others: All statements of the part.
        mine: Their shapes.
        opposite: The shapes of the delta's reverse, or of its forward statements for those of the reverse.
    """

    script: Script
    part: Part
    place: int
    tokens: tuple[Token, ...]
    shape: Shape
    dialect: Dialect
    fleet: Fleet
    made: frozenset[str]
    others: tuple[Statement, ...]
    mine: tuple[Shape, ...] = ()
    opposite: tuple[Shape, ...] = ()

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.tokens[0].line

    @property
    def words(self) -> list[str]:
        """Give the words in capitals and symbols, empty ones for literals and names in quotes."""
        return [token.word for token in self.tokens]

    def begins(self, *words: str) -> bool:
        """Say whether the statement begins with these words."""
        return self.words[: len(words)] == list(words)

    @property
    def is_forward(self) -> bool:
        """Whether it goes forward: what a reverse takes away is what it is for."""
        return self.part is Part.FORWARD

    def size_of(self, table: Name) -> str | None:
        """Give, in words, how large a table is that time matters for; None where it is small or new.

        What nothing is known of is taken as large, and the words say so.
        """
        if table.last in self.made:
            return None
        sizes = self.fleet.sizes
        if sizes is None:
            return "without statistics every table is taken as large"
        size = sizes.get(table.last)
        if size is None:
            return f"the statistics know no {table.last}, so it is taken as large"
        if size.rows <= SMALL_ROWS and size.bytes <= SMALL_BYTES:
            return None
        return f"it has {counted(size.rows, 'row')} in the largest tenant"

    def is_empty(self, table: Name) -> bool:
        """Say whether a table is known to have no rows, in any tenant."""
        size = (self.fleet.sizes or {}).get(table.last)
        return table.last in self.made or (size is not None and not size.rows)

    @property
    def alterations(self) -> Iterator[tuple[Name, Words]]:
        """Give what ALTER TABLE does, each action with the table; nothing for another statement."""
        if isinstance(self.shape, AlterTable):
            for action in self.shape.actions:
                yield self.shape.table, action


Check = Callable[[Case], Iterator[Hit]]


def cases_of(
    script: Script,
    part: Part,
    statements: Mapping[Part, Sequence[Statement]],
    dialect: Dialect,
    fleet: Fleet,
) -> Iterator[Case]:
    """Give the cases of one part of a delta in order.

    Args:
        script: The delta.
        part: ``FORWARD`` or ``REVERSE``.
        statements: Those of both parts.
        dialect: Whose they are.
        fleet: Where they go.
    """
    tokens = {key: [found for one in held if (found := significant(one))] for key, held in statements.items()}
    shapes = {key: tuple(shape_of(one, dialect) for one in held) for key, held in tokens.items()}
    opposite = shapes.get(Part.REVERSE if part is Part.FORWARD else Part.FORWARD, ())
    mine = shapes.get(part, ())
    made: set[str] = set()
    for place, (held, shape) in enumerate(zip(tokens.get(part, ()), mine, strict=True)):
        others = tuple(statements[part])
        yield Case(script, part, place, held, shape, dialect, fleet, frozenset(made), others, mine, opposite)
        if isinstance(shape, CreateTable):
            made.add(shape.table.last)


def cases_within(case: Case) -> Iterator[Case]:
    """Give a case for whatever PostgreSQL's ``DO`` executes in its block, all else as it is of the ``DO``."""
    if case.dialect is Dialect.POSTGRESQL:
        for tokens in statements_within(case.tokens):
            yield msgspec.structs.replace(case, tokens=tokens, shape=shape_of(tokens, case.dialect))
