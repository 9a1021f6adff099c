"""Peak memory of TMA above its vectors, as NumPy allocates it (tracemalloc), next to the N x M matrix it does without.

    python benchmarks/memory.py

Writes benchmarks/results/memory.json. What counts is the peak; the times are those of a traced run.
"""

from __future__ import annotations

import json
import tracemalloc
from itertools import islice
from pathlib import Path

import numpy as np

from righttime.arrangement import tma_rounds
from righttime.similarity import unit_rows

CASES = ((20_000, 1_000, 1_000), (40_000, 1_000, 200_000), (20_000, 1_000, 20_000_000), (200_000, 1_000, 10_000))


def main() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for n, m, expected in CASES:
        pool, target = unit_rows(rng.normal(size=(n, 384))), unit_rows(rng.normal(size=(m, 384)))
        tracemalloc.start()
        list(islice(tma_rounds(pool, target, expected_rows=expected), 3))
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        k = min(n, max(64, 4 * -(-expected // m)), (1 << 22) // m)
        rows.append({"pool": n, "target": m, "list_length": k, "peak_mib": peak, "matrix_mib": 4 * n * m / 2**20})
        print("pool {pool:>7,}  target {target:,}  k {list_length:>5,}".format(**rows[-1]), end="  ")
        print("peak {peak_mib:>6.0f} MiB  matrix {matrix_mib:>6.0f} MiB".format(**rows[-1]))
    path = Path(__file__).parent / "results" / "memory.json"
    path.write_text(json.dumps({"rows": rows, "numpy": np.__version__}, indent=2) + "\n")


if __name__ == "__main__":
    main()
