"""Results of experiments as committed files: they give the same analysis, and the page what it shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import collected
import reproduction
import reproduction_tables
from made_runs import STEPS, made_run
from righttime.experiment import Experiment, Order, Source, analyse_experiment, cells
from righttime.experiment.layout import Cell
from righttime.experiment.store import state_experiment
from righttime.measures import MEASURES
from righttime.store import write_json, write_parquet

ORDERS = {"random": 0.0, "tma": 0.2, "nearest": 0.1, "farthest": -0.1}
SECRET = "a text of the data"


def made_experiment(root: Path, without: tuple[str, int] | None = None, useful: int | None = None) -> Path:
    """An experiment of four orders and three replicates, with one run missing where asked."""
    pool = (Source("/somewhere/pool.jsonl"), Source("/somewhere/target.jsonl", rows=useful))
    orders = {name: Order(name, {"method": name, "embedder": "vectors:/somewhere/v.npz"}) for name in ORDERS}
    target, sets = (Source("/somewhere/target.jsonl"),), {"other": (Source("/somewhere/other.jsonl"),)}
    asked = Experiment(pool, target, orders, "/models/small", 64, sets, tuning={"batch": 8})
    state_experiment(asked, root)
    rng = np.random.default_rng(0)
    for replicate in (1, 2, 3):
        here = root / f"replicate-{replicate}"
        here.mkdir()
        (here / "pool.jsonl").write_text(json.dumps({"id": f"p{replicate}", "prompt": SECRET}) + "\n", encoding="utf-8")
        rows = {name: {"rows": n, "ids_sha256": "0"} for name, n in (("pool", 40), ("steer", 12), ("judge", 12))}
        guard = {"mode": "remove", "removed": 1, "pool_rows": 1, "first": [{"span": SECRET}]}
        draw = {"seed": replicate, "counts": {"pool": 40, "judge": 12}, "rows": rows, "guard": guard}
        write_json(here / "draw.json", draw)
    for cell in cells(asked, root):
        if (cell.order, cell.replicate) != without:
            made_cell(cell, rng)
    return root


def made_cell(cell: Cell, rng: np.random.Generator) -> None:
    """A finished run; every step consumes one row of each of two tasks."""
    fall = np.array([3.0, 2.4, 2.0, 1.8, 1.7])[:, None]
    losses = fall - (ORDERS[cell.order] + rng.normal(0, 0.005)) * (fall < 3) + rng.normal(0, 0.02, (5, 12)) * (fall < 3)
    consumed = {step: (f"a{step}", f"b{step}") for step in range(STEPS[-1])}
    tasks = {one: f"{one[0]}-task" for ids in consumed.values() for one in ids}
    began = {"model": {"revision": "r1"}, "settings": {"batch": 8}}
    other = fall + ORDERS[cell.order] + rng.normal(0, 0.01, (5, 6))
    made_run(cell.run, losses, judge="judge", other=other, consumed=consumed, row_tasks=tasks, began=began)
    write_json(cell.run / "manifest.json", {"processor": {"cpu": "Made CPU"}, "versions": {"python": "3.11"}})
    lines = [(step, name, ORDERS[cell.order] + 0.01 * step) for step in STEPS[1:] for name in MEASURES]
    columns = dict(zip(("step", "measure", "value"), map(list, zip(*lines, strict=True)), strict=True))
    write_parquet(cell.measures, pa.table({**columns, "task": pa.array([None] * len(lines), pa.string())}))
    write_json(cell.folder / "took.json", {"seconds": 90.0})


def test_what_is_collected_gives_the_same_analysis(tmp_path: Path) -> None:
    root, results = made_experiment(tmp_path / "small", without=("tma", 3)), tmp_path / "results"
    files = collected.collect(root, results)
    assert [path.name for path in files] == ["small.json", "small.parquet", "small.measures.parquet"]
    first = [path.read_bytes() for path in files]
    collected.collect(root, results)
    assert [path.read_bytes() for path in files] == first, "the same again"
    whole = analyse_experiment(root)
    found = collected.read_collected(results)["small"].analysis
    assert whole is not None
    assert found is not None
    for name in ("differences", "curves", "paired", "onsets", "saved", "falling", "parts", "harm", "measured", "notes"):
        assert getattr(found, name) == getattr(whole, name), name
    assert sum(one.mean is not None for one in found.measured) == len(MEASURES) * (len(STEPS) - 1)
    assert found.drops
    assert [(one.task, one.step, one.rows, one.tasks) for one in found.drops] == [
        (one.task, one.step, one.rows, one.tasks) for one in whole.drops
    ]
    assert found.drops[0].tasks == {"a-task": 1, "b-task": 1}
    assert "1 of 12 runs are not finished." in found.notes


def test_no_text_and_no_folder_is_collected(tmp_path: Path) -> None:
    root, results = made_experiment(tmp_path / "small", without=("tma", 3)), tmp_path / "results"
    files = collected.collect(root, results)
    for path in files:
        assert not any(word in path.read_bytes() for word in (SECRET.encode(), b"somewhere", bytes(tmp_path)))
    about = json.loads(files[0].read_text(encoding="utf-8"))
    assert about["missing"] == [{"order": "tma", "replicate": 3, "state": "empty"}]
    assert about["experiment"]["orders"]["tma"]["arranging"]["embedder"] == "vectors:v.npz"
    assert (about["experiment"]["model"], about["versions"][0]["python"]) == ("small", "3.11")
    assert about["draws"]["2"] == {
        "seed": 2,
        "counts": {"pool": 40, "judge": 12},
        "rows": {"pool": 40, "steer": 12, "judge": 12},
        "guard": {"mode": "remove", "removed": 1, "pool_rows": 1},
    }
    run = about["runs"][0]
    assert (run["order"], run["seconds"], run["processor"], run["revision"]) == ("random", 90.0, "Made CPU", "r1")
    names = pq.read_schema(files[1]).names
    assert names == ["order", "replicate", "step", "set", "row", "id", "task", "category", "metric", "value"]


@pytest.mark.slow
def test_the_page_is_made_from_the_files_alone(tmp_path: Path) -> None:
    results, pictures, page = tmp_path / "results", tmp_path / "img" / "made", tmp_path / "page.md"
    for name, useful in (("mixed-06", 2), ("mixed-20", 8)):
        collected.collect(made_experiment(tmp_path / name, useful=useful), results)
    tables = ["experiments", "mixed", "gone.orders", "mixed-20.pictures"]
    tables += [f"mixed-20.{name}" for name in reproduction_tables.OF_ONE]
    marks = "".join(f"<!-- table: {name} -->\n<!-- end -->\n" for name in tables)
    page.write_text(f"{marks}On <!-- figure: mixed-20.line --><!-- end -->.\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"page\.md is not what the results give"):
        reproduction.report(results, [page], pictures, check=True)
    reproduction.report(results, [page], pictures)
    reproduction.report(results, [page], pictures, check=True)
    text = page.read_text(encoding="utf-8")
    assert (
        "| `mixed-20.yaml` | 12 of 12 | 3 replicates | 12 judge rows | 64 | 8 | 1.5 | all leaks found | Made CPU |"
        in text
    )
    assert "`configs/small/mixed-20.yaml`: 3 replicates, 12 judge rows each, 8 steps of 8 rows, Made CPU." in text
    assert "*(not run yet)*" in text
    shares = [line for line in text.splitlines() if line.startswith(("| 5% (2 of 40)", "| 20% (8 of 40)"))]
    assert [line.split(" | ")[1] for line in shares] == ["`tma`", "`nearest`", "`farthest`"] * 2
    assert shares[0].split(" | ")[3].startswith("+0.1"), "what lowers the loss is a gain"
    assert "| lower | other: +0.1" in shares[0]
    assert shares[2].split(" | ")[3].startswith("-0.")
    assert "| higher | other: -0." in shares[2]
    drawn = {path.name for path in pictures.iterdir()}
    forms = {f"mixed-20-{name}.{form}" for name in ("curves", "differences", "harm") for form in ("svg", "png")}
    assert forms <= drawn
    assert f"![Loss on the judge rows, mixed-20](img/{pictures.name}/mixed-20-curves.svg)" in text
    (results / "mixed-06.json").unlink()
    reproduction.report(results, [page], pictures)
    assert not any(path.name.startswith("mixed-06") for path in pictures.iterdir()), "what is old is removed"


def test_an_experiment_that_has_only_begun_is_collected_too(tmp_path: Path) -> None:
    asked = Experiment((Source("p"),), (Source("t"),), {name: Order(name, {}) for name in ORDERS}, "m", 8)
    state_experiment(asked, tmp_path / "begun")
    assert [path.name for path in collected.collect(tmp_path / "begun", tmp_path)] == ["begun.json"]
    found = collected.read_collected(tmp_path)
    assert found["begun"].analysis is None
    assert "| `begun.yaml` | 0 of 12 | - |" in reproduction_tables.made("experiments", found)
    assert reproduction_tables.made("begun.orders", found) == "*(not enough runs to compare yet)*"
    with pytest.raises(KeyError):
        reproduction_tables.made("begun.order", found)


def test_the_page_of_the_docs_is_what_the_results_give() -> None:
    found = collected.read_collected(reproduction.COLLECTED)
    for page in reproduction.PAGES:
        text = page.read_text(encoding="utf-8")
        assert reproduction.filled(text, found) == text, "run python benchmarks/reproduction.py report"
    for name, one in found.items():
        missing = [end for end in ("svg", "png") if not (reproduction.PICTURES / f"{name}-curves.{end}").exists()]
        assert not (one.analysis and missing), f"{name} lacks figures: run python benchmarks/reproduction.py report"
