"""``pdelta push SRC DEST`` and the calculation behind ``pdelta diff``."""

import os
import time

from pdelta.app.compose import open_tree
from pdelta.app.context import Context, Link
from pdelta.app.destination import Destination
from pdelta.app.options import PushOptions, SourceOptions
from pdelta.app.outcome import TreeOutcome
from pdelta.errors import UsageError


def push_tree(
    source: SourceOptions, destination: str, options: PushOptions, context: Context, link: Link
) -> TreeOutcome:
    """Make a destination equal a source, or say what that would take.

    The host is contacted while the source is scanned. A source file that changes meanwhile is
    scanned again, three times at most.

    Raises:
        UsageError: Source or destination are none, or contradict the destination's record.
        PreflightError: Something blocks; nothing was changed.
        SourceChangedError: The source kept changing; nothing was changed.
        PdeltaError: Whatever else went wrong, see ``app.perform``.
    """
    started_s = time.monotonic()
    if not source.path:
        raise UsageError("SRC is empty; nothing was looked at", hint="name the folder to push, . for this one")
    if not os.path.isdir(source.path):
        from pdelta.app.scanning import ScannedSource

        # No host need be asked to say what is wrong with the source.
        ScannedSource(source, context).close()
    with open_tree(destination, context, link) as tree:
        if tree.destination.remote is None:
            _refuse_overlap(source.path, tree.destination)
        # Meanwhile ssh is on its way: what scans takes 60 ms to import.
        from pdelta.app.pushing import push_scanned

        return push_scanned(source, tree, options, context, link, started_s)


def _refuse_overlap(source: str, destination: Destination) -> None:
    """Refuse a destination inside its source, or the other way round: each push would carry the last one along."""
    one = os.path.realpath(os.fsencode(source))
    other = os.path.realpath(destination.path)
    if one == other or one.startswith(other.rstrip(b"/") + b"/") or other.startswith(one.rstrip(b"/") + b"/"):
        raise UsageError(
            f"{source} and {destination.text} lie in one another; nothing was looked at",
            hint="push to a folder beside the source",
        )
