"""Several files given as targets are one joint target, on every command and in the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import righttime
from made_results import nearly
from righttime.cli import main
from righttime.measures.curves import measure_folders
from righttime.verification.result import check


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool, a target in two files that share an id, both in one file, and vectors of all."""
    folder = tmp_path_factory.mktemp("joint")
    rng = np.random.default_rng(0)
    rows = [{"id": f"r{row}", "prompt": f"pool {row}", "response": f"answer {row}"} for row in range(30)]
    sides = [[{"id": f"t{row}", "prompt": f"{name} {row}", "response": "x y"} for row in range(3)] for name in "ab"]
    write(folder / "pool.jsonl", rows)
    for name, side in zip("ab", sides, strict=True):
        write(folder / f"{name}.jsonl", side)
    both = [row | {"id": f"{name}:{row['id']}"} for name, side in zip("ab", sides, strict=True) for row in side]
    write(folder / "both.jsonl", both)
    np.savez(folder / "v.npz", pool=rng.normal(size=(30, 4)), target=rng.normal(size=(6, 4)))
    return folder


def words(data: Path, command: str) -> list[str]:
    """The command with both files, but for what only it needs."""
    targets = ["--target", f"{data}/a.jsonl", "--target", f"{data}/b.jsonl"]
    vectors = ["--embedder", f"vectors:{data}/v.npz"]
    return [command, *([f"{data}/pool.jsonl", *vectors] if command in ("arrange", "plan") else []), *targets]


@pytest.fixture(scope="module")
def out(data: Path) -> Path:
    assert main([*words(data, "arrange"), "--out", str(data / "out")]) == 0
    return data / "out"


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def test_arrange_takes_both_and_records_both(data: Path, out: Path) -> None:
    found = manifest(out)
    assert found["counts"]["target_rows"] == 6
    assert [Path(file["path"]).name for file in found["inputs"]["target"]] == ["a.jsonl", "b.jsonl"]
    pickers = set(pq.read_table(out / "arrangement.parquet")["picked_by"].to_pylist())
    assert pickers <= {f"{name}:t{row}" for name in "ab" for row in range(3)}, "ids that clash name their file"
    assert {picker[0] for picker in pickers} == {"a", "b"}
    one = ["arrange", f"{data}/pool.jsonl", "--target", f"{data}/both.jsonl", "--out", f"{data}/one"]
    assert main([*one, "--embedder", f"vectors:{data}/v.npz", "--overwrite"]) == 0
    for name in ("train.jsonl", "arrangement.parquet"):
        assert (data / "one" / name).read_bytes() == (out / name).read_bytes(), "as if they were one file"


def test_the_library_takes_a_list(data: Path, out: Path) -> None:
    files = [data / "a.jsonl", data / "b.jsonl"]
    found = righttime.arrange(data / "pool.jsonl", files, embedder=f"vectors:{data}/v.npz")
    assert found.order.tolist() == righttime.Arrangement.load(out).order.tolist()


def test_check_and_show_read_all_of_them(data: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(out), "--pool", f"{data}/pool.jsonl", *words(data, "")[1:]]) == 0
    assert "come out again, to the bit" in capsys.readouterr().out
    assert main(["verify", str(out), "--pool", f"{data}/pool.jsonl", "--target", f"{data}/b.jsonl"]) == 1
    assert "FAILED the target is the same data" in capsys.readouterr().out
    assert main(["show", str(out), "--first", "30"]) == 0
    said = capsys.readouterr().out
    assert "around 6 target rows" in said
    assert "picked by a:t0: a 0" in said
    assert "picked by b:t0: b 0" in said


@pytest.mark.parametrize("method", ["tma", "rds", "nearest"])
def test_one_file_may_weigh_more(method: str, data: Path, tmp_path: Path) -> None:
    arranged = [*words(data, "arrange"), "--method", method, "--budget", "12", "--out"]
    assert main([*arranged, str(tmp_path / "plain")]) == 0
    assert main([*arranged, str(tmp_path / "heavy"), "--target-weight", "b=3"]) == 0
    pickers = {
        name: [picker[0] for picker in pq.read_table(tmp_path / name / "arrangement.parquet")["picked_by"].to_pylist()]
        for name in ("plain", "heavy")
    }
    if method == "rds":
        assert pickers["heavy"][:12] == [*"aaabbb", *"bbb", *"bbb"], "all have the first turn, then b has three to one"
    assert manifest(tmp_path / "heavy")["settings"]["target_weight"] == {"b": "3"}
    assert manifest(tmp_path / "heavy")["settings"]["target_rows_by_weight"] == {"1": 3, "3": 3}
    found = check(tmp_path / "heavy")
    assert [one for one in found if one.ok is not True] == []
    orders = [righttime.Arrangement.load(tmp_path / name).order.tolist() for name in ("plain", "heavy")]
    assert orders[0] != orders[1]
    library = righttime.arrange(
        data / "pool.jsonl",
        [data / "a.jsonl", data / "b.jsonl"],
        embedder=f"vectors:{data}/v.npz",
        method=method,
        budget=12,
        target_weight={"b": 3},
    )
    assert library.order.tolist() == orders[1]
    near = check(nearly(data, tmp_path / "heavy", "v.npz", tmp_path))
    assert {one.what for one in near if one.ok is not True} == {"the vectors are the same to the bit"}
    said = manifest(tmp_path / "heavy")
    said["settings"]["target_weight"] = {}
    (tmp_path / "heavy" / "manifest.json").write_text(json.dumps(said))
    assert False in {one.ok for one in check(tmp_path / "heavy")}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--target-weight", "c=2"], "unknown file or task of the target 'c'"),
        (["--target-weight", "b"], "--target-weight must be NAME=W, got 'b'"),
        (["--target-weight", "b=1", "--target-weight", "b=2"], "--target-weight b must be given once"),
        (["--target-weight", "b=0"], "the weight of 'b' must be a number above 0, got '0'"),
        (
            ["--target-weight", "b=2", "--method", "random"],
            "--target-weight is for methods whose target rows take turns",
        ),
    ],
)
def test_a_weight_that_is_none_is_refused(
    more: list[str], told: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words(data, "arrange"), "--out", str(tmp_path / "out"), *more]) == 1
    assert told in capsys.readouterr().err


def test_plan_counts_both(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(data, "plan")) == 0  # given vectors of 6 target rows would be refused for 3
    assert "vectors" in capsys.readouterr().out


def test_measure_reads_both(data: Path, out: Path) -> None:
    measures = str(data / "measures")
    assert main(["similarity", str(out), *words(data, "")[1:], "--every", "10", "--out", measures]) == 0
    assert [file["source"] for file in manifest(data / "measures")["inputs"]["target"]] == ["a", "b"]
    one = measure_folders([out], data / "both.jsonl", every=10)
    both = measure_folders([out], [data / "a.jsonl", data / "b.jsonl"], every=10)
    assert both.to_table().equals(one.to_table())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    from tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


def test_evaluate_measures_the_rows_of_both(data: Path, model: str) -> None:
    folder = data / "eval"
    assert main(["evaluate", model, *words(data, "")[1:], "--out", str(folder)]) == 0
    ids = pq.read_table(folder / "evaluation.parquet")["id"].to_pylist()
    assert ids == [f"{name}:t{row}" for name in "ab" for row in range(3)]
    assert [file["source"] for file in manifest(folder)["inputs"]["target"]] == ["a", "b"]


def test_a_seed_without_sampled_answers_is_said_to_change_nothing(
    data: Path, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", model, "--target", f"{data}/a.jsonl", "--seed", "3", "--out"]
    assert main([*words, str(tmp_path / "plain")]) == 0
    assert "note: --seed 3 changes nothing: the metrics ask for no answers" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "loss"), "--sample"]) == 0
    assert "note: --seed 3 changes nothing: the metrics ask for no answers" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "drawn"), "--sample", "--metrics", "em", "--max-new-tokens", "4"]) == 0
    assert "changes nothing" not in capsys.readouterr().err


def test_tune_measures_the_rows_of_both(data: Path, out: Path, model: str) -> None:
    run = data / "run"
    tuned = ["tune", str(out), "--model", model, "--run", str(run), "--evaluate-every", "2", *words(data, "")[1:]]
    assert main(tuned) == 0
    table = pq.read_table(run / "evaluation" / "evaluation.parquet")
    assert set(table["id"].to_pylist()) == {f"{name}:t{row}" for name in "ab" for row in range(3)}
    assert [file["source"] for file in manifest(run / "evaluation")["inputs"]["target"]] == ["a", "b"]
