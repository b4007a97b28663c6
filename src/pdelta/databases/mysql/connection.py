"""One connection to one server, whose errors are the port's: statements go out one by one.

Knows nothing of ledgers. Used by one thread at a time, except ``kill``, which is another connection's. The driver is
imported with the first connection (44 ms, measured).
"""

import socket
import threading
from contextlib import suppress
from types import ModuleType
from typing import Any, Final, Protocol

from pdelta.databases.mysql import failure
from pdelta.databases.mysql.address import Address
from pdelta.databases.mysql.quoting import name
from pdelta.errors import Cause, DatabaseError, UsageError
from pdelta.sql.token import Mode

_RESET: Final = 0x1F
"""COM_RESET_CONNECTION: MySQL 5.7 and MariaDB 10.2 know it."""
_IN_TRANSACTION: Final = 1
"""SERVER_STATUS_IN_TRANS."""
_PLAIN: Final = "SET NAMES utf8mb4, autocommit = 1"
_NO_TLS: Final = 2026
_PATIENCE: Final = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000))
"""So that nobody waits for hours on a server that has vanished without a word."""


class Raw(Protocol):
    """What we need of the driver's connection."""

    open: bool
    server_status: int
    _sock: socket.socket

    def cursor(self) -> Any:  # noqa: ANN401 - of the driver
        """Give a cursor."""

    def thread_id(self) -> int:
        """Give the number of the session."""

    def close(self) -> None:
        """Say good-bye, and close."""

    def _execute_command(self, command: int, sql: bytes) -> None: ...

    def _read_ok_packet(self) -> object: ...


class MysqlConnection:
    """A connection that is open, with each statement a transaction of its own until one is begun.

    Args:
        address: Of the server.

    Raises:
        DatabaseError: It can't be reached, or lets nobody in.
        UsageError: The driver is not installed.
    """

    def __init__(self, address: Address) -> None:
        """Connect."""
        self._address = address
        self._raw = _connect(address)
        self.number: int = self._raw.thread_id()
        self.database = ""
        self._settings = ""
        (version, modes), *_ = self.rows("SELECT VERSION(), @@sql_mode", about=address.server)
        self.is_mariadb = "mariadb" in version.lower()
        self.modes = frozenset(mode for mode in Mode if mode.upper() in modes.upper().split(","))

    @property
    def is_open(self) -> bool:
        """Whether nobody has noticed yet that it broke."""
        return bool(self._raw.open)

    @property
    def in_transaction(self) -> bool:
        """Whether the server said with its last answer that one is open."""
        return bool(self._raw.server_status & _IN_TRANSACTION)

    def run(self, text: str, *, about: str, state: str = failure.UNCHANGED) -> int:
        """Execute one statement, and give how many rows it changed.

        Args:
            text: The statement.
            about: In which tenant, for messages.
            state: What that is like if this fails.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        return self._execute(text, about, state)[0]

    def rows(self, text: str, *, about: str, state: str = failure.UNCHANGED) -> list[tuple[Any, ...]]:
        """Give the rows of one statement.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        return self._execute(text, about, state)[1]

    def table(self, text: str, *, about: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Give the names of the columns, and the rows.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        _, rows, columns = self._execute(text, about, failure.UNCHANGED)
        return columns, rows

    def enter(self, tenant: str) -> None:
        """Go to a tenant's database.

        Raises:
            DatabaseError: As its ``cause`` says; ``MISSING`` where it is not there.
        """
        if tenant != self.database:
            self.run(f"USE {name(tenant)}", about=tenant)
            self.database = tenant

    def set_up(self, lock_timeout_ms: int) -> None:
        """Let no statement wait longer than this for a lock; the server counts whole seconds."""
        seconds = max(1, -(-lock_timeout_ms // 1000))
        settings = f"SET lock_wait_timeout = {seconds}, innodb_lock_wait_timeout = {seconds}"
        if settings != self._settings:
            self.run(settings, about=self._address.server)
            self._settings = settings

    def reset(self) -> None:
        """Forget everything that statements have set or locked, and any transaction.

        Raises:
            DatabaseError: The connection broke.
        """
        try:
            # Not in the driver's public face, which has had these two calls since its beginning.
            self._raw._execute_command(_RESET, b"")  # noqa: SLF001 - see above
            self._raw._read_ok_packet()  # noqa: SLF001 - see above
        except _errors() as error:
            raise failure.failed(error, self._address.server, state=failure.UNCHANGED) from error
        self.database = self._settings = ""
        self.run(_PLAIN, about=self._address.server)

    def close(self) -> None:
        """Let it go; the server rolls back what is open, and lets go of every lock."""
        with suppress(*_errors()):
            self._raw.close()

    def _execute(self, text: str, about: str, state: str) -> tuple[int, list[tuple[Any, ...]], list[str]]:
        try:
            with self._raw.cursor() as cursor:
                changed = cursor.execute(text)
                columns = [column[0] for column in cursor.description or ()]
                rows: list[tuple[Any, ...]] = list(cursor.fetchall()) if columns else []
                while cursor.nextset():
                    # Of a CALL, whose last result is no set of rows.
                    rows = list(cursor.fetchall()) if cursor.description else rows
                return changed, rows, columns
        except _errors() as error:
            if failure.number(error) in failure.GONE:
                with suppress(*_errors()):
                    self._raw.close()
            raise self._failed(error, about, state) from error

    def _failed(self, error: Exception, about: str, state: str) -> DatabaseError:
        told = failure.failed(error, about, state=state)
        told.message = self._address.redact(told.message)
        return told


def kill(address: Address, number: int, what: str = "QUERY") -> None:
    """End what a session of that number is executing, if anything; it may be gone already.

    Raises:
        DatabaseError: The server can't be reached.
    """
    other = MysqlConnection(address)
    try:
        with suppress(DatabaseError):
            other.run(f"KILL {what} {number:d}", about=address.server)
    finally:
        other.close()


class Limit:
    """Ends a statement on a connection that takes too long, whatever the server is.

    MariaDB could end it by itself, MySQL only a SELECT; this is one way for both.

    Args:
        connection: Whose.
        address: Where another connection reaches the server.
        timeout_ms: How long it may take; 0 for as long as it does.
    """

    def __init__(self, connection: MysqlConnection, address: Address, timeout_ms: int) -> None:
        """Wait for the statement to begin."""
        self._connection = connection
        self._address = address
        self._timer = threading.Timer(timeout_ms / 1000, self._end) if timeout_ms else None
        self._fired = False

    def __enter__(self) -> None:
        """Begin to count."""
        if self._timer:
            self._timer.daemon = True
            self._timer.start()

    def __exit__(self, *_: object) -> None:
        """Stop counting; what was sent too late must not hit the next statement."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer.join()
        if self._fired and self._connection.is_open:
            with suppress(DatabaseError):
                self._connection.run("DO 0", about=self._address.server)

    def _end(self) -> None:
        self._fired = True
        with suppress(DatabaseError):
            kill(self._address, self._connection.number)


def _connect(address: Address) -> Raw:
    try:
        import pymysql
    except ImportError as error:
        raise UsageError(
            "MySQL and MariaDB need the driver PyMySQL, which is not installed",
            hint="install it: pip install 'pdelta[mysql]'",
        ) from error
    try:
        try:
            return _opened(pymysql, address, encrypted=address.encrypts)
        except pymysql.OperationalError as error:
            if address.must_encrypt or failure.number(error) != _NO_TLS:
                raise
            raw = _opened(pymysql, address, encrypted=False)
            # The next connection need not ask again.
            address.encrypts = False
            return raw
    except _errors() as error:
        raise _unreachable(address, error) from error


def _opened(driver: ModuleType, address: Address, *, encrypted: bool) -> Raw:
    raw: Raw = driver.connect(
        **address.arguments(encrypted=encrypted), charset="utf8mb4", autocommit=True, program_name="pdelta"
    )
    for option, value in _PATIENCE:
        with suppress(OSError, AttributeError):
            raw._sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)  # noqa: SLF001 - the driver has no option
    return raw


def _unreachable(address: Address, error: Exception) -> DatabaseError:
    told = failure.failed(error, address.server, state="no connection was made")
    told.message = address.redact(told.message)
    if told.cause in {Cause.LOST, Cause.REFUSED}:
        told.cause = Cause.UNREACHABLE
    return told


def _errors() -> tuple[type[Exception], ...]:
    """Give what the driver raises; it has been imported when something can."""
    import pymysql

    # A RuntimeError says that a password can't be proved without TLS or another library.
    return (pymysql.MySQLError, OSError, RuntimeError)
