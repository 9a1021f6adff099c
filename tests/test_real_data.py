"""On real instruction data: the commands of the README end with right, complete output."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import righttime
from righttime.cli import main
from righttime.formats import read_rows
from righttime.similarity import pair_similarity, unit_rows
from righttime.verification.result import check

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def vectors(real_data: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    with np.load(real_data / "niv2_vectors.npz") as arrays:
        return unit_rows(arrays["pool"]), unit_rows(arrays["target"])


@pytest.fixture(scope="module")
def exact(vectors: Any) -> NDArray[np.float32]:
    """Every similarity by the definition: the matrix that the package never makes."""
    pool, target = vectors
    return np.stack([pair_similarity(pool, target[j : j + 1]) for j in range(len(target))], axis=1)


@pytest.mark.parametrize("method", ["tsds", "tsds-uniform"])
def test_tsds_follows_alpha_on_real_vectors(vectors: Any, method: str) -> None:
    """At its defaults on 2,000 rows; with lists of a tenth of the pool every alpha up to 0.7 gave one order."""
    pool, target = vectors
    some = np.sort(np.random.default_rng(0).permutation(len(pool))[:2000])
    alphas = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    found = [
        righttime.arrange_embeddings(pool[some], target, method=method, params={"alpha": alpha}) for alpha in alphas
    ]
    assert len({tuple(arrangement.order.tolist()) for arrangement in found}) == len(alphas)
    assert not any("warning" in arrangement.settings for arrangement in found)


@pytest.mark.parametrize("sign", [1, -1])
def test_tma_on_real_vectors_equals_algorithm_1_on_the_whole_matrix(vectors: Any, exact: Any, sign: int) -> None:
    method = "tma" if sign > 0 else "tma-farthest"
    got = righttime.arrange_embeddings(*vectors, method=method, budget=3000)
    similarity = sign * exact
    places: list[tuple[int, int, int, float]] = []
    number = 0
    while len(places) < 3000:
        chosen = similarity.argmax(axis=0)  # the first of equal rows is the lowest
        value = similarity[chosen, np.arange(similarity.shape[1])]
        best: dict[int, tuple[float, int]] = {}
        for j, (row, s) in enumerate(zip(chosen.tolist(), value.tolist(), strict=True)):
            if row not in best or s > best[row][0]:
                best[row] = (s, j)
        played = sorted(best, key=lambda row: (-best[row][0], row))
        places += [(row, number, best[row][1], sign * best[row][0]) for row in played]
        similarity[played] = -np.inf
        number += 1
    assert got.round is not None
    assert got.picked_by is not None
    assert got.similarity is not None
    columns = (got.order, got.round, got.picked_by, got.similarity)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == places[:3000]


def test_nearest_on_real_vectors_equals_sorting_the_whole_matrix(vectors: Any, exact: Any) -> None:
    got = righttime.arrange_embeddings(*vectors, method="nearest", distance="md")
    assert got.order.tolist() == np.argsort(-exact.max(axis=1), kind="stable").tolist()
    assert got.picked_by is not None
    assert got.picked_by.tolist() == exact.argmax(axis=1)[got.order].tolist()


def test_the_whole_pool_with_its_vectors(real_data: Path, tmp_path: Path) -> None:
    pool, target = str(real_data / "niv2_pool.jsonl.gz"), str(real_data / "niv2_target.jsonl.gz")
    words = ["arrange", pool, "--target", target, "--embedder", f"vectors:{real_data / 'niv2_vectors.npz'}"]
    for out in ("one", "two"):
        assert main([*words, "--budget", "2000", "--out", str(tmp_path / out)]) == 0
    for name in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert len(pq.read_table(tmp_path / "one" / "left_out.parquet")) == 44_950 - 2000
    assert len((tmp_path / "one" / "train.jsonl").read_text(encoding="utf-8").splitlines()) == 2000
    findings = check(tmp_path / "one", pool, target)
    assert findings
    assert all(finding.ok for finding in findings)
    assert main(["show", str(tmp_path / "one")]) == 0


@pytest.mark.parametrize("method", ["tma", "rds", "nearest"])
def test_a_least_similarity_on_real_vectors_takes_exactly_the_rows_near_enough(
    vectors: Any, exact: Any, method: str
) -> None:
    got = righttime.arrange_embeddings(*vectors, method=method, min_similarity=0.5)
    assert sorted(got.order.tolist()) == np.flatnonzero((exact >= np.float32(0.5)).any(axis=1)).tolist()
    assert got.similarity is not None
    assert (got.similarity >= np.float32(0.5)).all()


@pytest.mark.slow
def test_a_share_and_a_look_at_one_row_of_the_whole_pool(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool, target = str(real_data / "niv2_pool.jsonl.gz"), str(real_data / "niv2_target.jsonl.gz")
    words = ["arrange", pool, "--target", target, "--embedder", f"vectors:{real_data / 'niv2_vectors.npz'}"]
    assert main([*words, "--budget", "5%", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "2,248   100%       0.465     0.517           100%" in said
    assert "note: 2 of 260 target rows have nothing near in the pool (even their nearest row is below 0.376)" in said
    rows = pq.read_table(tmp_path / "out" / "arrangement.parquet").to_pylist()
    assert len(rows) == 2248
    assert main(["show", str(tmp_path / "out"), "--row", rows[7]["id"]]) == 0
    assert f"picked by {rows[7]['picked_by']}" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "out")]) == 0
    assert "come out again, to the bit" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["cluster", "round-robin", "random"])
def test_the_folder_of_natural_instructions(real_data: Path, tmp_path: Path, method: str) -> None:
    folder = str(real_data / "niv2")
    words = ["arrange", folder, "--target", folder, "--method", method, "--out", str(tmp_path / "out")]
    assert main(words) == 0
    table = pq.read_table(tmp_path / "out" / "arrangement.parquet")
    train_tasks = (real_data / "niv2" / "splits" / "default" / "train_tasks.txt").read_text().split()
    assert len(table) == 4000
    assert set(table["task"].to_pylist()) == set(train_tasks)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"]["target_rows"] == 1200
    if method == "round-robin":
        assert len(set(table["task"].to_pylist()[:40])) == 40
    if method == "cluster":
        tasks = table["task"].to_pylist()
        assert sum(a != b for a, b in itertools.pairwise(tasks)) == 39


@pytest.mark.slow
def test_tma_on_embedded_rows_of_the_folder(real_data: Path, tmp_path: Path) -> None:
    """A third of the folder's training rows and a tenth of its test rows, embedded here with the default model."""
    pool = read_rows([real_data / "niv2"], role="pool")
    target = read_rows([real_data / "niv2"], role="target")
    few_pool = dataclasses.replace(pool, rows=pool.rows.take(range(0, len(pool.rows), 3)))
    few_target = dataclasses.replace(target, rows=target.rows.take(range(0, len(target.rows), 10)))
    arrangement = righttime.arrange(few_pool, few_target, budget=500, out=tmp_path / "out")
    assert len(arrangement) == 500
    assert arrangement.labels is not None
    assert arrangement.similarity is not None
    assert arrangement.similarity[0] > 0.5
    assert all(finding.ok for finding in check(tmp_path / "out", few_pool, few_target))


def test_our_vectors_are_those_of_the_data(real_data: Path, vectors: Any, tmp_path: Path) -> None:
    """The embedded text, its length and the model are the paper's: cosine with the given vectors."""
    from righttime.embedding import embed_texts, load_embedder
    from righttime.examples import text_of

    target = read_rows([real_data / "niv2_target.jsonl.gz"], role="target").examples
    done = embed_texts([text_of(row) for row in target], load_embedder(), tmp_path)
    assert (pair_similarity(unit_rows(done.vectors), vectors[1]) > 0.99999).all()


def test_split_by_group_on_real_tasks(real_data: Path, tmp_path: Path) -> None:
    words = ["split", str(real_data / "niv2_pool.jsonl.gz"), "--share", "0.1", "--by", "group", "--seed", "3"]
    assert main([*words, "--max-per-pool-task", "20", "--max-per-target-task", "5", "--out", str(tmp_path / "s")]) == 0
    pool, target = (read_rows([tmp_path / "s" / f"{side}.jsonl"], role="pool").examples for side in ("pool", "target"))
    tasks = [{row.task for row in side} for side in (pool, target)]
    assert tasks[0]
    assert tasks[1]
    assert not tasks[0] & tasks[1]
    from righttime.splits import group_of

    groups = [{group_of(task or "") for task in side} for side in tasks]
    assert not groups[0] & groups[1]
    assert max(sum(row.task == task for row in pool) for task in tasks[0]) == 20
    assert max(sum(row.task == task for row in target) for task in tasks[1]) == 5
    assert len(pool) + len(target) + len(pq.read_table(tmp_path / "s" / "left_out.parquet")) == 44_950
