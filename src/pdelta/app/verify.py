"""``pdelta verify WHERE``: every byte against the record; and bringing back what differs."""

import os
import time
from contextlib import closing

import msgspec

from pdelta.app.compose import OpenTree, open_tree
from pdelta.app.context import Context, Link
from pdelta.app.options import SourceOptions
from pdelta.app.outcome import TreeOutcome
from pdelta.app.perform import ATTEMPTS, Performed, finish_interrupted, perform
from pdelta.app.rollback import tree_outcome
from pdelta.app.runs import new_run
from pdelta.app.scanning import ScannedSource
from pdelta.app.waiting import until_free
from pdelta.errors import IntegrityError, SourceChangedError, StaleError
from pdelta.formats.history import RepairWish, unmanaged
from pdelta.formats.report import CheckReport, TreeFacts
from pdelta.model.event import Event
from pdelta.model.finding import Finding
from pdelta.model.snapshot import Chunking


class VerifyResult(msgspec.Struct, frozen=True):
    """What a verification found.

    Attributes:
        where: The tree.
        number: Entry whose record it was compared with.
        changed: Paths whose content differs.
        missing: Paths that are gone.
        extra: Paths that nobody recorded.
        metadata: Paths of which only mode, time or owner differ.
        files: How many files were hashed.
        bytes: Their size.
        findings: What could not be read.
        duration_s: Wall time.
        repaired: What a repair did; None when none was asked for.
    """

    where: str
    number: int
    changed: tuple[bytes, ...] = ()
    missing: tuple[bytes, ...] = ()
    extra: tuple[bytes, ...] = ()
    metadata: tuple[bytes, ...] = ()
    files: int = 0
    bytes: int = 0
    findings: tuple[Finding, ...] = ()
    duration_s: float = 0.0
    repaired: TreeOutcome | None = None

    @property
    def equal(self) -> bool:
        """Whether everything is as recorded."""
        return not (self.changed or self.missing or self.extra or self.metadata or self.findings)


def verify_tree(where: str, context: Context, link: Link, *, jobs: int) -> VerifyResult:
    """Read every byte of a tree and compare it with its newest entry.

    Args:
        where: The tree.
        context: The command's surroundings.
        link: How a host is reached.
        jobs: How many cores hash; 0 for all of the tree's machine.

    Raises:
        UsageError: pdelta never wrote to that tree.
    """
    started_s = time.monotonic()
    with open_tree(where, context, link) as tree:
        _managed(tree)
        finish_interrupted(tree, link)
        return _result(where, until_free(lambda: tree.tree.check(jobs=jobs), link), time.monotonic() - started_s)


def repair_tree(where: str, source: SourceOptions, context: Context, link: Link, *, jobs: int) -> VerifyResult:
    """Bring back what differs; bytes that the tree and its undo data lack come from a source.

    Names that nobody recorded are none of a repair's business: they stay, and are told as before.

    Raises:
        UsageError: pdelta never wrote to that tree.
        PreflightError: The source doesn't have the recorded bytes either, or something else blocks.
        SourceChangedError: The source kept changing.
        IntegrityError: Undo data or the source gave other bytes than they should.
    """
    started_s = time.monotonic()
    with open_tree(where, context, link) as tree:
        _managed(tree)
        finish_interrupted(tree, link)
        facts = tree.tree.describe()
        selection = facts.selection
        if selection is not None:
            source = msgspec.structs.replace(
                source, owner=selection.owner, xattrs=selection.xattrs, chmod=selection.chmod
            )
        with closing(ScannedSource(source, context)) as scanned:
            performed = _repair(tree, scanned, facts, context, link)
            outcome = tree_outcome("repair", tree, performed, time.monotonic() - started_s)
            outcome = msgspec.structs.replace(
                outcome,
                source=source.path,
                scanned_files=scanned.result.files,
                scanned_bytes=scanned.result.bytes,
                read_bytes=scanned.result.read_bytes,
                sent_bytes=scanned.sent_bytes if tree.sent_bytes is None else tree.sent_bytes,
            )
        report = until_free(lambda: tree.tree.check(jobs=jobs), link)
        result = _result(where, report, time.monotonic() - started_s)
        along = {finding.subject for finding in performed.findings if finding.code == "extra"}
        return msgspec.structs.replace(
            result,
            extra=tuple(sorted({*result.extra, *along})),
            repaired=outcome,
        )


def _repair(tree: OpenTree, scanned: ScannedSource, facts: TreeFacts, context: Context, link: Link) -> Performed:
    chunking = facts.chunking or Chunking()
    attempt = 1
    while True:
        tree.slot.source = scanned.scan(chunking)
        wish = RepairWish(
            source=scanned.result.snapshot,
            wait_s=link.wait_s,
            run=new_run(context),
            who=context.who,
            origin=f"{context.host}:{os.fsdecode(scanned.path)}",
        )
        try:
            return perform(tree, wish, context, number=facts.number, dry_run=False, durable=True)
        except (SourceChangedError, StaleError) as error:
            if attempt == ATTEMPTS:
                raise
            attempt += 1
            context.observer(Event("scan", message=f"{error.message}; trying again", level="info"))
        except IntegrityError as error:
            text = f"neither {tree.destination.text} nor {scanned.options.path} has the recorded bytes: {error.message}"
            raise IntegrityError(text, hint="push what is wanted, or repair from another folder") from error


def _managed(tree: OpenTree) -> None:
    if not tree.tree.describe().managed:
        raise unmanaged(tree.destination.text, hint="pdelta diff SRC DEST compares it with a source")


def _result(where: str, report: CheckReport, duration_s: float) -> VerifyResult:
    def paths(action: str) -> tuple[bytes, ...]:
        return tuple(change.subject for change in report.changes if change.action == action)

    return VerifyResult(
        where=where,
        number=report.number,
        changed=paths("changed"),
        missing=paths("missing"),
        extra=paths("extra"),
        metadata=paths("metadata"),
        files=report.files,
        bytes=report.bytes,
        findings=report.findings,
        duration_s=duration_s,
    )
