"""What `righttime plan` says beside what `righttime arrange` takes: time and memory, for pools of several sizes.

    python benchmarks/planned.py [--rows 10000 50000 200000 1000000]

The pools are those of made_pool.py as JSONL, with given vectors; budget 10%, `--guard off`, one thread. First the plan,
then the arrangement it is of, each a process of its own. Times are CPU times, so that other work on the machine does
not count: the plan is made with a clock that counts those of its process and of what it starts. Those of the
arrangement are of all of it, imports included, as the plan's are. Peaks are those of the process: anonymous memory, and
resident with files mapped. The plan's is of what must be there: the anonymous memory and the libraries, whose files are
mapped too; how much these are is what a pool of 100 rows has mapped. Writes planned.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import parser, save
from made_pool import make_pool
from whole_way import measured, words_of

SIZES = (10_000, 50_000, 200_000, 1_000_000)
RIGHTTIME = (sys.executable, "-m", "righttime.cli")
PLAN = """
import resource, sys, time
def used(of): return sum(resource.getrusage(of)[:2])
time.perf_counter = lambda: used(resource.RUSAGE_SELF) + used(resource.RUSAGE_CHILDREN)
from righttime.cli import main
sys.exit(main(sys.argv[1:]))
"""


def settings_of(folder: Path, rows: int) -> list[str]:
    """A pool of that size, and the words for it."""
    (pool,) = make_pool(folder, rows)
    return words_of(folder, pool, rows // 10)


def arranged(folder: Path, words: list[str]) -> dict[str, Any]:
    """The arrangement."""
    return measured([*RIGHTTIME, "arrange", *words, "--out", str(folder / "out"), "--overwrite"], folder / "cache")


def libraries() -> float:
    """MiB of files that an arrangement of next to nothing has mapped."""
    with tempfile.TemporaryDirectory() as folder:
        run = arranged(Path(folder), settings_of(Path(folder), 100))
    return float(run["resident_mib"] - run["anonymous_mib"])


def compared(folder: Path, rows: int) -> dict[str, Any]:
    """The plan and the arrangement of a pool of that size."""
    words = settings_of(folder, rows)
    held = {**os.environ, "OMP_NUM_THREADS": "1", "RIGHTTIME_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    said = subprocess.run(
        [sys.executable, "-c", PLAN, "plan", *words, "--json"], capture_output=True, env=held, check=True
    )
    plan = json.loads(said.stdout)
    run = arranged(folder, words)
    stages = {stage["name"]: stage["seconds"] for stage in plan["stages"]}
    return {
        "rows": rows,
        "planned_s": plan["seconds"],
        "planned_stages_s": stages,
        "planned_mib": plan["memory"] / 2**20,
        "run": run,
        "load": os.getloadavg()[0],
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, nargs="+", default=list(SIZES))
    args = made.parse_args()
    pools, mapped = [], libraries()
    for rows in [5_000] if args.quick else args.rows:
        with tempfile.TemporaryDirectory() as folder:
            pools.append(compared(Path(folder), rows))
        one = pools[-1]
        print(
            f"{rows:,} rows: planned {one['planned_s']:.2f} s and {one['planned_mib']:.0f} MiB, took "
            f"{one['run']['cpu_s']:.2f} s, {one['run']['anonymous_mib']:.0f} MiB anonymous and "
            f"{one['run']['resident_mib']:.0f} MiB resident, load {one['load']:.2f}",
            flush=True,
        )
        save(args.results, "planned", {"libraries_mib": mapped, "pools": pools})


if __name__ == "__main__":
    main()
