"""A new delta file: its name, its place, and that it can't be applied before it is filled in."""

import datetime as dt
from pathlib import Path

import pytest

from pdelta.app.context import Context
from pdelta.app.sql.new import create_delta
from pdelta.errors import ScriptError, UsageError
from pdelta.formats.project import parse_project
from pdelta.formats.sql_delta import parse_delta
from pdelta.sql.script import Part
from pdelta.sql.token import Dialect

MORNING_NS = int(dt.datetime(2025, 3, 15, 23, 59, tzinfo=dt.UTC).timestamp()) * 10**9


def context(folder: Path, project: str = "", now_ns: int = MORNING_NS) -> Context:
    return Context(
        cache=folder,
        state=folder,
        runs=folder,
        control=folder,
        who="a@b",
        host="b",
        clock=lambda: now_ns,
        databases=parse_project(project).databases,
        folder=folder,
    )


def test_new_when_a_day_has_several_then_each_comes_after_the_last(tmp_path: Path) -> None:
    made = [create_delta(name, context(tmp_path)) for name in ("one", "two words", "an.sql")]
    assert [str(one.file.relative_to(tmp_path)) for one in made] == [
        "deltas/delta_20250315_one.sql",
        "deltas/delta_20250315b_two_words.sql",
        "deltas/delta_20250315c_an.sql",
    ]
    assert made[1].id == "delta_20250315b_two_words"
    next_day = create_delta("one", context(tmp_path, now_ns=MORNING_NS + 60 * 10**9))
    assert next_day.file.name == "delta_20250316_one.sql"


@pytest.mark.parametrize("name", ["../x", "", "a/b", "é", "-x"])
def test_new_when_the_name_is_not_fit_then_nothing_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="can't be a delta's name"):
        create_delta(name, context(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("dialect", [None, *Dialect])
def test_new_when_it_is_not_filled_in_then_it_is_refused_and_then_accepted(
    tmp_path: Path, explicit: bool, dialect: Dialect | None
) -> None:
    made = create_delta("a", context(tmp_path), explicit=explicit, dialect=dialect)
    text = made.file.read_text()

    def parse(text: str) -> list[str]:
        script = parse_delta(text.encode(), name=made.id, dialect=dialect or Dialect.POSTGRESQL)
        assert script.dialect is dialect
        kinds = (Part.CHECK, Part.FORWARD, Part.VERIFY, Part.REVERSE)
        return [one.text for part in kinds for one in script.statements(part, dialect or Dialect.POSTGRESQL)]

    with pytest.raises(ScriptError, match="holds no statement"):
        parse(text)
    filled = text.replace("\n\n\n", "\nSELECT 2;\n\n")
    with pytest.raises(ScriptError, match=r"the section (check|reverse) holds no statement") as caught:
        parse(filled)
    assert "take its first line out" in caught.value.hint
    filled += "-- SELECT 4;\n"
    if explicit:
        filled = filled.replace("\n\n-- +forward", "\n-- SELECT 1;\n\n-- +forward")
        filled = filled.replace("\n\n-- +reverse", "\n-- SELECT 3;\n\n-- +reverse")
    assert parse(filled) == (["SELECT 1", "SELECT 2", "SELECT 3", "SELECT 4"] if explicit else ["SELECT 2", "SELECT 4"])


def test_new_when_the_project_names_a_folder_then_it_goes_there(tmp_path: Path) -> None:
    project = "[databases.a]\nurl = 'env:A'\ndeltas = 'db/a'\n[databases.b]\ntenants = { files = '*.db' }\n"
    assert create_delta("x", context(tmp_path, project), database="a").file.parent == tmp_path / "db/a"
    made = create_delta("x", context(tmp_path, project), database="b")
    assert made.file.parent == tmp_path / "deltas"
    assert "last_login TEXT;" in made.file.read_text()
    with pytest.raises(UsageError, match="several databases") as caught:
        create_delta("x", context(tmp_path, project))
    assert "a, b" in caught.value.hint
    with pytest.raises(UsageError, match="no database 'c'"):
        create_delta("x", context(tmp_path, project), database="c")
    elsewhere = create_delta("x", context(tmp_path, project), folder=tmp_path / "elsewhere")
    assert elsewhere.file.parent == tmp_path / "elsewhere"


def test_new_when_the_folder_is_another_tools_then_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "V1__a.sql").write_text("SELECT 1;")
    with pytest.raises(UsageError, match="files of flyway"):
        create_delta("x", context(tmp_path), folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1


def test_new_when_the_folder_holds_other_files_then_they_are_none_of_its_business(tmp_path: Path) -> None:
    (tmp_path / "delta_20250315_broken name.sql").write_text("")
    assert create_delta("x", context(tmp_path), folder=tmp_path).file.name == "delta_20250315_x.sql"


def test_new_when_the_folder_is_a_file_then_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deltas").write_text("")
    with pytest.raises(UsageError, match="no folder of deltas"):
        create_delta("x", context(tmp_path))
