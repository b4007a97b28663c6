"""Indexes of MySQL: what changes one, and the keys that a column needs which counts by itself."""

import msgspec

from pdelta.sql.bridge.mysql_create import HIDDEN, index, ticks
from pdelta.sql.bridge.order import bare
from pdelta.sql.catalogue import Item


class KeyChange(msgspec.Struct, frozen=True):
    """What becomes of one key.

    Attributes:
        name: Its name, the table's before it.
        found: As it is; None where it is missing.
        wanted: As it should be; None where it should not be.
    """

    name: str
    found: Item | None
    wanted: Item | None

    @property
    def is_any(self) -> bool:
        """Whether anything is different."""
        return self.found is None or self.wanted is None or self.found.facts != self.wanted.facts

    @property
    def forth(self) -> list[str]:
        """Give the clauses of ALTER TABLE that lead to what is wanted."""
        return _clauses(self.found, self.wanted)

    @property
    def back(self) -> list[str]:
        """Give those that lead back."""
        return _clauses(self.wanted, self.found)

    def begins_with(self, column: Item) -> bool:
        """Say whether this column is the first one, before or after."""
        return any(one is not None and begins_with(one, column) for one in (self.found, self.wanted))


def begins_with(item: Item, column: Item) -> bool:
    """Say whether an index begins with the values of this column."""
    _kind, _bracket, keys = (item.fact("definition") or "").partition(" (")
    first = keys[: len(column.last_name)]
    return (
        item.owner == column.owner
        and first == column.last_name
        and keys[len(first) : len(first) + 1] in {",", ")", " "}
    )


def is_primary(item: Item) -> bool:
    """Say whether an index is the primary key."""
    return bare(item.last_name) == "PRIMARY"


def drop_index(item: Item) -> str:
    """Give the clause that drops an index."""
    return "DROP PRIMARY KEY" if is_primary(item) else f"DROP INDEX {ticks(item.last_name)}"


def changed_index(found: Item, wanted: Item) -> list[tuple[str, str]]:
    """Give the statements that change an index, each with what takes it back."""
    return list(zip(_statements(found, wanted), reversed(_statements(wanted, found)), strict=True))


def _clauses(have: Item | None, want: Item | None) -> list[str]:
    return [*([drop_index(have)] if have else []), *([f"ADD {index(want)}"] if want else [])]


def _statements(have: Item, want: Item) -> list[str]:
    start = f"ALTER TABLE {ticks(want.owner)}"
    old, new = dict(have.facts), dict(want.facts)
    hidden = [key for key in HIDDEN if old.pop(key, None) != new.pop(key, None)]
    # In one statement: between two, nothing would keep values apart.
    made = [f"{start} {', '.join(_clauses(have, want))}"] if old != new else []
    # The new one is hidden from its beginning.
    hidden = [] if made else hidden
    return made + [
        f"{start} ALTER INDEX {ticks(want.last_name)} {key.upper() if want.fact(key) else HIDDEN[key]}"
        for key in hidden
    ]
