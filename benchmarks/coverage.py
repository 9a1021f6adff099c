"""How well the first rows of each order cover a target: on given vectors of a pool and a target.

    python benchmarks/coverage.py VECTORS.npz        # arrays `pool` and `target`

Prints, for a few budgets: the share of target rows whose nearest pool row is among the rows taken, the mean over target
rows of the similarity of the best row taken, and the mean over all pairs. Random is the mean of five seeds.
"""

from __future__ import annotations

import argparse

import numpy as np

from righttime import arrange_embeddings
from righttime.similarity import unit_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors")
    parser.add_argument("--budgets", type=int, nargs="+", default=[160, 2000])
    args = parser.parse_args()
    with np.load(args.vectors) as arrays:
        pool, target = unit_rows(arrays["pool"]), unit_rows(arrays["target"])
    nearest = np.max([(pool[at : at + 8192] @ target.T).max(axis=0) for at in range(0, len(pool), 8192)], axis=0)
    print(f"pool {len(pool):,} x target {len(target):,}")
    print(f"{'budget':>7}  {'method':<13} {'has its nearest':>15} {'best similarity':>15} {'mean similarity':>15}")
    for budget in args.budgets:
        for method in ("tma", "nearest", "random", "tma-farthest"):
            seen = []
            for seed in range(5 if method == "random" else 1):
                order = arrange_embeddings(pool, target, method=method, budget=budget, seed=seed).order
                taken = pool[order] @ target.T
                best = taken.max(axis=0)
                seen.append(((best >= nearest - 1e-6).mean(), best.mean(), taken.mean()))
            has, best_mean, mean = np.mean(seen, axis=0)
            print(f"{budget:>7,}  {method:<13} {has:>15.0%} {best_mean:>15.3f} {mean:>15.3f}")


if __name__ == "__main__":
    main()
