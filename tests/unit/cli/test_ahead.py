"""What is begun before the command line is there: a guess, which is wrong without harm."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pdelta.cli import ahead
from pdelta.cli.settings import forget_ahead, read_settings
from pdelta.formats.database import DatabaseSection
from pdelta.formats.database_url import Lookup

ONE = '[databases.app]\nurl = "postgresql://me@host/app"\n'
TWO = f'{ONE}[databases.other]\nurl = "postgresql://me@host/other"\n'


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, bool]]]:
    """The sections that were connected to, and whether all of their tenants were asked for."""
    found: list[tuple[str, bool]] = []

    def connect(section: DatabaseSection, _lookup: Lookup, _stack: ExitStack, *, looks: bool) -> None:
        found.append((section.name, looks))

    monkeypatch.setattr(ahead, "connect_ahead", connect)
    monkeypatch.chdir(tmp_path)
    yield found
    forget_ahead()


@pytest.mark.parametrize(
    ("project", "words", "sections"),
    [
        (ONE, "apply", [("app", True)]),
        (ONE, "rollback --only tenant_1", [("app", False)]),
        (ONE, "status --only=tenant_1", [("app", False)]),
        (ONE, "drift --json", [("app", True)]),
        (TWO, "apply", []),
        (TWO, "apply --database other", [("other", True)]),
        (TWO, "apply --database=app --database=other", [("other", True)]),
        (ONE, "apply --database none", []),
        (ONE, "apply --database", [("app", True)]),
        (ONE, "apply --url postgresql://me@host/third", []),
        (ONE, "apply --config elsewhere.toml", []),
        (ONE, "apply --plan friday.plan", []),
        (ONE, "apply --help", []),
        (ONE, "lint", []),
        (ONE, "", []),
        ("[databases", "apply", []),
        ("", "apply", []),
    ],
)
def test_begin_when_words_name_a_section_then_that_is_connected_to(
    tmp_path: Path, asked: list[tuple[str, bool]], project: str, words: str, sections: list[tuple[str, bool]]
) -> None:
    (tmp_path / "pdelta.toml").write_text(project)
    ahead.begin(["sql", *words.split()])
    assert asked == sections


def test_begin_when_another_group_is_meant_then_nothing_is_read(tmp_path: Path, asked: list[tuple[str, bool]]) -> None:
    (tmp_path / "pdelta.toml").write_text("[databases")
    assert ahead.begin(["status", "sql"]) is None
    assert asked == []


@pytest.mark.usefixtures("asked")
def test_begin_when_the_command_asks_for_settings_then_it_gets_those_that_were_read_and_nobody_else_does(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pdelta.toml"
    file.write_text(ONE)
    ahead.begin(["sql", "apply"])
    file.write_text(TWO)
    assert list(read_settings(None).project.databases) == ["app"]
    assert list(read_settings(None).project.databases) == ["app", "other"]


@pytest.mark.usefixtures("asked")
def test_begin_when_the_command_never_asks_then_the_next_one_reads_its_own(tmp_path: Path) -> None:
    file = tmp_path / "pdelta.toml"
    file.write_text(ONE)
    end = ahead.begin(["sql", "apply"])
    assert end is not None
    end()
    file.write_text(TWO)
    assert list(read_settings(None).project.databases) == ["app", "other"]
