"""A finished arrangement for other trainers: data in their format, a config with every switch that keeps the order."""

from righttime.exporting.advice import keep_order_advice
from righttime.exporting.finished import Finished, read_finished
from righttime.exporting.settings import ExportSettings, Switch, Trainer
from righttime.exporting.table import TRAINERS, trainer_named
from righttime.exporting.writing import Exported, export

__all__ = [
    "TRAINERS",
    "ExportSettings",
    "Exported",
    "Finished",
    "Switch",
    "Trainer",
    "export",
    "keep_order_advice",
    "read_finished",
    "trainer_named",
]
