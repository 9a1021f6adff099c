"""What decides an evaluation's numbers (``settings.json``) and what came of it (``manifest.json``), typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from righttime import strict_json
from righttime.errors import StoreError
from righttime.evaluation.generations import GenerationSettings
from righttime.formats import InputFile
from righttime.store import MANIFEST, as_written, made, read_manifest, sealed, versions_in
from righttime.tokenization.masking import AnswerEnd, Form

__all__ = [
    "SETTINGS",
    "EvaluationManifest",
    "EvaluationSettings",
    "SetFacts",
    "read_evaluation_manifest",
    "read_settings",
    "typed_settings",
]

SETTINGS = "settings.json"
"""The file that says what decides an evaluation's numbers."""


@dataclass(frozen=True)
class SetFacts:
    """What decides the numbers of one set.

    Attributes:
        rows: Its rows.
        ids_sha256: The fingerprint of their ids.
        tokens_sha256: The fingerprint of their tokens.
        learnt: Tokens that the loss is taken on.
        cut: Rows that lost tokens at their end.
    """

    rows: int
    ids_sha256: str
    tokens_sha256: str
    learnt: int
    cut: int


@dataclass(frozen=True)
class EvaluationSettings:
    """What decides an evaluation's numbers.

    Attributes:
        run: What the run is called in the results.
        sets: The sets, by name.
        metrics: What was asked for.
        generation: How answers were made; None where the loss alone was measured.
        reward_model: Its name, if there was one.
        without_loss: By set the ids of the rows with no token to learn.
        form: The form of text; None where a callback of the user's own did not say it.
        max_length: The most tokens of a row; None likewise.
        answer_end: Where an answer ends; evaluations that do not say it knew one way alone.
        every: Optimizer steps between two measurements while training; None afterwards.
        at: Steps that were measured besides.
        models: The models that were measured afterwards, by their steps.
        lora_base: How the base of their adapters was held; None where there were none, or nothing told.
        averaged: Steps of the checkpoints whose mean was measured; none where it was a model itself.
        answers_kept: Whether answers lie beside the values that are of them.
    """

    run: str
    sets: Mapping[str, SetFacts]
    metrics: tuple[str, ...]
    generation: GenerationSettings | None
    reward_model: str | None
    without_loss: Mapping[str, tuple[str, ...]]
    form: Form | None = None
    max_length: int | None = None
    answer_end: AnswerEnd = "template"
    every: int | None = None
    at: tuple[int, ...] = ()
    models: tuple[tuple[int, str], ...] = ()
    lora_base: str | None = None
    averaged: tuple[int, ...] = ()
    answers_kept: bool = False


@dataclass(frozen=True)
class EvaluationManifest:
    """What ``manifest.json`` of an evaluation says.

    Attributes:
        settings: What decides the numbers.
        steps: The last step that was measured.
        processes: How many processes measured.
        inputs: The files of each set, by its name; none in evaluations of earlier versions.
        files: The sha256 of each file.
        versions: Of righttime, Python and the libraries that take part.
        processor: What the last step was measured on; empty in earlier versions, and where it was measured afterwards.
        first_from: The evaluation of another run that the values at step 0 were taken from, by its folder's last two
            names; None where they were measured.
        intact: Whether its entries are those that were written, by its own hash; None where it has none.
    """

    settings: EvaluationSettings
    steps: int
    processes: int
    inputs: Mapping[str, tuple[InputFile, ...]]
    files: Mapping[str, str]
    versions: Mapping[str, str]
    processor: Mapping[str, str]
    first_from: str | None
    intact: bool | None = None


def read_settings(folder: Path) -> dict[str, Any]:
    """What decides an evaluation's numbers, as JSON.

    Raises:
        StoreError: If the folder does not hold it.
    """
    try:
        found = strict_json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder} must hold an evaluation, but its {SETTINGS} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{folder / SETTINGS} must hold a JSON object, got {type(found).__name__}.")
    return found


def typed_settings(folder: Path) -> EvaluationSettings:
    """The same, typed.

    Raises:
        StoreError: If the folder does not hold it, or it was changed.
    """
    found = read_settings(folder)
    with as_written(folder / SETTINGS, "righttime"):
        return _settings(found)


def read_evaluation_manifest(folder: Path) -> EvaluationManifest:
    """The manifest of a finished evaluation.

    Raises:
        StoreError: If the folder does not hold one, or it was changed.
    """
    found = read_manifest(folder)
    with as_written(folder / MANIFEST, "righttime"):
        return _manifest(found)


def _manifest(found: Mapping[str, Any]) -> EvaluationManifest:
    inputs = found.get("inputs") or {}
    return EvaluationManifest(
        settings=_settings(found),
        steps=found["steps"],
        processes=found.get("processes", 1),
        inputs={name: tuple(made(InputFile, file) for file in files) for name, files in inputs.items()},
        files=found["files"],
        versions=versions_in(found),
        processor=found.get("processor") or {},
        first_from=found.get("first_from"),
        intact=sealed(found),
    )


def _settings(found: Mapping[str, Any]) -> EvaluationSettings:
    drawn = found["generation"]
    typed = {
        "sets": {name: made(SetFacts, facts) for name, facts in found["sets"].items()},
        "metrics": tuple(found["metrics"]),
        "generation": None if drawn is None else made(GenerationSettings, drawn),
        "without_loss": {name: tuple(ids) for name, ids in found["without_loss"].items()},
        "at": tuple(found.get("at", ())),
        "averaged": tuple(found.get("averaged", ())),
        "models": tuple((step, name) for step, name in found.get("models", ())),
    }
    return made(EvaluationSettings, {**found, **typed})
