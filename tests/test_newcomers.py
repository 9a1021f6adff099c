"""What a newcomer is told before the slow part begins, and of slips that are likely."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from righttime.cli import main
from righttime.cli.summary import saved_line
from righttime.extending import Saved
from righttime.inputs import exchanged_sides


def write(path: Path, side: str, rows: int) -> str:
    made = ({"id": f"{side}{n}", "prompt": f"{side} {n}", "response": "r", "why": "w"} for n in range(rows))
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return str(path)


def test_formats_and_unread_fields_are_told_before_anything_is_embedded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool, target = write(tmp_path / "pool.jsonl", "p", 8), write(tmp_path / "target.jsonl", "t", 2)
    words = ["arrange", pool, "--target", target, "--out", str(tmp_path / "out")]
    assert main([*words, "--embedder", f"vectors:{tmp_path}/none.npy", "--target-embedder", "vectors:no.npy"]) == 1
    said = capsys.readouterr().out.splitlines()
    unread = "text that no rule reads: `why` (every row)"
    assert said == [
        f"pool     {pool}: prompt-completion (jsonl), 8 rows; {unread}",
        f"target   {target}: prompt-completion (jsonl), 2 rows; {unread}",
    ]
    assert main([*words, "--method", "random"]) == 0
    assert capsys.readouterr().out.count(unread) == 2  # not again at the end
    assert main([*words, "--method", "random", "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pool"][0]["unread"] == {"why": 1.0}


def test_of_several_targets_the_pool_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = write(tmp_path / "pool.jsonl", "p", 8)
    targets = [word for name in "ab" for word in ("--target", write(tmp_path / f"{name}.jsonl", name, 2))]
    words = ["arrange", pool, *targets, "--each-target", "--method", "random", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert said.count(f"pool     {pool}: ") == 1
    assert [said.count(f"target   {target}: ") for target in targets[1::2]] == [1, 1]


def test_pool_and_target_in_each_others_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few, many = write(tmp_path / "few.jsonl", "f", 100), write(tmp_path / "many.jsonl", "m", 1000)
    words = ["--method", "random", "--guard", "off"]
    assert main(["arrange", few, "--target", many, *words, "--out", str(tmp_path / "swapped")]) == 0
    said = capsys.readouterr().out
    assert said.count("the target has 1,000 rows and the pool 100, so hardly anything is left to choose") == 1
    assert said.index("warning: the target has") < said.index("wrote")
    manifest = json.loads((tmp_path / "swapped" / "manifest.json").read_text())
    assert manifest["notes"][0].startswith("the target has 1,000 rows")
    assert main(["verify", str(tmp_path / "swapped")]) == 0
    capsys.readouterr()
    assert main(["arrange", many, "--target", few, *words, "--out", str(tmp_path / "meant")]) == 0
    assert "each other's place" not in capsys.readouterr().out
    assert main(["arrange", few, "--target", many, *words, "--budget", "500", "--out", str(tmp_path / "less")]) == 1
    assert "or exchange pool and target: the target has 1,000 rows" in capsys.readouterr().err
    assert main(["arrange", few, "--target", many, *words, "--budget", "5000", "--out", str(tmp_path / "less")]) == 1
    assert "exchange" not in capsys.readouterr().err


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_only_a_target_of_ten_pools_is_a_slip(n_pool: int, n_target: int) -> None:
    assert bool(exchanged_sides(n_pool, n_target)) == (n_target >= 1000 and n_target >= 10 * n_pool)
    assert not (exchanged_sides(n_pool, n_target) and exchanged_sides(n_target, n_pool))


def test_more_than_one_look_is_no_share_of_it() -> None:
    assert saved_line(Saved(40, 100)) == "extended by looking at 40 pairs of rows, 40% of one look at the whole pool"
    said = saved_line(Saved(108, 100))
    assert "%" not in said
    assert "108 pairs of rows, more than the 100 of one look at the whole pool: nothing was saved" in said
