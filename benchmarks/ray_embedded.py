"""The driver's memory where a cluster embeds the pool: an arrangement on three simulated Ray nodes and on one machine.

    python benchmarks/ray_embedded.py [--pool 100000] [--target 200] [--characters 1000] [--dimensions 16 384]
    python benchmarks/ray_embedded.py --shards 24 --kill read embed search

The embedder draws a vector from the hash of each text, so that nothing but the way of texts and vectors weighs: with
384 numbers, and with 16 to see what all else takes. All nodes are processes of this machine, so times say little. Of
the driver, RssAnon of /proc is looked at 500 times a second, above what it had after a small arrangement of the same
kind, when all that is imported is; Ray's object store is asked twice a second what it holds. Results are compared as
the bytes of arrangement.parquet. Writes ray_embedded.json; with --kill, which kills a node that is at work in each of
these stages by SIGKILL, ray_embedded_killed.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from machine import parser, save
from ray_nodes import AT_WORK, KillAtWork, Peak, cluster
from righttime.choices import Engine
from righttime.pipeline import arrange_into
from righttime.results import Request
from trials import Vectors

NODES = 3
DIMENSIONS = (16, 384)


class Made:
    """Vectors by the hash of a text, not of length 1."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.identity: dict[str, str | int] = {"model": "made", "revision": str(dimensions), "max_length": 64}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [8] * len(texts)

    def embed(self, texts: Sequence[str]) -> Vectors:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
        return np.stack([np.random.default_rng(seed).standard_normal(self.dimensions, np.float32) for seed in seeds])


class Stored:
    """The most that Ray's object store holds on all nodes while this lasts, in MiB; nodes report it now and then."""

    mib = 0.0

    def __enter__(self) -> Stored:
        self._done = threading.Event()
        self._looking = threading.Thread(target=self._look)
        self._looking.start()
        return self

    def _look(self) -> None:
        import ray

        while not self._done.wait(0.5):
            whole, left = ray.cluster_resources(), ray.available_resources()  # type: ignore[no-untyped-call]
            held = float(whole["object_store_memory"] - left["object_store_memory"])
            self.mib = max(self.mib, held / 2**20)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._looking.join()


def write(folder: Path, name: str, rows: int, characters: int, shards: int = 1) -> None:
    """Rows that differ in a number, of about so many characters, in so many files."""
    more = ("word " * (characters // 5))[: max(0, characters - 30)]
    bounds = np.linspace(0, rows, shards + 1).astype(int).tolist()
    for shard, (start, stop) in enumerate(pairwise(bounds)):
        made = (
            {"id": f"{name}{n}", "prompt": f"what is {name} {n}? {more}", "response": f"{n}"}
            for n in range(start, stop)
        )
        with (folder / f"{name}-{shard:03}.jsonl").open("w") as file:
            file.writelines(json.dumps(row) + "\n" for row in made)


def job(folder: Path, pool: str, dimensions: int, engine: Engine) -> dict[str, Any]:
    """Arrange a tenth; seconds, the peaks of this process's anonymous memory and of what Ray stores, and the sha256."""
    out, cache = folder / f"{pool}-{dimensions}-{engine}", folder / f"cache-{pool}-{dimensions}-{engine}"
    request = Request(embedder=Made(dimensions), budget="10%", guard="off", engine=engine)
    with Stored() as stored, Peak() as peak:
        start, busy = time.perf_counter(), time.process_time()
        arrange_into(out, str(folder / f"{pool}-*.jsonl"), str(folder / "target-*.jsonl"), request, cache=cache)
        seconds, cpu = time.perf_counter() - start, time.process_time() - busy
    digest = hashlib.sha256((out / "arrangement.parquet").read_bytes()).hexdigest()
    took = {"seconds": seconds, "cpu_s": cpu}
    return {**took, "anonymous_mib": peak.mib, "object_store_mib": stored.mib, "sha256": digest}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--pool", type=int, default=100_000)
    made.add_argument("--target", type=int, default=200)
    made.add_argument("--characters", type=int, default=1000)
    made.add_argument("--dimensions", type=int, nargs="+", default=DIMENSIONS)
    made.add_argument("--shards", type=int, default=1, help="files of the pool; one alone is read by the driver")
    made.add_argument("--kill", nargs="+", choices=AT_WORK, default=[], help="in which stages a node dies, in order")
    made.add_argument("--work", type=float, default=1, help="seconds of CPU that a process has used when its node dies")
    args = made.parse_args()
    if args.quick:
        args.pool = 10_000
    os.environ["RAY_TMPDIR"] = "/tmp"  # sockets may have paths of 107 characters at most
    home, rows = os.environ.get("HOME", ""), []
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HOME"] = temporary  # Ray writes a token there
        folder = Path(temporary)
        for name, n in (("pool", args.pool), ("target", args.target), ("small", 1_000)):
            write(folder, name, n, args.characters, args.shards if name == "pool" else 1)
        with cluster(NODES + len(args.kill)) as nodes:
            for engine in ("cpu", "ray"):
                job(folder, "small", 8, engine)
            for dimensions in args.dimensions:
                here = job(folder, "pool", dimensions, "cpu")
                with KillAtWork(nodes, args.kill, args.work) as kill:
                    there = job(folder, "pool", dimensions, "ray")
                same = here["sha256"] == there["sha256"]
                row = {"dimensions": dimensions, "cpu": here, "ray": there, "same_bytes": same}
                rows.append({**row, "killed": kill.killed} if args.kill else row)
                print(
                    f"{args.pool:,} × {dimensions}: driver {there['anonymous_mib']:.0f} MiB, object store "
                    f"{there['object_store_mib']:.0f} MiB, {there['cpu_s']:.0f} s of CPU; one machine "
                    f"{here['anonymous_mib']:.0f} MiB, {here['cpu_s']:.0f} s of CPU; same bytes: {same}"
                    f"{f', killed: {kill.killed}' if args.kill else ''}",
                    flush=True,
                )
    os.environ["HOME"] = home
    sizes = {"pool": args.pool, "target": args.target, "characters": args.characters, "nodes": NODES + len(args.kill)}
    name = "ray_embedded_killed" if args.kill else "ray_embedded"
    save(args.results, name, {**sizes, "rows": rows})


if __name__ == "__main__":
    main()
