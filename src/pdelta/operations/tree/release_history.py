"""Whether the history beside a destination is that of its releases: somebody may have switched, moved or lost one.

Called by ``ReleaseOperation``. A release that no list names is collected, so a
history that does not fit is refused before anything goes by it. Changes nothing.
"""

import os

from pdelta.errors import PreflightError
from pdelta.filesystem.ledger import Ledger
from pdelta.filesystem.release import Found, Place, Standing, release_path


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
