"""What ordering will take: on this machine, measured on a sample; on a Ray cluster, arithmetic from that."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import SelectionInput, method_named, tma_rounds
from righttime.arrangement.apart import apart_bytes
from righttime.arrangement.budget import rows_of
from righttime.arrangement.candidates import AHEAD, list_length
from righttime.arrangement.caps import Cap, Room, room_bytes
from righttime.arrangement.walking import times_walked
from righttime.cluster import started_ray, workers_of
from righttime.errors import SettingsError
from righttime.neighbours import ENGINES, search_here
from righttime.neighbours.kept import may_keep
from righttime.neighbours.nominate import NOMINEE_BYTES, affordable
from righttime.neighbours.shards import part_of, shards_of
from righttime.planning.stages import Stage, repeated, timed
from righttime.results import Request
from righttime.similarity import unit_rows

__all__ = ["MOST_NUMBERS", "Cluster", "cluster_of", "order_stages", "random_sides"]

NETWORK = 1.25e9
"""Bytes a second between machines: 10 Gbit/s Ethernet. Assumed."""
GPU_RATE = 10e12
"""Multiplications a second of one GPU, in float32. Assumed."""
MOST_NUMBERS = 1 << 26
"""Of the sampled vectors of a side: 256 MiB."""

_MULTIPLICATIONS = 2e10  # of the searched sample: about a second
_MOST_ROWS = 1 << 16
_WALKED = 4096  # rows taken, at least, to tell how long one takes
_PLACE_BYTES = 32  # of a place of the order: row, round, picker, similarity, distance
_SENT_BYTES, _MERGED_BYTES = 8, 64  # of a nominee on the way to the driver, and there at the peak of merging
_BLOCK_BYTES = 1 << 24  # of products and pairs, for each thread
_WORKER_BYTES = 200 << 20  # of a Ray worker that has imported NumPy and this package

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Cluster:
    """The machines of a Ray cluster.

    Attributes:
        nodes: How many machines.
        cores: Of all of them.
        gpus: The same.
        told: How that is known.
    """

    nodes: int
    cores: int
    gpus: int
    told: str

    @property
    def shards(self) -> int:
        """How many actors hold the pool: one for each GPU, else for each core."""
        return self.gpus or self.cores


def cluster_of(nodes: int | None) -> Cluster:
    """The cluster to plan for.

    Args:
        nodes: So many machines like this one; None asks the cluster of ``RAY_ADDRESS``, or takes this machine.

    Raises:
        SettingsError: If `nodes` is less than 1.
    """
    cores = os.cpu_count() or 1
    if nodes is not None:
        if nodes < 1:
            raise SettingsError(f"`nodes` must be at least 1, got {nodes}.", setting="nodes")
        return Cluster(nodes, nodes * cores, 0, f"{nodes:,} nodes ASSUMED like this machine, {cores} cores each")
    if not os.environ.get("RAY_ADDRESS"):
        return Cluster(1, cores, 0, f"this machine, {cores} cores")
    ray = started_ray()
    there = sum(bool(node["Alive"]) for node in ray.nodes())
    count, gpus = workers_of(ray)
    kind = "GPUs" if gpus else "cores"
    return Cluster(there, 0 if gpus else count, count if gpus else 0, f"RAY_ADDRESS: {there:,} nodes, {count:,} {kind}")


@dataclass(frozen=True)
class _Measured:
    """Seconds of one pass of products over all rows, of the walk along the lists, and what they were taken from."""

    one_pass: float
    walk: float
    on: str


def order_stages(
    n_pool: int,
    n_target: int,
    dimension: int,
    sides: tuple[Vectors, Vectors] | None,
    request: Request,
    nodes: int | None = None,
    asked: SelectionInput | None = None,
) -> list[Stage]:
    """The stages that order.

    Args:
        n_pool: Pool rows.
        n_target: Target rows.
        dimension: Of their vectors; 0 where the method needs none.
        sides: Some unit vectors of both sides to measure on; None takes random ones.
        request: The settings.
        nodes: With the engine ``ray``: how many machines; see `cluster_of`.
        asked: What the method is asked besides nearness: its budget, caps with the names of some rows, distance of
            rows of a round, weights of target rows. None: the request's budget alone.
    """
    if nodes is not None and not ENGINES[request.engine].cluster:
        raise SettingsError(f"`nodes` is for `engine='ray'`, got it with {request.engine}.", setting="nodes")
    method = method_named(request.method)
    look = method.looks
    if not dimension or look is None:
        return [Stage("order", 1, None, 0, 0, f"{request.method} takes {method.cost}; not measured")]
    budget, on = _budget(request, n_pool, asked), sides or random_sides(n_pool, n_target, dimension)
    measured = _measured(n_pool, n_target, on, look, request, "given" if sides else "random", asked)
    wanted = min(n_pool, list_length(budget, n_target))
    fits = affordable(wanted, request.memory, n_target)
    passes, times = method.passes, _times(asked, request.method, n_pool, budget)
    if look == "rounds":
        passes *= max(1, math.ceil(min(budget, n_pool) / max(1, fits // AHEAD * n_target)) if fits < wanted else 1)
    if ENGINES[request.engine].cluster:
        cluster = cluster_of(nodes)
        found = _on_ray(n_pool, n_target, dimension, request, cluster, measured, passes, fits, look, budget)
        return [repeated(one, times) if one.name in ("search", "merge") else one for one in found]
    lists = min(request.memory, NOMINEE_BYTES * fits * n_target) if look == "rounds" else 0
    note = f"exact; measured on {measured.on}"
    if look == "rounds" and budget > n_pool // 2:
        note += "; lists that run out are filled again by passes over what is left"
    seconds = measured.one_pass * _worth(passes, request.method) + measured.walk
    kept = look == "rounds" and may_keep(n_pool, n_target, request.memory)
    # Products that are kept are made where they stay, not in a block of each thread.
    passing = lists + (4 * n_pool * n_target if kept else _BLOCK_BYTES * (os.cpu_count() or 1))
    if asked is not None:
        passing += room_bytes(len(asked.caps), n_pool)
        passing += apart_bytes(n_pool, n_target, dimension) if asked.apart is not None else 0
    return [Stage("order", times * passes, times * seconds, _PLACE_BYTES * budget, 0, note, passing)]


def _worth(passes: int, method: str) -> float:
    """Passes over a pool that is used up, as passes over all of it."""
    walks = method_named(method).passes
    each = passes / walks
    return walks * (1 + (each - 1) / 2)


def random_sides(n_pool: int, n_target: int, dimension: int) -> tuple[Vectors, Vectors]:
    """Random unit vectors of both sides: as many as are searched in about a second."""
    most = max(1, MOST_NUMBERS // dimension)
    m = min(n_target, _MOST_ROWS // 4, most)
    n = min(n_pool, _MOST_ROWS, most, max(1024, int(_MULTIPLICATIONS / (m * dimension))))
    rng = np.random.default_rng(0)
    pool, target = (unit_rows(rng.standard_normal((rows, dimension), dtype=np.float32)) for rows in (n, m))
    return pool, target


def _times(asked: SelectionInput | None, method: str, n_pool: int, budget: int) -> int:
    """How often a method that knows nothing of caps is asked, each time for more rows."""
    if asked is None or not asked.caps or method_named(method).caps_itself:
        return 1
    n = min(n_pool, _MOST_ROWS)
    caps = [dataclasses.replace(cap, names=_spread(cap.names or (), n)) for cap in _scaled(asked.caps, n / n_pool)]
    return times_walked(caps, n, -(-budget * n // n_pool))


def _budget(request: Request, n_pool: int, asked: SelectionInput | None) -> int:
    return (rows_of(request.budget, n_pool) if asked is None else asked.budget) or n_pool


def _scaled(caps: Sequence[Cap], share: float) -> list[Cap]:
    """The caps of so large a part of the rows."""
    return [dataclasses.replace(cap, most=max(1, round(float(cap.most) * share))) for cap in caps]


def _spread(column: Sequence[Any], n: int) -> list[Any]:
    """A column of n rows that are like those that are known."""
    return [column[place] for place in np.linspace(0, len(column) - 1, n).astype(int).tolist()]


def _measured(
    n_pool: int,
    n_target: int,
    sides: tuple[Vectors, Vectors],
    look: str,
    request: Request,
    kind: str,
    asked: SelectionInput | None,
) -> _Measured:
    pool, target = sides
    target = target[: max(1, int(_MULTIPLICATIONS / (1024 * pool.shape[1])))]
    pool = pool[:: max(1, round(len(pool) * target.size / _MULTIPLICATIONS))]
    search = search_here(request.engine, memory=request.memory)
    larger, wider = n_pool / len(pool), n_target / len(target)
    on = f"{len(pool):,} {kind} rows" + (f" and {len(target):,} target rows" if wider > 1 else "")
    if look == "nearest":
        return _Measured(_best(lambda: search.nearest(pool, target)) * larger * wider, 0.0, on)
    budget = _budget(request, n_pool, asked)
    share = min(len(pool), max(_WALKED, budget * len(pool) // n_pool))
    wanted = min(len(pool), list_length(share, len(target)))

    how: dict[str, Any] = {}
    caps: list[Cap] = []
    if asked is not None:
        caps = _scaled(asked.caps, share / budget)
        caps = [dataclasses.replace(cap, names=_spread(cap.names or (), len(pool))) for cap in caps]
        how = {"apart": asked.apart, "weights": asked.target_weights and _spread(asked.target_weights, len(target))}

    def rounds() -> None:
        taken = 0
        room = Room(caps) if caps else None  # rooms fill up
        for one in tma_rounds(pool, target, expected_rows=share, search=search, room=room, **how):
            taken += len(one.rows)
            if taken >= share:
                return

    one_pass = _best(lambda: search.nominees(pool, target, wanted, None))
    walk = max(0.0, _best(rounds) - one_pass) / share * budget
    return _Measured(one_pass * larger * wider, walk * method_named(request.method).passes, on)


def _best(work: Callable[[], object]) -> float:
    return min(timed(work), timed(work))  # the first time wakes threads and touches memory


def _on_ray(
    n_pool: int,
    n_target: int,
    dimension: int,
    request: Request,
    cluster: Cluster,
    measured: _Measured,
    passes: int,
    fits: int,
    look: str,
    budget: int,
) -> list[Stage]:
    """Handing out, searching, merging and walking, each as `righttime.neighbours.shards` does it."""
    size = 4 * n_pool * dimension
    shards = shards_of(cluster.shards, n_pool)
    each = -(-shards // cluster.nodes)
    hand_out = Stage(
        "hand out",
        1,
        size * (cluster.nodes - 1) / cluster.nodes / NETWORK,
        size,
        0,
        f"{_gib(size)} from the driver to {shards:,} shards; {cluster.told}. ESTIMATE: 10 Gbit/s, assumed. The driver "
        "holds the vectors, and all shards in Ray's object store besides, unless each shard reads its rows, embedded "
        "or given, from files that all machines see",
    )
    here = os.cpu_count() or 1
    if cluster.gpus:
        one = n_pool * n_target * dimension / (GPU_RATE * cluster.gpus)
        rate = f"{GPU_RATE / 1e12:.0f} T multiplications/s a GPU, assumed"
    else:
        one = measured.one_pass * here / cluster.cores
        rate = f"{measured.on} on the {here} cores here, shared out over {cluster.cores:,}"
    part = part_of(fits, shards) if look == "rounds" else 0
    lists = each * min(request.memory, NOMINEE_BYTES * part * n_target)
    node = size // cluster.nodes + lists + each * (_WORKER_BYTES + _BLOCK_BYTES)
    search = Stage(
        "search",
        passes,
        one * _worth(passes, request.method),
        0,
        0,
        f"ESTIMATE: {rate}. Memory of each node: {_gib(node)}: vectors {_gib(size // cluster.nodes)}, lists "
        f"{_gib(lists)}, {each:,} processes of {_gib(_WORKER_BYTES + _BLOCK_BYTES)}",
    )
    sent = 2 * part * shards * n_target if look == "rounds" else 2 * n_pool
    marks = n_pool if passes > 1 else 0
    merge = Stage(
        "merge",
        passes,
        passes * (_SENT_BYTES * sent + marks) / NETWORK,
        0,
        0,
        f"ESTIMATE: {_gib(_SENT_BYTES * sent + marks)} to and from the driver a pass, at most; 10 Gbit/s, assumed",
        _MERGED_BYTES * sent,
    )
    note = f"on the driver alone, however many nodes; measured on {measured.on}"
    return [hand_out, search, merge, Stage("rounds", 1, measured.walk, _PLACE_BYTES * budget, 0, note)]


def _gib(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"
