"""A Ray cluster of three nodes on this machine, and a pool whose search it shares."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from righttime.neighbours.shards import ShardedSearch
from righttime.similarity import unit_rows

__all__ = ["cluster", "clustered", "saved", "shard_pids"]


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


def saved(arrangement: Any, path: Path) -> bytes:
    arrangement.save(path)
    return path.read_bytes()


def shard_pids(search: ShardedSearch) -> list[int]:
    """The processes of a search's actors."""
    import ray

    pids: list[int] = ray.get([actor.__ray_call__.remote(lambda _: os.getpid()) for actor in search._actors])
    return pids
