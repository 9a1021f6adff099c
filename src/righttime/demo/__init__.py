"""Small, real instruction tasks, made by seeded code: the data of the demo and the tests.

Some forty families in fourteen groups. A family is one short function that draws an instance and computes its answer,
and a handful of wordings; a new one is that function and one entry in its module's table. Families of one group are
near relatives. Six are held out as the target: four whose relatives stay in the pool, and two, `number-words` and
`facing`, whose whole group is held out, so that nothing in the pool is much like them.

    {"id": "sort-words-00000", "task": "sort-words", "category": "lists",
     "prompt": "Sort these words in alphabetical order: strawberry, zebra, grey, scarf",
     "response": "grey, scarf, strawberry, zebra"}
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

from righttime.demo import (
    arithmetic,
    code,
    dates,
    directions,
    labelling,
    languages,
    lists,
    logic,
    reading,
    rewriting,
    strings,
    tables,
    units,
    writing,
)
from righttime.demo.family import Family
from righttime.errors import SettingsError, unknown_name

__all__ = ["FAMILIES", "HELD_OUT", "Family", "Split", "builtin_rows"]

Split = Literal["pool", "target"]

_MODULES = (
    strings,
    lists,
    arithmetic,
    dates,
    units,
    logic,
    tables,
    code,
    rewriting,
    reading,
    labelling,
    writing,
    languages,
    directions,
)

FAMILIES: Mapping[str, Family] = MappingProxyType(
    {family.name: family for module in _MODULES for family in module.FAMILIES}
)
"""Every family by its name."""

HELD_OUT: tuple[str, ...] = (
    "sort-numbers",
    "table-extreme",
    "past-tense",
    "fact-yes-no",
    "number-words",
    "facing",
)
"""The families of the target; all others make the pool."""

_ROWS = {"pool": 40, "target": 10}
_TRIES = 200


def _family_rows(family: Family, split: Split, count: int, seed: int) -> list[dict[str, str]]:
    """The first `count` rows of a family; they depend on no other family and on no larger `count`."""
    rng = random.Random(f"{seed}/{split}/{family.name}")
    rows: list[dict[str, str]] = []
    seen: set[str] = set()
    for number in range(count):
        for _ in range(_TRIES):
            prompt, response = family.row(rng, number)
            if prompt not in seen:
                break
        seen.add(prompt)
        head = {"id": f"{family.name}-{number:05d}", "task": family.name, "category": family.group}
        rows.append({**head, "prompt": prompt, "response": response})
    return rows


def builtin_rows(split: Split, *, rows_per_family: int | None = None, seed: int = 0) -> list[dict[str, str]]:
    """The rows of the pool or of the target, in an order that tells nothing.

    A family's rows depend on the seed, the split and that family alone, and fewer rows are the first of more. No prompt
    occurs twice as long as a family has new ones to give, which each does for hundreds of rows.

    Args:
        split: `"pool"`, every family that is not held out, or `"target"`, those that are.
        rows_per_family: Rows of each family; 40 in the pool and 10 in the target where not given.
        seed: Another seed draws other rows.

    Returns:
        Rows with `id`, `task` (the family), `category` (its group), `prompt` and `response`.

    Raises:
        SettingsError: If the split is unknown or `rows_per_family` is negative.

    Example:
        >>> row = builtin_rows("target", seed=1)[0]
        >>> sorted(row)
        ['category', 'id', 'prompt', 'response', 'task']
        >>> len(builtin_rows("target")) == 10 * len(HELD_OUT)
        True
    """
    if split not in get_args(Split):
        raise unknown_name("split", split, get_args(Split))
    count = _ROWS[split] if rows_per_family is None else rows_per_family
    if count < 0:
        raise SettingsError(f"rows_per_family must not be negative, got {count}.", setting="rows_per_family")
    families = [family for name, family in FAMILIES.items() if (name in HELD_OUT) == (split == "target")]
    rows = [row for family in families for row in _family_rows(family, split, count, seed)]
    random.Random(f"{seed}/{split}").shuffle(rows)
    return rows
