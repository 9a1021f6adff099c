"""What the guard finds of leaks that were planted, and what it calls a leak that is none.

    python benchmarks/guard.py

Half of the rows of a target get a changed copy in the pool, each by one kind of change; see guard_plants.py. The other
half is innocent. Made rows, and rows of NIV2 where RIGHTTIME_DATA has them. Found by the texts alone, and with the
vectors of all-MiniLM-L6-v2; and in rows longer than it reads, with chunks. Writes guard.json. How fast it is:
guard_speed.py.
"""

from __future__ import annotations

import gzip
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import guard_plants as plants
from guard_long import long_trial
from guard_plants import Row
from machine import parser, save
from righttime.embedding import embed_texts, load_embedder
from righttime.formats import from_records
from righttime.guard import Leaks, find_text_leaks, with_meaning
from righttime.rows import Rows
from righttime.similarity import unit_rows
from righttime.store import cache_folder
from trials import data_folder

Vectors = NDArray[np.float32]
GROUPS = {
    "exact": plants.EXACT,
    "near-exact": plants.NEAR,
    "paraphrase, tuned on": plants.TUNING,
    "paraphrase, held out": plants.HELD_OUT,
    "no leak": plants.NO_LEAK,
}


@dataclass(frozen=True)
class Planted:
    """A pool with plants, and its target.

    Attributes:
        pool: The pool's rows, the plants last.
        target: The target's rows.
        kinds: Of each plant its kind and its target row.
    """

    pool: list[Row]
    target: list[Row]
    kinds: list[tuple[str, int]]


def plant(pool: Sequence[Row], target: Sequence[Row], seed: str) -> Planted:
    """Put a changed copy of every second target row into a pool, the kinds in turn."""
    rng = random.Random(seed)
    changes = {kind: change for group in GROUPS.values() for kind, change in group.items()}
    free, added, kinds = list(range(0, len(target), 2)), [], []
    rng.shuffle(free)
    turns = list(changes)
    while free and turns:
        for kind in list(turns):
            number = next((number for number in free if plants.fits(kind, target[number])), None)
            if number is None:
                turns.remove(kind)
                continue
            free.remove(number)
            added.append(changes[kind](target[number], rng))
            kinds.append((kind, number))
    return Planted([*pool, *added], list(target), kinds)


def read(records: Sequence[Row], role: str) -> Rows:
    return from_records([turns_of(row) for row in records], role=role, source=role).rows  # type: ignore[arg-type]


def turns_of(row: Row) -> Row:
    if "messages" in row:
        return {"messages": row["messages"]}
    return {"messages": [{"role": r, "content": row[k]} for r, k in (("user", "prompt"), ("assistant", "response"))]}


def niv2(count: int) -> tuple[list[Row], list[Row], tuple[Vectors, Vectors]] | None:
    """Rows of NIV2 and their vectors: so many of the pool, and the target."""
    folder = data_folder()
    if not (folder / "niv2_vectors.npz").exists():
        return None
    rows = []
    for name in ("pool", "target"):
        with gzip.open(folder / f"niv2_{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows.append([{part: row[part] for part in ("prompt", "response")} for row in map(json.loads, file)])
    with np.load(folder / "niv2_vectors.npz") as arrays:
        vectors = unit_rows(arrays["pool"]), unit_rows(arrays["target"])
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows[0]))[:count])
    return [rows[0][number] for number in chosen.tolist()], rows[1], (vectors[0][chosen], vectors[1])


def embedded(rows: Rows, numbers: Sequence[int]) -> Vectors:
    texts = list(rows.texts("prompt+response", numbers))
    return unit_rows(embed_texts(texts, load_embedder(), cache_folder()).vectors)


def looked_at(made: Planted, known: tuple[Vectors, Vectors] | None) -> tuple[Leaks, Leaks]:
    """What is found by texts, and with vectors; those of the rows that were there before the plants may be known."""
    pool, target = read(made.pool, "pool"), read(made.target, "target")
    by_text = find_text_leaks(pool, target)
    before = 0 if known is None else len(known[0])
    own = embedded(pool, range(before, len(pool)))
    vectors = own if known is None else np.concatenate([known[0], own])
    judge = embedded(target, range(len(target))) if known is None else known[1]
    return by_text.leaks, with_meaning(by_text, pool, target, (vectors, judge), range(len(pool)))


def trials(source: str, count: int, rows: int, target_rows: int) -> dict[str, Any]:
    """The kinds and what was found of each, over so many trials."""
    found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    innocent, alarms, wrong, thresholds = 0, [0, 0], [0, 0], []
    known = niv2(rows) if source == "NIV2" else None
    before = None
    if known is not None:
        untouched = find_text_leaks(read(known[0], "pool"), read(known[1], "target")).leaks
        before = {(leak.pool_row, leak.target_row) for leak in untouched.found}
    for trial in range(count):
        pool = plants.made_rows(rows, "pool") if known is None else known[0]
        target = plants.made_rows(target_rows, f"target {trial}") if known is None else known[1]
        made = plant(pool, target, f"{source} {trial}")
        leaks = looked_at(made, None if known is None else known[2])
        pairs = [{(leak.pool_row, leak.target_row) for leak in some.found} - (before or set()) for some in leaks]
        own = {(len(pool) + place, number) for place, (_, number) in enumerate(made.kinds)}
        for place, (kind, number) in enumerate(made.kinds):
            hits = [(len(pool) + place, number) in some for some in pairs]
            found[kind] = [one + more for one, more in zip(found[kind], (1, *hits), strict=True)]
        quiet = set(range(len(target))) - {number for _, number in made.kinds}
        innocent += len(quiet)
        for way, some in enumerate(pairs):
            alarms[way] += len({number for _, number in some} & quiet)
            wrong[way] += len(some - own)
        thresholds.append(dict(leaks[1].threshold))
        print(f"{source}, trial {trial + 1}: {leaks[1].counts()} {thresholds[-1]}", flush=True)
    return {
        "source": source,
        "pool": rows,
        "target": len(target),
        "trials": count,
        "kinds": list(_lines(found)),
        "innocent": {"rows": innocent, "by_text": alarms[0], "with_vectors": alarms[1]},
        "pairs_that_were_not_planted": {"by_text": wrong[0], "with_vectors": wrong[1]},
        "there_before": None if before is None else len(before),
        "thresholds": thresholds,
    }


def _lines(found: dict[str, list[int]]) -> Iterator[dict[str, Any]]:
    for group, kinds in GROUPS.items():
        for kind in kinds:
            planted, by_text, with_vectors = found[kind]
            line = {"group": group, "kind": kind, "planted": planted, "by_text": by_text, "with_vectors": with_vectors}
            yield line


def in_long_rows(few: bool) -> list[dict[str, Any]]:
    """Leaks past what the embedder reads, in made rows and in rows of NIV2, each inside rows of NIV2."""
    known = niv2(1 << 30)
    if known is None:
        return []
    rows, target, _ = known
    short, n = (300, 40) if few else (1_500, len(target))
    rng = random.Random("long rows")
    rows = rng.sample(rows, len(rows))
    filler, made = rows[short:], plants.made_rows(n, "target long")
    sides = {"made": (plants.made_rows(short, "pool long"), made), "NIV2": (rows[:short], rng.sample(target, n))}
    return [long_trial(source, pool, filler, asked, source) for source, (pool, asked) in sides.items()]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--trials", type=int, default=4)
    args = made.parse_args()
    few = args.quick
    sources = [trials("made", 1 if few else args.trials, 300 if few else 2_000, 150 if few else 400)]
    if Path(data_folder() / "niv2_vectors.npz").exists():
        sources.append(trials("NIV2", 1 if few else args.trials, 2_000 if few else 20_000, 0))
    long = in_long_rows(few)
    print(long, flush=True)
    save(args.results, "guard", {"sources": sources, "long": long})


if __name__ == "__main__":
    main()
