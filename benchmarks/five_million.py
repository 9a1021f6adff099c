"""Five million rows in 40 Parquet shards, arranged with given vectors, beside `datasets` and DuckDB reading the shards.

    pip install duckdb
    python benchmarks/five_million.py [--folder FOLDER] [--rows 5000000] [--budget 50000] [--targets 1000]

Needs 12 GB of disk and RIGHTTIME_DATA. The pool is made_pool.py's; --folder keeps it for another time. Each way is a
process of its own on all cores, once: its time and CPU time, and how much of its memory was anonymous at the peak, 100
times a second. The stages are those that `arrange` counts on stderr; what lies between them is the rest. `datasets`
turns the shards into its own files, as `load_dataset` does; DuckDB reads every text and adds up their lengths. Writes
five_million.json.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import parser, save
from made_pool import make_pool
from whole_way import READ, measured, words_of

ARRANGE = """
import contextlib, json, sys, time
import righttime.progress as progress
counting, took, began = progress.counting, {}, time.monotonic()
@contextlib.contextmanager
def timed(label, *args, **settings):
    start = time.monotonic()
    with counting(label, *args, **settings) as tell:
        yield tell
    stage = label.split()[0]
    took[stage] = took.get(stage, 0) + time.monotonic() - start
progress.counting = timed
from righttime.cli import main
sys.argv[0] = "righttime"
try:
    main()
finally:
    took["all"] = time.monotonic() - began
    print("\\n" + json.dumps(took))
"""
DUCK = """
import sys, duckdb
texts = " + ".join(f"length({name})" for name in ("id", "prompt", "response"))
print(duckdb.sql(f"select count(*), sum({texts}) from '{sys.argv[1]}'").fetchall())
"""


def ways(folder: Path, shards: str, budget: int) -> dict[str, dict[str, Any]]:
    """Each once."""
    arrange = ["arrange", *words_of(folder, shards, budget), "--out", str(folder / "out"), "--overwrite"]
    found = {}
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        for name, command in {
            "arrange": [ARRANGE, *arrange],
            "datasets": [READ, "parquet", shards, cache],
            "duckdb": [DUCK, shards],
        }.items():
            found[name] = measured([sys.executable, "-c", *command], folder / "cache", threads=None)
            said = found[name].pop("said")
            if name == "arrange":
                found[name]["stages"] = json.loads(said.splitlines()[-1])
            print(name, found[name], f"load {os.getloadavg()[0]:.2f}", flush=True)
    return found


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, default=5_000_000)
    made.add_argument("--budget", type=int, default=50_000)
    made.add_argument("--targets", type=int, default=1_000)
    made.add_argument("--shards", type=int, default=40)
    made.add_argument("--folder", type=Path, help="where the pool is made, or lies already")
    args = made.parse_args()
    rows, budget = (20_000, 200) if args.quick else (args.rows, args.budget)
    with tempfile.TemporaryDirectory() as place:
        folder = args.folder or Path(place)
        if not (folder / "target.npy").exists():
            make_pool(folder, rows, shards=args.shards, container="parquet", targets=args.targets)
        shards = sorted(folder.glob("pool-*.parquet"))
        found = ways(folder, str(folder / "pool-*.parquet"), budget)
        size = {"shards": len(shards), "bytes": sum(file.stat().st_size for file in shards)}
        asked = {"rows": rows, "targets": args.targets, "budget": budget, **size}
        save(args.results, "five_million", {**asked, "ways": found})


if __name__ == "__main__":
    main()
