"""How fast a model reads texts on this machine, measured on a sample."""

from __future__ import annotations

import time
from collections.abc import Sequence

from righttime.embedding import Embedder, plan_batches

__all__ = ["rate_of"]

_SECONDS = 8.0  # that the sample may take


def rate_of(sample: Sequence[str], embedder: Embedder) -> tuple[float, int, float]:
    """Texts a second, the dimension, and the mean number of tokens that the model reads of a text.

    Whole batches as they would be planned, the longest apart, until some seconds are over; token counting counts.
    """
    start = time.perf_counter()
    most = int(embedder.identity["max_length"])
    lengths = [min(length, most) for length in embedder.lengths(sample)]
    counting = (time.perf_counter() - start) / len(sample)
    batches = plan_batches(lengths, getattr(embedder, "tokens_per_batch", 2048))
    dimension = embedder.embed([sample[place] for place in batches[0]]).shape[1]  # loads and warms up
    done, tokens, start = 0, 0, time.perf_counter()
    for batch in batches[1:] or batches:
        embedder.embed([sample[place] for place in batch])
        done, tokens = done + len(batch), tokens + sum(lengths[place] for place in batch)
        if time.perf_counter() - start > _SECONDS:
            break
    # By tokens: the sample's batches that were embedded may be shorter or longer than most.
    mean = sum(lengths) / len(lengths)
    each = (time.perf_counter() - start) / tokens * mean + counting
    return 1 / each, dimension, mean
