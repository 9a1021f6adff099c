"""How far the methods of other papers are from what their authors released: RDS+'s rule, LESS's projection, apricot.

    righttime pretrain --out BASE
    python benchmarks/fidelity.py --model BASE [--apricot PYTHON]

On the NIV2 rows and vectors of RIGHTTIME_DATA; nothing here is a timing. RDS+: the rows of `rds` against those of the
released rule, at 1%, 5% and 20% of the pool. LESS: cosines of projected gradients against those of the whole gradients,
of 200 pool rows and 65 target rows, on the model named. Facility location: 2,000 rows against apricot-select, which
must be installed in the environment of the PYTHON named (pip install apricot-select==0.6.1 scikit-learn). Parts that
are not asked for keep what the results have. Writes fidelity.json.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import righttime
from machine import parser, save
from righttime import arrange_embeddings
from righttime.embedding.gradients import GradientEmbedder
from righttime.similarity.lattice import UNIT, on_lattice
from rivals import released_round_robin
from trials import Vectors, data_folder, real

SHARES = (0.01, 0.05, 0.2)
DIMENSIONS = (256, 1024, 4096, 8192)
_POOL_EVERY, _TARGET_EVERY = 225, 4  # 200 of 44,950 pool rows, 65 of 260 target rows
_BATCH = 16
_FACILITY_ROWS, _FACILITY_BUDGET = 2_000, 400

APRICOT = """
import sys, numpy as np
from apricot import FacilityLocationSelection
found = {}
for matrix in ("exact", "float64"):
    similarity = np.load(f"{sys.argv[1]}/{matrix}.npy")
    for optimizer in ("naive", "lazy", "two-stage"):
        fit = FacilityLocationSelection(int(sys.argv[2]), metric="precomputed", optimizer=optimizer).fit(similarity)
        found[f"{matrix} {optimizer} order"], found[f"{matrix} {optimizer} gains"] = fit.ranking, fit.gains
np.savez(sys.argv[1] + "/found.npz", **found)
"""


def jaccard(a: NDArray[Any], b: NDArray[Any]) -> float:
    shared = len(np.intersect1d(a, b))
    return shared / (len(np.unique(a)) + len(np.unique(b)) - shared)


def rds(pool: Vectors, target: Vectors) -> list[dict[str, Any]]:
    """Our rows and the released rule's, at each budget."""
    budgets = [round(share * len(pool)) for share in SHARES]
    ours = arrange_embeddings(pool, target, method="rds", budget=budgets[-1]).order
    rows = []
    for share, budget in zip(SHARES, budgets, strict=True):
        theirs = released_round_robin(pool, target, budget)
        rows.append(
            {
                "share": share,
                "budget": budget,
                "jaccard": jaccard(ours[:budget], theirs.saved),
                "jaccard_cut_in_turn": jaccard(ours[:budget], theirs.in_turn),
                "turns_lost": theirs.lost,
                "turns": theirs.turns,
            }
        )
    return rows


def whole_gradients(embedder: GradientEmbedder, texts: list[str]) -> NDArray[np.float64]:
    """Every number of the gradients of all adapters' B, shape (n, numbers), by projecting on the unit vectors."""
    import torch

    adapters = embedder._adapters
    sizes = [len(adapter.signs) for adapter in adapters]
    whole = GradientEmbedder(embedder.found.name, device="cpu", dim=sum(sizes))
    for adapter, own, start in zip(whole._adapters, adapters, np.cumsum([0, *sizes]).tolist(), strict=False):
        adapter.signs = torch.zeros((len(own.signs), sum(sizes)), dtype=torch.int8)
        adapter.signs[torch.arange(len(own.signs)), start + torch.arange(len(own.signs))] = 1
    return embedded(whole, texts)


def embedded(embedder: GradientEmbedder, texts: list[str]) -> NDArray[np.float64]:
    """All vectors, some rows at a time, those of similar length together."""
    order = np.argsort(embedder.lengths(texts), kind="stable")
    out: NDArray[np.float64] | None = None
    for start in range(0, len(order), _BATCH):
        some = order[start : start + _BATCH]
        vectors = embedder.embed([texts[place] for place in some.tolist()])
        out = np.empty((len(texts), vectors.shape[1])) if out is None else out
        out[some] = vectors
    assert out is not None
    return out


def _unit(x: NDArray[Any]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def gradients(model: str) -> dict[str, Any]:
    """The error of the cosines of projected gradients, and how large those cosines are."""
    sides = []
    for role, every in (("pool", _POOL_EVERY), ("target", _TARGET_EVERY)):
        rows = righttime.read_rows([data_folder() / f"niv2_{role}.jsonl.gz"], role="pool").examples
        sides.append([row for row in rows[::every] if row.response])
    embedder = GradientEmbedder(model, device="cpu")
    texts = [[embedder.text_of(row) for row in side] for side in sides]
    pool, target = (_unit(whole_gradients(embedder, side)) for side in texts)
    exact = pool @ target.T
    found = []
    for dim in DIMENSIONS:
        own = GradientEmbedder(model, device="cpu", dim=dim)
        near, far = (_unit(embedded(own, side)) for side in texts)
        projected = near @ far.T
        error = projected - exact
        best, ours = exact.argmax(axis=0), projected.argmax(axis=0)
        found.append(
            {
                "dim": dim,
                "rms_error": float(np.sqrt((error**2).mean())),
                "largest_error": float(np.abs(error).max()),
                "same_nearest": float((best == ours).mean()),
                "tenth_shared": _tenth_shared(exact, projected),
            }
        )
    size = np.abs(exact)
    return {
        "model": {
            "parameters": sum(p.numel() for p in embedder._causal.model.parameters()),
            "layers": _layers(embedder),
        },
        "pool": len(pool),
        "target": len(target),
        "numbers": pool.shape[1],
        "similarity": {"median": float(np.median(size)), "rms": float(np.sqrt((size**2).mean()))},
        "smaller_than_error": {str(row["dim"]): float((size < row["rms_error"]).mean()) for row in found},
        "projections": found,
        "date": today(),
    }


def _layers(embedder: GradientEmbedder) -> int:
    return int(embedder._causal.model.config.num_hidden_layers)


def _tenth_shared(exact: NDArray[np.float64], projected: NDArray[np.float64]) -> float:
    """Jaccard index of the first tenth of the pool by mean cosine, LESS's rule for one task."""
    first = len(exact) // 10
    return jaccard(*(np.argsort(-matrix.mean(axis=1), kind="stable")[:first] for matrix in (exact, projected)))


def facility(pool: Vectors, python: str) -> dict[str, Any]:
    """Our order against apricot's: on our similarities, whose sums are exact, and on plain float64 cosines."""
    rows = pool[:: len(pool) // _FACILITY_ROWS][:_FACILITY_ROWS]
    ours = arrange_embeddings(rows, rows[:1], method="facility", budget=_FACILITY_BUDGET)
    assert ours.distance is not None
    lattice, wide = on_lattice(rows), rows.astype(np.float64)
    matrices = {"exact": np.rint(lattice @ lattice.T * UNIT) / UNIT, "float64": wide @ wide.T}
    with tempfile.TemporaryDirectory() as folder:
        for name, matrix in matrices.items():
            np.save(Path(folder) / f"{name}.npy", np.maximum(matrix, 0.0))
        subprocess.run([python, "-c", APRICOT, folder, str(_FACILITY_BUDGET)], check=True)
        with np.load(Path(folder) / "found.npz") as arrays:
            theirs = dict(arrays)
    covered = np.maximum(matrices["exact"], 0.0)
    lines = []
    for name in matrices:
        for optimizer in ("naive", "lazy", "two-stage"):
            order, gains = theirs[f"{name} {optimizer} order"], theirs[f"{name} {optimizer} gains"]
            differs = np.flatnonzero(order != ours.order)
            lines.append(
                {
                    "similarities": name,
                    "optimizer": optimizer,
                    "places_equal": float((order == ours.order).mean()),
                    "first_place_that_differs": int(differs[0]) if len(differs) else None,
                    "gain_ours_there": float(-ours.distance[differs[0]]) if len(differs) else None,
                    "gain_theirs_there": float(gains[differs[0]]) if len(differs) else None,
                    "rows_shared": len(np.intersect1d(order, ours.order)) / len(order),
                    "objective_to_ours": float(
                        covered[order].max(axis=0).sum() / covered[ours.order].max(axis=0).sum()
                    ),
                }
            )
    copies = len(rows) - len(np.unique(rows, axis=0))
    return {"rows": len(rows), "copies": copies, "budget": _FACILITY_BUDGET, "lines": lines, "date": today()}


def today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).date().isoformat()


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--model", help="a folder with a causal language model, for the gradients")
    made.add_argument("--apricot", help="a Python that has apricot-select")
    args = made.parse_args()
    vectors = real()
    if vectors is None:
        raise SystemExit("niv2_vectors.npz must lie in RIGHTTIME_DATA.")
    path = args.results / "fidelity.json"
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    result.pop("made_on", None)
    result["rds"] = {"pool": len(vectors[0]), "target": len(vectors[1]), "rows": rds(*vectors), "date": today()}
    if args.model:
        result["gradients"] = gradients(args.model)
    if args.apricot:
        result["facility"] = facility(vectors[0], args.apricot)
    save(args.results, "fidelity", result)


if __name__ == "__main__":
    main()
