"""Leaks past the embedder's maximum length: target rows in other words, deep inside rows of seven others."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import guard_plants as plants
from guard_plants import Change, Row
from righttime.embedding import embed_texts, load_embedder
from righttime.formats import from_records
from righttime.guard import find_text_leaks
from righttime.guard.chunks import leaks_in_chunks
from righttime.guard.cutting import Chunker
from righttime.neighbours import search_named
from righttime.rows import Rows
from righttime.similarity import unit_rows
from righttime.store import cache_folder

TEXT = "prompt+response"
_PARTS, _AT = 7, 6  # rows that make a long one, and the place of the leak among them
Pairs = set[tuple[int, int]]


def long_trial(
    source: str, rows: Sequence[Row], filler: Sequence[Row], target: Sequence[Row], seed: str
) -> dict[str, Any]:
    """What texts find, and what chunks find on their own, of kinds that were tuned on and of held-out kinds.

    Args:
        source: What the rows are called.
        rows: Short rows of the pool.
        filler: Rows that long ones are made of.
        target: The target; every second row of it is put into a long row.
        seed: Decides what is changed how.
    """
    rng, groups = random.Random(seed), {"tuned on": plants.TUNING, "held out": plants.HELD_OUT}
    kinds = [(group, kind, change) for group, some in groups.items() for kind, change in some.items()]
    long, planted = [], {}
    for number in range(len(target)):
        some = filler[_PARTS * number : _PARTS * (number + 1)]
        parts = [f"{row['prompt']} {row['response']}" for row in some]
        if number % 2 == 0 and (new := _changed(kinds, number // 2, target[number], rng)):
            parts.insert(_AT, f"{new[1]['prompt']} {new[1]['response']}")
            planted[len(rows) + number, number] = new[0]
        long.append({"prompt": "Continue this.", "response": "\n".join(parts)})
    texts, chunks, about = found(_rows([*rows, *long]), _rows(target))
    return {
        "source": source,
        **about,
        "groups": [_group(group, planted, texts, chunks) for group in groups],
        "innocent": sum(number % 2 for number in range(len(target))),
        "alarms": len({number for row, number in chunks if number % 2 and row >= len(rows)}),
    }


def _changed(
    kinds: Sequence[tuple[str, str, Change]], first: int, row: Row, rng: random.Random
) -> tuple[str, Row] | None:
    """The row under the first kind of change, from that one on, that makes another row of it."""
    for step in range(len(kinds)):
        group, kind, change = kinds[(first + step) % len(kinds)]
        if plants.fits(kind, row):
            return group, change(row, rng)
    return None


def _rows(records: Sequence[Mapping[str, Any]]) -> Rows:
    plain = [{part: row[part] for part in plants.PARTS} for row in records]
    return from_records(plain, source="rows", role="pool").rows


def found(pool: Rows, target: Rows) -> tuple[Pairs, Pairs, dict[str, Any]]:
    """The pairs that texts show, those that chunks alone show, and what was looked at in chunks."""
    model = load_embedder()

    def embed(texts: Sequence[str]) -> Any:
        return unit_rows(embed_texts(texts, model, cache_folder()).vectors)

    sides = [list(side.texts(TEXT)) for side in (pool, target)]
    most = int(model.identity["max_length"])
    long = [np.flatnonzero(np.array(model.lengths(side)) > most).tolist() for side in sides]
    by_text = find_text_leaks(pool, target)
    chunker = Chunker(embed, model.lengths, most, TEXT, *long)
    vectors = embed(sides[0]), embed(sides[1])
    how: dict[str, Any] = {"search": search_named(), "known": set()}
    leaks, least, about = leaks_in_chunks(by_text.rarity, pool, target, vectors, range(len(pool)), chunker, **how)
    seen = {"long_rows": about.pool_rows, "chunks": about.chunks, "tokens": about.tokens, "thresholds": least}
    pairs = [{(leak.pool_row, leak.target_row) for leak in some} for some in (by_text.leaks.found, leaks)]
    return pairs[0], pairs[1], seen


def _group(group: str, planted: Mapping[tuple[int, int], str], texts: Pairs, chunks: Pairs) -> dict[str, Any]:
    own = {pair for pair, of in planted.items() if of == group}
    counts = {"texts": own & texts, "chunks": own & chunks, "either": own & (texts | chunks)}
    return {"group": group, "planted": len(own), **{name: len(pairs) for name, pairs in counts.items()}}
