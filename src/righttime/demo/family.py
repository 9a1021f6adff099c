"""What one family of tasks is."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Family", "Fields"]

Fields = dict[str, str]
"""What one row is made from: the fields of the wordings, and `response`, the right answer."""


@dataclass(frozen=True)
class Family:
    """One kind of task: a function that makes its instances, and the ways to ask for them.

    Attributes:
        name: Unique over all families; the `task` of its rows.
        group: Families of one group are near relatives; the `category` of its rows.
        make: Draws one instance: the fields of the wordings, and `response`. Draws from its argument alone.
        wordings: `str.format` templates over those fields; each one alone is a complete prompt.

    Example:
        >>> double = Family("double", "arithmetic", lambda rng: {"n": "4", "response": "8"}, ("Double {n}.",))
        >>> double.row(random.Random(0), 0)
        ('Double 4.', '8')
    """

    name: str
    group: str
    make: Callable[[random.Random], Fields]
    wordings: tuple[str, ...]

    def row(self, rng: random.Random, turn: int) -> tuple[str, str]:
        """One prompt and its response; the wordings take turns.

        A field may start with a line break, for what stands in lines of its own; no blank is left around it.
        """
        fields = self.make(rng)
        prompt = self.wordings[turn % len(self.wordings)].format_map(fields)
        return prompt.strip().replace(" \n", "\n"), fields["response"]
