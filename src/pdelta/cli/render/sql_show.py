"""One delta: what it says, which tenants have it and since when, and what happened to it in some of them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from pdelta.app.sql.show import HISTORIES, Arrival, DeltaFacts, Having, Holding, Passage, Reverse, WayBack
from pdelta.cli.render.amount import counted
from pdelta.cli.render.safe import shown, shown_text
from pdelta.sql.scope import Scope
from pdelta.sql.script import Part, Script, Transaction

NAMED: Final = 5
"""Tenants that are named, and ways back that are shown, where not all are asked for."""

_HAVING: Final = {
    Having.HAS: ("have it", "green"),
    Having.OTHER: ("have another version of it", "yellow"),
    Having.BETWEEN: ("stopped half-way in it", "red"),
    Having.LACKS: ("lack it", "yellow"),
}
_REVERSE: Final = {
    Reverse.WRITTEN: "reverse",
    Reverse.DERIVED: "reverse: derived in each tenant",
    Reverse.NONE: "reverse: none",
    Reverse.PARTS: "reverse: that of each delta that it stands for",
}


def fields(facts: DeltaFacts) -> dict[str, Any]:
    """Give the JSON document."""
    return {
        "database": facts.database,
        "id": facts.id,
        "file": facts.file,
        "digest": facts.digest,
        "header": header_fields(facts.script) if facts.script else None,
        "reverse": facts.reverse,
        "statements": {part: list(facts.statements.get(part, ())) for part in Part},
        "tenants": 0 if facts.is_for_servers else facts.count,
        "servers": facts.count if facts.is_for_servers else 0,
        "holdings": facts.holdings,
        "arrivals": facts.arrivals,
        "ways_back": facts.ways,
        "unread": [
            {"tenant": name, "code": error.code, "message": error.message, "hint": error.hint}
            for name, error in facts.unread
        ],
        "history": facts.history,
    }


def header_fields(script: Script) -> dict[str, Any]:
    """Give what a file's header says, and what holds where it says nothing."""
    return {
        "engine": script.dialect,
        "transaction": script.transaction,
        "lock_timeout_ms": script.lock_timeout_ms,
        "requires": list(script.requires),
        "scope": script.scope,
        "irreversible": script.irreversible,
        "repeatable": script.repeatable,
        "phase": script.phase,
        "allow": script.allows,
        "baseline": script.baseline,
        "replaces": script.replaces,
    }


def lines(facts: DeltaFacts, *, verbose: bool) -> Iterator[str]:
    """Give all of it for people."""
    yield click.style(shown(facts.id), bold=True)
    if facts.script is None:
        yield "  no file tells of it"
    else:
        yield f"  {shown(facts.file)}"
        yield from (f"  {shown(line)}" for line in _header(facts.script))
        yield from _statements(facts)
    yield ""
    yield from _holders(facts, verbose=verbose)
    yield from _ways(facts, verbose=verbose)
    if facts.history is not None:
        yield ""
        yield from _history(facts.history)


def _header(script: Script) -> Iterator[str]:
    """Give what the header says, where that is not what is usual."""
    said = [
        f"engine={script.dialect}" if script.dialect else "",
        f"transaction={script.transaction}" if script.transaction is not Transaction.AUTO else "",
        f"lock_timeout={script.lock_timeout_ms}ms" if script.lock_timeout_ms is not None else "",
        f"requires={','.join(script.requires)}" if script.requires else "",
        f"scope={script.scope}" if script.scope is not Scope.TENANT else "",
        "repeatable=yes" if script.repeatable else "",
        f"phase={script.phase}" if script.phase else "",
        "baseline=yes" if script.baseline else "",
    ]
    if any(said):
        yield " ".join(filter(None, said))
    if script.irreversible:
        yield f"irreversible: {script.irreversible}"
    if script.replaces:
        yield f"replaces {', '.join(map(str, script.replaces))}"
    for allowance in script.allows:
        yield f"may break {', '.join(allowance.rules)}: {allowance.reason}"


def _statements(facts: DeltaFacts) -> Iterator[str]:
    for part in (Part.CHECK, Part.FORWARD, Part.VERIFY, Part.REVERSE):
        held = facts.statements.get(part, ())
        title = _REVERSE[facts.reverse] if part is Part.REVERSE and facts.reverse else str(part)
        if held or part is Part.REVERSE:
            yield ""
            yield title
            yield from _indented(held)


def _indented(statements: Sequence[str]) -> Iterator[str]:
    for statement in statements:
        for line in shown_text(statement + ";").split("\n"):
            yield f"    {line}"


def _holders(facts: DeltaFacts, *, verbose: bool) -> Iterator[str]:
    yield f"{click.style(shown(facts.database), bold=True)}: {counted(facts.count, _noun(facts))}"
    for holding in facts.holdings:
        yield from _holding(holding, verbose=verbose)
    for name, error in facts.unread if verbose else facts.unread[:NAMED]:
        yield f"  {click.style('unread', fg='red')}  {shown(name)}: {shown(error.message)}"
    if len(facts.unread) > NAMED and not verbose:
        yield f"  and {len(facts.unread) - NAMED:,} more that can't be read; -v names all"
    for arrival in facts.arrivals if verbose else facts.arrivals[:NAMED]:
        yield f"  {_arrival(arrival, _noun(facts))}"
    if len(facts.arrivals) > NAMED and not verbose:
        yield f"  and {counted(len(facts.arrivals) - NAMED, 'further run')}; -v names all"


def _holding(holding: Holding, *, verbose: bool) -> Iterator[str]:
    words, colour = _HAVING[holding.having]
    yield f"{len(holding.tenants):>7,}  {click.style(words, fg=colour)}"
    if verbose or holding.having is not Having.HAS:
        yield f"         {_names(holding.tenants, verbose=verbose)}"


def _noun(facts: DeltaFacts) -> str:
    return "server" if facts.is_for_servers else "tenant"


def _arrival(arrival: Arrival, noun: str) -> str:
    return (
        f"{shown(arrival.run)} brought it to {counted(len(arrival.tenants), noun)}: "
        f"{shown(arrival.at)}, {shown(arrival.who)}, {shown(arrival.tool)}"
        + (f"; {shown(arrival.note)}" if arrival.note else "")
    )


def _ways(facts: DeltaFacts, *, verbose: bool) -> Iterator[str]:
    """Tell the reverses of ledgers that are not the file's."""
    written = "".join(f"{text};\n" for text in facts.statements.get(Part.REVERSE, ()))
    irreversible = facts.script.irreversible if facts.script else ""
    others = [way for way in facts.ways if (way.reverse, way.irreversible) != (written, irreversible)]
    for way in others if verbose else others[:NAMED]:
        yield ""
        yield from _way(way, _noun(facts), verbose=verbose)
    if len(others) > NAMED and not verbose:
        yield f"and {counted(len(others) - NAMED, 'further reverse')}; -v shows all"


def _way(way: WayBack, noun: str, *, verbose: bool) -> Iterator[str]:
    yield f"reverse in {counted(len(way.tenants), noun)}: {_names(way.tenants, verbose=verbose)}"
    if way.irreversible:
        yield f"    none: {shown(way.irreversible)}"
    elif not way.reverse.strip():
        yield "    nothing is to be taken back"
    for line in shown_text(way.reverse.rstrip()).split("\n") if way.reverse.strip() else ():
        yield f"    {line}"


def _history(history: Sequence[Passage]) -> Iterator[str]:
    if not history:
        yield "it never was in these tenants"
    tenant = ""
    for passage in history:
        if passage.tenant != tenant:
            tenant = passage.tenant
            yield click.style(shown(tenant), bold=True)
        by = ", ".join(shown(word) for word in (passage.run, passage.who) if word)
        yield f"  {shown(passage.at):<20}  {shown(passage.what):<8}  {by}".rstrip()


def _names(names: Sequence[str], *, verbose: bool) -> str:
    shorter = names if verbose else names[:NAMED]
    more = len(names) - len(shorter)
    return ", ".join(map(shown, shorter)) + (f" and {more:,} more" if more else "")


def too_many(facts: DeltaFacts) -> str:
    """Say that no history is told, because of how many tenants it would be."""
    return f"history is told of {HISTORIES} tenants at most, and these are {facts.count:,}"
