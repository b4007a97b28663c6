"""How a reverse is put together where a delta has filled a table of its own."""

import pytest

from pdelta.sql.own_rows import NONE, emptied, found, left, put_before
from pdelta.sql.piece import GUARD, LOSS_GUARD

DROPS = f"{LOSS_GUARD} SELECT 1;DROP TABLE w;"


def _found(holds: str, *, stay: bool = False, key: str = "k_1") -> str:
    return holds.join(found(key, stay=stay))


def _left(holds: str, key: str = "k_1") -> str:
    return holds.join(left(key))


def _empties(holds: str, key: str = "k_1") -> str:
    return f"{LOSS_GUARD}{_left(holds, key)} SELECT '{holds}';{GUARD} SELECT 1;TRUNCATE TABLE w;{emptied(key)}"


@pytest.mark.parametrize(
    ("undo", "reverse", "expected"),
    [
        ("DROP VIEW v;", DROPS, "DROP VIEW v;" + DROPS),
        # The first rows, more of them, and some behind an ALTER TABLE.
        (_empties("2 7") + _found(NONE), DROPS, _empties("2 7") + DROPS),
        (_empties("3 9") + _found("2 7"), _empties("2 7") + DROPS, _empties("3 9") + DROPS),
        (
            _left("2 8") + _found("2 7", stay=True) + "A;",
            _empties("2 7") + DROPS,
            _left("2 8") + "A;" + _empties("2 7") + DROPS,
        ),
        (
            _left("2 9") + _found("2 8", stay=True) + "B;",
            _left("2 8") + "A;" + _empties("2 7") + DROPS,
            _left("2 9") + "B;A;" + _empties("2 7") + DROPS,
        ),
        (
            _empties("3 1") + _found("2 8"),
            _left("2 8") + "A;" + _empties("2 7") + DROPS,
            _empties("3 1") + "A;" + DROPS,
        ),
        # Another table's.
        (
            _empties("1 1", "k_2") + _found(NONE, key="k_2"),
            _empties("2 7") + DROPS,
            _empties("1 1", "k_2") + _empties("2 7") + DROPS,
        ),
        # Others were there before.
        (_empties("2 7") + _found("1 3"), DROPS, DROPS),
        (_empties("3 9") + _found("2 6"), _empties("2 7") + DROPS, _empties("2 7") + DROPS),
        (_left("2 8") + _found("3 8", stay=True) + "A;", DROPS, "A;" + DROPS),
        # Others came while it was altered.
        (_left("3 8") + _found("2 7", stay=True) + "A;", _empties("2 7") + DROPS, "A;" + _empties("2 7") + DROPS),
        # Nobody knows.
        (_found("2 7"), _empties("2 7") + DROPS, _empties("2 7") + DROPS),
        (_found("2 7", stay=True) + "A;", _empties("2 7") + DROPS, "A;" + _empties("2 7") + DROPS),
    ],
)
def test_put_before_when_a_table_of_its_own_was_changed_then_it_is_emptied_where_all_rows_are_its_own(
    undo: str, reverse: str, expected: str
) -> None:
    assert put_before(undo, reverse) == expected
