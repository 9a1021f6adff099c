"""Experiments: orders × replicates on one pool and target, from a YAML file to an analysis.

read_experiment ─▶ Experiment ─ run_experiment (draws, a process for each run) ─▶ analyse_experiment ─▶ write_analysis

Importing this imports neither torch nor transformers.
"""

from righttime.experiment.layout import Cell, cells, state_of
from righttime.experiment.matrix import Outcome, ThisMachine, run_experiment, wanted_cells
from righttime.experiment.pilot import pilot_experiment
from righttime.experiment.reading import read_experiment
from righttime.experiment.report import analyse_experiment, finished_runs, write_analysis
from righttime.experiment.settings import Evaluation, Experiment, Order, Source
from righttime.experiment.store import is_experiment, open_experiment

__all__ = [
    "Cell",
    "Evaluation",
    "Experiment",
    "Order",
    "Outcome",
    "Source",
    "ThisMachine",
    "analyse_experiment",
    "cells",
    "finished_runs",
    "is_experiment",
    "open_experiment",
    "pilot_experiment",
    "read_experiment",
    "run_experiment",
    "state_of",
    "wanted_cells",
    "write_analysis",
]
