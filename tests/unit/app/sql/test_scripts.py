"""A folder of delta files: read in order, of one form, and with everything that is wrong told at once."""

from pathlib import Path

import pytest

from pdelta.app.sql.scripts import read_files, read_scripts, style_of
from pdelta.errors import FilesystemError, FormatError, ScriptsError, UsageError
from pdelta.formats.database import Style
from pdelta.sql.script import Part, Script
from pdelta.sql.token import Dialect


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.sql").write_text(text)
    return tmp_path


def read(tmp_path: Path, style: Style | None = None) -> tuple[Script, ...]:
    return read_scripts(tmp_path, Dialect.POSTGRESQL, style=style)


def test_folder_when_it_is_ours_then_the_scripts_are_in_order_and_other_files_are_passed_over(tmp_path: Path) -> None:
    folder(tmp_path, delta_20250316_b="SELECT 2;", delta_20250315_a="SELECT 1;")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "old.sql").mkdir()
    assert [script.name for script in read(tmp_path)] == ["delta_20250315_a", "delta_20250316_b"]


def test_folder_when_it_is_empty_then_there_are_no_scripts(tmp_path: Path) -> None:
    assert read(tmp_path) == ()


def test_folder_when_it_is_not_there_then_it_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no folder of deltas .*gone"):
        read(tmp_path / "gone")


def test_folder_when_one_file_has_another_name_then_the_rule_is_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="'notes'") as caught:
        read(folder(tmp_path, delta_20250315_a="SELECT 1;", notes="SELECT 1;"))
    assert "delta_YYYYMMDD_NAME.sql" in caught.value.hint


def test_folder_when_a_delta_ends_in_capitals_then_it_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    (folder(tmp_path, delta_20250315_a="SELECT 1;") / "delta_20250316_b.SQL").write_text("SELECT 2;")
    with pytest.raises(FormatError, match=r"'delta_20250316_b\.SQL' is no name of a delta file"):
        read(tmp_path)


def test_folder_when_several_files_are_wrong_then_all_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ScriptsError, match="3 files in") as caught:
        read(
            folder(
                tmp_path, delta_20250315_a="SELECT 'a", delta_20250316_b="-- x", delta_20250317_c="SELECT 1;", notes=""
            )
        )
    assert [finding.partition(" — ")[0] for finding in caught.value.findings] == [
        "delta_20250315_a.sql: line 1: the text that begins with ' does not end",
        "delta_20250316_b.sql: line 1: the file holds no statement to apply",
        "'notes' is no name of a delta file",
    ]
    assert caught.value.exit_status == 65


DBMATE = "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;\n"
GOOSE = "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n"


@pytest.mark.parametrize(
    ("files", "style", "names"),
    [
        ({"9_b": DBMATE, "10_a": DBMATE}, Style.DBMATE, ["9_b", "10_a"]),
        ({"00009_b": GOOSE, "10_a": GOOSE}, Style.GOOSE, ["00009_b", "10_a"]),
        (
            {"V1_10__c": "SELECT 1;", "V1.9__b": "SELECT 1;", "R__a": "SELECT 1;", "V2__d": "SELECT 1;"},
            Style.FLYWAY,
            ["V1.9__b", "V1_10__c", "V2__d", "R__a"],
        ),
    ],
)
def test_folder_when_it_is_of_another_tool_then_that_is_told_by_its_files(
    tmp_path: Path, files: dict[str, str], style: Style, names: list[str]
) -> None:
    folder(tmp_path, **files)
    assert style_of(read_files(tmp_path)) is style
    assert [script.name for script in read(tmp_path)] == names
    assert read(tmp_path) == read(tmp_path, style)


def test_folder_when_it_is_of_several_tools_then_one_file_of_each_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"1_a\.sql of dbmate, delta_20250315_x\.sql of pdelta"):
        read(folder(tmp_path, delta_20250315_x="SELECT 1;", **{"1_a": DBMATE}))


def test_folder_when_its_form_is_said_then_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="'delta_20250315_x' is no name of a file of goose"):
        read(folder(tmp_path, delta_20250315_x="SELECT 1;", **{"1_a": GOOSE}), Style.GOOSE)


def test_folder_when_two_files_have_one_version_then_both_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"V1\.0__a\.sql and V1__b\.sql have one version"):
        read(folder(tmp_path, V1__b="SELECT 1;", **{"V1.0__a": "SELECT 1;"}))


def test_folder_when_flyway_has_undo_and_configuration_then_they_belong_to_their_delta(tmp_path: Path) -> None:
    folder(tmp_path, V1_2__a="CREATE INDEX CONCURRENTLY i ON t (a);", U1_2__undo_a="DROP INDEX i;")
    (tmp_path / "V1_2__a.sql.conf").write_text("executeInTransaction=false\n")
    (script,) = read(tmp_path)
    assert script.transaction == "none"
    assert [one.text for one in script.statements(Part.REVERSE, Dialect.POSTGRESQL)] == ["DROP INDEX i"]


def test_folder_when_it_can_not_be_read_then_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(FilesystemError, match="can't be read: File name too long"):
        read(tmp_path / ("x" * 300))
