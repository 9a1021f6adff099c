"""What an order does to a tiny model: nine orders of real rows, tuned, verified, joined into one file, and drawn.

    python benchmarks/curves.py NIV2_POOL.jsonl.gz NIV2_TARGET.jsonl.gz NIV2_VECTORS.npz MODEL WORK [--minutes M]
    python benchmarks/curves.py --draw    # the picture alone, from the committed numbers

MODEL is what `righttime pretrain` makes. The target is the first 5 rows of each of its tasks; the pool, its rows of at
most 256 tokens, so that no answer is cut away, dealt at random into disjoint parts. Each part is arranged and tuned in
every order: what differs between parts is the noise. Runs that are finished in WORK are kept, and after M minutes no
run is begun. Writes benchmarks/results/curves.csv (means for each part, order, step and task; no texts) and
docs/img/niv2_curves.svg and .png, and prints the table of each run's curve.
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

import righttime
from righttime.drawing import GRID, UNIT, captioned, legend, pictures, stroke
from righttime.evaluation import means_by, open_evaluation
from righttime.evaluation.while_training import dense_evaluation
from righttime.tokenization.counts import token_counts
from righttime.training import TuneSettings
from righttime.verification.run import verify

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "curves.csv"
ORDERS = (
    "tma",
    "tma-farthest",
    "tma-rt",
    "nearest",
    "nearest-shuffled",
    "nearest-reversed",
    "random",
    "tma-nft",
    "tma-fft",
)
PARTS, BUDGET, EVERY, LENGTH = 3, 480, 5, 256
SETTINGS = TuneSettings(batch=16, learning_rate=1e-3, max_length=LENGTH, form="chat", save_every=1000, keep=1)


def prepare(pool: str, target: str, vectors: str, model: str, work: Path) -> None:
    """Write the target, the parts of the pool, and their vectors, as files that righttime reads."""
    read = righttime.read_rows([pool], role="pool")
    rows = read.examples
    wanted = righttime.read_rows([target], role="target").examples
    seen: collections.Counter[str | None] = collections.Counter()
    first = [number for number, row in enumerate(wanted) if not seen.update([row.task]) and seen[row.task] <= 5]
    short = np.flatnonzero(np.asarray(token_counts(read.rows, model)) <= LENGTH)
    print(f"{len(short):,} of {len(rows):,} rows have at most {LENGTH} tokens", file=sys.stderr)
    write_rows(work / "target.jsonl", [wanted[number] for number in first])
    dealt = np.random.default_rng(0).permutation(short)
    with np.load(vectors) as arrays:
        for part in range(PARTS):
            chosen = np.sort(dealt[part::PARTS])
            write_rows(work / f"pool-{part}.jsonl", [rows[number] for number in chosen])
            np.savez(work / f"vectors-{part}.npz", pool=arrays["pool"][chosen], target=arrays["target"][first])


def write_rows(path: Path, rows: Sequence[righttime.Example]) -> None:
    lines = ({"id": row.id, "task": row.task, "prompt": row.prompt, "response": row.response} for row in rows)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def tuned(model: str, work: Path, ends: float, asked: tuple[int, str]) -> str:
    """Arrange one part in one order, tune, verify; what is finished is kept."""
    part, order = asked
    out, run = work / f"out-{part}-{order}", work / f"run-{part}-{order}"
    if not (run / "manifest.json").exists():
        if time.time() > ends:
            return f"{run.name}: not begun, no time left"
        righttime.arrange(
            work / f"pool-{part}.jsonl",
            work / "target.jsonl",
            out=out,
            overwrite=True,
            method=order,
            budget=BUDGET,
            seed=part,
            embedder=f"vectors:{work / f'vectors-{part}.npz'}",
        )
        watch = dense_evaluation(run, model, {"target": work / "target.jsonl"}, every=EVERY, form="chat")
        righttime.tune(out, model, run, SETTINGS, callbacks=[watch], overwrite=True)
    bad = [finding for finding in verify(run, out) if not finding.ok]
    return f"{run.name}: {'not verified: ' + str(bad) if bad else 'verified'}"


@dataclass(frozen=True)
class Curve:
    """One finished run: its steps, for each task the mean loss of its rows at each of them, and the tokens learnt."""

    part: int
    order: str
    steps: tuple[int, ...]
    tasks: dict[str, tuple[float, ...]]
    rows: dict[str, int]
    learnt: int

    @property
    def losses(self) -> NDArray[np.float64]:
        """The mean over tasks at each step."""
        losses: NDArray[np.float64] = np.asarray(list(self.tasks.values()), dtype=np.float64)
        mean: NDArray[np.float64] = losses.mean(axis=0)
        return mean

    @property
    def area(self) -> float:
        """The mean loss over the run: the area under the curve, by trapezoids, divided by its steps."""
        return float(np.trapezoid(self.losses, self.steps) / self.steps[-1])


def finished(work: Path) -> list[Curve]:
    """All finished runs, by order and part."""
    curves = []
    for order in ORDERS:
        for part in range(PARTS):
            run = work / f"run-{part}-{order}"
            if (run / "manifest.json").exists():
                found = means_by(open_evaluation(run / "evaluation").table, "task", "step")
                steps = tuple(sorted({step for _, step in found}))
                names = list(dict.fromkeys(task for task, _ in found))
                tasks = {name: tuple(found[name, step].over_rows for step in steps) for name in names}
                rows = {name: found[name, 0].rows for name in names}
                learnt = int(np.sum(pq.read_table(run / "rows.parquet")["learnt"].to_numpy()))
                curves.append(Curve(part, order, steps, tasks, rows, learnt))
    return curves


def write_csv(curves: Sequence[Curve], path: Path) -> None:
    with path.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["part", "order", "step", "task", "rows", "loss"])
        for curve in curves:
            for task, losses in curve.tasks.items():
                for step, loss in zip(curve.steps, losses, strict=True):
                    lines.writerow([curve.part, curve.order, step, task, curve.rows[task], f"{loss:.5f}"])


def described(curves: Sequence[Curve]) -> str:
    """The curves as a table in Markdown: one line for each run."""
    steps = curves[0].steps
    head = ["order", "part", *(f"step {step}" for step in steps), "mean over the run", "answer tokens"]
    lines = [head, ["---"] * len(head)]
    for curve in curves:
        cells = [f"{loss:.3f}" for loss in (*curve.losses, curve.area)]
        lines.append([curve.order, str(curve.part), *cells, f"{curve.learnt:,}"])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def draw() -> None:
    """Two panels, orders by distance and those of TMA, with `random` in both; thin: parts, thick: their mean."""
    found: dict[str, dict[int, dict[int, list[float]]]] = {}  # order, part, step: the losses of its tasks
    with RESULTS.open(newline="") as file:
        for row in csv.DictReader(file):
            steps = found.setdefault(row["order"], {}).setdefault(int(row["part"]), {})
            steps.setdefault(int(row["step"]), []).append(float(row["loss"]))
    caption = (
        "Loss on the target's answers, mean over 13 tasks of 5 rows: a model of 1.3 million parameters, tuned on 480 "
        "NIV2 rows in nine orders. Thick: mean of the runs; thin: each run. Left: by distance "
        "(WSD). Right: TMA's recipes, from step 5, on another scale. One or two runs of each order: no bands."
    )
    names = [f"{order} ({len(parts)})" for order, parts in found.items()]
    figure, panels = captioned((1, 2), 4.2, caption, names, 11)
    for panel, family in zip(panels, ("nearest", "tma"), strict=True):
        for order in (name for name in found if name.startswith(family) or name == "random"):
            its = stroke(ORDERS.index(order)) | {"marker": None}
            curves = {part: [float(np.mean(one)) for one in steps.values()] for part, steps in found[order].items()}
            at = list(next(iter(found[order].values())))
            for curve in curves.values():
                panel.plot(at, curve, **its, linewidth=0.6, alpha=0.6)
            panel.plot(at, np.mean(list(curves.values()), axis=0), **its, linewidth=2)
        panel.set_xlabel(f"optimizer steps of {SETTINGS.batch} rows")
        panel.set_ylabel(UNIT)
        panel.grid(**GRID)
    panels[1].set_ylim(5.6, 7.5)  # with step 0 the lines would lie on each other
    panels[1].set_xlim(left=EVERY - 1)
    for order, name in zip(found, names, strict=True):
        panels[0].plot([], [], label=name, **(stroke(ORDERS.index(order)) | {"marker": None}), linewidth=2)
    legend(figure, panels[0])
    for name, content in pictures("niv2_curves", figure).items():
        (HERE.parent / "docs" / "img" / name).write_bytes(content)


def main() -> None:
    if sys.argv[1:] == ["--draw"]:
        return draw()
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("pool", "target", "vectors", "model"):
        words.add_argument(name)
    words.add_argument("work", type=Path)
    words.add_argument("--minutes", type=float, default=60.0)
    given = words.parse_args()
    ends = time.time() + 60 * given.minutes
    given.work.mkdir(parents=True, exist_ok=True)
    if not (given.work / f"vectors-{PARTS - 1}.npz").exists():
        prepare(given.pool, given.target, given.vectors, given.model, given.work)
    asked = [(part, order) for part in range(PARTS) for order in ORDERS]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for said in pool.map(partial(tuned, given.model, given.work, ends), asked):
            print(said, file=sys.stderr, flush=True)
    curves = finished(given.work)
    write_csv(curves, RESULTS)
    draw()
    print(described(curves))


if __name__ == "__main__":
    main()
