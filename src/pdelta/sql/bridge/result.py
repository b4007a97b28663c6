"""What a bridge is: steps that can be taken, and what is left to a person."""

import msgspec


class Step(msgspec.Struct, frozen=True):
    """One statement.

    Attributes:
        sql: Without what ends it.
        words: What it is for.
    """

    sql: str
    words: str


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
    """The way from one catalogue to another.

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

    def text(self) -> str:
        """Give it as SQL for a file: what each step is for, and what is refused with its reason, stand in comments."""
        lines = []
        words = ""
        for step in self.steps:
            if step.words != words:
                words = step.words
                lines.append(_comment(words))
            lines.append(f"{step.sql};")
        for refusal in self.refused:
            lines.append(_comment(f"not done: {refusal.words}: {refusal.reason}"))
            lines.extend(_comment(f"{sql};") for sql in refusal.sql)
        return "\n".join(lines) + ("\n" if lines else "")


def _comment(text: str) -> str:
    return "\n".join(f"-- {line}" for line in text.splitlines())
