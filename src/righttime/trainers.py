"""What a person must do so that a trainer keeps the order. Every trainer here shuffles unless it is told not to."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

__all__ = ["KEEP_ORDER", "keep_order_advice"]

KEEP_ORDER: Mapping[str, str] = {
    "transformers >= 5.2, TRL": (
        'train_sampling_strategy="sequential", packing=False, accelerator_config={"even_batches": False}, one epoch; '
        "no grouping by length (older versions sample at random without a word; TRL's shuffle_dataset=False does not "
        "change that)"
    ),
    "Axolotl": (
        "curriculum_sampling: true, shuffle_merged_datasets: false, sample_packing: false, "
        "dataset_exact_deduplication: false; excess_length_strategy must not be drop"
    ),
    "LLaMA-Factory": "disable_shuffling: true, packing: false, streaming: false, val_size: 0, mix_strategy: concat",
    "torchtune": "shuffle: False, dataset.packed: False",
}
"""Trainer to the switches that keep order; every one of them is needed."""


def keep_order_advice(width: int = 100) -> str:
    """The switches of every trainer, wrapped to a width.

    Args:
        width: Characters in a line.
    """
    indent = " " * 4
    wrapped = (
        textwrap.fill(switches, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
        for switches in KEEP_ORDER.values()
    )
    return "\n".join(f"  {name}\n{text}" for name, text in zip(KEEP_ORDER, wrapped, strict=True))
