"""What a command says, and where: results on standard output, everything else on standard error."""

import sys
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import IO, Final

import click

from pdelta.cli.render.progress import Progress
from pdelta.cli.render.safe import shown_text
from pdelta.cli.settings import wants_colour
from pdelta.errors import PdeltaError, PreflightError, ScriptsError
from pdelta.model.event import Event, Observer

VERBOSE = 1
TRACEBACK = 2
SHOWN: Final = 20
"""Changes that are told where not all are asked for."""
_EVERYTHING: Final = 1000
_FINDINGS_SHOWN = 20


class Console:
    """One command's voice: quiet or verbose, for people or as JSON."""

    def __init__(self, out: IO[str] | None = None, err: IO[str] | None = None) -> None:
        """Speak to the process's own streams unless others are given."""
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self.json = False
        self.quiet = False
        self.verbosity = 0
        self._progress: Progress | None = None

    @cached_property
    def colour(self) -> bool:
        """Whether results may carry colours."""
        return wants_colour(self._out.isatty())

    @cached_property
    def error_colour(self) -> bool:
        """Whether what is said beside them may."""
        return wants_colour(self._err.isatty())

    @property
    def width(self) -> int | None:
        """Columns of the terminal that results go to; None where they go elsewhere."""
        if not self._out.isatty():
            return None
        import shutil

        return shutil.get_terminal_size().columns

    @property
    def listed(self) -> int:
        """How many changes a command's result must bring: those that will be told."""
        return _EVERYTHING if self.json or self.verbosity > 0 else SHOWN

    def configure(self, *, json: bool, quiet: bool, verbosity: int) -> None:
        """Take over the options that every command has."""
        self.json, self.quiet, self.verbosity = json, quiet, verbosity

    def observer(self) -> Observer:
        """Give what shows progress: bars on a terminal, nothing but notices elsewhere."""
        if self._progress is None:
            bars = self._err.isatty() and not self.quiet and not self.json
            self._progress = Progress(self._err, bars=bars, notice=self.notice)
        return self._progress.hear

    def notice(self, event: Event) -> None:
        """Show a warning always, other notices with ``-v``."""
        if event.level == "warning":
            self.warn(event.message)
        elif self.verbosity >= VERBOSE and event.message:
            self._write_error(shown_text(event.message) + "\n")

    def result(self, value: object, text: Callable[[], Iterable[str]]) -> None:
        """Write a result: its JSON document, or its lines of text; nothing with ``-q`` unless JSON was asked for.

        Args:
            value: What ``document.encode`` turns into JSON, or what gives it where JSON is asked for.
            text: Gives the lines for people.
        """
        self.settle()
        if self.json:
            self._out.flush()
            self._write_document(value() if callable(value) else value)
        elif not self.quiet:
            for line in text():
                self._out.write(self._coloured(line) + "\n")
        self._out.flush()

    def file(self, value: object, text: str, *, doubt: str = "") -> None:
        """Write a result that is a file: its JSON document, or its text to the byte; a terminal gets it made harmless.

        Args:
            value: What ``document.encode`` turns into JSON.
            text: With a line break at its end.
            doubt: Why it may not be what is wanted, which stands beside it; empty for nothing.
        """
        if self.json or self.quiet:
            self.result(value, tuple)
        else:
            self.settle()
            harmless = "\t".join(shown_text(part) for part in text.split("\t"))
            self._out.write(harmless if self._out.isatty() else text)
            self._out.flush()
        if doubt:
            self.warn(doubt)

    def confirm(self, question: str) -> bool:
        """Ask a yes-or-no question on a terminal; elsewhere the answer is no."""
        self.settle()
        if self.json or not (sys.stdin.isatty() and self._err.isatty()):
            return False
        return click.confirm(question, default=False, err=True)

    def warn(self, message: str) -> None:
        """Show a warning."""
        self._write_error(f"{self._label('warning:', 'yellow')} {shown_text(message)}\n")

    def failure(self, error: PdeltaError) -> None:
        """Show an error: what happened, what it concerns, and what to do next."""
        self.settle()
        if self.json:
            self._write_document({"error": error_fields(error)})
            self._out.flush()
        self.objection(error)

    def objection(self, error: PdeltaError) -> None:
        """Show an error beside a result, which is the only document that there may be."""
        findings = error.findings if isinstance(error, PreflightError | ScriptsError) else ()
        limit = len(findings) if self.verbosity >= VERBOSE else _FINDINGS_SHOWN
        lines = [f"  · {finding}" for finding in findings[:limit]]
        if len(findings) > limit:
            lines.append(f"  · … {len(findings) - limit:,} more (-v lists them)")
        self._complain(error.message, *lines, hint=error.hint)
        self._trace(error)

    def bug(self, error: Exception) -> None:
        """Show an unexpected failure without a traceback, unless ``-vv`` was given."""
        self.settle()
        message = f"unexpected {type(error).__name__}: {error}"
        hint = "this is a bug in pdelta, but nothing is lost: `pdelta recover` works; -vv shows the traceback"
        if self.json:
            fields = {"code": "bug", "exit_status": 1, "message": message, "hint": hint}
            self._write_document({"error": fields})
            self._out.flush()
        self._complain(message, hint=hint)
        self._trace(error)

    def refuse_usage(self, error: click.ClickException) -> None:
        """Show a request that could not be understood."""
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "pdelta"
        hint = f"`{path} --help` shows what it takes"
        if self.json:
            fields = {"code": "usage", "exit_status": 2, "message": error.format_message(), "hint": hint}
            self._write_document({"error": fields})
            self._out.flush()
        self._complain(error.format_message(), hint=hint)

    def settle(self) -> None:
        """Take the progress bars away, so that what follows stands alone."""
        if self._progress is not None:
            self._progress.stop()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.settle()

    def _write_document(self, value: object) -> None:
        from pdelta.cli.render import document

        self._out.write(document.encode(value).decode())

    def _coloured(self, line: str) -> str:
        return line if self.colour else click.unstyle(line)

    def _write_error(self, text: str) -> None:
        self._err.write(text)
        self._err.flush()

    def _complain(self, message: str, *lines: str, hint: str) -> None:
        told = [f"{self._label('error:', 'red')} {shown_text(message)}", *(shown_text(line) for line in lines)]
        if hint:
            told.append(f"{self._label('hint:', 'cyan')} {shown_text(hint)}")
        self._write_error("\n".join(told) + "\n")

    def _label(self, text: str, colour: str) -> str:
        return click.style(text, fg=colour, bold=True) if self.error_colour else text

    def _trace(self, error: BaseException) -> None:
        if self.verbosity >= TRACEBACK:
            import traceback

            self._write_error(shown_text("".join(traceback.format_exception(error))))


def error_fields(error: PdeltaError) -> dict[str, object]:
    """Give an error as the fields of docs/reference/json.md."""
    fields: dict[str, object] = {
        "code": error.code,
        "exit_status": error.exit_status,
        "message": error.message,
        "hint": error.hint,
        "transient": error.transient,
    }
    if isinstance(error, PreflightError | ScriptsError):
        fields["findings"] = list(error.findings)
    return fields
