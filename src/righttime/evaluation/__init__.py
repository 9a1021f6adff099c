"""Evaluation: what a model makes of rows it is judged on, row by row; while it is trained, or later.

rows ─ sets (tokens, prompts, references) ─▶ losses, generations ─ scores, reward ─▶ folder (one file) ─▶ means
                                              ▲ callback (while training) · checkpoints (later)

Importing this imports neither torch nor transformers; `righttime.evaluation.callback` does.
"""

from righttime.evaluation.finished import FinishedEvaluation, open_evaluation
from righttime.evaluation.folder import EvaluationFolder, read_evaluation
from righttime.evaluation.generations import Answers, GenerationSettings, generated
from righttime.evaluation.losses import RowLosses, row_losses
from righttime.evaluation.manifest import EvaluationManifest, EvaluationSettings
from righttime.evaluation.means import Means, means_by
from righttime.evaluation.measurement import MeasureSettings, measured_set
from righttime.evaluation.offline import evaluate
from righttime.evaluation.registry import METRICS, Metric, Value
from righttime.evaluation.reward import RewardModel
from righttime.evaluation.scores import exact_match, rouge, rouge_tokens
from righttime.evaluation.sets import EvaluationSet, prepare_set, read_set

__all__ = [
    "METRICS",
    "Answers",
    "EvaluationFolder",
    "EvaluationManifest",
    "EvaluationSet",
    "EvaluationSettings",
    "FinishedEvaluation",
    "GenerationSettings",
    "Means",
    "MeasureSettings",
    "Metric",
    "RewardModel",
    "RowLosses",
    "Value",
    "evaluate",
    "exact_match",
    "generated",
    "means_by",
    "measured_set",
    "open_evaluation",
    "prepare_set",
    "read_evaluation",
    "read_set",
    "rouge",
    "rouge_tokens",
    "row_losses",
]
