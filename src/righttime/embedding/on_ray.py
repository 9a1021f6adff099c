"""Batches embedded on a Ray cluster, by Ray Data with a pool of actors that each hold the model."""

from __future__ import annotations

import pickle
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.cluster import started_ray, workers_of
from righttime.embedding.protocol import Embedder
from righttime.embedding.workers import check_picklable, embedded
from righttime.errors import RighttimeError

__all__ = ["embed_on_ray"]

_BLOCKS_EACH = 16  # parts of the work for each actor, so that they end together


class BatchEmbedder:
    """What an actor of the pool does."""

    def __init__(self, embedder: Embedder) -> None:
        """Take the model."""
        self.embedder = embedder

    def __call__(self, batch: dict[str, NDArray[Any]]) -> dict[str, Any]:
        """Embed one of our batches: its number goes through, vectors or an error come back pickled."""
        number, texts = int(batch["number"][0]), [str(text) for text in batch["texts"][0]]
        return {"number": [number], "answer": [pickle.dumps(embedded(self.embedder, number, texts))]}


def embed_on_ray(
    embedder: Embedder, batches: Sequence[Sequence[str]]
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    """Embed batches on a cluster; an actor that dies is replaced by Ray, and its batches are done again.

    Args:
        embedder: The model. It must be picklable, and be found under the same name on every machine.
        batches: Texts that are to share a batch.

    Yields:
        The number of a batch and its vectors, in the order in which they are done.

    Raises:
        EmbeddingError: What the model raised.
        SettingsError: If Ray is not installed, or the embedder cannot be sent to another process.
    """
    check_picklable(embedder)
    if not batches:
        return
    ray = started_ray()
    from ray.data import ActorPoolStrategy, DataContext, from_items

    DataContext.get_current().enable_progress_bars = False
    count, gpus = workers_of(ray)
    rows = [{"number": number, "texts": list(texts)} for number, texts in enumerate(batches)]
    done = from_items(rows, override_num_blocks=min(len(rows), _BLOCKS_EACH * count)).map_batches(
        BatchEmbedder,
        fn_constructor_args=(embedder,),
        batch_size=1,
        compute=ActorPoolStrategy(size=min(count, len(rows))),
        num_cpus=None if gpus else 1,
        num_gpus=1 if gpus else None,
    )
    for row in done.iter_rows():
        answer = pickle.loads(row["answer"])
        if isinstance(answer, RighttimeError):
            raise answer
        yield int(row["number"]), answer
