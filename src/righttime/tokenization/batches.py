"""Which texts go through a model together: those of like length, so that little of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["token_batches"]


def token_batches(lengths: Sequence[int], most_tokens: int, most_rows: int | None = None) -> list[list[int]]:
    """Texts in batches of a bounded number of tokens, padding counted, the longest first.

    A batch is full by its longest text and its number of texts alone, and texts are taken from the longest down, equal
    ones in their order. So a batch does not depend on the others: of the texts left when whole batches are done, the
    same batches are made.

    Args:
        lengths: Tokens of each text.
        most_tokens: The bound; a text that is longer by itself is a batch by itself.
        most_rows: The most texts of a batch; None sets no bound.

    Returns:
        Batches of places in `lengths`; together a permutation of all places.

    Example:
        >>> token_batches([2, 5, 3, 2], 6), token_batches([1, 1, 1], 6, 2)
        ([[1], [2, 0], [3]], [[0, 1], [2]])
    """
    batches: list[list[int]] = []
    longest = 0
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if not batches or (len(batches[-1]) + 1) * longest > most_tokens or len(batches[-1]) == most_rows:
            batches.append([])
            longest = max(1, lengths[place])
        batches[-1].append(place)
    return batches
