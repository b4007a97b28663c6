"""What is begun before the command line is there: a guess, which is wrong without harm."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from pdelta.app.sql.compose import connect_ahead
from pdelta.cli import ahead
from pdelta.cli.main import main
from pdelta.cli.settings import forget_ahead, read_settings
from pdelta.errors import UsageError
from pdelta.formats.database import DatabaseSection
from pdelta.formats.database_url import Lookup, resolve

APP, OTHER = "postgresql://me@host/app", "postgresql://me@host/other"
ONE = f'[databases.app]\nurl = "{APP}"\n'
TWO = f'{ONE}[databases.other]\nurl = "{OTHER}"\n'


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, bool]]]:
    """The sections that were connected to, and whether all of their tenants were asked for."""
    found: list[tuple[str, bool]] = []

    def connect(section: DatabaseSection, lookup: Lookup, *, looks: bool) -> Callable[[], None]:
        found.append((resolve(section.urls[0], lookup), looks))
        return lambda: found.append(("ended", False))

    monkeypatch.setattr(ahead, "connect_ahead", connect)
    monkeypatch.chdir(tmp_path)
    yield found
    forget_ahead()


@pytest.mark.parametrize(
    ("project", "words", "sections"),
    [
        (ONE, "apply", [(APP, True)]),
        (ONE, "rollback --only tenant_1", [(APP, False)]),
        (ONE, "status --only=tenant_1", [(APP, False)]),
        (ONE, "drift --json", [(APP, True)]),
        (TWO, "apply", []),
        (TWO, "apply --database other", [(OTHER, True)]),
        (TWO, "apply --database=app --database=other", [(OTHER, True)]),
        (ONE, "apply --database none", []),
        (ONE, "apply --database", [(APP, True)]),
        (ONE, "apply --url postgresql://me@host/third", []),
        (ONE, "apply --config elsewhere.toml", []),
        (ONE, "apply --plan friday.plan", []),
        (ONE, "apply --help", []),
        ("[databases", "apply", []),
        ("", "apply", []),
    ],
)
def test_begin_when_words_name_a_section_then_that_is_connected_to(
    tmp_path: Path, asked: list[tuple[str, bool]], project: str, words: str, sections: list[tuple[str, bool]]
) -> None:
    (tmp_path / "pdelta.toml").write_text(project)
    ahead.begin(["sql", *words.split()], [])
    assert asked == sections


@pytest.mark.parametrize("words", ["apply", "drift", "rollback", "status"])
def test_main_when_a_command_asks_a_database_first_then_it_has_begun_before_its_words_are_understood(
    tmp_path: Path, asked: list[tuple[str, bool]], words: str
) -> None:
    (tmp_path / "pdelta.toml").write_text(ONE)
    assert main(["sql", words, "--bogus"]) == 2
    assert asked == [(APP, True), ("ended", False)]


def test_main_when_a_caller_goes_on_then_what_it_does_at_a_stop_is_as_before() -> None:
    def own(number: int, frame: FrameType | None) -> None:
        raise AssertionError(number, frame)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = [signal.signal(number, own) for number in numbers]
    try:
        assert main(["nonsense"]) == 2
        assert [signal.getsignal(number) for number in numbers] == [own] * 4
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@pytest.mark.parametrize("words", ["", "sql", "sql --help", "sql lint", "sql new a", "status apply", "diff sql"])
def test_main_when_a_command_asks_none_then_nothing_is_begun(
    tmp_path: Path, asked: list[tuple[str, bool]], words: str
) -> None:
    (tmp_path / "pdelta.toml").write_text(ONE)
    main([*words.split(), "--bogus"])
    assert asked == []


@pytest.mark.parametrize(
    ("url", "is_begun"),
    [
        ("file:url", True),
        ("file:/dev/stdin", False),
        ("file:pipe", False),
        ("file:none", False),
        ("cmd:cat url", False),
    ],
)
def test_begin_when_a_secret_can_be_had_once_then_it_is_left_to_who_needs_it(
    tmp_path: Path, asked: list[tuple[str, bool]], url: str, is_begun: bool
) -> None:
    (tmp_path / "pdelta.toml").write_text(f'[databases.app]\nurl = "{url}"\n')
    (tmp_path / "url").write_text(APP)
    os.mkfifo(tmp_path / "pipe")
    ahead.begin(["sql", "apply"], [])
    assert asked == ([(APP, True)] if is_begun else [])


@pytest.mark.parametrize("variable", ["URL", "DIRECT"])
def test_connect_ahead_when_one_of_the_urls_can_be_had_once_then_nothing_is_begun(variable: str) -> None:
    known = {"URL": APP, "DIRECT": OTHER}
    known.pop(variable)
    section = DatabaseSection(name="app", urls=("env:URL",), direct_urls=("env:DIRECT",))
    lookup = Lookup(known.get, lambda _name: "", lambda _words: "")
    with pytest.raises(UsageError):
        connect_ahead(section, lookup, looks=True)


@pytest.mark.usefixtures("asked")
def test_begin_when_the_guess_fails_of_anything_then_whoever_comes_to_it_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_names: object) -> None:
        raise KeyError("nobody")

    (tmp_path / "pdelta.toml").write_text(ONE)
    monkeypatch.setattr(ahead, "read_ahead", lambda: fail(None))
    ahead.begin(["sql", "apply"], [])


@pytest.mark.usefixtures("asked")
def test_begin_when_the_command_asks_for_settings_then_it_gets_those_that_were_read_and_nobody_else_does(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pdelta.toml"
    file.write_text(ONE)
    ahead.begin(["sql", "apply"], [])
    file.write_text(TWO)
    assert list(read_settings(None).project.databases) == ["app"]
    assert list(read_settings(None).project.databases) == ["app", "other"]


@pytest.mark.usefixtures("asked")
def test_begin_when_the_command_never_asks_then_the_next_one_reads_its_own(tmp_path: Path) -> None:
    file = tmp_path / "pdelta.toml"
    file.write_text(ONE)
    ends: list[Callable[[], None]] = []
    ahead.begin(["sql", "apply"], ends)
    for end in ends:
        end()
    file.write_text(TWO)
    assert list(read_settings(None).project.databases) == ["app", "other"]
