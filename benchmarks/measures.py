"""The eight vector measures against one blocked cosine pass over the same arrays (wall), and the growth of KL (CPU).

    python benchmarks/measures.py [--pool 100000] [--target 500]

Prints what was measured and writes benchmarks/results/measures.json. Ratios are taken within this run.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from machine import parser, save
from righttime.measures.bigrams import bigram_curves
from righttime.similarity import measure
from trials import Vectors, clustered, exponent, in_turn, profile

KL_SIZES = (5_000, 10_000, 20_000, 40_000, 80_000)
EVERY = 160


def cosine_pass(pool: Vectors, target: Vectors, block_rows: int = 8192) -> None:
    """The rival: every similarity once, in blocks, thrown away."""
    for start in range(0, len(pool), block_rows):
        target @ pool[start : start + block_rows].T


def texts(n: int, rng: np.random.Generator) -> list[str]:
    """Texts of 80 words whose frequencies fall as words' do."""
    words = np.array([f"w{number}" for number in range(20_000)])
    share = 1 / np.arange(1, len(words) + 1)
    drawn = rng.choice(words, size=(n, 80), p=share / share.sum())
    return [" ".join(row) for row in drawn]


def cpu_seconds(work: Callable[[], Any], times: int = 3) -> float:
    """The least CPU time of so many runs."""
    found = []
    for _ in range(times):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--pool", type=int, default=100_000)
    made.add_argument("--target", type=int, default=500)
    args = made.parse_args()
    sizes = list(KL_SIZES)
    if args.quick:
        args.pool, args.target, sizes = 10_000, 100, [size // 10 for size in KL_SIZES]
    pool, target = clustered(args.pool, args.target)
    cosine_pass(pool, target)  # threads and memory are warm before anything counts
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: measure(pool, target, every=EVERY),
        "floor": lambda: cosine_pass(pool, target),
    }
    found = in_turn(works, 3)
    ours, floor = found["ours"], found["floor"]
    floor_other = in_turn({"floor": lambda: cosine_pass(pool, target, 2048)}, 3)["floor"]
    rng = np.random.default_rng(0)
    pool_texts, target_texts = texts(sizes[-1], rng), texts(args.target, rng)
    kl = []
    for n in sizes:
        ends = list(range(EVERY, n + 1, EVERY))
        kl.append({"n": n, "s": cpu_seconds(functools.partial(bigram_curves, pool_texts[:n], [target_texts], ends))})
    power = exponent([row["n"] for row in kl], [row["s"] for row in kl])
    result = {
        "pool": args.pool,
        "target": args.target,
        "dimensions": pool.shape[1],
        "every": EVERY,
        "cosine_pass_s": floor,
        "cosine_pass_blocks_of_2048_s": floor_other,
        "eight_measures_s": ours,
        "ratio": min(ours) / min(floor),
        "profile": profile(lambda: measure(pool, target, every=EVERY)),
        "kl": kl,
        "kl_exponent": power,
    }
    print(f"pool {args.pool:,} x target {args.target:,} x {pool.shape[1]}: eight measures {min(ours):.3f} s, ", end="")
    print(f"one cosine pass {min(floor):.3f} s, ratio {result['ratio']:.2f}")
    for entry in result["profile"]:
        print(f"  {entry['own_s']:>7.3f} s  {entry['function']}")
    for row in kl:
        print(f"KL over {row['n']:>7,} texts of 80 words: {row['s']:.2f} s of CPU")
    print(f"KL grows as n^{power:.2f}")
    save(args.results, "measures", result)


if __name__ == "__main__":
    main()
