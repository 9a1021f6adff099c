"""Which replicates are compared: those that every order has, so that the k-th run of each is of one replicate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

from righttime.analysis.runs import Run
from righttime.errors import SettingsError, unknown_name

__all__ = ["whole_replicates"]


def whole_replicates(
    runs: Mapping[str, Sequence[Run]], baseline: str
) -> tuple[dict[str, tuple[Run, ...]], tuple[str, ...]]:
    """The runs of the replicates that every order has, by replicate; and what is left out, in sentences.

    An order that shares no replicate with the baseline is left out first.

    Args:
        runs: Each order's runs, some of which may lack.
        baseline: The order that the others are compared with.

    Raises:
        SettingsError: If there is no such order or no other, an order has one replicate twice, or no replicate is of
            all orders.
    """
    if len(runs) < 2:
        named = ", ".join(runs) or "none"
        raise SettingsError(f"at least two orders must be compared, got only {named}. Hint: NAME=RUN names a run.")
    if baseline not in runs:
        raise unknown_name("baseline", baseline, runs)
    numbered = {order: _by_replicate(of_order) for order, of_order in runs.items()}
    strangers = [order for order, found in numbered.items() if not found.keys() & numbered[baseline].keys()]
    kept = {order: found for order, found in numbered.items() if order not in strangers}
    shared = reduce(set.intersection, (set(found) for found in kept.values())) if kept else set[int]()
    if len(kept) < 2 or not shared:
        each = "; ".join(f"{order} has {_listed(found)}" for order, found in numbered.items())
        raise SettingsError(
            f"the orders compared must have a replicate in common, but {each}. Hint: finish the runs of one replicate, "
            "or compare fewer orders."
        )
    notes = [f"{order} is left out: it shares no replicate with {baseline}." for order in strangers]
    for replicate in sorted({one for found in kept.values() for one in found} - shared):
        lacking = [order for order, found in kept.items() if replicate not in found]
        have = f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'}"
        notes.append(f"replicate {replicate} is left out: {have} no finished run of it.")
    return {order: tuple(found[one] for one in sorted(shared)) for order, found in kept.items()}, tuple(notes)


def _by_replicate(runs: Iterable[Run]) -> dict[int, Run]:
    found: dict[int, Run] = {}
    for run in runs:
        if run.replicate in found:
            raise SettingsError(
                f"an order must have one run of each replicate, but {run.told} and {found[run.replicate].told} are "
                "of the same one."
            )
        found[run.replicate] = run
    return found


def _listed(replicates: Iterable[int]) -> str:
    """
    Example:
        >>> _listed([2, 1]), _listed([3]), _listed([])
        ('replicates 1, 2', 'replicate 3', 'none')
    """
    numbers = sorted(replicates)
    if not numbers:
        return "none"
    return f"replicate{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
