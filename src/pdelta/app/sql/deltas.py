"""The deltas of one database, ready to be wished for: read, put in order, and made moves for each tenant."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.fleet import Fleet
from pdelta.app.sql.memory import Known
from pdelta.app.sql.scripts import Files, folder_of, ordered_scripts, read_files
from pdelta.errors import PreflightError, UsageError
from pdelta.formats.sql_moves import PlannedMove
from pdelta.sql.alone import alone as stand_alone
from pdelta.sql.alone import enforces
from pdelta.sql.leaving import is_for_its_transaction
from pdelta.sql.ledger import Way
from pdelta.sql.mark import Mark, encode_mark
from pdelta.sql.misfit import misfit
from pdelta.sql.order import SUFFIX, holds
from pdelta.sql.piece import Piece
from pdelta.sql.placeholder import Template, template
from pdelta.sql.scope import Scope
from pdelta.sql.script import Part, Script, Transaction, digest
from pdelta.sql.split import Statement, split
from pdelta.sql.token import Dialect, Mode

if TYPE_CHECKING:
    from pdelta.sql.derive import Refusal


Settled = AbstractSet[tuple[str, str]]
"""Deltas that all tenants have, each its id and its digest."""


class Delta(msgspec.Struct, frozen=True):
    """One delta, ready for any tenant.

    Attributes:
        script: Its file.
        digest: Of its forward statements.
        statements: Its statements by part.
        templates: The same, where placeholders stand in them; empty where none do.
        alone: Whether its statements run without a transaction.
        apart: Whether it shares its transaction with no other delta.
        holds: Of a baseline: the ids of the deltas that it stands for; empty where their files are gone, too.
    """

    script: Script
    digest: str
    statements: Mapping[Part, tuple[Statement, ...]]
    templates: Mapping[Part, tuple[Template, ...]]
    alone: bool
    apart: bool = False
    holds: tuple[str, ...] = ()

    @property
    def derives(self) -> bool:
        """Whether its reverse is calculated in each tenant."""
        return not (self.statements[Part.REVERSE] or self.script.irreversible or self.holds)


class Deltas:
    """All deltas of one database, in the order of application.

    Args:
        scripts: In that order.
        dialect: How they are read.
        modes: What the server changes about that.

    Raises:
        ScriptError: A placeholder makes no sense.
    """

    def __init__(self, scripts: Sequence[Script], dialect: Dialect, modes: frozenset[Mode]) -> None:
        """Prepare all."""
        self._dialect = dialect
        self._modes = modes
        self._moves: dict[str, PlannedMove] = {}
        held = holds(scripts)
        self.all = tuple(_prepared(script, dialect, modes, held.get(script.id, ())) for script in scripts)

    @property
    def ids(self) -> tuple[str, ...]:
        """Their ids, in order."""
        return tuple(delta.script.id for delta in self.all)

    def of(self, scope: Scope, deltas: Sequence[Delta]) -> tuple[Delta, ...]:
        """Give those of some deltas that are for a tenant, or for a server."""
        return tuple(delta for delta in deltas if delta.script.scope is scope)

    @property
    def baselines(self) -> tuple[Delta, ...]:
        """Those that stand for others, in order."""
        return tuple(delta for delta in self.all if delta.script.baseline)

    @property
    def have_servers(self) -> bool:
        """Whether any is for a server."""
        return any(delta.script.scope is Scope.ONCE for delta in self.all)

    @property
    def asks_for_values(self) -> bool:
        """Whether a placeholder stands in any of them, so that tenants have moves of their own."""
        return any(delta.templates for delta in self.all)

    @property
    def known(self) -> Settled:
        """All of them as they are now."""
        return {(delta.script.id, delta.digest) for delta in self.all}

    @property
    def outline(self) -> tuple[Known, ...]:
        """What is remembered of them."""
        return tuple(
            Known(delta.script.id, delta.script.name, delta.digest, delta.script.scope, delta.script.baseline)
            for delta in self.all
        )

    def until(self, last: str) -> tuple[Delta, ...]:
        """Give the deltas up to this one.

        Raises:
            UsageError: There is no such delta.
        """
        return self.all[: self.place(last) + 1]

    def place(self, name: str) -> int:
        """Give where a delta stands in the order; it is named by its id or by its file.

        Raises:
            UsageError: There is no such delta.
        """
        name = name.removesuffix(".sql")
        for place, delta in enumerate(self.all):
            if name in {delta.script.id, delta.script.name}:
                return place
        raise UsageError(f"there is no delta {name!r}", hint="list them: pdelta sql status")

    def misfits(self, ids: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Give what of some deltas, and of their written reverses, pdelta executes in no tenant: file, line and why.

        Args:
            ids: Of which; the others count for nothing.
        """
        found = {
            delta.script.id: tuple(
                _told(delta.script, statement.line, why, statement.text)
                for part in (Part.FORWARD, Part.REVERSE)
                for statement in delta.statements[part]
                if (why := misfit(statement, self._dialect) or self._fleeting(statement, delta, part))
            )
            for delta in self.all
            if delta.script.id in ids
        }
        return {id: told for id, told in found.items() if told}

    def _fleeting(self, statement: Statement, delta: Delta, part: Part) -> str:
        """Give why a setting would have no effect; empty where it has, or this is none."""
        if self._dialect is not Dialect.POSTGRESQL or not is_for_its_transaction(statement):
            return ""
        steps = delta.alone or bool(stand_alone(delta.statements[part], self._dialect))
        return "SET LOCAL ends with its step, as no transaction holds these; SET holds until the last one" * steps

    def moves(
        self, deltas: Sequence[Delta], tenant: str, values: Mapping[str, str], settled: Settled
    ) -> tuple[PlannedMove, ...]:
        """Give what applies these deltas in a tenant.

        Args:
            deltas: Which.
            tenant: Its name.
            values: What placeholders stand for.
            settled: Those that all have; of these no reverse is derived, which takes a while.

        Raises:
            ScriptError: The tenant lacks a value.
            PreflightError: A reverse can't be derived; all that can't are named.
        """
        moves: list[PlannedMove] = []
        refusals: list[str] = []
        for delta in deltas:
            if delta.derives and (delta.script.id, delta.digest) in settled:
                moves.append(
                    PlannedMove(
                        way=Way.APPLY,
                        id=delta.script.id,
                        digest=delta.digest,
                        underived=True,
                        repeatable=delta.script.repeatable,
                        alone=delta.alone,
                    )
                )
                continue
            kept = None if delta.templates else self._moves.get(delta.script.id)
            if kept is None:
                kept = self._move(delta, tenant, values, refusals)
                self._moves[delta.script.id] = kept
            moves.append(kept)
        if refusals:
            raise PreflightError(
                "pre-flight refused, nothing was changed: deltas can't be taken back",
                findings=tuple(refusals),
                hint='write the reverse below -- Reversible delta, or say there is none: -- pdelta: irreversible="why"',
            )
        return tuple(moves)

    def _move(self, delta: Delta, tenant: str, values: Mapping[str, str], refusals: list[str]) -> PlannedMove:
        script = delta.script
        texts = {part: [statement.text for statement in held] for part, held in delta.statements.items()}
        if delta.templates:
            texts = {
                part: [one.fill(values, self._dialect, tenant=tenant, modes=self._modes) for one in held]
                for part, held in delta.templates.items()
            }
        pieces = tuple(Piece(text, number=number) for number, text in enumerate(texts[Part.FORWARD], start=1))
        rows = False
        if delta.derives:
            from pdelta.sql.derive import derive

            forward = delta.statements[Part.FORWARD]
            if delta.templates:
                filled = ";\n".join(texts[Part.FORWARD])
                forward = tuple(split(filled, self._dialect, modes=self._modes))
            is_once = script.scope is Scope.ONCE
            derived = derive(forward, self._dialect, delta=script.id, once=is_once, stepwise=delta.alone)
            refusals += [_refusal(script, refusal) for refusal in derived.refusals]
            pieces, rows = derived.pieces, derived.rows
        return PlannedMove(
            way=Way.APPLY,
            id=script.id,
            digest=delta.digest,
            name=script.name,
            pieces=pieces,
            # What a baseline brought is taken back delta by delta: its own row only says what came with it.
            reverse="" if delta.holds else "".join(f"{text};\n" for text in texts[Part.REVERSE]),
            irreversible="" if delta.holds else script.irreversible,
            captured=encode_mark(Mark(holds=delta.holds)),
            check=tuple(texts[Part.CHECK]),
            verify=tuple(texts[Part.VERIFY]),
            alone=delta.alone,
            apart=delta.apart,
            lock_timeout_ms=script.lock_timeout_ms or 0,
            repeatable=script.repeatable,
            derived="rows" if rows else "schema" if delta.derives else "",
        )


def read_deltas(fleet: Fleet, context: Context) -> Deltas:
    """Read the deltas of a fleet's section.

    Raises:
        PdeltaError: The folder or a file can't be read, or makes no sense.
    """
    return deltas_in(read_files(folder_of(context, fleet.section)), fleet, context)


def deltas_in(files: Files, fleet: Fleet, context: Context) -> Deltas:
    """Give the deltas that the files of a fleet's folder hold.

    Raises:
        PdeltaError: A file makes no sense.
    """
    section, database = fleet.section, fleet.database
    where = str(folder_of(context, section))
    scripts = ordered_scripts(files, database.dialect, style=section.style, where=where, modes=database.modes)
    return Deltas(scripts, database.dialect, database.modes)


def _prepared(script: Script, dialect: Dialect, modes: frozenset[Mode], held: tuple[str, ...]) -> Delta:
    statements = {part: script.statements(part, dialect, modes=modes) for part in Part}
    # MySQL commits at each statement anyway, and its adapter says so for all deltas.
    steps = dialect is not Dialect.MYSQL and (
        script.transaction is Transaction.NONE or bool(stand_alone(statements[Part.FORWARD], dialect))
    )
    templates = {part: tuple(template(one, script.name) for one in held) for part, held in statements.items()}
    asks = any(one.placeholders for held in templates.values() for one in held)
    known = digest(statements[Part.FORWARD], dialect)
    # Enforced foreign keys would cascade into what other deltas do.
    apart = dialect is Dialect.SQLITE and any(enforces(statements[part]) for part in (Part.FORWARD, Part.REVERSE))
    return Delta(script, known, statements, templates if asks else {}, steps, apart, held)


def _refusal(script: Script, refusal: "Refusal") -> str:
    return f"no-reverse: {_told(script, refusal.line, refusal.reason, refusal.statement)}"


def _told(script: Script, line: int, reason: str, statement: str) -> str:
    text = " ".join(statement.split())
    shown = text if len(text) <= 60 else text[:59] + "…"
    return f"{script.name}{SUFFIX}: line {line}: {reason}: {shown}"
