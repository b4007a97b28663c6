"""What takes back INSERT, REPLACE, UPDATE and DELETE: triggers of ours keep each row as it was and as it became.

They are made before the statement and dropped after it, for both commit by themselves, and do nothing for any other
session. The statement itself shares its transaction with the row of the ledger that says so.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pdelta.sql.derive.mysql import own_rows
from pdelta.sql.derive.mysql.draft import Change, Delta
from pdelta.sql.derive.mysql.text import (
    CALCULATED,
    COLUMN,
    MARIADB,
    UNCUT,
    MysqlReader,
    Name,
    amount,
    at_most,
    each,
    guard,
    has_triggers,
    joined,
    key_is_calculated,
    listed,
    literal,
    one,
    primary_parts,
    quoted_name,
    said,
    same_key,
    same_table,
    when,
)
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.piece import GUARD, Piece
from pdelta.sql.split import Statement

_KEEPING: Final = "@pdelta_keeping"
"""The variable that says to our triggers, in the session of the delta alone, which tables they are to fill."""
_PLACE: Final = "@pdelta_place"
"""And this one, how many rows the statement has come to."""
_TWICE: Final = "@pdelta_twice"
"""And whether it came to one again that had been there before."""
_PLACED: Final = "pdelta_place"
"""The column of ours that says in which place a row came."""
_SEEN: Final[Mapping[str, frozenset[str]]] = {
    "INSERT": frozenset({"INSERT"}),
    "REPLACE": frozenset({"DELETE", "INSERT"}),
    "UPDATE": frozenset({"UPDATE"}),
    "DELETE": frozenset({"DELETE"}),
}
"""What triggers see of a statement, by its verb."""


def change_rows(delta: Delta, statement: Statement) -> Change:
    """Take away the rows that came, and bring back those that were there; refused where they have changed since.

    Nothing is kept of tables and columns that the delta itself has made: the reverse empties and drops them.

    Raises:
        RefusedError: It may change several tables, or can't be read.
    """
    reader = MysqlReader(statement)
    verb = reader.word
    reader.at += 1
    skipped: set[str] = set()
    while word := reader.take_one("LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE", "INTO", "FROM"):
        skipped.add(word)
    table = reader.table()
    if reader.word in {",", "USING", "JOIN", "INNER", "LEFT", "RIGHT", "CROSS", "STRAIGHT_JOIN"}:
        raise RefusedError("a statement that may change several tables is not derived")
    if table in delta.tables:
        return own_rows.changed(table, delta.tables[table])
    upserts = _past_duplicate(reader) if verb == "INSERT" else False
    if "IGNORE" in skipped and (verb == "UPDATE" or upserts):
        raise RefusedError("IGNORE in a statement that updates rows is not derived: triggers see those it passes over")
    columns = _set_columns(reader) if verb == "UPDATE" else _assigned(reader) if upserts else []
    if upserts or not columns or any((table, column.folded) not in delta.columns for column in columns):
        return _Keeping(delta, statement, table, columns, upserts=upserts).change()
    for column in columns:
        fresh = delta.columns[table, column.folded]
        fresh.fills.append((delta.place, table, column))
    selves = (
        f"CASE WHEN EXISTS (SELECT 1 FROM information_schema.columns WHERE {same_table(table)}"
        " AND extra LIKE '%on update%') THEN"
        f" {literal(f'{table.name} has a column that changes with every update')} END"
    )
    return Change(before=(guard(own_rows.no_triggers(table)), guard(selves)))


def _set_columns(reader: MysqlReader) -> list[Name]:
    """Give the columns that an UPDATE of one table sets.

    Raises:
        RefusedError: That can't be told.
    """
    reader.take("AS")
    if reader.word != "SET":
        reader.plain_name()
    reader.expect("SET")
    return _assigned(reader)


def _past_duplicate(reader: MysqlReader) -> bool:
    """Go behind ``ON DUPLICATE KEY UPDATE``, and say whether the statement has that."""
    words = [token.word for token in reader.tokens]
    start = next((at for at, word in enumerate(words) if words[at : at + 2] == ["ON", "DUPLICATE"]), None)
    if start is None:
        return False
    reader.at = start
    return reader.take("ON", "DUPLICATE", "KEY", "UPDATE")


def _assigned(reader: MysqlReader) -> list[Name]:
    """Give the columns of assignments that come next.

    Raises:
        RefusedError: That can't be told.
    """
    found: list[Name] = []
    while not found or reader.take(","):
        name = reader.plain_name()
        if reader.take("."):
            name = reader.plain_name()
        found.append(name)
        reader.expect("=")
        while not reader.is_over and reader.word not in {",", "WHERE", "ORDER", "LIMIT"}:
            if reader.word == "(":
                reader.skip_brackets()
            else:
                reader.at += 1
    return found


class _Keeping:
    """One statement whose rows are kept: in ``old`` as they were, in ``new`` as they are after it.

    Args:
        delta: What it is a part of.
        statement: It.
        table: What it changes.
        columns: That an UPDATE sets, or a row that is there already gets.
        upserts: Whether there may be such rows.
    """

    def __init__(
        self, delta: Delta, statement: Statement, table: Name, columns: Sequence[Name], *, upserts: bool
    ) -> None:
        self._verb = statement.tokens[0].word
        self._upserts = upserts
        self._only_adds = self._verb == "INSERT" and not self._upserts
        self._calls = _calls(statement)
        self._table = table
        self._set = ", ".join(literal(column.name) for column in columns)
        self._at_most = delta.terms.rows_at_most
        self._kept = delta.names.kept()
        self._old, self._new = Name(f"{self._kept}_o"), Name(f"{self._kept}_n")

    def change(self) -> Change:
        """Give what is executed, and what takes it back."""
        seen = _SEEN[self._verb] | ({"UPDATE"} if self._upserts else frozenset())
        named = {verb: Name(f"{self._kept}_{verb[0].lower()}") for verb in sorted(seen)}
        removed = [f"DROP TRIGGER IF EXISTS {name}" for name in named.values()]
        # With the first table the ledger says what all of it is taken back by; what is made then may be made again.
        cleared = "".join(f"{text};" for text in (*removed, f"DROP TABLE IF EXISTS {self._old}, {self._new}"))
        first = Piece(
            self._like(self._old), before=self._questions(), undo=literal(cleared), alone=True, calculated=True
        )
        others = (
            self._like(self._new, f", 0 AS {_PLACED}", how="IF NOT EXISTS "),
            *(self._trigger(*one) for one in named.items()),
        )
        return Change(
            first=(first, *(Piece(text, alone=True, calculated=True) for text in others)),
            before=(f"SET {_KEEPING} = {literal(self._kept)}, {_PLACE} = 0, {_TWICE} = 0",),
            late=joined(self._restored()),
            after=(f"SET {_KEEPING} = NULL", *self._once(), self._limited(self._old), self._limited(self._new)),
            last=tuple(Piece(text, alone=True) for text in removed),
            rows=True,
        )

    def _questions(self) -> tuple[str, ...]:
        """Refuse where more would change than rows of the table, or they would not be found again."""
        table, shown = self._table, self._table.name
        keyed = (
            f"information_schema.columns c WHERE {same_table(table, column='c.table_name')} AND c.column_key = 'PRI'"
        )
        plain = f"information_schema.tables WHERE {same_table(table)} AND table_type = 'BASE TABLE'"
        called = (
            "information_schema.routines WHERE routine_schema = database() AND routine_type = 'FUNCTION'"
            f" AND routine_name IN ({', '.join(map(literal, self._calls)) or 'NULL'})"
        )
        asked = (
            f"CASE WHEN NOT EXISTS (SELECT 1 FROM {plain}) THEN {literal(f'{shown} is no plain table')}"
            f" WHEN NOT EXISTS (SELECT 1 FROM {keyed}) THEN"
            f" {literal(f'{shown} has no primary key, by which rows could be found again')}"
            f" WHEN {key_is_calculated(table)} THEN {literal(f'the primary key of {shown} is calculated from others')}"
            f" WHEN {has_triggers(table)} THEN {literal(f'{shown} has triggers, and what they change is not kept')}"
            f" WHEN EXISTS (SELECT 1 FROM {self._reached()}) THEN"
            f" {literal(f'foreign keys to {shown} may change other rows with its own, and those are not kept')}"
            f"{self._unordered()} WHEN EXISTS (SELECT 1 FROM {called}) THEN"
            " 'it calls a function of the database, and what that changes is not kept' END"
        )
        return UNCUT, guard(asked)

    def _reached(self) -> str:
        """Give the source of foreign keys by which rows are changed that nobody keeps."""
        keys = _cascades(self._table, "delete_rule")
        if self._only_adds:
            # Which rows have come to point to those that go is asked later, but not of the table itself.
            return f"{keys} AND {same_table(self._table, column='k.table_name')}"
        if self._verb == "UPDATE":
            updated = f"{_cascades(self._table, 'update_rule')} AND k.referenced_column_name IN ({self._set})"
            return f"(SELECT 1 FROM {updated} UNION ALL SELECT 1 FROM {keys} AND {self._moves()}) u"
        return _cascades(self._table, "delete_rule", "update_rule")

    def _unordered(self) -> str:
        """Give what refuses, behind a CASE, where no order is known in which rows could be set back one by one."""
        why = literal(f"it changes the primary key of {self._table.name}, which has another unique index")
        return f" WHEN {self._moves()} AND {self._is_unique()} THEN {why}" if self._upserts else ""

    def _once(self) -> tuple[str, ...]:
        """Refuse where that turns out to be so for another reason."""
        if not (self._upserts or self._verb == "REPLACE"):
            return ()
        why = literal(f"it changes a row of {self._table.name} more than once, which has another unique index")
        return (guard(f"CASE WHEN {_TWICE} = 1 AND {self._is_unique()} THEN {why} END"),)

    def _is_unique(self, condition: str = "true") -> str:
        """Give the condition that the table has a unique index beside its primary key, with such a column ``s``."""
        where = same_table(self._table, column="s.table_name")
        return (
            f"EXISTS (SELECT 1 FROM information_schema.statistics s WHERE {where} AND s.non_unique = 0"
            f" AND s.index_name <> 'PRIMARY' AND ({condition}))"
        )

    def _moves(self) -> str:
        """Give the condition that an UPDATE sets columns of the primary key."""
        where = same_table(self._table, column="p.table_name")
        return (
            f"EXISTS (SELECT 1 FROM information_schema.columns p WHERE {where} AND p.column_key = 'PRI'"
            f" AND p.column_name IN ({self._set}))"
        )

    def _like(self, kept: Name, more: str = "", *, how: str = "") -> str:
        """Give the expression of what makes a table for kept rows: the same columns, and the same primary key."""
        columns = listed(self._table, COLUMN)
        begin = f"CREATE TABLE {how}{kept} (PRIMARY KEY ("
        return said(
            begin,
            primary_parts(self._table),
            ")) ENGINE = InnoDB AS SELECT ",
            columns,
            f"{more} FROM {self._table} WHERE false",
        )

    def _trigger(self, verb: str, called: Name) -> str:
        """Give the expression of what makes a trigger that sees what a statement does of this kind.

        What is changed twice was in the end what it was before the first time.
        """
        columns = listed(self._table, COLUMN)
        went = (
            f"INSERT INTO {self._old} (",
            columns,
            ") SELECT ",
            listed(self._table, f"concat('OLD.', {COLUMN})"),
            f" FROM (SELECT 1) AS one WHERE NOT EXISTS (SELECT 1 FROM {self._new} AS x WHERE ",
            same_key(self._table, "x", "OLD"),
            f"); DELETE FROM {self._new} WHERE ",
            same_key(self._table, str(self._new), "OLD"),
            f"; IF ROW_COUNT() > 0 AND EXISTS (SELECT 1 FROM {self._old} AS x WHERE ",
            same_key(self._table, "x", "OLD"),
            f") THEN SET {_TWICE} = 1; END IF; ",
        )
        came = (
            f"SET {_PLACE} = {_PLACE} + 1; INSERT INTO {self._new} (",
            columns,
            f", {_PLACED}) VALUES (",
            listed(self._table, f"concat('NEW.', {COLUMN})"),
            f", {_PLACE}); ",
        )
        return said(
            (when(MARIADB, "'CREATE OR REPLACE TRIGGER '", "'CREATE TRIGGER IF NOT EXISTS '"),),
            f"{called} AFTER {verb} ON {self._table} FOR EACH ROW BEGIN IF {_KEEPING} <=> {literal(self._kept)} THEN ",
            *(went if verb != "INSERT" else ()),
            *(came if verb != "DELETE" else ()),
            "END IF; END",
        )

    def _limited(self, kept: Name) -> str:
        limit = self._at_most
        return at_most(kept, limit, f"it changes more than {limit} rows of {self._table.name}, and no more are kept")

    def _restored(self) -> Iterator[str]:
        """Give the expressions of the reverse: rows go, become and come back by their primary key."""
        table, old, new = self._table, self._old, self._new
        key = same_key(table, "t", "x")
        other = same_key(table, "o", "x")
        columns = listed(self._table, COLUMN)
        yield said(f"{GUARD} SELECT {own_rows.no_triggers(table)};")
        if self._verb != "DELETE":
            # By its collation a value may be equal to another.
            plain = [f"concat('{one}.', {COLUMN})" for one in "tx"]
            bytes_ = [f"if(k.collation_name IS NULL, {one}, concat('CAST(', {one}, ' AS BINARY)'))" for one in plain]
            content = listed(table, f"concat({bytes_[0]}, ' <=> ', {bytes_[1]})", " AND ")
            missing = f" FROM {new} x WHERE NOT EXISTS (SELECT 1 FROM {table} t WHERE "
            yield said(
                _refuses(table.name, "was changed since", "were changed since"), missing, key, " AND ", content, ");"
            )
        remove = said(f"DELETE t FROM {table} t JOIN {new} x ON ", key)
        insert = said(f"INSERT INTO {table} (", columns, ") SELECT ", columns, f" FROM {old} x")
        went = joined([remove, said(f" WHERE NOT {_among(old)}", other, ");")])
        came = joined([insert, said(f" WHERE NOT {_among(new)}", other, ");")])
        again = said(
            _refuses(table.name, "is there again", "are there again"),
            f" FROM {old} x JOIN {table} t ON ",
            key,
            f" WHERE NOT {_among(new)}",
            other,
            ");",
        )
        if self._only_adds:
            yield from (self._pointed_to(), went)
        elif self._verb == "DELETE":
            yield from (self._counted(), again, came)
        elif self._verb == "UPDATE":
            moves, anew = self._moves(), joined([remove, literal(";"), insert, literal(";")])
            one_by_one = joined([when(moves, went), self._became(), when(moves, came)])
            yield when(moves, joined([self._counted(), self._pointed_to(), again]))
            # Where rows have other keys, there is no telling which one has to leave a unique value first.
            yield when(f"{moves} AND {self._is_unique()}", anew, one_by_one)
        else:
            yield from (self._counted(), self._pointed_to(), again, went, self._became(), came)

    def _became(self) -> str:
        """Give the expression of the UPDATE that sets rows back.

        Where one may have a unique value that another one is to get, the last one that the statement came to is the
        first: so each finds its value free, as it was before.
        """
        table, old, new = self._table, self._old, self._new
        at_once = said(
            f"UPDATE {table} t JOIN {old} x ON ",
            same_key(table, "t", "x"),
            " SET ",
            listed(table, f"concat('t.', {COLUMN}, ' = x.', {COLUMN})"),
            f" WHERE {_among(new)}",
            same_key(table, "o", "x"),
            ");",
        )
        ((of_old,), (of_new,)) = (same_key(table, one, "t") for one in "xo")
        taken = f"concat('t.', {COLUMN}, ' = (SELECT x.', {COLUMN}, {literal(f' FROM {old} x WHERE ')}, {of_old}, ')')"
        in_turn = said(
            f"UPDATE {table} t SET ",
            listed(table, taken),
            f" WHERE EXISTS (SELECT 1 FROM {old} x WHERE ",
            (of_old,),
            f") AND {_among(new)}",
            (of_new,),
            f") ORDER BY (SELECT o.{_PLACED} FROM {new} o WHERE ",
            (of_new,),
            ") DESC;",
        )
        calculated = (
            f"information_schema.columns g WHERE {same_table(table, column='g.table_name')}"
            f" AND g.column_name = s.column_name AND {CALCULATED.format('g')}"
        )
        touched = f"s.column_name IS NULL OR s.column_name IN ({self._set}) OR EXISTS (SELECT 1 FROM {calculated})"
        return when(self._is_unique(touched if self._set else "true"), in_turn, at_once)

    def _counted(self) -> str:
        """Give the expression of the guard that no row comes back to which the server would give another number."""
        table = self._table
        why = literal(f"a row of {table.name} has the number 0, for which the server would take the next")
        where = f"{same_table(table, column='k.table_name')} AND k.extra LIKE '%auto_increment%'"
        zero = said(f"{GUARD} SELECT CASE WHEN EXISTS (SELECT 1 FROM {self._old} x WHERE x.", (COLUMN,), " = 0)")
        return one(joined([zero, literal(f" THEN {why} END;")]), f"information_schema.columns k WHERE {where}")

    def _pointed_to(self) -> str:
        """Give the expression of guards: no other row goes with one that goes, or is changed with it."""
        keys = _cascades(self._table, "delete_rule")
        came = literal(f"foreign keys to {self._table.name} have come or gone since")
        still = said(f"{GUARD} SELECT CASE WHEN (SELECT count(*) FROM {keys}) <> ", (f"(SELECT count(*) FROM {keys})",))
        condition = f"concat('t.', {quoted_name('k.column_name')}, ' = x.', {quoted_name('k.referenced_column_name')})"
        going = "to rows that would go, and would be changed with them"
        begin = _refuses("other tables", f"points {going}", f"point {going}")
        each_key = said(
            f"{begin} FROM ",
            (quoted_name("k.table_name"),),
            f" t JOIN {self._new} x ON ",
            (f"group_concat({condition} SEPARATOR ' AND ')",),
            ";",
        )
        grouped = f"(SELECT {each_key} AS text FROM {keys} GROUP BY k.table_name, k.constraint_name) g"
        return joined([still, literal(f" THEN {came} END;"), each("g.text", grouped, "g.text")])


def _calls(statement: Statement) -> list[str]:
    """Give the names before a bracket, which may be of functions.

    Raises:
        RefusedError: One is of another database.
    """
    found: list[str] = []
    words = [token.word for token in statement.tokens]
    for place, following in enumerate(words[1:]):
        if following == "(":
            found.append(statement.tokens[place].text.strip("`"))
            if words[place - 1] == ".":
                raise RefusedError(f"{found[-1]} may be a function of another database")
    return found


def _cascades(table: Name, *rules: str) -> str:
    """Give the source of the columns ``k`` of foreign keys to a table that change rows with its own."""
    changing = " OR ".join(f"r.{rule} IN ('CASCADE', 'SET NULL', 'SET DEFAULT')" for rule in rules)
    return (
        "information_schema.key_column_usage k JOIN information_schema.referential_constraints r"
        " ON r.table_name = k.table_name AND r.constraint_name = k.constraint_name"
        " WHERE k.table_schema = database() AND r.constraint_schema = database() AND"
        f" k.referenced_table_schema = database() AND k.referenced_table_name = {literal(table.name)} AND ({changing})"
    )


def _refuses(of: str, one: str, many: str) -> str:
    """Give the beginning of a guard that counts."""
    return f"{GUARD} SELECT CASE WHEN count(*) > 0 THEN {amount(of, one, many)} END"


def _among(kept: Name) -> str:
    return f"EXISTS (SELECT 1 FROM {kept} o WHERE "
