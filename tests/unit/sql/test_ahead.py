"""Which guards of a reverse can be asked before its first step."""

import pytest

from pdelta.sql.ahead import Ahead, ahead
from pdelta.sql.piece import Piece
from pdelta.sql.split import Statement, split
from pdelta.sql.token import Dialect

COUNTED = "/* pdelta guard loss */ SELECT CASE WHEN count(*) > 0 THEN 'lost' END FROM `u`"
FILLED = f"{COUNTED} WHERE NOT (`w` <=> NULL)"
SAME = (
    "/* pdelta guard */ SELECT CASE WHEN count(*) > 0 THEN 'changed' END FROM `pdelta_kept_1_n` x WHERE NOT EXISTS"
    " (SELECT 1 FROM `u` t WHERE t.`id` <=> x.`id` AND t.`n` <=> x.`n`"
    " AND CAST(t.`s` AS BINARY) <=> CAST(x.`s` AS BINARY))"
)
NOT_TRIGGERED = (
    "/* pdelta guard */ SELECT CASE WHEN EXISTS (SELECT 1 FROM information_schema.triggers"
    " WHERE event_object_table = 'u') THEN 'u has triggers' END"
)
KEYS = "/* pdelta guard */ SELECT CASE WHEN (SELECT count(*) FROM information_schema.key_column_usage) <> 0 THEN 1 END"
UPDATE = "UPDATE `u` t JOIN `pdelta_kept_1_o` x ON t.`id` <=> x.`id` SET t.`n` = x.`n`"


def read(text: str) -> list[Statement]:
    return list(split(text, Dialect.MYSQL))


def found(*steps: str | tuple[str, ...], whole: bool = True) -> Ahead:
    """Give what is asked of these steps: each a statement, or guards and a statement."""
    pairs = [(step,) if isinstance(step, str) else step for step in steps]
    return ahead([Piece(statement, before=tuple(guards)) for *guards, statement in pairs], read, whole=whole)


@pytest.mark.parametrize("guard", [COUNTED, FILLED, SAME, NOT_TRIGGERED, KEYS])
@pytest.mark.parametrize(
    "before",
    [
        "DO 0",
        "UPDATE `v` t JOIN `pdelta_kept_2_o` x ON t.`id` <=> x.`id` SET t.`w` = x.`w`",
        "DELETE t FROM `v` t JOIN `pdelta_kept_2_n` x ON t.`id` <=> x.`id`",
        "INSERT INTO `v` (`id`) SELECT `id` FROM `pdelta_kept_2_o` x",
        "TRUNCATE TABLE `v`",
        "SET foreign_key_checks = 0",
        "DROP TABLE IF EXISTS `pdelta_kept_2_o`, `pdelta_kept_2_n`",
        "DROP TRIGGER IF EXISTS `pdelta_kept_2_u`",
        "DROP INDEX `i` ON `u`",
        "ALTER TABLE `u` DROP COLUMN `z`",
        "ALTER TABLE `u` ADD COLUMN `z` int NULL AFTER `n`",
        "DROP VIEW `z`",
    ],
)
def test_ahead_when_an_earlier_step_leaves_the_answer_as_it_is_then_asked(guard: str, before: str) -> None:
    assert found(before, (guard, "DROP TABLE `u`")) == Ahead((guard,), ())


@pytest.mark.parametrize(
    ("before", "guard"),
    [
        ("TRUNCATE TABLE `u`", COUNTED),
        ("DROP TRIGGER `mine`", NOT_TRIGGERED),
        ("DROP TABLE `v`", KEYS),
        ("ALTER TABLE `v` DROP FOREIGN KEY `k`", KEYS),
        ("CALL something()", COUNTED),
        ("DELETE FROM u", COUNTED),
        # It needs a column that is not there yet.
        ("ALTER TABLE `u` CHANGE COLUMN `m` `id` int", SAME),
    ],
)
def test_ahead_when_the_answer_depends_on_what_can_not_be_tried_then_it_waits(before: str, guard: str) -> None:
    assert found(before, (guard, "DROP TABLE `u`")) == Ahead((), ())


def test_ahead_when_a_column_is_defined_anew_first_then_what_would_be_lost_of_it_is_asked_as_it_is_called() -> None:
    assert found("ALTER TABLE `u` RENAME COLUMN `w` TO `v`", (FILLED, UPDATE)).asked == (FILLED,)


def test_ahead_when_a_column_is_set_back_by_what_can_not_be_tried_then_what_would_be_lost_of_it_waits() -> None:
    steps = ("ALTER TABLE `u` ADD COLUMN `n` int", f"{UPDATE}, t.`w` = x.`w`", (FILLED, UPDATE))
    assert found(*steps) == Ahead((), ())


def test_ahead_when_triggers_of_ours_may_be_left_then_what_is_asked_of_triggers_waits_for_their_end() -> None:
    steps = ("DROP TRIGGER IF EXISTS `pdelta_kept_2_u`", (NOT_TRIGGERED, UPDATE))
    assert found(*steps, whole=False) == Ahead((), ())


def test_ahead_when_an_earlier_step_changes_rows_of_the_table_then_it_is_tried_with_it_and_with_no_other() -> None:
    other = UPDATE.replace("`u`", "`v`")
    told = found((SAME, UPDATE), other, (FILLED, "ALTER TABLE `u` DROP COLUMN `w`"), (NOT_TRIGGERED, UPDATE))
    tried = (Piece(UPDATE), Piece("SELECT 1", before=(FILLED,)), Piece("SELECT 1", before=(NOT_TRIGGERED,)))
    assert told == Ahead((SAME,), tried)


def test_ahead_when_a_column_is_not_there_yet_then_the_others_are_compared() -> None:
    (asked,), tried = found(
        "ALTER TABLE `u` ADD COLUMN `n` int",
        "UPDATE `u` t JOIN `pdelta_kept_2` k ON t.`id` <=> k.`id` SET t.`n` = k.`n`",
        (SAME, UPDATE),
    )
    assert (asked, tried) == (SAME.replace(" AND t.`n` <=> x.`n`", ""), ())


def test_ahead_when_a_column_becomes_narrower_then_it_is_compared_by_its_value() -> None:
    (asked,), _ = found("ALTER TABLE `u` CHANGE COLUMN `s` `s` varchar(5) NULL", (SAME, UPDATE))
    assert asked.endswith(" AND t.`s` <=> x.`s`)")


def test_ahead_when_a_table_is_called_otherwise_then_it_is_asked_by_the_name_that_it_has() -> None:
    told = found("RENAME TABLE `w` TO `v`", "ALTER TABLE `v` RENAME TO `u`", (SAME, NOT_TRIGGERED, UPDATE))
    assert told.asked == (SAME.replace("`u`", "`w`"), NOT_TRIGGERED.replace("'u'", "'w'"))
