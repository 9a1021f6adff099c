"""The table of methods: a new one is a function in one of these modules, and a line in that module's `METHODS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.arrangement.methods import (
    baselines,
    distance,
    dsir,
    facility,
    groups,
    kcenter,
    less,
    mixture,
    random_balanced,
    rds,
    tma,
    tma_both_ends,
    tsds,
    within_task,
)
from righttime.arrangement.selection import Method, SelectionInput
from righttime.errors import SettingsError, unknown_name

__all__ = ["METHODS", "draws_by_chance", "method_named", "resolved_params"]

METHODS: Mapping[str, Method] = {
    **tma.METHODS,
    **tma_both_ends.METHODS,
    **distance.METHODS,
    **groups.METHODS,
    **within_task.METHODS,
    **mixture.METHODS,
    **baselines.METHODS,
    **random_balanced.METHODS,
    **rds.METHODS,
    **dsir.METHODS,
    **tsds.METHODS,
    **kcenter.METHODS,
    **facility.METHODS,
    **less.METHODS,
}


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        SettingsError: If there is none; lists the near ones.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]


def draws_by_chance(method: str, inputs: SelectionInput) -> bool:
    """Whether chance decides anything of a method's selection; where not, every seed gives the same.

    Args:
        method: The method's name.
        inputs: The settings, with all parameters resolved (`righttime.arrangement.check_settings`).

    Raises:
        SettingsError: If there is no such method.
    """
    entry = method_named(method)
    return (
        inputs.weave is not None or entry.draws(inputs) or ("rounds" in entry.needs and inputs.within_round == "random")
    )


def resolved_params(method: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A method's own parameters: those given, read as what they are, and the defaults of the others.

    Raises:
        SettingsError: If a name is not one of the method's, or a value is not what it must be or is out of range.
    """
    known = method_named(method).params
    values: dict[str, Any] = {name: param.default for name, param in known.items()}
    for name, value in given.items():
        if name not in known:
            if not known:
                raise SettingsError(f"method {method!r} has no parameters of its own, got {name!r}.", setting="method")
            raise unknown_name(f"parameter of {method!r}", name, known, setting="params")
        values[name] = known[name].read(name, method, value)
    return values
