"""Vectors over many files, and the ids that files have beside them: `vectors:FOLDER`, `vectors:shards/*.npy`."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from righttime.errors import EmbeddingError, ShapeError
from righttime.formats.patterns import PATTERN
from righttime.formats.remote import Listed, address, fetched, files_at, listed, local_file, without_secrets
from righttime.growing import arrow_of
from righttime.rows import Rows, as_numbers
from righttime.similarity.lazy import LazyRows, stacked
from righttime.similarity.pairs import as_vectors

__all__ = ["arrow_batches", "check_ids", "files_afar", "have_ids", "one_matrix", "shard_files", "suffix_of"]

_ID = "id"
_WITH_IDS = (".parquet", ".arrow", ".feather")
_READ_AT_ONCE = 1 << 16


def shard_files(path: str, suffixes: Collection[str]) -> list[str] | None:
    """The files of a folder or pattern, by name, at an address fetched side by side; None where `path` is one file.

    Raises:
        EmbeddingError: If there is none, or one that holds no vectors.
        DataError: If files at an address cannot be fetched.
    """
    files, shown = _files(path, suffixes), without_secrets(path)
    if files is None:
        return None
    other = next((file for file in files if suffix_of(file) not in suffixes), None)
    if other is not None or not files:
        raise EmbeddingError(
            f"{shown} must hold files of vectors, ending in {', '.join(suffixes)}, got {other or 'none'}. "
            "Hint: name them by a pattern, such as `vectors:shards/*.npy`.",
            file=shown,
        )
    if address(path) is not None:
        fetched(path, tuple(suffixes))
    return files


def files_afar(path: str) -> list[Listed]:
    """The files at an address, of which none is fetched; of a path on this machine none.

    Raises:
        DataError: As `righttime.formats.remote.listed`.
    """
    return listed(path, ("",)) if address(path) is not None else []


def _files(path: str, suffixes: Collection[str]) -> list[str] | None:
    """The files of a folder or pattern, whatever they hold; None where `path` is one file."""
    if (there := address(path)) is not None:
        one = there.startswith("http") or (suffix_of(path) in suffixes and not PATTERN.search(path))
        return None if one else files_at(path)
    if not (Path(path).is_dir() or glob.has_magic(path)) or Path(path).is_file():
        return None
    pattern = str(Path(glob.escape(path)) / "*") if Path(path).is_dir() else path
    return sorted(file for file in glob.glob(pattern, recursive=True) if Path(file).is_file())


def suffix_of(path: str) -> str:
    """The ending of a file's name, which tells its kind; of an address without its query."""
    return Path(without_secrets(path)).suffix


def one_matrix(shards: Iterable[tuple[str, Any]]) -> LazyRows:
    """The vectors of shards one below the other, each read when it is looked at.

    Args:
        shards: The name of each, and its vectors, mapped or read block by block, in the order of the rows.

    Raises:
        ShapeError: If widths or dtypes differ; names the file.
    """
    files, parts = zip(*((file, as_vectors(part, file)) for file, part in shards), strict=True)
    for file, part in zip(files, parts, strict=True):
        if (part.shape[1], part.dtype) != (parts[0].shape[1], parts[0].dtype):
            raise ShapeError(
                f"{file} must hold vectors like {files[0]} ({parts[0].shape[1]} numbers, {parts[0].dtype}), got "
                f"{part.shape[1]} numbers, {part.dtype}.",
                file=file,
            )
    return stacked(parts)


def check_ids(files: Sequence[str], rows: Rows, numbers: Sequence[int]) -> None:
    """Make sure that no vector stands where another row is, by the column `id` of files that have one.

    An id that no row has proves nothing: rows without ids of their own are named by their content.

    Args:
        files: Files of vectors, in the order of the rows.
        rows: The rows that take part.
        numbers: The number of each in its side, ascending.

    Raises:
        EmbeddingError: If the vector of a row has another row's id; names both.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    places, start, known = as_numbers(numbers), 0, None
    for file in files:
        for theirs in _ids_in(file):
            first, last = np.searchsorted(places, [start, start + len(theirs)])
            here = pa.array(places[first:last] - start)
            start += len(theirs)
            mine = arrow_of(rows.ids, np.arange(first, last), pa.large_string())
            theirs = theirs.take(here)
            other = np.flatnonzero(pc.not_equal(theirs, mine).fill_null(False).to_numpy(zero_copy_only=False))
            if not len(other):
                continue
            if known is None:
                known = arrow_of(rows.ids, np.arange(len(places)), pa.large_string())
            wrong = other[pc.is_in(theirs.take(pa.array(other)), known).to_numpy(zero_copy_only=False)]
            if len(wrong):
                at = int(wrong[0])
                raise EmbeddingError(
                    f"{file}: vector {places[first + at]} must be that of row {mine[at]}, got that of row "
                    f"{theirs[at]} by its column {_ID!r}. Hint: vectors go by row, in the order of the files.",
                    file=file,
                    row=str(mine[at]),
                )


def _ids_in(file: str) -> Iterator[Any]:
    """The ids of a file's vectors, some at a time; without a column of them, one run of nulls."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(local_file(file))
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as table:
            if _ID not in table.schema_arrow.names:
                yield pa.nulls(table.metadata.num_rows, pa.large_string())
                return
            for batch in table.iter_batches(batch_size=_READ_AT_ONCE, columns=[_ID]):
                yield batch.column(0).cast(pa.large_string())
    else:
        for batch in arrow_batches(path):
            has = _ID in batch.schema.names
            yield batch.column(_ID).cast(pa.large_string()) if has else pa.nulls(len(batch), pa.large_string())


def arrow_batches(file: Path) -> Iterator[Any]:
    """The batches of an Arrow file or stream, mapped."""
    import pyarrow as pa

    source = pa.memory_map(str(file))
    try:
        reader = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        yield from pa.ipc.open_stream(source)
        return
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number)


def have_ids(files: Sequence[str]) -> bool:
    """Whether files are of a kind that may have ids beside their vectors."""
    return all(suffix_of(file) in _WITH_IDS for file in files)
