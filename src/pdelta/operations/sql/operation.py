"""The five verbs for SQL deltas, of one tenant or of a whole fleet."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Final

import msgspec

from pdelta.databases.base import Database, Glance
from pdelta.errors import Cause, DatabaseError, PdeltaError, UsageError
from pdelta.formats.sql_moves import PlannedMove, SqlBody, SqlWish, decode_body, decode_wish
from pdelta.model.delta import Delta
from pdelta.model.finding import Finding
from pdelta.model.fleet import Arrival
from pdelta.model.operation import Notes, Outcome, Standing
from pdelta.model.plan import Step
from pdelta.model.run import Direction
from pdelta.model.target import Target
from pdelta.operations.sql.carry import Carrier
from pdelta.operations.sql.cautions import cautions
from pdelta.operations.sql.delta import delta_of
from pdelta.operations.sql.lanes import Handle, Job, Lanes, Patience, Surroundings
from pdelta.operations.sql.reckon import Seen, alone_where_needed, opposite, standing, versioned
from pdelta.operations.sql.stamped import edited_by_hand, lacking
from pdelta.operations.sql.target import KIND, tenant_of
from pdelta.operations.sql.task import Task
from pdelta.operations.sql.versions import Histories, histories
from pdelta.operations.sql.work import Imprint, Limits, Workshop
from pdelta.sql.ledger import EMPTY_HEAD, Applied, Head, Way, head_of_rows

if TYPE_CHECKING:
    from pdelta.operations.sql.proof import Proof

_TRIED: Final = 3
"""In how many tenants at most a reverse is tried that can't be tried in those before."""
_SERIES: Final = 16
"""How many transactions are sent together at most: more gain nothing that can be measured."""


class SqlOperation:
    """Deltas of SQL; ``model.fleet.FleetOperation`` says what each method promises.

    Args:
        databases: The sections of the project file, by name.
        imprint: What the run leaves in the rows that it writes.
        patience: How long to wait for locks.
        batch: How many tenants share a transaction at most.
        surroundings: Clock, sleep and chance.
        glances: What was seen of targets a moment ago: the first look at them is spared. Whatever has changed since
            is found by the transaction that begins from it.

    Attributes:
        seen: What the last calculation found, by target.
    """

    kind = KIND

    def __init__(
        self,
        databases: Mapping[str, Database],
        *,
        imprint: Imprint,
        surroundings: Surroundings,
        patience: Patience | None = None,
        batch: int = 1,
        glances: Mapping[Target, Glance] | None = None,
    ) -> None:
        """Connect to nothing yet."""
        self.seen: dict[Target, Seen] = {}
        self._databases = databases
        self._imprint = imprint
        self._patience = patience or Patience()
        self._batch = batch
        self._surroundings = surroundings
        self._glances: dict[Target, Glance] = {}
        self._given = dict(glances or {})
        self._surveyed: dict[Target, tuple[Head, tuple[Applied, ...]] | PdeltaError] = {}
        self._proved: dict[Target, frozenset[str]] = {}
        self._bodies: dict[int, tuple[Delta, SqlBody, tuple[PlannedMove, ...]]] = {}

    def calculate(self, target: Target, desired: bytes) -> Delta:
        """Compare a tenant with a wish."""
        (delta,) = self.calculate_all([(target, desired)])
        if isinstance(delta, PdeltaError):
            raise delta
        return delta

    def preflight(self, delta: Delta, target: Target) -> Sequence[Finding]:
        """Report what speaks against a delta."""
        return self.preflight_all([Step("1", target, delta)])

    def verify(self, delta: Delta, target: Target) -> Standing:
        """Say where a tenant stands, by its ledger."""
        (found,) = self.verify_all([Step("1", target, delta)])
        if isinstance(found, PdeltaError):
            raise found
        return found

    def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:  # noqa: ARG002 - the ledger keeps all
        """Bring one tenant after its delta."""
        return self._carry_one(delta, target, Direction.EXECUTE)

    def reverse(self, delta: Delta, target: Target, notes: Notes) -> Outcome:  # noqa: ARG002 - the ledger keeps all
        """Bring one tenant before its delta."""
        return self._carry_one(delta, target, Direction.REVERSE)

    def calculate_all(self, wishes: Sequence[tuple[Target, bytes]]) -> Sequence[Delta | PdeltaError]:
        """Compare every tenant with its wish; tenants with one head and one wish share a delta.

        Raises:
            StaleError: A delta is lacking of which no reverse was derived, because nobody lacked it before.
        """
        decoded = {desired: decode_wish(desired) for desired in {desired for _, desired in wishes}}
        # Which run applied what, and what that replaced, only a tenant's own ledger says.
        own = any(
            wish.dropped_run or wish.kept or any(move.repeatable for move in wish.dropped) for wish in decoded.values()
        )
        targets = [target for target, _ in wishes]
        if own:
            # Each ledger is read anyhow: what was seen of a target a moment ago need not be looked at again.
            self._given |= {target: self._glances[target] for target in targets if target in self._glances}
        read = self._surveyed if not own and self._surveyed.keys() >= set(targets) else self.survey(targets, own=own)
        self._surveyed = {}
        deltas = self._compared(wishes, read, decoded, own=own)
        doubted = [
            place
            for place, ((target, _), delta) in enumerate(zip(wishes, deltas, strict=True))
            # A ledger of its own was read for the target, whatever was said of it.
            if not own and isinstance(delta, Delta) and not delta.changes and self._is_hearsay(target)
        ]
        if doubted:
            # That something is lacking its transaction will see; that nothing is, only the ledger tells.
            for place in doubted:
                del self._glances[wishes[place][0]]
            again = [wishes[place] for place in doubted]
            read = self.survey([target for target, _ in again])
            self._surveyed = {}
            for place, delta in zip(doubted, self._compared(again, read, decoded, own=False), strict=True):
                deltas[place] = delta
        if not own:
            self._look_at_stuck(wishes, decoded, deltas)
        return deltas

    def _look_at_stuck(
        self,
        wishes: Sequence[tuple[Target, bytes]],
        decoded: Mapping[bytes, SqlWish],
        deltas: list[Delta | PdeltaError],
    ) -> None:
        """Calculate anew, from its own ledger each, for tenants of which a like one can't take something back.

        A head does not tell that: what was purged or adopted in one tenant, another with the same head can take back.
        """
        places = [
            place
            for place, (target, _) in enumerate(wishes)
            if target in self.seen and self.seen[target].reckoning.stuck
        ]
        again = [wishes[place] for place in places]
        self._given |= {target: self._glances[target] for target, _ in again if target in self._glances}
        read = self.survey([target for target, _ in again], own=True) if again else {}
        for place, delta in zip(places, self._compared(again, read, decoded, own=True), strict=True):
            deltas[place] = delta

    def _is_hearsay(self, target: Target) -> bool:
        glance = self._glances.get(target)
        return glance is not None and glance.advisory

    def _compared(
        self,
        wishes: Sequence[tuple[Target, bytes]],
        read: Mapping[Target, tuple[Head, tuple[Applied, ...]] | PdeltaError],
        decoded: Mapping[bytes, SqlWish],
        *,
        own: bool,
    ) -> list[Delta | PdeltaError]:
        past = self._histories(wishes, read, decoded) if own else {}
        made: dict[object, tuple[Delta, Seen]] = {}
        deltas: list[Delta | PdeltaError] = []
        for target, desired in wishes:
            found = read[target]
            if isinstance(found, PdeltaError):
                deltas.append(found)
                continue
            head, rows = found
            left = past.get(target, {})
            if isinstance(left, PdeltaError):
                deltas.append(left)
                continue
            key = (rows, tuple(left.items()), desired) if own else (head, desired)
            if key not in made:
                dialect = self._database_of(target).dialect
                made[key] = delta_of(head, rows, decoded[desired], dialect, left)
            delta, self.seen[target] = made[key]
            deltas.append(self._lacking(target, rows, decoded[desired]) or delta)
        return deltas

    def _histories(
        self,
        wishes: Sequence[tuple[Target, bytes]],
        read: Mapping[Target, tuple[Head, tuple[Applied, ...]] | PdeltaError],
        decoded: Mapping[bytes, SqlWish],
    ) -> dict[Target, Histories | PdeltaError]:
        """Give what left the ledgers of tenants whose wish depends on versions that they had."""
        wanted: dict[Target, tuple[str, ...]] = {}
        for target, desired in wishes:
            found = read[target]
            if not isinstance(found, PdeltaError) and (ids := versioned(found[1], decoded[desired])):
                wanted[target] = ids
        left: dict[Target, Histories | PdeltaError] = {}
        for database, group in self._by_database(wanted):
            told = histories(database, {tenant_of(target): wanted[target] for target in group})
            left |= {target: told[tenant_of(target)] for target in group}
        return left

    def _lacking(self, target: Target, rows: Sequence[Applied], wish: SqlWish) -> PdeltaError | None:
        """Give the error of a tenant that lacks what it is to lose because its ledger was edited; None for others."""
        glance = self._glances.get(target)
        if not wish.dropped or glance is None or glance.head in {None, head_of_rows(rows)}:
            return None
        had = {row.id for row in rows}
        gone = [move.id for move in wish.dropped if move.id not in had]
        tenant = tenant_of(target)
        if not gone or not edited_by_hand(self._database_of(target), {tenant: rows}):
            return None
        return lacking(tenant, gone)

    def survey(
        self, targets: Sequence[Target], *, own: bool = False
    ) -> dict[Target, tuple[Head, tuple[Applied, ...]] | PdeltaError]:
        """Give every tenant's head and ledger.

        Args:
            targets: Which.
            own: Whether each gets the rows of its own ledger; otherwise one is read for all tenants with its head.
        """
        found: dict[Target, tuple[Head, tuple[Applied, ...]] | PdeltaError] = {}
        for database, group in self._by_database(targets):
            found |= self._survey(database, group, own=own)
        # What is calculated next need not look again.
        self._surveyed = {} if own else found
        return found

    def preflight_all(self, steps: Sequence[Step]) -> Sequence[Finding]:
        """Report what speaks against the steps: what can't be taken back, or only as its author has written it."""
        findings: dict[tuple[str, str], Finding] = {}
        for step in steps:
            for finding in cautions(self._body(step)[0].moves):
                findings.setdefault((finding.code, finding.message), finding)
        return list(findings.values())

    def verify_all(self, steps: Sequence[Step]) -> Sequence[Standing | PdeltaError]:
        """Say where tenants stand, by their ledgers; one that is gone is ``FOREIGN``: nothing can be finished there."""
        for step in steps:
            self._glances.pop(step.target, None)
        self._surveyed = {}
        read = self.survey([step.target for step in steps])
        standings: list[Standing | PdeltaError] = []
        for step in steps:
            found = read[step.target]
            if isinstance(found, PdeltaError):
                gone = isinstance(found, DatabaseError) and found.cause is Cause.MISSING
                standings.append(Standing.FOREIGN if gone else found)
            else:
                standings.append(standing(found[1], self._body(step)[0].moves))
        return standings

    def compare_all(self, steps: Sequence[Step]) -> Sequence[Standing | PdeltaError]:
        """Say whether these steps may be carried out: ``FOREIGN`` for a target that is not where its step begins.

        ``BEFORE`` means the very ledger that the step was calculated from; ``AFTER`` and ``BETWEEN`` that this or an
        equal step was begun before.
        """
        self._surveyed = {}
        read = self.survey([step.target for step in steps])
        found: list[Standing | PdeltaError] = []
        for step in steps:
            seen = read[step.target]
            if isinstance(seen, PdeltaError):
                found.append(seen)
                continue
            head, rows = seen
            where = standing(rows, self._body(step)[0].moves)
            is_other = where is Standing.BEFORE and str(head).encode() != step.delta.before
            found.append(Standing.FOREIGN if is_other else where)
        return found

    def carry_all(self, steps: Sequence[Step], direction: Direction, halted: Callable[[], bool]) -> Iterator[Arrival]:
        """Carry every tenant to its end, server by server in parallel."""
        by_target = {step.target: step for step in steps}
        for database, group in self._by_database(by_target):
            yield from self._carry(database, [by_target[target] for target in group], direction, halted)

    def rehearse_all(self, steps: Sequence[Step]) -> Iterator[Arrival]:
        """Do what executing these steps would, and then the way back, tenant by tenant in transactions that go nowhere.

        An arrival with an error says what would have failed; its facts say what the way back brings back, as
        ``Rehearsal`` tells. Every target stands as before.
        """
        by_target = {step.target: step for step in steps}
        for database, group in self._by_database(by_target):
            held = [by_target[target] for target in group]
            yield from self._carry(database, held, Direction.EXECUTE, lambda: False, rehearsing=True)

    def prove_all(self, steps: Sequence[Step]) -> "list[Proof]":
        """Try the reverse of every distinct delta once, in the first target that is to get it, and roll it back.

        Where it can't be tried there, as where its effect is there already, it is tried in the next one, and another.
        What another target's ledger says is proved is not tried again, as ``proved_before`` tells. What is proved, the
        rows of this run say: of what tenants are made of, in all of them; of their rows, in those in which it was
        tried.
        """
        from pdelta.operations.sql.proof import untried

        candidates: dict[int, list[Step]] = {}
        for step in steps:
            if any(move.way is Way.APPLY for move in self._body(step)[0].moves):
                candidates.setdefault(id(step.delta), []).append(step)
        proofs: list[Proof] = []
        told = {seen.head: seen.rows for seen in self.seen.values()}
        for held in candidates.values():
            tried: list[Proof] = []
            for step in held[:_TRIED]:
                tried += self._proofs(step, told)
                if tried and (not tried[-1].reason or untried(self._body(step)[0].moves)):
                    break
            proofs += tried[-1:]
        proved = [id for proof in proofs if proof.holds for id in proof.deltas]
        self._imprint = msgspec.structs.replace(self._imprint, proved=self._imprint.proved.union(proved))
        return proofs

    def _proofs(self, step: Step, told: Mapping[Head, Sequence[Applied]]) -> "list[Proof]":
        """Give what trying the reverse in one target showed, or is known of it; nothing where that can't be asked."""
        from pdelta.operations.sql.proof import prove, proved_before

        ((database, _),) = self._by_database([step.target])
        task = self._task(step, Direction.EXECUTE)
        workshop = Workshop(database.dialect, database.modes, self._imprint)
        if known := proved_before(task, told.get(task.goal, ()), workshop):
            return [known]
        found = self._survey(database, [step.target], own=True)[step.target]
        if isinstance(found, PdeltaError) or not database.transactional or task.glance is None:
            return []
        if standing(found[1], task.moves) is not Standing.BEFORE:
            return []
        limits = Limits(self._patience.lock_timeout_ms, self._patience.statement_timeout_ms)
        with closing(database.session(database.lane(task.tenant))) as session:
            proof = prove(session, workshop, task, found[1], limits)
        if proof.keeps_rows:
            self._proved[step.target] = frozenset(proof.deltas)
        return [proof]

    def _carry(
        self,
        database: Database,
        steps: Sequence[Step],
        direction: Direction,
        halted: Callable[[], bool],
        *,
        rehearsing: bool = False,
    ) -> Iterator[Arrival]:
        unseen = [step.target for step in steps if step.target not in self._glances]
        if unseen:
            self._glance(database, unseen)
        tasks = [self._task(step, direction) for step in steps]
        workshop = Workshop(database.dialect, database.modes, self._imprint)
        clock = self._surroundings.clock
        batch = min(self._batch, database.batch_limit or self._batch)
        limit_ms = self._patience.statement_timeout_ms
        carrier = Carrier(database, workshop, tasks, clock, shares=batch > 1, statement_ms=limit_ms)

        def finish(job: Job, error: DatabaseError | None) -> Arrival:
            return _left(tasks[job.number], carrier, database, job.attempt, error)

        handle: Handle = carrier.handle
        if rehearsing:
            from pdelta.operations.sql.rehearsal import Rehearsal

            handle = Rehearsal(database, workshop, tasks, carrier, clock).handle
        lanes = Lanes(
            database,
            handle=handle,
            finish=finish,
            patience=self._patience,
            batch=batch,
            series=1 if rehearsing or database.batch_limit == 1 else _SERIES,
            surroundings=self._surroundings,
        )
        try:
            yield from lanes.run([Job(number, task.tenant) for number, task in enumerate(tasks)], halted)
        finally:
            for task in tasks:
                # What was seen of it is no longer so.
                self._glances.pop(task.step.target, None)

    def _carry_one(self, delta: Delta, target: Target, direction: Direction) -> Outcome:
        (arrival,) = self.carry_all([Step("1", target, delta)], direction, lambda: False)
        if arrival.error is not None:
            raise arrival.error
        return Outcome(arrival.facts)

    def _task(self, step: Step, direction: Direction) -> Task:
        body, back = self._body(step)
        before, after = Head.parse(step.delta.before.decode()), Head.parse(step.delta.after.decode())
        forward = direction is Direction.EXECUTE
        start, seen = before if forward else after, self.seen.get(step.target)
        return Task(
            step=step,
            tenant=tenant_of(step.target),
            direction=direction,
            moves=body.moves if forward else back,
            start=start,
            goal=after if forward else before,
            glance=self._glances.get(step.target),
            likely=seen.rows if seen and seen.head == start else (),
            proved=self._proved.get(step.target, frozenset()),
        )

    def _body(self, step: Step) -> tuple[SqlBody, tuple[PlannedMove, ...]]:
        """Give a delta's body, read once for all steps that share it, and the moves that take it back."""
        delta = step.delta
        kept = self._bodies.get(id(delta))
        if kept is None or kept[0] is not delta:
            body = decode_body(delta.body)
            back = alone_where_needed(opposite(body.moves), (), self._database_of(step.target).dialect)
            kept = self._bodies[id(delta)] = (delta, body, back)
        return kept[1], kept[2]

    def _by_database(self, targets: Iterable[Target]) -> list[tuple[Database, list[Target]]]:
        groups: dict[str, list[Target]] = {}
        for target in targets:
            groups.setdefault(target.address.partition("/")[0], []).append(target)
        return [(self._database_of(group[0]), group) for group in groups.values()]

    def _database_of(self, target: Target) -> Database:
        name = target.address.partition("/")[0]
        if name not in self._databases:
            known = ", ".join(sorted(self._databases)) or "none"
            raise UsageError(f"the project file has no database {name!r}", hint=f"known are: {known}")
        return self._databases[name]

    def _glance(self, database: Database, targets: Sequence[Target]) -> dict[Target, Glance | PdeltaError]:
        given = {target: self._given.pop(target) for target in targets if target in self._given}
        self._glances |= given
        found: dict[Target, Glance | PdeltaError] = dict(given)
        by_name = {tenant_of(target): target for target in targets if target not in given}
        if not by_name:
            return found
        glances = database.glance(list(by_name))
        for name, target in by_name.items():
            glance = glances.get(name)
            if isinstance(glance, Glance):
                found[target] = self._glances[target] = glance
            elif isinstance(glance, PdeltaError):
                found[target] = glance
            elif glance is not None:
                raise glance
            else:
                told = f"{target.address}: there is no such tenant"
                found[target] = DatabaseError(told, cause=Cause.MISSING, hint="list them: pdelta sql status")
        return found

    def _survey(
        self, database: Database, targets: Sequence[Target], *, own: bool
    ) -> dict[Target, tuple[Head, tuple[Applied, ...]] | PdeltaError]:
        glances = self._glance(database, targets)
        found: dict[Target, tuple[Head, tuple[Applied, ...]] | PdeltaError] = {}
        by_head: dict[Head, list[Target]] = {}
        unread: list[Target] = []
        for target, glance in glances.items():
            if isinstance(glance, PdeltaError):
                found[target] = glance
            elif not glance.managed:
                found[target] = (EMPTY_HEAD, ())
            elif own or glance.head is None:
                unread.append(target)
            else:
                by_head.setdefault(glance.head, []).append(target)
        first = [group[0] for group in by_head.values()]
        read = database.ledgers([tenant_of(target) for target in (*unread, *first)])
        for target in unread:
            found[target] = _ledger(read.get(tenant_of(target)))
        for head, group in by_head.items():
            one = _ledger(read.get(tenant_of(group[0])))
            if isinstance(one, PdeltaError) or one[0] != head:
                # Its stamp was wrong, or it changed meanwhile: no other tenant is judged by it.
                rest = database.ledgers([tenant_of(target) for target in group])
                found |= {target: _ledger(rest.get(tenant_of(target))) for target in group}
            else:
                found |= dict.fromkeys(group, one)
        return found


def _ledger(rows: Sequence[Applied] | Exception | None) -> tuple[Head, tuple[Applied, ...]] | PdeltaError:
    if isinstance(rows, PdeltaError):
        return rows
    if isinstance(rows, Exception):
        raise rows
    kept = tuple(rows or ())
    return head_of_rows(kept), kept


def _left(task: Task, carrier: Carrier, database: Database, attempts: int, error: DatabaseError | None) -> Arrival:
    """Give the arrival of what was not begun, or what never got its locks."""
    if error is None and not attempts:
        return Arrival(task.step, task.told(Standing.BEFORE), touched=False)
    try:
        where: Standing | None = task.told(standing(carrier.look(task.tenant), task.moves))
    except PdeltaError:
        where = None
    if error is None:
        return Arrival(task.step, where, touched=False)
    held = "; ".join(database.blockers(task.tenant))
    told = DatabaseError(
        f"{error.message}; held by {held}" if held else error.message,
        cause=error.cause,
        sqlstate=error.sqlstate,
        reason=error.reason,
        hint=error.hint or "the same command goes on with it once its locks are free",
        place=error.place,
        held=held,
    )
    return Arrival(task.step, where, error=told)
