"""Content made by seed: noise, prose, log lines and JSON, as compressible as their real counterparts."""

import random
from collections.abc import Iterator
from itertools import accumulate

BLOCK_BYTES = 1 << 20
WORDS = 5000


class Content:
    """A stream of content that one seed determines.

    Args:
        seed: Equal seeds give equal bytes.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgkqjxz"
        self._words = ["".join(self.random.choices(letters, k=self.random.randint(2, 10))) for _ in range(WORDS)]
        # Zipf's law, as natural language has it: zstd -3 brings it to about a third.
        self._weights = list(accumulate(1 / rank for rank in range(1, WORDS + 1)))

    def noise(self, size: int) -> bytes:
        """Give bytes that nothing compresses."""
        return self.random.randbytes(size)

    def prose(self, size: int) -> bytes:
        """Give words in lines."""
        words = self.random.choices(self._words, cum_weights=self._weights, k=size // 5 + 16)
        lines = (" ".join(words[at : at + 12]) for at in range(0, len(words), 12))
        text = "\n".join(lines).encode()
        while len(text) < size:
            text += self.prose(size - len(text))
        return text[:size]

    def blocks(self, size: int) -> Iterator[bytes]:
        """Stream noise in blocks."""
        for start in range(0, size, BLOCK_BYTES):
            yield self.noise(min(BLOCK_BYTES, size - start))

    def log(self, size: int) -> bytes:
        """Give lines of an access log."""
        chance, lines, length, clock = self.random, [], 0, 1_700_000_000
        while length < size:
            clock += chance.randrange(3)
            line = (
                f"2026-05-{clock % 28 + 1:02}T{clock % 24:02}:{clock % 60:02}:{chance.randrange(60):02}Z INFO "
                f"worker-{chance.randrange(64)} GET /api/v1/{self._words[chance.randrange(200)]}/"
                f"{chance.randrange(1_000_000)} {chance.choice((200, 200, 200, 304, 404))} "
                f"{chance.randrange(90_000)}us id={chance.getrandbits(64):016x}\n"
            )
            lines.append(line)
            length += len(line)
        return "".join(lines).encode()[:size]

    def json(self, size: int) -> bytes:
        """Give JSON records, one a line."""
        chance, lines, length = self.random, [], 0
        while length < size:
            line = (
                f'{{"id": {chance.randrange(10_000_000)}, "user": "{self._words[chance.randrange(1000)]}", '
                f'"active": {chance.choice(("true", "false"))}, "score": {chance.random():.6f}, '
                f'"tags": ["{self._words[chance.randrange(100)]}", "{self._words[chance.randrange(100)]}"]}}\n'
            )
            lines.append(line)
            length += len(line)
        return "".join(lines).encode()[:size]
