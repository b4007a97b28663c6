"""What a bridge is: steps that can be taken, and what is left to a person."""

import re
from typing import Final

import msgspec


class Step(msgspec.Struct, frozen=True):
    """One statement.

    Attributes:
        sql: Without what ends it.
        words: What it is for.
        back: What takes it back, once all steps behind it are taken back; empty where that is left to what is derived
            in each tenant, which knows what would be lost.
    """

    sql: str
    words: str
    back: str = ""


class Refusal(msgspec.Struct, frozen=True):
    """A difference that stays.

    Attributes:
        words: Which one.
        reason: Why nothing is done about it.
        sql: Statements that a person may choose; none where there are none to choose.
    """

    words: str
    reason: str
    sql: tuple[str, ...] = ()


class Bridge(msgspec.Struct, frozen=True):
    """The way from one catalogue to another; either all of its steps say what takes them back, or none does.

    Attributes:
        steps: In the order of execution.
        refused: What they leave as it is.
    """

    steps: tuple[Step, ...]
    refused: tuple[Refusal, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the steps lead all the way."""
        return not self.refused

    def text(self, about: str) -> str:
        """Give it as the text of a delta file; what is left as it is stands in comments, and what each step is for.

        Without a step there is nothing to apply, and the text is for people alone.

        Args:
            about: Its first line.
        """
        lines = [_remark(about)]
        for refusal in self.refused:
            lines.append(_remark(f"left as it is: {refusal.words}: {refusal.reason}"))
            lines.extend(_set_aside(line) for sql in refusal.sql for line in f"{sql};".split("\n"))
        words = ""
        for step in self.steps:
            if step.words != words:
                words = step.words
                lines.append(_remark(words))
            lines.append(f"{step.sql};")
        if any(step.back for step in self.steps):
            if any(_TAKES_AWAY.search(step.back) for step in self.steps):
                lines.append(_remark("what is added above goes with all that has come into it since, by this:"))
            lines.append("-- Reversible delta")
            backs = (line for step in reversed(self.steps) for line in f"{step.back};".split("\n"))
            lines.extend(f"-- {line}" for line in backs)
        return "\n".join(lines) + "\n"


_TAKES_AWAY: Final = re.compile(r"^DROP TABLE | DROP COLUMN ")
_READ_BY_DELTAS: Final = re.compile(r"\W*(?:reversible|reverse|rollback|undo|down|pdelta|\+\w)", re.IGNORECASE)
"""What a line of a comment begins with that a delta file may mean something by."""


def _remark(text: str) -> str:
    return f"-- {' '.join(text.split(chr(10)))}"


def _set_aside(line: str) -> str:
    """Give a line of SQL that a person may choose, so that nothing is taken for a part of the file."""
    return f"--   {'| ' if _READ_BY_DELTAS.match(line) else ''}{line}"
