"""``pdelta sql drift`` and ``pdelta sql diff``: tenants that are not made alike, and in what; never writes."""

from collections.abc import Sequence

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.fleet import open_fleet
from pdelta.errors import PdeltaError, UsageError
from pdelta.sql.bridge import bridge
from pdelta.sql.bridge.result import Refusal
from pdelta.sql.catalogue import Catalogue, groups
from pdelta.sql.difference import difference
from pdelta.sql.token import Dialect


class Delta(msgspec.Struct, frozen=True):
    """What brings some tenants to the state of others.

    Attributes:
        text: Of a delta file; without a statement it is for people alone.
        statements: How many it holds.
        left: What they leave as it is.
    """

    text: str
    statements: int
    left: tuple[Refusal, ...] = ()


class Kin(msgspec.Struct, frozen=True):
    """Tenants that are made alike.

    Attributes:
        letter: What the group is called: A, and so on.
        fingerprint: Theirs.
        tenants: Their names, sorted.
        differences: What tells them from those that the others are compared with, in words; empty for those.
        delta: What makes them like those; None where none was asked for.
    """

    letter: str
    fingerprint: str
    tenants: tuple[str, ...]
    differences: tuple[str, ...] = ()
    delta: Delta | None = None


class Drift(msgspec.Struct, frozen=True):
    """How a fleet differs.

    Attributes:
        database: The section's name.
        groups: Those that the others are compared with, then the others, the largest first.
        unread: Tenants that could not be read, each with the reason.
    """

    database: str
    groups: tuple[Kin, ...]
    unread: tuple[tuple[str, PdeltaError], ...] = ()

    @property
    def alike(self) -> bool:
        """Whether all are made alike."""
        return len(self.groups) <= 1 and not self.unread

    @property
    def delta(self) -> Delta | None:
        """The delta that was asked for; None where none was."""
        return next((group.delta for group in self.groups if group.delta is not None), None)


def read_drift(database: str, only: Sequence[str], like: str, context: Context, *, delta: str | None = None) -> Drift:
    """Group the tenants of a fleet by what they are made of.

    Args:
        database: The section's name; empty where there is only one.
        only: Names, globs and ``tag:NAME`` of tenants; empty for all.
        like: The tenant that the others are compared with; empty for the largest group.
        context: The command's surroundings.
        delta: Which group a delta is wanted for, by its letter or one of its tenants; empty for the only other one.

    Raises:
        UsageError: There is no such section, tenant or group, or it is not said which of several.
        DatabaseError: The tenants can't be listed, or a server can't be reached.
    """
    with open_fleet(context, database, only) as fleet:
        found = fleet.database.fingerprints([member.tenant.name for member in fleet.members.values()])
        unread = tuple((name, one) for name, one in found.items() if isinstance(one, PdeltaError))
        alike = list(groups({name: one for name, one in found.items() if isinstance(one, str)}))
        if like:
            alike.sort(key=lambda group: like not in group.tenants)
            if not alike or like not in alike[0].tenants:
                raise UsageError(
                    f"{like!r} is none of the tenants that can be read", hint="list them: pdelta sql status"
                )
        named = {letter(place): group.tenants for place, group in enumerate(alike)}
        chosen = "" if delta is None else _chosen(named, delta)
        read = fleet.database.catalogues([group.tenants[0] for group in alike] if len(alike) > 1 else ())
        dialect = fleet.database.dialect
    kin = []
    for name, group in zip(named, alike, strict=True):
        if group is alike[0]:
            kin.append(Kin(name, group.fingerprint, group.tenants))
            continue
        ours, theirs = read[alike[0].tenants[0]], read[group.tenants[0]]
        about = f"takes what {_called(group.tenants)} made of to what {_called(alike[0].tenants)} made of"
        made = _delta(ours, theirs, dialect, about) if name == chosen else None
        kin.append(Kin(name, group.fingerprint, group.tenants, _told(ours, theirs), made))
    return Drift(fleet.section.name, tuple(kin), unread)


def letter(place: int) -> str:
    """Give what a group is called by its place: A to Z, then AA, AB and so on."""
    text = ""
    place += 1
    while place:
        place, digit = divmod(place - 1, 26)
        text = chr(ord("A") + digit) + text
    return text


def _chosen(named: dict[str, tuple[str, ...]], delta: str) -> str:
    """Give the letter of the group that a delta is wanted for; empty where all tenants are alike."""
    first, *others = named or [""]
    if not delta:
        if len(others) > 1:
            raise UsageError(
                f"groups {others[0]} to {others[-1]} differ from {first}, and none is named for the delta",
                hint=f"name one of them, or one of its tenants: --delta {others[0]}",
            )
        return "".join(others)
    holding = next((name for name, tenants in named.items() if delta in tenants), "")
    if holding and delta in named and holding != delta:
        raise UsageError(
            f"{delta} is the name of a group, and of a tenant of group {holding}",
            hint=f"name another tenant of the group that is meant; for that of the tenant: --delta {holding}",
        )
    found = holding or delta
    if found == first:
        raise UsageError(
            f"{delta!r} is what the others are compared with", hint="name another group, or one of its tenants"
        )
    if found not in named:
        raise UsageError(f"there is no group or tenant {delta!r}", hint="list them: pdelta sql drift")
    return found


def _called(tenants: Sequence[str]) -> str:
    more = len(tenants) - 1
    return f"{tenants[0]!a} is" if not more else f"{tenants[0]!a} and {more:,} more are"


class Comparison(msgspec.Struct, frozen=True):
    """What tells one tenant from another.

    Attributes:
        differences: In words; nothing where they are made alike.
        delta: What makes the second like the first; None where none was asked for, or is needed.
    """

    differences: tuple[str, ...]
    delta: Delta | None = None


def compare(database: str, wanted: str, found: str, context: Context, *, delta: bool = False) -> Comparison:
    """Give what tells one tenant from another.

    Args:
        database: The section's name; empty where there is only one.
        wanted: As it should be.
        found: As it is.
        context: The command's surroundings.
        delta: Whether a delta from the one to the other is wanted.

    Raises:
        UsageError: There is no such section or tenant.
        DatabaseError: One of them can't be read.
    """
    with open_fleet(context, database, (wanted, found)) as fleet:
        read = fleet.database.catalogues([wanted, found])
        dialect = fleet.database.dialect
    ours, theirs = _read(read[wanted]), _read(read[found])
    told = _told(ours, theirs)
    about = f"takes what {_called([found])} made of to what {_called([wanted])} made of"
    return Comparison(told, _delta(ours, theirs, dialect, about) if delta and told else None)


def _delta(wanted: Catalogue | Exception, found: Catalogue | Exception, dialect: Dialect, about: str) -> Delta:
    way = bridge(_read(found), _read(wanted), dialect)
    return Delta(way.text(about), len(way.steps), way.refused)


def _read(catalogue: Catalogue | Exception) -> Catalogue:
    if isinstance(catalogue, Exception):
        raise catalogue
    return catalogue


def _told(wanted: Catalogue | Exception, found: Catalogue | Exception) -> tuple[str, ...]:
    for one in (wanted, found):
        if isinstance(one, Exception):
            return (str(one),)
    return tuple(one.words for one in difference(_read(wanted), _read(found)))
