"""What a run draws by chance, and what is said of it and of losses beside that of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from righttime.training.plan import Plan
from righttime.training.settings import TuneSettings

__all__ = ["drawn_by_chance", "group_note", "router_note", "seed_note"]

_DROPPING = ("drop", "jitter")
_NEVER_TUNED = ("classifier", "summary")  # dropout of heads that a causal language model does not have


def drawn_by_chance(plan: Plan, settings: TuneSettings, model: Any, missing: bool) -> list[str]:
    """What the seed decides.

    Args:
        plan: The run's plan.
        settings: Its settings.
        model: The model as it is trained.
        missing: Whether some of its weights were not in its files, and so are drawn.

    Returns:
        Some of ``shuffle``, ``adapters``, ``dropout``, ``missing weights``; nothing where every seed gives the same.
    """
    found = {
        "shuffle": _shuffled(plan) > 1,
        "adapters": settings.lora is not None,
        "dropout": any(_dropping(model)),
        "missing weights": missing,
    }
    return [name for name, drawn in found.items() if drawn]


def seed_note(settings: TuneSettings, drawn: list[str]) -> str | None:
    """What to say to somebody who gave a seed that changes nothing."""
    if settings.seed is None or drawn:
        return None
    return (
        f"seed {settings.seed} changes nothing in this run: no row is shuffled, no adapter is made anew, and the model "
        "has no dropout. Every seed gives the same weights"
    )


def group_note(settings: TuneSettings, drawn: list[str]) -> str | None:
    """What to say where grouping or packing the rows of a step changes more than rounding."""
    given = settings.budgeted
    if given is None or "dropout" not in drawn:
        return None
    return (
        f"the model has dropout, and with `{given}` other tokens are dropped: the weights differ from those of the "
        f"same steps without it. Compare only runs with the same `{given}`"
    )


def router_note(model: Any) -> str | None:
    """What to say where a model's configuration asks for a loss of its router beside that of tokens.

    Training takes the loss from logits, and so leaves that of the router out, however a step is laid out.

    Args:
        model: The model as it is trained.
    """
    config = model.config.get_text_config()
    weight = getattr(config, "router_aux_loss_coef", None)
    if not weight or not getattr(config, "output_router_logits", False):
        return None
    return (
        f"the model's configuration asks for a loss of its router (router_aux_loss_coef {weight}), which is left out: "
        "the loss is that of learnt tokens alone, and nothing keeps the use of experts even"
    )


def _shuffled(plan: Plan) -> int:
    """Rows that are shuffled in the last epoch, which has the most of them."""
    if plan.shuffle_after is None:
        return 0
    kept = max(0, plan.shuffle_after - (plan.epochs - 1) * plan.steps_per_epoch) * plan.rows_per_step
    return len(plan.ids) - kept


def _dropping(model: Any) -> Iterator[bool]:
    """Whether parts of the model drop something by chance, by its modules and by its configuration.

    Many models call the dropout of their attention as a function: only the configuration knows of that.
    """
    from torch.nn.modules.dropout import _DropoutNd

    yield from (isinstance(module, _DropoutNd) and module.p > 0 for module in model.modules())
    yield from _above_zero(model.config.to_dict())


def _above_zero(config: Mapping[Any, Any]) -> Iterator[bool]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _above_zero(value)
        elif any(part in str(name) for part in _DROPPING) and not any(part in str(name) for part in _NEVER_TUNED):
            yield isinstance(value, int | float) and not isinstance(value, bool) and value > 0
