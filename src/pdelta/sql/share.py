"""Which step a statement of an author's reverse is about, told by the names that both have."""

from collections.abc import Sequence
from typing import Final

from pdelta.sql.naming import names_in
from pdelta.sql.split import Statement

_GRAMMAR: Final = frozenset(
    {"add", "after", "alter", "as", "before", "check", "collate", "column", "comment", "constraint", "create"}
    | {"default", "drop", "each", "first", "for", "foreign", "from", "function", "index", "into", "key", "modify"}
    | {"not", "null", "on", "or", "primary", "procedure", "references", "rename", "replace", "row", "set", "table"}
    | {"to", "trigger", "unique", "view"}
)
"""Words that statements have in common without being about the same thing."""


def of_another_step(share: Sequence[Statement], steps: Sequence[Sequence[Statement]]) -> Statement | None:
    """Give the first statement that names more of a step which was not done than of its own; None where none does.

    Args:
        share: The statements that are to take back the steps that were done, the last of these first.
        steps: The statements of each step, in order; as many as ``share`` has were done.
    """
    named = [names_in(step) - _GRAMMAR for step in steps]
    for statement, own in zip(reversed(share), named, strict=False):
        names = names_in([statement])
        if any(len(names & other) > len(names & own) for other in named[len(share) :]):
            return statement
    return None
