"""Exact nearest neighbours in blocks, without a pool × target matrix."""

from righttime.neighbours.blocks import Candidates, nearest_target, top_k

__all__ = ["Candidates", "nearest_target", "top_k"]
