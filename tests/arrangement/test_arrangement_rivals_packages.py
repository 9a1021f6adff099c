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


def run_in_own_environment(folder: Path, packages: list[str], script: str, *args: str) -> None:
    """Install packages into a fresh environment and run a script there; without a package index the test is skipped."""
    python = own_environment(folder, packages)
    subprocess.run([python, "-c", script, *args], check=True, cwd=folder, stdout=sys.stderr)


DSIR = """
import sys, numpy as np
from data_selection import HashedNgramDSIR
folder = sys.argv[1]
dsir = HashedNgramDSIR([folder + "/pool.jsonl"], [folder + "/target.jsonl"], folder + "/cache", num_proc=1)
dsir.fit_importance_estimator(num_tokens_to_fit="all")
dsir.compute_importance_weights()
np.save(folder + "/weights.npy", np.load(folder + "/cache/log_importance_weights/0.npy"))
"""


def test_dsir_weights_equal_the_authors_package(tmp_path: Path) -> None:
    sides: dict[str, list[str]] = {}
    for name, rows in (("pool", builtin_rows("pool")), ("target", builtin_rows("target"))):
        sides[name] = [f"{row['prompt']} {row['response']}" for row in rows]
        lines = [json.dumps({"text": text}) + "\n" for text in sides[name]]
        (tmp_path / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    run_in_own_environment(tmp_path / "env", ["data-selection==1.0.3"], DSIR, str(tmp_path))
    want = np.load(tmp_path / "weights.npy")
    found = arrange_embeddings(
        np.ones((len(sides["pool"]), 1)),
        np.ones((len(sides["target"]), 1)),
        method="dsir",
        texts=sides["pool"],
        target_texts=sides["target"],
        params={"draw": "top"},
    )
    assert found.distance is not None
    assert len(want) > 1000
    assert np.abs(-found.distance - want[found.order]).max() < 1e-8
    for k in (10, 100, 500):
        ours, theirs = set(found.order[:k].tolist()), set(np.argsort(-want, kind="stable")[:k].tolist())
        assert ours == theirs


APRICOT = """
import sys, numpy as np
from apricot import FacilityLocationSelection
s = np.load(sys.argv[1])
found = FacilityLocationSelection(int(sys.argv[3]), metric="precomputed", optimizer="lazy").fit(s)
np.savez(sys.argv[2], order=found.ranking, gains=found.gains)
"""


def test_facility_equals_apricot(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centers: NDArray[Any] = rng.normal(size=(12, 16))
    pool = unit_rows(centers[rng.integers(0, 12, size=600)] + 0.7 * rng.normal(size=(600, 16)))
    lattice = on_lattice(pool)
    np.save(tmp_path / "s.npy", np.maximum(np.rint(lattice @ lattice.T * UNIT) / UNIT, 0.0))
    arguments = (str(tmp_path / "s.npy"), str(tmp_path / "out.npz"), "200")
    packages = ["apricot-select==0.6.1", "scikit-learn"]
    run_in_own_environment(tmp_path / "env", packages, APRICOT, *arguments)
    with np.load(tmp_path / "out.npz") as out:
        order, gains = out["order"].tolist(), out["gains"]
    found = arrange_embeddings(pool, pool[:3], method="facility", budget=200)
    assert found.distance is not None
    assert found.order.tolist() == order
    assert np.allclose(-found.distance, gains, rtol=1e-9)
