"""Files of dbmate: ``20250315120000_add_last_login.sql`` with ``-- migrate:up`` and ``-- migrate:down``.

Source: dbmate's README and its ``pkg/dbmate/migration.go``. Both blocks are plain SQL.
"""

import re
from typing import Final

from pdelta.errors import FormatError, ScriptError
from pdelta.formats.foreign.origin import decode, id_of, section_of, version_key
from pdelta.sql.order import SUFFIX
from pdelta.sql.script import Part, Replaced, Script, Tool, Transaction
from pdelta.sql.token import Dialect, Mode

_NAME: Final = re.compile(r"([0-9]+).*", re.DOTALL)
DIRECTIVE: Final = re.compile(r"^--[ \t]*migrate:(up|down)(?:[ \t]+([^\n]*)|[ \t]*)$", re.MULTILINE)
_BARE: Final = re.compile(r"^(?![ \t]*(?:--|$))", re.MULTILINE)


def version_of(stem: str) -> str:
    """Give the version that a file's name begins with, as dbmate's ledger has it.

    Raises:
        FormatError: It begins with no digit.
    """
    found = _NAME.fullmatch(stem)
    if found is None:
        raise FormatError(
            f"{stem!r} is no name of a file of dbmate",
            hint="it begins with its version, as in 20250315120000_add_users.sql",
        )
    return found[1]


def parse_dbmate(data: bytes, *, name: str, dialect: Dialect, modes: frozenset[Mode] = frozenset()) -> Script:
    """Give the script that a file of dbmate says.

    Args:
        data: The file.
        name: Its name without ``.sql``.
        dialect: How it is read.
        modes: What a MySQL server's ``sql_mode`` changes about that.

    Raises:
        FormatError: The name has no version, or the bytes are no text.
        ScriptError: There is no up block, a block comes twice or in the wrong order, or something stands above both.
    """
    version = version_of(name)
    text = decode(data, name)
    blocks = _Blocks(text, name)
    sections = section_of(Part.FORWARD, *blocks.up, name=name, dialect=dialect, modes=modes, needed=True)
    if blocks.down is not None:
        sections += section_of(Part.REVERSE, *blocks.down, name=name, dialect=dialect, modes=modes)
    return Script(
        name=name,
        id=id_of(name),
        transaction=Transaction.AUTO if blocks.transaction else Transaction.NONE,
        sections=sections,
        key=version_key([version]),
        replaces=(Replaced(Tool.DBMATE, version),),
    )


class _Blocks:
    """Where the blocks of a file begin and end."""

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._file = name + SUFFIX
        self._found = list(DIRECTIVE.finditer(text))
        kinds = [found[1] for found in self._found]
        if not kinds:
            raise self._error("there is no block -- migrate:up", 0)
        if kinds not in (["up"], ["up", "down"]):
            wrong = next(n for n, kind in enumerate(kinds) if kinds[: n + 1] not in (["up"], ["up", "down"]))
            raise self._error(f"a block -- migrate:{kinds[wrong]} where none may be", self._found[wrong].start())
        bare = _BARE.search(text, 0, self._found[0].start())
        if bare is not None:
            raise self._error("something stands above -- migrate:up", bare.start())
        self.transaction = all(self._transaction(found) for found in self._found)
        self.up = self._part(0)
        self.down = self._part(1) if len(self._found) > 1 else None

    def _part(self, number: int) -> tuple[str, int]:
        """Give a block's text and the line that it begins on."""
        found = self._found[number]
        end = self._found[number + 1].start() if number + 1 < len(self._found) else len(self._text)
        return self._text[found.end() : end], self._line(found.start())

    def _transaction(self, found: "re.Match[str]") -> bool:
        options = (found[2] or "").split()
        for option in options:
            if option not in {"transaction:true", "transaction:false"}:
                raise self._error(f"the option {option!r} is not known", found.start())
        return "transaction:false" not in options

    def _line(self, at: int) -> int:
        return self._text.count("\n", 0, at) + 1

    def _error(self, problem: str, at: int) -> ScriptError:
        return ScriptError(
            problem,
            line=self._line(at),
            file=self._file,
            hint="a file of dbmate has -- migrate:up, then -- migrate:down",
        )
