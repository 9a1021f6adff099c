"""Looking at a result as a user does: one row, one target row, whole texts; and checks that find their own data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from righttime.cli import main
from righttime.similarity import unit_rows

LONG = "and one more word " * 40


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve rows and three target rows with vectors of their own, in the folder where we are."""
    rng = np.random.default_rng(0)
    write(
        tmp_path / "pool.jsonl",
        [{"id": f"row-{n}", "prompt": f"ask {n}\n{LONG}", "response": f"say {n}"} for n in range(12)],
    )
    write(
        tmp_path / "target.jsonl",
        [{"id": f"aim-{n}", "prompt": f"want {n} {LONG}", "response": f"got {n}"} for n in range(3)],
    )
    np.savez(tmp_path / "v.npz", pool=rng.normal(size=(12, 4)), target=rng.normal(size=(3, 4)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arrange(*more: str) -> int:
    words = ["arrange", "pool.jsonl", "--target", "target.jsonl", "--out", "out"]
    return main([*words, *(more or ("--embedder", "vectors:v.npz", "--budget", "50%"))])


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(list(words)) == 0
    return capsys.readouterr().out


def table() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table("out/arrangement.parquet").to_pylist()
    return rows


@pytest.mark.usefixtures("data")
def test_a_target_row_is_shown_with_all_it_picked_whole_and_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert arrange() == 0
    picked = [row for row in table() if row["picked_by"] == "aim-1"]
    assert len(picked) > 1
    text = said(capsys, "show", "out", "--target-row", "aim-1")
    assert f"want 1 {LONG.strip()}" in text
    assert f"picked {len(picked)} of 6 rows:" in text
    places = [text.index(f"{row['id']}\nposition {row['position']} of 6, round {row['round']}") for row in picked]
    assert places == sorted(places)
    for row in picked:
        assert f"similarity {row['similarity']:.3f}" in text
        number = row["id"].split("-")[1]
        assert f"ask {number}\n        {LONG.strip()}" in text
        assert f"say {number}" in text
    few = said(capsys, "show", "out", "--target-row", "aim-1", "--first", "1")
    assert f"{picked[1]['id']}\n" not in few
    assert f"and {len(picked) - 1} more: --first {len(picked)}" in few


@pytest.mark.usefixtures("data")
def test_a_row_is_shown_with_its_place_its_picker_and_its_nearest_target_rows(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert arrange() == 0
    row = table()[2]
    text = said(capsys, "show", "out", "--row", row["id"])
    assert (
        f"position 2 of 6, round {row['round']}, similarity {row['similarity']:.3f}, picked by {row['picked_by']}"
        in text
    )
    assert f"say {row['id'].split('-')[1]}" in text
    arrays = np.load("v.npz")
    similarity = unit_rows(arrays["target"]) @ unit_rows(arrays["pool"])[row["row"]]
    order = np.argsort(-similarity)
    places = [text.index(f"  {similarity[n]:.3f}  aim-{n}\n") for n in order]
    assert places == sorted(places)


@pytest.mark.usefixtures("data")
def test_a_row_left_out_is_shown_with_the_reason_and_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert arrange() == 0
    left = pq.read_table("out/left_out.parquet").to_pylist()[0]
    text = said(capsys, "show", "out", "--row", left["id"])
    assert "left out: not-chosen, not among the rows that budget 6 (50%) took" in text
    assert f"pool.jsonl:{left['line']}" in text
    assert f"say {left['id'].split('-')[1]}" in text
    assert "its nearest target rows\n" in text
    Path("pool.jsonl").unlink()
    text = said(capsys, "show", "out", "--row", left["id"])
    assert "left out: not-chosen" in text
    assert "pool.jsonl is gone" in text
    assert "its nearest target rows: not known" in text


@pytest.mark.usefixtures("data")
def test_nearest_target_rows_come_from_the_cache_and_nothing_is_embedded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from righttime.embedding.models import SentenceTransformerEmbedder

    assert arrange("--budget", "4", "--cache", "cache") == 0

    def never(*_: object) -> None:
        raise AssertionError("embedded to look at a row")

    monkeypatch.setattr(SentenceTransformerEmbedder, "embed", never)
    row = table()[0]
    text = said(capsys, "show", "out", "--row", row["id"], "--cache", "cache")
    assert f"its nearest target rows\n  {row['similarity']:.3f}  {row['picked_by']}\n" in text
    text = said(capsys, "show", "out", "--row", row["id"], "--cache", "other")
    assert "not known, since its vectors are not in the cache. Hint: --cache" in text


@pytest.mark.usefixtures("data")
def test_a_method_without_vectors_has_nothing_near(capsys: pytest.CaptureFixture[str]) -> None:
    assert arrange("--method", "random") == 0
    assert "not known, since random takes no vectors" in said(capsys, "show", "out", "--row", "row-3")
    assert "random looks at no target row, so it picked none" in said(capsys, "show", "out", "--target-row", "aim-0")
    assert "where quality falls" not in said(capsys, "show", "out")


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--row", "row-77"], "unknown row 'row-77': did you mean 'row-7'"),
        (["--row", "w-11"], "unknown row 'w-11': did you mean 'row-11'"),
        (["--row", "zzz"], "unknown row 'zzz': known are 'row-"),
        (["--target-row", "aim"], "unknown target row 'aim': did you mean 'aim-0', 'aim-1', 'aim-2'?"),
        (["--row", "row-1", "--target-row", "aim-1"], "--row and --target-row show one thing each, got both"),
    ],
)
def test_unknown_names_get_the_near_ones(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert arrange() == 0
    assert main(["show", "out", *words]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.usefixtures("data")
def test_full_shows_whole_texts_and_without_it_they_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert arrange() == 0
    assert LONG.strip() not in said(capsys, "show", "out")
    text = said(capsys, "show", "out", "--full", "--first", "1")
    row = table()[0]
    assert f"ask {row['id'].split('-')[1]}\n        {LONG.strip()}" in text
    assert f"want {row['picked_by'].split('-')[1]} {LONG.strip()}" in text


def test_check_finds_the_data_from_anywhere(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Names relative to where arrange ran, those of vectors too; and nothing of it is left to the process."""
    assert arrange() == 0
    again = "ok     order, rounds, pickers and similarities come out again, to the bit"
    assert again in said(capsys, "verify", "out")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    assert again in said(capsys, "verify", str(data / "out"))
    assert Path.cwd() == elsewhere
    assert "its nearest target rows\n" in said(capsys, "show", str(data / "out"), "--row", "row-3")
    given = json.loads((data / "out" / "manifest.json").read_text())["given"]
    assert given == {"folder": str(data), "pool": ["pool.jsonl"], "target": ["target.jsonl"]}
    for name in ("pool.jsonl", "target.jsonl", "v.npz", "out"):
        shutil.move(data / name, elsewhere / name)
    assert again in said(capsys, "verify", "out"), "all of it moved together"


@pytest.mark.usefixtures("data")
def test_check_without_the_data_checks_what_can_be_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert arrange() == 0
    text = said(capsys, "verify", "out", "--no-data")
    assert "ok     in = out + left out" in text
    assert "similarities and rounds not verified: that takes the data" in text
    assert "come out again" not in text
    assert main(["verify", "out", "--no-data", "--pool", "pool.jsonl", "--target", "target.jsonl"]) == 1
    kept = {name: Path(name).read_bytes() for name in ("pool.jsonl", "target.jsonl", "v.npz")}
    for name, bytes_ in kept.items():
        Path(name).unlink()
        text = said(capsys, "verify", "out")
        assert "unsure pool and target are at hand: " in text
        assert f"{name} " in text.split("at hand: ")[1]
        assert "ok     in = out + left out" in text
        assert "similarities and rounds not verified" in text
        Path(name).write_bytes(bytes_)
    with Path("pool.jsonl").open("a") as file:
        file.write('{"id": "new", "prompt": "a", "response": "b"}\n')
    assert "unsure pool and target are at hand: not so that the pool is the same data" in said(capsys, "verify", "out")
    Path("pool.jsonl").write_text("{broken\n")
    assert "unsure pool and target are at hand: the data cannot be read any more" in said(capsys, "verify", "out")


@pytest.mark.usefixtures("data")
def test_check_of_rows_that_were_in_memory_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    import righttime

    rows = [json.loads(line) for line in Path("pool.jsonl").read_text().splitlines()]
    righttime.arrange(rows, "target.jsonl", embedder="vectors:v.npz", out="out")
    assert "unsure pool and target are at hand: the pool was not read from files" in said(capsys, "verify", "out")


@pytest.mark.usefixtures("data")
def test_rows_below_the_least_similarity_are_left_out_with_that_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert arrange("--embedder", "vectors:v.npz", "--min-similarity", "0.4") == 0
    arrays = np.load("v.npz")
    best = (unit_rows(arrays["pool"]) @ unit_rows(arrays["target"]).T).max(axis=1)
    assert 2 < (best < 0.4).sum() < 10
    left = {row["row"]: row for row in pq.read_table("out/left_out.parquet").to_pylist()}
    assert set(left) == set(np.flatnonzero(best < 0.4).tolist())
    for row, one in left.items():
        assert one["reason"] == "too-dissimilar"
        assert one["detail"] == f"its most similar target row is at {best[row]:.4f}, below 0.4"
    assert all(row["similarity"] >= 0.4 for row in table())
    assert "target rows have no row in the pool" not in capsys.readouterr().out
    text = said(capsys, "verify", "out")
    assert "ok     in = out + left out" in text
    assert "ok     no row is less similar than 0.4" in text
    assert "ok     order, rounds, pickers and similarities come out again, to the bit" in text
    shutil.rmtree("out")
    assert arrange("--embedder", "vectors:v.npz", "--min-similarity", "0.4", "--budget", "2") == 0
    reasons = [row["reason"] for row in pq.read_table("out/left_out.parquet").to_pylist()]
    assert reasons.count("too-dissimilar") == len(left)
    assert reasons.count("not-chosen") == 10 - len(left)
    reached = np.sort((unit_rows(arrays["pool"]) @ unit_rows(arrays["target"]).T).max(axis=0))
    shutil.rmtree("out")
    assert arrange("--embedder", "vectors:v.npz", "--min-similarity", f"{reached[1] - 1e-3:.4f}") == 0
    assert "note: 1 of 3 target rows have no row in the pool as similar as" in capsys.readouterr().out


@pytest.mark.usefixtures("data")
def test_a_share_stands_in_the_manifest_as_asked_and_as_rows() -> None:
    assert arrange() == 0
    settings = json.loads(Path("out/manifest.json").read_text())["settings"]
    assert (settings["budget"], settings["budget_asked"]) == (6, "50%")
    assert len(table()) == 6
    assert (
        main(["plan", "pool.jsonl", "--target", "target.jsonl", "--embedder", "vectors:v.npz", "--budget", "50%"]) == 0
    )


@pytest.mark.usefixtures("data")
def test_a_share_is_of_the_rows_that_take_part() -> None:
    rows = [json.loads(line) for line in Path("pool.jsonl").read_text().splitlines()]
    write(Path("pool.jsonl"), [*rows, *({**row, "id": f"twin {row['id']}"} for row in rows)])
    assert arrange("--method", "random", "--duplicates", "drop", "--budget", "50%") == 0
    assert len(table()) == 6


@pytest.mark.usefixtures("data")
def test_the_end_of_arrange_is_short_and_points_to_export(capsys: pytest.CaptureFixture[str]) -> None:
    assert arrange() == 0
    text = capsys.readouterr().out
    assert "where quality falls" in text
    assert "a row drawn blindly has a similarity of" in text
    assert "nearest found:" not in text
    assert "nearest found: target rows whose nearest row" in said(capsys, "show", "out"), "which explains"
    assert "train    righttime export out --to trl" in text
    assert "sampling_strategy" not in text
    shutil.rmtree("out")
    assert arrange("--method", "random", "--budget", "3") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line] == ["pool", "target", "guard", "wrote", "9", "look"]
    assert "without vectors, rows in other words are not seen" in lines[2]
    assert not any("export" in line or "train " in line for line in lines), "a shuffle may be shuffled again"


@pytest.mark.usefixtures("data")
def test_only_rounds_that_go_nearest_first_can_scrape_the_barrel(capsys: pytest.CaptureFixture[str]) -> None:
    for method, sentence in (("tma", True), ("tma-farthest", False), ("tma-nft", False), ("nearest", False)):
        assert arrange("--embedder", "vectors:v.npz", "--method", method, "--overwrite") == 0
        for text in (capsys.readouterr().out, said(capsys, "show", "out")):
            assert "where quality falls" in text
            assert ("is the first to scrape the barrel" in text) == sentence


def test_an_order_of_the_least_similarity_holds_with_other_vectors(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Vectors made anew differ in their last bits, and so may who is near enough; anything more is noticed."""
    arrays = dict(np.load("v.npz"))
    for method in ("tma", "rds", "nearest", "kcenter"):
        np.savez("v.npz", **arrays)
        shutil.rmtree("out", ignore_errors=True)
        assert arrange("--embedder", "vectors:v.npz", "--min-similarity", "0.4", "--method", method) == 0
        np.savez("v.npz", **{side: rows + 1e-8 for side, rows in arrays.items()})
        text = said(capsys, "verify", "out")
        assert "unsure the vectors are the same to the bit" in text
        assert "ok     rows less similar than 0.4 within 1e-05, and only these, are left out" in text
        np.savez("v.npz", **{**arrays, "pool": arrays["pool"][::-1]})
        assert main(["verify", "out"]) == 1
        assert "FAILED rows less similar than 0.4" in capsys.readouterr().out
