"""Which targets come first: ``canary=3,5%,25%,rest`` applied to a list of them.

Use cases order their targets with it before they freeze a plan; it knows names and tags, and no kind.
"""

import math
import re
from collections.abc import Sequence
from typing import Final

import msgspec

from pdelta.errors import UsageError

_RULE: Final = re.compile(
    r"(?:([A-Za-z][\w.-]*)=)?(?:([1-9][0-9]{0,8})|([0-9]+(?:\.[0-9]+)?)%|(rest|all)|tag:([\w.-]+))"
)
_HINT: Final = "write for example canary=3,5%,25%,rest; a wave is a number, a percentage, tag:NAME or rest"


class WaveRule(msgspec.Struct, frozen=True):
    """How many targets one wave takes of those that are left; exactly one of the last four is set.

    Attributes:
        name: As people know it.
        count: That many.
        percent: That part of all targets, at least one.
        rest: All that are left.
        tag: Those that bear this tag.
    """

    name: str
    count: int = 0
    percent: float = 0.0
    rest: bool = False
    tag: str = ""


class Subject(msgspec.Struct, frozen=True):
    """A target as waves see it.

    Attributes:
        name: Sorts those of one size.
        tags: What a wave may choose it by.
        size: Sorts, the smallest first.
    """

    name: str
    tags: tuple[str, ...] = ()
    size: int = 0


def parse_waves(text: str) -> tuple[WaveRule, ...]:
    """Give the rules that a text says; a last wave of all that is left is added where none is named.

    Raises:
        UsageError: It says none.
    """
    rules: list[WaveRule] = []
    for part in map(str.strip, text.split(",")):
        if rules and rules[-1].rest:
            raise UsageError(f"no wave can come after {rules[-1].name!r}", hint=_HINT)
        found = _RULE.fullmatch(part)
        if found is None or (found[3] and not 0 < float(found[3]) <= 100):
            raise UsageError(f"{part!r} is no wave", hint=_HINT)
        name = found[1] or part.removeprefix("tag:")
        rules.append(WaveRule(name, int(found[2] or 0), float(found[3] or 0), rest=bool(found[4]), tag=found[5] or ""))
    if not rules[-1].rest:
        rules.append(WaveRule("rest", rest=True))
    names = [rule.name for rule in rules]
    if len(set(names)) != len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"two waves are called {doubled!r}", hint="give one of them a name, as in first=5%")
    return tuple(rules)


def divide(rules: Sequence[WaveRule], subjects: Sequence[Subject]) -> list[tuple[str, list[int]]]:
    """Give each wave's name and the places of its targets in ``subjects``; waves that hold none are left out.

    A wave that chooses by tag takes all that bear it; any other takes the smallest of those that no later wave
    chooses by tag.
    """
    left = sorted(range(len(subjects)), key=lambda place: (subjects[place].size, subjects[place].name))
    tagged = {rule.tag for rule in rules if rule.tag}
    waves: list[tuple[str, list[int]]] = []
    for rule in rules:
        if rule.tag:
            taken = [place for place in left if rule.tag in subjects[place].tags]
            tagged.discard(rule.tag)
        elif rule.rest:
            taken = left
        else:
            count = rule.count or max(1, math.ceil(len(subjects) * rule.percent / 100))
            taken = [place for place in left if tagged.isdisjoint(subjects[place].tags)][:count]
        chosen = set(taken)
        left = [place for place in left if place not in chosen]
        if taken:
            waves.append((rule.name, taken))
    return waves
