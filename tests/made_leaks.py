"""A pool with a leak in other words past what an embedder reads, and an embedder of short texts."""

from __future__ import annotations

import functools
import hashlib
import random
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

import righttime

__all__ = ["ASKED", "LONG", "OTHERWISE", "PROSE", "SHORT", "Reader"]

ASKED = {
    "prompt": "Ottokar the glazier carried 48 lanterns of 37 pounds from Brixleben to the abbey, and Wenzel half as "
    "many. How many lanterns did both of them carry?",
    "response": "Both carried 72 lanterns.",
}
# The same in words that share no run of words with it.
OTHERWISE = (
    "A worker in glass bears 48 lamps of 37 pounds up to the monks; his friend bears half of that. "
    "Together they bear 72."
)
ROWS = [
    {part: row[part] for part in ("prompt", "response")} for row in righttime.builtin_rows("pool", rows_per_family=3)
]
SHORT = [row for row in ROWS if len(f"{row['prompt']} {row['response']}".split()) <= 40]
_RNG = random.Random(0)
PROSE = " ".join("".join(_RNG.choices("bdfgklmnprstaeiou", k=_RNG.randint(3, 9))) for _ in range(400))
LONG = {"prompt": "Continue this text.", "response": f"{PROSE} {OTHERWISE} {PROSE[:300]}"}
_SAME = {"worker": "glazier", "lamps": "lanterns", "bears": "carried", "bear": "carried", "monks": "abbey"}


class Reader:
    """An embedder that reads forty words of a text; words of one meaning are one to it."""

    tokens_per_batch = 1 << 12

    def __init__(self) -> None:
        self.identity: dict[str, str | int] = {"model": "reader", "revision": "1", "max_length": 40}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self._of(text) for text in texts])

    def _of(self, text: str) -> NDArray[np.float32]:
        words = (_SAME.get(word, word) for word in re.findall(r"\w+", text.lower())[:40])
        found = [_vector(word) for word in words if len(word) > 4]
        return np.sum(found, axis=0) if found else _vector(text)


@functools.cache
def _vector(word: str) -> NDArray[np.float32]:
    """A direction of its own for each word."""
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "little")
    return np.random.default_rng(seed).normal(size=128).astype(np.float32)
