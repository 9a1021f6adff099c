"""A replicate on disk: its rows and their vectors, made once for all of its orders."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from righttime import strict_json
from righttime.embedding import DEFAULT_MODEL
from righttime.embedding.given import given_sides, kept_spec
from righttime.embedding.represent import of_meaning
from righttime.embedding.vectors import embedded, vectors_given
from righttime.errors import StoreError
from righttime.experiment.draws import JUDGE, Draw, Pools, as_line, draw_replicate, guarded_by_vectors
from righttime.experiment.layout import DRAW, VECTORS
from righttime.experiment.settings import Experiment
from righttime.locks import alone
from righttime.results import Request
from righttime.rows import ExampleRows, Rows
from righttime.similarity import unit_rows
from righttime.store import (
    as_written,
    cache_folder,
    clear_partial,
    file_sha256,
    ids_sha256,
    make_folder,
    write_bytes,
    write_json,
    write_lines,
)

__all__ = ["embedding_of", "prepare_replicate", "read_draw", "shared_embedding", "source_files"]


def shared_embedding(experiment: Experiment) -> dict[str, Any]:
    """The settings of embedding that most orders have in common."""
    wanted = [embedding_of(order.arranging) for order in experiment.orders.values()]
    return max(wanted, key=wanted.count)


def embedding_of(arranging: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings of an order that decide its vectors."""
    names = ("text", "embedder", "target_embedder", "max_length", "prefix", "device", "precision", "workers")
    return {name: arranging[name] for name in names if name in arranging}


def prepare_replicate(
    experiment: Experiment, pools: Callable[[], Pools], replicate: int, folder: Path, progress: bool = False
) -> None:
    """Write what a replicate drew, unless it is there.

    Args:
        experiment: The experiment.
        pools: Gives all rows, read once.
        replicate: Which, from 1.
        folder: Where.
        progress: Show progress on stderr.

    Raises:
        RighttimeError: If rows or vectors cannot be had.
    """
    make_folder(folder)
    with alone(folder / ".lock"):
        if (folder / DRAW).exists():
            return
        clear_partial(folder)  # of an experiment that was killed
        _check_inputs(pools(), folder)
        draw = draw_replicate(experiment, pools(), replicate)
        shared, seed = shared_embedding(experiment), experiment.seed + replicate
        vectors, about = _vectors(Request(**{"embedder": DEFAULT_MODEL, **shared}), pools(), draw, progress)
        if draw.guard is not None and of_meaning(about):  # gradients say nothing of meaning
            draw, vectors = _guarded(draw, vectors, seed)
        vectors |= {f"side.{name}": vectors.pop(name) for name in draw.side_pools}
        write_bytes(folder / VECTORS, save({name: np.ascontiguousarray(one) for name, one in vectors.items()}))
        sides = {"pool": draw.pool, "steer": draw.steer, JUDGE: draw.judge, **draw.sets, **draw.side_pools}
        for name, rows in sides.items():
            write_lines(folder / f"{name}.jsonl", map(as_line, rows.examples()))
        files = {path.name: file_sha256(path) for path in sorted(folder.glob("*.*")) if not path.name.startswith(".")}
        ids = {name: {"rows": len(rows), "ids_sha256": ids_sha256(rows.ids)} for name, rows in sides.items()}
        facts = {"replicate": replicate, "seed": seed, "counts": dict(draw.counts)}
        facts["sources"] = [[name, len([*some])] for name, some in groupby(draw.pool.sources)]
        facts |= {"side_pools": draw.side_counts} if draw.side_pools else {}
        facts["guard"] = {"mode": experiment.guard, **(draw.guard.as_json() if draw.guard else {})}
        made = {"inputs": dict(pools().inputs), "rows": ids, "embedding": shared, "vectors": about, "files": files}
        write_json(folder / DRAW, {**facts, **made})


def _check_inputs(pools: Pools, folder: Path) -> None:
    """All replicates draw from the same files."""
    for other in sorted(folder.parent.glob(f"replicate-*/{DRAW}")):
        before = read_draw(other.parent).get("inputs", {})
        for name, sha256 in pools.inputs.items():
            if before.get(name, sha256) != sha256:
                raise StoreError(
                    f"all replicates must draw from the same files, but {name} has other content than when "
                    f"{other.parent.name} was drawn. Hint: the file as it was, or another folder.",
                    file=name,
                )


def read_draw(folder: Path) -> dict[str, Any]:
    """What ``draw.json`` says.

    Raises:
        StoreError: If it is not readable.
    """
    with as_written(folder / DRAW, "`righttime experiment`"):
        found: dict[str, Any] = strict_json.loads((folder / DRAW).read_text(encoding="utf-8"))
    return found


def _vectors(
    request: Request, pools: Pools, draw: Draw, progress: bool
) -> tuple[dict[str, NDArray[Any]], Mapping[str, Any]]:
    """Vectors of pool, steering and judging rows, in the order of their files; and what is known of them."""
    if vectors_given(request.embedder):
        return _given(request, pools, draw), {"embedder": kept_spec(request.embedder)}
    return _embedded(request, draw, progress)


def _guarded(draw: Draw, vectors: dict[str, NDArray[Any]], seed: int) -> tuple[Draw, dict[str, NDArray[Any]]]:
    """The draw and its vectors without rows that say in other words what a target row says."""
    apart = draw.judge.ids != draw.steer.ids
    target = np.concatenate([vectors["target"], vectors[JUDGE]]) if apart else vectors["target"]
    names = ["pool", *draw.side_pools]
    pools = np.concatenate([vectors[name] for name in names]) if draw.side_pools else vectors["pool"]
    sides = {"pool": unit_rows(pools, "pool vectors"), "target": unit_rows(target, "target vectors")}
    draw, kept = guarded_by_vectors(draw, sides, seed)
    ends = np.cumsum([len(rows) for rows in (draw.pool, *draw.side_pools.values())])
    left = np.split(pools[np.asarray(kept, np.int64)], ends[:-1])
    return draw, {**vectors, **dict(zip(names, left, strict=True))}


def _given(request: Request, pools: Pools, draw: Draw) -> dict[str, NDArray[Any]]:
    pool, target = given_sides(str(request.embedder), request.target_embedder, *pools.readable)
    taken = {name: np.asarray(numbers, np.int64) for name, numbers in draw.numbers.items()}
    return {"pool": pool[taken["pool"]], "target": target[taken["steer"]], JUDGE: target[taken["judge"]]}


def _embedded(request: Request, draw: Draw, progress: bool) -> tuple[dict[str, NDArray[Any]], Mapping[str, Any]]:
    target: Rows = ExampleRows([*draw.steer.examples(), *draw.judge.examples()])
    how: dict[str, Any] = {"memory": request.memory, "workers": request.workers, "progress": progress}
    n = len(draw.steer)
    model = request.model()
    sides = embedded(draw.pool, target, request.text, model, cache_folder(), n_steer=n, **how)
    of_side = {  # centred as the pool is
        name: embedded(rows, draw.steer, request.text, model, cache_folder(), made=sides.about, **how).pool
        for name, rows in draw.side_pools.items()
    }
    return {"pool": sides.pool, "target": sides.target[:n], JUDGE: sides.target[n:], **of_side}, dict(sides.about)


def source_files(folder: Path) -> list[Path]:
    """A replicate's pool as a file for each of its sources, in the pool's order; written where they are not there.

    Args:
        folder: Of the replicate, which is drawn.

    Raises:
        StoreError: If the draw does not say what comes from which source.
    """
    found = read_draw(folder).get("sources")
    if found is None:
        raise StoreError(
            f"{folder} must say which rows of its pool come from which source, for 'cap_source', but it was drawn by a "
            "version that did not keep that. Hint: another folder.",
            file=folder / DRAW,
        )
    lines = (folder / "pool.jsonl").read_text(encoding="utf-8").split("\n")
    files, first = [], 0
    make_folder(folder / "sources")
    with alone(folder / "sources.lock"):
        for number, (name, count) in enumerate(found, 1):
            plain = re.sub(r"[^\w.-]", "-", name)
            path = folder / "sources" / f"{number}-{plain}.jsonl"
            if not path.exists():
                write_lines(path, lines[first : first + count])
            files.append(path)
            first += count
    return files
