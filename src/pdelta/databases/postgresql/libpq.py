"""PostgreSQL's own client library, by ctypes: the calls that one connection needs, and where the library is found.

Called by ``connection`` alone. Chosen by measurement (``docs/adr/0013``): a run pays 5 ms for it, where drivers cost
20 to 110, and only here does every statement of a string have its result, so that a failure names its statement.
"""

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final

from pdelta.errors import UsageError

CONNECTION_OK: Final = 0
CONNECTION_BAD: Final = 1
TRANSACTION_NONE: Final = 0
POLLING_FAILED: Final = 0
POLLING_READING: Final = 1
POLLING_WRITING: Final = 2
POLLING_OK: Final = 3
EMPTY_QUERY: Final = 0
COMMAND_OK: Final = 1
TUPLES_OK: Final = 2
COPY_OUT: Final = 3
COPY_IN: Final = 4
FATAL_ERROR: Final = 7
ERRORS_DEFAULT: Final = 1
ERRORS_VERBOSE: Final = 2

BRIEF: Final = "PQsendBriefQuery"
"""The name under which ``PQsendQuery`` is called for a string that has room in the socket, so that it does not wait."""

SQLSTATE: Final = ord("C")
PRIMARY: Final = ord("M")
DETAIL: Final = ord("D")
HINT: Final = ord("H")
POSITION: Final = ord("P")

_SYSTEM: Final = "libpq.so.5"
_WHEELS: Final = ("psycopg_binary.libs", "psycopg2_binary.libs")
"""Folders beside the packages that bring the library with them."""

_KEYED: Final = 18
"""The first version that takes the keys of SCRAM."""

_handle: Final = ctypes.c_void_p
_text: Final = ctypes.c_char_p
_int: Final = ctypes.c_int
_PROCESSOR: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
_FUNCTIONS: Final[tuple[tuple[str, Any, tuple[Any, ...]], ...]] = (
    ("PQconnectStartParams", _handle, (ctypes.POINTER(_text), ctypes.POINTER(_text), _int)),
    ("PQconnectPoll", _int, (_handle,)),
    ("PQstatus", _int, (_handle,)),
    ("PQtransactionStatus", _int, (_handle,)),
    ("PQerrorMessage", _text, (_handle,)),
    ("PQsetErrorVerbosity", _int, (_handle, _int)),
    ("PQparameterStatus", _text, (_handle, _text)),
    ("PQbackendPID", _int, (_handle,)),
    ("PQsocket", _int, (_handle,)),
    ("PQfinish", None, (_handle,)),
    ("PQsendQuery", _int, (_handle, _text)),
    ("PQconsumeInput", _int, (_handle,)),
    ("PQisBusy", _int, (_handle,)),
    ("PQgetResult", _handle, (_handle,)),
    ("PQresultStatus", _int, (_handle,)),
    ("PQresultErrorField", _text, (_handle, _int)),
    ("PQresultErrorMessage", _text, (_handle,)),
    ("PQcmdStatus", _text, (_handle,)),
    ("PQntuples", _int, (_handle,)),
    ("PQnfields", _int, (_handle,)),
    ("PQfname", _text, (_handle, _int)),
    ("PQftype", ctypes.c_uint, (_handle, _int)),
    ("PQgetvalue", _text, (_handle, _int, _int)),
    ("PQgetisnull", _int, (_handle, _int, _int)),
    ("PQclear", None, (_handle,)),
    ("PQgetCopyData", _int, (_handle, ctypes.POINTER(_handle), _int)),
    ("PQputCopyEnd", _int, (_handle, _text)),
    ("PQfreemem", None, (_handle,)),
    ("PQgetCancel", _handle, (_handle,)),
    ("PQcancel", _int, (_handle, _text, _int)),
    ("PQfreeCancel", None, (_handle,)),
    ("PQsetNoticeProcessor", _handle, (_handle, _PROCESSOR, _handle)),
    ("PQlibVersion", _int, ()),
    ("PQtrace", None, (_handle, _handle)),
    ("PQuntrace", None, (_handle,)),
)
_WAITING: Final = frozenset(
    {
        "PQconnectStartParams", "PQconnectPoll", "PQfinish", "PQsendQuery", "PQgetCopyData", "PQputCopyEnd",
        "PQcancel",
    }
)  # fmt: skip
"""What may wait for a name server or a socket, so that other threads must go on meanwhile."""


def _pass_over(_argument: object, _message: object) -> None:
    """Let a notice go; the library would print it."""


_passes_over: Final = _PROCESSOR(_pass_over)


def load(path: str) -> ctypes.CDLL:
    """Give the functions of one library file; whatever may wait lets other threads of Python go on meanwhile.

    Whatever does not wait keeps the interpreter: letting it go a few times a statement, among threads that all want it
    back, took a tenth of a roll-out over 1,000 schemas.

    Args:
        path: Of the file, or its name where the system finds it.

    Raises:
        OSError: It can't be loaded.
    """
    # Python keeps the interpreter while it loads a library, which takes 6 ms for this one and all that it needs; the
    # system's own function lets it go, and what is loaded already is there at once.
    opened = ctypes.CDLL(None).dlopen
    opened.restype, opened.argtypes = _handle, (_text, _int)
    opened(os.fsencode(path), os.RTLD_NOW)
    library, quick = ctypes.CDLL(path), ctypes.PyDLL(path)
    for name, result, arguments in _FUNCTIONS:
        function = getattr(library if name in _WAITING else quick, name)
        setattr(library, name, function)
        function.restype = result
        function.argtypes = arguments
    brief = quick.PQsendQuery
    brief.restype, brief.argtypes = _int, (_handle, _text)
    setattr(library, BRIEF, brief)
    return library


def silence(library: ctypes.CDLL, connection: int) -> None:
    """Keep the library from printing the notices of this connection."""
    library.PQsetNoticeProcessor(connection, _passes_over, None)


class Trace:
    """What library and server say to each other on one connection, from now until it is read.

    Args:
        library: Version 18 or later tells of logging in.
        connection: Its handle.
    """

    def __init__(self, library: ctypes.CDLL, connection: int) -> None:
        self._library = library
        self._connection = connection
        self._text = ctypes.c_void_p()
        self._size = ctypes.c_size_t()
        self._system = ctypes.PyDLL(None)
        open_stream = self._system.open_memstream
        open_stream.restype, open_stream.argtypes = _handle, (_handle, _handle)
        self._stream = open_stream(ctypes.byref(self._text), ctypes.byref(self._size))
        if self._stream:
            library.PQtrace(connection, self._stream)

    def read(self) -> bytes:
        """Give it, and end it; called once, while the connection is there."""
        if not self._stream:
            return b""
        self._library.PQuntrace(self._connection)
        self._system.fclose(ctypes.c_void_p(self._stream))
        text = ctypes.string_at(self._text, self._size.value)
        self._system.free(self._text)
        return text


def takes_keys(library: ctypes.CDLL) -> bool:
    """Say whether it logs in with the keys of SCRAM instead of a password, and tells which are asked for."""
    return int(library.PQlibVersion()) >= _KEYED * 10_000


def bundled() -> Iterator[str]:
    """Give the libraries that Python packages have brought with them."""
    for folder in sys.path:
        for wheel in _WHEELS:
            path = os.path.join(folder or os.curdir, wheel)
            if os.path.isdir(path):
                yield from (os.path.join(path, name) for name in sorted(os.listdir(path)) if name.startswith("libpq"))


@functools.cache
def find_library(*, keyed: bool = False) -> ctypes.CDLL:
    """Give the system's library, which the system keeps safe; else one that a package has brought.

    Args:
        keyed: Whether one that takes keys is worth more than the system's; a package's file tells its version.

    Raises:
        UsageError: There is none.
    """
    able = (path for path in bundled() if _version(path) >= _KEYED) if keyed else ()
    for path in chain(able, [_SYSTEM], bundled()):
        with contextlib.suppress(OSError):
            return load(path)
    raise UsageError(
        "PostgreSQL's client library (libpq) is not installed",
        hint='install it with pip install "pdelta[postgresql]", or as a package of the system (Debian: libpq5)',
    )


def _version(path: str) -> int:
    """Give the version that the name of a library's file tells: 18 of ``libpq-0815.so.5.18``; 0 for none."""
    _name, _so, numbers = path.rpartition(".so.5.")
    return int(numbers) if numbers.isdecimal() else 0
