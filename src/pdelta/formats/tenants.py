"""Which tenants a section of the project file means, and what it says of each; names and globs, never a database.

Called by the adapters of ``databases``, which list what there is.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import msgspec

from pdelta.errors import FormatError
from pdelta.formats.database import DatabaseSection, plain_text

NAME_VALUE = "tenant"
"""The placeholder that every tenant has: its name."""


class TenantRow(msgspec.Struct, frozen=True):
    """What a query says of one tenant.

    Attributes:
        name: Its name: a schema, a database, or a file below the project's folder.
        size: What it is sorted by; None where the query doesn't say.
        tags: Its tags.
        values: What placeholders stand for.
    """

    name: str
    size: int | None = None
    tags: tuple[str, ...] = ()
    values: Mapping[str, str] = {}


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Say whether a name is one of these or matches one of these globs: ``*``, ``?``, ``[abc]``; case matters."""
    return any(name == pattern or _expression(pattern).match(name) for pattern in patterns)


def is_excluded(section: DatabaseSection, name: str) -> bool:
    """Say whether the section says of something of this name that it is no tenant."""
    return bool(section.tenants.exclude) and matches(name, section.tenants.exclude)


def missing_names(section: DatabaseSection, found: Iterable[str]) -> tuple[str, ...]:
    """Give the names of the section, those that are no globs, under which nothing was found."""
    there = set(found)
    named = (pattern for pattern in section.tenants.patterns if not set("*?[") & set(pattern))
    return tuple(name for name in named if name not in there and not matches(name, section.tenants.exclude))


def tags_of(section: DatabaseSection, name: str, own: Iterable[str] = ()) -> tuple[str, ...]:
    """Give a tenant's tags: its own, then those that the section gives it, each once."""
    if not section.tags and not own:
        return ()
    given = (tag for tag, patterns in section.tags.items() if matches(name, patterns))
    return tuple(dict.fromkeys((*own, *given)))


def values_of(section: DatabaseSection, name: str, own: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give what placeholders stand for in a tenant: its name, its own values, the section's; the later one wins."""
    values = {NAME_VALUE: name, **own} if own else {NAME_VALUE: name}
    for pattern, given in section.values.items():
        if matches(name, (pattern,)):
            values.update(given)
    return values


def read_row(columns: Sequence[str], row: Sequence[object]) -> TenantRow:
    """Give what one row of a section's query says.

    The first column is the name; ``size`` and ``tags`` (an array, or a text with commas) mean what they say, and every
    other column is a value of its name. A NULL says nothing.

    Raises:
        FormatError: There is no name, or the size is no number.
    """
    name = row[0] if row else None
    if not isinstance(name, str) or not name:
        raise FormatError(
            f"the query for tenants gives {name!r} where a name must be", hint="its first column is the tenant's name"
        )
    said = {key.lower(): value for key, value in zip(columns[1:], row[1:], strict=True) if value is not None}
    size = said.pop("size", None)
    tags = said.pop("tags", ())
    return TenantRow(name, _size(name, size), _tags(tags), {key: plain_text(value) for key, value in said.items()})


def _size(name: str, value: object) -> int | None:
    if value is None:
        return None
    try:
        return int(str(value).partition(".")[0])
    except ValueError as error:
        raise FormatError(f"the query for tenants gives {name!r} the size {value!r}, which is no number") from error


def _tags(value: object) -> tuple[str, ...]:
    words = value.strip("{}").split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    return tuple(dict.fromkeys(word.strip().strip('"') for word in map(str, words) if word.strip()))


@lru_cache(maxsize=1024)
def _expression(pattern: str) -> re.Pattern[str]:
    import fnmatch

    return re.compile(fnmatch.translate(pattern))
