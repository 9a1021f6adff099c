"""How to look for neighbours: where products are made, in how much memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from righttime.cluster import check_ray
from righttime.errors import SettingsError, unknown_name
from righttime.neighbours.blocks import similarity_of, top_k
from righttime.neighbours.nominate import Nominees, Progress, nominate, side_by_side
from righttime.neighbours.products import PRECISIONS, NumpyProducts, Products, TorchProducts

__all__ = ["ENGINES", "MEMORY", "BlockSearch", "Search", "affordable", "search_named"]

ENGINES = ("auto", "cpu", "cuda", "ray", "torch")
"""``torch`` is what ``cuda`` runs, on the CPU."""

MEMORY = 1 << 30
"""Bytes that a search may hold above the vectors, by default."""

LEAST_MEMORY = 1 << 26
_WORTH_THREADS = 1 << 30  # multiplications from which on threads of our own pay
_WORTH_CUDA = 1 << 40  # and a GPU: seconds on a CPU
_CPU_ELEMENTS = 1 << 21  # 8 MiB of products for each thread
_CUDA_ELEMENTS = 1 << 26  # 256 MiB of products on the device
_BYTES_PER_NOMINEE = 128  # of host memory, measured: at the peak of sorting, with the old lists still there

Vectors = NDArray[np.float32]


class Search(Protocol):
    """Finds neighbours exactly; what it runs on and in how much memory changes no result."""

    def nominees(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """About `wanted` living rows of the pool for each target row, and how sure that is; see `Nominees`."""
        ...

    def best(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """The `wanted` most similar living rows of each target row, exactly, ties to the lower row: margin 0.

        Slower, but in bounded memory also where more rows than that are all alike.
        """
        ...

    def nearest(self, pool: Vectors, target: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The most similar target row of every pool row, and its similarity; equal ones by lower target row."""
        ...


def search_named(
    engine: str = "auto",
    *,
    memory: int = MEMORY,
    first_look: str = "float32",
    block_rows: int | None = None,
    progress: Progress | None = None,
) -> Search:
    """A search by the name of its engine.

    Args:
        engine: A name of `ENGINES`: ``auto`` takes CUDA where there is one and the work is large, else the CPU.
        memory: Bytes that the search may hold above the vectors.
        first_look: Precision of the products that nominate, on Torch: ``float32``, ``float16`` or ``bfloat16``.
        block_rows: Pool rows per product; None chooses.
        progress: Called with the number of pool rows done since the last call.

    Raises:
        SettingsError: If a name is unknown, or the engine is not to be had here.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if first_look not in PRECISIONS:
        raise unknown_name("precision of the first look", first_look, PRECISIONS)
    if memory < LEAST_MEMORY:
        raise SettingsError(f"memory must be at least 64 MiB, got {memory / 2**20:.1f} MiB.")
    if block_rows is not None and block_rows < 1:
        raise SettingsError(f"block_rows must be at least 1, got {block_rows}.")
    if engine == "cuda" and not _has_cuda():
        raise SettingsError("the engine cuda needs a GPU that PyTorch finds, got none. Hint: --engine cpu, or auto.")
    if engine == "ray":
        check_ray()
        from righttime.neighbours.shards import ShardedSearch

        return ShardedSearch(memory, block_rows, progress)
    return BlockSearch(engine, memory, first_look, block_rows, progress)


def affordable(wanted: int, memory: int, n_target: int) -> int:
    """How many nominees of each target row are wanted at most, so that all of them fit in so many bytes."""
    return max(1, min(wanted, memory // (_BYTES_PER_NOMINEE * n_target)))


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())


@dataclass(frozen=True)
class BlockSearch:
    """A search on this machine, block by block; see `search_named` for its settings."""

    engine: str = "auto"
    memory: int = MEMORY
    first_look: str = "float32"
    block_rows: int | None = None
    progress: Progress | None = None

    def _products(self, pool: Vectors, target: Vectors) -> Products:
        engine = self.engine
        if engine == "auto":
            engine = "cuda" if len(pool) * target.size >= _WORTH_CUDA and _has_cuda() else "cpu"
        if engine == "cpu":
            return NumpyProducts(target)
        return TorchProducts(target, "cuda" if engine == "cuda" else "cpu", self.first_look)

    def _block_rows(self, products: Products, n_target: int) -> int:
        on_device = getattr(products, "device", "cpu") == "cuda"
        elements = _CUDA_ELEMENTS if on_device else _CPU_ELEMENTS
        return self.block_rows or int(np.clip(elements // n_target, 256, 1 << (16 if on_device else 13)))

    def nominees(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`."""
        products = self._products(pool, target)
        with _threads(len(pool) * target.size, products) as threads:
            return nominate(
                pool,
                len(target),
                products.above,
                margin=products.margin,
                wanted=affordable(wanted, self.memory, len(target)),
                block_rows=self._block_rows(products, len(target)),
                taken=taken,
                threads=threads,
                progress=self.progress,
            )

    def best(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`; always by NumPy."""
        alive = None if taken is None else np.flatnonzero(~taken)
        wanted = affordable(wanted, self.memory, len(target))
        found = top_k(pool, target, wanted, alive=alive, block_rows=self.block_rows, progress=self.progress)
        m, k = found.rows.shape
        cut = np.full(m, -np.inf, dtype=np.float32)
        return Nominees(np.arange(m + 1) * k, found.rows.reshape(-1), found.similarity.reshape(-1), cut, 0.0)

    def nearest(self, pool: Vectors, target: Vectors) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """See `Search`."""
        products = self._products(pool, target)
        step = self._block_rows(products, len(target))
        rows, similarity = np.empty(len(pool), dtype=np.int64), np.empty(len(pool), dtype=np.float32)

        def work(start: int) -> tuple[int, NDArray[np.int64], NDArray[np.float32]]:
            block = pool[start : start + step]
            who, where, _ = products.near_best(block)
            return start, *_best_of_each(block, target, who.astype(np.int64), where)

        with _threads(len(pool) * target.size, products) as threads:
            for start, row, value in side_by_side(work, range(0, len(pool), step), threads):
                rows[start : start + step], similarity[start : start + step] = row, value
                if self.progress is not None:
                    self.progress(len(row))
        return rows, similarity


def _best_of_each(
    block: Vectors, target: Vectors, who: NDArray[np.int64], where: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of nominated pairs the best of each row of the block, which has one at least; ties to the lower target row."""
    exact = similarity_of(block, where, target, who)
    order = np.lexsort((who, -exact, where))
    first = order[np.searchsorted(where[order], np.arange(len(block)))]
    return who[first], exact[first]


@contextmanager
def _threads(multiplications: int, products: Products) -> Iterator[int]:
    """How many blocks to work on side by side: as many as BLAS has threads, each on one of them while this lasts."""
    if multiplications < _WORTH_THREADS or not isinstance(products, NumpyProducts):
        yield 1
        return
    import threadpoolctl

    found = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        yield max(found, default=1)
