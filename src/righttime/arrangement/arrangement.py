"""The Arrangement: which pool row stands at which place, in which round, picked by which target row, how similar."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from righttime import strict_json
from righttime.errors import SettingsError, ShapeError, StoreError
from righttime.examples import Example
from righttime.rows import Rows
from righttime.store import MANIFEST

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

__all__ = ["Arrangement", "Labels"]

Row = TypeVar("Row")
_METADATA = b"righttime"
_ARRANGED, _WOVEN = "arranged", "woven"


@dataclass(frozen=True)
class Labels:
    """Names of the arranged rows, place by place, where they are known.

    Attributes:
        id: The rows' ids.
        task: Their tasks, None where a row has none.
        source: The pools they came from.
        picked_by: The ids of the target rows that picked them, None where none did.
    """

    id: tuple[str, ...]
    task: tuple[str | None, ...]
    source: tuple[str, ...]
    picked_by: tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class Arrangement:
    """An order of pool rows, and for every place why the row is there.

    All arrays have shape (n,), one entry for each place of the order.

    Attributes:
        order: int64, distinct pool rows.
        round: int32, the round of TMA that chose the row, from 0; None for other methods.
        picked_by: int64, the target row that picked it (of several, the most similar; for distance methods the
            most similar target row); None for methods that do not look at the target.
        similarity: float32, the cosine similarity of that pair, or None.
        distance: float64, the value ranked by, smaller is nearer, or None.
        n_pool: Rows of the pool.
        n_target: Rows of the target.
        settings: Everything that decided the order, resolved: method, seed, budget, weights, warnings, ...
        labels: Ids, tasks and sources, where known.
        woven: bool, which rows were drawn at random and woven among the arranged ones; such a row has round and
            picked_by -1, and similarity, distance and score NaN. None where nothing was woven.
        score: float64, what a shape sorted the rows by: characters, or the mean loss of their answers; None where it
            is no such score.
        rows: The arranged rows themselves, place by place, where known.
    """

    order: NDArray[np.int64]
    round: NDArray[np.int32] | None
    picked_by: NDArray[np.int64] | None
    similarity: NDArray[np.float32] | None
    distance: NDArray[np.float64] | None
    n_pool: int
    n_target: int
    settings: Mapping[str, Any]
    labels: Labels | None = None
    woven: NDArray[np.bool_] | None = None
    score: NDArray[np.float64] | None = None
    rows: Rows | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.order)

    @property
    def examples(self) -> tuple[Example, ...] | None:
        """The arranged rows as objects, where known."""
        return None if self.rows is None else tuple(self.rows.examples())

    @property
    def n_rounds(self) -> int:
        """How many rounds of TMA the arrangement holds rows of; 0 for other methods."""
        return 0 if self.round is None else len(np.unique(self.round[self.round >= 0]))

    def arranged(self) -> Arrangement:
        """The same without woven rows: only those that the method placed, in order."""
        if self.woven is None:
            return self
        return dataclasses.replace(self.at_places(np.flatnonzero(~self.woven)), woven=None)

    def at_places(self, places: NDArray[np.int64]) -> Arrangement:
        """The rows at some places, in the order of these, each with all that is known of it.

        Args:
            places: int64, shape (n,).
        """
        names = ("order", "round", "picked_by", "similarity", "distance", "woven", "score")
        held = {name: getattr(self, name) for name in names}
        columns: dict[str, Any] = {name: None if values is None else values[places] for name, values in held.items()}
        labels = None
        if self.labels is not None:
            every = dataclasses.astuple(self.labels)
            labels = Labels(*(tuple(column[place] for place in places.tolist()) for column in every))
        rows = None if self.rows is None else self.rows.take(places.tolist())
        return dataclasses.replace(self, **columns, labels=labels, rows=rows)

    def at(self, column: str, position: int) -> Any:
        """A column's value at one position as a plain number; None where the method has none, or the row is woven."""
        values = getattr(self, column)
        return None if values is None or (self.woven is not None and self.woven[position]) else values[position].item()

    def replay(self, rows: Sequence[Row]) -> Iterator[Row]:
        """Yield `rows` (the same pool, in its own order) in the arranged order.

        Args:
            rows: Any sequence with one entry for each pool row; dicts with an ``id`` are checked against ours.

        Raises:
            ShapeError: If `rows` has not as many entries as the pool had.
            SettingsError: If a row carries another id than the arranged one.

        Example:
            >>> arrangement = Arrangement(np.array([2, 0]), None, None, None, None, 3, 1, {})
            >>> list(arrangement.replay(["a", "b", "c"]))
            ['c', 'a']
        """
        if len(rows) != self.n_pool:
            raise ShapeError(f"rows must be the pool's {self.n_pool}, got {len(rows)}. Hint: pass the whole pool.")
        return self._replay(rows)

    def _replay(self, rows: Sequence[Row]) -> Iterator[Row]:
        for place, number in enumerate(self.order.tolist()):
            row = rows[number]
            self._check_id(place, number, row.get("id") if isinstance(row, Mapping) else None)
            yield row

    def _check_id(self, place: int, number: int, got: object) -> None:
        """Refuse a pool row whose own id is not that of the row arranged at a place."""
        wanted = self.labels.id[place] if self.labels and got is not None else str(got)
        # Ids that clash between two pools carry their pool's name in front.
        if wanted != str(got) and not wanted.endswith(f":{got}"):
            raise SettingsError(
                f"pool row {number} must have the id {wanted!r}, got {got!r}. "
                "Hint: this is another pool, or another order of it.",
                row=number,
            )

    def to_dataset(self, pool: datasets.Dataset | None = None) -> datasets.Dataset:
        """The arranged rows as a Hugging Face data set, map-style, in order.

        Args:
            pool: The pool as a data set; its own columns are kept. Without it the rows read by `righttime.arrange`
                are used: columns ``id``, ``messages``, and ``tools`` where any row has them.

        Raises:
            ShapeError: If `pool` has not as many rows as the arranged pool.
            SettingsError: If a row of `pool` carries another id than the arranged one, or there is neither a `pool`
                nor rows of our own.
        """
        if pool is not None:
            if len(pool) != self.n_pool:
                raise ShapeError(f"pool must have {self.n_pool} rows, got {len(pool)}.")
            if "id" in pool.column_names:
                ids = pool["id"]
                for place, number in enumerate(self.order.tolist()):
                    self._check_id(place, number, ids[number])
            return pool.select(self.order)
        if self.rows is None:
            raise SettingsError(
                "to_dataset needs the pool here: this arrangement holds numbers only. Hint: to_dataset(pool)."
            )
        import datasets

        rows = [_for_arrow(example.as_dict()) for example in self.rows.examples()]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        return datasets.Dataset.from_dict({name: [row.get(name) for row in rows] for name in columns})

    def to_table(self) -> pa.Table:
        """The arrangement as an Arrow table: the columns of ``arrangement.parquet``."""
        import pyarrow as pa

        n = len(self)
        labels = self.labels
        picked_names: Sequence[str | None] | None = labels.picked_by if labels else None
        if picked_names is None and self.picked_by is not None:
            picked_names = [str(row) if row >= 0 else None for row in self.picked_by.tolist()]
        columns = {
            "position": pa.array(np.arange(n, dtype=np.int64)),
            "row": pa.array(self.order),
            "id": pa.array(labels.id if labels else [None] * n, pa.string()),
            "task": pa.array(labels.task if labels else [None] * n, pa.string()),
            "source": pa.array(labels.source if labels else [None] * n, pa.string()),
            "round": _column(self.round, n, pa.int32(), self.woven),
            "picked_by": pa.array(picked_names if picked_names is not None else [None] * n, pa.string()),
            "picked_by_row": _column(self.picked_by, n, pa.int64(), self.woven),
            "similarity": _column(self.similarity, n, pa.float32(), self.woven),
            "distance": _column(self.distance, n, pa.float64(), self.woven),
        }
        if self.score is not None:
            columns["score"] = _column(self.score, n, pa.float64(), self.woven)
        if self.woven is not None:
            columns["reason"] = pa.array([_WOVEN if one else _ARRANGED for one in self.woven.tolist()], pa.string())
        about = {"n_pool": self.n_pool, "n_target": self.n_target, "settings": dict(self.settings)}
        return pa.table(columns).replace_schema_metadata({_METADATA: json.dumps(about, sort_keys=True).encode()})

    def save(self, path: str | Path) -> None:
        """Write the arrangement to one Parquet file, atomically.

        Raises:
            StoreError: If it cannot be written.
        """
        from righttime.store import write_parquet

        write_parquet(Path(path), self.to_table())

    @classmethod
    def load(cls, path: str | Path) -> Arrangement:
        """Read an arrangement from its Parquet file, or from the folder that `righttime arrange` wrote.

        Raises:
            StoreError: If there is none, or it is not ours, or the folder holds no manifest.
        """
        import pyarrow.parquet as pq

        file = Path(path)
        if file.is_dir():
            if not (file / MANIFEST).is_file():
                raise StoreError(
                    f"{file} must hold {MANIFEST}, but there is none: it is not a result of righttime, or not a "
                    "finished one."
                )
            file = file / "arrangement.parquet"
        try:
            table = pq.read_table(file)
            about = strict_json.loads(table.schema.metadata[_METADATA])
            labels = None
            if not table["id"].null_count:
                names = ("id", "task", "source", "picked_by")
                labels = Labels(*(tuple(table[name].to_pylist()) for name in names))
            return cls(
                order=table["row"].to_numpy(),
                round=_array(table, "round", np.int32(-1)),
                picked_by=_array(table, "picked_by_row", np.int64(-1)),
                similarity=_array(table, "similarity", np.float32(np.nan)),
                distance=_array(table, "distance", np.float64(np.nan)),
                woven=_woven(table),
                score=_array(table, "score", np.float64(np.nan)) if "score" in table.column_names else None,
                n_pool=about["n_pool"],
                n_target=about["n_target"],
                settings=about["settings"],
                labels=labels,
            )
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise StoreError(f"{file} must be an arrangement saved by righttime: {error}") from error

    def with_rows(self, pool: Rows, target: Rows) -> Arrangement:
        """The same arrangement, carrying the rows it arranges and their names.

        Args:
            pool: The pool's rows, by pool row.
            target: The target's rows, by target row.
        """
        rows = pool.take(self.order.tolist())
        pickers: tuple[str | None, ...] = (None,) * len(rows)
        if self.picked_by is not None:
            ids = target.ids
            pickers = tuple(ids[number] if number >= 0 else None for number in self.picked_by.tolist())
        labels = Labels(tuple(rows.ids), tuple(rows.tasks), tuple(rows.sources), pickers)
        return dataclasses.replace(self, labels=labels, rows=rows)


def _column(values: NDArray[Any] | None, n: int, kind: Any, woven: NDArray[np.bool_] | None) -> Any:
    import pyarrow as pa

    return pa.nulls(n, kind) if values is None else pa.array(values, kind, mask=woven)


def _array(table: pa.Table, name: str, none: np.generic) -> Any:
    column = table[name]
    if column.null_count == len(column) and len(column):
        return None
    if not column.null_count:
        return column.to_numpy()
    return column.combine_chunks().fill_null(none.item()).to_numpy(zero_copy_only=False).astype(none.dtype)


def _woven(table: pa.Table) -> NDArray[np.bool_] | None:
    if "reason" not in table.column_names:
        return None
    return np.array([reason == _WOVEN for reason in table["reason"].to_pylist()], dtype=np.bool_)


def _for_arrow(row: dict[str, Any]) -> dict[str, Any]:
    """Calls and tool lists differ from row to row, which Arrow's columns cannot hold: as JSON text they fit."""
    turns = (turn for value in row.values() if isinstance(value, list) for turn in value)
    for message in turns:
        if "tool_calls" in message:
            message["tool_calls"] = json.dumps(message["tool_calls"], ensure_ascii=False)
    if row.get("tools") is not None and not isinstance(row["tools"], str):
        row["tools"] = json.dumps(row["tools"], ensure_ascii=False)
    return row
