"""Connections that are begun while their command is still being imported.

Where its server is, a command knows long before all that it needs is there. To load the client library, and to log in
with its round trips and its hashing, takes a fifth of the time of a command that finds nothing to do, on this machine;
more on a distant one. A thread does that meanwhile. Begun and ended by ``app.sql.compose``, taken over by ``Server``.
"""

import threading
from contextlib import suppress
from typing import Final

from pdelta.databases.postgresql.address import APPLICATION, Address
from pdelta.databases.postgresql.connection import BrokenError, ConnectError, Connection, Result, StatementError
from pdelta.errors import PdeltaError


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
        self._answer: list[Result] = []
        self._error: Exception | None = None
        self._is_unwanted = False
        self._thread = threading.Thread(target=self._connect, name=f"connecting to {address.server}", daemon=True)
        self._thread.start()

    def take(self) -> tuple[Connection | None, list[Result]]:
        """Give the connection, and the answer, where there is one; fail as it did where it could not be made."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._connection, self._answer

    def give_up(self) -> None:
        """Close it, now or as soon as it is made: nobody waits for it."""
        self._is_unwanted = True
        if not self._thread.is_alive():
            self._close()

    def _connect(self) -> None:
        try:
            self._connection = Connection(self.address, application_name=APPLICATION)
            if self.question:
                self._answer = self._connection.run(self.question)
        except (ConnectError, PdeltaError) as error:
            self._error = error
        except (StatementError, BrokenError):
            # Whoever asks again is told why.
            self._close()
        if self._is_unwanted:
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


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
