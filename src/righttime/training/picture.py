"""The losses along a run as a picture, where matplotlib is installed (the extra `report`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from righttime.drawing import GREY, GRID, UNIT, captioned, legend, png, short, stroke

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
    from matplotlib.ticker import MaxNLocator

    trained = {entry["step"]: entry["loss"] for entry in log if "loss" in entry}
    evaluated = evaluated_losses(log)
    names = [
        *(["training, the rows of a step"] if trained else []),
        *(f"{name}, mean over its rows" for name in evaluated),
    ]
    steps = max([*trained, *(step for found in evaluated.values() for step in found)], default=0)
    caption = f"Loss of the answers along one run of {steps:,} optimizer steps. One run: no bands."
    figure, (panel,) = captioned((1, 1), 4.0, caption, names)
    if trained:
        its: dict[str, Any] = {"color": GREY, "linewidth": 1, "marker": "." if len(trained) == 1 else None}
        panel.plot(list(trained), list(trained.values()), label=names[0], **its)
    for number, (name, found) in enumerate(evaluated.items()):
        label = f" {short(name)}, mean over its rows"
        panel.plot(list(found), list(found.values()), **stroke(number), markersize=3, label=label)
    panel.set_xlabel("optimizer steps")
    panel.set_ylabel(UNIT)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(**GRID)
    if names:
        legend(figure, panel)
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
