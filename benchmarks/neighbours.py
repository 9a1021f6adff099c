"""Against what people use: FAISS flat, `sentence_transformers.util.semantic_search`, and RDS+ on a full matrix.

    python benchmarks/neighbours.py [--pool 200000] [--target 1000]

The same job with the same threads, each way in turn: lists of the k most similar pool rows of each target row; TMA's
first rows; RDS+'s first rows. And whether the results are ours, which are exact: similarity is defined pair by pair and
ties go to the lower pool row. One pool row in fifty is a copy of its neighbour here, and NIV2 has equal vectors of its
own. Writes neighbours.json.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machine import parser, save
from righttime import arrange_embeddings
from righttime.arrangement import tma_rounds
from righttime.neighbours import BlockSearch, similarity_of, top_k
from rivals import faiss_lists, round_robin_on_matrix, rounds_on_lists, semantic_search_lists
from trials import Vectors, clustered, in_turn, ratio, real

Rows = NDArray[np.integer[Any]]


def our_lists(pool: Vectors, target: Vectors, k: int) -> Rows:
    return top_k(pool, target, k).rows


def our_first_look(pool: Vectors, target: Vectors, k: int) -> None:
    """What our rounds use instead of exact lists: at least k/2 nominees each, most often k to 2k, not settled."""
    BlockSearch().nominees(pool, target, k, None)


def our_rounds(pool: Vectors, target: Vectors, budget: int) -> Rows:
    parts, count = [], 0
    for played in tma_rounds(pool, target, expected_rows=budget):
        parts.append(played.rows)
        count += len(played.rows)
        if count >= budget:
            break
    return np.concatenate(parts)


def our_turns(pool: Vectors, target: Vectors, budget: int) -> Rows:
    return arrange_embeddings(pool, target, method="rds", budget=budget).order


def compared_lists(pool: Vectors, target: Vectors, ours: Rows, theirs: Rows) -> dict[str, float]:
    """How many of their lists are ours, and why the places that differ do."""
    m, k = ours.shape
    who = np.repeat(np.arange(m), k)
    exact = similarity_of(pool, theirs.reshape(-1).astype(np.int64), target, who)
    wanted = similarity_of(pool, ours.reshape(-1).astype(np.int64), target, who)
    differs = (ours != theirs).reshape(-1)
    same_set = [set(a) == set(b) for a, b in zip(ours.tolist(), theirs.tolist(), strict=True)]
    return {
        "lists": m,
        "same_order": float((ours == theirs).all(axis=1).mean()),
        "same_rows": float(np.mean(same_set)),
        "places_that_differ": float(differs.mean()),
        "of_them_ties": float((exact == wanted)[differs].mean()) if differs.any() else 0.0,
    }


def compared_orders(ours: Sequence[int], theirs: Sequence[int]) -> dict[str, Any]:
    """The first place that differs, and the share of rows in both."""
    pairs = enumerate(itertools.zip_longest(ours, theirs))
    return {
        "first_place_that_differs": next((place for place, (a, b) in pairs if a != b), None),
        "rows_shared": len(set(ours) & set(theirs)) / max(len(ours), len(theirs)),
    }


def lists(pool: Vectors, target: Vectors, k: int, turns: int) -> dict[str, Any]:
    ways: dict[str, Callable[[Vectors, Vectors, int], Rows]] = {
        "top_k": our_lists,
        "faiss": faiss_lists,
        "semantic_search": semantic_search_lists,
    }
    works: dict[str, Callable[[], object]] = {name: partial(way, pool, target, k) for name, way in ways.items()}
    works["first_look"] = partial(our_first_look, pool, target, k)
    seconds = in_turn(works, turns, 60)
    exact = our_lists(pool, target, k)
    others = {name: way(pool, target, k) for name, way in ways.items() if way is not our_lists}
    return {
        "k": k,
        "seconds": seconds,
        "to_top_k": {name: ratio(seconds[name], seconds["top_k"]) for name in works if name != "top_k"},
        "same_as_ours": {name: compared_lists(pool, target, exact, rows) for name, rows in others.items()},
    }


def orders(pool: Vectors, target: Vectors, budget: int, turns: int) -> list[dict[str, Any]]:
    """TMA against rounds on FAISS lists; RDS+ against round-robin on a matrix."""
    k = 8 * -(-budget // len(target))
    jobs: dict[str, tuple[Callable[[], Rows], Callable[[], Rows], str]] = {
        "tma": (
            partial(our_rounds, pool, target, budget),
            partial(rounds_on_lists, pool, target, budget, k),
            "rounds on FAISS lists",
        ),
        "rds": (
            partial(our_turns, pool, target, budget),
            partial(round_robin_on_matrix, pool, target, budget),
            "round-robin on a sorted matrix",
        ),
    }
    rows = []
    for name, (ours, theirs, way) in jobs.items():
        seconds = in_turn({"ours": ours, "theirs": theirs}, turns, 60)
        found = compared_orders(ours().tolist(), theirs().tolist())
        rows.append({"method": name, "budget": budget, "rival": way, "seconds": seconds, **found})
        rows[-1]["theirs_to_ours"] = ratio(seconds["theirs"], seconds["ours"])
    return rows


def show(source: dict[str, Any]) -> None:
    print(f"{source['vectors']}: {source['pool']:,} x {source['target']:,}")
    for row in source["lists"]:
        for name, times in row["seconds"].items():
            same = row["same_as_ours"].get(name)
            print(f"  k = {row['k']:>5,} {name:<16} {min(times):>7.2f} s" + (f"  {same}" if same else ""))
    for row in source["orders"]:
        times = {name: f"{min(seconds):.2f} s" for name, seconds in row["seconds"].items()}
        print(f"  {row['method']} {row['budget']:,} against {row['rival']}: {times}", end=", ")
        print(
            f"first place that differs {row['first_place_that_differs']}, shared {row['rows_shared']:.4f}", flush=True
        )


def measured(label: str, pool: Vectors, target: Vectors, args: argparse.Namespace) -> dict[str, Any]:
    budget = len(pool) // 20
    source = {
        "vectors": label,
        "pool": len(pool),
        "target": len(target),
        "lists": [lists(pool, target, k, args.turns) for k in args.k],
        "orders": orders(pool, target, budget, args.turns),
    }
    show(source)
    return source


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--pool", type=int, default=200_000)
    made.add_argument("--target", type=int, default=1000)
    made.add_argument("--k", type=int, nargs="+", default=[64, 1024])
    made.add_argument("--turns", type=int, default=3)
    args = made.parse_args()
    if args.quick:
        args.pool, args.target, args.k, args.turns = 10_000, 100, [64], 2
    sources = []
    if (given := real()) is not None:
        sources.append(measured("NIV2", *given, args))
    sources.append(measured("clustered", *clustered(args.pool, args.target, repeated=0.02), args))
    save(args.results, "neighbours", {"sources": sources})


if __name__ == "__main__":
    main()
