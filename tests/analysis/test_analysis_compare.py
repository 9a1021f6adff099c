"""`righttime compare`: from folders to numbers, tables, figures and one paragraph."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from made_runs import STEPS, made_evaluation, made_family, made_run, numbers
from righttime.analysis import analyse, read_runs
from righttime.analysis.consumed import consumed_rows
from righttime.cli import main
from righttime.errors import StoreError
from righttime.evaluation import read_evaluation
from righttime.store import file_sha256

FLAT = np.linspace(3, 2, 5)[:, None] + np.zeros((5, 6))


def test_a_clear_effect_is_found_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = made_family(tmp_path, {"random": 0.0, "tma": 0.3, "nearest": 0.001})
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "tma lowers the loss on the judge rows by 0." in said
    assert "nearest and random cannot be told apart" in said
    assert "smallest difference that 4 replicates could show: 0." in said
    assert "4 replicates of 12 judge rows; the intervals hold for all 2 orders at once" in said
    assert "Harm: the loss on other after 8 steps of tma lies above that of random by at most" in said
    found = numbers(tmp_path / "out")
    by = {one["order"]: one for one in found["differences"]}
    assert (by["tma"]["verdict"], by["nearest"]["verdict"]) == ("lower", "not told apart")
    low, high = by["tma"]["simultaneous"]
    assert low < -0.3 * 7.5 / 8 < high, "what was put in: 0.3 after step 0, over the area"
    assert found["verdict"] in said
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["files"] == {
        path.name: file_sha256(path) for path in (tmp_path / "out").iterdir() if path.name != "manifest.json"
    }
    assert {"curves.svg", "curves.png", "differences.svg", "tasks.png", "harm.svg", "parts.csv"} <= set(
        manifest["files"]
    )


def test_numbers_equal_a_slow_computation(tmp_path: Path) -> None:
    words = made_family(tmp_path, {"random": 0.0, "tma": 0.1}, replicates=3)
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 0
    found = numbers(tmp_path / "out")
    rows: dict[str, list[Any]] = {}
    for word in words:
        name, _, folder = word.partition("=")
        table = read_evaluation(Path(folder) / "evaluation").to_pandas()
        table = table[(table["set"] == "target") & (table["metric"] == "loss")]
        rows.setdefault(name, []).append(table)
    for name, tables in rows.items():
        for k, table in enumerate(tables):
            curve = table.groupby("step")["value"].mean()
            want = np.trapezoid(curve.to_numpy(), curve.index.to_numpy()) / 8
            (got,) = (one for one in found["runs"] if (one["order"], one["replicate"]) == (name, k + 1))
            assert got["area"] == pytest.approx(want)
            assert got["last"] == pytest.approx(curve[8])
            assert (got["rows"], got["tasks"]) == (12, 3)
        (part,) = (one for one in found["parts"] if (one["name"], one["order"]) == ("task1", name))
        ends = [one[(one["task"] == "task1") & (one["step"] == 8)]["value"].mean() for one in tables]
        assert part["last"] == pytest.approx(np.mean(ends))
        (point,) = (p for p in found["curves"] if (p["order"], p["set"], p["step"]) == (name, "target", 4))
        at = [one[one["step"] == 4] for one in tables]
        assert point["each"] == pytest.approx([one["value"].mean() for one in at])
        over = [one.groupby("task")["value"].mean().mean() for one in at]
        assert point["over_tasks"] == pytest.approx(np.mean(over))
    written = list(csv.DictReader((tmp_path / "out" / "runs.csv").open()))
    assert [float(one["area"]) for one in written] == [one["area"] for one in found["runs"]]


def test_runs_are_named_by_method_and_evaluations_by_folder(tmp_path: Path) -> None:
    one = made_run(tmp_path / "a", FLAT, method="tma")
    two = made_evaluation(tmp_path / "random", {("target", "loss"): FLAT})
    three = made_run(tmp_path / "x=y", FLAT, method="tma")
    found = read_runs([str(one), str(two), str(three)])
    assert {name: [run.replicate for run in runs] for name, runs in found.items()} == {"tma": [1, 2], "random": [1]}
    assert found["tma"][1].folder == three


def test_nothing_varies_no_band_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        f"{n}={made_run(tmp_path / f'{n}{k}', FLAT - (n == 'tma') * 0.1)}" for k in range(3) for n in ("random", "tma")
    ]
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "No verdict on tma against random: nothing varies between the 3 replicates" in said.out
    assert "nothing varies between the 3 runs of tma: they are one run several times" in said.err
    found = numbers(tmp_path / "out")
    assert all(one["band"] is None for one in (*found["curves"], *found["paired"]))
    assert found["differences"][0]["simultaneous"] is None


def test_two_replicates_give_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = made_family(tmp_path, {"random": 0.0, "tma": 0.5}, replicates=2)
    assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "No verdict on tma against random: it takes 3 replicates, here are 2" in said.out
    assert "cannot be bounded from these replicates" in said.out
    assert "a verdict takes at least 3 replicates" in said.err


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "rows": ({"ids": [f"other{i}" for i in range(6)]}, r"tma, replicate 1 \(.*\) and random.*6 and 6 rows, of which"),
    "texts": ({"facts": {"tokens_sha256": "b"}}, "the rows have the same ids, but another tokens_sha256"),
    "model": ({"began": {"model": {"revision": "sha256:b"}}}, "must begin from the same model, but tma"),
    "steps": (
        {"steps": (0, 3, 5, 6, 7)},
        r"steps or more in common, but tma.* has steps 0, 3, 5, 6, 7; the runs before",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_runs_that_cannot_be_compared_are_refused_and_named(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more, message = REFUSED[case]
    about: dict[str, Any] = {"facts": {"tokens_sha256": "a"}, "began": {"model": {"revision": "sha256:a"}}}
    one = made_run(tmp_path / "one", FLAT, method="random", **about)
    two = made_run(tmp_path / "two", FLAT, method="tma", **{**about, **more})
    assert main(["compare", str(one), str(two), "--out", str(tmp_path / "out")]) == 1
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_other_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(made_run(tmp_path / "one", FLAT, method="random"))
    scores = str(made_evaluation(tmp_path / "scores", {("target", "em"): FLAT}))
    (tmp_path / "empty").mkdir()
    cases = {
        (run,): "at least two orders must be compared, got only random",
        (run, f"tma={run}"): "twice: a run is one replicate, not two",
        (run, f"={run}"): "must be given as FOLDER or NAME=FOLDER",
        (run, scores): "must have measured the loss of the set target, but scores, replicate 1",
        (run, str(tmp_path / "empty")): "must hold an evaluation",
        (f"tma={run}", scores): "unknown baseline 'random'",
    }
    for words, message in cases.items():
        assert main(["compare", *words, "--out", str(tmp_path / "out")]) == 1
        assert message in capsys.readouterr().err


def test_a_finished_comparison_is_kept_and_replaced_only_if_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", *made_family(tmp_path, {"random": 0.0, "tma": 0.1}, 3), "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == {"out": str(tmp_path / "out"), **numbers(tmp_path / "out")}
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.name != "manifest.json"}
    assert main(words) == 1
    assert "holds a finished result already" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert before == {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir() if p.name != "manifest.json"}


def test_an_unfinished_run_is_compared_as_far_as_it_goes(tmp_path: Path) -> None:
    one = made_run(tmp_path / "one", FLAT, method="random")
    two = made_run(tmp_path / "two", FLAT[:3], steps=STEPS[:3], method=None, finished=False)
    found = analyse(read_runs([str(one), f"tma={two}"]))
    assert found.steps == STEPS[:3]
    assert any("two is not finished" in note for note in found.notes)


def test_runs_of_tune_are_compared_with_the_rows_that_they_consumed(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(arranged.parent / "data" / "target.jsonl")
    words = ["tune", str(arranged), "--model", tiny, "--batch", "8", "--target", target, "--evaluate-at", "0,1,3"]
    for name, rate in (("slow", "1e-3"), ("fast", "5e-2")):
        assert main([*words, "--run", str(tmp_path / name), "--learning-rate", rate]) == 0
    begun = json.loads((tmp_path / "slow" / "run.json").read_text())
    for name in ("batch_tokens", "optimizer", "attention"):  # as an earlier version, which did not know them
        del begun["settings"][name]
    (tmp_path / "slow" / "run.json").write_text(json.dumps(begun))
    capsys.readouterr()
    compared = ["compare", str(tmp_path / "slow"), f"fast={tmp_path / 'fast'}"]
    assert main([*compared, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "No verdict on fast against random: it takes 3 replicates, here are 1" in said.out, "named by its method"
    assert "differ in more than the order: learning_rate." in said.err
    found = numbers(tmp_path / "out")
    assert found["steps"] == [0, 1, 3, 5]
    rows = [json.loads(line) for line in (arranged / "train.jsonl").read_text().splitlines()]
    consumed = consumed_rows(read_runs([str(tmp_path / "slow")])["random"][0])
    assert consumed is not None
    assert consumed.between(1, 3) == tuple(row["id"] for row in rows[8:24])
    tasks = dict(
        zip(
            *(pq.read_table(arranged / "arrangement.parquet")[name].to_pylist() for name in ("id", "task")), strict=True
        )
    )
    assert consumed.tasks == tasks
    (tmp_path / "slow" / "manifest.json").unlink()  # as while it trains: the records are there before the table
    again = consumed_rows(read_runs([f"random={tmp_path / 'slow'}"])["random"][0])
    assert again is not None
    assert again.by_step == consumed.by_step


def test_replicates_may_be_judged_on_rows_of_their_own(tmp_path: Path) -> None:
    words = []
    for k in range(3):
        ids = [f"row{i}" for i in range(3 * k, 3 * k + 6)]  # neighbours share half of their rows
        for name in ("random", "tma"):
            losses = FLAT - (0.1 + 0.01 * k) * (name == "tma")
            words.append(f"{name}={made_run(tmp_path / f'{name}{k}', losses, ids=ids)}")
    found = analyse(read_runs(words))
    assert found.differences[0].each == pytest.approx((-0.1, -0.11, -0.12))
    assert "two replicates share 33% of their judge rows on average: they are not wholly independent." in found.notes


def test_orders_of_a_replicate_on_different_processors_are_named(tmp_path: Path) -> None:
    def run(name: str, k: int, processor: dict[str, str] | None) -> str:
        folder = made_run(tmp_path / f"{name}{k}", FLAT - 0.01 * k, method=name)
        if processor:
            (folder / "manifest.json").write_text(json.dumps({"method": name, "processor": processor}))
        return str(folder)

    old, new = ({"cpu": "EPYC", "instructions": one, "gpu": ""} for one in ("avx2", "avx2 avx512f"))
    gpus = [{**one, "gpu": "H100"} for one in (old, new)]
    pairs = [(old, new), (old, old), (gpus[0], gpus[1]), (old, gpus[0]), (None, old), (new, old)]
    words = [run(name, k, pair[at]) for k, pair in enumerate(pairs) for at, name in enumerate(("random", "tma"))]
    runs = read_runs(words)
    assert [one.processor for one in runs["random"]][3:] == ["EPYC (avx2)", "", "EPYC (avx2 avx512f)"]
    assert [note for note in analyse(runs).notes if "kinds of processor" in note] == [
        "the orders of replicates 1, 6 ran on different kinds of processor, which round differently: "
        "EPYC (avx2 avx512f); EPYC (avx2).",
        "the orders of replicate 4 ran on different kinds of processor, which round differently: EPYC (avx2); H100.",
    ]


def test_an_earlier_comparison_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert main(["compare", *made_family(tmp_path, {"random": 0.0, "tma": 0.1}, 3), "--out", str(out)]) == 0
    assert (out / "harm.csv").exists()
    plain = [f"{name}={made_run(tmp_path / name, FLAT)}" for name in ("random", "tma")]
    assert main(["compare", *plain, "--out", str(out), "--overwrite"]) == 0
    assert not (out / "harm.csv").exists()
    assert not (out / "harm.svg").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda table: pa.concat_tables([table, table.slice(0, 1)]),
            "one value for each row and step, but a row has two",
        ),
        (lambda table: table.set_column(8, "value", pa.array([np.inf] * len(table))), "must hold finite values"),
    ],
)
def test_damaged_evaluations_are_refused(change: Any, message: str, tmp_path: Path) -> None:
    folder = made_evaluation(tmp_path / "one", {("target", "loss"): FLAT})
    pq.write_table(change(pq.read_table(folder / "evaluation.parquet")), folder / "evaluation.parquet")
    with pytest.raises(StoreError, match=message):
        read_runs([str(folder)])


def test_a_step_that_lacks_rows_is_left_out_and_named(tmp_path: Path) -> None:
    folder = made_evaluation(tmp_path / "one", {("target", "loss"): FLAT}, finished=False)
    (part,) = (folder / "parts").iterdir()
    pq.write_table(pq.read_table(part).slice(0, 6 * 4 + 2), part)  # of two processes one was killed
    (run,) = read_runs([str(folder)])["one"]
    assert run.values["target", "loss"].steps.tolist() == [0, 1, 2, 4]
    assert any("loss of target lacks rows at step 8" in note for note in run.notes)
