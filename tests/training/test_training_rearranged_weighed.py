"""Rearranging an arrangement whose target rows weigh differently: by their names, or since some widened the target."""

from __future__ import annotations

import dataclasses
import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rearranged_runs import FAST, STEPS, effective, planted_order, said, sealed
from righttime.pipeline import arrange_into
from righttime.results import Request, open_result
from righttime.training import tune
from righttime.training.anew import order_table
from righttime.training.rearranged import read_rearranged
from righttime.training.rearranger import rearranged_sides
from righttime.verification.run import verify
from twin import matrix, tma_within

ROUNDS = "every rearrangement is TMA's rounds over its vectors and the rows left"
COLUMNS = ("place", "round", "picked_by_row", "similarity")


def rounds(s: NDArray[np.float32], weights: list[Fraction] | None) -> list[tuple[int, int, int, float]]:
    """By the definition: (row, round, picked by, similarity), the most similar of a round first."""
    found: list[tuple[int, int, int, float]] = []
    for number, played in enumerate(tma_within(s, [], weights=weights)):
        picks = sorted(played, key=lambda pick: (-pick[2], pick[0]))
        found += [(row, number, by, float(value)) for row, by, value in picks]
    return found


@given(st.data())
def test_a_rearrangement_with_weights_is_the_twins(data: st.DataObject) -> None:
    n_left, n_target = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 4))
    weights = tuple(data.draw(st.lists(st.fractions("1/4", 4), min_size=n_target, max_size=n_target)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    raw = rng.integers(1, 4, size=(n_left + n_target, 2)).astype(np.float32)
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    nothing = data.draw(st.sets(st.integers(0, n_target - 1), max_size=n_target - 1))
    unit[[n_left + row for row in nothing]] = 0  # has nothing to learn, so it picks nothing
    asks = [row for row in range(n_target) if row not in nothing]
    ids = tuple(map(str, range(n_left))), tuple("wxyz"[:n_target])
    table = order_table(unit, np.arange(n_left), np.full(n_left, -1), ids, None, weights)
    s = matrix(unit[:n_left], unit[n_left:][asks])
    want = [(row, number, asks[by], value) for row, number, by, value in rounds(s, [weights[row] for row in asks])]
    assert list(zip(*(table[name].to_pylist() for name in COLUMNS), strict=True)) == want


def arranged_by(tiny: str, data: Path, out: Path, **how: Any) -> Path:
    """37 rows of the built-in pool."""
    request = Request(embedder=f"lm:{tiny}", guard="off", budget=37, **how)
    arrange_into(out, [str(data / "pool.jsonl")], [str(data / "target.jsonl")], request)
    return out


@pytest.fixture(scope="module")
def weighed(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Arrangements by what makes their target rows weigh differently."""
    data, folder = arranged.parent / "data", tmp_path_factory.mktemp("weighed")
    task = json.loads((data / "target.jsonl").read_text().splitlines()[0])["task"]
    lines = (data / "pool.jsonl").read_text().splitlines(keepends=True)
    (folder / "side.jsonl").write_text("".join(lines[:20]))
    side = f"{folder / 'side.jsonl'}:1"
    return {
        "names": arranged_by(tiny, data, folder / "names", target_weight={task: 5}),
        "both": arranged_by(tiny, data, folder / "both", target_weight={task: "1/3"}, widen=side),
        "at random": arranged_by(tiny, data, folder / "random", widen=side, method="random"),
    }


def test_target_rows_have_turns_by_their_weights(tiny: str, weighed: dict[str, Path], tmp_path: Path) -> None:
    for name, out in weighed.items():
        run, sides = tmp_path / name, rearranged_sides(out)
        tune(out, tiny, run, FAST)
        assert sides.weights is not None
        assert len(sides.weights) == len(sides.target) == open_result(out).manifest.counts.target_rows
        assert len(set(sides.weights)) > 1
        consumed = effective(run)
        for step in STEPS:
            found = read_rearranged(run, step)
            assert found is not None
            left = [place for place in range(37) if place not in consumed[: 4 * step]]
            want = rounds(matrix(found.numbers[: len(left)], found.numbers[len(left) :]), list(sides.weights))
            assert consumed[4 * step : 4 * step + 8] == [left[row] for row, *_ in want][:8], name
        assert [finding for finding in verify(run, out) if not finding.ok] == [], name


def test_an_order_without_the_weights_is_found(tiny: str, weighed: dict[str, Path], tmp_path: Path) -> None:
    out = weighed["names"]
    tune(out, tiny, tmp_path / "run", FAST)
    planted_order(tmp_path / "run", 4)
    sealed(tmp_path / "run")
    assert ROUNDS in said(verify(tmp_path / "run", out), False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("righttime.training.rearranger.weights_of", lambda finished, target: None)
        once = dataclasses.replace(FAST, rearrange_every=5)  # all 17 rows that are left, so more than one round
        tune(out, tiny, tmp_path / "plain", once)
    assert ROUNDS in said(verify(tmp_path / "plain", out), False)


def test_where_the_target_is_gone_nobody_knows_what_its_rows_weigh(
    tiny: str, arranged: Path, weighed: dict[str, Path], tmp_path: Path
) -> None:
    data = Path(shutil.copytree(arranged.parent / "data", tmp_path / "data"))
    weights = open_result(weighed["names"]).manifest.settings["target_weight"]
    out = arranged_by(tiny, data, tmp_path / "out", target_weight=weights)
    tune(out, tiny, tmp_path / "run", FAST)
    (data / "target.jsonl").unlink()
    findings = verify(tmp_path / "run", out)
    assert ROUNDS in said(findings, None)
    assert said(findings, False) == []
