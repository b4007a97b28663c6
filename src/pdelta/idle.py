"""What is done while a server's answer is waited for: modules are imported that would be imported afterwards anyway.

To find out whether anything is to be done, a roll-out asks its servers, and what does it is not imported before that is
known. Importing it takes twice as long as the answers do; so it begins meanwhile, and stops when the answer is there.
"""

import select
import sys
from collections.abc import Sequence
from importlib import import_module
from threading import get_ident

_expected: dict[int, list[str]] = {}


def expect(modules: Sequence[str]) -> None:
    """Import these modules whenever this thread waits.

    Args:
        modules: Their names in the order of importing; none should take long, as the answer may be there meanwhile.
    """
    _expected[get_ident()] = list(reversed(modules))


def wait(poll: select.poll) -> None:
    """Return once something has happened that this waits for."""
    modules = _expected.get(get_ident())
    while modules and not poll.poll(0):
        name = modules.pop()
        if name not in sys.modules:
            import_module(name)
    poll.poll()
