"""The tree kind: the five verbs for a directory, its history, its checks and its recovery."""

from pdelta.operations.tree.operation import TreeOperation
from pdelta.operations.tree.release_destination import open_tree_operation

__all__ = ["TreeOperation", "open_tree_operation"]
