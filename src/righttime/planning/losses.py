"""What scoring rows by a model's loss will take, for a shape that sorts by it."""

from __future__ import annotations

import random
import time
from pathlib import Path

from righttime.arrangement.budget import rows_of
from righttime.arrangement.shapes import read_shape
from righttime.embedding.cache import ROW_BYTES
from righttime.embedding.losses import LossScorer
from righttime.embedding.represent import lacking
from righttime.growing import grown
from righttime.planning.rates import rate_of
from righttime.planning.stages import EMBEDDED_BYTES, Stage, most_resident, resident
from righttime.results import Request
from righttime.rows import Rows

__all__ = ["loss_stage"]

_TEXTS = 256  # rows that are sampled
_LOSS_BYTES = 4  # a vector of one number


def loss_stage(rows: Rows, n_pool: int, request: Request, cache: Path, budget: int | None = None) -> list[Stage]:
    """The stage that scores the chosen rows; none where no model does.

    Which rows will be chosen is not known, so rows drawn from all that have an answer stand for them.

    Args:
        rows: Rows of the pool, or some of them.
        n_pool: How many rows the pool has.
        request: The settings.
        cache: The folder of cached vectors.
        budget: Rows that the method chooses; None takes the request's.

    Raises:
        RighttimeError: If the model cannot be loaded or cannot read a row.
    """
    shape = read_shape(request.shape)
    if shape is None or shape.model is None:
        return []
    scorer = LossScorer(shape.model, device=request.device)
    budget = budget or rows_of(request.budget, n_pool) or n_pool
    answered = [number for number, one in enumerate(rows.answered) if one]
    if not answered:
        return [Stage("losses", 1, None, 0, 0, "no row looked at has an answer, so none has a loss")]
    sample = random.Random(0).sample(answered, min(len(answered), _TEXTS))
    scorer.text_of(next(rows.examples(sample)))  # what is loaded once is not scaled up
    start = time.perf_counter()
    texts = [scorer.text_of(row) for row in rows.examples(sample)]
    each = (time.perf_counter() - start) / len(texts)
    left = budget * int(lacking(texts, len(texts), scorer, cache).sum()) // len(texts)
    rate, _, tokens = rate_of(texts, scorer)
    kept, filed = grown([budget * sum(map(len, texts)) // len(texts)], 1)
    held = kept + EMBEDDED_BYTES * budget + max(0, most_resident() - resident())
    note = (
        f"{scorer.identity['model']}: about {left:,} of {budget:,} rows not in the cache yet, "
        f"{tokens:.0f} tokens each; {rate:,.1f} rows/s measured"
    )
    return [Stage("losses", 1, each * budget + left / rate, 0, left * (ROW_BYTES + _LOSS_BYTES) + filed, note, held)]
