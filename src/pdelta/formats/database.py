"""``[databases.NAME]`` of the project file: where tenants are, which deltas they get, and how carefully.

Read by ``formats.project``. What stands here is as it was written: references to URLs are not resolved, and globs
are not matched; ``formats.tenants`` does the latter.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from pdelta.errors import FormatError
from pdelta.formats.database_url import check_url, dialect_of
from pdelta.formats.duration import HINT, parse_duration_ms
from pdelta.model.amount import counted
from pdelta.sql.token import Dialect

Choice = TypeVar("Choice", bound=StrEnum)

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_VALUE_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*"


class Of(StrEnum):
    """What a tenant is."""

    SCHEMAS = "schemas"
    DATABASES = "databases"
    FILES = "files"


class Style(StrEnum):
    """Whose form the files of a folder have."""

    PDELTA = "pdelta"
    DBMATE = "dbmate"
    GOOSE = "goose"
    FLYWAY = "flyway"


class Tenants(msgspec.Struct, frozen=True):
    """How the tenants of a database are found.

    Attributes:
        of: What each of them is; None where the database itself is the only one.
        patterns: Names and globs that a name must match one of; empty with a query.
        query: A SELECT that lists them; empty for none.
        exclude: Names and globs of those that are none.
    """

    of: Of | None = None
    patterns: tuple[str, ...] = ()
    query: str = ""
    exclude: tuple[str, ...] = ()


class DatabaseSection(msgspec.Struct, frozen=True):
    """What one ``[databases.NAME]`` says.

    Attributes:
        name: NAME.
        urls: URLs or references to them, one a server; empty where the tenants are files.
        direct_urls: The same servers in the same order past their poolers, for what stands in no transaction; empty
            where ``urls`` leads there already.
        deltas: Folder of delta files, relative to the project file; empty where none was named.
        style: Whose form they have; None to tell by their names.
        tenants: How they are found.
        tags: Names and globs of tenants, by the word that they are tagged with.
        values: What placeholders stand for, by a name or glob of tenants, in the order of the file.
        search_path: Further schemas in which names are looked up, behind that of the tenant.
        connections: How many at once, for each server; None where that isn't said.
        lock_timeout_ms: How long a statement waits for a lock; None where that isn't said.
        statement_timeout_ms: How long a statement may take; None where that isn't said.
        waves: In which waves tenants are worked on, as for ``--waves``; empty where that isn't said.
        retries: How often a busy tenant is tried again; None where that isn't said.
    """

    name: str
    urls: tuple[str, ...] = ()
    direct_urls: tuple[str, ...] = ()
    deltas: str = ""
    style: Style | None = None
    tenants: Tenants = Tenants()
    tags: Mapping[str, tuple[str, ...]] = {}
    values: Mapping[str, Mapping[str, str]] = {}
    search_path: tuple[str, ...] = ()
    connections: int | None = None
    lock_timeout_ms: int | None = None
    statement_timeout_ms: int | None = None
    waves: str = ""
    retries: int | None = None

    @property
    def dialect(self) -> Dialect | None:
        """How its SQL is read, where the project file says so; None where only a resolved reference tells."""
        if self.tenants.of is Of.FILES:
            return Dialect.SQLITE
        if self.tenants.of is Of.SCHEMAS:
            return Dialect.POSTGRESQL
        return next(filter(None, map(dialect_of, self.urls)), None)


_RENAMED: Final = {
    "urls": "url",
    "direct_urls": "direct_url",
    "lock_timeout_ms": "lock_timeout",
    "statement_timeout_ms": "statement_timeout",
}
_KEYS: Final = {_RENAMED.get(field, field) for field in DatabaseSection.__struct_fields__} - {"name"}
"""Of a section, as they are written."""


def parse_database(name: str, fields: object, file: str) -> DatabaseSection:
    """Give what one section says.

    Args:
        name: The section's.
        fields: What TOML makes of it.
        file: The project file, for messages.

    Raises:
        FormatError: A key is unknown, or its value is none; the message names section and key, and shows no URL.
    """
    if not _NAME.fullmatch(name):
        raise FormatError(
            f"{file}: [databases.{name}]: {name!r} is no name of a database",
            hint='a name is letters, digits, _, - and .; one with dots stands in quotes: [databases."a.b"]',
        )
    return _Reader(f"{file}: [databases.{name}]", fields).section(name)


class _Reader:
    """One section while it is read; each method reads one key."""

    def __init__(self, where: str, fields: object) -> None:
        if not isinstance(fields, dict):
            raise FormatError(f"{where} is not a table")
        self._where = where
        self._fields: dict[str, Any] = fields

    def section(self, name: str) -> DatabaseSection:
        self._refuse_unknown(self._fields, _KEYS, "")
        section = DatabaseSection(
            name=name,
            urls=self._urls("url"),
            direct_urls=self._urls("direct_url"),
            deltas=self._text("deltas"),
            style=self._choice("style", Style),
            tenants=self._tenants(),
            tags=self._tags(),
            values=self._values(),
            search_path=self._texts(self._fields, "search_path"),
            connections=self._number("connections", 1),
            lock_timeout_ms=self._duration("lock_timeout"),
            statement_timeout_ms=self._duration("statement_timeout"),
            waves=self._text("waves"),
            retries=self._number("retries", 0),
        )
        self._check(section)
        return section

    def _error(self, problem: str, hint: str = "") -> FormatError:
        return FormatError(f"{self._where}: {problem}", hint=hint)

    def _refuse_unknown(self, fields: Mapping[str, object], known: set[str], inside: str) -> None:
        unknown = sorted(set(fields) - known)
        if unknown:
            raise FormatError(
                f"{self._where}{inside} has unknown keys: {', '.join(unknown)}",
                hint=f"known are: {', '.join(sorted(known))}",
            )

    def _text(self, key: str, fields: Mapping[str, Any] | None = None) -> str:
        fields = self._fields if fields is None else fields
        if key not in fields:
            return ""
        value = fields[key]
        if not isinstance(value, str) or not value.strip():
            raise self._error(f"{key!r} is no text")
        return value.strip()

    def _texts(self, fields: Mapping[str, Any], key: str) -> tuple[str, ...]:
        """Read one text, or a list of them; none where the key is missing."""
        if key not in fields:
            return ()
        value = fields[key]
        held = [value] if isinstance(value, str) else value
        if not isinstance(held, list) or not held or not all(isinstance(one, str) and one for one in held):
            raise self._error(f"{str(key)!r} is neither a text nor a list of texts")
        return tuple(held)

    def _number(self, key: str, least: int) -> int | None:
        value = self._fields.get(key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise self._error(f"{key!r} is no whole number from {least} on")
        return value

    def _duration(self, key: str) -> int | None:
        text = self._text(key)
        span_ms = parse_duration_ms(text) if text else None
        if text and span_ms is None:
            raise self._error(f"{key!r} is {text!r}", HINT)
        return span_ms

    def _choice(self, key: str, choices: type[Choice], fields: Mapping[str, Any] | None = None) -> Choice | None:
        text = self._text(key, fields)
        if text and text not in set(choices):
            raise self._error(f"{key!r} is {text!r}", f"known are: {', '.join(choices)}")
        return choices(text) if text else None

    def _urls(self, key: str) -> tuple[str, ...]:
        urls = tuple(url.strip() for url in self._texts(self._fields, key))
        for url in urls:
            try:
                check_url(url)
            except FormatError as error:
                told = error.message if key == "url" else f"{key}: {error.message}"
                raise self._error(told, error.hint) from error
        return urls

    def _tenants(self) -> Tenants:
        fields = self._fields.get("tenants")
        if fields is None:
            return Tenants()
        if not isinstance(fields, dict):
            raise self._error("'tenants' is not a table", 'write for example tenants = { schemas = "tenant_*" }')
        self._refuse_unknown(fields, {*Of, "query", "of", "exclude"}, ": tenants")
        kinds = [key for key in (*Of, "query") if key in fields]
        if len(kinds) != 1:
            told = f"has {' and '.join(kinds)}" if kinds else "says nothing of where tenants are"
            raise self._error(f"tenants {told}", "give one of schemas, databases, files and query")
        exclude = self._texts(fields, "exclude")
        if kinds == ["query"]:
            of = self._choice("of", Of, fields) or Of.SCHEMAS
            return Tenants(of, query=self._text("query", fields).rstrip("; \n\t"), exclude=exclude)
        if "of" in fields:
            raise self._error("tenants has 'of' without a query", f"{kinds[0]} says already what a tenant is")
        return Tenants(Of(kinds[0]), self._texts(fields, kinds[0]), exclude=exclude)

    def _tags(self) -> dict[str, tuple[str, ...]]:
        tags = self._table("tags")
        for tag in tags:
            if not _NAME.fullmatch(tag):
                raise self._error(f"tags has {tag!r}, which is no tag", "a tag is letters, digits, _, - and .")
        return {tag: self._texts(tags, tag) for tag in tags}

    def _values(self) -> dict[str, dict[str, str]]:
        return {pattern: self._values_of(pattern, values) for pattern, values in self._table("values").items()}

    def _values_of(self, pattern: str, values: object) -> dict[str, str]:
        if not isinstance(values, dict):
            raise self._error(f"values.{pattern} is not a table", 'write for example "*" = { region = "eu" }')
        for name in values:
            if not re.fullmatch(_VALUE_NAME, name):
                raise self._error(
                    f"values.{pattern} has {name!r}, which no placeholder can name",
                    "a placeholder's name is letters, digits and _, and begins with no digit",
                )
        return {name: self._value(f"values.{pattern}.{name}", value) for name, value in values.items()}

    def _value(self, key: str, value: object) -> str:
        if isinstance(value, str | int | float):  # a truth is an int
            return plain_text(value)
        raise self._error(f"{key} is neither a text nor a number nor a truth")

    def _table(self, key: str) -> dict[str, Any]:
        fields = self._fields.get(key, {})
        if not isinstance(fields, dict):
            raise self._error(f"{key!r} is not a table")
        return fields

    def _check(self, section: DatabaseSection) -> None:
        """Refuse keys that contradict each other."""
        tenants = section.tenants
        if tenants.of is Of.FILES and not tenants.query:
            if section.urls:
                raise self._error(
                    "files need no url", "leave the url out, or list the files by a query of that database"
                )
        elif not section.urls:
            raise self._error("there is no url", "only tenants = { files = … } need none")
        wanted: Sequence[Dialect] = tuple(Dialect)
        if tenants.of is Of.SCHEMAS:
            wanted = (Dialect.POSTGRESQL,)
        elif tenants.of is Of.DATABASES:
            wanted = (Dialect.POSTGRESQL, Dialect.MYSQL)
        found = {dialect for dialect in map(dialect_of, section.urls) if dialect}
        if found - set(wanted):
            raise self._error(
                f"a database of {min(found - set(wanted))} has no {tenants.of} of its own",
                "say what a tenant is there: databases, files, or nothing where the database is the only one",
            )
        if len(found) > 1:
            raise self._error("the urls are of several engines", "give each engine a section of its own")
        if section.search_path and found - {Dialect.POSTGRESQL}:
            raise self._error("only PostgreSQL has a search_path")
        self._check_direct(section, found)

    def _check_direct(self, section: DatabaseSection, found: set[Dialect]) -> None:
        """Refuse ways past poolers that lead past none."""
        if not section.direct_urls:
            return
        past = {dialect for dialect in map(dialect_of, section.direct_urls) if dialect}
        if section.tenants.of is Of.FILES or (found | past) - {Dialect.POSTGRESQL}:
            raise self._error(
                "only PostgreSQL has a direct_url", "leave it out: nothing there needs a way past a pooler"
            )
        if len(section.direct_urls) != len(section.urls):
            raise self._error(
                f"it has {counted(len(section.urls), 'url')} and {counted(len(section.direct_urls), 'direct url')}",
                "name each server once in both, in the same order",
            )


def plain_text(value: object) -> str:
    """Give a value as placeholders have it: truths as ``true`` and ``false``, everything else as Python writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
