"""Reads PostgreSQL's catalogue: fingerprints of many schemas with one query, and what few of them hold.

Both come from the same SELECTs of lines: the server hashes them for ``fingerprints`` exactly as ``sql.catalogue`` does
for what ``catalogues`` gives. ``statement`` has them as well, for few schemas, whose objects it looks up. They read
what every login may read that may use the schemas, and change nothing but settings of their transaction, which they set
back at their end. They wait for tables that somebody is altering, so a timeout is the caller's to set.

What reads many schemas looks expensive to the planner, and its compiler would take longer than that does:
``SETTINGS_BEFORE`` is for the transaction that it runs in.
"""

import functools
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from pdelta.databases.catalogue import postgresql_others as others
from pdelta.databases.catalogue import postgresql_rights as rights
from pdelta.databases.catalogue import postgresql_tables as tables
from pdelta.databases.catalogue.neutral import neutral
from pdelta.databases.catalogue.postgresql_rare import RARE, event_triggers, rare
from pdelta.databases.catalogue.postgresql_text import SETTINGS, Scope, array, literal, name
from pdelta.errors import Cause, DatabaseError
from pdelta.sql.catalogue import Catalogue, Item, fingerprint

Query = Callable[[str], Sequence[Sequence[Any]]]
"""Executes one SELECT in one transaction and gives its rows."""

SETTINGS_BEFORE: Final = "SET LOCAL jit = off; SET LOCAL enable_nestloop = off; SET LOCAL work_mem = '32MB'"
"""Belongs before what is asked through a ``Query``, in its transaction.

How many rows the parts of a statement give is nothing that statistics tell: one wrong guess, and 500 schemas are looked
through once for each of 5,000 tables, which takes 4.1 s where joins by hash take 0.35 s.
"""

_OWN_SCHEMA: Final = "public"
"""Whose names stand without it where a tenant is a whole database."""


class ClosedError(DatabaseError):
    """Schemas that a login may not use; the message is about the first of them.

    Args:
        login: Whose.
        schemas: Their names, sorted.
    """

    def __init__(self, login: str, schemas: Sequence[str]) -> None:
        super().__init__(
            f"{login} may not use the schema {schemas[0]}",
            cause=Cause.DENIED,
            hint=f'GRANT USAGE ON SCHEMA "{schemas[0]}" TO "{login}"',
        )
        self._login = login
        self.schemas = schemas

    def each(self) -> "dict[str, ClosedError]":
        """Give the error of each schema."""
        return {schema: ClosedError(self._login, (schema,)) for schema in self.schemas}


def fingerprints(query: Query, schemas: Collection[str], *, parked: bool = False) -> dict[str, str]:
    """Give the fingerprint of each of these schemas, with one query whatever their number; one that is gone is missing.

    Schemas with functions that name their own schema in their text are read as a whole, with one query more.

    Args:
        query: On the database that has them.
        schemas: Their names.
        parked: Whether what pdelta parked or kept counts as theirs.

    Raises:
        ClosedError: The login may not use some of them.
    """
    if not schemas:
        return {}
    version, there = _look(query, schemas)
    rows = query(_fingerprints(Scope(version, parked), there, schemas))
    found = {schema: value for schema, value in rows if value}
    named = [schema for schema, value in rows if not value]
    read = catalogues(query, named, parked=parked)
    return found | {schema: fingerprint(catalogue) for schema, catalogue in read.items()}


def catalogues(query: Query, schemas: Collection[str], *, parked: bool = False) -> dict[str, Catalogue]:
    """Give the catalogues of these schemas; one that is gone is missing.

    Args:
        query: On the database that has them.
        schemas: Their names.
        parked: Whether what pdelta parked or kept counts as theirs.

    Raises:
        ClosedError: The login may not use some of them.
    """
    if not schemas:
        return {}
    version, there = _look(query, schemas)
    scope = Scope(version, parked)
    rows = query(_texts(scope, _schemas(array(sorted(schemas))), *_lines(scope, there)))
    texts: dict[str, list[str]] = {}
    for schema, text in rows:
        texts.setdefault(schema, []).append(text)
    return {schema: Catalogue.of(_neutral(lines, schema)) for schema, lines in texts.items()}


def database_catalogue(query: Query, *, parked: bool = False) -> Catalogue:
    """Give the catalogue of a whole database; names of its schema ``public`` stand without it.

    Args:
        query: On that database.
        parked: Whether what pdelta parked or kept counts as the tenant's.

    Raises:
        ClosedError: The login may not use the schema ``public``.
    """
    version, there = _look(query, (_OWN_SCHEMA,))
    scope = Scope(version, parked)
    rows = query(_texts(scope, _DATABASE, *_lines(scope, there), event_triggers()))
    return Catalogue.parse(text for _schema, text in rows)


def statement(version: int, schemas: Collection[str], *, parked: bool = False) -> str:
    """Give a SELECT of one text, all that schemas hold, for a transaction that goes on afterwards; ``read`` reads it.

    Args:
        version: The server's ``server_version_num``.
        schemas: Their names.
        parked: Whether what pdelta parked or kept counts as the tenants'.
    """
    return _few(version, _schemas(_names(f"'{_PLACE}'")), parked=parked).replace(_PLACE, digits(schemas))


def lasting_statement(version: int) -> str:
    """Give the same of the schemas whose ``digits`` the setting ``CHOSEN`` has when it is executed."""
    return _few(version, _schemas(_names(f"current_setting('{CHOSEN}')")), parked=False)


def digits(schemas: Collection[str]) -> str:
    """Give names of schemas as a text in which nothing needs quotes, in whichever literal it stands."""
    return msgspec.json.encode(sorted(schemas)).hex()


def read(text: str | None) -> dict[str, Catalogue]:
    """Give the catalogues that the text of a ``statement`` says, by schema; one that is gone is missing."""
    return {schema: Catalogue.of(_neutral((held,), schema)) for schema, held in _by_schema(text).items()}


def database_statement(version: int, *, parked: bool = False) -> str:
    """Give the same of all schemas of a database, for ``read_database``."""
    return _few(version, _DATABASE, event_triggers(), parked=parked)


def read_database(text: str | None) -> Catalogue:
    """Give the catalogue that the text of a ``database_statement`` says."""
    return Catalogue.parse(_by_schema(text).values())


CHOSEN: Final = "pdelta.schemas"
"""A setting of our own."""

_PLACE: Final = "{schemas}"
"""Stands for the digits of names."""


def _names(text: str) -> str:
    """Give the array of the names whose ``digits`` a text has."""
    return f"ARRAY(SELECT json_array_elements_text(convert_from(decode({text}, 'hex'), 'UTF8')::json))"


@functools.cache
def _few(version: int, schemas: str, *more: str, parked: bool) -> str:
    """Give a SELECT of one text, all that few schemas hold.

    Args:
        version: The server's.
        schemas: The SELECT of them.
        more: Further SELECTs of lines.
        parked: Whether what pdelta parked or kept counts as the tenants'.
    """
    scope = Scope(version, parked, few=True)
    lines = (*_usual(scope), *_often(scope).values(), _apart(scope, schemas), *more)
    texts = _texts(scope, schemas, *lines)
    each = rf"SELECT schema, string_agg(text, E'\n\n') AS text FROM ({texts}) AS x (schema, text) GROUP BY schema"
    return f"SELECT json_object_agg(schema, text ORDER BY schema)::text FROM ({each}) AS y"


def _by_schema(text: str | None) -> dict[str, str]:
    return msgspec.json.decode(text or "{}", type=dict[str, str])


def _look(query: Query, schemas: Collection[str]) -> tuple[int, Container[str]]:
    """Give the server's version, and which of the tables that few use have anything in them that is not the server's.

    What they have none of need not be planned: that is a tenth of all.

    Raises:
        ClosedError: The login may not use some of the schemas, and the server would write their names elsewhere.
    """
    there = ", ".join(
        f"CASE WHEN EXISTS (SELECT FROM {table} WHERE {condition}) THEN '{table}' END"
        for table, condition in _SELDOM.items()
    )
    closed = f"""
SELECT json_agg(nspname ORDER BY nspname) FROM pg_namespace
 WHERE nspname = ANY ({array(sorted(schemas))}) AND NOT has_schema_privilege(oid, 'USAGE')"""
    row = query(f"SELECT current_setting('server_version_num'), concat_ws(' ', {there}), ({closed}), current_user")[0]
    version, tables_, found, login = row
    if found:
        raise ClosedError(login, msgspec.json.decode(found, type=list[str]))
    return int(version), tables_.split()


_SELDOM: Final = {
    **dict.fromkeys(("pg_policy", "pg_statistic_ext", "pg_default_acl"), "true"),
    **dict.fromkeys(("pg_proc", *RARE), "oid >= 16384"),
    "pg_extension": "extnamespace <> 'pg_catalog'::regnamespace",
    "pg_aggregate": "aggfnoid >= 16384",
    "pg_rewrite": "oid >= 16384 AND rulename <> '_RETURN'",
}
"""What tables have when they have more than what every database begins with."""


def _neutral(texts: Iterable[str], schema: str) -> Iterator[Item]:
    for item in Catalogue.parse(texts).items:
        yield neutral(item, schema) if item.kind in {"function", "procedure"} else item


def _schemas(names: str) -> str:
    """Give the SELECT of the schemas that are each a tenant, from an array of their names."""
    return f"""
SELECT n.oid, n.nspname, n.nspowner, n.nspacl, n.nspname AS tenant, '' AS prefix, '' AS line,
       quote_ident(n.nspname) || ', pg_catalog, pg_temp' AS path
  FROM pg_namespace n, settings WHERE n.nspname = ANY ({names})"""


_DATABASE: Final = f"""
SELECT n.oid, n.nspname, n.nspowner, n.nspacl, current_database() AS tenant, o.prefix, o.line,
       '{_OWN_SCHEMA}, pg_catalog, pg_temp' AS path
  FROM pg_namespace n, settings,
       LATERAL (SELECT CASE n.nspname WHEN '{_OWN_SCHEMA}' THEN '' ELSE quote_ident(n.nspname) || '.' END AS prefix,
                       CASE n.nspname WHEN '{_OWN_SCHEMA}' THEN '' ELSE {name("n.nspname")} || '.' END AS line) o
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""


def _fingerprints(scope: Scope, there: Container[str], schemas: Collection[str]) -> str:
    """Give the statement of names and fingerprints; none where only the catalogue tells.

    The lines are sorted once, and not by each aggregate for itself.
    """
    named = """
SELECT p.ns FROM proc p JOIN ns n ON n.oid = p.ns
 WHERE strpos(lower(p.prosrc || coalesce(array_to_string(p.proconfig, ' '), '')),
              lower(replace(n.nspname, '"', '""'))) > 0"""
    lines = " UNION ALL ".join(_lines(scope, there))
    return f"""
{_before(scope, _schemas(array(sorted(schemas))))}
SELECT n.nspname, CASE WHEN n.oid NOT IN ({named}) THEN h.value END
  FROM ns n JOIN (
       SELECT l.ns, encode(sha256(convert_to(string_agg(l.line, E'\\n\\n'), 'UTF8')), 'hex') AS value
         FROM (SELECT l.ns, l.line FROM ({lines}) AS l (ns, line) ORDER BY l.ns, l.line COLLATE "C" OFFSET 0) l
        GROUP BY l.ns) h ON h.ns = n.oid
UNION ALL {_AFTER}"""


def _texts(scope: Scope, schemas: str, *lines: str) -> str:
    """Give the statement of names and texts of objects."""
    return f"""
{_before(scope, schemas)}
SELECT n.nspname, l.line FROM ns n JOIN ({" UNION ALL ".join(lines)}) AS l (ns, line) ON l.ns = n.oid
UNION ALL {_AFTER}"""


def _before(scope: Scope, schemas: str) -> str:
    """Give what the SELECTs of lines stand on."""
    former = ", ".join(f"current_setting('{key}') AS \"{key}\"" for key in (*SETTINGS, "search_path"))
    settings = ", ".join(f"set_config('{key}', {literal(value)}, true)" for key, value in SETTINGS.items())
    inside = f"inside AS MATERIALIZED ({others.INSIDE})," if scope.few else ""
    return f"""
WITH former AS MATERIALIZED (SELECT {former}),
     settings AS MATERIALIZED (SELECT {settings} FROM former),
     ns AS MATERIALIZED ({schemas}), {inside}
     ext AS MATERIALIZED ({others.EXTENDED}),
     rel AS MATERIALIZED ({tables.relations(scope)}),
     tab AS MATERIALIZED ({tables.tables(scope)}),
     idx AS MATERIALIZED ({tables.keyed(scope)}),
     proc AS MATERIALIZED ({others.routines(scope)}),
     typ AS MATERIALIZED ({others.all_types(scope)})"""


_AFTER: Final = (
    "SELECT NULL, NULL FROM former WHERE "
    + " || ".join(f"set_config('{key}', former.\"{key}\", true)" for key in (*SETTINGS, "search_path"))
    + " IS NULL"
)
"""Comes last, gives no row, and sets back what was set."""


def _lines(scope: Scope, there: Container[str]) -> Iterator[str]:
    """Give the SELECTs of lines that have something to say."""
    yield from _usual(scope)
    others_ = {**_often(scope), **_seldom(scope)}
    yield from (lines for table, lines in others_.items() if table in there)


def _usual(scope: Scope) -> Iterator[str]:
    """Give the SELECTs of lines of what most schemas have."""
    yield others.schemas()
    yield "SELECT ns, text FROM tab"
    yield tables.constraints(scope)
    yield tables.indexes(scope)
    yield tables.sequences(scope)
    yield tables.triggers(scope)
    yield others.types(scope)
    yield rights.grants()


def _often(scope: Scope) -> dict[str, str]:
    """Give those of what many have, each by the table that has something then."""
    return {"pg_proc": others.functions(scope), "pg_policy": others.policies(), "pg_rewrite": others.rules()}


def _seldom(scope: Scope) -> dict[str, str]:
    """Give those of what few have, likewise."""
    return {
        "pg_aggregate": others.aggregates(),
        "pg_statistic_ext": others.statistics(),
        "pg_extension": others.extensions(),
        "pg_default_acl": rights.default_privileges(),
        **rare(scope),
    }


def _apart(scope: Scope, schemas: str) -> str:
    """Give the SELECT of lines of what few have, in a text that the server executes where there is any of it.

    Only then it is planned, which takes as long as to plan all else.
    """
    told = "encode(convert_to(json_agg(json_build_array(l.ns, l.line))::text, 'UTF8'), 'hex')"
    lines = " UNION ALL ".join(_seldom(scope).values())
    text = literal(f"{_before(scope, schemas)} SELECT {told} AS told FROM ({lines}) AS l (ns, line)")
    known = ", ".join(f"'{table}'::regclass" for table in ("pg_class", "pg_type", "pg_proc"))
    there = f"""
EXISTS (SELECT FROM inside WHERE classid NOT IN ({known})) OR EXISTS (SELECT FROM proc WHERE prokind = 'a')"""
    answer = f"query_to_xml(CASE WHEN {there} THEN {text} END, false, true, '')::text"
    # No digit has another form in XML.
    return f"""
SELECT (e.told ->> 0)::oid, e.told ->> 1
  FROM json_array_elements(convert_from(decode(
       substring({answer} FROM '<told>([^<]*)</told>'), 'hex'), 'UTF8')::json) AS e (told)"""
