"""One sshd on loopback for both programs, with a home of its own; started and stopped by its pid."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.machine import REMOTE_PATH

ALIAS = "bench"
PORT = 22022
"""Nobody else lives in the network namespace, so the port is free."""
START_TIMEOUT_S = 15.0


class Server(msgspec.Struct, frozen=True):
    """How to reach the server.

    Attributes:
        pid: Its process; every remote process descends from it.
        config: The client's configuration, for ``ssh -F``.
        folder: Keys, log and remote home.
    """

    pid: int
    config: Path
    folder: Path

    def ssh(self, *options: str) -> str:
        """Give the ssh command, for ``rsync -e`` and ``pdelta --rsh``."""
        return " ".join(["ssh", "-F", str(self.config), *options])


@contextmanager
def running_server(folder: Path) -> Iterator[Server]:
    """Start a server and stop it at the end.

    Raises:
        RuntimeError: It lets nobody in; the text holds its log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "home").mkdir(exist_ok=True)
    _make_keys(folder)
    _write_configuration(folder)
    if os.geteuid() == 0:
        # Its compiled-in privilege separation folder, which a package makes only when the service starts.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [str(shutil.which("sshd")), "-D", "-e", "-f", str(folder / "sshd_config")],
            stdin=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        _prove(folder)
        yield Server(pid=process.pid, config=folder / "ssh_config", folder=folder)
    finally:
        process.terminate()
        process.wait(10)


def _make_keys(folder: Path) -> None:
    for name in ("host", "client"):
        if not (folder / name).exists():
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)], check=True
            )
    shutil.copy(folder / "client.pub", folder / "authorized_keys")
    (folder / "known_hosts").write_text(f"{ALIAS} {(folder / 'host.pub').read_text()}")


def _write_configuration(folder: Path) -> None:
    home = folder / "home"
    # bash sources ~/.bashrc for a remote command unless SHLVL says that it is nested; HOME has none either.
    setenv = f'"HOME={home}" "PATH={REMOTE_PATH}" "XDG_CACHE_HOME={home}/.cache" "LANG=C.UTF-8" "SHLVL=2"'
    server = [
        f"ListenAddress 127.0.0.1\nPort {PORT}",
        f"HostKey {folder}/host",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password\nUseDNS no\nPrintMotd no\nMaxStartups 100\nMaxSessions 100",
        f"SetEnv {setenv}",
    ]
    client = [
        f"Host {ALIAS}",
        f"HostName 127.0.0.1\nPort {PORT}\nUser {getpass.getuser()}",
        f"HostKeyAlias {ALIAS}",
        f"IdentityFile {folder}/client\nIdentitiesOnly yes\nIdentityAgent none",
        f"UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile none\nStrictHostKeyChecking yes",
        "BatchMode yes\nLogLevel ERROR",
    ]
    (folder / "sshd_config").write_text("\n".join([*server, ""]))
    (folder / "ssh_config").write_text("\n".join([*client, ""]))


def _prove(folder: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", PORT), 1).close()
            break
        except OSError:
            if time.monotonic() > deadline_s:
                break
            time.sleep(0.05)
    login = subprocess.run(
        ["ssh", "-F", str(folder / "ssh_config"), ALIAS, "true"], capture_output=True, text=True, check=False
    )
    if login.returncode:
        log = (folder / "log").read_text(errors="replace")
        raise RuntimeError(f"sshd lets nobody in: {login.stderr}{log}")
