"""Which deltas a database has, as another tool says, and what that tool knows of which no delta does."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from pdelta.formats.foreign.tables import Chronicle, canonical
from pdelta.formats.tenants import matches
from pdelta.sql.script import Script, Tool


class Matching(msgspec.Struct, frozen=True):
    """What a tool's table means for deltas.

    Attributes:
        ids: Of the deltas that the database has, in the order of application.
        unmatched: What the tool says it has and no delta replaces, or a delta replaces only with other things that
            it has not.
    """

    ids: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()


def match(tool: Tool, chronicle: Chronicle, scripts: Sequence[Script], *, ignore: Sequence[str] = ()) -> Matching:
    """Compare what a tool says with what deltas replace.

    Alembic keeps only the newest revisions: all that deltas up to theirs replace counts as had. golang-migrate keeps
    one number, and no greater one counts.

    Args:
        tool: Which.
        chronicle: What it says of one database.
        scripts: All deltas, in the order of application.
        ignore: Names and globs of entries that no delta need replace.
    """
    replaced = {script.id: _versions(script, tool) for script in scripts}
    known = [version for versions in replaced.values() for version in versions]
    places = {version: place for place, version in enumerate(known)}
    had: set[str] = set()
    unmatched: list[str] = []
    for entry in chronicle.entries:
        names = [canonical(tool, name) for name in entry.names]
        found = next((name for name in names if name in places), None)
        if found is None:
            if not any(matches(name, ignore) for name in entry.names):
                unmatched.append(entry.names[0])
        elif tool is Tool.ALEMBIC:
            had.update(known[: places[found] + 1])
        else:
            had.add(found)
    had.update(version for version in known if chronicle.up_to and version <= chronicle.up_to)
    ids = tuple(id for id, versions in replaced.items() if versions and had.issuperset(versions))
    return Matching(ids, (*unmatched, *_parts(replaced, had)))


def _versions(script: Script, tool: Tool) -> tuple[str, ...]:
    return tuple(canonical(tool, replaced.version) for replaced in script.replaces if replaced.tool is tool)


def _parts(replaced: Mapping[str, Sequence[str]], had: set[str]) -> Iterator[str]:
    for id, versions in replaced.items():
        count = len(had.intersection(versions))
        if 0 < count < len(versions):
            yield f"{count} of the {len(versions)} that {id} replaces"
