"""The tokens of a statement, read from the left: for the dialects that have no parser here."""

from typing import ClassVar, Final

from pdelta.sql.derive.result import RefusedError
from pdelta.sql.split import Statement
from pdelta.sql.token import Kind, Token

_CLOSING: Final = {"[": "]"}
_CORRECT: Final = "correct the statement"


class Reader:
    """Where reading has got to.

    Args:
        statement: Whose tokens.
    """

    names: ClassVar[frozenset[Kind]]
    """What kinds of token may be a name; each dialect says it."""

    def __init__(self, statement: Statement) -> None:
        self.tokens = statement.tokens
        self.at = 0
        self._statement = statement

    @property
    def word(self) -> str:
        """The next token's word; empty at the end, and for what is none."""
        return self.tokens[self.at].word if self.at < len(self.tokens) else ""

    @property
    def is_over(self) -> bool:
        """Whether there is no further token."""
        return self.at >= len(self.tokens)

    def take(self, *words: str) -> bool:
        """Go past these words, if they come next; say whether they did."""
        if [token.word for token in self.tokens[self.at : self.at + len(words)]] != list(words):
            return False
        self.at += len(words)
        return True

    def take_one(self, *words: str) -> str:
        """Go past the next word if it is one of these, and give it; empty where it is none of them."""
        word = self.word
        if word not in words:
            return ""
        self.at += 1
        return word

    def expect(self, *words: str) -> None:
        """Go past these words.

        Raises:
            RefusedError: Others come next.
        """
        if not self.take(*words):
            raise RefusedError(f"{' '.join(words)} was expected before {self.next_text}", _CORRECT)

    def name_token(self) -> Token:
        """Go past a name, and give it.

        Raises:
            RefusedError: None comes next.
        """
        if self.is_over or self.tokens[self.at].kind not in self.names:
            raise RefusedError(f"a name was expected before {self.next_text}", _CORRECT)
        token = self.tokens[self.at]
        self.at += 1
        return token

    def skip_brackets(self) -> None:
        """Go past what stands in brackets, if they come next."""
        depth = 0
        while not self.is_over:
            depth += {"(": 1, ")": -1}.get(self.word, 0)
            if not depth:
                self.at += self.word == ")"
                return
            self.at += 1

    def skip_to_comma(self) -> None:
        """Go to the next comma outside of brackets, or to the end."""
        while not self.is_over and self.word != ",":
            if self.word == "(":
                self.skip_brackets()
            else:
                self.at += 1

    def text(self, start: int, end: int) -> str:
        """Give the text from one token to before another."""
        if start >= end:
            return ""
        begin = self._statement.offset
        return self._statement.text[self.tokens[start].offset - begin : self.tokens[end - 1].end - begin]

    @property
    def next_text(self) -> str:
        """The next token as it is written, for messages."""
        return "the end" if self.is_over else self.tokens[self.at].text


def unquoted(token: Token) -> str:
    """Give the name that a token is."""
    if token.kind is Kind.WORD:
        return token.text
    opening = token.text[0]
    closing = _CLOSING.get(opening, opening)
    return token.text[1:-1].replace(closing * 2, closing) if opening != "[" else token.text[1:-1]
