"""One model, one set, some metrics: a value for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from righttime.errors import EmptyDataError, SettingsError, unknown_name
from righttime.evaluation.batches import DEFAULT_BATCH_TOKENS
from righttime.evaluation.generations import Answers, GenerationSettings, generated
from righttime.evaluation.losses import row_losses
from righttime.evaluation.reward import RewardModel
from righttime.evaluation.scores import exact_match, rouge
from righttime.evaluation.sets import EvaluationSet
from righttime.examples import Message
from righttime.progress import counting

__all__ = ["METRICS", "MeasureSettings", "Value", "check_measurable", "measured_set"]

METRICS = ("loss", "rouge", "em", "reward")
"""What can be asked for. ``rouge`` gives two values for each row, ``rouge1`` and ``rougeL``."""


@dataclass(frozen=True)
class MeasureSettings:
    """What is measured, and how.

    Attributes:
        metrics: Some of `METRICS`.
        generation: How answers are made, for all metrics but ``loss``.
        reward: The reward model, for ``reward``.
        batch_tokens: The most tokens of a batch.
    """

    metrics: Sequence[str] = ("loss",)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    reward: RewardModel | None = None
    batch_tokens: int = DEFAULT_BATCH_TOKENS

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in METRICS:
                raise unknown_name("metric", name, METRICS, setting="metrics")
        if not self.metrics:
            raise SettingsError(
                f"at least one metric must be measured, got none. Known: {', '.join(METRICS)}.", setting="at"
            )
        if "rouge" in self.metrics and not find_spec("rouge_score"):
            raise SettingsError(
                "the metric rouge needs rouge-score. Hint: pip install 'righttime[train]'.", setting="metrics"
            )
        if ("reward" in self.metrics) != (self.reward is not None):
            raise SettingsError(
                "the metric reward and a reward model go together, got only one. Hint: `reward`.", setting="metrics"
            )


@dataclass(frozen=True, slots=True)
class Value:
    """One row's value of one metric.

    Attributes:
        row: The row's number in its set.
        metric: ``loss`` (mean over the row's learnt tokens, in nats), ``rouge1``, ``rougeL``, ``em`` or ``reward``.
        value: The value, never NaN.
        tokens: For ``loss`` the learnt tokens, else the tokens of the answer.
    """

    row: int
    metric: str
    value: float
    tokens: int


def check_measurable(sets: Sequence[EvaluationSet], settings: MeasureSettings) -> None:
    """Make sure, before any work, that each set has a row that some metric can be taken of.

    Args:
        sets: The sets.
        settings: What is to be measured.

    Raises:
        EmptyDataError: If no row of a set has an answer, and only metrics that need one are asked for.
    """
    asked = set(settings.metrics)
    for data in sets:
        learnt = "loss" in asked and any(row.learnt.any() for row in data.tokens)
        compared = asked & {"rouge", "em"} and any(data.references)
        if not (learnt or compared or "reward" in asked):
            raise EmptyDataError(
                f"the set {data.name} must have a row with an answer to take {', '.join(settings.metrics)} of, but of "
                f"its {len(data.rows):,} rows none has one, or all were cut away. Hint: rows with answers; "
                "righttime evaluate also takes `max_length` and `metrics='reward'`."
            )


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
    if "loss" in settings.metrics:
        learnt = sum(bool(row.learnt.any()) for row in data.tokens)
        with counting(f"loss on {data.name}", -(-learnt // share[1]), shown=progress) as tell:
            losses = row_losses(model, data.tokens, settings.batch_tokens, share, tell)
        found = zip(losses.rows.tolist(), losses.mean.tolist(), losses.count.tolist(), strict=True)
        values += [Value(row, "loss", mean, count) for row, mean, count in found]
    if set(settings.metrics) - {"loss"}:
        with counting(f"answering {data.name}", -(-len(data.prompts) // share[1]), shown=progress) as tell:
            answers = generated(model, tokenizer, data.prompts, settings.generation, settings.batch_tokens, share, tell)
        values += _scored(data, answers, settings, progress)
    return values


def _scored(data: EvaluationSet, answers: Answers, settings: MeasureSettings, progress: bool) -> list[Value]:
    values = []
    for row, text, tokens in zip(answers.rows.tolist(), answers.texts, answers.tokens.tolist(), strict=True):
        references = data.references[row]
        if references and "rouge" in settings.metrics:
            first, longest = rouge(text, references)
            values += [Value(row, "rouge1", first, tokens), Value(row, "rougeL", longest, tokens)]
        if references and "em" in settings.metrics:
            values.append(Value(row, "em", exact_match(text, references), tokens))
    if settings.reward is not None and len(answers.rows):
        said = [_with_answer(data, row, text) for row, text in zip(answers.rows.tolist(), answers.texts, strict=True)]
        with counting(f"rewards on {data.name}", len(said), shown=progress) as tell:
            rewards = settings.reward.rewards(said, settings.batch_tokens, tell)
        sizes = answers.tokens.tolist()
        numbered = zip(answers.rows.tolist(), rewards.tolist(), sizes, strict=True)
        values += [Value(row, "reward", value, tokens) for row, value, tokens in numbered]
    return values


def _with_answer(data: EvaluationSet, row: int, text: str) -> list[Message]:
    turns = data.rows[row].messages
    return [*(turns[:-1] if turns[-1].role == "assistant" else turns), Message("assistant", text)]
