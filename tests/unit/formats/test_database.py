"""``[databases.NAME]``: what is known is read, what is unknown or contradicts itself is refused by name."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pdelta.errors import FormatError
from pdelta.formats.project import parse_project
from pdelta.sql.token import Dialect

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/project-file/databases.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['toml'][:70]!r}")
def test_databases_when_they_are_a_vector_then_they_say_the_same(vector: dict[str, Any]) -> None:
    if "error" in vector:
        with pytest.raises(FormatError) as caught:
            parse_project(vector["toml"])
        assert caught.value.message == vector["error"]
        assert "secret" not in caught.value.message + caught.value.hint
    else:
        project = parse_project(vector["toml"])
        assert json.loads(msgspec.json.encode(project.databases)) == vector["databases"]


@pytest.mark.parametrize(
    ("fields", "dialect"),
    [
        ("url = 'env:A'", None),
        ("url = 'postgres://h/d'", Dialect.POSTGRESQL),
        ("url = ['env:A', 'mariadb://h/d']", Dialect.MYSQL),
        ("url = 'env:A'\ntenants = { schemas = '*' }", Dialect.POSTGRESQL),
        ("url = 'env:A'\ntenants = { query = 'SELECT 1', of = 'databases' }", None),
        ("tenants = { files = '*.db' }", Dialect.SQLITE),
    ],
)
def test_dialect_when_the_section_tells_it_then_it_is_known(fields: str, dialect: Dialect | None) -> None:
    assert parse_project(f"[databases.a]\n{fields}").databases["a"].dialect is dialect
