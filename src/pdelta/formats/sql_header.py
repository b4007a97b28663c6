"""The header of a SQL delta's file: ``-- pdelta:`` with ``key=value`` words, on one line or several."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from pdelta.errors import ScriptError
from pdelta.formats.duration import HINT, parse_duration_ms
from pdelta.sql.scope import Scope
from pdelta.sql.script import Allowance, Phase, Replaced, Script, Section, Tool, Transaction
from pdelta.sql.token import Dialect

DIALECTS: Final[Mapping[str, Dialect]] = {
    **{dialect.value: dialect for dialect in Dialect},
    "postgres": Dialect.POSTGRESQL,
    "mariadb": Dialect.MYSQL,
}
"""What a file may call an engine."""

# Compiled with the first header that there is: most files have none.
_FIELD: Final = r'[ \t]*([A-Za-z_]+)=(?:"([^"]*)"|([^\s"]+))(?=[ \t]|\Z)'
_ID: Final = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}"
_RULE: Final = r"[a-z][a-z-]*"
_ALLOW: Final = 'write allow="RULE,RULE: why", with rules as pdelta sql lint names them'
_REPLACES: Final = 'write replaces="TOOL:VERSION; TOOL:VERSION", with versions as that tool\'s table has them'

Choice = TypeVar("Choice", bound=StrEnum)


class Header(msgspec.Struct, frozen=True):
    """What has been said so far; None is what has not."""

    id: str | None = None
    dialect: Dialect | None = None
    transaction: Transaction | None = None
    lock_timeout_ms: int | None = None
    requires: tuple[str, ...] | None = None
    scope: Scope | None = None
    irreversible: str | None = None
    repeatable: bool | None = None
    phase: Phase | None = None
    allows: tuple[Allowance, ...] | None = None
    baseline: bool | None = None
    replaces: tuple[Replaced, ...] | None = None

    def script(self, name: str, sections: tuple[Section, ...]) -> Script:
        """Give the script of this header and these sections."""
        return Script(
            name=name,
            id=self.id or name,
            dialect=self.dialect,
            transaction=self.transaction or Transaction.AUTO,
            lock_timeout_ms=self.lock_timeout_ms,
            requires=self.requires or (),
            scope=self.scope or Scope.TENANT,
            irreversible=self.irreversible or "",
            sections=sections,
            repeatable=bool(self.repeatable),
            phase=self.phase,
            allows=self.allows or (),
            baseline=bool(self.baseline),
            replaces=self.replaces or (),
        )


def read_header(header: Header, text: str, line: int) -> Header:
    """Give the header with what this line of it adds.

    Args:
        header: What the lines before said.
        text: What follows ``pdelta:``.
        line: The line's number, for errors.

    Raises:
        ScriptError: No ``key=value``, an unknown key, one given twice, or a value of another kind.
    """
    at = 0
    text = text.rstrip()
    said: dict[str, Any] = {}
    while at < len(text):
        found = re.compile(_FIELD).match(text, at)
        if found is None:
            raise ScriptError(
                f"the header can't be read from {text[at:].strip()[:40]!r} on",
                line=line,
                hint='write key=value, or key="value" where the value holds spaces',
            )
        key, value = found[1], found[3] if found[2] is None else found[2]
        if key not in _KEYS:
            raise ScriptError(
                f"the header has an unknown key {key!r}", line=line, hint=f"known are: {', '.join(_KEYS)}"
            )
        field, read = _KEYS[key]
        if key in _SEVERAL:
            # Reasons, and lists that are long, have lines of their own.
            said[field] = (*said.get(field, getattr(header, field) or ()), *read(value, key, line))
            at = found.end()
            continue
        if field in said or getattr(header, field) is not None:
            raise ScriptError(f"the header says {key} twice", line=line)
        said[field] = read(value, key, line)
        at = found.end()
    header = msgspec.structs.replace(header, **said)
    _check(header, line)
    return header


def _check(header: Header, line: int) -> None:
    """Refuse what contradicts itself."""
    if header.baseline and header.repeatable:
        raise ScriptError("a baseline is applied once, and can't be repeatable", line=line)
    if header.baseline and header.scope is Scope.ONCE:
        raise ScriptError("a baseline is for tenants, and can't have scope=once", line=line)
    if header.replaces and len(set(header.replaces)) != len(header.replaces):
        raise ScriptError("the header's replaces names one version twice", line=line)


def _id(value: str, key: str, line: int) -> str:
    if not re.fullmatch(_ID, value):
        raise ScriptError(
            f"the header's {key} has {value!r}, which is no id",
            line=line,
            hint="an id is up to 200 letters, digits, _, . and -",
        )
    return value


def _ids(value: str, key: str, line: int) -> tuple[str, ...]:
    ids = tuple(_id(one.strip(), key, line) for one in value.split(","))
    if len(set(ids)) != len(ids):
        raise ScriptError(f"the header's {key} names a delta twice", line=line)
    return ids


def _duration_ms(value: str, key: str, line: int) -> int:
    span_ms = parse_duration_ms(value)
    if span_ms is None:
        raise ScriptError(f"the header's {key} is {value!r}", line=line, hint=HINT)
    return span_ms


def _dialect(value: str, key: str, line: int) -> Dialect:
    return _one_of(DIALECTS, value, key, line)


def _transaction(value: str, key: str, line: int) -> Transaction:
    return _one_of({choice.value: choice for choice in Transaction}, value, key, line)


def _scope(value: str, key: str, line: int) -> Scope:
    return _one_of({choice.value: choice for choice in Scope}, value, key, line)


def _reason(value: str, key: str, line: int) -> str:
    if not value.strip():
        raise ScriptError(f"the header's {key} gives no reason", line=line)
    return value.strip()


def _truth(value: str, key: str, line: int) -> bool:
    if value not in {"yes", "no"}:
        raise ScriptError(f"the header's {key} is {value!r}", line=line, hint="known are: yes, no")
    return value == "yes"


def _phase(value: str, key: str, line: int) -> Phase:
    return _one_of({choice.value: choice for choice in Phase}, value, key, line)


def _allowance(value: str, key: str, line: int) -> tuple[Allowance]:
    rules, colon, reason = value.partition(":")
    names = tuple(name.strip() for name in rules.split(","))
    if not all(re.fullmatch(_RULE, name) for name in names):
        raise ScriptError(f"the header's {key} has {rules.strip()!r}, which names no rules", line=line, hint=_ALLOW)
    if not colon or not reason.strip():
        raise ScriptError(f"the header's {key} gives no reason", line=line, hint=_ALLOW)
    return (Allowance(names, reason.strip()),)


def _replaced(value: str, key: str, line: int) -> tuple[Replaced, ...]:
    entries: list[Replaced] = []
    for entry in value.split(";"):
        tool, _, version = (word.strip() for word in entry.partition(":"))
        if not version:
            raise ScriptError(
                f"the header's {key} has {entry.strip()!r}, which names no version", line=line, hint=_REPLACES
            )
        if tool not in set(Tool):
            raise ScriptError(f"the header's {key} has {tool!r}", line=line, hint=f"known are: {', '.join(Tool)}")
        entries.append(Replaced(Tool(tool), version))
    return tuple(entries)


def _one_of(choices: Mapping[str, Choice], value: str, key: str, line: int) -> Choice:
    if value not in choices:
        raise ScriptError(f"the header's {key} is {value!r}", line=line, hint=f"known are: {', '.join(choices)}")
    return choices[value]


_KEYS: Final[Mapping[str, tuple[str, Callable[[str, str, int], Any]]]] = {
    "id": ("id", _id),
    "engine": ("dialect", _dialect),
    "transaction": ("transaction", _transaction),
    "lock_timeout": ("lock_timeout_ms", _duration_ms),
    "requires": ("requires", _ids),
    "scope": ("scope", _scope),
    "irreversible": ("irreversible", _reason),
    "repeatable": ("repeatable", _truth),
    "phase": ("phase", _phase),
    "allow": ("allows", _allowance),
    "baseline": ("baseline", _truth),
    "replaces": ("replaces", _replaced),
}
_SEVERAL: Final = frozenset({"allow", "replaces"})
"""May be given several times, and add up."""
