"""The rows of the table: what is made, what changes, who takes part, and the marks set before the first run."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks import trees


class Mark(msgspec.Struct, frozen=True):
    """What a ratio must not exceed.

    Attributes:
        peer: Who is marked.
        against: Whose figure divides; empty where only memory is asked.
        wall: Largest wall time ratio; None where none is set.
        wire: Largest wire bytes ratio; None where none is set.
        label: What the row says beside the scenario's title.
        peak_mb: Largest peak memory of a process at either end, in MB; None where none is set.
    """

    peer: str
    against: str
    wall: float | None = None
    wire: float | None = None
    label: str = ""
    peak_mb: float | None = None


class Scenario(msgspec.Struct, frozen=True):
    """One tree and one kind of change.

    Attributes:
        name: Chosen by this on the command line; its tree's folder too.
        title: What tables say.
        make: Makes the source at a scale.
        change: Changes the source before each turn; None for no change.
        restore: Takes the change out of the source after each turn; then every destination is brought up to date.
        fresh: Whether every turn goes to a new destination.
        renewed: Whether every turn goes to a new destination to which the tree was pushed before the change: neither
            undo data nor a base cache may hold what an earlier turn brought.
        adopts: Whether destinations are equal already, and not managed.
        marks: What is asked.
        beside: Ratios published beside the marks, without one.
        rollback: Whether each push of the peer ``pdelta`` is taken back, measured too.
        few_files: Whether the tree is a few large files: then undo data is collected between turns, and destinations
            are deleted with the scenario, which does not slow ext4 down as deleting many files does.
        pair: Name of the package pair; empty for none.
        most_turns: Upper limit of the turns; 0 for none.
    """

    name: str
    title: str
    make: Callable[[Path, float], None]
    marks: tuple[Mark, ...]
    beside: tuple[Mark, ...] = ()
    change: Callable[[Path, int], None] | None = None
    restore: Callable[[Path, int], None] | None = None
    fresh: bool = False
    renewed: bool = False
    adopts: bool = False
    rollback: bool = True
    few_files: bool = False
    pair: str = ""
    most_turns: int = 0

    def peers(self, *, beside: bool) -> list[str]:
        """Name everyone who takes part, in the order of a turn: first who divides, then who is marked."""
        marks = self.marks + (self.beside if beside else ())
        names: list[str] = []
        for mark in marks:
            names += [name for name in (mark.against, mark.peer) if name and name not in names]
        return names


DURABLE = Mark("pdelta-durable", "rsync", label="default against default")
CIPHER = Mark("pdelta", "rsync-gcm", label="equal ciphers")
BESIDE = (DURABLE, CIPHER)
NEW = Mark("pdelta", "rsync", label="new connection")
AGAIN = (NEW, DURABLE, Mark("pdelta-kept", "rsync-gcm", label="equal ciphers"))
"""Beside rows of a push soon after another: pdelta keeps the connection of that one, unless it is told not to."""

SCENARIOS = (
    Scenario(
        "cold",
        "20,000 small files (240 MB), cold",
        trees.make_small_files,
        (
            Mark("pdelta", "rsync", 0.8, 1.0),
            Mark("pdelta-zstd", "rsync-zstd", 0.65, None, "zstd on both sides"),
        ),
        (*BESIDE, Mark("pdelta", "rsync-zstd", label="against rsync with zstd")),
        fresh=True,
    ),
    Scenario(
        "same",
        "nothing changed, 20,000 files",
        trees.make_small_files,
        (
            Mark("pdelta", "rsync", 1.0, 0.02, "new connection"),
            Mark("pdelta-kept", "rsync", 0.35, 0.02, "kept"),
        ),
        (*BESIDE, Mark("pdelta-check", "rsync", 1.0, None, "--check-dest")),
        rollback=False,
    ),
    Scenario(
        "same-100k",
        "nothing changed, 100,000 files",
        trees.make_many_files,
        (
            Mark("pdelta", "rsync", 0.6, 0.005, "new connection"),
            Mark("pdelta-kept", "rsync", 0.4, 0.005, "kept"),
        ),
        (*BESIDE, Mark("pdelta-check", "rsync", 1.0, None, "--check-dest")),
        rollback=False,
    ),
    Scenario(
        "some",
        "30 changes in 20,000 files",
        trees.make_small_files,
        (
            Mark("pdelta", "rsync", 0.9, 0.3, "new connection"),
            Mark("pdelta-kept", "rsync", 0.4, 0.3, "kept"),
        ),
        BESIDE,
        change=trees.change_some,
    ),
    Scenario(
        "blocks",
        "2 GiB file, ten 4 KiB overwrites",
        trees.make_huge_file,
        (
            Mark("pdelta-kept", "rsync", 0.25, 0.1),
            Mark("pdelta-inplace", "rsync-inplace", 0.4, 0.1, "in place"),
        ),
        AGAIN,
        change=trees.overwrite_blocks,
        few_files=True,
    ),
    Scenario(
        "shift",
        "1 GiB file, 1 KiB inserted and 100 bytes deleted",
        trees.make_big_file,
        (Mark("pdelta-kept", "rsync", 0.45, 0.1),),
        AGAIN,
        change=trees.shift,
        few_files=True,
    ),
    Scenario(
        "rename",
        "500 MB directory renamed",
        trees.make_assets,
        (Mark("pdelta-kept", "rsync", 0.1, 0.0001),),
        AGAIN,
        change=trees.rename_folder,
    ),
    Scenario(
        "copy",
        "500 MB directory copied",
        trees.make_assets,
        (Mark("pdelta-kept", "rsync", 0.4, 0.0001),),
        AGAIN,
        change=trees.copy_folder,
        restore=trees.put_copy_away,
    ),
    Scenario(
        "logs",
        "500 MB of logs and JSON, cold, zstd on both sides",
        trees.make_logs,
        (Mark("pdelta-zstd", "rsync-zstd", 0.7, 1.0),),
        (Mark("pdelta", "rsync", label="as it chooses, against plain"),),
        fresh=True,
        few_files=True,
    ),
    Scenario(
        "touch",
        "20,000 files touched, contents equal",
        trees.make_small_files,
        (Mark("pdelta-kept", "rsync", 0.15, 0.06),),
        AGAIN,
        change=trees.touch_all,
    ),
    Scenario(
        "adopt",
        "an unmanaged equal destination is adopted",
        trees.make_small_files,
        (Mark("pdelta", "rsync", None, 1.5),),
        adopts=True,
        rollback=False,
    ),
    Scenario(
        "memory-100k",
        "peak memory, 100,000 files, cold",
        trees.make_many_files,
        (Mark("pdelta", "", peak_mb=100),),
        fresh=True,
        rollback=False,
        most_turns=1,
    ),
    Scenario(
        "memory-10g",
        "peak memory, file of 10 GiB with holes, cold",
        trees.make_sparse_file,
        (Mark("pdelta", "", peak_mb=100),),
        fresh=True,
        few_files=True,
        rollback=False,
        most_turns=1,
    ),
    Scenario(
        "million",
        "peak memory, 1,000,000 files scanned and diffed",
        trees.make_million_files,
        (Mark("pdelta-diff", "", peak_mb=400),),
        fresh=True,
        rollback=False,
        most_turns=1,
    ),
)
