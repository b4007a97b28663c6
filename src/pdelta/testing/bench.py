"""The stage of the contract of databases: what an adapter's bench gives, and what the tests do and ask on it.

``testing.database`` is the suite. Everything here that looks at a tenant does so as a process that has just started.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, ParamSpec, Protocol, TypeVar

import msgspec

from pdelta.databases.base import Database, Glance, Move, Session, Work
from pdelta.errors import DatabaseError, PdeltaError, StaleError
from pdelta.sql.ledger import EMPTY_HEAD, Applied, Head, State, Way, head_of
from pdelta.sql.lint.finding import TableSize
from pdelta.sql.piece import Piece

Error = TypeVar("Error", bound=Exception)
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

LOCK_TIMEOUT_MS: Final = 3_000

NOTES: Final = "CREATE TABLE notes (id INTEGER PRIMARY KEY, body VARCHAR(80) NOT NULL)"
HOSTILE: Final = "Robert'); DROP TABLE notes; -- \\ \\' \" ` %s %(id)s :id ? $1 {0} ${name}\n\t雪 😀"
"""What quoting must carry through unharmed; without the NUL, which no server takes."""
INSERT_ONE: Final = "INSERT INTO notes VALUES (1, 'one')"
INSERT_TWO: Final = "INSERT INTO notes VALUES (2, 'two')"
MANY_NOTES: Final = 400
INSERT_MANY: Final = "INSERT INTO notes VALUES " + ", ".join(  # noqa: S608 - numbers of ours
    f"({number}, 'a note of {number}')" for number in range(MANY_NOTES)
)
DELETE_ONE: Final = "DELETE FROM notes WHERE id = 1"
RENAME_ONE: Final = "UPDATE notes SET body = 'uno' WHERE id = 1"
RENAME_BACK: Final = "UPDATE notes SET body = 'one' WHERE id = 1"
SELECT_NOTES: Final = "SELECT id, body FROM notes ORDER BY id"


class Bench(Protocol):
    """What an adapter is tested on.

    Attributes:
        tenants: At least three, all of them empty when the bench is made; the name of the last needs quoting.
        slow: A SELECT that takes far longer than ten seconds.
    """

    tenants: Sequence[str]
    slow: str

    def database(self) -> Database:
        """Give the adapter, with these tenants, as a process that has just started has it."""
        ...

    def run(self, tenant: str, text: str) -> None:
        """Execute one statement in a tenant, durably."""
        ...

    def rows(self, tenant: str, text: str) -> list[tuple[Any, ...]]:
        """Give the rows of a SELECT in a tenant."""
        ...

    def held(self, tenant: str) -> AbstractContextManager[None]:
        """Hold a tenant inside, as somebody else who writes it for long, so that no commit gets through."""
        ...

    def cut(self, tenant: str) -> bool:
        """Break every connection that is executing something in a tenant; False where none can be broken."""
        ...

    def drop(self, tenant: str) -> None:
        """Remove a tenant with all that is in it."""
        ...

    def close(self) -> None:
        """Tidy up."""
        ...


class Stage:
    """A bench, with what the tests ask of it; each question and each commit is a new process's."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.tenant = bench.tenants[0]

    def glance(self, tenant: str) -> Glance:
        """Give what is seen of a tenant."""
        with self.bench.database() as database:
            found = database.glance([tenant])[tenant]
        assert isinstance(found, Glance), found
        return found

    def ledger(self, tenant: str) -> list[Applied]:
        """Give the rows of a tenant's ledger, sorted by id."""
        with self.bench.database() as database:
            found = database.ledgers([tenant])[tenant]
        assert not isinstance(found, Exception), found
        return sorted(found, key=lambda one: one.id)

    def notes(self, tenant: str) -> list[tuple[Any, ...]]:
        """Give what the deltas of the tests write."""
        return [tuple(one) for one in self.bench.rows(tenant, SELECT_NOTES)]

    def history(self, tenant: str) -> list[tuple[Way, Applied]]:
        """Give the history in its order, by the columns that every engine has."""
        names = Applied.__struct_fields__
        found = self.bench.rows(tenant, f"SELECT way, left_at, {', '.join(names)} FROM pdelta_history ORDER BY number")  # noqa: S608 - names of our own
        assert all(one[1] for one in found), "when the row left is missing"
        return [(Way(one[0]), msgspec.convert(dict(zip(names, one[2:], strict=True)), Applied)) for one in found]

    def left(self, tenant: str) -> list[tuple[str, str]]:
        """Give in which runs rows went into the history, and who asked for it."""
        found = self.bench.rows(tenant, "SELECT left_run, left_who FROM pdelta_history ORDER BY number")
        return [(one[0], one[1]) for one in found]

    def work(self, tenant: str, moves: Sequence[Move], rows: Sequence[Applied] | None = None) -> Work:
        """Give the work that makes these moves from what the tenant has now, or from these rows."""
        now = list(rows) if rows is not None else self.ledger(tenant)
        before = head_after(now)
        for move in moves:
            now = [one for one in now if one.id != move.row.id]
            if move.way is Way.APPLY:
                now.append(move.row)
        return Work(tenant, before, head_after(now), tuple(moves), self.glance(tenant))

    def commit(self, work: Work, *, lock_timeout_ms: int = LOCK_TIMEOUT_MS) -> None:
        """Do one work."""
        with self.bench.database() as database:
            session = database.session(database.lane(work.tenant))
            try:
                session.commit([work], lock_timeout_ms=lock_timeout_ms)
            finally:
                session.close()

    def record(self, tenant: str, now: Applied | None, former: Applied | None, run: str = "", who: str = "") -> Head:
        """Write one row of the journal."""
        with self.bench.database() as database:
            session = database.session(database.lane(tenant))
            try:
                return session.record(tenant, now, former=former, glance=self.glance(tenant), run=run, who=who)
            finally:
                session.close()

    def fingerprint(self, tenant: str, *names: str) -> str:
        """Give what the tenant's catalogue says of these names."""
        with self.bench.database() as database:
            session = database.session(database.lane(tenant))
            try:
                return session.fingerprint(tenant, names)
            finally:
                session.close()

    def sizes(self, *tenants: str) -> Mapping[str, TableSize]:
        """Give how large the tables of some tenants are."""
        with self.bench.database() as database:
            return database.table_sizes(tenants)

    def race(self, work: Work, start: threading.Barrier, results: list[Exception | None], place: int) -> None:
        """Do one work at the same moment as others, and leave what became of it at its place."""
        try:
            with self.bench.database() as database:
                session = database.session(database.lane(work.tenant))
                start.wait()
                try:
                    session.commit([work], lock_timeout_ms=LOCK_TIMEOUT_MS)
                finally:
                    session.close()
        except Exception as error:  # noqa: BLE001 - what it is, the test says
            results[place] = error

    def agrees(self, tenant: str) -> Head:
        """Assert that the stamp says what the ledger says, and give it."""
        glance = self.glance(tenant)
        assert glance.managed
        assert glance.head == head_after(self.ledger(tenant))
        return glance.head

    def untouched(self, tenant: str) -> None:
        """Assert that a tenant has neither a delta nor a note, nor is half way to either."""
        assert self.ledger(tenant) == []
        assert self.notes(tenant) == []
        assert self.glance(tenant).head in {None, EMPTY_HEAD}


def row(id: str) -> Applied:
    """Give an applied row with something in every field, in which everything that needs quoting stands."""
    return Applied(
        id=id, digest="a" * 64, reverse=HOSTILE, captured='{"a": "\\"\'"}', irreversible="no 'why'", proof="schema",
        run="run:1", who="o'neill@example", at="2026-01-31T23:59:59Z", tool="pdelta 0.1.0",
    )  # fmt: skip


def forward(id: str, *statements: str) -> Move:
    """Give the move that applies a delta of these statements."""
    return Move(Way.APPLY, row(id), tuple(map(Piece, statements)))


def back(id: str, *statements: str) -> Move:
    """Give the move that takes it back by these."""
    return Move(Way.REVERSE, row(id), tuple(map(Piece, statements)), run="run:back", who="o'reilly@example")


def counted(label: str) -> str:
    """Give an expression that says whether there are notes when it is evaluated."""
    return f"(SELECT CASE WHEN count(*) > 0 THEN '{label}: some;' ELSE '{label}: none;' END FROM notes)"  # noqa: S608 - a literal of ours


def at_step(state: State, step: int) -> Applied:
    """Give the row of a delta of two steps without a transaction."""
    return msgspec.structs.replace(row("steps"), state=state, step=step, steps=2)


def head_after(rows: Sequence[Applied]) -> Head:
    """Give the head of these rows."""
    return head_of((one.id, one.digest, one.state) for one in rows)


def each(session: Session, works: Sequence[Work]) -> list[PdeltaError | None]:
    """Do these works by ``Session.commit_each`` until one fails; give what became of each that was begun."""
    outcomes: list[PdeltaError | None] = []
    while len(outcomes) < len(works) and not any(outcomes):
        outcomes += session.commit_each(works[len(outcomes) :], lock_timeout_ms=LOCK_TIMEOUT_MS)
    return outcomes


def raises(
    kind: type[Error], act: Callable[Arguments, object], *args: Arguments.args, **named: Arguments.kwargs
) -> Error:
    """Give the error of this kind that it must raise."""
    try:
        act(*args, **named)
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


def refusal(act: Callable[Arguments, object], *args: Arguments.args, **named: Arguments.kwargs) -> DatabaseError:
    """Give the ``DatabaseError`` that it must raise."""
    return raises(DatabaseError, act, *args, **named)


def staleness(act: Callable[Arguments, object], *args: Arguments.args, **named: Arguments.kwargs) -> str:
    """Give the message of the ``StaleError`` that it must raise."""
    return raises(StaleError, act, *args, **named).message


def within_s(limit_s: float, act: Callable[[], Result]) -> Result:
    """Give what it gives, if that comes in time; the bound is generous, for machines that are busy."""
    done: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(act())
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(limit_s)
    assert not thread.is_alive(), f"still at it after {limit_s} s"
    if failed:
        raise failed[0]
    return done[0]


@contextmanager
def repeatedly(act: Callable[[], object], every_s: float = 0.2) -> Iterator[None]:
    """Do this in another thread, again and again, while the block runs."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(every_s):
            act()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
