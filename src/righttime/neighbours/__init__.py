"""Exact nearest neighbours in blocks; the products of a small pool with the target are kept."""

from righttime.neighbours.answers import KeptAnswers
from righttime.neighbours.blocks import Candidates, similarity_of, top_k
from righttime.neighbours.joint import FirstPass
from righttime.neighbours.kept import KeptProducts
from righttime.neighbours.local import BlockSearch
from righttime.neighbours.nominate import Nominees, Progress
from righttime.neighbours.protocol import MEMORY, Search
from righttime.neighbours.registry import ENGINES, Engine, search_here, search_named
from righttime.neighbours.seen import Seen

__all__ = [
    "ENGINES",
    "MEMORY",
    "BlockSearch",
    "Candidates",
    "Engine",
    "FirstPass",
    "KeptAnswers",
    "KeptProducts",
    "Nominees",
    "Progress",
    "Search",
    "Seen",
    "search_here",
    "search_named",
    "similarity_of",
    "top_k",
]
