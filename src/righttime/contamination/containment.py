"""How much of a part of a target row a pool row holds: by its rare words, in one stretch of the pool row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from righttime.contamination.scan import Gram, Scan
from righttime.contamination.units import Unit
from righttime.contamination.words import asked_in, grams_of, names_in, numbers_in, words_of

__all__ = ["Held", "Wanted", "held", "is_leak", "may_hold", "shared_span", "wanted_of"]

_WHOLE = 0.9
"""Share of a part's telling words from which it is held."""
_MOST = 0.75
"""The same where answers agree as well."""
_ASKED = 0.8
"""Share of the words of the question that must be held: questions about one passage share all else."""
_ANSWER = 8.0
"""Bits from which an answer that both share says that the question is the same: labels have fewer."""
_IN_ORDER = 0.6
"""Share of a question's runs of words from which it is the same question, and of a response's."""
_SPAN = 240  # characters of a span that are kept


@dataclass(frozen=True)
class Wanted:
    """What is looked for of a part.

    Attributes:
        unit: The part.
        weights: Its telling words, with their bits: those that no common run of words covers.
        unnamed: The same without names.
        asked: The words of its question, with their bits.
        asked_grams: Its question's runs of words.
        grams: The part's runs of words that are not common.
        numbers: The numbers among its telling words, but for 1.
    """

    unit: Unit
    weights: Mapping[str, float]
    unnamed: Mapping[str, float]
    asked: Mapping[str, float]
    asked_grams: frozenset[Gram]
    grams: frozenset[Gram]
    numbers: frozenset[str]

    @property
    def bits(self) -> float:
        """How telling the part is."""
        return sum(self.weights.values())


@dataclass(frozen=True)
class Held:
    """How much of a part a pool row holds.

    Attributes:
        share: Of the telling words, by their bits.
        unnamed: The same without names.
        bits: The bits of the telling words that are held.
        asked: The share of the question's words; 1 where nothing is asked.
        asked_in_order: The share of its runs of words.
        in_order: The share of the part's runs of words that are not common.
        numbers: Whether all numbers are held.
    """

    share: float
    unnamed: float
    bits: float
    asked: float
    asked_in_order: float
    in_order: float
    numbers: bool


def wanted_of(unit: Unit, found: Scan) -> Wanted:
    """What is looked for of a part, with what the pass over the pool learnt of common runs of words."""
    own = frozenset(gram for gram in unit.grams if not found.common(gram))
    names = names_in(unit.text)
    weights = {word: found.bits(word) for gram in sorted(own) for word in gram}
    unnamed = {word: bits for word, bits in weights.items() if word not in names}
    question = words_of(asked_in(unit.text))
    asked = {word: max(1.0, found.bits(word)) for word in question if word not in names}
    return Wanted(unit, weights, unnamed, asked, frozenset(grams_of(question)), own, numbers_in(weights) - {"1"})


def may_hold(wanted: Wanted, inside: Set[str]) -> bool:
    """Whether a text may hold a part, by its distinct words alone: what is quickly told of most texts.

    Args:
        wanted: The part.
        inside: The text's words.
    """
    if not wanted.weights or not wanted.numbers <= inside:
        return False
    return _share(wanted.weights, inside) >= _MOST or _share(wanted.unnamed, inside) >= _WHOLE


def held(wanted: Wanted, words: Sequence[str]) -> Held:
    """How much of a part a text holds, in the best stretch: at most four times as long as the part.

    Args:
        wanted: The part.
        words: The text's words.
    """
    start, stop = _best_stretch(wanted.weights, words, len(wanted.unit.words))
    stretch = words[start:stop]
    inside, grams = set(stretch), set(grams_of(stretch))
    return Held(
        share=_share(wanted.weights, inside),
        unnamed=_share(wanted.unnamed, inside),
        bits=sum(bits for word, bits in wanted.weights.items() if word in inside),
        asked=_share(wanted.asked, inside) if wanted.asked else 1.0,
        asked_in_order=len(wanted.asked_grams & grams) / max(1, len(wanted.asked_grams)),
        in_order=len(wanted.grams & grams) / max(1, len(wanted.grams)),
        numbers=wanted.numbers <= inside,
    )


def is_leak(wanted: Wanted, has: Held, answers: bool | None, answer_bits: float) -> bool:
    """Whether what is held gives the part away, however telling it is.

    Args:
        wanted: The part.
        has: What the pool row has of it.
        answers: Whether both rows are answered alike; None where that cannot be told.
        answer_bits: How telling the words are that both answers share.
    """
    if not has.numbers:
        return False
    if wanted.unit.part == "response":
        return has.share >= _WHOLE and has.in_order >= _IN_ORDER
    in_order = has.asked_in_order >= _IN_ORDER or not wanted.asked
    if has.share >= _WHOLE and (in_order or (has.asked >= 1 and answers is not False)):
        return True
    close = has.share >= _MOST or has.unnamed >= _WHOLE
    return answers is True and close and (in_order or has.asked >= _ASKED or answer_bits >= _ANSWER)


def _share(weights: Mapping[str, float], inside: Set[str]) -> float:
    total = sum(weights.values())
    return sum(bits for word, bits in weights.items() if word in inside) / total if total else 0.0


def _best_stretch(weights: Mapping[str, float], words: Sequence[str], size: int) -> tuple[int, int]:
    """Where some words, twice as many as the part's, hold most of the weights; and its own size around them."""
    length = 2 * size + 20
    if len(words) <= length:
        return 0, len(words)
    places = [place for place, word in enumerate(words) if word in weights]
    counts: Counter[str] = Counter()
    now = best = 0.0
    first, found = 0, (0, 0)
    for place in places:
        word = words[place]
        counts[word] += 1
        now += weights[word] if counts[word] == 1 else 0.0
        while place - places[first] >= length:
            gone = words[places[first]]
            counts[gone] -= 1
            now -= weights[gone] if counts[gone] == 0 else 0.0
            first += 1
        if now > best + 1e-9:
            best, found = now, (places[first], place)
    return max(0, found[0] - size), found[1] + size + 1


def shared_span(unit: Unit, words: Sequence[str]) -> str:
    """The longest run of words that a part and a text share; where there is none, the words that they share."""
    best: Sequence[str] = ()
    begin = None
    for start, gram in enumerate([*grams_of(words), ()]):
        if gram in unit.grams:
            begin = start if begin is None else begin
        elif begin is not None:
            run = words[begin : start + 2]
            best = run if len(run) > len(best) else best
            begin = None
    inside = set(words)
    return " ".join(best or [word for word in dict.fromkeys(unit.words) if word in inside])[:_SPAN]
