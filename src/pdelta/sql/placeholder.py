"""``${name}`` in statements, and the values of one tenant in its place.

A value never changes what a statement is: it becomes one literal, one quoted name or one number. What stands in
strings, quoted names, bodies in dollars and comments is no placeholder. Called for every tenant, so a statement is
looked at once and filled often.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, assert_never

import msgspec

from pdelta.errors import ScriptError
from pdelta.sql.order import SUFFIX
from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect, Kind, Mode, Token

_NUMBER: Final = r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_JOINS: Final = frozenset({Kind.WORD, Kind.NUMBER, Kind.STRING, Kind.QUOTED, Kind.PLACEHOLDER})
"""What would become one token with a value that it touches."""
_CHANGES_WHAT_FOLLOWS: Final = frozenset("-&")
"""``--5`` would be a comment, and ``U&'…'`` a string with escapes."""
_POSTGRESQL_NAME_BYTES: Final = 63
_MYSQL_NAME_CHARACTERS: Final = 64


class Form(StrEnum):
    """What a value becomes."""

    TEXT = "text"
    NAME = "name"
    NUMBER = "number"


class Placeholder(msgspec.Struct, frozen=True):
    """One place in a statement that each tenant has a value of its own for.

    Attributes:
        name: What values know it by.
        form: What the value becomes.
        line: Where it stands in the file.
        apart: Whether a space must come before it.
    """

    name: str
    form: Form
    line: int
    apart: bool = False


class Template(msgspec.Struct, frozen=True):
    """A statement, cut at its placeholders.

    Attributes:
        delta: The name of the delta that it is of.
        parts: Text, and placeholders between it.
    """

    delta: str
    parts: tuple[str | Placeholder, ...]

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Give those of the statement in order."""
        return tuple(part for part in self.parts if not isinstance(part, str))

    def fill(
        self, values: Mapping[str, str], dialect: Dialect, *, tenant: str, modes: frozenset[Mode] = frozenset()
    ) -> str:
        """Give the statement with a tenant's values.

        Args:
            values: By name.
            dialect: Whose quotes they get.
            tenant: Whose they are, for messages.
            modes: What a MySQL server's ``sql_mode`` changes about quotes.

        Raises:
            ScriptError: A value is missing, or isn't fit for its form; delta, line and tenant are named.
        """
        if len(self.parts) == 1 and isinstance(self.parts[0], str):
            return self.parts[0]
        return "".join(
            part if isinstance(part, str) else self._filled(part, values, dialect, tenant, modes) for part in self.parts
        )

    def _filled(
        self, place: Placeholder, values: Mapping[str, str], dialect: Dialect, tenant: str, modes: frozenset[Mode]
    ) -> str:
        file = self.delta + SUFFIX
        value = values.get(place.name)
        if value is None:
            raise ScriptError(
                f"tenant {tenant!r} has no value for ${{{place.name}}}",
                line=place.line,
                file=file,
                hint="give it one under values of the database in pdelta.toml, or as a column of the tenants' query",
            )
        try:
            text = quoted(value, place.form, dialect, modes=modes)
        except ValueError as error:
            raise ScriptError(
                f"the value of ${{{place.name}}} in tenant {tenant!r} {error}", line=place.line, file=file
            ) from error
        return f" {text}" if place.apart else text


def template(statement: Statement, delta: str) -> Template:
    """Give a statement cut at its placeholders.

    Args:
        statement: As it stands in the file.
        delta: The name of its delta, for messages.

    Raises:
        ScriptError: A placeholder asks for an unknown form, or touches what would become one token with its value.
    """
    parts: list[str | Placeholder] = []
    done = 0
    tokens = statement.tokens
    for number, token in enumerate(tokens):
        if token.kind is not Kind.PLACEHOLDER:
            continue
        _refuse_company(token, tokens[max(number - 1, 0) : number + 2], delta)
        start = token.offset - statement.offset
        before = statement.text[done:start]
        parts += [before] if before else []
        parts.append(_placeholder(token, delta, apart=before[-1:] in _CHANGES_WHAT_FOLLOWS and before != ""))
        done = start + len(token.text)
    rest = statement.text[done:]
    return Template(delta, (*parts, rest) if rest or not parts else tuple(parts))


def placeholders(statements: Iterable[Statement], delta: str) -> tuple[Placeholder, ...]:
    """Give every placeholder of these statements, in order.

    Raises:
        ScriptError: As ``template``.
    """
    return tuple(place for one in statements for place in template(one, delta).placeholders)


def quoted(value: str, form: Form, dialect: Dialect, *, modes: frozenset[Mode] = frozenset()) -> str:
    """Give a value as one token of this dialect.

    Raises:
        ValueError: It isn't fit for this form; the message goes on after "the value".
    """
    if "\0" in value:
        raise ValueError("holds a NUL character")
    match form:
        case Form.TEXT:
            return _literal(value, dialect, modes)
        case Form.NAME:
            return _identifier(value, dialect)
        case Form.NUMBER:
            if not re.fullmatch(_NUMBER, value):
                raise ValueError(f"is {value!r}, which is no number")
            return value
        case _:
            assert_never(form)


def _literal(value: str, dialect: Dialect, modes: frozenset[Mode]) -> str:
    text = value.replace("'", "''")
    if "\\" in value:
        if dialect is Dialect.POSTGRESQL:
            # Means the same whatever standard_conforming_strings says.
            return "E'" + text.replace("\\", "\\\\") + "'"
        if dialect is Dialect.MYSQL and Mode.NO_BACKSLASH_ESCAPES not in modes:
            text = text.replace("\\", "\\\\")
    return f"'{text}'"


def _identifier(value: str, dialect: Dialect) -> str:
    if not value:
        raise ValueError("is empty, and a name can't be")
    if dialect is Dialect.POSTGRESQL and len(value.encode()) > _POSTGRESQL_NAME_BYTES:
        raise ValueError(f"is a name of more than {_POSTGRESQL_NAME_BYTES} bytes, which the server would cut short")
    if dialect is Dialect.MYSQL and len(value) > _MYSQL_NAME_CHARACTERS:
        raise ValueError(f"is a name of more than {_MYSQL_NAME_CHARACTERS} characters")
    quote = "`" if dialect is Dialect.MYSQL else '"'
    return quote + value.replace(quote, quote * 2) + quote


def _placeholder(token: Token, delta: str, *, apart: bool) -> Placeholder:
    name, _, form = token.text[2:-1].partition(":")
    if form and form not in set(Form):
        raise ScriptError(
            f"{token.text} asks for an unknown form",
            line=token.line,
            file=delta + SUFFIX,
            hint=f"known are: {', '.join(f'${{{name}:{known}}}' for known in Form)}",
        )
    return Placeholder(name, Form(form) if form else Form.TEXT, token.line, apart)


def _refuse_company(token: Token, neighbours: Iterable[Token], delta: str) -> None:
    for other in neighbours:
        if other is not token and other.kind in _JOINS and (other.end == token.offset or token.end == other.offset):
            raise ScriptError(
                f"{token.text} touches {other.text[:40]}, and a value is a literal or a name of its own",
                line=token.line,
                file=delta + SUFFIX,
                hint="let the value be the whole name, as in ${name:name}, or join literals by ||",
            )
