"""The whole `arrange` with given vectors beside `datasets` reading the same file, each a process of its own.

    python benchmarks/whole_way.py [--rows 100000 500000] [--turns 1]

The pools are those of made_pool.py, as JSONL and as Parquet; budget 10,000, `--guard off`, one thread. CPU time is that
of the process, imports included; anonymous memory is RssAnon of /proc, looked at 100 times a second. The search alone,
`arrange_embeddings` on the mapped vectors, is timed in a third process, without its imports. Writes whole_way.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from machine import parser, save
from made_pool import make_pool

BUDGET = 10_000
WATCH = """
import json, os, subprocess, sys, threading, time
began = time.monotonic()
process, peak = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL), [0]
def watch():
    while True:
        try:
            with open(f"/proc/{process.pid}/status") as lines:
                peak[0] = max([peak[0], *(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))])
        except OSError:
            return
        time.sleep(0.01)
threading.Thread(target=watch, daemon=True).start()
said = process.stdout.read().decode()
_, code, used = os.wait4(process.pid, 0)
print(json.dumps({"wall_s": time.monotonic() - began, "cpu_s": used.ru_utime + used.ru_stime,
                  "anonymous_mib": peak[0] / 1024, "resident_mib": used.ru_maxrss / 1024,
                  "code": code, "said": said[-200:]}))
"""
READ = """
import sys, datasets
datasets.disable_progress_bars()
datasets.load_dataset(sys.argv[1], data_files=sys.argv[2], split="train", cache_dir=sys.argv[3])
"""
SEARCH = """
import sys, time, numpy as np, righttime
pool, target = (np.load(sys.argv[1] + f"/{side}.npy", mmap_mode="r") for side in ("pool", "target"))
righttime.arrange_embeddings(pool[:1000], target, budget=10)
start = time.process_time()
righttime.arrange_embeddings(pool, target, budget=int(sys.argv[2]))
print(time.process_time() - start)
"""


def words_of(folder: Path, pool: str | Path, budget: int) -> list[str]:
    """What `arrange` and `plan` are told of a pool that made_pool.py made in a folder."""
    vectors = [f"vectors:{folder / side}.npy" for side in ("pool", "target")]
    words = [str(pool), "--target", str(folder / "target.jsonl"), "--embedder", vectors[0]]
    return [*words, "--target-embedder", vectors[1], "--budget", str(budget), "--guard", "off"]


def measured(command: Sequence[str], cache: Path, threads: int | None = 1) -> dict[str, Any]:
    """Run a command on so many threads (None: as many as it takes), and see what it takes."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    held = dict.fromkeys(names, str(threads)) if threads else {}
    environment = {**os.environ, **held, "RIGHTTIME_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    watched = [sys.executable, "-S", "-c", WATCH, *command]
    done = json.loads(subprocess.run(watched, stdout=subprocess.PIPE, env=environment, check=True).stdout)
    if done.pop("code"):
        sys.exit(f"{command[0]} failed: {done['said']}")
    return dict(done)


def turn(folder: Path, pool: Path, container: str) -> dict[str, dict[str, Any]]:
    """Each once."""
    arrange = [sys.executable, "-m", "righttime.cli", "arrange", *words_of(folder, pool, BUDGET)]
    arrange += ["--out", str(folder / "out"), "--overwrite"]
    reader = "json" if container == "jsonl" else container
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        return {
            "arrange": measured(arrange, folder / "cache"),
            "datasets": measured([sys.executable, "-c", READ, reader, str(pool), cache], folder / "cache"),
            "search": measured([sys.executable, "-c", SEARCH, str(folder), str(BUDGET)], folder / "cache"),
        }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, nargs="+", default=[100_000, 500_000])
    made.add_argument("--turns", type=int, default=1)
    args = made.parse_args()
    pools = []
    for rows in [10_000] if args.quick else args.rows:
        for container in ("jsonl", "parquet"):
            with tempfile.TemporaryDirectory() as place:
                folder = Path(place)
                (pool,) = make_pool(folder, rows, container=container)
                turns = []
                for _ in range(args.turns):
                    turns.append(turn(folder, pool, container))
                    took = {
                        name: f"{one['cpu_s']:.2f} s, {one['anonymous_mib']:.0f} MiB" for name, one in turns[-1].items()
                    }
                    print(f"{rows:,} rows of {container}: {took}, load {os.getloadavg()[0]:.2f}", flush=True)
                pools.append({"rows": rows, "container": container, "bytes": pool.stat().st_size, "turns": turns})
    save(args.results, "whole_way", {"budget": BUDGET, "pools": pools})


if __name__ == "__main__":
    main()
