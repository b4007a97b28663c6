"""Ratios, verdicts, and the table that people read."""

from collections.abc import Iterable, Sequence

import msgspec

from benchmarks.measure import Sample, median
from benchmarks.runner import Result
from benchmarks.scenarios import Mark, Scenario

ROLLBACK_WIRE_BYTES = 10_000


class Row(msgspec.Struct, frozen=True):
    """One line.

    Attributes:
        title: Scenario and variant.
        who: Who is marked, and against whom.
        wall: Median seconds: marked, divisor.
        wire: Median bytes: marked, divisor.
        wall_ratio: Their quotient.
        wall_mark: What it must not exceed; None where nothing is asked.
        wire_ratio: Their quotient.
        wire_mark: What it must not exceed.
        cpu: Median seconds of both ends: marked, divisor.
        peak: Largest peak in MiB of the marked one: client, remote.
        peak_mark_mb: What neither may exceed, in MB.
        noise: Median seconds of foreign and stolen processor time in the runs of both.
        verdict: ``pass``, ``MISS``, ``-`` where nothing is asked, or why there is no figure.
    """

    title: str
    who: str
    wall: tuple[float, float] = (0.0, 0.0)
    wire: tuple[float, float] = (0.0, 0.0)
    wall_ratio: float = 0.0
    wall_mark: float | None = None
    wire_ratio: float = 0.0
    wire_mark: float | None = None
    cpu: tuple[float, float] = (0.0, 0.0)
    peak: tuple[int, int] = (0, 0)
    noise: tuple[float, float] = (0.0, 0.0)
    verdict: str = "-"
    peak_mark_mb: float | None = None


def make_rows(scenario: Scenario, result: Result) -> list[Row]:
    """Give the lines of one scenario: those with marks, its rollback, and those beside."""
    rows = [_compare(scenario, result, mark) for mark in scenario.marks]
    if "rollback" in result.samples:
        rows.append(_rollback(scenario, result))
    rows += [_compare(scenario, result, mark) for mark in scenario.beside if _took_part(result, mark)]
    return rows


def sum_pairs(rows: Iterable[tuple[Scenario, Result]], marks: Sequence[tuple[str, float]]) -> list[Row]:
    """Give the lines that add the package pairs up.

    Args:
        rows: All scenarios and results.
        marks: Peer and the largest ratio of its wire bytes to those of ``rsync-zstd``, in sum.
    """
    pairs = [result for scenario, result in rows if scenario.pair]
    lines = []
    for peer, mark in marks:
        whole = [result for result in pairs if peer in result.samples and "rsync-zstd" in result.samples]
        if not whole:
            continue
        ours = _total(whole, peer, "wire_bytes"), _total(whole, "rsync-zstd", "wire_bytes")
        wall = _total(whole, peer, "wall_s"), _total(whole, "rsync-zstd", "wall_s")
        ratio = ours[0] / ours[1]
        verdict = "pass" if ratio <= mark else "MISS"
        title = f"{len(whole)} package pairs in sum"
        lines.append(
            Row(title, f"{peer} ÷ rsync-zstd", wall, ours, wall[0] / wall[1], None, ratio, mark, verdict=verdict)
        )
    return lines


def format_table(rows: Sequence[Row]) -> str:
    """Give the table as Markdown."""
    head = [
        "scenario",
        "who",
        "wall s",
        "ratio (mark)",
        "wire bytes",
        "ratio (mark)",
        "CPU s",
        "peak MiB",
        "noise s",
        "",
    ]
    lines = [head, ["---"] * len(head), *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _took_part(result: Result, mark: Mark) -> bool:
    known = {*result.samples, *result.problems}
    return mark.peer in known and mark.against in known


def _compare(scenario: Scenario, result: Result, mark: Mark) -> Row:
    title = f"{scenario.title}: {mark.label}" if mark.label else scenario.title
    who = f"{mark.peer} ÷ {mark.against}" if mark.against else mark.peer
    names = [name for name in (mark.peer, mark.against) if name]
    missing = [name for name in names if name in result.problems or not result.samples.get(name)]
    if missing:
        reason = result.problems.get(missing[0], "no runs").strip().splitlines()[0]
        return Row(title, who, wall_mark=mark.wall, wire_mark=mark.wire, verdict=f"{missing[0]}: {reason[:60]}")
    return _row(title, who, result.samples[mark.peer], result.samples[mark.against or mark.peer], mark)


def _rollback(scenario: Scenario, result: Result) -> Row:
    peer = scenario.marks[0].peer
    ours, push = result.samples["rollback"], result.samples[peer]
    mark = Mark("rollback", peer, 1.0)
    row = _row(f"{scenario.title}: rollback", f"rollback ÷ {peer}", ours, push, mark)
    if row.wire[0] > ROLLBACK_WIRE_BYTES:
        return msgspec.structs.replace(row, verdict="MISS")
    return row


def _row(title: str, who: str, ours: Sequence[Sample], theirs: Sequence[Sample], mark: Mark) -> Row:
    wall = median(ours, "wall_s"), median(theirs, "wall_s")
    wire = median(ours, "wire_bytes"), median(theirs, "wire_bytes")
    ratios = wall[0] / wall[1], wire[0] / wire[1]
    asked = [(ratio, limit) for ratio, limit in zip(ratios, (mark.wall, mark.wire), strict=True) if limit is not None]
    verdict = "-"
    if asked:
        verdict = "pass" if all(ratio <= limit for ratio, limit in asked) else "MISS"
    peak = max(one.client_peak_bytes for one in ours), max(one.remote_peak_bytes for one in ours)
    if mark.peak_mb is not None:
        verdict = "pass" if max(peak) <= mark.peak_mb * 1e6 else "MISS"
    both = [*ours, *theirs]
    return Row(
        title,
        who,
        wall,
        wire,
        ratios[0],
        mark.wall,
        ratios[1],
        mark.wire,
        (_cpu_s(ours), _cpu_s(theirs)),
        (peak[0] >> 20, peak[1] >> 20),
        (median(both, "foreign_cpu_s"), median(both, "steal_s")),
        verdict,
        mark.peak_mb,
    )


def _total(results: Sequence[Result], peer: str, field: str) -> float:
    return sum(median(result.samples[peer], field) for result in results)


def _cpu_s(samples: Sequence[Sample]) -> float:
    return median(samples, "client_cpu_s") + median(samples, "remote_cpu_s")


def _cells(row: Row) -> list[str]:
    if not row.wall[1]:
        return [row.title, row.who, "", _ratio(0, row.wall_mark), "", _ratio(0, row.wire_mark), "", "", "", row.verdict]
    return [
        row.title,
        row.who,
        f"{row.wall[0]:.2f} / {row.wall[1]:.2f}",
        _ratio(row.wall_ratio, row.wall_mark),
        f"{row.wire[0]:,.0f} / {row.wire[1]:,.0f}",
        _ratio(row.wire_ratio, row.wire_mark),
        f"{row.cpu[0]:.2f} / {row.cpu[1]:.2f}",
        f"{row.peak[0]} / {row.peak[1]}" + ("" if row.peak_mark_mb is None else f" (≤ {row.peak_mark_mb:g} MB)"),
        f"{row.noise[0]:.2f} + {row.noise[1]:.2f}",
        row.verdict,
    ]


def _ratio(ratio: float, mark: float | None) -> str:
    text = f"{ratio:.3g}" if ratio else ""
    return text if mark is None else f"{text} (≤ {mark:g})".strip()
