"""The rows that were read together, behind one interface: names and places by column, what a row says by its number.

Whatever orders rows goes by columns and vectors. Few ask what a row says, and they ask for many rows at once: so rows
need not be objects in memory, and where they are kept is nobody's business but that of the class behind `Rows`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from righttime.examples import Example, LeftOut, answered, content_id, text_of

__all__ = ["ExampleRows", "Rows", "as_numbers", "left_out", "prompt_key"]


class Rows(Protocol):
    """Rows by number, from 0. A column has an entry for each of them."""

    def __len__(self) -> int: ...

    @property
    def ids(self) -> Sequence[str]:
        """Their ids, unique among the rows read together."""

    @property
    def tasks(self) -> Sequence[str | None]:
        """Their tasks, None where a row has none."""

    @property
    def sources(self) -> Sequence[str]:
        """The short unique labels of the pools they came from."""

    @property
    def files(self) -> Sequence[str]:
        """The files they stood in, as the user named them."""

    @property
    def lines(self) -> Sequence[int]:
        """Their lines or record numbers in those files, from 1."""

    @property
    def content_ids(self) -> Sequence[str]:
        """What `righttime.examples.content_id` makes of each: equal where two rows say the same."""

    @property
    def contents(self) -> NDArray[np.uint64]:
        """The content ids as the numbers whose hex digits they are."""

    @property
    def prompt_keys(self) -> NDArray[np.int64]:
        """What `prompt_key` makes of each prompt."""

    @property
    def answered(self) -> Sequence[bool]:
        """Whether each has one response, or is a plain text, which wants none; a preference has two answers."""

    def texts(self, which: str, numbers: Iterable[int] | None = None) -> Iterator[str]:
        """The texts that represent rows.

        Args:
            which: A name of `righttime.examples.TEXTS`.
            numbers: The rows that are wanted, in any order; None: all.

        Raises:
            SettingsError: If `which` names no text.
        """

    def examples(self, numbers: Iterable[int] | None = None) -> Iterator[Example]:
        """Whole rows: those of these numbers, in their order, or all."""

    def take(self, numbers: Iterable[int]) -> Rows:
        """Some of the rows, in this order, as rows of their own; what is not taken need not be kept."""

    def batches(self, size: int) -> Iterator[Rows]:
        """All rows, so many at a time."""


class ExampleRows:
    """Rows that are objects in memory."""

    def __init__(self, examples: Iterable[Example], content_ids: Sequence[str] | None = None) -> None:
        """Hold rows.

        Args:
            examples: The rows.
            content_ids: Their content ids where they are known; they are worked out when asked for where not.
        """
        self._examples = tuple(examples)
        self._content_ids = content_ids

    def __len__(self) -> int:
        return len(self._examples)

    @cached_property
    def ids(self) -> Sequence[str]:
        """See `Rows`."""
        return tuple(row.id for row in self._examples)

    @cached_property
    def tasks(self) -> Sequence[str | None]:
        """See `Rows`."""
        return tuple(row.task for row in self._examples)

    @cached_property
    def sources(self) -> Sequence[str]:
        """See `Rows`."""
        return tuple(row.source for row in self._examples)

    @cached_property
    def files(self) -> Sequence[str]:
        """See `Rows`."""
        return tuple(row.file for row in self._examples)

    @cached_property
    def lines(self) -> Sequence[int]:
        """See `Rows`."""
        return tuple(row.line for row in self._examples)

    @property
    def content_ids(self) -> Sequence[str]:
        """See `Rows`."""
        if self._content_ids is None:
            self._content_ids = tuple(content_id(row.messages, row.tools) for row in self._examples)
        return self._content_ids

    @cached_property
    def contents(self) -> NDArray[np.uint64]:
        """See `Rows`."""
        return np.array([int(one, 16) for one in self.content_ids], dtype=np.uint64)

    @cached_property
    def prompt_keys(self) -> NDArray[np.int64]:
        """See `Rows`."""
        return np.array([prompt_key(row.prompt) for row in self._examples], dtype=np.int64)

    @cached_property
    def answered(self) -> Sequence[bool]:
        """See `Rows`."""
        return tuple(answered(row.messages) for row in self._examples)

    def texts(self, which: str, numbers: Iterable[int] | None = None) -> Iterator[str]:
        """See `Rows`."""
        return (text_of(row, which) for row in self.examples(numbers))

    def examples(self, numbers: Iterable[int] | None = None) -> Iterator[Example]:
        """See `Rows`."""
        return iter(self._examples) if numbers is None else map(self._examples.__getitem__, numbers)

    def take(self, numbers: Iterable[int]) -> Rows:
        """See `Rows`."""
        chosen = tuple(numbers)
        known = self._content_ids
        return ExampleRows(self.examples(chosen), None if known is None else tuple(known[number] for number in chosen))

    def batches(self, size: int) -> Iterator[Rows]:
        """See `Rows`."""
        return (self.take(range(start, min(start + size, len(self)))) for start in range(0, len(self), size))


def prompt_key(prompt: str) -> int:
    """A number that is equal where two prompts have the same words, and seldom equal where they do not.

    Example:
        >>> prompt_key(" Add 2 and  2. ") == prompt_key("Add 2 and 2."), prompt_key("Add 2.") == prompt_key("Add 3.")
        (True, False)
    """
    last = " ".join(prompt.rsplit(None, 4)[-4:])  # the first words are often the same
    return crc32(last.encode("utf-8", "surrogatepass"))


def as_numbers(numbers: Iterable[int]) -> NDArray[np.int64]:
    """Row numbers as an array, shape (n,)."""
    if isinstance(numbers, range):
        return np.arange(numbers.start, numbers.stop, numbers.step, dtype=np.int64)
    known = isinstance(numbers, np.ndarray | array)
    return np.asarray(numbers if known else list(numbers), dtype=np.int64)


def left_out(rows: Rows, number: int, reason: str, detail: str) -> LeftOut:
    """The record of a row that is not in the result, by its number."""
    return LeftOut(rows.files[number], rows.lines[number], number, rows.ids[number], reason, detail)
