"""What became of the tenants of a roll-out that lacked something: wave by wave, failures by cause, one line of summary.

Apart from ``rollout``: where nothing was to be done, nothing is imported that tells how far it got.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import click

from pdelta.app.sql.outcome import RolloutOutcome, TenantResult
from pdelta.cli.render.amount import counted, duration
from pdelta.cli.render.members import members, part
from pdelta.cli.render.safe import shown, shown_text
from pdelta.errors import Cause, DatabaseError
from pdelta.model.operation import Standing
from pdelta.model.run import RunPhase

_APPLY: Final = ("apply", "green")
_VERBS: Final = {"-": ("reverse", "yellow"), "*": ("record", "cyan")}

_OF_A_DELTA: Final = frozenset({Cause.REFUSED, Cause.BUSY, Cause.FULL})

NAMED: Final = 5
"""Tenants that are named where not all are asked for."""


def tell(outcome: RolloutOutcome, *, verbose: bool) -> Iterator[str]:
    """Give the lines for people; there are results."""
    yield from _waves(outcome)
    if verbose or outcome.dry_run:
        yield ""
        yield from _deltas(outcome, verbose=verbose)
    if outcome.failures and not outcome.dry_run:
        yield ""
        yield from _failures(outcome.failures, verbose=verbose)
    if outcome.rehearsed:
        yield from _not_proved(outcome, verbose=verbose)
    yield ""
    yield _summary(outcome)


def _waves(outcome: RolloutOutcome) -> Iterator[str]:
    width = max(len(name) for name, _ in outcome.waves)
    at = 0
    for name, count in outcome.waves:
        held = outcome.results[at : at + count]
        at += count
        yield f"  {click.style(f'{shown(name):<{width}}', bold=True)}  {of(held)}" + _told(held, outcome)


def _told(held: Sequence[TenantResult], outcome: RolloutOutcome) -> str:
    if outcome.dry_run or outcome.rehearsed:
        return ""
    done, there = _arrived(held)
    kept = sum(result.is_kept for result in held)
    failed = sum(result.error is not None for result in held) - kept
    back = sum(result.standing is Standing.BEFORE and result.error is None and result.touched for result in held)
    rest = len(held) - done - there - failed - kept - back
    parts = [
        f"{done:,} done" if done else "",
        f"{there:,} there already" if there else "",
        f"{back:,} reversed" if back else "",
        click.style(f"{kept:,} not brought back", fg="red") if kept else "",
        click.style(f"{failed:,} failed", fg="red") if failed else "",
        f"{rest:,} not begun" if rest else "",
    ]
    return ": " + ", ".join(filter(None, parts))


def _arrived(results: Sequence[TenantResult]) -> tuple[int, int]:
    """Give how many this run has brought where they should be, and how many others had brought there meanwhile."""
    there = [result.touched for result in results if result.standing is Standing.AFTER and result.error is None]
    return sum(there), len(there) - sum(there)


def _is_done(result: TenantResult) -> bool:
    return result.touched and result.standing is Standing.AFTER and (result.error is None or result.is_kept)


def _deltas(outcome: RolloutOutcome, *, verbose: bool) -> Iterator[str]:
    """List what is to be done, once for all tenants that lack the same; with ``verbose`` every tenant by name."""
    groups: dict[tuple[str, ...], list[TenantResult]] = defaultdict(list)
    for result in outcome.results:
        if not (outcome.dry_run and result.error is not None):
            groups[result.deltas].append(result)
    for deltas, held in groups.items():
        names = [shown(result.tenant) for result in held]
        shorter = names if verbose else names[:NAMED]
        more = len(names) - len(shorter)
        told = ", ".join(shorter) + (f" and {more:,} more" if more else "")
        yield f"  {of(held)}: {told}"
        yield from map(delta_line, deltas)


def delta_line(delta: str) -> str:
    """Say what is to be done about one delta, which begins with a mark as in ``TenantResult``."""
    verb, colour = _VERBS.get(delta[:1], _APPLY)
    return f"    {click.style(verb, fg=colour)}{' ' * (len('reverse') - len(verb))} {shown(delta.lstrip('-*'))}"


def _failures(failures: Sequence[TenantResult], *, verbose: bool) -> Iterator[str]:
    alike: dict[tuple[bool, str, str], list[TenantResult]] = defaultdict(list)
    for failure in failures:
        alike[failure.is_kept, _place(failure), _cause(failure)].append(failure)
    # What went wrong first is the reason of all the rest.
    for (is_kept, place, cause), held in sorted(alike.items(), key=lambda item: (item[0][0], -len(item[1]))):
        at = f" at {shown(place)}" if place else ""
        what = "could not be brought back" if is_kept else "failed"
        yield f"{click.style(f'{of(held)} {what}', fg='red')}{at}: {shown_text(cause)}"
        named = held if verbose else held[:NAMED]
        for failure in named:
            yield f"    {shown(failure.tenant)}: {_where(failure)}{_held(failure)}"
            if verbose and (message := _message(failure)) != cause:
                yield f"        {shown_text(message)}"
        if len(held) > len(named):
            yield f"    and {len(held) - len(named):,} more; -v names all"
        hint = next((failure.error.hint for failure in held if failure.error is not None and failure.error.hint), "")
        if hint:
            yield click.style(f"    {shown(hint)}", fg="bright_black")


def _not_proved(outcome: RolloutOutcome, *, verbose: bool) -> Iterator[str]:
    """Say what the way back does not bring back, and where that could not be tried, once for all that are alike."""
    alike: dict[tuple[str, str, str], list[TenantResult]] = defaultdict(list)
    for result in outcome.changed:
        alike["red", "not brought back in", "; ".join(result.lost)].append(result)
    for result in outcome.untried:
        alike["yellow", "the way back was not tried in", result.untried].append(result)
    for (colour, what, why), held in sorted(alike.items(), key=lambda item: -len(item[1])):
        yield ""
        yield f"{click.style(f'{what} {of(held)}', fg=colour)}: {shown_text(why)}"
        named = held if verbose else held[:NAMED]
        yield from (f"    {shown(result.tenant)}" for result in named)
        if len(held) > len(named):
            yield f"    and {len(held) - len(named):,} more; -v names all"


def _message(failure: TenantResult) -> str:
    """Give an error without the tenant's name in front, which stands before it in a list, and hides what is alike."""
    return failure.error.message.removeprefix(f"{failure.tenant}: ") if failure.error is not None else ""


def _cause(failure: TenantResult) -> str:
    return failure.error.reason.removeprefix(f"{failure.tenant}: ") if failure.error is not None else ""


def _place(failure: TenantResult) -> str:
    """Give the delta that failed, and its statement where that is known; empty where it was none of a delta's."""
    error = failure.error
    if not isinstance(error, DatabaseError) or error.cause not in _OF_A_DELTA:
        return ""
    if error.place or len(failure.deltas) != 1:
        return error.place
    return failure.deltas[0].lstrip("-*")


def _held(failure: TenantResult) -> str:
    held = failure.error.held if isinstance(failure.error, DatabaseError) else ""
    return f"; held by {shown(held)}" if held else ""


def _where(failure: TenantResult) -> str:
    if failure.standing is None:
        return "its standing is not known"
    if isinstance(failure.error, DatabaseError) and failure.error.cause is Cause.MISSING:
        return "is gone"
    return {
        Standing.BEFORE: "as it was",
        Standing.AFTER: "was reversed" if all(it.startswith("-") for it in failure.deltas) else "has its deltas",
        Standing.BETWEEN: _between(failure),
        Standing.FOREIGN: "changed by somebody else; not touched",
    }[failure.standing]


def _between(failure: TenantResult) -> str:
    state = failure.error.state if failure.error is not None else ""
    return ": ".join(filter(None, ("in between", shown(state))))


def _summary(outcome: RolloutOutcome) -> str:
    results = outcome.results
    all_deltas = {delta for result in results for delta in result.deltas}
    # What comes with a baseline, or was edited, is not what the run was for, unless there is nothing else.
    deltas = {delta for delta in all_deltas if not delta.startswith("*")} or all_deltas
    moves, marks = len(deltas), {delta[:1] for delta in deltas}
    verb = "reversed" if marks == {"-"} else "recorded" if marks == {"*"} else "applied"
    if outcome.dry_run:
        verb = f"would be {verb}"
        able = [result for result in results if result.error is None]
        return f"{counted(moves, 'delta')} {verb} in {part_of(able, outcome)}; nothing was changed"
    if outcome.rehearsed:
        good = len(results) - len(outcome.failures)
        told = f"rehearsed in {of(results)}, {good:,} of them without failure"
        if tried := outcome.proved + len(outcome.changed) + len(outcome.untried):
            told += f"; the way back proved in {outcome.proved:,} of {tried:,}"
        return f"{told}, in {duration(outcome.duration_s)}; nothing was changed"
    there = _arrived(results)[1]
    done = [result for result in results if _is_done(result)]
    tail = f"{duration(outcome.duration_s)}; {', '.join((*outcome.earlier, outcome.run))}"
    if outcome.phase is RunPhase.REVERSED:
        return click.style(f"everything that this run did was reversed; {tail}", fg="yellow")
    had = sum(bool(result.found) for result in results if result.error is None)
    notes = [f"{there:,} there already" if there else "", f"{had:,} had its effect, so only recorded" if had else ""]
    others = f" ({', '.join(filter(None, notes))})" if there or had else ""
    return f"{counted(moves, 'delta')} {verb} in {part_of(done, outcome)}{others} in {tail}"


def of(results: Sequence[TenantResult]) -> str:
    """Say how many tenants and servers these are."""
    servers = sum(result.is_server for result in results)
    return members(len(results) - servers, servers)


def part_of(results: Sequence[TenantResult], outcome: RolloutOutcome) -> str:
    """Say how many these are, and of how many that were looked at."""
    servers = sum(result.is_server for result in results)
    return part((len(results) - servers, outcome.tenants), (servers, outcome.servers.count))
