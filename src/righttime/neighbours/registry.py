"""Search engines by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from righttime.cluster import check_ray
from righttime.errors import SettingsError, unknown_name
from righttime.neighbours.answers import KeptAnswers
from righttime.neighbours.local import BlockSearch, has_cuda
from righttime.neighbours.nominate import Progress
from righttime.neighbours.products import PRECISIONS
from righttime.neighbours.protocol import MEMORY, Search
from righttime.neighbours.seen import Seen

__all__ = ["ENGINES", "Engine", "search_here", "search_named"]

Told = Callable[[str], object]


def _no_gpu() -> None:
    if not has_cuda():
        raise SettingsError(
            "the engine cuda needs a GPU that PyTorch finds, got none. Hint: `engine='cpu'`, or auto.", setting="engine"
        )


def _sharded(
    memory: int, block_rows: int | None, progress: Progress | None, told: Told | None, answers: KeptAnswers | None
) -> Search:
    from righttime.neighbours.shards import ShardedSearch

    return ShardedSearch(memory, block_rows, progress, told=told, answers=answers)


@dataclass(frozen=True)
class Engine:
    """One line of the table of engines.

    Attributes:
        does: Where it looks for neighbours, in a few words.
        check: Raises where it is not to be had here.
        search: Makes the search of memory, rows of a block, progress, `told` and `answers`; None: a `BlockSearch` of
            its name.
        cluster: Whether it works on many machines.
    """

    does: str
    check: Callable[[], object] | None = None
    search: Callable[[int, int | None, Progress | None, Told | None, KeptAnswers | None], Search] | None = None
    cluster: bool = False


ENGINES: Mapping[str, Engine] = {
    "auto": Engine("CUDA where there is a GPU and the work is large, else the CPU"),
    "cpu": Engine("NumPy, on this machine's cores"),
    "cuda": Engine("PyTorch, on a GPU", _no_gpu),
    "ray": Engine("the machines of a Ray cluster (RAY_ADDRESS)", check_ray, _sharded, cluster=True),
    "torch": Engine("what cuda runs, on the CPU"),
}
"""Every engine by name; none changes a result."""

LEAST_MEMORY = 1 << 26


def search_named(
    engine: str = "auto",
    *,
    memory: int = MEMORY,
    first_look: str = "float32",
    block_rows: int | None = None,
    progress: Progress | None = None,
    seen: Seen | None = None,
    told: Told | None = None,
    answers: KeptAnswers | None = None,
) -> Search:
    """A search by the name of its engine.

    Args:
        engine: A name of `ENGINES`.
        memory: Bytes that the search may hold above the vectors.
        first_look: Precision of the products that nominate, on Torch: ``float32``, ``float16`` or ``bfloat16``.
        block_rows: Pool rows per product; None chooses.
        progress: Called with the number of pool rows done since the last call.
        seen: Is told what the first pass over its pool has seen, on this machine.
        told: Called with a sentence that a person should read.
        answers: Keeps what the shards of a cluster have answered.

    Raises:
        SettingsError: If a name is unknown, or the engine is not to be had here.
    """
    if engine not in ENGINES:
        raise unknown_name("engine", engine, ENGINES)
    if first_look not in PRECISIONS:
        raise unknown_name("precision of the first look", first_look, PRECISIONS, setting="first_look")
    if memory < LEAST_MEMORY:
        raise SettingsError(f"memory must be at least 64 MiB, got {memory / 2**20:.1f} MiB.", setting="memory")
    if block_rows is not None and block_rows < 1:
        raise SettingsError(f"block_rows must be at least 1, got {block_rows}.", setting="block_rows")
    entry = ENGINES[engine]
    if entry.check is not None:
        entry.check()
    if entry.search is not None:
        return entry.search(memory, block_rows, progress, told, answers)
    return BlockSearch(engine, memory, first_look, block_rows, progress, seen)


def search_here(engine: str, *, memory: int = MEMORY) -> Search:
    """The search that one machine makes of an engine's work: of one of many machines, that of a CPU.

    Args:
        engine: A name of `ENGINES`.
        memory: Bytes that the search may hold above the vectors.
    """
    return search_named("cpu" if ENGINES[engine].cluster else engine, memory=memory)
