"""How well the first rows of each order cover a target: on given vectors of a pool and a target.

    python benchmarks/covered.py VECTORS.npz                                     # arrays `pool` and `target`
    python benchmarks/covered.py VECTORS.npz --picture docs/img/niv2_coverage    # the README's, .svg and .png

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
from righttime.drawing import GRID, captioned, legend, pictures, stroke
from righttime.similarity import unit_rows

SEEDS = {"random": 5}  # every other order is the same for every seed
LABELS = {"tma": "TMA", "nearest": "nearest to the whole target", "random": "random"}


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
    """Draw the share of target rows whose nearest pool row is taken, by the number of rows taken: SVG and PNG."""
    from matplotlib.ticker import PercentFormatter

    best = best_similarity(pool, target)
    counts = np.unique(np.geomspace(1, len(pool), 400).astype(int))
    caption = (
        f"Share of the {len(target):,} target rows whose nearest pool row is among the first rows of an order of the "
        f"{len(pool):,} pool rows; all-MiniLM-L6-v2. Nearest by WSD; random: mean and range of {SEEDS['random']} seeds."
    )
    figure, (panel,) = captioned((1, 1), 3.2, caption, list(LABELS.values()))
    for number, (method, label) in enumerate(LABELS.items()):
        shares = []
        for seed in range(SEEDS.get(method, 1)):
            order = arrange_embeddings(pool, target, method=method, seed=seed).order
            found = found_at(pool, target, order, best)
            shares.append(np.searchsorted(found, counts, side="right") / len(target))
        its = {**stroke(number), "linestyle": "-:"[method == "random"], "marker": None}
        panel.plot(counts, np.mean(shares, axis=0), linewidth=2, label=label, **its)
        panel.fill_between(counts, np.min(shares, axis=0), np.max(shares, axis=0), color=its["color"], alpha=0.15)
    panel.set_xscale("log")
    panel.set_xlim(1, len(pool))
    panel.set_ylim(0, 1.02)
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.set_xlabel("first n rows of the order (log)")
    panel.set_ylabel("target rows with\ntheir nearest row")
    panel.grid(**GRID)
    legend(figure, panel)
    picture.parent.mkdir(parents=True, exist_ok=True)
    for name, content in pictures(picture.name, figure).items():
        (picture.parent / name).write_bytes(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors")
    parser.add_argument("--budgets", type=int, nargs="+", default=[160, 2000])
    parser.add_argument("--picture", type=Path, help="draw to this path, .svg and .png added")
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
