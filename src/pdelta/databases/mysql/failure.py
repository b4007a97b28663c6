"""What MySQL and its driver say -> ``DatabaseError``, by the numbers of MySQL's and MariaDB's error lists."""

import re
from typing import Final

from pdelta.errors import Cause, DatabaseError

UNCHANGED: Final = "nothing was changed there"
UNKNOWN: Final = "whether it was done is not known"

GONE: Final = frozenset({2006, 2013, 2014, 2027, 2055, 1053, 1080, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 4031})
"""The connection broke, or the server closed it."""

NO_TABLE: Final = 1146
INTERRUPTED: Final = 1317

_CAUSES: Final = {
    Cause.BUSY: frozenset({1020, 1205, 1213, 1614, 3058, 3572}),
    Cause.UNREACHABLE: frozenset({1040, 1129, 1130, 1203, 1226, 2002, 2003, 2005, 2012, 2026, 2061}),
    Cause.DENIED: frozenset(
        {
            1044,
            1045,
            1131,
            1133,
            1141,
            1142,
            1143,
            1227,
            1290,
            1370,
            1410,
            1419,
            1524,
            1698,
            1792,
            1820,
            1836,
            3118,
            3159,
        }
    ),
    Cause.MISSING: frozenset({1049}),
    Cause.FULL: frozenset({3, 1021, 1026, 1037, 1038, 1041, 1114, 1135, 1206, 1534, 1637}),
}
_HINTS: Final = {
    1040: "the server takes no more connections: allow it more, or let pdelta have fewer",
    1205: "somebody else holds what the statement needs; try again when they are done",
    1213: "the server broke a deadlock; try again",
    1227: "the user needs more rights",
    1290: "the server only reads, or was started with an option that forbids this",
    1317: "it was cancelled, or took longer than it may",
    1792: "a question may not write",
    1836: "the server only reads: give the address of the one that is written",
    2061: "the server wants a proof of the password that needs TLS: leave ssl_mode out, or set it to REQUIRED",
}
_NO_SYNTAX: Final = 1064
_PACKAGE: Final = re.compile(r"near 'PACKAGE ", re.IGNORECASE)
_PACKAGE_HINT: Final = (
    "packages are MariaDB's, which before 11.4 reads them with sql_mode=ORACLE alone: begin the delta, and its reverse,"
    " with SET sql_mode=ORACLE"
)
_NO_SPACE: Final = re.compile(r"(?:error|errno|errcode):? ?28\b", re.IGNORECASE)


def cause_of(code: int, words: str) -> Cause:
    """Give what kind of trouble this is."""
    if code in GONE:
        return Cause.LOST
    if code in {1030, 1005} and _NO_SPACE.search(words):
        return Cause.FULL
    return next((cause for cause, codes in _CAUSES.items() if code in codes), Cause.REFUSED)


def failed(error: Exception, tenant: str, *, state: str) -> DatabaseError:
    """Give the error of a statement or a connection.

    Args:
        error: What the driver raised: its number and its words are the arguments.
        tenant: In which tenant; a server's name where it is about none.
        state: What that is like now.
    """
    code, words = _said(error)
    cause = cause_of(code, words)
    return DatabaseError(
        f"{tenant}: {words}",
        cause=cause,
        sqlstate=str(code or ""),
        reason=_without(tenant, words),
        hint=_PACKAGE_HINT if code == _NO_SYNTAX and _PACKAGE.search(words) else _HINTS.get(code, ""),
        state=state,
    )


def refused(tenant: str, reason: str, *, hint: str = "", state: str = UNCHANGED) -> DatabaseError:
    """Give the error that says why something is not done in a tenant."""
    return DatabaseError(f"{tenant}: {reason}", reason=reason, hint=hint, state=state)


def number(error: Exception) -> int:
    """Give the server's or the driver's number of an error; 0 where it has none."""
    return _said(error)[0]


def _said(error: Exception) -> tuple[int, str]:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    words = str(error.args[1]) if len(error.args) > 1 else str(error)
    if not code and not words.strip("(,' )"):
        # What the driver says of a connection that it has closed itself.
        code = 2006
    if isinstance(error, RuntimeError) and "cryptography" in words:
        code = 2061
    return code, words or "the connection was closed"


def _without(tenant: str, words: str) -> str:
    """Take the tenant's name out of the server's words, so that equal failures have equal words."""
    for quote in "'`\"":
        words = words.replace(f"{quote}{tenant}.", quote).replace(f"{quote}{tenant}{quote}.", "")
        words = words.replace(f"{quote}{tenant}{quote}", f"{quote}…{quote}")
    return words
