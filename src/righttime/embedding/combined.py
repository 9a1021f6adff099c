"""Several embedders as one: rows are compared by a weighted sum of the similarities that each of them gives.

Σ_p w_p·cos(x_p, t_p) is the dot product of the unit vectors √w_p·x_p/|x_p| put one after another, where the weights sum
to 1. So everything that compares unit vectors compares these.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.protocol import Embedder
from righttime.errors import SettingsError
from righttime.growing import Made
from righttime.similarity import unit_rows

__all__ = ["PREFIX", "CombinedEmbedder", "joined", "joined_texts", "parts_of", "weighted_parts"]

PREFIX = "combine:"
_APART = "\x1d"
"""Between the texts that parts read of one row, where they differ: the control character "group separator"."""


def weighted_parts(spec: str) -> list[tuple[str, float]]:
    """The embedders that ``A*W+B*W`` names, and their weights, which are 1 where none are given.

    Args:
        spec: What follows ``combine:``.

    Raises:
        SettingsError: If there are fewer than two, one is a combination itself or a file of vectors, or a weight is
            not a positive number.

    Example:
        >>> weighted_parts("minilm*0.3+lm:MODEL#layer=12,centred*0.7")
        [('minilm', 0.3), ('lm:MODEL#layer=12,centred', 0.7)]
    """
    found = [_weighted(part.strip()) for part in spec.split("+")]
    refused = [name for name, _ in found if not name or name.startswith((PREFIX, "vectors:"))]
    if len(found) < 2 or refused:
        raise SettingsError(
            "a combination must be of at least two embedders that embed texts, as in combine:MODEL*0.5+lm:MODEL*0.5, "
            f"got {spec!r}. Hint: no name may hold a plus sign; vectors of your own can be combined in their file.",
            setting="embedder",
        )
    return found


def _weighted(part: str) -> tuple[str, float]:
    name, star, weight = part.rpartition("*")
    if not star:
        return part, 1.0
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise SettingsError(f"a weight must be a number above 0, got {part!r}.", setting="embedder")
    return name.strip(), value


def joined(parts: Sequence[tuple[str, float]]) -> str:
    """The name of a combination; `weighted_parts` takes it apart again."""
    return PREFIX + "+".join(f"{name}*{weight!r}" for name, weight in parts)


class CombinedEmbedder:
    """Embedders with weights.

    `righttime.embedding.represent` embeds with each part through its own cache, centres where the part asks for it, and
    puts the vectors together. `embed` does the same for one batch, but without cache and centring.

    Attributes:
        parts: The embedders.
        weights: float64, of sum 1.
    """

    def __init__(self, parts: Sequence[Embedder], weights: Sequence[float], name: str = "several") -> None:
        """Combine embedders.

        Args:
            parts: At least one.
            weights: One for each, above 0; only their ratios count.
            name: What the combination is called.
        """
        total = math.fsum(weights)
        self.parts, self._name = tuple(parts), name
        self.weights = tuple(weight / total for weight in weights)

    @cached_property
    def identity(self) -> Mapping[str, str | int]:
        """Name, a hash of the parts' identities and weights as revision, and the least of their maximum lengths."""
        about = [{**part.identity, "weight": w} for part, w in zip(self.parts, self.weights, strict=True)]
        revision = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        return {
            "model": self._name,
            "revision": f"sha256:{revision}",
            "max_length": min(int(part.identity["max_length"]) for part in self.parts),
            "dtype": "float32",
        }

    @property
    def apart(self) -> bool:
        """Whether some part reads rows in a way of its own, so that a row has several texts."""
        return any(hasattr(part, "text_of") for part in self.parts)

    def columns(self, texts: Sequence[str]) -> list[Sequence[str]]:
        """What each part reads of texts that `righttime.embedding.texts.texts_for` made."""
        if not self.apart:
            return [texts] * len(self.parts)
        return [_Part(texts, part) for part in range(len(self.parts))]

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, in proportion to what parts read: above `max_length` where some part reads not all."""
        most = int(self.identity["max_length"])
        counts = []
        for part, column in zip(self.parts, self.columns(texts), strict=True):
            own = int(part.identity["max_length"])
            counts.append([-(-length * most // own) for length in part.lengths(list(column))])
        return [max(row) for row in zip(*counts, strict=True)]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One batch: float32 unit vectors, shape (len(texts), sum of the parts' dimensions); nothing is centred."""
        sides = [unit_rows(part.embed(list(own))) for part, own in zip(self.parts, self.columns(texts), strict=True)]
        return self.together(sides)

    def together(self, sides: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Unit vectors of the parts as unit vectors of the combination, rounded to float32 once.

        Args:
            sides: float32 unit vectors of each part, shapes (n, d_p).
        """
        scaled = [math.sqrt(w) * side.astype(np.float64) for w, side in zip(self.weights, sides, strict=True)]
        return unit_rows(np.concatenate(scaled, axis=1))


def parts_of(embedder: Embedder, weight: float) -> list[tuple[Embedder, float]]:
    """An embedder with its weight; of a combination its parts, which share that weight.

    Args:
        embedder: Any.
        weight: What it weighs among others.
    """
    if isinstance(embedder, CombinedEmbedder):
        return [(part, weight * share) for part, share in zip(embedder.parts, embedder.weights, strict=True)]
    return [(embedder, weight)]


class _Joined(Made[str]):
    """The texts of several columns, those of a row as one."""

    def __init__(self, columns: Sequence[Sequence[str]]) -> None:
        """Look at columns of one length."""
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def made_at(self, place: int) -> str:
        """See `Made`."""
        return _APART.join(column[place].replace(_APART, " ") for column in self.columns)


class _Part(Made[str]):
    """What one part reads of joined texts."""

    def __init__(self, texts: Sequence[str], part: int) -> None:
        """Look at texts, each of all parts."""
        self.texts, self.part = texts, part

    def __len__(self) -> int:
        return len(self.texts)

    def made_at(self, place: int) -> str:
        """See `Made`."""
        return self.texts[place].split(_APART)[self.part]


def joined_texts(columns: Sequence[Sequence[str]]) -> Sequence[str]:
    """One text for each row of what several parts read of it; `CombinedEmbedder.columns` takes it apart again."""
    return _Joined(columns)
