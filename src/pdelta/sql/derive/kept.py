"""The names of what a delta parks or keeps in its tenants, and how it is found again to be purged.

A name begins with ``_pdelta_park_`` or ``pdelta_kept_``, then comes the delta: ten hexadecimal digits of the SHA-256 of
its id, and four of its digest, so that an edited delta finds no name taken. What follows is a number, and for people a
part of the name that it had.
``docs/reference/sql-reverse.md`` describes them.
"""

import re
from itertools import pairwise
from typing import Final

from pdelta.sql.sha import sha256_of
from pdelta.sql.split import Statement
from pdelta.sql.token import Kind

PARKED: Final = "_pdelta_park_"
"""Begins the name of what a delta dropped and what its reverse brings back."""

KEPT: Final = "pdelta_kept_"
"""Begins the name of a table with the rows that a delta changed."""

_UNFIT: Final = re.compile(r"[^a-z0-9]+")
_SHOWN: Final = 24


def key_of(delta: str) -> str:
    """Give the digits by which a delta's parked and kept things are told from those of others."""
    return sha256_of(delta.encode("utf-8", "surrogatepass"))[:10]


def may_repeat(statement: Statement) -> bool:
    """Say whether a statement makes or removes what rows are kept by, and is done twice as well as once."""
    words = [token.word for token in statement.tokens]
    known = {("IF", "EXISTS"), ("IF", "NOT"), ("OR", "REPLACE")}
    first = next((token.text.strip("`") for token in statement.tokens if token.kind is Kind.QUOTED), "")
    return words[0] in {"CREATE", "DROP"} and not known.isdisjoint(pairwise(words[:5])) and first.startswith(KEPT)


class Names:
    """Gives the names of one delta; each is given once.

    Args:
        delta: Its id.
        version: Digits that tell it from what it was before it was edited.
    """

    def __init__(self, delta: str, version: str) -> None:
        self._key = f"{key_of(delta)}_{version}"
        self._count = 0
        self._own = 0

    def parked(self, name: str) -> str:
        """Give the name that something of this name gets while it is parked."""
        return f"{self._prefix(PARKED)}_{_shown(name)}"

    def kept(self) -> str:
        """Give what the names of one statement's tables of kept rows begin with."""
        return self._prefix(KEPT)

    def own(self) -> str:
        """Give by what a table that the delta makes is known in its reverse, whatever it is called by then."""
        self._own += 1
        return f"{self._key}_{self._own}"

    def _prefix(self, beginning: str) -> str:
        self._count += 1
        return f"{beginning}{self._key}_{self._count}"


def _shown(name: str) -> str:
    """Give what a person recognises; short, so that the whole fits wherever names are limited."""
    return _UNFIT.sub("_", name.lower()).strip("_")[:_SHOWN] or "x"
