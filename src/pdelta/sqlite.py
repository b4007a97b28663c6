"""Python's ``sqlite3``, whose library was told not to count the memory that it takes.

SQLite counts it behind one lock of the whole process, for every piece of memory that it takes or gives back, and to
read a schema is thousands of them: threads that work on files of their own wait for each other all the time. Measured
with eight threads on two processors, ALTER TABLE DROP COLUMN in files of ten tables: 3.8 ms of processor time a file
while it counts, 1.4 ms while it does not. Nobody asks for these numbers; Python has no function that gives them.

It can only be told before it is first used, which is when Python imports it. So who may be the first in a process with
such threads imports ``sqlite3`` from here: the journal, and the adapter of SQLite files. Where the library can't be
told, nothing but time is lost.
"""

import sys
from contextlib import suppress
from importlib.machinery import PathFinder
from typing import Final

_MEMORY_STATUS: Final = 9
"""``SQLITE_CONFIG_MEMSTATUS``; its argument says whether to count."""


def _stop_counting() -> None:
    if "_sqlite3" in sys.modules:
        return
    found = PathFinder.find_spec("_sqlite3")
    # Where Python holds the module, the program itself may hold the library.
    with suppress(ImportError, OSError, AttributeError):
        import ctypes

        configure = ctypes.CDLL(found.origin if found is not None else None).sqlite3_config
        # Of a function with any number of arguments, those that are declared.
        configure.argtypes = [ctypes.c_int]
        configure(_MEMORY_STATUS, ctypes.c_int(0))


_stop_counting()

import sqlite3  # noqa: E402 - the library is used from here on

__all__ = ["sqlite3"]
