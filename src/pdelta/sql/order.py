"""Names of delta files, and the order in which deltas are applied: by date, then by name, after what they require."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from pdelta.errors import FormatError

if TYPE_CHECKING:
    from pdelta.sql.script import Replaced, Script

SUFFIX: Final = ".sql"
_NAME: Final = r"delta_([0-9]{8})(z*[b-y]?)_([A-Za-z0-9][A-Za-z0-9_-]*)"
_HINT: Final = "name it delta_YYYYMMDD_NAME.sql, with letters, digits, _ and - in NAME"


class DeltaName(msgspec.Struct, frozen=True, order=True):
    """What a delta file's name says; names compare in the order of application, which is that of their bytes.

    Attributes:
        date: Eight digits.
        turn: Empty for the first of its day, then ``b`` to ``z``, ``zb`` and so on.
        name: The author's own words.
    """

    date: str
    turn: str
    name: str

    def __str__(self) -> str:
        return f"delta_{self.date}{self.turn}_{self.name}"


def parse_name(stem: str) -> DeltaName:
    """Give what a file's name without ``.sql`` says.

    Raises:
        FormatError: It is no such name, or its date is none.
    """
    found = re.fullmatch(_NAME, stem)
    if found is None:
        raise FormatError(f"{stem!r} is no name of a delta file", hint=_HINT)
    try:
        dt.date.fromisoformat(found[1])
    except ValueError as error:
        raise FormatError(f"{stem!r} has no date: {found[1]} is no day of the calendar", hint=_HINT) from error
    return DeltaName(found[1], found[2], found[3])


def next_name(day: dt.date, name: str, taken: Iterable[DeltaName]) -> DeltaName:
    """Give a new delta's name, which comes after all others of its day.

    Args:
        day: Whose.
        name: The author's own words.
        taken: The names that there are.

    Raises:
        FormatError: The words are not fit for a name.
    """
    date = day.strftime("%Y%m%d")
    turns = [other.turn for other in taken if other.date == date]
    return parse_name(f"delta_{date}{_after(max(turns)) if turns else ''}_{name}")


def order(scripts: "Iterable[Script]") -> "tuple[Script, ...]":
    """Give these deltas in the order of application: that of their keys, or else of their names.

    Raises:
        FormatError: Two have one id or replace one version, one requires what is not there, or some require each
            other; each is named.
    """
    by_name = sorted(scripts, key=lambda script: script.key or str(parse_name(script.name)))
    by_id: dict[str, Script] = {}
    for script in by_name:
        other = by_id.setdefault(script.id, script)
        if other is not script:
            raise FormatError(
                f"{other.name}{SUFFIX} and {script.name}{SUFFIX} are both the delta {script.id!r}",
                hint="give one of them another name, or another id in its header",
            )
    for script in by_name:
        for needed in script.requires:
            if needed not in by_id:
                raise FormatError(
                    f"{script.name}{SUFFIX} requires {needed!r}, and there is no such delta",
                    hint="restore that file, or correct the header",
                )
    _refuse_shared_replacements(by_name)
    return _sorted(by_name, by_id)


def holds(scripts: "Iterable[Script]") -> "dict[str, tuple[str, ...]]":
    """Give the ids of the deltas that each baseline stands for, by its id.

    Args:
        scripts: In the order of application.
    """
    before: list[str] = []
    found: dict[str, tuple[str, ...]] = {}
    for script in scripts:
        if script.baseline:
            found[script.id] = tuple(before)
        elif script.scope == "tenant" and not script.repeatable:
            before.append(script.id)
    return found


def _refuse_shared_replacements(scripts: "Iterable[Script]") -> None:
    by_version: dict[Replaced, Script] = {}
    for script in scripts:
        for replaced in script.replaces:
            other = by_version.setdefault(replaced, script)
            if other is not script:
                raise FormatError(
                    f"{other.name}{SUFFIX} and {script.name}{SUFFIX} both replace {replaced}",
                    hint="take it out of one of them",
                )


def _sorted(by_name: "Sequence[Script]", by_id: "Mapping[str, Script]") -> "tuple[Script, ...]":
    """Take, again and again, the first by name of those whose requirements are met."""
    import heapq

    rank = {script.id: number for number, script in enumerate(by_name)}
    waiting = {script.id: set(script.requires) for script in by_name}
    after: dict[str, list[str]] = {id: [] for id in waiting}
    for id, needs in waiting.items():
        for needed in needs:
            after[needed].append(id)
    ready = [rank[id] for id, needs in waiting.items() if not needs]
    done: list[Script] = []
    while ready:
        script = by_name[heapq.heappop(ready)]
        done.append(script)
        del waiting[script.id]
        for id in after[script.id]:
            waiting[id].discard(script.id)
            if not waiting[id]:
                heapq.heappush(ready, rank[id])
    if waiting:
        circle = " -> ".join(by_id[id].name for id in _circle(waiting))
        raise FormatError(f"these deltas require each other: {circle}", hint="take one of the requirements out")
    return tuple(done)


def _circle(waiting: Mapping[str, set[str]]) -> list[str]:
    """Give a circle of ids, its first one again at its end; each waiting one waits for another."""
    path = [next(iter(waiting))]
    seen: dict[str, int] = {}
    while path[-1] not in seen:
        seen[path[-1]] = len(path) - 1
        path.append(min(waiting[path[-1]]))
    return path[seen[path[-1]] :]


def _after(turn: str) -> str:
    if not turn:
        return "b"
    return turn + "b" if turn[-1] == "z" else turn[:-1] + chr(ord(turn[-1]) + 1)
