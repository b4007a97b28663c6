"""Turns: act after act, each carried out by everyone once in the same order, so that a busy minute hits all of them."""

import sys
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import msgspec

from benchmarks.measure import CommandFailedError, Processes
from benchmarks.sql.contestants import FORMS, Contestant, Pdelta
from benchmarks.sql.deltas import base, state
from benchmarks.sql.fleets import DatabaseFleet, FileFleet, Fleet, SchemaFleet
from benchmarks.sql.measure import NO_SERVER, Command, Cost, measure, run_unmeasured
from benchmarks.sql.peers.programs import Alembic, NodePgMigrate, install_alembic, install_node_pg_migrate
from benchmarks.sql.readers import last_commit_s, long_readers
from benchmarks.sql.scenarios import Act, Kind, Scenario, one_in_a_hundred
from tests.fixtures.postgresql import PostgreSQL

LEFT_OUT = 8
"""What pdelta ends with where tenants were left out and all others have arrived."""


class Result(msgspec.Struct):
    """What a scenario gave.

    Attributes:
        scenario: Its name.
        title: What tables say.
        scale: Share of the full size.
        tenants: How many there were.
        samples: Act -> contestant -> its runs in order.
        problems: Contestant -> why it has no figures.
    """

    scenario: str
    title: str
    scale: float
    tenants: int
    samples: dict[str, dict[str, list[Cost]]] = msgspec.field(default_factory=dict)
    problems: dict[str, str] = msgspec.field(default_factory=dict)


class Wishes(msgspec.Struct, frozen=True):
    """What the person at the command line wants.

    Attributes:
        runs: Turns of each scenario.
        scale: Share of the full size.
        peers: Whether anybody but pdelta takes part.
        keep: Whether the tenants stay.
    """

    runs: int
    scale: float
    peers: bool
    keep: bool = False


class Place:
    """Where everything of a run lives.

    Args:
        work: A folder for it.
        program: The pdelta to measure.
        server: PostgreSQL; None where no scenario needs it.
    """

    def __init__(self, work: Path, program: str, server: PostgreSQL | None) -> None:
        self.work = work
        self.program = program
        self.server = server

    @property
    def needed_server(self) -> PostgreSQL:
        """The server, where there must be one."""
        assert self.server is not None
        return self.server

    @cached_property
    def alembic(self) -> str:
        """The program, installed when first asked for."""
        say("installing Alembic")
        return install_alembic(self.work / "peers" / "alembic")

    @cached_property
    def node_pg_migrate(self) -> Path:
        """The folder of packages, installed when first asked for."""
        say("installing node-pg-migrate")
        return install_node_pg_migrate(self.work / "peers" / "node-pg-migrate")

    def scrubbed(self, text: str) -> str:
        """Give a text without the path of the work folder."""
        return text.replace(str(self.work), "WORK")


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
        self._processes = Processes(place.server.pid if place.server else NO_SERVER)
        self._log = place.work / "log" / scenario.name
        self._log.mkdir(parents=True)
        self._fleets: dict[str, Fleet] = {}
        self._contestants: dict[str, Contestant] = {}
        self._base = base(scenario.tables)
        self._result = Result(scenario.name, scenario.title, wishes.scale, scenario.count(wishes.scale))

    def run(self) -> Result:
        """Make the tenants, take the turns, and give what they cost."""
        scenario, runs = self._scenario, self._wishes.runs
        forms = [FORMS[mark.form].fleet for mark in scenario.marks]
        peers = scenario.peers if self._wishes.peers else ()
        for name in dict.fromkeys([*peers, *forms]):
            self._guard(name, lambda name=name: self._prepare(name))  # type: ignore[misc]
        for turn in range(min(runs, scenario.most_turns or runs)):
            for number, act in enumerate(scenario.acts):
                self._take(act, f"{turn}-{number}")
        for fleet in [] if self._wishes.keep else self._fleets.values():
            fleet.remove()
        return self._result

    def _prepare(self, name: str) -> None:
        """Give a contestant tenants of its own, which have the first delta by its own hand."""
        say(f"{self._scenario.name}: making {self._result.tenants:,} tenants of {name}")
        fleet = self._fleet(name)
        fleet.make()
        self._fleets[name] = fleet
        contestant = self._contestant(name, fleet)
        contestant.give([self._base])
        run_unmeasured(contestant.apply(), self._log / f"{name}-base.txt")
        self._expect(name, {state([self._base]): len(fleet.names)})
        contestant.give(self._scenario.deltas)
        if self._place.server is not None:
            self._place.server.sql("CHECKPOINT")
        self._contestants[name] = contestant

    def _take(self, act: Act, place: str) -> None:
        for name in list(self._contestants):
            self._guard(name, lambda name=name: self._act(act, name, place))  # type: ignore[misc]
        if act is not Act.SAME:
            return
        for form in FORMS.values():
            # Where nothing is to be done, several forms of pdelta can look at the same tenants.
            asked = any(mark.form == form.name for mark in self._scenario.marks)
            if asked and form.name != form.fleet and form.fleet in self._contestants:
                self._guard(form.name, lambda form=form: self._act(act, form.name, place))  # type: ignore[misc]

    def _act(self, act: Act, name: str, place: str) -> None:
        """Carry an act out, and look at what came of it."""
        form = FORMS.get(name)
        options = form.options if form else ()
        owner = form.fleet if form else name
        contestant, fleet = self._contestants[owner], self._fleets[owner]
        all_of_them, few = len(fleet.names), one_in_a_hundred(list(fleet.names))
        before, after = state([self._base]), state([self._base, *self._scenario.deltas])
        log = self._log / f"{act}-{name}-{place}.txt"
        match act:
            case Act.REVERSE:
                command = contestant.reverse(len(self._scenario.deltas), options=options)
                self._record(act, name, measure(command, self._processes, log))
                self._expect(owner, {before: all_of_them})
            case Act.DRIFT:
                if isinstance(contestant, Pdelta):
                    self._record(act, name, measure(contestant.drift(), self._processes, log))
            case Act.LOCKED:
                self._apply_beside_readers(owner, contestant.apply(options=options), few, log)
                self._expect(owner, {after: all_of_them})
            case _:
                if act is Act.SOME:
                    back = contestant.reverse(len(self._scenario.deltas), only=few, options=options)
                    run_unmeasured(back, self._log / f"{name}-some.txt")
                    self._expect(owner, {before: len(few), after: all_of_them - len(few)})
                cost = measure(contestant.apply(options=options), self._processes, log)
                self._expect(owner, {after: all_of_them})
                if act is Act.APPLY and Act.LOCKED in self._scenario.acts:
                    cost = msgspec.structs.replace(cost, done_s=self._done_s(owner, cost, few))
                self._record(act, name, cost)

    def _apply_beside_readers(self, name: str, command: Command, locked: list[str], log: Path) -> None:
        """Measure until the last tenant without a reader is done; then let the readers go, and do the rest."""
        fleet = self._fleets[name]
        assert isinstance(fleet, SchemaFleet)
        with long_readers(self._place.needed_server, fleet.database, locked):
            cost = measure(command, self._processes, log, accepted=(LEFT_OUT,))
            self._expect(name, {state([self._base]): len(locked)}, rest=state([self._base, *self._scenario.deltas]))
            cost = msgspec.structs.replace(cost, done_s=self._done_s(name, cost, locked))
        self._record(Act.LOCKED, name, cost)
        run_unmeasured(command, log)

    def _done_s(self, name: str, cost: Cost, without: list[str]) -> float:
        """Give when the last of the tenants was done that no reader disturbs, from the start of the process."""
        fleet = self._fleets[name]
        assert isinstance(fleet, SchemaFleet)
        (delta,) = self._scenario.deltas
        count, at_s = last_commit_s(self._place.needed_server, fleet.database, delta.adds[0], without)
        if count != len(fleet.names) - len(without):
            raise CommandFailedError(f"{count} tenants of {len(fleet.names) - len(without)} have the delta")
        return at_s - cost.started_s

    def _record(self, act: Act, name: str, cost: Cost) -> None:
        self._result.samples.setdefault(act.value, {}).setdefault(name, []).append(cost)
        done = "" if cost.done_s is None else f"done {cost.done_s:.3f} s  "
        say(
            f"{self._scenario.name} {act:8} {name:16} {cost.wall_s:8.3f} s  {done}"
            f"cpu {cost.client_cpu_s:.2f}+{cost.server_cpu_s:.2f} s  peak {cost.client_peak_bytes >> 20} MiB  "
            f"foreign {cost.foreign_cpu_s:.2f} s  steal {cost.steal_s:.2f} s"
        )

    def _expect(self, name: str, wanted: dict[str, int], *, rest: str = "") -> None:
        """Look at every tenant's catalogue.

        Raises:
            CommandFailedError: They are not as they should be.
        """
        fleet = self._fleets[name]
        if rest:
            wanted = {**wanted, rest: len(fleet.names) - sum(wanted.values())}
        found = fleet.states()
        if found != Counter(wanted):
            known = {state([self._base]): "before", state([self._base, *self._scenario.deltas]): "after"}
            told = ", ".join(f"{count} {known.get(digest, 'otherwise')}" for digest, count in found.items())
            raise CommandFailedError(f"the tenants are not as they should be: {told or 'there are none'}")

    def _guard(self, name: str, work: Callable[[], None]) -> None:
        """Do something for a contestant; one that fails is out, and its reason is kept."""
        try:
            work()
        except (RuntimeError, OSError) as error:
            self._result.problems[name] = self._place.scrubbed(str(error))
            self._contestants.pop(name, None)
            say(f"{self._scenario.name}: {name} is out: {self._result.problems[name]}")

    def _fleet(self, name: str) -> Fleet:
        count, title = self._result.tenants, f"{self._scenario.name}_{name}".replace("-", "_")
        match self._scenario.kind:
            case Kind.FILES:
                return FileFleet(self._folder(name), count)
            case Kind.DATABASES:
                return DatabaseFleet(self._place.needed_server, title, count)
            case Kind.SCHEMAS:
                return SchemaFleet(self._place.needed_server, title, count)

    def _contestant(self, name: str, fleet: Fleet) -> Contestant:
        folder = self._folder(name)
        match name:
            case "alembic":
                return Alembic(self._place.alembic, folder, fleet)
            case "node-pg-migrate":
                return NodePgMigrate(self._place.node_pg_migrate, folder, fleet)
            case _:
                return Pdelta(self._place.program, folder, fleet)

    def _folder(self, name: str) -> Path:
        """Give where a contestant's project is."""
        return self._place.work / "projects" / self._scenario.name / name


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)
