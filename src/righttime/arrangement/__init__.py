"""Orders of a pool around a target: TMA, nearest and farthest first, and the paper's baselines."""

from righttime.arrangement.arrangement import Arrangement, Labels
from righttime.arrangement.embeddings import arrange_embeddings, arrange_unit_vectors, check_settings
from righttime.arrangement.methods.tma import WITHIN_ROUND
from righttime.arrangement.registry import METHODS, draws_by_chance, method_named
from righttime.arrangement.rounds import Round, tma_rounds
from righttime.arrangement.selection import Method, Param, Selection, SelectionInput
from righttime.arrangement.shapes import SHAPES

__all__ = [
    "METHODS",
    "SHAPES",
    "WITHIN_ROUND",
    "Arrangement",
    "Labels",
    "Method",
    "Param",
    "Round",
    "Selection",
    "SelectionInput",
    "arrange_embeddings",
    "arrange_unit_vectors",
    "check_settings",
    "draws_by_chance",
    "method_named",
    "tma_rounds",
]
