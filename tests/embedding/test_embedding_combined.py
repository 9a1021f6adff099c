"""Several embedders as one: the similarity is the weighted sum of theirs, and everything built on it goes by that."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import righttime
from righttime.cli import main
from righttime.embedding import DEFAULT_MODEL, Centring, GradientEmbedder, HiddenStateEmbedder, embedder_named
from righttime.embedding.combined import CombinedEmbedder, joined, weighted_parts
from righttime.embedding.represent import lacking, represent
from righttime.embedding.texts import texts_for
from righttime.errors import SettingsError
from righttime.planning import plan
from righttime.results import Request
from righttime.similarity import pair_similarity, unit_rows
from righttime.verification.result import check
from tiers import examples, quick
from tiny_model import save_tiny_model

ROWS = righttime.builtin_rows("pool", rows_per_family=2)
GOALS = righttime.builtin_rows("target", rows_per_family=1)[:7]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("combined")
    for side, rows in (("pool", ROWS), ("target", GOALS)):
        (made / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


@settings(deadline=None, max_examples=examples(60))
@given(
    dims=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    weights=st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=4),
    seed=st.integers(0, 99),
)
def test_the_similarity_is_the_weighted_sum(dims: list[int], weights: list[float], seed: int) -> None:
    """Within the rounding of two float32 vectors: their numbers, and their lengths."""
    rng, weights = np.random.default_rng(seed), weights[: len(dims)]
    pairs = [[unit_rows(rng.normal(size=(5, d))) for d in dims] for _ in range(2)]
    combined = CombinedEmbedder([], weights)
    x, t = (combined.together(sides) for sides in pairs)
    want = np.zeros(5)
    for weight, one, other in zip(weights, *pairs, strict=True):
        want += weight / math.fsum(weights) * (one.astype(np.float64) * other).sum(axis=1)
    assert np.abs(pair_similarity(x, t) - want).max() < 4e-7
    assert np.abs(np.linalg.norm(x.astype(np.float64), axis=1) - 1).max() < 1e-6
    assert np.array_equal(unit_rows(x), x), "they are of length 1 already"


def plain_order(similarity: NDArray[np.float32]) -> list[int]:
    """TMA as it is defined: in every round each target row takes its nearest row; those come most similar first."""
    left, order = set(range(len(similarity))), []
    while left:
        best: dict[int, float] = {}
        for target in range(similarity.shape[1]):
            row = min(left, key=lambda row: (-similarity[row, target], row))
            best[row] = max(best.get(row, -9.0), float(similarity[row, target]))
        order += sorted(best, key=lambda row: (-best[row], row))
        left -= set(best)
    return order


def similarities(spec: str, folder: Path, text: str = "prompt+response") -> NDArray[np.float64]:
    """By one embedder alone, in float64: shape (pool, target)."""
    embedder = embedder_named(spec, device="cpu")
    sides = [righttime.read_rows([folder / f"{side}.jsonl"], role=side).rows for side in ("pool", "target")]
    texts = [texts_for(embedder, text, rows) for rows in sides]
    n = len(texts[0])
    vectors = represent([*texts[0], *texts[1]], n, embedder, folder / "cache").vectors.astype(np.float64)
    return np.asarray(vectors[:n] @ vectors[n:].T)


@pytest.mark.parametrize("second", quick(["lm:{}#centred,sample=50", "gradients:{}"], 0))
def test_an_order_by_a_combination(tiny: str, folder: Path, tmp_path: Path, second: str) -> None:
    """Minus near ties, which no two roundings order alike, it is the order by the sum of the two similarities."""
    spec = f"combine:{DEFAULT_MODEL}*3+{second.format(tiny)}"
    words = ["arrange", str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl"), "--device", "cpu"]
    words += ["--embedder", spec, "--cache", str(folder / "cache"), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    want = 0.75 * similarities(DEFAULT_MODEL, folder) + 0.25 * similarities(second.format(tiny), folder)
    found = righttime.Arrangement.load(tmp_path / "out")
    assert found.similarity is not None
    assert found.picked_by is not None
    assert np.abs(found.similarity - want[found.order, found.picked_by]).max() < 1e-6
    close = np.diff(np.sort(want, axis=0), axis=0).min()
    assert close > 1e-6, "no two rows are so near that rounding decides"
    assert found.order.tolist() == plain_order(want.astype(np.float32))
    assert [one.what for one in check(tmp_path / "out", cache=folder / "cache") if one.ok is False] == []
    assert [one.what for one in check(tmp_path / "out", cache=tmp_path / "cold") if one.ok is False] == []
    about = json.loads((tmp_path / "out" / "manifest.json").read_text())["embedding"]
    assert [part["weight"] for part in about["parts"]] == [0.75, 0.25]
    assert about["model"] == f"combine:{DEFAULT_MODEL}*3.0+{second.format(tiny)}*1.0"
    about["parts"][1]["max_length"] = 7
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    (tmp_path / "out" / "manifest.json").write_text(json.dumps({**manifest, "embedding": about}))
    wrong = [one.what for one in check(tmp_path / "out", cache=folder / "cache") if one.ok is False]
    assert "the embedder and what it truncated are as described" in wrong


def test_from_python_it_is_the_same(tiny: str, tmp_path: Path) -> None:
    states = HiddenStateEmbedder(tiny, device="cpu", layer=1, centring=Centring("centred", sample=50, seed=1))
    both = CombinedEmbedder([states, GradientEmbedder(tiny, device="cpu")], [3, 1])
    found = righttime.arrange(ROWS, GOALS, embedder=both, cache=tmp_path, out=tmp_path / "out")
    spec = f"combine:lm:{tiny}#layer=1,centred,sample=50,seed=1*3+gradients:{tiny}"
    again = righttime.arrange(ROWS, GOALS, embedder=spec, device="cpu", cache=tmp_path)
    assert found.order.tolist() == again.order.tolist()


def test_each_part_has_its_own_cache(tiny: str, tmp_path: Path) -> None:
    texts = [row["prompt"] for row in ROWS]
    alone = embedder_named(f"lm:{tiny}", device="cpu")
    represent(texts, len(texts), alone, tmp_path)
    both = embedder_named(f"combine:lm:{tiny}#centred+lm:{tiny}#layer=1", device="cpu")
    assert lacking(texts, len(texts), both, tmp_path).all()
    done = represent(texts, len(texts), both, tmp_path)
    assert [part["embedded_now"] for part in done.about["parts"]] == [0, len(set(texts))]
    assert not lacking(texts, len(texts), both, tmp_path).any()
    assert done.vectors.shape == (len(texts), 48)
    mapped = represent(texts, len(texts), both, tmp_path, memory=1)
    assert np.array_equal(mapped.vectors, done.vectors)


@pytest.mark.parametrize("method", ["rds", "nearest", "kcenter"])
def test_methods_and_the_guard_take_it(tiny: str, folder: Path, tmp_path: Path, method: str) -> None:
    settings: dict[str, Any] = {"embedder": f"combine:lm:{tiny}#centred*1+lm:{tiny}#layer=1,whitened*2"}
    settings |= {"device": "cpu", "cache": tmp_path, "guard": "remove", "guard_chunks": True}
    pool = [*ROWS, {"id": "leak", "prompt": GOALS[0]["prompt"], "response": "something else"}]
    found = righttime.arrange(pool, GOALS, method=method, **settings)
    assert len(pool) - 1 not in found.order.tolist()


def test_show_similarity_and_the_page_read_it_again(
    tiny: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from righttime.measures.curves import measure_folders
    from righttime.report.arranged import arranged_from

    spec = f"combine:lm:{tiny}#centred+gradients:{tiny}"
    sides = folder / "pool.jsonl", folder / "target.jsonl"
    how: dict[str, Any] = {"embedder": spec, "device": "cpu", "cache": tmp_path / "cache"}
    found = righttime.arrange(*sides, out=tmp_path / "out", **how)
    made = arranged_from([tmp_path / "out"], cache=tmp_path / "cache")
    assert made.missing == []
    first = found.to_table()["id"][0].as_py()
    capsys.readouterr()
    words = ["show", str(tmp_path / "out"), "--row", first, "--cache", str(tmp_path / "cache"), "--json"]
    assert main(words) == 0
    assert found.similarity is not None
    near = json.loads(capsys.readouterr().out)["nearest"][0]["similarity"]
    assert near == pytest.approx(float(found.similarity[0]), abs=1e-6)
    curves = measure_folders([tmp_path / "out"], sides[1], cache=tmp_path / "cache", every=10)
    assert all(np.isfinite(column).all() for column in curves.whole["out"].columns.values())
    assert made.vectors is not None
    assert found.picked_by is not None
    again = pair_similarity(made.vectors.pool[found.order], made.vectors.target[found.picked_by])
    assert np.array_equal(again, found.similarity)


def test_a_plan_names_each_part(tiny: str, folder: Path, tmp_path: Path) -> None:
    request = Request(embedder=f"combine:lm:{tiny}#layer=1+gradients:{tiny}*2", device="cpu")
    stages = {stage.name: stage for stage in plan(folder / "pool.jsonl", folder / "target.jsonl", request, tmp_path)}
    assert [name for name in stages if name.startswith(("embed", "combine"))] == ["embed 1", "embed 2", "combine"]
    assert stages["embed 2"].note.startswith(f"gradients:{tiny}: {len(ROWS) + len(GOALS)} of")
    assert "1,048 dimensions" in stages["combine"].note


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("lm:x", "must be of at least two embedders"),
        ("lm:x+", "must be of at least two embedders"),
        ("lm:x*1+vectors:a.npy*1", "must be of at least two embedders"),
        ("lm:x+combine:a", "must be of at least two embedders"),
        ("lm:x*0+lm:y", "a weight must be a number above 0, got 'lm:x*0'"),
        ("lm:x*-1+lm:y", "a weight must be a number above 0, got 'lm:x*-1'"),
        ("lm:x*nan+lm:y", "a weight must be a number above 0, got 'lm:x*nan'"),
        ("lm:x*big+lm:y", "a weight must be a number above 0, got 'lm:x*big'"),
        ("lm:x+lm:y#layers=1", "unknown option of lm:MODEL 'layers': did you mean 'layer'?"),
    ],
)
def test_wrong_combinations_are_told_before_anything_is_read(spec: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        righttime.arrange("no-such-file", "none", embedder=f"combine:{spec}")
    assert told in str(raised.value)


def test_settings_that_do_not_go_with_a_combination(tiny: str) -> None:
    both = f"combine:lm:{tiny}+gradients:{tiny}"
    with pytest.raises(SettingsError, match=r"`prefix` does not go with combine:A\*W\+B\*W, got 'q'"):
        embedder_named(both, prefix="q")
    with pytest.raises(SettingsError, match="`precision` is for sentence-transformers models, got bfloat16"):
        embedder_named(both, precision="bfloat16")
    assert embedder_named(both, max_length=9).identity["max_length"] == 9
    parts = embedder_named(f"combine:{DEFAULT_MODEL}+lm:{tiny}", precision="bfloat16").parts  # type: ignore[attr-defined]
    assert [part.identity["dtype"] for part in parts] == ["bfloat16", "float32"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "lm:./b#layer=1,centred", "static"]), st.floats(1e-9, 1e9)),
        min_size=2,
        max_size=5,
    )
)
def test_names_are_taken_apart_again(parts: list[tuple[str, float]]) -> None:
    assert weighted_parts(joined(parts).partition(":")[2]) == parts


def test_an_experiment_finds_the_models_of_a_combination(tmp_path: Path) -> None:
    from righttime.experiment.reading import _Reader

    reader = _Reader(tmp_path / "experiment.yaml", [])
    found = reader._path_of("combine:lm:./m#layer=1*0.5+../e*2")
    assert found == f"combine:lm:{tmp_path}/m#layer=1*0.5+{tmp_path.parent}/e*2.0"
