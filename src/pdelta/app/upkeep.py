"""``pdelta recover WHERE`` and ``pdelta gc WHERE``."""

from typing import NamedTuple

from pdelta.app.compose import open_tree
from pdelta.app.context import Context, Link
from pdelta.app.history import not_there
from pdelta.app.perform import end_open_runs
from pdelta.app.runs import open_journal
from pdelta.app.waiting import until_free
from pdelta.formats.report import CollectReport, RecoverReport, Retention

KEEP = 10
"""How many entries' undo data stays when no limit is given."""


class Recovered(NamedTuple):
    """What a recovery came to.

    Attributes:
        report: What was found in the tree.
        ended: How many records of runs were closed in the journal.
        managed: Whether the tree has a history.
    """

    report: RecoverReport
    ended: int
    managed: bool


def recover_tree(where: str, context: Context, link: Link) -> Recovered:
    """Finish or undo what a killed run left in a tree, and close its record in the journal.

    Raises:
        UsageError: There is no such folder, and no run on one that had not ended.
        NeedsOperatorError: Somebody changed what the killed run was about to change; it is named.
        LockedError: That run is still alive.
    """
    with open_tree(where, context, link) as tree:
        tree.touched = True
        report, ended = until_free(tree.tree.recover, link), 0
        if context.journal.exists():
            with open_journal(context) as journal:
                ended = end_open_runs(journal, tree, {"tree": tree.tree})
        facts = tree.tree.describe()
        if report.found == "nothing" and not (ended or facts.exists or facts.managed):
            raise not_there(where)
        return Recovered(report, ended, facts.managed)


def collect_tree(
    where: str,
    context: Context,
    link: Link,
    *,
    keep: int | None,
    older_than_s: int | None,
    max_bytes: int | None,
) -> CollectReport:
    """Remove undo data of old entries; the newest entry's stays.

    Args:
        where: The tree.
        context: The command's surroundings.
        link: How a host is reached.
        keep: How many newest entries' stays; 10 when no limit is given at all.
        older_than_s: Age in seconds from which undo data may go.
        max_bytes: How much of it stays in all.
    """
    if keep is None and older_than_s is None and max_bytes is None:
        keep = KEEP
    older_than_ns = None if older_than_s is None else context.clock() - older_than_s * 1_000_000_000
    with open_tree(where, context, link) as tree:
        tree.touched = True
        limits = Retention(keep=keep, older_than_ns=older_than_ns, max_bytes=max_bytes)
        return until_free(lambda: tree.tree.collect(limits), link)
