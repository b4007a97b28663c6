"""The key-value kind keeps the contract: the engine knows no kind."""

from pathlib import Path

from pdelta.model.failpoint import FailPoint, never
from pdelta.model.operation import Operation
from pdelta.model.target import Target
from pdelta.testing.contract import OperationContract, Subject
from pdelta.testing.keyvalue import KIND, FileDevice, KeyValue, MemoryDevice, State, encode_state, readable

OLD: State = {b"kept": b"1", b"changed": b"2", b"deleted": b"3"}
NEW: State = {b"kept": b"1", b"changed": b"20", b"added": b"4"}


class MemorySubject:
    target = Target(KIND, "memory")

    def __init__(self, *, power_lost: bool) -> None:
        self._power_lost = power_lost
        self._device = MemoryDevice()
        for key, value in OLD.items():
            self._device.put(key, value)

    def operation(self, failpoint: FailPoint) -> Operation:
        self._device.failpoint = failpoint
        return KeyValue({self.target.address: self._device})

    def desired(self) -> bytes:
        return encode_state(NEW)

    def seen(self) -> State:
        return readable(self._device.load())

    def disturb(self) -> None:
        self._device.failpoint = never
        self._device.put(b"changed", b"by somebody else")

    def crash(self) -> None:
        self._device.crash(power_lost=self._power_lost)

    def close(self) -> None:
        return


class FileSubject:
    target = Target(KIND, "folder")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._device = FileDevice(folder)
        for key, value in OLD.items():
            self._device.put(key, value)

    def operation(self, failpoint: FailPoint) -> Operation:
        self._device = FileDevice(self._folder, failpoint)
        return KeyValue({self.target.address: self._device})

    def desired(self) -> bytes:
        return encode_state(NEW)

    def seen(self) -> State:
        return readable(self._device.load())

    def disturb(self) -> None:
        FileDevice(self._folder).put(b"changed", b"by somebody else")

    def crash(self) -> None:
        self._device.unlock()

    def close(self) -> None:
        self._device.unlock()


class TestMemoryWhenKilled(OperationContract):
    def subject(self, folder: Path) -> Subject:  # noqa: ARG002 - it lives in memory
        return MemorySubject(power_lost=False)


class TestMemoryWhenPowerIsLost(OperationContract):
    def subject(self, folder: Path) -> Subject:  # noqa: ARG002 - it lives in memory
        return MemorySubject(power_lost=True)


class TestFiles(OperationContract):
    stride = 3

    def subject(self, folder: Path) -> Subject:
        return FileSubject(folder)
