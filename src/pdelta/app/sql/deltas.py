"""The deltas of one database, ready to be wished for: read, put in order, and made moves for each tenant."""

from collections.abc import Mapping, Sequence

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.fleet import Fleet
from pdelta.app.sql.scripts import folder_of, read_scripts
from pdelta.errors import PdeltaError, PreflightError, UsageError
from pdelta.formats.sql_moves import PlannedMove
from pdelta.sql.alone import alone as stand_alone
from pdelta.sql.ledger import Way
from pdelta.sql.piece import Piece
from pdelta.sql.placeholder import Template, template
from pdelta.sql.script import Part, Scope, Script, Transaction, digest
from pdelta.sql.token import Dialect, Mode


class Delta(msgspec.Struct, frozen=True):
    """One delta, ready for any tenant.

    Attributes:
        script: Its file.
        digest: Of its forward statements.
        move: What applies it, as every tenant makes it that gives it no values.
        templates: Its statements by part, where placeholders stand in them; empty where none do.
    """

    script: Script
    digest: str
    move: PlannedMove
    templates: Mapping[Part, tuple[Template, ...]] = {}


class Deltas:
    """All deltas of one database, in the order of application.

    Args:
        scripts: In that order.
        dialect: How they are read.
        modes: What the server changes about that.

    Raises:
        PreflightError: Some can't be taken back, and don't say that this is meant; all of them are named.
        ScriptError: A placeholder makes no sense.
    """

    def __init__(self, scripts: Sequence[Script], dialect: Dialect, modes: frozenset[Mode]) -> None:
        """Prepare all."""
        self._dialect = dialect
        self._modes = modes
        self.all = tuple(_prepared(script, dialect, modes) for script in scripts)
        _refuse([delta for delta in self.all if _lacks_reverse(delta)])

    @property
    def ids(self) -> tuple[str, ...]:
        """Their ids, in order."""
        return tuple(delta.script.id for delta in self.all)

    def of(self, scope: Scope, deltas: Sequence[Delta]) -> tuple[Delta, ...]:
        """Give those of some deltas that are for a tenant, or for a server."""
        return tuple(delta for delta in deltas if delta.script.scope is scope)

    @property
    def have_servers(self) -> bool:
        """Whether any is for a server."""
        return any(delta.script.scope is Scope.ONCE for delta in self.all)

    @property
    def asks_for_values(self) -> bool:
        """Whether a placeholder stands in any of them, so that tenants have moves of their own."""
        return any(delta.templates for delta in self.all)

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

    def moves(self, deltas: Sequence[Delta], tenant: str, values: Mapping[str, str]) -> tuple[PlannedMove, ...]:
        """Give what applies these deltas in a tenant.

        Raises:
            ScriptError: The tenant lacks a value.
        """
        return tuple(self._filled(delta, tenant, values) if delta.templates else delta.move for delta in deltas)

    def _filled(self, delta: Delta, tenant: str, values: Mapping[str, str]) -> PlannedMove:
        texts = {
            part: [one.fill(values, self._dialect, tenant=tenant, modes=self._modes) for one in templates]
            for part, templates in delta.templates.items()
        }
        return _move(delta.script, delta.digest, texts, alone=delta.move.alone)


def read_deltas(fleet: Fleet, context: Context) -> Deltas:
    """Read the deltas of a fleet's section.

    Raises:
        PdeltaError: The folder or a file can't be read, or makes no sense.
    """
    section, database = fleet.section, fleet.database
    folder = folder_of(context, section)
    scripts = read_scripts(folder, database.dialect, style=section.style, modes=database.modes)
    return Deltas(scripts, database.dialect, database.modes)


def _prepared(script: Script, dialect: Dialect, modes: frozenset[Mode]) -> Delta:
    statements = {part: script.statements(part, dialect, modes=modes) for part in Part}
    known = digest(statements[Part.FORWARD], dialect)
    # MySQL commits at each statement anyway, and its adapter says so for all deltas.
    steps = dialect is not Dialect.MYSQL and (
        script.transaction is Transaction.NONE or bool(stand_alone(statements[Part.FORWARD], dialect))
    )
    templates = {part: tuple(template(one, script.name) for one in held) for part, held in statements.items()}
    texts = {part: [statement.text for statement in held] for part, held in statements.items()}
    move = _move(script, known, texts, alone=steps)
    asks = any(one.placeholders for held in templates.values() for one in held)
    return Delta(script, known, move, templates if asks else {})


def _move(script: Script, known: str, texts: Mapping[Part, Sequence[str]], *, alone: bool) -> PlannedMove:
    return PlannedMove(
        way=Way.APPLY,
        id=script.id,
        digest=known,
        name=script.name,
        pieces=tuple(Piece(text) for text in texts[Part.FORWARD]),
        reverse="".join(f"{text};\n" for text in texts[Part.REVERSE]),
        irreversible=script.irreversible,
        check=tuple(texts[Part.CHECK]),
        verify=tuple(texts[Part.VERIFY]),
        alone=alone,
        lock_timeout_ms=script.lock_timeout_ms or 0,
        repeatable=script.repeatable,
    )


def _lacks_reverse(delta: Delta) -> bool:
    return not delta.move.reverse and not delta.move.irreversible


def _refuse(deltas: Sequence[Delta]) -> None:
    if not deltas:
        return
    findings = tuple(f"no-reverse: {delta.script.name}.sql does not say how it is taken back" for delta in deltas)
    error: PdeltaError = PreflightError(
        f"pre-flight refused, nothing was changed: {len(deltas)} of the deltas can't be taken back",
        findings=findings,
        hint='write that below -- Reversible delta, or say that nothing does: -- pdelta: irreversible="why"',
    )
    raise error
