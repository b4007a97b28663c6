"""``pdelta diff SRC DEST``: what a push would change; changes nothing."""

from pdelta.app.context import Context, Link
from pdelta.app.options import PushOptions, SourceOptions
from pdelta.app.outcome import TreeOutcome
from pdelta.app.push import push_tree

LISTED = 100_000
"""Far more changes than anybody reads; more would not fit one message. The counts are complete all the same."""


def diff_trees(
    source: SourceOptions,
    destination: str,
    context: Context,
    link: Link,
    *,
    delete: bool | None,
    check_destination: bool,
) -> TreeOutcome:
    """Say what a push would change, without the pre-flight's say in it.

    Args:
        source: What would be pushed.
        destination: Where to.
        context: The command's surroundings.
        link: How a host is reached.
        delete: As for a push.
        check_destination: Whether the whole destination is looked at.

    Raises:
        PdeltaError: As ``push_tree`` does.
    """
    check = "bytes" if source.checksum else "stat" if check_destination else "trust"
    options = PushOptions(delete=delete, yes=True, drift="overwrite", check=check, dry_run=True, listed=LISTED)
    return push_tree(source, destination, options, context, link)
