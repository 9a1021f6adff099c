"""Results: what was asked for, what came of it, and the folder that holds it; written here, and read here alone."""

from righttime.results.finished import FileState, FinishedResult, open_result
from righttime.results.left_out import not_chosen
from righttime.results.manifest import FILES, Counts, Given, ResultManifest
from righttime.results.request import Data, Request
from righttime.results.result import BAD_TARGET, Result
from righttime.results.widening import Neighbour, Widening, with_neighbours
from righttime.results.write import (
    circumstances,
    guarded,
    left_out_table,
    manifest_of,
    prepare_result,
    prepare_split,
    train_lines,
    write_result,
    write_split,
)

__all__ = [
    "BAD_TARGET",
    "FILES",
    "Counts",
    "Data",
    "FileState",
    "FinishedResult",
    "Given",
    "Neighbour",
    "Request",
    "Result",
    "ResultManifest",
    "Widening",
    "circumstances",
    "guarded",
    "left_out_table",
    "manifest_of",
    "not_chosen",
    "open_result",
    "prepare_result",
    "prepare_split",
    "train_lines",
    "with_neighbours",
    "write_result",
    "write_split",
]
