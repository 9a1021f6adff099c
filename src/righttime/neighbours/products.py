"""Where products are made: NumPy on the CPU, or Torch on any device. Products only nominate; see `nominate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from righttime.neighbours.nominate import Highest, Pairs
from righttime.similarity.pairs import rounding_margin

__all__ = ["PRECISIONS", "NumpyProducts", "Products", "TorchProducts", "found_pairs"]

_TARGET_ROWS = 4096  # at most so many at a time

PRECISIONS = {"float32": 0.0, "float16": 2.0**-9, "bfloat16": 2.0**-6}
"""What rounding to a precision adds to how far a product may lie from the similarity.

Rounding both factors and the product with unit roundoff u (2⁻¹¹, 2⁻⁸) costs at most 3u + 3u² + u³ of Σ|x_i·t_i| ≤ 1;
float16's fixed steps near zero cost 2⁻²⁴·√d. Together that is below 4u for d up to 10⁶. Sums are in float32.
"""


class Products(Protocol):
    """Products of blocks of pool rows with the target, looked at where they are made.

    Attributes:
        margin: How far a product may lie from `pair_similarity` of its pair.
    """

    margin: float

    def above(self, block: NDArray[np.float32], cut: NDArray[np.float32], highest: Highest | None = None) -> Pairs:
        """See `righttime.neighbours.nominate.Above`."""
        ...

    def near_best(self, block: NDArray[np.float32]) -> Pairs:
        """The pairs that may be the best of their pool row: within twice the margin of its best product."""
        ...


class NumpyProducts:
    """Products by NumPy's BLAS."""

    def __init__(self, target: NDArray[np.float32]) -> None:
        """Take the target: float32 unit vectors, shape (m, d)."""
        self.target = target
        self.margin = rounding_margin(target.shape[1])

    def above(self, block: NDArray[np.float32], cut: NDArray[np.float32], highest: Highest | None = None) -> Pairs:
        """See `Products`."""
        parts = []
        for start in range(0, len(self.target), _TARGET_ROWS):
            some = slice(start, start + _TARGET_ROWS)
            product = self.target[some] @ block.T
            parts.append(found_pairs(product, product > cut[some, None], start))
            if highest is not None:
                highest.see(start, product, lambda some: some.max(axis=0))
        return _joined(parts)

    def near_best(self, block: NDArray[np.float32]) -> Pairs:
        """See `Products`."""
        parts, best = [], np.full(len(block), -np.inf, dtype=np.float32)
        for start in range(0, len(self.target), _TARGET_ROWS):
            product = self.target[start : start + _TARGET_ROWS] @ block.T
            best = np.maximum(best, product.max(axis=0))
            parts.append(found_pairs(product, product >= best - np.float32(2 * self.margin), start))
        return _joined(parts)


def found_pairs(product: NDArray[np.float32], marks: NDArray[np.bool_], first: int) -> Pairs:
    """The marked pairs of a product; far faster than `np.nonzero` of a matrix where few are marked."""
    found = np.flatnonzero(marks)
    begin = np.arange(len(product) + 1) * product.shape[1]
    who = np.repeat(np.arange(len(product), dtype=np.int32), np.diff(np.searchsorted(found, begin)))
    return who + np.int32(first), found - begin[who], product.reshape(-1)[found]


def _joined(parts: list[Pairs]) -> Pairs:
    who, where, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    return who, where, value


class TorchProducts:
    """Products by Torch."""

    def __init__(self, target: NDArray[np.float32], device: str, precision: str = "float32") -> None:
        """Take the target to the device.

        Args:
            target: float32 unit vectors, shape (m, d).
            device: ``cpu``, ``cuda``, ...
            precision: A name of `PRECISIONS`: what factors and products are rounded to.
        """
        import torch

        self.device, self.kind = device, getattr(torch, precision)
        self.target = _tensor(torch, target).to(device, self.kind)
        self.margin = rounding_margin(target.shape[1]) + PRECISIONS[precision]

    def above(self, block: NDArray[np.float32], cut: NDArray[np.float32], highest: Highest | None = None) -> Pairs:
        """See `Products`."""
        import torch

        cuts = torch.from_numpy(cut).to(self.device)[:, None]
        parts = []
        for start, product in self._products(block):
            parts.append(self._found(product, product > cuts[start : start + _TARGET_ROWS], start))
            if highest is not None:
                highest.see(start, product, lambda some: some.amax(dim=0).cpu().numpy())
        return _joined(parts)

    def near_best(self, block: NDArray[np.float32]) -> Pairs:
        """See `Products`."""
        import torch

        parts, best = [], torch.full((len(block),), -np.inf, device=self.device)
        for start, product in self._products(block):
            best = torch.maximum(best, product.amax(dim=0))
            parts.append(self._found(product, product >= best - 2 * self.margin, start))
        return _joined(parts)

    def _products(self, block: NDArray[np.float32]) -> Iterator[tuple[int, Any]]:
        import torch

        rows = _tensor(torch, block).to(self.device, self.kind).T
        for start in range(0, len(self.target), _TARGET_ROWS):
            with torch.inference_mode(), _full_precision(torch):
                product = (self.target[start : start + _TARGET_ROWS] @ rows).float()
            yield start, product

    @staticmethod
    def _found(product: Any, marks: Any, first: int) -> Pairs:
        who, where = marks.nonzero(as_tuple=True)
        return (who + first).int().cpu().numpy(), where.cpu().numpy(), product[who, where].cpu().numpy()


def _tensor(torch: Any, rows: NDArray[np.float32]) -> Any:
    """Rows as a tensor; those of a file mapped to be read only are copied, since PyTorch warns of them."""
    return torch.from_numpy(np.require(rows, requirements=["C_CONTIGUOUS", "WRITEABLE"]))


@contextmanager
def _full_precision(torch: Any) -> Iterator[None]:
    """No shortcuts in products while this lasts, whatever the process has set for itself.

    The margins cover neither TF32 nor bfloat16 in the place of float32 (``torch.set_float32_matmul_precision``, on CPUs
    too), nor sums in half precision on CUDA.
    """
    cuda = torch.backends.cuda.matmul
    halves = [f"allow_{kind}_reduced_precision_reduction" for kind in ("fp16", "bf16")]
    settings: list[tuple[Any, str, Any]] = [(cuda, name, False) for name in halves]
    # PyTorch from 2.9 on refuses to read the old setting where a new one was made.
    places = [cuda, getattr(torch.backends.mkldnn, "matmul", None)]
    settings += [(place, "fp32_precision", "ieee") for place in places if hasattr(place, "fp32_precision")]
    before = [(place, name, getattr(place, name)) for place, name, _ in settings]
    old = None if len(settings) > len(halves) else torch.get_float32_matmul_precision()
    try:
        for place, name, value in settings:
            setattr(place, name, value)
        if old is not None:
            torch.set_float32_matmul_precision("highest")
        yield
    finally:
        for place, name, value in before:
            setattr(place, name, value)
        if old is not None:
            torch.set_float32_matmul_precision(old)
