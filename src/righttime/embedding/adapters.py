"""Low-rank adapters W + s·B·A of a causal model's layers, and the projected gradients of their parameters.

Adapters are those that were trained, where the model's folder holds some (PEFT), or fresh ones as LoRA starts: A drawn
by a seed, B = 0, so that the gradient of A is zero and that of B is all there is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from righttime.errors import EmbeddingError, StoreError
from righttime.store import file_sha256

__all__ = [
    "ADAPTED",
    "MOMENTS",
    "Adapter",
    "Moments",
    "fresh_adapters",
    "moments_sha256",
    "read_moments",
    "recording",
    "trained_adapters",
    "trained_rank",
]

ADAPTED = ("q_proj", "k_proj", "v_proj", "o_proj")
"""The layers that get fresh adapters, as in LESS."""

MOMENTS = "adam.safetensors"
"""The file of a checkpoint of `righttime tune` that holds Adam's moments of adapters, by their parameters' names."""

_SCALE = 4.0  # α/r with LESS's α = 512, r = 128, of fresh adapters


@dataclass(frozen=True, eq=False)
class Moments:
    """What Adam knows of the gradients of one adapter's parameters, those of B before those of A.

    Attributes:
        mean: float32, shape (n,): of gradients.
        square: float32, shape (n,): of their squares.
        step: The steps taken.
        betas: By which the two decay.
        eps: Added to the root of the square.
    """

    mean: Any
    square: Any
    step: int
    betas: tuple[float, float]
    eps: float

    def update(self, gradient: Any) -> Any:
        """The step that Adam would take next, without its learning rate, by these gradients: shape (rows, n)."""
        first, second = self.betas
        mean = (first * self.mean + (1 - first) * gradient) / (1 - first ** (self.step + 1))
        square = (second * self.square + (1 - second) * gradient**2) / (1 - second ** (self.step + 1))
        return mean / (square.sqrt() + self.eps)


class Adapter:
    """One layer's adapter, and the random signs that project its gradients.

    Attributes:
        layer: The layer: what it is given and gives is recorded.
        a: float32, shape (rank, n_in).
        b: float32, shape (n_out, rank); None where it is zero and A's gradient with it.
        scale: s.
        signs: int8, shape (parameters, dim).
        name: The layer's name in the model.
    """

    def __init__(self, layer: Any, a: Any, b: Any, scale: float, signs: Any, name: str) -> None:
        self.layer, self.a, self.b, self.scale, self.signs, self.name = layer, a, b, scale, signs, name

    def add(self, seen: Any, error: Any, out: Any, moments: Moments | None) -> None:
        """Add the projected gradient of every row of the batch, or Adam's step by it.

        ∂B = s·Σ_t error_t·(A·seen_t)ᵀ and ∂A = s·Σ_t (Bᵀ·error_t)·seen_tᵀ.

        Args:
            seen: What the layer was given, shape (batch, tokens, n_in).
            error: The loss's gradient of what it gave, shape (batch, tokens, n_out).
            out: float64, shape (batch, dim), added to.
            moments: Adam's; None takes the gradient itself.
        """
        import torch

        seen, error = seen.float(), error.float()
        parts = [(self.scale * (error.transpose(1, 2) @ (seen @ self.a.T))).flatten(1)]
        if self.b is not None:
            parts.append((self.scale * ((error @ self.b).transpose(1, 2) @ seen)).flatten(1))
        flat = torch.cat(parts, dim=1)
        if moments is not None:
            flat = moments.update(flat)
        step = max(1, (1 << 24) // self.signs.shape[1])  # 64 MiB of signs as float32 at a time
        for start in range(0, len(self.signs), step):
            out += (flat[:, start : start + step] @ self.signs[start : start + step].float()).double()


def _signs(rng: np.random.Generator, parameters: int, dim: int, device: Any) -> Any:
    import torch

    return torch.tensor(rng.integers(0, 2, size=(parameters, dim), dtype=np.int8) * 2 - 1, device=device)


def fresh_adapters(model: Any, rank: int, dim: int, seed: int) -> list[Adapter]:
    """Adapters as LoRA starts, A uniform within ±1/√n_in, of all layers named in `ADAPTED`.

    Args:
        model: The model.
        rank: Their rank.
        dim: The dimensions to project to.
        seed: Draws A and the signs.
    """
    import torch

    made = []
    named = [(name, layer) for name, layer in model.named_modules() if name.rpartition(".")[2] in ADAPTED]
    for place, (name, layer) in enumerate(named):
        n_out, n_in = layer.weight.shape
        rng, device = np.random.default_rng([seed, place]), layer.weight.device
        bound = 1.0 / math.sqrt(n_in)
        a = torch.tensor(rng.uniform(-bound, bound, size=(rank, n_in)), dtype=torch.float32, device=device)
        made.append(Adapter(layer, a, None, _SCALE, _signs(rng, n_out * rank, dim, device), name))
    return made


def _with_lora(model: Any) -> Iterator[tuple[str, Any]]:
    """The layers with trained adapters, by their names."""
    for name, layer in model.named_modules():
        if hasattr(layer, "lora_A") and hasattr(layer, "lora_B"):
            yield name, layer


def trained_rank(model: Any) -> int | None:
    """The rank of the first trained adapter; None where a model has none."""
    for _, layer in _with_lora(model):
        for a in layer.lora_A.values():
            return int(a.weight.shape[0])
    return None


def trained_adapters(model: Any, dim: int, seed: int) -> list[Adapter]:
    """The LoRA adapters that a model was loaded with; none where it has none.

    Args:
        model: The model, with PEFT's layers in it.
        dim: The dimensions to project to.
        seed: Draws the signs.

    Raises:
        EmbeddingError: If it has several adapters, or their weights are not A and B alone, as with DoRA.
    """
    made: list[Adapter] = []
    for name, layer in _with_lora(model):
        adapters = list(layer.lora_A)
        if len(adapters) != 1 or any(getattr(layer, "use_dora", {}).values()):
            raise EmbeddingError(
                f"gradients of trained adapters need one LoRA adapter of two matrices in every layer, but {name} has "
                f"{len(adapters)}, or is of another kind such as DoRA."
            )
        a, b = (side[adapters[0]].weight.detach().float() for side in (layer.lora_A, layer.lora_B))
        rng = np.random.default_rng([seed, len(made)])
        signs = _signs(rng, a.numel() + b.numel(), dim, a.device)
        made.append(Adapter(layer, a, b, float(layer.scaling[adapters[0]]), signs, name))
    return made


def moments_sha256(folder: Path) -> str:
    """The hash of the file of Adam's moments.

    Raises:
        EmbeddingError: If a checkpoint has none.
    """
    try:
        return file_sha256(folder / MOMENTS)
    except StoreError as error:
        raise _no_moments(folder, error) from error


def _no_moments(folder: Path, error: Exception) -> EmbeddingError:
    return EmbeddingError(
        f"`#adam` needs a checkpoint of adapters that `righttime tune` trained with AdamW, whose {MOMENTS} holds "
        f"Adam's moments, but {folder} has none for them ({type(error).__name__}: {error}). Hint: leave `#adam` out."
    )


def read_moments(folder: Path, adapters: Sequence[Adapter]) -> list[Moments]:
    """Adam's moments of trained adapters, from a checkpoint of `righttime tune`.

    Args:
        folder: The checkpoint.
        adapters: The adapters that were trained.

    Raises:
        EmbeddingError: If the checkpoint has none, or not those of these adapters.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    path = folder / MOMENTS
    try:
        with safe_open(str(path), framework="pt") as file:
            about: Mapping[str, str] = file.metadata() or {}
            held = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        step, eps = int(about["step"]), float(about["eps"])
        betas = float(about["beta1"]), float(about["beta2"])
        found = []
        for adapter in adapters:
            of_layer = {name: value for name, value in held.items() if f"{adapter.name}.lora_" in name}
            mean, square = (
                torch.cat([_one(of_layer, f".lora_{matrix}.", end).flatten() for matrix in "BA"]).to(adapter.a.device)
                for end in (".mean", ".square")
            )
            if len(mean) != len(adapter.signs):
                raise KeyError(adapter.name)
            found.append(Moments(mean, square, step, betas, eps))
        return found
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise _no_moments(folder, error) from error


def _one(tensors: Mapping[str, Any], part: str, end: str) -> Any:
    """The tensor of a parameter, whatever stands before and after the adapter's part of its name."""
    (name,) = [name for name in tensors if part in name and name.endswith(end)]
    return tensors[name]


@contextmanager
def recording(adapters: Sequence[Adapter], moments: Sequence[Moments | None], out: Any) -> Iterator[None]:
    """While this lasts, a backward pass adds every adapter's gradients to `out`, in float32."""
    import torch

    def watch(adapter: Adapter, known: Moments | None) -> Any:
        def forward(layer: Any, given: tuple[Any, ...], gave: Any) -> None:
            seen = given[0].detach()

            def backward(error: Any) -> None:
                with torch.autocast(error.device.type, enabled=False):  # of a model that computes in less
                    adapter.add(seen, error, out, known)

            gave.register_hook(backward)

        return adapter.layer.register_forward_hook(forward)

    with ExitStack() as stack:
        for adapter, known in zip(adapters, moments, strict=True):
            stack.callback(watch(adapter, known).remove)
        yield
