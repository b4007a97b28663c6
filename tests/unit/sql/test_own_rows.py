"""How a reverse is put together where a delta has filled a table of its own."""

import pytest

from pdelta.sql.own_rows import NONE, OWN, counting, emptied, found, left, put_before, settled
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


def _counts(own: int, key: str = "k_1") -> str:
    text = f"{LOSS_GUARD}{counting(key)} SELECT n FROM (SELECT {OWN} FROM w) q;DROP;"  # noqa: S608 - nothing executes it
    return text.replace(": 0 ", f": {own} ").replace("- 0 ", f"- {own} ")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([_counts(0)], _counts(0)),
        ([_counts(0), _empties("2 -7") + _found(NONE)], _empties("2 -7") + _counts(2)),
        (
            [_counts(0), _empties("2 -7") + _found(NONE), "X;", _empties("1 5") + _found("2 -7")],
            _empties("1 5") + "X;" + _counts(2),
        ),
        # Rows went, and come back with what takes that step back.
        (
            [
                _counts(0),
                _empties("2 7") + _found(NONE),
                _left("1 3") + "2 7".join(found("k_1", move=True)) + "Y;",
                _empties("1 4") + _found("1 3"),
            ],
            _empties("1 4") + "Y;" + _counts(2),
        ),
        # Others came in between.
        (
            [_counts(0), _empties("2 7") + _found(NONE), _empties("3 9") + _found("3 8")],
            _empties("2 7") + _counts(2),
        ),
        # One step fills two.
        (
            [
                _counts(0),
                _counts(0, "k_2"),
                _empties("1 2", "k_2") + _empties("1 1") + _found(NONE, key="k_2") + _found(NONE),
            ],
            _empties("1 2", "k_2") + _empties("1 1") + _counts(1, "k_2") + _counts(1),
        ),
    ],
)
def test_settled_when_a_server_has_joined_the_steps_then_it_is_as_if_each_had_been_put_before_the_others(
    steps: list[str], expected: str
) -> None:
    gathered = ""
    for step in steps:
        gathered = step + gathered
    assert settled(gathered) == expected
    assert settled(expected) == expected
    one_by_one = ""
    for step in steps:
        one_by_one = put_before(step, one_by_one)
    assert one_by_one == expected
