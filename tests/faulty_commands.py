"""The commands whose faults are tried: small, on made data, each with the folder that it leaves."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from made_experiments import made_data, written
from warm import Ended, Warm

__all__ = ["COMMANDS", "MODELS", "Command", "clear", "contents", "prepare", "save_word_model"]

_VECTORS = ("--embedder", "vectors:both.npz")
_ARRANGE = ("arrange", "pool.jsonl", "--target", "target.jsonl")
_TUNE = ("tune", "OUT", "--model", "tiny", "--learning-rate", "1e-3", "--batch-size", "4")
_MEASURE = ("similarity", "OUT", "--target", "target.jsonl", *_VECTORS)
_PASSING = {"time", "attempts", "superseded", "files", "seconds", "date"}
_PASSING |= {"manifest_sha256", "embedded_now", "from_cache", "cache_damaged"}
"""What a manifest says of how it came about, not of what came out. Files are compared themselves."""


@dataclass(frozen=True)
class Command:
    """A command under test.

    Attributes:
        words: What is typed, after ``righttime``.
        leaves: The folder or folders that it leaves, by which it is judged.
        before: A command that leaves another finished result there first, which this one replaces.
        models: Whether it needs a model.
        points: At most so many places to kill it at, spread evenly; None takes all.
    """

    words: tuple[str, ...]
    leaves: str
    before: tuple[str, ...] | None = None
    models: bool = False
    points: int | None = None


def _replacing(words: Sequence[str], leaves: str, *before: str) -> Command:
    return Command((*words, "--overwrite"), leaves, before=before)


COMMANDS: Mapping[str, Command] = {
    "arrange": Command((*_ARRANGE, *_VECTORS, "--out", "A"), "A"),
    "arrange --overwrite": _replacing(
        (*_ARRANGE, *_VECTORS, "--out", "A"), "A", *_ARRANGE, "--method", "random", "--budget", "9", "--out", "A"
    ),
    "builtin": Command(("builtin", "--rows", "2", "--out", "B"), "B"),
    "builtin --overwrite": _replacing(("builtin", "--rows", "2", "--out", "B"), "B", "builtin", "--seed=9", "--out=B"),
    "split": Command(("split", "pool.jsonl", "--count", "1", "--out", "S"), "S"),
    "split --overwrite": _replacing(
        ("split", "pool.jsonl", "--count", "1", "--out", "S"), "S", "split", "pool.jsonl", "--count=2", "--out=S"
    ),
    "similarity": Command((*_MEASURE, "--out", "M"), "M", points=20),
    "similarity --overwrite": Command(
        (*_MEASURE, "--out", "M", "--overwrite"), "M", (*_MEASURE, "--every", "7", "--out", "M"), points=10
    ),
    "guard": Command(("guard", "pool.jsonl", "--target", "target.jsonl", "--remove", "--out", "G"), "G"),
    "guard --overwrite": _replacing(
        ("guard", "pool.jsonl", "--target", "target.jsonl", "--out", "G"),
        "G",
        *("guard", "pool.jsonl", "--target", "target.jsonl", "--remove", "--out", "G"),
    ),
    "export": Command(("export", "OUT", "--to", "messages", "--out", "E"), "E"),
    "export --overwrite": _replacing(
        ("export", "OUT", "--to", "messages", "--out", "E"),
        "E",
        *("export", "OUT", "--to", "messages", "--eval", "target.jsonl", "--out", "E"),
    ),
    "arrange, embedding": Command((*_ARRANGE, "--embedder", "words", "--out", "L"), "L", models=True),
    "tune": Command(
        (*_TUNE, "--out", "R", "--target", "target.jsonl", "--evaluate-every", "5", "--save-every", "4"),
        "R",
        models=True,
        points=40,
    ),
    "tune --rearrange-every": Command(
        (*_TUNE, "--out", "R", "--rearrange-every", "1", "--save-every", "3"), "R", models=True, points=20
    ),
    "tune --overwrite": Command(
        (*_TUNE, "--out", "R", "--save-every", "7", "--overwrite"),
        "R",
        before=(*_TUNE, "--out", "R", "--seed", "5", "--target", "target.jsonl", "--evaluate-every", "8"),
        models=True,
        points=20,
    ),
    "evaluate": Command(
        ("evaluate", "RUN", "--target", "target.jsonl", "--set", "other=other.jsonl", "--out", "V"), "V", models=True
    ),
    "evaluate --overwrite": Command(
        ("evaluate", "RUN", "--target", "target.jsonl", "--out", "V", "--overwrite"),
        "V",
        before=("evaluate", "RUN", "--target", "target.jsonl", "--set", "other=other.jsonl", "--out", "V"),
        models=True,
    ),
    "compare": Command(("compare", "random=RUN", "tma=RUN2", "--out", "C"), "C", models=True, points=20),
    "compare --overwrite": Command(
        ("compare", "random=RUN", "tma=RUN2", "--out", "C", "--overwrite"),
        "C",
        before=("compare", "random=RUN", "other=RUN2", "--out", "C"),
        models=True,
        points=10,
    ),
    "experiment": Command(("experiment", "experiment.yaml", "--out", "X"), "X", models=True, points=20),
}
"""By what a person would call them."""
MODELS = tuple(name for name, command in COMMANDS.items() if command.models)


def prepare(warm: Warm, models: bool = False) -> None:
    """Make what the commands read: rows, vectors, an arrangement, and with models a model and two runs of it."""
    here = warm.here
    made_data(here, n_pool=30, n_target=9)
    _do(warm, *_ARRANGE, *_VECTORS, "--out", "OUT")
    if not models:
        return
    from tiny_model import save_tiny_model

    save_tiny_model(here / "tiny")
    save_word_model(here / "words")
    written(here, "tiny", replicates=1, orders={"random": {}, "tma": {}}, judge=None)
    ways = ("--target", "target.jsonl", "--evaluate-every", "3", "--save-every", "4")
    for name, seed in (("RUN", "1"), ("RUN2", "2")):
        _do(warm, *_ARRANGE, "--method", "random", "--seed", seed, "--budget", "24", "--out", f"{name}-order")
        _do(warm, "tune", f"{name}-order", *_TUNE[2:], "--out", name, *ways)


def save_word_model(folder: Path) -> None:
    """A sentence-transformers model that is the mean of its words' vectors; the same bytes every time."""
    import numpy as np
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = ["[UNK]", "add", "sort", "spell", "pool", "target", "number", "the", "answer", "is", *map(str, range(60))]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vectors = np.random.default_rng(0).normal(size=(len(words), 16)).astype(np.float32)
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu").save(str(folder))


def _do(warm: Warm, *words: str) -> Ended:
    done = warm.run(words)
    assert done.code == 0, (words, done.err)
    return done


def clear(here: Path, command: Command) -> None:
    """Take away what a command left, and its cache."""
    for name in (command.leaves, "cache"):
        shutil.rmtree(here / name, ignore_errors=True)


def contents(folder: Path) -> dict[str, Any]:
    """What a folder holds, file by file, but for when and in how many attempts it was made."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.name.endswith(".lock") and not _is_passing(name):
            found[name] = _content(path)
    return found


def _is_passing(name: str) -> bool:
    """Logs of attempts, of which there are more after a kill; `consumed.parquet` is what counts in them."""
    folders, last = name.split("/")[:-1], name.split("/")[-1]
    return "consumed" in folders or last == "took.json" or last in ("trainer_state.json", "log.txt")


def _content(path: Path) -> Any:
    if path.name == "consumed.parquet":
        with contextlib.suppress(OSError, ValueError, KeyError):
            lines = pq.read_table(path).to_pylist()
            return [{**line, "attempt": 0} for line in lines if not line["superseded"]]
    if path.name in ("manifest.json", "complete.json", "compare.json", "draw.json"):
        with contextlib.suppress(ValueError):  # damaged
            return _lasting(json.loads(path.read_bytes()))
    return sha256(path.read_bytes()).hexdigest()


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(one) for name, one in value.items() if name not in _PASSING}
    return [_lasting(one) for one in value] if isinstance(value, list) else value


Differ = Callable[[Mapping[str, Any], Mapping[str, Any]], list[str]]


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The files in which two folders differ."""
    return sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
