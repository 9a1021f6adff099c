"""Tuning: fine-tune a model in exactly the order of an arrangement, and prove that it was.

    arrangement ─ rows (tokens) ─ plan ─▶ trainer ─▶ model
                                    │        │ every micro-batch, as it is fed
                                    └─▶ oracle ─▶ records ─▶ verify

Importing this imports neither torch nor transformers.
"""

from righttime.training.adapters import Lora
from righttime.training.finished import FinishedRun, Run, begun_run, open_run
from righttime.training.manifest import Begun, RunManifest
from righttime.training.oracle import Oracle, first_difference, tokens_hash, watch
from righttime.training.plan import Batch, Plan
from righttime.training.preference import watched_preferences
from righttime.training.records import Attempt, Consumed, Records, read_records
from righttime.training.run import Tuned, tune
from righttime.training.settings import PRESETS, TuneSettings
from righttime.training.versions import check_versions

__all__ = [
    "PRESETS",
    "Attempt",
    "Batch",
    "Begun",
    "Consumed",
    "FinishedRun",
    "Lora",
    "Oracle",
    "Plan",
    "Records",
    "Run",
    "RunManifest",
    "TuneSettings",
    "Tuned",
    "begun_run",
    "check_versions",
    "first_difference",
    "open_run",
    "read_records",
    "tokens_hash",
    "tune",
    "watch",
    "watched_preferences",
]
