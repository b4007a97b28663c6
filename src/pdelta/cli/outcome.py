"""The end of a command that changes a tree: its result, what speaks against it, and the exit status.

Called by ``push`` and ``rollback``.
"""

from pdelta.app.outcome import TreeOutcome
from pdelta.app.perform import refusal_of
from pdelta.cli.console import Console
from pdelta.cli.render import pushed


def tell_outcome(console: Console, result: TreeOutcome) -> int:
    """Say what a command came to, and give its exit status; a dry run has that of the command that it stands for."""
    console.result(pushed.fields(result), lambda: pushed.lines(result, verbose=console.verbosity > 0))
    error = refusal_of(result)
    if error is None:
        return 0
    console.objection(error)
    return error.exit_status
