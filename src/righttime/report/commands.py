"""The commands that make results again, as a shell takes them: of what the defaults are not, every option."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from righttime.analysis import PRIMARY
from righttime.evaluation.manifest import EvaluationManifest
from righttime.measures.finished import FinishedMeasures
from righttime.results import FinishedResult
from righttime.results.request import Request
from righttime.training.adapters import Lora
from righttime.training.settings import TuneSettings

__all__ = ["arrange_again", "compare_again", "in_folder", "measure_again", "tune_again"]

_ELSEWHERE = {"params", "workers", "device", "memory", "engine"}  # said apart, or no part of a result


def in_folder(folder: str | Path | None, words: Sequence[str]) -> str:
    """A command as lines of a shell: into the folder first, where it is known."""
    into = f"cd {shlex.quote(str(folder))}\n" if folder else ""
    return into + shlex.join(words)


def arrange_again(one: FinishedResult) -> str:
    """The commands that arrange the same data in the same way; empty where it was not read from files."""
    manifest, given = one.manifest, one.manifest.given
    if not given.pool or not given.target or manifest.own_embedder:
        return ""
    words = ["righttime", "arrange", *map(_path, given.pool)]
    words += _each("target", given.target)
    words += [word for option in _of_request(manifest.settings) for word in option]
    words += _option("as", "original") if manifest.form == "original" else []
    return in_folder(given.folder, [*words, *_option("out", one.folder.name)])


def _path(name: str) -> str:
    """A name that no option is: one that begins with a dash lies in this folder."""
    return f"./{name}" if name.startswith("-") else name


def _of_request(settings: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """The options that decide a result and differ from the defaults."""
    defaults = Request()
    asked = {**settings, "budget": settings.get("budget_asked"), "text": settings.get("text_asked")}
    asked["seed"] = asked.get("seed") or None  # 0 is what it is without one
    for name, value in asked.items():
        if name not in _ELSEWHERE and hasattr(defaults, name) and value not in (None, "", {}, getattr(defaults, name)):
            if name == "rounds":
                value = f"{value[0]}:{'' if value[1] is None else value[1]}"
            if name == "target_weight":  # given once for each
                yield _each(name, [f"{key}={weight}" for key, weight in value.items()])
            else:
                yield _option(name, value)
    for key, value in (settings.get("params") or {}).items():
        if value is not None:
            yield _option("param", f"{key}={value}")


def _option(name: str, value: Any) -> Sequence[str]:
    flag = "--" + name.replace("_", "-")
    if value is True:
        return [flag]
    if isinstance(value, Mapping):
        value = ",".join(f"{key}={one}" for key, one in value.items())
    return [flag, str(value)]


def _each(name: str, values: Iterable[str]) -> list[str]:
    """An option that is given once for each value."""
    return [word for value in values for word in _option(name, value)]


_OPTIONS = {
    "batch": "batch_size",
    "shuffle_after": "curriculum_then_shuffle",
    "rank": "lora_rank",
    "rearrange_pool": "pool",
    "base": "lora_base",
}
_ARITHMETIC = {"bf16": "bfloat16"}
_CANNOT = ("min_rate", "betas", "eps", "weight_decay", "clip", "log_every")
"""Settings of tuning that the command line has no option for."""


def tune_again(
    settings: TuneSettings,
    model: str,
    arrangement: str,
    run: str,
    evaluation: EvaluationManifest | None,
    world: int = 1,
) -> str:
    """The command that tunes the same model in the same way; empty where the command line cannot say it.

    Args:
        settings: All settings.
        model: The model that was tuned.
        arrangement: The arrangement's folder.
        run: The run's folder.
        evaluation: What was measured as it trained; None where nothing was.
        world: How many processes trained.
    """
    plain = TuneSettings()
    if world != 1 or any(getattr(settings, name) != getattr(plain, name) for name in _CANNOT):
        return ""
    adapters = settings.lora
    if adapters is not None and (adapters.alpha != 2 * adapters.rank or adapters.dropout != Lora().dropout):
        return ""
    measured = _measured(evaluation)
    if measured is None:
        return ""
    words = ["righttime", "tune", _path(arrangement), *_option("model", model)]
    for entry in dataclasses.fields(settings):
        value = getattr(settings, entry.name)
        if entry.name not in _CANNOT and value not in (None, getattr(plain, entry.name)):
            words += _of_tuning(entry.name, value)
    words += _option("keep", 0) if settings.keep is None else []
    return shlex.join([*words, *measured, *_option("out", run)])


def _of_tuning(name: str, value: Any) -> Sequence[str]:
    if name == "lora":
        return [*_option("lora", True), *_of_lora(value)]
    if name == "save_model":
        return _option("no_model", True)
    if name == "report_to":
        return _each(name, value)
    if name == "seed" and value == 0:  # what it is without one
        return []
    return _option(_OPTIONS.get(name, name), _ARITHMETIC.get(value, value))


def _of_lora(adapters: Lora) -> Iterator[str]:
    for name in ("rank", "dora", "rank_stabilised", "base"):
        value = getattr(adapters, name)
        if value != getattr(Lora(), name):
            yield from _option(_OPTIONS.get(name, name), _ARITHMETIC.get(value, value))
    yield from _each("target_modules", adapters.target_modules or ())


def _measured(evaluation: EvaluationManifest | None) -> Sequence[str] | None:
    """The options of what is measured as a model is tuned; None where they cannot be told."""
    if evaluation is None:
        return []
    every, at, sets = evaluation.settings.every, evaluation.settings.at, evaluation.inputs
    if (every is None and not at) or "target" not in sets or evaluation.settings.metrics != (PRIMARY,):
        return None
    words = _each("target", [file.path for file in sets["target"]])
    for name, files in sets.items():
        if name != "target" and len(files) != 1:
            return None
        words += [] if name == "target" else _option("set", f"{name}={files[0].path}")
    words += [] if every is None else _option("evaluate_every", every)
    return [*words, *(_option("evaluate_at", ",".join(map(str, at))) if at else [])]


def measure_again(found: FinishedMeasures) -> str:
    """The command that measures the same arrangements."""
    words = ["righttime", "similarity", *(_path(one.path) for one in found.arrangements)]
    words += _each("target", [file.path for file in found.target])
    for name in ("every", "per_task", "kl_over_occurrences"):
        if value := found.settings.get(name):
            words += _option(name, value)
    return shlex.join([*words, *_option("out", found.folder.name)])


def compare_again(folder: Path, baseline: str, judge: str, runs: Iterable[tuple[str, str]]) -> str:
    """The command that compares the same runs.

    Args:
        folder: Where the comparison lies.
        baseline: What the others are compared with.
        judge: The set whose loss decides.
        runs: The order and the folder of each run, replicate by replicate.
    """
    words = ["righttime", "compare", *(f"{name}={run}" for name, run in runs)]
    how = {"baseline": baseline, "judge": judge, "out": folder.name}
    return shlex.join([*words, *(word for name, value in how.items() for word in _option(name, value))])
