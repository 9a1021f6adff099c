"""Prompts of instruction-tuned embedders: whose they are, that each side gets its own, and that nothing mixes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import righttime
from righttime.cli import main
from righttime.embedding import embedder_named
from righttime.embedding.models import SentenceTransformerEmbedder, find_model
from righttime.embedding.prompts import CARDS, Prompts, prompts_for
from righttime.embedding.represent import lacking, represent
from righttime.errors import SettingsError
from righttime.guard.guarded import guard_into
from righttime.pipeline import arrange_into
from righttime.results import Request
from righttime.similarity import unit_rows
from righttime.verification.result import check

ROWS = righttime.builtin_rows("pool", rows_per_family=1)[:20]
GOALS = righttime.builtin_rows("target", rows_per_family=1)[:5]
OWN = {"query": "Instruct: find what is like it\nQuery: ", "document": "", "label": "classify: "}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random BERT that knows three prompts, and leaves them out of its mean, as Instructor models do."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("prompted")
    tokenizer = AutoTokenizer.from_pretrained(find_model().path)
    tokenizer.save_pretrained(folder / "bert")
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2)
    config.intermediate_size = 16
    BertModel(config).save_pretrained(folder / "bert")
    transformer = Transformer(str(folder / "bert"), max_seq_length=64)
    pooling = Pooling(16, include_prompt=False)
    SentenceTransformer(modules=[transformer, pooling], prompts=OWN, device="cpu").save(str(folder / "model"))
    return folder / "model"


def plain(model: Path, texts: list[str], name: str) -> Any:
    from sentence_transformers import SentenceTransformer

    vectors = SentenceTransformer(str(model), device="cpu").encode(texts, prompt_name=name)
    return np.asarray(vectors, dtype=np.float64)


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("card", ("document", "query")),
        ("query", ("query", "query")),
        ("label:query", ("label", "query")),
        ("document", ("document", "document")),
    ],
)
def test_each_side_is_embedded_with_its_prompt(model: Path, tmp_path: Path, asked: str, names: tuple[str, str]) -> None:
    texts = [row["prompt"] for row in ROWS]
    embedder = embedder_named(f"{model}#prompts={asked}", device="cpu")
    done = represent(texts, 12, embedder, tmp_path)
    want = unit_rows(np.concatenate([plain(model, texts[:12], names[0]), plain(model, texts[12:], names[1])]))
    assert np.abs(done.vectors - want).max() < 1e-5
    assert done.about["prompt"] == OWN[names[0]]
    assert done.about.get("target_prompt") == (OWN[names[1]] if ":" in asked or asked == "card" else None)
    mapped = represent(texts, 12, embedder, tmp_path, memory=1)
    assert np.array_equal(mapped.vectors, done.vectors)
    assert mapped.about["from_cache"] == done.about["embedded_now"]


def test_an_instruction_of_ones_own_stands_before_the_target_alone(model: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts, mine = [row["prompt"] for row in ROWS], "Instruct: find what teaches it\nQuery: "
    embedder = embedder_named(f"{model}#prompts=prefix", prefix=mine, device="cpu")
    done = represent(texts, 12, embedder, tmp_path)
    query = SentenceTransformer(str(model), device="cpu").encode(texts[12:], prompt=mine)
    want = unit_rows(np.concatenate([plain(model, texts[:12], "document"), np.asarray(query, dtype=np.float64)]))
    assert np.abs(done.vectors - want).max() < 1e-5
    assert (done.about["prompt"], done.about["target_prompt"], done.about["prefix"]) == ("", mine, "")
    other = embedder_named(f"{model}#prompts=prefix", prefix="Another: ", device="cpu")
    assert lacking(texts, 12, other, tmp_path).tolist() == [False] * 12 + [True] * 8, "of the pool nothing changed"
    asked = Request(embedder=f"{model}#prompts=prefix", prefix=mine, device="cpu")
    for side, rows in (("pool", ROWS), ("target", GOALS)):
        (tmp_path / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pool, target = ([str(tmp_path / f"{side}.jsonl")] for side in ("pool", "target"))
    arrange_into(tmp_path / "out", pool, target, asked, cache=tmp_path / "cache")
    assert [finding.what for finding in check(tmp_path / "out", cache=tmp_path / "cold") if finding.ok is False] == []
    with pytest.raises(SettingsError, match="`prompts=prefix` must have a `prefix`, .* got none"):
        embedder_named(f"{model}#prompts=prefix")


def test_prompts_are_in_the_cache_key(model: Path, tmp_path: Path) -> None:
    texts = [row["prompt"] for row in ROWS]
    card = embedder_named(f"{model}#prompts=card", device="cpu")
    represent(texts, 12, card, tmp_path)
    assert not lacking(texts, 12, card, tmp_path).any()
    assert lacking(texts, 0, card, tmp_path).tolist() == [True] * 12 + [False] * 8, "those are queries now"
    for other in ("", "#prompts=label", "#prompts=query:label"):
        assert lacking(texts, 12, embedder_named(f"{model}{other}", device="cpu"), tmp_path).any(), other
    assert not lacking(texts[12:], 8, embedder_named(f"{model}#prompts=query", device="cpu"), tmp_path).any()


def test_without_prompts_nothing_changed(model: Path) -> None:
    """The identity, and so the cache, of models that are used as before."""
    embedder = embedder_named(str(model), device="cpu")
    assert set(embedder.identity) == {"model", "revision", "max_length", "dtype", "prefix"}
    assert isinstance(embedder, SentenceTransformerEmbedder)
    assert embedder.for_target() is embedder


def test_both_sides_share_one_model(model: Path) -> None:
    embedder = embedder_named(f"{model}#prompts=card", device="cpu")
    assert isinstance(embedder, SentenceTransformerEmbedder)
    assert embedder.for_target().model is embedder.model
    assert (embedder.instruction, embedder.for_target().instruction) == (OWN["document"], OWN["query"])


def test_lengths_count_the_prompt(model: Path) -> None:
    plainly, query = (embedder_named(f"{model}{end}", device="cpu") for end in ("", "#prompts=query"))
    assert query.lengths(["one two"])[0] == plainly.lengths([f"{OWN['query']}one two"])[0]
    assert query.lengths(["one two"])[0] > plainly.lengths(["one two"])[0] + 5


def test_an_arrangement_by_prompts_is_verified_and_read_again(model: Path, tmp_path: Path) -> None:
    from righttime.measures import measure
    from righttime.measures.curves import measure_folders
    from righttime.report.arranged import arranged_from

    for side, rows in (("pool", ROWS), ("target", GOALS)):
        (tmp_path / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out, cache, target = tmp_path / "out", tmp_path / "cache", tmp_path / "target.jsonl"
    words = ["arrange", str(tmp_path / "pool.jsonl"), "--target", str(target), "--device", "cpu", "--out", str(out)]
    assert main([*words, "--embedder", f"{model}#prompts=card,centred", "--cache", str(cache)]) == 0
    for some in (cache, tmp_path / "cold"):
        assert [finding.what for finding in check(out, cache=some) if finding.ok is False] == []
    made = arranged_from([out], cache=cache)
    assert made.missing == []
    assert made.vectors is not None
    order = righttime.Arrangement.load(out).order
    want = measure(made.vectors.pool[order], made.vectors.target, every=10).columns
    curves = measure_folders([out], target, cache=cache, every=10).whole["out"].columns
    for name, column in want.items():
        assert np.allclose(curves[name], column, atol=1e-5), name
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["embedding"]["target_prompt"] == OWN["query"]
    assert "meaning" not in manifest["guard"]["tests"], "its threshold is of pairs of documents"
    manifest["embedding"]["target_prompt"] = ""
    (out / "manifest.json").write_text(json.dumps(manifest))
    wrong = [finding.what for finding in check(out, cache=cache) if finding.ok is False]
    assert "the embedder and what it truncated are as described" in wrong


def test_a_combination_with_prompts(model: Path, tmp_path: Path) -> None:
    texts = [row["prompt"] for row in ROWS]
    both = embedder_named(f"combine:{model}#prompts=card*0.5+{model}*0.5", device="cpu")
    done = represent(texts, 12, both, tmp_path)
    parts = [
        represent(texts, 12, embedder_named(f"{model}{end}", device="cpu"), tmp_path).vectors.astype(np.float64)
        for end in ("#prompts=card", "")
    ]
    want = 0.5 * (parts[0][:12] @ parts[0][12:].T) + 0.5 * (parts[1][:12] @ parts[1][12:].T)
    assert np.abs(done.vectors[:12].astype(np.float64) @ done.vectors[12:].T - want).max() < 1e-6


def test_the_guard_refuses_two_prompts(model: Path, tmp_path: Path) -> None:
    request = Request(embedder=f"{model}#prompts=card", device="cpu")
    with pytest.raises(SettingsError, match="`meaning` needs an embedder that reads both sides alike"):
        guard_into(tmp_path / "out", ROWS, GOALS, request, meaning=True, cache=tmp_path)
    with pytest.raises(SettingsError, match="`guard_chunks` is for embedders of texts"):
        righttime.arrange(ROWS, GOALS, embedder=f"{model}#prompts=card", guard_chunks=True, cache=tmp_path)


@pytest.mark.parametrize(
    ("name", "asked", "want"),
    [
        ("intfloat/e5-base-v2", "card", Prompts("passage: ", "query: ")),
        ("intfloat/multilingual-e5-large", "query", Prompts("query: ", "query: ")),
        ("models/e5-small", "query:passage", Prompts("query: ", "passage: ")),
        ("intfloat/e5-base-v2", "prefix", Prompts("passage: ", "Mine: ")),
        ("some/model", "prefix", Prompts("", "Mine: ")),
        ("BAAI/bge-small-zh-v1.5", "card", Prompts("", "为这个句子生成表示以用于检索相关文章\uff1a")),
        (
            "intfloat/multilingual-e5-large-instruct",
            "card",
            Prompts(
                "", "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
            ),
        ),
        ("BAAI/bge-large-en-v1.5", "card", Prompts("", "Represent this sentence for searching relevant passages: ")),
    ],
)
def test_prompts_of_cards(name: str, asked: str, want: Prompts) -> None:
    assert prompts_for(asked, {"query": "", "document": ""}, name, "Mine: ") == want


def test_the_models_own_prompts_go_before_its_card() -> None:
    own = {"query": "q: ", "passage": "p: "}
    assert prompts_for("card", own, "intfloat/e5-base-v2") == Prompts("p: ", "q: ")
    assert all({"query", "passage"} == set(card) for card in CARDS.values())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("prompts=", "an option must be prompts=WHICH, got 'prompts='"),
        ("prompts=a:b:c", "an option must be prompts=WHICH"),
        ("prompts", "an option must be given once, as prompts=WHICH"),
        ("prompt=card", "unknown option of MODEL 'prompt': did you mean 'prompts'?"),
    ],
)
def test_wrong_options_are_told_before_anything_is_read(model: Path, options: str, told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        righttime.arrange("no-such-file", "none", embedder=f"{model}#{options}")
    assert told in str(raised.value)


def test_prompts_that_are_not_there(model: Path) -> None:
    with pytest.raises(SettingsError, match="unknown prompt 'querry': did you mean 'query'"):
        _ = embedder_named(f"{model}#prompts=querry", device="cpu").identity
    with pytest.raises(SettingsError, match="has none in its configuration, and its card is not among those known"):
        _ = embedder_named(f"{find_model().name}#prompts=card", device="cpu").identity
    with pytest.raises(SettingsError, match="unknown prompt 'query'"):
        prompts_for("card", {"label": "l: "}, "model")
    with pytest.raises(SettingsError, match="`prefix` does not go with prompts, got 'x' and 'card'"):
        embedder_named(f"{model}#prompts=card", prefix="x")
    with pytest.raises(SettingsError, match="`prompts` do not go with int8, got 'card'"):
        embedder_named(f"{model}#prompts=card", precision="int8")
