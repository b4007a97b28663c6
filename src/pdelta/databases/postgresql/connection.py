"""One connection to one database: strings of statements go out, and each statement's result or failure comes back.

Only simple strings, so that a pooler may stand in between. Knows nothing of tenants and ledgers; what it raises is
translated by ``failure``. Used by one thread at a time, except ``cancel``.
"""

import ctypes
import functools
import re
import select
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final, NamedTuple

from pdelta import idle
from pdelta.databases.postgresql import libpq
from pdelta.databases.postgresql.address import Address

_CONNECT_STATE: Final = r":  ([0-9A-Z]{5}): (.*)"
_LOST: Final = "the connection was closed"
_NOT_LET_IN: Final = "28P01"
_NOT_LET_IN_BY_POOLER: Final = ("08P01", "authentication failed")
"""What a pooler says in its place: this SQLSTATE stands for much else, so that the words count too."""
_HEARD_S: Final = 1.0
"""How long a server may take to hear that something is cancelled."""
_BRIEF_BYTES: Final = 16_384
"""Fits into every socket, which holds at least five times as much."""


class Result(NamedTuple):
    """What one statement gave.

    Attributes:
        tag: What the server says it did, such as ``INSERT 0 1``.
        columns: Names of the columns.
        rows: Typed as their columns are; what is neither a number, a truth value nor bytes is text.
    """

    tag: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


class ConnectError(Exception):
    """No connection could be made.

    Args:
        message: The library's words.
        sqlstate: The server's code; empty where none was reached.
    """

    def __init__(self, message: str, sqlstate: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate


class BrokenError(Exception):
    """The connection broke under a string.

    Args:
        message: The library's words.
        results: Of the statements that had ended before.
    """

    def __init__(self, message: str, results: Sequence[Result]) -> None:
        super().__init__(message)
        self.message = message
        self.results = results


class StatementError(Exception):
    """The server did not take a statement of a string; those after it were not begun.

    Args:
        message: The server's words.
        sqlstate: Its code.
        detail: What more it says.
        hint: What it advises.
        position: Where in the string, in characters from 1; 0 where it does not say.
        results: Of the statements before it.
    """

    def __init__(
        self, message: str, *, sqlstate: str, detail: str, hint: str, position: int, results: Sequence[Result]
    ) -> None:
        super().__init__(message)
        self.message = message
        self.sqlstate = sqlstate
        self.detail = detail
        self.hint = hint
        self.position = position
        self.results = results


class Connection:
    """Connected from the beginning, until it is closed or breaks.

    Args:
        address: Of the server.
        database: Instead of the address's; empty for that one.
        application_name: What the server shows of us.

    Attributes:
        is_open: Whether it was not closed.
        met: How many tenants it has worked on, which its server remembers.

    Raises:
        ConnectError: No connection could be made; passwords are not in the message.
        UsageError: The client library is missing.
    """

    def __init__(self, address: Address, *, database: str = "", application_name: str) -> None:
        self._pq = libpq.find_library(keyed=address.login.has_password)
        self._handle = 0
        self._closing = threading.Lock()
        self.is_open = False
        self.met = 0
        self._lines: list[str] = []
        self._connect(address, database, application_name)
        self._poll = select.poll()
        self._poll.register(self._pq.PQsocket(self._handle), select.POLLIN)
        self._pq.PQsetErrorVerbosity(self._handle, libpq.ERRORS_DEFAULT)
        self.is_open = True

    @property
    def backend(self) -> int:
        """The process that answered when the connection was made; a pooler gives a number of its own."""
        return int(self._pq.PQbackendPID(self._handle))

    def parameter(self, name: str) -> str:
        """Give a setting that the server reports by itself."""
        value = self._pq.PQparameterStatus(self._handle, name.encode())
        return value.decode() if value else ""

    def run(self, text: str, *, copied: Collection[int] = (), asks: bool = True) -> list[Result]:
        """Execute the statements of this string, and give a result for each.

        Args:
            text: The string.
            asks: Whether rows of queries are wanted; no result has any otherwise.
            copied: The places, from 0, of statements that are a COPY to the client whose rows are wanted: each has one
                value then, its line without the line feed. Rows of any other COPY are passed over.

        Raises:
            StatementError: The server did not take one.
            BrokenError: The connection is closed now, and what became of the string is not known.
        """
        data = text.encode()
        if b"\0" in data:
            raise ValueError("a NUL character ends the string before its end")
        results: list[Result] = []
        self._lines = []
        try:
            self._send(data)
            failure = self._take_all(results, copied, asks=asks)
        except BrokenError:
            self.close()
            raise
        except BaseException:
            # Stopped from outside: the server should not go on with what nobody waits for.
            self.cancel()
            self.close()
            raise
        if self._pq.PQstatus(self._handle) != libpq.CONNECTION_OK:
            message = failure.message if failure else self._words()
            self.close()
            raise BrokenError(message or _LOST, results)
        if failure:
            raise failure
        return results

    def rests(self) -> bool:
        """Say whether it is open, and in no transaction."""
        return self.is_open and self._pq.PQtransactionStatus(self._handle) == libpq.TRANSACTION_NONE

    def is_usable(self) -> bool:
        """Say whether nothing speaks against using it: the server has not closed it in the meantime."""
        if not self.is_open:
            return False
        # To who has asked nothing a server speaks to say farewell; a notice for all is not worth telling apart.
        if not self._poll.poll(0) and self._pq.PQstatus(self._handle) == libpq.CONNECTION_OK:
            return True
        self.close()
        return False

    def cancel(self) -> None:
        """Ask the server to end what it is executing for this connection; called by any thread.

        The library waits until the server has heard that, for ever where the server has stopped: then it goes on
        waiting in a thread of its own.
        """
        with self._closing:
            cancel = self._pq.PQgetCancel(self._handle) if self._handle else None
        if cancel is None:
            return

        def ask() -> None:
            self._pq.PQcancel(cancel, ctypes.create_string_buffer(256), 256)
            self._pq.PQfreeCancel(cancel)

        thread = threading.Thread(target=ask, name="cancelling", daemon=True)
        # Where no thread can be had, the server hears of it when the connection is closed.
        with suppress(RuntimeError):
            thread.start()
            thread.join(_HEARD_S)

    def close(self) -> None:
        """Let it go; an open transaction is rolled back."""
        with self._closing:
            self.is_open = False
            if self._handle:
                self._pq.PQfinish(self._handle)
            self._handle = 0

    def _connect(self, address: Address, database: str, application_name: str) -> None:
        told = address.parameters(database=database, application_name=application_name)
        keys = address.login.parameters()
        deadline_s = time.monotonic() + address.connect_timeout_s
        try:
            self._log_in(address, [*told, *keys], deadline_s)
        except ConnectError as error:
            if not keys or not _is_refusal(error):
                raise
            address.login.give_up()
            self._log_in(address, told, deadline_s)

    def _log_in(self, address: Address, told: Sequence[tuple[bytes, bytes]], deadline_s: float) -> None:
        array = ctypes.c_char_p * (len(told) + 1)
        names, values = array(*(name for name, _ in told), None), array(*(value for _, value in told), None)
        self._handle = self._pq.PQconnectStartParams(names, values, 1)
        # Only a verbose message has the server's code in it.
        self._pq.PQsetErrorVerbosity(self._handle, libpq.ERRORS_VERBOSE)
        libpq.silence(self._pq, self._handle)
        listens = address.login.listens and libpq.takes_keys(self._pq)
        trace, said = None, b""
        try:
            try:
                trace = libpq.Trace(self._pq, self._handle) if listens else None
                is_made = self._come_to_terms(deadline_s)
            finally:
                if trace:
                    said = trace.read()
        except BaseException:
            self.close()
            raise
        if is_made and listens:
            # Only of a server that has proved itself.
            address.login.hear(said)
        if not is_made:
            words = [address.redact(self._words()), "no answer in time" if time.monotonic() >= deadline_s else ""]
            self.close()
            raise _refusal(" ".join(filter(None, words)))

    def _come_to_terms(self, deadline_s: float) -> bool:
        """Do with the server whatever the library wants to do; say whether the connection is made."""
        poll, state = select.poll(), libpq.POLLING_WRITING
        while self._pq.PQstatus(self._handle) != libpq.CONNECTION_BAD and state != libpq.POLLING_OK:
            left_s = deadline_s - time.monotonic()
            if state == libpq.POLLING_FAILED or left_s <= 0:
                break
            socket = self._pq.PQsocket(self._handle)
            poll.register(socket, select.POLLOUT if state == libpq.POLLING_WRITING else select.POLLIN)
            idle.wait(poll, left_s)
            poll.unregister(socket)
            state = self._pq.PQconnectPoll(self._handle)
        return state == libpq.POLLING_OK

    def _send(self, data: bytes) -> None:
        send = self._pq.PQsendBriefQuery if len(data) <= _BRIEF_BYTES else self._pq.PQsendQuery
        if not self.is_open or not send(self._handle, data):
            raise BrokenError(self._words() or _LOST, ())

    def _words(self) -> str:
        message = self._pq.PQerrorMessage(self._handle) if self._handle else b""
        return message.decode(errors="replace").strip()

    def _take_all(self, results: list[Result], copied: Collection[int], *, asks: bool) -> StatementError | None:
        """Keep what the statements give; give what one failed of."""
        pq, handle, failure = self._pq, self._handle, None
        plain = {libpq.COMMAND_OK} if asks else {libpq.COMMAND_OK, libpq.TUPLES_OK}
        is_busy, following, status_of, tag_of, clear = (
            pq.PQisBusy, pq.PQgetResult, pq.PQresultStatus, pq.PQcmdStatus, pq.PQclear,
        )  # fmt: skip
        while True:
            while is_busy(handle):
                idle.wait(self._poll)
                if not pq.PQconsumeInput(handle):
                    raise BrokenError(self._words() or _LOST, results)
            result = following(handle)
            if not result:
                return failure
            # Ten statements a tenant: what most of them give is not worth a call for each.
            if status_of(result) in plain and not self._lines:
                results.append(_done(tag_of(result)))
                clear(result)
            else:
                failure = self._take(result, results, is_wanted=len(results) in copied) or failure

    def _take(self, result: int, results: list[Result], *, is_wanted: bool) -> StatementError | None:
        """Keep what a statement gave; give what it failed of. The rows of a COPY come before its own result."""
        try:
            status = self._pq.PQresultStatus(result)
            if status == libpq.TUPLES_OK:
                results.append(self._table(result))
            elif status == libpq.FATAL_ERROR:
                return self._failure(result, results)
            elif status == libpq.COPY_OUT:
                self._read(results, is_wanted=is_wanted)
            elif status == libpq.COPY_IN:
                self._pq.PQputCopyEnd(self._handle, b"there is no data")
            elif status != libpq.EMPTY_QUERY:
                results.append(_done(self._pq.PQcmdStatus(result)))
                if self._lines:
                    results[-1] = results[-1]._replace(rows=[(line,) for line in self._lines])
                    self._lines = []
            return None
        finally:
            self._pq.PQclear(result)

    def _tag(self, result: int) -> str:
        return str(self._pq.PQcmdStatus(result).decode())

    def _table(self, result: int) -> Result:
        pq, width = self._pq, range(self._pq.PQnfields(result))
        read, is_null = pq.PQgetvalue, pq.PQgetisnull
        readers = [_READERS.get(pq.PQftype(result, column), _text) for column in width]

        def value(row: int, column: int) -> object:
            data = read(result, row, column)
            return None if not data and is_null(result, row, column) else readers[column](data)

        rows = [tuple([value(row, column) for column in width]) for row in range(pq.PQntuples(result))]
        return Result(self._tag(result), tuple(pq.PQfname(result, column).decode() for column in width), rows)

    def _failure(self, result: int, results: Sequence[Result]) -> StatementError:
        def field(code: int) -> str:
            value = self._pq.PQresultErrorField(result, code)
            return value.decode(errors="replace") if value else ""

        return StatementError(
            field(libpq.PRIMARY) or self._pq.PQresultErrorMessage(result).decode(errors="replace").strip(),
            sqlstate=field(libpq.SQLSTATE),
            detail=field(libpq.DETAIL),
            hint=field(libpq.HINT),
            position=int(field(libpq.POSITION) or 0),
            results=list(results),
        )

    def _read(self, results: Sequence[Result], *, is_wanted: bool) -> None:
        """Take the rows of a COPY to the client; keep those that are wanted."""
        row = ctypes.c_void_p()
        while (size := self._pq.PQgetCopyData(self._handle, ctypes.byref(row), 0)) >= 0:
            if is_wanted:
                self._lines.append(ctypes.string_at(row, size).decode().removesuffix("\n"))
            self._pq.PQfreemem(row)
        if size < -1:
            raise BrokenError(self._words() or _LOST, results)


def _is_refusal(error: ConnectError) -> bool:
    """Say whether a server, or a pooler, did not take what stands for the password."""
    sqlstate, words = _NOT_LET_IN_BY_POOLER
    return error.sqlstate == _NOT_LET_IN or (error.sqlstate == sqlstate and words in error.message)


def _refusal(words: str) -> ConnectError:
    """Take the server's code out of the library's verbose message, and tabs and line breaks out of its own words."""
    found = re.search(_CONNECT_STATE, words)
    if found is None:
        return ConnectError(" ".join(words.split()))
    return ConnectError(found[2].split("\n")[0], found[1])


@functools.lru_cache(maxsize=64)
def _done(tag: bytes) -> Result:
    """Give the result of a statement that gives no rows; most are one of a few."""
    return Result(tag.decode(), (), [])


def _text(data: bytes) -> str:
    return data.decode()


def _bool(data: bytes) -> bool:
    return data == b"t"


def _bytes(data: bytes) -> bytes:
    return bytes.fromhex(data[2:].decode()) if data.startswith(b"\\x") else data


def _number(data: bytes) -> Decimal:
    return Decimal(data.decode())


_READERS: Final[Mapping[int, Callable[[bytes], Any]]] = {
    16: _bool, 17: _bytes, 20: int, 21: int, 23: int, 26: int, 700: float, 701: float, 1700: _number,
}  # fmt: skip
"""By the number of the column's type; the numbers of built-in types never change."""
