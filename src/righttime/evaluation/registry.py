"""The table of metrics: a new one is a function, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from righttime.evaluation.generations import Answers
from righttime.evaluation.losses import row_losses
from righttime.evaluation.reward import RewardModel
from righttime.evaluation.scores import exact_match, rouge
from righttime.evaluation.sets import EvaluationSet
from righttime.progress import counting

__all__ = ["METRICS", "OWN_METRICS", "Metric", "Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """One row's value of one metric.

    Attributes:
        row: The row's number in its set.
        metric: A name of `Metric.values`.
        value: The value, never NaN.
        tokens: For ``loss`` the learnt tokens, else the tokens of the answer.
        answer: The answer that it is of, where answers are kept.
    """

    row: int
    metric: str
    value: float
    tokens: int
    answer: str | None = None


@dataclass(frozen=True)
class Metric:
    """One line of the table. Exactly one of `score`, `of_model` and `of_rewards` is there.

    Attributes:
        values: The names of the numbers that it gives of a row.
        does: What each of them is, in a few words.
        source: Where the definition comes from.
        needs: What a row must have, to have a value: ``learnt tokens``, ``references`` or ``nothing``.
        score: Gives the numbers of an answer and its references; the answer is made once for all metrics.
        of_model: Gives the values of a model, a set, the most tokens of a batch, this process's share of the rows, and
            whether to show progress.
        of_rewards: Gives the values of a reward model, a set, the answers, and the same.
        package: A package that must be installed, as it is imported.
    """

    values: tuple[str, ...]
    does: tuple[str, ...]
    source: str
    needs: Literal["learnt tokens", "references", "nothing"]
    score: Callable[[str, Sequence[str]], Sequence[float]] | None = None
    of_model: Callable[[Any, EvaluationSet, int, tuple[int, int], bool], list[Value]] | None = None
    of_rewards: Callable[[RewardModel, EvaluationSet, Answers, int, bool], list[Value]] | None = None
    package: str = ""

    @property
    def answers(self) -> bool:
        """Whether it is of the model's own answers."""
        return self.of_model is None


def _losses(model: Any, data: EvaluationSet, batch_tokens: int, share: tuple[int, int], progress: bool) -> list[Value]:
    learnt = sum(bool(row.learnt.any()) for row in data.tokens)
    with counting(f"loss on {data.name}", -(-learnt // share[1]), shown=progress) as tell:
        losses = row_losses(model, data.tokens, batch_tokens, share, tell)
    found = zip(losses.rows.tolist(), losses.mean.tolist(), losses.count.tolist(), strict=True)
    return [Value(row, "loss", mean, count) for row, mean, count in found]


def _rewards(
    model: RewardModel, data: EvaluationSet, answers: Answers, batch_tokens: int, progress: bool
) -> list[Value]:
    said = [data.conversation_with(row, text) for row, text in zip(answers.rows.tolist(), answers.texts, strict=True)]
    with counting(f"rewards on {data.name}", len(said), shown=progress) as tell:
        rewards = model.rewards(said, batch_tokens, tell)
    numbered = zip(answers.rows.tolist(), rewards.tolist(), answers.tokens.tolist(), strict=True)
    return [Value(row, "reward", value, tokens) for row, value, tokens in numbered]


METRICS: Mapping[str, Metric] = {
    "loss": Metric(
        ("loss",),
        ("the mean loss of the row's learnt tokens (the answer and its end token), in nats; `tokens` counts them",),
        "He et al., Findings of ACL 2025",
        "learnt tokens",
        of_model=_losses,
    ),
    "rouge": Metric(
        ("rouge1", "rougeL"),
        (
            "ROUGE-1: the F-measure of rouge-score with Porter's stemmer, from 0 to 1, the best over the references",
            "ROUGE-L: the same of the longest common subsequence",
        ),
        "Lin 2004; rouge-score",
        "references",
        score=rouge,
        package="rouge_score",
    ),
    "em": Metric(
        ("em",),
        ("1 where the answer is a reference, lower-cased, without ASCII punctuation, white space made single; else 0",),
        "Natural Instructions",
        "references",
        score=lambda answer, references: (exact_match(answer, references),),
    ),
    "reward": Metric(
        ("reward",), ("what the reward model gives the answer",), "the reward model", "nothing", of_rewards=_rewards
    ),
}
"""What `metrics` takes. Values are written in this order."""

OWN_METRICS: tuple[str, ...] = tuple(name for name, metric in METRICS.items() if metric.of_rewards is None)
"""Those that take no second model: what can be measured of a model while it is trained."""
