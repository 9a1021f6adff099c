"""How well the first rows of each order cover a target: on given vectors of a pool and a target.

    python benchmarks/coverage.py VECTORS.npz                                         # arrays `pool` and `target`
    python benchmarks/coverage.py VECTORS.npz --picture docs/img/niv2_coverage.png    # the picture of the README

Prints, for a few budgets: the share of target rows whose nearest pool row is among the rows taken, the mean over target
rows of the similarity of the best row taken, and the mean over all pairs. Random is the mean of five seeds. The picture
shows the first of these for every budget.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from righttime import arrange_embeddings
from righttime.similarity import unit_rows

SEEDS = {"random": 5}  # every other order is the same for every seed
# Colours of Okabe and Ito, which people who are colour-blind can tell apart; the dashes also tell them apart in grey.
STYLES = {"tma": ("#0072B2", "-"), "nearest": ("#D55E00", "--"), "random": ("#555555", ":")}


def best_similarity(pool: npt.NDArray[np.float32], target: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The similarity of each target row to its nearest pool row, shape (m,)."""
    best: npt.NDArray[np.float32] = np.max(
        [(pool[at : at + 8192] @ target.T).max(axis=0) for at in range(0, len(pool), 8192)], axis=0
    )
    return best


def found_at(
    pool: npt.NDArray[np.float32],
    target: npt.NDArray[np.float32],
    order: npt.NDArray[np.int64],
    best: npt.NDArray[np.float32],
) -> npt.NDArray[np.int64]:
    """The number of rows of `order` after which each target row has its nearest pool row, sorted, shape (m,)."""
    found = np.full(len(target), len(order) + 1)
    for at in range(0, len(order), 8192):
        near = pool[order[at : at + 8192]] @ target.T >= best - 1e-6
        first = np.where(near.any(axis=0), at + near.argmax(axis=0) + 1, len(order) + 1)
        found = np.minimum(found, first)
    return np.sort(found)


def draw(pool: npt.NDArray[np.float32], target: npt.NDArray[np.float32], picture: Path) -> None:
    """Draw the share of target rows whose nearest pool row is taken, by the number of rows taken."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    best = best_similarity(pool, target)
    counts = np.unique(np.geomspace(1, len(pool), 400).astype(int))
    figure, axes = plt.subplots(figsize=(7.2, 3.4), dpi=130, layout="constrained")
    labels = {"tma": "TMA", "nearest": "nearest to the whole target (WSD)", "random": "random, mean of 5 seeds"}
    for method, (colour, dashes) in STYLES.items():
        shares = []
        for seed in range(SEEDS.get(method, 1)):
            order = arrange_embeddings(pool, target, method=method, seed=seed).order
            found = found_at(pool, target, order, best)
            shares.append(np.searchsorted(found, counts, side="right") / len(target))
        axes.plot(counts, np.mean(shares, axis=0), color=colour, linestyle=dashes, linewidth=2, label=labels[method])
    axes.set_xscale("log")
    axes.set_xlim(1, len(pool))
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1, decimals=0))
    axes.set_xlabel(f"rows taken from the front of the order, of {len(pool):,}")
    axes.set_ylabel("target rows that have\ntheir nearest pool row")
    axes.grid(color="#dddddd")
    axes.legend(frameon=False, loc="upper left")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, metadata={"Software": None})  # no version, so that the same numbers give the same bytes
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors")
    parser.add_argument("--budgets", type=int, nargs="+", default=[160, 2000])
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    with np.load(args.vectors) as arrays:
        pool, target = unit_rows(arrays["pool"]), unit_rows(arrays["target"])
    if args.picture is not None:
        draw(pool, target, args.picture)
        return
    nearest = best_similarity(pool, target)
    print(f"pool {len(pool):,} x target {len(target):,}")
    print(f"{'budget':>7}  {'method':<13} {'has its nearest':>15} {'best similarity':>15} {'mean similarity':>15}")
    for budget in args.budgets:
        for method in ("tma", "nearest", "random", "tma-farthest"):
            seen = []
            for seed in range(SEEDS.get(method, 1)):
                order = arrange_embeddings(pool, target, method=method, budget=budget, seed=seed).order
                taken = pool[order] @ target.T
                best = taken.max(axis=0)
                seen.append(((best >= nearest - 1e-6).mean(), best.mean(), taken.mean()))
            has, best_mean, mean = np.mean(seen, axis=0)
            print(f"{budget:>7,}  {method:<13} {has:>15.0%} {best_mean:>15.3f} {mean:>15.3f}")


if __name__ == "__main__":
    main()
