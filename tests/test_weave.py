"""Woven rows from the command to the disk and back: the table, what is left out, verification, forgeries."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import righttime
from made_results import exchange, forged, nearly, words
from righttime.cli import main
from righttime.errors import SettingsError
from righttime.verification.result import check


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool, another pool to weave, a target, and vectors of them."""
    folder = tmp_path_factory.mktemp("data")
    for name, count in (("pool", 40), ("other", 15), ("target", 4)):
        rows = [
            {"id": f"{name}-{row}", "prompt": f"{name} asks {row}", "response": f"says {row}"} for row in range(count)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with (folder / "other.jsonl").open("a") as file:
        file.write(json.dumps({"id": "again", "prompt": "pool asks 3", "response": "says 3"}) + "\n")
        file.write(json.dumps({"id": "leak", "prompt": "target asks 1", "response": "says 1"}) + "\n")
    rng = np.random.default_rng(0)
    pool, target = rng.normal(size=(57, 8)), rng.normal(size=(4, 8))
    np.savez(folder / "both.npz", pool=pool, target=target)
    np.savez(folder / "own.npz", pool=pool[:40], target=target)
    return folder


@pytest.fixture(scope="module")
def own(data: Path) -> Path:
    """An arrangement of 20 rows, 5 of them woven of what TMA has not taken."""
    more = ["--budget", "20", "--weave", "25%", "--seed", "7", "--embedder", f"vectors:{data}/own.npz"]
    assert main([*words(data, data / "own", *more), "--min-similarity", "-0.2"]) == 0
    return data / "own"


@pytest.fixture(scope="module")
def other(data: Path) -> Path:
    """An arrangement of 30 rows, 9 of them woven of another pool, which holds a repeat and a leak."""
    more = ["--budget", "30", "--weave", f"0.3:{data}/other.jsonl", "--seed", "7", "--duplicates", "drop"]
    more += ["--guard", "remove", "--embedder", f"vectors:{data}/both.npz", "--min-similarity", "-0.2"]
    assert main(words(data, data / "out", *more)) == 0
    return data / "out"


def test_the_table_says_which_rows_are_woven(own: Path, other: Path) -> None:
    for out, count, source in ((own, 5, "pool"), (other, 9, "other")):
        rows = pq.read_table(out / "arrangement.parquet").to_pylist()
        woven = [row for row in rows if row["reason"] == "woven"]
        assert len(woven) == count
        assert {row["source"] for row in woven} == {source}
        assert {row["source"] for row in rows if row["reason"] == "arranged"} == {"pool"}
        assert all(row["picked_by"] is None and row["round"] is None for row in woven)
        assert all(row["picked_by"] is not None for row in rows if row["reason"] == "arranged")
        assert [json.loads(line)["id"] for line in (out / "train.jsonl").read_text().splitlines()] == [
            row["id"] for row in rows
        ]


def test_every_other_row_is_left_out_with_its_reason(data: Path, other: Path) -> None:
    left = pq.read_table(other / "left_out.parquet").to_pylist()
    ids = {row["id"]: (row["reason"], row["detail"]) for row in left}
    assert ids["again"][0] == "duplicate"
    assert ids["leak"][0] == "leak"
    assert len(left) + 30 == 57
    undrawn = [detail for name, (reason, detail) in ids.items() if name.startswith("other") and reason == "not-chosen"]
    assert set(undrawn) == {f"not among the rows of {data}/other.jsonl that were drawn to be woven"}
    assert len(undrawn) == 15 - 9
    reasons = Counter(reason for name, (reason, _) in ids.items() if name.startswith("pool"))
    assert reasons["too-dissimilar"] > 0


@pytest.mark.parametrize("which", ["own", "other"])
def test_it_is_verified(which: str, request: pytest.FixtureRequest) -> None:
    out: Path = request.getfixturevalue(which)
    found = check(out)
    assert [one for one in found if one.ok is not True] == []
    assert "woven rows stand at their places" in {one.what for one in found}


@pytest.mark.parametrize(("which", "name"), [("own", "own.npz"), ("other", "both.npz")])
def test_it_is_verified_with_vectors_that_differ_in_their_last_bits(
    which: str, name: str, data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    found = check(nearly(data, request.getfixturevalue(which), name, tmp_path))
    assert {one.what for one in found if one.ok is not True} == {"the vectors are the same to the bit"}
    assert {"woven rows are those that the seed draws", "every round holds within 1e-05"} <= {one.what for one in found}


def relabel(rows: list[dict[str, Any]]) -> None:
    next(row for row in rows if row["reason"] == "woven")["reason"] = "arranged"


def test_a_changing_share_is_verified(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    more = ["--anneal", f"1:50%:{data}/other.jsonl", "--budget", "24", "--embedder", f"vectors:{data}/both.npz"]
    assert main(words(data, out, *more)) == 0
    assert "6 of them woven in at random" in capsys.readouterr().out
    rows = pq.read_table(out / "arrangement.parquet").to_pylist()
    places = [row["position"] for row in rows if row["reason"] == "woven"]
    assert places == [6, 12, 15, 18, 20, 22]  # the first n with n²/96 above ½, 1½, …, 5½, less one
    assert [one for one in check(out) if one.ok is not True] == []
    near = check(nearly(data, out, "both.npz", tmp_path))
    assert {one.what for one in near if one.ok is not True} == {"the vectors are the same to the bit"}


@pytest.mark.parametrize("change", [exchange("woven"), exchange("arranged"), relabel])
@pytest.mark.parametrize("bits", [False, True])
def test_a_forgery_is_noticed(
    change: Callable[[list[dict[str, Any]]], None], bits: bool, data: Path, other: Path, tmp_path: Path
) -> None:
    out = forged(other, tmp_path / "forged", change)
    if bits:
        out = nearly(data, out, "both.npz", tmp_path)
    assert False in {one.ok for one in check(out)}


def test_another_share_in_the_manifest_is_noticed(own: Path, tmp_path: Path) -> None:
    for share in ("20%", None):
        out = tmp_path / str(share)
        shutil.copytree(own, out)
        said = json.loads((out / "manifest.json").read_text())
        said["settings"]["weave"] = share
        (out / "manifest.json").write_text(json.dumps(said))
        assert False in {one.ok for one in check(out, files_only=True)}


def test_the_other_pool_takes_no_part_but_to_be_woven(data: Path, other: Path) -> None:
    """TMA of the pool alone, cut to the rows that are not woven, is what is left between them."""
    alone = righttime.arrange(
        data / "pool.jsonl", data / "target.jsonl", embedder=f"vectors:{data}/own.npz", min_similarity=-0.2, budget=21
    )
    between = righttime.Arrangement.load(other).arranged()
    assert between.order.tolist() == alone.order.tolist()
    assert between.round is not None
    assert alone.round is not None
    assert between.round.tolist() == alone.round.tolist()


def test_the_draw_of_a_part_leaves_the_other_pool_whole(data: Path) -> None:
    found = righttime.arrange(
        data / "pool.jsonl", data / "target.jsonl", method="random", weave=f"0.5:{data}/other.jsonl", subsample=10
    )
    assert found.woven is not None
    assert (len(found), int(found.woven.sum())) == (20, 10) or (len(found), int(found.woven.sum())) == (19, 9)
    assert set(found.arranged().order.tolist()) <= set(range(40))
    assert set(found.order[found.woven].tolist()) <= set(range(40, 57))


def test_what_is_shown_names_woven_rows(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(own)]) == 0
    assert "woven in, drawn at random" in capsys.readouterr().out
    rows = pq.read_table(own / "arrangement.parquet").to_pylist()
    name = next(row["id"] for row in rows if row["reason"] == "woven")
    assert main(["show", str(own), "--row", name]) == 0
    assert "drawn at random and woven in" in capsys.readouterr().out
    assert main(["show", str(own), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["rows"]
    assert [row["woven"] for row in shown] == [row["reason"] == "woven" for row in rows[:10]]
    assert all(row["similarity"] is None for row in shown if row["woven"])


def test_other_readers_take_it(own: Path, data: Path, tmp_path: Path) -> None:
    target = ["--target", f"{data}/target.jsonl"]
    assert main(["similarity", str(own), *target, "--out", str(tmp_path / "similarity")]) == 0
    assert main(["export", str(own), "--to", "embedding-atlas", "--out", str(tmp_path / "atlas")]) == 0
    assert main(["report", str(own), "--out", str(tmp_path / "page.html")]) == 0
    assert main(["agreement", str(own), str(own)]) == 0


def test_rows_in_memory_have_no_other_pool() -> None:
    pool, target = (
        righttime.builtin_rows("pool", rows_per_family=2),
        righttime.builtin_rows("target", rows_per_family=1),
    )
    with pytest.raises(SettingsError, match=r"rows of other.jsonl can be woven only where the pool is read from files"):
        righttime.arrange(pool, target, method="random", weave="0.2:other.jsonl")
    found = righttime.arrange(pool, target, method="random", weave=0.2, budget=10)
    assert found.woven is not None
    assert int(found.woven.sum()) == 2


def test_too_few_rows_to_weave_are_an_error(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--method", "random", "--weave", f"0.5:{data}/other.jsonl"]
    assert main(words(data, tmp_path / "out", *more)) == 1
    said = capsys.readouterr().err
    assert "--weave takes 39 rows to weave among 40 arranged ones, but there are 17 of" in said
    assert "within caps" not in said
    assert not (tmp_path / "out" / "manifest.json").exists()
