"""The most bytes that tensors hold at any time, counted storage by storage: exact, and the same on every machine."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Held"]


class Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts every storage that an operation returns, until it is let go."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._known: set[int] = set()

    def know(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count tensors that are there already."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            if storage._cdata in self._known:
                continue
            self._known.add(storage._cdata)
            size = storage.nbytes()
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._gone, storage._cdata, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.know(one for one in tree_leaves(found) if isinstance(one, torch.Tensor))
        return found
