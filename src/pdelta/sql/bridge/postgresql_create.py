"""The statements that make objects of PostgreSQL again, from what a catalogue says of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from pdelta.sql.catalogue import Item, name_parts

HIDDEN: Final = ("{tenant}", "{owner}")
"""What stands for a name that is another one in each tenant."""

_STATES: Final = {"disabled": "DISABLE", "replica": "ENABLE REPLICA", "always": "ENABLE ALWAYS"}
_ROUTINE_WORDS: Final = ("window", "strict", "leakproof", "security definer")


class UnwrittenError(Exception):
    """Something can't be written as a statement; the text says why."""


class LossError(Exception):
    """It would lose something, or be for good; the text says why, and the statements are what a person may choose."""

    def __init__(self, reason: str, *sql: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sql = sql


def create(item: Item, columns: Sequence[Item], identities: Mapping[str, Item]) -> list[str]:
    """Give the statements that make this object and what only it has, but not its comment, owner and rights.

    Args:
        item: Anything but a column.
        columns: Those of a table, view or composite type.
        identities: The sequences behind identity columns, by the column's name.

    Raises:
        UnwrittenError: It is of a kind that is too rare, or says something that only its author knows.
        LossError: It could not be taken back.
    """
    if item.kind in {"table", "foreign table"}:
        return list(_table(item, columns, identities))
    if item.kind == "type":
        return [_type(item, columns)]
    maker = _MAKERS.get(item.kind)
    if maker is None:
        raise UnwrittenError(f"pdelta does not write {_plural(item.kind)}")
    return list(maker(item))


def column(item: Item, identities: Mapping[str, Item]) -> str:
    """Give a column's definition, as it stands in CREATE TABLE and behind ADD COLUMN."""
    text = f"{item.last_name} {_of(item, 'type')}"
    if (collation := item.fact("collation")) is not None:
        text += f" COLLATE {collation}"
    if (generated := item.fact("generated")) is not None:
        text += f" GENERATED ALWAYS AS ({generated}) STORED"
    if (read := item.fact("generated when read")) is not None:
        text += f" GENERATED ALWAYS AS ({read}) VIRTUAL"
    if (default := item.fact("default")) is not None:
        text += f" DEFAULT {default}"
    if (identity := item.fact("identity")) is not None:
        text += f" {generated_as(item, identity, identities)}"
    return text + (" NOT NULL" if item.fact("not null") else "")


def generated_as(item: Item, identity: str, identities: Mapping[str, Item]) -> str:
    """Give what makes a column one of identity."""
    text = f"GENERATED {identity.upper()} AS IDENTITY"
    sequence = identities.get(item.name)
    if sequence is None:
        return text
    # AS with the type is the column's here.
    numbers = _of(sequence, "definition").partition(" START ")[2]
    return f"{text} (SEQUENCE NAME {sequence.name} START {numbers})"


def details(item: Item) -> Iterator[str]:
    """Give what a column has beside its definition."""
    start = f"ALTER TABLE {item.owner} ALTER COLUMN {item.last_name}"
    if (storage := item.fact("storage")) is not None:
        yield f"{start} SET STORAGE {storage.upper()}"
    if (compression := item.fact("compression")) is not None:
        yield f"{start} SET COMPRESSION {compression}"
    if (statistics := item.fact("statistics")) is not None:
        yield f"{start} SET STATISTICS {statistics}"
    if (options := item.fact("options")) is not None:
        yield f"{start} SET ({settings(options)})"


def settings(options: str) -> str:
    """Give options as they stand in brackets."""
    pairs = (option.partition("=") for option in options.split(", "))
    return ", ".join(f"{key} = {quote(value)}" for key, _equals, value in pairs)


def quote(text: str) -> str:
    """Give a string."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def routine(item: Item, *, replace: bool = False) -> str:
    """Give the statement that makes a function or procedure."""
    name = name_parts(item.name)
    called = ".".join((*name[:-1], name[-1][: name[-1].index("(")]))
    lines = [f"CREATE {'OR REPLACE ' if replace else ''}{item.kind.upper()} {called}({item.fact('arguments') or ''})"]
    if (returns := item.fact("returns")) is not None and item.kind == "function":
        lines.append(f"RETURNS {returns}")
    lines.append(f"LANGUAGE {_of(item, 'language')}")
    lines.extend(word.upper() for word in _ROUTINE_WORDS if item.fact(word))
    for key, word in (("volatility", ""), ("parallel", "PARALLEL "), ("cost", "COST "), ("rows", "ROWS ")):
        if (value := item.fact(key)) is not None:
            lines.append(f"{word}{value.upper()}")
    for key, word in (("support", "SUPPORT "), ("transforms", "TRANSFORM FOR TYPE ")):
        if (value := item.fact(key)) is not None:
            lines.append(word + value.replace(", ", ", FOR TYPE "))
    lines.extend(_setting(line) for line in (item.fact("settings") or "").split("\n") if line)
    if (body := item.fact("sql body")) is not None:
        return "\n".join((*lines, body))
    text = item.fact("body") or ""
    library = item.fact("library")
    return "\n".join((*lines, f"AS {quote(library)}, {quote(text)}" if library else f"AS {dollars(text)}"))


def dollars(text: str) -> str:
    """Give a string in dollars, whose tag is not in it."""
    tag = "$"
    number = 0
    while f"{tag}$" in text or text.endswith(tag):
        number += 1
        tag = f"$a{number}"
    return f"{tag}${text}{tag}$"


def _setting(line: str) -> str:
    name, _equals, value = line.partition("=")
    # Only lists of names are written as they are kept.
    return f"SET {name} TO {value if name in {'search_path', 'temp_tablespaces'} else quote(value)}"


def _table(item: Item, columns: Iterable[Item], identities: Mapping[str, Item]) -> Iterator[str]:
    if item.fact("of type"):
        raise UnwrittenError("pdelta does not write tables of a type")
    columns = list(columns)
    foreign = "FOREIGN " if item.kind == "foreign table" else ""
    text = f"CREATE {'UNLOGGED ' if item.fact('unlogged') else ''}{foreign}TABLE {item.name}"
    parents, bounds = item.fact("parents"), item.fact("bounds")
    if bounds is not None:
        text += f" PARTITION OF {parents} {bounds}"
    else:
        own = [column(one, identities) for one in columns if one.fact("origin") != "inherited"]
        text += " (\n    " + ",\n    ".join(own) + "\n)" if own else " ()"
        text += f" INHERITS ({parents})" if parents else ""
    for key, word in (("partition by", "PARTITION BY"), ("access method", "USING"), ("server", "SERVER")):
        if (value := item.fact(key)) is not None:
            text += f" {word} {value}"
    options = [
        item.fact("options") or "",
        *(f"toast.{one}" for one in (item.fact("toast options") or "").split(", ") if one),
    ]
    yield text + _with(", ".join(filter(None, options)))
    yield from row_security(item)
    if (identity := item.fact("replica identity")) is not None:
        yield f"ALTER TABLE {item.name} REPLICA IDENTITY {identity.upper()}"
    for one in columns:
        if one.fact("origin") != "inherited":
            yield from details(one)


def row_security(item: Item) -> Iterator[str]:
    """Give what puts a table under row security."""
    if item.fact("under row security"):
        yield f"ALTER TABLE {item.name} ENABLE ROW LEVEL SECURITY"
    if item.fact("under forced row security"):
        yield f"ALTER TABLE {item.name} FORCE ROW LEVEL SECURITY"


def _with(options: str | None) -> str:
    return f" WITH ({settings(options)})" if options else ""


def _type(item: Item, columns: Sequence[Item]) -> str:
    start = f"CREATE TYPE {item.name} AS"
    if (labels := item.fact("labels")) is not None:
        return f"{start} ENUM ({labels})"
    if columns:
        return f"{start} ({', '.join(column(one, {}) for one in columns)})"
    if (subtype := item.fact("subtype")) is None:
        raise UnwrittenError("pdelta does not write types of this kind")
    functions = (item.fact("functions") or "- -").split(" ")
    parts = [f"SUBTYPE = {subtype}"]
    for key, value in (
        ("SUBTYPE_OPCLASS", item.fact("subtype operators")), ("COLLATION", item.fact("subtype collation")),
        ("SUBTYPE_DIFF", functions[1]), ("MULTIRANGE_TYPE_NAME", item.fact("multirange")),
    ):  # fmt: skip
        if value and value != "-":
            parts.append(f"{key} = {value}")
    if functions[0] != "-":
        raise UnwrittenError("its canonical function takes the type before that is made")
    return f"{start} RANGE ({', '.join(parts)})"


def _domain(item: Item) -> str:
    text = ""
    for key, word in (("collation", "COLLATE"), ("default", "DEFAULT")):
        if (value := item.fact(key)) is not None:
            text += f" {word} {value}"
    return text + (" NOT NULL" if item.fact("not null") else "")


def _view(item: Item) -> Iterator[str]:
    yield f"CREATE {item.kind.upper()} {item.name}{_with(item.fact('options'))} AS\n{_of(item, 'definition')}"


def _sequence(item: Item) -> Iterator[str]:
    unlogged = "UNLOGGED " if item.fact("unlogged") else ""
    yield f"CREATE {unlogged}SEQUENCE {item.name} {_of(item, 'definition')}"


def _create_domain(item: Item) -> Iterator[str]:
    yield f"CREATE DOMAIN {item.name} AS {_of(item, 'type')}{_domain(item)}"


def _routine(item: Item) -> Iterator[str]:
    yield routine(item)


def _constraint(item: Item) -> Iterator[str]:
    where = "DOMAIN" if item.fact("of") == "domain" else "TABLE"
    yield f"ALTER {where} {item.owner} ADD CONSTRAINT {item.last_name} {_of(item, 'definition')}"


def _switched(item: Item) -> Iterator[str]:
    yield _of(item, "definition")
    if (state := item.fact("state")) is not None:
        yield switch(item, state)


def _settings(item: Item) -> Iterator[str]:
    yield from index_settings(item)
    if (options := item.fact("options")) is not None:
        yield f"ALTER INDEX {item.name} SET ({settings(options)})"


def _statistics(item: Item) -> Iterator[str]:
    yield _of(item, "definition")
    if (target := item.fact("target")) is not None:
        yield f"ALTER STATISTICS {item.name} SET STATISTICS {target}"


def _policy(item: Item) -> Iterator[str]:
    kind = "RESTRICTIVE" if item.fact("restrictive") else "PERMISSIVE"
    text = f"CREATE POLICY {item.last_name} ON {item.owner} AS {kind} FOR {item.fact('for') or 'ALL'}"
    text += f" TO {item.fact('roles') or 'PUBLIC'}"
    if (using := item.fact("using")) is not None:
        text += f" USING ({using})"
    if (check := item.fact("with check")) is not None:
        text += f" WITH CHECK ({check})"
    yield text


def _index(item: Item) -> Iterator[str]:
    if item.fact("invalid"):
        raise UnwrittenError("it was left invalid")
    # Of a partitioned table those of its partitions are made with it, and those that are there taken for them.
    definition = _of(item, "definition").replace(" ON ONLY ", " ON ", 1)
    if (parent := item.fact("parent index")) is not None:
        attached = f"ALTER INDEX {parent} ATTACH PARTITION {item.name}"
        raise LossError("an index that is attached to another one can't be detached again", definition, attached)
    yield definition
    yield from index_settings(item)


def index_settings(item: Item) -> Iterator[str]:
    """Give what an index has beside its definition."""
    if item.fact("clustered"):
        yield f"ALTER TABLE {item.owner} CLUSTER ON {item.last_name}"
    if item.fact("replica identity"):
        yield f"ALTER TABLE {item.owner} REPLICA IDENTITY USING INDEX {item.last_name}"
    for one in (item.fact("statistics") or "").split(", "):
        if one:
            number, target = one.split(" ")
            yield f"ALTER INDEX {item.name} ALTER COLUMN {number} SET STATISTICS {target}"


def switch(item: Item, state: str | None) -> str:
    """Give what switches a trigger or a rule."""
    return f"ALTER TABLE {item.owner} {_STATES.get(state or '', 'ENABLE')} {item.kind.upper()} {item.last_name}"


def _of(item: Item, key: str) -> str:
    value = item.fact(key)
    if value is None:
        raise UnwrittenError(f"its {key} is not known")
    return value


def _plural(kind: str) -> str:
    return {"policy": "policies", "operator family": "operator families", "operator class": "operator classes"}.get(
        kind, f"{kind}s"
    )


_MAKERS: Final[Mapping[str, Callable[[Item], Iterator[str]]]] = {
    "view": _view,
    "materialized view": _view,
    "sequence": _sequence,
    "domain": _create_domain,
    "function": _routine,
    "procedure": _routine,
    "policy": _policy,
    "constraint": _constraint,
    "index": _index,
    "settings of index": _settings,
    "trigger": _switched,
    "rule": _switched,
    "statistics": _statistics,
}
