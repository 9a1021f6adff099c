"""Columns that grow at their end: in memory while they are small, then in a file that has no name and is mapped."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, islice
from typing import IO, Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from righttime.errors import StoreError
from righttime.store import cache_folder

__all__ = ["Growing", "GrowingTexts", "Made", "Picked", "Runs", "Texts", "Values", "arrow_of", "gathered", "grown"]

Entry = TypeVar("Entry")

_HELD = 16 << 20  # bytes of a column that stay in memory
_BUFFER = 1 << 17
_AT_ONCE = 1 << 12  # entries that are decoded together


class Growing:
    """Bytes to which more are added, and which are looked at when all are there."""

    def __init__(self) -> None:
        """None yet."""
        self._parts: list[bytes] = []
        self._file: IO[bytes] | None = None
        self.size = 0

    def add(self, *parts: bytes) -> None:
        """Put bytes behind those that are there.

        Raises:
            StoreError: If the file cannot be written.
        """
        self._parts += parts
        self.size += sum(map(len, parts))
        if self.size > _HELD:
            self._lay_down()

    def _lay_down(self) -> None:
        folder = cache_folder()
        try:
            if self._file is None:
                folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(buffering=_BUFFER, dir=folder)  # noqa: SIM115 - as long as the column
            self._file.writelines(self._parts)
            self._parts = []
        except OSError as error:
            raise StoreError(
                f"what was read, {self.size / 2**20:,.0f} MiB by now, must fit on the disk of {folder}: "
                f"{error.strerror or error}. Hint: free space there, or name another folder in RIGHTTIME_CACHE."
            ) from error

    def buffer(self) -> memoryview:
        """All bytes; those of a file are mapped, and count as memory only while they are looked at.

        Raises:
            StoreError: If the file cannot be written.
        """
        if self._file is None:
            return memoryview(b"".join(self._parts))
        self._lay_down()
        try:
            self._file.flush()
            return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))
        except OSError as error:
            raise StoreError(f"what was read must be mapped from its file, got: {error.strerror or error}.") from error

    def array(self, dtype: Any) -> NDArray[Any]:
        """All bytes as numbers."""
        return np.frombuffer(self.buffer(), dtype=dtype)


def grown(sizes: Iterable[int], times: float) -> tuple[int, int]:
    """The bytes that lie in memory, and in files, once columns are so many times as large.

    Args:
        sizes: The bytes of each column.
        times: By how much they grow.

    Example:
        >>> [size >> 20 for size in grown([1 << 20, 1 << 19], 20)]
        [10, 20]
    """
    found = [int(times * size) for size in sizes]
    filed = sum(size for size in found if size > _HELD)
    return sum(found) - filed, filed


class GrowingTexts:
    """Texts in UTF-8 to which more are added."""

    def __init__(self) -> None:
        """None yet."""
        self._data, self._offsets = Growing(), Growing()
        self._offsets.add(bytes(8))

    def add(self, texts: Sequence[bytes]) -> None:
        """Put texts behind those that are there.

        Raises:
            StoreError: As `Growing.add`.
        """
        ends = np.fromiter(accumulate(map(len, texts)), np.int64, len(texts)) + self._data.size
        self._data.add(*texts)
        self._offsets.add(ends.tobytes())

    def extend(self, data: bytes, offsets: NDArray[np.int64]) -> None:
        """Put the texts of a `Texts` behind those that are there.

        Raises:
            StoreError: As `Growing.add`.
        """
        self._offsets.add((offsets[1:] + self._data.size).tobytes())
        self._data.add(data)

    def done(self) -> Texts:
        """All of them."""
        return Texts(self._data.buffer(), self._offsets.array(np.int64))


def gathered(texts: Iterable[bytes]) -> Texts:
    """Texts in UTF-8, of which few are held on the way: in memory while they are small, else mapped from a file.

    Raises:
        StoreError: As `Growing.add`.
    """
    column, left = GrowingTexts(), iter(texts)
    while block := list(islice(left, _AT_ONCE)):
        column.add(block)
    return column.done()


class Made(Sequence[Entry]):
    """A sequence whose entries are made when they are looked at, by a kind of it that says how, and how many.

    Those of a slice too are made when they are looked at.
    """

    def made_at(self, place: int) -> Entry:
        """The entry at a place from 0."""
        raise NotImplementedError

    @overload
    def __getitem__(self, place: int) -> Entry: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Entry]: ...

    def __getitem__(self, place: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(place, slice):
            return Picked(self, np.arange(*place.indices(len(self)), dtype=np.int64))
        return self.made_at(range(len(self))[place])


class Texts(Made[str]):
    """Texts one behind the other in UTF-8, decoded when they are looked at."""

    def __init__(self, data: memoryview, offsets: NDArray[np.int64]) -> None:
        """Look at texts.

        Args:
            data: All of them.
            offsets: int64, shape (n + 1,): where each begins, and where the last ends.
        """
        self.data, self.offsets = data, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def bytes_of(self, number: int) -> bytes:
        """One text as it lies there."""
        return bytes(self.data[self.offsets[number] : self.offsets[number + 1]])

    def made_at(self, place: int) -> str:
        """See `Made`."""
        return self.bytes_of(place).decode("utf-8")

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), _AT_ONCE):
            start, *ends = self.offsets[first : first + _AT_ONCE + 1].tolist()
            block, at = bytes(self.data[start : ends[-1]]), 0
            for end in ends:
                yield block[at : end - start].decode("utf-8")
                at = end - start


class Runs(Made[str]):
    """Names of which many in a row are the same."""

    def __init__(self, names: Sequence[str], starts: Sequence[int], size: int) -> None:
        """Look at names.

        Args:
            names: That of each run.
            starts: The number of the first entry of each, ascending from 0; of two with the same, the later counts.
            size: How many entries there are.
        """
        self.names, self._starts, self._size = tuple(names), np.asarray(starts, dtype=np.int64), size

    def __len__(self) -> int:
        return self._size

    def runs_of(self, numbers: Any) -> NDArray[np.int64]:
        """The run of each of these entries, as the number of its name."""
        return np.searchsorted(self._starts, np.asarray(numbers, dtype=np.int64), side="right") - 1

    def made_at(self, place: int) -> str:
        """See `Made`."""
        return self.names[int(self.runs_of(place))]

    def __iter__(self) -> Iterator[str]:
        bounds = [*self._starts.tolist(), self._size]
        for name, start, stop in zip(self.names, bounds, bounds[1:], strict=False):
            for _ in range(start, stop):
                yield name


class Values(Sequence[Any]):
    """Numbers, or what each of them stands for."""

    def __init__(self, numbers: NDArray[Any], made: Callable[[Any], Any] | None = None) -> None:
        """Look at numbers.

        Args:
            numbers: Shape (n,).
            made: What a number stands for; None: itself.
        """
        self.numbers, self.made = numbers, made

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return Values(self.numbers[number], self.made)
        value = self.numbers[number].item()
        return value if self.made is None else self.made(value)

    def __iter__(self) -> Iterator[Any]:
        for first in range(0, len(self), _AT_ONCE):
            values = self.numbers[first : first + _AT_ONCE].tolist()
            yield from values if self.made is None else map(self.made, values)


class Picked(Sequence[Any]):
    """Some entries of a column, by their numbers."""

    def __init__(self, column: Sequence[Any], numbers: NDArray[np.int64]) -> None:
        """Look at some.

        Args:
            column: The column.
            numbers: int64: which entries, in the order they are looked at.
        """
        self.column, self.numbers = column, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return Picked(self.column, self.numbers[number])
        return self.column[int(self.numbers[number])]

    def __iter__(self) -> Iterator[Any]:
        column = self.column
        for first in range(0, len(self), _AT_ONCE):
            yield from map(column.__getitem__, self.numbers[first : first + _AT_ONCE].tolist())


def arrow_of(column: Sequence[Any], numbers: NDArray[np.int64], kind: Any) -> Any:
    """Some entries of a column as an Arrow array of a kind, without an object for each where that can be."""
    import pyarrow as pa

    if isinstance(column, Picked):
        return arrow_of(column.column, column.numbers[numbers], kind)
    if isinstance(column, Texts):
        buffers = [None, pa.py_buffer(column.offsets), pa.py_buffer(column.data)]
        texts = pa.Array.from_buffers(pa.large_string(), len(column), buffers)
        return texts.take(pa.array(numbers)).cast(kind)
    if isinstance(column, Values) and column.made is None:
        return pa.array(column.numbers[numbers], kind)
    if isinstance(column, Runs):
        return pa.array(column.names, kind).take(pa.array(column.runs_of(numbers)))
    return pa.array([column[number] for number in numbers.tolist()], kind)
