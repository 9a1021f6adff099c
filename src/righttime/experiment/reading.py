"""An experiment's file, checked whole: every problem is found before the first is told."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from righttime.analysis.comparable import PRIMARY
from righttime.arrangement.budget import read_budget
from righttime.choices import Guard
from righttime.embedding.combined import PREFIX as COMBINED
from righttime.embedding.combined import joined, weighted_parts
from righttime.errors import RighttimeError, SettingsError
from righttime.evaluation.registry import OWN_METRICS
from righttime.experiment.settings import ALL, Evaluation, Experiment, HoldOut, Order, Priority, Source, settings_of
from righttime.experiment.yaml_lines import Entry, changed, expanded, read_yaml
from righttime.results import Request
from righttime.sampling import check_subsample
from righttime.training.adapters import Lora
from righttime.training.settings import TuneSettings

__all__ = ["part_of", "read_experiment", "share_of", "tuning_in"]

T = TypeVar("T")
_EMBEDDING = {"embedder", "target_embedder", "text", "prefix", "max_length", "device", "precision", "workers"}
_OURS = {"subsample", "tokenizer", "max_tokens", "format", "target_format", "task_field", "fields", "target_fields"}
_ARRANGING = (
    {entry.name for entry in dataclasses.fields(Request)} - _OURS - {"positive_examples", "bad_rows", "repeated_ids"}
)
_TUNING = {entry.name for entry in dataclasses.fields(TuneSettings)} - {"batch", "save_model", "report_to"}
_TUNING |= {"batch_size", "preset"}
_ARITHMETIC = {"bfloat16": "bf16"}
_FIRST = ("pool", "target", "model", "budget", "orders")


def read_experiment(path: Path, changes: Sequence[str] = ()) -> Experiment:
    """Read an experiment from a YAML file.

    Args:
        path: The file; relative paths in it are meant from its folder.
        changes: Each ``a.b=value``: what is to differ from the file.

    Raises:
        SettingsError: If anything is wrong; names every line that is.
    """
    root, missing = expanded(changed(read_yaml(path), list(changes)))
    reader = _Reader(path, [(line, what) for line, what in missing])
    found = reader.experiment(root)
    if reader.problems or found is None:
        raise SettingsError(_told(path, reader.problems), file=path, line=min(reader.problems)[0])
    return found


def tuning_in(words: Sequence[str]) -> TuneSettings:
    """Settings of tuning from the command line, named as under ``tuning`` in a file.

    Args:
        words: Each ``name=value``, the value in YAML; adapters as ``lora=true`` or ``lora.rank=32``.

    Raises:
        SettingsError: If one is not in that form, unknown or out of range; names all.
    """
    entry, reader = changed(Entry({}, 0), list(words)), _Reader(Path(), [])
    found = reader.tuning(entry, "tuning")
    if not reader.problems:
        reader.tried(entry, "", lambda: settings_of(found, 0, True))
    if reader.problems:
        raise SettingsError("; ".join(dict.fromkeys(what for _, what in reader.problems)))
    return settings_of(found, 0, True)


def _as_settings(kind: Any) -> Any:
    """A kind of numbers as runs' folders have it."""
    return _ARITHMETIC.get(kind, kind) if isinstance(kind, str) else kind


def _told(path: Path, problems: Sequence[tuple[int, str]]) -> str:
    """Every problem in one text, by line."""
    lines = [f"{path}:{line}: {what}" if line else f"`changes`: {what}" for line, what in sorted(problems)]
    if len(lines) == 1:
        return lines[0]
    return f"{path} must be an experiment, but {len(lines)} things are wrong:\n" + "\n".join(lines)


class _Reader:
    """Takes a file apart, and collects what is wrong with it."""

    def __init__(self, path: Path, problems: list[tuple[int, str]]) -> None:
        self._path, self._base, self.problems = path, path.resolve().parent, problems

    def _wrong(self, entry: Entry, what: str) -> None:
        self.problems.append((entry.line, what.replace("`", "'")))  # names of the file, not flags

    def experiment(self, root: Entry) -> Experiment | None:
        known = [entry.name for entry in dataclasses.fields(Experiment)]
        names = [*(name for name in known if name != "evaluation"), "evaluate", "arrange"]
        found = self._mapping(root, "an experiment", names)
        for name in _FIRST:
            if name not in found:
                self._wrong(root, f"'{name}' must be given, but it is missing.")
        common = self._settings(found.get("arrange"), "arrange", _ARRANGING)
        made: dict[str, Any] = {
            "pool": self._sources(found.get("pool"), "pool"),
            "target": self._sources(found.get("target"), "target"),
            "tuning": self.tuning(found.get("tuning"), "tuning"),
            "evaluation": self._evaluation(found.get("evaluate")),
            "orders": self._orders(found.get("orders"), common),
            "sets": self._named_sources(found.get("sets"), "sets"),
            "side_pools": self._named_sources(found.get("side_pools"), "side_pools"),
        }
        for name, read in _VALUES.items():
            if name in found:
                made[name] = self._read(found[name], name, read)
        if "model" in made and isinstance(made["model"], str):
            made["model"] = self._path_of(made["model"])
        if self.problems:
            return None
        try:
            return self._whole(root, found, Experiment(**made))
        except SettingsError as error:
            self._wrong(found.get(error.setting or "sets", root), str(error))
            return None

    def _whole(self, root: Entry, found: Mapping[str, Entry], experiment: Experiment) -> Experiment:
        """The same after what concerns several values at once."""
        if experiment.baseline not in experiment.orders:
            entry = found.get("baseline", found["orders"])
            near = _near(experiment.baseline, experiment.orders)
            self._wrong(entry, f"'baseline' must be one of the orders, got {experiment.baseline!r}{near}.")
        if len(experiment.orders) < 2:
            self._wrong(found["orders"], "at least two orders must be compared, got one.")
        for name in experiment.orders:
            entry = found["orders"].value[name]
            self.tried(entry, f"order {name}: ", partial(experiment.check_order, name))
        if experiment.side_pools and not self.problems:
            self.tried(found["side_pools"], "", experiment.check_side_pools)
        return experiment

    def tried(self, entry: Entry, where: str, work: Callable[[], Any]) -> None:
        """Do something that may find a problem."""
        try:
            work()
        except RighttimeError as error:
            self._wrong(entry, f"{where}{error}")
        except (TypeError, ValueError, AttributeError) as error:  # a value of another kind than the setting takes
            self._wrong(entry, f"{where}a value is of the wrong kind: {error}.")

    def _mapping(self, entry: Entry | None, what: str, known: Collection[str] | None) -> dict[str, Entry]:
        """The entries of a mapping; unknown names are problems, with near ones offered."""
        if entry is None or entry.value is None:
            return {}
        if not isinstance(entry.value, dict):
            self._wrong(entry, f"{what} must be a mapping, got {entry.plain()!r}.")
            return {}
        for name, line in entry.twice:
            self.problems.append((line, f"{name!r} stands twice in {what}; names must differ."))
        if known is not None:
            for name, value in entry.value.items():
                if name not in known:
                    self._wrong(value, f"unknown name {name!r} in {what}{_near(name, known)}.")
        return {name: value for name, value in entry.value.items() if known is None or name in known}

    def _read(self, entry: Entry, name: str, read: Callable[[Any], T]) -> T | None:
        try:
            return read(entry.plain())
        except RighttimeError as error:
            self._wrong(entry, str(error))
        except (TypeError, ValueError) as error:
            self._wrong(entry, f"'{name}' must be {error}, got {entry.plain()!r}.")
        return None

    def _settings(self, entry: Entry | None, what: str, known: set[str]) -> dict[str, Any]:
        found = self._mapping(entry, f"'{what}'", known)
        made = {name: value.plain() for name, value in found.items()}
        if isinstance(made.get("rounds"), str | list):
            made["rounds"] = self._read(found["rounds"], "rounds", _window)
        if "guard" in made:
            made["guard"] = _off(made["guard"])
        for name in ("embedder", "target_embedder"):
            if isinstance(made.get(name), str):
                made[name] = self._read(found[name], name, self._path_of)
        return made

    def _orders(self, entry: Entry | None, common: Mapping[str, Any]) -> dict[str, Order]:
        made = {}
        for name, value in self._mapping(entry, "'orders'", None).items():
            if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
                self._wrong(value, f"the name of an order must be of letters, digits, - _ and ., got {name!r}.")
            own = self._mapping(value, f"order {name}", {*_ARRANGING, "tuning"})
            arranging = Entry({key: each for key, each in own.items() if key != "tuning"}, value.line)
            settings = {**common, **self._settings(arranging, f"orders.{name}", _ARRANGING)}
            settings.setdefault("method", name)
            before = len(self.problems)
            made[name] = Order(name, settings, self.tuning(own.get("tuning"), f"orders.{name}.tuning"))
            if len(self.problems) == before:
                self.tried(value, f"order {name}: ", Request(**settings).check)
        return made

    def tuning(self, entry: Entry | None, what: str) -> dict[str, Any]:
        """Settings of tuning by their names."""
        found = self._mapping(entry, f"'{what}'", _TUNING)
        made = {{"batch_size": "batch"}.get(name, name): value.plain() for name, value in found.items()}
        for name in ("precision", "weights"):
            if name in made:
                made[name] = _as_settings(made[name])
        lora = made.get("lora")
        if isinstance(lora, dict) and "base" in lora:
            made["lora"] = lora = {**lora, "base": _as_settings(lora["base"])}
        if lora in (True, False, None) and "lora" in made:
            made["lora"] = dataclasses.asdict(Lora()) if lora else None
        elif lora is not None and not isinstance(lora, dict):
            self._wrong(found["lora"], f"'lora' must be true, false or a mapping such as {{rank: 16}}, got {lora!r}.")
        elif entry is not None:
            self.tried(entry, f"'{what}': ", lambda: settings_of(made, 0, False))
        return made

    def _evaluation(self, entry: Entry | None) -> Evaluation:
        found = self._mapping(entry, "'evaluate'", _EVALUATE)
        made = {name: self._read(value, name, _EVALUATE[name]) for name, value in found.items()}
        if not ({"at", "every"} & {*found}):
            made["every"] = 5
        return Evaluation(**{name: value for name, value in made.items() if value is not None})

    def _named_sources(self, entry: Entry | None, what: str) -> dict[str, tuple[Source, ...]]:
        named = self._mapping(entry, f"'{what}'", None)
        return {name: self._sources(value, f"{what}.{name}") for name, value in named.items()}

    def _sources(self, entry: Entry | None, what: str) -> tuple[Source, ...]:
        if entry is None:
            return ()
        entries = entry.value if isinstance(entry.value, list) else [entry]
        if not entries:
            self._wrong(entry, f"'{what}' must name at least one file, got none.")
        return tuple(made for each in entries if (made := self._source(each, what)) is not None)

    def _source(self, entry: Entry, what: str) -> Source | None:
        if isinstance(entry.value, str):
            return Source(self._file(entry, entry.value))
        found = self._mapping(entry, f"'{what}'", {each.name for each in dataclasses.fields(Source)})
        if "path" not in found or not isinstance(found["path"].value, str):
            if isinstance(entry.value, dict):
                self._wrong(entry, f"'{what}' must name a file, a folder or hf:OWNER/NAME as 'path', but it does not.")
            return None
        made = {name: self._read(value, name, _SOURCE[name]) for name, value in found.items()}
        return Source(**{**made, "path": self._file(found["path"], found["path"].value)})  # type: ignore[arg-type]

    def _file(self, entry: Entry, given: str) -> str:
        path = self._path_of(given)
        if "://" not in path and not path.startswith("hf:"):
            path = os.path.normpath(self._base / path)
        if not path.startswith("hf:") and "://" not in path and "${" not in path and not _is_there(path):
            self._wrong(entry, f"there must be a file or folder {given}, but there is none (looked at {path}).")
        return path

    def _path_of(self, given: str) -> str:
        """A path as it is meant from the file's folder; names of models and of data sets stay."""
        prefix, colon, rest = given.partition(":")
        if prefix == "vectors" and colon and "://" not in rest:
            return f"vectors:{os.path.normpath(self._base / rest)}"
        if prefix in ("lm", "gradients") and rest.startswith(("./", "../")):
            return f"{prefix}:{os.path.normpath(self._base / rest)}"
        if given.startswith(COMBINED):
            return joined([(self._path_of(name), weight) for name, weight in weighted_parts(rest)])
        path = os.path.normpath(self._base / given)
        told = given.startswith(("./", "../")) or os.path.exists(path)
        return path if told and not given.startswith("hf:") else given


def _near(name: str, known: Collection[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=2)
    return f": did you mean {' or '.join(map(repr, near))}" if near else f"; known: {', '.join(names)}"


def _is(kind: type, told: str, fits: Callable[[Any], bool] = lambda _: True) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if (isinstance(value, bool) and kind is not bool) or not isinstance(value, kind) or not fits(value):
            raise ValueError(told)
        return value

    return read


def _is_there(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _one_of(kind: Any) -> Callable[[Any], Any]:
    choices = get_args(kind)
    return _is(str, f"one of {', '.join(choices)}", lambda value: value in choices)


def share_of(value: Any) -> float | None:
    """How many target rows judge: ``0.5`` or ``50%``; None for 0, false or nothing.

    Raises:
        SettingsError: If it is neither.
    """
    if value in (None, False, 0, 0.0, "0", "0%", "0.0"):
        return None
    told = f"'judge_share' must be a share above 0 and below 1, such as 50%, or 0 to judge on all rows, got {value!r}."
    try:
        read = check_subsample(value) if isinstance(value, str | float) else None
    except SettingsError:
        read = None
    if not isinstance(read, float):
        raise SettingsError(told, setting="judge_share")
    return read


def _budget(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a number of rows, or a share such as 10%")
    read = read_budget(str(value))
    assert read is not None
    return read


def part_of(value: Any) -> int | float | str | None:
    """Which part is drawn: a number or a share; None for ``all``."""
    return None if value in (None, "all", "100%") else check_subsample(value)


def _rows(value: Any) -> int | float | str:
    try:
        return part_of(value) or ALL
    except SettingsError:
        raise ValueError("a whole number of rows from 1, a share such as 50%, or all") from None


def _window(value: Any) -> tuple[int, int | None]:
    words = value.split(":") if isinstance(value, str) else value
    if len(words) != 2 or not all(word in ("", None) or str(word).isdecimal() for word in words):
        raise ValueError("a window such as 0:5")
    first, last = (None if word in ("", None) else int(word) for word in words)
    return first or 0, last


def _off(value: Any) -> Any:
    """YAML reads a bare ``off`` as false."""
    return "off" if value is False else value


def _steps(value: Any) -> tuple[int, ...]:
    words = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
    told = "steps of 0 or more, each once, such as [0, 1, 2, 4, 8]"
    if not words or not all(re.fullmatch(r"\s*\d+\s*", str(word)) for word in words):
        raise ValueError(told)
    steps = tuple(map(int, words))
    if len(set(steps)) < len(steps):
        raise ValueError(told)
    return steps


def _metrics(value: Any) -> tuple[str, ...]:
    names = tuple(value if isinstance(value, list) else [value])
    for name in names:
        if name not in OWN_METRICS:
            raise SettingsError(f"unknown metric {name!r}{_near(str(name), OWN_METRICS)}.")
    return names if PRIMARY in names else (PRIMARY, *names)


_POSITIVE = _is(int, "a whole number, at least 1", lambda value: value >= 1)
_TEXT = _is(str, "text")
_VALUES: Mapping[str, Callable[[Any], Any]] = {
    "model": _is(str, "the name or folder of a model"),
    "budget": _budget,
    "baseline": _TEXT,
    "replicates": _POSITIVE,
    "subsample": part_of,
    "judge_share": share_of,
    "guard": lambda value: _one_of(Guard)(_off(value)),
    "hold_out": _one_of(HoldOut),
    "max_tokens": _POSITIVE,
    "seed": _is(int, "a whole number of 0 or more", lambda value: value >= 0),
    "priority": _one_of(Priority),
    "keep_models": _is(bool, "true or false"),
    "question": _TEXT,
}
_EVALUATE: Mapping[str, Callable[[Any], Any]] = {
    "at": _steps,
    "every": _POSITIVE,
    "metrics": _metrics,
    "max_new_tokens": _POSITIVE,
}
_SOURCE: Mapping[str, Callable[[Any], Any]] = {
    "path": _TEXT,
    "rows": lambda value: _rows(value),
    "tasks": lambda value: tuple([value] if isinstance(value, str) else map(str, value)),
    "max_tokens": _POSITIVE,
    "format": _TEXT,
    "task_field": _TEXT,
    "fields": _is(dict, "a mapping of parts to fields"),
    "positive_examples": _is(int, "a whole number of 0 or more", lambda value: value >= 0),
    "bad_rows": _one_of(Literal["stop", "skip"]),
    "repeated_ids": _one_of(Literal["stop", "number"]),
}
