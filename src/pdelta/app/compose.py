"""The only module that names concrete adapters: from an address to something that has the five verbs."""

import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Final, Protocol, Self

from pdelta import __version__
from pdelta.app.context import Context, Link
from pdelta.app.destination import Destination, parse_destination
from pdelta.app.no_source import NoSource
from pdelta.errors import CancelledError, FilesystemError, UsageError
from pdelta.formats.history import HistoryEntry
from pdelta.formats.report import CheckReport, CollectReport, RecoverReport, Retention, TreeFacts
from pdelta.model.change import Change
from pdelta.model.event import Event, Observer
from pdelta.model.finding import Finding
from pdelta.model.operation import Operation
from pdelta.model.run import RUN_PREFIX
from pdelta.model.source import Source, Want
from pdelta.model.target import Target

if TYPE_CHECKING:
    from pdelta.transports.base import Channel

GIVE_UP_S: Final = 1.0


class Tree(Operation, Protocol):
    """What a tree operation offers beyond the five verbs, here or on a host."""

    def describe(self) -> TreeFacts:
        """Give the facts of the tree."""
        ...

    def history(self) -> Sequence[HistoryEntry]:
        """Give what was done to the tree, oldest first."""
        ...

    def show(self, number: int) -> Iterator[Change]:
        """Stream the changes of one entry."""
        ...

    def check(self, *, jobs: int) -> CheckReport:
        """Hash everything again and compare."""
        ...

    def recover(self) -> RecoverReport:
        """Finish or undo what a killed run left."""
        ...

    def collect(self, limits: Retention) -> CollectReport:
        """Remove undo data beyond some limits."""
        ...

    def examine(self) -> Sequence[Finding]:
        """Check the tree's own state."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


class SourceSlot:
    """A source that is known only once the connection is open and the scan is done; tells how much of it was asked for.

    Args:
        observer: Hears how much was given.

    Attributes:
        source: Where pages and ranges come from now.
        expected_bytes: How much will be asked for, at most; 0 while that is not known.
    """

    def __init__(self, observer: Observer) -> None:
        """Hold no source."""
        self.source: Source = NoSource()
        self.expected_bytes = 0
        self._observer = observer
        self._given_bytes = 0

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Ask the source."""
        return self.source.read_pages(ids)

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        """Ask the source."""
        for piece in self.source.read_ranges(wants):
            yield piece
            self._given_bytes += len(piece)
            self._observer(Event("send", self._given_bytes, self.expected_bytes))


class OpenTree:
    """One destination, connected.

    Args:
        destination: What was asked for.
        context: The command's surroundings.
        link: How a host is reached.

    Attributes:
        destination: What was asked for.
        target: What plans and messages call it.
        slot: Takes the source.
        agent_bytes: What placing the agent took; 0 where the host had it.
        touched: Whether the tree may have been changed; set before anything is called that does.
    """

    def __init__(self, destination: Destination, context: Context, link: Link) -> None:
        """Connect in the background where the destination is on a host."""
        self.destination = destination
        self.slot = SourceSlot(context.observer)
        self.agent_bytes = 0
        self.touched = False
        self.target = Target("tree", _address(destination))
        self._context = context
        self._link = link
        self._tree: Tree | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        if destination.remote is not None:
            self._thread = threading.Thread(target=self._connect, name="connect", daemon=True)
            self._thread.start()

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        """Close it.

        Raises:
            CancelledError: A person stopped what came before any change.
        """
        try:
            self.close()
        finally:
            if isinstance(error, KeyboardInterrupt) and not self.touched:
                text = f"stopped on request; nothing was changed at {self.destination.text}"
                raise CancelledError(text, hint="the same command begins anew") from error

    @property
    def tree(self) -> Tree:
        """The operation; waits for the connection.

        Raises:
            TransportError: The host can't be reached, or can't run the agent.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            raise self._error
        if self._tree is None:
            self._tree = self._open_local()
        return self._tree

    @property
    def sent_bytes(self) -> int | None:
        """What was sent to the host so far, without the agent; None for a destination on this machine."""
        sent: int | None = getattr(self._tree, "sent_bytes", None)
        return None if sent is None else sent - self.agent_bytes

    @property
    def link_bytes_per_s(self) -> float:
        """How fast the host takes what is sent; 0 where too little was sent to tell."""
        return getattr(self._tree, "link_bytes_per_s", 0.0)

    def expect(self, changed_bytes: int) -> None:
        """Hear how many bytes will at most be asked for."""
        self.slot.expected_bytes = changed_bytes
        if self.destination.remote is not None:
            self.tree.expect(changed_bytes)  # type: ignore[attr-defined]  # RemoteTree

    def ask_for_patches(self, patches: str) -> None:
        """Say how the host may ask for ranges that replace others; see ``wire.messages.Call``."""
        if self.destination.remote is not None:
            self.tree.patches = patches  # type: ignore[attr-defined]  # RemoteTree

    @property
    def received_bytes(self) -> int:
        """What came from the host so far."""
        return getattr(self._tree, "received_bytes", 0)

    def close(self) -> None:
        """Say goodbye; a connection that is still being made is given up."""
        if self._thread is not None:
            self._thread.join(GIVE_UP_S)
            self._thread = None
        if self._tree is not None:
            self._tree.close()

    def _open_local(self) -> Tree:
        from pdelta.filesystem.address import check_address, follow_links
        from pdelta.operations.tree import open_tree_operation

        context = self._context
        path = os.path.abspath(self.destination.path)
        check_address(path)
        return open_tree_operation(
            follow_links(path),
            source=self.slot,
            observer=context.observer,
            clock=context.clock,
            host=context.host,
        )

    def _connect(self) -> None:
        try:
            self._tree, self.agent_bytes = _open_remote(self.destination, self._context, self._link, self.slot)
        except BaseException as error:  # noqa: BLE001 - raised again where the connection is wanted
            self._error = error


def open_tree(text: str, context: Context, link: Link) -> OpenTree:
    """Give the tree that an address, or the id of a run on it, names; a host is contacted in the background.

    Raises:
        UsageError: The address is none, there is no such run, or another user is asked for on this machine.
    """
    address = find_run(text, context) if text.startswith(RUN_PREFIX) else text
    destination = parse_destination(address, context.hosts)
    if link.become and destination.remote is None:
        user = "" if link.become == "root" else f" -u {link.become}"
        raise UsageError(
            f"{text} is on this machine, and --become is for hosts; nothing was changed",
            hint=f"run pdelta itself as that user: sudo{user} pdelta …",
        )
    return OpenTree(destination, context, link)


def find_run(run: str, context: Context) -> str:
    """Give the address of the tree that a run was on.

    Raises:
        UsageError: The journal knows no such run, or it was on several targets.
    """
    addresses: set[str] = set()
    hint = "name the tree instead"
    if context.journal.exists():
        from pdelta.app.runs import open_journal

        with open_journal(context) as journal:
            recorded, _, _ = journal.read(run)
            addresses = {step.target.address for step in recorded.steps if step.target.kind == "tree"}
            if any(step.target.kind == "sql" for step in recorded.steps):
                hint = "it was on databases: the same pdelta sql command again ends it"
    if len(addresses) != 1:
        raise UsageError(f"the journal in {context.runs} knows no run {run!r} on one tree", hint=hint)
    return addresses.pop()


def _open_remote(destination: Destination, context: Context, link: Link, source: Source) -> tuple[Tree, int]:
    from pdelta.app.bundle import AgentBundles
    from pdelta.operations.remote import RemoteTree, connect_tree
    from pdelta.transports.contact import Contact
    from pdelta.transports.headstart import HEADSTARTS
    from pdelta.transports.limited import LimitedChannel
    from pdelta.transports.link import Link as Session
    from pdelta.transports.ssh import SshOptions, open_ssh
    from pdelta.wire.compression import Compress
    from pdelta.wire.session import Role

    address = destination.remote
    assert address is not None, "a remote destination has an address"  # noqa: S101 - the caller's branch
    options = SshOptions(
        rsh=link.rsh,
        control_dir=_control_folder(context),
        user_config=context.ssh_config,
        keep=link.keep,
        interactive=context.interactive,
        become=link.become or destination.become,
        identity=destination.identity,
    )
    started = open_ssh(address, options)
    channel: Channel = started
    try:
        if link.bwlimit:
            channel = LimitedChannel(channel, link.bwlimit, clock=time.monotonic, sleep=time.sleep)
        session = Session(channel, Role.CONTROLLER, compress=link.compress != "off")
        nonce = started.nonce or os.urandom(16).hex()
        contact = Contact(channel, AgentBundles(context.cache), nonce=nonce, clock=time.monotonic)
        welcome = connect_tree(
            contact, session, root=address.path, host=address.label, software=f"pdelta {__version__}"
        )
        tree = RemoteTree(
            session,
            welcome,
            host=address.label,
            source=source,
            observer=context.observer,
            clock=time.monotonic,
            compress=Compress(link.compress),
        )
        if not link.bwlimit:
            HEADSTARTS.note(started.command, contact.first, nonce)
        return tree, session.sent_bytes if contact.placed else 0
    except BaseException:
        channel.close()
        raise


def _control_folder(context: Context) -> str:
    try:
        context.control.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise FilesystemError(f"{context.control}, the folder for kept connections, can't be made: {error}") from error
    return str(context.control)


def _address(destination: Destination) -> str:
    """Give what plans call a destination: the same text for the same folder, as far as that is known here."""
    remote = destination.remote
    if remote is None:
        return _text(os.path.abspath(destination.path))
    port = f":{remote.port}" if remote.port else ""
    path = _text(remote.path)
    return f"ssh://{remote.label}{port}{path if path.startswith('/') else f'/~/{path}'}"


def _text(path: bytes) -> str:
    """Give a raw path as text that can be stored; bytes that are no UTF-8 become escapes."""
    return path.decode("utf-8", "backslashreplace")
