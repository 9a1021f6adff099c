"""How time and peak memory of TMA grow with the pool, the target, the dimension and the budget.

    python benchmarks/growth.py

One of the four at a time, the others as in the middle: 200,000 x 1,000 x 384, budget 10,000. Every point is a process
of its own; time is the shortest of three, the peak that of the first. The exponent is the slope of a straight line
through the logarithms (least squares). Writes growth.json.
"""

from __future__ import annotations

import time
from typing import Any

from arrange import floor, rounds
from machine import parser, save
from trials import Watch, alone, clustered, exponent

MIDDLE = {"pool": 200_000, "target": 1_000, "dimension": 384, "budget": 10_000}
POINTS = {
    "pool": (50_000, 100_000, 200_000, 400_000, 800_000),
    "target": (250, 500, 1_000, 2_000, 4_000),
    "dimension": (96, 192, 384, 768, 1_536),
    "budget": (2_000, 6_000, 20_000, 60_000, 200_000),
}
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
        done = [row for row in rows if row["reason"] is None]
        at = [row[name] for row in done]
        best = [min(row["seconds"]) for row in done]
        curve = {
            "grows": name,
            "points": rows,
            "time_exponent": exponent(at, best),
            "floor_exponent": exponent(at, [min(row["floor_s"]) for row in done]),
            "peak_exponent": exponent(at, [row["peak_mib"] for row in done]),
        }
        curves.append(curve)
        for row in done:
            print(f"  {name} {row[name]:>9,}: {min(row['seconds']):.2f} s, {row['peak_mib']:.0f} MiB")
        print(f"{name}: time grows as its power {curve['time_exponent']:.2f}, peak {curve['peak_exponent']:.2f}")
    save(args.results, "growth", {"middle": middle, "curves": curves})


if __name__ == "__main__":
    main()
