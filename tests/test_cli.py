"""The command, through its `main`, as a user types it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import righttime
from righttime.cli import main
from righttime.store import file_sha256, ids_sha256


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    assert main(["builtin", "--out", str(folder), "--rows", "5", "--target-rows", "3"]) == 0
    return folder


def arrange(data: Path, out: Path, *more: str) -> int:
    return main(["arrange", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl"), "--out", str(out), *more])


@pytest.fixture(scope="module")
def arranged(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("results") / "out"
    assert arrange(data, out, "--budget", "60") == 0
    return out


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_arrange_writes_what_the_documents_say(data: Path, arranged: Path) -> None:
    assert sorted(path.name for path in arranged.iterdir()) == [
        "arrangement.parquet",
        "left_out.parquet",
        "manifest.json",
        "train.jsonl",
    ]
    train, table = lines(arranged / "train.jsonl"), pq.read_table(arranged / "arrangement.parquet")
    assert len(train) == len(table) == 60
    assert [row["id"] for row in train] == table["id"].to_pylist()
    assert all(list(row) == ["id", "messages"] for row in train)
    pool = {row["id"]: row for row in lines(data / "pool.jsonl")}
    for row in train:
        assert [turn["content"] for turn in row["messages"]] == [pool[row["id"]]["prompt"], pool[row["id"]]["response"]]
    targets = {row["id"] for row in lines(data / "target.jsonl")}
    assert set(table["picked_by"].to_pylist()) <= targets
    assert table["position"].to_pylist() == list(range(60))
    assert table["source"].to_pylist() == ["pool"] * 60
    assert table["round"].to_pylist() == sorted(table["round"].to_pylist())
    left_out = pq.read_table(arranged / "left_out.parquet")
    assert len(left_out) == len(pool) - 60
    assert left_out.column_names == ["file", "line", "row", "id", "reason", "detail"]
    assert set(left_out["detail"].to_pylist()) == {"not among the rows that budget 60 took"}


def test_the_manifest_tells_everything(arranged: Path) -> None:
    manifest = json.loads((arranged / "manifest.json").read_text())
    assert manifest["settings"]["method"] == "tma"
    assert manifest["settings"]["text"] == "prompt+response"
    assert manifest["counts"]["arranged"] == 60
    assert manifest["counts"]["pool_read"] == 60 + manifest["counts"]["left_out"]
    assert manifest["embedding"]["revision"].startswith("sha256:53aa51172d14")
    assert manifest["embedding"]["max_length"] == 256
    assert {"numpy", "torch", "python"} <= set(manifest["versions"])
    assert manifest["inputs"]["pool"][0]["format"] == "prompt-completion"


def test_the_same_command_twice_gives_the_same_bytes(data: Path, arranged: Path, tmp_path: Path) -> None:
    assert arrange(data, tmp_path / "warm", "--budget", "60") == 0
    for out in ("cold", "again"):  # rows embedded in other company may differ in a vector's last bits
        assert arrange(data, tmp_path / out, "--budget", "60", "--cache", str(tmp_path / f"{out}-cache")) == 0
    for one, two in ((arranged, tmp_path / "warm"), (tmp_path / "cold", tmp_path / "again")):
        for name in ("train.jsonl", "arrangement.parquet"):
            assert (one / name).read_bytes() == (two / name).read_bytes(), (one, two, name)


def test_arrange_tells_what_to_know(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*lines(data / "pool.jsonl"), lines(data / "target.jsonl")[0] | {"id": "leak"}]
    rows.append(rows[0] | {"id": "twin"})
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows))
    target = str(data / "target.jsonl")
    assert main(["arrange", str(pool), "--target", target, "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    for part in (
        f"{pool}: prompt-completion (jsonl), {len(rows)} rows",
        "embedder sentence-transformers/all-MiniLM-L6-v2",
        "1 pool rows repeat an earlier row (kept; --duplicates drop leaves them out)",
        "warning: the pool contains 1 of 18 target prompts word for word (first: target",
        "where quality falls",
        "righttime show",
        "righttime export",
    ):
        assert part in said
    assert "longer than" not in said, "nothing was truncated"
    assert "sampling_strategy" not in said, "that is what the export is for"
    first = lines(tmp_path / "out" / "train.jsonl")[0]
    assert first["id"] == "leak", "nearest-first puts leaks first, which is why they are counted"


def test_show_tells_what_was_arranged_and_why(arranged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", str(arranged), "--first", "3"]) == 0
    said = capsys.readouterr().out
    assert "60 of 175 pool rows, arranged by tma around 18 target rows" in said
    assert "left out 115: 115 not-chosen" in said
    assert "mean similarity" in said
    assert "tasks, those with most rows first" in said
    assert "picked most by" in said
    table = pq.read_table(arranged / "arrangement.parquet").to_pylist()
    for row in table[:3]:
        assert row["id"] in said
        assert f"picked by {row['picked_by']}: " in said, "with what the target row says"
        assert f"similarity {row['similarity']:.3f}" in said


def test_show_does_without_the_target_files(arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(arranged, moved)
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["inputs"]["target"][0]["path"] = "gone.jsonl"
    (moved / "manifest.json").write_text(json.dumps(manifest))
    assert main(["show", str(moved)]) == 0
    assert "picked by" in capsys.readouterr().out


def test_text_from_data_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"id": "evil\x1b[31m", "prompt": "\x1b]0;owned\x07 \x1b[2J", "response": "x", "task": "t\x1b[1m"}
    (tmp_path / "p.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "t.jsonl").write_text(json.dumps({"id": "e\x1bvil", "prompt": "\x1bx", "response": "\x1by"}) + "\n")
    out = str(tmp_path / "out")
    assert main(["arrange", str(tmp_path / "p.jsonl"), "--target", str(tmp_path / "t.jsonl"), "--out", out]) == 0
    assert main(["show", out]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_check_is_satisfied_with_what_was_written(
    data: Path, arranged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(arranged), "--no-data"]) == 0
    assert "similarities and rounds not verified" in capsys.readouterr().out
    assert main(["verify", str(arranged)]) == 0
    assert "ok     order, rounds, pickers and similarities come out again" in capsys.readouterr().out
    whole = ["verify", str(arranged), "--pool", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl")]
    assert main(whole) == 0
    said = capsys.readouterr().out
    assert "ok     order, rounds, pickers and similarities come out again, to the bit" in said
    assert "FAILED" not in said


def test_check_notices_a_changed_file(arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        changed = tmp_path / name.replace(".", "-")
        shutil.copytree(arranged, changed)
        with (changed / name).open("ab") as file:
            file.write(b" ")
        assert main(["verify", str(changed)]) == 1
        assert f"FAILED {name} is as it was written: sha256" in capsys.readouterr().out


def _resealed(out: Path, name: str) -> None:
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["files"][name] = file_sha256(out / name)
    (out / "manifest.json").write_text(json.dumps(manifest))


def test_check_notices_a_forged_order(
    data: Path, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files whose hashes were made to fit: the rows, counts and similarities still tell."""
    swapped = tmp_path / "swapped"
    shutil.copytree(arranged, swapped)
    train = (swapped / "train.jsonl").read_text().splitlines(keepends=True)
    (swapped / "train.jsonl").write_text("".join([train[1], train[0], *train[2:]]))
    _resealed(swapped, "train.jsonl")
    assert main(["verify", str(swapped)]) == 1
    assert "FAILED train.jsonl holds the arranged rows in order: place 0 holds another row" in capsys.readouterr().out

    short = tmp_path / "short"
    shutil.copytree(arranged, short)
    pq.write_table(pq.read_table(short / "left_out.parquet").slice(1), short / "left_out.parquet")
    _resealed(short, "left_out.parquet")
    assert main(["verify", str(short)]) == 1
    assert "FAILED in = out + left out: got 174, expected 175" in capsys.readouterr().out

    import pyarrow as pa

    for column in ("similarity", "round", "picked_by_row"):
        forged = tmp_path / column
        shutil.copytree(arranged, forged)
        table = pq.read_table(forged / "arrangement.parquet")
        values = table[column].to_numpy().copy()
        values[-1] = values[-1] + 1 if column != "similarity" else 0.25
        table = table.set_column(table.column_names.index(column), table.field(column), pa.array(values))
        pq.write_table(table, forged / "arrangement.parquet")
        _resealed(forged, "arrangement.parquet")
        sides = ["--pool", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl")]
        assert main(["verify", str(forged), *sides]) == 1, column
        assert "FAILED order, rounds, pickers and similarities come out again" in capsys.readouterr().out


def test_check_notices_other_data(
    data: Path, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (data / "pool.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "pool.jsonl").write_text("".join([rows[1], rows[0], *rows[2:]]))
    sides = ["--pool", str(tmp_path / "pool.jsonl"), "--target", str(data / "target.jsonl")]
    assert main(["verify", str(arranged), *sides]) == 1
    assert "FAILED the pool is the same data" in capsys.readouterr().out


def test_check_compares_similarities_where_vectors_differ_in_their_last_bits(
    data: Path, arranged: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from righttime.embedding.models import SentenceTransformerEmbedder

    plain = SentenceTransformerEmbedder.embed

    def shaken(self: SentenceTransformerEmbedder, texts: Any) -> Any:
        vectors = plain(self, texts)
        noise = np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)
        return vectors + np.float32(scale) * noise

    monkeypatch.setattr(SentenceTransformerEmbedder, "embed", shaken)
    sides = ["--pool", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl")]
    for scale, code in ((1e-8, 0), (1e-2, 1)):
        cache = str(tmp_path / str(scale))
        assert main(["verify", str(arranged), *sides, "--cache", cache]) == code
        said = capsys.readouterr().out
        assert "unsure the vectors are the same to the bit" in said
        assert ("ok     every round holds within" in said) == (code == 0)


HELD = {
    "tma": "every round holds",
    "tma-farthest": "every round holds",
    "rds": "every turn holds",
    "rds-max": "the order by distance holds",
    "nearest": "the order by distance holds",
    "farthest": "the order by distance holds",
    "nearest-reversed": "the order by distance holds",
    "nearest-shuffled": "the order by distance holds",
    "random": "order, rounds, pickers and similarities come out again",
}


@pytest.mark.parametrize(
    "method",
    [name if name == "tma" else pytest.param(name, marks=pytest.mark.slow) for name in HELD],
)
def test_check_holds_an_order_to_other_vectors_within_a_tolerance(
    method: str, data: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from righttime.embedding.models import SentenceTransformerEmbedder

    plain = SentenceTransformerEmbedder.embed

    def shaken(self: SentenceTransformerEmbedder, texts: Any) -> Any:
        vectors = plain(self, texts)
        return vectors + np.float32(1e-8) * np.random.default_rng(0).normal(size=vectors.shape).astype(np.float32)

    out = tmp_path / "out"
    assert arrange(data, out, "--method", method, "--budget", "60", "--seed", "3") == 0
    monkeypatch.setattr(SentenceTransformerEmbedder, "embed", shaken)
    monkeypatch.setenv("RIGHTTIME_CACHE", str(data / "shaken"))  # one for all methods
    sides = ["--pool", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl")]
    assert main(["verify", str(out), *sides]) == 0
    assert f"ok     {HELD[method]}" in capsys.readouterr().out
    _reversed(out)
    assert main(["verify", str(out), *sides]) == 1, "the last places first is another order, near ties or not"


def _reversed(out: Path) -> None:
    """Turn the order round, and seal everything again so that only the order itself can tell."""
    table = pq.read_table(out / "arrangement.parquet")
    turned = table.take(list(range(len(table)))[::-1])
    for name in ("position", "round"):
        turned = turned.set_column(turned.column_names.index(name), table.field(name), table[name])
    pq.write_table(turned, out / "arrangement.parquet")
    train = (out / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (out / "train.jsonl").write_text("".join(train[::-1]), encoding="utf-8")
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["ids_sha256"] = ids_sha256(turned["id"].to_pylist())
    (out / "manifest.json").write_text(json.dumps(manifest))
    for name in ("arrangement.parquet", "train.jsonl"):
        _resealed(out, name)


def test_check_against_other_data_stops_at_the_first_difference(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert arrange(data, tmp_path / "out") == 0
    rows = (data / "pool.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "pool.jsonl").write_text("".join(rows[:9]))
    (tmp_path / "target.jsonl").write_text((data / "target.jsonl").read_text().splitlines(keepends=True)[0])
    for sides in ((tmp_path, data), (data, tmp_path), (tmp_path, tmp_path)):
        pool, target = str(sides[0] / "pool.jsonl"), str(sides[1] / "target.jsonl")
        assert main(["verify", str(tmp_path / "out"), "--pool", pool, "--target", target]) == 1
        captured = capsys.readouterr()
        assert "is the same data: its content has another sha256" in captured.out
        assert "Traceback" not in captured.err


@pytest.mark.parametrize("entry", ["files", "settings", "counts", "ids_sha256", "inputs", "notes", "embedding"])
def test_a_manifest_that_lacks_something_gets_a_sentence(
    arranged: Path, tmp_path: Path, entry: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(arranged, changed)
    manifest = json.loads((changed / "manifest.json").read_text())
    for value in (None, 3):
        manifest[entry] = value
        (changed / "manifest.json").write_text(json.dumps(manifest))
        for command in ("verify", "show"):
            assert main([command, str(changed)]) == 1
            assert f"must hold '{entry}', which it does not" in capsys.readouterr().err


def test_an_arrangement_that_lacks_a_column_gets_a_sentence(
    arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(arranged, changed)
    table = pq.read_table(changed / "arrangement.parquet").drop_columns(["similarity"])
    pq.write_table(table, changed / "arrangement.parquet")
    _resealed(changed, "arrangement.parquet")
    assert main(["verify", str(changed)]) == 1
    assert "must be an arrangement saved by righttime" in capsys.readouterr().err


def test_original_rows_with_a_bare_carriage_return_stay_one_line(data: Path, tmp_path: Path) -> None:
    row = '{"id": "cr",\r"prompt": "a", "response": "b"}\n'
    (tmp_path / "pool.jsonl").write_bytes(row.encode())
    (tmp_path / "target.jsonl").write_bytes((data / "target.jsonl").read_bytes())
    assert arrange(tmp_path, tmp_path / "out", "--as", "original") == 0
    assert main(["verify", str(tmp_path / "out")]) == 0
    assert main(["show", str(tmp_path / "out")]) == 0


def test_builtin_writes_over_nothing_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "pool.jsonl").write_text("precious")
    assert main(["builtin", "--out", str(tmp_path)]) == 1
    assert "pool.jsonl is there already" in capsys.readouterr().err
    assert (tmp_path / "pool.jsonl").read_text() == "precious"
    assert main(["builtin", "--out", str(tmp_path), "--overwrite", "--rows", "1"]) == 0


def test_show_and_check_of_a_split_say_so(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "split")
    assert main(["split", str(data / "pool.jsonl"), "--count", "1", "--out", out]) == 0
    for command in ("show", "verify"):
        assert main([command, out]) == 1
        assert "holds a split, not an arrangement" in capsys.readouterr().err


def test_a_terminal_that_lacks_letters_gets_question_marks(arranged: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "righttime", "show", str(arranged)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_say_how_to_go_on(number: signal.Signals, data: Path, tmp_path: Path) -> None:
    words = [
        "arrange",
        str(data / "pool.jsonl"),
        "--target",
        str(data / "target.jsonl"),
        "--out",
        str(tmp_path / "out"),
    ]
    command = [sys.executable, "-m", "righttime.cli", *words, "--cache", str(tmp_path / "cache")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "cache").glob("*.sqlite")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert "righttime: stopped; run the same command again" in said
    assert "Traceback" not in said


def test_every_method_from_the_command(data: Path, tmp_path: Path) -> None:
    from righttime.arrangement import METHODS

    for method in METHODS:
        out = tmp_path / method
        assert arrange(data, out, "--method", method, "--budget", "9") == 0
        assert len(lines(out / "train.jsonl")) == 9
        sides = ["--pool", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl")]
        assert main(["verify", str(out), *sides]) == 0
        assert main(["show", str(out)]) == 0


def test_distances_weights_and_shares_from_the_command(data: Path, tmp_path: Path) -> None:
    sides = ["--pool", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl")]
    task = lines(data / "target.jsonl")[0]["task"]
    asked = {
        "entropic": ["--method", "nearest", "--distance", "ot-entropic"],
        "weights": ["--method", "nearest", "--param", "w_avg=2", "--param", "w_min=0.5"],
        "shares": ["--method", "mixture", "--param", f"shares={task}=1"],
        "clusters": ["--method", "granular", "--param", "groups=9"],
    }
    for name, words in asked.items():
        assert arrange(data, tmp_path / name, *words) == 0
        assert main(["verify", str(tmp_path / name), *sides]) == 0
        assert main(["show", str(tmp_path / name)]) == 0
    about = {name: righttime.Arrangement.load(tmp_path / name).settings for name in asked}
    assert about["weights"]["weights"] == {"w_avg": 2.0, "w_min": 0.5}
    assert about["shares"]["shares"][task] == 1
    assert about["entropic"]["transport"]["reg"] == 0.01
    assert about["clusters"]["n_groups"] == 9


def test_rows_that_a_method_does_not_choose_are_listed(data: Path, tmp_path: Path) -> None:
    assert arrange(data, tmp_path / "out", "--method", "polar", "--param", "k=2") == 0
    left_out = pq.read_table(tmp_path / "out" / "left_out.parquet")
    assert set(left_out["detail"].to_pylist()) == {"not among the rows that method polar took"}
    assert set(left_out["reason"].to_pylist()) == {"not-chosen"}


def test_rounds_and_within_round(data: Path, tmp_path: Path) -> None:
    assert arrange(data, tmp_path / "a", "--rounds", "1:3", "--within-round", "index") == 0
    table = pq.read_table(tmp_path / "a" / "arrangement.parquet")
    assert set(table["round"].to_pylist()) == {1, 2}
    rows = [
        row for row, number in zip(table["row"].to_pylist(), table["round"].to_pylist(), strict=True) if number == 1
    ]
    assert rows == sorted(rows)


def test_as_original_writes_each_row_unchanged(data: Path, tmp_path: Path) -> None:
    assert arrange(data, tmp_path / "out", "--as", "original", "--budget", "20") == 0
    own = set((data / "pool.jsonl").read_text(encoding="utf-8").splitlines())
    got = (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(got) == 20
    assert set(got) <= own
    assert main(["verify", str(tmp_path / "out")]) == 0
    assert main(["show", str(tmp_path / "out")]) == 0


def test_skipped_rows_of_both_sides_are_listed(data: Path, tmp_path: Path) -> None:
    for side in ("pool", "target"):
        good = (data / f"{side}.jsonl").read_text().splitlines(keepends=True)
        (tmp_path / f"{side}.jsonl").write_text("".join([*good[:4], "{broken\n", *good[4:]]))
    assert arrange(tmp_path, tmp_path / "out") == 1
    assert arrange(tmp_path, tmp_path / "out", "--bad-rows", "skip", "--budget", "10") == 0
    left_out = pq.read_table(tmp_path / "out" / "left_out.parquet").to_pylist()
    assert [(Path(row["file"]).name, row["line"], row["row"]) for row in left_out if row["reason"] == "bad-row"] == [
        ("pool.jsonl", 5, None)
    ]
    bad = [row for row in left_out if row["reason"] == "bad-target-row"]
    assert [(Path(row["file"]).name, row["line"]) for row in bad] == [("target.jsonl", 5)]
    sides = ["--pool", str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl")]
    assert main(["verify", str(tmp_path / "out"), *sides]) == 0


def test_as_original_of_two_formats_is_refused(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.jsonl").write_text('{"question": "2+2?", "answer": "4"}\n')
    words = ["arrange", str(data / "pool.jsonl"), str(tmp_path / "other.jsonl"), "--target", str(data / "target.jsonl")]
    assert main([*words, "--as", "original", "--method", "random", "--out", str(tmp_path / "out")]) == 1
    assert "--as original needs pools of one format, got prompt-completion, question-answer" in capsys.readouterr().err


def test_a_finished_result_is_not_written_over(data: Path, arranged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (arranged / "manifest.json").read_bytes()
    assert arrange(data, arranged) == 1
    assert "holds a finished result already" in capsys.readouterr().err
    assert arrange(data, arranged, "--overwrite", "--budget", "100000") == 1
    assert (arranged / "manifest.json").read_bytes() == before, "a run that fails leaves the old result whole"


def test_a_write_that_fails_while_overwriting_leaves_the_old_result_whole(
    data: Path, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    shutil.copytree(arranged, out)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    assert arrange(data, out, "--overwrite") == 1
    assert "arrangement.parquet must be writable, got No space left on device" in capsys.readouterr().err
    monkeypatch.undo()
    assert main(["verify", str(out)]) == 0
    assert len(lines(out / "train.jsonl")) == 60
    assert not list(out.glob(".*")), "nothing half-written stays behind"
    assert arrange(data, out, "--overwrite") == 0
    assert len(lines(out / "train.jsonl")) == 175


def test_split_then_arrange(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "split"
    words = ["split", str(data / "pool.jsonl"), "--count", "3", "--seed", "1", "--out", str(out)]
    assert main([*words, "--max-per-pool-task", "4", "--max-per-target-task", "2"]) == 0
    assert "held out 3 tasks" in capsys.readouterr().out
    pool, target = lines(out / "pool.jsonl"), lines(out / "target.jsonl")
    assert (len(pool), len(target)) == (32 * 4, 3 * 2)
    assert not {row["task"] for row in pool} & {row["task"] for row in target}
    assert len(pool) + len(target) + len(pq.read_table(out / "left_out.parquet")) == 175
    assert json.loads((out / "manifest.json").read_text())["counts"] == {"read": 175, "pool": 128, "target": 6}
    assert arrange(out, tmp_path / "arranged") == 0


def test_split_by_list_and_mapping(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tasks.txt").write_text("discount\n\n")
    (tmp_path / "groups.json").write_text('{"discount": "sums", "story-sum": "sums"}')
    words = ["split", str(data / "pool.jsonl"), "--tasks", f"@{tmp_path / 'tasks.txt'}", "--by", "group"]
    words += ["--groups", str(tmp_path / "groups.json"), "--out"]
    assert main([*words, str(tmp_path / "out")]) == 0
    assert "left out 1 tasks of the same groups: story-sum" in capsys.readouterr().out
    (tmp_path / "groups.json").write_text("[]")
    assert main([*words, str(tmp_path / "other")]) == 1
    assert "must hold a JSON object such as" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--method", "tme"], 1, "unknown method 'tme': did you mean 'tma'?"),
        (["--budget", "176"], 1, "budget must be at most the pool's 175 rows, got 176"),
        (["--rounds", "3"], 1, "--rounds must be I:J, for example 0:5, got '3'"),
        (["--rounds", "500:"], 1, "must name rounds that exist"),
        (["--format", "alpacca"], 1, "unknown format 'alpacca': did you mean 'alpaca'"),
        (["--embedder", "nobody/nothing"], 1, "the model 'nobody/nothing' must be a folder, or"),
        (["--embedder", "vectors:none.npy"], 1, "none.npy"),
        (["--distance", "md"], 1, "--distance is for methods that rank by it (nearest, farthest"),
        (["--tokenizer", "x"], 1, "--tokenizer and --max-tokens go together"),
        (["--duplicates", "maybe"], 2, "maybe"),
        (["--budgett", "3"], 2, "budgett"),
    ],
)
def test_what_is_wrong_is_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, sentence: str
) -> None:
    assert arrange(data, tmp_path / "out", *words) == code
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") <= (1 if code == 1 else 8), "one clear sentence"
    assert not (tmp_path / "out").exists(), "not even an empty folder stays"


@pytest.mark.linux
def test_out_that_cannot_be_written_is_said_before_any_work(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert arrange(data, Path("/proc/righttime")) == 1
    captured = capsys.readouterr()
    assert "must be a folder that can be written" in captured.err
    assert "embedding" not in captured.err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == righttime.__version__
    for words in (
        [],
        ["arrange"],
        ["show"],
        ["verify"],
        ["similarity"],
        ["split"],
        ["builtin"],
        ["tune"],
        ["pretrain"],
    ):
        main([*words, "--help"])
        assert "righttime" in capsys.readouterr().out


def test_public_names_are_the_documented_ones() -> None:
    assert righttime.__all__ == sorted(righttime.__all__)
    for name in righttime.__all__:
        assert getattr(righttime, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'arange'"):
        _ = righttime.arange  # type: ignore[attr-defined]


def test_importing_righttime_imports_nothing_heavy() -> None:
    code = (
        "import sys, righttime, righttime.cli; print([m for m in ('torch', 'datasets', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
