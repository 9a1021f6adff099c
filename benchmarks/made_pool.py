"""A pool of any size from NIV2's rows: each text ends in a mark of its own, each vector is a little off its row's.

    python benchmarks/made_pool.py FOLDER --rows 500000 [--shards 1] [--container jsonl|parquet]

Writes FOLDER/pool.jsonl (or pool-00000.jsonl and so on, or .parquet), pool.npy, target.jsonl and target.npy, the same
bytes for the same settings. Needs RIGHTTIME_DATA; nothing of it belongs into the repository.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from righttime.similarity import unit_rows
from trials import data_folder

_SOME = 1 << 14  # rows at a time
_NOISE = 0.01
"""The deviation of each of 384 coordinates of a unit vector: cosines between a row and its copies of about 0.98."""


def make_pool(
    folder: Path, rows: int, *, shards: int = 1, container: str = "jsonl", targets: int | None = None, seed: int = 0
) -> list[Path]:
    """Write a pool and a target with their vectors.

    Args:
        folder: Where to.
        rows: Pool rows.
        shards: Files that they are spread over, in their order.
        container: ``jsonl`` or ``parquet``.
        targets: Target rows, made as the pool's are; None for NIV2's own.
        seed: Of the noise in the vectors.

    Returns:
        The pool's files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pool, target = _niv2("pool"), _niv2("target")
    bounds = np.linspace(0, rows, shards + 1).astype(int).tolist()
    single = shards == 1
    files = [folder / f"pool{'' if single else f'-{shard:05}'}.{container}" for shard in range(shards)]
    for file, start, stop in zip(files, bounds, bounds[1:], strict=False):
        made = (_marked(pool[number % len(pool)], number) for number in range(start, stop))
        (_write_lines if container == "jsonl" else _write_parquet)(file, made)
    made_targets = (_marked(target[number % len(target)], number) for number in range(targets or 0))
    _write_lines(folder / "target.jsonl", made_targets if targets else iter(target))
    with np.load(data_folder() / "niv2_vectors.npz") as arrays:
        _write_vectors(folder / "pool.npy", arrays["pool"], rows, seed)
        if targets:
            _write_vectors(folder / "target.npy", arrays["target"], targets, seed + 1)
        else:
            np.save(folder / "target.npy", unit_rows(arrays["target"]))
    return files


def _niv2(side: str) -> list[dict[str, Any]]:
    with gzip.open(data_folder() / f"niv2_{side}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _marked(row: dict[str, Any], number: int) -> dict[str, Any]:
    return {**row, "id": f"{row['id'][:32]}-{number}", "response": f"{row['response']} [{number}]"}


def _write_lines(file: Path, rows: Iterator[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _write_parquet(file: Path, rows: Iterator[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("id", "task", "category", "prompt", "response")
    schema = pa.schema([(name, pa.string()) for name in names])
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        some: list[dict[str, Any]] = []
        for row in rows:
            some.append(row)
            if len(some) == _SOME:
                writer.write_table(pa.Table.from_pylist(some, schema))
                some = []
        if some:
            writer.write_table(pa.Table.from_pylist(some, schema))


def _write_vectors(file: Path, given: np.ndarray[Any, Any], rows: int, seed: int) -> None:
    vectors = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(rows, given.shape[1]))
    rng = np.random.default_rng(seed)
    for start in range(0, rows, _SOME):
        numbers = np.arange(start, min(start + _SOME, rows)) % len(given)
        noise = rng.standard_normal((len(numbers), given.shape[1]), dtype=np.float32)
        vectors[start : start + len(numbers)] = unit_rows(given[numbers].astype(np.float32) + _NOISE * noise)
    vectors.flush()


def main(arguments: Sequence[str] | None = None) -> None:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path)
    made.add_argument("--rows", type=int, required=True)
    made.add_argument("--shards", type=int, default=1)
    made.add_argument("--container", choices=("jsonl", "parquet"), default="jsonl")
    made.add_argument("--seed", type=int, default=0)
    args = made.parse_args(arguments)
    make_pool(args.folder, args.rows, shards=args.shards, container=args.container, seed=args.seed)


if __name__ == "__main__":
    main()
