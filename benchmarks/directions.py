"""Does a bound from leading principal directions pay? A first look over 192 of 384 of them, and the rest bounded.

    python benchmarks/directions.py

For unit x and t, turned to the pool's principal directions and cut after h of them, by Cauchy and Schwarz:
x·t <= x[:h]·t[:h] + |x[h:]|·|t[h:]|. The right side is one product of h + 1 columns, the last of them those norms.
Pairs whose bound is above the cut are multiplied in full, gathered a few at a time. The cut is the best there is: each
target row's k-th similarity, less a margin. Against it: the full product and its pairs above that cut, in the same
blocks, all on one thread. Turning the pool costs d/m of a full product, finding its directions as much again; both are
timed by themselves. Writes directions.json.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from machine import parser, save
from righttime.neighbours import top_k
from righttime.neighbours.products import NumpyProducts
from trials import Vectors, clustered, in_turn, ratio, real

BLOCK = 2048
MARGIN = np.float32(1e-5)  # of turning and rounding
FEW = 256  # pairs whose vectors stay in cache


def turned(pool: Vectors, target: Vectors) -> tuple[Vectors, Vectors]:
    """Both in the pool's principal directions, the longest first."""
    moments = sum((block.T @ block for block in blocks(pool)), np.zeros((pool.shape[1],) * 2, dtype=np.float32))
    turn = np.linalg.eigh(moments.astype(np.float64))[1][:, ::-1].astype(np.float32)
    return pool @ turn, target @ turn


def blocks(pool: Vectors) -> list[Vectors]:
    return [pool[start : start + BLOCK] for start in range(0, len(pool), BLOCK)]


def bounded(vectors: Vectors, leading: int) -> Vectors:
    """The leading columns, and the norm of the others."""
    rest = np.linalg.norm(vectors[:, leading:], axis=1, keepdims=True)
    return np.ascontiguousarray(np.concatenate([vectors[:, :leading], rest], axis=1), dtype=np.float32)


def above(pool: Vectors, target: Vectors, cut: NDArray[np.float32]) -> int:
    """One product and the pairs above the cuts; how many."""
    products = NumpyProducts(target)
    return sum(len(products.above(block, cut)[0]) for block in blocks(pool))


def by_bound(
    pool: Vectors, target: Vectors, short: Vectors, target_short: Vectors, cut: NDArray[np.float32]
) -> tuple[int, int]:
    """The pairs above the cuts, by the bound and full products of what it leaves: how many are left, and found."""
    products, left, found = NumpyProducts(target_short), 0, 0
    for start, block in zip(range(0, len(pool), BLOCK), blocks(short), strict=True):
        who, where, _ = products.above(block, cut)
        rows = pool[start : start + BLOCK]
        for at in range(0, len(who), FEW):
            some = slice(at, at + FEW)
            found += int((np.einsum("ij,ij->i", rows[where[some]], target[who[some]]) > cut[who[some]]).sum())
        left += len(who)
    return left, found


def measured(label: str, pool: Vectors, target: Vectors, leadings: list[int], ks: list[int]) -> list[dict[str, Any]]:
    own_pool, own_target = turned(pool, target)
    rows = []
    for k, leading in itertools.product(ks, leadings):
        cut = top_k(pool, target, k).similarity[:, -1] - MARGIN
        short, target_short = bounded(own_pool, leading), bounded(own_target, leading)
        nothing = np.full_like(cut, 3.0)
        works: dict[str, Callable[[], object]] = {
            "full": partial(above, own_pool, own_target, cut),
            "first_look": partial(above, short, target_short, nothing),
            "by_bound": partial(by_bound, own_pool, own_target, short, target_short, cut),
            "turn": partial(turned, pool, target),
        }
        seconds = in_turn(works, 7, 30)
        left, found = by_bound(own_pool, own_target, short, target_short, cut)
        row: dict[str, Any] = {"vectors": label, "pool": len(pool), "target": len(target), "k": k, "leading": leading}
        row |= {"left": left / (len(pool) * len(target)), "found": found / len(target), "seconds": seconds}
        row["to_full"] = {name: ratio(seconds[name], seconds["full"]) for name in works if name != "full"}
        rows.append(row)
        print(
            f"{label} {len(pool):,} x {len(target):,}, k = {k}, {leading} directions: {row['left']:.1%} left, ", end=""
        )
        print("  " + ", ".join(f"{name} {min(times):.3f} s" for name, times in seconds.items()), flush=True)
    return rows


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--pool", type=int, default=100_000)
    made.add_argument("--target", type=int, default=500)
    args = made.parse_args()
    if args.quick:
        args.pool, args.target = 10_000, 100
    rows = []
    with threadpoolctl.threadpool_limits(1, user_api="blas"):  # what is gathered is gathered by one thread
        if (given := real()) is not None:
            rows += measured("NIV2", *given, [128, 192], [16, 64, 256])
        rows += measured("clustered", *clustered(args.pool, args.target), [192], [64])
    save(args.results, "directions", {"rows": rows})


if __name__ == "__main__":
    main()
