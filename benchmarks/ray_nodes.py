"""The same job on 1 and 3 simulated Ray nodes, with one killed by SIGKILL on the way, against the CPU engine.

    python benchmarks/ray_nodes.py [--pool 100000] [--target 500]

All nodes are processes of this machine and share its cores, so times show what the way over Ray costs, not what more
machines gain. The node that is killed holds a shard: all its processes get SIGKILL once a shard has answered.
The pool's vectors lie in a .npy file and are not of length 1. They are given as an array, which the driver normalises
and hands out, or mapped, so that each shard reads its own rows. Of the driver, RssAnon of /proc is looked at 500 times
a second; the object store is that of all nodes once shards have answered. Results are compared as the bytes of
arrangement.parquet. Writes ray_nodes.json.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from machine import parser, save
from righttime import arrange_embeddings
from righttime.choices import Engine
from righttime.neighbours import Progress
from righttime.neighbours.shards import ShardedSearch
from righttime.similarity import mapped_rows, unit_rows
from trials import Vectors, clustered, memory_kib

WAYS: dict[str, Literal["r"] | None] = {"handed out": None, "read by each": "r"}
"""How shards come by vectors, and how NumPy opens the file for that."""
STORE = 1 << 30
"""Bytes of each node's object store: all shards must fit into one, or Ray writes them to disk."""


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """So many nodes of one core each; this process is the driver, on the first."""
    import ray
    from ray.cluster_utils import Cluster

    each: dict[str, Any] = {"num_cpus": 1, "object_store_memory": STORE}
    made = Cluster(initialize_head=True, head_node_args={**each, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            made.add_node(**each)
        made.wait_for_nodes()
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
    return sum(map(is_shard, pids))


def is_shard(pid: int) -> bool:
    """Whether a process is a shard; one that has ended is none."""
    return _is_at(pid, "search")


AT_WORK = {"read": b"ray::_read", "embed": b"ray::BatchEmbedder", "search": b"ray::Shard"}
"""What Ray calls a process that does a stage's work: a task by its function, an actor by its class."""


def _is_at(pid: int, stage: str) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(AT_WORK[stage])
    except OSError:
        return False


def _used(pid: int) -> float:
    """Seconds of CPU that a process has used; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def killed(pids: list[int]) -> int:
    """Kill processes by SIGKILL; how many of them there still were."""
    found = 0
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
            found += 1
        except ProcessLookupError:
            continue
    return found


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
        self.processes = killed(pids) if self.shards else 0


class KillAtWork:
    """Kills one node in each stage, in their order, once a process of it is at that stage's work.

    Attributes:
        killed: By stage how many processes got SIGKILL, and how many of them were at work.
    """

    def __init__(self, cluster: Any, stages: Sequence[str], work: float) -> None:
        """Take a cluster, names of `AT_WORK`, and the seconds of CPU that a process has used when its node dies."""
        self.killed: dict[str, dict[str, int]] = {}
        self._nodes, self._stages, self._work = list(cluster.worker_nodes), list(stages), work
        self._done = threading.Event()
        self._looking = threading.Thread(target=self._look)

    def __enter__(self) -> KillAtWork:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._looking.join()

    def _look(self) -> None:
        while self._stages and not self._done.wait(0.05):
            for node in self._nodes:
                pids = processes_of(node)
                working = [pid for pid in pids if _is_at(pid, self._stages[0]) and _used(pid) >= self._work]
                if working:
                    self.killed[self._stages.pop(0)] = {"processes": killed(pids), "at_work": len(working)}
                    self._nodes.remove(node)
                    break


class Peak:
    """The most anonymous memory that this process has while this lasts, above what it had before, in MiB."""

    def __enter__(self) -> Peak:
        ctypes.CDLL(None).malloc_trim(0)  # what was let go before counts no more
        self.before = self.most = memory_kib("RssAnon")
        self._done = threading.Event()
        self._looking = threading.Thread(target=self._look)
        self._looking.start()
        return self

    def _look(self) -> None:
        while not self._done.wait(0.002):
            self.most = max(self.most, memory_kib("RssAnon"))

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._looking.join()
        self.mib = (self.most - self.before) / 1024


def stored_mib(pool: Path, target: Vectors, way: str) -> float:
    """What Ray's object store holds on all nodes while shards have their vectors."""
    import ray

    vectors = np.load(pool, mmap_mode=WAYS[way])
    search = ShardedSearch()
    shared = mapped_rows(vectors, "pool") if WAYS[way] else None
    search.nearest(unit_rows(vectors) if shared is None else shared.standing_in, target)
    time.sleep(3)  # nodes report what they hold from time to time
    whole, left = ray.cluster_resources(), ray.available_resources()  # type: ignore[no-untyped-call]
    return float(whole["object_store_memory"] - left["object_store_memory"]) / 2**20


def job(
    pool: Path, target: Vectors, budget: int | None, engine: Engine, way: str, progress: Progress | None = None
) -> dict[str, Any]:
    """Arrange; seconds, this process's peak of anonymous memory, and the sha256 of the result's file."""
    with Peak() as peak:
        start = time.perf_counter()
        vectors = np.load(pool, mmap_mode=WAYS[way])
        made = arrange_embeddings(vectors, target, budget=budget, engine=engine, progress=progress)
        seconds = time.perf_counter() - start
        del vectors
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arrangement.parquet"
        made.save(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"seconds": seconds, "driver_anonymous_mib": peak.mib, "sha256": digest}


def on_nodes(pool: Path, target: Vectors, budget: int | None, way: str, nodes: int, times: int) -> dict[str, Any]:
    start = time.perf_counter()
    with cluster(nodes):
        started = time.perf_counter() - start
        runs = [job(pool, target, budget, "ray", way) for _ in range(times)]
        stored = stored_mib(pool, target, way)
    return {"way": way, "nodes": nodes, "cluster_start_s": started, "object_store_mib": stored, "runs": runs}


def with_one_killed(pool: Path, target: Vectors, budget: int | None, way: str, nodes: int) -> dict[str, Any]:
    with cluster(nodes) as made:
        kill = KillOnce(list(made.worker_nodes))
        run = job(pool, target, budget, "ray", way, kill)
    killed = {"processes_killed": kill.processes, "shards_killed": kill.shards, "answers_of_shards": kill.reports}
    return {"way": way, "nodes": nodes, "runs": [run], **killed}


def write_pool(path: Path, vectors: Vectors) -> None:
    """The vectors at other lengths, a few rows at a time."""
    scale = np.random.default_rng(1).uniform(0.5, 2.0, size=(len(vectors), 1)).astype(np.float32)
    out = np.lib.format.open_memmap(path, "w+", np.float32, vectors.shape)
    for start in range(0, len(vectors), 4096):
        out[start : start + 4096] = vectors[start : start + 4096] * scale[start : start + 4096]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--pool", type=int, default=100_000)
    made.add_argument("--target", type=int, default=500)
    made.add_argument("--times", type=int, default=3)
    args = made.parse_args()
    if args.quick:
        args.pool, args.target, args.times = 10_000, 100, 1
    os.environ["RAY_TMPDIR"] = "/tmp"  # sockets may have paths of 107 characters at most
    jobs = []
    home = os.environ.get("HOME", "")
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HOME"] = temporary  # Ray writes a token there
        pool = Path(temporary) / "pool.npy"
        vectors, target = clustered(args.pool, args.target, repeated=0.02)
        write_pool(pool, vectors)
        del vectors
        for budget in (args.pool // 10, None):
            cpu = [job(pool, target, budget, "cpu", "read by each") for _ in range(args.times)]
            rows = []
            for way in WAYS:
                rows += [on_nodes(pool, target, budget, way, nodes, args.times) for nodes in (1, 3)]
                rows.append(with_one_killed(pool, target, budget, way, 3))
            for row in rows:
                row["same_bytes"] = all(run["sha256"] == cpu[0]["sha256"] for run in row["runs"])
                best, peak = (min(run[name] for run in row["runs"]) for name in ("seconds", "driver_anonymous_mib"))
                killed = ""
                if "processes_killed" in row:
                    killed = f", {row['processes_killed']} processes, {row['shards_killed']} shards killed"
                store = f"{row['object_store_mib']:.1f} MiB" if "object_store_mib" in row else "not looked at"
                print(
                    f"budget {budget or args.pool:,}, {row['way']}, {row['nodes']} nodes{killed}: {best:.2f} s ", end=""
                )
                print(f"(CPU engine {min(run['seconds'] for run in cpu):.2f} s), driver {peak:.0f} MiB, ", end="")
                print(f"object store {store}, same bytes: {row['same_bytes']}", flush=True)
            jobs.append({"budget": budget or args.pool, "cpu": cpu, "ray": rows})
    os.environ["HOME"] = home
    save(args.results, "ray_nodes", {"pool": args.pool, "target": args.target, "jobs": jobs})


if __name__ == "__main__":
    main()
