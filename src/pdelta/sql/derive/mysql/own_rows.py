"""What takes back the rows that a delta puts into a table of its own: while they are as it left them, they just go.

Nothing is kept of them. What the table holds is counted and hashed before and behind each statement, in an expression
that the tenant writes, for it alone knows the columns; ``sql.own_rows`` has the marks that say it.
"""

from typing import Final

import msgspec

from pdelta.sql import own_rows
from pdelta.sql.derive.mysql.draft import Change
from pdelta.sql.derive.mysql.text import (
    COLUMN,
    UNCUT,
    Name,
    amount,
    by_server,
    guard,
    has_triggers,
    joined,
    listed,
    literal,
    said,
    when,
)
from pdelta.sql.piece import AGAIN, GUARD, LOSS_GUARD

_SEEN: Final = "@pdelta_seen"
"""The variable that says in the delta's session that what its table held before the statement was seen just now."""
_STEADY: Final = f"{by_server('@@tx_isolation', '@@transaction_isolation')} NOT LIKE 'READ-%'"
"""The condition that no rows of others come into a table between two looks of one transaction."""
_LOCKED: Final = " LOCK IN SHARE MODE"
_HELD: Final = "x.held"
"""In the expression of a text: what the table holds."""
_HASHED: Final = "x.hashed"
"""And the expression that asks for it, as text."""


def no_triggers(table: Name) -> str:
    """Give the question that refuses where a table has triggers."""
    return f"CASE WHEN {has_triggers(table)} THEN {literal(f'{table.name} has triggers')} END"


def changed(table: Name, key: str) -> Change:
    """Empty a table of the delta's own again, whose rows a statement changes."""
    return Change(
        before=(UNCUT, guard(no_triggers(table))),
        undo=_marked(table, own_rows.found(key), lock=_LOCKED),
        late=when(_STEADY, _emptied(table, key, lock=_LOCKED)),
    )


def made(table: Name, key: str, undo: str) -> Change:
    """Empty a table that a query has filled when it was made, then go on with what takes that back.

    Where somebody stopped in between, nobody knows what was in it at first, and every row counts.
    """
    found = literal(own_rows.NONE.join(own_rows.found(key)))
    return _seen(Change(before=(UNCUT,), undo=joined([found, undo]), late=_emptied(table, key)))


def altered(table: Name, new: Name, key: str, change: Change) -> Change:
    """Know what a table of the delta's own holds behind an ALTER TABLE, which may make its rows others, and not more.

    Args:
        table: What it was called before.
        new: What it is called then.
        key: By which its rows are known.
        change: What the statement asks for.
    """
    undo = joined([_marked(table, own_rows.found(key, stay=True)), change.undo])
    late = joined([change.late, _marked(new, own_rows.left(key))])
    return _seen(msgspec.structs.replace(change, before=(UNCUT, *change.before), undo=undo, late=late))


def _seen(change: Change) -> Change:
    """Look at a table behind a statement only where it was looked at just before, in the same session."""
    return msgspec.structs.replace(
        change,
        before=(*change.before, f"SET {_SEEN} = 1"),
        late=when(f"{_SEEN} = 1", change.late),
        after=(f"SET {_SEEN} = NULL", *change.after),
    )


def _marked(table: Name, around: tuple[str, str], *, lock: str = "") -> str:
    return _asked(table, [literal(around[0]), _HELD, literal(around[1])], lock)


def _emptied(table: Name, key: str, *, lock: str = "") -> str:
    """Give the expression of the part that empties a table while it holds what it holds now.

    Foreign keys that lead to it now are of the delta itself, and go with what is left of its reverse.
    """
    what = amount(
        table.name,
        "would be lost, and it is not as the delta left it",
        "would be lost, not all of them as the delta left them",
    )
    before, behind = own_rows.left(key)
    keys = (
        "(SELECT count(*) FROM information_schema.key_column_usage u WHERE u.table_schema = database()"
        f" AND u.referenced_table_schema = database() AND u.referenced_table_name = {literal(table.name)}"
        f" AND u.table_name <> {literal(table.name)})"
    )
    more = literal(f"foreign keys have come that lead to {table.name}")
    empty = f"TRUNCATE TABLE {table};"
    with_keys = said(
        f"{GUARD} SELECT CASE WHEN {keys} > ",
        (keys,),
        f" THEN {more} END;SET foreign_key_checks = 0;{empty}SET foreign_key_checks = DEFAULT;",
    )
    parts = [
        literal(LOSS_GUARD + before),
        _HELD,
        literal(f"{behind} SELECT CASE WHEN count(*) > 0 AND "),
        _HASHED,
        literal(" <> '"),
        _HELD,
        literal(f"' THEN {what} END FROM {table};"),
        when(f"{keys} = 0", literal(empty), with_keys),
        literal(own_rows.emptied(key)),
    ]
    return _asked(table, parts, lock)


def _asked(table: Name, parts: list[str], lock: str) -> str:
    """Give the expression of these texts, one after the other, in which ``x`` is the table as it is.

    The columns are told first, then their values.
    """
    value = (
        f"CASE k.data_type WHEN 'timestamp' THEN concat('unix_timestamp(', {COLUMN}, ')')"
        f" WHEN 'float' THEN concat('(', {COLUMN}, ' + 0e0)') ELSE {COLUMN} END"
    )
    hashed = said(
        "concat(count(*), ' ', coalesce(sum(CAST(conv(left(sha2(concat(",
        listed(table, f"concat('coalesce(sha2(', {value}, ', 256), ''-'')')"),
        "), 256), 15), 16, 10) AS DECIMAL(20))), 0))",
    )
    asked = said(
        f"{AGAIN}(SELECT concat({', '.join(parts)}) FROM (SELECT ",
        ("h.hashed",),
        " AS held, _utf8mb4 x'",
        ("hex(CONVERT(h.hashed USING utf8mb4))",),
        f"' AS hashed FROM {table}{lock}) x){AGAIN}",
    )
    return f"(SELECT {asked} FROM (SELECT {hashed} AS hashed) h)"
