"""The guard's command and decontaminate, on the same rows, each a process of its own, turn about.

    python benchmarks/guard_speed.py --decontaminate PYTHON

PYTHON is a Python of version 3.12 or later that has decontaminate (PyPI). Both read the rows from JSONL files and write
what they find; ours runs both tests of texts. 100,000 made rows × 1,000 target rows of which half were put into the
pool in some changed form, and NIV2 where RIGHTTIME_DATA has it. Other work on the machine changes the wall time more
than the processor's. Writes guard_speed.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pyarrow.parquet as pq

import guard as planting
import guard_plants as plants
from guard_plants import Row
from machine import parser, save
from trials import data_folder

RIVAL = """
import sys, decon
print(decon.detect(decon.Config(sys.argv[1] + "/train", sys.argv[1] + "/evals", sys.argv[1] + "/report")))
"""
LAUNCH = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, code, used = os.wait4(process.pid, 0)
print(json.dumps([time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
sys.exit(os.waitstatus_to_exitcode(code) != 0)
"""
NO_LEAK = set(plants.NO_LEAK)


@dataclass(frozen=True)
class Turn:
    """What one process took."""

    wall: float
    processor: float
    peak_mib: float


def measured(command: Sequence[str], **environment: str) -> Turn:
    """Run a command; its own time and memory, taken by a small process: a child starts with its parent's peak."""
    environment = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-S", "-c", LAUNCH, *command], stdout=subprocess.PIPE, env=environment)
    if done.returncode:
        sys.exit(f"{command[0]} ended with exit code {done.returncode}")
    return Turn(*json.loads(done.stdout))


def lay_out(folder: Path, pool: Sequence[Row], target: Sequence[Row]) -> int:
    """Write the rows in the form of each; how many bytes the pool has in ours."""
    for name in ("train", "evals"):
        (folder / name).mkdir(parents=True)
    _lines(folder / "pool.jsonl", [planting.turns_of(row) for row in pool])
    _lines(folder / "target.jsonl", [planting.turns_of(row) for row in target])
    texts = ("\n".join(turn["content"] for turn in planting.turns_of(row)["messages"]) for row in pool)
    _lines(folder / "train" / "pool.jsonl", [{"text": text} for text in texts])
    asked = [{"question": row["prompt"], "answer": row["response"], "passage": None} for row in target]
    named = {"eval_key": "target", "split": "test", "is_correct": True}
    about = [{"doc_id": n, "eval_instance_index": n, "fingerprint": str(n)} for n in range(len(target))]
    _lines(folder / "evals" / "target.jsonl", [{**named, **a, **b} for a, b in zip(asked, about, strict=True)])
    return (folder / "pool.jsonl").stat().st_size


def _lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def raced(name: str, made: planting.Planted, python: str, turns: int) -> dict[str, Any]:
    """Both, so many times, turn about."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        size = lay_out(folder, made.pool, made.target)
        ours = [sys.executable, "-m", "righttime.cli", "guard", str(folder / "pool.jsonl"), "--overwrite"]
        ours += ["--target", str(folder / "target.jsonl"), "--out", str(folder / "out")]
        took: dict[str, list[Turn]] = {"righttime guard": [], "decontaminate": []}
        for turn in range(turns):
            took["righttime guard"].append(measured(ours, OMP_NUM_THREADS="1"))
            took["decontaminate"].append(measured([python, "-c", RIVAL, place]))
            last = {way: f"{each[-1].processor:.1f} s" for way, each in took.items()}
            print(f"{name}, turn {turn + 1}: {last}, load {os.getloadavg()[0]:.2f}", flush=True)
        pairs = {"righttime guard": _ours(folder), "decontaminate": _theirs(folder)}
    planted = {(len(made.pool) - len(made.kinds) + k, row): kind for k, (kind, row) in enumerate(made.kinds)}
    return {
        "rows": name,
        "pool": len(made.pool),
        "target": len(made.target),
        "bytes_a_row": round(size / len(made.pool)),
        "planted": sum(kind not in NO_LEAK for kind in planted.values()),
        "near": sum(kind in NO_LEAK for kind in planted.values()),
        "ways": [_told(way, each, len(made.pool), planted, pairs[way]) for way, each in took.items()],
    }


def _ours(folder: Path) -> set[tuple[int, int]]:
    found = pq.read_table(folder / "out" / "leaks.parquet").to_pylist()
    return {(row["pool_row"], row["target_row"]) for row in found}


def _theirs(folder: Path) -> set[tuple[int, int]]:
    lines = [line for path in (folder / "report").glob("*.jsonl") for line in path.read_text().splitlines()]
    return {(row["training_line"], int(row["eval_instance_index"])) for row in map(json.loads, lines)}


def _told(
    way: str, turns: Sequence[Turn], rows: int, planted: dict[tuple[int, int], str], found: set[tuple[int, int]]
) -> dict[str, Any]:
    processor = [turn.processor for turn in turns]
    return {
        "way": way,
        "processor_seconds": processor,
        "wall_seconds": [turn.wall for turn in turns],
        "rows_per_s": rows / median(processor),
        "peak_mib": max(turn.peak_mib for turn in turns),
        "found": sum(kind not in NO_LEAK for pair, kind in planted.items() if pair in found),
        "near_found": sum(kind in NO_LEAK for pair, kind in planted.items() if pair in found),
        "pairs": len(found),
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--decontaminate", required=True, metavar="PYTHON", help="a Python that has decontaminate")
    made.add_argument("--turns", type=int, default=3)
    args = made.parse_args()
    pool, target = (2_000, 100) if args.quick else (100_000, 1_000)
    rows = plants.made_rows(pool - target // 2, "pool")
    sets = {"made": planting.plant(rows, plants.made_rows(target, "target"), "speed")}
    if (data_folder() / "niv2_vectors.npz").exists():
        known = planting.niv2(1_000 if args.quick else 1 << 30)
        assert known is not None
        sets["NIV2"] = planting.plant(known[0], known[1], "speed")
    raced_sets = [raced(name, one, args.decontaminate, args.turns) for name, one in sets.items()]
    save(args.results, "guard_speed", {"sets": raced_sets, "rival": _version(args.decontaminate)})


def _version(python: str) -> str:
    ask = "from importlib.metadata import version; print(version('decontaminate'))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
