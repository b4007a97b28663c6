"""What identifies a delta: the vectors of digests."""

import json
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from pdelta.sql.script import Part, Script, Section, digest
from pdelta.sql.split import split
from pdelta.sql.token import Dialect

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/sql-delta/digests.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['dialect']}: {vector['texts'][0][:40]!r}")
def test_digest_when_it_is_a_vector_then_every_layout_has_it(vector: dict[str, Any]) -> None:
    dialect = Dialect(vector["dialect"])
    assert {digest(split(text, dialect), dialect) for text in vector["texts"]} == {vector["digest"]}
    assert blake3(bytes.fromhex(vector["hashed"])).hexdigest() == vector["digest"]


def test_digest_when_vectors_are_compared_then_no_two_are_equal() -> None:
    assert len({vector["digest"] for vector in VECTORS}) == len(VECTORS)


def test_section_when_there_is_one_for_the_dialect_then_it_comes_before_the_one_for_any() -> None:
    general = Section(Part.FORWARD, None, "SELECT 1", 1)
    special = Section(Part.FORWARD, Dialect.MYSQL, "SELECT `a;`;\nSELECT 2", 3)
    script = Script("delta_20250315_a", "a", sections=(general, special))
    assert script.section(Part.FORWARD, Dialect.MYSQL) == special
    assert script.section(Part.FORWARD, Dialect.SQLITE) == general
    assert script.section(Part.REVERSE, Dialect.SQLITE) is None
    assert [statement.line for statement in script.statements(Part.FORWARD, Dialect.MYSQL)] == [3, 4]
    assert script.statements(Part.CHECK, Dialect.MYSQL) == ()
