"""In which order objects are made: what one mentions comes before it.

Catalogues do not say what depends on what. The text of an object mentions the names of what it needs; a name that is
mentioned without need costs nothing but its place.
"""

import heapq
from collections.abc import Iterable, Sequence

import msgspec

from pdelta.errors import ScriptError
from pdelta.sql.bridge.result import Step
from pdelta.sql.catalogue import Item
from pdelta.sql.token import Dialect, Kind
from pdelta.sql.tokens import tokenize


class Work(msgspec.Struct, frozen=True):
    """Steps that stay together.

    Attributes:
        rank: What comes first where nothing else says so.
        provides: The name that others mention; empty for none.
        needs: SQL that mentions what must be there.
        steps: What is done.
        item: What it is about; None for what is about several.
        makes: Whether it makes that, and does not change it.
    """

    rank: int
    provides: str
    needs: str
    steps: tuple[Step, ...]
    item: Item | None = None
    makes: bool = False


def in_order(works: Iterable[Work], dialect: Dialect) -> list[Work]:
    """Give these works so that each comes after those that it mentions, and otherwise by rank.

    Where some mention each other, the one of the lowest rank goes first.
    """
    waiting = sorted(works, key=lambda work: work.rank)
    providers: dict[str, list[int]] = {}
    for number, work in enumerate(waiting):
        if work.provides:
            providers.setdefault(work.provides, []).append(number)
    needed = [_needed(number, work, providers, dialect) for number, work in enumerate(waiting)]
    followers: dict[int, list[int]] = {}
    for number, needs in enumerate(needed):
        for other in needs:
            followers.setdefault(other, []).append(number)
    return [waiting[number] for number in _sorted([set(needs) for needs in needed], followers)]


def _needed(number: int, work: Work, providers: dict[str, list[int]], dialect: Dialect) -> set[int]:
    names = mentioned(work.needs, dialect)
    return {other for name in names & providers.keys() for other in providers[name]} - {number}


def _sorted(needed: Sequence[set[int]], followers: dict[int, list[int]]) -> Iterable[int]:
    ready = [number for number, needs in enumerate(needed) if not needs]
    left = set(range(len(needed)))
    while left:
        number = heapq.heappop(ready) if ready else min(left)
        if number not in left:
            continue
        left.discard(number)
        yield number
        for follower in followers.get(number, ()):
            needed[follower].discard(number)
            if follower in left and not needed[follower]:
                heapq.heappush(ready, follower)


def mentioned(text: str, dialect: Dialect) -> set[str]:
    """Give the names in this SQL, without quotes; those in strings too, where one string is all of a name."""
    names = set()
    try:
        for token in tokenize(text, dialect):
            if token.kind is Kind.WORD:
                names.add(token.text.lower() if dialect is Dialect.POSTGRESQL else token.text)
            elif token.kind in {Kind.QUOTED, Kind.STRING}:
                names.add(bare(token.text[1:-1] if token.kind is Kind.STRING else token.text))
    except ScriptError:
        pass  # what could be read is what there is to go by
    return names


def bare(name: str) -> str:
    """Give a name without its quotes."""
    if len(name) > 1 and name[0] == name[-1] and name[0] in '"`':
        return name[1:-1].replace(name[0] * 2, name[0])
    return name
