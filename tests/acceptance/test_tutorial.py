"""The tutorial does what it says, command by command; ``web1`` is the server of the fixture."""

from pathlib import Path

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.console import Command, console_commands, output_matches, run_commands
from tests.fixtures.sshd import ALIAS, Sshd

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs/tutorial").glob("*.md"))
HOST = "web1"
REMOTE_FOLDER = "/srv/app"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tutorial_when_followed_then_every_command_prints_what_it_shows(page: Path, cli: Cli, sshd: Sshd) -> None:
    folder = cli.home / "work"
    folder.mkdir()
    remote = sshd.home / page.stem
    commands = list(console_commands(page.read_text().replace(REMOTE_FOLDER, str(remote))))
    assert commands
    answers = run_commands(commands, folder, {**cli.env, "PATH": f"{ssh_of(cli, sshd)}:{cli.env['PATH']}"})
    for index, (command, answer) in enumerate(zip(commands, answers, strict=True)):
        shown = "\n".join(["$ " + command.line, *answer.printed, f"(status {answer.status})"])
        assert output_matches(command.expected, answer.printed), "the page shows\n{}\nand it is\n{}".format(
            "\n".join(command.expected), shown
        )
        asks = commands[index + 1].line if index + 1 < len(commands) else ""
        assert answer.status == 0 or asks.startswith("echo $?"), shown


def ssh_of(cli: Cli, sshd: Sshd) -> Path:
    """Configure the home for the host by the name that the page uses; give the folder of an ``ssh`` that reads it.

    ``pdelta`` names the user's configuration itself; plain ``ssh`` would read the one of the account.
    """
    settings = cli.home / ".ssh"
    settings.mkdir(mode=0o700)
    config = settings / "config"
    config.write_text(sshd.config.read_text().replace(f"Host {ALIAS}", f"Host {HOST} {ALIAS}"))
    config.chmod(0o600)
    folder = cli.home / "bin"
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(f'#!/bin/sh\nPATH="${{PATH#{folder}:}}"\nexec ssh -F {config} "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ((), (), True),
        ((), ("more",), False),
        (("a  b",), (" a b",), True),
        (("sent ... bytes",), ("sent 1,024 bytes",), True),
        (("sent ... bytes",), ("sent 1,024 files",), False),
        (("...", "last"), ("one", "two", "last"), True),
        (("first", "..."), ("first",), True),
        (("first",), ("first", "second"), False),
    ],
)
def test_output_when_compared_loosely_then_only_the_dots_are_free(
    expected: tuple[str, ...], printed: tuple[str, ...], *, same: bool
) -> None:
    assert output_matches(expected, printed) is same


def test_commands_when_they_fail_then_the_status_reaches_the_next_one(tmp_path: Path) -> None:
    text = "```console\n$ false\n$ echo $?\n1\n$ cat <<END\n> two words\n> END\ntwo words\n```\n"
    commands = list(console_commands(text))
    assert commands[2] == Command("cat <<END\ntwo words\nEND", ("two words",))
    answers = run_commands(commands, tmp_path, {"PATH": "/usr/bin:/bin"})
    assert [answer.status for answer in answers] == [1, 0, 0]
    assert answers[1].printed == ("1",)
