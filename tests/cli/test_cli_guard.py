"""``righttime guard`` and ``righttime arrange --guard``: what is written, left out and said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import righttime
from righttime.choices import Guard
from righttime.cli import main
from righttime.errors import SettingsError, StoreError
from righttime.guard.guarded import guard_into
from righttime.pipeline import arrange_rows
from righttime.results import Request, open_result

ASKED = (
    "Ottokar the glazier carried 48 lanterns from Brixleben to the abbey, and Wenzel half as many before dusk. "
    "How many lanterns did both of them carry?"
)
TARGET = [
    {"id": "t0", "prompt": ASKED, "response": "Both carried 72 lanterns."},
    {"id": "t1", "prompt": "Which planet has rings of ice and rock?", "response": "Saturn"},
]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pool in a format of its own, whose last three rows give t0 away, and its target; the folder to work in."""
    rows = righttime.builtin_rows("pool", rows_per_family=3)
    pool = [{"instruction": row["prompt"], "input": "", "output": row["response"], "k": 1} for row in rows]
    for prompt in (ASKED.upper() + "!", f"Think first. {ASKED}", f"\u202e{ASKED}"):
        pool.append({"instruction": prompt, "input": "", "output": "Let me see.", "k": 2})
    for name, some in (("pool", pool), ("target", TARGET)):
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in some)
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def guard(*words: str) -> int:
    return main(["guard", "pool.jsonl", "--target", "target.jsonl", "--out", "G", *words])


def arranged(*words: str) -> list[str]:
    rows = Path("pool.jsonl").read_text(encoding="utf-8").splitlines()
    rng = np.random.default_rng(0)
    np.savez("v.npz", pool=rng.normal(size=(len(rows), 8)), target=rng.normal(size=(2, 8)))
    return ["arrange", "pool.jsonl", "--target", "target.jsonl", "--embedder", "vectors:v.npz", "--out", "A", *words]


def test_leaks_are_written_with_both_ids(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guard() == 0
    lines = Path("pool.jsonl").read_text(encoding="utf-8").splitlines()
    found = pq.read_table("G/leaks.parquet")
    assert found.column_names == ["pool_row", "pool_id", "target_row", "target_id", "test", "part", "score", "span"]
    rows = found.to_pylist()
    assert [row["pool_row"] for row in rows] == [len(lines) - 3, len(lines) - 2, len(lines) - 1]
    assert {(row["target_row"], row["target_id"], row["part"]) for row in rows} == {(0, "t0", "prompt")}
    assert [row["test"] for row in rows] == ["equal", "contained", "equal"]
    manifest = json.loads(Path("G/manifest.json").read_text(encoding="utf-8"))
    assert manifest["guard"]["by_test"] == {"equal": {"prompt": 2}, "contained": {"prompt": 1}}
    assert manifest["counts"]["kept"] == len(lines) - 3
    out = capsys.readouterr().out
    assert f"3 of {len(lines)} pool rows leak 1 of 2 target rows" in out
    assert "\u202e" not in out
    assert not Path("G/pool.jsonl").exists()


def test_the_pool_without_leaks_is_its_own_lines(files: Path) -> None:
    assert guard("--remove") == 0
    lines = Path("pool.jsonl").read_text(encoding="utf-8").splitlines()
    kept = Path("G/pool.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in kept] == [json.loads(line) for line in lines[:-3]]
    left_out = pq.read_table("G/left_out.parquet").to_pylist()
    assert [(row["line"], row["reason"]) for row in left_out] == [(len(lines) - n, "leak") for n in (2, 1, 0)]
    assert left_out[1]["detail"] == "contained (prompt, 1.0000): target row t0"
    assert guard("--overwrite") == 0
    assert sorted(path.name for path in Path("G").iterdir()) == ["leaks.parquet", "manifest.json"]


def test_exit_codes(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guard("--fail-on-leak") == 1
    assert "3 pool rows leak" in capsys.readouterr().err
    assert main(["guard", "target.jsonl", "--target", "pool.jsonl", "--out", "H", "--fail-on-leak"]) == 1
    Path("pool.jsonl").write_text(json.dumps({"prompt": "Boil an egg.", "response": "Eight minutes."}) + "\n")
    assert guard("--fail-on-leak", "--overwrite", "--workers", "2") == 0
    assert guard("--embedder", "static", "--overwrite") == 1
    assert "--embedder must be given with --meaning" in capsys.readouterr().err
    assert guard("--max-length", "9", "--engine", "cpu", "--overwrite") == 1
    assert "--max-length, --engine must be given with --meaning" in capsys.readouterr().err


def test_meaning_takes_given_vectors(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arranged()
    capsys.readouterr()
    assert guard("--meaning", "--embedder", "vectors:v.npz", "--json") == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert set(found["threshold"]) == {"telling", "weak"}
    assert all("other words" not in what for what in found["unseen"])
    assert found["leaks"] == 3


def test_all_turns_are_embedded_where_asked(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target row that a later turn says in other words has to be embedded to be found."""
    embedded: list[str] = []

    class Seen(Near):
        def embed(self, texts: Any) -> Any:
            embedded.extend(texts)
            return super().embed(texts)

    monkeypatch.setattr(Request, "model", lambda self: Seen({}, np.ones((1, 4))))
    later = [{"role": r, "content": c} for r, c in (("user", "a?"), ("assistant", "b"), ("user", "later?"))]
    Path("pool.jsonl").write_text(json.dumps({"messages": later}) + "\n")
    assert guard("--meaning", "--engine", "cpu", "--cache", "one") == 0
    assert guard("--meaning", "--text", "all", "--overwrite", "--cache", "one") == 0
    assert [text for text in embedded if text.startswith("a?")] == ["a? b", "a? b later?"]
    about = json.loads(Path("G/manifest.json").read_text(encoding="utf-8"))["embedding"]
    assert (about["text"], about["model"], about["max_length"]) == ("all", "near", 99)


def test_what_cannot_be_done_is_refused(files: Path) -> None:
    Path("other.jsonl").write_text(json.dumps({"prompt": "a b", "response": "c"}) + "\n")
    with pytest.raises(SettingsError, match="`remove=True` needs pools of one format, got alpaca, prompt-completion"):
        guard_into("G", ["pool.jsonl", "other.jsonl"], "target.jsonl", Request(), remove=True)
    guard_into("G", "other.jsonl", "target.jsonl", Request())
    with pytest.raises(StoreError, match="holds a finished result"):
        guard_into("G", "other.jsonl", "target.jsonl", Request())


def test_arrange_reports_leaks(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arranged()) == 0
    out = capsys.readouterr().out
    assert "warning: 3 pool rows repeat, hold or rephrase 1 target rows (2 equal, 1 contained; kept" in out
    manifest = json.loads(Path("A/manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["guard"] == "report"
    assert manifest["guard"]["tests"] == ["equal", "contained", "meaning"]
    assert not any("not looked for" in what for what in manifest["guard"]["unseen"])
    assert "leak" not in manifest["counts"]["left_out_by_reason"]


def test_arrange_leaves_leaks_out(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arranged("--guard", "remove")) == 0
    assert "leave" not in capsys.readouterr().out.partition("warning")[2].partition("\n")[0]
    done = open_result("A")
    assert done.manifest.counts.left_out_by_reason == {"leak": 3}
    rows = [row["row"] for row in pq.read_table("A/left_out.parquet").to_pylist()]
    assert not set(rows) & set(done.arrangement.order.tolist())
    assert main(["verify", "A"]) == 0


def test_arrange_looks_for_nothing_where_the_guard_is_off(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arranged("--guard", "off", "--json")) == 0
    assert json.loads(capsys.readouterr().out)["guard"] is None
    assert main(arranged("--guard", "of", "--overwrite")) != 0


def test_a_row_of_one_meaning_is_left_out_before_rows_are_ordered(tmp_path: Path) -> None:
    rows = righttime.builtin_rows("pool", rows_per_family=3)
    pool = [{"prompt": row["prompt"], "response": row["response"]} for row in rows]
    pool.append({"prompt": "48 lamps and half of that: what do a glass worker and his friend bring the monks?",
                 "response": "They bring 72 lamps to the monks of the abbey."})  # fmt: skip
    target = [{"prompt": ASKED, "response": "Both carried 72 lanterns."}]
    rng = np.random.default_rng(1)
    judge = rng.normal(size=(1, 24))
    vectors = np.concatenate([rng.normal(size=(len(rows), 24)), judge + 0.05])
    found = {}
    modes: tuple[Guard, ...] = ("report", "remove")
    for mode in modes:
        known = {row["prompt"]: vector for row, vector in zip(pool, vectors, strict=True)}
        request = Request(guard=mode, embedder=Near(known, judge))
        found[mode] = arrange_rows(pool, target, request, cache=tmp_path)
    assert [leak.test for leak in found["report"].guard.found] == ["meaning"]  # type: ignore[union-attr]
    assert found["report"].arrangement.order[0] == len(rows)
    assert [(row.row, row.reason) for row in found["remove"].left_out] == [(len(rows), "leak")]
    assert sorted(found["remove"].arrangement.order.tolist()) == list(range(len(rows)))
    assert len(found["remove"].vectors[0]) == len(found["remove"].kept) == len(rows)


class Near:
    """An embedder of known vectors."""

    tokens_per_batch = 1 << 20

    def __init__(self, known: dict[str, Any], judge: Any) -> None:
        self._known, self._judge = known, judge
        self.identity: dict[str, str | int] = {"model": "near", "revision": "1", "max_length": 99}

    def lengths(self, texts: Any) -> list[int]:
        return [len(text) for text in texts]

    def embed(self, texts: Any) -> Any:
        return np.asarray([self._of(text) for text in texts], np.float32)

    def _of(self, text: str) -> Any:
        known = [vector for prompt, vector in self._known.items() if text.startswith(prompt)]
        return known[0] if known else self._judge[0]
