"""How a command waits while another run holds its tree."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from pdelta.app.context import Link
from pdelta.errors import LockedError

_AGAIN_S: Final = 0.1

Value = TypeVar("Value")


def until_free(act: Callable[[], Value], link: Link) -> Value:
    """Give what an action gives; where another run holds its tree, try again for as long as ``link`` says.

    The waiting is here and not on the host, where it would go on, and then act, when nobody is left who wants that.

    Args:
        act: Raises ``LockedError`` before it does anything.
        link: How long is waited.

    Raises:
        LockedError: The other run holds it still.
    """
    deadline_s = time.monotonic() + link.wait_s
    while True:
        try:
            return act()
        except LockedError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(_AGAIN_S)
