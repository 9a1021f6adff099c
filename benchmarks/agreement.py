"""How far methods agree on a real pool: arranges with each at three budgets, then compares the first rows.

    python benchmarks/agreement.py NIV2_POOL.jsonl.gz NIV2_TARGET.jsonl.gz NIV2_VECTORS.npz OUT [METHOD...]

writes OUT/METHOD.parquet for methods whose smaller budgets are prefixes of larger ones, OUT/METHOD-BUDGET.parquet for
the others, and prints what `righttime agreement` prints for each budget. Orders that are there already are kept.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import righttime
from righttime.arrangement import METHODS
from righttime.measures.agreement import agreement_table

SHARES = (0.01, 0.05, 0.2)
VARIANTS: dict[str, dict[str, Any]] = {
    "nearest-ad": {"method": "nearest", "distance": "ad"},
    "nearest-md": {"method": "nearest", "distance": "md"},
    "nearest-ot": {"method": "nearest", "distance": "ot"},
    "nearest-ot-entropic": {"method": "nearest", "distance": "ot-entropic"},
    "dsir-all-rows": {"method": "dsir", "params": {"min_words": 0}},
    "granular-1000": {"method": "granular", "params": {"groups": 1000}},
}
"""Orders beside the methods with their defaults."""


def question(pool: str, target: str, vectors: str) -> dict[str, Any]:
    rows = {
        "pool": righttime.read_rows([pool], role="pool").examples,
        "target": righttime.read_rows([target], role="target").examples,
    }
    with np.load(vectors) as arrays:
        sides = {"pool_vectors": arrays["pool"], "target_vectors": arrays["target"]}
    return {
        **sides,
        "tasks": [row.task for row in rows["pool"]],
        "target_tasks": [row.task for row in rows["target"]],
        "texts": [f"{row.prompt} {row.response}" for row in rows["pool"]],
        "target_texts": [f"{row.prompt} {row.response}" for row in rows["target"]],
    }


def main(pool: str, target: str, vectors: str, out: str, *methods: str) -> None:
    given = question(pool, target, vectors)
    n_pool, n_tasks = len(given["tasks"]), len(set(given["tasks"]))
    budgets = [round(share * n_pool) for share in SHARES]
    orders: dict[str, dict[str, Any]] = {name: {"method": name} for name in METHODS} | VARIANTS
    for name in ("polar", "uniform"):  # enough rows of each task for the largest budget
        orders[name]["params"] = {"k": 2 * -(-budgets[-1] // n_tasks)}
    chosen = {name: asked for name, asked in orders.items() if not methods or name in methods}
    Path(out).mkdir(parents=True, exist_ok=True)
    for budget in budgets:
        files = []
        for name, asked in chosen.items():
            nested = METHODS[asked["method"]].nested
            files.append(Path(out) / (f"{name}.parquet" if nested else f"{name}-{budget}.parquet"))
            if not files[-1].exists():
                start = time.perf_counter()
                righttime.arrange_embeddings(**given, **asked, budget=budgets[-1] if nested else budget).save(files[-1])
                print(f"{files[-1].name}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
        print(agreement_table(righttime.agreement(files, at=[budget], names=list(chosen))), end="\n\n", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
