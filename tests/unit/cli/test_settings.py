"""Where the command line looks, and what it makes of the environment."""

from pathlib import Path

import pytest

from pdelta.cli.settings import read_settings, wants_colour
from pdelta.errors import FormatError, UsageError


def test_folders_when_xdg_is_set_then_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = read_settings(
        None, environment={"HOME": "/h", "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "relative", "XDG_RUNTIME_DIR": "/r"}
    )
    assert settings.cache == Path("/c/pdelta")
    assert settings.state == Path("/h/.local/state/pdelta")
    assert settings.runs == Path("/h/.local/state/pdelta/runs")
    assert settings.control == Path("/r/pdelta")


def test_runs_when_there_is_a_project_file_above_then_they_are_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pdelta.toml").write_text('[hosts.web]\naddress = "deploy@web"\n')
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")
    settings = read_settings(None, environment={"HOME": "/h"})
    assert settings.runs == tmp_path / ".pdelta-runs"
    assert settings.project.hosts["web"].address == "deploy@web"


def test_settings_when_the_working_folder_is_removed_then_it_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for config in (None, tmp_path / "pdelta.toml"):
        with pytest.raises(UsageError, match="working folder was removed"):
            read_settings(config, environment={"HOME": str(tmp_path)})


def test_project_file_when_named_and_absent_then_it_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_settings(tmp_path / "none.toml", environment={"HOME": "/h"})


def test_project_file_when_malformed_then_it_is_a_format_error(tmp_path: Path) -> None:
    (tmp_path / "pdelta.toml").write_text("[hosts")
    with pytest.raises(FormatError):
        read_settings(tmp_path / "pdelta.toml", environment={"HOME": "/h"})


@pytest.mark.parametrize(
    ("terminal", "environment", "colour"),
    [(True, {}, True), (False, {}, False), (True, {"NO_COLOR": "1"}, False), (True, {"TERM": "dumb"}, False)],
)
def test_colour_when_asked_for_then_the_convention_decides(
    terminal: bool, environment: dict[str, str], colour: bool
) -> None:
    assert wants_colour(terminal, environment=environment) is colour
