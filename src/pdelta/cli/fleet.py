"""What the commands over tenants share: their options, and the end of a roll-out."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click
import msgspec
from click.core import ParameterSource

from pdelta.app.context import Context
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome
from pdelta.cli.console import Console
from pdelta.cli.render import rollout as render
from pdelta.cli.render.members import members
from pdelta.errors import PdeltaError, UsageError
from pdelta.formats.duration import HINT, parse_duration_ms
from pdelta.model.course import Gate, OnFailure

Function = Callable[..., Any]

COURSE: Final = ("waves", "soak_ms", "gates", "selects", "on_failure", "max_failures")
"""The parameters that ``course`` reads."""

_MS_PER_S = 1000


class Duration(click.ParamType):  # type: ignore[type-arg]  # older releases have no type to be given
    """A span of time: ``500ms``, ``2s``, ``10min``; milliseconds as a number."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Read it."""
        if isinstance(value, int):
            return value
        span_ms = parse_duration_ms(value)
        if span_ms is None:
            self.fail(f"{value!r} is no span of time: {HINT}", param, ctx)
        return span_ms


lock_timeout = click.option(
    "--lock-timeout",
    "lock_ms",
    type=Duration(),
    default=0,
    metavar="TIME",
    help="How long a statement waits for a lock; 2s unless the delta or pdelta.toml says otherwise.",
)
note = click.option("--note", default="", metavar="TEXT", help="Remember this text with the run.")
"""Of every command that executes deltas, as is the one before."""


def tenants(function: Function) -> Function:
    """Give a command the options that choose a database and some of its tenants; stands below ``option.common``."""
    return places(
        click.option(
            "--only",
            multiple=True,
            metavar="TENANTS",
            help="Only these tenants: a name, a glob or tag:NAME; may be given again.",
        )(function)
    )


def places(function: Function) -> Function:
    """Give a command the options that choose a database; stands below ``option.common``."""

    @click.option(
        "--database", metavar="NAME", default="", help="Section of pdelta.toml; needed where there are several."
    )
    @click.option("--url", metavar="URL", default="", help="Instead of a section: where the database is, or env:NAME.")
    @click.option("--deltas", metavar="FOLDER", default="", help="With --url or --tenants: the folder of deltas.")
    @click.option(
        "--tenants",
        "kind",
        metavar="KIND=GLOB",
        default="",
        help="Likewise: schemas=, databases= or files= and a glob; one database unless given.",
    )
    @functools.wraps(function)
    def command(
        console: Console, context: Context, *, url: str, deltas: str, kind: str, database: str, **options: object
    ) -> object:
        if url or kind:
            if database:
                raise UsageError("--database names a section, and --url or --tenants stand for one", hint="give one")
            context = _described(context, url, deltas, kind)
        elif deltas:
            raise UsageError("--deltas goes with --url or --tenants", hint="a section of pdelta.toml names its folder")
        return function(console, context, database=database, **options)

    return command


def _described(context: Context, url: str, deltas: str, kind: str) -> Context:
    """Give the context with one database, which the command line describes."""
    from pdelta.cli.lookup import lookup_below
    from pdelta.formats.database import parse_database

    fields: dict[str, Any] = {"url": url} if url else {}
    if deltas:
        fields["deltas"] = deltas
    if kind:
        word, _, glob = kind.partition("=")
        fields["tenants"] = {word: glob}
    section = parse_database("database", fields, "the command line")
    return msgspec.structs.replace(
        context, databases={section.name: section}, folder=Path(), lookup=lookup_below(Path())
    )


def course(function: Function) -> Function:
    """Give a command the options of how a roll-out goes, all of which a plan holds; it gets them as ``rollout``."""

    @click.option(
        "--waves",
        metavar="WAVES",
        default=None,
        help="For example canary=3,5%,25%,rest; one tenant first unless given.",
    )
    @click.option(
        "--soak", "soak_ms", type=Duration(), default=0, metavar="TIME", help="Wait this long after each wave."
    )
    @click.option(
        "--gate",
        "gates",
        multiple=True,
        metavar="COMMAND",
        help="Must end with 0 before the next wave begins; gets the wave's tenants on its input.",
    )
    @click.option(
        "--gate-sql",
        "selects",
        multiple=True,
        metavar="SELECT",
        help="Must be true in every tenant of a wave before the next begins.",
    )
    @click.option(
        "--on-failure",
        type=click.Choice([policy.value for policy in OnFailure]),
        default="stop",
        show_default=True,
        help="What becomes of the run when a tenant fails: it stops (8), is reversed (5), or goes on (8).",
    )
    @click.option(
        "--max-failures", default="0", metavar="N|N%", show_default=True, help="How many tenants may fail before that."
    )
    @functools.wraps(function)
    def command(
        *arguments: object,
        waves: str | None,
        soak_ms: int,
        gates: tuple[str, ...],
        selects: tuple[str, ...],
        on_failure: str,
        max_failures: str,
        **options: object,
    ) -> object:
        _check_failures(max_failures)
        for option, given in (("--waves", (waves,)), ("--gate", gates), ("--gate-sql", selects)):
            # As of a variable that is not set; to leave it out would be to go on without it.
            if any(text is not None and not text.strip() for text in given):
                raise UsageError(f"{option} says nothing", hint="leave it out, or look where its text should come from")
        wanted = RolloutOptions(
            waves=waves or "",
            soak_s=soak_ms / _MS_PER_S,
            gates=(*(Gate("command", text) for text in gates), *(Gate("sql", text) for text in selects)),
            on_failure=OnFailure(on_failure),
            max_failures=max_failures,
        )
        return function(*arguments, rollout=wanted, **options)

    return command


def rollout(function: Function) -> Function:
    """Give a command all options of a roll-out; it gets them as ``rollout``."""

    @course
    @click.option(
        "--batch",
        type=click.IntRange(1, 500),
        default=1,
        show_default=True,
        metavar="N",
        help="Tenants that share a transaction; one that fails is done again one by one.",
    )
    @lock_timeout
    @click.option(
        "--rehearse",
        is_flag=True,
        help="Do all of it and the way back in every tenant, roll it back, and tell what failed.",
    )
    @click.option("-n", "--dry-run", is_flag=True, help="Show what would be done where, and change nothing.")
    @note
    @functools.wraps(function)
    def command(
        *arguments: object,
        rollout: RolloutOptions,
        batch: int,
        lock_ms: int,
        dry_run: bool,
        rehearse: bool,
        note: str,
        **options: object,
    ) -> object:
        wanted = msgspec.structs.replace(
            rollout, batch=batch, lock_timeout_ms=lock_ms, dry_run=dry_run, rehearse=rehearse, note=note
        )
        return function(*arguments, rollout=wanted, **options)

    return command


def proving(function: Function) -> Function:
    """Give a command with the options of a roll-out the choice whether the way back is tried first."""

    @click.option(
        "--prove/--no-prove",
        default=True,
        help="Try the way back in one tenant first, in a transaction that is rolled back (the default).",
    )
    @functools.wraps(function)
    def command(*arguments: object, rollout: RolloutOptions, prove: bool, **options: object) -> object:
        return function(*arguments, rollout=msgspec.structs.replace(rollout, prove=prove), **options)

    return command


def refuse_beside(option: str, *others: str) -> None:
    """Refuse options that make no sense beside another one.

    Args:
        option: That one.
        others: Names of the parameters that were perhaps given beside it.

    Raises:
        UsageError: One was.
    """
    given = _given(others)
    if given:
        raise UsageError(f"{', '.join(given)} can't stand beside {option}", hint="leave one of them out")


def refuse_without(option: str, *others: str) -> None:
    """Refuse options that need another one, which was not given.

    Args:
        option: The one that is needed.
        others: Names of the parameters that were perhaps given without it.

    Raises:
        UsageError: One was.
    """
    given = _given(others)
    if given:
        raise UsageError(f"{', '.join(given)} means nothing without {option}", hint=f"give {option} as well")


def _given(names: Sequence[str]) -> list[str]:
    context = click.get_current_context()
    return [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]


def tell(console: Console, outcome: RolloutOutcome) -> int:
    """Say what became of a roll-out, and give its exit status."""
    console.result(lambda: render.fields(outcome), lambda: render.lines(outcome, verbose=console.verbosity > 0))
    return object_to(console, outcome)


def object_to(console: Console, outcome: RolloutOutcome) -> int:
    """Say what a roll-out lacks to be all that was asked for, and give its exit status."""
    if outcome.exit_status and not outcome.dry_run:
        console.objection(_objection(outcome))
    return outcome.exit_status


def _objection(outcome: RolloutOutcome) -> PdeltaError:
    from pdelta.cli.render import results

    kept = outcome.kept
    failed = [result for result in outcome.failures if not result.is_kept]
    left_out = members(outcome.unread, outcome.servers.unread)
    unread = "" if outcome.is_whole else f"{left_out} could not be read"
    if outcome.rehearsed:
        of = results.of(outcome.results)
        unable = sum(isinstance(result.error, UsageError) for result in failed)
        would = f"{len(failed) - unable:,} of {of} would fail" if len(failed) > unable else ""
        cannot = f"{unable:,} of {of} can't be rehearsed" if unable else ""
        lost = f"the way back does not bring {len(outcome.changed):,} of {of} back" if outcome.changed else ""
        if cannot and not (would or lost or unread):
            return PdeltaError(
                f"{cannot}; nothing was changed", hint="apply it in one tenant first: pdelta sql apply --only TENANT"
            )
        if lost and not (would or cannot or unread):
            return PdeltaError(
                f"{lost}; nothing was changed",
                hint="correct the reverse; or say in the delta's header why nothing takes it back: irreversible",
            )
        return PdeltaError(
            f"{' and '.join(filter(None, (would, cannot, lost, unread)))}; nothing was changed",
            hint=_with_remedy("correct the delta or those tenants; --on-failure continue leaves them out", outcome),
        )
    told = f"{results.part_of(failed, outcome)} failed" if failed else outcome.reason
    told = " and ".join(filter(None, (told, unread)))
    if kept:
        told += f"; {results.part_of(kept, outcome)} could not be brought back, and stay after their deltas"
    if outcome.exit_status == 5:
        return PdeltaError(f"{told}; everything that this run did was reversed")
    if outcome.exit_status == 6:
        names = ", ".join(_unsettled(outcome)[:5])
        return PdeltaError(f"{told}, and a person must see to some of them: {names}", hint="the list above says why")
    # A run that took deltas back can't be taken back itself.
    done = any(
        result.touched and result.error is None and not all(delta.startswith("-") for delta in result.deltas)
        for result in outcome.results
    )
    runs = ", then --run ".join((outcome.run, *reversed(outcome.earlier)))
    back = f"; pdelta sql rollback --run {runs} takes it back" if done else ""
    return PdeltaError(
        f"{told}; every other tenant is before or after its deltas, none between",
        hint=_with_remedy(
            f"the same command goes on with what is left{', and leaves those as they are' if kept else ''}{back}",
            outcome,
        ),
    )


def _with_remedy(hint: str, outcome: RolloutOutcome) -> str:
    """Give a hint, and what else helps where a way back was refused: the same command is refused again."""
    from pdelta.sql.piece import LOSS_HINT, NO_WAY_HINT

    hints = [result.error.hint for result in outcome.failures if result.error is not None and not result.is_kept]
    remedies = [remedy for remedy in (LOSS_HINT, NO_WAY_HINT) if any(remedy in one for one in hints)]
    if remedies and outcome.is_whole and all(any(remedy in one for remedy in remedies) for one in hints):
        return "; ".join(remedies)
    return "; ".join((hint, *remedies))


def _unsettled(outcome: RolloutOutcome) -> list[str]:
    """Give the tenants that are neither before nor after their deltas, as far as is known."""
    from pdelta.model.operation import Standing

    settled = {Standing.BEFORE, Standing.AFTER}
    return [
        result.tenant
        for result in outcome.results
        if result.standing not in settled and (result.touched or result.error is not None)
    ]


def _check_failures(text: str) -> None:
    number = text.removesuffix("%")
    try:
        value = float(number) if text.endswith("%") else int(number)
    except ValueError:
        value = -1
    if value < 0 or (text.endswith("%") and value > 100):
        raise UsageError(f"--max-failures {text!r} is neither a number nor a percentage", hint="as in 3 or 0.5%")
