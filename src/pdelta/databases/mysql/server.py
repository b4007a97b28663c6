"""One server: its connections, and the one that reading shares."""

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from pdelta.databases.mysql import failure
from pdelta.databases.mysql.address import Address
from pdelta.databases.mysql.connection import MysqlConnection
from pdelta.databases.mysql.quoting import literal
from pdelta.databases.mysql.quoting import name as quoted
from pdelta.errors import Cause, DatabaseError

if TYPE_CHECKING:
    from pdelta.sql.token import Mode

Value = TypeVar("Value")


class Server:
    """A server that is connected to when something is first asked of it.

    Args:
        address: Where it is.
    """

    def __init__(self, address: Address) -> None:
        """Connect to nothing."""
        self.address = address
        self.modes: frozenset[Mode] = frozenset()
        self._reading: MysqlConnection | None = None
        self._guard = threading.Lock()

    @property
    def name(self) -> str:
        """What people call it."""
        return self.address.server

    def connect(self) -> MysqlConnection:
        """Open a connection.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        connection = MysqlConnection(self.address)
        self.modes = connection.modes
        return connection

    def ask(self, text: str, *, about: str = "") -> list[tuple[Any, ...]]:
        """Give the rows of a question of our own, on the connection that all of them share.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        return self._with_connection(lambda connection: connection.rows(text, about=about or self.name))

    def ask_for(self, text: str, *, about: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Give the columns and rows of somebody else's question, which can't write.

        Raises:
            DatabaseError: As its ``cause`` says; ``REFUSED`` where it is no question.
        """

        def asked(connection: MysqlConnection) -> tuple[list[str], list[tuple[Any, ...]]]:
            from pdelta.databases.mysql.statement import refused_as_query

            if reason := refused_as_query(text, connection.modes):
                raise failure.refused(about, reason)
            if self.address.database:
                connection.enter(self.address.database)
            connection.run("START TRANSACTION READ ONLY", about=about)
            try:
                return connection.table(text, about=about)
            finally:
                if connection.is_open:
                    connection.run("ROLLBACK", about=about)

        return self._with_connection(asked)

    def create(self, name: str) -> bool:
        """Make a database where there is none of this name; say whether there was none.

        Raises:
            DatabaseError: As its ``cause`` says.
        """

        def created(connection: MysqlConnection) -> bool:
            there = connection.rows(
                f"SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {literal(name)}", about=name
            )
            if not there:
                connection.run(f"CREATE DATABASE IF NOT EXISTS {quoted(name)}", about=name)
            return not there

        return self._with_connection(created)

    def close(self) -> None:
        """Close what reading shares."""
        with self._guard:
            self._forget()

    def _with_connection(self, act: Callable[[MysqlConnection], Value]) -> Value:
        """Do something on the shared connection; one that the server has closed meanwhile is made anew, once."""
        with self._guard:
            is_new = self._reading is None
            try:
                return act(self._connected())
            except DatabaseError as error:
                if error.cause is not Cause.LOST:
                    raise
                self._forget()
                if is_new:
                    raise
            return act(self._connected())

    def _connected(self) -> MysqlConnection:
        if self._reading is None:
            self._reading = self.connect()
        return self._reading

    def _forget(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.close()


def missing(name: str) -> DatabaseError:
    """Give the error of a tenant that is on no server."""
    return DatabaseError(
        f"{name}: no server has a database of this name; {failure.UNCHANGED}",
        cause=Cause.MISSING,
        reason="no server has a database of this name",
    )
