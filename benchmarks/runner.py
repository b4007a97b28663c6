"""Turns: every peer once, in the same order, again and again, so that a busy minute hits all of them."""

import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from benchmarks.equal import first_difference
from benchmarks.measure import CommandFailedError, Processes, Sample, measure
from benchmarks.peers import NEW, PEERS, Peer, Place, run_quietly, shown_options
from benchmarks.scenarios import Scenario

DIFFERENT = 4
"""What ``pdelta diff`` ends with where there are differences."""
SECOND_S = 1.1
"""Changes come in another second than the last push: rsync's quick check looks at whole seconds."""


class Result(msgspec.Struct):
    """What a scenario gave.

    Attributes:
        scenario: Its name.
        title: What tables say.
        scale: Share of the full size.
        samples: Peer -> its runs in order; the name ``rollback`` stands for taking the pushes of ``pdelta`` back.
        problems: Peer -> why it has no figures.
    """

    scenario: str
    title: str
    scale: float
    samples: dict[str, list[Sample]] = msgspec.field(default_factory=dict)
    problems: dict[str, str] = msgspec.field(default_factory=dict)


class Wishes(msgspec.Struct, frozen=True):
    """What the person at the command line wants.

    Attributes:
        runs: Turns of each scenario.
        scale: Share of the full size.
        beside: Whether the figures beside the marks are measured too.
        rollback: Whether pushes are taken back.
    """

    runs: int
    scale: float
    beside: bool
    rollback: bool


class Runner:
    """Carries a scenario out.

    Args:
        scenario: What to do.
        wishes: How often and how large.
        place: Where.
    """

    def __init__(self, scenario: Scenario, wishes: Wishes, place: Place) -> None:
        self._scenario = scenario
        self._wishes = wishes
        self._place = place
        self._processes = Processes(place.server.pid)
        self._source = place.work / "source" / scenario.name
        self._destinations = place.work / "destination" / scenario.name
        self._log = place.work / "log" / scenario.name
        self._log.mkdir(parents=True, exist_ok=True)
        self._result = Result(scenario.name, scenario.title, wishes.scale)
        self._peers: list[Peer] = []

    def run(self) -> Result:
        """Make the tree, take the turns, and give what they cost."""
        self._choose_peers()
        say(f"{self._scenario.name}: making the tree")
        self._source.mkdir(parents=True)
        self._scenario.make(self._source, self._wishes.scale)
        for peer in self._peers:
            self._guard(peer, self._prepare)
        for turn in range(min(self._wishes.runs, self._scenario.most_turns or self._wishes.runs)):
            self._take_turn(turn)
        if self._scenario.few_files:
            shutil.rmtree(self._destinations)
            shutil.rmtree(self._source)
        return self._result

    def _choose_peers(self) -> None:
        shown = shown_options(self._place.pdelta)
        for name in self._scenario.peers(beside=self._wishes.beside):
            peer = PEERS[name]
            if peer.needs and peer.needs not in shown:
                self._result.problems[name] = f"not built: no {peer.needs}"
            else:
                self._peers.append(peer)

    def _prepare(self, peer: Peer) -> None:
        """Place the agent, open the connection, bring the destination up to date."""
        environment = self._environment(peer)
        if peer.command != "push":
            peer = msgspec.structs.replace(peer, command="push", options=NEW)
        if self._several:
            tiny = self._place.work / "tiny"
            tiny.mkdir(exist_ok=True)
            (tiny / "file").write_bytes(b"tiny\n")
            self._push(peer, tiny, self._place.work / "placing" / self._scenario.name / peer.name, environment)
            return
        self._push(peer, self._source, self._destination(peer, 0), environment)
        if self._scenario.change is None:
            self._push(peer, self._source, self._destination(peer, 0), environment)

    def _take_turn(self, turn: int) -> None:
        if self._scenario.renewed:
            for peer in list(self._peers):
                self._guard(peer, lambda peer: self._renew(peer, turn))
        if self._scenario.change is not None:
            time.sleep(SECOND_S)
            self._scenario.change(self._source, turn)
        for peer in list(self._peers):
            self._guard(peer, lambda peer: self._measure(peer, turn))
        if self._scenario.restore is not None:
            self._scenario.restore(self._source, turn)
            for peer in [] if self._scenario.renewed else list(self._peers):
                self._guard(peer, self._update)
        if self._scenario.few_files and not self._scenario.fresh:
            for peer in [peer for peer in self._peers if peer.program == "pdelta"]:
                run_quietly(self._place.upkeep_command(self._destination(peer, turn)), self._environment(peer))

    def _measure(self, peer: Peer, turn: int) -> None:
        destination = self._destination(peer, turn)
        if self._scenario.fresh:
            destination.parent.mkdir(parents=True, exist_ok=True)
            self._place.forget_source(peer, self._scenario.name)
        if self._scenario.adopts:
            self._place.forget_source(peer, self._scenario.name)
            destination.parent.mkdir(parents=True, exist_ok=True)
            run_quietly(["cp", "-a", str(self._source), str(destination)], self._environment(peer))
        command = self._place.push_command(peer, self._source, destination)
        self._record(peer.name, command, peer, turn)
        if turn == 0 and peer.command == "push":
            self._compare(peer, destination)
        if peer.name == self._rolled_back() and self._wishes.rollback and self._scenario.rollback:
            self._take_back(peer, destination, turn)

    def _rolled_back(self) -> str:
        """Name the peer whose pushes are taken back: the first that is marked."""
        return self._scenario.marks[0].peer

    def _take_back(self, peer: Peer, destination: Path, turn: int) -> None:
        options = [option for option in peer.options if option == "--no-fsync"]
        # A rollback right after its push finds the connection of the push; one that was closed is opened first.
        run_quietly(self._place.history_command(destination), self._environment(peer))
        self._record("rollback", self._place.rollback_command(destination, *options), peer, turn)
        if not self._several:
            # A rollback is an entry of the history: taking it back restores what was pushed.
            run_quietly(self._place.rollback_command(destination, *options), self._environment(peer))
            if turn == 0:
                self._compare(peer, destination)

    def _record(self, name: str, command: list[str], peer: Peer, turn: int) -> None:
        sample = measure(
            command,
            self._processes,
            environment=self._environment(peer),
            log=self._log / f"{name}-{turn}.txt",
            accepted=(0, DIFFERENT) if peer.command == "diff" else (0,),
        )
        self._result.samples.setdefault(name, []).append(sample)
        say(
            f"{self._scenario.name} {turn}: {name:16} {sample.wall_s:8.3f} s  {sample.wire_bytes:>12,} B  "
            f"cpu {sample.client_cpu_s:.2f}+{sample.remote_cpu_s:.2f} s  "
            f"peak {sample.client_peak_bytes >> 20}/{sample.remote_peak_bytes >> 20} MiB  "
            f"foreign {sample.foreign_cpu_s:.2f} s  steal {sample.steal_s:.2f} s"
        )

    def _compare(self, peer: Peer, destination: Path) -> None:
        # rsync takes times of the same second for equal (--modify-window) and leaves directories as they are then.
        unit_ns = 10**9 if peer.program == "rsync" else 1
        difference = first_difference(str(self._source), str(destination), unit_ns=unit_ns)
        if difference:
            raise CommandFailedError(f"the trees differ: {difference}")

    def _renew(self, peer: Peer, turn: int) -> None:
        self._place.forget_source(peer, self._scenario.name)
        self._push(peer, self._source, self._destination(peer, turn), self._environment(peer))

    def _update(self, peer: Peer) -> None:
        self._push(peer, self._source, self._destination(peer, 0), self._environment(peer))

    def _push(self, peer: Peer, source: Path, destination: Path, environment: Mapping[str, str]) -> None:
        destination.parent.mkdir(parents=True, exist_ok=True)
        run_quietly(self._place.push_command(peer, source, destination), environment)

    def _guard(self, peer: Peer, work: Callable[[Peer], None]) -> None:
        """Do something for a peer; a peer that fails leaves the scenario, with the reason."""
        try:
            work(peer)
        except (RuntimeError, OSError) as error:
            say(f"{self._scenario.name}: {peer.name} leaves: {error}")
            # Results are published, and paths of this machine are nobody's business.
            text = str(error).replace(str(self._place.work), "WORK").replace(self._place.pdelta, "pdelta")
            self._result.problems[peer.name] = text
            self._peers = [one for one in self._peers if one is not peer]

    def _environment(self, peer: Peer) -> dict[str, str]:
        return self._place.environment(peer, self._scenario.name)

    def _destination(self, peer: Peer, turn: int) -> Path:
        return self._destinations / f"{peer.name}-{turn if self._several else 0}"

    @property
    def _several(self) -> bool:
        """Whether every turn has a destination of its own."""
        return self._scenario.fresh or self._scenario.renewed or self._scenario.adopts


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)
