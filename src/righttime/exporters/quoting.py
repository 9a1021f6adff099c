"""How settings are spelled: YAML with a reason above each switch, and Python; each string by its language's writer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import yaml

from righttime.exporters.settings import Switch

__all__ = ["commented", "python_literal", "switched", "yaml_lines"]


def commented(text: str, indent: str = "") -> list[str]:
    """A sentence as comment lines.

    Example:
        >>> commented("Why not?")
        ['# Why not?']
    """
    # Names come from outside, and what ends a line to a reader of the file would end the comment.
    text = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    return textwrap.wrap(text, 110, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def yaml_lines(values: Mapping[str, Any], indent: str = "") -> list[str]:
    """Plain settings, one in a line.

    Example:
        >>> yaml_lines({"a": 1, "b": {"c": "x"}})
        ['a: 1', 'b:', '  c: "x"']
    """
    lines: list[str] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{indent}{key}:", *yaml_lines(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {_scalar(value)}")
    return lines


def switched(switches: Sequence[Switch]) -> Iterator[str]:
    """Switches, each with its reason above it; those inside a section are left to that section.

    Example:
        >>> list(switched([Switch("packing", False, "Rows stay apart.")]))
        ['# Rows stay apart.', 'packing: false']
    """
    for switch in switches:
        if "." not in switch.key:
            yield from commented(switch.why)
            yield f"{switch.key}: {_scalar(switch.value)}"


def python_literal(value: Any) -> str:
    """A value as Python source, with double quotes.

    Example:
        >>> print(python_literal({"even_batches": False}), python_literal("sequential"))
        {"even_batches": False} "sequential"
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{python_literal(key)}: {python_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(python_literal(item) for item in value) + "]"
    text = repr(value)
    # With single quotes around it, what holds no double quote holds no single one either.
    return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in text else text


def _scalar(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_scalar(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_scalar(item) for item in value) + "]"
    if isinstance(value, str):
        return str(yaml.safe_dump(value, default_style='"', allow_unicode=True, width=float("inf"))).rstrip("\n")
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")  # YAML 1.1 takes 1e-05 for text
    return "null" if value is None else str(value).lower()
