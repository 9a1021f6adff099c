"""The eight vector measures against one blocked cosine pass over the same arrays (wall), and the growth of KL (CPU).

    python benchmarks/measures.py [--pool 100000] [--target 500]

Prints what was measured and writes benchmarks/results/measures.json. Ratios are taken within this run.
"""

from __future__ import annotations

import argparse
import cProfile
import functools
import json
import os
import platform
import pstats
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.similarity import measure, unit_rows
from righttime.similarity.bigrams import bigram_curves

Vectors = NDArray[np.float32]
KL_SIZES = (5_000, 10_000, 20_000, 40_000, 80_000)
EVERY = 160


def vectors(n: int, rng: np.random.Generator, centres: Vectors) -> Vectors:
    """Unit vectors in clusters, as texts of tasks are."""
    return unit_rows(centres[rng.integers(0, len(centres), size=n)] + 0.7 * rng.normal(size=(n, centres.shape[1])))


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


def seconds(work: Callable[[], Any], times: int = 3, clock: Callable[[], float] = time.perf_counter) -> list[float]:
    found = []
    for _ in range(times):
        start = clock()
        work()
        found.append(clock() - start)
    return found


def profile(work: Callable[[], Any]) -> list[dict[str, Any]]:
    """The functions in which the time goes, by their own time."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    stats: Any = pstats.Stats(profiler)
    rows = sorted(stats.stats.items(), key=lambda item: -item[1][2])[:8]
    return [{"function": f"{Path(key[0]).name}:{key[2]}", "own_s": round(value[2], 3)} for key, value in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=100_000)
    parser.add_argument("--target", type=int, default=500)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(100, 384)).astype(np.float32)
    pool, target = vectors(args.pool, rng, centres), vectors(args.target, rng, centres)
    cosine_pass(pool, target)  # threads and memory are warm before anything counts
    ours, floor = [], []
    for _ in range(3):  # in turn, so that a noisy moment meets both
        ours += seconds(lambda: measure(pool, target, every=EVERY), 1)
        floor += seconds(lambda: cosine_pass(pool, target), 1)
    floor_other = seconds(lambda: cosine_pass(pool, target, 2048))
    pool_texts, target_texts = texts(KL_SIZES[-1], rng), texts(args.target, rng)
    kl = []
    for n in KL_SIZES:
        ends = list(range(EVERY, n + 1, EVERY))
        work = functools.partial(bigram_curves, pool_texts[:n], [target_texts], ends)
        taken = min(seconds(work, 3, time.process_time))
        kl.append({"n": n, "s": taken})
    exponent = float(np.polyfit(np.log([row["n"] for row in kl]), np.log([row["s"] for row in kl]), 1)[0])
    result = {
        "pool": args.pool,
        "target": args.target,
        "dimensions": 384,
        "every": EVERY,
        "cosine_pass_s": floor,
        "cosine_pass_blocks_of_2048_s": floor_other,
        "eight_measures_s": ours,
        "ratio": min(ours) / min(floor),
        "profile": profile(lambda: measure(pool, target, every=EVERY)),
        "kl": kl,
        "kl_exponent": exponent,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    path = Path(__file__).parent / "results" / "measures.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"pool {args.pool:,} x target {args.target:,} x 384: eight measures {min(ours):.3f} s, ", end="")
    print(f"one cosine pass {min(floor):.3f} s, ratio {result['ratio']:.2f}")
    for entry in result["profile"]:
        print(f"  {entry['own_s']:>7.3f} s  {entry['function']}")
    for row in kl:
        print(f"KL over {row['n']:>7,} texts of 80 words: {row['s']:.2f} s of CPU")
    print(f"KL grows as n^{exponent:.2f}")


if __name__ == "__main__":
    main()
