"""What speaks against a roll-out before it begins: tenants that can't be read or were changed, edited deltas."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pdelta.app.sql.fleet import Member
from pdelta.errors import PdeltaError
from pdelta.model.finding import Finding
from pdelta.model.target import Target
from pdelta.operations.sql.reckon import Seen
from pdelta.sql.piece import NO_WAY_HINT

NO_WAY_BACK: Final = "no-way-back"
"""The code of findings about what can't be taken back."""


def unreadable(unread: Sequence[tuple[str, PdeltaError]], *, blocks: bool) -> list[Finding]:
    """Give one finding for each reason why tenants can't be read, which names them.

    Args:
        unread: Names, each with the reason.
        blocks: Whether nothing is done to the others either.
    """
    groups: dict[str, list[tuple[str, PdeltaError]]] = defaultdict(list)
    for name, error in unread:
        groups[reason_of(error)].append((name, error))
    return [
        Finding(
            "unreadable",
            f"{named([name for name, _ in group])}: {group[0][1].message.removeprefix(f'{group[0][0]}: ')}",
            blocks=blocks,
            hint=group[0][1].hint,
        )
        for group in groups.values()
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


def no_way_back(stuck: Iterable[tuple[str, str, str]], *, blocks: bool) -> list[Finding]:
    """Give one finding for each delta, and reason why it can't be taken back, which names the tenants.

    Args:
        stuck: Names of tenants, each with a delta and the reason.
        blocks: Whether nothing is done to the others either.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, id, reason in stuck:
        groups[id, reason].append(name)
    others = "; --on-failure continue takes it back in the others" if blocks else ""
    return [
        Finding(
            NO_WAY_BACK,
            f"{id} can't be taken back in {named(names)}: {reason}",
            blocks=blocks,
            hint=NO_WAY_HINT + others,
            subject=id.encode(),
        )
        for (id, reason), names in groups.items()
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


def by_reason(reasons: Mapping[str, str]) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Give tenants that have a reason by name in groups with equal ones, the largest first."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name, reason in sorted(reasons.items()):
        groups[reason].append(name)
    found = ((tuple(names), reason) for reason, names in groups.items())
    return tuple(sorted(found, key=lambda group: (-len(group[0]), group[0])))


def reason_of(error: Exception) -> str:
    """Give an error's words without the names of tenant and place, so that equal ones can be counted as one."""
    return error.reason if isinstance(error, PdeltaError) else str(error)


def named(names: Sequence[str], limit: int = 5) -> str:
    """Give the first of these names, and how many more there are."""
    return f"{shortened(names, limit)} tenants" if len(names) > limit else shortened(names, limit)


def shortened(words: Sequence[str], limit: int = 5, *, between: str = ", ") -> str:
    """Give the first of these words, and how many more there are."""
    shown = between.join(words[:limit])
    return shown if len(words) <= limit else f"{shown} and {len(words) - limit} more"
