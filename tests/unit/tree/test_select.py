"""Golden cases of both dialects, and what they cannot say: batches, caching, errors, cost."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pdelta.errors import UsageError
from pdelta.model.snapshot import Rule
from pdelta.tree.select import Selector, include, read_rules

GOLDEN = Path(__file__).parents[2] / "golden" / "select"
CASES = [case for file in sorted(GOLDEN.glob("*.json")) for case in json.loads(file.read_text("utf-8"))]
ALL = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def rules_of(case: dict[str, Any]) -> list[Rule]:
    wide = [rule if isinstance(rule, dict) else {"pattern": rule} for rule in case["rules"]]
    dialect = case.get("dialect", "gitignore")
    return [Rule(raw(rule["pattern"]), raw(rule.get("base", "")), dialect) for rule in wide]


@ALL
def test_ignored_when_golden_then_as_recorded(case: dict[str, Any]) -> None:
    selector = Selector(rules_of(case))
    for expected in ("ignored", "kept"):
        for text in case[expected]:
            path = raw(text.removesuffix("/"))
            assert selector.ignored(path, text.endswith("/")) == (expected == "ignored"), text


@ALL
def test_ignored_names_when_asked_by_folder_then_equal_to_paths(case: dict[str, Any]) -> None:
    selector = Selector(rules_of(case))
    for text in [*case["ignored"], *case["kept"]]:
        path = raw(text.removesuffix("/"))
        parent, _, name = path.rpartition(b"/")
        batch = [(b"other", False), (name, text.endswith("/")), (b"last", True)]
        by_name = {n for n, d in batch if Selector(rules_of(case)).ignored(parent + b"/" + n if parent else n, d)}
        if not (parent and selector.ignored(parent, True)):
            assert selector.ignored_names(parent, batch) == by_name, text


@pytest.mark.skipif(shutil.which("git") is None, reason="git is the reference")
def test_golden_when_git_is_asked_then_it_agrees(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    subprocess.run(["git", "init", "-q", "--separate-git-dir", str(tmp_path / "git"), str(tree)], check=True)
    pointer = (tree / ".git").read_bytes()
    for case in CASES:
        if case.get("dialect") or any(isinstance(rule, dict) for rule in case["rules"]) or "reserved" in case["name"]:
            continue
        if "letters" in case["name"] or "UTF-8" in case["name"] or "question" in case["name"]:
            continue  # git matches bytes where we match characters
        for text in [*case["ignored"], *case["kept"]]:
            shutil.rmtree(tree)
            path = tree / os.fsdecode(raw(text))
            (path if text.endswith("/") else path.parent).mkdir(parents=True)
            if not text.endswith("/"):
                path.touch()
            (tree / ".git").write_bytes(pointer)
            (tree / ".gitignore").write_bytes(b"\n".join(raw(rule) for rule in case["rules"]) + b"\n")
            asked: list[str | bytes] = [
                "git",
                "-C",
                str(tree),
                "check-ignore",
                "-q",
                "--no-index",
                "--",
                raw(text.removesuffix("/")),
            ]
            answer = subprocess.run(asked, check=False)
            assert (answer.returncode == 0) == (text in case["ignored"]), (case["name"], text)


def test_read_rules_when_file_then_blank_lines_and_comments_go() -> None:
    data = b"\xef\xbb\xbf*.o\r\n\n  \n# comment\n\\#file\n!keep"
    assert [rule.pattern for rule in read_rules(data)] == [b"*.o", b"\\#file", b"!keep"]
    assert read_rules(b"a\n#b", base=b"x/y", dialect="origin") == (
        Rule(b"a", b"x/y", "origin"), Rule(b"#b", b"x/y", "origin"),
    )  # fmt: skip


def test_include_when_given_a_pattern_then_it_takes_back() -> None:
    selector = Selector([Rule(b"*.o"), include(b"keep.o"), include(b"!x.o")])
    assert [selector.ignored(name, False) for name in (b"keep.o", b"x.o", b"y.o")] == [False, True, True]


def test_ignored_when_tree_itself_then_never() -> None:
    assert not Selector([Rule(b"*")]).ignored(b"", True)


@pytest.mark.parametrize(
    "rule", [Rule(b"a", b"", "regex"), Rule(b"x" * 5000), Rule(b"a*b\\"), Rule(b"*[z-a]*")], ids=str
)
def test_selector_when_rule_is_unreadable_then_usage_error(rule: Rule) -> None:
    with pytest.raises(UsageError) as caught:
        Selector([rule])
    assert caught.value.hint


def test_ignored_when_rule_has_many_stars_then_it_does_not_backtrack() -> None:
    selector = Selector([Rule(b"a*a*a*a*a*a*a*a*a*a*a*b"), Rule(b"x/*y*y*y*y*y*y*y*y*y*z")])
    assert not selector.ignored(b"a" * 255, False)
    assert not selector.ignored(b"x/" + b"y" * 255, False)
    assert selector.ignored(b"a" * 200 + b"b", False)
    assert selector.ignored(b"x/" + b"y" * 100 + b"z", False)


def test_ignored_when_path_is_as_deep_as_can_be_then_no_recursion() -> None:
    assert Selector([Rule(b"end")]).ignored(b"/".join([b"d"] * 2000) + b"/end", False)
    assert Selector([Rule(b"top/")]).ignored(b"top/" + b"/".join([b"d"] * 2000), False)


def test_ignored_names_when_no_rules_then_names_are_hardly_looked_at() -> None:
    names = [(b"name%d" % n, False) for n in range(1000)]
    assert Selector().ignored_names(b"", names) == set()
    assert Selector([Rule(b"!a")]).ignored_names(b"", names) == set()
    assert Selector().ignored_names(b"x", [(b".pdelta", True), (b".pdelta-stage-1", True)]) == {
        b".pdelta",
        b".pdelta-stage-1",
    }
