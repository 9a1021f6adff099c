"""A replicate on disk: its rows and their vectors, made once for all of its orders."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from righttime.embedding import DEFAULT_MODEL
from righttime.embedding.given import given_sides
from righttime.embedding.vectors import embedded, vectors_given
from righttime.experiment.draws import JUDGE, Draw, Pools, as_line, draw_replicate
from righttime.experiment.settings import Experiment
from righttime.results import Request
from righttime.rows import ExampleRows, Rows
from righttime.store import cache_folder, file_sha256, ids_sha256, make_folder, write_bytes, write_json, write_lines

__all__ = ["DRAW", "VECTORS", "prepare_replicate", "read_draw", "shared_embedder"]

DRAW, VECTORS = "draw.json", "vectors.safetensors"


def shared_embedder(experiment: Experiment) -> dict[str, Any] | None:
    """The settings of embedding that most orders have in common; None where no order embeds with a named model."""
    wanted = [_embedding(order.arranging) for order in experiment.orders.values()]
    return max(wanted, key=wanted.count) if wanted else None


def _embedding(arranging: Mapping[str, Any]) -> dict[str, Any]:
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
    with FileLock(str(folder / ".lock")):
        if (folder / DRAW).exists():
            return
        draw = draw_replicate(experiment, pools(), replicate)
        sides = {"pool": draw.pool, "steer": draw.steer, JUDGE: draw.judge, **draw.sets}
        for name, rows in sides.items():
            write_lines(folder / f"{name}.jsonl", map(as_line, rows.examples()))
        about = _write_vectors(experiment, pools(), draw, folder, progress)
        files = {path.name: file_sha256(path) for path in sorted(folder.glob("*.*")) if not path.name.startswith(".")}
        ids = {name: {"rows": len(rows), "ids_sha256": ids_sha256(rows.ids)} for name, rows in sides.items()}
        facts = {"replicate": replicate, "seed": experiment.seed + replicate, "counts": dict(draw.counts)}
        inputs = {Path(path).name: sha256 for path, sha256 in pools().inputs.items()}
        write_json(folder / DRAW, {**facts, "inputs": inputs, "rows": ids, "vectors": about, "files": files})


def read_draw(folder: Path) -> dict[str, Any]:
    """What ``draw.json`` says."""
    found: dict[str, Any] = json.loads((folder / DRAW).read_text(encoding="utf-8"))
    return found


def _write_vectors(
    experiment: Experiment, pools: Pools, draw: Draw, folder: Path, progress: bool
) -> Mapping[str, Any] | None:
    """Vectors of pool, steering and judging rows, in the order of their files."""
    shared = shared_embedder(experiment)
    if shared is None:
        return None
    from safetensors.numpy import save

    request = Request(**{"embedder": DEFAULT_MODEL, **shared})
    about: Mapping[str, Any] = {"embedder": request.embedder}
    if vectors_given(request.embedder):
        made = _given(request, pools, draw)
    else:
        made, about = _embedded(request, draw, progress)
    write_bytes(folder / VECTORS, save({name: np.ascontiguousarray(one) for name, one in made.items()}))
    return about


def _given(request: Request, pools: Pools, draw: Draw) -> dict[str, NDArray[Any]]:
    pool, target = given_sides(str(request.embedder), request.target_embedder, *pools.readable)
    taken = {name: np.asarray(numbers, np.int64) for name, numbers in draw.numbers.items()}
    return {"pool": pool[taken["pool"]], "target": target[taken["steer"]], JUDGE: target[taken["judge"]]}


def _embedded(request: Request, draw: Draw, progress: bool) -> tuple[dict[str, NDArray[Any]], Mapping[str, Any]]:
    target: Rows = ExampleRows([*draw.steer.examples(), *draw.judge.examples()])
    how: dict[str, Any] = {"memory": request.memory, "workers": request.workers, "progress": progress}
    sides = embedded(draw.pool, target, request.text, request.model(), cache_folder(), **how)
    n = len(draw.steer)
    return {"pool": sides.pool, "target": sides.target[:n], JUDGE: sides.target[n:]}, dict(sides.about)
