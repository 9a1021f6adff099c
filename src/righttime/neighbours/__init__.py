"""Exact nearest neighbours in blocks, without a pool × target matrix."""

from righttime.neighbours.blocks import Candidates, similarity_of, top_k
from righttime.neighbours.nominate import Nominees, Progress
from righttime.neighbours.search import ENGINES, MEMORY, BlockSearch, Search, search_named

__all__ = [
    "ENGINES",
    "MEMORY",
    "BlockSearch",
    "Candidates",
    "Nominees",
    "Progress",
    "Search",
    "search_named",
    "similarity_of",
    "top_k",
]
