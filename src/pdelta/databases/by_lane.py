"""Questions to one tenant after the other, on one session for all that share a lane."""

from collections.abc import Iterable, Iterator

from pdelta.databases.base import Database, Session


def by_lane(database: Database, names: Iterable[str]) -> Iterator[tuple[str, Session]]:
    """Give each tenant with a session for it, lane by lane; no two sessions are open at once.

    Args:
        database: Whose tenants.
        names: Theirs.
    """
    lanes: dict[str, list[str]] = {}
    for name in names:
        lanes.setdefault(database.lane(name), []).append(name)
    for lane, group in lanes.items():
        session = database.session(lane)
        try:
            for tenant in group:
                yield tenant, session
        finally:
            session.close()
