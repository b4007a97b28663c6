"""What is done while a server's answer is waited for: modules are imported that would be imported afterwards anyway.

To find out whether anything is to be done, a roll-out asks its servers, and what does it is not imported before that is
known. Importing it takes twice as long as the answers do; so it begins meanwhile, and stops when the answer is there.
"""

import select
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from threading import get_ident
from typing import Final

_FOREVER_S: Final = float("inf")

_expected: dict[int, tuple[list[str], bool]] = {}


def expect(modules: Sequence[str], *, surely: bool = False) -> None:
    """Import these modules whenever this thread waits.

    Args:
        modules: Their names in the order of importing; none should take long, as the answer may be there meanwhile.
        surely: Whether they will be needed whatever the answers are. Then waiting for the next step of a log-in is
            used, too: that takes no longer than an import, and each one that is not needed would hold it up.
    """
    _expected[get_ident()] = (list(reversed(modules)), surely)


def wait(poll: select.poll, limit_s: float = _FOREVER_S) -> None:
    """Return once something has happened that this waits for.

    Args:
        poll: Tells what has.
        limit_s: After how many seconds to return all the same, where that is a step of a log-in.
    """
    modules, surely = _expected.get(get_ident(), ([], False))
    is_endless = limit_s == _FOREVER_S
    deadline_s = time.monotonic() + limit_s
    while modules and (surely or is_endless) and time.monotonic() < deadline_s and not poll.poll(0):
        name = modules.pop()
        if name not in sys.modules:
            import_module(name)
    poll.poll(None if is_endless else max(0.0, deadline_s - time.monotonic()) * 1000)
