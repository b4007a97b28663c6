"""Standard streams of a command whose work does not depend on whether anybody reads what it says.

A deployment that was done is done, though the disk that its report goes to is full, or the reader of the pipe is gone;
so writing fails nowhere in the middle of a command. What was lost is told at the end.
"""

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer


class Output(io.FileIO):
    """A descriptor that takes whatever is written, until it is given up.

    It is given up when something could not be written, and when a stop comes while it waits for its reader: the rest
    counts as written from then on.

    Attributes:
        failure: Why something was lost; None where nothing was, or somebody wanted that.
    """

    failure: OSError | None = None
    _is_given_up = False
    _was_asked = False

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all of it, in as many pieces as that takes."""
        left = memoryview(data).cast("B")
        size = left.nbytes
        try:
            while left and not self._is_given_up:
                left = left[super().write(left) or self._wait() :]
        except OSError as error:
            self.failure = error
            self.give_up()
        except BaseException:
            # How much was written is not known to whoever would write it again.
            self.give_up()
            raise
        return size

    @classmethod
    def lets_wait(cls) -> bool:
        """Say whether a stop that comes during a write may wait for its end: the first time, as most are brief."""
        cls._was_asked = not cls._was_asked
        return cls._was_asked

    def give_up(self) -> None:
        """Drop whatever comes."""
        self._is_given_up = True

    def _wait(self) -> int:
        """Wait for a reader at his leisure, where whoever started us has forbidden to wait in the call."""
        import select

        select.select([], [self], [])
        return 0


class Streams:
    """Both outputs of this process, in place of Python's own.

    A stream that was closed goes nowhere: otherwise the next file that is opened would get its number, and be written
    into by whatever complains there.
    """

    def __init__(self) -> None:
        """Take the place of ``sys.stdout`` and ``sys.stderr``."""
        for descriptor in range(3):
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
        self._output, sys.stdout = _stream(1, sys.stdout)
        self._errors, sys.stderr = _stream(2, sys.stderr)
        sys.stdin = sys.stdin or io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")

    def end(self, status: int) -> int:
        """Write what is left, and complain about what was lost.

        Args:
            status: Of the command.

        Returns:
            It, or 69 where all was done and could not be said.
        """
        sys.stdout.flush()
        failure = self._output.failure
        if failure is not None and not isinstance(failure, BrokenPipeError):
            done = "" if status else "hint: what it did is done\n"
            sys.stderr.write(f"error: what this command says could not be written: {failure.strerror}\n{done}")
            status = status or 69
        sys.stderr.flush()
        return status

    def give_up(self) -> None:
        """Drop what is not written yet: nobody may have to wait for a reader again."""
        self._output.give_up()
        self._errors.give_up()


def _stream(descriptor: int, own: "TextIO | None") -> "tuple[Output, TextIO]":
    raw = Output(descriptor, "w", closefd=False)
    if not isinstance(own, io.TextIOWrapper):
        return raw, io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace")
    errors = own.errors
    if errors == "strict" or (errors == "surrogateescape" and own.encoding.lower() not in {"utf-8", "utf8"}):
        errors = "backslashreplace"  # a letter that this encoding lacks is no reason to fail
    below = raw if isinstance(own.buffer, io.RawIOBase) else io.BufferedWriter(raw)
    return raw, io.TextIOWrapper(
        below,
        own.encoding,
        errors,
        line_buffering=own.line_buffering,
        write_through=own.write_through,
    )
