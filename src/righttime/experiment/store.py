"""An experiment's own file: what was asked, and the one comparison that decides, stated before the first run."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from righttime import strict_json
from righttime.analysis.comparable import PRIMARY
from righttime.errors import RighttimeError, SettingsError, StoreError
from righttime.experiment.draws import JUDGE
from righttime.experiment.layout import ASKED, DRAW
from righttime.experiment.settings import Evaluation, Experiment, Order, Source
from righttime.store import as_written, made, make_folder, write_json

__all__ = ["is_experiment", "open_experiment", "state_experiment"]

_PRIMARY = {
    "metric": PRIMARY,
    "set": JUDGE,
    "statistic": "area under the loss curve, divided by the range of steps",
    "unit": "the replicate",
    "test": "paired t, Holm over the orders, at 5%",
}
_FREE = {"orders", "replicates", "priority", "question", "keep_models"}
"""What may change between two calls: more orders, more replicates, another priority."""


def is_experiment(folder: Path) -> bool:
    """Whether a folder holds an experiment."""
    return (folder / ASKED).is_file()


def state_experiment(experiment: Experiment, root: Path) -> None:
    """Write what is asked, unless it stands there already.

    Raises:
        StoreError: If the folder holds something else.
        SettingsError: If it holds an experiment that differs in what decides its numbers; names where.
    """
    if is_experiment(root):
        if any(root.glob(f"replicate-*/{DRAW}")):  # before that nothing depends on it
            _check_same(open_experiment(root), experiment, root)
    elif root.is_dir() and any(root.iterdir()):
        raise StoreError(f"{root} must be empty or hold an experiment, but it holds neither. Hint: another folder.")
    make_folder(root)
    stated = {"primary": {**_PRIMARY, "baseline": experiment.baseline, "family": list(experiment.orders)}}
    write_json(root / ASKED, {**stated, "experiment": experiment.as_json()})


def open_experiment(root: Path) -> Experiment:
    """The experiment of a folder.

    Raises:
        StoreError: If the folder holds none, or its file was changed.
    """
    path = root / ASKED
    try:
        found = strict_json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreError(f"{root} must hold an experiment, but it has no {ASKED}.") from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} must be readable JSON, got: {error}.") from error
    with as_written(path, "righttime experiment"):
        experiment = _experiment(found["experiment"])
        with contextlib.suppress(RighttimeError):  # what is out of range is said when it is used
            experiment.check()
        return experiment


def _experiment(found: dict[str, Any]) -> Experiment:
    orders = {name: made(Order, order) for name, order in found["orders"].items()}
    for order in orders.values():
        if order.arranging.get("rounds") is not None:
            order.arranging["rounds"] = tuple(order.arranging["rounds"])  # type: ignore[index]
    at = {**found["evaluation"], "at": tuple(found["evaluation"]["at"])}
    evaluation = made(Evaluation, {**at, "metrics": tuple(at["metrics"])})
    sides = {name: _sources(found[name]) for name in ("pool", "target")}
    named = {
        side: {name: _sources(sources) for name, sources in found.get(side, {}).items()}
        for side in ("sets", "side_pools")
    }
    before = {"guard": "off"}  # of experiments that were begun before there was a guard
    return made(Experiment, {**before, **found, **sides, **named, "orders": orders, "evaluation": evaluation})


def _sources(found: list[dict[str, Any]]) -> tuple[Source, ...]:
    return tuple(made(Source, {**one, "tasks": tuple(one["tasks"])}) for one in found)


def _check_same(before: Experiment, now: Experiment, root: Path) -> None:
    """Numbers of one folder come of one experiment."""
    one, two = (_placeless(json.loads(json.dumps(each.as_json()))) for each in (before, now))
    for name in one:
        if name not in _FREE and one[name] != two[name]:
            raise SettingsError(
                f"{root} holds an experiment whose {name} is {one[name]!r}, not {two[name]!r}. Hint: another folder, "
                "or the settings it was begun with; orders and replicates may be added."
            )
    for name, order in one["orders"].items():
        if name not in two["orders"] or one["replicates"] > two["replicates"]:
            gone = f"the order {name}" if name not in two["orders"] else f"{one['replicates']} replicates"
            raise SettingsError(
                f"{root} holds an experiment with {gone}, which must stay: the comparison was stated before the runs. "
                "Hint: orders and replicates may be added; compare fewer with righttime compare."
            )
        if order != two["orders"][name]:
            raise SettingsError(
                f"{root} holds runs of an order {name} with other settings. Hint: give the new order another name."
            )


def _placeless(value: Any) -> Any:
    """The same with files by their names alone: on another machine they lie in other folders."""
    if isinstance(value, dict):
        return {name: _placeless(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_placeless(each) for each in value]
    if isinstance(value, str) and os.path.isabs(value.removeprefix("vectors:")):
        return os.path.basename(value)
    return value
