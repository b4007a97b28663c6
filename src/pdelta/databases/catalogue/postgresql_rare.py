"""What PostgreSQL says of what few schemas hold, as SELECTs of lines: operators, collations and text search."""

from typing import Final, NamedTuple

from pdelta.databases.catalogue.postgresql_text import (
    Scope,
    block,
    choice,
    escaped,
    fact,
    literal,
    name,
    own,
    remarks,
    within,
)

_LIKE_THE_SERVER_SAYS: Final = ("oid", "collname", "collnamespace", "collowner", "collversion")
"""Of a collation: what is chance, said otherwise, or the machine's."""


def rare(scope: Scope) -> dict[str, str]:
    """Give a SELECT for each kind, by the table that it reads."""
    return {kind.table: _select(kind, scope) for kind in _KINDS}


def event_triggers() -> str:
    """Give the event triggers of a database, which lie in no schema."""
    facts = (
        fact("definition", within("n.path", "concat_ws(' ', evtevent, evtfoid::regprocedure, evttags)")),
        choice("state", "e.evtenabled", D="disabled", R="replica", A="always"),
    )
    return f"""
SELECT n.oid, {block("'event trigger'", name("e.evtname"), *facts)}
  FROM pg_event_trigger e JOIN ns n ON n.prefix = ''"""


class _Kind(NamedTuple):
    """A table of the catalogue, whose columns all begin alike; the label is its name unless it has more to it."""

    kind: str
    table: str
    prefix: str
    definition: str
    label: str = ""


def _select(of: _Kind, scope: Scope) -> str:
    written = within("n.path", of.label) if of.label else f"quote_ident(x.{of.prefix}name)"
    facts = (fact("definition", within("n.path", of.definition)), fact("comment", "note.description"))
    return f"""
SELECT n.oid, {block(f"'{of.kind}'", f"n.line || {escaped(written)}", *facts)}
  FROM {scope.rows(of.table, f"{of.prefix}namespace")} x JOIN ns n ON n.oid = x.{of.prefix}namespace
  {remarks(of.table, "x.oid")}
 WHERE {own(of.table, "x.oid")}"""


_GONE: Final = ", ".join(literal(column) for column in _LIKE_THE_SERVER_SAYS)
_METHOD: Final = "(SELECT quote_ident(a.amname) FROM pg_am a WHERE a.oid = x.{})"
_FAMILY_LABEL: Final = f"quote_ident(opfname) || ' USING ' || {_METHOD.format('opfmethod')}"
_CLASS_LABEL: Final = f"quote_ident(opcname) || ' USING ' || {_METHOD.format('opcmethod')}"
_CONVERSION: Final = "concat_ws(' ', conforencoding, contoencoding, condefault, conproc::regproc)"
_PARSER: Final = """
concat_ws(' ', prsstart::regproc, prstoken::regproc, prsend::regproc, prsheadline::regproc, prslextype::regproc)"""
_OPERANDS: Final = """
oprname || ' (' || coalesce(nullif(oprleft, 0)::regtype::text || ', ', '')
        || coalesce(nullif(oprright, 0)::regtype::text, 'NONE') || ')'"""
_OPERATOR: Final = """
concat_ws(' ', oprkind, oprcanmerge, oprcanhash, oprresult::regtype, oprcom::regoperator, oprnegate::regoperator,
          oprcode::regproc, oprrest::regproc, oprjoin::regproc)"""
_FAMILY: Final = """
concat_ws(', ',
  (SELECT string_agg(concat_ws(' ', o.amopstrategy, o.amopopr::regoperator, o.amoppurpose), ', '
                     ORDER BY o.amopstrategy, o.amopopr::regoperator::text COLLATE "C")
     FROM pg_amop o WHERE o.amopfamily = x.oid),
  (SELECT string_agg(f.text, ', ' ORDER BY f.text COLLATE "C")
     FROM (SELECT concat_ws(' ', f.amprocnum, f.amproclefttype::regtype, f.amprocrighttype::regtype,
                            f.amproc::regproc) AS text
             FROM pg_amproc f WHERE f.amprocfamily = x.oid) f))"""
_CLASS: Final = """
concat_ws(' ', (SELECT quote_ident(f.opfname) FROM pg_opfamily f WHERE f.oid = x.opcfamily), opcintype::regtype,
          opcdefault, nullif(opckeytype, 0)::regtype)"""
_DICTIONARY: Final = """
concat_ws(' ', (SELECT quote_ident(t.tmplname) FROM pg_ts_template t WHERE t.oid = x.dicttemplate), dictinitoption)"""
_CONFIGURATION: Final = """
concat_ws(', ', (SELECT quote_ident(p.prsname) FROM pg_ts_parser p WHERE p.oid = x.cfgparser),
  (SELECT string_agg(concat_ws(' ', m.maptokentype, m.mapdict::regdictionary), ', ' ORDER BY m.maptokentype, m.mapseqno)
     FROM pg_ts_config_map m WHERE m.mapcfg = x.oid))"""
_KINDS: Final = (
    _Kind("collation", "pg_collation", "coll", f"(jsonb_strip_nulls(to_jsonb(x)) - ARRAY[{_GONE}])::text"),
    _Kind("conversion", "pg_conversion", "con", _CONVERSION),
    _Kind("operator", "pg_operator", "opr", _OPERATOR, _OPERANDS),
    _Kind("operator family", "pg_opfamily", "opf", _FAMILY, _FAMILY_LABEL),
    _Kind("operator class", "pg_opclass", "opc", _CLASS, _CLASS_LABEL),
    _Kind("text search parser", "pg_ts_parser", "prs", _PARSER),
    _Kind("text search template", "pg_ts_template", "tmpl", "concat_ws(' ', tmplinit::regproc, tmpllexize::regproc)"),
    _Kind("text search dictionary", "pg_ts_dict", "dict", _DICTIONARY),
    _Kind("text search configuration", "pg_ts_config", "cfg", _CONFIGURATION),
)
RARE: Final = tuple(kind.table for kind in _KINDS)
"""The tables that ``rare`` reads."""
