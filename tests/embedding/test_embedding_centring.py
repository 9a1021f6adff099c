"""Hidden states of a chosen layer, centred or whitened, against plain computations; and an arrangement made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import righttime
from righttime.cli import main
from righttime.embedding import DEFAULT_MODEL, HiddenStateEmbedder, embedder_named
from righttime.embedding.centring import Centring, fit, mean_cosine, sample_of
from righttime.embedding.represent import amplification, lacking, represent
from righttime.errors import EmbeddingError, NonFiniteError, SettingsError
from righttime.similarity import unit_rows
from righttime.verification.result import check
from tiny_model import save_tiny_model

Vectors = NDArray[np.float32]
ROWS = righttime.builtin_rows("pool", rows_per_family=2)
GOALS = righttime.builtin_rows("target", rows_per_family=1)[:6]
TEXTS = [f"{row['prompt']}\n{row['response']}" for row in ROWS]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


class Drawn:
    """An embedder whose vectors are all nearly alike: a shared direction, and noise of very unequal size."""

    def __init__(self, centring: Centring | None, d: int = 5) -> None:
        self.centring, self._d = centring, d

    @property
    def identity(self) -> dict[str, str | int]:
        return {"model": "drawn", "revision": "1", "max_length": 100, "d": self._d}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def embed(self, texts: Sequence[str]) -> Vectors:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
        noise = np.stack([np.random.default_rng(seed).normal(size=self._d) for seed in seeds])
        return np.asarray(10 + noise * 3.0 ** np.arange(self._d), dtype=np.float32)


def plain_sample(texts: list[str], rows: int, seed: int) -> list[str]:
    """Distinct texts in order of the hash of the seed and of the text's own hash."""

    def rank(text: str) -> bytes:
        return hashlib.sha256(f"{seed} ".encode() + hashlib.sha256(text.encode()).digest()).digest()

    return sorted(set(texts), key=rank)[:rows]


def plain_ledoit_wolf(rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ledoit and Wolf (2004), equation by equation, row by row."""
    n, d = rest.shape
    s: NDArray[np.float64] = rest.T @ rest / n
    m = np.trace(s) / d
    apart = ((s - m * np.eye(d)) ** 2).sum() / d
    noise = sum(((np.outer(row, row) - s) ** 2).sum() / d for row in rest) / n**2
    share = min(noise, apart) / apart
    return np.asarray(share * m * np.eye(d) + (1 - share) * s)


def plain(how: str, vectors: Vectors, sample: Vectors) -> NDArray[np.float64]:
    """Cosines of all pairs after centring, or by the inverse of the covariance."""
    mean = sample.astype(np.float64).mean(axis=0)
    rest = vectors.astype(np.float64) - mean
    weight: NDArray[np.float64] = np.eye(vectors.shape[1])
    if how == "whitened":
        weight = np.asarray(np.linalg.inv(plain_ledoit_wolf(sample.astype(np.float64) - mean)), dtype=np.float64)
    products = rest @ weight @ rest.T
    length = np.sqrt(np.diag(products))
    return np.asarray(products / np.outer(length, length))


@pytest.mark.parametrize("how", ["centred", "whitened"])
def test_centring_is_what_it_says(how: str, tmp_path: Path) -> None:
    texts = [f"text {n % 70}" for n in range(90)]
    embedder = Drawn(Centring(how, sample=40, seed=3))
    done = represent(texts, 60, embedder, tmp_path)
    sample = plain_sample(texts[:60], 40, 3)
    assert np.allclose(np.linalg.norm(done.vectors, axis=1), 1, atol=1e-6)
    want = plain(how, embedder.embed(texts), embedder.embed(sample))
    assert np.abs(done.vectors.astype(np.float64) @ done.vectors.T.astype(np.float64) - want).max() < 1e-5
    about = done.about["centring"]
    assert (about["how"], about["sample"], about["seed"]) == (how, 40, 3)
    assert about["mean_cosine"] == pytest.approx(mean_cosine(unit_rows(embedder.embed(sample))))
    assert abs(about["mean_cosine_after"]) < abs(about["mean_cosine"])
    pairs = plain(how, embedder.embed(sample), embedder.embed(sample))
    assert about["mean_cosine_after"] == pytest.approx((pairs.sum() - 40) / (40 * 39), abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(texts=st.lists(st.text(max_size=3), min_size=1, max_size=40), rows=st.integers(2, 20), seed=st.integers(0, 9))
def test_the_sample_is_of_distinct_texts_whatever_their_order(texts: list[str], rows: int, seed: int) -> None:
    centring = Centring("centred", rows, seed)
    keys = sample_of(texts, centring)
    assert keys == [hashlib.sha256(text.encode()).digest() for text in plain_sample(texts, rows, seed)]
    assert sample_of([*reversed(texts), texts[0]], centring) == keys


@pytest.mark.parametrize("how", ["centred", "whitened"])
def test_company_and_order_change_nothing(how: str, tmp_path: Path) -> None:
    """The same pool in another order, and some rows alone by what the manifest says, have the same vectors."""
    embedder, texts = Drawn(Centring(how, sample=30)), [f"text {n}" for n in range(60)]
    one = represent(texts, 50, embedder, tmp_path)
    turned = represent(texts[49::-1] + texts[50:], 50, embedder, tmp_path)
    assert np.array_equal(one.vectors[:50], turned.vectors[49::-1])
    assert one.about["centring"] == turned.about["centring"]
    some = represent(texts[7:9] + texts[55:], 2, embedder, tmp_path, made=one.about)
    assert np.abs(some.vectors - one.vectors[[7, 8, *range(55, 60)]]).max() < 1e-6
    mapped = represent(texts, 50, embedder, tmp_path, memory=1)
    assert np.array_equal(mapped.vectors, one.vectors)


@pytest.mark.parametrize("how", ["centred", "whitened"])
def test_a_difference_grows_no_more_than_amplification_says(how: str, tmp_path: Path) -> None:
    embedder = Drawn(Centring(how, sample=50), d=8)
    texts = [f"text {n}" for n in range(60)]
    done = represent(texts, 60, embedder, tmp_path)
    statistics = fit(embedder.identity, sample_of(texts, Centring(how, 50)), Centring(how, 50), tmp_path)
    raw, rng = embedder.embed(texts).astype(np.float64), np.random.default_rng(0)
    grown = []
    for _ in range(50):
        off = rng.normal(size=raw.shape)
        off *= 1e-4 * np.linalg.norm(raw, axis=1, keepdims=True) / np.linalg.norm(off, axis=1, keepdims=True)
        moved, after = statistics.moved(raw), statistics.moved(raw + off)  # type: ignore[arg-type]
        square = [np.square(side).sum(axis=1).mean() for side in (after - moved, moved)]
        grown.append(np.sqrt(square[0] / square[1]) / 1e-4)
    assert max(grown) <= amplification(done.about) * 1.1


def test_the_cache_holds_the_models_own_vectors(tiny: str, tmp_path: Path) -> None:
    """So one embedding serves every way of centring."""
    plainly = represent(TEXTS, len(TEXTS), embedder_named(f"lm:{tiny}", device="cpu"), tmp_path)
    centred = represent(TEXTS, len(TEXTS), embedder_named(f"lm:{tiny}#centred,sample=50", device="cpu"), tmp_path)
    assert plainly.about["embedded_now"] == len(set(TEXTS))
    assert centred.about["embedded_now"] == 0
    assert not lacking(TEXTS, 0, embedder_named(f"lm:{tiny}#whitened", device="cpu"), tmp_path).any()
    assert lacking(TEXTS, 0, embedder_named(f"lm:{tiny}#layer=1", device="cpu"), tmp_path).all()


@pytest.mark.parametrize("layer", [1, -2, 2, -1, None])
def test_a_layer_is_that_of_transformers(tiny: str, layer: int | None) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = AutoModel.from_pretrained(tiny).eval(), AutoTokenizer.from_pretrained(tiny)
    got = HiddenStateEmbedder(tiny, device="cpu", layer=layer).embed(TEXTS[:5])
    for text, vector in zip(TEXTS[:5], got, strict=True):
        with torch.no_grad():
            every = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
        states = every[-1 if layer is None else layer][0].double().numpy()
        weight = np.arange(1, len(states) + 1)[:, None] / sum(range(1, len(states) + 1))
        assert np.abs(vector - (weight * states).sum(axis=0)).max() < 1e-5
    identity = HiddenStateEmbedder(tiny, layer=layer).identity
    assert identity.get("layer") == (1 if layer in (1, -2) else None), "the last layer shares the default's cache"


def test_layers_of_another_architecture(tmp_path: Path) -> None:
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2Model

    save_tiny_model(tmp_path)
    vocabulary = len(AutoTokenizer.from_pretrained(tmp_path))
    torch.manual_seed(0)
    model = GPT2Model(GPT2Config(vocab_size=vocabulary, n_embd=8, n_layer=3, n_head=2, n_positions=512)).eval()
    model.save_pretrained(tmp_path)
    got = HiddenStateEmbedder(str(tmp_path), device="cpu", layer=2).embed(["one two three"])
    tokens = AutoTokenizer.from_pretrained(tmp_path)("one two three", return_tensors="pt")
    states = model(**tokens, output_hidden_states=True).hidden_states[2][0].detach().double().numpy()
    weight = np.arange(1, len(states) + 1)[:, None] / sum(range(1, len(states) + 1))
    assert np.abs(got[0] - (weight * states).sum(axis=0)).max() < 1e-5


@pytest.fixture(scope="module")
def arranged(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """An arrangement by centred states of the first layer, and the words that made it."""
    folder = tmp_path_factory.mktemp("arranged")
    for side, rows in (("pool", ROWS), ("target", GOALS)):
        (folder / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["arrange", str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl"), "--device", "cpu"]
    words += ["--embedder", f"lm:{tiny}#layer=1,whitened,sample=40,seed=2", "--cache", str(folder / "cache")]
    assert main([*words, "--out", str(folder / "out")]) == 0
    return folder, words


def test_an_arrangement_by_whitened_states_is_verified(arranged: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, _ = arranged
    about = json.loads((folder / "out" / "manifest.json").read_text())["embedding"]
    assert about["layer"] == 1
    assert about["centring"]["how"] == "whitened"
    for cache in (folder / "cache", tmp_path / "another"):  # warm, and from nothing
        findings = check(folder / "out", cache=cache)
        assert [finding.what for finding in findings if finding.ok is False] == []
    about["centring"]["seed"] = 3
    for changed in ({"centring": about["centring"]}, {"layer": 2}):
        assert "the embedder and what it truncated are as described" in wrong_after(folder / "out", changed, tmp_path)


def wrong_after(out: Path, embedding: dict[str, Any], tmp_path: Path) -> list[str]:
    """What is found wrong once the manifest says something else of the vectors."""
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(out, copy, dirs_exist_ok=True)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["embedding"].update(embedding)
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return [finding.what for finding in check(copy, cache=out.parent / "cache") if finding.ok is False]


def test_what_reads_an_arrangement_again_centres_by_its_sample(
    arranged: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`show`, `similarity` and the page have some of the rows only, and give the similarities that were written."""
    from righttime.measures import measure
    from righttime.measures.curves import measure_folders
    from righttime.report.arranged import arranged_from

    folder, _ = arranged
    made = arranged_from([folder / "out"], cache=folder / "cache")
    assert made.missing == []
    table = righttime.Arrangement.load(folder / "out").to_table()
    first = {name: table[name][0].as_py() for name in ("id", "picked_by", "similarity")}
    capsys.readouterr()
    words = ["show", str(folder / "out"), "--row", first["id"], "--cache", str(folder / "cache"), "--json"]
    assert main(words) == 0
    nearest = json.loads(capsys.readouterr().out)["nearest"]
    assert nearest[0]["similarity"] == pytest.approx(first["similarity"], abs=1e-5)
    curves = measure_folders([folder / "out"], folder / "target.jsonl", cache=folder / "cache", every=len(table))
    assert made.vectors is not None
    order = righttime.Arrangement.load(folder / "out").order
    want = measure(made.vectors.pool[order], made.vectors.target, every=len(table)).columns
    for name, column in want.items():
        assert np.allclose(curves.whole["out"].columns[name], column, atol=1e-5), name
    folders = [folder / "out", folder / "other"]
    words = ["arrange", str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl"), "--device", "cpu"]
    words += [
        "--subsample",
        "50%",
        "--embedder",
        str(json.loads((folder / "out/manifest.json").read_text())["settings"]["embedder"]),
    ]
    assert main([*words, "--cache", str(folder / "cache"), "--out", str(folders[1])]) == 0
    for some, embedder in ((folders, None), (folders[:1], f"lm:{DEFAULT_MODEL}#centred")):
        with pytest.raises(SettingsError, match="only if all were made with them and centred by one sample"):
            measure_folders(some, folder / "target.jsonl", cache=folder / "cache", embedder=embedder)
    with pytest.raises(EmbeddingError, match="whitened by a sample of pool rows that is not in the cache"):
        measure_folders([folder / "out"], folder / "target.jsonl", cache=tmp_path)


def test_the_summary_says_what_centring_did(
    arranged: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, words = arranged
    assert main([*words, "--out", str(folder / "again")]) == 0
    assert "whitened on 40 texts of the pool (seed 2): their mean cosine was" in " ".join(
        capsys.readouterr().out.split()
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("centered", "unknown option of lm:MODEL 'centered': did you mean 'centred'?"),
        ("layer=two", "an option must be layer=L, got 'layer=two'"),
        ("layer", "an option must be given once, as layer=L, got 'layer'"),
        ("centred=1", "an option must be given once, as centred, got 'centred=1'"),
        ("layer=1,layer=2", "an option must be given once, as layer=L"),
        ("centred,whitened", "`sample` and `seed` go with one of centred and whitened, got centred, whitened"),
        ("seed=1", "`sample` and `seed` go with one of centred and whitened, got seed"),
        ("centred,sample=1", "`sample` must be at least 2 texts, got 1"),
        ("centred,seed=-1", "`seed` must be 0 or more, got -1"),
        ("layer=0", "`layer` must be 1 or more, or -1 or less from the end, got 0"),
    ],
)
def test_wrong_options_are_told_before_anything_is_read(
    tiny: str, options: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError) as raised:
        embedder_named(f"lm:{tiny}#{options}")
    assert told in str(raised.value)
    words = ["arrange", "no-such-file", "--target", "none", "--out", "out", "--embedder", f"lm:{tiny}#{options}"]
    assert main(words) != 0
    assert told.split(", got")[0].replace("`layer`", "--layer").replace("`", "--", 0).split("`")[-1][-20:] in " ".join(
        capsys.readouterr().err.split()
    )


def test_layers_that_are_not_there(tiny: str) -> None:
    for layer in (3, -3):
        with pytest.raises(SettingsError, match=f"`layer` must be one of the 2 layers of .*, got {layer}"):
            _ = embedder_named(f"lm:{tiny}#layer={layer}", device="cpu").identity


def test_a_pool_that_cannot_be_centred(tmp_path: Path) -> None:
    embedder = Drawn(Centring("centred"))
    with pytest.raises(EmbeddingError, match="only by a pool of at least 2 different texts, got 1"):
        represent(["same", "same", "other"], 2, embedder, tmp_path)

    class Constant(Drawn):
        def embed(self, texts: Sequence[str]) -> Vectors:
            return np.ones((len(texts), 3), dtype=np.float32)

    with pytest.raises(NonFiniteError, match="a vector must differ from the mean of the sample, but that of row 0"):
        represent(["a", "b"], 2, Constant(Centring("centred"), d=3), tmp_path)
