"""PostgreSQL's own client library, by ctypes: the calls that one connection needs, and where the library is found.

Called by ``connection`` alone. Chosen by measurement (``docs/adr/0013``): a run pays 5 ms for it, where drivers cost
20 to 110, and only here does every statement of a string have its result, so that a failure names its statement.
"""

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
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


def bundled() -> Iterator[str]:
    """Give the libraries that Python packages have brought with them."""
    for folder in sys.path:
        for wheel in _WHEELS:
            path = os.path.join(folder or os.curdir, wheel)
            if os.path.isdir(path):
                yield from (os.path.join(path, name) for name in sorted(os.listdir(path)) if name.startswith("libpq"))


@functools.cache
def find_library() -> ctypes.CDLL:
    """Give the system's library, which the system keeps safe; else one that a package has brought.

    Raises:
        UsageError: There is none.
    """
    try:
        return load(_SYSTEM)
    except OSError:
        for path in bundled():
            return load(path)
    raise UsageError(
        "PostgreSQL's client library (libpq) is not installed",
        hint='install it with pip install "pdelta[postgresql]", or as a package of the system (Debian: libpq5)',
    )
