"""Tuning: fine-tune a model in exactly the order of an arrangement, and prove that it was.

    arrangement ─ rows (tokens) ─ plan ─▶ trainer ─▶ model
                                    │        │ every micro-batch, as it is fed
                                    └─▶ oracle ─▶ records ─▶ verify

Importing this imports neither torch nor transformers.
"""

from righttime.training.oracle import Oracle, first_difference, tokens_hash, watch
from righttime.training.plan import Batch, Plan
from righttime.training.records import Attempt, Consumed, Records, read_records
from righttime.training.run import Tuned, tune
from righttime.training.settings import PRESETS, Lora, TuneSettings
from righttime.training.versions import check_versions

__all__ = [
    "PRESETS",
    "Attempt",
    "Batch",
    "Consumed",
    "Lora",
    "Oracle",
    "Plan",
    "Records",
    "TuneSettings",
    "Tuned",
    "check_versions",
    "first_difference",
    "read_records",
    "tokens_hash",
    "tune",
    "watch",
]
