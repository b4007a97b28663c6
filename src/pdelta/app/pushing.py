"""The work of a push: one scan, one wish, one run.

Called by ``app.push`` alone, which has begun to contact the host before this is even imported.
"""

import time
from contextlib import closing

from pdelta.app.basecache import Keeping
from pdelta.app.compose import OpenTree
from pdelta.app.context import Context, Link
from pdelta.app.memory import SourceMemory, read_memory, write_memory
from pdelta.app.options import PushOptions, SourceOptions
from pdelta.app.outcome import SourceProblem, TreeOutcome
from pdelta.app.perform import ATTEMPTS, Performed, finish_interrupted, perform
from pdelta.app.runs import new_run
from pdelta.app.scanning import ScannedSource
from pdelta.errors import SourceChangedError, StaleError, UsageError
from pdelta.formats.history import Counts, PushWish
from pdelta.formats.report import TreeFacts
from pdelta.model.event import Event
from pdelta.model.finding import Finding
from pdelta.model.snapshot import Chunking


def push_scanned(
    source: SourceOptions, tree: OpenTree, options: PushOptions, context: Context, link: Link, started_s: float
) -> TreeOutcome:
    """Scan a source and push it to a destination that is being opened.

    Args:
        source: What to push.
        tree: The destination; its connection may still be in the making.
        options: How.
        context: The command's surroundings.
        link: How the host is reached.
        started_s: When the command began, by the monotonic clock.

    Raises:
        PdeltaError: As ``app.push.push_tree`` says.
    """
    with (
        closing(ScannedSource(source, context)) as scanned,
        closing(Keeping(options.base_cache, context, tree)) as keeping,
    ):
        return _push(scanned, keeping, options, context, link, started_s)


def _push(
    scanned: ScannedSource, keeping: Keeping, options: PushOptions, context: Context, link: Link, started_s: float
) -> TreeOutcome:
    tree = keeping.tree
    memory = read_memory(context, scanned.path, tree.target.address)
    chunking = scanned.options.chunking or memory.chunking or Chunking()
    reader = scanned.scan(chunking)
    recovered = "" if options.dry_run else finish_interrupted(tree, link)
    facts = tree.tree.describe()
    # What a killed run left is finished in a dry run too, before anything is calculated.
    tree.touched = tree.touched or facts.unfinished
    recorded = _agreed_chunking(facts, scanned.options, tree)
    if recorded is not None and recorded != chunking:
        chunking = recorded
        reader = scanned.scan(chunking)
    attempt = 1
    while True:
        tree.slot.source = reader
        keeping.offer(facts, reader)
        wish = _wish(scanned, options, context, link)
        try:
            performed = perform(
                tree,
                wish,
                context,
                number=facts.number,
                dry_run=options.dry_run,
                durable=options.durable,
                more_findings=_source_findings(scanned, memory),
                confirmed=options.yes or options.max_delete is not None,
            )
            break
        except (SourceChangedError, StaleError) as error:
            if attempt == ATTEMPTS:
                raise
            attempt += 1
            notice = f"{error.message}; trying again ({attempt} of {ATTEMPTS})"
            context.observer(Event("scan", message=notice, level="info"))
            if isinstance(error, SourceChangedError):
                reader = scanned.scan(chunking)
            else:
                facts = tree.tree.describe()
    if not options.dry_run:
        keeping.keep(scanned.result.snapshot, scanned.result.root.top.content, reader)
        fresh = SourceMemory(chunking=chunking, device=scanned.device)
        if fresh != memory:
            write_memory(context, scanned.path, tree.target.address, fresh)
    return _outcome(scanned, tree, options, performed, facts, recovered, time.monotonic() - started_s)


def _wish(scanned: ScannedSource, options: PushOptions, context: Context, link: Link) -> PushWish:
    return PushWish(
        wanted=scanned.result.snapshot,
        delete=options.delete,
        max_delete=options.max_delete,
        yes=options.yes,
        drift=options.drift,
        check=options.check,
        undo=options.undo,
        durable=options.durable,
        wait_s=link.wait_s,
        listed=options.listed,
        measure=options.dry_run,
        suspended=tuple(sorted(problem.path for problem in scanned.errors)),
        run=new_run(context),
        who=context.who,
        origin=f"{context.host}:{scanned.path.decode(errors='replace')}",
        note=options.note.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
        release=options.release or options.convert,
        convert=options.convert,
        inplace=options.inplace,
    )


def _agreed_chunking(facts: TreeFacts, options: SourceOptions, tree: OpenTree) -> Chunking | None:
    """Give what the destination records; whoever cuts for a tree cuts by its record."""
    if options.chunking is not None and facts.chunking is not None and options.chunking != facts.chunking:
        raise UsageError(
            f"{tree.destination.text} is cut into chunks of {facts.chunking.average} bytes on average,"
            f" not {options.chunking.average}; nothing was changed",
            hint="leave --chunk-size out: it is chosen at the first push and stays",
        )
    return facts.chunking


def _source_findings(scanned: ScannedSource, memory: SourceMemory) -> dict[str, Finding]:
    """Say what about the source makes deleting doubtful; it blocks only where something would be deleted."""
    findings: dict[str, Finding] = {}
    hint = "look whether the source is the right one and mounted; --yes pushes it all the same"
    if scanned.empty:
        text = f"the source {scanned.options.path!r} is empty, and the push would delete what it brought before"
        findings["empty"] = Finding("empty-source", text, hint=hint)
    if memory.device and scanned.device and memory.device != scanned.device:
        text = (
            f"the source {scanned.options.path!r} is on another file system than at the last push,"
            " and the push would delete files"
        )
        findings["device"] = Finding("source-device", text, hint=hint)
    return findings


def _outcome(
    scanned: ScannedSource,
    tree: OpenTree,
    options: PushOptions,
    performed: Performed,
    facts: TreeFacts,
    recovered: str,
    duration_s: float,
) -> TreeOutcome:
    body, delta = performed.body, performed.delta
    counts = body.counts if body is not None else Counts()
    sent = tree.sent_bytes
    if options.dry_run:
        sent = counts.bytes_fetched
    elif sent is None:
        sent = scanned.sent_bytes
    return TreeOutcome(
        verb="push",
        source=scanned.options.path,
        destination=tree.destination.text,
        changed=delta is not None,
        dry_run=options.dry_run,
        number=0 if options.dry_run else performed.number,
        run=performed.run,
        before=facts.held.hex() if delta is None else delta.before.hex(),
        after=scanned.result.snapshot.hex() if delta is None else delta.after.hex(),
        counts=counts,
        changes=performed.changes,
        change_count=0 if delta is None else delta.change_count,
        released=() if body is None else body.released,
        findings=performed.findings,
        problems=tuple(SourceProblem(it.path, it.kind, it.message) for it in scanned.result.problems),
        scanned_files=scanned.result.files,
        scanned_bytes=scanned.result.bytes,
        read_bytes=scanned.result.read_bytes,
        sent_bytes=sent,
        agent_bytes=tree.agent_bytes,
        received_bytes=tree.received_bytes,
        duration_s=duration_s,
        trusted=body.trusted if body is not None else trusted_words(facts, options),
        reversible=delta.reversible if delta is not None else True,
        recovered=recovered,
        local=tree.destination.remote is None,
    )


def trusted_words(facts: TreeFacts, options: PushOptions) -> str:
    """Say what was not looked at when nothing was to be done."""
    if options.check != "trust" or not facts.number:
        return ""
    return f"destination trusted since entry {facts.number}"
