"""Similarity of one pool row to one target row, and distances of rows to the whole target."""

from righttime.similarity.distances import (
    DISTANCES,
    Asked,
    Distance,
    DistanceKind,
    average_distance,
    check_distance,
    distance_names,
    minimum_distance,
    target_distance,
    weighted_distance,
)
from righttime.similarity.pairs import copied_rows, pair_similarity, room_for, rounding_margin, unit_rows
from righttime.similarity.shared import (
    SeenFile,
    SharedRows,
    as_array,
    first_rows,
    mapped_rows,
    narrowed,
    shared_copy,
    shared_or_none,
)
from righttime.similarity.transport import Transport, entropic_distance, transport_distance

__all__ = [
    "DISTANCES",
    "Asked",
    "Distance",
    "DistanceKind",
    "SeenFile",
    "SharedRows",
    "Transport",
    "as_array",
    "average_distance",
    "check_distance",
    "copied_rows",
    "distance_names",
    "entropic_distance",
    "first_rows",
    "mapped_rows",
    "minimum_distance",
    "narrowed",
    "pair_similarity",
    "room_for",
    "rounding_margin",
    "shared_copy",
    "shared_or_none",
    "target_distance",
    "transport_distance",
    "unit_rows",
    "weighted_distance",
]
