"""The guard: what of the target the pool gives away, found by texts and vectors, and written to a folder."""

from righttime.contamination.leaks import PARTS, TESTS, Judged, Leak, Leaks, SharedGroup
from righttime.guard.find import TextLeaks, find_leaks, find_text_leaks, with_meaning
from righttime.guard.judging import CommandJudge, Judge

__all__ = [
    "PARTS",
    "TESTS",
    "CommandJudge",
    "Judge",
    "Judged",
    "Leak",
    "Leaks",
    "SharedGroup",
    "TextLeaks",
    "find_leaks",
    "find_text_leaks",
    "with_meaning",
]
