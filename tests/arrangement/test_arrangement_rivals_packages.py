"""DSIR and facility location against the authors' own packages, each in an environment of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from own_environment import own_environment
from righttime import arrange_embeddings, builtin_rows
from righttime.similarity import unit_rows
from righttime.similarity.lattice import UNIT, on_lattice

pytestmark = pytest.mark.slow


DSIR = """
import json, sys, numpy as np
from data_selection import HashedNgramDSIR
folder, settings = sys.argv[1], json.loads(sys.argv[2])
dsir = HashedNgramDSIR(
    [folder + "/pool.jsonl"], [folder + "/target.jsonl"], folder + "/cache", num_proc=1, **settings
)
dsir.fit_importance_estimator(num_tokens_to_fit="all")
dsir.compute_importance_weights()
weights, words = (np.load(f"{folder}/cache/{name}/0.npy") for name in ("log_importance_weights", "perexample_metadata"))
drawable = dsir.perexample_metadata_filter(words)
np.savez(folder + "/found.npz", weights=weights, words=words, drawable=drawable)
if drawable.sum() > 50:
    dsir.resample(folder + "/drawn", 50, cache_dir=folder + "/drawing", top_k=True)
"""

SCRIPTS = ["नमस्ते दुनिया, यह एक परीक्षण है।", "ภาษาไทย ที่นี่", "اَلْعَرَبِيَّة لُغَةٌ", "L'été dure 3,5 mois; x² ≠ ½"]


@pytest.fixture(scope="module")
def data_selection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package in an environment of its own, with an NLTK whose words hold combining marks (3.10.3 or later)."""
    return own_environment(tmp_path_factory.mktemp("env"), ["data-selection==1.0.3", "nltk>=3.10.3"])


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({}, {}),
        ({"ngrams": 3, "num_buckets": 500, "min_example_length": 60}, {"ngrams": 3, "buckets": 500, "min_words": 60}),
        ({"ngrams": 1, "min_example_length": 0}, {"ngrams": 1, "min_words": 0}),
    ],
)
def test_dsir_weights_and_minimum_equal_the_authors_package(
    tmp_path: Path, data_selection: Path, theirs: dict[str, int], ours: dict[str, int]
) -> None:
    sides: dict[str, list[str]] = {}
    for name, rows in (("pool", builtin_rows("pool")), ("target", builtin_rows("target"))):
        sides[name] = [f"{row['prompt']} {row['response']}" for row in rows]
    sides["pool"] = [" ".join([text] * (1 + place % 4)) for place, text in enumerate(sides["pool"])]
    sides["pool"] += [f"{text} {place} " * (place % 30) for place in range(200) for text in SCRIPTS]
    sides["target"] += SCRIPTS
    for name, texts in sides.items():
        lines = [json.dumps({"text": text}) + "\n" for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    subprocess.run([data_selection, "-c", DSIR, str(tmp_path), json.dumps(theirs)], check=True, stdout=sys.stderr)
    with np.load(tmp_path / "found.npz") as arrays:
        want, drawable = arrays["weights"], arrays["drawable"]
    ones = np.ones((len(sides["pool"]), 1)), np.ones((len(sides["target"]), 1))
    texts_of: dict[str, Any] = {"texts": sides["pool"], "target_texts": sides["target"]}
    found = arrange_embeddings(*ones, **texts_of, method="dsir", params={"draw": "top", **ours})
    n = int(drawable.sum())
    assert (0 < n < len(want)) == (ours.get("min_words") != 0)
    assert set(found.order[:n].tolist()) == set(np.flatnonzero(drawable).tolist())
    assert found.settings["short_rows"] == len(want) - n
    assert found.distance is not None
    assert np.abs(-found.distance[:n] - want[found.order[:n]]).max() < 1e-8
    drawn = {line for path in (tmp_path / "drawn").glob("*.jsonl") for line in path.read_text().splitlines()}
    assert {json.dumps({"text": sides["pool"][row]}) for row in found.order[:50]} == drawn


APRICOT = """
import sys, numpy as np
from apricot import FacilityLocationSelection
for name in sys.argv[3:]:
    s = np.load(f"{sys.argv[1]}/{name}.npy")
    for optimizer in ("naive", "lazy"):
        fit = FacilityLocationSelection(int(sys.argv[2]), metric="precomputed", optimizer=optimizer).fit(s)
        np.savez(f"{sys.argv[1]}/{name}-{optimizer}.npz", order=fit.ranking, gains=fit.gains)
"""


def facility_pool(copies: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    centers: NDArray[Any] = rng.normal(size=(12, 16))
    lone = centers[rng.integers(0, 12, size=600 // copies)] + 0.7 * rng.normal(size=(600 // copies, 16))
    return unit_rows(np.tile(lone, (copies, 1)))


def test_facility_is_apricots_naive_and_its_lazy_only_without_copies(tmp_path: Path) -> None:
    """With exact sums `naive` is ours; `lazy` takes a row that adds nothing where two copies stand side by side."""
    pools = {"lone": facility_pool(1), "copies": facility_pool(3)}
    exact: dict[str, NDArray[Any]] = {}
    for name, pool in pools.items():
        lattice, wide = on_lattice(pool), pool.astype(np.float64)
        exact[name] = np.maximum(np.rint(lattice @ lattice.T * UNIT) / UNIT, 0.0)
        np.save(tmp_path / f"{name}.npy", exact[name])
        np.save(tmp_path / f"{name}-float64.npy", np.maximum(wide @ wide.T, 0.0))
    python = own_environment(tmp_path / "env", ["apricot-select==0.6.1", "scikit-learn"])
    names = ["lone", "copies", "lone-float64", "copies-float64"]
    subprocess.run([python, "-c", APRICOT, str(tmp_path), "150", *names], check=True, stdout=sys.stderr)
    for name, pool in pools.items():
        ours = arrange_embeddings(pool, pool[:3], method="facility", budget=150)
        assert ours.distance is not None
        gains = -ours.distance

        def apricot(which: str) -> tuple[NDArray[Any], NDArray[Any]]:
            with np.load(tmp_path / f"{which}.npz") as out:
                return out["order"], out["gains"]

        def f(order: NDArray[Any], name: str = name) -> float:
            return float(exact[name][order].max(axis=0).sum())

        order, theirs = apricot(f"{name}-naive")
        assert ours.order.tolist() == order.tolist()
        assert np.allclose(gains, theirs, rtol=1e-9)
        near, theirs = apricot(f"{name}-float64-naive")
        differs = np.flatnonzero(near != ours.order)
        if len(differs):  # the two rows are as good as each other, but for the rounding of similarities
            assert theirs[differs[0]] == pytest.approx(gains[differs[0]], abs=len(pool) * 16**0.5 / UNIT)
        assert f(near) == pytest.approx(f(ours.order), rel=1e-6)
        lazy, theirs = apricot(f"{name}-lazy")
        if name == "lone":
            assert lazy.tolist() == order.tolist()
        else:
            first = np.flatnonzero(lazy != ours.order)[0]
            assert theirs[first] == 0.0
            assert gains[first] > 0.1
            assert f(lazy) < 0.999 * f(ours.order)
