"""The first words with a host: from a started command to an agent that speaks frames.

The controller sends the first stage, a line that names the agents it has, and
the session's first bytes, all at once; the host answers behind whatever its
start-up files print. Specified in ``docs/formats/wire.md``.
"""

from collections.abc import Callable, Sequence
from typing import Final

from pdelta.errors import TransportError
from pdelta.transports.base import AgentArchives, Channel, HostFacts
from pdelta.wire.frames import Buffer
from pdelta.wire.text import neutralise

NOISE_LIMIT_BYTES: Final = 64 << 10
"""A start-up file that prints more than this is refused."""

LINE_LIMIT_BYTES: Final = 8 << 10
SLOWEST_BYTES_PER_S: Final = 4 << 10
"""Placing an agent may take longer, by its length at this rate."""


class Contact:
    """One contact over a channel.

    Args:
        channel: Whose other end runs the loader, or a forced ``pdelta agent``.
        archives: Agents that may be placed.
        nonce: A fresh word that no noise contains; at least 16 hexadecimal digits.
        clock: Gives seconds, monotonic.
        timeout_s: How long the host may take to answer.

    Attributes:
        placed: Whether the agent had to be placed.
        first: What was sent before the host said anything.
        nonce: The fresh word.
        sent_bytes: What was sent, the session's first bytes included.
    """

    def __init__(
        self,
        channel: Channel,
        archives: AgentArchives,
        *,
        nonce: str,
        clock: Callable[[], float],
        timeout_s: float = 30.0,
    ) -> None:
        """Begin with nothing heard."""
        self._channel = channel
        self._archives = archives
        self._mark = f"#pdelta-{nonce}\t".encode()
        self.nonce = nonce
        self._clock = clock
        self._timeout_s = timeout_s
        self._heard = bytearray()
        self.placed = False
        self.first = b""
        self.sent_bytes = 0

    def open(self, preamble: Sequence[Buffer]) -> bytes:
        """Bring an agent to answer.

        Args:
            preamble: The session's first bytes, handed to the agent as its first input.

        Returns:
            Bytes of the agent that were read already.

        Raises:
            TransportError: The host can't run the agent, was silent or spoke without end; says what to do.
        """
        stage = self._archives.stage()
        digests = ",".join(f"{tag}={digest}" for tag, digest in self._archives.digests().items())
        length = sum(map(len, preamble))
        names = f"#pdelta-agent {self.nonce} {digests or '-=-'} {length}\n".encode()
        self.first = b"".join((b"#pdelta-stage %d\n" % len(stage), stage, names, *preamble))
        self._send([self.first])
        deadline = self._clock() + self._timeout_s
        facts = self._await_facts(deadline)
        if facts.state == "absent":
            facts = self._place(facts)
        if facts.state in {"present", "installed", "placed"}:
            return bytes(self._heard)
        raise _refuse(facts)

    def _place(self, facts: HostFacts) -> HostFacts:
        try:
            archive = self._archives.archive(facts)
        except TransportError:
            self._send([b"#pdelta-quit 0 - 0\n"])
            raise
        import hashlib
        import zlib

        raw_length = len(zlib.decompress(archive))
        digest = hashlib.sha256(archive).hexdigest()
        self._send([b"#pdelta-archive %d %s %d\n" % (len(archive), digest.encode(), raw_length), archive])
        self.placed = True
        return self._await_facts(self._clock() + self._timeout_s + len(archive) / SLOWEST_BYTES_PER_S)

    def _send(self, parts: Sequence[Buffer]) -> None:
        self.sent_bytes += sum(map(len, parts))
        self._channel.send(parts)

    def _await_facts(self, deadline: float) -> HostFacts:
        """Skip noise up to the marked line, and read it."""
        while True:
            begin = self._heard.find(self._mark)
            if begin >= 0:
                end = self._heard.find(b"\n", begin)
                if end >= 0:
                    line = bytes(self._heard[begin + len(self._mark) : end])
                    del self._heard[: end + 1]
                    return read_facts(line)
            limit = NOISE_LIMIT_BYTES if begin < 0 else begin + LINE_LIMIT_BYTES
            if len(self._heard) > limit:
                raise TransportError(
                    f"the host printed more than {NOISE_LIMIT_BYTES >> 10} KiB before the agent's first word",
                    hint="keep its start-up files (~/.bashrc) from printing when no terminal is there",
                )
            self._listen(deadline)

    def _listen(self, deadline: float) -> None:
        left = deadline - self._clock()
        data = self._channel.receive(left) if left > 0 else None
        if data is None:
            raise TransportError(
                f"the host did not start the agent within {self._timeout_s:.0f} s",
                hint="try the same host with plain ssh: is it slow, or does it ask a question?",
            )
        if not data:
            error = self._channel.explain()
            noise = neutralise(self._heard[-400:].decode("utf-8", "replace")).strip()
            raise TransportError(error.message + (f" (it printed: {noise})" if noise else ""), hint=error.hint)
        self._heard += data


def read_facts(line: bytes) -> HostFacts:
    """Give what a host's line says; the line is a stranger's, so it is made safe to show."""
    fields: dict[str, str] = {}
    for word in neutralise(line.decode("utf-8", "replace").replace("\t", "\n")).split("\n"):
        key, _, value = word.partition("=")
        fields[key] = value
    return HostFacts(fields.get("state", ""), fields.get("tag", ""), fields.get("libc", ""), fields.get("why", ""))


def _refuse(facts: HostFacts) -> TransportError:
    if facts.state == "old":
        return TransportError(
            f"the host has no Python >= 3.11: {facts.why}", hint="install python3.11 or newer there, beside the old one"
        )
    return TransportError(
        f"the host can't hold the agent: {facts.why or facts.state}",
        hint="on the host run: mkdir -p -m 700 ~/.cache/pdelta/agent (on a file system without noexec), or point"
        " XDG_CACHE_HOME to such a folder, or: python3 -m pip install pdelta,"
        ' and command="pdelta agent" for your key',
    )
