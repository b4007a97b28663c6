"""Options that several commands share, and what they become."""

import functools
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pdelta.app.context import Context, Link
from pdelta.cli.console import Console
from pdelta.cli.settings import read_settings

if TYPE_CHECKING:
    from pdelta.app.options import BaseCacheWish

    _Number = click.ParamType[int]
    _Decimal = click.ParamType[float]
    _BaseCache = click.ParamType[BaseCacheWish]
else:  # older releases of click have no type argument
    _Number = _Decimal = _BaseCache = click.ParamType

Function = Callable[..., Any]

# Compiled when they are used: one word of one command in ten is matched against one of them.
_WHOLE: Final = r"-?[0-9]{1,18}"
_SIZE: Final = r"(?i)(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b?"
_AGE: Final = r"(?i)(\d+)\s*([smhdw])"
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
FOREVER_S: Final = 1e9
_DEFAULTS: Final = {"--become": "root", "--wait": str(FOREVER_S)}
_VALUES: Final = {"--become": r"[A-Za-z_][A-Za-z0-9_.-]*", "--wait": r"\d+(\.\d+)?"}
RULES: Final = "pdelta.rules"
RULE_OPTIONS: Final = ("--ignore", "--include", "--ignore-file")


class Size(_Number):
    """A number of bytes with an optional unit: ``64K`` and ``64KiB`` are 65,536, ``64kB`` is 64,000."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Give the number of bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(_SIZE, value.strip())
        if found is None:
            self.fail(f"{value!r} is no size; write for example 64K, 1M or 20G", param, ctx)
        binary = found.group(3) or not value.lower().endswith("b")
        step = 1024 if binary else 1000
        return int(float(found.group(1)) * step ** ("kmgtp".index(found.group(2).lower()) + 1 if found.group(2) else 0))


class Count(_Number):
    """A whole number that is not too small."""

    name = "count"

    def __init__(self, least: int) -> None:
        """Take numbers from ``least`` on."""
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Give the number."""
        number = value if isinstance(value, int) else int(value) if re.fullmatch(_WHOLE, value) else None
        if number is None or number < self._least:
            self.fail(f"{value!r} is no whole number from {self._least} on", param, ctx)
        return number


class Seconds(_Decimal):
    """A span of time in seconds."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Give the span."""
        if isinstance(value, float):
            return value
        if not re.fullmatch(_VALUES["--wait"], value):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return float(value)


class BaseCache(_BaseCache):
    """``auto``, ``on``, ``off``, or a budget, which means on."""

    name = "base-cache"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - what click has, typed or already converted
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> "BaseCacheWish":
        """Give what the push is told."""
        from pdelta.app.options import BaseCacheWish

        if isinstance(value, BaseCacheWish):
            return value
        if value in {"auto", "on", "off"}:
            return BaseCacheWish(value)
        return BaseCacheWish("on", Size().convert(value, param, ctx))


class Age(_Number):
    """A span of time in seconds: ``12h``, ``30d``, ``2w``."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401
        """Give the number of seconds."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(_AGE, value.strip())
        if found is None:
            self.fail(f"{value!r} is no span of time; write for example 12h, 30d or 2w", param, ctx)
        return int(found.group(1)) * _SECONDS[found.group(2).lower()]


class Command(click.Command):
    """A command whose ``--become`` and ``--wait`` need no value.

    ``--become ./app web1:/srv`` must not take ``./app`` for a user's name, so a value is given with ``=``; a
    separate word is one only where it can't be anything else.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give options without a value their meaning, then parse as usual."""
        separate, filled = _fill_values(args)
        try:
            return super().parse_args(ctx, filled)
        except click.UsageError:
            if separate == filled:
                raise
            return super().parse_args(ctx, separate)


class RuleCommand(Command):
    """A command that remembers in which order ``--ignore``, ``--include`` and ``--ignore-file`` were given.

    The last rule that matches decides, and click keeps the order only within one option.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the order, then parse as usual."""
        ctx.meta[RULES] = list(_rules(args))
        return super().parse_args(ctx, args)


def common(function: Function) -> Function:
    """Give a command ``--json``, ``-q``, ``-v`` and ``--config``; it gets its console and context first."""

    @functools.wraps(function)
    def command(
        *arguments: object, as_json: bool, quiet: bool, verbose: int, config: Path | None, **options: object
    ) -> int:
        console: Console = click.get_current_context().find_object(Console) or Console()
        console.configure(json=as_json, quiet=quiet, verbosity=verbose)
        status: int | None = function(console, _context(console, config), *arguments, **options)
        return status or 0

    return _with(
        command,
        click.option(
            "--json", "as_json", is_flag=True, help="Write one JSON document to standard output, and nothing else."
        ),
        click.option("-q", "--quiet", is_flag=True, help="Say nothing but warnings and errors."),
        click.option("-v", "--verbose", count=True, help="Say more; -vv also shows tracebacks."),
        click.option(
            "--config",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Project file; otherwise pdelta.toml, found upward from here.",
        ),
    )


def link(function: Function) -> Function:
    """Give a command the options that say how a host is reached; it gets them as ``link``."""

    @click.option("--rsh", metavar="COMMAND", default="", help="Use this command instead of ssh.")
    @click.option(
        "--become",
        metavar="[USER]",
        default="",
        help="Work as this user on the host, through sudo -n; root without USER. For this machine: sudo pdelta.",
    )
    @click.option("--no-keep", "stay", flag_value=False, default=True, help="Close the connection at the end.")
    @click.option(
        "--wait",
        "wait_s",
        metavar="[SECONDS]",
        default=0.0,
        type=Seconds(),
        help="Wait while another run holds the destination; without SECONDS, until it ends.",
    )
    @functools.wraps(function)
    def command(*arguments: object, rsh: str, become: str, stay: bool, wait_s: float, **options: object) -> object:
        return function(*arguments, link=Link(rsh=rsh, become=become, keep=stay, wait_s=wait_s), **options)

    return command


def source(function: Function) -> Function:
    """Give a command the options that say what of a source is looked at, and how."""
    return _with(
        function,
        click.option(
            "--ignore",
            multiple=True,
            metavar="PATTERN",
            expose_value=False,
            help="Leave out what matches; gitignore syntax.",
        ),
        click.option(
            "--include",
            multiple=True,
            metavar="PATTERN",
            expose_value=False,
            help="Take back in what an earlier rule left out.",
        ),
        click.option(
            "--ignore-file",
            multiple=True,
            metavar="FILE",
            expose_value=False,
            type=click.Path(exists=True, dir_okay=False),
            help="Read rules from a file, in gitignore syntax.",
        ),
        click.option("--owner", is_flag=True, help="Carry owner and group (numbers)."),
        click.option("--xattrs", is_flag=True, help="Carry extended attributes and ACLs."),
        click.option("--chmod", metavar="MODE", default="", help="Change every mode, for example D755,F644 or go-w."),
        click.option("--checksum", is_flag=True, help="Read every byte at both ends; trust no time stamp."),
        click.option(
            "--changes-from",
            metavar="FILE",
            help="Look for changes at these paths alone (NUL-separated, relative to SRC); - is standard input.",
        ),
        click.option(
            "--on-error",
            type=click.Choice(["stop", "continue"]),
            default="continue",
            show_default=True,
            help="What an unreadable source path does: refuse the push, or be left out of it, with exit 4.",
        ),
        click.option(
            "--chunk-size",
            type=Size(),
            metavar="SIZE",
            help="Average chunk of a new destination: 4K to 4M, a power of two; 64K unless given.",
        ),
    )


def _with(function: Function, *options: Callable[[Function], Function]) -> Function:
    """Give a function options, listed by ``--help`` in this order."""
    for option in reversed(options):
        function = option(function)
    return function


def _context(console: Console, config: Path | None) -> Context:
    settings = read_settings(config)
    lookup = None
    if settings.project.databases:
        from pdelta.cli.lookup import lookup_below

        lookup = lookup_below(settings.folder)
    return Context(
        cache=settings.cache,
        state=settings.state,
        runs=settings.runs,
        control=settings.control,
        ssh_config=settings.ssh_config,
        interactive=sys.stdin.isatty() and sys.stderr.isatty(),
        who=settings.who,
        host=settings.host,
        clock=time.time_ns,
        hosts=settings.project.hosts,
        databases=settings.project.databases,
        lookup=lookup,
        folder=settings.folder,
        observer=console.observer(),
    )


def _fill_values(words: list[str]) -> tuple[list[str], list[str]]:
    """Give the words with separate values joined by ``=``, and with every value that is no number left out."""
    separate: list[str] = []
    filled: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*separate, word, *rest], [*filled, word, *rest]
        if word not in _DEFAULTS:
            separate.append(word)
            filled.append(word)
            continue
        value = rest[0] if rest and re.fullmatch(_VALUES[word], rest[0]) else ""
        default = f"{word}={_DEFAULTS[word]}"
        if value and word == "--wait":
            rest.pop(0)
            filled.append(f"{word}={value}")
            separate.append(f"{word}={value}")
        elif value:
            rest.pop(0)
            separate.append(f"{word}={value}")
            filled += [default, value]
        else:
            filled.append(default)
            separate.append(default)
    return separate, filled


def _rules(words: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name in RULE_OPTIONS:
            found.append((name, value if equals else next(rest, "")))
    return found
