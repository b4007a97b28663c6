"""What speaks against a roll-out before it begins: tenants that can't be read or were changed, edited deltas."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from pdelta.app.sql.fleet import Member
from pdelta.errors import PdeltaError
from pdelta.model.finding import Finding
from pdelta.model.target import Target
from pdelta.operations.sql.operation import Seen


def unreadable(unread: Sequence[tuple[str, PdeltaError]], *, blocks: bool) -> list[Finding]:
    """Give one finding for each reason why tenants can't be read, which names them.

    Args:
        unread: Names, each with the reason.
        blocks: Whether nothing is done to the others either.
    """
    by_reason: dict[str, list[tuple[str, PdeltaError]]] = defaultdict(list)
    for name, error in unread:
        by_reason[getattr(error, "reason", "") or error.message].append((name, error))
    return [
        Finding(
            "unreadable",
            f"{named([name for name, _ in group])}: {group[0][1].message}",
            blocks=blocks,
            hint=group[0][1].hint,
        )
        for group in by_reason.values()
    ]


def edited(seen: Mapping[Target, Seen], tenants: Mapping[Target, Member]) -> list[Finding]:
    """Give one finding for each delta that tenants have in another version."""
    by_delta: dict[str, list[str]] = defaultdict(list)
    for target, found in seen.items():
        for id in found.reckoning.edited:
            by_delta[id].append(tenants[target].tenant.name)
    return [
        Finding(
            "edited",
            f"{id} was edited since {named(names)} received it",
            hint="put the file back and write a new delta, or --accept-edit where what it does is the same",
            subject=id.encode(),
        )
        for id, names in by_delta.items()
    ]


def stale(names: Sequence[str], *, blocks: bool) -> list[Finding]:
    """Give the finding that tenants were changed since a plan was calculated; none for no tenant."""
    if not names:
        return []
    return [
        Finding(
            "stale",
            f"{named(names)}: changed since the plan was calculated",
            blocks=blocks,
            hint="calculate a new plan: pdelta sql plan",
        )
    ]


def named(names: Sequence[str], limit: int = 5) -> str:
    """Give the first of these names, and how many more there are."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more tenants"
