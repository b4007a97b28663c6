"""Functions that a statement calls while it is executed, where nothing else tells what they do.

Statements that change rows are watched by the server's counters; the others that evaluate expressions are those that
fill a new table, or rewrite an old one.
"""

from typing import Final

from pglast.visitors import Visitor

from pdelta.sql.derive.postgresql.change import guard
from pdelta.sql.derive.postgresql.text import Node, literal

_EVALUATE: Final = frozenset({"CreateTableAsStmt", "AlterTableStmt", "SelectStmt"})


class _Calls(Visitor):
    """Collects the names of functions."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def visit_FuncCall(self, _ancestors: Node, node: Node) -> None:  # noqa: N802 - named after the node
        """Take the last part of its name."""
        self.names[node.funcname[-1].sval] = None


def called(node: Node) -> tuple[str, ...]:
    """Give the names of the functions that a statement calls; none for one that is watched, or evaluates nothing."""
    if type(node).__name__ not in _EVALUATE:
        return ()
    calls = _Calls()
    calls(node)
    return tuple(calls.names)


def functions_guard(names: tuple[str, ...]) -> str:
    """Give the guard that refuses functions which may change what is not seen: volatile ones of the tenant's own."""
    listed = ", ".join(literal(name) for name in names)
    return guard(
        "CASE WHEN count(*) > 0 THEN 'it calls ' || string_agg(DISTINCT p.oid::regprocedure::text, ', ')"
        " || ', and what that changes is not seen' END FROM pg_proc p"
        f" WHERE p.proname IN ({listed}) AND p.provolatile = 'v' AND p.pronamespace <> 'pg_catalog'::regnamespace"
        " AND pg_function_is_visible(p.oid) AND NOT EXISTS (SELECT FROM pg_depend d"
        " WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')"
    )
