"""The seam at which a test stops a process: production code passes here after each durable write."""

from typing import Protocol


class FailPoint(Protocol):
    """Hears that something has just become durable; may not return.

    Code that makes something durable takes one as ``failpoint`` and calls it
    right after each durable write, so that a test can stop the process there.
    Names are ``module.what``, for example ``journal.flushed``.
    """

    def __call__(self, name: str, /) -> None:
        """Pass the named point."""
        ...


def never(_name: str, /) -> None:
    """Pass every point."""
