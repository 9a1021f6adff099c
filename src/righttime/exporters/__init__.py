"""A finished arrangement for other trainers: data in their format, a config with every switch that keeps the order."""

from righttime.exporters.data import ExportData, export_data
from righttime.exporters.export import Exported, export
from righttime.exporters.registry import TRAINERS, trainer_named
from righttime.exporters.settings import ExportSettings, Switch, Trainer

__all__ = [
    "TRAINERS",
    "ExportData",
    "ExportSettings",
    "Exported",
    "Switch",
    "Trainer",
    "export",
    "export_data",
    "trainer_named",
]
