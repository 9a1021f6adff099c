"""TMA against the floor (one blocked product, thrown away) and against the paper's procedure with one BLAS product.

    python benchmarks/arrange.py [--pool 20000] [--target 500]

Prints a table and writes benchmarks/results/arrange.json. Ratios are taken within this run; the machine is named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime import arrange_embeddings
from righttime.similarity import unit_rows

Vectors = NDArray[np.float32]


def vectors(n: int, rng: np.random.Generator, centres: Vectors) -> Vectors:
    """Unit vectors in clusters, as texts of tasks are."""
    return unit_rows(centres[rng.integers(0, len(centres), size=n)] + 0.7 * rng.normal(size=(n, centres.shape[1])))


def floor(pool: Vectors, target: Vectors) -> None:
    for start in range(0, len(pool), 8192):
        target @ pool[start : start + 8192].T


def matrix_rounds(pool: Vectors, target: Vectors, budget: int) -> int:
    """The paper's procedure: the whole matrix, and an arg-max over all of it in every round."""
    similarity = target @ pool.T
    taken = 0
    while taken < budget:
        chosen = np.unique(similarity.argmax(axis=1))
        similarity[:, chosen] = -np.inf
        taken += len(chosen)
    return taken


def seconds(work: Callable[[], Any]) -> float:
    """The best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=20_000)
    parser.add_argument("--target", type=int, default=500)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(100, 384)).astype(np.float32)
    pool, target = vectors(args.pool, rng, centres), vectors(args.target, rng, centres)
    base = seconds(lambda: floor(pool, target))
    rows = []
    for budget in (args.pool // 100, args.pool // 10, args.pool):
        ours = seconds(lambda budget=budget: arrange_embeddings(pool, target, method="tma", budget=budget))  # type: ignore[misc]
        rival = seconds(lambda budget=budget: matrix_rounds(pool, target, budget))  # type: ignore[misc]
        rows.append({"budget": budget, "ours_s": ours, "matrix_s": rival, "ours_to_floor": ours / base})
        rows[-1]["matrix_to_ours"] = rival / ours
    machine = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    result = {
        "pool": args.pool,
        "target": args.target,
        "floor_s": base,
        "rows": rows,
        "numpy": np.__version__,
        **machine,
    }
    path = Path(__file__).parent / "results" / "arrange.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"pool {args.pool:,} x target {args.target:,} x 384; floor {base:.3f} s")
    print(f"{'budget':>9} {'ours s':>8} {'x floor':>8} {'matrix s':>9} {'matrix/ours':>12}")
    for row in rows:
        print(
            f"{row['budget']:>9,} {row['ours_s']:>8.3f} {row['ours_to_floor']:>8.1f} {row['matrix_s']:>9.3f}"
            f" {row['matrix_to_ours']:>12.1f}"
        )


if __name__ == "__main__":
    main()
