"""Gradients projected on directions of the target's, against a plain computation of GIST's cosines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import righttime
from righttime.cli import main
from righttime.embedding import embedder_named
from righttime.embedding.gradients import SEPARATOR
from righttime.embedding.represent import represent
from righttime.embedding.subspace import subspace_of
from righttime.errors import SettingsError
from righttime.verification.result import check
from tiny_model import save_tiny_model

ROWS = righttime.builtin_rows("pool", rows_per_family=1)[:20]
GOALS = righttime.builtin_rows("target", rows_per_family=2)[:8]
TEXTS = [f"{row['prompt']}{SEPARATOR}{row['response']}" for row in (*ROWS, *GOALS)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


def plain(vectors: Any, target: Any, k: int) -> Any:
    """Cosines of V_kᵀ·g, by the eigenvectors of the target's Gram matrix, as the released code has them."""
    gram = target @ target.T
    values, left = np.linalg.eigh(gram)
    top = np.argsort(-values)[:k]
    right = target.T @ left[:, top] / np.sqrt(values[top])
    projected = vectors @ right
    projected /= np.linalg.norm(projected, axis=1, keepdims=True)
    return projected @ projected.T


@pytest.mark.parametrize("k", [1, 3, 8])
def test_it_is_gists_projection(tiny: str, tmp_path: Path, k: int) -> None:
    embedder = embedder_named(f"gradients:{tiny}#subspace={k}", device="cpu")
    done = represent(TEXTS, len(ROWS), embedder, tmp_path)
    assert done.vectors.shape == (28, k)
    raw = embedder_named(f"gradients:{tiny}", device="cpu").embed(TEXTS).astype(np.float64)
    want = plain(raw, raw[len(ROWS) :], k)
    assert np.abs(done.vectors.astype(np.float64) @ done.vectors.T.astype(np.float64) - want).max() < 1e-4
    values = np.linalg.svd(raw[len(ROWS) :], compute_uv=False) ** 2
    assert done.about["subspace"]["energy"] == pytest.approx(values[:k].sum() / values.sum(), abs=1e-5)
    assert done.about["subspace"]["amplification"] >= 1


def test_rows_that_judge_do_not_decide(tiny: str, tmp_path: Path) -> None:
    """In an experiment the target's rows that judge an order must not shape the vectors it is made of."""
    embedder = embedder_named(f"gradients:{tiny}#subspace=3", device="cpu")
    steered = represent(TEXTS, len(ROWS), embedder, tmp_path, n_steer=4)
    alone = represent(TEXTS[: len(ROWS) + 4], len(ROWS), embedder, tmp_path)
    assert np.array_equal(steered.vectors[: len(ROWS) + 4], alone.vectors)
    assert not np.array_equal(steered.vectors, represent(TEXTS, len(ROWS), embedder, tmp_path).vectors)


def test_an_experiment_takes_the_steering_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    from righttime.examples import Example
    from righttime.experiment import prepare
    from righttime.inputs import read_side
    from righttime.results import Request
    from righttime.rows import ExampleRows

    asked: list[dict[str, Any]] = []

    def embedded(pool: Any, target: Any, *args: Any, **how: Any) -> Any:
        asked.append({**how, "target": len(target)})
        return SimpleNamespace(pool=np.zeros((1, 2)), target=np.zeros((len(target), 2)), about={})

    monkeypatch.setattr(prepare, "embedded", embedded)
    some: list[Example] = list(read_side(GOALS, "target", Request()).rows.examples())
    sides = {"pool": ExampleRows(some[:1]), "steer": ExampleRows(some[:3]), "judge": ExampleRows(some[3:])}
    more = ExampleRows(some[:2])
    prepare._embedded(Request(), SimpleNamespace(**sides, side_pools={"more": more}), False)  # type: ignore[arg-type]
    assert (asked[0]["n_steer"], asked[0]["target"]) == (3, 8)
    assert asked[1]["target"] == 3, "no row that judges is seen with a side pool"


def test_an_arrangement_in_a_subspace_is_verified_and_read_again(tiny: str, tmp_path: Path) -> None:
    from righttime.report.arranged import arranged_from

    for side, rows in (("pool", ROWS), ("target", GOALS)):
        (tmp_path / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, cache = tmp_path / "out", tmp_path / "cache"
    words = ["arrange", str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl"), "--device", "cpu"]
    words += ["--method", "less", "--embedder", f"gradients:{tiny}#subspace=4", "--out", str(out)]
    assert main([*words, "--cache", str(cache)]) == 0
    for some in (cache, tmp_path / "cold"):
        assert [finding.what for finding in check(out, cache=some) if finding.ok is False] == []
    made = arranged_from([out], cache=cache)
    assert made.missing == []
    assert made.vectors is not None
    assert made.vectors.pool.shape == (20, 4)
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["embedding"]["subspace"]["directions"] = 5
    (out / "manifest.json").write_text(json.dumps(manifest))
    wrong = [finding.what for finding in check(out, cache=cache) if finding.ok is False]
    assert "the embedder and what it truncated are as described" in wrong


def test_the_summary_says_what_is_left(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side, rows in (("pool", ROWS), ("target", GOALS)):
        (tmp_path / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["arrange", str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl"), "--device", "cpu"]
    words += ["--embedder", f"gradients:{tiny}#subspace=4", "--cache", str(tmp_path / "cache")]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    assert "projected on 4 directions of the target, which hold" in " ".join(capsys.readouterr().out.split())


def test_what_is_out_of_range(tiny: str, tmp_path: Path) -> None:
    twice = np.repeat(np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32), 3, axis=0)
    with pytest.raises(SettingsError, match="at most the 2 directions that the target's 6 rows span, got 3"):
        subspace_of(twice, twice, 3)
    for value in ("0", "-1", "few", "1.5"):
        with pytest.raises(SettingsError, match=f"an option must be subspace=K, got 'subspace={value}'"):
            righttime.arrange("no-such-file", "none", embedder=f"gradients:{tiny}#subspace={value}")
