"""Layers of a model compiled for its training steps, and for these alone. Importing this imports torch.

One compiled layer serves all that are built alike, at every number of rows and every length. All else stays as it
is: the names of weights, what is saved, evaluations, and rows that are arranged anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor

from righttime.embedding.causal import CausalModel
from righttime.errors import EmbeddingError, SettingsError
from righttime.training.loss import IGNORED
from righttime.training.plan import Plan
from righttime.training.sharding import sharded_by

__all__ = ["CompiledLayers", "require_compiler", "sample_batches"]

_BACKEND = "inductor"
_FEW = 16  # tokens of a small row


class CompiledLayers:
    """The layers of a model, which are compiled while a training step runs.

    Attributes:
        ready: Whether they were compiled. From then on what would need another compilation runs uncompiled, so that a
            micro-batch is computed in one way only, wherever a run is resumed.
    """

    def __init__(self, model: Any) -> None:
        """Take the layers.

        Args:
            model: A causal language model of transformers, with adapters or without.

        Raises:
            SettingsError: If its layers are not found.
        """
        torch.compiler.reset()  # what other models left counts towards the compilations that torch allows
        try:
            self._layers = list(CausalModel.of(model, None, "the model", "", 1).layers)
        except EmbeddingError as error:
            raise _refused("have a model that is a list of layers, and none was found", "leave it out") from error
        self._compiled = [torch.compile(layer.forward, backend=_BACKEND, dynamic=True) for layer in self._layers]
        self.ready = False

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """For a while, run the compiled layers; the backward pass must be in it, since it may run layers again."""
        for layer, compiled in zip(self._layers, self._compiled, strict=True):
            layer.forward = compiled
        try:
            with torch.compiler.set_stance("eager_on_recompile" if self.ready else "default"):
                yield
        finally:
            for layer in self._layers:
                layer.__dict__.pop("forward", None)


def sample_batches(plan: Plan, lengths: Sequence[int]) -> list[dict[str, Tensor]]:
    """Micro-batches of every kind that a plan has, small ones and the largest: what layers are compiled on.

    Of one row and of more, with padding and without, or packs of one row and of more. What is compiled may depend on
    their sizes, so these follow from the plan, and not from where a run is resumed.

    Args:
        plan: The plan.
        lengths: The rows' tokens.

    Returns:
        As `righttime.training.batches` makes them, without ``places``.
    """
    longest = max(2, *lengths)
    few, step = min(longest, _FEW), plan.rows_per_step
    if plan.pack_tokens is not None:
        most = max(2 * few, min(plan.pack_tokens, step * longest))
        packs = (few, few), (few, 2 * few), (longest, longest), (min(longest, most // 2), most)
        return [_pack(row, tokens) for row, tokens in packs]
    rows, length = plan.batch, longest
    if plan.batch_tokens is not None:
        length = min(longest, max(few, plan.batch_tokens // 2))
        rows = min(step, max(2, plan.batch_tokens // length))
    alone = [_padded(1, length, 0) for length in (few, longest)]
    more = [(2, few), (rows, length)] if rows > 1 else []
    return alone + [_padded(*shape, padding) for shape in more for padding in (0, 1)]


def _padded(rows: int, length: int, padding: int) -> dict[str, Tensor]:
    """Rows of one length, of which the last one ends in so much padding."""
    ids = torch.zeros((rows, length), dtype=torch.int64)
    mask, labels = torch.ones_like(ids), torch.full_like(ids, IGNORED)
    mask[-1, length - padding :] = 0
    labels[0, 1] = 0
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def _pack(row: int, tokens: int) -> dict[str, Tensor]:
    """A pack of rows of one length."""
    batch = _padded(1, tokens, 0)
    return {
        "input_ids": batch["input_ids"],
        "labels": batch["labels"],
        "position_ids": torch.arange(tokens)[None] % row,
    }


def require_compiler() -> None:
    """Make sure, before any work, that layers can be compiled here, by compiling a sum.

    Raises:
        SettingsError: If they cannot, or the model is sharded.
    """
    if sharding := sharded_by():
        raise _refused(f"train without {sharding[0]}, under which it was not tried", "leave one of them out")
    try:
        added = torch.compile(_compiled_sum, backend=_BACKEND)(torch.zeros(8, device=PartialState().device))
    except Exception as error:  # torch, its compilers and the system raise many kinds
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise _refused(
            f"have a compiler that torch can use, but: {why}",
            "install g++ (for a GPU, triton and a C compiler), or leave it out",
        ) from error
    if not added.all():
        raise _refused("have torch.compile, which the environment switches off", "unset TORCH_COMPILE_DISABLE")


def _compiled_sum(numbers: Tensor) -> Tensor:
    """Ones where it is compiled, else what it was given."""
    return numbers + 1 if torch.compiler.is_compiling() else numbers


def _refused(what: str, hint: str) -> SettingsError:
    return SettingsError(f"`compile` must {what}. Hint: {hint}.", setting="compile")
