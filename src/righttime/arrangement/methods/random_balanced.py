"""The same share of every task, drawn at random."""

from __future__ import annotations

import numpy as np

from righttime.arrangement.methods.baselines import rows_by_task
from righttime.arrangement.selection import Method, Selection, SelectionInput

__all__ = ["METHODS"]


def _random_balanced(inputs: SelectionInput) -> Selection:
    """Turns of one random row of each task, tasks in a random order within each turn.

    So any prefix holds the same number of rows of every task, give or take one, and what an exhausted task leaves over
    goes to the others in equal parts.
    """
    rng = np.random.default_rng(inputs.seed)
    rows = [rng.permutation(numbers) for numbers in rows_by_task(inputs)]
    turn = np.concatenate([np.arange(len(numbers)) for numbers in rows])
    chance = rng.random(len(turn))
    return Selection(np.concatenate(rows)[np.lexsort((chance, turn))].astype(np.int64))


METHODS = {
    "random-balanced": Method(
        _random_balanced,
        "random rows, the same share of every task",
        "equal mixing, Raffel et al., JMLR 2020",
        frozenset({"tasks"}),
        "n",
        draws=lambda _: True,
        check=rows_by_task,
        paper="Raffel et al., *Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer*, "
        "JMLR 2020, arXiv 1910.10683",
        differs="No row comes twice: what an exhausted task leaves over goes to the others.",
    )
}
