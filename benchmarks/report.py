"""A page of 50,000 rows: how large it is and how long it takes to make. How it behaves in a browser: report_page.py.

    python benchmarks/report.py [--quick]

Made rows around shared centres, 49,500 in the pool and 500 in the target, 384 dimensions, TMA of 10,000 rows, and the
rows of NIV2 where RIGHTTIME_DATA has them. Each page is made with every projection that is installed, without a map
in the cache, and once more with it. Writes report.json.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import righttime
from machine import parser, save
from righttime.report import make_report
from trials import clustered, data_folder

WORDS = ("amber", "river", "falcon", "orchard", "lantern", "harbour", "copper", "meadow", "signal", "winter", "bridge")


def made(folder: Path, n_pool: int, n_target: int) -> Path:
    """An arrangement of made rows of some 60 words."""
    chance = random.Random(0)
    pool, target = clustered(n_pool, n_target)
    for side, n in (("pool", n_pool), ("target", n_target)):
        with (folder / f"{side}.jsonl").open("w", encoding="utf-8") as file:
            for k in range(n):
                said = [" ".join(chance.choices(WORDS, k=words)) for words in (40, 20)]
                row = {"id": f"{side}-{k}", "task": f"task{k % 97}", "prompt": f"{k} {said[0]}", "response": said[1]}
                file.write(json.dumps(row) + "\n")
    np.savez(folder / "v.npz", pool=pool, target=target)
    out = folder / "out"
    sides = folder / "pool.jsonl", folder / "target.jsonl"
    righttime.arrange(*sides, out=out, budget=n_pool // 5, embedder=f"vectors:{folder / 'v.npz'}", guard="off")
    return out


def niv2(folder: Path, data: Path) -> Path:
    out = folder / "niv2"
    files = data / "niv2_pool.jsonl.gz", data / "niv2_target.jsonl.gz"
    righttime.arrange(*files, out=out, embedder=f"vectors:{data / 'niv2_vectors.npz'}", guard="off", budget=10_000)
    return out


def page_of(out: Path, projection: Any, cache: Path) -> dict[str, Any]:
    """Seconds of wall clock and CPU, and bytes."""
    wall, cpu = time.perf_counter(), time.process_time()
    report = make_report([out], projection=projection, cache=cache)
    seconds = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    blocks = dict(re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', report.html, re.DOTALL))
    texts = len(blocks["texts"].encode())
    whole = len(report.html.encode())
    sizes = {"bytes": whole, "texts_bytes": texts, "beyond_texts_bytes": whole - texts}
    return {**{name: round(value, 2) for name, value in seconds.items()}, **sizes}


def main() -> None:
    given = parser(__doc__).parse_args()
    n_pool, n_target = (4_950, 50) if given.quick else (49_500, 500)
    projections = ["pca", *(["umap"] if find_spec("umap") else [])]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        outs = {f"made, {n_pool:,} × {n_target:,}": made(folder, n_pool, n_target)}
        if (data_folder() / "niv2_pool.jsonl.gz").exists() and not given.quick:
            outs["NIV2, 44,950 × 260"] = niv2(folder, data_folder())
        for name, out in outs.items():
            for projection in projections:
                cache = folder / f"cache-{len(rows)}"
                first = page_of(out, projection, cache)
                again = page_of(out, projection, cache)
                rows.append({"rows": name, "projection": projection, **first, "again_wall_s": again["wall_s"]})
                print(json.dumps(rows[-1]))
    save(given.results, "report", {"pages": rows})


if __name__ == "__main__":
    main()
