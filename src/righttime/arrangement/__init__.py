"""Orders of a pool around a target: TMA, nearest and farthest first, and the paper's baselines."""

from righttime.arrangement.arrangement import Arrangement, Labels
from righttime.arrangement.embeddings import arrange_embeddings, arrange_unit_vectors, check_settings
from righttime.arrangement.methods import METHODS, WITHIN_ROUND, Question, method_named
from righttime.arrangement.tma import Round, tma_rounds

__all__ = [
    "METHODS",
    "WITHIN_ROUND",
    "Arrangement",
    "Labels",
    "Question",
    "Round",
    "arrange_embeddings",
    "arrange_unit_vectors",
    "check_settings",
    "method_named",
    "tma_rounds",
]
