"""One statement of PostgreSQL -> the pieces that it is executed as."""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from pglast.parser import ParseError, parse_sql

from pdelta.sql.derive.postgresql import create, rights, routines, types, views
from pdelta.sql.derive.postgresql.alter import alter, typed_in
from pdelta.sql.derive.postgresql.calls import called, functions_guard
from pdelta.sql.derive.postgresql.change import Change, Delta
from pdelta.sql.derive.postgresql.drop import drop
from pdelta.sql.derive.postgresql.rename import rename
from pdelta.sql.derive.postgresql.rows import change_rows, truncate
from pdelta.sql.derive.postgresql.table import Table
from pdelta.sql.derive.postgresql.text import Node, name_of
from pdelta.sql.derive.postgresql.whole import change_clustering
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.split import Statement

_PLAIN: Final[Mapping[str, Callable[[Delta, Node], Change]]] = {
    "CreateStmt": create.create_table,
    "CreateTableAsStmt": create.create_table_as,
    "IndexStmt": create.create_index,
    "CreateSeqStmt": create.create_sequence,
    "CompositeTypeStmt": create.create_type,
    "CreateEnumStmt": create.create_type,
    "CreateRangeStmt": create.create_type,
    "CreateDomainStmt": create.create_domain,
    "CreateStatsStmt": create.create_statistics,
    "CreateTrigStmt": create.create_trigger,
    "RuleStmt": create.create_rule,
    "CreatePolicyStmt": create.create_policy,
    "AlterPolicyStmt": create.alter_policy,
    "CreateExtensionStmt": create.create_extension,
    "CreateSchemaStmt": create.create_schema,
    "CreateFunctionStmt": routines.create_routine,
    "AlterFunctionStmt": routines.alter_routine,
    "ViewStmt": views.create_view,
    "RenameStmt": rename,
    "GrantStmt": rights.grant,
    "AlterOwnerStmt": rights.change_owner,
    "AlterEnumStmt": types.alter_enum,
    "AlterDomainStmt": types.alter_domain,
    "AlterSeqStmt": types.alter_sequence,
    "AlterStatsStmt": types.alter_statistics,
}
_NOTHING: Final = frozenset({"LockStmt", "VacuumStmt", "ReindexStmt", "ConstraintsSetStmt", "ExplainStmt"})
"""Statements after which the tenant holds what it held before."""
_WITH_TEXT: Final[Mapping[str, Callable[[Delta, Statement, Node], Change]]] = {
    "CommentStmt": rights.comment,
    "TruncateStmt": truncate,
    **dict.fromkeys(("InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "SelectStmt"), change_rows),
}
_WHY_NOT: Final = {
    "DoStmt": "what a DO block does is not seen",
    "CallStmt": "what a procedure does is not seen",
    "CopyStmt": "COPY reads from outside of the database",
    "RefreshMatViewStmt": "what a materialized view held before can't be calculated again",
    "AlterObjectSchemaStmt": "it leaves the schema of the tenant",
    "GrantRoleStmt": "roles belong to the server, and not to the tenant",
    "CreateRoleStmt": "roles belong to the server, and not to the tenant",
    "AlterRoleStmt": "roles belong to the server, and not to the tenant",
    "DropRoleStmt": "roles belong to the server, and not to the tenant",
    "AlterDefaultPrivilegesStmt": "rights on what is created later are not derived",
    "TransactionStmt": "the delta's own transaction holds its statements",
    "PrepareStmt": "what is prepared belongs to the connection",
    "ExecuteStmt": "what is prepared belongs to the connection",
    "DeclareCursorStmt": "a cursor belongs to the connection",
}
_LOCAL: Final = frozenset({"search_path", "role", "session_authorization", "session_replication_role"})


def add_statement(delta: Delta, statement: Statement, *, alone: bool) -> None:
    """Append the pieces of one statement to its delta.

    Args:
        delta: What is known so far.
        statement: Of PostgreSQL.
        alone: Whether it can't stand in a transaction.

    Raises:
        RefusedError: Its reverse can't be derived.
    """
    try:
        node: Node = parse_sql(statement.text)[0].stmt
    except ParseError as error:
        raise RefusedError(f"PostgreSQL's parser does not read it: {error.args[0]}", "correct the statement") from error
    changes = _changes(delta, statement, node)
    if calls := called(node):
        first, text = changes[0]
        before = (functions_guard(calls), *first.before)
        changes[0] = (msgspec.structs.replace(first, before=before), text)
    for change, text in changes:
        if alone and change.statement is not None:
            raise RefusedError("it can't stand in a transaction, and what is kept for its reverse must")
        if type(node).__name__ == "AlterTableStmt" and not alone:
            delta.altered(name_of(node.relation), typed_in(node))
        delta.add(change, text, alone=alone)


def _changes(delta: Delta, statement: Statement, node: Node) -> list[tuple[Change, str]]:
    kind, text = type(node).__name__, statement.text
    if kind == "AlterTableStmt":
        return alter(delta, statement, node)
    if kind == "DropStmt":
        return drop(delta, node, text)
    return [(_change(delta, statement, node, kind), text)]


def _change(delta: Delta, statement: Statement, node: Node, kind: str) -> Change:
    if kind in _PLAIN:
        return _PLAIN[kind](delta, node)
    if kind == "SelectStmt" and node.intoClause is not None:
        return create.select_into(delta, node)
    if kind in _WITH_TEXT:
        return _WITH_TEXT[kind](delta, statement, node)
    if kind == "ClusterStmt" and node.relation is not None:
        return change_clustering(delta, Table(name_of(node.relation)), node)
    if kind in _NOTHING or (kind == "VariableSetStmt" and _is_harmless(node)):
        return Change()
    raise RefusedError(_WHY_NOT.get(kind, f"this form is not derived ({kind.removesuffix('Stmt')})"))


def _is_harmless(node: Node) -> bool:
    """Say whether a SET ends with the transaction, and changes neither whom nor what statements are about."""
    return bool(node.is_local) and node.name not in _LOCAL
