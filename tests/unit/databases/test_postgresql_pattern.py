"""What patterns fill in is, to the letter, what would have been written for each tenant."""

import pytest

from pdelta.databases.base import Glance, Move, Work
from pdelta.databases.postgresql import ledger
from pdelta.databases.postgresql.ledger import Place
from pdelta.databases.postgresql.pattern import Filled, Patterns
from pdelta.databases.postgresql.script import Role
from pdelta.databases.postgresql.transaction import Limits, Transaction
from pdelta.databases.postgresql.writing import written as writing_of
from pdelta.sql.ledger import EMPTY_HEAD, Applied, Head, Way, head_of_rows
from pdelta.sql.piece import Piece

LIMITS = Limits(100, 0)
NAMES = ("plain", 'with "quotes"', "it's", "back\\slash", "Ünï cödé", "a;b", "-- x", "$1", "%s {} \\x01")


def row(id: str) -> Applied:
    return Applied(id, "0" * 64, reverse="SELECT 'it''s', E'\\\\'")


def move(id: str, *texts: str, way: Way = Way.APPLY) -> Move:
    return Move(way, row(id), tuple(map(Piece, texts)), run="run:1", who="ada")


def place(name: str, number: int = 1) -> Place:
    return Place(name, schema=name, path=(name, "shared"), oid=number)


def work(name: str, moves: tuple[Move, ...]) -> Work:
    before: Head = EMPTY_HEAD
    after = head_of_rows(one.row for one in moves)
    if moves[0].way is Way.REVERSE:
        before, after = after, before
    return Work(name, before, after, moves, Glance(managed=True, head=before))


def written(works: list[Work], places: list[Place]) -> str:
    writing = Transaction(LIMITS)
    for one, where in zip(works, places, strict=True):
        writing.work(one, where, is_last=one is works[-1])
        writing.script.add(*ledger.stamp(where, one.after))
    return ";\n".join(line.text for line in (*writing.script.lines, *writing.commit()))


def together(works: list[Work], places: list[Place]) -> Filled:
    """Give what several works are written as."""
    writing = writing_of(works, places, LIMITS)
    told = [index for index, line in enumerate(writing.script.lines) if line.role is Role.TOLD]
    return Filled(writing.script.text, tuple(line.text for line in writing.commit()), told)


def alone(patterns: Patterns, one: Work, where: Place) -> str | None:
    """Give the whole string that does one work, filled in."""
    rest = patterns.fill_rest(one, where, LIMITS)
    return rest and f"{Transaction(LIMITS).script.text};\n{rest}"


@pytest.mark.parametrize(
    "moves",
    [
        (move("a", "ALTER TABLE users ADD COLUMN x text"),),
        (move("a", "SELECT 1"), move("b", "SELECT 2", "SELECT 3")),
        (move("a", "SET LOCAL search_path TO other", "CREATE TEMP TABLE t (id int)", "SET ROLE ada"),),
        (move("a", "SET work_mem = 1000"), move("b", "INSERT INTO users VALUES ('\\x01')")),
        (move("a", "SELECT 1", way=Way.REVERSE),),
    ],
    ids=["one", "two", "settings", "session", "reverse"],
)
@pytest.mark.parametrize("share", [1, 3])
def test_fill_when_tenants_have_the_same_work_then_it_gives_what_would_be_written(
    moves: tuple[Move, ...], share: int
) -> None:
    patterns = Patterns()
    filled = 0
    for start in range(0, len(NAMES), share):
        names = NAMES[start : start + share]
        works = [work(name, moves) for name in names]
        places = [place(name, number) for number, name in enumerate(names, start + 1)]
        if share > 1:
            assert patterns.fill(works, places, LIMITS) == together(works, places)
            filled += 1
        elif (text := alone(patterns, works[0], places[0])) is not None:
            assert text == written(works, places)
            filled += 1
    # Not the first where a transaction has one tenant: a pattern is made where a second needs it.
    assert filled == len(NAMES) // share - (share == 1)


def test_fill_when_a_text_has_the_character_that_stands_for_names_then_there_is_no_pattern() -> None:
    patterns = Patterns()
    moves = (move("a", "INSERT INTO users VALUES ('\x01'), ('\"\x01\"')"),)
    for name in NAMES:
        assert alone(patterns, work(name, moves), place(name)) is None


def test_fill_when_works_differ_then_each_has_its_own_pattern() -> None:
    patterns = Patterns()
    for _ in range(3):
        for moves in ((move("a", "SELECT 1"),), (move("a", "SELECT 2"),)):
            # Equal moves of another object are others: comparing long texts would cost what is to be spared.
            assert alone(patterns, work("one", moves), place("one")) is None
    kept = [(move("a", "SELECT 1"),), (move("a", "SELECT 2"),)]
    for moves in kept * 3:
        text = alone(patterns, work("one", moves), place("one"))
        assert text in {None, written([work("one", moves)], [place("one")])}
    assert alone(patterns, work("one", kept[1]), place("one")) is not None


def test_fill_when_there_are_more_patterns_than_are_kept_then_each_is_still_right() -> None:
    patterns = Patterns()
    kept = [(move("a", f"SELECT {number}"),) for number in range(200)]
    for moves in (*kept, *kept, *kept):
        for name in NAMES[:2]:
            one, where = work(name, moves), place(name)
            assert alone(patterns, one, where) in {None, written([one], [where])}


@pytest.mark.parametrize(
    "where",
    [
        Place("t", schema="t", path=("t",), managed=False),
        Place("t", schema="public", path=(), oid=1),
        Place("t", schema="t", path=("t",), oid=1, database=7),
    ],
    ids=["unmanaged", "database", "stamped"],
)
def test_fill_when_a_ledger_is_not_that_of_a_schema_then_there_is_no_pattern(where: Place) -> None:
    patterns = Patterns()
    moves = (move("a", "SELECT 1"),)
    for _ in range(3):
        assert alone(patterns, work("t", moves), where) is None


def test_fill_when_the_heads_can_not_be_of_one_ledger_then_there_is_no_pattern() -> None:
    patterns = Patterns()
    moves = (move("a", "SELECT 1"),)
    unfit = Work("t", EMPTY_HEAD, EMPTY_HEAD, moves, Glance(managed=True, head=EMPTY_HEAD))
    for _ in range(3):
        assert alone(patterns, unfit, place("t")) is None


def test_fill_when_a_text_can_not_be_sent_then_it_is_left_to_who_tells_the_tenant() -> None:
    patterns = Patterns()
    moves = (move("a", "SELECT 1; COMMIT"),)
    for name in NAMES:
        assert alone(patterns, work(name, moves), place(name)) is None
