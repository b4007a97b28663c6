"""The end of the process, which is not left to the interpreter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = "import atexit, sys, threading, time\nfrom pdelta.cli.main import main\n"


def ended(body: str, *words: str, stdout: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run the command at the end of a program."""
    program = f"{BEGIN}sys.argv[1:] = {list(words)!r}\n{body}\nsys.exit(main())"
    # What is written at once leaves nothing for the end.
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", program],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        env=surroundings,
    )


@pytest.mark.parametrize(("words", "status"), [(["--version"], 0), (["nonsense"], 2), (["sql", "lint", "/nowhere"], 2)])
def test_main_when_it_ends_then_status_and_words_arrive(words: list[str], status: int) -> None:
    done = ended("", *words)

    assert done.returncode == status
    assert (done.stdout if status == 0 else done.stderr).strip()


def test_main_when_something_is_to_be_done_at_the_end_then_it_is_done_once() -> None:
    done = ended("atexit.register(lambda: print('done', flush=True))", "--version")

    assert done.stdout.count("done") == 1


def test_main_when_a_thread_is_at_work_then_it_is_waited_for() -> None:
    body = "threading.Thread(target=lambda: (time.sleep(0.3), print('ready', flush=True))).start()"

    assert "ready" in ended(body, "--version").stdout


def test_main_when_its_last_words_cannot_be_written_then_that_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = ended("", "--version", stdout=full.fileno())

    assert done.returncode == 120
    assert "No space left" in done.stderr
