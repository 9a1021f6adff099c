"""Evaluate later: a model, or every checkpoint of a run, on the target and any other sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.errors import SettingsError
from righttime.evaluation.checkpoints import base_of, find_checkpoints, models_in_turn, readable_length
from righttime.evaluation.folder import EvaluationFolder, read_evaluation
from righttime.evaluation.means import facts_of, means_by
from righttime.evaluation.measurement import MeasureSettings, check_measurable, measured_set, unkept_notes
from righttime.evaluation.sets import EvaluationSet, Files, inputs_of, read_set
from righttime.quiet import quietly
from righttime.store import write_bytes
from righttime.tokenization.loading import load_tokenizer
from righttime.tokenization.masking import AnswerEnd, resolve_form
from righttime.training.adapters import Base
from righttime.training.picture import draw_losses

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["evaluate"]

_MAX_LENGTH = 1024  # of the paper's evaluation


def evaluate(
    model: str,
    sets: Mapping[str, Files],
    out: str | os.PathLike[str],
    settings: MeasureSettings | None = None,
    *,
    form: str = "auto",
    answer_end: AnswerEnd = "token",
    max_length: int = _MAX_LENGTH,
    positive_examples: int = 0,
    target_fields: Mapping[str, str] | None = None,
    target_format: str | None = None,
    run: str | None = None,
    device: str | None = None,
    lora_base: Base | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
    progress: bool = False,
) -> pa.Table:
    """Measure a model, or every checkpoint of a run, and write every row's values to one file.

    An evaluation that was stopped goes on where it was when it is called again with the same words.

    Args:
        model: A model's folder or hub name, a folder of ``checkpoint-N`` folders, or a run.
        sets: Name to file or folder, in any known format; several files are one joint set.
        out: The folder to write to.
        settings: What to measure; None measures the loss.
        form: ``chat``, ``paper`` or ``auto``; see `righttime.tokenization.masking`.
        answer_end: Where an answer ends; see `righttime.tokenization.masking`.
        max_length: The most tokens of a row, or fewer where the model reads fewer; what is longer is cut at its end.
        positive_examples: For Natural Instructions: worked examples in each prompt.
        target_fields: Which field of the set named ``target`` is its prompt, response and so on; see `read_rows`.
        target_format: The format of the set named ``target``; None tells it from the keys.
        run: What the run is called in the results; None takes the folder's name.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.
        lora_base: How the base of adapters is held; see `righttime.training.Lora`. None holds it as the run did whose
            adapters they are; of adapters that lie in no run, in float32 on a CPU, else as it was saved.
        overwrite: Take away what is in `out`.
        say: Is told what is being done.
        progress: Show progress on stderr.

    Returns:
        Every row's values, as `righttime.evaluation.read_evaluation` gives them.

    Raises:
        ModelError: If a model is missing or gives no numbers.
        DataError: If a set cannot be read or written in that form, or has no row that can be measured.
        SettingsError: If a setting is out of range, or `out` was begun with other settings.
        StoreError: If `out` cannot be written, or is finished.
    """
    settings, found = settings or MeasureSettings(), find_checkpoints(model)
    if max_length < 2:
        raise SettingsError(f"`max_length` must be at least 2, got {max_length}.", setting="max_length")
    tokenizer = load_tokenizer(found[0].name)
    chosen, length = resolve_form(tokenizer, form), readable_length(found[0].name, max_length)
    fields, formats = {"target": target_fields}, {"target": target_format}
    data = [
        read_set(
            name,
            path,
            tokenizer,
            chosen,
            length,
            positive_examples,
            fields=fields.get(name),
            answer_end=answer_end,
            format=formats.get(name),
        )
        for name, path in sets.items()
    ]
    check_measurable(data, settings)
    base = base_of(found[0].name, lora_base)
    folder = EvaluationFolder(Path(out), run or Path(model).resolve().name, settings.keep_answers)
    how = {
        "form": chosen,
        "max_length": length,
        "answer_end": answer_end,
        "models": [[one.step, one.name] for one in found],
        **({} if base is None else {"lora_base": base}),  # older evaluations do not say it
    }
    folder.begin({**facts_of(data, settings), **how}, overwrite)
    for line in _told(data, settings):
        say(line)
    if base not in (None, "float32"):
        say(f"adapters over their base as `lora_base={base!r}` holds it{'' if lora_base else ', as they were trained'}")
    left = [one for one in found if not all(folder.has(one.step, each.name) for each in data)]
    with quietly():
        for one, loaded in models_in_turn(left, device, base):
            say(f"{one.name}, step {one.step:,}")
            for each in data:
                if not folder.has(one.step, each.name):
                    folder.add(one.step, each, measured_set(loaded, tokenizer, each, settings, progress=progress))
    values = read_evaluation(Path(out))
    if (picture := _picture(values)) is not None:
        write_bytes(Path(out) / "loss.png", picture)
    folder.finish({"steps": max(one.step for one in found), "inputs": inputs_of(data)})
    return values


def _picture(values: pa.Table) -> bytes | None:
    """The losses by step, where there are several steps and matplotlib."""
    found = means_by(values, "step", "set", "metric")
    losses: list[dict[str, Any]] = [
        {"step": step, f"{name}_loss": one.over_rows} for (step, name, metric), one in found.items() if metric == "loss"
    ]
    return draw_losses(losses) if len({entry["step"] for entry in losses}) > 1 else None


def _told(data: list[EvaluationSet], settings: MeasureSettings) -> list[str]:
    lines = []
    for each in data:
        cut, silent = sum(row.cut > 0 for row in each.tokens), sum(not row.learnt.any() for row in each.tokens)
        line = f"{each.name}: {len(each.rows):,} rows"
        line += f", {cut:,} cut at the end" if cut else ""
        line += f", {silent:,} with no token to learn, which have no loss" if silent else ""
        lines.append(line)
    return lines + unkept_notes(data, settings)
