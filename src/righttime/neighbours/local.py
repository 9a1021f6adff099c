"""Search on this machine: where products are made, in how much memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours.blocks import similarity_of, top_k
from righttime.neighbours.kept import KeptProducts, may_keep
from righttime.neighbours.nominate import Highest, Nominees, Progress, affordable, nominate, side_by_side
from righttime.neighbours.products import NumpyProducts, Products, TorchProducts
from righttime.neighbours.protocol import MEMORY
from righttime.neighbours.seen import Seen, Watching

__all__ = ["BlockSearch", "has_cuda"]

_WORTH_THREADS = 1 << 30  # multiplications from which on threads of our own pay
_WORTH_CUDA = 1 << 40  # and a GPU: seconds on a CPU
_CPU_ELEMENTS = 1 << 21  # 8 MiB of products for each thread
_CUDA_ELEMENTS = 1 << 26  # 256 MiB of products on the device

Vectors = NDArray[np.float32]


def has_cuda() -> bool:
    """Whether PyTorch finds a GPU."""
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
    seen: Watching | None = None

    def _products(self, pool: Vectors, target: Vectors) -> Products:
        engine = self.engine
        if engine == "auto":
            engine = "cuda" if len(pool) * target.size >= _WORTH_CUDA and has_cuda() else "cpu"
        if engine == "cpu":
            return NumpyProducts(target)
        return TorchProducts(target, "cuda" if engine == "cuda" else "cpu", self.first_look)

    def _block_rows(self, products: Products, n_target: int) -> int:
        on_device = getattr(products, "device", "cpu") == "cuda"
        elements = _CUDA_ELEMENTS if on_device else _CPU_ELEMENTS
        return self.block_rows or int(np.clip(elements // n_target, 256, 1 << (16 if on_device else 13)))

    def kept(self, pool: Vectors, target: Vectors, taken: NDArray[np.bool_]) -> KeptProducts | None:
        """The products of all living rows, where they are so few that keeping them pays; else None.

        Args:
            pool: float32 unit vectors, shape (n_pool, d).
            target: float32 unit vectors, shape (m, d).
            taken: bool, shape (n_pool,): rows that are not to be had any more.
        """
        n_alive = len(pool) - int(np.count_nonzero(taken))
        if self.block_rows is not None or not may_keep(n_alive, len(target), self.memory):
            return None
        products = self._products(pool, target)
        if not isinstance(products, NumpyProducts):
            return None
        everything = n_alive == len(pool)
        watching = self.seen if isinstance(self.seen, Seen) else None
        seen = watching if everything and watching and watching.wants(pool, target) else None
        rows = None if everything else np.flatnonzero(~taken)
        return KeptProducts(pool, target, rows, products.margin, self.memory, self.progress, seen)

    def nominees(self, pool: Vectors, target: Vectors, wanted: int, taken: NDArray[np.bool_] | None) -> Nominees:
        """See `Search`."""
        products = self._products(pool, target)
        seen = self.seen if taken is None and self.seen and self.seen.wants(pool, target) else None
        highest = Highest(seen.ends, len(pool)) if seen else None
        with _threads(len(pool) * target.size, products) as threads:
            found = nominate(
                pool,
                len(target),
                products.above,
                margin=products.margin,
                wanted=affordable(wanted, self.memory, len(target)),
                block_rows=self._block_rows(products, len(target)),
                taken=taken,
                threads=threads,
                progress=self.progress,
                highest=highest,
            )
        if seen is not None and highest is not None:
            seen.tell(highest.value, found)
        return found

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

    def pairs(
        self, pool: Vectors, rows: NDArray[np.int64], target: Vectors, who: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """See `Search`."""
        return similarity_of(pool, rows, target, who)


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
