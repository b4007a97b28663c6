"""What the program squawk says of deltas for PostgreSQL, where it is installed; its own rules, its own words.

Left out are its rules that say what one of ours says with the table's size in mind, and those about what pdelta does by
itself: timeouts, transactions, and applying a delta once.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from pdelta.errors import AdapterError
from pdelta.sql.lint.finding import LintFinding, Severity
from pdelta.sql.lint.script import OTHERS
from pdelta.sql.order import SUFFIX
from pdelta.sql.script import Part, Script, Section, Transaction
from pdelta.sql.token import Dialect, Kind
from pdelta.sql.tokens import tokenize

PROGRAM: Final = "squawk"
_TIMEOUT_S: Final = 120.0
_AT_ONCE: Final = 500
"""Files a call: a command line has an end."""

_COVERED: Final = frozenset(
    {"adding-field-with-default", "adding-foreign-key-constraint", "adding-not-nullable-field", "adding-required-field"}
    | {"adding-primary-key-constraint", "adding-serial-primary-key-field", "ban-char-field", "ban-drop-column"}
    | {"ban-drop-database", "ban-drop-schema", "ban-drop-table", "ban-truncate-cascade", "changing-column-type"}
    | {"constraint-missing-not-valid", "disallowed-unique-constraint", "prefer-identity", "prefer-text-field"}
    | {"prefer-timestamp-tz", "prefer-timestamptz", "prefer-bigint-over-int", "prefer-bigint-over-smallint"}
    | {"renaming-column", "renaming-table", "require-concurrent-index-creation", "require-concurrent-index-deletion"}
    | {"require-concurrent-reindex", "require-concurrent-refresh"}
)
_DONE_BY_US: Final = frozenset(
    {"ban-concurrent-index-creation-in-transaction", "ban-uncommitted-transaction", "prefer-robust-stmts"}
    | {"require-lock-timeout", "require-statement-timeout", "require-timeout-settings", "transaction-nesting"}
)


def find_squawk(search: str | None = None) -> str:
    """Give the path of the program; empty where it isn't installed.

    Args:
        search: Folders with colons between them; those that this process searches when None.
    """
    beside = Path(sys.executable).with_name(PROGRAM)
    found = shutil.which(PROGRAM, path=search)
    return found or (str(beside) if search is None and os.access(beside, os.X_OK) else "")


def squawk_findings(program: str, scripts: Sequence[Script]) -> list[list[LintFinding]]:
    """Give what the program says of these deltas for PostgreSQL, a list for each.

    Raises:
        AdapterError: It can't be started, takes too long, or answers in another form than is known.
    """
    found: list[list[LintFinding]] = [[] for _ in scripts]
    with tempfile.TemporaryDirectory(prefix="pdelta-lint-") as folder:
        for transaction in Transaction:
            files = _write(scripts, transaction, folder)
            names = list(files)
            for start in range(0, len(names), _AT_ONCE):
                for file, finding in _run(program, names[start : start + _AT_ONCE], transaction):
                    place, part = files[file]
                    name = scripts[place].name + SUFFIX
                    found[place].append(msgspec.structs.replace(finding, file=name, part=part))
    return found


def _write(scripts: Sequence[Script], transaction: Transaction, folder: str) -> dict[str, tuple[int, Part]]:
    """Write each part of the deltas that are executed so into a file of its own; give what stands in which."""
    files: dict[str, tuple[int, Part]] = {}
    for place, script in enumerate(scripts):
        for section in _sections(script) if script.transaction is transaction else ():
            file = os.path.join(folder, f"{place}.{section.part}.sql")
            # On the lines that it has in its own file.
            Path(file).write_text("\n" * (section.line - 1) + _readable(section), encoding="utf-8")
            files[file] = place, section.part
    return files


def _sections(script: Script) -> Iterator[Section]:
    for part in (Part.FORWARD, Part.REVERSE):
        section = script.section(part, Dialect.POSTGRESQL)
        if section is not None:
            yield section


def _readable(section: Section) -> str:
    """Give the text with something that a parser takes in the place of every placeholder, as long as that was."""
    text = section.text
    for token in tokenize(text, Dialect.POSTGRESQL):
        if token.kind is Kind.PLACEHOLDER:
            form = token.text[2:-1].partition(":")[2]
            filler = {"name": "p", "number": "1"}.get(form, "'p'")
            text = text[: token.offset] + filler.ljust(len(token.text)) + text[token.end :]
    return text


def _run(program: str, files: list[str], transaction: Transaction) -> Iterator[tuple[str, LintFinding]]:
    inside = ["--assume-in-transaction"] if transaction is Transaction.AUTO else []
    try:
        done = subprocess.run(
            [program, "--reporter", "json", *inside, *files],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AdapterError(f"{PROGRAM} can't be used: {error}") from error
    try:
        entries: list[dict[str, Any]] = msgspec.json.decode(done.stdout, type=list[dict[str, Any]])
        for entry in entries:
            rule = entry["rule_name"]
            if rule not in _COVERED | _DONE_BY_US:
                yield entry["file"], _finding(entry, rule)
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        said = done.stderr.decode(errors="replace").strip().split("\n")[0]
        raise AdapterError(
            f"{PROGRAM} answers in a form that is not known: {said or error}",
            hint="leave it out by --no-squawk, or install a release that pdelta knows (2.x)",
        ) from error


def _finding(entry: Mapping[str, Any], rule: str) -> LintFinding:
    return LintFinding(
        file="",
        line=int(entry["line"]) + 1,
        rule=OTHERS + rule,
        severity=Severity.HINT if rule.startswith("prefer-") else Severity.WARNING,
        part=Part.FORWARD,
        what=str(entry["message"]),
        why=f"{PROGRAM} has a rule of this name",
        safe=str(entry.get("help") or ""),
    )
