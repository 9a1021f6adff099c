"""One model, one set, some metrics: a value for each row. `righttime.evaluation.registry` lists the metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

from righttime.errors import EmptyDataError, SettingsError, unknown_name
from righttime.evaluation.batches import DEFAULT_BATCH_TOKENS
from righttime.evaluation.generations import Answers, GenerationSettings, generated
from righttime.evaluation.registry import METRICS, Metric, Value
from righttime.evaluation.reward import RewardModel
from righttime.evaluation.sets import EvaluationSet
from righttime.progress import counting

__all__ = ["MeasureSettings", "check_measurable", "measured_set", "unkept_answers", "unkept_notes"]


@dataclass(frozen=True)
class MeasureSettings:
    """What is measured, and how.

    Attributes:
        metrics: Some of `METRICS`.
        generation: How answers are made, for the metrics that are of answers.
        reward: The reward model, for the metric that is of one.
        batch_tokens: The most tokens of a batch.
        keep_answers: Keep the answer beside each value that is of one; see `unkept_answers`.
    """

    metrics: Sequence[str] = ("loss",)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    reward: RewardModel | None = None
    batch_tokens: int = DEFAULT_BATCH_TOKENS
    keep_answers: bool = False

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in METRICS:
                raise unknown_name("metric", name, METRICS, setting="metrics")
        if not self.metrics:
            known = ", ".join(METRICS)
            raise SettingsError(f"at least one metric must be measured, got none. Known: {known}.", setting="metrics")
        for name in self.metrics:
            package = METRICS[name].package
            if package and not find_spec(package):
                hint = "Hint: pip install 'righttime[train]'."
                raise SettingsError(f"the metric {name} needs {package.replace('_', '-')}. {hint}", setting="metrics")
        scored = [name for name in METRICS if METRICS[name].of_rewards is not None]
        if bool({*scored} & {*self.metrics}) != (self.reward is not None):
            raise SettingsError(
                f"the metric {scored[0]} and a reward model go together, got only one. Hint: `reward`.",
                setting="metrics",
            )
        if self.keep_answers and not self.answers:
            raise SettingsError(
                f"`keep_answers` must go with a metric of answers, got {', '.join(self.metrics)}. "
                "Hint: `metrics`: loss and em.",
                setting="keep_answers",
            )

    @property
    def answers(self) -> bool:
        """Whether some metric is of the model's own answers."""
        return any(METRICS[name].answers for name in self.metrics)


def check_measurable(sets: Sequence[EvaluationSet], settings: MeasureSettings) -> None:
    """Make sure, before any work, that each set has a row that some metric can be taken of.

    Args:
        sets: The sets.
        settings: What is to be measured.

    Raises:
        EmptyDataError: If no row of a set has an answer, and only metrics that need one are asked for; or if answers
            are to be kept, and no row of any set gives one a score.
    """
    asked = [METRICS[name] for name in settings.metrics]
    for data in sets:
        there = {
            "learnt tokens": any(row.learnt.any() for row in data.tokens),
            "references": any(data.references),
            "nothing": True,
        }
        if not any(there[metric.needs] for metric in asked):
            raise EmptyDataError(
                f"the set {data.name} must have a row with an answer to take {', '.join(settings.metrics)} of, but of "
                f"its {len(data.rows):,} rows none has one, or all were cut away. Hint: rows with answers; "
                "righttime evaluate also takes `max_length` and `metrics='reward'`."
            )
    n_rows, unkept = sum(len(data.rows) for data in sets), sum(unkept_answers(data, settings) for data in sets)
    if unkept and unkept == n_rows:
        raise EmptyDataError(
            f"`keep_answers` must have a row with a reference, since answers stand beside their scores, but of "
            f"{n_rows:,} rows none has one. Hint: rows with answers; righttime evaluate also takes `metrics='reward'`."
        )


def unkept_answers(data: EvaluationSet, settings: MeasureSettings) -> int:
    """How many rows of a set get an answer that is to be kept, but no score for it to stand beside."""
    needs = {METRICS[name].needs for name in settings.metrics if METRICS[name].answers}
    if not settings.keep_answers or "nothing" in needs:
        return 0
    return sum(not references for references in data.references)


def unkept_notes(sets: Sequence[EvaluationSet], settings: MeasureSettings) -> list[str]:
    """The same in sentences for a person, of each set that has such rows."""
    counts = ((data.name, len(data.rows), unkept_answers(data, settings)) for data in sets)
    return [
        f"{name}: {unkept:,} of {n:,} rows have no reference, so their answers get no score and are not kept"
        for name, n, unkept in counts
        if unkept
    ]


def measured_set(
    model: Any,
    tokenizer: Any,
    data: EvaluationSet,
    settings: MeasureSettings,
    share: tuple[int, int] = (0, 1),
    progress: bool = False,
) -> list[Value]:
    """Measure a model on a set; rows that have no value are left out.

    A row has no loss where none of its tokens is learnt, and no ROUGE or Exact-Match where it has no reference.

    Args:
        model: A causal language model; it is left as it was.
        tokenizer: Its tokenizer.
        data: The set.
        settings: What to measure.
        share: Number and count of processes; each measures its share of the rows.
        progress: Show progress on stderr.

    Raises:
        ModelError: If the model gives a loss that is no number, or the reward model cannot be used.
    """
    values: list[Value] = []
    asked = [metric for name, metric in METRICS.items() if name in settings.metrics]
    for metric in asked:
        if metric.of_model is not None:
            values += metric.of_model(model, data, settings.batch_tokens, share, progress)
    if settings.answers:
        with counting(f"answering {data.name}", -(-len(data.prompts) // share[1]), shown=progress) as tell:
            answers = generated(model, tokenizer, data.prompts, settings.generation, settings.batch_tokens, share, tell)
        of_answers = _scored(data, answers, asked)
        for metric in asked:
            if metric.of_rewards is not None and settings.reward is not None and len(answers.rows):
                of_answers += metric.of_rewards(settings.reward, data, answers, settings.batch_tokens, progress)
        if settings.keep_answers:
            said = dict(zip(answers.rows.tolist(), answers.texts, strict=True))
            of_answers = [replace(value, answer=said[value.row]) for value in of_answers]
        values += of_answers
    return values


def _scored(data: EvaluationSet, answers: Answers, asked: Sequence[Metric]) -> list[Value]:
    """The scores of every answer that has references, row by row."""
    values = []
    for row, text, tokens in zip(answers.rows.tolist(), answers.texts, answers.tokens.tolist(), strict=True):
        references = data.references[row]
        for metric in asked if references else ():
            if metric.score is not None:
                scores = zip(metric.values, metric.score(text, references), strict=True)
                values += [Value(row, name, score, tokens) for name, score in scores]
    return values
