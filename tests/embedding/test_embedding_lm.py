"""Hidden states and gradients of a causal model against plain computations, one text at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import righttime
from righttime import read_rows
from righttime.embedding import GradientEmbedder, HiddenStateEmbedder, embed_texts, embedder_named
from righttime.embedding.adapters import ADAPTED
from righttime.embedding.gradients import SEPARATOR
from righttime.embedding.models import find_model
from righttime.embedding.texts import texts_for
from righttime.errors import EmbeddingError, SettingsError
from righttime.similarity import unit_rows

TEXTS = ["What is the capital of France? Paris", "x", "Sort: pear, fig, and a long list of other fruit. " * 5, "a b c"]
ROWS = [("2 + 2?", "4"), ("Name three fruits, the best you know.", "pear, fig, plum"), ("Say hello " * 9, "hello")]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A randomly initialised Llama of two layers, with the tokenizer of all-MiniLM-L6-v2."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(find_model().path)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_hidden_states_are_the_weighted_mean_of_one_text_alone(tiny: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(tiny).eval(), AutoTokenizer.from_pretrained(tiny)
    got = HiddenStateEmbedder(str(tiny), device="cpu").embed(TEXTS)
    assert got.shape == (4, 32)
    assert got.dtype == np.float32
    for text, vector in zip(TEXTS, got, strict=True):
        ids = tokenizer(text)["input_ids"][:128]
        with torch.no_grad():
            states = model(torch.tensor([ids])).last_hidden_state[0].double().numpy()
        want = sum((place + 1) * state for place, state in enumerate(states)) / sum(range(1, len(ids) + 1))
        assert np.abs(vector - want).max() < 1e-5


@pytest.mark.parametrize("kind", ["lm", "gradients"])
def test_the_batch_does_not_matter(tiny: Path, kind: str) -> None:
    embedder = embedder_named(f"{kind}:{tiny}", device="cpu")
    texts = TEXTS if kind == "lm" else [SEPARATOR.join(row) for row in ROWS]
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    together = embedder.embed(texts)
    assert np.abs(alone - together).max() <= 1e-5 * np.abs(together).max()


def test_lengths_truncation_and_identity(tiny: Path, tmp_path: Path) -> None:
    embedder = HiddenStateEmbedder(str(tiny), max_length=5, prefix="query: ", device="cpu")
    assert embedder.identity["model"] == f"lm:{tiny}"
    assert embedder.identity["max_length"] == 5
    assert str(embedder.identity["revision"]).startswith("sha256:")
    done = embed_texts(["one two three four five six", "one two three four five"], embedder, tmp_path)
    assert done.lengths.tolist() == [10, 9], "[CLS] query : … [SEP]"
    assert np.allclose(done.vectors[0], done.vectors[1], atol=1e-6), "both are cut to [CLS] query : one two"
    assert HiddenStateEmbedder(str(tiny)).identity["max_length"] == 128


def plain_gradients(tiny: Path, prompt: str, response: str, embedder: GradientEmbedder) -> np.ndarray[Any, Any]:
    """Adapters written out as W + scale·B·A with B a parameter at zero, one row, ordinary autograd."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny).eval(), AutoTokenizer.from_pretrained(tiny)
    model.requires_grad_(False)
    found = []
    layers = [layer for name, layer in model.named_modules() if name.rpartition(".")[2] in ADAPTED]
    for layer, adapter in zip(layers, embedder._adapters, strict=True):
        b = torch.zeros((layer.out_features, adapter.a.shape[0]), requires_grad=True)
        found.append((b, adapter))
        layer.forward = lambda x, w=layer.weight, b=b, a=adapter.a: x @ (w + 4.0 * b @ a).T
    asked = [
        token
        for part in (f"User: {prompt}", "\nAssistant: ")
        for token in tokenizer(part, add_special_tokens=False)["input_ids"]
    ]
    answer = tokenizer(response, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([asked + answer])
    labels = ids.clone()
    labels[:, : len(asked)] = -100
    model(input_ids=ids, labels=labels).loss.backward()
    flat = [(b.grad.reshape(-1).double() @ adapter.signs.double()) for b, adapter in found if b.grad is not None]
    return np.asarray((torch.stack(flat).sum(dim=0) / np.sqrt(64)).numpy())


def test_gradients_equal_autograd_one_row_at_a_time(tiny: Path) -> None:
    embedder = GradientEmbedder(str(tiny), device="cpu", dim=64, rank=4)
    got = embedder.embed([SEPARATOR.join(row) for row in ROWS])
    assert got.shape == (3, 64)
    for (prompt, response), vector in zip(ROWS, got, strict=True):
        want = plain_gradients(tiny, prompt, response, embedder)
        assert np.abs(vector - want).max() <= 1e-4 * np.abs(want).max()


def test_the_projection_keeps_cosines(tiny: Path) -> None:
    """Random signs keep angles: 2,048 signs estimate the cosine of a few thousand numbers within a few hundredths."""
    texts = [SEPARATOR.join(row) for row in ROWS]
    cosines = []
    for seed, dim in ((0, 2048), (0, 4096)):
        vectors = GradientEmbedder(str(tiny), device="cpu", dim=dim, seed=seed).embed(texts).astype(np.float64)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines.append(vectors @ vectors.T)
    assert np.abs(cosines[0] - cosines[1]).max() < 0.12


def test_a_long_prompt_loses_its_beginning_and_keeps_its_response(tiny: Path) -> None:
    embedder = GradientEmbedder(str(tiny), device="cpu", max_length=12)
    rows, counts = embedder._rows([f"{'word ' * 50}{SEPARATOR}the answer", f"a{SEPARATOR}{'word ' * 50}"])
    assert [len(row) for row in rows] == [12, 12]
    assert counts == [2, 11]
    assert np.isfinite(embedder.embed([f"a{SEPARATOR}{'word ' * 50}"])).all()


def test_arranging_by_gradients_from_end_to_end(tiny: Path, tmp_path: Path) -> None:
    pool = [{"id": str(n), "prompt": f"{n} + {n}?", "response": str(2 * n)} for n in range(8)]
    pool += [{"id": f"w{n}", "prompt": "Say a word.", "response": word} for n, word in enumerate(["tree", "sea"])]
    target = [{"id": "t0", "prompt": "3 + 4?", "response": "7"}, {"id": "t1", "prompt": "Say one.", "response": "sun"}]
    settings: dict[str, Any] = {"method": "less", "embedder": f"gradients:{tiny}", "device": "cpu", "budget": 5}
    found = righttime.arrange(pool, target, out=tmp_path / "out", cache=tmp_path / "cache", **settings)
    assert len(found) == 5
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["settings"]["text"] == "prompt and response apart"
    with pytest.raises(EmbeddingError, match=r"gradients need a response in every row, but row t2 .* has none"):
        righttime.arrange(pool, [*target, {"id": "t2", "prompt": "5?"}], cache=tmp_path / "cache", **settings)


def test_arranging_by_hidden_states(tiny: Path, tmp_path: Path) -> None:
    rows = righttime.builtin_rows("pool", rows_per_family=1)
    goals = righttime.builtin_rows("target", rows_per_family=1)
    found = righttime.arrange(rows, goals, method="rds", embedder=f"lm:{tiny}", device="cpu", cache=tmp_path)
    assert sorted(found.order.tolist()) == list(range(len(rows)))


@pytest.mark.parametrize("kind", ["lm", "gradients"])
def test_what_a_causal_model_arranged_is_measured_by_its_vectors(tiny: Path, tmp_path: Path, kind: str) -> None:
    from righttime.measures import measure
    from righttime.measures.curves import measure_folders

    rows = {"pool": righttime.builtin_rows("pool", rows_per_family=1)[:9]}
    rows["target"] = righttime.builtin_rows("target", rows_per_family=1)
    for side, some in rows.items():
        (tmp_path / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    sides = tmp_path / "pool.jsonl", tmp_path / "target.jsonl"
    cache, embedder = tmp_path / "cache", embedder_named(f"{kind}:{tiny}", device="cpu")
    found = righttime.arrange(*sides, embedder=f"{kind}:{tiny}", device="cpu", out=tmp_path / "out", cache=cache)
    curves = measure_folders([tmp_path / "out"], sides[1], every=4, cache=cache).whole["out"]
    texts = [texts_for(embedder, "prompt+response", read_rows([side], role="pool").rows) for side in sides]
    vectors = [unit_rows(embedder.embed(some)) for some in texts]
    want = measure(vectors[0][found.order], vectors[1], every=4).columns
    for name, column in want.items():
        assert np.allclose(curves.columns[name], column, atol=1e-5), name
    assert np.isfinite(curves.columns["kl"]).all()


def test_dsir_embeds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **settings: Any) -> None:
        raise AssertionError("no vectors are needed")

    monkeypatch.setattr("righttime.embedding.represent.embed_texts", refuse)
    rows = righttime.builtin_rows("pool", rows_per_family=2)
    found = righttime.arrange(rows, righttime.builtin_rows("target", rows_per_family=1), method="dsir", budget=9)
    assert len(found) == 9


def test_errors_name_the_model(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="'nobody/none' must be a folder, or a causal language model"):
        embedder_named("lm:nobody/none").embed(["hello"])
    with pytest.raises(EmbeddingError, match=r"but no \*\.safetensors is in it"):
        embedder_named(f"gradients:{tmp_path}")
    with pytest.raises(SettingsError, match="`prefix` does not go with gradients:MODEL, got 'q'"):
        embedder_named(f"gradients:{tiny}", prefix="q")
    with pytest.raises(EmbeddingError, match="prompt and response apart"):
        embedder_named(f"gradients:{tiny}").embed(["no separator"])
    with pytest.raises(EmbeddingError, match="keep at least one of the 128 tokens that are read, but '' keeps none"):
        embedder_named(f"gradients:{tiny}").embed([f"a{SEPARATOR}b", f"a{SEPARATOR}"])
    with pytest.raises(EmbeddingError, match="keep at least one of the 1 tokens that are read, but 'b' keeps none"):
        embedder_named(f"gradients:{tiny}", max_length=1).embed([f"a{SEPARATOR}b"])
