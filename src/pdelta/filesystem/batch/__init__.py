"""System calls on many names of one folder at once, in C where it was built and in Python elsewhere."""

from pdelta.filesystem.batch.native import load
from pdelta.filesystem.batch.port import BatchCalls, Listing, Looks, Status


def batch_calls() -> BatchCalls:
    """Give the fastest there are: those in C take half the time of a walk, and a third of reading small files."""
    native = load()
    if native is not None:
        return native
    from pdelta.filesystem.batch.pure import PureCalls

    return PureCalls()


__all__ = ["BatchCalls", "Listing", "Looks", "Status", "batch_calls"]
