"""What can be asked of many names of one folder at once.

Called by the scan and by what compares or sets attributes, which would otherwise
make a Python call for each name. Never follows a symbolic link.
"""

from collections.abc import Sequence
from struct import Struct
from typing import Final, NamedTuple, Protocol

from pdelta.filesystem.fingerprint import FINGERPRINT_BYTES

MORE: Final = Struct("<QQIIII")
"""Device, blocks of 512 bytes, links, owner, group and nothing: what a fingerprint leaves out of a status."""

FACT: Final = Struct("<qqI")
"""Size in bytes, mtime in nanoseconds and permission bits of a file that is to be made."""

_PRINT: Final = Struct("<qqqQI")


class Status(NamedTuple):
    """The fields of ``os.stat_result`` that are used, of one name that was looked at with others."""

    st_mode: int
    st_ino: int
    st_dev: int
    st_nlink: int
    st_uid: int
    st_gid: int
    st_size: int
    st_blocks: int
    st_mtime_ns: int
    st_ctime_ns: int


class Looks(NamedTuple):
    """What many names of one folder are, in their order.

    Attributes:
        fingerprints: One behind the other, as ``filesystem.fingerprint`` packs them; zeros for what is not there.
        more: The other fields, packed by ``MORE``.
    """

    fingerprints: bytes
    more: bytes

    def fingerprint(self, place: int) -> bytes:
        """Give the fingerprint of one name."""
        return self.fingerprints[place * FINGERPRINT_BYTES : (place + 1) * FINGERPRINT_BYTES]

    def pick(self, places: Sequence[int]) -> "Looks":
        """Give only these, in this order."""
        prints, more = self.fingerprints, self.more
        one, other = FINGERPRINT_BYTES, MORE.size
        return Looks(
            b"".join([prints[place * one : (place + 1) * one] for place in places]),
            b"".join([more[place * other : (place + 1) * other] for place in places]),
        )

    def status_of(self, place: int) -> Status:
        """Give all fields of one name; the size of a folder is 0."""
        size, mtime_ns, ctime_ns, inode, mode = _PRINT.unpack_from(self.fingerprints, place * FINGERPRINT_BYTES)
        device, blocks, links, owner, group, _ = MORE.unpack_from(self.more, place * MORE.size)
        return Status(mode, inode, device, links, owner, group, size, blocks, mtime_ns, ctime_ns)


class Listing(NamedTuple):
    """A folder's names, and what they are.

    Attributes:
        names: Sorted, joined by ``/``, without ``.`` and ``..``.
        looks: What they are, in that order.
        vanished: Names that were gone before they could be looked at.
        linked: How many have more than one link, folders left out.
        kinds: A bit for each value of ``st_mode >> 12`` that occurs.
    """

    names: bytes
    looks: Looks
    vanished: list[bytes]
    linked: int
    kinds: int


class BatchCalls(Protocol):
    """Calls on many names of one folder, which is given by its descriptor."""

    def list(self, fd: int) -> Listing:
        """List a folder and look at every name in it.

        Raises:
            OSError: It can't be listed, or a name can't be looked at.
        """
        ...

    def look(self, fd: int, names: Sequence[bytes]) -> Looks:
        """Look at names of a folder.

        Raises:
            OSError: One can't be looked at.
        """
        ...

    def read(self, fd: int, names: Sequence[bytes], fingerprints: bytes, buffer: bytearray | memoryview) -> bytes:
        """Read whole regular files, one behind the other, each as long as its fingerprint says.

        Args:
            fd: Descriptor of their folder.
            names: Their names there.
            fingerprints: As they were when they were looked at, one behind the other.
            buffer: Takes the contents; not shorter than all of them together.

        Returns:
            A byte for each: 1 when it was read and still had that fingerprint afterwards, else 0.

        Raises:
            OSError: The buffer is too short.
        """
        ...

    def create(
        self, fd: int, names: Sequence[bytes], facts: Sequence[bytes], data: bytearray, *, sync: bool
    ) -> tuple[int, ...]:
        """Make new regular files with their contents, modes and times.

        Args:
            fd: Descriptor of their folder.
            names: Their names there, which nothing has.
            facts: Packed by ``FACT``, one for each.
            data: The contents, one behind the other.
            sync: Whether each is brought to the disk.

        Returns:
            The inode number of each.

        Raises:
            OSError: One can't be made; its ``filename`` is the name, and those before it are whole.
        """
        ...
