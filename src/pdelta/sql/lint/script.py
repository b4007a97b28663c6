"""All rules over one delta: what ``pdelta sql lint`` says of it, and what other commands ask before they run it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pdelta.sql.lint import delta, fleet, general, mysql, postgresql, sqlite
from pdelta.sql.lint.case import Check, cases_of, cases_within
from pdelta.sql.lint.finding import Fleet, Hit, LintFinding, Rule, Severity
from pdelta.sql.lint.fleet import IN_BLOCKS
from pdelta.sql.order import SUFFIX
from pdelta.sql.script import Part, Script
from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect, Mode

RULES: Final[Mapping[str, Rule]] = {
    rule.name: rule
    for rules in (general.RULES, postgresql.RULES, mysql.RULES, sqlite.RULES, fleet.RULES, delta.RULES)
    for rule in rules
}
"""Every rule by its name."""

OTHERS: Final = "squawk/"
"""What the names of rules of the program squawk begin with; a header may allow them too."""

_CHECKS: Final[Mapping[Dialect, tuple[Check, ...]]] = {
    Dialect.POSTGRESQL: (*general.CHECKS, *postgresql.CHECKS, *fleet.CHECKS),
    Dialect.MYSQL: (*general.CHECKS, *mysql.CHECKS, *fleet.CHECKS),
    Dialect.SQLITE: (*general.CHECKS, *sqlite.CHECKS, *fleet.CHECKS),
}
_WEIGHT: Final = tuple(Severity)


def lint_script(
    script: Script,
    dialect: Dialect,
    *,
    fleet: Fleet = Fleet(),  # noqa: B008 - it is frozen
    modes: frozenset[Mode] = frozenset(),
    others: Sequence[LintFinding] = (),
) -> tuple[LintFinding, ...]:
    """Give everything that the rules say of a delta, sorted by line and weight.

    What the header allows is there too, with its reason; it counts for nothing.

    Args:
        script: The delta.
        dialect: Whose it is where its header doesn't say.
        fleet: Where it goes.
        modes: What a MySQL server's ``sql_mode`` changes about reading.
        others: What other programs found in it; the header's allowances hold for them too.

    Raises:
        ScriptError: It can't be cut into statements.
    """
    known = script.dialect or dialect
    parts = (Part.FORWARD, Part.REVERSE)
    statements = {part: script.statements(part, known, modes=modes) for part in parts}
    found = [_finding(script, part, hit) for part, hit in _hits(script, statements, known, fleet)]
    found = [*dict.fromkeys(found), *others]
    reasons = {rule: one.reason for one in script.allows for rule in one.rules}
    allowed = [_allowed(one, reasons) for one in found]
    broken = {one.rule.removeprefix(OTHERS) for one in found}
    extra = [_finding(script, Part.FORWARD, hit) for hit in _allowances(script, broken)]
    return tuple(sorted((*allowed, *extra), key=lambda one: (one.line, _WEIGHT.index(one.severity), one.rule)))


def counts(finding: LintFinding, *, strict: bool = False) -> bool:
    """Say whether a finding is a refusal: an error that isn't allowed, with ``strict`` a warning as well."""
    least = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    return finding.severity in least and not finding.allowed


def _hits(
    script: Script, statements: Mapping[Part, Sequence[Statement]], dialect: Dialect, fleet: Fleet
) -> Iterator[tuple[Part, Hit]]:
    for part in statements:
        for case in cases_of(script, part, statements, dialect, fleet):
            for check in _CHECKS[dialect]:
                for hit in check(case):
                    yield part, hit
            for inner in cases_within(case):
                for check in IN_BLOCKS:
                    for hit in check(inner):
                        yield part, hit
    yield from delta.check_delta(script, statements, dialect)


def _finding(script: Script, part: Part, hit: Hit) -> LintFinding:
    rule = RULES[hit.rule]
    return LintFinding(
        file=script.name + SUFFIX,
        line=hit.line,
        rule=rule.name,
        severity=hit.severity or rule.severity,
        part=part,
        what=hit.what,
        why=rule.why,
        safe=rule.safe,
    )


def _allowed(finding: LintFinding, reasons: Mapping[str, str]) -> LintFinding:
    reason = reasons.get(finding.rule.removeprefix(OTHERS), "")
    if not reason:
        return finding
    return LintFinding(
        finding.file,
        finding.line,
        finding.rule,
        finding.severity,
        finding.part,
        finding.what,
        finding.why,
        finding.safe,
        reason,
    )


def _allowances(script: Script, broken: set[str]) -> Iterator[Hit]:
    """Give what is wrong with the allowances themselves; names of other programs' rules are not known here."""
    for one in script.allows:
        for name in one.rules:
            if name in broken:
                continue
            if name in RULES:
                yield Hit("allow-unused", 1, f"allow={name}")
            elif "-" not in name or name.split("-")[0] not in _SQUAWK_BEGINNINGS:
                yield Hit("allow-unknown", 1, f"allow={name}")


_SQUAWK_BEGINNINGS: Final = frozenset(
    {
        "adding",
        "ban",
        "changing",
        "constraint",
        "disallowed",
        "identifier",
        "prefer",
        "renaming",
        "require",
        "transaction",
    }
)
"""What the names of squawk's rules begin with; it need not be installed everywhere."""
