"""How near an answer is to its references: ROUGE-1, ROUGE-L, Exact-Match, the best over the references, from 0 to 1.

ROUGE's own tokenizer knows a to z and 0 to 9 alone, so that Thai or Chinese text has no token at all and scores 0. Ours
gives the same tokens for ASCII text, and has words of every script; where words are not set apart by spaces, each
letter with its marks is a token.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

__all__ = ["exact_match", "rouge", "rouge_tokens"]

_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),  # Chinese characters, rare
    (0x4E00, 0x9FFF),  # Chinese characters
    (0xF900, 0xFAFF),  # Chinese characters, for compatibility
    (0x20000, 0x3FFFF),  # Chinese characters, very rare
)
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def rouge(answer: str, references: Sequence[str]) -> tuple[float, float]:
    """ROUGE-1 and ROUGE-L as F-measures, with Porter's stemmer, each the best over the references.

    Args:
        answer: What the model said.
        references: What would have been right; at least one.

    Returns:
        ROUGE-1 and ROUGE-L, from 0 to 1.

    Example:
        >>> rouge("the cats sat", ["a dog", "The cat sat."])
        (1.0, 1.0)
    """
    scores = [_scorer().score(reference, answer) for reference in references]
    return (
        max(float(score["rouge1"].fmeasure) for score in scores),
        max(float(score["rougeL"].fmeasure) for score in scores),
    )


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1 if the answer is a reference, lower-cased, without ASCII punctuation, white space made single; else 0.

    That is Natural Instructions' own definition.

    Example:
        >>> exact_match(" Yes,  it is", ["no", "yes it is."])
        1.0
    """
    return float(any(_plain(answer) == _plain(reference) for reference in references))


def _plain(text: str) -> str:
    return " ".join(text.lower().translate(_PUNCTUATION).split())


def rouge_tokens(text: str) -> list[str]:
    """The words of a text, lower-cased; words of a to z and 0 to 9 of more than three letters are stemmed.

    Example:
        >>> rouge_tokens("Running to the café!"), rouge_tokens("我很好"), rouge_tokens("ที่นี่")
        (['run', 'to', 'the', 'café'], ['我', '很', '好'], ['ที่', 'นี่'])
    """
    words: list[str] = []
    before = ""  # what the last character was: a letter of a word, a letter by itself, or neither
    for letter in unicodedata.normalize("NFC", text.lower()):
        kind = unicodedata.category(letter)[0]
        if kind == "M" and before:
            words[-1] += letter
        elif kind not in "LN":
            before = ""
        elif before == "word" and not _unspaced(letter):
            words[-1] += letter
        else:
            words.append(letter)
            before = "letter" if _unspaced(letter) else "word"
    return [_stemmed(word) for word in words]


def _unspaced(letter: str) -> bool:
    return any(first <= ord(letter) <= last for first, last in _UNSPACED)


def _stemmed(word: str) -> str:
    return str(_stemmer().stem(word)) if len(word) > 3 and word.isascii() else word


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


class _Words:
    """Our tokens for rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        return rouge_tokens(text)


@lru_cache(maxsize=1)
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rougeL"], tokenizer=_Words())
