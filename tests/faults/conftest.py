from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.commands import prepare
from faults.warm import TRAINING, WORDS_ONLY, Warm


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm]:
    """For commands that need no model."""
    warm = Warm(tmp_path_factory.mktemp("light"), WORDS_ONLY)
    prepare(warm)
    yield warm
    warm.close()


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warm, Warm]]:
    """Two for commands that need a model."""
    both = tuple(Warm(tmp_path_factory.mktemp("heavy"), TRAINING) for _ in range(2))
    for warm in both:
        prepare(warm, models=True)
    yield both[0], both[1]
    for warm in both:
        warm.close()
