"""The head of a ledger: its vectors, and what makes two heads equal."""

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError
from pdelta.sql.ledger import EMPTY_HEAD, Head, head_of

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests/vectors/sql-ledger/heads.json").read_text())
WORDS = st.text("ab_-.Z9", min_size=1, max_size=5)
ROWS = st.lists(st.tuples(WORDS, WORDS, st.sampled_from(["applied", "applying"])), unique_by=lambda row: row[0])


def rows_of(vector: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(id, digest, state) for id, digest, state in vector["rows"]]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["what"])
def test_head_when_it_is_a_vector_then_it_is_that_of_the_rows_in_any_order(vector: dict[str, Any]) -> None:
    rows = rows_of(vector)
    assert {str(head_of(rows)), str(head_of(rows[::-1]))} == {vector["head"]}
    assert vector["head"] == f"{len(rows)}:{sha256(bytes.fromhex(vector['hashed'])).hexdigest()}"
    assert Head.parse(vector["head"]) == head_of(rows)


def test_head_when_vectors_are_compared_then_no_two_are_equal_and_the_page_shows_the_first_ones() -> None:
    assert len({vector["head"] for vector in VECTORS}) == len(VECTORS)
    assert str(EMPTY_HEAD) == VECTORS[0]["head"]
    page = (ROOT / "docs/formats/sql-ledger.md").read_text()
    assert set(re.findall(r"`(\d+:[0-9a-f]{64})`", page)) == {vector["head"] for vector in VECTORS[:2]}


@given(ROWS, ROWS)
def test_head_when_ledgers_differ_then_their_heads_do(
    some: list[tuple[str, str, str]], others: list[tuple[str, str, str]]
) -> None:
    assert (head_of(some) == head_of(others)) is (set(some) == set(others))


@pytest.mark.parametrize("text", ["", "1", ":", f"x:{'0' * 64}", f"²:{'0' * 64}", f"1:{'0' * 63}", f"-1:{'0' * 64}"])
def test_parse_when_it_is_no_head_then_it_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="no head"):
        Head.parse(text)
