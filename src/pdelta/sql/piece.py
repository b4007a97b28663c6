"""SQL as it is handed to a database: one statement with what is kept and asked around it.

``derive`` makes pieces whose reverse is calculated in the tenant; a script with a reverse of its own gives pieces of a
statement each. ``operations.sql`` puts them into moves, and the adapters of ``databases`` execute them.
"""

from collections.abc import Callable
from typing import Final

import msgspec

GUARD: Final = "/* pdelta guard */"
"""Begins a statement that decides whether to go on: a SELECT of one text; NULL and '' go on, else it refuses."""

LOSS_GUARD: Final = "/* pdelta guard loss */"
"""A guard that counts what a reverse would lose; left out under ``--accept-data-loss``."""


AGAIN: Final = "/* pdelta again */"
"""Stands before and behind what in the value of an expression is one itself: it names columns that a tenant tells."""

AT_LENGTH: Final = "/*+ SET_VAR(group_concat_max_len = 1048576) */ "
"""Behind the SELECT of an expression: MySQL then gives its text as long as it is, not cut after 1,024 bytes.

For MariaDB, which has no such limit, it is a comment.
"""

LOSS_HINT: Final = "where that may be lost: pdelta sql rollback --accept-data-loss"
"""What to do where such a guard refuses."""

NO_WAY_HINT: Final = "restore a backup, or write a new delta that goes where you want to be"
"""What to do where nothing takes a delta back: giving the same command again is refused again."""


def told(text: str, ask: Callable[[str], str]) -> str:
    """Give the text that an expression stands for, from its value.

    Args:
        text: The value.
        ask: Gives the value of an expression.
    """
    return "".join(ask(part) if place % 2 else part for place, part in enumerate(text.split(AGAIN)))


def hint_of(guard: str) -> str:
    """Give what to do where this guard refuses; empty where that depends."""
    return LOSS_HINT if LOSS_GUARD in guard else ""


class Piece(msgspec.Struct, frozen=True):
    """One statement and its surroundings, in the order of execution.

    Attributes:
        before: Statements that come first: guards, and what keeps rows.
        undo: An SQL expression that gives the text of the statements that take this piece back, each ended by ``;``,
            from what the tenant is like before ``statement``; empty for none. ``''`` as its value says that there is
            nothing to take back.
        statement: What is done.
        late_undo: The same as ``undo``, evaluated after ``statement``, for what only exists then.
        after: Statements that come last.
        alone: Whether the statement can't stand in a transaction.
        calculated: Whether ``statement`` is an expression whose value in the tenant is executed; it is ``alone`` then.
        number: Of which statement of the delta, or of its reverse, it is a part, from 1; 0 where its place tells.
    """

    statement: str
    before: tuple[str, ...] = ()
    undo: str = ""
    late_undo: str = ""
    after: tuple[str, ...] = ()
    alone: bool = False
    calculated: bool = False
    number: int = 0
