"""Files of Flyway: ``V1_2__name.sql`` forward, ``U1_2__name.sql`` its reverse, ``R__name.sql`` again when it changes.

Source: Flyway's documentation, "Migrations" and "Script configuration files". Unlike the other tools it has several
files a delta, so a folder is read at once.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from pdelta.errors import FormatError, ScriptError
from pdelta.formats.foreign.origin import decode, id_of, section_of, version_key
from pdelta.sql.order import SUFFIX
from pdelta.sql.script import Part, Replaced, Script, Section, Tool, Transaction
from pdelta.sql.token import Dialect, Mode

NAME: Final = re.compile(r"(?:([VU])([0-9]+(?:[._][0-9]+)*)|(R))__(.+)", re.DOTALL)
_HINT: Final = "name it V1_2__what.sql, U1_2__what.sql or R__what.sql, as Flyway does"
_IN_TRANSACTION: Final = re.compile(r"^[ \t]*executeInTransaction[ \t]*=[ \t]*(\w+)[ \t]*$", re.MULTILINE)
_PLACEHOLDER: Final = re.compile(r"\$\{[^}\n]*\}")


class FlywayName(msgspec.Struct, frozen=True):
    """What a file's name says.

    Attributes:
        kind: ``V``, ``U`` or ``R``.
        version: With dots between its numbers, as Flyway's ledger has it; empty for ``R``.
        description: The words after the version.
    """

    kind: str
    version: str
    description: str


def parse_flyway_name(stem: str) -> FlywayName:
    """Give what a file's name without ``.sql`` says.

    Raises:
        FormatError: It is no such name; a baseline (``B``) is none that can be executed as a delta.
    """
    found = NAME.fullmatch(stem)
    if found is None:
        raise FormatError(f"{stem!r} is no name of a file of Flyway", hint=_HINT)
    return FlywayName(found[1] or found[3], (found[2] or "").replace("_", "."), found[4].replace("_", " "))


def parse_flyway(
    files: Mapping[str, bytes],
    *,
    dialect: Dialect,
    configurations: Mapping[str, bytes] | None = None,
    modes: frozenset[Mode] = frozenset(),
) -> Iterator[Script | FormatError]:
    """Give the scripts of a folder of Flyway, one for each ``V`` and ``R``, and an error for each file that is none.

    Args:
        files: By their names without ``.sql``.
        dialect: How they are read.
        configurations: What stands in the files beside them, by the same names.
        modes: What a MySQL server's ``sql_mode`` changes about reading.
    """
    names: dict[str, FlywayName] = {}
    for stem in sorted(files):
        try:
            names[stem] = parse_flyway_name(stem)
        except FormatError as error:
            yield error
    undone = {_version(name): stem for stem, name in names.items() if name.kind == "U"}
    for stem, name in names.items():
        if name.kind == "U":
            continue
        reverse = undone.pop(_version(name), "") if name.kind == "V" else ""
        settings = (configurations or {}).get(stem, b"")
        try:
            yield _script(stem, name, files, reverse, settings, dialect, modes)
        except FormatError as error:
            yield error
    for stem in undone.values():
        yield FormatError(f"{stem}{SUFFIX} takes back a version that no V file has", hint=_HINT)


def _version(name: FlywayName) -> str:
    return version_key(name.version.split("."))


def _script(
    stem: str,
    name: FlywayName,
    files: Mapping[str, bytes],
    reverse: str,
    settings: bytes,
    dialect: Dialect,
    modes: frozenset[Mode],
) -> Script:
    sections = _section(Part.FORWARD, stem, files[stem], dialect, modes)
    if reverse:
        sections += _section(Part.REVERSE, reverse, files[reverse], dialect, modes)
    repeatable = name.kind == "R"
    return Script(
        name=stem,
        id=id_of(stem),
        transaction=Transaction.AUTO if _in_transaction(settings, stem) else Transaction.NONE,
        sections=sections,
        repeatable=repeatable,
        # All that is repeatable comes last, by its description.
        key=f"2 {name.description}" if repeatable else f"1 {_version(name)}",
        replaces=(Replaced(Tool.FLYWAY, f"R {name.description}" if repeatable else name.version),),
    )


def _section(part: Part, stem: str, data: bytes, dialect: Dialect, modes: frozenset[Mode]) -> tuple[Section, ...]:
    text = decode(data, stem)
    found = _PLACEHOLDER.search(text)
    if found is not None:
        raise ScriptError(
            f"{found[0]} is a placeholder of Flyway's, which stands for any text, even in a string",
            line=text.count("\n", 0, found.start()) + 1,
            file=stem + SUFFIX,
            hint="write this delta in the form of pdelta, whose placeholders are values of a tenant",
        )
    return section_of(part, text, 1, name=stem, dialect=dialect, modes=modes, needed=True)


def _in_transaction(settings: bytes, stem: str) -> bool:
    found = _IN_TRANSACTION.search(decode(settings, stem))
    if found is not None and found[1] not in {"true", "false"}:
        raise FormatError(f"{stem}{SUFFIX}.conf says executeInTransaction={found[1]}", hint="known are: true, false")
    return found is None or found[1] == "true"
