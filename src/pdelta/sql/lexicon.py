r"""The tokens of each dialect as one regular expression; the names of its groups say what ``tokens`` does with a match.

Whatever repeats is possessive, so that no text makes a match go back over what it has read:
the time is linear. Spelt out instead of ``\s`` and ``\w``, because the servers know only
ASCII white space and take every character beyond ASCII for a letter.

Sources: PostgreSQL's ``scan.l``, MySQL's ``sql_lex.cc`` and ``client/mysql.cc``, SQLite's ``tokenize.c``.
"""

import re
from functools import lru_cache
from typing import Final, assert_never

from pdelta.sql.token import Dialect, Mode

# Everything but the other ASCII characters: stated as a range up to the last character of all, each set of them costs
# the compiler 5 ms, and so 0.05 ms (measured).
_LETTER: Final = r"[^\x00-@\[-^`{-\x7f]"
_LETTER_OR_DIGIT: Final = r"[^\x00-/:-@\[-^`{-\x7f]"
_LETTER_DIGIT_OR_DOLLAR: Final = r"[^\x00-#%-/:-@\[-^`{-\x7f]"
# A `$` belongs to a word, but not the one that begins a placeholder.
_WORD: Final = rf"{_LETTER}{_LETTER_OR_DIGIT}*+(?:\$(?!\{{){_LETTER_OR_DIGIT}*+)*+"
_PLACEHOLDER: Final = r"\$\{[A-Za-z_][A-Za-z0-9_]*+(?::[A-Za-z_]++)?\}"
_NUMBER: Final = (
    r"0[xX][0-9a-fA-F_]++|0[oO][0-7_]++|0[bB][01_]++"
    r"|(?:[0-9][0-9_]*+(?:\.(?!\.)[0-9_]*+)?|\.[0-9][0-9_]*+)(?:[eE][+-]?[0-9]++)?"
)


def _doubled(quote: str) -> str:
    """Give the expression of a text in these quotes, which holds a quote by doubling it."""
    return rf"{quote}[^{quote}]*+(?:{quote}{quote}[^{quote}]*+)*+{quote}"


def _escaped(quote: str) -> str:
    """Give the same where a backslash takes away the meaning of the next character."""
    return rf"{quote}[^{quote}\\]*+(?:(?:\\.|{quote}{quote})[^{quote}\\]*+)*+{quote}"


_SINGLE: Final = _doubled("'")
_DOUBLE: Final = _doubled('"')
_BACKTICK: Final = _doubled("`")
_BACKSLASH: Final = _escaped("'")


def _pattern(**groups: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<{name}>{expression})" for name, expression in groups.items()), re.DOTALL)


def _postgresql() -> re.Pattern[str]:
    return _pattern(
        space=r"[ \t\n\r\f\v]++",
        comment=r"--[^\n\r]*+",
        block=r"/\*",
        escaped=rf"[eE]{_BACKSLASH}",
        # Bits know no doubled quote: X'1''2' is two of them.
        string=rf"[bBxX]'[^']*+'|(?:[nN]|[uU]&)?{_SINGLE}",
        quoted=rf"(?:[uU]&)?{_DOUBLE}",
        word=_WORD,
        number=_NUMBER,
        placeholder=_PLACEHOLDER,
        dollar=rf"\$(?:{_LETTER}{_LETTER_OR_DIGIT}*+)?\$",
        operator=r"(?:(?!--|/\*)[~!@#^&|`?+\-*/%<>=])++",
        symbol=r"\$[0-9]++|::|:=|\.\.|[^'\"\\]",
        wrong=r".",
    )


def _sqlite() -> re.Pattern[str]:
    return _pattern(
        space=r"[ \t\n\r\f\ufeff]++",
        comment=r"--[^\n]*+",
        block=r"/\*",
        string=rf"[xX]?{_SINGLE}",
        quoted=rf"{_DOUBLE}|{_BACKTICK}|\[[^\]]*+\]",
        word=_WORD,
        number=_NUMBER,
        placeholder=_PLACEHOLDER,
        symbol=rf"\?[0-9]++|[:@#$]{_LETTER_DIGIT_OR_DOLLAR}++|\|\||->>?|<<|>>|<=|>=|<>|!=|==|[^'\"`\[\\]",
        wrong=r".",
    )


def _mysql(modes: frozenset[Mode]) -> re.Pattern[str]:
    text = _doubled if Mode.NO_BACKSLASH_ESCAPES in modes else _escaped
    strings, names = ["[nNxXbB]?" + text("'")], [_BACKTICK]
    if Mode.ANSI_QUOTES in modes:
        names.append(_DOUBLE)
    else:
        strings.append(text('"'))
    letters = rf"{_LETTER_OR_DIGIT}*+"
    return _pattern(
        space=r"[ \t\n\r\f\v]++",
        # Two hyphens before anything else are two minus signs.
        comment=r"--(?=[\x00-\x20]|\Z)[^\n]*+|\#[^\n]*+",
        version=r"/\*M?![0-9]*+|\*/",
        block=r"/\*",
        string="|".join(strings),
        quoted="|".join(names),
        number=rf"(?:{_NUMBER})(?!{_LETTER_DIGIT_OR_DOLLAR})",
        word=rf"(?:{_LETTER_OR_DIGIT}|\$(?!\{{)){letters}(?:\$(?!\{{){letters})*+",
        placeholder=_PLACEHOLDER,
        symbol=r"<=>|->>?|<<|>>|<=|>=|<>|!=|:=|&&|\|\||[^'\"`\\]",
        wrong=r".",
    )


CONTINUATION: Final = re.compile(r"(?:[ \t\f\v]|--[^\n\r]*+)*+[\n\r](?:[ \t\n\r\f\v]++|--[^\n\r]*+[\n\r])*+(?=')")
"""Between two pieces of one string in PostgreSQL: the second is read as the first was begun."""

CONTINUED: Final = re.compile(_BACKSLASH, re.DOTALL)
"""A further piece of a string that was begun with ``E'``."""


@lru_cache
def pattern(dialect: Dialect, modes: frozenset[Mode]) -> re.Pattern[str]:
    """Give the expression that matches one token, comment or stretch of white space of this dialect.

    Compiled when first asked for: 10 ms each, measured, of commands that read one dialect or none.
    """
    match dialect:
        case Dialect.POSTGRESQL:
            return _postgresql()
        case Dialect.SQLITE:
            return _sqlite()
        case Dialect.MYSQL:
            return _mysql(modes)
        case _:
            assert_never(dialect)
