"""Who takes part: the exact command lines of rsync and of pdelta."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.server import ALIAS, Server

GCM = "-c aes128-gcm@openssh.com"


class Peer(msgspec.Struct, frozen=True):
    """One program with its options.

    Attributes:
        name: How tables call it.
        program: ``rsync`` or ``pdelta``.
        options: What is given beside source and destination.
        ssh: Options of the ssh that it starts.
        kept: Whether it uses a connection that is open already.
        command: Command of pdelta.
        needs: Option that ``pdelta push --help`` must show; empty for none.
    """

    name: str
    program: str
    options: tuple[str, ...] = ()
    ssh: str = ""
    kept: bool = False
    command: str = "push"
    needs: str = ""


FAST = ("--no-fsync",)
NEW = ("--no-keep",)
"""A connection of its own, closed at the end, as rsync's is."""
ZSTD = ("--compress", "zstd")

PEERS = {
    peer.name: peer
    for peer in (
        Peer("rsync", "rsync"),
        Peer("rsync-zstd", "rsync", ("--compress", "--compress-choice=zstd")),
        Peer("rsync-gcm", "rsync", ssh=GCM),
        Peer("rsync-inplace", "rsync", ("--inplace", "--no-whole-file")),
        Peer("pdelta", "pdelta", (*FAST, *NEW)),
        Peer("pdelta-kept", "pdelta", FAST, kept=True),
        Peer("pdelta-durable", "pdelta", NEW),
        Peer("pdelta-zstd", "pdelta", (*FAST, *NEW, *ZSTD)),
        Peer("pdelta-diff", "pdelta", ("--stat", *NEW), command="diff"),
        Peer("pdelta-check", "pdelta", (*FAST, *NEW, "--check-dest")),
        Peer("pdelta-inplace", "pdelta", (*FAST, "--inplace"), kept=True, needs="--inplace"),
        Peer("pdelta-base", "pdelta", (*FAST, *NEW, *ZSTD, "--base-cache", "on"), needs="--base-cache"),
    )
}


class Place(msgspec.Struct, frozen=True):
    """Where everything of a benchmark run lives.

    Attributes:
        work: Trees, destinations, homes and logs.
        runtime: A short folder for control sockets.
        pdelta: The program under test.
        server: The sshd of both programs.
    """

    work: Path
    runtime: Path
    pdelta: str
    server: Server

    def environment(self, peer: Peer, scenario: str) -> dict[str, str]:
        """Give the environment of a peer: a home of its own, so that no two share an index or a connection."""
        home = self.home(peer, scenario)
        runtime = self.runtime / f"{scenario}-{peer.name}"[:32]
        for folder in (home, runtime):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home / "cache"),
            "XDG_STATE_HOME": str(home / "state"),
            "XDG_RUNTIME_DIR": str(runtime),
            "SHLVL": "2",
        }

    def home(self, peer: Peer, scenario: str) -> Path:
        """Give the home of a peer."""
        return self.work / "home" / scenario / peer.name

    def forget_source(self, peer: Peer, scenario: str) -> None:
        """Remove what a peer remembers of its sources and pushes, so that a push is the first of that tree."""
        for name in ("trees", "bases"):
            shutil.rmtree(self.home(peer, scenario) / "cache" / "pdelta" / name, ignore_errors=True)

    def push_command(self, peer: Peer, source: Path, destination: Path) -> list[str]:
        """Give the command that makes a destination equal a source."""
        target = f"{ALIAS}:{destination}"
        ssh = self.server.ssh(*peer.ssh.split())
        if peer.program == "rsync":
            return ["rsync", "-a", "--delete", *peer.options, "-e", ssh, f"{source}/", f"{target}/"]
        if peer.command != "push":
            return [self.pdelta, peer.command, *peer.options, "--rsh", ssh, str(source), target]
        # The number of changes is the scenario's own; the question whether so many are meant is answered.
        return [self.pdelta, "push", "--yes", "--delete", *peer.options, "--rsh", ssh, str(source), target]

    def rollback_command(self, destination: Path, *options: str) -> list[str]:
        """Give the command that takes the newest push back."""
        ssh = self.server.ssh()
        return [self.pdelta, "rollback", *options, "--rsh", ssh, f"{ALIAS}:{destination}"]

    def history_command(self, destination: Path) -> list[str]:
        """Give the command that lists what was done to a destination."""
        return [self.pdelta, "history", "-q", "--rsh", self.server.ssh(), f"{ALIAS}:{destination}"]

    def upkeep_command(self, destination: Path) -> list[str]:
        """Give the command that collects undo data of a local destination."""
        return [self.pdelta, "gc", "--keep", "1", str(destination)]


def shown_options(pdelta: str) -> frozenset[str]:
    """Give the long options that ``pdelta push --help`` shows."""
    done = subprocess.run([pdelta, "push", "--help"], capture_output=True, text=True, check=True)
    return frozenset(re.findall(r"--[a-z][a-z-]*", done.stdout))


def close_connections(place: Place) -> None:
    """End every connection that was kept."""
    for socket in place.runtime.rglob("*"):
        if socket.is_socket():
            command = ["ssh", "-F", str(place.server.config), "-o", f"ControlPath={socket}", "-O", "exit", ALIAS]
            subprocess.run(command, capture_output=True, check=False)


def run_quietly(command: list[str], environment: Mapping[str, str]) -> None:
    """Run an unmeasured command.

    Raises:
        RuntimeError: It failed; the text holds what it said.
    """
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=dict(environment), check=False
    )
    if done.returncode:
        raise RuntimeError(f"status {done.returncode}: {' '.join(command)}\n{done.stdout[-800:]}\n{done.stderr[-800:]}")
