"""The mean of a run's last checkpoints, beside the last one.

Under a rate that does not decay the weights of the last steps still move to and fro; the mean of the last checkpoints
takes part of that out. For curricula it takes the place of a decaying rate (arXiv 2511.18903).
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.errors import ModelError, SettingsError, StoreError
from righttime.training.sharding import sharded_by, writes_whole

if TYPE_CHECKING:
    from torch import Tensor

    from righttime.training.settings import TuneSettings

__all__ = [
    "AVERAGE",
    "MEASURED",
    "average_steps",
    "check_sharding",
    "is_average",
    "mean_weights",
    "put_weights",
    "write_average",
]

AVERAGE = "average"
"""The folder of the averaged model in a run's."""
MEASURED = "average_evaluation"
"""The folder of what was measured of it."""

_APART = {"trainer_state.json", "complete.json"}  # of a checkpoint, not of a model
_OF_MODEL = {".json", ".txt", ".jinja", ".md", ".model"}


def average_steps(settings: TuneSettings, steps: int) -> tuple[int, ...]:
    """The steps whose checkpoints are averaged; none where that is not asked for.

    Args:
        settings: The run's settings.
        steps: The run's optimizer steps.

    Raises:
        SettingsError: If the run has fewer checkpoints.

    Example:
        >>> from righttime.training.settings import TuneSettings
        >>> average_steps(TuneSettings(average_last=3, save_every=10), 35)
        (20, 30, 35)
    """
    if settings.average_last is None:
        return ()
    every, wanted = settings.save_every, settings.average_last
    found = sorted({*range(every, steps + 1, every), steps})
    if len(found) < wanted:
        hint = f"`save_every={steps // wanted}`" if steps >= wanted else "fewer, or more steps"
        raise SettingsError(
            f"`average_last` must be at most the checkpoints of a run, but {steps:,} steps with one every {every:,} "
            f"have {len(found)}, got {wanted}. Hint: {hint}.",
            setting="average_last",
        )
    return tuple(found[-wanted:])


def check_sharding(settings: TuneSettings) -> None:
    """Make sure, before any work, that every checkpoint will hold the whole weights, as one model has them.

    Raises:
        SettingsError: If the model is sharded over processes and its checkpoints are too, or adapters are trained.
    """
    if settings.average_last is None or not sharded_by() or (writes_whole() and settings.lora is None):
        return
    raise SettingsError(
        "`average_last` needs the whole weights in each checkpoint, which of sharded models FSDP2 writes, with "
        "`fsdp_state_dict_type: FULL_STATE_DICT` and without adapters. Hint: configs/accelerate_fsdp.yaml, one process "
        "for each whole model, or leave it out.",
        setting="average_last",
    )


def mean_weights(files: Sequence[Path], decay: float | None = None) -> dict[str, Tensor]:
    """The mean of several files of weights, of all alike or with weights that grow towards the last.

    Sums are float64, in the order of the files; a mean has the type of the weights. Only one tensor is held in float64
    at a time. Of what is no fraction (counters, tables) the last is taken.

    Args:
        files: safetensors files with the same names, shapes and types in them.
        decay: A file weighs so many times what the next one does; None weighs all alike.

    Returns:
        Each tensor by its name.

    Raises:
        ModelError: If one has other tensors.
    """
    import torch
    from safetensors import safe_open

    opened: list[Any] = [safe_open(file, "pt") for file in files]
    names = list(opened[-1].keys())
    shares = [1.0 if decay is None else decay**age for age in reversed(range(len(files)))]
    means: dict[str, Tensor] = {}
    for file, one in zip(files, opened, strict=True):
        if set(one.keys()) != set(names):
            other = min(set(one.keys()) ^ set(names))
            raise ModelError(f"checkpoints to be averaged must hold the same weights, but {other!r} differs in {file}.")
    for name in names:
        last = opened[-1].get_tensor(name)
        if not last.is_floating_point():
            means[name] = last
            continue
        total = torch.zeros(last.shape, dtype=torch.float64)
        for one, share in zip(opened, shares, strict=True):
            total += one.get_tensor(name).double().mul_(share)
        means[name] = (total / sum(shares)).to(last.dtype)
    return means


def write_average(checkpoints: Sequence[Path], folder: Path, decay: float | None = None) -> None:
    """Write the mean of checkpoints as a model of its own, with the last one's configuration and tokenizer.

    Args:
        checkpoints: Their folders, in order.
        folder: Where it is written; what is there is replaced.
        decay: As for `mean_weights`.

    Raises:
        ModelError: If they do not hold the same weights.
        StoreError: If it cannot be written.
    """
    from safetensors.torch import save_file

    last = checkpoints[-1]
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in sorted(last.iterdir()):
            if path.suffix in _OF_MODEL and path.name not in _APART:
                shutil.copyfile(path, folder / path.name)
        for path in sorted(last.glob("*.safetensors")):
            mean = mean_weights([checkpoint / path.name for checkpoint in checkpoints], decay)
            save_file(mean, folder / path.name, metadata={"format": "pt"})
    except OSError as error:
        raise StoreError(
            f"{folder} must be writable, got {error.strerror or error}. Hint: check free space."
        ) from error


def is_average(checkpoints: Sequence[Path], folder: Path, decay: float | None = None) -> bool:
    """Whether the weights in a folder are the mean of those of checkpoints, bit for bit; `decay` as for `mean_weights`.

    Raises:
        ModelError: If the checkpoints do not hold the same weights.
    """
    import torch
    from safetensors.torch import load_file

    names = sorted(path.name for path in checkpoints[-1].glob("*.safetensors"))
    if names != sorted(path.name for path in folder.glob("*.safetensors")):
        return False
    for name in names:
        mean, found = mean_weights([checkpoint / name for checkpoint in checkpoints], decay), load_file(folder / name)
        if mean.keys() != found.keys() or not all(torch.equal(mean[one], found[one]) for one in mean):
            return False
    return True


def put_weights(model: Any, folder: Path) -> None:
    """Put the weights of a folder into the model that they come from.

    Args:
        model: A model of transformers, with adapters where the folder holds some, or sharded by FSDP2; then every
            process of the run calls this.
        folder: What `write_average` wrote.
    """
    if sharded_by():
        _share_weights(model, folder)
        return
    weights = _weights_in(folder)
    if (folder / "adapter_config.json").exists():
        from peft import set_peft_model_state_dict

        set_peft_model_state_dict(model, weights)
        return
    model.load_state_dict(weights, strict=False)  # tied weights are in it once
    model.tie_weights()


def _weights_in(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: weight for path in sorted(folder.glob("*.safetensors")) for name, weight in load_file(path).items()}


def _share_weights(model: Any, folder: Path) -> None:
    """Put the weights of a folder, which the first process reads, into a model whose shards are over all."""
    import torch
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    weights = _weights_in(folder) if torch.distributed.get_rank() == 0 else {}
    # Tied weights are in the file once, and are one parameter of the model.
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=False)
    set_model_state_dict(model, weights, options=options)
