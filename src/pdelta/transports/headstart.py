"""A contact that begins before anything else: the command and the first bytes that the same words needed last time.

Called first thing by the command line, when nothing else is imported yet, so that
ssh and the host are at work meanwhile: a third of a second for a new connection, a
tenth over a kept one. It is a guess. The channel takes it over only if it needs
exactly that command and, with its first words, exactly those bytes; otherwise the
guess is ended, and the contact begins as if there had been none.

What is remembered lies in the folder for kept connections, which must be this
user's alone. Imports ``os`` and nothing else: that is what it is for.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FILE = "headstart"
KEPT = 16
"""Commands that are remembered; the least recently used one goes."""

NONCE = b"\x01nonce\x01"
"""Stands in remembered bytes for the word that each contact makes up."""

END_TIMEOUT_S = 2.0
"""How long a command may take to end after it was asked to."""

RECORD_LIMIT_BYTES = 64 << 10
"""What a pipe takes at once; first words are 3 KiB."""


class Begun:
    """A contact that was begun on a guess.

    Attributes:
        command: The program and its arguments.
        first: The bytes that were sent.
        nonce: The word in them.
        pid: Its process; 0 once it was taken over or ended.
        streams: Descriptors of its standard input, output and error.
    """

    def __init__(self, command: tuple[str, ...], first: bytes, nonce: str) -> None:
        """Start it.

        Raises:
            OSError: It cannot be started, or was gone before it had heard a word; nothing of it is left.
        """
        self.command, self.first, self.nonce = command, first, nonce
        self.pid, self.streams = spawn(command, None)
        try:
            os.set_blocking(self.streams[0], False)
            # An empty pipe takes as much, but where this user has too many: then it has one page.
            if os.write(self.streams[0], first) != len(first):
                raise BlockingIOError
        except OSError:
            self.end()
            raise

    def end(self) -> None:
        """End it, if nobody has taken it over; one that does not listen is killed."""
        pid, self.pid = self.pid, 0
        if not pid:
            return
        for descriptor in self.streams:
            os.close(descriptor)
        try:
            os.kill(pid, 15)
            if not _has_ended(pid, END_TIMEOUT_S):
                os.kill(pid, 9)
                os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # whoever started this process ignores SIGCHLD: the kernel clears away


class Headstarts:
    """The guesses of one process."""

    def __init__(self) -> None:
        """Guess nothing yet."""
        self._folder = ""
        self._key: tuple[str, ...] = ()
        self._begun: Begun | None = None
        self._known: dict[tuple[str, ...], tuple[tuple[str, ...], bytes]] = {}
        self._noted: list[tuple[tuple[str, ...], bytes]] = []

    def begin(self, words: "Sequence[str]", environment: "Mapping[str, str]", folder: str) -> None:
        """Begin the contact that these words needed last time; nothing where there was none.

        Args:
            words: Of the command line.
            environment: Where the home folder is, which says which ssh configuration holds.
            folder: For kept connections; need not exist.
        """
        try:
            here = os.getcwd()
        except OSError:
            return  # somebody removed it, which most commands need not know
        self._folder = folder
        self._key = (here, environment.get("HOME", ""), *words)
        if not _is_private(folder):
            return
        self._known = _read(f"{folder}/{FILE}")
        found = self._known.get(self._key)
        if found is None or not _is_usable(found[0]):
            return
        nonce = os.urandom(16).hex()
        try:
            self._begun = Begun(found[0], found[1].replace(NONCE, nonce.encode()), nonce)
        except OSError:
            self._begun = None  # the real attempt will say what is wrong

    def take(self, command: "Sequence[str]") -> Begun | None:
        """Hand over what was begun, if this is the command that is needed."""
        begun, self._begun = self._begun, None
        if begun is None or begun.command == tuple(command):
            return begun
        begun.end()
        return None

    def note(self, command: "Sequence[str]", first: bytes, nonce: str) -> None:
        """Hear which contact was needed, and worked."""
        self._noted.append((tuple(command), first.replace(nonce.encode(), NONCE)))

    def end(self) -> None:
        """End what nobody needed, and remember what was needed where it is not known."""
        if self._begun is not None:
            self._begun.end()
            self._begun = None
        if len(self._noted) != 1 or not self._key:
            return
        (fresh,) = self._noted
        if self._known.get(self._key) == fresh or len(fresh[1]) > RECORD_LIMIT_BYTES or not _is_private(self._folder):
            return
        self._known.pop(self._key, None)
        self._known[self._key] = fresh
        _write(f"{self._folder}/{FILE}", dict(list(self._known.items())[-KEPT:]))


HEADSTARTS = Headstarts()
"""Those of this process: what is begun before the first import cannot be handed down through what is imported later."""


def spawn(command: "Sequence[str]", environment: "Mapping[str, str] | None") -> tuple[int, tuple[int, int, int]]:
    """Start a command with pipes; give its process id, and our ends of its standard input, output and error.

    Args:
        command: Program and arguments; the program is looked up in PATH.
        environment: Its environment; this process's own when None.

    Raises:
        OSError: It cannot be started.
    """
    pipes = [os.pipe() for _ in range(3)]
    (child_in, outgoing), (incoming, child_out), (complaints, child_error) = pipes
    streams = (child_in, child_out, child_error)
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(streams)]
    inherited = os.environ if environment is None else environment  # noqa: TID251 - handed on, not read
    try:
        # Python ignores SIGPIPE (13) and SIGXFSZ (25); a command that inherited that would write into a closed pipe for
        # ever. SIGTERM (15) is how we end it, also where whoever started us ignores it. The names of the numbers would
        # cost 3 ms.
        pid = os.posix_spawnp(command[0], list(command), inherited, file_actions=actions, setsigdef=[13, 15, 25])
    except OSError:
        for descriptor in (outgoing, incoming, complaints):
            os.close(descriptor)
        raise
    finally:
        for descriptor in streams:
            os.close(descriptor)
    return pid, (outgoing, incoming, complaints)


def _has_ended(pid: int, timeout_s: float) -> bool:
    import time

    deadline = time.monotonic() + timeout_s
    while not os.waitpid(pid, os.WNOHANG)[0]:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def _is_private(folder: str) -> bool:
    try:
        stat = os.lstat(folder)
    except OSError:
        return False
    return stat.st_uid == os.geteuid() and stat.st_mode & 0o170077 == 0o040000


def _is_usable(command: tuple[str, ...]) -> bool:
    """Whether the generated configuration that a command names is still there."""
    names = [command[place + 1] for place, word in enumerate(command[:-1]) if word == "-F"]
    return all(os.path.exists(name) for name in names)


def _read(file: str) -> dict[tuple[str, ...], tuple[tuple[str, ...], bytes]]:
    """Give what is remembered; nothing where that is damaged."""
    try:
        with open(file, "rb") as stream:
            fields = stream.read().split(b"\0")
        found: dict[tuple[str, ...], tuple[tuple[str, ...], bytes]] = {}
        place = 0
        while place < len(fields) - 1:
            sizes = int(fields[place]), int(fields[place + 1])
            place += 2
            key = tuple(map(os.fsdecode, fields[place : place + sizes[0]]))
            place += sizes[0]
            command = tuple(map(os.fsdecode, fields[place : place + sizes[1]]))
            place += sizes[1]
            found[key] = command, bytes.fromhex(fields[place].decode("ascii"))
            place += 1
    except (OSError, ValueError, IndexError):
        return {}
    return found


def _write(file: str, known: "Mapping[tuple[str, ...], tuple[tuple[str, ...], bytes]]") -> None:
    """Remember; a failure costs the next command a tenth of a second."""
    fields: list[bytes] = []
    for key, (command, first) in known.items():
        fields += [b"%d" % len(key), b"%d" % len(command), *map(os.fsencode, key), *map(os.fsencode, command)]
        fields.append(first.hex().encode())
    fresh = f"{file}.{os.getpid()}"
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as stream:
            stream.write(b"\0".join([*fields, b""]))
        os.replace(fresh, file)
    except OSError:
        return
