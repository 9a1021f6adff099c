"""Search engines by name."""

from __future__ import annotations

from righttime.cluster import check_ray
from righttime.errors import SettingsError, unknown_name
from righttime.neighbours.local import BlockSearch, has_cuda
from righttime.neighbours.nominate import Progress
from righttime.neighbours.products import PRECISIONS
from righttime.neighbours.protocol import MEMORY, Search

__all__ = ["ENGINES", "search_named"]

ENGINES = ("auto", "cpu", "cuda", "ray", "torch")
"""``torch`` is what ``cuda`` runs, on the CPU."""

LEAST_MEMORY = 1 << 26


def search_named(
    engine: str = "auto",
    *,
    memory: int = MEMORY,
    first_look: str = "float32",
    block_rows: int | None = None,
    progress: Progress | None = None,
) -> Search:
    """A search by the name of its engine.

    Args:
        engine: A name of `ENGINES`: ``auto`` takes CUDA where there is one and the work is large, else the CPU.
        memory: Bytes that the search may hold above the vectors.
        first_look: Precision of the products that nominate, on Torch: ``float32``, ``float16`` or ``bfloat16``.
        block_rows: Pool rows per product; None chooses.
        progress: Called with the number of pool rows done since the last call.

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
    if engine == "cuda" and not has_cuda():
        raise SettingsError(
            "the engine cuda needs a GPU that PyTorch finds, got none. Hint: `engine='cpu'`, or auto.", setting="engine"
        )
    if engine == "ray":
        check_ray()
        from righttime.neighbours.shards import ShardedSearch

        return ShardedSearch(memory, block_rows, progress)
    return BlockSearch(engine, memory, first_look, block_rows, progress)
