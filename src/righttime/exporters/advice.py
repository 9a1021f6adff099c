"""What a person must switch off by hand so that a trainer keeps the order: the same switches that the exports write."""

from __future__ import annotations

import json
import textwrap

from righttime.exporters.quoting import python_literal
from righttime.exporters.registry import TRAINERS
from righttime.exporters.settings import Switch

__all__ = ["keep_order_advice"]


def keep_order_advice(width: int = 100) -> str:
    """The switches of every trainer, wrapped to a width.

    Args:
        width: Characters in a line.
    """
    parts = []
    for trainer in TRAINERS.values():
        if trainer.switches:
            named = ", ".join(_spelled(switch, python="trl" in trainer.written_for) for switch in trainer.switches)
            indent = " " * 4
            text = textwrap.fill(named, width, initial_indent=indent, subsequent_indent=indent, break_long_words=False)
            parts.append(f"  {trainer.title}\n{text}")
    return "\n".join(parts)


def _spelled(switch: Switch, python: bool) -> str:
    return f"{switch.key}={python_literal(switch.value)}" if python else f"{switch.key}: {json.dumps(switch.value)}"
