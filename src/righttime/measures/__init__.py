"""How near the first rows of an order are to a target, and how far orders agree."""

from righttime.measures.dataset import MEASURES, Curves, measure
from righttime.measures.steps import step_measures

__all__ = ["MEASURES", "Curves", "measure", "step_measures"]
