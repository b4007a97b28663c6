"""The tree operation of another host: every verb is forwarded, every callback is served.

While a verb runs over there, the agent asks for pages and ranges of the wanted
snapshot; they come from the local source. Nothing that the agent says is
believed: sizes are bounded by the wire, and whether a path belongs to the
snapshot is checked by the source.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from pdelta.errors import FormatError, PdeltaError, TransportError
from pdelta.formats.history import HistoryEntry
from pdelta.formats.page import ChangedPages
from pdelta.formats.report import CheckReport, CollectReport, RecoverReport, Retention, TreeFacts
from pdelta.model.change import Change
from pdelta.model.delta import Delta
from pdelta.model.event import Event, Observer
from pdelta.model.finding import Finding
from pdelta.model.operation import Notes, Outcome, Standing
from pdelta.model.source import Source, Want
from pdelta.model.target import Target
from pdelta.operations.signatures import Signature, pack_arguments, read_signatures, unpack
from pdelta.transports.contact import Contact
from pdelta.transports.link import Link
from pdelta.wire import messages
from pdelta.wire.compression import Chooser, Compress
from pdelta.wire.failures import build_error, describe_failure
from pdelta.wire.frames import Buffer
from pdelta.wire.messages import Message, Welcome
from pdelta.wire.page_patch import make_page_patch
from pdelta.wire.text import neutralise

if TYPE_CHECKING:
    from pdelta.transports.ahead import Ahead

FRAME_BYTES: Final = 1 << 20
PART_BYTES: Final = 2 << 20
"""How much is compressed by itself: parts of 1 MiB of JavaScript packages came out 1 % longer."""

PAGE_BATCH: Final = 64
"""Pages are read from the source this many at a time: 16 MiB at most."""

BULK_BYTES: Final = 64 << 20
"""From so many changed bytes on, time is dearer than bytes: they are compressed fast, on several cores."""

LEVEL: Final = 6
"""zstd level of smaller changes.

Four package pairs after fine patches, 23 MB of literals: level 1 gave 5.44 MB in 0.14 s, 3 gave 4.79 in 0.19, 6 gave
4.32 in 0.43."""

MEASURED_S: Final = 0.25
MEASURED_BYTES: Final = 256 << 10

Ending = messages.Result | messages.Failure


class RemoteTree:
    """What ``TreeOperation`` offers, on a host.

    Args:
        link: A session that has been welcomed.
        welcome: The agent's first words.
        verbs: What the operation at the other end takes and gives; this class's own methods when None.
        host: Whom errors name.
        source: Where wanted pages and ranges come from; None when nothing will be wanted.
        observer: Hears the agent's progress.
        clock: Gives seconds, monotonic.
        compress: Whether file bytes are compressed.

    Attributes:
        patches: How the agent may ask for ranges that replace others; see ``messages.Call``.
    """

    kind = "tree"

    def __init__(
        self,
        link: Link,
        welcome: Welcome,
        verbs: Mapping[str, Signature] | None = None,
        *,
        host: str,
        source: Source | None,
        observer: Observer,
        clock: Callable[[], float],
        compress: Compress = Compress.AUTO,
    ) -> None:
        """Own the link from now on."""
        self.source = source
        self.welcome = welcome
        self._link = link
        self._verbs = verbs or read_signatures(RemoteTree)
        self._host = host
        self._observe = observer
        self._clock = clock
        self._chooser = Chooser(compress, clock)
        self.patches: Literal["", "fine", "base"] = "fine" if compress is not Compress.OFF else ""
        self._inbox: deque[Message] = deque()
        self._changed: ChangedPages | None = None
        self._ahead: Ahead | None = None
        self._facts = welcome.facts
        self._closed = False
        self._sent_before = 0
        self._waited_s = 0.0

    @property
    def link_bytes_per_s(self) -> float:
        """How fast the channel takes file bytes; 0 where too little was sent to tell."""
        sent = self._link.sent_bytes - self._sent_before
        return sent / self._waited_s if self._waited_s >= MEASURED_S and sent >= MEASURED_BYTES else 0.0

    @property
    def sent_bytes(self) -> int:
        """What this end has sent so far, frames and all."""
        return self._link.sent_bytes

    @property
    def received_bytes(self) -> int:
        """What this end has received so far."""
        return self._link.received_bytes

    def expect(self, changed_bytes: int) -> None:
        """Hear how many bytes will at most be asked for, so that they are compressed accordingly."""
        if changed_bytes <= BULK_BYTES:
            self._link.set_level(LEVEL)
        elif self._ahead is None:
            # Its threads cost an import of 8 ms.
            from pdelta.transports.ahead import Ahead

            self._ahead = Ahead()
        self._sent_before = self._link.sent_bytes

    def calculate(self, target: Target, desired: bytes) -> Delta:
        """Say what takes the target to the desired state."""
        delta: Delta = self._call("calculate", target=target, desired=desired)
        return delta

    def preflight(self, delta: Delta, target: Target) -> Sequence[Finding]:
        """Report all problems at once; change nothing."""
        findings: Sequence[Finding] = self._call("preflight", delta=delta, target=target)
        return [
            Finding(it.code, neutralise(it.message), blocks=it.blocks, hint=neutralise(it.hint), subject=it.subject)
            for it in findings
        ]

    def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Bring the target to ``AFTER``."""
        outcome: Outcome = self._call("execute", notes, delta=delta, target=target)
        return outcome

    def reverse(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Bring the target to ``BEFORE``."""
        outcome: Outcome = self._call("reverse", notes, delta=delta, target=target)
        return outcome

    def verify(self, delta: Delta, target: Target) -> Standing:
        """Say where the target stands."""
        standing: Standing = self._call("verify", delta=delta, target=target)
        return standing

    def describe(self) -> TreeFacts:
        """Give the facts of the tree."""
        # The agent's first words hold them; after any call they may be others.
        known = self._facts
        facts: TreeFacts = unpack(known, self._verbs["describe"].result) if known else self._call("describe")
        return facts

    def history(self) -> list[HistoryEntry]:
        """Give what was done to the tree, oldest first."""
        entries: list[HistoryEntry] = self._call("history")
        return entries

    def show(self, number: int) -> Iterator[Change]:
        """Stream the changes of one entry of the history; to be read to its end before the next call."""
        return self._stream("show", number=number)

    def check(self, *, jobs: int) -> CheckReport:
        """Hash everything again and compare."""
        report: CheckReport = self._call("check", jobs=jobs)
        return report

    def recover(self) -> RecoverReport:
        """Finish or undo what a killed run left."""
        report: RecoverReport = self._call("recover")
        return report

    def collect(self, limits: Retention) -> CollectReport:
        """Remove undo data beyond some limits."""
        report: CollectReport = self._call("collect", limits=limits)
        return report

    def examine(self) -> list[Finding]:
        """Check the tree's own state."""
        findings: list[Finding] = self._call("examine")
        return findings

    def close(self) -> None:
        """Say goodbye and wait for the agent to end."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._link.idle:
                self._link.send(messages.Bye())
        except TransportError:
            pass  # it is gone already
        finally:
            if self._ahead is not None:
                self._ahead.close()
            self._link.channel.close()

    def _call(self, verb: str, notes: Notes | None = None, **values: object) -> Any:  # noqa: ANN401 - by signature
        signature = self._begin(verb, notes, values)
        ending = None
        while ending is None:
            ending = self._serve(self._next(), notes)
        return unpack(self._value(ending), signature.result)

    def _stream(self, verb: str, **values: object) -> Iterator[Any]:
        signature = self._begin(verb, None, values)
        while True:
            message = self._next()
            if isinstance(message, messages.Part):
                yield from unpack(message.items, list[signature.result])  # type: ignore[name-defined]
                continue
            ending = self._serve(message, None)
            if ending is not None:
                self._value(ending)
                return

    def _begin(self, verb: str, notes: Notes | None, values: Mapping[str, object]) -> Signature:
        if not self._link.idle:
            raise TransportError(
                f"{self._host}: the connection broke during the call before; what stands there is not known here",
                hint="run the same command again; it goes on where this one stopped",
            )
        self._facts = b""
        self._changed = None  # another call may want another snapshot, of another source
        signature = self._verbs[verb]
        kept = tuple(notes.read()) if notes is not None else ()
        self._link.send(messages.Call(verb, pack_arguments(signature, values), kept, self.patches))
        return signature

    def _value(self, ending: Ending) -> bytes:
        if isinstance(ending, messages.Failure):
            raise build_error(ending, self._host)
        return ending.value

    def _next(self) -> Message:
        if self._inbox:
            return self._inbox.popleft()
        message = self._link.receive()
        if message is None:
            raise TransportError(f"{self._host}: no answer came")
        return message

    def _serve(self, message: Message, notes: Notes | None) -> Ending | None:
        """Do what the agent asks; give the message that ends the call."""
        match message:
            case messages.Progress():
                self._observe(_safe(message.event))
            case messages.PagesWanted():
                self._serve_pages(message)
            case messages.RangesWanted():
                self._serve_ranges(message.wants)
            case messages.Note():
                if notes is None:
                    raise FormatError(f"{self._host}: a note came that this verb does not take")
                notes.record(message.note)
                self._link.send(messages.Noted())
            case messages.Result() | messages.Failure():
                return message
            case _:
                raise FormatError(f"{self._host}: {message.type.name} is no part of this call")
        return None

    def _serve_pages(self, wanted: messages.PagesWanted) -> None:
        ids, bases = wanted.ids, wanted.bases
        try:
            if bases and len(bases) != len(ids):
                raise FormatError(f"{self._host}: pages wanted: {len(ids)}, bases beside them: {len(bases)}")
            if bases:
                pairs = zip(ids, bases, strict=True)
                self._send_changed({id_: base if any(base) else b"" for id_, base in pairs})
                return
            for begin in range(0, max(len(ids), 1), PAGE_BATCH):
                pages = self._wanted().read_pages(ids[begin : begin + PAGE_BATCH])
                self._link.send(messages.Pages(tuple(pages.values()), last=begin + PAGE_BATCH >= len(ids)))
        except TransportError:
            raise
        except PdeltaError as error:
            self._decline(messages.Type.PAGES_WANTED, error)

    def _send_changed(self, wanted: Mapping[bytes, bytes]) -> None:
        """Send pages as patches where their bases are known here, and what differs below those."""
        if self._changed is None:
            self._changed = ChangedPages(self._wanted())
        for batch in self._changed.walk(wanted):
            whole: list[bytes] = []
            patches: list[tuple[bytes, bytes]] = []
            for changed in batch:
                patch = make_page_patch(changed.base_page, changed.page) if changed.base else b""
                if patch and len(patch) < len(changed.page):
                    patches.append((changed.base, patch))
                else:
                    whole.append(changed.page)
            self._link.send(messages.Pages(tuple(whole), last=False, patches=tuple(patches)))
        self._link.send(messages.Pages((), last=True))

    def _serve_ranges(self, wants: tuple[Want, ...]) -> None:
        messages.check_wants(wants)
        pending: list[Buffer] = []
        size = 0
        try:
            for piece in self._wanted().read_ranges(wants):
                ahead = self._ahead if self._chooser.compresses else None
                # A view may be into a buffer that the source fills again; what waits is copied.
                large = len(piece) >= FRAME_BYTES // 4 and ahead is None
                if ahead is not None:
                    pending = [ahead.gather(size, piece)]
                else:
                    pending.append(piece if large else bytes(piece))
                size += len(piece)
                if large or size >= (FRAME_BYTES // 2 if ahead is None else PART_BYTES):
                    self._send_data(pending, size, end=False)
                    pending, size = [], 0
                    if self._ended():
                        return
            self._send_data(pending, size, end=True)
        except TransportError:
            raise
        except PdeltaError as error:
            if not self._ended():
                self._decline(messages.Type.RANGES_WANTED, error)
        finally:
            if self._ahead is not None:
                self._ahead.clear()

    def _send_data(self, pieces: Sequence[Buffer], size: int, *, end: bool) -> None:
        compress = self._chooser.choose(pieces)
        if compress and self._ahead is not None:
            self._ahead.put(size)
            self._send_ahead(self._ahead, empty=end, end=end)
            return
        if self._ahead is not None:
            self._send_ahead(self._ahead, empty=True, end=False)
        self._send_frame(self._link.pack_data(pieces, end=end, compress=compress), size)

    def _send_ahead(self, ahead: "Ahead", *, empty: bool, end: bool) -> None:
        while ahead.full or (empty and ahead.waiting):
            payload = ahead.take()
            self._send_frame(self._link.pack_packed(payload, end=end and not ahead.waiting), payload.raw_bytes)

    def _send_frame(self, parts: list[Buffer], size: int) -> None:
        begin = self._clock()
        self._link.channel.send(parts)
        waited_s = self._clock() - begin
        self._waited_s += waited_s
        self._chooser.sent(size, waited_s)

    def _ended(self) -> bool:
        """Look, without waiting, at what came; whether the call is over and its answers are not heard any more."""
        while not self._link.idle:
            message = self._link.receive(0)
            if message is None:
                return False
            match message:
                case messages.PagesWanted():
                    self._serve_pages(message)
                case messages.Progress():
                    self._observe(_safe(message.event))
                case _:
                    self._inbox.append(message)
        return self._link.idle

    def _decline(self, request: messages.Type, error: PdeltaError) -> None:
        self._link.send(messages.Declined(int(request), describe_failure(error)))

    def _wanted(self) -> Source:
        if self.source is None:
            raise FormatError(f"{self._host}: the agent asks for content, but nothing was pushed")
        return self.source


def connect_tree(
    contact: Contact,
    link: Link,
    *,
    root: bytes,
    host: str,
    software: str,
    level: int = 1,
) -> Welcome:
    """Bring an agent to answer and greet it.

    Args:
        contact: Over the link's channel, not yet opened.
        link: A fresh controller's end.
        root: Raw path on the host; relative to the login folder unless absolute.
        host: Whom errors name.
        software: What this end calls itself.
        level: zstd level for what the agent sends.

    Raises:
        TransportError: The host can't be reached, can't run the agent, or speaks another version.
        UsageError: The agent does not serve that root.
    """
    hello = messages.Hello(messages.PROTOCOL_VERSION, software, "tree", root, level)
    try:
        leftover = contact.open(link.pack(hello))
        link.sent_bytes = contact.sent_bytes
        link.feed(leftover)
        return _welcome(link.receive(), host, software)
    except BaseException:
        link.channel.close(at_once=True)
        raise


def _welcome(answer: Message | None, host: str, software: str) -> Welcome:
    if isinstance(answer, messages.Failure):
        raise build_error(answer, host)
    if not isinstance(answer, Welcome):
        raise FormatError(f"{host}: the agent did not answer the greeting")
    if answer.version != messages.PROTOCOL_VERSION:
        raise TransportError(
            f"{host} speaks wire version {answer.version} ({neutralise(answer.software)}),"
            f" this end {messages.PROTOCOL_VERSION} ({software})",
            hint="install the same pdelta on both sides",
        )
    return answer


def _safe(event: Event) -> Event:
    return msgspec.structs.replace(event, phase=neutralise(event.phase), message=neutralise(event.message))
