"""Which semicolons end a statement, and which stand in the body of a trigger, a rule or a routine.

One tracker a dialect, fed with the tokens of one statement. All of them rest on the same
fact: inside a body an ``END`` that closes a block follows a semicolon (or what opened the block), and the one of a
``CASE`` expression never does.
"""

from typing import Final, Protocol

from pdelta.sql.token import Dialect, Token

_ROUTINES: Final = frozenset({"FUNCTION", "PROCEDURE"})
_STORED: Final = frozenset({"TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"})
_COMPOUND: Final = frozenset({"BEGIN", "IF", "CASE", "LOOP", "WHILE", "REPEAT", "FOR"})
_LEADS: Final = frozenset({";", "THEN", "ELSE", "DO", "LOOP", "REPEAT", "BEGIN", "ATOMIC", ":"})
"""After these a statement begins inside a MySQL body."""
_PLAIN: Final = frozenset(
    {"SELECT", "INSERT", "UPDATE", "DELETE", "SET", "CALL", "RETURN", "REPLACE", "VALUES", "WITH"}
)
"""What begins a body of one plain statement."""
_EVENTS: Final = frozenset({"BEFORE", "AFTER", "OR", "ON", "CHARACTER"})
"""Before one of those verbs they make it part of the header: ``BEFORE INSERT``, ``CHARACTER SET``."""
_OTHER_KINDS: Final = frozenset(
    {"DATABASE", "SCHEMA", "USER", "ROLE", "SEQUENCE", "SERVER", "TABLESPACE", "GROUP", "EXISTS", "="}
)
"""After these PACKAGE is a name."""
_BEGIN_BODY: Final = frozenset({"AS", "IS"})
"""With ``sql_mode=ORACLE`` declarations stand behind these, each with its semicolon, before the BEGIN."""
_STATEMENTS: Final = frozenset({*_PLAIN, "CREATE", "ALTER", "EXPLAIN", "DO", "HANDLER", "LOCK"}) - {"RETURN"}
"""What begins a body in which AS and IS may mean something else."""
_NAMING: Final = frozenset({*_STORED, "ON", "EXISTS", "RETURNS", "FOLLOWS", "PRECEDES", "BODY", "PACKAGE"})
"""After these comes a name or a type, even one that is spelt like the opening of a block."""


class Body(Protocol):
    """What a splitter asks."""

    @property
    def is_open(self) -> bool:
        """Whether a semicolon that comes now belongs to the statement."""

    def take(self, token: Token) -> None:
        """Read the statement's next token; never a comment."""


class PostgresBody:
    """Brackets, as in ``CREATE RULE … DO (…; …)``, and ``BEGIN ATOMIC … END`` of a routine."""

    def __init__(self) -> None:
        self._brackets = 0
        self._blocks = 0
        self._head: list[str] = []
        self._last = ""

    @property
    def is_open(self) -> bool:
        """Whether a bracket or a block is open."""
        return bool(self._brackets or self._blocks)

    def take(self, token: Token) -> None:
        """Read one token."""
        word, last, self._last = token.word, self._last, token.word
        if word in {"(", ")"}:
            self._brackets = max(0, self._brackets + (1 if word == "(" else -1))
        elif self._brackets:
            return
        elif word == ";":
            self._head.clear()
        elif word == "ATOMIC" and last == "BEGIN" and self._is_routine():
            self._blocks += 1
            self._head.clear()
        elif word == "END" and self._blocks and last in {";", "ATOMIC"}:
            self._blocks -= 1
        elif len(self._head) < 4:
            self._head.append(word)

    def _is_routine(self) -> bool:
        head = self._head
        if head[1:3] == ["OR", "REPLACE"]:
            head = [head[0], *head[3:]]
        return head[:1] == ["CREATE"] and head[1:2] != [] and head[1] in _ROUTINES


class SqliteBody:
    """A trigger, from its first words to an ``END`` after a semicolon."""

    def __init__(self) -> None:
        self._head: list[str] = []
        self._last = ""
        self.is_open = False

    def take(self, token: Token) -> None:
        """Read one token."""
        word, last, self._last = token.word, self._last, token.word
        if self.is_open:
            self.is_open = not (word == "END" and last == ";")
        elif len(self._head) < 6:
            self._head.append(word)
            words = [one for one in self._head if one not in {"EXPLAIN", "QUERY", "PLAN", "TEMP", "TEMPORARY"}]
            self.is_open = words == ["CREATE", "TRIGGER"] and word == "TRIGGER"


class MysqlBody:
    """Stored programs: ``BEGIN``, ``IF``, ``CASE``, ``LOOP`` and the other blocks, each to its own ``END``.

    MariaDB's packages are blocks too, and so are declarations before a ``BEGIN``. What is open is then ``PACKAGE``, a
    ``ROUTINE`` of one, which a semicolon may end, or what stands behind ``AS``, which becomes the block that it opens.
    """

    def __init__(self) -> None:
        self._stored: bool | None = None
        self._plain = False
        self._handler = False
        self._brackets = 0
        self._open: list[str] = []
        self._last = ""
        self._count = 0
        self._version = False
        self._routine = ""

    @property
    def is_open(self) -> bool:
        """Whether a block, or a comment that is executed, is open."""
        return bool(self._open or self._version)

    @property
    def _top(self) -> str:
        """The innermost block that is open; ``case`` for the expression, which knows no semicolons."""
        return self._open[-1] if self._open else ""

    def take(self, token: Token) -> None:
        """Read one token."""
        word, last = token.word, self._last
        if word.startswith("/*"):
            self._version = True
            return
        if word == "*/":
            self._version = False
            return
        if word in {"(", ")"}:
            self._brackets = max(0, self._brackets + (1 if word == "(" else -1))
        self._count += 1
        if self._stored is None:
            self._stored = self._begins_stored(word)
        elif self._stored and not self._brackets and last not in {".", "@"}:
            self._in_stored(word, last)
        self._last = word

    def _begins_stored(self, word: str) -> bool | None:
        """Say whether this is a stored program, or that the words so far do not tell."""
        if self._count == 1 and word not in {"CREATE", "ALTER", "BEGIN"}:
            return self._stands_alone(word, is_block=word in _COMPOUND)
        if self._count == 2 and self._last == "BEGIN":
            return self._stands_alone("BEGIN", is_block=word == "NOT")
        if self._count == 2 and self._last == "ALTER" and word not in {"EVENT", "DEFINER"}:
            # Of what is stored, an event alone can be given another body.
            return False
        if word == "PACKAGE" and self._last not in _OTHER_KINDS:
            self._open.append(word)
            return True
        if word in _STORED:
            self._routine = word if word in _ROUTINES else ""
            return True
        # DEFINER = 'user'@'host' and the like come before; what is still undecided after that is no stored program.
        return None if self._count < 14 and word not in {"TABLE", "VIEW", "INDEX", "AS"} else False

    def _stands_alone(self, word: str, *, is_block: bool) -> bool:
        """Open a block of MariaDB's that is a statement by itself; any other BEGIN opens a transaction."""
        if is_block:
            self._open.append(word)
        return is_block

    def _in_stored(self, word: str, last: str) -> None:
        if word == "END":
            self._end(last)
        elif last == "END" and word in _COMPOUND:
            # One thing with its END, of which only that of a REPEAT follows a condition and no semicolon.
            if word == self._top == "REPEAT":
                self._open.pop()
        elif self._top in {"PACKAGE", "ROUTINE", "AS"} and self._declares(word, last):
            pass
        elif self._open:
            self._inside(word, last)
        elif self._routine and not self._plain and self._heads(word, last):
            pass
        elif word in _PLAIN and last not in _EVENTS:
            self._plain = True
        elif word in _COMPOUND and self._may_open(word, last):
            self._open.append(word)

    def _heads(self, word: str, last: str) -> bool:
        """Read a word of a routine's head that is another one with ``sql_mode=ORACLE``."""
        if word == "RETURNS":
            self._routine = "RETURNS"
        elif word in _STATEMENTS and last not in _EVENTS:
            self._plain = True
        elif word in _BEGIN_BODY:
            self._open.append("AS")
        else:
            # RETURN gives the type where no RETURNS does.
            return word == "RETURN" and self._routine == "FUNCTION"
        return True

    def _declares(self, word: str, last: str) -> bool:
        """Read what ends or begins something between the beginning of a package, or of declarations, and a BEGIN."""
        if self._top == "PACKAGE" and word in _ROUTINES and last not in _NAMING:
            self._open.append("ROUTINE")
        elif self._top == "ROUTINE" and word == ";":
            self._open.pop()
        elif self._top == "ROUTINE" and word in _BEGIN_BODY:
            self._open[-1] = "AS"
        elif word == "BEGIN" and (self._top == "ROUTINE" or last in {";", *_BEGIN_BODY}):
            self._open[-1] = word
        else:
            return False
        return True

    def _inside(self, word: str, last: str) -> None:
        if last in _LEADS:
            self._handler = word == "DECLARE"
        if word == "CASE" and (self._top == "case" or last not in _LEADS):
            self._open.append("case")
        elif (word in _COMPOUND and last in _LEADS and self._top != "case") or (
            word == "BEGIN" and self._handler and last != "DECLARE"
        ):
            self._open.append(word)

    def _end(self, last: str) -> None:
        """Close the block, or the ``CASE`` expression, that this ``END`` is the end of."""
        is_empty = last in _BEGIN_BODY and self._top == "PACKAGE"
        if self._top == "case" or is_empty or (last in _LEADS and self._top != "REPEAT"):
            del self._open[-1:]

    def _may_open(self, word: str, last: str) -> bool:
        """Say whether a body begins here, and this is no name, function or part of the header."""
        if self._plain or last in _NAMING or (word == "FOR" and last not in {":", ")", "DO"}):
            return False
        return last in {"", ")", ":"} or last[-1] in "_$" or last[-1].isalnum()


def body_of(dialect: Dialect) -> Body:
    """Give a tracker for one statement of this dialect."""
    match dialect:
        case Dialect.POSTGRESQL:
            return PostgresBody()
        case Dialect.SQLITE:
            return SqliteBody()
        case Dialect.MYSQL:
            return MysqlBody()
