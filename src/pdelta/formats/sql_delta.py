"""The file of a SQL delta: forward as plain SQL, and whatever else it says in comments.

So a file can be given to ``psql`` or ``mysql`` as it stands, and goes forward. Two ways to
write it are one grammar: the origin's ``-- Reversible delta`` is another spelling of ``-- +reverse``.
``docs/formats/sql-delta.md`` describes both. Never touches a file, and executes nothing.
"""

import re
from collections.abc import Iterator
from typing import Final

from pdelta.errors import FormatError, ScriptError
from pdelta.formats.sql_header import DIALECTS, Header, read_header
from pdelta.sql.order import SUFFIX, parse_name
from pdelta.sql.script import Part, Script, Section
from pdelta.sql.shape import looks_like_sql
from pdelta.sql.split import statements_of
from pdelta.sql.token import Dialect, Kind, Mode, Token
from pdelta.sql.tokens import tokenize

LIMIT_BYTES: Final = 64 << 20
"""Far beyond what a person writes; a larger file is refused unread."""

_MARKER: Final = re.compile(r"--+[ \t]*reversible[ \t]+delta[ \t]*(?:(?:--+|:)[ \t]*([^\n]*))?", re.IGNORECASE)
_SECTION: Final = re.compile(r"--+[ \t]*\+([A-Za-z]\w*)[ \t]*([^\n]*)")
_HEADER: Final = re.compile(r"--+[ \t]*pdelta:([^\n]*)", re.IGNORECASE)
# What few files need is compiled when one does: each takes a quarter of a millisecond or more.
_ALMOST_HEADER: Final = (
    r"(?i)--+[ \t]*pdelta(?:[ \t]+:[ \t]*[a-z_]+=[^\n]*|(?:[ \t]+[a-z_]+=(?:\"[^\"\n]*\"|[^\s\"]+))+[ \t]*)"
)
_ALMOST_SECTION: Final = rf"(?i)--+[ \t]*\+[ \t]+({'|'.join(Part)})(?:[ \t]+(?:{'|'.join(DIALECTS)}))?[ \t]*:?[ \t]*"
_OPENING: Final = re.compile(r"(?:/\*+|--+|#+|\*+(?!/))[ \t]*")
_OTHER_MARKER: Final = r"(?i)(?:reversible[ \t]+delta|reverse|rollback|undo|down)\b[ \t:;,.=>\-]*"
_HEADING: Final = re.compile(r"[\w \t(),]{0,40}[:;.\-]*")
_ONE_LINE_EACH: Final = "SQL of this section stands in comments, every line of it after --"


def parse_delta(data: bytes, *, name: str, dialect: Dialect, modes: frozenset[Mode] = frozenset()) -> Script:
    """Give the script that these bytes say.

    CR LF is read as LF, so that neither a checkout's line ends nor an editor's change what a delta is.

    Args:
        data: The file.
        name: Its name without ``.sql``.
        dialect: How the sections that name none are read.
        modes: What a MySQL server's ``sql_mode`` changes about that.

    Raises:
        FormatError: The name is no delta's, or the bytes are no UTF-8 or too many.
        ScriptError: The text breaks the grammar; the message names the file and the line.
    """
    parse_name(name)
    file = name + SUFFIX
    text = _decode(data, file)
    try:
        return _Reading(text, name, dialect, modes).script()
    except ScriptError as error:
        raise ScriptError(error.problem, line=error.line, file=file, hint=error.hint) from error


def _decode(data: bytes, file: str) -> str:
    if len(data) > LIMIT_BYTES:
        raise FormatError(f"{file} has {len(data)} bytes; more than {LIMIT_BYTES} are refused")
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{file} is not UTF-8: byte {error.start} can't be decoded") from error
    return text.replace("\r\n", "\n")


class _Reading:
    """One file while it is read: what has been said, and the section that is open."""

    def __init__(self, text: str, name: str, dialect: Dialect, modes: frozenset[Mode]) -> None:
        self._text = text
        self._name = name
        self._dialect = dialect
        self._modes = modes
        self._header = Header()
        self._sections: dict[tuple[Part, Dialect | None], Section] = {}
        self._marked = 0
        self._heading = False
        self._open(Part.FORWARD, None, 0, 1)

    def script(self) -> Script:
        self._read()
        self._close(len(self._text))
        self._check()
        return self._header.script(self._name, tuple(self._sections.values()))

    def _read(self) -> None:
        at, line, dialect = 0, 1, self._dialect
        while True:
            for token in tokenize(self._text, dialect, modes=self._modes, offset=at, line=line):
                if token.kind is not Kind.COMMENT:
                    self._bare(token)
                elif self._directive(token):
                    # What comes now may be of another dialect.
                    at, line, dialect = token.end, token.line, self._part_dialect or self._dialect
                    break
                elif self._part is Part.FORWARD:
                    self._look_for_reverse(token)
                else:
                    self._commented(token)
            else:
                return

    def _open(self, part: Part, dialect: Dialect | None, start: int, line: int) -> None:
        self._part, self._part_dialect, self._start, self._line = part, dialect, start, line
        self._has_sql = False
        self._lines: dict[int, str] = {}

    def _close(self, end: int) -> None:
        """Keep the open section; the plain SQL before the first one need not be there."""
        if self._part is not Part.FORWARD:
            text = "\n".join(self._lines.get(line, "") for line in range(self._line, max(self._lines, default=0) + 1))
        elif not self._has_sql and not self._start:
            return
        else:
            text = self._text[self._start : end]
        key = (self._part, self._part_dialect)
        self._sections[key] = Section(*key, text, self._line)

    def _bare(self, token: Token) -> None:
        if self._part is not Part.FORWARD:
            rest = self._text[token.offset : token.offset + 40].split("\n", 1)[0]
            raise ScriptError(
                f"bare SQL after the {self._part} of line {self._line}: {rest}",
                line=token.line,
                hint=f"{_ONE_LINE_EACH}; a client would execute this as part of the delta",
            )
        self._has_sql = True
        self._heading = False

    def _directive(self, token: Token) -> bool:
        """Obey the comment if it is a header, a marker or the head of a section."""
        if found := _MARKER.fullmatch(token.text):
            self._mark(token, found[1] or "")
        elif found := _SECTION.match(token.text):
            self._begin(token, found[1], found[2].strip())
        elif found := _HEADER.fullmatch(token.text):
            self._head(token, found[1])
        else:
            self._refuse_almost(token)
            return False
        return True

    def _refuse_almost(self, token: Token) -> None:
        """Refuse what is meant as a header or the head of a section, and would be passed over."""
        if not self._is_alone(token):
            return
        if re.fullmatch(_ALMOST_HEADER, token.text):
            raise ScriptError(
                f"a comment that looks like a header: {token.text[:60]}",
                line=token.line,
                hint="it is written -- pdelta: key=value, the colon right behind the word",
            )
        if found := re.fullmatch(_ALMOST_SECTION, token.text):
            raise ScriptError(
                f"a comment that looks like the head of a section: {token.text[:60]}",
                line=token.line,
                hint=f"it is written -- +{found[1].lower()}, the word right behind the plus sign",
            )

    def _mark(self, token: Token, rest: str) -> None:
        if self._marked:
            raise ScriptError(
                f"the reverse has a second marker; the first is on line {self._marked}",
                line=token.line,
                hint="a file is one delta, with one reverse",
            )
        self._marked = token.line
        self._turn(token, Part.REVERSE, None)
        if rest.strip():
            self._lines[token.line] = rest

    def _begin(self, token: Token, word: str, engine: str) -> None:
        if word.lower() not in set(Part):
            raise ScriptError(
                f"there is no section called {word}", line=token.line, hint=f"known are: {', '.join(Part)}"
            )
        dialect = DIALECTS.get(engine.lower())
        if engine and dialect is None:
            raise ScriptError(
                f"the section's engine {engine!r} is not known",
                line=token.line,
                hint=f"known are: {', '.join(sorted(DIALECTS))}",
            )
        if dialect and self._header.dialect not in {None, dialect}:
            raise ScriptError(
                f"a section for {dialect} in a delta whose header says engine={self._header.dialect}", line=token.line
            )
        self._turn(token, Part(word.lower()), dialect)

    def _turn(self, token: Token, part: Part, dialect: Dialect | None) -> None:
        """Close the open section, and begin this one on the next line."""
        self._refuse_company(token)
        self._close(token.offset)
        if former := self._sections.get((part, dialect)):
            raise ScriptError(
                f"a second section {part}{f' {dialect}' if dialect else ''}; the first is on line {former.line}",
                line=token.line,
            )
        self._open(part, dialect, token.end, token.line)

    def _head(self, token: Token, fields: str) -> None:
        if self._has_sql or self._start:
            raise ScriptError("the header stands below what it is about", line=token.line, hint="move it to the top")
        self._refuse_company(token)
        self._header = read_header(self._header, fields, token.line)
        self._dialect = self._header.dialect or self._dialect

    def _is_alone(self, token: Token) -> bool:
        start = self._text.rfind("\n", 0, token.offset) + 1
        return not self._text[start : token.offset].strip()

    def _refuse_company(self, token: Token) -> None:
        if not self._is_alone(token):
            raise ScriptError(f"{token.text[:40]!r} does not stand on a line of its own", line=token.line)

    def _commented(self, token: Token) -> None:
        """Take a line out of its comment: its hyphens and one space go."""
        if not token.text.startswith("--") or token.line in self._lines:
            raise ScriptError(
                f"a comment that is no line of its own in the {self._part} of line {self._line}",
                line=token.line,
                hint=_ONE_LINE_EACH,
            )
        self._lines[token.line] = token.text[2:].removeprefix(" ")

    def _look_for_reverse(self, token: Token) -> None:
        """Refuse a reverse that stands under a heading which is no marker: it would be lost without a word."""
        for line, words in _prose(token):
            found = re.match(_OTHER_MARKER, words)
            rest = words[found.end() :] if found else words
            if (found or self._heading) and rest and looks_like_sql(rest, self._dialect):
                raise ScriptError(
                    f"a comment that looks like a reverse: {words[:60]}",
                    line=line,
                    hint="the marker is -- Reversible delta, alone on its line; if this is none, word it otherwise",
                )
            if words:
                self._heading = bool(found and _HEADING.fullmatch(rest))

    def _check(self) -> None:
        """Refuse what no section alone shows: nothing to do, an empty section, a reverse of the irreversible."""
        for section in self._sections.values():
            if not self._holds_statements(section):
                raise ScriptError(
                    f"the section {section.part} holds no statement",
                    line=section.line,
                    hint="write it, or take its first line out",
                )
            if section.part is Part.REVERSE and self._header.irreversible:
                raise ScriptError(
                    "the header says irreversible, and here is a reverse",
                    line=section.line,
                    hint="take one of them out",
                )
        if not any(section.part is Part.FORWARD for section in self._sections.values()):
            raise ScriptError(
                "the file holds no statement to apply",
                line=1,
                hint="write the change as plain SQL, outside of comments",
            )

    def _holds_statements(self, section: Section) -> bool:
        dialect = section.dialect or self._dialect
        try:
            return bool(statements_of(section.text, dialect, self._modes, section.line))
        except ScriptError as error:
            if section.part is Part.FORWARD:
                raise
            hint = f"all that stands in the {section.part} is read as SQL, prose too: write prose as -- -- why"
            raise ScriptError(error.problem, line=error.line, hint=error.hint or hint) from error


def _prose(token: Token) -> Iterator[tuple[int, str]]:
    """Give the lines of a comment with their numbers, without what makes them a comment."""
    for number, text in enumerate(token.text.split("\n"), token.line):
        words = text.strip()
        opening = _OPENING.match(words)
        yield number, words[opening.end() if opening else 0 :].removesuffix("*/").rstrip()
