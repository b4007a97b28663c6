"""The ledger of one tenant as SQL: its three tables, what reads and writes its rows, and the stamp beside them.

``docs/formats/sql-ledger.md`` describes it. Every name is qualified and every value is written by its bytes, so that
nothing which a delta sets matters. The stamp is a row, because comments of MySQL's commit whatever is open; it is
written in the transaction that changes the rows, and doubtful for as long as a delta is neither done nor undone.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from pdelta.databases.mysql.quoting import literal, name
from pdelta.sql.ledger import EMPTY_HEAD, Applied, Head, State, head_of

APPLIED: Final = "pdelta_applied"
HISTORY: Final = "pdelta_history"
HEAD: Final = "pdelta_head"

FIELDS: Final = Applied.__struct_fields__
COLUMNS: Final = ", ".join(f"`{field}`" for field in FIELDS)
_TYPES: Final = {
    "id": "VARCHAR(255) NOT NULL",
    "digest": "VARCHAR(64) NOT NULL",
    "state": "VARCHAR(16) NOT NULL",
    "step": "INT NOT NULL",
    "steps": "INT NOT NULL",
}
"""All others are LONGTEXT: where ``sql_mode`` is not strict, a value that is too long is cut without a word."""
_DEFINITIONS: Final = ", ".join(f"`{field}` {_TYPES.get(field, 'LONGTEXT NOT NULL')}" for field in FIELDS)
_TABLE: Final = "ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARACTER SET = utf8mb4 COLLATE = utf8mb4_bin"
_NOW: Final = "DATE_FORMAT(UTC_TIMESTAMP(), '%Y-%m-%dT%H:%i:%sZ')"
_LEAVING: Final = "`way`, `left_at`, `left_run`, `left_who`"


def create(tenant: str) -> tuple[str, ...]:
    """Give what makes the ledger where it is not there; each statement commits by itself, and may be repeated."""
    where = name(tenant)
    history = (
        "`number` BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, `way` VARCHAR(16) NOT NULL,"
        f" `left_at` VARCHAR(32) NOT NULL, `left_run` LONGTEXT NOT NULL, `left_who` LONGTEXT NOT NULL, {_DEFINITIONS}"
    )
    head = (
        "`one` TINYINT NOT NULL PRIMARY KEY, `count` INT NOT NULL, `digest` VARCHAR(64) NOT NULL,"
        " `doubtful` TINYINT NOT NULL"
    )
    return (
        f"CREATE TABLE IF NOT EXISTS {where}.{APPLIED} ({_DEFINITIONS}, PRIMARY KEY (`id`)) {_TABLE}",
        f"CREATE TABLE IF NOT EXISTS {where}.{HISTORY} ({history}) {_TABLE}",
        f"CREATE TABLE IF NOT EXISTS {where}.{HEAD} ({head}) {_TABLE}",
        # Doubtful until a transaction has read the rows: they may be older than this table.
        f"INSERT IGNORE INTO {where}.{HEAD} VALUES (1, 0, {literal(EMPTY_HEAD.digest)}, 1)",
    )


def lock(tenant: str) -> str:
    """Give what keeps every other run out until the transaction ends; readers of the table are let in."""
    return f"SELECT `one` FROM {name(tenant)}.{HEAD} FOR UPDATE"


def read_states(tenant: str) -> str:
    """Give what reads what the head is made of, as it is now and not as it was when the transaction began."""
    return f"SELECT `id`, `digest`, `state` FROM {name(tenant)}.{APPLIED} FOR UPDATE"


def read_row(tenant: str, id: str) -> str:
    """Give what reads the row of one delta, as it is now."""
    return f"SELECT {COLUMNS} FROM {name(tenant)}.{APPLIED} WHERE `id` = {literal(id)} FOR UPDATE"


def insert(tenant: str, row: Applied) -> str:
    """Give what adds a row."""
    values = (getattr(row, field) for field in FIELDS)
    told = ", ".join(str(value) if isinstance(value, int) else literal(value) for value in values)
    return f"INSERT INTO {name(tenant)}.{APPLIED} ({COLUMNS}) VALUES ({told})"


def delete(tenant: str, id: str) -> str:
    """Give what removes the row of a delta."""
    return f"DELETE FROM {name(tenant)}.{APPLIED} WHERE `id` = {literal(id)}"


def keep(tenant: str, id: str, way: str, *, run: str = "", who: str = "") -> str:
    """Give what copies the whole row of a delta into the history."""
    where = name(tenant)
    return (
        f"INSERT INTO {where}.{HISTORY} ({_LEAVING}, {COLUMNS}) "
        f"SELECT {literal(way)}, {_NOW}, {literal(run)}, {literal(who)}, {COLUMNS} "
        f"FROM {where}.{APPLIED} WHERE `id` = {literal(id)}"
    )


def stamp(tenant: str, head: Head, *, doubtful: bool) -> str:
    """Give what writes the head beside the rows."""
    return f"REPLACE INTO {name(tenant)}.{HEAD} VALUES (1, {head.count:d}, {literal(head.digest)}, {int(doubtful)})"


def read_stamps(tenants: Sequence[tuple[int, str]]) -> str:
    """Give what reads the stamps of these tenants, each under its number."""
    return " UNION ALL ".join(
        f"SELECT {number:d}, `count`, `digest`, `doubtful` FROM {name(tenant)}.{HEAD}" for number, tenant in tenants
    )


def read_rows(tenants: Sequence[tuple[int, str]], delta: str = "") -> str:
    """Give what reads all rows of these tenants, or those of one delta, each under its tenant's number."""
    only = f" WHERE `id` = {literal(delta)}" if delta else ""
    return " UNION ALL ".join(
        f"SELECT {number:d}, {COLUMNS} FROM {name(tenant)}.{APPLIED}{only}" for number, tenant in tenants
    )


def row_of(values: Sequence[Any]) -> Applied:
    """Give the row that these values of its columns are.

    Raises:
        msgspec.ValidationError: No pdelta has written it.
    """
    return msgspec.convert(dict(zip(FIELDS, values, strict=True)), Applied)


def head_and_doubt(states: Iterable[Sequence[Any]]) -> tuple[Head, bool]:
    """Give the head of these ids, digests and states, and whether a delta is neither done nor undone.

    Raises:
        msgspec.ValidationError: No pdelta has written them.
    """
    rows = msgspec.convert([tuple(one) for one in states], list[tuple[str, str, str]])
    return head_of(rows), any(state != State.APPLIED for _, _, state in rows)
