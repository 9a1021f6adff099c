"""TMA against the floor (every product once, thrown away) and against the paper's procedure on a matrix.

    python benchmarks/arrange.py [--sizes 20000 100000 200000 1000000] [--target 1000] [--limit 600]

Time: ours and the floor in turn, in this process, on vectors in memory; ratios are of the shortest times and the median
of each turn's. `tma_rounds` takes unit vectors; `arrange_embeddings` checks and normalises what it is given, too.
Peaks: in processes of their own, resident memory above what was resident once the vectors were there. Rivals: once, in
a process of their own, to the end of the pool, noting when each budget is reached; stopped at --limit seconds.
Writes arrange.json after every pool.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray

from machine import blas, parser, save
from righttime import arrange_embeddings
from righttime.arrangement import tma_rounds
from rivals import one_product, one_product_bytes, released, released_bytes
from trials import Outcome, Vectors, Watch, alone, clustered, in_turn, profile, ratio, real

SIZES = (20_000, 100_000, 200_000, 1_000_000)
EXTRA = {200_000: [10_000], 1_000_000: [30_000]}
"""Budgets beside 1%, 10% and all."""
BLOCKS = (256, 512, 1024, 2048, 4096)
RIVALS = {"released": (released, released_bytes), "one_product": (one_product, one_product_bytes)}


def floor(pool: Vectors, target: Vectors, block_rows: int, side_by_side: bool) -> None:
    """Every product of a target row with a pool row, in blocks, each thread's all into the same place.

    Args:
        pool: float32, shape (n, d).
        target: float32, shape (m, d).
        block_rows: Pool rows of one product.
        side_by_side: Whether every thread multiplies blocks of its own, or BLAS shares out each product.
    """
    threads = int(blas()["threads"]) if side_by_side else 1

    def every(first: int) -> None:
        out = np.empty((len(target), block_rows), dtype=np.float32)
        for start in range(first * block_rows, len(pool), threads * block_rows):
            block = pool[start : start + block_rows]
            np.matmul(target, block.T, out=out if len(block) == block_rows else out[:, : len(block)])

    if not side_by_side:
        every(0)
        return
    with threadpoolctl.threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(threads) as workers:
        list(workers.map(every, range(threads)))


def best_floor(pool: Vectors, target: Vectors) -> tuple[Callable[[], object], dict[str, Any]]:
    """The fastest floor here, and what all of them took."""
    ways = [(block, beside) for block in BLOCKS if block <= len(pool) for beside in (False, True)]
    floors = {way: partial(floor, pool, target, *way) for way in ways}
    tried = {way: min(times) for way, times in in_turn(floors, 3, 30).items()}
    best = min(tried, key=tried.__getitem__)
    told = [{"block_rows": way[0], "side_by_side": way[1], "seconds": seconds} for way, seconds in tried.items()]
    return floors[best], {"block_rows": best[0], "side_by_side": best[1], "tried": told}


def rounds(pool: Vectors, target: Vectors, budget: int) -> int:
    """Play rounds until the budget is reached; how many it took."""
    count = 0
    for number, played in enumerate(tma_rounds(pool, target, expected_rows=budget)):
        count += len(played.rows)
        if count >= budget:
            return number + 1
    raise AssertionError("the pool is smaller than the budget")


def whole(pool: Vectors, target: Vectors, budget: int) -> int:
    """The whole call, from vectors to an arrangement; how many rounds it took."""
    found = arrange_embeddings(pool, target, method="tma", budget=budget).round
    assert found is not None
    return int(found[-1]) + 1


def ours_alone(watch: Watch, folder: str, budget: int, name: str) -> int:
    pool, target = _loaded(folder)
    watch.begin()
    return rounds(pool, target, budget) if name == "rounds" else whole(pool, target, budget)


def rival_alone(watch: Watch, folder: str, budgets: list[int], name: str) -> dict[str, int]:
    """The rival's rounds to the end; tells every ten seconds or so, and at each budget."""
    pool, target = _loaded(folder)
    watch.begin()
    count, number, waiting = 0, 0, sorted(budgets)
    for number, chosen in enumerate(RIVALS[name][0](pool, target), 1):
        count += len(chosen)
        reached = [budget for budget in waiting if budget <= count]
        waiting = waiting[len(reached) :]
        watch.tell(rounds=number, rows=count, reached=reached)
    return {"rounds": number, "rows": count}


def _loaded(folder: str) -> Iterator[Vectors]:
    return (np.load(Path(folder) / f"{side}.npy") for side in ("pool", "target"))


def rival(folder: str, name: str, shape: tuple[int, int], budgets: list[int], limit_s: float) -> dict[str, Any]:
    """When a rival reached each budget, or that it did not, and why."""
    needs = RIVALS[name][1](*shape) + sum(file.stat().st_size for file in Path(folder).iterdir())
    found = alone(rival_alone, folder, budgets, name, limit_s=limit_s, needs_bytes=needs, name=name)
    reached = {budget: told["seconds"] for told in found.told for budget in told["reached"]}
    last = found.told[-1] if found.told else {"rounds": 0, "rows": 0}
    return {
        "finished": found.finished,
        "reason": found.reason,
        "seconds": {str(budget): reached.get(budget) for budget in budgets},
        "rounds_done": last["rounds"],
        "rows_done": last["rows"],
        "peak_mib": found.peak_mib,
        "matrix_mib": 4 * shape[0] * shape[1] / 2**20,
    }


def budget_row(
    pool: Vectors, target: Vectors, budget: int, base: Callable[[], object], folder: str, turns: int
) -> dict[str, Any]:
    works: dict[str, Callable[[], object]] = {
        "floor": base,
        "rounds": partial(rounds, pool, target, budget),
        "whole": partial(whole, pool, target, budget),
    }
    seconds = in_turn(works, turns)
    peaks: dict[str, Outcome] = {}
    for name in ("rounds", "whole"):
        peaks[name] = alone(ours_alone, folder, budget, name, name=f"{name}, budget {budget:,},")
    return {
        "budget": budget,
        "seconds": seconds,
        "rounds": peaks["rounds"].result,
        "to_floor": {name: ratio(seconds[name], seconds["floor"]) for name in ("rounds", "whole")},
        "peak_mib": {name: found.peak_mib for name, found in peaks.items()},
        "profile": profile(works["rounds"]) if budget == len(pool) else None,
        "not_finished": {name: found.reason for name, found in peaks.items() if not found.finished},
    }


def measured(
    label: str, pool: Vectors, target: Vectors, budgets: list[int], args: argparse.Namespace
) -> dict[str, Any]:
    """One pool: the floor's best block, every budget, both rivals."""
    print(f"{label}: {len(pool):,} x {len(target):,} x {pool.shape[1]}", flush=True)
    base, how = best_floor(pool, target)
    with tempfile.TemporaryDirectory() as folder:
        for side, vectors in (("pool", pool), ("target", target)):
            np.save(Path(folder) / f"{side}.npy", vectors)
        rows = []
        for budget in budgets:
            rows.append(budget_row(pool, target, budget, base, folder, args.turns))
            show(rows[-1])
        shape = (len(pool), len(target))
        others = {name: rival(folder, name, shape, budgets, args.limit) for name in RIVALS}
    for name, other in others.items():
        print(f"  {name}: {other['seconds']}, {other['rounds_done']} rounds; {other['reason'] or 'finished'}")
    return {
        "vectors": label,
        "pool": len(pool),
        "target": len(target),
        "dimensions": pool.shape[1],
        "floor": how,
        "rows": rows,
        "rivals": others,
        "rival_limit_s": args.limit,
    }


def show(row: dict[str, Any]) -> None:
    best = {name: min(times) for name, times in row["seconds"].items()}
    print(
        f"  budget {row['budget']:>9,}: floor {best['floor']:.2f} s, rounds {best['rounds']:.2f} s "
        f"(x {row['to_floor']['rounds']['of_best']:.2f}, {row['peak_mib']['rounds'] or 0:.0f} MiB), "
        f"whole call {best['whole']:.2f} s (x {row['to_floor']['whole']['of_best']:.2f}, "
        f"{row['peak_mib']['whole'] or 0:.0f} MiB)",
        flush=True,
    )


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    made.add_argument("--target", type=int, default=1000)
    made.add_argument("--turns", type=int, default=5)
    made.add_argument("--limit", type=float, default=600.0, help="seconds that each run of a rival may take")
    args = made.parse_args()
    if args.quick:
        args.sizes, args.target, args.turns, args.limit = [5_000, 20_000], 200, 2, min(args.limit, 10.0)
    pools: list[dict[str, Any]] = []
    given = real()
    sources: list[tuple[str, Callable[[], tuple[NDArray[np.float32], NDArray[np.float32]]]]] = [
        ("clustered", partial(clustered, size, args.target)) for size in args.sizes
    ]
    if given is not None:
        sources.insert(1, ("NIV2", lambda: given))
    for label, source in sources:
        pool, target = source()
        budgets = [len(pool) // 100, *EXTRA.get(len(pool), []), len(pool) // 10, len(pool)]
        pools.append(measured(label, pool, target, sorted(budgets), args))
        save(args.results, "arrange", {"pools": pools})
        del pool, target


if __name__ == "__main__":
    main()
