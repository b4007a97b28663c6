"""The table that an ALTER TABLE is about, and the text of each of its commands."""

from typing import Final

import msgspec

from pdelta.sql.derive.postgresql.change import locked
from pdelta.sql.derive.postgresql.text import Name, Node, block, literal, name_of
from pdelta.sql.split import Statement
from pdelta.sql.token import Kind, Token


class Table(msgspec.Struct, frozen=True):
    """What stands before the commands of an ALTER TABLE, or of an ALTER of something like a table.

    Attributes:
        name: As it is written.
        kind: TABLE, INDEX, VIEW and so on.
        missing_ok: Whether nothing is to be done where it is missing.
        recurses: Whether its children are altered too.
        named: Names that the statement gives to new constraints.
        freed: Names of constraints that the statement drops.
    """

    name: Name
    kind: str = "TABLE"
    missing_ok: bool = False
    recurses: bool = True
    named: tuple[str, ...] = ()
    freed: tuple[str, ...] = ()

    @property
    def oid(self) -> str:
        """The expression of its OID; NULL where it is missing."""
        return self.name.regclass

    def locks(self) -> tuple[str, ...]:
        """Give the statement that keeps others away from it, so that what guards see stays true."""
        if not self.missing_ok:
            return (locked(self.name),)
        execute = f"EXECUTE {literal(locked(self.name))};"
        return (block(f" BEGIN IF {self.oid} IS NOT NULL THEN {execute} END IF; END "),)


KINDS: Final = {
    "OBJECT_TABLE": "TABLE",
    "OBJECT_INDEX": "INDEX",
    "OBJECT_VIEW": "VIEW",
    "OBJECT_MATVIEW": "MATERIALIZED VIEW",
    "OBJECT_SEQUENCE": "SEQUENCE",
    "OBJECT_TYPE": "TYPE",
}


def table_of(node: Node) -> Table:
    """Give what an ``AlterTableStmt`` is about."""
    relation = node.relation
    added = [command.def_ for command in node.cmds if command.subtype.name == "AT_AddConstraint"]
    for command in node.cmds:
        if command.subtype.name == "AT_AddColumn":
            added.extend(command.def_.constraints or ())
    return Table(
        name_of(relation),
        KINDS.get(node.objtype.name, ""),
        bool(node.missing_ok),
        bool(relation.inh),
        tuple(one.conname for one in added if one.conname),
        tuple(command.name for command in node.cmds if command.subtype.name == "AT_DropConstraint"),
    )


def commands_of(statement: Statement, kind: str) -> tuple[str, list[str]]:
    """Give what an ALTER TABLE says before its commands, and the text of each of them."""
    tokens = statement.tokens
    at = 1 + len(kind.split())
    if [token.word for token in tokens[at : at + 2]] == ["IF", "EXISTS"]:
        at += 2
    if tokens[at].word == "ONLY":
        at += 1
    at += 1 if tokens[at].word == "(" else 0
    at += 1
    while tokens[at].word == ".":
        at += 2
    while tokens[at].word in {"*", ")"}:
        at += 1
    commands: list[list[Token]] = [[]]
    depth = 0
    for token in tokens[at:]:
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(token.word, 0) if token.kind is Kind.SYMBOL else 0
        if token.word == "," and not depth:
            commands.append([])
        else:
            commands[-1].append(token)
    start = statement.offset
    cut = [statement.text[one[0].offset - start : one[-1].end - start] for one in commands if one]
    return statement.text[: tokens[at].offset - start], cut
