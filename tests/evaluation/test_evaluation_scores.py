"""ROUGE and Exact-Match against rouge-score's own and Natural Instructions' own definitions."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from righttime.evaluation import exact_match, rouge, rouge_tokens

SCRIPTS = {
    "Thai": ("ฉันชอบกินข้าว", "ฉันไม่ชอบกินข้าว"),
    "Chinese": ("我喜欢吃苹果", "我不喜欢吃苹果"),
    "Japanese": ("私は猫が好きです", "私は犬が好きです"),
    "Korean": ("나는 사과를 좋아한다", "나는 배를 좋아한다"),
    "Hindi": ("मुझे सेब पसंद है", "मुझे आम पसंद है"),
    "Arabic": ("أنا أحب التفاح", "أنا أحب الموز"),
    "Russian": ("Я люблю яблоки", "Я люблю груши"),
    "Khmer": ("ខ្ញុំចូលចិត្ត", "ខ្ញុំមិនចូលចិត្ត"),
}


@given(st.text(alphabet=string.printable, max_size=60))
def test_ascii_text_has_the_tokens_of_rouge_score(text: str) -> None:
    from rouge_score.tokenizers import DefaultTokenizer

    assert rouge_tokens(text) == DefaultTokenizer(use_stemmer=True).tokenize(text)


@given(st.text(alphabet=string.ascii_letters + " .,", max_size=60), st.text(alphabet="abc de", max_size=40))
def test_ascii_scores_are_those_of_rouge_score(answer: str, reference: str) -> None:
    from rouge_score.rouge_scorer import RougeScorer

    want = RougeScorer(["rouge1", "rougeL"], use_stemmer=True).score(reference, answer)
    assert rouge(answer, [reference]) == (want["rouge1"].fmeasure, want["rougeL"].fmeasure)


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_scores_nothing(script: str) -> None:
    said, near = SCRIPTS[script]
    assert rouge(said, [said]) == (1.0, 1.0)
    first, longest = rouge(said, [near])
    assert 0.3 < longest <= first < 1.0
    assert "".join(rouge_tokens(said)) == re.sub(r"\s", "", said.lower())


@given(st.text(max_size=40))
def test_any_text_can_be_scored(text: str) -> None:
    first, longest = rouge(text, [text])
    assert first == longest == float(bool(rouge_tokens(text)))


def test_the_best_reference_counts_for_each_measure() -> None:
    assert rouge("b a", ["a b", "c"]) == (1.0, 0.5)
    assert rouge("b a", ["c", "b"])[1] == pytest.approx(2 / 3)


def natural_instructions_match(answer: str, reference: str) -> bool:
    """As that project's script has it."""

    def normal(text: str) -> str:
        return " ".join("".join(letter for letter in text.lower() if letter not in set(string.punctuation)).split())

    return normal(answer) == normal(reference)


@given(st.text(alphabet="aB.,! \n一'", max_size=6), st.lists(st.text(alphabet="aB.,! \n一'", max_size=6), min_size=1))
def test_exact_match_is_that_of_natural_instructions(answer: str, references: list[str]) -> None:
    assert exact_match(answer, references) == float(any(natural_instructions_match(answer, one) for one in references))
