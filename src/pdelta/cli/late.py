"""Importing click, msgspec and others without what they import and hardly ever use: a quarter of the start.

Each of the modules below has a stand-in while those libraries are imported, which imports the real one as soon as
somebody asks it for anything that it does not know itself. Afterwards the stand-ins are known to these libraries alone:
whoever else imports such a module gets the real one.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any, Final


class Late(ModuleType):
    """A module that is imported when something of it is used.

    Args:
        name: Of the module.
        known: What of it is told without importing it.
    """

    def __init__(self, name: str, known: Mapping[str, object]) -> None:
        super().__init__(name)
        vars(self).update(known)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
        """Give what the module has by this name."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_real(self.__name__), name)


def import_late(*names: str) -> None:
    """Import these libraries; what is imported already stays as it is."""
    late = {name: Late(name, known) for name, known in HARDLY_USED.items() if name not in sys.modules}
    sys.modules.update(late)
    hidden = "typing_extensions" not in sys.modules
    if hidden:
        # Importing it fails now; msgspec needs nothing of it that Python 3.11 lacks.
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        for name in names:
            import_module(name)
    finally:
        if hidden:
            del sys.modules["typing_extensions"]
        for name in late:
            _leave(name)


def _real(name: str) -> ModuleType:
    _leave(name)
    return import_module(name)


def _leave(name: str) -> None:
    """Let everybody who imports this module from here on get the real one."""
    if isinstance(sys.modules.get(name), Late):
        del sys.modules[name]


def _cleandoc(text: str) -> str:
    """Do what ``inspect.cleandoc`` does; a line alone, as most helps are, has no indentation to be found."""
    cleaned: str = _real("inspect").cleandoc(text) if "\n" in text else text.expandtabs().lstrip()
    return cleaned


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _quote_from_bytes(data: bytes, safe: str = "/") -> str:
    quoted: str = _real("urllib.parse").quote_from_bytes(data, safe)
    return quoted


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS: Final = "0123456789"
HARDLY_USED: Final[Mapping[str, Mapping[str, object]]] = {
    "fnmatch": {},  # of pathlib: globs
    "gettext": {"gettext": str, "ngettext": _plural},  # of click, for which there are no translations
    "inspect": {"cleandoc": _cleandoc},  # of click; it imports ast, dis and tokenize
    "msgspec.inspect": {},
    "ntpath": {},  # of pathlib: paths of Windows
    "platform": {"system": lambda: os.uname().sysname},  # of uuid, which asks nothing else
    "string": {"ascii_letters": _LETTERS, "digits": _DIGITS, "hexdigits": f"{_DIGITS}abcdefABCDEF"},  # of tomllib
    "textwrap": {},  # of msgspec: schemas for JSON
    "urllib.parse": {"quote_from_bytes": _quote_from_bytes},  # of pathlib: a path as a URL
}
"""By the name of a module, what its stand-in knows."""
