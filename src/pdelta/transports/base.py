"""The port of a connection, and what a first contact needs from its surroundings.

An implementer moves bytes in order, both ways at once: while ``send`` waits for
the peer it must go on taking what the peer sends, up to its inbound limit, so
that two ends that both write never wait for each other.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from pdelta.errors import TransportError
from pdelta.wire.frames import Buffer


class Channel(Protocol):
    """A byte stream to a peer and one from it."""

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send all these bytes.

        Raises:
            TransportError: The peer is gone, or took nothing for the stall timeout.
        """
        ...

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        """Give the next bytes, at most 1 MiB; ``b""`` at the end; None when nothing came in time.

        Args:
            timeout_s: How long to wait; 0 does not wait, None waits for ever.
        """
        ...

    def explain(self) -> TransportError:
        """Say why the stream ended, ready to be raised."""
        ...

    def close(self, *, at_once: bool = False) -> None:
        """End the connection and wait, for a bounded time, for the peer to go; calling it again does nothing.

        Args:
            at_once: Do not wait: the peer has not shown that it works.
        """
        ...


class HostFacts(msgspec.Struct, frozen=True):
    """What the first stage found on the host.

    Attributes:
        state: ``present``, ``installed``, ``absent``, ``placed``, ``unusable`` or ``old``.
        tag: Interpreter and platform, as ``stage.platform_tag`` spells them.
        libc: C library and its version, ``glibc 2.36`` for example.
        why: What is in the way.
    """

    state: str
    tag: str = ""
    libc: str = ""
    why: str = ""


class AgentArchives(Protocol):
    """Self-contained agents, ready to be placed on a host."""

    def stage(self) -> bytes:
        """Give the compressed source of the first stage."""
        ...

    def digests(self) -> Mapping[str, str]:
        """Give the digest of the agent for each platform tag there is one for."""
        ...

    def archive(self, facts: HostFacts) -> bytes:
        """Give the archive for a host.

        Raises:
            TransportError: None fits; the hint is the command that prepares one.
        """
        ...
