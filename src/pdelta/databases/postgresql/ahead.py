"""Connections that are begun while their command is still being imported.

Where its server is, a command knows long before all that it needs is there. To load the client library, and to log in
with its round trips and its hashing, takes a fifth of the time of a command that finds nothing to do, on this machine;
more on a distant one. A thread does that meanwhile. Begun and ended by ``app.sql.compose``, taken over by ``Server``.
"""

import threading
import time
from contextlib import suppress
from typing import Final

from pdelta.databases.postgresql.address import APPLICATION, Address
from pdelta.databases.postgresql.connection import BrokenError, Connection, Result, StatementError

FRESH_S: Final = 1.0
"""How old what was seen may become before it is told: it is the answer to somebody who asks then."""

Answer = list[Result] | StatementError


class Begun:
    """A connection that a thread of its own makes, and asks the first question on.

    Args:
        address: Of the server.
        question: What it is asked; empty for nothing.
    """

    def __init__(self, address: Address, question: str) -> None:
        self.address = address
        self.question = question
        self._connection: Connection | None = None
        self._answer: Answer | None = None
        self._answered_s = 0.0
        self._error: Exception | None = None
        self._is_unwanted = self._is_done = False
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._connect, name=f"connecting to {address.server}", daemon=True)
        self._thread.start()

    def take(self) -> tuple[Connection | None, Answer | None]:
        """Give the connection, and the answer, where there are any; fail as it did where it could not be made."""
        try:
            self.wait()
        except BaseException:
            # Stopped from outside: the server should not go on with what nobody waits for.
            self.give_up()
            raise
        if self._error is not None:
            raise self._error
        is_fresh = time.monotonic() - self._answered_s < FRESH_S
        return self._connection, self._answer if is_fresh else None

    def wait(self) -> None:
        """Return once the thread has done what it does."""
        self._thread.join()

    def give_up(self) -> None:
        """Close it, now or as soon as it is made, as nobody waits for it; what it asks is cancelled."""
        with self._guard:
            self._is_unwanted = True
            connection, is_done = self._connection, self._is_done
        if connection is not None and is_done:
            connection.close()
        elif connection is not None:
            connection.cancel()

    def _connect(self) -> None:
        try:
            connection = Connection(self.address, application_name=APPLICATION)
        except Exception as error:  # noqa: BLE001 - raised again where it is taken
            self._error = error
            return
        with self._guard:
            self._connection = connection
            is_wanted = not self._is_unwanted
        if is_wanted and self.question:
            self._ask(connection)
        with self._guard:
            self._is_done = True
            is_wanted = not self._is_unwanted
        if not is_wanted:
            connection.close()

    def _ask(self, connection: Connection) -> None:
        try:
            self._answer = connection.run(self.question)
        except StatementError as error:
            self._answer = error
        except BrokenError:
            # It is closed, and whoever wants one makes another.
            return
        self._answered_s = time.monotonic()


_begun: Final[dict[str, Begun]] = {}
"""By the URLs that they lead to."""


def begin(url: str, question: str) -> None:
    """Begin to connect to where a URL leads, and to ask this.

    Raises:
        UsageError: It is none that can be read.
    """
    if url not in _begun:
        # Where no thread can be had, whoever needs the connection makes it.
        with suppress(RuntimeError):
            _begun[url] = Begun(Address(url), question)


def address_of(url: str) -> Address:
    """Give the address of a URL; that of a begun connection learns from it how to log in there again.

    Raises:
        UsageError: As ``begin``.
    """
    return _begun[url].address if url in _begun else Address(url)


def take(address: Address) -> Begun | None:
    """Give what was begun to this address, once; None where nothing was."""
    url = next((url for url, begun in _begun.items() if begun.address is address), "")
    return _begun.pop(url, None)


def end() -> None:
    """Close what was begun and never taken."""
    while _begun:
        _begun.popitem()[1].give_up()
