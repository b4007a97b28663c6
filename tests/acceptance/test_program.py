"""The program around its commands: version, help, exit statuses, interrupts."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pdelta import __version__
from tests.fixtures.cli import Cli

COMMANDS = (
    "diff push history show rollback verify recover gc doctor demo import-hashes export-hashes agent".split()  # noqa: SIM905
)


def test_version_when_asked_then_hardly_anything_is_imported(cli: Cli) -> None:
    """What it imports is what it takes; three bare interpreter starts are its limit."""
    assert cli("--version").out == f"pdelta {__version__}\n"
    code = (
        "import sys; a = set(sys.modules); from pdelta.cli.main import main; main(['-V']); print(*set(sys.modules) - a)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=cli.env, check=True, capture_output=True, text=True)
    imported = set(done.stdout.split("\n")[1].split())
    ours = {
        "pdelta",
        "pdelta.cli",
        "pdelta.cli.main",
        "pdelta.cli.place",
        "pdelta.cli.streams",
        "pdelta.transports",
        "pdelta.transports.headstart",
    }
    assert imported <= ours


@pytest.mark.parametrize("command", COMMANDS)
def test_help_when_asked_then_it_shows_an_example(cli: Cli, command: str) -> None:
    assert "Example" in cli(command, "--help").out


def test_program_when_called_without_a_command_then_it_lists_all(cli: Cli) -> None:
    listed = cli(status=2).out
    assert all(command in listed for command in COMMANDS)


@pytest.mark.parametrize("arguments", [("nonsense",), ("push",), ("push", "only-one"), ("gc", "--keep", "0", ".")])
def test_program_when_the_request_is_impossible_then_exit_is_2(cli: Cli, arguments: tuple[str, ...]) -> None:
    result = cli(*arguments, status=2)
    assert not result.out
    assert "Traceback" not in result.err


def test_agent_when_nobody_speaks_to_it_then_exit_is_75_and_when_somebody_else_does_2(cli: Cli) -> None:
    assert cli("agent", status=75).out == ""
    assert "it is started by ssh" in cli("agent", status=2, stdin=b"hello\n").err


@pytest.mark.parametrize("arguments", [("history", "--json"), ("push", "--json", "--max-delete", "x", "a", "b")])
def test_program_when_options_are_not_understood_then_json_says_so(cli: Cli, arguments: tuple[str, ...]) -> None:
    told = cli(*arguments, status=2).json()["error"]
    assert (told["code"], told["exit_status"]) == ("usage", 2)


def test_completion_when_the_shell_asks_then_it_gives_commands(cli: Cli) -> None:
    result = cli(env={"_PDELTA_COMPLETE": "bash_complete", "COMP_WORDS": "pdelta pu", "COMP_CWORD": "1"})
    assert "push" in result.out


def test_module_when_run_then_it_is_the_program(cli: Cli) -> None:
    done = subprocess.run([sys.executable, "-m", "pdelta", "--version"], env=cli.env, capture_output=True, check=True)
    assert done.stdout.decode() == f"pdelta {__version__}\n"


def test_output_when_its_reader_is_gone_then_nothing_is_complained_about(cli: Cli) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run([*cli.command, "--help"], env=cli.env, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert process.returncode == 0
    assert process.stderr == b""


def test_push_when_interrupted_then_exit_is_130_without_a_traceback(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    for number in range(40):
        (tmp_path / "app" / str(number)).write_bytes(os.urandom(1 << 20))
    process = cli.start("push", tmp_path / "app", tmp_path / "live")
    time.sleep(0.35)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in {0, 130}, said
    assert b"Traceback" not in said
    cli("push", tmp_path / "app", tmp_path / "live")
