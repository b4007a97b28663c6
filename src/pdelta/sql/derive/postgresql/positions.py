"""Where sequences stand: the one thing that a SELECT may change without anything to take back.

A sequence that the delta itself has made goes with its reverse, wherever it stood; of any other the position is for
all who take numbers from it.
"""

from typing import Final

from pglast.parser import ParseError, parse_sql
from pglast.visitors import Visitor

from pdelta.sql.derive.postgresql.change import Delta
from pdelta.sql.derive.postgresql.text import Name, Node, name_of

_ASKS: Final = frozenset({"max", "min", "pg_get_serial_sequence"})
"""Functions that may stand beside ``setval``: they look at what there is."""
_OF_COLUMN: Final = "pg_get_serial_sequence"
_SERVERS: Final = "pg_catalog"


class _Calls(Visitor):
    """Collects the calls of functions."""

    def __init__(self) -> None:
        self.found: list[Node] = []

    def visit_FuncCall(self, _ancestors: Node, node: Node) -> None:  # noqa: N802 - named after the node
        """Take one."""
        self.found.append(node)


def only_sets_new_ones(delta: Delta, node: Node) -> bool:
    """Say whether all that a SELECT does is to move sequences that the delta has made."""
    calls = _Calls()
    calls(node)
    names = [_called(call) for call in calls.found]
    moved = [call for call, name in zip(calls.found, names, strict=True) if name == "setval"]
    return bool(moved) and {"setval", *_ASKS}.issuperset(names) and all(_is_new(delta, call) for call in moved)


def _called(call: Node) -> str:
    *schema, name = (part.sval for part in call.funcname)
    return str(name) if schema in ([], [_SERVERS]) else ""


def _is_new(delta: Delta, call: Node) -> bool:
    """Say whether the sequence that is moved is one that the delta has made."""
    first = call.args[0]
    if type(first).__name__ == "TypeCast":
        first = first.arg
    if type(first).__name__ == "FuncCall" and _called(first) == _OF_COLUMN and len(first.args) == 2:
        table, column = _named(_text(first.args[0])), _text(first.args[1])
        return table is not None and (
            table in delta.tables or (table, column) in delta.columns or (table, column) in delta.counting
        )
    name = _named(_text(first))
    return name is not None and name in delta.sequences


def _text(node: Node) -> str:
    """Give the text that a constant is; empty for anything else."""
    return getattr(getattr(node, "val", None), "sval", None) or ""


def _named(text: str) -> Name | None:
    """Give the name that a text is to the server."""
    try:
        statement: Node = parse_sql(f"LOCK TABLE ONLY {text}")[0].stmt
    except ParseError:
        return None
    return name_of(statement.relations[0])
