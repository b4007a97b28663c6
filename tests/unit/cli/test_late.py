"""What click, msgspec and others hardly use is imported when it is used, and then it is the real one."""

import gettext
import inspect
import platform
import string
import subprocess
import sys
import urllib.parse
from types import ModuleType
from typing import Any

import pytest

from pdelta.cli.late import HARDLY_USED, Late, import_late

LIBRARIES = ("pathlib", "msgspec", "click", "tomllib")


def told_by(code: str) -> str:
    """Give what a new process prints that has imported the libraries so."""
    code = f"import sys; from pdelta.cli.late import import_late; import_late(*{LIBRARIES!r}); {code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout.strip()


def test_libraries_when_imported_then_what_they_hardly_use_is_not() -> None:
    assert told_by(f"print(*{set(HARDLY_USED)!r} & set(sys.modules))") == ""


@pytest.mark.parametrize("name", HARDLY_USED)
def test_module_when_somebody_else_imports_it_then_it_is_the_real_one(name: str) -> None:
    assert told_by(f"from importlib import import_module as i; print(type(i({name!r})).__name__)") == "module"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import click; print(click.Option(['-a'], help=' one\\n\\n    two').help)", "one\n\ntwo"),
        ("import msgspec; print(msgspec.inspect.type_info(int))", "IntType("),
        ("import msgspec; print(msgspec.json.schema(int))", "{'type': 'integer'}"),
        ("import pathlib; print(pathlib.Path('/a b').as_uri())", "file:///a%20b"),
        ("import pathlib; print(pathlib.Path('a.sql').match('*.sql'))", "True"),
        ("import pathlib; print(pathlib.PureWindowsPath('c:/a', 'd:b').drive)", "d:"),
        ("import tomllib; print(tomllib.loads('a.b-c = 0xAf')['a'])", "{'b-c': 175}"),
        ("import uuid; print(uuid.uuid4().version)", "4"),
    ],
)
def test_library_when_it_needs_what_it_hardly_uses_then_it_has_it(code: str, told: str) -> None:
    assert told_by(code).startswith(told)


def test_module_when_it_is_there_already_then_nothing_stands_in_for_it() -> None:
    import_late("pathlib")
    assert not [module for module in sys.modules.values() if isinstance(module, Late)]
    assert sys.modules["inspect"] is inspect


def test_stand_in_when_it_does_not_know_something_then_the_real_one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Late("colorsys", {"known": 1})
    monkeypatch.setitem(sys.modules, "colorsys", late)
    assert vars(late)["known"] == 1
    assert late.rgb_to_hsv(0.0, 0.0, 0.0) == (0.0, 0.0, 0.0)
    assert type(sys.modules["colorsys"]) is ModuleType
    with pytest.raises(AttributeError):
        _ = late.nothing


@pytest.mark.parametrize(
    "text", ["", " ", "one", "  one two ", "\tone\ttwo", " one\n    two\n      three\n", "\n\n one"]
)
def test_text_when_it_is_cleaned_then_it_is_as_the_real_one_cleans_it(text: str) -> None:
    assert known("inspect", "cleandoc")(text) == inspect.cleandoc(text)


def test_stand_in_when_it_knows_something_then_that_is_what_the_real_one_says() -> None:
    for name in ("ascii_letters", "digits", "hexdigits"):
        assert known("string", name) == getattr(string, name)
    assert known("platform", "system")() == platform.system()
    assert known("urllib.parse", "quote_from_bytes")(b"/a \xff") == urllib.parse.quote_from_bytes(b"/a \xff")
    for count in (0, 1, 2):
        words = ("one", "many", count)
        assert known("gettext", "ngettext")(*words) == gettext.NullTranslations().ngettext(*words)
    assert known("gettext", "gettext")("one") == "one"


def known(module: str, name: str) -> Any:
    """Give what a stand-in knows."""
    return HARDLY_USED[module][name]
