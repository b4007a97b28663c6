"""Lint as a use case: which files, whose SQL, which fleet, and what squawk adds."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pdelta.app.context import Context
from pdelta.app.sql.lint import LintReport, lint_files, read_sizes
from pdelta.app.sql.squawk import find_squawk, squawk_findings
from pdelta.errors import AdapterError, FormatError, ScriptsError, UsageError
from pdelta.formats.database_url import Lookup
from pdelta.formats.project import parse_project
from pdelta.formats.sql_delta import parse_delta
from pdelta.model.event import Event
from pdelta.sql.lint.finding import Severity, TableSize
from pdelta.sql.script import Part
from pdelta.sql.token import Dialect

FANNED = "[databases.a]\nurl = 'env:A'\ntenants = { schemas = 't_*' }\n"


def context(folder: Path, project: str = "", heard: Callable[[Event], None] = lambda _: None, **values: str) -> Context:
    return Context(
        cache=folder,
        state=folder,
        runs=folder,
        control=folder,
        who="a@b",
        host="b",
        clock=lambda: 0,
        databases=parse_project(project).databases,
        lookup=Lookup(values.get, str, str),
        folder=folder,
        observer=heard,
    )


def deltas(folder: Path, **files: str) -> Path:
    (folder / "deltas").mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / "deltas" / f"delta_20250315_{name}.sql").write_text(text)
    return folder / "deltas"


def rules(report: LintReport) -> list[tuple[str, str]]:
    return [(Path(one.file).stem[15:], one.rule) for one in report.findings if one.rule != "no-reverse"]


def test_lint_when_a_folder_is_given_then_every_file_is_looked_at(tmp_path: Path) -> None:
    deltas(tmp_path, b="TRUNCATE t;", a="DROP TABLE a.t;", c="SELECT 1;")
    report = lint_files(context(tmp_path, FANNED), squawk=False)
    assert rules(report) == [("a", "qualified-name"), ("a", "drop-table"), ("b", "truncate")]
    assert (report.files, report.statistics, report.squawk) == (3, False, False)
    assert (report.count(Severity.ERROR), report.count(Severity.WARNING), report.count(Severity.HINT)) == (2, 1, 3)
    assert {Path(one.file).parent for one in report.findings} == {tmp_path / "deltas"}


def test_lint_when_files_are_named_then_only_they_are_looked_at_each_in_its_form(tmp_path: Path) -> None:
    folder = deltas(tmp_path, a="TRUNCATE t;", b="SELECT 1;")
    other = tmp_path / "other"
    other.mkdir()
    (other / "1_x.sql").write_text("-- +goose Up\nTRUNCATE u;\n")
    files = [folder / "delta_20250315_a.sql", other / "1_x.sql"]
    report = lint_files(context(tmp_path), files=files, dialect=Dialect.POSTGRESQL, squawk=False)
    found = [(one.file, one.line, one.rule) for one in report.findings if one.rule == "truncate"]
    assert found == [(str(files[0]), 1, "truncate"), (str(files[1]), 2, "truncate")]


def test_lint_when_several_databases_are_there_then_files_need_no_section(tmp_path: Path) -> None:
    file = deltas(tmp_path, a="-- pdelta: engine=sqlite\nALTER TABLE t ADD CHECK (a);") / "delta_20250315_a.sql"
    project = FANNED + "[databases.b]\nurl = 'env:B'\n"
    assert rules(lint_files(context(tmp_path, project), files=[file])) == [("a", "alter-not-known")]
    with pytest.raises(UsageError, match="several databases"):
        lint_files(context(tmp_path, project))


def test_engine_when_the_url_is_a_reference_then_it_tells(tmp_path: Path) -> None:
    deltas(tmp_path, a="LOCK TABLES t READ;")
    project = "[databases.a]\nurl = 'env:A'\n"
    assert rules(lint_files(context(tmp_path, project, A="mysql://h/d"))) == [("a", "lock-tables")]
    with pytest.raises(UsageError, match="environment has no A"):
        lint_files(context(tmp_path, project))


def test_engine_when_nobody_says_it_then_that_is_refused_unless_headers_do(tmp_path: Path) -> None:
    deltas(tmp_path, a="-- pdelta: engine=mysql\nLOCK TABLES t READ;")
    assert rules(lint_files(context(tmp_path))) == [("a", "lock-tables")]
    deltas(tmp_path, b="SELECT 1;")
    with pytest.raises(UsageError, match="whose SQL"):
        lint_files(context(tmp_path))


def test_sizes_when_they_are_known_then_small_tables_are_passed_over(tmp_path: Path) -> None:
    deltas(tmp_path, a="CREATE INDEX i ON small (a); CREATE INDEX j ON large (a);")
    file = tmp_path / "sizes.json"
    file.write_text('{"small": {"rows": 5, "bytes": 8192}, "large": {"rows": 1000000, "bytes": 8192}}')
    sizes = read_sizes(file)
    assert sizes["small"] == TableSize(5, 8192)
    report = lint_files(context(tmp_path, FANNED), sizes=sizes, squawk=False)
    (found,) = [one for one in report.findings if one.rule == "index-not-concurrently"]
    assert "1,000,000 rows" in found.what
    assert report.statistics


@pytest.mark.parametrize("text", ["[]", '{"a": 1}', '{"a": {"rows": 1}}', "{"])
def test_sizes_when_they_are_malformed_then_the_form_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "sizes.json").write_text(text)
    with pytest.raises(FormatError, match=r"sizes\.json") as caught:
        read_sizes(tmp_path / "sizes.json")
    assert '"rows"' in caught.value.hint
    with pytest.raises(UsageError, match="no file"):
        read_sizes(tmp_path / "gone.json")


def test_files_when_some_can_not_be_read_then_all_of_them_are_told(tmp_path: Path) -> None:
    deltas(tmp_path, a="SELECT 'a", b="SELECT 'b")
    with pytest.raises(ScriptsError, match="2 files"):
        lint_files(context(tmp_path, FANNED))
    for name, told in (("x.txt", "no delta file"), ("gone.sql", "there is no file")):
        with pytest.raises(UsageError, match=told):
            lint_files(context(tmp_path, FANNED), files=[tmp_path / name])


@pytest.fixture
def squawk() -> str:
    program = find_squawk()
    if not program:
        if os.environ.get("CI") == "true":
            pytest.fail("squawk is not installed")
        pytest.skip("squawk is not installed")
    return program


def test_squawk_when_it_is_installed_then_its_other_findings_have_their_lines(squawk: str, tmp_path: Path) -> None:
    text = """-- pdelta: allow="ban-drop-not-null: nobody minds"

ALTER TABLE t ALTER COLUMN a DROP NOT NULL;
INSERT INTO u VALUES (${region}, ${n:number}, ${x:name});
CREATE INDEX i ON t (a);
-- Reversible delta
-- SELECT 1;
-- ALTER TABLE t ALTER COLUMN b DROP NOT NULL;
"""
    deltas(tmp_path, a="SELECT 1;", b=text)
    report = lint_files(context(tmp_path, FANNED))
    found = [
        (Path(one.file).stem[15:], one.line, one.part, one.allowed)
        for one in report.findings
        if one.rule == "squawk/ban-drop-not-null"
    ]
    assert found == [("b", 3, Part.FORWARD, "nobody minds"), ("b", 8, Part.REVERSE, "nobody minds")]
    assert {one.rule for one in report.findings if one.rule.startswith("squawk/")} == {"squawk/ban-drop-not-null"}
    assert report.squawk


def test_squawk_when_it_can_not_be_used_then_a_warning_says_so_and_the_rest_is_told(tmp_path: Path) -> None:
    script = parse_delta(b"SELECT 1;", name="delta_20250315_a", dialect=Dialect.POSTGRESQL)
    with pytest.raises(AdapterError, match="can't be used"):
        squawk_findings(str(tmp_path / "gone"), [script])
    program = tmp_path / "squawk"
    program.write_text("#!/bin/sh\necho 'what?' >&2; echo no json\n")
    program.chmod(0o755)
    with pytest.raises(AdapterError, match=r"not known: what\?"):
        squawk_findings(str(program), [script])
    assert find_squawk(str(tmp_path)) == str(program)
    assert find_squawk(str(tmp_path / "empty")) == ""


def test_squawk_when_it_fails_then_lint_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "squawk"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    heard: list[Event] = []
    deltas(tmp_path, a="TRUNCATE t;")
    report = lint_files(context(tmp_path, FANNED, heard.append))
    assert rules(report) == [("a", "truncate")]
    assert not report.squawk
    assert [event.level for event in heard] == ["warning"]
