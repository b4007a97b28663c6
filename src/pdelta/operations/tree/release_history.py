"""Whether the history beside a destination is that of its releases: somebody may have switched, moved or lost one.

Called by ``ReleaseOperation``. A release that no list names is collected, so a
history that does not fit is refused before anything goes by it. Changes nothing.
"""

import os
from collections.abc import Iterator

from pdelta.errors import IntegrityError, PreflightError
from pdelta.filesystem.ledger import Ledger
from pdelta.filesystem.release import STATE, Found, Place, Standing, container_name, release_path
from pdelta.filesystem.state import LEDGER, StateFolder
from pdelta.model.finding import Finding


def refuse_switched(place: Place | None, found: Found, ledger: Ledger, name: str) -> None:
    """Refuse to collect while DEST leads to a kept release.

    It could be collected itself, and the release that the ledger calls the newest is on no list.

    Args:
        place: Where the releases are; None where there is no such place.
        found: What stands at DEST.
        ledger: Of the destination.
        name: Of the destination, for messages.

    Raises:
        PreflightError: Somebody switched the link; nothing was removed.
    """
    if place is None or found.standing != Standing.RELEASE:
        return
    here = release_path(found.number)
    if any(item.slot == here for item in ledger.kept()):
        text = f"{name} leads to release {found.number}, to which somebody switched it; nothing was removed"
        newest = os.fsdecode(place.target(max(place.numbers(), default=found.number)))
        hint = f"push or roll back first, or let it lead to the newest release again (ln -sfn {newest})"
        raise PreflightError(text, hint=hint)


def refuse_lost_history(place: Place, ledger: Ledger | None, name: str) -> None:
    """Refuse to begin a history beside a release that had one: the others would be on no list.

    Args:
        place: Where the releases are.
        ledger: Of the destination, to which DEST leads; None where there is none.
        name: Of the destination, for messages.

    Raises:
        IntegrityError: The ledger is gone, or empty.
    """
    if ledger is None or ledger.newest() is None:
        text = f"the ledger of {name} is gone, and its releases are still there; nothing was changed"
        container = os.fsdecode(container_name(place.name))
        hint = f"restore {container}/{os.fsdecode(STATE + b'/' + LEDGER)} from a backup; or put a copy of the release"
        raise IntegrityError(text, hint=f"{hint} in the place of the link, move {container} away, and push again")


def find_other_history(place: Place, state: StateFolder, own: Ledger, path: str) -> Iterator[Finding]:
    """Name a folder with a history that is to become a release beside releases with another one.

    What a killed run took over of the folder's own is none: all its entries are in the folder's too.

    Args:
        place: Where the releases are.
        state: The state folder beside the destination.
        own: The folder's own ledger, or the one in the state folder where it has none.
        path: Of the destination, for messages.
    """
    if not state.has_ledger():
        return
    with Ledger(state.ledger_path, create=False) as other:
        newest = other.newest()
    known = own.entry(newest.number) if newest is not None else None
    if newest is not None and (known is None or (known.run, known.held) != (newest.run, newest.held)):
        container = os.fsdecode(container_name(place.name))
        text = f"{path!r} has a history of its own, and the releases in {container} have another one"
        hint = f"move {container} away, or the folder's own .pdelta"
        yield Finding("release-history", text, hint=hint)
