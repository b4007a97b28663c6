"""Contacts with a host over a real sshd: placing the agent, finding it, and what may stand in the way."""

import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from pdelta.app.bundle import AgentBundles
from pdelta.errors import FormatError, TransportError, UsageError
from pdelta.operations.remote import connect_tree
from pdelta.transports.address import RemoteAddress
from pdelta.transports.contact import Contact
from pdelta.transports.link import Link
from pdelta.transports.ssh import SshOptions, open_ssh
from pdelta.transports.subprocess import SubprocessChannel
from pdelta.wire import messages
from pdelta.wire.messages import Welcome
from pdelta.wire.session import Role
from tests.fixtures.sshd import Sshd


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> AgentBundles:
    return AgentBundles(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def remote(sshd: Sshd) -> Iterator[Sshd]:
    """The server with a home where no agent is."""
    shutil.rmtree(sshd.home / ".cache", ignore_errors=True)
    yield sshd
    (sshd.home / ".bashrc").unlink(missing_ok=True)
    shutil.rmtree(sshd.home / ".cache", ignore_errors=True)


class Spoken(msgspec.Struct):
    """How a contact went."""

    welcome: Welcome
    placed: bool
    sent: int


@contextmanager
def control_dir(server: Sshd, folder: Path) -> Iterator[SshOptions]:
    """Options with kept connections, all of them ended afterwards."""
    folder.chmod(0o700)
    options = SshOptions(rsh=server.rsh_text, control_dir=str(folder))
    yield options
    for socket in folder.iterdir():
        if socket.is_socket():
            subprocess.run(
                ["ssh", "-S", str(socket), "-O", "exit", "any"], check=False, capture_output=True, timeout=10
            )


def speak(channel: SubprocessChannel, bundles: AgentBundles, root: bytes = b"app", timeout_s: float = 20) -> Spoken:
    link = Link(channel, Role.CONTROLLER)
    contact = Contact(channel, bundles, nonce=secrets.token_hex(8), clock=time.monotonic, timeout_s=timeout_s)
    try:
        welcome = connect_tree(contact, link, root=root, host="web1", software="pdelta test")
        link.send(messages.Bye())
        return Spoken(welcome, contact.placed, link.sent_bytes)
    finally:
        channel.close()


def call(server: Sshd, bundles: AgentBundles, options: SshOptions | None = None, root: bytes = b"app") -> Spoken:
    options = options or SshOptions(rsh=server.rsh_text)
    return speak(open_ssh(RemoteAddress(server.host, root), options), bundles, root)


def test_first_contact_when_nothing_is_there_then_places_the_agent_and_the_second_uses_it(
    remote: Sshd, bundles: AgentBundles
) -> None:
    first = call(remote, bundles)
    assert first.placed
    assert first.welcome.root.endswith(b"/app")
    folder = remote.home / ".cache/pdelta/agent"
    (digest,) = folder.iterdir()
    assert digest.name in bundles.digests().values()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not call(remote, bundles).placed
    assert [it.name for it in folder.iterdir()] == [digest.name]


def test_kept_connection_when_used_again_then_is_much_faster_and_works(
    remote: Sshd, bundles: AgentBundles, short_path: Path
) -> None:
    with control_dir(remote, short_path) as options:
        call(remote, bundles, options)
        assert any(it.is_socket() for it in short_path.iterdir())
        begin = time.monotonic()
        again = call(remote, bundles, options)
        assert not again.placed
        assert time.monotonic() - begin < 5
        (config,) = short_path.glob("*.conf")
        effective = subprocess.run(["ssh", "-F", config, "-G", remote.host], capture_output=True, text=True, check=True)
        assert "ciphers aes128-gcm@openssh.com,aes256-gcm@openssh.com," in effective.stdout
        assert f"port {remote.port}" in effective.stdout


def test_no_keep_when_asked_for_then_leaves_no_connection(
    remote: Sshd, bundles: AgentBundles, short_path: Path
) -> None:
    with control_dir(remote, short_path) as options:
        call(remote, bundles, msgspec.structs.replace(options, keep=False))
        assert not any(it.is_socket() for it in short_path.iterdir())


def test_cipher_that_the_user_chose_when_connecting_then_is_kept(remote: Sshd, short_path: Path) -> None:
    chosen = short_path / "own config"
    chosen.write_text(remote.config.read_text() + "Host *\nCiphers aes256-ctr\nServerAliveInterval 99\n")
    with control_dir(remote, short_path) as options:
        own = msgspec.structs.replace(options, rsh=f"ssh -F '{chosen}'")
        open_ssh(RemoteAddress(remote.host, b"."), own).close(at_once=True)
        (config,) = short_path.glob("*.conf")
        effective = subprocess.run(["ssh", "-F", config, "-G", remote.host], capture_output=True, text=True, check=True)
        assert "ciphers aes256-ctr\n" in effective.stdout
        assert "serveraliveinterval 99" in effective.stdout
        assert "controlmaster auto" in effective.stdout


def test_noise_of_a_start_up_file_when_connecting_then_is_skipped(remote: Sshd, bundles: AgentBundles) -> None:
    (remote.home / ".bashrc").write_text(
        "printf 'Welcome!\\n#pdelta-0123 state=present\\n\\033[2J'; echo on stderr >&2\n"
    )
    assert call(remote, bundles).placed


def test_noise_without_end_when_connecting_then_is_refused(remote: Sshd, bundles: AgentBundles) -> None:
    (remote.home / ".bashrc").write_text("yes noise | head -c 100000\n")
    with pytest.raises(TransportError, match="64 KiB"):
        call(remote, bundles)


def test_silent_host_when_connecting_then_gives_up_in_time(remote: Sshd, bundles: AgentBundles) -> None:
    (remote.home / ".bashrc").write_text("exec sleep 8\n")
    channel = open_ssh(RemoteAddress(remote.host, b"."), SshOptions(rsh=remote.rsh_text))
    begin = time.monotonic()
    with pytest.raises(TransportError, match="within 1 s"):
        speak(channel, bundles, timeout_s=1)
    assert time.monotonic() - begin < 4


@pytest.mark.parametrize("shell", ["sh", "bash", "dash", "csh", "tcsh", "fish", "zsh"])
def test_remote_command_when_any_shell_reads_it_then_arrives_unchanged(
    shell: str, bundles: AgentBundles, tmp_path: Path
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    command = next(iter(open_command("web1")))
    channel = SubprocessChannel(
        [program, "-c", command], environment={"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    )
    assert speak(channel, bundles).welcome.version == messages.PROTOCOL_VERSION


def open_command(host: str) -> list[str]:
    """Give the command line that reaches the remote shell."""
    from pdelta.transports.ssh import build_command

    return build_command(RemoteAddress(host, b"."), SshOptions())[-1:]


def forced(server: Sshd, folder: Path, command: str, options: str = "") -> SshOptions:
    """Let a second key log in for one command only; give how to reach the server with it."""
    key = folder / "forced_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text()
    keys = server.config.parent / "authorized_keys"
    with keys.open("a") as stream:
        stream.write(f'restrict,{options}command="{command}" {public}')
    config = folder / "forced_config"
    config.write_text(server.config.read_text().replace(str(server.config.parent / "client_key"), str(key)))
    return SshOptions(rsh=f"ssh -F {config}")


@pytest.fixture
def agent_command(tmp_path: Path) -> str:
    """What ``pdelta agent --root`` of an installed pdelta runs."""
    script = tmp_path / "agent.py"
    script.write_text(
        "import sys\nfrom pdelta.app.serve import serve_forced\n"
        "sys.exit(serve_forced([a.encode() for a in sys.argv[1:]]))\n"
    )
    return f"{sys.executable} {script} {tmp_path}/served"


def test_forced_command_when_contacted_then_skips_the_stage_and_serves_its_root(
    remote: Sshd, bundles: AgentBundles, tmp_path: Path, agent_command: str
) -> None:
    options = forced(remote, tmp_path, agent_command)
    served = os.fsencode(tmp_path.resolve() / "served")
    spoken = call(remote, bundles, options, served + b"/app")
    assert not spoken.placed
    assert spoken.welcome.root == served + b"/app"
    assert not (remote.home / ".cache").exists()
    for outside in (b"/etc", served + b"/../other", served + b"2", b"."):
        with pytest.raises(UsageError, match="outside"):
            call(remote, bundles, options, outside)
    (tmp_path / "served").mkdir()
    (tmp_path / "served/link").symlink_to("/etc")
    with pytest.raises(UsageError, match="outside"):
        call(remote, bundles, options, served + b"/link")


def test_attack_22_when_environment_and_command_are_hostile_then_the_forced_command_serves_its_root_only(
    remote: Sshd, bundles: AgentBundles, tmp_path: Path, agent_command: str
) -> None:
    proof = tmp_path / "proof"
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "sitecustomize.py").write_text(f"open({str(proof)!r}, 'w')\n")
    hostile = (
        f"PYTHONSTARTUP={evil}/sitecustomize.py",
        "LC_ALL=xx_XX",
        "LANG=xx",
        f"XDG_CACHE_HOME={evil}",
        "PDELTA_ROOT=/",
    )
    options = forced(remote, tmp_path, agent_command, "".join(f'environment="{it}",' for it in hostile))
    command = [*options.rsh.split(), remote.host, f"touch {proof}; pdelta agent --root /"]
    spoken = speak(SubprocessChannel(command), bundles, os.fsencode(tmp_path.resolve() / "served"))
    assert spoken.welcome.root == os.fsencode(tmp_path.resolve() / "served")
    with pytest.raises(UsageError, match="outside"):
        speak(SubprocessChannel(command), bundles, b"/etc")
    assert not proof.exists()


def test_attack_22_when_no_command_is_forced_then_the_same_command_runs(remote: Sshd, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    remote.run(f"touch {proof}; true")
    assert proof.exists()


def test_version_that_differs_when_greeting_then_the_refusal_names_both(
    remote: Sshd, bundles: AgentBundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PROTOCOL_VERSION", 77)
    with pytest.raises(TransportError, match=r"wire version 1 .*the controller 77 \(pdelta test\)"):
        call(remote, bundles)


def test_connection_when_ssh_is_killed_then_the_error_says_what_to_do(remote: Sshd, bundles: AgentBundles) -> None:
    channel = open_ssh(RemoteAddress(remote.host, b"."), SshOptions(rsh=remote.rsh_text))
    link = Link(channel, Role.CONTROLLER)
    contact = Contact(channel, bundles, nonce="0123456789abcdef", clock=time.monotonic)
    connect_tree(contact, link, root=b"app", host="web1", software="test")
    channel.terminate()
    with pytest.raises(TransportError, match=remote.host) as caught:
        link.receive()
    assert caught.value.hint
    channel.close()


def test_key_that_is_not_known_when_connecting_then_the_error_names_the_host(
    remote: Sshd, bundles: AgentBundles, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(remote.config.read_text().replace("client_key", "no_such_key"))
    options = SshOptions(rsh=f"ssh -F {config}")
    with pytest.raises(TransportError, match="Permission denied") as caught:
        call(remote, bundles, options)
    assert "ssh-add" in caught.value.hint


def test_port_where_nobody_listens_when_connecting_then_the_error_says_so(bundles: AgentBundles, sshd: Sshd) -> None:
    options = SshOptions(rsh=f"{sshd.rsh_text} -o Port=1")
    with pytest.raises(TransportError, match="refused"):
        call(sshd, bundles, options)


def test_host_without_python_when_connecting_then_the_error_says_so(remote: Sshd, bundles: AgentBundles) -> None:
    (remote.home / ".bashrc").write_text("PATH=/nonexistent\n")
    with pytest.raises(TransportError, match="no python3 in its PATH"):
        call(remote, bundles)


def test_ssh_that_is_missing_when_connecting_then_the_error_names_it(bundles: AgentBundles) -> None:
    with pytest.raises(TransportError, match="no-such-ssh"):
        open_ssh(RemoteAddress("web1", b"."), SshOptions(rsh="no-such-ssh"))


def test_frames_that_are_garbage_when_sent_to_an_agent_then_it_ends_with_65(
    remote: Sshd, bundles: AgentBundles
) -> None:
    channel = open_ssh(RemoteAddress(remote.host, b"."), SshOptions(rsh=remote.rsh_text))
    link = Link(channel, Role.CONTROLLER)
    contact = Contact(channel, bundles, nonce="0123456789abcdef", clock=time.monotonic)
    connect_tree(contact, link, root=b"app", host="web1", software="test")
    channel.send([secrets.token_bytes(1000)])
    with pytest.raises((TransportError, FormatError)):
        link.receive(10)
    channel.close()


def test_become_when_asked_for_then_the_agent_runs_through_sudo(
    remote: Sshd, bundles: AgentBundles, tmp_path: Path
) -> None:
    sudo = remote.home / "python/bin/sudo"
    sudo.write_text(f'#!/bin/sh\necho "$1 $2 $3" > {tmp_path}/asked\nshift 3\nexec "$@"\n')
    sudo.chmod(0o755)
    try:
        call(remote, bundles, SshOptions(rsh=remote.rsh_text, become="app"))
        assert (tmp_path / "asked").read_text() == "-n -u app\n"
        sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n")
        with pytest.raises(TransportError, match="a password is required") as caught:
            call(remote, bundles, SshOptions(rsh=remote.rsh_text, become="app"))
        assert "without a password" in caught.value.hint
    finally:
        sudo.unlink()


def test_bytes_sent_when_the_agent_is_there_then_are_few(remote: Sshd, bundles: AgentBundles) -> None:
    assert call(remote, bundles).sent > 1_000_000
    assert call(remote, bundles).sent < 4000
