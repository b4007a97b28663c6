"""What every use case is told instead of looking it up: places, identity, clock and observer."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pdelta.formats.project import Host
from pdelta.model.event import Observer, silent

if TYPE_CHECKING:
    from pdelta.formats.database import DatabaseSection
    from pdelta.formats.database_url import Lookup


JOURNAL: Final = "journal.sqlite"


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The surroundings of one command.

    Attributes:
        cache: Folder whose loss costs time only.
        state: Folder of this user's state.
        runs: Folder of the journal.
        control: Short folder of this user alone, for kept connections; need not exist yet.
        ssh_config: The user's own ssh configuration; empty when there is none.
        interactive: Whether ssh may ask for a password.
        who: Who asks, as ``user@host``.
        host: Name of this machine.
        clock: Nanoseconds since the epoch.
        hosts: The hosts of the project file, by name.
        databases: The databases of the project file, by name.
        lookup: What the references of their URLs are looked up with; None where they can't be.
        folder: Folder of the project file, which its paths are relative to; None without one.
        observer: Hears progress and warnings.
    """

    cache: Path
    state: Path
    runs: Path
    control: Path
    who: str
    host: str
    clock: Callable[[], int]
    ssh_config: str = ""
    interactive: bool = False
    hosts: Mapping[str, Host] = {}
    databases: "Mapping[str, DatabaseSection]" = {}
    lookup: "Lookup | None" = None
    folder: Path | None = None
    observer: Observer = silent

    @property
    def journal(self) -> Path:
        """The operator's journal; it need not exist yet."""
        return self.runs / JOURNAL


class Link(msgspec.Struct, frozen=True):
    """How a host is reached.

    Attributes:
        rsh: Command that stands in for ``ssh``; empty for ssh.
        compress: ``auto``, ``zstd`` or ``off``.
        bwlimit: Bytes a second at most; 0 for no limit.
        become: User that the agent becomes through ``sudo -n``; empty for nobody.
        keep: Whether the connection is kept for a while.
        wait_s: How long to wait while another run holds the destination, in seconds.
    """

    rsh: str = ""
    compress: str = "auto"
    bwlimit: int = 0
    become: str = ""
    keep: bool = True
    wait_s: float = 0.0
