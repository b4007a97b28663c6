"""The rules of the house that no linter knows, and the trees that the other tests stand on."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pdelta
from tests.fixtures.trees import Directory, Fifo, File, HardLink, Sparse, Symlink, Tree, build_tree, tree_state

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src/pdelta").rglob("*.py"))
TEXTS = (".py", ".md", ".toml", ".txt", ".sh", ".json", ".yml", ".yaml", ".cfg", "")
LINES_AT_MOST = 500
FORBIDDEN_NAMES = {"utils", "helpers", "common", "core", "manager"}
MACHINE = re.compile(
    r"/root/|/home/(?!user\b|deploy\b)\w+/|index-url|https?://(?:pypi|files)\.[\w.]+/|/work/\w+", re.ASCII
)
PURE = ("model", "chunking", "sql", "tree", "formats", "wire")

EVERY_KIND: Tree = {
    "a.txt": "one",
    b"caf\xe9\n": b"\x00\xff",
    "empty": {},
    "folder": Directory({"x": File("x", 0o600, 5), "link": Symlink("../nowhere")}, 0o700, 7),
    "other": HardLink("a.txt"),
    "hole": Sparse(1 << 20, {4096: b"data"}),
}


def project() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def project_files() -> Iterator[Path]:
    """Give every text file that would be in a clone."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("no git checkout")
    for name in sorted(filter(None, listed.stdout.split(b"\0"))):
        path = ROOT / os.fsdecode(name)
        if path.is_file() and path.suffix in TEXTS:
            yield path


def test_version_when_read_from_the_package_then_it_is_the_projects() -> None:
    assert pdelta.__version__ == project()["project"]["version"]


def test_constraints_when_compared_with_the_project_then_they_pin_every_dependency() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin) for pin in pins)
    facts = project()["project"]
    extras = facts["optional-dependencies"]
    assert isinstance(extras, dict)
    assert isinstance(facts["dependencies"], list)
    wanted = {re.split(r"[<>=;\s]", text)[0].lower() for text in [*facts["dependencies"], *extras["dev"]]}
    assert wanted <= {pin.split("==")[0].lower() for pin in pins}


def test_text_when_searched_then_it_names_no_machine_and_no_index() -> None:
    guilty = {
        str(path.relative_to(ROOT)): match[0]
        for path in project_files()
        if path != Path(__file__)
        if (match := MACHINE.search(path.read_text(errors="replace")))
    }
    assert guilty == {}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src/pdelta")))
def test_module_when_measured_then_it_is_small_and_named_after_a_concept(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) <= LINES_AT_MOST, "split it: no reader keeps that much in mind"
    assert not FORBIDDEN_NAMES & {path.stem, path.parent.name}


def test_pure_packages_when_imported_then_no_database_socket_or_terminal_comes_with_them() -> None:
    names = [
        ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        for path in SOURCES
        if path.relative_to(ROOT / "src/pdelta").parts[0] in PURE
    ]
    code = (
        f"import sys, importlib; [importlib.import_module(n) for n in {names!r}];"
        "print(sorted({'sqlite3', 'ssl', 'asyncio', 'click', 'rich', 'pdelta.filesystem'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_tree_when_built_twice_then_the_dumps_are_equal(tree: Callable[[str, Tree], Path]) -> None:
    one, two = tree_state(tree("one", EVERY_KIND)), tree_state(tree("two", EVERY_KIND))
    del one[b""], two[b""]  # the top's own time is the moment of its making
    assert one == two
    assert one[b"other"].names == (b"a.txt", b"other")
    assert one[b"folder/x"][1:3] == (0o600, 5)
    assert one[b"folder"][1:3] == (0o700, 7)


@pytest.mark.parametrize(
    "edit",
    [
        {"a.txt": "two"},
        {"a.txt": File("one", 0o640)},
        {"a.txt": File("one", 0o644, 1)},
        {"new": ""},
        {"second": Symlink("elsewhere")},
        {"folder": Directory({}, 0o755, 7)},
        {"folder": Directory({}, 0o700, 8)},
        {"pipe": Fifo()},
    ],
)
def test_state_when_one_thing_is_edited_then_the_dump_differs(tmp_path: Path, edit: Tree) -> None:
    root = build_tree(tmp_path / "t", EVERY_KIND)
    before = tree_state(root)
    build_tree(root, edit)
    assert tree_state(root) != before


def test_state_when_pdelta_keeps_its_own_files_then_they_are_left_out(tmp_path: Path) -> None:
    root = build_tree(tmp_path / "t", {"a": "1", "sub": {".pdelta": {"ledger.sqlite": "x"}, ".pdelta-stage-1": {}}})
    assert set(tree_state(root)) == {b"", b"a", b"sub"}


def test_documents_when_checked_then_links_commands_and_examples_are_true() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/check_docs.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
