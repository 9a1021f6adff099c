"""The guard: what of the target the pool gives away, found by texts and vectors, and written to a folder."""

from righttime.contamination.leaks import PARTS, TESTS, Leak, Leaks, SharedGroup
from righttime.guard.find import Judge, TextLeaks, find_leaks, find_text_leaks, with_meaning

__all__ = [
    "PARTS",
    "TESTS",
    "Judge",
    "Leak",
    "Leaks",
    "SharedGroup",
    "TextLeaks",
    "find_leaks",
    "find_text_leaks",
    "with_meaning",
]
