"""The agent: the end of a session that stands beside the tree.

Started by the first stage, or by ``pdelta agent`` on a host where pdelta is
installed. Reads frames from one descriptor and writes frames to another; prints
nothing, reads no configuration, and imports no command line.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from itertools import islice
from typing import Any, Final, Protocol

import msgspec

from pdelta import __version__
from pdelta.app.peer import PeerNotes, PeerSource
from pdelta.errors import FormatError, PdeltaError, TransportError, UsageError
from pdelta.filesystem.address import check_address, follow_links
from pdelta.model.event import Event, Observer
from pdelta.model.source import Source
from pdelta.operations.signatures import Signature, read_signatures, unpack_arguments
from pdelta.transports import stage
from pdelta.transports.link import Link
from pdelta.transports.pipe import BlockingChannel
from pdelta.wire import messages
from pdelta.wire.failures import describe_failure
from pdelta.wire.messages import Message
from pdelta.wire.session import Role

PART_ITEMS: Final = 500
PROGRESS_INTERVAL_S: Final = 0.1

READING: Final = frozenset({"calculate", "preflight", "verify", "describe", "history", "show", "check", "examine"})
"""Verbs that nobody waits for once the controller is gone."""


AHEAD: Final = (
    "pdelta.filesystem.read",
    "pdelta.filesystem.commit",
    "pdelta.filesystem.stage",
    "pdelta.operations.tree.arrange",
    "pdelta.operations.tree.preflight",
    "pdelta.operations.tree.transaction",
    "pdelta.operations.tree.retention",
    "pyfastcdc",
)
"""What a push that changes something needs: imported while the controller scans its source, which takes 40 ms off."""


class Factory(Protocol):
    """Makes the operation that a session asks for."""

    def __call__(self, root: bytes, source: Source, observer: Observer, host: str, /) -> object:
        """Give an operation for the tree at an absolute path."""
        ...


def open_tree(root: bytes, source: Source, observer: Observer, host: str, /) -> object:
    """Give the tree operation of this machine."""
    from pdelta.operations.tree import open_tree_operation

    return open_tree_operation(root, source=source, observer=observer, clock=time.time_ns, host=host)  # noqa: TID251


def serve(
    incoming: int,
    outgoing: int,
    *,
    pending: bytes = b"",
    roots: Sequence[bytes] = (),
    factory: Factory = open_tree,
) -> int:
    """Serve one session, and give the exit status of the process.

    Args:
        incoming: Descriptor of what the controller sends.
        outgoing: Descriptor of what it reads.
        pending: Bytes that were read from ``incoming`` already.
        roots: The folders that the session may name; none restricts nothing.
        factory: Makes the operation.
    """
    # The end of the input says that the controller is gone; a hang-up must not cut a commit.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    agent = Agent(BlockingChannel(incoming, outgoing, pending), roots, factory)
    try:
        agent.run()
    except TransportError:
        return 0
    except FormatError as error:
        os.write(2, f"pdelta agent: {error.message}\n".encode("utf-8", "backslashreplace"))
        return error.exit_status
    finally:
        agent.close()
    return 0


def serve_forced(roots: Sequence[bytes]) -> int:
    """Serve a session as a forced command: the first stage that the controller sends is skipped, never executed.

    Args:
        roots: The folders that the session may name; none restricts nothing.
    """
    words = stage.read_words()
    if len(words) != 2 or words[0] != "#pdelta-stage" or not words[1].isdecimal() or int(words[1]) > 1 << 20:
        os.write(2, b"pdelta agent: this is the remote end of pdelta push; it is started by ssh\n")
        return UsageError.exit_status
    stage.read(int(words[1]))
    words = stage.read_words()
    if len(words) != 4 or words[0] != "#pdelta-agent" or not words[3].isdecimal() or int(words[3]) > 1 << 20:
        os.write(2, b"pdelta agent: the controller does not speak this protocol\n")
        return FormatError.exit_status
    preamble = stage.read(int(words[3]))
    stage.report(words[1], "installed", tag=stage.platform_tag(), libc=stage.libc())
    incoming, outgoing = os.dup(0), os.dup(1)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return serve(incoming, outgoing, pending=preamble, roots=roots)


class Agent:
    """One session.

    Args:
        channel: To the controller.
        roots: The folders that it may name; none restricts nothing.
        factory: Makes the operation.
        leave: Ends the process with a status, at once.
    """

    def __init__(
        self,
        channel: BlockingChannel,
        roots: Sequence[bytes],
        factory: Factory,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        """Begin with nothing heard."""
        self._link = Link(channel, Role.AGENT)
        self._source = PeerSource(self._link)
        self._roots = [follow_links(root) for root in roots]
        self._factory = factory
        self._root = b""
        self._operation: Any = None
        self._verbs: Mapping[str, Signature] = {}
        self._reported_s = 0.0
        self._deaf = False
        self._leave = leave
        self._verb = ""

    def run(self) -> None:
        """Greet, answer calls, and return when the controller says goodbye.

        Raises:
            TransportError: The controller is gone.
            FormatError: It broke the protocol.
        """
        if not self._greet():
            return
        message = self._prepare()
        while True:
            match message or self._receive():
                case messages.Call() as call:
                    self._source.begin(call.patches)
                    self._answer(call)
                case messages.Bye():
                    return
                case _:
                    pass  # an answer that was on its way when its call ended
            message = None

    def close(self) -> None:
        """Close the operation."""
        if self._operation is not None:
            self._operation.close()

    def _greet(self) -> bool:
        hello = self._receive()
        if not isinstance(hello, messages.Hello):
            raise FormatError("the session does not begin with Hello")
        try:
            if hello.version != messages.PROTOCOL_VERSION:
                raise TransportError(
                    f"the host speaks wire version {messages.PROTOCOL_VERSION} (pdelta {__version__}),"
                    f" the controller {hello.version} ({hello.software})",
                    hint="install the same pdelta on both sides",
                )
            if hello.kind != "tree":
                raise UsageError(f"the agent knows no kind {hello.kind!r}")
            self._root = self._resolve(hello.root)
        except PdeltaError as error:
            self._link.send(describe_failure(error))
            return False
        software = f"pdelta {__version__}"
        self._link.set_level(hello.level)
        facts = b""
        # What goes wrong here goes wrong again in the first call, and is answered there.
        with contextlib.suppress(Exception):
            self._open()
            facts = msgspec.msgpack.encode(self._operation.describe())
        host = os.uname().nodename
        self._link.send(messages.Welcome(messages.PROTOCOL_VERSION, software, host, self._root, facts))
        return True

    def _prepare(self) -> Message | None:
        """Use the time until the controller has something to say; give what it said."""
        for name in AHEAD:
            message = self._link.receive(0)
            if message is not None:
                return message
            import_module(name)
        return None

    def _resolve(self, root: bytes) -> bytes:
        if b"\0" in root:
            raise UsageError(f"{os.fsdecode(root)!r} is no path")
        expanded = os.path.expanduser(root) if root.startswith(b"~") else root
        path = follow_links(expanded)
        inside = any(path == allowed or path.startswith(allowed.rstrip(b"/") + b"/") for allowed in self._roots)
        if self._roots and not inside:
            raise UsageError(
                f"{os.fsdecode(root)} is outside of the folders that this agent serves",
                hint="ask the host's administrator: pdelta agent --root",
            )
        check_address(expanded)
        return path

    def _answer(self, call: messages.Call) -> None:
        try:
            value = self._perform(call)
        except TransportError:
            raise
        except PdeltaError as error:
            self._link.send(describe_failure(error))
        except Exception as error:  # noqa: BLE001 - a bug is told to the person, and the next call may go well
            import traceback

            os.write(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
            self._link.send(describe_failure(error))
        else:
            self._link.send(messages.Result(msgspec.msgpack.encode(value)))

    def _perform(self, call: messages.Call) -> object:
        self._open()
        signature = self._verbs.get(call.verb)
        if signature is None:
            raise FormatError(f"the agent knows no verb {call.verb!r}")
        arguments = unpack_arguments(signature, call.arguments)
        if signature.notes:
            arguments[signature.notes] = PeerNotes(self._source, call.notes)
        self._verb = call.verb
        value: object = getattr(self._operation, call.verb)(**arguments)
        if not signature.streamed:
            return value
        items: Iterator[object] = value  # type: ignore[assignment]
        while part := list(islice(items, PART_ITEMS)):
            self._link.send(messages.Part(msgspec.msgpack.encode(part)))
        return None

    def _open(self) -> None:
        if self._operation is None:
            self._operation = self._factory(self._root, self._source, self._observe, os.uname().nodename)
            self._verbs = read_signatures(type(self._operation))

    def _receive(self) -> Message:
        message = self._link.receive()
        if message is None:
            raise TransportError("the controller is silent")
        return message

    def _observe(self, event: Event) -> None:
        """Tell the controller, ten times a second at most; a dead one ends what only reads, and never a commit."""
        now = time.monotonic()
        if self._deaf or (event.level == "progress" and now - self._reported_s < PROGRESS_INTERVAL_S):
            return
        self._reported_s = now
        try:
            self._link.send(messages.Progress(event))
        except PdeltaError:
            self._deaf = True
            if self._verb in READING:
                self._leave(0)
