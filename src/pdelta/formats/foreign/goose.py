"""Files of goose: ``00001_add_last_login.sql`` with ``-- +goose Up`` and ``-- +goose Down``.

Source: goose's README and its ``internal/sqlparser``. What stands between ``StatementBegin`` and ``StatementEnd`` is
cut by our own splitter, which knows bodies by themselves.
"""

import re
from typing import Final

from pdelta.errors import FormatError, ScriptError
from pdelta.formats.foreign.origin import decode, id_of, section_of, version_key
from pdelta.sql.order import SUFFIX
from pdelta.sql.script import Part, Replaced, Script, Tool, Transaction
from pdelta.sql.token import Dialect, Mode

_NAME: Final = re.compile(r"([0-9]{1,19})_.*", re.DOTALL)
DIRECTIVE: Final = re.compile(r"^[ \t]*--[ \t]*\+goose[ \t]+([^\n]*?)[ \t]*$", re.MULTILINE | re.IGNORECASE)
_BARE: Final = re.compile(r"^(?![ \t]*(?:--|$))", re.MULTILINE)
_ORDER: Final = {(): "UP", ("UP",): "DOWN"}


def version_of(stem: str) -> str:
    """Give the version that a file's name begins with, as goose's ledger has it.

    Raises:
        FormatError: It begins with no number and ``_``, or with none above 0.
    """
    found = _NAME.fullmatch(stem)
    if found is None or not found[1].strip("0"):
        raise FormatError(
            f"{stem!r} is no name of a file of goose", hint="it begins with its version, as in 00001_add_users.sql"
        )
    return found[1].lstrip("0")


def parse_goose(data: bytes, *, name: str, dialect: Dialect, modes: frozenset[Mode] = frozenset()) -> Script:
    """Give the script that a file of goose says.

    Args:
        data: The file.
        name: Its name without ``.sql``.
        dialect: How it is read.
        modes: What a MySQL server's ``sql_mode`` changes about that.

    Raises:
        FormatError: The name has no version, or the bytes are no text.
        ScriptError: There is no Up, an annotation is unknown or where none may be, or something stands above all.
    """
    version = version_of(name)
    text = decode(data, name)
    reading = _Annotations(text, name)
    sections = section_of(Part.FORWARD, *reading.up, name=name, dialect=dialect, modes=modes, needed=True)
    if reading.down is not None:
        sections += section_of(Part.REVERSE, *reading.down, name=name, dialect=dialect, modes=modes)
    return Script(
        name=name,
        id=id_of(name),
        transaction=Transaction.AUTO if reading.transaction else Transaction.NONE,
        sections=sections,
        key=version_key([version]),
        replaces=(Replaced(Tool.GOOSE, version),),
    )


class _Annotations:
    """The annotations of a file, and the texts that they begin."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._file = name + SUFFIX
        self._begun: list[tuple[str, int, int]] = []
        self._statement: int | None = None
        self.transaction = True
        for found in DIRECTIVE.finditer(text):
            self._take(" ".join(found[1].upper().split()), found)
        if self._statement is not None:
            raise self._error("StatementBegin without a StatementEnd", self._statement)
        if not self._begun:
            raise self._error("there is no -- +goose Up", 0)
        bare = _BARE.search(text, 0, self._begun[0][1])
        if bare is not None:
            raise self._error("something stands above -- +goose Up", bare.start())
        self.up = self._part(0)
        self.down = self._part(1) if len(self._begun) > 1 else None

    def _take(self, word: str, found: "re.Match[str]") -> None:
        match word:
            case "UP" | "DOWN":
                begun = tuple(kind for kind, _, _ in self._begun)
                if self._statement is not None or _ORDER.get(begun) != word:
                    raise self._error(f"-- +goose {found[1]} where none may be", found.start())
                self._begun.append((word, found.start(), found.end()))
            case "STATEMENTBEGIN" if self._begun and self._statement is None:
                self._statement = found.start()
            case "STATEMENTEND" if self._statement is not None:
                self._statement = None
            case "NO TRANSACTION":
                self.transaction = False
            case "ENVSUB OFF":
                pass
            case "ENVSUB ON":
                raise self._error("the values of an environment are no part of a delta", found.start())
            case _:
                raise self._error(f"-- +goose {found[1]} is not known here", found.start())

    def _part(self, number: int) -> tuple[str, int]:
        _, start, begin = self._begun[number]
        end = self._begun[number + 1][1] if number + 1 < len(self._begun) else len(self._text)
        return self._text[begin:end], self._line(start)

    def _line(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1

    def _error(self, problem: str, at: int) -> ScriptError:
        return ScriptError(
            problem, line=self._line(at), file=self._file, hint="a file of goose has -- +goose Up, then -- +goose Down"
        )
