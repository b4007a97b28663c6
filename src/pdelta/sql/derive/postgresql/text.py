"""SQL text and SQL expressions that give text: the two things that the reverse of a statement is written with.

What is known when a delta is derived is text; what only the tenant knows is an expression, which the tenant evaluates.
``said`` joins both.
"""

import re
from collections.abc import Iterable
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec
from pglast.keywords import COL_NAME_KEYWORDS, RESERVED_KEYWORDS, TYPE_FUNC_NAME_KEYWORDS
from pglast.stream import RawStream

from pdelta.sql.derive import expression

Node: TypeAlias = Any
"""A node of the parser's tree: its stubs say None for whatever any node may lack."""

_PLAIN: Final = re.compile(r"[a-z_][a-z0-9_]*")
_KEYWORDS: Final = RESERVED_KEYWORDS | TYPE_FUNC_NAME_KEYWORDS | COL_NAME_KEYWORDS
NOTHING: Final = "''"
"""The expression of no text."""


class Sql(str):
    """An expression whose value is text, or NULL where there is nothing of that kind."""

    __slots__ = ()


class Name(msgspec.Struct, frozen=True):
    """The name of something in a schema.

    Attributes:
        name: As the catalogue has it.
        schema: Empty where the search path decides.
    """

    name: str
    schema: str = ""

    def __str__(self) -> str:
        return f"{identifier(self.schema)}.{identifier(self.name)}" if self.schema else identifier(self.name)

    @property
    def regclass(self) -> str:
        """The expression of its OID as a relation; NULL where there is none."""
        return f"to_regclass({literal(str(self))})"

    @property
    def regtype(self) -> str:
        """The expression of its OID as a type; NULL where there is none."""
        return f"to_regtype({literal(str(self))})"

    @property
    def namespace(self) -> str:
        """The expression of the OID of the schema that it is created in."""
        name = literal(self.schema) if self.schema else "current_schema()"
        return f"(SELECT oid FROM pg_namespace WHERE nspname = {name})"

    def sibling(self, name: str) -> "Name":
        """Give another name in the same schema."""
        return Name(name, self.schema)


def name_of(node: Node) -> Name:
    """Give the name in a ``RangeVar``, a ``TypeName`` or a list of strings."""
    if hasattr(node, "relname"):
        return Name(node.relname, node.schemaname or "")
    parts = [part.sval for part in (node.names if hasattr(node, "names") else node)]
    return Name(parts[-1], parts[-2] if len(parts) > 1 else "")


def literal(text: str) -> str:
    """Give text as a string of SQL, whatever the server's settings."""
    quoted = text.replace("'", "''")
    return f" E'{quoted}'".replace("\\", "\\\\") if "\\" in text else f"'{quoted}'"


amount: Final = partial(expression.amount, literal=literal)
"""As ``expression`` has it, in this dialect."""


def identifier(name: str) -> str:
    """Give a name as SQL has it, in quotes where it needs them."""
    if _PLAIN.fullmatch(name) and name not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def said(*parts: str) -> Sql:
    """Give the expression of these parts in order: text as it stands, and the values of expressions."""
    pieces: list[str] = []
    held = ""
    for part in parts:
        if isinstance(part, Sql):
            if held:
                pieces.append(literal(held))
            held = ""
            pieces.append(f"({part})")
        else:
            held += part
    if held or not pieces:
        pieces.append(literal(held))
    return Sql(" || ".join(pieces))


def joined(expressions: Iterable[str]) -> str:
    """Give the expression of the texts of these expressions, one after the other; empty for none."""
    return " || ".join(f"({one})" for one in expressions if one and one != NOTHING)


def each(text: Sql, source: str, *, order: str) -> Sql:
    """Give the expression of this text for every row of a source, in order.

    Args:
        text: Evaluated in each row; a row where it is NULL gives nothing.
        source: What stands after FROM.
        order: What stands after ORDER BY.
    """
    return Sql(f"coalesce((SELECT string_agg({text}, '' ORDER BY {order}) FROM {source}), '')")


def one(text: Sql, source: str) -> Sql:
    """Give the expression of this text for the one row of a source; nothing where there is no row."""
    return Sql(f"coalesce((SELECT {text} FROM {source}), '')")


def when(condition: str, text: str, otherwise: str = NOTHING) -> Sql:
    """Give the expression that is ``text`` where a condition holds, and ``otherwise`` elsewhere."""
    return Sql(f"CASE WHEN {condition} THEN {text} ELSE {otherwise} END")


def printed(node: Node) -> str:
    """Give the SQL of an expression or a type."""
    return str(RawStream()(node))


def block(body: str) -> str:
    """Give a ``DO`` statement of this body, whatever it holds."""
    tag = "$pdelta$"
    while tag in body:
        tag = f"{tag[:-1]}_$"
    return f"DO {tag}{body}{tag}"
