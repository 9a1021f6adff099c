"""Whether a run draws anything by chance: where it does not, its seed changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from righttime.training.models import configuration
from righttime.training.plan import Plan
from righttime.training.settings import TuneSettings

__all__ = ["idle_seed"]

_DRAWN = ("drop", "jitter", "noise")


def idle_seed(settings: TuneSettings, plan: Plan, model: str) -> str | None:
    """A sentence where the seed decides nothing of a run, else None.

    Chance has three ways into a run: a shuffle, new adapters, and what the model itself draws while it trains, such as
    dropout. Of the last its configuration tells; where it names any such rate above 0, nothing is said.

    Args:
        settings: How to tune.
        plan: What is to be consumed.
        model: The model's folder or hub name.

    Raises:
        ModelError: If there is no such model.
    """
    shuffled = plan.shuffle_after is not None and plan.shuffle_after < plan.n_steps
    if shuffled or settings.lora is not None or any(_rates(configuration(model).to_dict())):
        return None
    return "nothing in this run is drawn by chance (no dropout, shuffling or new adapters): --seed changes nothing"


def _rates(config: Mapping[str, Any]) -> Iterator[bool]:
    """Of every number in a configuration whose name tells of chance, whether it is above 0."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _rates(value)
        elif isinstance(value, int | float) and any(word in name.lower() for word in _DRAWN):
            yield value > 0
