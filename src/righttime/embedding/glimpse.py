"""The shape of given vectors and some of their rows, without reading them all: what planning looks at."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.embedding.columns import column_of, head_of_column
from righttime.embedding.given import PREFIX, mapped_npy, opened, pick, told
from righttime.embedding.shards import files_afar
from righttime.errors import EmbeddingError
from righttime.formats.remote import times_the_first, without_secrets
from righttime.similarity.pairs import as_vectors

__all__ = ["Glimpse", "glimpse"]

Seen = tuple[tuple[int, ...], Any]


@dataclass(frozen=True, eq=False)
class Glimpse:
    """What can be learnt about given vectors without reading them all.

    Attributes:
        shape: Rows and dimensions.
        itemsize: Bytes of a number, as the file holds it.
        some: Rows from all over the file, or its first ones where it is compressed: shape (k, d).
    """

    shape: tuple[int, int]
    itemsize: int
    some: NDArray[Any]


def glimpse(spec: str, role: str, rows: int) -> Glimpse:
    """Look at the shape of given vectors and at some of their rows.

    Of several files at an address the first is fetched, and rows are estimated by the bytes of all.

    Args:
        spec: See `given_vectors`.
        role: See `given_vectors`.
        rows: About how many rows to read.

    Raises:
        EmbeddingError: As `given_vectors`.
        ShapeError: If they are no matrix of numbers.
    """
    path, _, name = spec.removeprefix(PREFIX).partition("#")
    files = files_afar(path)
    if len(files) > 1:
        one = glimpse(f"{PREFIX}{files[0].file}#{name}", role, rows)
        return replace(one, shape=(round(one.shape[0] * times_the_first(files)), one.shape[1]))
    if Path(path).suffix in _GLIMPSES and Path(path).is_file():
        shape, some = told(path, lambda file: _GLIMPSES[file.suffix](file, name, role, rows))
    else:
        array = as_vectors(opened(path, name, role), f"{without_secrets(path)} ({role})")
        shape, some = array.shape, np.concatenate([array[part] for part in _stretches(len(array), rows)])
    some = as_vectors(some, f"{without_secrets(path)} ({role})")
    return Glimpse(shape, some.dtype.itemsize, some)


def _stretches(n: int, rows: int) -> list[slice]:
    """Where to read about so many of n rows: in stretches from all over."""
    if n <= rows:
        return [slice(0, n)]
    each = max(1, rows // _STRETCHES)
    return [slice(start, start + each) for start in np.linspace(0, n - each, _STRETCHES).astype(int).tolist()]


_STRETCHES = 16


def _glimpse_of_npy(file: Path, name: str, role: str, rows: int) -> Seen:
    array = as_vectors(mapped_npy(file, name, role), f"{file} ({role})")
    return array.shape, np.concatenate([array[part] for part in _stretches(len(array), rows)])


def _glimpse_of_npz(file: Path, name: str, role: str, rows: int) -> Seen:
    with zipfile.ZipFile(file) as archive:
        members = [member.removesuffix(".npy") for member in archive.namelist()]
        chosen = archive.getinfo(f"{pick(file, members, name, role)}.npy")
        with archive.open(chosen) as stream:
            version = np.lib.format.read_magic(stream)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, columns_first, dtype = header(stream)
            start = stream.tell()
            if len(shape) != 2 or dtype.hasobject:
                return shape, np.empty(shape if len(shape) != 2 else 0, dtype=dtype)
            width = dtype.itemsize * shape[1]
            # Of compressed data, going to a later row means reading all before it.
            whole = chosen.compress_type != zipfile.ZIP_STORED or columns_first
            parts = [slice(0, min(rows, shape[0]))] if whole else _stretches(shape[0], rows)
            some = []
            for part in parts:
                stream.seek(start + part.start * width)
                some.append(np.frombuffer(stream.read((part.stop - part.start) * width), dtype))
    return shape, np.concatenate(some).reshape(-1, shape[1])


def _glimpse_of_safetensors(file: Path, name: str, role: str, rows: int) -> Seen:
    import torch
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), framework="pt") as tensors:
            tensor = tensors.get_slice(pick(file, list(tensors.keys()), name, role))
            shape = tuple(tensor.get_shape())
            if len(shape) != 2:
                return shape, np.empty(shape)
            return shape, torch.cat([tensor[part] for part in _stretches(shape[0], rows)])
    except SafetensorError as error:
        raise EmbeddingError(f"{file} must be a safetensors file: {error}.") from error


def _glimpse_of_parquet(file: Path, name: str, role: str, rows: int) -> Seen:
    return head_of_column(file, column_of(file, name), rows)


_GLIMPSES: Mapping[str, Callable[[Path, str, str, int], Seen]] = {
    ".npy": _glimpse_of_npy,
    ".npz": _glimpse_of_npz,
    ".safetensors": _glimpse_of_safetensors,
    ".parquet": _glimpse_of_parquet,
}
