"""What the source options of a command ask for."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pdelta.app.options import SourceOptions
from pdelta.cli.option import RULES
from pdelta.errors import UsageError
from pdelta.formats.change_list import read_changes
from pdelta.model.snapshot import Chunking, Rule
from pdelta.tree.select import include, read_rules


def source_options(path: str, options: Mapping[str, Any]) -> SourceOptions:
    """Give what a command's options say of its source.

    Args:
        path: SRC as it was typed; empty when a manifest names it.
        options: The command's options, by name; those that are missing have their defaults.

    Raises:
        UsageError: A value is impossible, or a file of rules or changes can't be read.
    """
    chunk_size = options.get("chunk_size")
    return SourceOptions(
        path=path,
        rules=_rules(),
        owner=bool(options.get("owner")),
        xattrs=bool(options.get("xattrs")),
        chmod=options.get("chmod") or "",
        checksum=bool(options.get("checksum")),
        changes=_changes(options.get("changes_from")),
        stop_on_error=options.get("on_error") == "stop",
        chunking=None if chunk_size is None else _chunking(chunk_size),
    )


def _chunking(average: int) -> Chunking:
    try:
        return Chunking.of_average(average)
    except ValueError as error:
        raise UsageError(str(error), hint="for example --chunk-size 1M for large media files") from error


def _rules() -> tuple[Rule, ...]:
    context = click.get_current_context(silent=True)
    rules: list[Rule] = []
    for name, value in context.meta.get(RULES, ()) if context else ():
        match name:
            case "--ignore":
                rules.append(Rule(_raw(value)))
            case "--include":
                rules.append(include(_raw(value)))
            case _:
                rules.extend(read_rules(_read(value)))
    return tuple(rules)


def _changes(name: str | None) -> tuple[bytes, ...] | None:
    if name is None:
        return None
    data = sys.stdin.buffer.read() if name == "-" else _read(name)
    return read_changes(data, "standard input" if name == "-" else name)


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        message = f"{name!r} can't be read: {error.strerror}; nothing was looked at"
        raise UsageError(message) from error


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
