"""``righttime methods``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from righttime.cli.app import app
from righttime.cli.output import Json, emit
from righttime.cli.text import table
from righttime.errors import SettingsError

if TYPE_CHECKING:
    from righttime.arrangement import Method, Param

__all__ = ["method_facts", "methods", "methods_text"]


@app.command(rich_help_panel="Arrange")
def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Describe this method and its parameters.")
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help="The same.")] = None,
    as_json: Json = False,
) -> None:
    """List the methods.

    What each does, what it needs and costs, and where it comes from.
    """
    if name is not None and method is not None and name != method:
        raise SettingsError(f"one method must be named, got {name} and --method {method}. Hint: leave out one of them.")
    chosen = method if name is None else name
    emit(as_json, lambda: method_facts(chosen), lambda: methods_text(chosen))


def method_facts(name: str | None = None) -> dict[str, Any]:
    """Every method, or one, for a program."""
    from righttime.arrangement import METHODS, method_named

    chosen = METHODS if name is None else {name: method_named(name)}
    return {"methods": [_facts(each, entry) for each, entry in chosen.items()]}


def _facts(name: str, method: Method) -> dict[str, Any]:
    params = [
        {"name": each, "kind": _kind(param), "default": param.default, "does": param.does}
        for each, param in method.params.items()
    ]
    return {
        "name": name,
        "does": method.does,
        "needs": sorted(method.needs),
        "cost": method.cost,
        "source": method.source,
        "nested": method.nested,
        "params": params,
    }


def methods_text(name: str | None = None) -> str:
    """The table of methods, or one method with its own parameters.

    Args:
        name: A name of `righttime.arrangement.METHODS`, or None for all.

    Raises:
        SettingsError: If there is no such method.
    """
    from righttime.arrangement import METHODS, method_named

    if name is not None:
        return _method(name, method_named(name))
    rows = [
        [each, entry.does, _needs(entry), entry.cost or "?", ", ".join(entry.params) or "-", entry.source or "?"]
        for each, entry in METHODS.items()
    ]
    note = (
        "cost: n pool rows, m target rows, d dimensions, b budget, g groups. "
        "righttime methods NAME describes a method's parameters."
    )
    return table(["method", "what it does", "needs", "cost", "params", "source"], rows) + "\n\n" + note


def _needs(method: Method) -> str:
    """What the user must bring: rounds and distance are not brought, they are what can be set."""
    return ", ".join(sorted(method.needs - {"rounds", "distance"})) or "nothing"


def _method(name: str, method: Method) -> str:
    lines = [f"{name}: {method.does}", f"  source: {method.source or '?'}", f"  needs:  {_needs(method)}"]
    lines.append(f"  cost:   {method.cost or '?'}")
    lines.append(f"  a smaller budget gives the first rows of a larger one: {'yes' if method.nested else 'no'}")
    options = [f"--{option}" for option in ("distance", "rounds") if option in method.needs]
    if "rounds" in method.needs:
        options.append("--within-round")
    if options:
        lines.append(f"  options: {', '.join(options)}")
    if not method.params:
        return "\n".join([*lines, "  no parameters of its own"])
    rows = [
        [each, _kind(param), "none" if param.default is None else str(param.default), param.does]
        for each, param in method.params.items()
    ]
    return "\n".join([*lines, "", table(["--param", "kind", "default", "what it does"], rows)])


def _kind(param: Param) -> str:
    """What a parameter must be, with its range."""
    kind = {int: "whole number", float: "number", str: "text"}[param.kind]
    return param.range if param.choices else f"{kind} {param.range}".strip()
