"""The losses along a run as a picture, where matplotlib is installed (the extra `report`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from righttime.drawing import GREY, GRID, png, stroke

__all__ = ["NO_PICTURE", "draw_losses", "evaluated_losses", "loss_figure"]

NO_PICTURE = "no picture of the losses: that takes matplotlib (pip install righttime[report])"


def draw_losses(log: Sequence[Mapping[str, Any]]) -> bytes | None:
    """The training loss of each step and, where it was evaluated, the loss on each set.

    Args:
        log: What the trainer logged.

    Returns:
        A PNG, or None where matplotlib is not installed.
    """
    try:
        figure = loss_figure(log)
    except ImportError:
        return None
    return png(figure)


def loss_figure(log: Sequence[Mapping[str, Any]]) -> Any:
    """The same as a figure of matplotlib.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 5), dpi=100, layout="constrained")
    panel = figure.subplots()
    trained = {entry["step"]: entry["loss"] for entry in log if "loss" in entry}
    lone: dict[str, Any] = {"marker": "."} if len(trained) == 1 else {}
    if trained:
        told = "training, the rows of a step"
        panel.plot(list(trained), list(trained.values()), color=GREY, linewidth=1, label=told, **lone)
    for number, (name, found) in enumerate(evaluated_losses(log).items()):
        label = f"{name}, mean over its rows"
        panel.plot(list(found), list(found.values()), **stroke(number), marker="o", markersize=3, label=label)
    panel.set_xlabel("optimizer steps")
    panel.set_ylabel("loss of the answers (nats per token)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(**GRID)
    panel.legend(frameon=False)
    return figure


def evaluated_losses(log: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, float]]:
    """The loss on each set by step.

    Example:
        >>> evaluated_losses([{"step": 0, "target_loss": 3.0}, {"step": 1, "loss": 2.0}])
        {'target': {0: 3.0}}
    """
    found: dict[str, dict[int, float]] = {}
    for entry in log:
        if "train_runtime" not in entry:  # the trainer's own summary, with its train_loss
            for name in entry:
                if name.endswith("_loss"):
                    found.setdefault(name.removesuffix("_loss"), {})[entry["step"]] = entry[name]
    return found
