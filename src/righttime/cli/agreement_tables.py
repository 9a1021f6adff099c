"""Agreement of arrangements as tables for a terminal."""

from __future__ import annotations

import numpy as np

from righttime.cli.text import table
from righttime.errors import SettingsError
from righttime.measures.agreement import Agreement

__all__ = ["agreement_table", "read_at"]


def read_at(text: str | None) -> list[float] | None:
    """``0.01,0.05,500`` as shares (with a point) and counts (without).

    Raises:
        SettingsError: If an entry is not a number.

    Example:
        >>> read_at("0.01,500")
        [0.01, 500]
    """
    if text is None:
        return None
    try:
        return [int(entry) if entry.strip().isdecimal() else float(entry) for entry in text.split(",")]
    except ValueError:
        raise SettingsError(f"--at must be shares or counts such as 0.01,0.05,500, got {text!r}.") from None


def agreement_table(found: Agreement) -> str:
    """Two tables for each count: Jaccard indices and rank correlations."""
    parts = []
    head = ["", "", *(str(number + 1) for number in range(len(found.names)))]
    for c, count in enumerate(found.at):
        for title, values in (
            ("Jaccard index of the rows", found.jaccard[c]),
            (f"{found.rank_kind.capitalize()} correlation of the rows in common", found.rank[c]),
        ):
            rows = [
                [str(a + 1), name, *("-" if np.isnan(value) else f"{value:.2f}" for value in values[a])]
                for a, name in enumerate(found.names)
            ]
            share = 100 * count / found.n_pool
            parts.append(f"first {count:,} rows ({share:.3g}% of the pool): {title}\n{table(head, rows)}")
    return "\n\n".join(parts)
