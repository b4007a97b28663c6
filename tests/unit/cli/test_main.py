"""What a command owes those who start, stop and read it."""

import fcntl
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

BEGIN = """import atexit, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # who began the tests in the background ignores it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and who began them with nohup this one
from pdelta.cli.main import main
"""


def program(body: str, *words: str) -> str:
    """Give the program that runs the command with these words at its end."""
    return f"{BEGIN}sys.argv[1:] = {list(words)!r}\n{body}\nsys.exit(main())"


def until_stopped(work: str) -> str:
    """Give what lets any command do this work instead of its own, until it is stopped."""
    return f"""
import pdelta.cli.command_line
def run(words):
    try:
{textwrap.indent(work, " " * 8)}
    except KeyboardInterrupt:
        return 130
    return 0
pdelta.cli.command_line.run = run
"""


def ended(body: str, *words: str, stdout: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run the command at the end of a program."""
    # What is written at once leaves nothing for the end.
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        [sys.executable, "-c", program(body, *words)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
        env=surroundings,
    )


def without(descriptors: Iterable[int], *words: str) -> str:
    """Give the program that starts Python with these words, and without these descriptors."""
    command = [sys.executable, *words]
    return f"import os; [os.close(n) for n in {list(descriptors)!r}]; os.execv({sys.executable!r}, {command!r})"


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


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["history", "."], ["history", ".", "--json"]])
def test_main_when_its_words_cannot_be_written_then_that_is_told(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = ended("", *words, stdout=full.fileno())

    assert done.returncode == 69
    assert done.stderr == (
        "error: what this command says could not be written: No space left on device\nhint: what it did is done\n"
    )


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["history", "."], ["history", ".", "--json"]])
def test_main_when_its_reader_is_gone_then_it_goes_on(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = ended("", *words, stdout=write)
    os.close(write)

    assert (done.returncode, done.stderr) == (0, "")


def test_main_when_its_reader_is_slow_and_its_pipe_does_not_block_then_everything_arrives() -> None:
    body = """
import pdelta.cli.command_line
def run(words):
    sys.stdout.write("x" * 1_000_000 + "end")
    return 0
pdelta.cli.command_line.run = run
"""
    read, write = os.pipe()
    os.set_blocking(write, False)
    with subprocess.Popen(
        [sys.executable, "-c", program(body, "history", "x")], stdout=write, stderr=subprocess.PIPE
    ) as process:
        os.close(write)
        time.sleep(0.3)
        with open(read, "rb") as said:
            assert said.read() == b"x" * 1_000_000 + b"end"
        _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint) == (0, b"")


@pytest.mark.parametrize(
    ("words", "status"), [(["--version"], 0), (["nonsense"], 2), (["verify", "/nowhere", "--json"], 2)]
)
@pytest.mark.parametrize("gone", [(0,), (1,), (2,), (0, 1, 2)])
def test_main_when_a_standard_stream_is_closed_then_its_status_is_the_same(
    words: list[str], status: int, gone: tuple[int, ...]
) -> None:
    closing = without(gone, "-m", "pdelta", *words)
    done = subprocess.run([sys.executable, "-c", closing], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == status
    assert "Traceback" not in done.stderr + done.stdout


def test_main_when_a_standard_stream_is_closed_then_nothing_else_gets_its_number() -> None:
    body = """
import os
import pdelta.cli.command_line
def run(words):
    number = os.open("/dev/zero", os.O_RDONLY)
    os.write(int(os.environ["SAID"]), b"%d" % number)
    return 0
pdelta.cli.command_line.run = run
"""
    read, write = os.pipe()
    closing = without(range(3), "-c", program(body, "history", "x"))
    surroundings = {**os.environ, "SAID": str(write)}
    done = subprocess.run([sys.executable, "-c", closing], check=False, timeout=60, pass_fds=[write], env=surroundings)
    os.close(write)
    with open(read, "rb") as said:
        assert int(said.read()) > 2
    assert done.returncode == 0


@pytest.mark.parametrize("sent", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_main_when_stopped_while_importing_then_the_module_is_there_whole_before_it_stops(
    tmp_path: Path, sent: str
) -> None:
    # The exception itself would come in the midst of the module, which in one with messages ends the process.
    (tmp_path / "halfway.py").write_text(
        f"import signal\nsignal.raise_signal(signal.{sent})\nwhole = sum(range(1000))\n", "ascii"
    )
    body = f"""
sys.path.insert(0, {str(tmp_path)!r})
import pdelta.cli.main
def run(words):
    import pdelta.cli.command_line
    try:
        import halfway
        while True:
            time.sleep(0.001)
    except KeyboardInterrupt:
        print(halfway.whole)
        return 130
import pdelta.cli.command_line
pdelta.cli.command_line.run = run
"""
    done = ended(body, "history", "x")

    assert (done.returncode, done.stdout, done.stderr) == (130, "499500\n", "")


def test_main_when_a_module_calls_it_while_it_is_imported_then_it_stops_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text("import pdelta.cli.main\nstatus = pdelta.cli.main.main()\n", "ascii")
    work = until_stopped("signal.raise_signal(signal.SIGINT)\ntime.sleep(30)")
    body = f"sys.path.insert(0, {str(tmp_path)!r})\n{work}import caller"
    assert ended(body, "history", "x").returncode == 130


@pytest.mark.parametrize(
    "way",
    ["signal.signal(signal.SIGALRM, signal.SIG_IGN)", "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])"],
)
def test_main_when_alarms_are_kept_from_it_then_a_stop_that_was_put_off_comes(tmp_path: Path, way: str) -> None:
    (tmp_path / "halfway.py").write_text("import signal\nsignal.raise_signal(signal.SIGTERM)\n", "ascii")
    body = f"sys.path.insert(0, {str(tmp_path)!r})\n{way}" + until_stopped("import halfway\ntime.sleep(30)")
    assert ended(body, "history", "x").returncode == 130


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("moment", ["while it writes", "at its end"])
def test_main_when_stopped_while_nobody_reads_then_it_ends(moment: str, *, blocks: bool) -> None:
    written = 'sys.stdout.write("".join(f"{n}\\n" for n in range(100_000)))' if moment == "while it writes" else "pass"
    told = 'import os\nsys.stdout.write("first\\n" * 1000)\nos.write(int(os.environ["SAID"]), b"x")\n'
    body = until_stopped(told + written)
    (read, write), (said, saying) = os.pipe(), os.pipe()
    os.set_blocking(write, blocks)
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    surroundings["SAID"] = str(saying)
    process = subprocess.Popen(
        [sys.executable, "-c", program(body, "history", "x")],
        stdout=write,
        env=surroundings,
        pass_fds=[saying],
        stderr=subprocess.PIPE,
    )
    with process:
        os.close(write)
        assert os.read(said, 1) == b"x"
        time.sleep(1.0)
        process.terminate()
        _, complaint = process.communicate(timeout=10)
        with open(read, "rb") as everything:
            lines = everything.read().splitlines()
    os.close(said)
    os.close(saying)
    assert (process.returncode, complaint) == (130, b"")
    assert 0 < len(lines) < 1000


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_main_when_a_letter_cannot_be_encoded_then_it_is_escaped(encoding: str) -> None:
    body = f"""
sys.stdout.reconfigure(encoding={encoding!r}, errors="strict")
import pdelta.cli.command_line
def run(words):
    sys.stdout.write("漢\\udcff")
    return 0
pdelta.cli.command_line.run = run
"""
    done = ended(body, "history", "x")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("漢\\udcff" if encoding == "utf-8" else "\\u6f22\\udcff")


def test_main_when_called_by_a_program_then_that_keeps_its_alarm() -> None:
    host = """
import signal
from pdelta.cli.main import main
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
main(["nonsense"])
signal.raise_signal(signal.SIGALRM)
"""
    done = subprocess.run([sys.executable, "-c", host], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "alarm\n"


def test_main_when_interrupts_are_ignored_then_they_still_are() -> None:
    body = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
import pdelta.cli.command_line
def run(words):
    signal.raise_signal(signal.SIGINT)
    print("went on")
    return 0
pdelta.cli.command_line.run = run
"""
    done = ended(body, "history", "x")

    assert (done.returncode, done.stdout) == (0, "went on\n")
