"""What the agent gets from the controller while a verb runs: pages, ranges, and durable notes.

Called by ``app.serve``; the controller's half is ``operations.remote``.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from blake3 import blake3

from pdelta.errors import FormatError, IntegrityError, PdeltaError
from pdelta.model.snapshot import PageReader
from pdelta.model.source import JOINED_NEW_BYTES, Want
from pdelta.transports.link import Link
from pdelta.wire import messages
from pdelta.wire.failures import build_error
from pdelta.wire.messages import Data, Declined, Type
from pdelta.wire.page_patch import apply_page_patch

BATCH_WANTS: Final = 1000
BATCH_BYTES: Final = JOINED_NEW_BYTES
SIGNED_BATCH_BYTES: Final = 2 << 20
"""Less, so that the other end makes patches while this one goes on signing."""

WINDOW_BYTES: Final = 64 << 20
"""What is asked for ahead: at 40 ms and 1 GB/s a link holds 40 MB."""

WINDOW_BATCHES: Final = 32
_NO_BASE: Final = bytes(32)


class PeerSource:
    """Pages and ranges of the wanted snapshot, asked of the controller.

    Pages may be asked for while ranges stream: ranges that arrive meanwhile wait here,
    never more than the window.

    Args:
        link: The agent's end of the session.

    Attributes:
        patches: How ranges may be asked for that replace others; see ``messages.Call``.
    """

    def __init__(self, link: Link) -> None:
        """Begin with nothing asked."""
        self._link = link
        self._waiting: deque[Data | Declined] = deque()
        self._abandoned = 0
        self._streaming = False
        self.patches = ""

    def begin(self, patches: str) -> None:
        """Begin a new call: nothing that was asked before will be answered."""
        self.patches = patches
        self._waiting.clear()
        self._abandoned = 0
        self._streaming = False

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Give the bytes of pages by id, each checked against its id.

        Raises:
            IntegrityError: A page did not come, or not as its id says.
            TransportError: The controller is gone.
        """
        wanted = tuple(dict.fromkeys(ids))
        found: dict[bytes, bytes] = {}
        for begin in range(0, len(wanted), messages.MAX_BATCH):
            self._link.send(messages.PagesWanted(wanted[begin : begin + messages.MAX_BATCH]))
            last = False
            while not last:
                answer = self._receive(Type.PAGES_WANTED)
                if not isinstance(answer, messages.Pages):
                    raise FormatError("pages were wanted, something else came")
                last = answer.last
                found.update((blake3(page).digest(), page) for page in answer.pages)
        missing = next((id for id in wanted if id not in found), None)
        if missing is not None:
            raise IntegrityError(f"page {missing.hex()} of the wanted snapshot did not come, or came damaged")
        return found

    def read_changed_pages(self, bases: Mapping[bytes, bytes], held: PageReader) -> Iterator[Mapping[bytes, bytes]]:
        """Stream pages by id, in batches: those asked for, and what differs below those with a base.

        Raises:
            FormatError: A patch is damaged, or against a page that is not here; or together they make too much.
            TransportError: The controller is gone.
        """
        wanted = tuple(bases)
        for begin in range(0, len(wanted), messages.MAX_BATCH):
            batch = wanted[begin : begin + messages.MAX_BATCH]
            self._link.send(messages.PagesWanted(batch, tuple(bases[id] or _NO_BASE for id in batch)))
            last = False
            while not last:
                answer = self._receive(Type.PAGES_WANTED)
                if not isinstance(answer, messages.Pages):
                    raise FormatError("pages were wanted, something else came")
                last = answer.last
                found = {blake3(page).digest(): page for page in answer.pages}
                size = 0
                for base, patch in answer.patches:
                    page = apply_page_patch(_held_page(held, base), patch)
                    size += len(page)
                    if size > messages.MAX_MESSAGE_BYTES:
                        raise FormatError("page patches that make more than a message may hold were refused")
                    found[blake3(page).digest()] = page
                yield found

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes]:
        """Stream the answers in the order of the wants.

        Raises:
            SourceChangedError: A file is no longer what the snapshot says.
            TransportError: The controller is gone.
        """
        if self._streaming:
            raise ValueError("one stream of ranges at a time")
        self._streaming = True
        batches = batch_wants(wants)
        window: deque[int] = deque()
        try:
            self._fill(window, batches)
            while window:
                answer = self._next_data()
                ended = isinstance(answer, Declined) or answer.end
                if ended:
                    window.popleft()
                if isinstance(answer, Declined):
                    raise build_error(answer.failure)
                if answer.data:
                    yield answer.data
                if ended:
                    self._fill(window, batches)
        finally:
            self._abandoned += len(window)
            self._streaming = False

    def keep_note(self, note: bytes) -> None:
        """Return once the controller has made a note durable.

        Raises:
            TransportError: The controller is gone.
        """
        self._link.send(messages.Note(note))
        if not isinstance(self._receive(Type.NOTE), messages.Noted):
            raise FormatError("a note was to be kept, something else came")

    def _fill(self, window: deque[int], batches: Iterator[tuple[Want, ...]]) -> None:
        while len(window) < WINDOW_BATCHES and sum(window) < WINDOW_BYTES:
            batch = next(batches, None)
            if batch is None:
                return
            self._link.send(messages.RangesWanted(batch))
            window.append(sum(want.length for want in batch))

    def _next_data(self) -> Data | Declined:
        while True:
            answer = self._waiting.popleft() if self._waiting else self._receive(Type.RANGES_WANTED)
            if not isinstance(answer, Data | Declined):
                raise FormatError("ranges were wanted, something else came")
            if not self._abandoned:
                return answer
            if isinstance(answer, Declined) or answer.end:
                self._abandoned -= 1

    def _receive(self, request: Type) -> messages.Pages | messages.Noted | Data | Declined:
        """Give the next answer to a kind of request; keep ranges that come before it."""
        while True:
            message = self._link.receive()
            match message:
                case messages.Pages() | messages.Noted():
                    return message
                case Declined() if message.request not in {request, Type.RANGES_WANTED}:
                    raise FormatError("an answer was declined that nobody waits for")
                case Declined() if message.request != Type.RANGES_WANTED:
                    raise build_error(message.failure)
                case Data() | Declined():
                    if request is Type.RANGES_WANTED:
                        return message
                    self._waiting.append(message)
                case _:
                    raise FormatError("an answer was expected, something else came")


class PeerNotes:
    """What the operation notes, kept by the controller.

    Args:
        source: The same session's source, which keeps what arrives meanwhile.
        earlier: What was noted in earlier attempts.
    """

    def __init__(self, source: PeerSource, earlier: Sequence[bytes]) -> None:
        """Know the earlier notes."""
        self._source = source
        self._notes = list(earlier)

    def record(self, note: bytes) -> None:
        """Return once the controller has made the note durable.

        Raises:
            TransportError: The controller is gone.
        """
        self._source.keep_note(note)
        self._notes.append(note)

    def read(self) -> Sequence[bytes]:
        """Give every note, oldest first."""
        return tuple(self._notes)


def _held_page(held: PageReader, id: bytes) -> bytes:
    try:
        return held.read_pages([id])[id]
    except PdeltaError as error:
        raise FormatError("a page patch came against a page that is not here") from error


def batch_wants(wants: Iterable[Want]) -> Iterator[tuple[Want, ...]]:
    """Cut a stream of wants into what one message asks for."""
    batch: list[Want] = []
    size = weight = 0
    for want in wants:
        batch.append(want)
        size += want.length
        weight += len(want.signature) + len(want.path) + len(want.base)
        enough = SIGNED_BATCH_BYTES if want.signature else BATCH_BYTES
        if len(batch) >= BATCH_WANTS or size >= enough or weight >= messages.MAX_REQUEST_BYTES // 4:
            yield tuple(batch)
            batch, size, weight = [], 0, 0
    if batch:
        yield tuple(batch)
