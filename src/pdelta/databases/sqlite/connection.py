"""One SQLite connection to one tenant's file, whose errors are the port's.

Made for one transaction, with the look at the ledger before it, and closed after it: an open file costs a descriptor,
and what a delta sets for its connection must not reach the next. Every cursor is read to its end and closed, so that
closing the connection really closes the file.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, Final, Self

from pdelta.databases.sqlite.files import Files
from pdelta.errors import Cause, DatabaseError
from pdelta.sqlite import sqlite3

UNCHANGED: Final = "nothing was changed there"

_PRIMARY: Final = 0xFF
"""The byte of an extended result code that says what kind it is."""

_BUSY: Final = "somebody reads or writes the file; try again when they are done"
_RIGHTS: Final = "SQLite writes the file and, beside it, a journal: both need the right to write"
_KINDS: Final = {
    sqlite3.SQLITE_BUSY: (Cause.BUSY, _BUSY),
    sqlite3.SQLITE_LOCKED: (Cause.BUSY, _BUSY),
    sqlite3.SQLITE_READONLY: (Cause.DENIED, _RIGHTS),
    sqlite3.SQLITE_CANTOPEN: (Cause.DENIED, _RIGHTS),
    sqlite3.SQLITE_PERM: (Cause.DENIED, _RIGHTS),
    sqlite3.SQLITE_AUTH: (Cause.DENIED, ""),
    sqlite3.SQLITE_FULL: (Cause.FULL, "make room on the file system"),
    sqlite3.SQLITE_IOERR: (Cause.FULL, "look at the file system: is it full, is there a quota, is the disk sound"),
    sqlite3.SQLITE_CORRUPT: (Cause.REFUSED, "the file is damaged: bring it back from a backup"),
    sqlite3.SQLITE_NOTADB: (Cause.REFUSED, "it is no database, or an encrypted one: leave it out of the tenants"),
    sqlite3.SQLITE_INTERRUPT: (Cause.REFUSED, "it was cancelled, or took longer than it may"),
}
_UNSURE: Final = frozenset(
    {"SQLITE_IOERR_DELETE", "SQLITE_IOERR_DELETE_NOENT", "SQLITE_IOERR_DIR_FSYNC", "SQLITE_IOERR_DIR_CLOSE"}
    | {"SQLITE_IOERR_FSYNC", "SQLITE_IOERR_CLOSE", "SQLITE_IOERR_UNLOCK"}
)
"""While committing: the journal may be gone already, and with it the way back; or a log may hold all of it."""

_ERRORS: Final = (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError)
_BEGIN: Final = "PRAGMA foreign_keys = OFF; PRAGMA synchronous = EXTRA; BEGIN IMMEDIATE"
"""EXTRA: otherwise a power cut could bring back the journal of a commit that was reported (no slower, measured)."""
_BEGIN_ENFORCED: Final = _BEGIN.replace("OFF", "ON")

_OPERATIONS_A_LOOK: Final = 20_000
"""After so many steps of SQLite's machine the time is looked at: a fraction of a millisecond."""


class SqliteConnection:
    """A connection that is open, in no transaction.

    Args:
        raw: SQLite's own.
        tenant: Its name, for messages.
        path: Its file.
    """

    def __init__(self, raw: sqlite3.Connection, tenant: str, path: str) -> None:
        """Take it."""
        self.raw = raw
        self.tenant = tenant
        self._path = path
        self._cancelled = False
        self._limited = False

    @classmethod
    @contextmanager
    def opened(cls, files: Files, tenant: str, *, lock_timeout_ms: int, to_write: bool = True) -> Iterator[Self]:
        """Open a tenant's file, and close it at the end; a transaction that is open then is rolled back.

        Args:
            files: Where it is.
            tenant: Its name.
            lock_timeout_ms: How long anything waits for a lock.
            to_write: Whether it is to be written; what can't be written is opened to be read otherwise.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        with files.kept_open(tenant, to_write=to_write) as path:
            # A URI, because only in one can be said that a file which is not there must not be made.
            uri = f"file://{_escape(path)}?mode=rw"
            try:
                raw = sqlite3.connect(
                    uri, lock_timeout_ms / 1000, isolation_level=None, check_same_thread=False, uri=True
                )
            except sqlite3.Error as error:
                raise _translate(error, tenant, path) from error
            with closing(raw):
                yield cls(raw, tenant, path)

    def run(self, text: str, values: Sequence[object] = ()) -> None:
        """Execute one statement to its end.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        # Spelt out here and below: a context manager takes longer than a short statement (measured: 1.6 and 1.2 µs).
        self._refuse_cancelled()
        try:
            cursor = self.raw.execute(text, values)
            try:
                for _ in cursor:
                    pass
            finally:
                cursor.close()
        except _ERRORS as error:
            raise _translate(error, self.tenant, self._path) from error

    def rows(self, text: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Give the rows of one statement.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        self._refuse_cancelled()
        try:
            cursor = self.raw.execute(text, values)
            try:
                return cursor.fetchall()
            finally:
                cursor.close()
        except _ERRORS as error:
            raise _translate(error, self.tenant, self._path) from error

    def gives(self, text: str) -> bool:
        """Say whether one statement has a row; no other is looked for.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        with self._cursor(text) as cursor:
            return cursor.fetchone() is not None

    def each(self, text: str) -> Iterator[tuple[Any, ...]]:
        """Give the rows of one statement one after the other; what is no text in UTF-8 is given all the same.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        self.raw.text_factory = lambda value: value.decode(errors="surrogateescape")
        try:
            with self._cursor(text) as cursor:
                yield from cursor
        finally:
            self.raw.text_factory = str

    def table(self, text: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Give the names of the columns of a question, and its rows.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        with self._cursor(text) as cursor:
            rows = cursor.fetchall()
            return [column[0] for column in cursor.description or ()], rows

    def begin(self, *, enforced: bool) -> None:
        """Take the file's one lock for writers.

        Args:
            enforced: Whether foreign keys are.

        Raises:
            DatabaseError: ``BUSY`` where somebody held it for as long as was to be waited.
        """
        self._refuse_cancelled()
        try:
            # A script lets go of the interpreter's lock once a statement; each by itself does so five times.
            self.raw.executescript(_BEGIN_ENFORCED if enforced else _BEGIN)
        except sqlite3.Error as error:
            raise _translate(error, self.tenant, self._path) from error

    def commit(self) -> None:
        """Make the transaction durable.

        Raises:
            DatabaseError: It was rolled back; ``LOST`` where only the file tells whether it was.
        """
        if not self.raw.in_transaction:
            raise self.refusal("a statement ended the transaction")
        try:
            self._commit()
        except DatabaseError as error:
            self.roll_back()
            if error.sqlstate not in _UNSURE:
                raise
            raise DatabaseError(
                f"{self.tenant}: {error.reason}",
                cause=Cause.LOST,
                sqlstate=error.sqlstate,
                reason=error.reason,
                hint=error.hint,
                state="nobody knows whether it was done",
            ) from error

    def roll_back(self) -> None:
        """Forget the transaction, if SQLite has not done so itself."""
        self._cancelled = False
        if self.raw.in_transaction:
            self.run("ROLLBACK")

    def cancel(self) -> None:
        """End, from another thread, what is executing, and refuse everything until the transaction is rolled back."""
        self._cancelled = True
        with suppress(sqlite3.ProgrammingError):
            self.raw.interrupt()

    def limit(self, timeout_ms: int) -> None:
        """Interrupt what is still executing after this time from now on; 0 lets everything take as long as it does."""
        if timeout_ms or self._limited:
            deadline_s = time.monotonic() + timeout_ms / 1000
            handler = (lambda: time.monotonic() > deadline_s) if timeout_ms else None
            self.raw.set_progress_handler(handler, _OPERATIONS_A_LOOK)
            self._limited = handler is not None

    def refusal(self, reason: str, *, hint: str = "") -> DatabaseError:
        """Give the error that says why something is not done in this tenant."""
        return DatabaseError(f"{self.tenant}: {reason}", reason=reason, hint=hint, state=UNCHANGED)

    def _commit(self) -> None:
        self._refuse_cancelled()
        try:
            self.raw.commit()
        except sqlite3.Error as error:
            raise _translate(error, self.tenant, self._path) from error

    def _refuse_cancelled(self) -> None:
        if self._cancelled:
            raise self.refusal("cancelled")

    @contextmanager
    def _cursor(self, text: str) -> Iterator[sqlite3.Cursor]:
        self._refuse_cancelled()
        try:
            with closing(self.raw.execute(text)) as cursor:
                yield cursor
        except _ERRORS as error:
            raise _translate(error, self.tenant, self._path) from error


def _escape(path: str) -> str:
    """Write a path as SQLite reads it from a URI."""
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _translate(error: Exception, tenant: str, path: str) -> DatabaseError:
    code: int = getattr(error, "sqlite_errorcode", 0)
    cause, hint = _KINDS.get(code & _PRIMARY, (Cause.REFUSED, ""))
    if code == sqlite3.SQLITE_READONLY_DBMOVED or (cause is Cause.DENIED and _is_gone(path)):
        cause, hint = Cause.MISSING, ""
    reason = str(error) or type(error).__name__
    name: str = getattr(error, "sqlite_errorname", "")
    return DatabaseError(f"{tenant}: {reason}", cause=cause, sqlstate=name, reason=reason, hint=hint, state=UNCHANGED)


def _is_gone(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
