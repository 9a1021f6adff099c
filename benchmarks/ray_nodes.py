"""The same job on 1, 2 and 3 simulated Ray nodes, with one killed by SIGKILL on the way, against the CPU engine.

    python benchmarks/ray_nodes.py [--pool 100000] [--target 500]

All nodes are processes of this machine and share its cores, so times show what the way over Ray costs, not what more
machines gain. The node that is killed holds a shard: all its processes get SIGKILL once a shard has answered.
Results are compared as the bytes of arrangement.parquet. Writes ray_nodes.json.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from machine import parser, save
from righttime import arrange_embeddings
from righttime.choices import Engine
from righttime.neighbours import Progress
from trials import Vectors, clustered, memory_kib


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """So many nodes of one core each; this process is the driver, on the first."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            made.add_node(num_cpus=1)
        ray.init(address=made.address, log_to_driver=False, logging_level=logging.ERROR)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()  # type: ignore[no-untyped-call]


def processes_of(node: Any) -> list[int]:
    """A node's raylet, all that it started, and what else the node runs, workers first."""
    own = [started.process.pid for kind in node.all_processes.values() for started in kind]
    parents = {int(path.name): _parent(path) for path in Path("/proc").glob("[0-9]*")}
    found, fresh = list(own), list(own)
    while fresh:
        fresh = [pid for pid, parent in parents.items() if parent in fresh and pid not in found]
        found += fresh
    return found[::-1]


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return 0


def shards_among(pids: list[int]) -> int:
    """How many of these processes are shards; Ray gives an actor's process the name of its class."""
    lines = [path.read_bytes() for pid in pids if (path := Path(f"/proc/{pid}/cmdline")).exists()]
    return sum(line.startswith(b"ray::Shard") for line in lines)


class KillOnce:
    """A progress callback that kills all processes of one node by SIGKILL, as soon as there is one with a shard."""

    def __init__(self, nodes: list[Any]) -> None:
        self.nodes, self.reports, self.processes, self.shards = nodes, 0, 0, 0

    def __call__(self, done: int) -> None:
        self.reports += 1
        if self.shards:
            return
        pids = max(map(processes_of, self.nodes), key=shards_among)
        self.shards = shards_among(pids)
        for pid in pids if self.shards else []:
            try:
                os.kill(pid, signal.SIGKILL)
                self.processes += 1
            except ProcessLookupError:
                continue


def job(
    pool: Vectors, target: Vectors, budget: int | None, engine: Engine, progress: Progress | None
) -> dict[str, Any]:
    """Arrange; seconds, the peak of this process above what was resident, and the sha256 of the result's file."""
    Path("/proc/self/clear_refs").write_text("5")
    before, start = memory_kib("VmRSS"), time.perf_counter()
    made = arrange_embeddings(pool, target, budget=budget, engine=engine, progress=progress)
    seconds = time.perf_counter() - start
    peak = (memory_kib("VmHWM") - before) / 1024
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrangement.parquet"
        made.save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"seconds": seconds, "driver_peak_mib": peak, "sha256": digest}


def on_nodes(pool: Vectors, target: Vectors, budget: int | None, nodes: int, times: int) -> dict[str, Any]:
    start = time.perf_counter()
    with cluster(nodes):
        started = time.perf_counter() - start
        runs = [job(pool, target, budget, "ray", None) for _ in range(times)]
    return {"nodes": nodes, "cluster_start_s": started, "runs": runs}


def with_one_killed(pool: Vectors, target: Vectors, budget: int | None, nodes: int) -> dict[str, Any]:
    with cluster(nodes) as made:
        kill = KillOnce(list(made.worker_nodes))
        run = job(pool, target, budget, "ray", kill)
    killed = {"processes_killed": kill.processes, "shards_killed": kill.shards, "answers_of_shards": kill.reports}
    return {"nodes": nodes, "runs": [run], **killed}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--pool", type=int, default=100_000)
    made.add_argument("--target", type=int, default=500)
    made.add_argument("--times", type=int, default=3)
    args = made.parse_args()
    if args.quick:
        args.pool, args.target, args.times = 10_000, 100, 1
    os.environ["RAY_TMPDIR"] = "/tmp"  # sockets may have paths of 107 characters at most
    pool, target = clustered(args.pool, args.target, repeated=0.02)
    jobs = []
    home = os.environ.get("HOME", "")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HOME"] = temporary  # Ray writes a token there
        for budget in (args.pool // 10, None):
            cpu = [job(pool, target, budget, "cpu", None) for _ in range(args.times)]
            rows = [on_nodes(pool, target, budget, nodes, args.times) for nodes in (1, 2, 3)]
            rows.append(with_one_killed(pool, target, budget, 3))
            for row in rows:
                row["same_bytes"] = all(run["sha256"] == cpu[0]["sha256"] for run in row["runs"])
                best = min(run["seconds"] for run in row["runs"])
                killed = ""
                if "processes_killed" in row:
                    killed = f", {row['processes_killed']} processes, {row['shards_killed']} shards killed"
                print(f"budget {budget or args.pool:,}, {row['nodes']} nodes{killed}: {best:.2f} s ", end="")
                print(f"(CPU engine {min(run['seconds'] for run in cpu):.2f} s), same bytes: {row['same_bytes']}")
            jobs.append({"budget": budget or args.pool, "cpu": cpu, "ray": rows})
    os.environ["HOME"] = home
    save(args.results, "ray_nodes", {"pool": args.pool, "target": args.target, "jobs": jobs})


if __name__ == "__main__":
    main()
