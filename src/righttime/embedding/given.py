"""Vectors that the user has already: `vectors:FILE`, with `#NAME` for a tensor or column of it.

vectors:pool.npy                   one matrix
vectors:both.safetensors           tensors named `pool` and `target` (or `both.safetensors#name`)
vectors:both.npz                   the same, as NumPy saves several arrays
vectors:pool.parquet#embedding     a column of lists; `embedding` if no name is given
vectors:pool.arrow#embedding       the same of an Arrow file or stream (.arrow, .feather)
vectors:shards/ or shards/*.npy    several such files, by name, one below the other
vectors:s3://bucket/shards/*.npy   the same at an address
"""

from __future__ import annotations

import math
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.broken import told_of
from righttime.embedding.columns import as_matrix, parquet_column, parquet_rows, require_column
from righttime.embedding.shards import arrow_batches, check_ids, have_ids, one_matrix, shard_files, suffix_of
from righttime.errors import EmbeddingError, ShapeError
from righttime.formats.remote import address, local_file, without_secrets
from righttime.neighbours import MEMORY
from righttime.rows import Rows
from righttime.similarity.lazy import LazyRows
from righttime.similarity.pairs import as_vectors
from righttime.similarity.shared import SeenFile, SharedRows

__all__ = [
    "PREFIX",
    "check_given_ids",
    "given_sides",
    "given_vectors",
    "kept_spec",
    "mapped_npy",
    "opened",
    "pick",
    "shared_vectors",
    "split_spec",
    "told",
]

PREFIX = "vectors:"

_GAIN = 4  # real vectors hardly shrink
_LOCAL_HEADER = 30  # bytes of a member's header in a zip file; the last four say how long its name and its extra are


def given_vectors(spec: str, role: str, n_rows: int, memory: int = MEMORY) -> NDArray[Any]:
    """Read the vectors of a pool or a target from a file.

    Args:
        spec: ``vectors:FILE`` or ``vectors:FILE#NAME``.
        role: ``pool`` or ``target``; the tensor's name where a file holds several and none is given.
        n_rows: How many rows the vectors must be for.
        memory: Bytes that a compressed array may take when it is inflated.

    Returns:
        Any real dtype, shape (n_rows, d).

    Raises:
        EmbeddingError: If the file is missing, of another kind, lacks the tensor or column, or is too large inflated.
        ShapeError: If there is not one vector for each row.
    """
    path, _, name = spec.removeprefix(PREFIX).partition("#")
    return _of_rows(opened(path, name, role, memory), path, role, n_rows)


def _of_rows(vectors: Any, path: str, role: str, n_rows: int) -> NDArray[Any]:
    """Vectors that are one for each row."""
    path = without_secrets(path)
    found = as_vectors(vectors, f"{path} ({role})")
    if len(found) != n_rows:
        raise ShapeError(
            f"{path} must hold one vector for each of the {n_rows} {role} rows, got {len(found)}. "
            "Hint: vectors go by row, over the files in the order given, readable rows only.",
            file=path,
        )
    return found


def shared_vectors(spec: str, role: str, n_rows: int, memory: int = MEMORY) -> SharedRows | None:
    """The vectors of a pool for processes that read them for themselves, from files that all of them see.

    Args:
        spec: See `given_vectors`.
        role: See `given_vectors`.
        n_rows: See `given_vectors`.
        memory: See `given_vectors`.

    Returns:
        None where that would have a process hold what it does not look at: of files at an address, of Arrow's and of
        several .npz, and of one file that fits into `memory` and is not a .npy.

    Raises:
        EmbeddingError: As `given_vectors`.
        ShapeError: As `given_vectors`.
    """
    path, _, name = spec.removeprefix(PREFIX).partition("#")
    if address(path) is not None:
        return None
    files = shard_files(path, _READERS)
    may = _ONE_BY_PARTS if files is None else _MANY_BY_PARTS
    if any(Path(file).suffix not in may for file in files or [path]):
        return None
    found = opened(path, name, role, memory)
    if not isinstance(found, LazyRows | np.memmap):
        return None
    vectors = _of_rows(found, path, role, n_rows)
    opens = _Files(tuple(map(SeenFile.of, files or [path])), files is not None, name, role, memory)
    by_row = getattr(found, "by_row", True)
    return SharedRows(opens, f"{role} vectors", (len(vectors), vectors.shape[1]), by_row=by_row)


@dataclass(frozen=True)
class _Files:
    """Opens files of vectors in any process that sees the same ones; arguments as those of `opened`."""

    files: tuple[SeenFile, ...]
    many: bool
    name: str
    role: str
    memory: int

    def __call__(self) -> Any:
        for file in self.files:
            file.require()
        paths = [file.path for file in self.files]
        return _of_files(paths if self.many else None, paths[0], self.name, self.role, self.memory)


def opened(path: str, name: str, role: str, memory: int = MEMORY) -> Any:
    """The vectors of a file, or of shards, mapped or read block by block where they are many.

    Args:
        path: A file, folder or pattern.
        name: The tensor or column; empty: as `given_vectors` finds it.
        role: See `given_vectors`.
        memory: See `given_vectors`.

    Raises:
        EmbeddingError: As `given_vectors`.
        ShapeError: If shards hold vectors of several kinds.
    """
    return _of_files(shard_files(path, _READERS), path, name, role, memory)


def _of_files(files: Sequence[str] | None, path: str, name: str, role: str, memory: int) -> Any:
    """See `opened`; of those files, one below the other, or of the one at `path`."""
    if files is None:
        return told(path, lambda file: _READERS[file.suffix](file, name, role, memory))
    of_shards = {**_READERS, ".parquet": parquet_rows, ".safetensors": _safetensors_later}

    def read(file: Path) -> Any:
        return of_shards[file.suffix](file, name, role, memory)

    return one_matrix((file, told(file, read)) for file in files)


def check_given_ids(spec: str, rows: Rows, numbers: Sequence[int]) -> None:
    """Make sure that given vectors are those of the rows, where the files have ids; see `check_ids`.

    Args:
        spec: See `given_vectors`.
        rows: The rows that take part.
        numbers: The number of each in its side, ascending.

    Raises:
        EmbeddingError: If they are not.
    """
    path = spec.removeprefix(PREFIX).partition("#")[0]
    files = shard_files(path, _READERS) or [path]
    if have_ids(files):
        told_of(without_secrets(path), lambda: check_ids(files, rows, numbers))


def kept_spec(spec: str) -> str:
    """What names vectors, as it may be shown and kept: an address in it without user, password and query.

    Example:
        >>> kept_spec("vectors:https://me:word@example.org/both.npz?X-Amz-Signature=1f#pool")
        'vectors:https://example.org/both.npz#pool'
    """
    path, mark, name = spec.removeprefix(PREFIX).partition("#")
    return f"{PREFIX}{without_secrets(path)}{mark}{name}"


def split_spec(spec: str, target_spec: str | None) -> tuple[str, str]:
    """What names the vectors of each side; see `given_sides`.

    Raises:
        EmbeddingError: If there is no target's file and the pool's does not hold both.
    """
    if target_spec is not None:
        return spec, target_spec
    path, _, name = spec.removeprefix(PREFIX).partition("#")
    if name or suffix_of(path) not in (".npz", ".safetensors"):
        raise EmbeddingError(
            f"{kept_spec(spec)} holds the vectors of one side, and the target needs its own. Hint: "
            "`target_embedder='vectors:FILE'`, or one .npz or .safetensors file with tensors named pool and target.",
            setting="target_embedder",
        )
    return f"{spec}#pool", f"{spec}#target"


def told(path: str, read: Callable[[Path], Any]) -> Any:
    """What is read of a file, or one sentence about what is wrong with it."""
    shown = without_secrets(path)
    if suffix_of(path) not in _READERS:
        raise EmbeddingError(f"vectors must be a file ending in {', '.join(_READERS)}, got {shown!r}.", file=shown)
    file = Path(local_file(path))
    return told_of(shown, lambda: read(file))


def given_sides(
    spec: str, target_spec: str | None, n_pool: int, n_target: int, memory: int = MEMORY
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The vectors of both sides: from one file that holds a `pool` and a `target` tensor, or from two.

    Args:
        spec: ``vectors:FILE`` or ``vectors:FILE#NAME`` of the pool, or of both.
        target_spec: The same of the target; None where one file holds both.
        n_pool: How many pool rows there are.
        n_target: How many target rows there are.
        memory: Bytes that a compressed array may take when it is inflated.

    Raises:
        EmbeddingError: As `given_vectors`, or if there is no target's file and the pool's does not hold both.
        ShapeError: As `given_vectors`.
    """
    spec, target_spec = split_spec(spec, target_spec)
    return given_vectors(spec, "pool", n_pool, memory), given_vectors(target_spec, "target", n_target, memory)


def mapped_npy(file: Path, name: str, role: str, memory: int = MEMORY) -> Any:
    """A .npy file, mapped into memory."""
    return np.load(file, mmap_mode="r", allow_pickle=False)


def _npz(file: Path, name: str, role: str, memory: int) -> Any:
    with np.load(file, allow_pickle=False) as arrays:
        chosen = pick(file, list(arrays.files), name, role)
        mapped = _in_room(file, chosen, memory)
        return arrays[chosen] if mapped is None else mapped


def _in_room(file: Path, name: str, memory: int) -> NDArray[Any] | None:
    """Make sure that an array of a .npz takes what it says, and, if it is compressed, no more than `memory`.

    Returns:
        One that is not compressed and takes more, mapped from where it lies; else None.

    Raises:
        EmbeddingError: If it does not.
    """
    with zipfile.ZipFile(file) as archive:
        member = archive.getinfo(next(one for one in archive.namelist() if one in (name, f"{name}.npy")))
        with archive.open(member) as stream:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, columns_first, dtype = header(stream)
            start = stream.tell()
            held = member.file_size - start
    said = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or (said != held and not dtype.hasobject):
        raise EmbeddingError(
            f"{file}: {name!r} must hold the {said:,} bytes of its shape {shape}, got {held:,}: it is damaged.",
            file=file,
        )
    if member.compress_type != zipfile.ZIP_STORED and held > memory:
        raise EmbeddingError(
            f"{file}: {name!r} must fit into the {memory:,} bytes of `memory` when it is inflated, got {held:,}. "
            "Hint: save it as .npy, which is read where it lies, or give more `memory`.",
            file=file,
        )
    if held <= memory or dtype.hasobject or member.flag_bits & 1:  # the last: encrypted, which reading it says
        return None
    with file.open("rb") as raw:
        raw.seek(member.header_offset)
        sizes = raw.read(_LOCAL_HEADER)[-4:]
    start += member.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", sizes))
    return np.memmap(file, dtype, "r", start, shape, "F" if columns_first else "C")


def _safetensors(file: Path, name: str, role: str, memory: int) -> Any:
    from safetensors import SafetensorError, safe_open

    try:
        # Read by Torch, since NumPy alone has no bfloat16; as_vectors widens that, block by block where it is large.
        with safe_open(str(file), framework="pt") as tensors:
            chosen = pick(file, list(tensors.keys()), name, role)
            there = tensors.get_slice(chosen)
            if len(there.get_shape()) == 2 and file.stat().st_size > memory:
                some = as_vectors(_as_kept(there[:1]), str(file))
                return LazyRows(tuple(there.get_shape()), some.dtype, partial(_sliced, file, chosen), by_row=False)
            return _as_kept(tensors.get_tensor(chosen))
    except SafetensorError as error:
        raise EmbeddingError(f"{file} must be a safetensors file: {error}.", file=file) from error


def _safetensors_later(file: Path, name: str, role: str, memory: int) -> Any:
    """A tensor that is read when its rows are looked at."""
    return _safetensors(file, name, role, 0)


def _as_kept(tensor: Any) -> Any:
    return tensor if str(tensor.dtype) == "torch.bfloat16" else tensor.numpy()


def _sliced(file: Path, name: str, start: int, stop: int) -> NDArray[Any]:
    """Some rows of a tensor."""
    from safetensors import safe_open

    with safe_open(str(file), framework="pt") as tensors:
        return as_vectors(_as_kept(tensors.get_slice(name)[start:stop]), str(file))


def _arrow(file: Path, name: str, role: str, memory: int) -> Any:
    column_name, parts, held, most = name or "embedding", [], 0, max(memory, _GAIN * file.stat().st_size)
    for batch in arrow_batches(file):
        require_column(file, column_name, batch.schema.names)
        held += batch.nbytes
        _in_memory(file, column_name, held, most, memory)
        parts.append(as_matrix(file, column_name, batch.column(column_name)))
    if not parts:
        raise EmbeddingError(f"{file} must hold vectors, got no row.", file=file)
    wide = [part for part in parts if len(part)] or parts[:1]
    return wide[0] if len(wide) == 1 else one_matrix((str(file), part) for part in wide)


def _in_memory(file: Path, column_name: str, held: int, most: int, memory: int) -> None:
    if held > most:
        raise EmbeddingError(
            f"{file}: column {column_name!r} must fit into the {memory:,} bytes of `memory` when it is "
            "inflated, got more. Hint: save it as .npy, which is read where it lies, or give more `memory`.",
            file=file,
        )


def pick(file: Path, names: list[str], name: str, role: str) -> str:
    """The tensor asked for, or the one named like the role, or the only one."""
    wanted = name or (role if role in names or len(names) != 1 else names[0])
    if wanted not in names:
        raise EmbeddingError(
            f"{file} must hold a tensor {wanted!r}, got {', '.join(names) or 'none'}. Hint: vectors:{file}#NAME.",
            file=file,
        )
    return wanted


_READERS: Mapping[str, Callable[[Path, str, str, int], Any]] = {
    ".npy": mapped_npy,
    ".npz": _npz,
    ".safetensors": _safetensors,
    ".parquet": parquet_column,
    ".arrow": _arrow,
    ".feather": _arrow,
}

# A file, or files, of which a process reads some rows without holding the others.
_ONE_BY_PARTS = (".npy", ".npz", ".parquet", ".safetensors")
_MANY_BY_PARTS = (".npy", ".safetensors", ".parquet")
