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
    """A descriptor that takes whatever is written, and keeps the first failure.

    Attributes:
        failure: Why something was lost; None where nothing was.
    """

    failure: OSError | None = None

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write all that can be written; the rest counts as written once something has failed."""
        left = memoryview(data).cast("B")
        size = left.nbytes
        while left and self.failure is None:
            try:
                left = left[super().write(left) or self._wait() :]
            except OSError as error:
                self.failure = error
        return size

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
        _, sys.stderr = _stream(2, sys.stderr)
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
            sys.stderr.write(
                f"error: what this command says could not be written: {failure.strerror}\n"
                "hint: what it did is done, and stands in its history\n"
            )
            status = status or 69
        sys.stderr.flush()
        return status


def _stream(descriptor: int, own: "TextIO | None") -> "tuple[Output, TextIO]":
    raw = Output(descriptor, "w", closefd=False)
    if not isinstance(own, io.TextIOWrapper):
        return raw, io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", "backslashreplace")
    below = raw if isinstance(own.buffer, io.RawIOBase) else io.BufferedWriter(raw)
    return raw, io.TextIOWrapper(
        below,
        own.encoding,
        own.errors,
        line_buffering=own.line_buffering,
        write_through=own.write_through,
    )
