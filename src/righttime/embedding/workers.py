"""Batches embedded by several processes side by side, each with the model to itself."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.crew import by_processes, death
from righttime.embedding.protocol import Embedder
from righttime.errors import EmbeddingError, RighttimeError, SettingsError

__all__ = ["check_picklable", "embed_in_processes", "embedded", "threads_each"]


def threads_each(workers: int) -> int:
    """How many threads each of several processes gets: an equal share of PyTorch's here, at least one."""
    import torch

    return max(1, torch.get_num_threads() // workers)


def embed_in_processes(
    embedder: Embedder, batches: Sequence[Sequence[str]], workers: int
) -> Generator[tuple[int, NDArray[np.float32]], None, None]:
    """Embed batches in several processes, each with the model to itself and `threads_each` threads.

    Args:
        embedder: The model. It must be picklable; if it has a method ``for_worker(number)``, a process uses what that
            returns, which may be the same model on a device of its own.
        batches: Texts that are to share a batch.
        workers: How many processes.

    Returns:
        The number of each batch and its vectors, in the order in which they are done.

    Raises:
        EmbeddingError: What the model raised, or that the processes of one batch died three times; names it.
        SettingsError: If the embedder cannot be sent to another process.
    """
    check_picklable(embedder)
    begin = partial(_embedding, embedder, threads_each(workers))
    return by_processes(begin, batches, workers, partial(_died, batches))


def check_picklable(embedder: Embedder) -> None:
    """Refuse an embedder that cannot be sent to another process.

    Raises:
        SettingsError: If it cannot.
    """
    try:
        pickle.dumps(embedder)
    except Exception as error:  # pickle raises many kinds
        raise SettingsError(
            f"an embedder must be picklable to be used by several processes, got {type(embedder).__name__}: {error}. "
            "Hint: leave out `workers`, or define __getstate__ without the loaded model.",
            setting="embedder",
        ) from error


def _died(batches: Sequence[Sequence[str]], batch: int, worker: int, code: int | None) -> EmbeddingError:
    texts = batches[batch]
    task, about = f"embed its batch of {len(texts)} texts", f"; the longest text begins {texts[0][:60]!r}"
    return EmbeddingError(death(f"worker process {worker}", task, code, about))


def _embedding(embedder: Embedder, threads: int, number: int) -> Callable[[Sequence[str]], Any]:
    """What embeds batches in the process of that number."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    import torch

    torch.set_num_threads(threads)
    own = getattr(embedder, "for_worker", None)
    return partial(embedded, own(number) if own else embedder, number)


def embedded(embedder: Embedder, number: int, texts: Sequence[str]) -> NDArray[np.float32] | RighttimeError:
    """The vectors, or what went wrong as an error that can be sent."""
    try:
        return embedder.embed(texts)
    except RighttimeError as error:
        return error
    except Exception as error:  # whatever a model may raise
        return EmbeddingError(f"worker process {number} could not embed: {type(error).__name__}: {error}")
