"""How time and peak memory of TMA grow with the pool, the target, the dimension and the budget.

    python benchmarks/growth.py

One of the four at a time, the others as in the middle: 200,000 x 1,000 x 384, budget 10,000. Every point is a process
of its own; time is the shortest of three, the peak that of the first. The exponent is the slope of a straight line
through the logarithms (least squares), with its 95% interval. None is given where the points are too few, their sizes
too near, their values too small, or the line too poor (`trials.growth`), as with --quick. Writes growth.json.
"""

from __future__ import annotations

import time
from typing import Any

from arrange import floor, rounds
from machine import parser, save
from trials import Growth, Watch, alone, clustered, growth

MIDDLE = {"pool": 200_000, "target": 1_000, "dimension": 384, "budget": 10_000}
POINTS = {
    "pool": (50_000, 100_000, 200_000, 400_000, 800_000),
    "target": (250, 500, 1_000, 2_000, 4_000),
    "dimension": (96, 192, 384, 768, 1_536),
    "budget": (2_000, 6_000, 20_000, 60_000, 200_000),
}
LEAST_S, LEAST_MIB = 0.05, 16.0
"""Shorter times and smaller peaks are fixed costs and noise, of which no power can be told."""

_BLOCK = 1024


def point(watch: Watch, sizes: dict[str, int], times: int) -> dict[str, Any]:
    """Seconds of each of so many times, ours and the floor in turn; and the peak of ours the first time."""
    pool, target = clustered(sizes["pool"], sizes["target"], sizes["dimension"])
    watch.begin()
    seconds: list[float] = []
    floors: list[float] = []
    peak = 0.0
    for _ in range(times):
        start = time.perf_counter()
        number = rounds(pool, target, sizes["budget"])
        seconds.append(time.perf_counter() - start)
        peak = peak or watch.peak_mib()
        start = time.perf_counter()
        floor(pool, target, _BLOCK, side_by_side=True)
        floors.append(time.perf_counter() - start)
    return {"seconds": seconds, "floor_s": floors, "peak_mib": peak, "rounds": number}


def fits(grows: str, points: list[dict[str, Any]]) -> dict[str, Growth]:
    """The powers that time, the floor's time and the peak grow with, over the points that were measured."""
    done = [point for point in points if point["reason"] is None]
    sizes = [point[grows] for point in done]
    return {
        "time": growth(sizes, [min(point["seconds"]) for point in done], LEAST_S),
        "floor": growth(sizes, [min(point["floor_s"]) for point in done], LEAST_S),
        "peak": growth(sizes, [point["peak_mib"] for point in done], LEAST_MIB),
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--times", type=int, default=3)
    args = made.parse_args()
    scale = 20 if args.quick else 1
    middle = {name: size if name == "dimension" else size // scale for name, size in MIDDLE.items()}
    curves = []
    for name, points in POINTS.items():
        rows = []
        for size in points:
            sizes = {**middle, name: size if name == "dimension" else size // scale}
            found = alone(point, sizes, args.times, name=f"{name} {sizes[name]:,}")
            rows.append({**sizes, **(found.result or {}), "reason": found.reason})
            if found.finished:
                print(f"  {name} {sizes[name]:>9,}: {min(rows[-1]['seconds']):.2f} s, {rows[-1]['peak_mib']:.0f} MiB")
        curves.append({"grows": name, "points": rows})
        print(f"{name}: powers of " + ", ".join(f"{what} {fit}" for what, fit in fits(name, rows).items()), flush=True)
    save(args.results, "growth", {"middle": middle, "curves": curves})


if __name__ == "__main__":
    main()
