"""What takes back the creating, replacing, altering and dropping of functions and procedures."""

from typing import Final

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import Change, Delta, guard
from pdelta.sql.derive.postgresql.text import Name, Node, Sql, literal, name_of, one, printed, said, when
from pdelta.sql.derive.result import RefusedError

_INPUTS: Final = frozenset({"FUNC_PARAM_IN", "FUNC_PARAM_INOUT", "FUNC_PARAM_VARIADIC", "FUNC_PARAM_DEFAULT"})


def signature(name: Name, types: list[str]) -> str:
    """Give the expression of the OID of the function with these argument types; NULL where there is none."""
    listed = ", ".join(types)
    return f"to_regprocedure({literal(f'{name}({listed})')})"


def oid_of(node: Node) -> str:
    """Give the expression of the OID of what an ``ObjectWithArgs`` names."""
    name = name_of(node.objname)
    if node.args_unspecified:
        return f"to_regproc({literal(str(name))})"
    return signature(name, [printed(kind) for kind in node.objargs or ()])


def definition(oid: str) -> Sql:
    """Give the expression of the CREATE OR REPLACE of a routine, without the schema that it was found in."""
    # It is always written with its schema, which may have another name when the reverse is executed.
    text = f"pg_get_functiondef({oid})"
    verb = Sql("'CREATE OR REPLACE ' || CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END")
    schema = "p.pronamespace::regnamespace || '.'"
    bare = f"{verb} || substr({text}, length({verb} || {schema}) + 1)"
    return Sql(
        "(SELECT CASE WHEN p.pronamespace::regnamespace::text = quote_ident(current_schema())"
        f" AND starts_with({text}, {verb} || {schema}) THEN {bare}"
        f" ELSE {text} END || ';' FROM pg_proc p WHERE p.oid = {oid})"
    )


def _extras(oid: str) -> Sql:
    """Give the expression of the comment, the rights and the owner that a routine has, for one created anew."""
    source = f"pg_proc p WHERE p.oid = {oid}"
    kind = Sql("CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END")
    name = Sql("p.oid::regprocedure::text")
    return one(
        Sql(
            f"{catalogue.grants(kind, name, 'p.proacl', 'p.proowner')} || {catalogue.owner(kind, name, 'p.proowner')}"
            f" || {catalogue.comment(said(kind, ' ', name), catalogue.PROC, 'p.oid')}"
        ),
        source,
    )


def _dropped(oid: str) -> Sql:
    kind = Sql("CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END")
    return one(said("DROP ", kind, Sql("p.oid::regprocedure::text"), ";"), f"pg_proc p WHERE p.oid = {oid}")


def create_routine(_delta: Delta, node: Node) -> Change:
    """Drop it; or replace it with the definition that it had.

    Where a default of a parameter was added, replacing does not take it back: the routine is dropped and created again.
    """
    name = name_of(node.funcname)
    inputs = [one for one in node.parameters or () if one.mode.name in _INPUTS]
    types = [printed(one.argType) for one in inputs]
    oid = signature(name, types)
    if not node.replace:
        return Change(late=_dropped(oid))
    defaults = sum(1 for one in inputs if one.defexpr is not None)
    anew = f"(SELECT p.pronargdefaults < {defaults} FROM pg_proc p WHERE p.oid = {oid})"
    kind = "PROCEDURE" if node.is_procedure else "FUNCTION"
    fallback = said(f"DROP {kind} {name}({', '.join(types)});")
    kept = Sql(
        f"CASE WHEN {anew} THEN {_dropped(oid)} ELSE '' END || {definition(oid)}"
        f" || CASE WHEN {anew} THEN {_extras(oid)} ELSE '' END"
    )
    question = (
        f"CASE WHEN p.prokind IN ('a', 'w') THEN {literal(f'{name} is an aggregate or a window function')} END"
        f" FROM pg_proc p WHERE p.oid = {oid}"
    )
    return Change(before=(guard(question),), undo=when(f"{oid} IS NOT NULL", kept, fallback))


def alter_routine(_delta: Delta, node: Node) -> Change:
    """Replace it with the definition that it had."""
    oid = oid_of(node.func)
    return Change(undo=when(f"{oid} IS NOT NULL", definition(oid)))


def drop_routine(_delta: Delta, node: Node, *, cascade: bool) -> Change:
    """Create it again, with its comment, rights and owner."""
    oid = oid_of(node)
    shown = name_of(node.objname)
    question = f"CASE WHEN p.prokind IN ('a', 'w') THEN {literal(f'{shown} is an aggregate or a window function')} END"
    if cascade:
        question = (
            "CASE WHEN d.objid IS NOT NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid) ||"
            f" {literal(f' would go with {shown}')}"
            f" WHEN p.prokind IN ('a', 'w') THEN {literal(f'{shown} is an aggregate or a window function')} END"
        )
        source = (
            f"pg_proc p LEFT JOIN pg_depend d ON d.refclassid = {catalogue.PROC} AND d.refobjid = p.oid"
            f" WHERE p.oid = {oid} LIMIT 1"
        )
    else:
        source = f"pg_proc p WHERE p.oid = {oid}"
    text = Sql(f"{definition(oid)} || {_extras(oid)}")
    return Change(before=(guard(f"{question} FROM {source}"),), undo=when(f"{oid} IS NOT NULL", text))


def refuse_aggregate(_delta: Delta, _node: Node, **_: bool) -> Change:
    """Refuse what the server gives no definition of."""
    raise RefusedError("the server gives no definition of an aggregate")
