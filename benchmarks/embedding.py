"""Rows a second of each way to embed, against `SentenceTransformer.encode` with its defaults; and what each costs.

    python benchmarks/embedding.py [--rows 400] [--repetitions 5] [--pool 1500] [--parts PART...]

Rates: the same real texts (drawn from the NIV2 pool), the same run, each way in turn and again, with an empty cache;
the time of ours holds counting tokens, planning and the cache. Fidelity: pool rows and all target rows embedded by each
way; cosine with float32, and the Jaccard index of the rows that TMA takes first. Writes
benchmarks/results/embedding.json. Ways whose libraries are not installed are left out, and named.
"""

from __future__ import annotations

import argparse
import functools
import gzip
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import righttime
from machine import about
from righttime.embedding import Embedder, embed_texts, embedder_named, load_embedder
from righttime.embedding.embed import plan_batches
from righttime.embedding.fidelity import compare_vectors
from righttime.embedding.models import DEFAULT_MODEL, SentenceTransformerEmbedder
from righttime.embedding.workers import embed_in_processes
from righttime.errors import SettingsError

Vectors = NDArray[np.float32]
RIVAL = "SentenceTransformer.encode, defaults"
PARTS = ["rates", "processes", "fidelity"]
BUDGETS = (0.02, 0.1, 0.3)
"""Shares of the pool that TMA takes."""


def texts_of(file: Path) -> list[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [f"{row['prompt']} {row['response']}" for row in rows]


def ours(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    with tempfile.TemporaryDirectory() as cache:
        return embed_texts(texts, embedder, Path(cache)).vectors


def embedders() -> tuple[dict[str, Embedder], list[str]]:
    """The ways by name, and what cannot be measured here."""
    found: dict[str, Embedder] = {"float32": load_embedder(device="cpu")}
    missing = []
    wanted: dict[str, dict[str, str]] = {
        "int8": {"name": DEFAULT_MODEL, "precision": "int8"},
        "static": {"name": "static"},
        "bfloat16": {"name": DEFAULT_MODEL, "precision": "bfloat16", "device": "cpu"},
        "float16": {"name": DEFAULT_MODEL, "precision": "float16", "device": "cpu"},
    }
    for name, settings in wanted.items():
        try:
            found[name] = embedder_named(**settings)  # type: ignore[arg-type]
        except SettingsError as error:
            missing.append(f"{name}: {error}")
    return found, missing


def rates(texts: list[str], ways: dict[str, Callable[[], Vectors]], repetitions: int) -> list[dict[str, Any]]:
    """Seconds of each way in each repetition, in turn; ratios are of the medians, and of each repetition."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    vectors = {}
    for _ in range(repetitions):
        for name, work in ways.items():
            start, start_cpu = time.perf_counter(), sum(os.times()[:4])
            vectors[name] = work()
            wall[name].append(time.perf_counter() - start)
            cpu[name].append(sum(os.times()[:4]) - start_cpu)
    rows = []
    for name in ways:
        ratios = [rival / own for rival, own in zip(wall[RIVAL], wall[name], strict=True)]
        same = vectors[name].shape == vectors[RIVAL].shape
        rows.append(
            {
                "way": name,
                "wall_s": wall[name],
                "cpu_s": cpu[name],
                "rows_per_s": len(texts) / statistics.median(wall[name]),
                "ratio": statistics.median(ratios),
                "ratios": ratios,
                "ratio_of_best": min(wall[RIVAL]) / min(wall[name]),
                "ratio_of_cpu": statistics.median(cpu[RIVAL]) / statistics.median(cpu[name]),
                "cosine_min_to_rival": compare_vectors(vectors[name], vectors[RIVAL]).cosine_min if same else None,
            }
        )
    return rows


def processes(embedder: SentenceTransformerEmbedder, texts: list[str], workers: int) -> dict[str, Any]:
    """That many processes, sharing the threads: the time until all of them work, and the rate from then on."""
    lengths = [min(length, int(embedder.identity["max_length"])) for length in embedder.lengths(texts)]
    plan = plan_batches(lengths, embedder.tokens_per_batch)
    batches = [[texts[place] for place in batch] for batch in plan]
    start, done, clock = time.perf_counter(), 0, 0.0
    for place, (number, _) in enumerate(embed_in_processes(embedder, batches, workers)):
        done += len(batches[number]) if place >= workers else 0
        clock = time.perf_counter() if place == workers - 1 else clock
    return {
        "workers": workers,
        "start_s": clock - start,
        "rows_per_s_then": done / (time.perf_counter() - clock),
    }


def fidelity(ways: dict[str, Callable[[], Vectors]], n_pool: int) -> list[dict[str, Any]]:
    """Each way against float32: vectors, and what TMA takes."""
    made = {name: work() for name, work in ways.items()}
    budgets = [round(share * n_pool) for share in BUDGETS]

    def taken(vectors: Vectors) -> dict[int, set[int]]:
        order = righttime.arrange_embeddings(vectors[:n_pool], vectors[n_pool:], budget=budgets[-1]).order.tolist()
        return {budget: set(order[:budget]) for budget in budgets}

    want = taken(made["float32"])
    rows = []
    for name, vectors in made.items():
        seen, got = compare_vectors(vectors, made["float32"]), taken(vectors)
        shared = {str(budget): len(got[budget] & want[budget]) / len(got[budget] | want[budget]) for budget in budgets}
        rows.append({"way": name, **vars(seen), "tma_jaccard": shared})
    return rows


def chance(n_pool: int) -> dict[str, float]:
    """The Jaccard index expected, about, of two random sets of each budget."""
    budgets = [round(share * n_pool) for share in BUDGETS]
    return {str(budget): budget / (2 * n_pool - budget) for budget in budgets}


def show(result: dict[str, Any]) -> None:
    print(f"{'way':<40} {'rows/s':>8} {'x rival':>8} {'x, CPU time':>12} {'least cosine':>13}")
    for row in result["rates"]["ways"]:
        cosine = "-" if row["cosine_min_to_rival"] is None else f"{row['cosine_min_to_rival']:.6f}"
        print(
            f"{row['way']:<40} {row['rows_per_s']:>8.1f} {row['ratio']:>8.2f} {row['ratio_of_cpu']:>12.2f} {cosine:>13}"
        )
    for row in result["processes"]["runs"]:
        print("{workers} processes: at work after {start_s:.1f} s, then {rows_per_s_then:.1f} rows/s".format(**row))
    print(f"TMA's first rows shared with float32's, by budget; by chance {result['fidelity']['by_chance']}")
    for row in result["fidelity"]["ways"]:
        shared = "  ".join(f"{budget}: {share:.2f}" for budget, share in row["tma_jaccard"].items())
        cosine = "-" if row["cosine_mean"] is None else f"{row['cosine_mean']:.5f} / {row['cosine_min']:.5f}"
        print(f"{row['way']:<40} cosine {cosine:<18} correlation {row['similarity_correlation']:.4f}  TMA {shared}")
    for sentence in result["left_out"]:
        print(f"left out: {sentence}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("RIGHTTIME_DATA", "../shared/data")))
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="the others stay as they were")
    parser.add_argument("--pool", type=int, default=1500)
    args = parser.parse_args()
    pool, target = texts_of(args.data / "niv2_pool.jsonl.gz"), texts_of(args.data / "niv2_target.jsonl.gz")
    random.Random(0).shuffle(pool)
    found, left_out = embedders()
    model = load_embedder(device="cpu").model
    some = pool[: args.rows]
    for embedder in found.values():
        embedder.embed(some[:8])  # loaded, exported, distilled before anything counts
    model.encode(some[:8])
    ways: dict[str, Callable[[], Vectors]] = {RIVAL: lambda: np.asarray(model.encode(some))}
    for name in [name for name in ("float32", "bfloat16", "int8", "static") if name in found]:
        ways[f"righttime, {name}"] = functools.partial(ours, found[name], some)
    both = [*pool[: args.pool], *target]
    exact: dict[str, Callable[[], Vectors]] = {name: functools.partial(ours, found[name], both) for name in found}
    exact[RIVAL] = lambda: np.asarray(model.encode(both))
    path = Path(__file__).parent / "results" / "embedding.json"
    result: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    result["left_out"] = left_out
    for part in args.parts:
        result[part] = {"made_on": {**about(), "threads": torch.get_num_threads()}}
        if part == "rates":
            result[part] |= {"rows": args.rows, "ways": rates(some, ways, args.repetitions)}
        elif part == "processes":
            runs = [processes(load_embedder(device="cpu"), some, workers) for workers in (1, 2) * 3]
            result[part] |= {"rows": args.rows, "runs": runs}
        else:
            result[part] |= {"pool": args.pool, "target": len(target), "by_chance": chance(args.pool)}
            result[part]["ways"] = fidelity(exact, args.pool)
        path.write_text(json.dumps(result, indent=2) + "\n")
    show(result)


if __name__ == "__main__":
    main()
