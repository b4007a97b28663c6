"""The ledger of one tenant as SQL: its tables, what reads and writes its rows, and the stamp that stands for them.

``docs/formats/sql-ledger.md`` describes it. Every name is qualified, so that nothing which a delta does to the search
path matters. For operators that is the quicker way, too: the server remembers which one is meant by such a name, and
searches for any other anew in each tenant, whose search path is its own.
"""

import re
from typing import Final

import msgspec

from pdelta.databases.base import Move
from pdelta.databases.postgresql.connection import Result
from pdelta.databases.postgresql.quoting import literal, name
from pdelta.errors import FormatError
from pdelta.sql.ledger import Applied, Head, Way, head_of
from pdelta.sql.sha import sha256_of

_FAMILY: Final = 0x70644C31
"""The class of our advisory locks: ``pdL1``."""
_HOLDING: Final = 0x70644C32
"""Of those that are held from a delta's first step to its last: ``pdL2``."""
_STEPPING: Final = 0x70644C33
"""Of those that a session shares which executes a step, and that last as long as it does: ``pdL3``."""

APPLIED: Final = "pdelta_applied"
HISTORY: Final = "pdelta_history"
VERSION: Final = 1

STALE: Final = "pdelta stale "
WRONG: Final = "pdelta wrong "
"""Begin what is no number and is cast to one: the cheapest way to fail with a text of one's own choice."""

MARKED: Final = "open"
"""What a setting of our own says as long as the transaction lasts that has set it."""

_FIELDS: Final = msgspec.structs.fields(Applied)
COLUMNS: Final = ", ".join(f'"{field.name}"' for field in _FIELDS)
_TYPES: Final = {"step": "integer", "steps": "integer", "id": 'text COLLATE "C"'}
"""All others are text; an index by the bytes of an id survives every change of the system's collations."""
_DEFINITIONS: Final = ", ".join(f'"{field.name}" {_TYPES.get(field.name, "text")} NOT NULL' for field in _FIELDS)
_LEAVING: Final = (
    "number bigint NOT NULL, way text NOT NULL, left_at text NOT NULL, left_run text NOT NULL, left_who text NOT NULL"
)
_IS: Final = "OPERATOR(pg_catalog.=)"
_ROWS: Final = "pg_catalog.count(*)"
_LINES: Final = "pg_catalog.string_agg(pg_catalog.concat_ws(' ', id, digest, state), pg_catalog.chr(10) ORDER BY id)"
_DIGEST: Final = f"pg_catalog.sha256(pg_catalog.convert_to({_LINES}, 'UTF8'))"
"""As ``sql.ledger.head_of`` does it, whatever a database's encoding is: an id's own collation is that of its bytes."""
_HEAD: Final = f"pg_catalog.concat({_ROWS}, ':', pg_catalog.encode(coalesce({_DIGEST}, pg_catalog.sha256('')), 'hex'))"
_NOW: Final = "pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.now()), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
_NUMBER: Final = (
    "(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) float8 '1e6')::bigint"
)
"""Later rows of the history have larger ones. To look which is the largest there would take as long as all else that is
done with the row: the server plans the reading of a table anew for every tenant."""
_STAMP: Final = re.compile(r"pdelta (\d+)(?: (\d+) (\S+))?.*", re.DOTALL)


class Place(msgspec.Struct, frozen=True):
    """Where one tenant's ledger is, as far as that is known.

    Attributes:
        tenant: Whose.
        schema: That holds it, or is to hold it.
        path: The schemas in which unqualified names are looked for; empty for those of the server's settings.
        managed: Whether it was there when somebody looked.
        oid: The number of its table; 0 where that is not known.
        database: The number of the tenant's database, where a comment on it is to say the head as well; else 0.
    """

    tenant: str
    schema: str
    path: tuple[str, ...] = ()
    managed: bool = True
    oid: int = 0
    database: int = 0

    @property
    def applied(self) -> str:
        """The table of what the tenant has."""
        return f"{name(self.schema)}.{APPLIED}"

    @property
    def history(self) -> str:
        """The table of what it had."""
        return f"{name(self.schema)}.{HISTORY}"


HOLD: Final = (
    "SELECT set_config('idle_session_timeout', '0', false) FROM pg_settings WHERE name = 'idle_session_timeout';"
    f"SELECT pg_try_advisory_lock({_HOLDING}, {{0}})"
    f" AND CASE WHEN pg_try_advisory_lock({_STEPPING}, {{0}}) THEN pg_advisory_unlock({_STEPPING}, {{0}}) END"
)
"""Tries to take the lock of who goes step by step through the tenant with this number.

It fails, too, while the server is at work on a step whose client is gone: that goes on until it ends by itself.
"""
STEP: Final = f"SELECT pg_advisory_lock_shared({_STEPPING}, {{0}})"
"""Says that the session is at work on a step in the tenant with this number."""


def number_of(name: str) -> int:
    """Give the number that our advisory locks have for a schema, or for a tenant."""
    from zlib import crc32

    return crc32(name.encode()) - (1 << 31)


def create(place: Place) -> tuple[str, ...]:
    """Give what makes the ledger if it is not there.

    Two transactions that made it at once would meet in the catalogue, and one would fail; so they take turns.
    """
    return (
        f"SELECT pg_advisory_xact_lock({_FAMILY}, {number_of(place.schema)})",
        f"CREATE TABLE IF NOT EXISTS {place.applied} ({_DEFINITIONS}, PRIMARY KEY (id))",
        # Rows only ever arrive, under the other table's lock: an index would cost more than it finds.
        f"CREATE TABLE IF NOT EXISTS {place.history} ({_LEAVING}, {_DEFINITIONS})",
    )


def lock(place: Place) -> str:
    """Give what keeps every other run out until the transaction ends, and lets readers in."""
    return f"LOCK TABLE {place.applied} IN SHARE UPDATE EXCLUSIVE MODE"


def expect(place: Place, head: Head, otherwise: str, *, mark: str = "") -> str:
    """Give what fails with ``otherwise``, unless the ledger has this head.

    Args:
        place: Of the ledger.
        head: The one that it must have.
        otherwise: Begins the words of the failure.
        mark: A setting that must still be ``MARKED``; empty for none. The words of the failure end with what it is.
    """
    # Compared as bytes, which takes half the time of a head as text: here is most of what pdelta costs in a tenant, and
    # each word more is looked up, planned and started anew for every tenant.
    same = f"{_DIGEST} {_IS} {_bytes(head.digest)}" if head.count else f"{_ROWS} {_IS} 0"
    words = f"{literal(otherwise)}, {_ROWS}"
    if mark:
        found = _setting(mark)
        same, words = f"{found} {_IS} {literal(MARKED)} AND {same}", f"{words}, {found}"
    return f"SELECT CASE WHEN {same} THEN 0 ELSE pg_catalog.concat({words})::int END FROM {place.applied}"


def expect_mark(mark: str) -> str:
    """Give what fails unless this setting is still ``MARKED``; the words of the failure end with what it is."""
    found, words = _setting(mark), f"pg_catalog.concat({literal(WRONG)}, {_setting(mark)})"
    return f"SELECT CASE WHEN {found} {_IS} {literal(MARKED)} THEN 0 ELSE {words}::int END"


def _setting(name: str) -> str:
    return f"pg_catalog.current_setting({literal(name)})"


def tell(place: Place) -> str:
    """Give what tells the client all that the head is made of, a line a row, for ``read_told``.

    The server need not plan a COPY: it takes 70 us in a tenant, where a query for the head takes 250 (measured).
    """
    return f"COPY {place.applied} (id, digest, state) TO STDOUT"


def read_told(result: Result) -> Head:
    """Give the head of what ``tell`` told."""
    return head_of((id, digest, state) for id, digest, state in (line.split("\t") for (line,) in result.rows))


def expect_row(place: Place, id: str, row: Applied | None) -> str:
    """Give what fails unless the ledger has exactly this row, or none, of that id."""
    same = f"({COLUMNS}) = {values(row)}" if row else "false"
    wanted = (1, 1) if row else (0, 0)
    return (
        f"SELECT CASE WHEN (count(*), count(*) FILTER (WHERE {same})) = {wanted} THEN 0"
        f" ELSE ({literal(STALE)} || count(*))::int END FROM {place.applied} WHERE id = {literal(id)}"
    )


def values(row: Applied) -> str:
    """Give a row's values in brackets."""
    found = (getattr(row, field.name) for field in _FIELDS)
    return "(" + ", ".join(str(value) if isinstance(value, int) else literal(value) for value in found) + ")"


def _bytes(digest: str) -> str:
    """Give these hexadecimal digits as bytes."""
    return f"{literal(f'{chr(92)}x{digest}')}::bytea"


def insert(place: Place, rows: tuple[Applied, ...]) -> str:
    """Give what adds these rows."""
    return f"INSERT INTO {place.applied} ({COLUMNS}) VALUES {', '.join(map(values, rows))}"


def update(place: Place, row: Applied) -> str:
    """Give what puts this row in the place of the one with its id."""
    return f"UPDATE {place.applied} SET ({COLUMNS}) = ROW{values(row)} WHERE id = {literal(row.id)}"


def take_out(place: Place, move: Move, way: str = "") -> tuple[str, ...]:
    """Give what puts the whole row of this move's id into the history, where the move keeps it, and removes it.

    Where there is no such row the history is given one without a number, which it does not take.

    Args:
        place: Of the ledger.
        move: What ends the row.
        way: As what it leaves, where the move does not say all that was done.
    """
    row = move.row
    into = f"INSERT INTO {place.history} (number, way, left_at, left_run, left_who, {COLUMNS})"
    leaving = f"{literal(way or move.leaving)}, {_NOW}, {literal(move.run)}, {literal(move.who)}"
    found = f"id {_IS} {literal(row.id)}"
    if not move.keeps:
        return (f"DELETE FROM {place.applied} WHERE {found}",)
    if move.way is Way.APPLY:
        # What is replaced the move does not say.
        whole = f"(SELECT) AS one LEFT JOIN (SELECT {COLUMNS} FROM {place.applied}) AS a ON {found}"
        return (
            f"{into} SELECT {_NUMBER}, {leaving}, a.* FROM {whole}",
            f"DELETE FROM {place.applied} WHERE {found}",
        )
    # It must be that very row, whose reverse is about to be done: so the history can be told what was in it. Thirteen
    # comparisons would take longer to plan than one hash takes to calculate.
    told = "\x1f".join(str(getattr(row, field.name)) for field in _FIELDS)
    said = f"pg_catalog.convert_to(pg_catalog.concat_ws(pg_catalog.chr(31), {COLUMNS}), 'UTF8')"
    whole = f"pg_catalog.sha256({said}) {_IS} {_bytes(sha256_of(told.encode()))}"
    gone = f"DELETE FROM {place.applied} WHERE {found} AND {whole} RETURNING {_NUMBER}"
    return (f"WITH gone AS ({gone}) {into} VALUES ((TABLE gone), {leaving}, {values(row)[1:]}",)


def prepend(place: Place, id: str, expression: str) -> str:
    """Give what puts the text of an expression before the reverse of a row."""
    return f"UPDATE {place.applied} SET reverse = ({expression}\n) || reverse WHERE id = {literal(id)}"


def look(place: Place) -> str:
    """Give what reads the head."""
    return f"SELECT {_HEAD} FROM {place.applied}"


def number(place: Place) -> str:
    """Give what reads the number of the ledger's table."""
    return f"SELECT {literal(place.applied)}::regclass::oid"


def numbered(place: Place, oid: int) -> Place:
    """Give the place of a ledger whose number is known now."""
    return msgspec.structs.replace(place, oid=oid)


WHOLE: Final = f"SELECT json_agg(a) FROM {APPLIED} AS a"
"""Reads all rows of the ledger in the search path, as ``read`` does."""


def read(schema: str, delta: str = "") -> str:
    """Give what reads all rows, or that of one delta, as one value."""
    only = f" WHERE id = {literal(delta)}" if delta else ""
    return f"SELECT json_agg(a) FROM {name(schema)}.{APPLIED} AS a{only}"


def stamp(place: Place, head: Head) -> tuple[str, ...]:
    """Give the comments that say the head: the table's, which counts, and where wanted the database's, which hints.

    A comment can't be calculated by the server; that it is right is what ``expect`` has found before.
    """
    texts = (f"COMMENT ON TABLE {place.applied} IS {literal(stamp_text(place.oid, head))}",)
    if not place.database:
        return texts
    return (*texts, f"COMMENT ON DATABASE {name(place.tenant)} IS {literal(stamp_text(place.database, head))}")


def stamp_text(oid: int, head: Head) -> str:
    """Give the comment that says this head of the object with this number."""
    return f"pdelta {VERSION} {oid} {head}"


def read_stamp(text: str | None, oid: int) -> Head | None:
    """Give the head that a comment says; None where it says none, or came with a copy of another object.

    Raises:
        FormatError: A later pdelta wrote it, and what is in the ledger may mean something else.
    """
    found = _STAMP.fullmatch(text or "")
    if found is None:
        return None
    if int(found[1]) != VERSION:
        raise FormatError(
            f"the ledger has the form {found[1]}, and this pdelta knows {VERSION} alone", hint="use a later pdelta"
        )
    if found[2] != str(oid):
        return None
    try:
        return Head.parse(found[3])
    except FormatError:
        return None
