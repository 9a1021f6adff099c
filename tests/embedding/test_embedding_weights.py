"""Weights in bfloat16, or in the type of a model's files: half the memory, near the vectors of float32."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import righttime
from righttime.cli import main
from righttime.embedding import SentenceTransformerEmbedder, embed_texts, embedder_named
from righttime.embedding.causal import CausalModel
from righttime.embedding.gradients import SEPARATOR
from righttime.errors import EmbeddingError, SettingsError
from righttime.similarity import unit_rows
from righttime.training.ways import way_named
from righttime.verification.nearness import close_to
from righttime.verification.result import check
from tiny_model import save_tiny_model

KINDS = ("lm", "gradients")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_tiny_model(tmp_path_factory.mktemp("tiny")))


def saved_as(model: Path, dtype: torch.dtype, folder: Path) -> Path:
    AutoModelForCausalLM.from_pretrained(model, dtype=dtype).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return folder


def texts_of(kind: str) -> list[str]:
    rows = righttime.builtin_rows("pool", rows_per_family=1)[:12]
    between = SEPARATOR if kind == "gradients" else "\n"
    return [row["prompt"] + between + row["response"] for row in rows]


def size(model: Any) -> int:
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def cosines(one: Any, other: Any) -> Any:
    return (unit_rows(one).astype(np.float64) * unit_rows(other)).sum(axis=1)


@pytest.mark.parametrize("kind", KINDS)
def test_half_the_memory_near_float32_and_the_same_each_time(tiny: Path, kind: str) -> None:
    half, full = (embedder_named(f"{kind}:{tiny}{more}", device="cpu") for more in ("#weights=bfloat16", ""))
    texts = texts_of(kind)
    vectors = half.embed(texts)
    assert vectors.dtype == np.float32
    assert 2 * size(half._causal.model) == size(full._causal.model)  # type: ignore[attr-defined]
    assert 0.999 < cosines(vectors, full.embed(texts)).min() < 1
    again = embedder_named(f"{kind}:{tiny}#weights=bfloat16", device="cpu")
    assert np.array_equal(again.embed(texts), vectors)
    alone = np.concatenate([half.embed([text]) for text in texts])
    assert cosines(alone, vectors).min() > 0.999
    sent = pickle.loads(pickle.dumps(again))
    assert np.array_equal(sent.embed(texts), vectors), "a worker process loads it so as well"


@pytest.mark.parametrize("kind", KINDS)
def test_float32_keeps_its_vectors_and_its_cache(tiny: Path, tmp_path: Path, kind: str) -> None:
    plain, named, half = (
        embedder_named(f"{kind}:{tiny}{more}", device="cpu") for more in ("", "#weights=float32", "#weights=bfloat16")
    )
    assert plain.identity["dtype"] == "float32"
    assert plain.identity == named.identity == {**half.identity, "dtype": "float32"}
    texts = texts_of(kind)
    first = embed_texts(texts, plain, tmp_path)
    then = embed_texts(texts, named, tmp_path)
    assert (then.n_embedded, then.n_cached) == (0, len(set(texts)))
    assert np.array_equal(first.vectors, then.vectors)
    assert embed_texts(texts, half, tmp_path).n_cached == 0


def test_stored_is_the_type_of_the_files(tiny: Path, tmp_path: Path) -> None:
    half = saved_as(tiny, torch.bfloat16, tmp_path / "half")
    stored, rounded = (embedder_named(f"lm:{half}#weights={kind}", device="cpu") for kind in ("stored", "bfloat16"))
    assert stored.identity == rounded.identity
    assert np.array_equal(stored.embed(texts_of("lm")), rounded.embed(texts_of("lm")))
    assert embedder_named(f"lm:{tiny}#weights=stored").identity == embedder_named(f"lm:{tiny}").identity
    assert CausalModel(str(half), heads=False).dtype == "float32", "widened where nothing else is asked for"


def test_gradients_refuse_float16(tiny: Path, tmp_path: Path) -> None:
    narrow = saved_as(tiny, torch.float16, tmp_path / "narrow")
    assert embedder_named(f"lm:{narrow}#weights=stored").identity["dtype"] == "float16"
    with pytest.raises(EmbeddingError, match=r"float16 rounds small gradients to zero.* Hint: `#weights=bfloat16`"):
        embedder_named(f"gradients:{narrow}#weights=stored", device="cpu").embed(texts_of("gradients"))


def test_of_a_sentence_transformer_the_transformer_alone_is_rounded() -> None:
    texts = texts_of("")
    half, full = (embedder_named(f"all-MiniLM-L6-v2{more}", device="cpu") for more in ("#weights=bfloat16", ""))
    assert isinstance(half, SentenceTransformerEmbedder)
    assert isinstance(full, SentenceTransformerEmbedder)
    vectors = half.embed(texts)
    assert 2 * size(half.model) == size(full.model)
    assert half.identity == {**full.identity, "dtype": "bfloat16", "weights": "bfloat16"}
    assert 0.999 < cosines(vectors, full.embed(texts)).min() < 1
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6, "normalised in float32"
    alone = np.concatenate([half.embed([text]) for text in texts])
    assert cosines(alone, vectors).min() > 0.999
    assert half.reference is None
    same = embedder_named("all-MiniLM-L6-v2#weights=stored", device="cpu")
    assert same.identity == full.identity, "its files are float32"


def test_it_goes_with_other_options_and_in_combinations(tiny: Path) -> None:
    spec = f"combine:lm:{tiny}#layer=1,centred,weights=bfloat16*0.5+gradients:{tiny}#subspace=2*0.5"
    parts = embedder_named(spec).parts  # type: ignore[attr-defined]
    assert [part.identity["dtype"] for part in parts] == ["bfloat16", "float32"]
    assert (parts[0].identity["layer"], parts[0].centring.how, parts[1].subspace) == (1, "centred", 2)


@pytest.mark.parametrize("model", ["lm:nowhere", "gradients:nowhere", "nowhere"])
def test_unknown_types_are_refused_before_anything_is_read(model: str) -> None:
    with pytest.raises(SettingsError) as raised:
        righttime.arrange("no-such-file", "none", embedder=f"{model}#weights=bf16")
    told = "unknown type of weights 'bf16': did you mean 'bfloat16'? Known: bfloat16, float32, stored."
    assert str(raised.value) == told


def test_what_does_not_go_with_it(tiny: Path) -> None:
    with pytest.raises(SettingsError, match="`precision` is for float32 weights, got float16 with `weights=bfloat16`"):
        embedder_named("all-MiniLM-L6-v2#weights=bfloat16", precision="float16")
    with pytest.raises(SettingsError, match="`weights` do not go with int8, got 'stored'"):
        embedder_named("all-MiniLM-L6-v2#weights=stored", precision="int8")
    with pytest.raises(SettingsError, match="`weights` says how a model is loaded, but this one is loaded already"):
        way_named("lm:centred,weights=bfloat16")


def test_results_say_it_and_are_verified(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path / "cache"))
    data, out = tmp_path / "data", tmp_path / "out"
    assert main(["builtin", "--out", str(data), "--rows", "2"]) == 0
    sides = [str(data / "pool.jsonl"), "--target", str(data / "target.jsonl")]
    words = [*sides, "--embedder", f"lm:{tiny}#centred,weights=bfloat16", "--device", "cpu"]
    assert main(["plan", *words]) == 0
    assert main(["arrange", *words, "--out", str(out)]) == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["embedding"]["dtype"] == "bfloat16"
    assert manifest["settings"]["embedder"] == f"lm:{tiny}#centred,weights=bfloat16"
    assert all(finding.ok for finding in check(out, cache=tmp_path / "cache"))
    assert all(finding.ok for finding in check(out, cache=tmp_path / "none"))
    capsys.readouterr()


def test_how_near_vectors_that_were_embedded_again_must_be() -> None:
    half: dict[str, Any] = {"dtype": "bfloat16"}
    assert close_to({"dtype": "float32"}) == 1e-5
    assert close_to(half) == close_to({"dtype": "float32", "parts": [{"dtype": "float32"}, half]}) == 0.03
    assert close_to({**half, "centring": {"amplification": 100.0}}) == 0.05
