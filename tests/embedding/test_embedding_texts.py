"""Texts that are read when they are needed: how many are held at a time, and that nothing depends on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from righttime import growing
from righttime.embedding import CombinedEmbedder, embed, embed_texts, uncached
from righttime.embedding.cache import VectorCache
from righttime.embedding.centring import Centring, sample_of
from righttime.embedding.fidelity import fidelity_on
from righttime.embedding.keys import Keys, different, key_of
from righttime.embedding.represent import lacking, represent
from righttime.embedding.texts import texts_for
from righttime.errors import EmbeddingError
from righttime.examples import Example, Message
from righttime.inputs import read_side
from righttime.results import Request
from righttime.rows import ExampleRows, Rows

TEXTS = [f"{number} " + "w " * (number * 37 % 97) for number in range(900)]
MANY = [*TEXTS, *TEXTS[::3]]


class Said(str):
    """A text that is counted while it lives."""

    alive = most = 0

    def __new__(cls, text: str) -> Said:
        Said.alive += 1
        Said.most = max(Said.most, Said.alive)
        return super().__new__(cls, text)

    def __del__(self) -> None:
        Said.alive -= 1


class Read(Sequence[str]):
    """Texts that are made when they are looked at."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        Said.most = 0

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, place: Any) -> Any:
        return Read(self.texts[place]) if isinstance(place, slice) else Said(self.texts[place])


class Company:
    """An embedder whose vectors depend on their company, and which keeps no text."""

    tokens_per_batch = 600

    def __init__(self, revision: str = "1", **how: Any) -> None:
        self.identity: dict[str, str | int] = {"model": "company", "revision": revision, "max_length": 200}
        vars(self).update(how)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        company = float(sum(map(len, texts)))
        drawn = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:2], "big") for text in texts]
        return np.array([[1 + len(text), one, company] for text, one in zip(texts, drawn, strict=True)], np.float32)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of few texts are counted together."""
    monkeypatch.setattr(embed, "_COUNTED", 50)


@pytest.mark.usefixtures("few")
def test_no_more_texts_are_held_than_go_together(tmp_path: Path) -> None:
    want = embed_texts(MANY, Company(), tmp_path / "held")
    got = embed_texts(Read(MANY), Company(), tmp_path / "read")
    batches = embed.plan_batches(Company().lengths(TEXTS), 600)
    assert Said.most <= max(50, *map(len, batches)) + 1
    assert Said.alive == 0
    assert got.vectors.tobytes() == want.vectors.tobytes()
    assert got.lengths.tolist() == want.lengths.tolist()
    assert (got.n_embedded, got.n_cached) == (want.n_embedded, want.n_cached) == (900, 0)
    assert cached(tmp_path / "read") == cached(tmp_path / "held")
    assert embed_texts(Read(MANY), Company(), tmp_path / "read").n_cached == 900
    assert Said.most <= 2, "of what is cached, only the key is needed"


def cached(folder: Path) -> list[Any]:
    """What a cache holds, in the order in which SQLite has it."""
    with VectorCache(folder, Company().identity) as cache:
        return list(cache._db.execute("SELECT * FROM vectors"))


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    "embedder",
    [
        Company(),
        Company(for_target=lambda: Company("2")),
        Company(centring=Centring("centred", sample=30)),
        Company(reference=Company("3")),
        CombinedEmbedder([Company(), Company("2")], [1, 2]),
    ],
    ids=["plain", "a target of its own", "centred", "compared", "combined"],
)
def test_vectors_of_every_kind_are_made_of_few_texts_at_a_time(embedder: Any, tmp_path: Path) -> None:
    want = represent(MANY, 1000, embedder, tmp_path / "held", compare=True)
    got = represent(Read(MANY), 1000, embedder, tmp_path / "read", compare=True)
    assert Said.most <= 130, "batches of short texts, or the sample that is compared"
    assert got.vectors.tobytes() == want.vectors.tobytes()
    assert got.about == want.about
    assert not lacking(Read(MANY), 1000, embedder, tmp_path / "read").any()
    assert lacking(Read(MANY), 1000, embedder, tmp_path / "cold").all()


def test_what_is_not_cached_is_told_without_a_text(tmp_path: Path) -> None:
    embed_texts(TEXTS[:800], Company(), tmp_path)
    found = uncached(Read(MANY), Company(), tmp_path)
    assert Said.most <= 2
    assert list(found) == TEXTS[800:]
    assert np.flatnonzero(lacking(MANY, len(MANY), Company(), tmp_path)).tolist() == [
        place for place, text in enumerate(MANY) if text in TEXTS[800:]
    ]


@given(st.lists(st.text(max_size=2)))
def test_the_first_of_equal_texts_stands_for_them(texts: list[str]) -> None:
    keys = Keys(texts)
    assert list(keys) == list(map(key_of, texts))
    assert [texts[place] for place in different(keys)] == list(dict.fromkeys(texts))


def test_a_sample_is_drawn_from_different_texts() -> None:
    centring = Centring("centred", sample=30, seed=2)
    keys = {key_of(text) for text in TEXTS}
    want = sorted(keys, key=lambda key: hashlib.sha256(b"2 " + key).digest())[:30]
    assert sample_of(Read(MANY), centring) == want


def test_too_few_different_texts_are_not_compared() -> None:
    assert fidelity_on(Read(TEXTS[:6] * 9), Company(), Company("2")) is None


def row(number: int) -> Example:
    turns = Message("user", f"what is {number}?"), Message("assistant", f"it is {number}")
    return Example(f"r{number}", None, "", "rows.jsonl", number + 1, turns)


def kept_as_objects(numbers: range) -> Rows:
    return ExampleRows(map(row, numbers))


def kept_as_columns(numbers: range) -> Rows:
    return read_side([row(number).as_dict() for number in numbers], "pool", Request()).rows


@pytest.mark.parametrize("kept", [kept_as_objects, kept_as_columns])
def test_texts_of_two_sides_are_one_sequence(kept: Callable[[range], Rows]) -> None:
    some = kept(range(30))
    texts = texts_for(Company(), "prompt", some, some.take([]), kept(range(30, 37)))
    want = [f"what is {number}?" for number in range(37)]
    assert list(texts) == [texts[place] for place in range(37)] == want
    assert list(texts[28:33]) == want[28:33]
    assert list(texts[30:][1::2]) == want[31::2]
    assert texts[-1] == want[-1]
    with pytest.raises(IndexError):
        texts[37]


class Apart(Company):
    """Reads rows in a way of its own."""

    asked = 0

    def text_of(self, example: Example) -> str:
        self.asked += 1
        if example.response == "it is 13":
            raise EmbeddingError(f"row {example.id} cannot be read")
        return f"{example.prompt}|{example.response}\x1d{example.id}"


def test_what_an_embedder_reads_of_its_own_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "_HELD", 100)  # bytes; above it a file
    embedder, rows = Apart(), kept_as_objects(range(12))
    texts = texts_for(embedder, "prompt", rows)
    embed_texts(texts, embedder, tmp_path)
    assert list(texts) == [f"what is {n}?|it is {n}\x1dr{n}" for n in range(12)]
    assert embedder.asked == 12
    both = CombinedEmbedder([Company(), embedder], [1, 1])
    columns = both.columns(texts_for(both, "prompt", rows))
    assert list(columns[0][3:]) == [f"what is {n}?" for n in range(3, 12)]
    assert list(columns[1]) == [f"what is {n}?|it is {n} r{n}" for n in range(12)], "what keeps parts apart is a space"
    assert len(both.lengths(texts_for(both, "prompt", rows)[:4])) == len(both.embed(["a\x1db", "c\x1dd"])) + 2


@pytest.mark.parametrize("combined", [False, True])
def test_a_row_that_cannot_be_read_is_told_before_anything_is_embedded(combined: bool) -> None:
    embedder = CombinedEmbedder([Company(), Apart()], [1, 1]) if combined else Apart()
    with pytest.raises(EmbeddingError, match="row r13 cannot be read"):
        texts_for(embedder, "prompt", kept_as_objects(range(20)))
