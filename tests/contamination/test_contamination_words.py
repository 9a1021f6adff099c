"""Words after normalisation: what must not matter does not, what says something else does."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from righttime.contamination.words import _LETTERS, _SPECIAL, _WORD, asked_in, grams_of, names_in, numbers_in, words_of

TEXT = 'Zoë\'s café sold 1,250 cakes; then "forty-one" more!'


@pytest.mark.parametrize(
    "same",
    [
        TEXT.upper(),
        f"  {TEXT}\n",
        unicodedata.normalize("NFD", TEXT),
        TEXT + "!",
        "\u200b".join(TEXT),
        TEXT.replace("1,250", "1250").replace("forty-one", "41"),
        TEXT.replace("Z", "\uff3a").replace(" ", "\u00a0"),
        TEXT.replace('"', "\u201c").replace(";", " \u2014"),
    ],
)
def test_writing_does_not_matter(same: str) -> None:
    assert words_of(same) == words_of(TEXT)


@pytest.mark.parametrize(
    ("one", "other"),
    [("5 + 3", "5 - 3"), ("5*3", "5/3"), ("3.5 kg", "35 kg"), ("1,2", "12"), ("x = y", "x > y"), ("two", "three")],
)
def test_what_is_computed_matters(one: str, other: str) -> None:
    assert words_of(one) != words_of(other)


def test_characters_of_scripts_without_spaces_are_words() -> None:
    assert words_of("東京 is big") == ["東", "京", "is", "big"]


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_plain_texts_have_the_same_words_the_faster_way(text: str) -> None:
    folded = text.casefold()
    if not _SPECIAL.search(folded):
        assert folded.translate(_LETTERS).split() == _WORD.findall(folded)


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    words = words_of(text)
    assert all(words)
    letters = [word for word in words if word.isalpha()]
    assert words_of(" ".join(letters)) == letters


def test_numbers_in_letters_are_numbers() -> None:
    assert numbers_in(words_of("Twenty-one of ninety, then five and 007 or 2.50")) == {"21", "90", "5", "007", "2.5"}
    assert words_of("one by one") == ["one", "by", "one"]


def test_names_questions_and_runs() -> None:
    assert names_in("Yesterday Maria paid Li Wei. Nobody saw it, Tom says.") == ("maria", "wei", "tom")
    assert asked_in("Who? It rained. Where was she? Be brief.") == "Where was she?"
    assert asked_in("Count to ten.") == ""
    assert list(grams_of(["a", "b"])) == [("a", "b")]
    assert list(grams_of([])) == []
