"""What takes back an ALTER TABLE, and an ALTER of whatever the server treats as one, command by command."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

from pdelta.sql.derive.postgresql import types
from pdelta.sql.derive.postgresql.change import Change, Delta, together
from pdelta.sql.derive.postgresql.columns import COLUMN_COMMANDS, Handler, around_types, default_given
from pdelta.sql.derive.postgresql.constraints import CONSTRAINT_COMMANDS, refuse_several_unnamed
from pdelta.sql.derive.postgresql.identity import IDENTITY_COMMANDS
from pdelta.sql.derive.postgresql.park import park_column
from pdelta.sql.derive.postgresql.table import Table, commands_of, table_of
from pdelta.sql.derive.postgresql.text import Node
from pdelta.sql.derive.postgresql.whole import WHOLE_COMMANDS
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.split import Statement

_COMMANDS: Final[Mapping[str, Handler]] = dict(
    chain(COLUMN_COMMANDS.items(), CONSTRAINT_COMMANDS.items(), IDENTITY_COMMANDS.items(), WHOLE_COMMANDS.items())
)
_FIRST: Final = ("AT_DropColumn", "AT_DropConstraint", "AT_DropNotNull", "AT_DropIdentity", "AT_DropExpression")
"""What the server does before all else in one statement, in the order in which it is written."""
_PASSES: Final = (
    frozenset(_FIRST),
    frozenset({"AT_AlterColumnType"}),
    frozenset({"AT_AddColumn"}),
)
_WHY_NOT: Final = {
    "AT_DropExpression": "nothing makes a column a generated one again",
    "AT_SetExpression": "what a generated column held is not kept",
    "AT_SetAccessMethod": "changing how a table is stored is not derived",
}


def alter(delta: Delta, statement: Statement, node: Node) -> list[tuple[Change, str]]:
    """Give the changes of the statement, each with what is to be executed.

    The statement stays one, unless it drops a column: that is parked, and the rest comes after it, as in the server.

    Raises:
        RefusedError: A command is of a kind that is not derived.
    """
    table = table_of(node)
    if not table.kind:
        raise RefusedError("tables on other servers are not derived")
    if table.kind == "TYPE":
        return [(_composite(delta, table, node), statement.text)]
    commands = list(node.cmds)
    refuse_several_unnamed(commands)
    if not any(command.subtype.name == "AT_DropColumn" for command in commands):
        return [(together(_in_order(delta, table, commands)), statement.text)]
    return _split(delta, statement, table, commands)


def typed_in(node: Node) -> list[str]:
    """Give the columns that an ALTER TABLE gives other types."""
    return [one.name for one in node.cmds if one.subtype.name == "AT_AlterColumnType"]


def _pass(command: Node) -> int:
    name = command.subtype.name
    if name == "AT_ColumnDefault" and command.def_ is None:
        return 0
    return next((number for number, names in enumerate(_PASSES) if name in names), len(_PASSES))


def _in_order(delta: Delta, table: Table, commands: list[Node]) -> Iterator[Change]:
    """Give the changes in the order of the server's passes.

    A default beside another type counts as set before it: its former one fits the former type alone.
    """
    typed = [command.name for command in commands if command.subtype.name == "AT_AlterColumnType"]
    defaults = [command for command in commands if command.subtype.name == "AT_ColumnDefault" and command.name in typed]
    given = [default_given(table, command.name) for command in defaults if command.def_ is not None]
    inner = [command for command in commands if command.subtype.name == "AT_AlterColumnType"]
    others = sorted((one for one in commands if one not in inner and one not in defaults), key=_pass)
    changed = [_one(delta, table, command) for command in inner]
    if changed:
        before, after = around_types(table, typed)
        changed = [before, *changed, after]
    yield from (_one(delta, table, command) for command in others if _pass(command) == 0)
    yield from (_one(delta, table, command) for command in defaults)
    yield from changed
    yield from (_one(delta, table, command) for command in others if _pass(command) > 0)
    yield from given


def _split(delta: Delta, statement: Statement, table: Table, commands: list[Node]) -> list[tuple[Change, str]]:
    """Give each command that drops something a piece of its own, and the others one together."""
    head, texts = commands_of(statement, table.kind)
    pairs = list(zip(commands, texts, strict=True))
    done: list[tuple[Change, str]] = []
    for command, text in pairs:
        if command.subtype.name == "AT_DropColumn":
            change = park_column(delta, table, command.name, missing_ok=bool(command.missing_ok))
            done.append((change, text))
        elif _pass(command) == 0:
            done.append((_one(delta, table, command), head + text))
    rest = [(command, text) for command, text in pairs if _pass(command) > 0]
    if rest:
        changes = _in_order(delta, table, [command for command, _ in rest])
        done.append((together(changes), head + ", ".join(text for _, text in rest)))
    return done


def _one(delta: Delta, table: Table, command: Node) -> Change:
    name = command.subtype.name
    handler = _COMMANDS.get(name)
    if handler is None:
        shown = name.removeprefix("AT_")
        raise RefusedError(_WHY_NOT.get(name, f"this form of ALTER {table.kind} is not derived ({shown})"))
    return handler(delta, table, command)


def _composite(delta: Delta, table: Table, node: Node) -> Change:
    changes = []
    for command in node.cmds:
        match command.subtype.name:
            case "AT_AddColumn":
                changes.append(types.add_attribute(delta, table.name, command))
            case "AT_AlterColumnType":
                changes.append(types.change_attribute(delta, table.name, command))
            case _:
                raise RefusedError("an attribute that is dropped from a type can't be kept")
    return together(changes)
