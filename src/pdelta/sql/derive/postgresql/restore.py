"""The statements that bring kept rows back, calculated in the tenant after they were kept."""

import msgspec

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.text import Name, Sql, amount, each, literal, said
from pdelta.sql.piece import GUARD


class Kept(msgspec.Struct, frozen=True):
    """Where the rows of one table are kept that one statement changes.

    Attributes:
        table: The table.
        prefix: What the names of ours begin with.
        is_full: Whether they are kept in any case; otherwise only where triggers may change more than is set.
    """

    table: Name
    prefix: str
    is_full: bool

    @property
    def old(self) -> str:
        """The table of rows as they were."""
        return f"{self.prefix}_o"

    @property
    def new(self) -> str:
        """The table of rows as they became."""
        return f"{self.prefix}_n"

    @property
    def function(self) -> str:
        """The function of the triggers."""
        return f"{self.prefix}_f"

    @property
    def refused(self) -> str:
        """The table whose comment says why the statement is refused."""
        return f"{self.prefix}_r"


def key(kept: Kept) -> str:
    """Give a source of the columns that tell rows apart, called ``k``: their list, and conditions for two sources.

    No row where there is no such columns. ``k.rn`` compares the table with new rows, ``k.ro`` with old ones, ``k.no``
    both of these.
    """

    def same(one: str, other: str) -> str:
        column = "quote_ident(a.attname)"
        return f"string_agg('{one}.' || {column} || ' = {other}.' || {column}, ' AND ' ORDER BY i.place)"

    chosen = (
        "SELECT x.indrelid, u.attnum, u.place FROM (SELECT * FROM pg_index q WHERE"
        f" q.indrelid = {kept.table.regclass} AND q.indisunique AND q.indisvalid AND q.indimmediate"
        " AND q.indpred IS NULL AND q.indexprs IS NULL AND NOT EXISTS (SELECT FROM pg_attribute z WHERE"
        " z.attrelid = q.indrelid"
        " AND z.attnum = ANY ((q.indkey::int2[])[0:q.indnkeyatts - 1]) AND NOT z.attnotnull)"
        " ORDER BY q.indisprimary DESC, q.indexrelid LIMIT 1) x,"
        " unnest((x.indkey::int2[])[0:x.indnkeyatts - 1]) WITH ORDINALITY u(attnum, place)"
    )
    return (
        f"(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY i.place) AS columns, array_agg(a.attnum) AS numbers,"
        f" {same('pdelta_r', 'pdelta_n')} AS rn, {same('pdelta_r', 'pdelta_o')} AS ro,"
        f" {same('pdelta_n', 'pdelta_o')} AS no"
        f" FROM ({chosen}) i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.attnum HAVING"
        " count(*) > 0) k"
    )


def counted_twice(kept: Kept) -> str:
    """Give what counts, into ``wrong``, rows that were changed more than once: they have no one state before."""
    doubled = " || ".join(
        f"'(SELECT count(*) - count(DISTINCT (' || k.columns || ')) FROM {table})'" + (" || ' + '" if last else "")
        for table, last in ((kept.old, True), (kept.new, False))
    )
    return f"EXECUTE coalesce((SELECT 'SELECT ' || {doubled} FROM {key(kept)}), 'SELECT 0') INTO wrong; "


def restored(kept: Kept) -> Sql:
    """Give the expression of the statements; nothing where no row was kept."""
    with_key = f"(SELECT {_by_key(kept)} FROM {key(kept)})"
    text = f"coalesce({with_key}, {_as_multiset(kept)})"
    around = said(
        f"LOCK TABLE {kept.table} IN SHARE ROW EXCLUSIVE MODE;", Sql(text), f"DROP TABLE {kept.old}, {kept.new};"
    )
    return Sql(f"CASE WHEN to_regclass({literal(kept.old)}) IS NULL THEN '' ELSE {around} END")


def _by_key(kept: Kept) -> Sql:
    table, old, new = kept.table, f"{kept.old} pdelta_o", f"{kept.new} pdelta_n"
    ro, rn, no = Sql("k.ro"), Sql("k.rn"), Sql("k.no")
    settable = "a.attgenerated = '' AND a.attidentity <> 'a' AND a.attnum <> ALL (k.numbers)"
    updated = Sql(
        "coalesce((SELECT "
        + said(
            f"UPDATE {table} pdelta_r SET ",
            Sql(
                "string_agg(quote_ident(a.attname) || ' = pdelta_o.' || quote_ident(a.attname), ', ' ORDER BY a.attnum)"
            ),
            f" FROM {old} WHERE ",
            ro,
            f" AND EXISTS (SELECT FROM {new} WHERE ",
            no,
            ");",
        )
        + f" FROM {_columns(kept)} AND {settable}), '')"
    )
    return said(
        _guarded(table, "was changed since", "were changed since"),
        f" FROM {new} WHERE NOT EXISTS (SELECT FROM {table} pdelta_r WHERE ",
        rn,
        " AND pdelta_r *= pdelta_n);",
        _guarded(table, "is there again", "are there again"),
        f" FROM {old} WHERE EXISTS (SELECT FROM {table} pdelta_r WHERE ",
        ro,
        f") AND NOT EXISTS (SELECT FROM {new} WHERE ",
        no,
        ");",
        _pointing(kept),
        _triggers(kept, off=True),
        f"DELETE FROM {table} pdelta_r USING {new} WHERE ",
        rn,
        f" AND NOT EXISTS (SELECT FROM {old} WHERE ",
        no,
        ");",
        updated,
        _inserted(kept),
        f" WHERE NOT EXISTS (SELECT FROM {new} WHERE ",
        no,
        ");",
        _guarded(table, "did not become what it was", "did not become what they were"),
        f" FROM {old} WHERE NOT EXISTS (SELECT FROM {table} pdelta_r WHERE ",
        ro,
        " AND pdelta_r *= pdelta_o);",
        _triggers(kept, off=False),
    )


def _guarded(table: Name, one: str, many: str) -> str:
    return f"{GUARD} SELECT CASE WHEN count(*) > 0 THEN {amount(str(table), one, many)} END"


def _columns(kept: Kept) -> str:
    return f"pg_attribute a WHERE a.attrelid = {kept.table.regclass} AND a.attnum > 0 AND NOT a.attisdropped"


def _inserted(kept: Kept) -> Sql:
    listed = Sql(
        f"(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM {_columns(kept)} AND"
        " a.attgenerated = '')"
    )
    return said(
        f"INSERT INTO {kept.table} (", listed, ") OVERRIDING SYSTEM VALUE SELECT ", listed, f" FROM {kept.old} pdelta_o"
    )


def _pointing(kept: Kept) -> Sql:
    """Give the expression of the guards against rows of others that would go, or change, with rows that were added."""
    pairs = Sql(
        "(SELECT string_agg('pdelta_c.' || quote_ident(x.attname) || ' = pdelta_n.' || quote_ident(y.attname), ' AND ')"
        " FROM unnest(c.conkey, c.confkey) u(own, other) JOIN pg_attribute x ON x.attrelid = c.conrelid AND"
        " x.attnum = u.own"
        " JOIN pg_attribute y ON y.attrelid = c.confrelid AND y.attnum = u.other)"
    )
    text = said(
        f"{GUARD} SELECT CASE WHEN count(*) > 0 THEN CASE count(*) WHEN 1 THEN '1 row of ' ELSE count(*) || ' rows of '"
        " END || ",
        Sql("quote_literal(c.conrelid::regclass)"),
        " || CASE count(*) WHEN 1 THEN ' points' ELSE ' point' END"
        f" || {literal(f' to rows that were added to {kept.table}')} END FROM ",
        Sql("c.conrelid::regclass::text"),
        f" pdelta_c JOIN {kept.new} pdelta_n ON ",
        pairs,
        f" WHERE NOT EXISTS (SELECT FROM {kept.old} pdelta_o WHERE ",
        Sql("k.no"),
        ");",
    )
    return each(
        text,
        f"pg_constraint c WHERE {catalogue.constraint_of(kept.table.regclass)} AND c.contype = 'f'"
        f" AND c.confrelid = {kept.table.regclass} AND c.conparentid = 0 AND c.confdeltype IN ('c', 'n', 'd')",
        order="c.oid",
    )


def _triggers(kept: Kept, *, off: bool) -> Sql:
    """Give the expression of switching the table's own triggers off, or on again as they are now."""
    how = (
        "'DISABLE'"
        if off
        else "CASE g.tgenabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END"
    )
    text = said(f"ALTER TABLE {kept.table} ", Sql(how), " TRIGGER ", Sql("quote_ident(g.tgname)"), ";")
    return each(
        text,
        f"pg_trigger g WHERE g.tgrelid = {kept.table.regclass} AND NOT g.tgisinternal AND g.tgenabled <> 'D'",
        order="g.oid",
    )


def _as_multiset(kept: Kept) -> Sql:
    """Rows without a key are told by all that they hold, and counted where several are alike."""
    table = kept.table
    numbered = (
        "(SELECT {what} pdelta_x::text AS content, row_number() OVER (PARTITION BY pdelta_x::text) AS number"
        " FROM {source} pdelta_x{where})"
    )
    there = numbered.format(
        what="pdelta_x.tableoid AS part, pdelta_x.ctid AS place,",
        source=table,
        where=f" WHERE pdelta_x::text IN (SELECT pdelta_y::text FROM {kept.new} pdelta_y)",
    )
    added = numbered.format(what="", source=kept.new, where="")
    return said(
        _guarded(table, "was changed since", "were changed since"),
        f" FROM {added} pdelta_n LEFT JOIN {there} pdelta_t USING (content, number) WHERE pdelta_t.place IS NULL;",
        f"DELETE FROM {table} pdelta_r USING {added} pdelta_n JOIN {there} pdelta_t USING (content, number)"
        " WHERE pdelta_r.tableoid = pdelta_t.part AND pdelta_r.ctid = pdelta_t.place;",
        _inserted(kept),
        ";",
    )
