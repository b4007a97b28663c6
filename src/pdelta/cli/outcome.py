"""The end of a command that changes a tree: its result, what speaks against it, and the exit status.

Called by ``push`` and ``rollback``.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pdelta.app.outcome import TreeOutcome
from pdelta.app.perform import objection_to
from pdelta.cli.console import Console
from pdelta.cli.render import pushed

if TYPE_CHECKING:
    from pdelta.app.manifest import ManifestOutcome


def tell_outcome(console: Console, result: TreeOutcome) -> int:
    """Say what a command came to, and give its exit status; a dry run has that of the command that it stands for."""
    console.result(pushed.fields(result), lambda: pushed.lines(result, verbose=console.verbosity > 0))
    return _end(console, result)


def tell_manifest(console: Console, result: "ManifestOutcome") -> int:
    """Say what a push of a manifest came to, and give its exit status."""
    from pdelta.cli.render import manifest

    verbose = console.verbosity > 0

    def lines() -> Iterator[str]:
        yield from pushed.lines(result.outcome, verbose=verbose)
        yield from manifest.lines(result, verbose=verbose)

    console.result({**pushed.fields(result.outcome), "manifest": manifest.fields(result)}, lines)
    return _end(console, result.outcome)


def _end(console: Console, result: TreeOutcome) -> int:
    error = objection_to(result)
    if error is None:
        return 0
    console.objection(error)
    return error.exit_status
