"""The files of a model's folder: which of them decide what the model does, and that none of them can run code.

Unpickling runs code that the file brings along, so weights must be safetensors. Pickles hide: behind an index of
shards, behind the base of an adapter, in a module's folder, or behind a class that a configuration names. Libraries
differ by version in what they refuse, so all of it is refused here, before anything is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from righttime import strict_json
from righttime.errors import RighttimeError
from righttime.store import files_sha256

__all__ = ["fetched", "model_sha256", "require_safe"]

_PICKLED = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"})
_NOT_LOADED = _PICKLED | {".h5", ".msgpack", ".ot", ".onnx", ".md"}
_NOT_THE_MODEL = re.compile(r"\.|checkpoint-\d+$|onnx$|openvino$")
"""Names, from their start, of files and folders beside a model that are no part of it."""
_OWN_CLASS = re.compile(r"sentence_transformers(\.\w+)+")
_ACTIVATION = re.compile(r"torch\.nn(\.modules\.(activation|linear))?\.[A-Z]\w*")
_SHARD = re.compile(r".+\.safetensors")
_WEIGHTS = re.compile(r".+\.safetensors(\.index\.json)?")
_ADAPTER = "adapter_config.json"
_DEEPEST = 4  # an adapter of an adapter of an adapter is more than there is


def model_sha256(folder: Path) -> str:
    """The sha256 of every file that decides what a model does: weights, tokenizer, configurations, of all its modules.

    Pickled weights, weights for other libraries and texts for people are left out: they are never loaded. The base of
    an adapter counts as well, where it is a folder.

    Raises:
        StoreError: If a file cannot be read.
    """
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and path.suffix not in _NOT_LOADED and not any(map(_NOT_THE_MODEL.match, inside)):
            found.append(path)
    digest = files_sha256(folder, found)
    base = _base_of(folder, RighttimeError)
    # A folder is no base of itself: adapters beside whole weights are loaded onto these.
    if base and Path(base).is_dir() and Path(base).resolve() != folder.resolve():
        return f"{digest}+{model_sha256(Path(base))}"
    return digest


def fetched(name: str, error: type[RighttimeError], *, whole: bool = False) -> str:
    """Make sure that a model is safe to load: a folder, or a hub name, of which what must be looked at is fetched.

    Args:
        name: A folder or a hub name.
        error: The kind of error to raise.
        whole: Fetch the whole model of a hub name, without pickled weights, not only its configurations.

    Returns:
        What to load: with `whole` the folder, else the name. A hub name that cannot be fetched is returned as it is.

    Raises:
        RighttimeError: Of that kind, as `require_safe`.
    """
    if Path(name).is_dir():
        require_safe(Path(name), error)
        return name
    from huggingface_hub import snapshot_download

    wanted: dict[str, Any] = {"allow_patterns": ["*.json", "adapter_model.safetensors"]}
    if whole:
        wanted = {"ignore_patterns": [*(f"*{suffix}" for suffix in sorted(_NOT_LOADED)), "onnx/*", "openvino/*"]}
    try:
        folder = snapshot_download(name, **wanted)
    except Exception:  # an invalid name, or nothing cached: loading it will say so
        return name
    require_safe(Path(folder), error)
    return folder if whole else name


def require_safe(folder: Path, error: type[RighttimeError], *, depth: int = 0) -> None:
    """Make sure that loading a model from a folder runs no code of the folder's.

    Args:
        folder: The folder; that it holds weights at all is not looked at.
        error: The kind of error to raise.
        depth: How many adapters led here.

    Raises:
        RighttimeError: Of that kind: if weights are pickled or lie outside the folder, if a module's class is not
            sentence-transformers' own, or if a configuration is not readable. It names the file.
    """
    for place in _module_folders(folder, error):
        if place.is_symlink():
            raise error(f"{place} must be a folder, got a link to one. Hint: copy what it leads to.")
        _require_no_pickle(place, error)
        _require_shards_inside(place, error)
        _require_no_kernel(place, error)
        _require_adapter(place, error, depth)


def _module_folders(folder: Path, error: type[RighttimeError]) -> Iterator[Path]:
    """The folders that are loaded: the model's own, and those of its modules, their classes looked at."""
    yield folder
    modules = _json(folder / "modules.json", list, error) or []
    for entry in modules:
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str):
            raise error(f"{folder / 'modules.json'} must name the path of every module, got {entry!r}.")
        _require_own(entry.get("type"), folder / "modules.json", error)
        place = _inside(folder, path, folder / "modules.json", error)
        if path not in ("", "."):
            yield place
        yield from _within(place, error)


def _within(place: Path, error: type[RighttimeError]) -> Iterator[Path]:
    """What a module is made of in turn; its configurations name no code."""
    config = _json(place / "config.json", dict, error) or {}
    router = _json(place / "router_config.json", dict, error) or {}
    activation = config.get("activation_function")
    if activation is not None and "in_features" in config and not _ACTIVATION.fullmatch(str(activation)):
        raise error(
            f"{place / 'config.json'} must name an activation of torch.nn, got {activation!r}: a class from elsewhere "
            "would be code."
        )
    words = _json(place / "wordembedding_config.json", dict, error)
    if words is not None:
        _require_own(words.get("tokenizer_class"), place / "wordembedding_config.json", error)
    for file, found in (("config.json", config), ("router_config.json", router)):
        types = found.get("types")
        for name, kind in types.items() if isinstance(types, dict) else ():
            _require_own(kind, place / file, error)
            inner = _inside(place, name, place / file, error)
            yield inner
            yield from _within(inner, error)


def _require_own(kind: object, file: Path, error: type[RighttimeError]) -> None:
    if not (isinstance(kind, str) and _OWN_CLASS.fullmatch(kind)):
        raise error(
            f"{file} must name classes of sentence_transformers alone, got {kind!r}: a class from elsewhere would be "
            "code. Hint: models that bring their own code are not loaded."
        )


def _inside(folder: Path, name: str, file: Path, error: type[RighttimeError]) -> Path:
    """What a name in a file leads to, if that lies in the folder."""
    if name.startswith(("/", "\\")) or ":" in name or ".." in re.split(r"[/\\]", name):
        raise error(f"{file} must name what lies in {folder}, got {name!r}.")
    return folder / name


def _require_no_pickle(place: Path, error: type[RighttimeError]) -> None:
    """A pickle may lie beside weights that are loaded in its stead, such as a trainer's state, and not without them."""
    files = sorted(path.name for path in place.iterdir() if path.is_file()) if place.is_dir() else []
    pickled = [name for name in files if Path(name).suffix in _PICKLED]
    # Modules of sentence-transformers look for these two names alone, whatever else lies there.
    instead = re.compile(r"model\.safetensors") if "pytorch_model.bin" in files else _WEIGHTS
    if pickled and not any(map(instead.fullmatch, files)):
        raise error(
            f"{place} must hold weights as model.safetensors, got {pickled[0]} without: pickled weights can run code. "
            "Hint: save the model again with save_pretrained, from where you trust it."
        )


def _require_shards_inside(place: Path, error: type[RighttimeError]) -> None:
    for file in sorted(place.glob("*.safetensors.index.json")):
        index = _json(file, dict, error) or {}
        shards = index.get("weight_map")
        for name in dict.fromkeys(map(str, shards.values())) if isinstance(shards, dict) else ():
            _inside(place, name, file, error)
            _require_safetensors(name, _SHARD, file, error)
    config = _json(place / "config.json", dict, error) or {}
    explicit = config.get("transformers_weights")
    if explicit is not None:
        if PurePosixPath(str(explicit)).name != explicit:
            raise error(f"{place / 'config.json'} must name weights that lie beside it, got {explicit!r}.")
        _require_safetensors(explicit, _WEIGHTS, place / "config.json", error)


def _require_safetensors(name: str, wanted: re.Pattern[str], file: Path, error: type[RighttimeError]) -> None:
    if not wanted.fullmatch(name):
        raise error(f"{file} must name weights as *.safetensors, got {name!r}: pickled weights can run code.")


def _require_no_kernel(place: Path, error: type[RighttimeError]) -> None:
    """Attention by the name of a repository is compiled code from there."""
    for file in (place / "config.json", *sorted(place.glob("sentence_*_config.json"))):
        left: list[Any] = [_json(file, dict, error)]
        while left:
            value = left.pop()
            if isinstance(value, dict):
                left += value.values()
                named = [str(value.get(key)) for key in ("attn_implementation", "_attn_implementation")]
                foreign = [name for name in named if "/" in name]
                if foreign:
                    raise error(f"{file} must not name attention from elsewhere, got {foreign[0]!r}: it would be code.")
            elif isinstance(value, list):
                left += value


def _require_adapter(place: Path, error: type[RighttimeError], depth: int) -> None:
    """An adapter's own weights are safetensors, and so are those of its base."""
    base = _base_of(place, error)
    if base is None:
        return
    if not (place / "adapter_model.safetensors").is_file():
        raise error(
            f"{place} must hold the adapter as adapter_model.safetensors, got none: pickled weights can run code. "
            "Hint: save it again with save_pretrained, from where you trust it."
        )
    if not base or (Path(base).is_dir() and Path(base).resolve() == place.resolve()):
        return
    if depth >= _DEEPEST:
        raise error(f"{place / _ADAPTER} must name a base model, got an adapter of an adapter, {depth} times over.")
    if Path(base).is_dir():
        require_safe(Path(base), error, depth=depth + 1)
    else:
        fetched(base, error)


def _base_of(place: Path, error: type[RighttimeError]) -> str | None:
    """The base that an adapter names, as a folder or a hub name; None where there is no adapter."""
    adapter = _json(place / _ADAPTER, dict, error)
    return None if adapter is None else str(adapter.get("base_model_name_or_path") or "")


def _json(file: Path, kind: type, error: type[RighttimeError]) -> Any:
    """What a JSON file holds; None where there is no such file."""
    try:
        found = strict_json.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as problem:
        raise error(f"{file} must be readable JSON, got: {problem}.") from problem
    if not isinstance(found, kind):
        wanted = "an object" if kind is dict else "a list"
        raise error(f"{file} must hold {wanted}, got {type(found).__name__}.")
    return found
