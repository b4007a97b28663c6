"""A delta without a transaction around it, one statement after the other; the ledger's row is the journal of its steps.

Before a statement that the engine commits by itself the row says which one it is and what the tenant's catalogue said
of the things that it names; after a crash a catalogue that still says so means that the statement did not happen. A
statement that can share a transaction shares it with the row. A delta that fails half-way is taken back by the steps
that were done.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

import msgspec

from pdelta.databases.base import Database, Glance, Move, Session, Work
from pdelta.errors import Cause, DatabaseError, GuardError, NeedsOperatorError, PdeltaError
from pdelta.formats.sql_moves import PlannedMove
from pdelta.model.amount import counted
from pdelta.operations.sql.work import Workshop
from pdelta.sql import leaving
from pdelta.sql.ahead import Ahead, ahead
from pdelta.sql.alone import needs_no_transaction
from pdelta.sql.derive.kept import may_repeat
from pdelta.sql.ledger import Applied, State, Way, head_of_rows
from pdelta.sql.mark import decode_mark
from pdelta.sql.naming import concerned, names_in, plain
from pdelta.sql.own_rows import settled
from pdelta.sql.piece import AT_LENGTH, GUARD, LOSS_GUARD, Piece, hint_of, told
from pdelta.sql.share import of_another_step
from pdelta.sql.split import Statement, split
from pdelta.sql.token import Dialect

_LEAVE_ROWS: Final = frozenset({"ALTER", "COMMENT", "CREATE", "DROP", "LOCK", "RENAME", "SET"})
"""First words of statements after which a table that they are not about has the rows that it had."""
_OF_A_STATEMENT: Final = frozenset({Cause.BUSY, Cause.DENIED, Cause.FULL, Cause.REFUSED})
"""What can be wrong about one, and not about the way there."""
_BY_HAND: Final = (
    "do by hand what is left of its reverse, as its row of pdelta_applied has it, and delete that row and the one of"
    " pdelta_head"
)
_GO_ON: Final = "correct what made it fail, and apply it again: it goes on behind the last step"


class _Captured(msgspec.Struct, omit_defaults=True):
    """What a row keeps while its delta is under way.

    Attributes:
        explicit: Whether the reverse was written by the author, and not gathered step by step.
        step: The step that was about to happen; -1 for none.
        names: By which one sees whether it did.
        seen: What the catalogue said of these before it.
        left: What lay broken in the tenant before it.
        undo: What takes the step back, as calculated before it.
        former: Of a repeatable delta: the digest of the version that it replaces, or that comes back.
        whole: Whether the delta was applied as a whole, and no step that takes it back was done.
        kept: What the row of such a delta held in place of this.
        reverse: Its own reverse, where that of former versions stands behind it now; empty where none does.
    """

    explicit: bool = False
    step: int = -1
    names: tuple[str, ...] = ()
    seen: str = ""
    left: tuple[str, ...] = ()
    undo: str = ""
    former: str = ""
    whole: bool = False
    kept: str = ""
    reverse: str = ""

    @property
    def between(self) -> "_Captured":
        """What of it is kept between two steps."""
        return _Captured(self.explicit, former=self.former)


class Stepwise:
    """Carries one delta in one tenant, a step at a time.

    Args:
        database: Whose tenant.
        workshop: Makes pieces.
        session: What it is done on.
        tenant: Its name.
        rows: The tenant's ledger.
        lock_ms: How long a statement waits for a lock.
        statement_ms: How long a statement may take; 0 for as long as it does.
    """

    def __init__(
        self,
        database: Database,
        workshop: Workshop,
        session: Session,
        *,
        tenant: str,
        rows: Sequence[Applied],
        lock_ms: int,
        statement_ms: int = 0,
    ) -> None:
        """Stand where the ledger says."""
        self._database = database
        self._workshop = workshop
        self._session = session
        self._tenant = tenant
        self._rows = {row.id: row for row in rows}
        self._lock_ms = lock_ms
        self._statement_ms = statement_ms
        self._settings: tuple[str, ...] = ()

    def carry(
        self, planned: PlannedMove, older: Sequence[Applied] = (), former: Applied | None = None
    ) -> list[Applied]:
        """Make one move, or what is left of it; give the ledger's rows then.

        Args:
            planned: The move.
            older: Versions of a repeatable delta that are taken back with the one that the tenant has, newest first.
            former: The version that comes back then; None for none.

        Raises:
            GuardError: A check refused a step; those before it are done.
            NeedsOperatorError: What was done can't be taken back step by step.
            DatabaseError: A step failed; those before it are done.
        """
        if planned.way is Way.APPLY:
            self._apply(planned)
        else:
            self._reverse(planned, older, former)
        return list(self._rows.values())

    def _apply(self, planned: PlannedMove) -> None:
        row = self._rows.get(planned.id)
        if row is not None and row.state is State.REVERSING:
            self._restore(row)
            return
        move = self._workshop.applying(planned)
        pieces = move.pieces
        if row is None or row.state is State.APPLIED or row.digest != planned.digest:
            replaced = decode_mark(planned.captured).former
            captured = _encode(_Captured(explicit=bool(planned.reverse), former=replaced))
            row = msgspec.structs.replace(move.row, state=State.APPLYING, steps=len(pieces), captured=captured)
        row = self._walk(row, pieces)
        reverse = settled(row.reverse)
        self._record(msgspec.structs.replace(row, state=State.APPLIED, reverse=reverse, captured=planned.captured))

    def _restore(self, row: Applied) -> None:
        """Let a delta be applied again whose way back ended before its first step.

        What a step took back can't be applied again: its data would be lacking, and steps forward are others.
        """
        captured = _decode(row)
        done = row.step + int(self._happened(row, captured))
        if done or not captured.whole:
            part = f"{done} of {counted(row.steps, 'step')}"
            raise self._for_a_person(
                f"{row.id} was taken back by {part}, which can't be applied again",
                hint="correct what made it fail, and take it back again: it goes on behind the last step",
            )
        reverse = captured.reverse or row.reverse
        back = msgspec.structs.replace(
            row, state=State.APPLIED, step=row.steps, reverse=reverse, captured=captured.kept
        )
        self._record(back)

    def _reverse(self, planned: PlannedMove, older: Sequence[Applied], former: Applied | None) -> None:
        row = self._rows[planned.id]
        untouched = self._is_untouched(row, planned)
        if row.irreversible and not untouched:
            self._refuse(planned, row)
        if row.state is State.APPLYING:
            # What stopped half-way, perhaps for being too slow, comes back however long that takes.
            self._statement_ms = 0
            row = self._turn(row, planned)
        elif row.state is State.APPLIED:
            for one in older:
                if one.irreversible:
                    self._refuse(planned, one)
            text = self._workshop.reverse_text((row, *older)) if older else row.reverse
            pieces = self._workshop.reverse_pieces(text, accept_loss=planned.accept_loss)
            self._ask_ahead(pieces, whole=True)
            own = row.reverse if older else ""
            captured = _encode(_Captured(former=planned.former, whole=True, kept=row.captured, reverse=own))
            row = msgspec.structs.replace(
                row, state=State.REVERSING, step=0, steps=len(pieces), reverse=text, captured=captured
            )
        row = self._walk(row, self._workshop.reverse_pieces(row.reverse, accept_loss=planned.accept_loss))
        self._record(row)
        self._write(former, row)
        del self._rows[row.id]
        if former is not None:
            self._rows[former.id] = former

    def _is_untouched(self, row: Applied, planned: PlannedMove) -> bool:
        """Say whether a delta under way has done nothing that would have to be taken back."""
        if row.state is not State.APPLYING or self._happened(row, _decode(row)):
            return False
        done = planned.pieces[: row.step]
        return len(done) == row.step and all(map(self._only_sets, done))

    def _only_sets(self, piece: Piece | Statement) -> bool:
        """Say whether it sets something for its session, and is in PostgreSQL, where that changes nothing else."""
        if self._database.dialect is not Dialect.POSTGRESQL:
            return False
        return leaving.is_setting(piece if isinstance(piece, Statement) else self._split(piece.statement)[0])

    def _for_a_person(self, said: str, *, hint: str) -> NeedsOperatorError:
        """Give what tells a person of this tenant, and is counted as one with what is equal in others."""
        error = NeedsOperatorError(f"{self._tenant}: {said}", hint=hint)
        error.reason = said
        return error

    def _refuse(self, planned: PlannedMove, row: Applied) -> None:
        """Say why a delta without a reverse can't be taken back, and raise."""
        if row.state is State.APPLYING:
            done = row.step + int(self._happened(row, _decode(row)))
            part = f"{done} of {counted(row.steps, 'step')}"
            raise self._for_a_person(
                f"{row.id} stopped after {part}, and they can't be reversed: {row.irreversible}",
                hint=_GO_ON,
            )
        self._workshop.reversing(planned, row, self._tenant)

    def _ask_ahead(self, pieces: Sequence[Piece], *, whole: bool) -> None:
        """Ask what would be lost before the first step, as no later one could be refused without a tenant in between.

        On MySQL that is all that can be answered by then. Elsewhere what is asked behind a statement that changes rows
        is left to its step: that may remove what it would count. Of one that empties a table it is known which.
        """
        if self._database.dialect is Dialect.MYSQL:
            self._try_ahead(ahead(pieces, self._split, whole=whole))
            return
        emptied: set[str] = set()
        for number, piece in enumerate(pieces):
            for text in piece.before:
                # What else is asked may be about what an earlier step changes.
                if not number or (text.startswith(LOSS_GUARD) and emptied.isdisjoint(names_in(self._split(text)))):
                    self._ask_once(text)
            (statement, *_) = self._split(piece.statement)
            if statement.tokens[0].word == "TRUNCATE" and len(statement.tokens) == 3:
                emptied.add(plain(statement.tokens[2].text))
            elif statement.tokens[0].word not in _LEAVE_ROWS:
                return

    def _try_ahead(self, questions: Ahead) -> None:
        for text in questions.asked:
            self._ask_once(text)
        pieces = questions.tried
        for last in (len(pieces), *range(1, len(pieces))):
            # Together, or as far as they can be tried.
            try:
                self._rehearse(pieces[:last])
            except DatabaseError as error:
                if error.cause is not Cause.REFUSED:
                    raise
                if last < len(pieces):
                    return
            else:
                if last == len(pieces):
                    return

    def _rehearse(self, pieces: Sequence[Piece]) -> None:
        """Ask guards behind statements that change rows, and roll those back.

        Raises:
            GuardError: One refused.
            DatabaseError: As its ``cause`` says; ``REFUSED`` where a statement can't be tried.
        """
        if not pieces:
            return
        head = head_of_rows(self._rows.values())
        row = next(iter(self._rows.values()))
        move = Move(Way.APPLY, row, tuple(pieces), replaces=True, is_tried=True)
        works = [Work(self._tenant, head, head, (move,), self._glance())]
        try:
            self._session.rehearse(works, (), lock_timeout_ms=self._lock_ms, statement_timeout_ms=self._statement_ms)
        except GuardError as error:
            raise GuardError(f"{self._tenant}: {error.message}", hint=error.hint) from error

    def _ask_once(self, text: str) -> None:
        try:
            self._surround([text])
        except DatabaseError as error:
            if error.cause is not Cause.REFUSED:
                raise
            # It names what an earlier step brings back; it is asked again then.

    def _turn(self, row: Applied, planned: PlannedMove) -> Applied:
        """Begin to take back a delta that stopped half-way: what its done steps need, and no more."""
        captured = _decode(row)
        done = row.step + int(self._happened(row, captured))
        text = captured.undo + row.reverse if done > row.step and not captured.explicit else row.reverse
        text = settled(text)
        if captured.explicit:
            text = self._share(row, planned, done)
        pieces = self._workshop.reverse_pieces(text, accept_loss=planned.accept_loss)
        try:
            self._ask_ahead(pieces, whole=False)
        except GuardError as error:
            # It stopped half-way, and stays so: whoever asks for the way back does not want it to go on instead.
            raise self._for_a_person(error.message.removeprefix(f"{self._tenant}: "), hint=error.hint) from error
        steps = len(pieces)
        turned = msgspec.structs.replace(row, state=State.REVERSING, step=0, steps=steps, reverse=text, captured="")
        if captured.former:
            turned = msgspec.structs.replace(turned, captured=_encode(_Captured(former=captured.former)))
        return self._record(turned)

    def _share(self, row: Applied, planned: PlannedMove, done: int) -> str:
        """Give the part of an author's reverse that takes the first steps back: its last statements, one a step.

        A reverse that was corrected since counts: the file is of the same delta.
        """
        if not done:
            return ""
        reverse = planned.reverse or row.reverse
        if done == row.steps:
            return reverse
        # What only sets something has nothing that takes it back, and what the reverse sets is for its other steps.
        steps = [not self._only_sets(piece) for piece in planned.pieces] or [True] * row.steps
        undone = sum(steps[done:])
        if sum(steps) == undone:
            return ""
        every = self._split(reverse)
        statements = [one for one in every if not (planned.pieces and self._only_sets(one))]
        stopped = f"{row.id} stopped after {done} of {counted(row.steps, 'step')}"
        if len(statements) != sum(steps):
            raise self._for_a_person(
                f"{stopped}, and its reverse has "
                f"{counted(len(statements), 'statement')}: which of them take those steps back can't be told",
                hint=_GO_ON,
            )
        share = statements[undone:]
        made = [self._split(piece.statement) for piece in planned.pieces if not self._only_sets(piece)]
        if other := of_another_step(share, made):
            raise self._for_a_person(
                f"{stopped}, and its reverse does not go backwards through them: "
                f"{other.text} is about a step that was not done",
                hint=f"{_GO_ON}; or put the statements of its reverse into the opposite order, and take it back",
            )
        return "".join(f"{one.text};\n" for one in every if one in share or self._only_sets(one))

    def _split(self, text: str) -> list[Statement]:
        return list(split(text, self._database.dialect, modes=self._database.modes))

    def _walk(self, row: Applied, pieces: Sequence[Piece]) -> Applied:
        """Do the steps that are left; give the row after the last one."""
        if row.step < len(pieces) and self._happened(row, _decode(row)):
            row = self._finish(row, pieces[row.step], _decode(row))
        statements = [self._split(piece.statement)[0] for piece in pieces]
        self._set_again(row, statements)
        sets = any(map(self._only_sets, statements))
        while row.step < len(pieces):
            piece, statement = pieces[row.step], statements[row.step]
            if sets:
                # No session is kept between two steps, so that each is given anew what those before it have set.
                self._settings = tuple(one.text for one in leaving.held(statements[: row.step]))
            try:
                if piece.calculated or needs_no_transaction(statement, self._database.dialect):
                    row = self._alone(row, piece)
                else:
                    row = self._shared(row, self._together(row, pieces))
            except DatabaseError as error:
                if not error.place and error.cause in _OF_A_STATEMENT:
                    # Whoever executed it knows neither what was before it nor of which delta it is.
                    error.place = f"{row.id}, statement {piece.number or row.step + 1}"
                    said = error.message.removeprefix(f"{self._tenant}: ")
                    error.message = f"{self._tenant}: {error.place}: {said}"
                raise
        return row

    def _set_again(self, row: Applied, statements: Sequence[Statement]) -> None:
        """Set what earlier steps have set for a session that has ended since; MySQL's steps share one, and no others.

        Raises:
            NeedsOperatorError: They gave what can't be given again, and what is left may need that.
        """
        if self._database.dialect is not Dialect.MYSQL or not row.step:
            return
        done, left = statements[: row.step], statements[row.step :]
        if (given := leaving.lost(done, left)) is not None:
            back = f"take it back, and apply it again: pdelta sql rollback --only {self._tenant}"
            raise self._for_a_person(
                f"{row.id} stopped after {row.step} of {counted(row.steps, 'step')}, and what"
                f" {given.text} gave is lost with its session",
                hint=_BY_HAND if row.state is State.REVERSING else back,
            )
        for statement in leaving.settings(done):
            self._execute(statement.text)

    def _alone(self, row: Applied, piece: Piece) -> Applied:
        """Do one step that no transaction takes."""
        self._surround(piece.before)
        if piece.calculated:
            piece = msgspec.structs.replace(piece, statement=self._evaluated(piece.statement))
        self._make_room(piece)
        (statement, *_) = self._split(piece.statement)
        if may_repeat(statement):
            undo = self._evaluated(piece.undo)
            self._execute_set(piece.statement)
            # Whoever finds the row as it was before does it again.
            return self._done(row, piece, msgspec.structs.replace(_decode(row), undo=undo))
        names = tuple(sorted(concerned(statement, self._database.dialect)))
        captured = msgspec.structs.replace(
            _decode(row),
            step=row.step,
            names=names,
            seen=self._session.fingerprint(self._tenant, names),
            left=tuple(self._session.broken(self._tenant)),
            undo=self._evaluated(piece.undo),
        )
        before, row = row, self._record(msgspec.structs.replace(row, captured=_encode(captured)))
        try:
            self._execute_set(piece.statement)
        except PdeltaError:
            if not self._happened(row, captured):
                # Known now, and not to be told later from a catalogue that a person may have changed since.
                self._record(before)
            raise
        return self._finish(row, piece, captured)

    def _finish(self, row: Applied, piece: Piece, captured: _Captured) -> Applied:
        """Record that a step was done; after the last one that is left to what ends the move."""
        after = self._done(row, piece, captured)
        return self._record(after) if after.step < after.steps else after

    def _done(self, row: Applied, piece: Piece, captured: _Captured) -> Applied:
        """Give the row behind a step that was done."""
        late = self._evaluated(piece.late_undo)
        self._surround(piece.after)
        return msgspec.structs.replace(
            row,
            step=row.step + 1,
            reverse=settled(late + captured.undo + row.reverse),
            captured=_encode(captured.between),
        )

    def _together(self, row: Applied, pieces: Sequence[Piece]) -> tuple[Piece, ...]:
        """Give the steps that share the next transaction: on the way back, all that a lock is to hold for.

        What guards see behind it is then true until what they are about is done.
        """
        first, *more = pieces[row.step :]
        if row.state is State.APPLYING or self._word(first) != "LOCK":
            return (first,)
        dialect = self._database.dialect
        return first, *takewhile(lambda one: not needs_no_transaction(self._split(one.statement)[0], dialect), more)

    def _word(self, piece: Piece) -> str:
        return self._split(piece.statement)[0].tokens[0].word

    def _shared(self, row: Applied, pieces: tuple[Piece, ...]) -> Applied:
        """Do steps in a transaction with the row that says so, and that it says of the steps before them as well."""
        former = self._rows.get(row.id)
        if former is None or (former.state, former.digest) != (row.state, row.digest):
            self._record(row)
        after = msgspec.structs.replace(row, step=row.step + len(pieces), captured=_encode(_decode(row).between))
        head = head_of_rows(self._rows.values())
        first, *more = pieces
        first = msgspec.structs.replace(first, before=(*self._settings, *first.before))
        move = Move(Way.APPLY, after, (first, *more), replaces=True)
        self._session.commit(
            [Work(self._tenant, head, head, (move,), self._glance())],
            lock_timeout_ms=self._lock_ms,
            statement_timeout_ms=self._statement_ms,
        )
        if any(piece.undo or piece.late_undo for piece in pieces):
            found = self._database.ledgers([self._tenant])[self._tenant]
            if isinstance(found, Exception):
                raise found
            after = next(one for one in found if one.id == after.id)
        self._rows[after.id] = after
        return after

    def _happened(self, row: Applied, captured: _Captured) -> bool:
        """Say whether the step that was about to happen when somebody stopped did happen."""
        if captured.step != row.step:
            return False
        self._clean(captured)
        now = self._session.fingerprint(self._tenant, captured.names)
        was, _, other = captured.seen.partition(":")
        if other and now not in {captured.seen, f"{other}:{was}"}:
            raise self._for_a_person(
                f"{row.id} stopped in step {row.step + 1} of {row.steps}, and whether the partition was"
                " exchanged can't be told: rows were changed since, in it or in the table",
                hint="look where they are, and bring both back to where they were before it; then run the same command",
            )
        return now != captured.seen

    def _clean(self, captured: _Captured) -> None:
        """Remove what a failed step left broken, and nothing that lay there before."""
        for remedy in self._session.broken(self._tenant):
            if remedy not in captured.left:
                # However long that takes: what a statement that was too slow has left must not stay.
                self._session.alone(self._tenant, remedy, lock_timeout_ms=self._lock_ms)

    def _make_room(self, piece: Piece) -> None:
        """Remove the broken index that has the name of one which a step makes: IF NOT EXISTS would take it for done."""
        (made, *_) = self._split(piece.statement)
        words = [token.word for token in made.tokens]
        if words[0] != "CREATE" or not {"INDEX", "ON"} <= set(words):
            return
        from pdelta.sql.lint.reading import folded  # few deltas make an index alone

        dialect = self._database.dialect
        wanted = folded(made.tokens[words.index("ON") - 1], dialect)
        for remedy in self._session.broken(self._tenant):
            if folded(self._split(remedy)[0].tokens[-1], dialect) == wanted:
                self._session.alone(self._tenant, remedy, lock_timeout_ms=self._lock_ms)

    def _execute(self, text: str) -> None:
        self._session.alone(self._tenant, text, lock_timeout_ms=self._lock_ms, statement_timeout_ms=self._statement_ms)

    def _execute_set(self, text: str) -> None:
        self._execute(";\n".join((*self._settings, text)))

    def _surround(self, texts: Sequence[str]) -> None:
        """Ask guards, and execute what else stands around a statement."""
        for text in texts:
            if text.startswith((GUARD, LOSS_GUARD)):
                rows = self._session.query(self._tenant, text, statement_timeout_ms=self._statement_ms)
                refusal = str(rows[0][0] or "") if rows else ""
                if refusal:
                    raise GuardError(f"{self._tenant}: {refusal}", hint=hint_of(text))
            else:
                self._execute(text)

    def _evaluated(self, expression: str) -> str:
        if not expression:
            return ""
        text = f"SELECT {AT_LENGTH if self._workshop.dialect is Dialect.MYSQL else ''}{expression}"
        rows = self._session.query(self._tenant, text, statement_timeout_ms=self._statement_ms)
        return told(str(rows[0][0] or ""), self._evaluated)

    def _record(self, row: Applied) -> Applied:
        """Write a row into the ledger, unless it has it."""
        former = self._rows.get(row.id)
        if row != former:
            self._write(row, former)
            self._rows[row.id] = row
        return row

    def _write(self, row: Applied | None, former: Applied | None) -> None:
        self._session.record(
            self._tenant, row, former=former, glance=self._glance(), run=self._workshop.run, who=self._workshop.who
        )

    def _glance(self) -> Glance:
        """Give what is known of the tenant: nothing that could have become old."""
        return Glance(managed=bool(self._rows), head=None)


def _decode(row: Applied) -> _Captured:
    return msgspec.json.decode(row.captured, type=_Captured) if row.captured else _Captured()


def _encode(captured: _Captured) -> str:
    return msgspec.json.encode(captured).decode()
