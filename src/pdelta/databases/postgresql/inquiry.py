"""The question what tenants are made of, as a session asks it: planned once, where nobody else has its connection.

To plan it takes the server longer than to answer it. So it is a prepared statement, the same for all schemas: their
names are in a setting. On a connection that a pooler hands to others it is prepared in each string, and forgotten at
the end of that. Called by ``session``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pdelta.databases.postgresql.connection import Connection, Result
from pdelta.databases.postgresql.layout import Layout
from pdelta.databases.postgresql.ledger import Place
from pdelta.databases.postgresql.script import UNCOMPILED, Line, Role, enter, roll_back

if TYPE_CHECKING:
    from pdelta.sql.catalogue import Catalogue

MEET: Final = "SELECT current_setting('server_version_num')::int, pg_backend_pid()"
"""What must be known of a connection before anything is asked about on it."""
NOT_THERE: Final = "26000"
"""The server's code for a prepared statement that it does not have."""

_NAME: Final = "pdelta_made"
_AHEAD_MS: Final = 20
"""How long it waits for a lock where nobody asks yet: whoever asks waits for that, and then as long as they may."""
_END: Final = (
    "ROLLBACK",
    f"SELECT pg_advisory_unlock_all(), EXISTS (SELECT FROM pg_prepared_statements WHERE name <> '{_NAME}')",
)


class Inquiry:
    """The question of one session: for each string ``begin``, ``lines``, ``end`` and ``ended``.

    Args:
        layout: What tenants are.

    Attributes:
        is_kept: Whether the connection was left with the question prepared.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._connection: Connection | None = None
        self._version = 0
        self._is_ours = False
        self.is_kept = False
        self._is_prepared = False
        self._text = ""
        self._prepared = ""
        self._chosen = ""

    def knows(self, connection: Connection) -> bool:
        """Say whether it was told what this connection answers to ``MEET``."""
        return connection is self._connection

    def meet(self, connection: Connection, version: int, backend: int) -> None:
        """Take what a connection answers to that; behind a pooler it is another process that answers."""
        self._connection, self._version = connection, version
        self._is_ours, self.is_kept = backend == connection.backend, False

    def about(self, tenants: Sequence[str]) -> "tuple[str, Callable[[Any], Mapping[str, Catalogue]]]":
        """Give the question about these tenants, of the connection that was met last, and what reads the answer."""
        from pdelta.databases.catalogue import postgresql

        if self._layout.by_schema:
            self._text = postgresql.statement(self._version, tenants)
            self._prepared = postgresql.lasting_statement(self._version)
            self._chosen = f"SET LOCAL {postgresql.CHOSEN} = '{postgresql.digits(tenants)}'"
            return self._text, postgresql.read
        (tenant,) = tenants
        self._text = self._prepared = postgresql.database_statement(self._version)
        return self._text, lambda text: {tenant: postgresql.read_database(text)}

    def prepare(self) -> None:
        """Prepare it where it may stay prepared, and ask about no tenant: so the server knows how to answer.

        Raises:
            StatementError: The server does not take it.
            BrokenError: The connection broke.
        """
        if self._is_ours and self._connection:
            self.about(())
            place = Place("", "")
            limits = (f"SET LOCAL lock_timeout = {_AHEAD_MS}", "SET LOCAL statement_timeout = 0")
            begin = ("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY", *limits, UNCOMPILED)
            self.begin(self._connection)
            texts = (*begin, *(line.text for line in self.lines(place)), *self.end(self._connection))
            self.ended(self._connection, self._connection.run(";\n".join(texts))[-1])

    def is_(self, text: str) -> bool:
        """Say whether a text is the question that was given last."""
        return text == self._text

    def forget(self) -> None:
        """Count on nothing that was prepared: whatever ends a transaction without a trace forgets it."""
        self.is_kept = False

    def begin(self, connection: Connection | None) -> bool:
        """Begin a string; say whether it counts on what another one has prepared on this connection."""
        self._is_prepared = self.is_kept and connection is self._connection
        self.is_kept = False
        return self._is_prepared

    def lines(self, place: Place) -> Iterator[Line]:
        """Give what asks the question, in the tenant whose turn it is."""
        if not self._is_prepared:
            self._is_prepared = True
            yield Line(f"PREPARE {_NAME} AS {self._prepared}", Role.FRAME, place.tenant)
        if self._layout.by_schema:
            # In another search path than before it would be planned anew.
            yield Line("SET LOCAL search_path TO pg_catalog", Role.FRAME, place.tenant)
            yield Line(self._chosen, Role.FRAME, place.tenant)
        yield Line(f"EXECUTE {_NAME}", Role.VALUE, place.tenant)
        if self._layout.by_schema:
            yield from enter(place)

    def end(self, connection: Connection | None) -> tuple[str, ...]:
        """Give what rolls the string's transaction back, and leaves no more than may be left on this connection."""
        return _END if self._is_ours and connection is self._connection else roll_back()

    def ended(self, connection: Connection | None, result: Result) -> bool:
        """Take the result of the last statement; say whether the tenants' deltas have prepared something, too."""
        if not self._is_ours or connection is not self._connection:
            return False
        is_alone = not result.rows[0][1]
        self.is_kept = self._is_prepared and is_alone
        return not is_alone
