"""What lint found: for people, for programs, and as the marks that GitHub puts beside the lines of a change."""

import os
from collections.abc import Iterator
from typing import Any, Final

import click

from pdelta.app.sql.lint import LintReport
from pdelta.cli.render.amount import counted
from pdelta.cli.render.document import plain
from pdelta.cli.render.safe import shown
from pdelta.sql.lint.finding import Severity

_COLOURS: Final = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.HINT: "cyan"}
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.HINT: "notice"}


def fields(report: LintReport) -> dict[str, Any]:
    """Give the JSON document."""
    findings = [{**plain(one), "file": _short(one.file)} for one in report.findings]
    totals = {f"{severity.value}s": report.count(severity) for severity in Severity}
    return {
        "files": report.files,
        **totals,
        "statistics": report.statistics,
        "unmeasured": report.unmeasured,
        "squawk": report.squawk,
        "findings": findings,
    }


def lines(report: LintReport, *, verbose: bool) -> Iterator[str]:
    """Give four lines a finding, and how many there are; what is allowed only with ``verbose``."""
    for one in report.findings:
        if one.allowed and not verbose:
            continue
        weight = click.style(one.severity.value, fg=_COLOURS[one.severity], bold=True)
        side = " in the reverse" if one.part == "reverse" else ""
        yield f"{shown(_short(one.file))}:{one.line}: {weight} {one.rule}{side}"
        yield f"    {shown(one.what)}"
        yield f"    why: {shown(one.why)}"
        if one.allowed:
            yield f"    allowed: {shown(one.allowed)}"
        elif one.safe:
            yield f"    instead: {shown(one.safe)}"
    if report.unmeasured:
        yield f"sizes of tables are not known: {shown(report.unmeasured)}"
    yield _summary(report)


def github_lines(report: LintReport, *, verbose: bool) -> Iterator[str]:  # noqa: ARG001 - as ``lines``
    """Give a workflow command a finding; what is allowed is left out."""
    for one in report.findings:
        if not one.allowed:
            text = "\n".join(filter(None, (one.what, f"why: {one.why}", f"instead: {one.safe}" if one.safe else "")))
            where = f"file={_property(_short(one.file))},line={one.line},title={_property(one.rule)}"
            yield f"::{_LEVELS[one.severity]} {where}::{_escaped(text)}"


def _summary(report: LintReport) -> str:
    totals = [(severity, report.count(severity)) for severity in Severity]
    told = ", ".join(counted(number, severity.value) for severity, number in totals if number)
    allowed = sum(bool(one.allowed) for one in report.findings)
    extra = f"; {counted(allowed, 'finding')} allowed by headers" if allowed else ""
    files = counted(report.files, "file")
    if not told:
        return f"{click.style('nothing found', fg='green', bold=True)}  in {files}{extra}"
    worst = next(severity for severity, number in totals if number)
    return f"{click.style(told, fg=_COLOURS[worst], bold=True)}  in {files}{extra}"


def _short(file: str) -> str:
    short = os.path.relpath(file)
    return file if short.startswith("..") else short


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
