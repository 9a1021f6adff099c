"""How much a run of the tests tries: a few cases and examples at every change, all of them in `make test-slow`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["examples", "quick"]

THOROUGH = os.environ.get("RIGHTTIME_THOROUGH") == "1"


def examples(n: int) -> int:
    """Of `n` drawn examples, a quarter at every change."""
    return n if THOROUGH else -(-n // 4)


def quick(cases: Iterable[Any], *chosen: int) -> list[Any]:
    """The cases, of which all but those at the chosen places are slow."""
    listed = list(cases)
    assert chosen, "at least one case is quick"
    assert set(chosen) <= set(range(len(listed))), f"of {len(listed)} cases, quick are {chosen}"
    return [case if place in chosen else _slow(case) for place, case in enumerate(listed)]


def _slow(case: Any) -> Any:
    return pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.slow)
