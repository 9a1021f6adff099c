"""Every line of the table forges one thing in a result, updates the hashes as a forger would, and is noticed."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import righttime
from faulty_commands import save_word_model
from forging import Edit, each, parsed, put
from recording import record
from righttime.cli import main
from righttime.embedding.cache import _checksum
from righttime.errors import RighttimeError, StoreError
from righttime.exporters import export
from righttime.store import cache_folder, file_sha256, ids_sha256, write_json
from righttime.verification.finding import Finding, as_sealed
from righttime.verification.result import check

FILES = ("train.jsonl", "arrangement.parquet", "left_out.parquet")


def row(number: int) -> dict[str, Any]:
    found: dict[str, Any] = {"id": f"row-{number}", "task": f"task-{number % 3}"}
    turns = [("system", "Be brief."), ("user", f"question {number}"), ("assistant", f"answer {number}")]
    found["messages"] = [{"role": role, "content": content} for role, content in turns]
    if number % 2:
        found["tools"] = [{"type": "function", "function": {"name": f"tool_{number}", "parameters": {}}}]
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pool, target, vectors, and a result of them in `out`, with rows left out for several reasons."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(0)
    np.savez(folder / "both.npz", pool=rng.normal(size=(41, 8)), target=rng.normal(size=(6, 8)))
    return arranged(folder, f"vectors:{folder}/both.npz")


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by a model that embeds."""
    folder = tmp_path_factory.mktemp("embedded")
    save_word_model(folder / "words")
    return arranged(folder, f"{folder}/words")


def arranged(folder: Path, embedder: str) -> Path:
    pool = [json.dumps(row(number)) for number in range(40)]
    repeat = {**row(3), "id": "again"}
    lines = [*pool[:20], "not JSON", *pool[20:], json.dumps(repeat), '{"messages": []}']
    (folder / "pool.jsonl").write_text("\n".join(lines) + "\n")
    target = [json.dumps({"prompt": f"asked {number}", "response": f"said {number}"}) for number in range(6)]
    target[5] = json.dumps({"prompt": "question 7", "response": "answer 7"})  # a leak, for the guard
    (folder / "target.jsonl").write_text("\n".join([*target, '{"prompt": 5}']) + "\n")
    words = ["arrange", str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl"), "--budget", "25"]
    words += ["--bad-rows", "skip", "--duplicates", "drop", "--seed", "4", "--embedder", embedder]
    assert main([*words, "--min-similarity", "-0.5", "--out", str(folder / "out")]) == 0
    return folder


def train(change: Callable[[list[Any]], None]) -> Callable[[Path], None]:
    """Change the parsed lines of the training file."""

    def edit(out: Path) -> None:
        rows = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
        change(rows)
        (out / "train.jsonl").write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in rows))

    return edit


def raw(change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change the training file as text."""

    def edit(out: Path) -> None:
        (out / "train.jsonl").write_text(change((out / "train.jsonl").read_text()))

    return edit


def table(name: str, change: Callable[[dict[str, list[Any]]], None]) -> Callable[[Path], None]:
    """Change the columns of a table, whose schema and metadata stay as they are."""

    def edit(out: Path) -> None:
        before = pq.read_table(out / f"{name}.parquet")
        columns = before.to_pydict()
        change(columns)
        pq.write_table(pa.table(columns, schema=before.schema), out / f"{name}.parquet")

    return edit


def about(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Change what the table's metadata says of the order."""

    def edit(out: Path) -> None:
        before = pq.read_table(out / "arrangement.parquet")
        said = json.loads(before.schema.metadata[b"righttime"])
        change(said)
        after = before.replace_schema_metadata({b"righttime": json.dumps(said, sort_keys=True).encode()})
        pq.write_table(after, out / "arrangement.parquet")

    return edit


def manifest(change: Callable[[dict[str, Any]], object]) -> Edit:
    """Change the manifest."""
    return parsed("manifest.json", change)


def swap(*names: str) -> Callable[[Any], None]:
    """Exchange the first two entries of columns."""

    def change(columns: Any) -> None:
        for name in names:
            columns[name][:2] = columns[name][1::-1]

    return change


def exchange_texts(rows: list[Any]) -> None:
    rows[0]["messages"], rows[1]["messages"] = rows[1]["messages"], rows[0]["messages"]


def other_id(columns: Any) -> None:
    columns["id"][2] = "forged"


def drop_left_out(columns: Any) -> None:
    for values in columns.values():
        del values[0]


def one_reason_less(said: Any) -> None:
    reason = next(iter(said["counts"]["left_out_by_reason"]))
    said["counts"]["left_out_by_reason"][reason] -= 1
    said["counts"]["left_out"] -= 1
    said["counts"]["pool_read"] -= 1


def more(value: Any) -> Any:
    return value + 1


EVERY = [
    "position", "row", "id", "task", "source", "round", "picked_by", "picked_by_row", "similarity", "distance",
]  # fmt: skip

FORGERIES: dict[str, Callable[[Path], None]] = {
    "an answer": train(put(3, "messages", 2, "content", value="another answer")),
    "a question, by white space": train(put(3, "messages", 1, "content", by=lambda text: text + " ")),
    "a system turn": train(put(3, "messages", 0, "content", value="Be long.")),
    "a turn more": train(put(3, "messages", by=lambda turns: [*turns, turns[1]])),
    "a role": train(put(3, "messages", 2, "role", value="user")),
    "a tool": train(lambda rows: next(one for one in rows if "tools" in one)["tools"][0].update(type="other")),
    "tools that are gone": train(lambda rows: next(one for one in rows if "tools" in one).pop("tools") and None),
    "a key more in a row": train(put(3, "weight", value=2)),
    "a key twice": raw(lambda text: text.replace('"messages"', '"messages": [], "messages"', 1)),
    "a space in a line": raw(lambda text: text.replace(", ", ",  ", 1)),
    "a line that is gone": raw(lambda text: "".join(text.splitlines(True)[:-1])),
    "a line more": raw(lambda text: text + text.splitlines(True)[0]),
    "two lines exchanged": train(lambda rows: rows.insert(0, rows.pop(1))),
    "two texts exchanged": train(exchange_texts),
    "an id, everywhere": each(train(put(2, "id", value="forged")), table("arrangement", other_id)),
    "two rows exchanged, everywhere": each(
        train(lambda rows: rows.insert(0, rows.pop(1))), table("arrangement", swap(*EVERY[1:]))
    ),
    **{f"`{name}` of two rows": table("arrangement", swap(name)) for name in EVERY if name not in ("round", "source")},
    "`round`": table("arrangement", put("round", 0, by=more)),
    "`source`": table("arrangement", put("source", 0, value="other")),
    "`similarity`, a little": table("arrangement", put("similarity", 0, by=lambda value: value - 1e-3)),
    "`position` beyond the end": table("arrangement", put("position", -1, by=more)),
    "the seed in the table": about(put("settings", "seed", value=5)),
    "the method in the table": about(put("settings", "method", value="random")),
    "the pool's size in the table": about(put("n_pool", by=more)),
    "the target's size in the table": about(put("n_target", by=more)),
    "a left-out file": table("left_out", put("file", 0, value="elsewhere.jsonl")),
    "a left-out line": table("left_out", put("line", 0, by=more)),
    "a left-out id": table("left_out", put("id", 5, value="forged")),
    "a left-out row": table("left_out", put("row", -2, value=39)),
    "a left-out detail": table("left_out", put("detail", 0, value="no reason")),
    "a left-out detail of the target": table("left_out", put("detail", -1, value="no reason")),
    "a reason, with its count": each(
        table("left_out", put("reason", 0, value="too-long")),
        manifest(lambda said: said["counts"]["left_out_by_reason"].update({"bad-row": 1, "too-long": 1})),
    ),
    "a left-out row that is gone, with its counts": each(table("left_out", drop_left_out), manifest(one_reason_less)),
    **{
        f"the count `{name}`": manifest(put("counts", name, by=more))
        for name in (
            "pool_read",
            "pool_rows",
            "target_rows",
            "target_bad_rows",
            "arranged",
            "rounds",
            "left_out",
            "duplicates",
            "target_prompts_in_pool",
        )
    },
    "the seed": manifest(put("settings", "seed", value=5)),
    "the method": manifest(put("settings", "method", value="nearest")),
    "the budget asked for": manifest(put("settings", "budget_asked", value="62.5%")),
    "the resolved budget": manifest(put("settings", "budget", value=24)),
    "the least similarity": manifest(put("settings", "min_similarity", value=-0.6)),
    "how repeats were treated": manifest(put("settings", "duplicates", value="keep")),
    "how bad rows were treated": manifest(put("settings", "bad_rows", value="stop")),
    "the text": manifest(put("settings", "text", value="prompt")),
    "the form": manifest(put("settings", "as", value="original")),
    "a setting that is none": manifest(put("settings", "curated", value=True)),
    "the pool's vectors": manifest(put("embedding", "pool_vectors_sha256", value="0" * 64)),
    "the target's vectors": manifest(put("embedding", "target_vectors_sha256", value="0" * 64)),
    "no vectors": manifest(put("embedding", value={})),
    "the embedder": manifest(put("embedding", "model", value="better")),
    "the pool's hash": manifest(put("inputs", "pool", 0, "sha256", value="0" * 64)),
    "how many rows a file has": manifest(put("inputs", "pool", 0, "rows", by=more)),
    "how many rows a file lost": manifest(put("inputs", "target", 0, "left_out", value=0)),
    "a file's format": manifest(put("inputs", "pool", 0, "format", value="alpaca")),
    "what was not read": manifest(put("inputs", "pool", 0, "unread", value={"a": 1.0})),
    "where quality falls": manifest(put("falloff", "middle", by=lambda value: value + 0.01)),
    "a line of where quality falls": manifest(put("falloff", "lines", 0, "coverage", value=0.9)),
    "nothing of where quality falls": manifest(put("falloff", value=None)),
    "what the guard found": manifest(put("guard", "leaks", by=more)),
    "a leak that the guard named": manifest(put("guard", "first", 0, "target_id", value="forged")),
    "what the guard could not see": manifest(put("guard", "unseen", value=["nothing"])),
    "nothing of the guard": manifest(put("guard", value=None)),
    "how the guard was set": manifest(put("settings", "guard", value="remove")),
    "a note": manifest(put("notes", value=["certified"])),
    "a version": manifest(put("versions", "numpy", value="1.0")),
    "a file that is not hashed": manifest(put("files", value={})),
}
BY_MODEL = (
    "the pool's vectors",
    "the target's vectors",
    "no vectors",
    "the embedder",
    "an answer",
    "two rows exchanged, everywhere",
    "`similarity`, a little",
    "a left-out row",
    "the count `pool_rows`",
    "what the guard found",
    "the least similarity",
)
"""Forged once more where a model embedded the rows, which can do so again."""
REPORTED = {"a version"}
"""What is said and is no failure."""


SAID: dict[str, str] = {}
"""What was said of each."""


@pytest.fixture(scope="module", autouse=True)
def recorded() -> Iterator[None]:
    yield
    if len(SAID) == len(FORGERIES) + len(BY_MODEL):
        lines = [
            {"what": what, "said": said, "count": 1, "wrong": int(said == "missed")} for what, said in SAID.items()
        ]
        record("tamper", lines, whole=True)


def forged(made: Path, out: Path, what: str) -> Path:
    shutil.copytree(made / "out", out)
    FORGERIES[what](out)
    said = json.loads((out / "manifest.json").read_text())
    if said["files"]:
        said["files"] = {name: file_sha256(out / name) for name in FILES}
    if "id" in what or "exchanged" in what:
        said["ids_sha256"] = ids_sha256(pq.read_table(out / "arrangement.parquet")["id"].to_pylist())
    write_json(out / "manifest.json", said)
    return out


def findings(made: Path, out: Path) -> list[Finding]:
    return check(out, [str(made / "pool.jsonl")], [str(made / "target.jsonl")])


def test_what_is_sound_is_found_sound(made: Path) -> None:
    assert [one for one in findings(made, made / "out") if one.ok is not True] == []
    reasons = set(pq.read_table(made / "out" / "left_out.parquet")["reason"].to_pylist())
    assert reasons >= {"bad-row", "duplicate", "not-chosen", "bad-target-row"}


def test_memory_bounds_what_verify_and_show_inflate(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from righttime.embedding.given import given_vectors

    seen = []

    def vectors(spec: str, role: str, n_rows: int, memory: int) -> Any:
        if role == "pool":
            seen.append(memory)
        return given_vectors(spec, role, n_rows, memory)

    for module in ("given", "vectors"):
        monkeypatch.setattr(f"righttime.embedding.{module}.given_vectors", vectors)
    sources = ["--pool", str(made / "pool.jsonl"), "--target", str(made / "target.jsonl")]
    assert main(["verify", str(made / "out"), "--memory", "100MiB"]) == 0
    assert main(["verify", str(made / "out"), *sources, "--memory", "200MiB"]) == 0
    assert main(["show", str(made / "out"), "--row", "row-3", "--memory", "300MiB"]) == 0
    assert seen == [size << 20 for size in (100, 200, 300)]


def test_moved_data_is_the_same_data(made: Path, tmp_path: Path) -> None:
    for name in ("pool.jsonl", "target.jsonl"):
        shutil.copy(made / name, tmp_path)
    sides = [[str(tmp_path / name)] for name in ("pool.jsonl", "target.jsonl")]
    assert [one for one in check(made / "out", *sides) if one.ok is not True] == []


def told(what: str, made: Path, out: Path, name: str = "") -> set[bool | None]:
    """What `verify` says of a forgery, but for what is sound; noted for the table."""
    name = name or what
    SAID[name] = "missed"
    try:
        found = {one.ok for one in findings(made, out)} - {True}
    except RighttimeError:
        found = {False}
    SAID[name] = "noticed" if False in found else "reported" if what in REPORTED and found else "missed"
    return found


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forgery_is_noticed(what: str, made: Path, tmp_path: Path) -> None:
    assert told(what, made, forged(made, tmp_path / "out", what)) == ({None} if what in REPORTED else {False})


@pytest.mark.parametrize("what", BY_MODEL)
def test_a_forgery_is_noticed_where_a_model_embeds(what: str, embedded: Path, tmp_path: Path) -> None:
    assert False in told(what, embedded, forged(embedded, tmp_path / "out", what), f"{what}; by a model")


def test_what_is_sound_by_a_model_is_found_sound(embedded: Path, tmp_path: Path) -> None:
    sides = [[str(embedded / name)] for name in ("pool.jsonl", "target.jsonl")]
    for cache in (None, tmp_path / "empty"):
        assert [one for one in check(embedded / "out", *sides, cache=cache) if one.ok is not True] == []


def test_vectors_from_a_cache_that_differ_in_their_last_bits_are_no_forgery(embedded: Path, tmp_path: Path) -> None:
    shutil.copytree(cache_folder(), tmp_path / "cache")
    for file in (tmp_path / "cache").glob("*.sqlite"):  # one for each model that was used
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as held:
            for key, length, blob in held.execute("SELECT key, length, vector FROM vectors").fetchall():
                near = (np.frombuffer(blob, "<f4") * np.float32(1 + 3e-7)).astype("<f4").tobytes()
                held.execute(
                    "UPDATE vectors SET vector=?, checksum=? WHERE key=?", (near, _checksum(key, length, near), key)
                )
    sides = [[str(embedded / name)] for name in ("pool.jsonl", "target.jsonl")]
    assert [one for one in check(embedded / "out", *sides, cache=tmp_path / "cache") if one.ok is not True] == []


def test_a_manifest_that_nobody_forged_well_is_noticed_without_the_data(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "out", tmp_path / "out")
    manifest(put("time", value="2020-01-01T00:00:00+00:00"))(tmp_path / "out")
    (one,) = (one for one in check(tmp_path / "out", files_only=True) if one.ok is not True)
    assert one == as_sealed(False)
    manifest(lambda said: said.pop("manifest_sha256"))(tmp_path / "out")
    assert [one for one in check(tmp_path / "out", files_only=True) if one.ok is not True] == [as_sealed(None)]


def test_a_name_of_the_data_is_that_of_the_data(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "out", tmp_path / "out")
    manifest(put("inputs", "pool", 0, "path", value="elsewhere.jsonl"))(tmp_path / "out")
    said = json.loads((tmp_path / "out" / "manifest.json").read_text())
    write_json(tmp_path / "out" / "manifest.json", said)
    assert {one.what for one in check(tmp_path / "out") if one.ok is False} == {
        "the pool's files are described as they are"
    }


@pytest.mark.parametrize("what", ["an answer", "`position` of two rows", "a left-out detail", "the seed"])
def test_the_command_fails(what: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = forged(made, tmp_path / "out", what)
    words = ["--pool", str(made / "pool.jsonl"), "--target", str(made / "target.jsonl")]
    assert main(["verify", str(out), *words]) == 1
    assert "FAILED" in capsys.readouterr().out
    assert main(["verify", str(out)]) == 1, "with the data that the manifest names"


NEAR = (
    "an answer",
    "a tool",
    *(f"`{name}` of two rows" for name in ("position", "task", "picked_by", "distance")),
    "a left-out id",
    "a left-out detail",
    "the count `rounds`",
    "the count `duplicates`",
    "the form",
    "a note",
)


@pytest.mark.parametrize("what", NEAR)
def test_a_forgery_is_noticed_with_vectors_that_differ_in_their_last_bits(
    what: str, made: Path, tmp_path: Path
) -> None:
    with np.load(made / "both.npz") as both:
        near = {name: both[name] * (1 + 1e-7) + 1e-8 for name in both.files}
    np.savez(tmp_path / "both.npz", **near)
    out = forged(made, tmp_path / "out", what)
    said = json.loads((out / "manifest.json").read_text())
    said["settings"]["embedder"] = said["embedding"]["model"] = f"vectors:{tmp_path}/both.npz"
    said["embedding"]["target_vectors"] = said["settings"]["embedder"]
    write_json(out / "manifest.json", said)
    assert False in {one.ok for one in findings(made, out)}
    sound = tmp_path / "sound"
    shutil.copytree(made / "out", sound)
    said["files"] = {name: file_sha256(sound / name) for name in FILES}
    kept = json.loads((sound / "manifest.json").read_text())
    kept["settings"]["embedder"], kept["embedding"] = said["settings"]["embedder"], said["embedding"]
    write_json(sound / "manifest.json", kept)
    by_last_bits = {one.what for one in findings(made, sound) if one.ok is not True}
    assert by_last_bits == {"the vectors are the same to the bit"}


def test_an_edited_manifest_without_hashes_is_not_exported(made: Path, tmp_path: Path) -> None:
    out = forged(made, tmp_path / "out", "an answer")
    manifest(put("files", value={}))(out)
    with pytest.raises(StoreError, match=r"train\.jsonl must be what was written"):
        export(out, "messages", tmp_path / "export")


def test_a_folder_without_a_manifest_is_no_arrangement(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made / "out", out)
    (out / "manifest.json").unlink()
    with pytest.raises(StoreError, match=r"must hold manifest\.json, but there is none"):
        righttime.Arrangement.load(out)
    with pytest.raises(StoreError, match=r"must hold manifest\.json, but there is none"):
        righttime.agreement([made / "out", out])
    assert len(righttime.Arrangement.load(out / "arrangement.parquet")) == 25, "a file by itself is a saved one"
