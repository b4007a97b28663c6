"""An earlier chunk list as a source of guesses.

Called by the chunker alone, which proves every guess before it believes it. Never sees content.
"""

from collections.abc import Sequence
from itertools import repeat
from typing import Final

from pdelta.model.snapshot import ChunkRun

NEARBY_RUNS: Final = 4
"""Runs looked at after the last guess before the whole list is searched; content often repeats itself."""


class OldList:
    """A cursor in an earlier chunk list."""

    def __init__(self, runs: Sequence[ChunkRun], maximum: int) -> None:
        """Begin at the first chunk.

        Args:
            runs: The earlier list.
            maximum: The greatest chunk in bytes; a list that says more predicts nothing from there on.
        """
        self._runs = runs
        self._maximum = maximum
        self._run = 0
        self._within = 0
        self._first: dict[bytes, int] | None = None

    def upcoming(self, limit: int, room: int) -> list[tuple[bytes, int]]:
        """Give the next (chunk id, length) pairs, ``limit`` at most and no more than ``room`` bytes together."""
        found: list[tuple[bytes, int]] = []
        within = self._within
        for index in range(self._run, min(self._run + limit, len(self._runs))):
            run = self._runs[index]
            if not 0 < run.length <= self._maximum:
                break
            fit = min(run.count - within, limit - len(found), room // run.length)
            found.extend(repeat((run.id, run.length), fit))
            room -= fit * run.length
            if fit < run.count - within:
                break
            within = 0
        return found

    def ends_after(self, count: int) -> bool:
        """Say whether the list has exactly ``count`` chunks left."""
        left = -self._within
        for index in range(self._run, len(self._runs)):
            left += self._runs[index].count
            if left > count:
                return False
        return left == count

    def skip(self, count: int) -> None:
        """Move over ``count`` chunks, all of which are in the list."""
        self._within += count
        while self._run < len(self._runs) and self._within >= self._runs[self._run].count:
            self._within -= self._runs[self._run].count
            self._run += 1

    def meet(self, chunk_id: bytes) -> bool:
        """Move behind a chunk with this id, if the list has one and more after it; say whether it has."""
        position = self._find(chunk_id)
        if position is None:
            return False
        self._run, self._within = position, 0
        self.skip(1)
        return self._run < len(self._runs)

    def _find(self, chunk_id: bytes) -> int | None:
        for index in range(self._run, min(self._run + NEARBY_RUNS, len(self._runs))):
            if self._runs[index].id == chunk_id:
                return index
        if self._first is None:
            # Built at the first mismatch: an unchanged file never needs it.
            last = len(self._runs) - 1
            self._first = {run.id: last - index for index, run in enumerate(reversed(self._runs))}
        return self._first.get(chunk_id)
