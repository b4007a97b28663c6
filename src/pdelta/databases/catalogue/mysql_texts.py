"""Names and texts of MySQL as catalogues have them, without the name of the tenant's database."""

import re
from typing import Final

from pdelta.errors import ScriptError
from pdelta.sql.token import Dialect, Kind, Token
from pdelta.sql.tokens import tokenize

OWN: Final = "{tenant}"
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def shown(name: str) -> str:
    """Give a name for people: in backticks only where a dot or a space in it would mislead them."""
    return name if _PLAIN.fullmatch(name) else "`" + name.replace("`", "``") + "`"


def string(text: str) -> str:
    """Give a string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def without_schema(text: str, schema: str) -> str:
    """Give what the server wrote of a view, without its own database before each name."""
    tokens = _tokens(text)
    for at in reversed(range(len(tokens) - 1)):
        if _is_own(tokens, at, schema):
            text = text[: tokens[at].offset] + text[tokens[at + 1].end :]
    return text


def neutral(text: str, schema: str, *, is_role: bool = False) -> str:
    """Give what somebody wrote, with ``{tenant}`` where it names its own database; strings and comments stay.

    Args:
        text: SQL; or an account, as ``user@host``.
        schema: The database's name.
        is_role: Whether it is an account.
    """
    if is_role:
        user, _at, host = text.rpartition("@")
        return f"{OWN}@{host}" if user == schema else text
    if schema.replace("`", "``").lower() not in text.lower():
        return text
    tokens = _tokens(text)
    for at in reversed(range(len(tokens) - 1)):
        if _is_own(tokens, at, schema):
            text = text[: tokens[at].offset] + OWN + text[tokens[at].end :]
    return text


def _tokens(text: str) -> list[Token]:
    try:
        return [token for token in tokenize(text, Dialect.MYSQL) if token.kind is not Kind.COMMENT]
    except ScriptError:
        return []


def _is_own(tokens: list[Token], at: int, schema: str) -> bool:
    """Say whether this token is the database in front of a name."""
    token = tokens[at]
    name = token.text if token.kind is Kind.WORD else ""
    if token.kind is Kind.QUOTED and token.text.startswith("`"):
        name = token.text[1:-1].replace("``", "`")
    return name == schema and tokens[at + 1].text == "." and (at == 0 or tokens[at - 1].text != ".")
