"""The command line for ssh, and what its end means."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from pdelta.errors import TransportError, UsageError
from pdelta.transports.address import RemoteAddress
from pdelta.transports.loader import LOADER, REMOTE_COMMAND
from pdelta.transports.ssh import SshOptions, build_command, explain_exit

WEB = RemoteAddress("web1", b"app")


def test_command_when_nothing_is_asked_for_then_is_plain_ssh_without_questions() -> None:
    command = build_command(RemoteAddress("web1", b"app", "me", 2222), SshOptions())
    assert command[0] == "ssh"
    assert command[-2:] == ["web1", REMOTE_COMMAND]
    assert command[-3] == "--"
    assert "BatchMode=yes" in command
    assert command[command.index("-p") + 1] == "2222"
    assert command[command.index("-l") + 1] == "me"


def test_command_when_a_person_is_there_then_ssh_may_ask() -> None:
    assert "BatchMode=yes" not in build_command(WEB, SshOptions(interactive=True))


def test_rsh_when_it_is_another_program_then_gets_user_host_and_command() -> None:
    command = build_command(RemoteAddress("web1", b"", "me"), SshOptions(rsh="docker-rsh --flag 'two words'"))
    assert command == ["docker-rsh", "--flag", "two words", "-l", "me", "web1", REMOTE_COMMAND]
    with pytest.raises(UsageError, match="port"):
        build_command(RemoteAddress("web1", b"", port=22), SshOptions(rsh="docker-rsh"))


def test_become_when_asked_for_then_goes_through_sudo_without_a_question() -> None:
    assert build_command(WEB, SshOptions(become="app"))[-1] == f"sudo -n -u 'app' {REMOTE_COMMAND}"
    for hostile in ("-s", "a;b", "a b", "$(id)", "a'b"):
        with pytest.raises(UsageError):
            build_command(WEB, SshOptions(become=hostile))


def test_loader_when_quoted_then_holds_nothing_that_any_shell_would_change() -> None:
    assert not set(LOADER) & set("'\\!$`\n%^")
    assert shlex.split(REMOTE_COMMAND)[-1] == LOADER


def test_control_folder_when_open_to_others_or_a_link_then_is_refused(short_path: Path) -> None:
    short_path.chmod(0o755)
    with pytest.raises(TransportError, match="0700"):
        build_command(WEB, SshOptions(control_dir=str(short_path)))
    link = short_path / "link"
    link.symlink_to(short_path)
    with pytest.raises(TransportError, match="0700"):
        build_command(WEB, SshOptions(control_dir=str(link)))
    with pytest.raises(TransportError, match="can't be read"):
        build_command(WEB, SshOptions(control_dir=str(short_path / "none")))


def _effective(command: list[str]) -> str:
    at = command.index("--")
    result = subprocess.run([*command[:at], "-G", command[at + 1]], capture_output=True, text=True, check=True)
    return result.stdout


def test_preferences_when_the_user_has_none_then_hold_and_otherwise_the_users_do(short_path: Path) -> None:
    short_path.chmod(0o700)
    own = short_path / "config"
    own.write_text("Host web1\n  HostName 127.0.0.9\n  ControlPath none\n  Ciphers aes128-ctr\n")
    options = SshOptions(control_dir=str(short_path), user_config=str(own))
    mine = _effective(build_command(WEB, options))
    assert "hostname 127.0.0.9" in mine
    assert "ciphers aes128-ctr\n" in mine
    assert "controlpath" not in mine or "controlpath none" in mine
    other = _effective(build_command(RemoteAddress("web2", b""), options))
    assert "ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20" in other
    assert "controlmaster auto" in other
    assert f"controlpath {short_path}/" in other
    assert "controlpersist 600" in other
    fresh = _effective(build_command(RemoteAddress("web2", b""), SshOptions(control_dir=str(short_path), fresh=True)))
    assert "controlmaster false" in fresh


def test_user_config_when_others_may_write_it_then_is_refused_as_ssh_refuses_it(short_path: Path) -> None:
    short_path.chmod(0o700)
    own = short_path / "config"
    own.write_text("")
    own.chmod(0o666)
    with pytest.raises(TransportError, match="writable by others"):
        build_command(WEB, SshOptions(control_dir=str(short_path), user_config=str(own)))


def test_control_path_when_the_folder_is_too_long_then_nothing_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 80)
    folder.mkdir(mode=0o700)
    assert "controlmaster false" in _effective(build_command(WEB, SshOptions(control_dir=str(folder))))


def test_configuration_when_written_twice_then_is_one_private_file(short_path: Path) -> None:
    short_path.chmod(0o700)
    for _ in range(2):
        build_command(WEB, SshOptions(control_dir=str(short_path)))
    (config,) = short_path.iterdir()
    assert config.stat().st_mode & 0o777 == 0o600
    assert os.listdir(short_path) == [config.name]


@pytest.mark.parametrize(
    ("status", "said", "text", "hint"),
    [
        (255, "me@web1: Permission denied (publickey).", "could not connect", "ssh-add"),
        (255, "Host key verification failed.", "could not connect", "host's key"),
        (255, "", "lost the connection", "goes on"),
        (127, "bash: python3: command not found", "no python3", "3.11"),
        (1, "sudo: a password is required", "status 1", "sudo"),
        (None, "", "the agent ended", "again"),
        (2, "Unknown option: -I\nusage: python3 [option]", "older than 3.11", "install Python 3.11 or newer there"),
        (137, "", "status 137", "again"),
    ],
)
def test_end_of_ssh_when_explained_then_names_host_cause_and_next_step(
    status: int | None, said: str, text: str, hint: str
) -> None:
    error = explain_exit("web1", status, said)
    assert error.message.startswith("web1")
    assert text in error.message
    assert hint in error.hint


@pytest.mark.parametrize(
    ("said", "text", "hint"),
    [
        ("bash: line 1: sudo: command not found", "web1 has no sudo", "install sudo there, or connect as app itself"),
        ("sh: 1: python3: not found", "web1 has no python3", "install Python"),
    ],
)
def test_end_of_sudo_when_something_is_missing_then_that_is_named(said: str, text: str, hint: str) -> None:
    error = explain_exit("web1", 127, said, become="app")
    assert text in error.message
    assert hint in error.hint
