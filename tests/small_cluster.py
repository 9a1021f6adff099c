"""Ray clusters on this machine, of one node or three, and a pool whose search they share."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from righttime.neighbours.shards import ShardedSearch
from righttime.similarity import unit_rows

__all__ = ["arranging", "cluster", "clustered", "losing_a_node", "one_node", "saved", "shard_pids"]


def clustered(n_pool: int = 6_000, n_target: int = 40, d: int = 32) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows task by task, a tenth of them twice."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(30, d))
    pool = np.sort(rng.integers(0, 30, size=n_pool))
    rows = centre[pool] + 0.5 * rng.normal(size=(n_pool, d))
    rows[::10] = rows[1::10]
    return unit_rows(rows), unit_rows(centre[rng.integers(0, 30, size=n_target)] + 0.5 * rng.normal(size=(n_target, d)))


@pytest.fixture(scope="module")
def cluster(ray_home: str) -> Iterator[Any]:
    """Three nodes on this machine."""
    import ray
    from ray.cluster_utils import Cluster

    home = os.environ.get("HOME")
    os.environ["HOME"] = ray_home
    os.environ["RAY_TMPDIR"] = "/tmp"  # sockets may have paths of 107 characters at most
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    made.add_node(num_cpus=1)
    # The cluster's processes find the tests' modules where this one does.
    paths = {"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}}
    ray.init(address=made.address, log_to_driver=False, logging_level=logging.ERROR, runtime_env=paths)
    yield made
    ray.shutdown()
    made.shutdown()  # type: ignore[no-untyped-call]
    if home is not None:
        os.environ["HOME"] = home


@pytest.fixture(scope="module")
def one_node(tmp_path_factory: pytest.TempPathFactory, ray_home: str) -> Iterator[None]:
    """This machine."""
    import ray

    # The cluster's processes find the tests' modules where this one does.
    paths = {"env_vars": {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}}
    folder = str(tmp_path_factory.mktemp("ray"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", ray_home)
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=paths, _temp_dir=folder)
        yield
        ray.shutdown()


def arranging(folder: Path, n: int = 3_000) -> list[str]:
    """A command, all but its folder and engine, that arranges made rows by given vectors; both are made in a folder."""
    pool, target = clustered(n, 20)
    for name, vectors in (("pool", pool), ("target", target)):
        np.save(folder / f"{name}.npy", vectors)
        lines = (json.dumps({"prompt": f"What is {row}?", "response": f"{name} {row}"}) for row in range(len(vectors)))
        (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in lines))
    specs = ["--embedder", f"vectors:{folder}/pool.npy", "--target-embedder", f"vectors:{folder}/target.npy"]
    sides = [f"{folder}/pool.jsonl", "--target", f"{folder}/target.jsonl"]
    return ["arrange", *sides, *specs, "--guard", "off", "--memory", "64MiB", "--cache", f"{folder}/cache"]


def losing_a_node(cluster: Any) -> tuple[Callable[[int], None], list[int]]:
    """What takes a node away, which is added here, at the first progress that it is told; and all that it was told."""
    lost = cluster.add_node(num_cpus=2)
    told: list[int] = []

    def once(done: int) -> None:
        told.append(done)
        if len(told) == 1:
            cluster.remove_node(lost, allow_graceful=False)

    return once, told


def saved(arrangement: Any, path: Path) -> bytes:
    arrangement.save(path)
    return path.read_bytes()


def shard_pids(search: ShardedSearch) -> list[int]:
    """The processes of a search's actors."""
    import ray

    pids: list[int] = ray.get([actor.__ray_call__.remote(lambda _: os.getpid()) for actor in search._actors])
    return pids
