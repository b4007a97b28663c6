"""Which tenants are made like another one; what other tools have put there for themselves makes no difference."""

from collections.abc import Container, Sequence

import msgspec

from pdelta.app.sql.findings import by_reason, reason_of, shortened
from pdelta.databases.base import Database
from pdelta.formats.foreign.tables import NAMES
from pdelta.sql.catalogue import Catalogue, Item, groups, name_parts
from pdelta.sql.difference import difference

_TOLD = 3
"""Differences that are named."""


class Likeness(msgspec.Struct, frozen=True):
    """How some tenants compare with one.

    Attributes:
        like: Those that are made like it.
        others: Those that are not, or can't be read, in groups with the reason.
        doubtful: Whether at least as many as are ``like`` are made in one other way.
    """

    like: tuple[str, ...]
    others: tuple[tuple[tuple[str, ...], str], ...] = ()
    doubtful: bool = False


def compare_with(database: Database, reference: str, names: Sequence[str], *, table: str = "") -> Likeness:
    """Compare tenants with one of them, or another one; of the largest group's where none is named.

    Tenants with equal fingerprints are read once, and those with another one only to see what that comes of.

    Args:
        database: Of the tenants.
        reference: That one; empty for one of the largest group.
        names: The tenants.
        table: A further table that makes no difference; empty for none.

    Raises:
        PdeltaError: The reference can't be read.
    """
    asked = set(names)
    found = database.fingerprints(list(dict.fromkeys((*names, *((reference,) if reference else ())))))
    unread = {name: one for name, one in found.items() if isinstance(one, Exception)}
    if reference in unread:
        raise unread[reference]
    alike = groups({name: one for name, one in found.items() if isinstance(one, str)})
    if not alike:
        return Likeness((), by_reason({name: reason_of(error) for name, error in unread.items()}))
    first = next((group for group in alike if reference in group.tenants), alike[0])
    read = database.catalogues([group.tenants[0] for group in alike]) if len(alike) > 1 else {}
    passed_over = NAMES | {table.lower()}
    like: list[str] = []
    others: dict[str, str] = {}
    for group in alike:
        told = "" if group is first else _told(read[first.tenants[0]], read[group.tenants[0]], reference, passed_over)
        for name in group.tenants:
            if name not in asked:
                continue
            if told:
                others[name] = told
            else:
                like.append(name)
    unlike = by_reason(others)
    doubtful = any(len(tenants) >= len(like) for tenants, _ in unlike)
    unread_too = by_reason({**others, **{name: reason_of(error) for name, error in unread.items()}})
    return Likeness(tuple(sorted(like)), unread_too, doubtful)


def _told(
    wanted: Catalogue | Exception, found: Catalogue | Exception, reference: str, passed_over: Container[str]
) -> str:
    """Say what tells one catalogue from another; empty where nothing does but tables that make no difference."""
    for one in (wanted, found):
        if isinstance(one, Exception):
            return reason_of(one)
    assert isinstance(wanted, Catalogue)  # noqa: S101 - looked at above
    assert isinstance(found, Catalogue)  # noqa: S101 - looked at above
    words = [one.words for one in difference(_own(wanted, passed_over), _own(found, passed_over))]
    if not words:
        return ""
    return f"not made like {reference or 'the others'}: {shortened(words, _TOLD, between='; ')}"


def _own(catalogue: Catalogue, passed_over: Container[str]) -> Catalogue:
    return Catalogue.of(item for item in catalogue.items if not _is_of(item, passed_over))


def _is_of(item: Item, tables: Container[str]) -> bool:
    return any(name_parts(name)[0].strip('"`').lower() in tables for name in (item.name, item.owner) if name)
