"""The guard of one arrangement: looks at texts before anything is embedded, and at vectors before rows are ordered."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any

from righttime.contamination.leaks import Leak, Leaks
from righttime.embedding.represent import of_meaning
from righttime.embedding.texts import shared_text
from righttime.embedding.vectors import Sides
from righttime.errors import EmptyDataError
from righttime.examples import LeftOut
from righttime.filtering import TakingPart
from righttime.guard.cutting import Chunker, check_chunks, chunker_for
from righttime.guard.find import TextLeaks, find_text_leaks, with_meaning
from righttime.neighbours import search_here
from righttime.results import Request
from righttime.rows import Rows, left_out

__all__ = ["REASON", "Watch", "removed"]

REASON = "leak"
"""The reason of rows that the guard removed."""


class Watch:
    """What the guard finds in one arrangement, and what it removes."""

    def __init__(
        self,
        pool: Rows,
        target: Rows,
        request: Request,
        *,
        cache: str | os.PathLike[str] | None = None,
        progress: bool = False,
    ) -> None:
        """Watch an arrangement.

        Args:
            pool: The whole pool.
            target: The target.
            request: What is asked for; its `guard` says whether leaks are removed, reported, or not looked for.
            cache: The folder of cached vectors, for chunks of long rows; None takes the user's.
            progress: Show progress of embedding them on stderr.

        Raises:
            SettingsError: If chunks are asked for of an embedder that reads rows in a way of its own.
        """
        self._pool, self._target, self._request = pool, target, request
        self._how: dict[str, Any] = {"cache": cache, "progress": progress}
        check_chunks(request)
        self._texts: TextLeaks | None = None
        self.leaks: Leaks | None = None
        self.left_out: tuple[LeftOut, ...] = ()

    def by_texts(self, taking: TakingPart) -> TakingPart:
        """Look at the texts of the rows that take part; those that take part after that.

        Raises:
            EmptyDataError: If the guard removes all of them.
        """
        request = self._request
        if request.guard == "off":
            return taking
        self._texts = find_text_leaks(self._pool, self._target, numbers=taking.kept, seed=request.seed or 0)
        self.leaks = self._texts.leaks
        gone = self._gone(self.leaks.found)
        kept = [row for row in taking.kept if row not in gone]
        if not kept:
            raise EmptyDataError(
                f"no pool row is left: the guard removed all {len(taking.kept):,}. Hint: `guard='report'`."
            )
        return dataclasses.replace(taking, kept=kept) if gone else taking

    def by_vectors(self, kept: Sequence[int], sides: Sides) -> frozenset[int]:
        """Look at the vectors of the rows that take part; those that take no part after all.

        Embedders that read rows in a way of their own, such as gradients, say nothing of meaning.
        """
        if self._texts is None or self.leaks is None or not of_meaning(sides.about):
            return frozenset()
        request, before = self._request, set(self.leaks.found)
        self.leaks = with_meaning(
            self._texts,
            self._pool,
            self._target,
            (sides.pool, sides.target),
            kept,
            seed=request.seed or 0,
            about=sides.about,
            search=search_here(request.engine, memory=request.memory),
            chunker=self._chunker(kept, sides),
        )
        return self._gone([leak for leak in self.leaks.found if leak not in before])

    def _chunker(self, kept: Sequence[int], sides: Sides) -> Chunker | None:
        if not self._request.guard_chunks:
            return None
        text, _ = shared_text(self._request.text, self._target, pool=self._pool)
        return chunker_for(self._request, sides, kept, text, **self._how)

    def _gone(self, leaks: Sequence[Leak]) -> frozenset[int]:
        if self._request.guard != "remove":
            return frozenset()
        self.left_out += tuple(removed(self._pool, leaks))
        return frozenset(leak.pool_row for leak in leaks)


def removed(pool: Rows, leaks: Iterable[Leak]) -> Iterable[LeftOut]:
    """The record of each row that leaks, with the first of its leaks."""
    first: dict[int, Leak] = {}
    for leak in leaks:
        first.setdefault(leak.pool_row, leak)
    for row, leak in sorted(first.items()):
        score = "" if leak.test == "equal" else f", {leak.score:.4f}"
        yield left_out(pool, row, REASON, f"{leak.test} ({leak.part}{score}): target row {leak.target_id}")
