"""Micro-batches of a token budget: how the rows of one optimizer step are grouped by length, or packed in order.

Which rows a step consumes is the plan's; their loss is a mean over the step's answer tokens, however it is cut. So
inside the step rows of like length may share a micro-batch, which then holds little padding, or several rows may lie
one after the other in a pack, which holds none. Either layout follows from the rows' lengths alone.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["packed_layout", "padded_tokens", "step_layout"]

Group = tuple[int, ...]


def padded_tokens(group: Sequence[int], lengths: Sequence[int]) -> int:
    """Tokens of a micro-batch with its padding: rows × the longest row.

    Example:
        >>> padded_tokens([0, 2], [5, 9, 7])
        14
    """
    return len(group) * max((lengths[place] for place in group), default=0)


def step_layout(places: Sequence[int], lengths: Sequence[int], budget: int, world: int = 1) -> list[tuple[Group, ...]]:
    """Group the rows of a step by length into micro-batches of at most so many padded tokens.

    Rows are taken from the longest to the shortest, each into the micro-batch before it while that stays within the
    budget; a row that is longer than the budget has one to itself. For several processes the largest micro-batches
    are then halved until every process has equally many; only where there are too few rows for that are some left
    empty. The largest come first, so a budget that the memory does not hold fails in the first step.

    Args:
        places: The places of the step's rows, in the order in which the step consumes them.
        lengths: Tokens of each row, by its place.
        budget: The most padded tokens of a micro-batch.
        world: How many processes train.

    Returns:
        For each micro-batch of the step one group of places for each process; inside a group they keep their order.

    Example:
        >>> step_layout([0, 1, 2, 3], [5, 90, 4, 60], budget=100)
        [((1,),), ((3,),), ((0, 2),)]
    """
    at = {place: number for number, place in enumerate(places)}
    groups = _within(sorted(places, key=lambda place: (-lengths[place], at[place])), lengths, budget)
    _evened(groups, lengths, world)
    groups.sort(key=lambda group: (-padded_tokens(group, lengths), at[group[0]]))
    dealt: list[Group] = [tuple(sorted(group, key=at.__getitem__)) for group in groups]
    return _in_turn(dealt, world)


def packed_layout(
    places: Sequence[int], lengths: Sequence[int], budget: int, world: int = 1
) -> list[tuple[Group, ...]]:
    """Pack the rows of a step in order: next fit, whole rows, at most so many tokens in a pack.

    A row joins the pack before it while that stays within the budget; else it begins the next one. A row that is longer
    than the budget has a pack to itself. A micro-batch is one pack; processes take the packs in turn, and where their
    number is no multiple of the processes', the last take an empty one.

    Args:
        places: The places of the step's rows, in the order in which the step consumes them.
        lengths: Tokens of each row, by its place.
        budget: The most tokens of a pack.
        world: How many processes train.

    Returns:
        For each micro-batch of the step one pack of places for each process.

    Example:
        >>> packed_layout([0, 1, 2, 3], [5, 90, 4, 60], budget=100)
        [((0, 1, 2),), ((3,),)]
    """
    packs: list[Group] = []
    filled = budget
    for place in places:
        if packs and filled + lengths[place] <= budget:
            packs[-1] += (place,)
            filled += lengths[place]
        else:
            packs.append((place,))
            filled = lengths[place]
    return _in_turn(packs, world)


def _in_turn(groups: list[Group], world: int) -> list[tuple[Group, ...]]:
    whole: list[Group] = [*groups, *[()] * (-len(groups) % world)]
    return [tuple(whole[start : start + world]) for start in range(0, len(whole), world)]


def _within(longest_first: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    groups: list[list[int]] = []
    for place in longest_first:
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= budget:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _evened(groups: list[list[int]], lengths: Sequence[int], world: int) -> None:
    """Halve the largest groups until their number is a multiple of the processes', as far as there are rows."""
    while len(groups) % world:
        divisible = [number for number, group in enumerate(groups) if len(group) > 1]
        if not divisible:
            return
        number = max(divisible, key=lambda number: padded_tokens(groups[number], lengths))
        group = groups[number]
        groups[number : number + 1] = [group[: len(group) // 2], group[len(group) // 2 :]]
