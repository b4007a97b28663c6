"""``pdelta sql new`` as its user meets it."""

from pathlib import Path

from tests.fixtures.cli import Cli


def test_new_when_typed_then_the_file_is_named_and_can_be_found(cli: Cli, tmp_path: Path) -> None:
    done = cli("sql", "new", "add last login", cwd=tmp_path)
    (file,) = (tmp_path / "deltas").iterdir()
    assert done.out == f"created  deltas/{file.name}\n"
    assert file.read_text().startswith(f"-- {file.stem}\n")
    (tmp_path / "pdelta.toml").write_text("[databases.a]\nurl = 'env:A'\ndeltas = 'sql'\n")
    (tmp_path / "below").mkdir()
    found = cli("sql", "new", "--json", "--engine", "mariadb", "x", cwd=tmp_path / "below").json()
    assert Path(found["file"]).parent == tmp_path / "sql"
    assert (found["engine"], Path(found["file"]).stem) == ("mysql", found["id"])


def test_new_when_the_request_is_impossible_then_it_exits_with_2(cli: Cli, tmp_path: Path) -> None:
    assert "hint: write letters" in cli("sql", "new", "a/b", cwd=tmp_path, status=2).err
    assert "No such command 'nwe'" in cli("sql", "nwe", status=2).err
    assert "  new  " in cli("sql", status=2).out
