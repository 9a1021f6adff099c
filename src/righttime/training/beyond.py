"""Rows beyond an arrangement's, among which a run that rearranges may choose as well."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from righttime.arrangement.caps import CAPS
from righttime.errors import SettingsError
from righttime.filtering import take_part
from righttime.formats.remote import without_secrets
from righttime.guard import find_text_leaks
from righttime.inputs import read_side
from righttime.results import FinishedResult, Request
from righttime.rows import ExampleRows, Rows, as_numbers

__all__ = ["Beyond", "rows_beyond"]

_READ_BY = ("format", "bad_rows", "repeated_ids", "positive_examples", "task_field", "fields", "max_row_bytes")


@dataclass(frozen=True, eq=False)
class Beyond:
    """The rows of another pool that may be consumed beside those of an arrangement.

    Attributes:
        rows: The arrangement's rows, in its order, and these behind them.
        count: How many these are.
        note: What was left out, in a sentence.
    """

    rows: Rows
    count: int
    note: str


def rows_beyond(finished: FinishedResult, target: Rows, pool: str) -> Beyond:
    """Read another pool as an arrangement's was, less what must not be consumed.

    Left out are rows that repeat one of the arrangement or an earlier one, those of more tokens than the arrangement
    allowed, and those that give a row of the target away, as far as texts alone tell. An id that an arranged row has
    too gets the prefix ``pool:``, wherever the pool lies.

    Args:
        finished: The arrangement.
        target: Its target.
        pool: A file or folder.

    Raises:
        DataError: If it cannot be read.
        SettingsError: If no row is left, or the arrangement keeps to something that these rows would not.
    """
    said = finished.manifest.settings
    if capped := [name for name in CAPS if said.get(name) is not None]:
        raise SettingsError(
            f"`rearrange_pool` must go with an arrangement without {capped[0]}, which rows of another pool would not "
            f"keep to, but {finished.folder} has it ({said[capped[0]]}). Hint: leave one of the two out.",
            setting="rearrange_pool",
        )
    request = Request(**{name: said[name] for name in _READ_BY if said.get(name) is not None})
    reading = read_side(pool, "side", request)
    read, shown, n_bad = reading.rows, without_secrets(pool), len(reading.left_out)
    part = take_part(read, duplicates="drop", tokenizer=said.get("tokenizer"), max_tokens=said.get("max_tokens"))
    first, n_long = as_numbers(part.kept), sum(one.reason == "too-long" for one in part.left_out)
    new = first[~np.isin(read.contents[first], finished.arranged.contents)]
    found = find_text_leaks(read, target, numbers=new.tolist()).leaks.found if len(new) else ()
    leaks = {leak.pool_row for leak in found}
    kept = [number for number in new.tolist() if number not in leaks]
    if not kept:
        raise SettingsError(
            f"`rearrange_pool` must hold a row that {finished.folder} does not, got none in {shown} "
            f"({len(read):,} rows, {len(leaks):,} of them leaks of the target).",
            setting="rearrange_pool",
        )
    note = (
        f"{len(kept):,} rows of {shown} may be consumed beside the arrangement's; left out are "
        f"{len(read) - n_long - len(new):,} that repeat one of it or an earlier one, {len(leaks):,} that give a row of "
        f"the target away, {n_long:,} that are too long, and {n_bad:,} that cannot be used."
    )
    if said.get("min_similarity") is not None:
        note += " None of them was held to the arrangement's min_similarity, which goes by other vectors."
    rows = read.take(kept)
    names = _apart(rows.ids, set(finished.arranged.ids))
    beyond = (dataclasses.replace(row, id=name) for row, name in zip(rows.examples(), names, strict=True))
    return Beyond(ExampleRows([*finished.arranged.examples(), *beyond]), len(kept), note)


def _apart(ids: Sequence[str], taken: set[str]) -> list[str]:
    """Ids apart from those taken: as they are, or with the prefix ``pool:`` and, if need be, a number."""
    known, found = taken | set(ids), []
    for name in ids:
        new, number = name if name not in taken else f"pool:{name}", 2
        while new != name and new in known:
            new, number = f"pool:{name}-{number}", number + 1
        known.add(new)
        found.append(new)
    return found
