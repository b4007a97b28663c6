"""What stands where nothing is sent: for commands that need no source, and before one is known."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pdelta.errors import FilesystemError
from pdelta.model.source import Want


class NoSource:
    """Stands where nothing is sent: for commands that need no source."""

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Give nothing for no ids.

        Raises:
            FilesystemError: A page is asked for.
        """
        wanted: Sequence[bytes] = list(ids)
        if wanted:
            message = f"page {wanted[0].hex()} was asked for, and this command has no source"
            raise FilesystemError(message)
        return {}

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        """Give nothing for no wants.

        Raises:
            FilesystemError: A range is asked for.
        """
        for want in wants:
            message = f"{want.path!r} was asked for, and this command has no source"
            raise FilesystemError(message)
        yield from ()
