"""The benchmarks of SQL roll-outs at a small scale: every act, every check, the table and the file of results.

Without the peers, whose installation needs a network; what they cost is nothing that a test could hold.
"""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks.sql.__main__ import Report
from benchmarks.sql.scenarios import SCENARIOS, Kind
from tests.fixtures.postgresql import PostgreSQL

ROOT = Path(__file__).parents[2]


def measured(folder: Path, *words: str) -> Report:
    """Run the benchmarks, and read what they wrote."""
    command = [sys.executable, "-m", "benchmarks.sql", "--no-peers", "--runs", "1", "--output", str(folder / "results")]
    done = subprocess.run([*command, *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "results").glob("*.json")
    assert path.with_suffix(".md").read_text() == done.stdout
    assert str(folder) not in path.read_text()
    return msgspec.json.decode(path.read_bytes(), type=Report)


@pytest.mark.parametrize("scenario", [one.name for one in SCENARIOS if one.kind is Kind.FILES])
def test_scenario_when_run_over_files_then_each_act_has_its_figures(tmp_path: Path, scenario: str) -> None:
    check(measured(tmp_path, "--scale", "0.005", "--work", str(tmp_path), scenario), [scenario])


@pytest.mark.integration
def test_scenarios_when_run_on_postgresql_then_each_act_has_its_figures(postgresql: PostgreSQL, tmp_path: Path) -> None:
    """The benchmark starts a server of its own; the fixture says whether there is one to start.

    What the other scenarios do differently is how many tenants and deltas there are.
    """
    names = ["schemas", "databases", "locked"]
    check(measured(tmp_path, "--scale", "0.005", *names), names)


def check(report: Report, names: list[str]) -> None:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    assert [result.scenario for result in report.results] == names
    for result in report.results:
        assert result.problems == {}
        for mark in known[result.scenario].marks:
            (cost,) = result.samples[mark.act.value][mark.form][-1:]
            assert 0 < cost.client_cpu_s <= 2 * cost.wall_s
            assert cost.client_peak_bytes > 1 << 20
            assert cost.done_s is None or 0 < cost.done_s < cost.wall_s
    assert all(row.wall[1] > 0 for row in report.rows)
    assert {row.verdict for row in report.rows} <= {"pass", "MISS", "-", "no peer"}
