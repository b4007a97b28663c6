"""Which files are covered is told without looking: exactly those that would be listed once they are there."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pdelta.databases.sqlite.database import SqliteDatabase

PARTS = st.sampled_from(["a", "b.sqlite", ".b", "*", "*.sqlite", ".*", "?", "[ab]*", "**", "a*b", "**.sqlite"])
NAMES = st.sampled_from(["a", "b", "b.sqlite", ".b", ".c.sqlite", "ab", "*", "a.sqlite", "b.sqlite-wal", "[ab]*"])


def path_of(parts: list[str]) -> str:
    return "/".join(parts)


@given(
    st.lists(PARTS, min_size=1, max_size=4).map(path_of),
    st.lists(NAMES, min_size=1, max_size=4).map(path_of),
    st.sampled_from([(), ("a*",), ("b.sqlite",)]),
)
def test_covers_when_the_file_is_made_then_it_is_listed_exactly_if_it_was_said(
    pattern: str, name: str, exclude: tuple[str, ...]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = SqliteDatabase("test", folder, (pattern,), exclude=exclude)
        said = database.covers(name)
        assert database.create(name)
        assert Path(folder, name).stat().st_size == 0
        if name == pattern and set("*?[") & set(name):
            # Made, it would hide the others; once it is there, it is one.
            assert not said
            said = database.covers(name)
        assert said == (name in [tenant.name for tenant in database.tenants()])
        assert not database.create(name)


@given(st.lists(NAMES, min_size=1, max_size=3).map(path_of), st.sampled_from(["./{}", "{}/", "x/../{}", "/{}", ""]))
def test_covers_when_a_name_is_not_as_it_would_be_listed_then_it_is_none(name: str, form: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = SqliteDatabase("test", folder, ("**", "**/*"))
        assert not database.covers(form.format(name))
