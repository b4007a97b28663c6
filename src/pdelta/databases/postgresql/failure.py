"""What the server and the library say -> the errors of the port, with the tenant and the statement that failed."""

import re
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.connection import BrokenError, ConnectError, StatementError
from pdelta.databases.postgresql.ledger import MARKED, STALE, WRONG
from pdelta.databases.postgresql.script import Line, Role, Script
from pdelta.errors import Cause, DatabaseError, GuardError, PdeltaError, ScriptError, StaleError

UNDEFINED_TABLE: Final = "42P01"
_SHOWN: Final = 60
_NOT_AS_SAID: Final = frozenset({"23505", "23502"})
"""A row that arrives was there; of one that goes there is nothing to be copied."""
_HINTS: Final = {"57014": "it was cancelled, or took longer than it may"}
_TAMPERED: Final = "a statement of a delta changed the ledger"
_ENDED: Final = "a statement of a delta ended the transaction"
_UNCHANGED: Final = "nothing was changed"


def cause_of(sqlstate: str) -> Cause:
    """Give what kind of trouble a code of the server stands for."""
    match sqlstate[:2], sqlstate:
        case _, "55P03" | "40P01" | "40001":
            return Cause.BUSY
        case "28", _:
            return Cause.DENIED
        case _, "42501" | "25006":
            return Cause.DENIED
        case _, "3D000" | "3F000":
            return Cause.MISSING
        case "53", _:
            return Cause.FULL
        case "08", _:
            return Cause.LOST
        case _:
            return Cause.REFUSED


def unreachable(error: ConnectError, address: Address, database: str) -> DatabaseError:
    """Give the failure to connect; that a database is not there, or lets us not in, is another cause."""
    cause = cause_of(error.sqlstate)
    if cause in {Cause.REFUSED, Cause.LOST, Cause.BUSY}:
        cause = Cause.UNREACHABLE
    hint = "look at the URL, and whether the server lets this user in" if cause is Cause.DENIED else ""
    return DatabaseError(
        f"{database or address.database} on {address.server}: {error.message}",
        cause=cause,
        sqlstate=error.sqlstate,
        reason=_without_names(error.message, database),
        hint=hint,
    )


def lost(error: BrokenError, tenants: Iterable[str], *, state: str) -> DatabaseError:
    """Give a connection that broke."""
    said = error.message.split("\n")[0].strip()
    return DatabaseError(
        f"{_named(tenants)}: the connection broke: {said}",
        cause=Cause.LOST,
        reason="the connection broke",
        state=state,
    )


def unfit(error: ScriptError, tenant: str) -> DatabaseError:
    """Give a text that was not sent."""
    return DatabaseError(f"{tenant}: {error.message}; {_UNCHANGED}", reason=error.message, hint=error.hint)


def index_of(error: StatementError, script: Script) -> int:
    """Give which statement of a string failed: the one after those that have results.

    Where none has, the server could not read the string, and says only at which character, if that; it is the last
    one then which it may be.
    """
    last = len(script.lines) - 1
    if error.results:
        return min(len(error.results), last)
    ends = accumulate(len(line.text) + 2 for line in script.lines)
    found = (index for index, end in enumerate(ends) if 0 < error.position <= end)
    return next(found, last)


def may_hide(refusal: PdeltaError) -> bool:
    """Say whether a failure may come of a ledger that is another than was thought."""
    if isinstance(refusal, DatabaseError):
        return refusal.cause is Cause.REFUSED and refusal.reason != _ENDED
    return isinstance(refusal, GuardError)


def refused(error: StatementError, script: Script) -> PdeltaError:
    """Give why the server did not take a statement of a transaction, which changed nothing.

    The number of results tells which statement it was, and with it the tenant and the delta.
    """
    from pdelta.databases.postgresql.transaction import REFUSED

    index = index_of(error, script)
    line = script.lines[index]
    tenants = {one.tenant for one in script.lines if one.tenant}
    if not line.tenant and len(tenants) == 1:
        line = line._replace(tenant=tenants.pop())
    if line.role is Role.HEAD and (error.sqlstate in _NOT_AS_SAID or STALE in error.message):
        return stale(line.tenant)
    if line.role is Role.HEAD and WRONG in error.message:
        if MARKED not in error.message.rpartition(WRONG)[2]:
            return DatabaseError(
                f"{line.tenant}: {_ENDED}; what was done before that lasts", reason=_ENDED, hint="look at the tenant"
            )
        return DatabaseError(
            f"{line.tenant}: {_TAMPERED}; {_UNCHANGED}",
            reason=_TAMPERED,
            hint="a delta leaves pdelta's own tables alone",
        )
    if line.role is Role.GUARD and (said := re.search(rf"(?s){REFUSED}(\d+) (.*)", error.message)):
        from pdelta.sql.piece import hint_of  # a run without work has no piece

        guard = GuardError(said[2][: int(said[1])], hint=hint_of(line.text))
        guard.add_note(f"in tenant {line.tenant}, {line.delta}")
        return guard
    if line.role is Role.LEDGER and error.sqlstate == UNDEFINED_TABLE:
        return StaleError(f"{line.tenant}: its ledger is gone; {_UNCHANGED}", hint="look whether somebody removed it")
    return statement(error, line, script.position(index, error.position))


def statement(error: StatementError, line: Line, position: int, *, state: str = _UNCHANGED) -> DatabaseError:
    """Give why the server did not take this statement, and in which state that leaves the tenant."""
    cause = cause_of(error.sqlstate)
    if cause is Cause.MISSING and line.role in {Role.PIECE, Role.STEP}:
        # The tenant is there, since its ledger was; what is missing is something else.
        cause = Cause.REFUSED
    place = _place(line, position)
    detail = f" ({error.detail})" if error.detail else ""
    parts = [part for part in (line.tenant, line.delta, error.message + detail + place) if part]
    return DatabaseError(
        ": ".join(parts),
        cause=cause,
        sqlstate=error.sqlstate,
        reason=_without_names(error.message, line.tenant),
        hint=error.hint or _HINTS.get(error.sqlstate, ""),
        place=f"{line.delta}, {where}" if line.delta and (where := _statement(line, position)) else line.delta,
        state=state,
    )


def stale(tenant: str) -> StaleError:
    """Give that a tenant's ledger is another by now."""
    return StaleError(
        f"{tenant}: its ledger is not as it was when this was calculated; {_UNCHANGED}",
        hint="calculate again: another run was here in the meantime",
    )


def _place(line: Line, position: int) -> str:
    where = _statement(line, position)
    if not where and line.role is not Role.STEP:
        return ""
    number = line.text.count("\n", 0, position - 1) if position else 0
    shown = line.text.split("\n")[number].strip()
    short = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
    return f" ({': '.join(filter(None, (where, short)))})"


def _statement(line: Line, position: int) -> str:
    """Say which statement of a delta this is, and which line of one that has several."""
    number = f"statement {line.number}" if line.number else ""
    if line.role is not Role.STEP and not (number and line.role is Role.PIECE):
        return ""
    at = f"line {line.text.count(chr(10), 0, position - 1) + 1}" if position and "\n" in line.text else ""
    return ", ".join(filter(None, (number, at)))


def _named(tenants: Iterable[str]) -> str:
    first, *others = tenants
    return f"{first} and {len(others)} more" if others else first


def _without_names(message: str, tenant: str) -> str:
    """Take a tenant's name out, so that the same failure reads the same in every tenant."""
    return message.replace(f"{tenant}.", "").replace(tenant, "…") if tenant else message
