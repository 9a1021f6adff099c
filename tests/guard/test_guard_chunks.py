"""Rows that are longer than the embedder reads: chunks of them find what whole rows do not, in bounded memory."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from made_leaks import ASKED, LONG, OTHERWISE, PROSE, SHORT, Reader
from righttime.cli import main
from righttime.contamination.agreement import Said, agree_within
from righttime.contamination.words import words_of
from righttime.errors import SettingsError
from righttime.formats import from_records
from righttime.guard import Leaks
from righttime.guard.cutting import Chunker, chunks_of, stretches
from righttime.guard.guarded import guard_into
from righttime.pipeline import arrange_rows
from righttime.results import Request


def looked(folder: Path, pool: list[dict[str, Any]], target: list[dict[str, Any]], chunks: bool) -> Leaks:
    request = Request(embedder=Reader(), guard_chunks=chunks)
    out = folder / ("with" if chunks else "without")
    return guard_into(out, pool, target, request, meaning=True, cache=folder, overwrite=True).leaks


def test_a_leak_past_the_embedders_limit_is_found_in_a_chunk_alone(tmp_path: Path) -> None:
    pool = [*SHORT, LONG]
    without, found = (looked(tmp_path, pool, [ASKED], chunks) for chunks in (False, True))
    assert not without.found
    assert "of 1 pool rows and 0 target rows the meaning past 40 tokens is not seen" in without.unseen
    assert [(leak.pool_row, leak.target_row, leak.test) for leak in found.found] == [(len(SHORT), 0, "meaning")]
    assert "48 lamps" in found.found[0].span
    assert not any("past 40 tokens" in what for what in found.unseen)
    assert found.chunked is not None
    assert (found.chunked.pool_rows, found.chunked.target_rows) == (1, 0)
    assert found.chunked.chunks > 10
    assert set(found.threshold) == {"telling", "weak", "telling in chunks", "weak in chunks"}


def test_a_target_row_is_cut_as_well(tmp_path: Path) -> None:
    """The pool says in other words what stands at the end of a long target row."""
    target = {"prompt": f"{PROSE[:900]} {ASKED['prompt']}", "response": ASKED["response"]}
    words = PROSE.split()
    pool = [
        *SHORT,
        {"prompt": " ".join(words[:150:-1]), "response": "Go on."},
        {"prompt": OTHERWISE, "response": "Yes."},
    ]
    assert not looked(tmp_path, pool, [target], False).found
    found = looked(tmp_path, pool, [target], True)
    assert [(leak.pool_row, leak.target_row) for leak in found.found] == [(len(pool) - 1, 0)]
    assert found.chunked is not None
    assert found.chunked.target_rows == 1


def test_without_chunks_in_the_pool_target_chunks_are_calibrated_on_rows(tmp_path: Path) -> None:
    """Else there would be nothing to calibrate on, and every row that shares its numbers would be near."""
    target = {"prompt": f"{PROSE[:900]} {ASKED['prompt']}", "response": ASKED["response"]}
    pool = [*SHORT, {"prompt": "Which of 48, 37 and 5 are odd numbers?", "response": "37 and 5 are."}]
    found = looked(tmp_path, pool, [target], True)
    assert not found.found
    assert found.threshold["telling in chunks"] >= found.threshold["telling"] > 0.1


def test_without_long_rows_there_are_no_chunks(tmp_path: Path) -> None:
    found = looked(tmp_path, SHORT, [{"prompt": "Say cheese.", "response": "Cheese."}], True)
    assert found.chunked is not None
    assert (found.chunked.pool_rows, found.chunked.chunks) == (0, 0)
    assert set(found.threshold) == {"telling", "weak"}


def test_other_numbers_in_a_chunk_are_no_leak(tmp_path: Path) -> None:
    other = {**LONG, "response": LONG["response"].replace("48", "36").replace("72", "54")}
    assert not looked(tmp_path, [*SHORT, other], [ASKED], True).found


def test_chunks_are_cached_and_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = [*SHORT, LONG, {**LONG, "prompt": "Go on."}, {"prompt": "Say it again.", "response": PROSE}]
    first = looked(tmp_path, pool, [ASKED], True)
    largest: list[int] = []
    monkeypatch.setattr("righttime.guard.chunks._AT_ONCE", 7)
    monkeypatch.setattr(Reader, "embed", lambda self, texts: largest.append(len(texts)))
    assert looked(tmp_path, pool, [ASKED], True) == first
    assert not largest  # every vector was in the cache
    monkeypatch.undo()
    monkeypatch.setattr("righttime.guard.chunks._AT_ONCE", 7)
    embed = Reader.embed

    def counted(self: Reader, texts: Sequence[str]) -> NDArray[np.float32]:
        largest.append(len(texts))
        return embed(self, texts)

    monkeypatch.setattr(Reader, "embed", counted)
    assert looked(tmp_path / "cold", pool, [ASKED], True) == first
    assert sum(size <= 7 for size in largest) > 10  # chunks come some at a time


def test_an_arrangement_leaves_out_what_a_chunk_shows(tmp_path: Path) -> None:
    pool = [*SHORT, LONG]
    found = {}
    for chunks in (False, True):
        request = Request(embedder=Reader(), guard="remove", guard_chunks=chunks)
        found[chunks] = arrange_rows(pool, [ASKED], request, cache=tmp_path)
    assert found[False].left_out == ()
    assert [(row.row, row.reason) for row in found[True].left_out] == [(len(SHORT), "leak")]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"embedder": "vectors:v.npz"}, "must have a model that embeds, got it with given vectors"),
        ({"method": "random"}, "got it with method random, which needs no vectors"),
        ({"guard": "off"}, "got it with `guard='off'`"),
    ],
)
def test_chunks_without_a_model_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        Request(guard_chunks=True, **settings).check()


class OwnWay(Reader):
    """An embedder that reads rows in a way of its own."""

    def text_of(self, row: Any) -> str:
        return str(row.prompt)


def test_chunks_of_an_embedder_with_a_text_of_its_own_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is for embedders of texts"):
        arrange_rows(SHORT, [ASKED], Request(embedder=OwnWay(), guard_chunks=True), cache=tmp_path)


@given(st.text(alphabet=st.sampled_from("ab \n漢"), max_size=200), st.integers(1, 60))
def test_every_word_is_in_a_stretch_and_none_is_too_long(text: str, size: int) -> None:
    found = stretches(text, size)
    assert all(one in text and len(one) <= 2 * size for one in found)
    assert "".join(text.split()) == "" or found
    places = set()
    for one in found:
        for start in (match.start() for match in re.finditer(f"(?={re.escape(one)})", text)):
            places |= set(range(start, start + len(one)))
    assert all(text[place].isspace() or place in places for place in range(len(text)))


def test_no_chunk_is_longer_than_the_embedder_reads() -> None:
    """A table of digits has many more tokens a character than the prose around it."""

    def lengths(texts: Sequence[str]) -> list[int]:
        return [len(re.findall(r"[a-z]+|\S", text)) for text in texts]

    row = {"prompt": "Read.", "response": "plain words of a text " * 40 + "1234567890" * 60}
    rows = from_records([row], source="rows", role="pool").rows
    chunker = Chunker(lambda texts: np.empty((0, 1), np.float32), lengths, 24, "prompt+response", [0], [])
    chunks = [chunk.text for chunk in chunks_of(rows, [0], chunker, 24)]
    assert max(lengths(chunks)) <= 24
    assert {chunk for chunk in chunks if chunk.isdecimal()}


def test_agreement_of_a_stretch_goes_one_way() -> None:
    said = Said(tuple(words_of(ASKED["prompt"])), tuple(words_of("72 lanterns")))

    def how(text: str) -> str:
        return agree_within(said, words_of(text), lambda word: 5.0, 12.0)

    assert how(f"In 1890 {ASKED['prompt']} 72 lanterns") == "telling"
    assert how(f"In 1890 {ASKED['prompt']}") == "weak"
    assert how(ASKED["prompt"].replace("48", "36")) == "none"
    assert how("48") == "none"


def test_the_command_line_says_how_much_was_looked_at_in_chunks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Request, "model", lambda self: Reader())
    for name, rows in (("pool", [*SHORT, LONG]), ("target", [ASKED])):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sides = [str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl"), "--cache", str(tmp_path / "C")]
    assert main(["guard", *sides, "--out", str(tmp_path / "G"), "--meaning", "--chunks"]) == 0
    out = capsys.readouterr().out
    assert "1 pool rows and 0 target rows are longer than the embedder reads: looked at in" in out
    manifest = json.loads((tmp_path / "G" / "manifest.json").read_text())
    assert manifest["guard"]["chunks"]["pool_rows"] == 1
    assert manifest["settings"]["chunks"] is True
    assert pq.read_table(tmp_path / "G" / "leaks.parquet").num_rows == 1
    assert main(["guard", *sides, "--out", str(tmp_path / "H"), "--chunks"]) == 1
    assert "--chunks must be given with --meaning" in capsys.readouterr().err
    assert main(["arrange", *sides, "--out", str(tmp_path / "A"), "--guard-chunks", "--guard", "remove"]) == 0
    assert json.loads((tmp_path / "A" / "manifest.json").read_text())["counts"]["left_out_by_reason"] == {"leak": 1}
