"""Ratios, verdicts, and the table that people read."""

import statistics
from collections.abc import Sequence

import msgspec

from benchmarks.sql.measure import Cost
from benchmarks.sql.runner import Result
from benchmarks.sql.scenarios import Act, Mark, Scenario

HEAD = ("scenario", "who", "wall s", "times (mark)", "client CPU s", "server CPU s", "peak MiB", "noise s", "")


class Row(msgspec.Struct, frozen=True):
    """One line.

    Attributes:
        title: Scenario and act.
        who: Whom it compares: the best peer over the marked form, or a form over itself undisturbed.
        wall: Median seconds: the divided, the divisor.
        times: Their quotient: how many times faster the form is, or how many times as long it took when disturbed.
        least: What the quotient must reach; None where nothing is asked.
        most: What it must not exceed.
        client_cpu: Median seconds: the divided, the divisor.
        server_cpu: Likewise.
        peak: Largest peak of the form, in MiB.
        peak_mark_mb: What it must not exceed, in MB.
        noise: Median seconds of foreign and stolen processor time in the runs of both.
        verdict: ``pass``, ``MISS``, ``-`` where nothing is asked, or why there is no figure.
    """

    title: str
    who: str
    wall: tuple[float, float] = (0.0, 0.0)
    times: float = 0.0
    least: float | None = None
    most: float | None = None
    client_cpu: tuple[float, float] = (0.0, 0.0)
    server_cpu: tuple[float, float] = (0.0, 0.0)
    peak: int = 0
    peak_mark_mb: float | None = None
    noise: tuple[float, float] = (0.0, 0.0)
    verdict: str = "-"


def make_rows(scenario: Scenario, result: Result) -> list[Row]:
    """Give the lines of one scenario, one a mark."""
    return [_row(scenario, result, mark) for mark in scenario.marks]


def best_peer(scenario: Scenario, result: Result, act: Act) -> str:
    """Give the peer with the smallest median in an act; empty where none has figures."""
    samples = result.samples.get(act.value, {})
    peers = [name for name in scenario.peers if samples.get(name) and name not in result.problems]
    return min(peers, key=lambda name: median(samples[name], "wall_s"), default="")


def median(samples: Sequence[Cost], field: str) -> float:
    """Give the median of one field."""
    return float(statistics.median(getattr(sample, field) for sample in samples))


def format_table(rows: Sequence[Row]) -> str:
    """Give the table as Markdown."""
    lines = [list(HEAD), ["---"] * len(HEAD), *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _row(scenario: Scenario, result: Result, mark: Mark) -> Row:
    empty = Row(
        f"{scenario.title}: {mark.label}",
        mark.form,
        least=mark.least,
        most=mark.most,
        peak_mark_mb=mark.peak_mb,
    )
    ours = result.samples.get(mark.act.value, {}).get(mark.form, [])
    if not ours or mark.form in result.problems:
        reason = result.problems.get(mark.form, "no runs").strip().splitlines()[0]
        return msgspec.structs.replace(empty, verdict=reason[:80])
    if mark.act is Act.LOCKED:
        return _disturbed(empty, ours, result.samples[Act.APPLY.value][mark.form])
    peer, act = mark.against or (best_peer(scenario, result, mark.act), mark.act)
    theirs = [] if peer in result.problems else result.samples.get(act.value, {}).get(peer, [])
    if not theirs:
        peer = ""
    row = msgspec.structs.replace(
        empty,
        who=f"{peer} ÷ {mark.form}" if peer else mark.form,
        wall=(median(theirs, "wall_s") if peer else 0.0, median(ours, "wall_s")),
        client_cpu=(median(theirs, "client_cpu_s") if peer else 0.0, median(ours, "client_cpu_s")),
        server_cpu=(median(theirs, "server_cpu_s") if peer else 0.0, median(ours, "server_cpu_s")),
        peak=_peak(ours),
        noise=_noise([*ours, *theirs]),
    )
    return _judged(row)


def _disturbed(empty: Row, ours: Sequence[Cost], undisturbed: Sequence[Cost]) -> Row:
    """Compare a form with itself; a reverse lies between any two runs, so that both begin alike."""
    return _judged(
        msgspec.structs.replace(
            empty,
            who=f"{empty.who} ÷ undisturbed",
            wall=(median(ours, "done_s"), median(undisturbed, "done_s")),
            client_cpu=(median(ours, "client_cpu_s"), median(undisturbed, "client_cpu_s")),
            server_cpu=(median(ours, "server_cpu_s"), median(undisturbed, "server_cpu_s")),
            peak=_peak(ours),
            noise=_noise([*ours, *undisturbed]),
        )
    )


def _judged(row: Row) -> Row:
    times = row.wall[0] / row.wall[1]
    holds: list[bool] = []
    if row.most is not None:
        holds.append(times <= row.most)
    if row.least is not None and times:
        holds.append(times >= row.least)
    if row.peak_mark_mb is not None:
        holds.append(row.peak << 20 <= row.peak_mark_mb * 1e6)
    verdict = "-"
    if row.least is not None and not times:
        verdict = "no peer"
    elif holds:
        verdict = "pass" if all(holds) else "MISS"
    return msgspec.structs.replace(row, times=times, verdict=verdict)


def _peak(samples: Sequence[Cost]) -> int:
    return max(sample.client_peak_bytes for sample in samples) >> 20


def _noise(samples: Sequence[Cost]) -> tuple[float, float]:
    return median(samples, "foreign_cpu_s"), median(samples, "steal_s")


def _cells(row: Row) -> list[str]:
    asked = "" if row.least is None else f" (≥ {row.least:g})"
    if row.most is not None:
        asked = f" (≤ {row.most:g})"
    times = f"{row.times:.3g}" if row.times else ""
    if not row.wall[1]:
        return [row.title, row.who, "", asked.strip(), "", "", "", "", row.verdict]
    return [
        row.title,
        row.who,
        _pair(row.wall, 3),
        f"{times}{asked}".strip(),
        _pair(row.client_cpu, 2),
        _pair(row.server_cpu, 2),
        f"{row.peak}" + ("" if row.peak_mark_mb is None else f" (≤ {row.peak_mark_mb:g} MB)"),
        f"{row.noise[0]:.2f} + {row.noise[1]:.2f}",
        row.verdict,
    ]


def _pair(values: tuple[float, float], digits: int) -> str:
    first = f"{values[0]:.{digits}f} / " if values[0] else ""
    return f"{first}{values[1]:.{digits}f}"
