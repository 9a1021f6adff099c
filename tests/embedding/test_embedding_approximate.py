"""Embedders that stand in for the float32 model: half precision, int8 and static, and how far they agree with it."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import righttime
from righttime.embedding import Int8Embedder, embed_texts, embedder_named, fidelity_on, int8, load_embedder, static
from righttime.embedding.fidelity import compare_vectors
from righttime.embedding.models import DEFAULT_MODEL, SentenceTransformerEmbedder
from righttime.errors import EmbeddingError, SettingsError

ROWS = [
    {"prompt": f"{verb} {number} {thing}.", "response": f"{number} {thing}"}
    for verb in ("Count", "Name", "Sell")
    for number in ("two", "five", "ninety")
    for thing in ("ships", "pears", "rivers of the north")
]
TEXTS = [f"{row['prompt']} {row['response']}" for row in ROWS]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the module: exporting and distilling take a while."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def kept(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHTTIME_CACHE", str(models))


@pytest.mark.parametrize(("precision", "least"), [("float16", 0.99999), ("bfloat16", 0.9999)])
def test_half_precision_is_near_and_has_a_cache_of_its_own(tmp_path: Path, precision: str, least: float) -> None:
    half, full = load_embedder(device="cpu", precision=precision), load_embedder(device="cpu")
    assert half.identity == {**full.identity, "dtype": precision}
    one, other = (embed_texts(TEXTS, embedder, tmp_path) for embedder in (half, full))
    assert other.n_embedded == len(TEXTS), "nothing is shared"
    assert one.vectors.dtype == np.float32
    found = compare_vectors(one.vectors, other.vectors)
    assert found.cosine_min is not None
    assert least < found.cosine_min < 1
    assert half.reference is not None
    assert half.reference.identity == full.identity
    assert full.reference is None


def test_a_copy_for_another_process_leaves_the_loaded_model_behind() -> None:
    embedder = load_embedder(device="cpu")
    want = embedder.embed(TEXTS[:2])
    sent = pickle.dumps(embedder)
    assert len(sent) < 100_000
    assert np.array_equal(pickle.loads(sent).for_worker(1).embed(TEXTS[:2]), want)


@pytest.mark.slow
def test_int8_is_near_says_how_near_and_is_made_once(kept: None, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    embedder = embedder_named(DEFAULT_MODEL, precision="int8")
    assert isinstance(embedder, Int8Embedder)
    assert embedder.identity["dtype"] == "int8"
    full = load_embedder(device="cpu")
    one, other = (embed_texts(TEXTS, way, tmp_path).vectors for way in (embedder, full))
    found = compare_vectors(one, other)
    assert found.cosine_min is not None
    assert 0.95 < found.cosine_min < 0.99999
    monkeypatch.setattr(int8, "_make", lambda *_: pytest.fail("made again"))
    again = pickle.loads(pickle.dumps(embedder))
    assert np.array_equal(again.embed(TEXTS[:3]), embedder.embed(TEXTS[:3]))
    long = "word " * 400
    assert embedder.lengths([long]) == full.lengths([long])
    assert compare_vectors(embedder.embed([long, *TEXTS]), full.embed([long, *TEXTS])).cosine_min > 0.95  # type: ignore[operator]


def test_a_damaged_int8_model_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path))
    made: list[Path] = []

    def make(embedder: Any, path: Path) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"a quantised model")
        int8._mark(path).write_text(hashlib.sha256(b"a quantised model").hexdigest())
        made.append(path)

    monkeypatch.setattr(int8, "_make", make)
    for content, times in ((None, 1), (None, 1), (b"b quantised model", 2)):
        if content:
            made[0].write_bytes(content)
        assert Int8Embedder(DEFAULT_MODEL)._file.read_bytes() == b"a quantised model"
        assert len(made) == times
    int8._mark(made[0]).unlink()
    assert Int8Embedder(DEFAULT_MODEL)._file.exists()
    assert len(made) == 3, "a file of an earlier version bears no hash"


def test_int8_of_a_model_whose_export_is_wrong_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(int8, "_export", lambda model, path: None)
    monkeypatch.setattr(int8, "_session", lambda path: None)
    monkeypatch.setattr(int8, "_run", lambda *_: np.random.default_rng(0).normal(size=(len(int8.PROBES), 384)))
    with pytest.raises(EmbeddingError, match=r"must give the model's own vectors .* at least 0\.9999, got -?0\.\d"):
        Int8Embedder(DEFAULT_MODEL).embed(TEXTS)
    assert not list(tmp_path.glob("**/*.onnx"))


def test_int8_is_for_plain_models_and_cpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="Transformer, Pooling and perhaps Normalize, got Transformer, Dense"):
        int8._export([type("Transformer", (), {})(), type("Dense", (), {})()], tmp_path / "x.onnx")
    with pytest.raises(SettingsError, match="runs on CPUs only, got `device='cuda'`"):
        Int8Embedder(DEFAULT_MODEL, device="cuda")
    monkeypatch.setattr(int8, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"onnx is not installed.*righttime\[onnx\]"):
        Int8Embedder(DEFAULT_MODEL)


class Lengthy:
    """Ten axes by the text's length: a reference that is cheap."""

    identity: Mapping[str, str | int] = {"model": "lengthy", "revision": "1", "max_length": 5}

    def __init__(self, shift: float = 0.0) -> None:
        self.shift = shift

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([np.cos(np.arange(10) * len(text) + self.shift) + 2 for text in texts], dtype=np.float32)


def test_agreement_takes_a_sample_and_keeps_rows_together() -> None:
    texts = ["w" * length for length in range(1, 400)]
    same = fidelity_on(texts, Lengthy(), Lengthy())
    assert same is not None
    assert same.rows == 64
    assert same.cosine_min == pytest.approx(1, abs=1e-6)
    assert same.neighbours_shared == 1
    assert same.similarity_correlation == pytest.approx(1)
    assert fidelity_on(texts, Lengthy()) is None, "it stands in for nothing"
    other = fidelity_on(texts, Lengthy(0.3), Lengthy())
    assert other is not None
    assert other.cosine_mean is not None
    assert 0.5 < other.cosine_mean < 0.999
    assert "on 64 of these rows: cosine 0." in str(other)
    assert fidelity_on(["a"] * 100, Lengthy(), Lengthy()) is None, "too few to tell"


def test_vectors_of_other_dimensions_have_no_cosine() -> None:
    vectors = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    wide = np.concatenate([vectors, np.zeros((40, 2), dtype=np.float32)], axis=1)
    found = compare_vectors(vectors, wide)
    assert (found.cosine_mean, found.cosine_min, found.neighbours_shared) == (None, None, 1)
    assert "cosine" not in str(found)


def test_the_manifest_and_the_screen_say_how_near_half_precision_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from righttime.cli import main

    for name in ("pool", "target"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS[name == "target" :: 2]))
    words = ["arrange", str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl"), "--device", "cpu"]
    assert main([*words, "--precision", "bfloat16", "--out", str(tmp_path / "out")]) == 0
    assert "stands in for the float32 model; on 27 of these rows: cosine" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["embedding"]["dtype"] == "bfloat16"
    assert manifest["settings"]["precision"] == "bfloat16"
    assert manifest["embedding"]["agreement"]["rows"] == 27
    assert main([*words, "--precision", "float8", "--out", str(tmp_path / "no")]) == 2
    said = capsys.readouterr().err
    assert "Invalid value for '--precision': 'float8' is not one of 'float32', 'bfloat16', 'float16', 'int8'." in said


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"embedder": "lm:x", "precision": "float16"}, "`precision` is for sentence-transformers models"),
        ({"embedder": "vectors:x.npy", "precision": "int8"}, "`precision` is for models that are named"),
        ({"workers": 0}, "`workers` must be at least 1, got 0"),
        ({"embedder": "static", "prefix": "q"}, r"`prefix` does not go with static\[:MODEL\]"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        righttime.arrange(ROWS, ROWS[:3], **settings)


def test_static_without_its_libraries_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"model2vec is not installed.*righttime\[static\]"):
        static.StaticEmbedder()


@pytest.mark.slow
def test_a_static_embedder_is_distilled_once_and_used(kept: None, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("model2vec")
    pytest.importorskip("skeletoken")
    embedder = embedder_named("static")
    assert isinstance(embedder, static.StaticEmbedder)
    done = embed_texts([*TEXTS, "word " * 3000], embedder, tmp_path)
    assert done.vectors.shape == (len(TEXTS) + 1, static.DIMENSIONS)
    assert done.lengths[-1] == 3000, "all of it is read"
    assert embedder.identity["model"] == f"static:{DEFAULT_MODEL}"
    weights = [path.name for path in Path(embedder.found.path).iterdir() if path.suffix not in (".json", ".md")]
    assert weights == ["model.safetensors"], "no pickle"
    found = fidelity_on(TEXTS, embedder, embedder.reference)
    assert found is not None
    assert found.similarity_correlation > 0
    assert found.cosine_mean is None
    monkeypatch.setattr(static, "_distil", lambda *_: pytest.fail("distilled again"))
    again = pickle.loads(pickle.dumps(static.StaticEmbedder()))
    assert again.identity == embedder.identity
    assert np.array_equal(again.embed(TEXTS), embedder.embed(TEXTS))


def test_unknown_precisions_are_refused_by_the_class_too() -> None:
    with pytest.raises(SettingsError, match="unknown precision 'float64'"):
        SentenceTransformerEmbedder(precision="float64")
