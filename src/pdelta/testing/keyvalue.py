"""A second, trivial kind: a key-value target that is edited one durable key at a time.

It proves that the engine knows no kind, and shows an author of a kind what the
five verbs promise. Its delta says only the wanted values; the ones before are
kept as a note, because a kind may not rely on its target to remember them.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

import msgspec
from blake3 import blake3

from pdelta.errors import FilesystemError, IntegrityError, LockedError
from pdelta.model.change import Change
from pdelta.model.delta import Delta
from pdelta.model.failpoint import FailPoint, never
from pdelta.model.finding import Finding
from pdelta.model.operation import Notes, Outcome, Standing
from pdelta.model.target import Target

KIND: Final = "keyvalue"
INTENT: Final = b"\x00intent"
"""The key that names the delta under way; readers of the target leave it out."""

State = dict[bytes, bytes]


class Device(Protocol):
    """Where values live; ``put`` is durable on return, one key at a time."""

    def load(self) -> State:
        """Give every key with its value."""
        ...

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set a key durably, or remove it."""
        ...

    def lock(self) -> None:
        """Hold the device until ``unlock``.

        Raises:
            LockedError: Another holds it.
        """
        ...

    def unlock(self) -> None:
        """Let it go."""
        ...


class MemoryDevice:
    """A device that forgets what was not synced when the power goes.

    Args:
        failpoint: Passed after each write and after each sync.
    """

    def __init__(self, failpoint: FailPoint = never) -> None:
        """Begin empty."""
        self.failpoint = failpoint
        self._durable: State = {}
        self._cached: State = {}
        self._locked = False
        self.writes = 0

    def load(self) -> State:
        """Give what a running system sees."""
        return dict(self._cached)

    def put(self, key: bytes, value: bytes | None) -> None:
        """Write to the cache, then sync."""
        self.writes += 1
        _assign(self._cached, key, value)
        self.failpoint("keyvalue.written")
        self._durable = dict(self._cached)
        self.failpoint("keyvalue.synced")

    def lock(self) -> None:
        """Hold it."""
        if self._locked:
            raise LockedError("the memory device is held by another run", hint="wait for it")
        self._locked = True

    def unlock(self) -> None:
        """Let it go."""
        self._locked = False

    def crash(self, *, power_lost: bool) -> None:
        """End the process that used it, and the power too if asked."""
        self._locked = False
        if power_lost:
            self._cached = dict(self._durable)


class FileDevice:
    """A folder with a file a key, replaced atomically and synced.

    Args:
        folder: Where; made when missing.
        failpoint: Passed after each durable write.
    """

    def __init__(self, folder: Path, failpoint: FailPoint = never) -> None:
        """Make the folder."""
        self.failpoint = failpoint
        self._folder = folder
        self._lock = -1
        folder.mkdir(parents=True, exist_ok=True)

    def load(self) -> State:
        """Read every key."""
        return {bytes.fromhex(path.name): path.read_bytes() for path in self._folder.iterdir() if "." not in path.name}

    def put(self, key: bytes, value: bytes | None) -> None:
        """Replace a key's file and sync the folder."""
        try:
            self._replace(self._folder / key.hex(), value)
        except OSError as error:
            raise FilesystemError(f"{self._folder}: key {key!r} cannot be written: {error.strerror}") from error
        self.failpoint("keyvalue.synced")

    def lock(self) -> None:
        """Hold the folder's lock file."""
        descriptor = os.open(self._folder / "device.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise LockedError(f"{self._folder} is held by another run", hint="wait for it") from error
        self._lock = descriptor

    def unlock(self) -> None:
        """Let it go."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _replace(self, path: Path, value: bytes | None) -> None:
        if value is None:
            path.unlink(missing_ok=True)
        else:
            staged = path.with_suffix(".new")
            with staged.open("wb") as stream:
                stream.write(value)
                stream.flush()
                os.fsync(stream.fileno())
            self.failpoint("keyvalue.staged")
            staged.replace(path)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Edit(msgspec.Struct, frozen=True, array_like=True):
    """One key's wanted value (None removes it), and the digest of the one before (None: absent)."""

    key: bytes
    before: bytes | None
    after: bytes | None


class KeyValue:
    """The five verbs for a key-value target.

    Args:
        devices: Each target's device by its address.
    """

    kind = KIND

    def __init__(self, devices: Mapping[str, Device]) -> None:
        """Know the devices."""
        self._devices = devices

    def calculate(self, target: Target, desired: bytes) -> Delta:
        """Compare the target with a state that ``encode_state`` gave."""
        state, wanted = readable(self._devices[target.address].load()), _STATE.decode(desired)
        edits = [
            Edit(key, _digest(state.get(key)), wanted.get(key))
            for key in sorted(state.keys() | wanted.keys())
            if state.get(key) != wanted.get(key)
        ]
        changes = tuple(Change(_action(edit), edit.key, size_bytes=len(edit.after or b"")) for edit in edits)
        return Delta(KIND, _name(state), _name(wanted), msgspec.msgpack.encode(edits), changes, len(changes))

    def preflight(self, delta: Delta, target: Target) -> Sequence[Finding]:
        """Report every key that is not as the delta expects it."""
        state = self._devices[target.address].load()
        return [
            Finding("drift", f"{target.address}: key {edit.key!r} was changed", subject=edit.key)
            for edit in _EDITS.decode(delta.body)
            if _digest(state.get(edit.key)) not in {edit.before, _digest(edit.after)}
        ]

    def verify(self, delta: Delta, target: Target) -> Standing:
        """Compare every edited key with both its ends; an intent that is still there is in between."""
        state = self._devices[target.address].load()
        intent = state.get(INTENT)
        before = after = True
        for edit in _EDITS.decode(delta.body):
            found = _digest(state.get(edit.key))
            if found not in {edit.before, _digest(edit.after)}:
                return Standing.FOREIGN
            before = before and found == edit.before
            after = after and found == _digest(edit.after)
        if intent not in {None, _intent(delta)}:
            return Standing.FOREIGN
        if intent is not None or not (before or after):
            return Standing.BETWEEN
        return Standing.AFTER if after else Standing.BEFORE

    def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Note what is there, then set each key."""
        edits = _EDITS.decode(delta.body)
        with self._held(target) as device:
            state = device.load()
            if not notes.read():
                notes.record(encode_state({edit.key: state[edit.key] for edit in edits if edit.key in state}))
            written = self._set(delta, device, {edit.key: edit.after for edit in edits})
        return Outcome({"written_keys": written})

    def reverse(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Set each key to what was noted."""
        with self._held(target) as device:
            noted = notes.read()
            if not noted:
                raise IntegrityError(f"{target.address}: nothing was noted to reverse it with")
            before = _STATE.decode(noted[0])
            edits = _EDITS.decode(delta.body)
            written = self._set(delta, device, {edit.key: before.get(edit.key) for edit in edits})
        return Outcome({"written_keys": written})

    @contextmanager
    def _held(self, target: Target) -> Iterator[Device]:
        device = self._devices[target.address]
        device.lock()
        try:
            yield device
        finally:
            device.unlock()

    @staticmethod
    def _set(delta: Delta, device: Device, values: Mapping[bytes, bytes | None]) -> int:
        state = device.load()
        wrong = [key for key, value in values.items() if state.get(key) != value]
        if not wrong and INTENT not in state:
            return 0
        if state.get(INTENT) != _intent(delta):
            device.put(INTENT, _intent(delta))
        for key in wrong:
            device.put(key, values[key])
        device.put(INTENT, None)
        return len(wrong)


def encode_state(state: State) -> bytes:
    """Give a state's canonical bytes; what ``KeyValue.calculate`` takes as desired."""
    return msgspec.msgpack.encode(dict(sorted(state.items())))


def readable(state: State) -> State:
    """Give what a reader of the target sees."""
    return {key: value for key, value in state.items() if key != INTENT}


_STATE = msgspec.msgpack.Decoder(State)
_EDITS = msgspec.msgpack.Decoder(tuple[Edit, ...])


def _assign(state: State, key: bytes, value: bytes | None) -> None:
    if value is None:
        state.pop(key, None)
    else:
        state[key] = value


def _action(edit: Edit) -> str:
    if edit.after is None:
        return "delete"
    return "add" if edit.before is None else "change"


def _digest(value: bytes | None) -> bytes | None:
    return None if value is None else blake3(value).digest()


def _intent(delta: Delta) -> bytes:
    return delta.before + delta.after


def _name(state: State) -> bytes:
    return blake3(encode_state(state)).digest()
