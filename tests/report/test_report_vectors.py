"""Which vectors a page's map is of: those of the manifest, by their hash; and whose they are, of several."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from opened_page import data_of
from righttime.cli import main
from righttime.report import make_report

N_POOL, N_TARGET = 30, 4


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def made_vectors(path: Path, n_pool: int = N_POOL, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    np.savez(path, pool=rng.normal(size=(n_pool, 5)), target=rng.normal(size=(N_TARGET, 5)))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for side, n in (("pool", N_POOL), ("target", N_TARGET)):
        rows = [{"id": f"{side}-{k}", "task": f"t{k % 2}", "prompt": f"{side} {k}", "response": "so"} for k in range(n)]
        write(tmp_path / f"{side}.jsonl", rows)
    made_vectors(tmp_path / "v.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arrange(out: str, *more: str, vectors: str = "v.npz") -> None:
    words = ["arrange", "pool.jsonl", "--target", "target.jsonl", "--embedder", f"vectors:{vectors}", "--out", out]
    assert main([*words, *more]) == 0


def changed(path: Path, row: int) -> None:
    with np.load(path) as arrays:
        both = {name: arrays[name] for name in ("pool", "target")}
    both["pool"][row] = -both["pool"][row]
    np.savez(path, **both)


def said(html: str, section: str = "map") -> str:
    page = data_of(html)["page"]
    (found,) = [one for one in page["sections"] if one["id"] == section]
    return " ".join(block["text"] for block in found["blocks"] if block["kind"] == "text")


def order(out: str) -> list[int]:
    rows: list[int] = pq.read_table(f"{out}/arrangement.parquet")["row"].to_pylist()
    return rows


def test_a_changed_vector_of_a_row_that_was_left_out_is_noticed(data: Path) -> None:
    arrange("out", "--budget", "5")
    changed(data / "v.npz", next(row for row in range(N_POOL) if row not in order("out")))
    report = make_report(["out"])
    assert [one.why for one in report.missing] == [
        "the vectors are not those that the rows were arranged by: they were changed since"
    ]
    assert not data_of(report.html)["rows"]["has_map"]


@pytest.mark.parametrize(
    "more",
    [
        ("--duplicates", "drop"),
        ("--subsample", "0.5", "--seed", "3"),
        ("--min-similarity", "0.2"),
        ("--guard", "remove"),
        ("--guard", "off", "--budget", "3"),
        ("--weave", "0.5", "--budget", "12", "--seed", "2"),
        ("--weave", "0.5:pool-2.jsonl", "--budget", "12", "--seed", "2", "--duplicates", "drop"),
        ("--anneal", "0.9:0.1", "--budget", "12", "--seed", "2"),
        ("--cap-task", "4", "--budget", "8"),
        ("--apart", "0.2", "--shape", "folded:layers=2", "--budget", "8"),
        ("--target-weight", "target=2", "--budget", "8"),
    ],
)
def test_the_hash_is_of_the_rows_that_took_part(data: Path, more: tuple[str, ...]) -> None:
    """Rows that repeat others, are not drawn, too dissimilar, or leak by their texts or their meaning."""
    rows = [json.loads(line) for line in (data / "pool.jsonl").read_text().splitlines()]
    target = [json.loads(line) for line in (data / "target.jsonl").read_text().splitlines()]
    rows[7] |= {key: rows[6][key] for key in ("prompt", "response")}
    rows[9] |= {key: target[1][key] for key in ("prompt", "response")}
    rows[11] |= {"prompt": "carry 4821 lamps, 37 sacks and 906 coins"}
    target[2] |= {"prompt": "to bear 4821 lanterns, pouches of 37, 906 pence"}
    write(data / "pool.jsonl", rows)
    write(data / "target.jsonl", target)
    with np.load(data / "v.npz") as arrays:
        both = {name: arrays[name] for name in ("pool", "target")}
    both["pool"][11] = both["target"][2]  # in other words
    if "pool-2.jsonl" in str(more):  # its rows follow those of the pool
        write(data / "pool-2.jsonl", [{"id": f"other-{k}", "prompt": f"quite {k}", "response": "so"} for k in range(9)])
        both["pool"] = np.concatenate([both["pool"], np.random.default_rng(1).normal(size=(9, 5))])
    np.savez(data / "v.npz", **both)
    arrange("out", *more)
    left = pq.read_table("out/left_out.parquet").to_pylist()
    if "remove" in more:
        assert {row["detail"].split()[0] for row in left if row["reason"] == "leak"} == {"equal", "meaning"}
    assert left
    report = make_report(["out"])
    assert not report.missing
    assert data_of(report.html)["rows"]["has_map"]
    assert "Vectors: given in v.npz." in said(report.html)


@pytest.mark.usefixtures("data")
def test_two_orders_by_the_same_vectors_share_them() -> None:
    arrange("all")
    arrange("few", "--subsample", "0.5", "--seed", "1", "--budget", "4")
    text = said(make_report(["all", "few"]).html)
    assert "Vectors: given in v.npz." in text
    assert "other vectors" not in text


def test_whose_vectors_the_map_is_of_is_told(data: Path) -> None:
    made_vectors(data / "w.npz", seed=5)
    arrange("one")
    arrange("other", vectors="w.npz")
    arrange("chance", "--method", "random")
    for text in (said(make_report(["one", "other", "chance"]).html, name) for name in ("map", "summary")):
        assert "by the vectors of one: given in v.npz." in text
        assert "other was arranged by other vectors (given in w.npz)" in text
        assert "chance was arranged" not in text
    assert "by the vectors of other: given in w.npz." in said(make_report(["other", "one"]).html)


def test_where_the_first_vectors_are_gone_the_next_are_taken(data: Path) -> None:
    made_vectors(data / "w.npz", seed=5)
    arrange("one")
    arrange("other", vectors="w.npz")
    (data / "v.npz").unlink()
    report = make_report(["one", "other"])
    assert not report.missing
    assert "by the vectors of other: given in w.npz." in said(report.html)
    (data / "w.npz").unlink()
    assert "v.npz" in make_report(["one", "other"]).missing[0].why


def test_vectors_of_a_model_in_another_cache_are_those_of_the_model(data: Path) -> None:
    words = ["arrange", "pool.jsonl", "--target", "target.jsonl", "--cache", "first"]
    assert main([*words, "--out", "one"]) == 0
    assert main([*words, "--text", "prompt", "--out", "prompts"]) == 0
    text = said(make_report(["one", "prompts"], cache="first").html)
    assert "by the vectors of one: sentence-transformers/all-MiniLM-L6-v2 of each row's prompt+response." in text
    assert "prompts was arranged by other vectors (sentence-transformers/all-MiniLM-L6-v2 of each row's prompt)" in text
    (data / "empty").mkdir()
    assert [one.part for one in make_report(["one"], cache="empty").missing] == ["map, nearest rows"]


def test_vectors_of_pool_rows_that_are_nowhere_are_said(data: Path) -> None:
    words = ["--target", "target.jsonl", "--out"]
    assert main(["arrange", "pool.jsonl", *words, "one", "--cache", "first"]) == 0
    rows = (data / "pool.jsonl").read_text().splitlines()
    (data / "strange.jsonl").write_text(rows[0].replace('pool 0"', 'quite another thing"') + "\n")
    assert main(["arrange", "strange.jsonl", *words, "two", "--cache", "second"]) == 0
    (missing,) = make_report(["one"], cache="second").missing
    assert "no pool row's vector is in the cache" in missing.why


def test_a_pool_of_one_row_has_no_median(data: Path) -> None:
    write(data / "pool.jsonl", [{"id": "only", "prompt": "ask", "response": "so"}])
    made_vectors(data / "v.npz", 1)
    arrange("out")
    report = make_report(["out"])
    rows = data_of(report.html)["rows"]
    assert (rows["pool_median"], rows["has_map"], report.missing) == (None, True, ())
    assert "there is no median similarity between pool rows" in said(report.html, "summary")


def test_the_place_where_it_was_made_may_be_gone(data: Path) -> None:
    (data / "made").mkdir()
    for name in ("pool.jsonl", "target.jsonl"):
        shutil.copy(data / name, data / "made" / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(data / "made")
        words = ["arrange", "pool.jsonl", "--target", "target.jsonl", "--cache", str(data / "kept")]
        assert main([*words, "--out", str(data / "out")]) == 0
    shutil.rmtree(data / "made")
    report = make_report(["out"], pool=["pool.jsonl"], target=["target.jsonl"], cache="kept")
    assert not report.missing
    assert data_of(report.html)["rows"]["has_map"]
