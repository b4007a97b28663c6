"""Works done one after the other, for engines and moments in which sending them together has no use."""

from collections.abc import Callable, Sequence

from pdelta.databases.base import Work
from pdelta.errors import PdeltaError


def one_by_one(
    commit: Callable[..., None], works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int
) -> list[PdeltaError | None]:
    """Do what ``Session.commit_each`` promises, by ``Session.commit``."""
    outcomes: list[PdeltaError | None] = []
    for work in works:
        try:
            commit([work], lock_timeout_ms=lock_timeout_ms, statement_timeout_ms=statement_timeout_ms)
        except PdeltaError as error:
            return [*outcomes, error]
        outcomes.append(None)
    return outcomes
