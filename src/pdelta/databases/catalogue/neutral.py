"""Takes the tenant's own schema out of what an author wrote as text: the body and the settings of a function."""

from typing import Final

from pdelta.errors import ScriptError
from pdelta.sql.catalogue import Item
from pdelta.sql.token import Dialect, Kind, Token
from pdelta.sql.tokens import tokenize

OWN: Final = "{tenant}"
"""Stands for the schema's name; no SQL has a name that looks like it."""

_LANGUAGES: Final = frozenset({"sql", "plpgsql"})
_SEARCH_PATH: Final = "search_path="


def neutral(item: Item, schema: str) -> Item:
    """Give this function with ``{tenant}`` where its text names the schema.

    A name counts where it is one: in front of a dot in a body of SQL or PL/pgSQL, and in a search path. In strings and
    comments it is the author's text, and stays.
    """
    facts = []
    for key, value in item.facts:
        if key == "body" and item.fact("language") in _LANGUAGES:
            facts.append((key, _replaced(value, schema, only_before_dots=True)))
        elif key == "settings":
            lines = (
                _replaced(line, schema, only_before_dots=False) if line.startswith(_SEARCH_PATH) else line
                for line in value.split("\n")
            )
            facts.append((key, "\n".join(lines)))
        else:
            facts.append((key, value))
    return Item(item.kind, item.name, tuple(facts))


def _replaced(text: str, schema: str, *, only_before_dots: bool) -> str:
    if schema.replace('"', '""').lower() not in text.lower():
        return text
    try:
        tokens = [token for token in tokenize(text, Dialect.POSTGRESQL) if token.kind is not Kind.COMMENT]
    except ScriptError:
        return text
    found = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1].text if index else ""
        after = tokens[index + 1].text if index + 1 < len(tokens) else ""
        if _name(token) == schema and before != "." and (after == "." or not only_before_dots):
            found.append(token)
    for token in reversed(found):
        text = text[: token.offset] + OWN + text[token.end :]
    return text


def _name(token: Token) -> str:
    """Give the name that a token is; empty for none."""
    if token.kind is Kind.WORD:
        return token.text.lower()
    if token.kind is Kind.QUOTED and token.text.startswith('"'):
        return token.text[1:-1].replace('""', '"')
    return ""
