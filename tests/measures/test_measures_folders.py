"""Measuring arrangements on disk, through the command as a user types it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import twin_measures as twin
from righttime import read_rows
from righttime.cli import main
from righttime.embedding import DEFAULT_MODEL, embed_texts, load_embedder
from righttime.errors import SettingsError
from righttime.examples import text_of
from righttime.measures import MEASURES, measure
from righttime.measures.curves import measure_folders
from righttime.measures.dataset import default_every
from righttime.measures.plot import draw_curves
from righttime.similarity import unit_rows

DRAWN = importlib.util.find_spec("matplotlib") is not None
METHODS = ("tma", "random")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in data, two arrangements of its pool by the model's vectors, and one by given vectors."""
    folder = tmp_path_factory.mktemp("data")
    assert main(["builtin", "--out", str(folder), "--rows", "4", "--target-rows", "2"]) == 0
    for method in METHODS:
        assert arrange(folder, method, "--method", method) == 0
    rng = np.random.default_rng(0)
    n_pool, n_target = (len((folder / name).read_text().splitlines()) for name in ("pool.jsonl", "target.jsonl"))
    np.savez(folder / "given.npz", pool=rng.normal(size=(n_pool, 5)), target=rng.normal(size=(n_target, 5)))
    given = ["--embedder", f"vectors:{folder / 'given.npz'}", "--budget", "50"]
    assert arrange(folder, "given", *given) == 0
    return folder


def arrange(data: Path, name: str, *more: str) -> int:
    words = ["arrange", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl"), "--out", str(data / name)]
    return main([*words, "--cache", str(data / "cache"), *more])


def run(data: Path, out: Path, names: tuple[str, ...], *more: str) -> int:
    words = [str(data / name) for name in names]
    words += ["--target", str(data / "target.jsonl"), "--every", "16", "--cache", str(data / "cache")]
    return main(["similarity", *words, "--out", str(out), *more])


def values(out: Path) -> dict[tuple[str, str | None, str], dict[int, float]]:
    found: dict[tuple[str, str | None, str], dict[int, float]] = {}
    for row in pq.read_table(out / "measures.parquet").to_pylist():
        found.setdefault((row["arrangement"], row["task"], row["measure"]), {})[row["n"]] = row["value"]
    return found


def test_measure_writes_what_the_documents_say(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert run(data, out, METHODS) == 0
    said = capsys.readouterr().out
    names = ["manifest.json", "measures.parquet"] + (["measures.png", "measures.svg"] if DRAWN else [])
    assert sorted(path.name for path in out.iterdir()) == names
    found = values(out)
    assert set(found) == {(method, None, name) for method in METHODS for name in MEASURES}
    for method in METHODS:
        assert list(found[method, None, "kl"]) == [*range(16, 140, 16), 140]
    for name in MEASURES:
        assert found["tma", None, name][140] == pytest.approx(found["random", None, name][140], rel=1e-6), (
            "the same rows in another order"
        )
        assert f"{found['tma', None, name][16]:.4f}" in said
        assert f"{found['random', None, name][140]:.4f}" in said
    assert found["tma", None, "cosine-avg"][16] < found["random", None, "cosine-avg"][16]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["settings"]["every"] == 16
    assert manifest["settings"]["text"] == "prompt+response"
    assert [entry["method"] for entry in manifest["arrangements"]] == list(METHODS)
    assert sorted(manifest["files"]) == names[1:]


@pytest.mark.slow
def test_without_every_there_are_some_twenty_points(data: Path, tmp_path: Path) -> None:
    words = ["similarity", str(data / "given"), "--target", str(data / "target.jsonl"), "--out"]
    assert main([*words, str(tmp_path / "alone")]) == 0
    assert list(values(tmp_path / "alone")["given", None, "kl"]) == [*range(3, 50, 3), 50]
    assert json.loads((tmp_path / "alone" / "manifest.json").read_text())["settings"]["every"] == 3
    assert main([*words, str(tmp_path / "paper"), "--every", "160"]) == 0
    assert list(values(tmp_path / "paper")["given", None, "kl"]) == [50], "the paper's, which is too far apart here"
    both = [str(data / "tma"), "--embedder", f"vectors:{data / 'given.npz'}"]
    assert main([*words, str(tmp_path / "both"), *both]) == 0
    found = values(tmp_path / "both")
    assert list(found["given", None, "kl"])[:-1] == list(found["tma", None, "kl"])[:16], "the same points of all"


def test_the_default_distance_of_points() -> None:
    assert [default_every([n]) for n in (1, 19, 21, 100, 2000, 44_950)] == [1, 1, 2, 5, 100, 2248]
    assert default_every([100, 44_950]) == 225, "twenty of the shortest, but never thousands of the longest"
    rows = unit_rows(np.random.default_rng(0).normal(size=(100, 3)))
    assert measure(rows, rows).n.tolist() == list(range(5, 101, 5))


def test_measures_are_those_of_the_rows_in_order(data: Path, tmp_path: Path) -> None:
    assert run(data, tmp_path / "out", ("tma",)) == 0
    rows = read_rows([data / "tma" / "train.jsonl"], role="pool").examples
    target = read_rows([data / "target.jsonl"], role="target").examples
    texts, target_texts = [text_of(row) for row in rows], [text_of(row) for row in target]
    embedded = embed_texts([*texts, *target_texts], load_embedder(DEFAULT_MODEL), data / "cache")
    vectors = unit_rows(embedded.vectors)
    found = values(tmp_path / "out")
    for n in (16, 140):
        want = twin.vector_measures(vectors[: len(rows)], vectors[len(rows) :], n)
        want["kl"] = twin.kl(texts[:n], target_texts)
        for name in MEASURES:
            assert found["tma", None, name][n] == pytest.approx(want[name], rel=1e-4, abs=1e-5)


def test_given_vectors_are_taken_by_pool_row(data: Path, tmp_path: Path) -> None:
    assert run(data, tmp_path / "out", ("given",)) == 0
    arrays = np.load(data / "given.npz")
    order = pq.read_table(data / "given" / "arrangement.parquet")["row"].to_numpy()
    curves = measure(unit_rows(arrays["pool"][order]), unit_rows(arrays["target"]), every=16)
    found = values(tmp_path / "out")
    for name, column in curves.columns.items():
        assert list(found["given", None, name].values()) == pytest.approx(column.tolist(), rel=1e-12)


def test_arrangements_made_unlike_can_be_measured_by_one_embedder(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path / "out", ("tma", "given")) == 1
    assert "all arrangements must be measured alike" in capsys.readouterr().err
    assert run(data, tmp_path / "out", ("tma", "given"), "--embedder", f"vectors:{data / 'given.npz'}") == 0
    found = values(tmp_path / "out")
    assert list(found["given", None, "kl"]) == [16, 32, 48, 50]


def test_per_task_adds_a_curve_for_each_target_task(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path / "out", ("given",), "--per-task") == 0
    assert "the same for each of 6 target tasks" in capsys.readouterr().out
    found = values(tmp_path / "out")
    tasks = {row["task"] for row in map(json.loads, (data / "target.jsonl").read_text().splitlines())}
    assert {task for _, task, _ in found} == {None, *tasks}
    for n, value in found["given", None, "cosine-min"].items():
        assert value == pytest.approx(min(found["given", task, "cosine-min"][n] for task in tasks), rel=1e-12)


def test_kl_over_occurrences_changes_kl_alone(data: Path, tmp_path: Path) -> None:
    for name, more in (("plain", ()), ("bug", ("--kl-over-occurrences",))):
        assert run(data, tmp_path / name, ("given",), *more) == 0
    plain, bug = values(tmp_path / "plain"), values(tmp_path / "bug")
    for key, curve in plain.items():
        assert (curve == bug[key]) == (key[2] != "kl")
    assert json.loads((tmp_path / "bug" / "manifest.json").read_text())["settings"]["kl_over_occurrences"]


def test_a_target_without_responses_is_measured_by_prompts(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [json.loads(line) for line in (data / "target.jsonl").read_text().splitlines()]
    target = tmp_path / "target.jsonl"
    target.write_text("".join(json.dumps({"prompt": row["prompt"]}) + "\n" for row in rows))
    assert main(["similarity", str(data / "tma"), "--target", str(target), "--out", str(tmp_path / "out")]) == 0
    assert "12 of 12 target rows have no response" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["settings"]["text"] == "prompt"


def test_tool_calls_stand_for_a_row_as_they_did_when_it_was_arranged(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    turns = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "", "tool_calls": [call]}]
    pool = tmp_path / "pool.jsonl"
    said = [turns[0], {"role": "assistant", "content": "two"}]
    pool.write_text("".join(json.dumps({"messages": row}) + "\n" for row in (turns, said)))
    words = ["arrange", str(pool), "--target", str(pool), "--method", "random", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    measured = measure_folders([tmp_path / "out"], pool, every=1)
    assert measured.whole["out"].columns["euclidean-centroid"][-1] == pytest.approx(0, abs=1e-6)
    assert measured.whole["out"].columns["kl"][-1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("names", "more", "sentence"),
    [
        (("nowhere",), (), "must be a folder that righttime wrote, but there is no such folder"),
        (("tma",), ("--text", "promt"), "unknown text 'promt': did you mean 'prompt'"),
        (("tma",), ("--target-embedder", "vectors:x.npy"), "--target-embedder is only for given vectors"),
        (("tma",), ("--embedder", "vectors:none.npy"), "none.npy"),
        (("given",), ("--target", "none.jsonl"), "none.jsonl: no such file"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    names: tuple[str, ...],
    more: tuple[str, ...],
    sentence: str,
) -> None:
    assert run(data, tmp_path / "out", names, *more) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.strip().count("\n") == 0
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_no_folder_and_no_stride_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="at least one arrangement"):
        measure_folders([], data / "target.jsonl")
    with pytest.raises(SettingsError, match="every must be a whole number from 1"):
        measure_folders([data / "tma"], data / "target.jsonl", every=0)
    assert run(data, tmp_path / "out", ("tma",), "--every", "0") == 2


def changed(data: Path, tmp_path: Path, name: str) -> Path:
    folder = tmp_path / name
    shutil.copytree(data / name, folder)
    return folder


def test_a_changed_arrangement_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = changed(data, tmp_path, "given")
    with (folder / "train.jsonl").open("a") as file:
        file.write("{}\n")
    words = ["similarity", str(folder), "--target", str(data / "target.jsonl"), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert "train.jsonl must be what was written" in capsys.readouterr().err


def test_changed_vectors_are_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = tmp_path / "whole"
    vectors = tmp_path / "v.npz"
    arrays = dict(np.load(data / "given.npz"))
    np.savez(vectors, **arrays)
    words = ["arrange", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl"), "--out", str(whole)]
    assert main([*words, "--embedder", f"vectors:{vectors}"]) == 0
    for side in ("pool", "target"):
        np.savez(vectors, **{**arrays, side: arrays[side][::-1]})
        words = ["similarity", str(whole), "--target", str(data / "target.jsonl"), "--out", str(tmp_path / "out")]
        assert main(words) == 1
        assert f"the {side} vectors must be those that" in capsys.readouterr().err


def test_compressed_vectors_are_inflated_in_the_memory_given(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "v.npz"
    np.savez_compressed(file, **dict(np.load(data / "given.npz")))
    words = ("--embedder", f"vectors:{file}")
    assert run(data, tmp_path / "out", ("tma",), *words, "--memory", "1K") == 1
    assert "must fit into the 1,024 bytes of --memory when it is inflated" in capsys.readouterr().err
    assert run(data, tmp_path / "out", ("tma",), *words, "--memory", "1MiB") == 0
    assert run(data, tmp_path / "plain", ("tma",), "--embedder", f"vectors:{data / 'given.npz'}") == 0
    assert values(tmp_path / "out") == values(tmp_path / "plain")
    assert run(data, tmp_path / "out", ("tma",), "--memory", "lots") == 1
    assert "a size must be a number with K, M, G or T" in capsys.readouterr().err


def test_original_rows_are_refused_with_a_hint(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "original"
    words = ["arrange", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl"), "--method", "random"]
    assert main([*words, "--as", "original", "--out", str(out)]) == 0
    words = ["similarity", str(out), "--target", str(data / "target.jsonl"), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert "Hint: arrange again without --as" in capsys.readouterr().err


def test_a_finished_result_is_replaced_only_if_asked(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert run(data, out, ("given",)) == 0
    assert run(data, out, ("given",)) == 1
    assert "holds a finished result already" in capsys.readouterr().err
    for name in ("measures.png", "measures.svg"):
        (out / name).write_bytes(b"an earlier picture")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run(data, out, ("given",), "--overwrite") == 0
    assert "no picture: that takes matplotlib" in capsys.readouterr().out
    assert not list(out.glob("measures.[ps][nv]g")), "no picture of other numbers is left behind"


@pytest.mark.slow
@pytest.mark.skipif(not DRAWN, reason="matplotlib is not installed")
def test_the_pictures_are_of_any_number_of_arrangements() -> None:
    vectors = unit_rows(np.random.default_rng(0).normal(size=(9, 3)))
    few: dict[str, Any] = {"texts": ["a b"] * 9, "target_texts": ["a b"] * 9}
    for curves in (
        {r"_one $\q$": measure(vectors, vectors)},
        {str(i): measure(vectors, vectors, every=2, **few) for i in range(13)},
    ):
        drawn = draw_curves(curves, 9, "given", "measures")
        assert list(drawn) == ["measures.svg", "measures.png"]
        assert drawn["measures.png"].startswith(b"\x89PNG")
        assert len(drawn["measures.png"]) < 600_000
        svg = drawn["measures.svg"].decode()
        assert all(name in svg for name in ("from the 9 target rows", "<!-- minus cosine -->", "<!-- distance -->"))
        assert ("<!-- nats -->" in svg) == (len(curves) > 1), "bigrams need texts"
        assert drawn == draw_curves(curves, 9, "given", "measures"), "the same bytes"


@pytest.mark.slow
@pytest.mark.real
def test_on_real_data_each_order_is_best_at_what_it_sorts_by(real_data: Path, tmp_path: Path) -> None:
    target, vectors = str(real_data / "niv2_target.jsonl.gz"), f"vectors:{real_data / 'niv2_vectors.npz'}"
    nearest = ["--method", "nearest", "--distance"]
    orders = {
        "ad": [*nearest, "ad"],
        "md": [*nearest, "md"],
        "tma": ["--method", "tma"],
        "random": ["--method", "random"],
    }
    for name, method in orders.items():
        words = ["arrange", str(real_data / "niv2_pool.jsonl.gz"), "--target", target, "--embedder", vectors]
        words += [*method, "--budget", "2000", "--out", str(tmp_path / name)]
        assert main(words) == 0
    whole = measure_folders([tmp_path / name for name in orders], target).whole
    for name in orders:
        assert (whole["ad"].columns["cosine-avg"] <= whole[name].columns["cosine-avg"] + 1e-12).all(), name
        assert (whole["md"].columns["cosine-min"] <= whole[name].columns["cosine-min"] + 1e-12).all(), name
    assert whole["tma"].columns["cosine-min"][0] == pytest.approx(whole["md"].columns["cosine-min"][0], rel=1e-12)
