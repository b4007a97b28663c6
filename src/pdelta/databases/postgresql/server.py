"""One server: how connections to it are made, and one that is kept for questions.

Called by ``database`` and ``session``. A question is a string that changes nothing, so that it may be asked again.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Self

from pdelta.databases.postgresql import ahead, failure
from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.connection import BrokenError, ConnectError, Connection, Result, StatementError
from pdelta.databases.postgresql.script import Line, Role, roll_back
from pdelta.errors import PdeltaError

_IS_THERE: Final = frozenset({"42P04", "42P06", "23505"})
"""A database or a schema of the name; or somebody else made it at the same moment."""

_COMING_S: Final = 1.0
"""How long who leaves waits for connections that are being made."""


def end(connection: Connection, text: str = "") -> None:
    """Roll back what was begun on a connection, or execute what else leaves nothing behind on it.

    Where that fails it is closed, and the server forgets all: it is gone, or a cancellation comes late and ends this
    instead.
    """
    try:
        connection.run(text or "; ".join(roll_back()))
    except (StatementError, BrokenError):
        connection.close()


class Server:
    """A server under the address that was given for it.

    Args:
        address: Where it is.
        direct: Where it is without a pooler in between; None where that is the same, or not known.
        application_name: What it shows of us.

    Attributes:
        name: What people call it.
        address: Where it is.
        direct: Where it is without a pooler in between.
    """

    def __init__(self, address: Address, *, direct: Address | None = None, application_name: str) -> None:
        self.name = address.server
        self.address = address
        self.direct = direct
        self._application_name = application_name
        self._asking = threading.Lock()
        self._asker: Connection | None = None
        self._lending = threading.Condition()
        self._idle: list[Connection] = []
        self._answers: dict[str, ahead.Answer] = {}
        self._coming = 0
        self._awaited = 0
        self._is_left = False

    def connect(self, database: str = "", *, directly: bool = False) -> Connection:
        """Make a connection.

        Args:
            database: To which; empty for the address's.
            directly: Past the pooler, where an address for that is known.

        Raises:
            DatabaseError: It can't be made.
            UsageError: The client library is missing.
        """
        address = (self.direct if directly else None) or self.address
        try:
            if not (database or directly) and (begun := ahead.take(address)):
                connection, answer = begun.take()
                if connection is not None and connection.is_usable():
                    if answer is not None:
                        self._answers[begun.question] = answer
                    return connection
            return Connection(address, database=database, application_name=self._application_name)
        except ConnectError as error:
            raise failure.unreachable(error, address, database) from error

    def prepare(self, connections: int) -> None:
        """Begin to make connections to the address's database, all at once, for who will want to be lent some.

        The server works on them while we still find out what is to be done.
        """
        # Where no thread can be had, whoever needs a connection makes it.
        with self._lending, suppress(RuntimeError):
            for _ in range(connections):
                # Counted behind: who is interrupted here leaves none that nobody will ever count off.
                name = f"connecting to {self.name}"
                threading.Thread(target=self._prepare, name=name, daemon=True).start()
                self._coming += 1

    def _prepare(self) -> None:
        try:
            # Whoever needs one tries again, and tells why there is none.
            with suppress(PdeltaError):
                self.give_back(self.connect(), "")
        finally:
            with self._lending:
                self._coming -= 1
                self._lending.notify_all()

    def lend(self, database: str, *, directly: bool = False) -> Connection:
        """Give a connection that is nobody else's until it is given back, or closed: one that was, or a new one.

        Args:
            database: To which; empty for the address's.
            directly: As for ``connect``.

        Raises:
            DatabaseError: None can be made.
        """
        if not (directly and self.direct):
            while not database and (found := self._pop()):
                if found.is_usable():
                    return found
        return self.connect(database, directly=directly)

    def give_back(self, connection: Connection, database: str) -> None:
        """Take a connection back; it serves the next one, or is closed, and a transaction rolled back.

        One to another database than the address's is closed: nobody will want that database again, while somebody may
        want to drop it.
        """
        if not database and connection.rests():
            with self._lending:
                if not self._is_left:
                    self._idle.append(connection)
                    self._lending.notify()
                    return
        connection.close()

    def _pop(self) -> Connection | None:
        """Give one that is idle, or will be before another could be made; None where none is."""
        with self._lending:
            if self._coming > self._awaited:
                self._awaited += 1
                self._lending.wait_for(lambda: self._idle or self._coming <= 0)
                self._awaited -= 1
            return self._idle.pop() if self._idle else None

    def ask(self, text: str, *, about: str = "") -> list[Result]:
        """Give the results of statements that change nothing, on a connection that all threads share.

        Args:
            text: SQL.
            about: The tenant that an error is to name; empty for the server.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        try:
            return self.ask_plainly(text)
        except StatementError as error:
            raise failure.statement(error, Line(text, Role.VALUE, about or self.name), error.position) from error
        except BrokenError as error:
            raise failure.lost(error, [about or self.name], state="nothing was changed") from error

    def ask_plainly(self, text: str) -> list[Result]:
        """Do the same for who looks at the results that came before a failure.

        Raises:
            StatementError: The server did not take one of the statements.
            BrokenError: The connection broke.
            DatabaseError: No connection can be made.
        """
        with self.connected() as connection:
            # What was asked ahead is told once.
            answer = self._answers.pop(text, None)
            if isinstance(answer, StatementError):
                raise answer
            return connection.run(text) if answer is None else answer

    @contextmanager
    def connected(self, database: str = "") -> Iterator[Connection]:
        """Lend a connection to who changes nothing: to the address's database the one that is kept, else one made now.

        Raises:
            DatabaseError: It can't be made.
        """
        if database:
            connection = self.connect(database)
            try:
                yield connection
            finally:
                connection.close()
            return
        with self._asking:
            if self._asker is None or not self._asker.is_usable():
                self._asker = self.lend("")
            try:
                yield self._asker
            except StatementError:
                # Where the text began a transaction, that is over.
                end(self._asker)
                raise

    def lend_asker(self) -> Connection:
        """Lend the connection that is kept for questions, which is there at once; the next question has another.

        Raises:
            DatabaseError: There is none, and none can be made.
        """
        with self._asking:
            asker, self._asker = self._asker, None
        return asker if asker is not None and asker.is_usable() else self.lend("")

    def create(self, text: str, *, about: str) -> bool:
        """Make a schema or a database; say whether there was none of its name.

        Args:
            text: The statement.
            about: The tenant that an error is to name.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        connection = self.connect()
        try:
            connection.run(text)
        except StatementError as error:
            if error.sqlstate in _IS_THERE:
                return False
            raise failure.statement(error, Line(text, Role.LEDGER, about), error.position) from error
        except BrokenError as error:
            raise failure.lost(error, [about], state="whether it was made is not known") from error
        finally:
            connection.close()
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._asker is not None:
            self._asker.close()
            self._asker = None
        with self._lending:
            # One that is not there by then is closed by who makes it.
            self._lending.wait_for(lambda: self._coming <= 0, _COMING_S)
            idle, self._idle, self._is_left = self._idle, [], True
        for connection in idle:
            connection.close()
