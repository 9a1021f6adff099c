"""Vectors with everything that any method may look at, and every method's arrangement of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from righttime import Arrangement, arrange_embeddings
from righttime.arrangement import METHODS

every_method = pytest.mark.parametrize("method", list(METHODS))

WHOLE: dict[str, dict[str, Any]] = {"polar": {"k": 1000}, "uniform": {"k": 1000}}
"""Parameters with which a method takes the whole pool, where its defaults choose fewer rows."""


def few_directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Vectors of a few directions, shape (count, 3), so that most similarities are equal; none is zero."""
    made = rng.integers(-1, 2, size=(count, 3)).astype(np.float64)
    made[~made.any(axis=1)] = 1.0
    return made


def some(n_pool: int = 50, n_target: int = 6, seed: int = 0) -> dict[str, Any]:
    """An input with everything that any method may look at."""
    rng = np.random.default_rng(seed)
    words = ["the", "sum", "of", "two", "numbers", "is", "odd", "or", "even", "red", "green", "what", "who", "when"]
    return {
        "pool_vectors": rng.normal(size=(n_pool, 5)),
        "target_vectors": rng.normal(size=(n_target, 5)),
        "tasks": [f"task{number}" for number in rng.integers(0, 4, size=n_pool)],
        "target_tasks": [f"target{number}" for number in rng.integers(0, 3, size=n_target)],
        "texts": [" ".join(rng.choice(words, size=6)) for _ in range(n_pool)],
        "target_texts": [" ".join(rng.choice(words, size=6)) for _ in range(n_target)],
    }


def arranged(method: str, given: dict[str, Any], **settings: Any) -> Arrangement:
    return arrange_embeddings(**given, **{"method": method, "params": WHOLE.get(method), **settings})


def same(a: Arrangement, b: Arrangement) -> bool:
    return bool(a.to_table().equals(b.to_table(), check_metadata=True))
