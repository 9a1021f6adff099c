from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import righttime
from righttime.arrangement import METHODS
from righttime.cli import main
from righttime.errors import SettingsError
from righttime.pipeline import Request
from righttime.planning import LOOKS, Stage, plan

POOL = righttime.builtin_rows("pool", rows_per_family=4)
TARGET = righttime.builtin_rows("target", rows_per_family=3)


def by_name(stages: tuple[Stage, ...]) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages}


def given(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    np.savez(folder / "v.npz", pool=rng.normal(size=(len(POOL), 12)), target=rng.normal(size=(len(TARGET), 12)))
    return {"embedder": f"vectors:{folder / 'v.npz'}"}


def test_only_what_is_not_cached_has_to_be_embedded(tmp_path: Path) -> None:
    cold = by_name(plan(POOL, TARGET, Request(budget=10), tmp_path))
    assert list(cold) == ["read", "embed", "order", "write"]
    assert cold["embed"].seconds is not None
    assert cold["embed"].seconds > 0
    distinct = len({row["prompt"] + " " + row["response"] for row in [*POOL, *TARGET]})
    assert cold["embed"].note.startswith(f"{distinct:,} of {len(POOL) + len(TARGET):,} texts")
    assert cold["embed"].disk > distinct * 384 * 4
    righttime.arrange(POOL, TARGET, cache=tmp_path, budget=10)
    warm = by_name(plan(POOL, TARGET, Request(budget=10), tmp_path))
    assert warm["embed"].seconds == 0
    assert warm["embed"].disk == 0


def test_a_larger_budget_and_two_walks_take_more(tmp_path: Path) -> None:
    small, large = (by_name(plan(POOL, TARGET, Request(budget=n, **given(tmp_path)), tmp_path)) for n in (1, None))
    assert small["write"].disk < large["write"].disk
    assert by_name(plan(POOL, TARGET, Request(method="tma-nft", **given(tmp_path)), tmp_path))["order"].passes == 2
    assert "filled again" in large["order"].note
    assert "filled again" not in small["order"].note


def test_vectors_beyond_the_memory_are_told_to_lie_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("righttime.neighbours.search.LEAST_MEMORY", 1)
    stages = by_name(plan(POOL, TARGET, Request(memory=1000, budget=5, **given(tmp_path)), tmp_path))
    assert stages["vectors"].memory == 0
    assert stages["vectors"].disk == (len(POOL) + len(TARGET)) * 12 * 4


def test_what_cannot_be_measured_is_not_told(tmp_path: Path) -> None:
    stages = by_name(plan(POOL, TARGET, Request(method="kcenter", budget=5, **given(tmp_path)), tmp_path))
    assert stages["order"].seconds is None
    assert METHODS["kcenter"].cost in stages["order"].note
    assert set(LOOKS) <= set(METHODS)


def test_what_arrange_would_refuse_is_refused() -> None:
    with pytest.raises(SettingsError, match="budget must be at most the pool's"):
        plan(POOL, TARGET, Request(budget=10_000))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["builtin", "--out", str(tmp_path), "--rows", "4"]) == 0
    files = [str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl")]
    assert main(["plan", *files, "--budget", "20", "--cache", str(tmp_path / "cache")]) == 0
    told = capsys.readouterr().out
    assert "passes" in told
    assert "together" in told
    assert "texts/s measured" in told
    assert main(["plan", *files, "--memory", "a lot"]) == 1
    assert "a size must be a number with K, M, G or T, such as 512MiB, got 'a lot'" in capsys.readouterr().err
