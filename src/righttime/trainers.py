"""What a person must do so that a trainer keeps the order. Every trainer here shuffles unless it is told not to."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["KEEP_ORDER", "keep_order_advice"]

KEEP_ORDER: Mapping[str, str] = {
    "transformers >= 5.2, TRL": (
        'train_sampling_strategy="sequential", packing=False, no group_by_length, '
        'accelerator_config={"even_batches": False} (older versions sample at random without a word; '
        "TRL's shuffle_dataset=False does not change that)"
    ),
    "Axolotl": (
        "curriculum_sampling: true, shuffle_merged_datasets: false, sample_packing: false, "
        "dataset_exact_deduplication: false, excess_length_strategy: not drop"
    ),
    "LLaMA-Factory": "disable_shuffling: true, packing: false, streaming: false, val_size: 0, mix_strategy: concat",
    "torchtune": "shuffle: False, dataset.packed: False",
}
"""Trainer to the switches that keep order; every one of them is needed."""


def keep_order_advice() -> str:
    """The switches, a line for each trainer."""
    width = max(len(name) for name in KEEP_ORDER)
    return "\n".join(f"  {name.ljust(width)}  {switches}" for name, switches in KEEP_ORDER.items())
