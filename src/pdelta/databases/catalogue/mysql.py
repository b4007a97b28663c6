"""Reads the catalogue of a MySQL or MariaDB database, with one question after the server's version.

The rows of ``information_schema`` come as JSON, one kind after the other. Rights are not there: in MySQL they are the
server's, and what one sees of them depends on who asks.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from pdelta.databases.catalogue.mysql_texts import neutral, shown, string, without_schema
from pdelta.databases.catalogue.ours import is_ours
from pdelta.sql.catalogue import YES, Catalogue, Item
from pdelta.sql.derive.kept import PARKED

Query = Callable[[str], Sequence[Sequence[Any]]]
"""Executes one SELECT in the tenant's database and gives its rows."""

_MADE_LATER: Final = "default_generated"
_KINDS_OF_INDEX: Final = {"FULLTEXT": "FULLTEXT KEY", "SPATIAL": "SPATIAL KEY"}


class _Source(NamedTuple):
    """A table of ``information_schema``: what is asked of it, of which database, and what only one server has.

    The schema is that which MariaDB looks up by, where it has several: by another it opens each table of each database.
    """

    table: str
    schema: str
    columns: str
    mariadb: str = ""
    mysql: str = ""
    condition: str = ""


_SOURCES: Final[Mapping[str, _Source]] = {
    "schema": _Source("schemata", "schema_name", "default_collation_name"),
    "table": _Source(
        "tables", "table_schema", "table_name, table_type, engine, table_collation, create_options, table_comment"
    ),
    "column": _Source(
        "columns",
        "table_schema",
        "table_name, ordinal_position, column_name, column_type, is_nullable, column_default, extra, collation_name, "
        "column_comment, generation_expression",
    ),
    "index": _Source(
        "statistics",
        "table_schema",
        "table_name, index_name, seq_in_index, non_unique, column_name, sub_part, collation, index_type, index_comment",
        mariadb="ignored, NULL",
        mysql="IF(is_visible = 'NO', 'YES', 'NO'), expression",
    ),
    "check": _Source(
        "check_constraints", "constraint_schema", "constraint_name, check_clause", mariadb="table_name, level"
    ),
    "key": _Source(
        "key_column_usage",
        "table_schema",
        "table_name, constraint_name, ordinal_position, column_name, referenced_table_schema, referenced_table_name, "
        "referenced_column_name",
        condition="referenced_table_name IS NOT NULL",
    ),
    "reference": _Source(
        "referential_constraints", "constraint_schema", "table_name, constraint_name, update_rule, delete_rule"
    ),
    "view": _Source(
        "views",
        "table_schema",
        "table_name, view_definition, check_option, security_type, definer",
        mariadb="algorithm",
        mysql="NULL",
    ),
    "trigger": _Source(
        "triggers",
        "event_object_schema",
        "event_object_table, trigger_name, action_timing, event_manipulation, action_order, action_statement, definer",
    ),
    "routine": _Source(
        "routines",
        "routine_schema",
        "routine_type, routine_name, dtd_identifier, routine_definition, is_deterministic, sql_data_access, "
        "security_type, routine_comment, definer",
    ),
    "parameter": _Source(
        "parameters",
        "specific_schema",
        "routine_type, specific_name, ordinal_position, parameter_mode, parameter_name, dtd_identifier",
        condition="ordinal_position > 0",
    ),
    "event": _Source(
        "events",
        "event_schema",
        # A binary text, which MySQL would give in base64.
        "event_name, event_definition, CONVERT(interval_value USING utf8mb4), interval_field, status, on_completion, "
        "event_comment, definer",
    ),
    "partition": _Source(
        "partitions",
        "table_schema",
        "table_name, partition_ordinal_position, subpartition_ordinal_position, partition_name, partition_method, "
        "partition_expression, partition_description, subpartition_method, subpartition_expression",
        condition="partition_name IS NOT NULL",
    ),
}

_Rows = Mapping[str, list[list[Any]]]


def catalogue(query: Query, *, parked: bool = False) -> Catalogue:
    """Give the catalogue of the database that is in use.

    Args:
        query: On the server, with the tenant's database in use.
        parked: Whether what pdelta parked or kept counts as the tenant's.
    """
    ((version, schema),) = query("SELECT VERSION(), DATABASE()")
    is_mariadb = "mariadb" in version.lower()
    rows: defaultdict[str, list[list[Any]]] = defaultdict(list)
    for kind, text in query(statement(is_mariadb=is_mariadb)):
        rows[kind].append(json.loads(text))
    reader = _Reader(rows, schema, is_mariadb=is_mariadb, parked=parked)
    return Catalogue.of(reader.items())


def statement(*, is_mariadb: bool) -> str:
    """Give the one question.

    Args:
        is_mariadb: Whether the server is MariaDB, whose tables have other columns.
    """
    parts = []
    for kind, source in _SOURCES.items():
        more = source.mariadb if is_mariadb else source.mysql
        columns = ", ".join(filter(None, (source.columns, more)))
        if kind == "check" and not is_mariadb:
            parts.append(_CHECKS_OF_MYSQL)
            continue
        condition = f" AND {source.condition}" if source.condition else ""
        parts.append(
            f"SELECT '{kind}', JSON_ARRAY({columns}) FROM information_schema.{source.table} "
            f"WHERE {source.schema} = DATABASE(){condition}"
        )
    return " UNION ALL ".join(parts)


_CHECKS_OF_MYSQL: Final = (
    "SELECT 'check', "
    "JSON_ARRAY(c.constraint_name, c.check_clause, t.table_name, IF(t.enforced = 'NO', 'Idle', 'Table')) "
    "FROM information_schema.check_constraints c JOIN information_schema.table_constraints t "
    "ON t.constraint_schema = c.constraint_schema AND t.constraint_name = c.constraint_name "
    "AND t.constraint_type = 'CHECK' WHERE c.constraint_schema = DATABASE()"
)


class _Reader:
    """The rows of one database, and what they say."""

    def __init__(self, rows: _Rows, schema: str, *, is_mariadb: bool, parked: bool) -> None:
        self._rows = rows
        self._schema = schema
        self._is_mariadb = is_mariadb
        self._parked = parked
        self._collations = {row[0]: row[3] for row in rows.get("table", ())}

    def items(self) -> Iterator[Item]:
        """Give all objects; the columns of a table in their order."""
        for (collation,) in self._rows.get("schema", ()):
            yield Item("schema", "", (("collation", collation),))
        yield from self._tables()
        yield from self._columns()
        yield from self._indexes()
        yield from self._constraints()
        yield from self._views()
        yield from self._triggers()
        yield from self._routines()
        yield from self._events()

    def _of(self, kind: str, *, table: int = 0, key: tuple[int, ...] = ()) -> list[list[Any]]:
        """Give the rows of a kind, without those of pdelta's own tables, sorted by these of their columns."""
        rows = [row for row in self._rows.get(kind, ()) if not is_ours(str(row[table]), parked=self._parked)]
        return sorted(rows, key=lambda row: [row[at] if row[at] is not None else 0 for at in key])

    def _is_shown(self, text: str) -> bool:
        return self._parked or PARKED not in text

    def _tables(self) -> Iterator[Item]:
        partitions = {
            table: list(rows) for table, rows in groupby(self._of("partition", key=(0, 1, 2)), key=lambda row: row[0])
        }
        for name, kind, engine, collation, options, comment in self._of("table"):
            if kind == "VIEW":
                continue
            if kind == "SEQUENCE":
                yield Item("sequence", shown(name))
                continue
            wanted = sorted(option.lower() for option in (options or "").split() if option != "partitioned")
            yield Item(
                "table",
                shown(name),
                _facts(
                    ("engine", engine),
                    ("collation", collation),
                    ("options", ", ".join(wanted)),
                    ("system versioned", YES if kind == "SYSTEM VERSIONED" else ""),
                    ("partitioning", _partitions(partitions.get(name, []))),
                    ("comment", comment),
                ),
            )

    def _columns(self) -> Iterator[Item]:
        checks = {(row[2], row[0]): row[1] for row in self._rows.get("check", ()) if row[3] == "Column"}
        views = {row[0] for row in self._rows.get("view", ())}
        sequences = {row[0] for row in self._rows.get("table", ()) if row[1] == "SEQUENCE"}
        for table, _at, name, kind, nullable, default, extra, collation, comment, generated in self._of(
            "column", key=(0, 1)
        ):
            if table in sequences or not self._is_shown(name):
                continue
            more = extra.lower()
            is_stored = "stored" in more or "persistent" in more
            update = more.partition("on update ")[2].split(" invisible")[0]
            facts = _facts(
                ("type", kind),
                ("collation", collation if collation != self._collations.get(table) else None),
                ("not null", YES if nullable == "NO" else ""),
                ("generated", f"({generated}) {'STORED' if is_stored else 'VIRTUAL'}" if generated else ""),
                ("default", None if generated or table in views else self._default(default, more)),
                ("on update", update),
                ("auto increment", YES if "auto_increment" in more else ""),
                ("invisible", YES if "invisible" in more else ""),
                ("check", checks.get((table, name))),
                ("comment", comment),
            )
            yield Item("column", f"{shown(table)}.{shown(name)}", facts)

    def _default(self, default: str | None, extra: str) -> str | None:
        """Give a default as it stands in SQL; MySQL tells its value, and MariaDB its text."""
        if default is None or (self._is_mariadb and default == "NULL"):
            return None
        if self._is_mariadb:
            return default
        if _MADE_LATER in extra:
            return default if default.upper().startswith("CURRENT_TIMESTAMP") else f"({default})"
        return string(default)

    def _indexes(self) -> Iterator[Item]:
        for (table, name), group in groupby(self._of("index", key=(0, 1, 2)), key=lambda row: (row[0], row[1])):
            rows = list(group)
            _table, _name, _at, non_unique, _column, _part, _order, method, comment, ignored, _expression = rows[0]
            keys = ", ".join(map(_key, rows))
            if not self._is_shown(keys):
                continue
            kind = _KINDS_OF_INDEX.get(method, "KEY" if int(non_unique) else "UNIQUE KEY")
            if name == "PRIMARY":
                kind = "PRIMARY KEY"
            using = f" USING {method}" if method not in {"BTREE", *_KINDS_OF_INDEX} else ""
            facts = _facts(
                ("definition", f"{kind} ({keys}){using}"),
                ("ignored" if self._is_mariadb else "invisible", YES if ignored == "YES" else ""),
                ("comment", comment),
            )
            yield Item("index", f"{shown(table)}.{shown(name)}", (("on", shown(table)), *facts))

    def _constraints(self) -> Iterator[Item]:
        rules = {(row[0], row[1]): (row[2], row[3]) for row in self._rows.get("reference", ())}
        for (table, name), group in groupby(self._of("key", key=(0, 1, 2)), key=lambda row: (row[0], row[1])):
            rows = list(group)
            other = shown(rows[0][5])
            if rows[0][4] != self._schema:
                other = f"{shown(rows[0][4])}.{other}"
            own, theirs = (", ".join(shown(row[at]) for row in rows) for at in (3, 6))
            text = f"FOREIGN KEY ({own}) REFERENCES {other} ({theirs})"
            for word, rule in zip(("UPDATE", "DELETE"), rules.get((table, name), ("", "")), strict=True):
                # Both mean the same here, and servers differ in which they tell.
                text += f" ON {word} {rule}" if rule not in {"", "RESTRICT", "NO ACTION"} else ""
            if self._is_shown(text):
                yield Item("constraint", f"{shown(table)}.{shown(name)}", (("definition", text),))
        for name, clause, table, level in self._of("check", table=2):
            if level != "Column" and self._is_shown(clause):
                facts = _facts(("definition", f"CHECK ({clause})"), ("idle", YES if level == "Idle" else ""))
                yield Item("constraint", f"{shown(table)}.{shown(name)}", facts)

    def _views(self) -> Iterator[Item]:
        for name, definition, check, security, definer, algorithm in self._of("view"):
            if self._is_shown(definition):
                yield Item(
                    "view",
                    shown(name),
                    _facts(
                        ("definition", without_schema(definition, self._schema)),
                        ("check option", check if check != "NONE" else ""),
                        ("security", security if security != "DEFINER" else ""),
                        ("algorithm", algorithm if algorithm not in {None, "UNDEFINED"} else ""),
                        ("definer", neutral(definer, self._schema, is_role=True)),
                    ),
                )

    def _triggers(self) -> Iterator[Item]:
        for table, name, timing, event, order, body, definer in self._of("trigger", key=(0, 2, 3, 4)):
            if self._is_shown(body):
                facts = _facts(
                    ("event", f"{timing} {event}"),
                    ("place", str(order) if int(order) > 1 else ""),
                    ("body", neutral(body, self._schema)),
                    ("definer", neutral(definer, self._schema, is_role=True)),
                )
                yield Item("trigger", f"{shown(table)}.{shown(name)}", facts)

    def _routines(self) -> Iterator[Item]:
        taken: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for kind, name, _at, mode, parameter, dtd in self._of("parameter", table=1, key=(0, 1, 2)):
            prefix = f"{mode} " if kind == "PROCEDURE" else ""
            taken[kind, name].append(f"{prefix}{shown(parameter)} {dtd}")
        for kind, name, returns, body, deterministic, access, security, comment, definer in self._of(
            "routine", table=1
        ):
            if not self._is_shown(body or ""):
                continue
            facts = _facts(
                ("parameters", ", ".join(taken[kind, name])),
                ("returns", returns if kind == "FUNCTION" else ""),
                ("deterministic", YES if deterministic == "YES" else ""),
                ("access", access if access != "CONTAINS SQL" else ""),
                ("security", security if security != "DEFINER" else ""),
                ("body", neutral(body or "", self._schema)),
                ("definer", neutral(definer, self._schema, is_role=True)),
                ("comment", comment),
            )
            yield Item(kind.lower(), shown(name), facts)

    def _events(self) -> Iterator[Item]:
        for name, body, value, field, status, completion, comment, definer in self._of("event"):
            facts = _facts(
                ("schedule", f"EVERY {value} {field}" if value else "once"),
                ("status", status if status != "ENABLED" else ""),
                ("completion", completion if completion != "NOT PRESERVE" else ""),
                ("body", neutral(body, self._schema)),
                ("definer", neutral(definer, self._schema, is_role=True)),
                ("comment", comment),
            )
            yield Item("event", shown(name), facts)


def _facts(*facts: tuple[str, str | None]) -> tuple[tuple[str, str], ...]:
    """Give those that say something."""
    return tuple((key, value) for key, value in facts if value)


def _key(row: Sequence[Any]) -> str:
    column, part, order, expression = row[4], row[5], row[6], row[10]
    text = shown(column) if column is not None else f"({expression})"
    return text + (f"({part})" if part else "") + (" DESC" if order == "D" else "")


def _partitions(rows: Sequence[Sequence[Any]]) -> str:
    """Give how a table is divided, as it stands in SQL."""
    if not rows:
        return ""
    _table, _at, _sub, _name, method, expression, _description, submethod, subexpression = rows[0]
    text = f"{method} ({expression or ''})"
    if submethod:
        text += f" SUBPARTITION BY {submethod} ({subexpression or ''})"
    names = []
    for name, description in dict.fromkeys((row[3], row[6]) for row in rows):
        values = ""
        if method.startswith("RANGE"):
            values = f" VALUES LESS THAN {description if description == 'MAXVALUE' else f'({description})'}"
        elif method.startswith("LIST"):
            values = f" VALUES IN ({description})"
        names.append(f"PARTITION {shown(name)}{values}")
    return f"{text} ({', '.join(names)})"
