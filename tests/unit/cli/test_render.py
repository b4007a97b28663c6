"""Names, numbers and documents as they are shown."""

import io
import json

import pytest

from pdelta.app.outcome import TreeOutcome
from pdelta.cli.console import Console
from pdelta.cli.render import amount, document, pushed
from pdelta.cli.render.change import change_line
from pdelta.cli.render.safe import shown, shown_text
from pdelta.cli.render.table import table_lines
from pdelta.errors import PreflightError
from pdelta.formats.history import Counts
from pdelta.model.change import Change


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (b"plain name", "plain name"),
        ("Grüße 👩\u200d💻".encode(), "Grüße 👩\u200d💻"),
        (b"\x1b[31mred", "\\x1b[31mred"),
        (b"a\nb\rc\td", "a\\nb\\rc\\td"),
        (b"caf\xe9", "caf\\xe9"),
        ("\u202egnp.exe".encode(), "\\u202egnp.exe"),
        (b"\xc2\x9b31m", "\\x9b31m"),
        (b"\x7f", "\\x7f"),
    ],
)
def test_name_when_shown_then_nothing_in_it_can_drive_a_terminal(name: bytes, told: str) -> None:
    assert shown(name) == told


def test_text_when_shown_then_only_line_breaks_remain() -> None:
    assert shown_text("a\nb\x1b]0;title\x07") == "a\nb\\x1b]0;title\\x07"


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (2_500_000_000, "2.5 GB"),
    ],
)
def test_size_when_told_then_it_has_a_decimal_unit(count: int, told: str) -> None:
    assert amount.size(count) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.004, "0.00 s"), (9.994, "9.99 s"), (42, "42.0 s"), (125, "2 min 05 s"), (12_000, "3 h 20 min")],
)
def test_duration_when_told_then_it_is_short(seconds: float, told: str) -> None:
    assert amount.duration(seconds) == told


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 5, "0 %"), (1, 100_000, "< 0.01 %"), (48, 1000, "4.8 %"), (1, 2, "50 %"), (3, 0, "0 %"), (30, 10, "300 %")],
)
def test_share_when_told_then_it_is_a_percentage(part: int, whole: int, told: str) -> None:
    assert amount.share(part, whole) == told


def test_document_when_a_path_is_not_utf8_then_it_is_there_in_base64() -> None:
    told = json.loads(document.encode(Change("add", b"caf\xe9", size_bytes=3)))
    assert told == {"action": "add", "path": "caf�", "path_base64": "Y2Fm6Q==", "size_bytes": 3, "changed_bytes": 0}


def test_change_when_moved_then_both_names_are_shown_safely() -> None:
    line = change_line(Change("move", b"new\n", origin=b"old"))
    assert "old → new\\n" in line
    assert "\n" not in line


def test_table_when_not_pretty_then_columns_are_tabs() -> None:
    assert table_lines(("a", "b"), [("1", "x\ty")], pretty=False) == ["a\tb", "1\tx\\ty"]


def test_table_when_pretty_then_columns_line_up() -> None:
    lines = table_lines(("no", "what"), [("1", "push"), ("10", "rollback")], pretty=True, right=("no",))
    assert [line.rstrip() for line in lines if "─" not in line] == ["no   what", " 1   push", "10   rollback"]


def test_outcome_when_rendered_then_it_says_what_it_cost_and_how_to_take_it_back() -> None:
    result = TreeOutcome(
        "push",
        "web1:/srv/my app",
        source="./app",
        changed=True,
        number=7,
        counts=Counts(added=1),
        changes=(Change("add", b"new", size_bytes=10),),
        change_count=1,
        scanned_files=20_000,
        scanned_bytes=240_000_000,
        sent_bytes=48_300,
        duration_s=0.84,
    )
    text = "\n".join(pushed.lines(result, verbose=False))
    assert "20,000 files" in text
    assert "0.02 %" in text
    assert "pdelta rollback 'web1:/srv/my app'" in text
    told = pushed.fields(result)
    assert (told["sent_share"], told["counts"]["added"]) == (0.000201, 1)


def test_console_when_a_refusal_is_shown_then_its_findings_are_listed_safely() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err)
    console.configure(json=True, quiet=False, verbosity=0)
    console.failure(PreflightError("no", findings=("a\x1b[2J",), hint="look"))
    assert err.getvalue() == "error: no\n  · a\\x1b[2J\nhint: look\n"
    assert json.loads(out.getvalue())["error"]["findings"] == ["a\x1b[2J"]
