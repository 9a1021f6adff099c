"""A finished arrangement for other trainers: data in their format, a config with every switch that keeps the order."""

from righttime.exporters.advice import keep_order_advice
from righttime.exporters.export import Exported, export
from righttime.exporters.finished import Finished, read_finished
from righttime.exporters.registry import TRAINERS, trainer_named
from righttime.exporters.settings import ExportSettings, Switch, Trainer

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
