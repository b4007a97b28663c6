"""The statements that make objects of MySQL, from what a catalogue says of them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pdelta.sql.bridge.order import bare
from pdelta.sql.catalogue import Item, name_parts

HIDDEN: Final = {"ignored": "NOT IGNORED", "invisible": "VISIBLE"}
"""How MariaDB and MySQL say that an index is not used, and that it is."""

_WORDS_OF_ROUTINES: Final = {"access": "", "security": "SQL SECURITY "}


def ticks(name: str) -> str:
    """Give a name, or several with dots between them, in backticks: any may be one of MySQL's words."""
    return ".".join("`" + bare(part).replace("`", "``") + "`" for part in name_parts(name))


def string(text: str) -> str:
    """Give a string without quotes or backslashes that a setting could read in another way."""
    return f"_utf8mb4 X'{text.encode().hex()}'" if "'" in text or "\\" in text else f"'{text}'"


def column(item: Item) -> str:
    """Give a column's definition."""
    facts = dict(item.facts)
    parts = [ticks(item.last_name), facts.get("type", "")]
    if "collation" in facts:
        parts.append(f"COLLATE {facts['collation']}")
    if "generated" in facts:
        parts.append(f"GENERATED ALWAYS AS {facts['generated']}")
    # A TIMESTAMP that is not said to take NULL takes none.
    parts.append("NOT NULL" if "not null" in facts else "" if "generated" in facts else "NULL")
    for key, text in (
        ("default", "DEFAULT {}"), ("on update", "ON UPDATE {}"), ("auto increment", "AUTO_INCREMENT"),
        ("invisible", "INVISIBLE"), ("check", "CHECK ({})"),
    ):  # fmt: skip
        if key in facts:
            parts.append(text.format(facts[key]))
    if "comment" in facts:
        parts.append(f"COMMENT {comment(facts['comment'])}")
    return " ".join(filter(None, parts))


def comment(text: str) -> str:
    """Give a comment, which takes no introducer."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def index(item: Item) -> str:
    """Give what follows ADD for an index; its keys stand as the catalogue has them, names in backticks."""
    kind, _bracket, keys = (item.fact("definition") or "").partition(" (")
    name = "" if kind == "PRIMARY KEY" else f" {ticks(item.last_name)}"
    text = f"{kind}{name} ({_quoted(keys)}"
    text += "".join(f" {word.upper()}" for word in HIDDEN if item.fact(word))
    if (said := item.fact("comment")) is not None:
        text += f" COMMENT {comment(said)}"
    return text


def _quoted(keys: str) -> str:
    """Put the names of plain keys in backticks."""
    body, bracket, using = keys.rpartition(")")
    parts = []
    for key in _cut(body):
        name, rest = (key, "") if key[:1] in {"(", "`"} else _split(key)
        parts.append(f"`{name}`{rest}" if name and name[0] not in "(`" else key)
    return ", ".join(parts) + bracket + using


def _split(key: str) -> tuple[str, str]:
    end = next((at for at, character in enumerate(key) if character in "( "), len(key))
    return key[:end], key[end:]


def _cut(text: str) -> list[str]:
    """Cut at the commas that stand in no bracket and no name."""
    parts, depth, in_name = [""], 0, False
    for character in text:
        in_name ^= character == "`"
        depth += 0 if in_name else (character == "(") - (character == ")")
        if character == "," and not depth and not in_name:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def constraint(item: Item) -> str:
    """Give what follows ADD for a constraint."""
    definition = item.fact("definition") or ""
    if definition.startswith("FOREIGN KEY ("):
        own, _word, rest = definition.removeprefix("FOREIGN KEY (").partition(") REFERENCES ")
        table, _bracket, tail = rest.partition(" (")
        theirs, _close, rules = tail.partition(")")
        names, others = (", ".join(ticks(name) for name in _cut(part)) for part in (own, theirs))
        definition = f"FOREIGN KEY ({names}) REFERENCES {ticks(table)} ({others}){rules}"
    idle = " NOT ENFORCED" if item.fact("idle") else ""
    return f"CONSTRAINT {ticks(item.last_name)} {definition}{idle}"


def table(item: Item, columns: Iterable[Item], indexes: Iterable[Item], checks: Iterable[Item]) -> str:
    """Give the statement that makes a table; foreign keys come when all tables are there."""
    parts = [*map(column, columns), *map(index, indexes), *map(constraint, checks)]
    text = f"CREATE TABLE {ticks(item.name)} (\n    " + ",\n    ".join(parts) + "\n)"
    return text + "".join(f" {option}" for option in options(dict(item.facts)))


def options(facts: Mapping[str, str]) -> Iterator[str]:
    """Give the options of a table."""
    if "engine" in facts:
        yield f"ENGINE={facts['engine']}"
    if "collation" in facts:
        yield f"DEFAULT CHARSET={facts['collation'].split('_')[0]} COLLATE={facts['collation']}"
    yield from (option.upper() for option in facts.get("options", "").split(", ") if option)
    if "comment" in facts:
        yield f"COMMENT={comment(facts['comment'])}"
    if "system versioned" in facts:
        yield "WITH SYSTEM VERSIONING"
    if "partitioning" in facts:
        yield f"PARTITION BY {facts['partitioning']}"


def table_options(have: Mapping[str, str], want: Mapping[str, str]) -> str:
    """Give what follows ALTER TABLE to make the options of a table others; the engine is none of them."""
    keys = [key for key in dict.fromkeys((*have, *want)) if have.get(key) != want.get(key)]
    old, new = (
        [one.partition("=")[0] for one in facts.get("options", "").split(", ") if one] for facts in (have, want)
    )
    usual = [f"{option.upper()}=DEFAULT" for option in old if option not in new]
    return " ".join((*options({key: want.get(key, "") for key in keys}), *usual))


def stored(item: Item) -> str:
    """Give the statement that makes a view, trigger, routine or event."""
    facts = dict(item.facts)
    user, _at, host = facts.get("definer", "").rpartition("@")
    definer = f" DEFINER={ticks_of(user)}@{ticks_of(host)}" if host else ""
    match item.kind:
        case "view":
            algorithm = f" ALGORITHM={facts['algorithm']}" if "algorithm" in facts else ""
            security = f" SQL SECURITY {facts['security']}" if "security" in facts else ""
            check = f" WITH {facts['check option']} CHECK OPTION" if "check option" in facts else ""
            start = f"CREATE OR REPLACE{algorithm}{definer}{security} VIEW {ticks(item.name)}"
            return f"{start} AS {facts['definition']}{check}"
        case "trigger":
            event = f"{facts['event']} ON {ticks(item.owner)} FOR EACH ROW"
            return f"CREATE{definer} TRIGGER {ticks(item.last_name)} {event} {facts['body']}"
        case "event":
            return _event(item, facts, definer)
        case _:
            return _routine(item, facts, definer)


def ticks_of(name: str) -> str:
    """Give a name that is no catalogue's in backticks."""
    return "`" + name.replace("`", "``") + "`"


def _routine(item: Item, facts: Mapping[str, str], definer: str) -> str:
    lines = [f"CREATE{definer} {item.kind.upper()} {ticks(item.name)}({facts.get('parameters', '')})"]
    if "returns" in facts:
        lines.append(f"RETURNS {facts['returns']}")
    if "deterministic" in facts:
        lines.append("DETERMINISTIC")
    lines.extend(f"{word}{facts[key]}" for key, word in _WORDS_OF_ROUTINES.items() if key in facts)
    if "comment" in facts:
        lines.append(f"COMMENT {comment(facts['comment'])}")
    return "\n".join((*lines, facts.get("body", "")))


def _event(item: Item, facts: Mapping[str, str], definer: str) -> str:
    text = f"CREATE{definer} EVENT {ticks(item.name)} ON SCHEDULE {facts['schedule']}"
    if "completion" in facts:
        text += f" ON COMPLETION {facts['completion']}"
    if "status" in facts:
        text += " DISABLE" if facts["status"] == "DISABLED" else " DISABLE ON SLAVE"
    if "comment" in facts:
        text += f" COMMENT {comment(facts['comment'])}"
    return f"{text} DO {facts['body']}"
