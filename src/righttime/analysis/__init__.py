"""Analysis: what an order did, and how sure that is, from the files of evaluations that exist already.

runs (read, named, checked) ─ curves, areas ─▶ differences (the one comparison with a verdict)
                                            └▶ onset, drops, parts, harm, indicators, measured
                                                (descriptive) ─▶ write, figures

The unit is the replicate: one draw of pool and target rows, shared by all orders. Definitions are in docs/analysis.md.
Importing this imports neither torch nor matplotlib.
"""

from righttime.analysis.analyse import Analysis, analyse
from righttime.analysis.comparable import PRIMARY
from righttime.analysis.consumed import consumed_rows
from righttime.analysis.curves import Point, area, row_areas
from righttime.analysis.differences import Difference, area_differences, holm, replicates_needed, smallest_visible
from righttime.analysis.measured import MeasureLink
from righttime.analysis.runs import GivenRun, Run, Values, given_runs, read_given, read_runs
from righttime.analysis.verdict import verdict
from righttime.analysis.write import write_comparison

__all__ = [
    "PRIMARY",
    "Analysis",
    "Difference",
    "GivenRun",
    "MeasureLink",
    "Point",
    "Run",
    "Values",
    "analyse",
    "area",
    "area_differences",
    "consumed_rows",
    "given_runs",
    "holm",
    "read_given",
    "read_runs",
    "replicates_needed",
    "row_areas",
    "smallest_visible",
    "verdict",
    "write_comparison",
]
