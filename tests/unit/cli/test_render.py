"""Names, numbers and documents as they are shown."""

import io
import json
from collections.abc import Sequence

import click
import pytest

from pdelta.app.outcome import TreeOutcome
from pdelta.cli.console import Console
from pdelta.cli.render import amount, document, history, pushed
from pdelta.cli.render.change import change_line, change_lines
from pdelta.cli.render.safe import shown, shown_text
from pdelta.cli.render.table import cell_width, table_lines
from pdelta.errors import PreflightError
from pdelta.formats.history import Counts, HistoryEntry
from pdelta.formats.report import STAT_DATA
from pdelta.model.change import Change
from pdelta.model.finding import Finding


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
    [
        (0, 5, "0 %"),
        (1, 100_000, "< 0.01 %"),
        (48, 1000, "4.8 %"),
        (1, 2, "50 %"),
        (0, 0, "0 %"),
        (3, 0, ""),
        (30, 10, ""),
        (1004, 1000, "100 %"),
    ],
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


def _table(rows: Sequence[tuple[str, ...]], width: int | None) -> list[str]:
    titles = ("no", "what", "undo", "note")
    return [click.unstyle(line) for line in table_lines(titles, rows, width=width, right=("no",))]


def test_table_when_there_is_room_then_columns_line_up() -> None:
    rows = [("1", "push", "kept", ""), ("10", "rollback", "gone", "why")]
    assert _table(rows, None) == [
        "no  what      undo  note",
        " 1  push      kept",
        "10  rollback  gone  why",
    ]
    assert _table(rows, 24) == _table(rows, None)


def test_table_when_a_terminal_is_narrow_then_the_last_columns_move_below_and_no_cell_is_broken() -> None:
    rows = [("1", "push", "kept", "a note that is long"), ("10", "rollback", "gone", "")]
    assert _table(rows, 20) == [
        "no  what      undo",
        " 1  push      kept",
        "    a note that is long",
        "10  rollback  gone",
    ]
    rows = [("1", "push", "kept", "a note that is quite long"), ("10", "rollback", "gone", "")]
    assert _table(rows, 12) == [
        "no  what",
        " 1  push",
        "    kept · a note that is",
        "    quite long",
        "10  rollback",
        "    gone",
    ]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_history_when_shown_then_no_line_is_wider_than_the_terminal(width: int) -> None:
    entry = HistoryEntry(
        number=12,
        run="run:x",
        verb="rollback",
        time_ns=1_700_000_000_000_000_000,
        who="deploy@build-server-7",
        origin="build-server-7:/home/user/checkout/app",
        note="a note that somebody wrote at great length, as people do when they are asked to explain themselves",
        before=b"",
        wanted=b"",
        held=b"",
        to=3,
        counts=Counts(added=120, changed=4, moved=1),
    )
    lines = [click.unstyle(line) for line in history.lines("tree", [entry, entry], width=width)]
    assert max(map(cell_width, lines)) <= width
    text = "\n".join(lines)
    for cell in ("rollback to 3", "+120 ~4 >1", "reversible", "deploy@build-server-7"):
        assert cell in text


@pytest.mark.parametrize(
    ("who", "origin", "told"),
    [
        ("me@here", "here:/srv/app", "me@here:/srv/app"),
        ("me@here", "here", "me@here"),
        ("me@here", "", "me@here"),
        ("me@here", "there:/srv/app", "me@here from there:/srv/app"),
        ("me", "here:/srv", "me from here:/srv"),
    ],
)
def test_history_when_somebody_asked_from_somewhere_then_the_machine_is_told_once(
    who: str, origin: str, told: str
) -> None:
    entry = HistoryEntry(1, "run:x", "push", 0, who, origin, "", b"", b"", b"")
    assert list(history.lines("tree", [entry], width=None))[1].endswith(f"reversible  {told}")


def test_history_when_there_is_no_terminal_then_an_entry_is_a_line() -> None:
    entry = HistoryEntry(1, "run:x", "push", 0, "me", "here", "long " * 50, b"", b"", b"")
    assert len(list(history.lines("tree", [entry], width=None))) == 2


@pytest.mark.parametrize(("text", "width"), [("ascii", 5), ("Grüße", 5), ("u\u0308", 1), ("漢字", 4), ("", 0)])
def test_width_when_a_text_is_measured_then_wide_and_combining_characters_count(text: str, width: int) -> None:
    assert cell_width(text) == width


def test_changes_when_listed_then_their_amounts_line_up_close_to_the_names() -> None:
    changes = [Change("add", b"a", size_bytes=1), Change("add", b"long-name", size_bytes=2)]
    lines = [click.unstyle(line) for line in change_lines(changes, 2, limit=0)]
    assert lines == ["  + a          1 B", "  + long-name  2 B"]


def test_outcome_when_more_was_sent_than_there_is_then_no_share_is_told() -> None:
    result = TreeOutcome("push", "there", changed=True, number=1, scanned_files=1, scanned_bytes=5, sent_bytes=2_000)
    text = click.unstyle("\n".join(pushed.lines(result, verbose=False)))
    assert "sent 2.0 kB · " in text
    assert "%" not in text


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


def test_notes_when_there_are_many_of_a_sort_then_each_sort_is_told_in_part_and_what_has_no_path_always() -> None:
    many = [Finding("one", f"one {number}", blocks=False, subject=b"x") for number in range(4)]
    rest = Finding("one", "and others", blocks=False)
    other = Finding("two", "two", blocks=False, subject=b"y")
    told = list(pushed.note_lines([*many, rest, Finding("three", "blocks"), other], limit=2))
    assert [click.unstyle(line) for line in told] == [
        "  note: one 0",
        "  note: one 1",
        "  note: and others",
        "  note: 2 more like that   (-v lists them)",
        "  note: two",
    ]
    assert len(list(pushed.note_lines([*many, other], limit=0))) == 5


def test_console_when_a_refusal_is_shown_then_its_findings_are_listed_safely() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out, err)
    console.configure(json=True, quiet=False, verbosity=0)
    console.failure(PreflightError("no", findings=("a\x1b[2J",), hint="look"))
    assert err.getvalue() == "error: no\n  · a\\x1b[2J\nhint: look\n"
    assert json.loads(out.getvalue())["error"]["findings"] == ["a\x1b[2J"]


def test_console_when_a_refusal_has_many_findings_then_20_are_shown_unless_all_are_asked_for() -> None:
    refusal = PreflightError("no", findings=tuple(f"drift: {number}" for number in range(30)))
    told = []
    for verbosity in (0, 1):
        err = io.StringIO()
        console = Console(io.StringIO(), err)
        console.configure(json=False, quiet=False, verbosity=verbosity)
        console.failure(refusal)
        told.append(err.getvalue().splitlines()[1:])
    assert (len(told[0]), told[0][-1]) == (21, "  · … 10 more (-v lists them)")
    assert (len(told[1]), told[1][-1]) == (30, "  · drift: 29")


@pytest.mark.parametrize(
    ("verb", "trusted", "told"),
    [
        ("push", "destination trusted since entry 1", "--check-dest compares it"),
        ("push", STAT_DATA, "--checksum reads them"),
        ("rollback", "destination trusted since entry 1", "pdelta verify compares it"),
        ("rollback", STAT_DATA, "pdelta verify reads them"),
    ],
)
def test_result_when_something_was_trusted_then_what_would_look_at_it_is_named(
    verb: str, trusted: str, told: str
) -> None:
    result = TreeOutcome(verb, "there", changed=True, number=2, trusted=trusted)
    assert f"  {trusted}  ({told})" in [click.unstyle(line) for line in pushed.lines(result, verbose=False)]
