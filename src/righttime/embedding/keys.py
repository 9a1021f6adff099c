"""The keys of texts, by which vectors are cached and equal texts known: 32 bytes each, and no object."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from righttime.growing import Made

__all__ = ["Keys", "different", "key_of"]

_AT_ONCE = 1 << 12  # texts that are hashed together


def key_of(text: str) -> bytes:
    """The sha256 of a text in UTF-8."""
    return hashlib.sha256(text.encode("utf-8")).digest()


class Keys(Made[bytes]):
    """The keys of texts, each made an object when it is looked at.

    Attributes:
        sha256: uint8, shape (n, 32).
    """

    def __init__(self, texts: Sequence[str]) -> None:
        """Hash texts, each of which is looked at once.

        Args:
            texts: Any number.
        """
        self.sha256 = np.empty((len(texts), 32), dtype=np.uint8)
        left, start = iter(texts), 0
        while some := b"".join(map(key_of, islice(left, _AT_ONCE))):
            stop = start + len(some) // 32
            self.sha256[start:stop] = np.frombuffer(some, dtype=np.uint8).reshape(-1, 32)
            start = stop

    def __len__(self) -> int:
        return len(self.sha256)

    def made_at(self, place: int) -> bytes:
        """See `Made`."""
        return bytes(self.sha256[place].data)


def different(keys: Keys) -> NDArray[np.int64]:
    """Where each of the different keys is first, ascending: int64, shape (n_different,)."""
    words = keys.sha256.view(np.uint64).T
    order = np.lexsort(words)  # equal ones keep their order
    first = np.zeros(len(keys), dtype=np.bool_)
    first[:1] = True
    for word in words:
        ordered = word[order]
        first[1:] |= ordered[1:] != ordered[:-1]
    return np.sort(order[first]).astype(np.int64, copy=False)
