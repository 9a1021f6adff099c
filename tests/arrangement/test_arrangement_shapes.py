"""Shapes against twins written from their definitions, and against what DataFlex 1.1.0 makes of the same ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from made_vectors import WHOLE, arranged, every_method, same, some
from righttime import arrange_embeddings
from righttime.arrangement import METHODS, SHAPES, SelectionInput, arrange_unit_vectors, draws_by_chance
from righttime.arrangement.shapes import Shape, in_shape, out_of_shape, read_shape
from righttime.arrangement.weaving import what_is_woven
from righttime.errors import SettingsError
from righttime.similarity import unit_rows


def shape(text: str) -> Shape:
    found = read_shape(text)
    assert found is not None
    return found


def folded(ranks: list[int], layers: int) -> list[int]:
    return [rank for layer in range(layers) for k, rank in enumerate(ranks) if k % layers == layer]


def zigzag(ranks: list[int], layers: int) -> list[int]:
    out: list[int] = []
    for layer in range(layers):
        cycle = [rank for k, rank in enumerate(ranks) if k % layers == layer]
        out += reversed(cycle) if layer % 2 else cycle
    return out


def at_borders(ranks: list[int], sections: int, radius: float, layers: int, change: Any) -> list[int]:
    out, n = list(ranks), len(ranks)
    reach = round(n * radius)
    for section in range(1, sections):
        border = round(n * section / sections)
        start, end = border - reach, border + reach
        out[start:end] = change(ranks[start:end], layers)
    return out


@given(st.integers(0, 200), st.integers(1, 12), st.booleans())
def test_cycles_equal_the_twin(n: int, layers: int, reverse: bool) -> None:
    ranks = list(range(n))[:: -1 if reverse else 1]
    for name, twin in (("folded", folded), ("zigzag", zigzag)):
        found = shape(f"{name}:layers={layers},reverse={int(reverse)}").ranks(n, 0)
        assert found.tolist() == twin(ranks, layers)


@given(st.integers(40, 200), st.integers(1, 5), st.floats(0, 0.07), st.integers(1, 6))
def test_borders_equal_the_twin(n: int, sections: int, radius: float, layers: int) -> None:
    for name, twin in (("stairs", folded), ("saw", zigzag)):
        found = shape(f"{name}:sections={sections},radius={radius},layers={layers}").ranks(n, 0)
        assert found.tolist() == at_borders(list(range(n)), sections, radius, layers, twin)


@given(st.integers(0, 120), st.integers(0, 50), st.integers(0, 50), st.integers(0, 99))
def test_segments_keep_the_ends(n: int, front: int, back: int, seed: int) -> None:
    found = shape(f"segments:front={front},back={back}").ranks(n, seed).tolist()
    first, last = n * front // 100, n * back // 100
    assert sorted(found[:first]) == list(range(first))
    assert sorted(found[n - last :]) == list(range(n - last, n))
    assert sorted(found) == list(range(n))


@given(st.sampled_from(list(SHAPES)), st.integers(0, 90), st.integers(2, 40), st.integers(0, 99))
def test_jitter_stays_inside_its_windows(name: str, n: int, window: int, seed: int) -> None:
    plain, jittered = shape(name), shape(f"{name}:window={window}")
    if plain.draws:
        return
    ranks, found = plain.ranks(n, seed), jittered.ranks(n, seed)
    for start in range(0, n, window):
        assert sorted(found[start : start + window].tolist()) == sorted(ranks[start : start + window].tolist())
    assert found.tolist() == jittered.ranks(n, seed).tolist()


@pytest.mark.parametrize(
    ("text", "n", "want"),
    [
        ("folded:layers=3", 13, [0, 3, 6, 9, 12, 1, 4, 7, 10, 2, 5, 8, 11]),
        ("zigzag:layers=3", 13, [0, 3, 6, 9, 12, 10, 7, 4, 1, 2, 5, 8, 11]),
        ("stairs:radius=0.2", 13, [0, 1, 2, 3, 5, 7, 4, 6, 8, 9, 10, 11, 12]),
        ("saw:radius=0.2", 13, [0, 1, 2, 3, 5, 7, 8, 6, 4, 9, 10, 11, 12]),
        ("stairs:sections=3", 20, [0, 1, 2, 3, 4, 5, 7, 6, 8, 9, 10, 11, 13, 12, 14, 15, 16, 17, 18, 19]),
        ("saw:sections=3,layers=3", 20, [0, 1, 2, 3, 4, 5, 8, 6, 7, 9, 10, 11, 14, 12, 13, 15, 16, 17, 18, 19]),
    ],
)
def test_they_are_those_of_dataflex(text: str, n: int, want: list[int]) -> None:
    assert shape(text).ranks(n, 0).tolist() == want


@every_method
@pytest.mark.parametrize(
    "text", ["folded:layers=3", "segments:window=4", "sorted:by=length", "saw:by=length,reverse=1"]
)
def test_every_method_keeps_its_rows_and_their_reasons(method: str, text: str) -> None:
    made = some()
    plain, shaped = (arranged(method, made, budget=20, seed=3, shape=one) for one in (None, text))
    place = {row: k for k, row in enumerate(plain.order.tolist())}
    places = [place[row] for row in shaped.order.tolist()]
    assert sorted(places) == list(range(20))
    asked = shape(text)
    lengths = [len(made["texts"][row]) for row in plain.order.tolist()]
    ranked = sorted(range(20), key=lambda k: lengths[k]) if asked.by == "length" else list(range(20))
    assert places == [ranked[rank] for rank in asked.ranks(20, 3).tolist()]
    for name in ("round", "picked_by", "similarity", "distance"):
        old, new = getattr(plain, name), getattr(shaped, name)
        assert (old is None) == (new is None)
        assert old is None or new.tolist() == old[places].tolist()
    assert shaped.settings == {**plain.settings, "shape": text}
    scores = None if shaped.score is None else shaped.score.tolist()
    assert scores == ([lengths[k] for k in places] if asked.by == "length" else None)


@every_method
@pytest.mark.parametrize("weave", [None, "0.25"])
@pytest.mark.parametrize("text", ["sorted:by=loss:m", "folded:layers=3,by=loss:m,reverse=1"])
def test_every_method_goes_by_a_given_score(method: str, weave: str | None, text: str) -> None:
    made, asked = some(), shape(text)
    loss = np.random.default_rng(7).normal(size=50).round(1)

    def scores(rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], Mapping[str, Any]]:
        return loss[rows], {"model": "m"}

    near = {"min_similarity": 0.2} if "vectors" in METHODS[method].needs and METHODS[method].picked_near else {}
    how: dict[str, Any] = {name: unit_rows(made[f"{name}_vectors"], name) for name in ("pool", "target")}
    how |= {name: made[name] for name in ("tasks", "target_tasks", "texts", "target_texts")}
    how |= {
        "budget": 20,
        "seed": 3,
        "params": WHOLE.get(method) or {},
        "weave": what_is_woven(weave, None),
        **near,
    }
    inputs = SelectionInput(**how, scores=scores)
    found, plain = (arrange_unit_vectors(method, inputs, shape=one) for one in (asked, None))
    own, base = found.arranged().order.tolist(), plain.arranged().order.tolist()
    ranked = sorted(base, key=lambda row: loss[row])
    assert own == [ranked[rank] for rank in asked.ranks(len(base), 3).tolist()]
    assert found.score is not None
    assert found.settings["shape_loss"] == {"model": "m"}
    for place, row in enumerate(found.order.tolist()):
        woven = found.woven is not None and found.woven[place]
        assert np.isnan(found.score[place]) if woven else found.score[place] == loss[row]


def test_by_similarity_flattens_rounds() -> None:
    made = some()
    found = arrange_embeddings(**made, budget=30, shape="sorted:by=similarity")
    assert found.similarity is not None
    assert (np.diff(found.similarity) <= 0).all()
    plain = arrange_embeddings(**made, budget=30)
    assert sorted(found.order.tolist()) == sorted(plain.order.tolist())


def test_woven_rows_keep_their_places() -> None:
    woven, plain = (arrange_embeddings(**some(), budget=20, weave="0.25", shape=one) for one in ("folded", None))
    assert woven.woven is not None
    assert plain.woven is not None
    assert woven.woven.tolist() == plain.woven.tolist()
    own = arrange_embeddings(**some(), budget=15, shape="folded")
    assert woven.arranged().order.tolist() == own.order.tolist()
    assert woven.order[woven.woven].tolist() == plain.order[plain.woven].tolist()


@given(st.sampled_from(list(SHAPES)), st.integers(1, 6), st.integers(0, 99))
def test_a_shape_by_order_is_undone(name: str, window: int, seed: int) -> None:
    asked = shape(f"{name}:window={window}")
    plain = arrange_embeddings(**some(), budget=20)
    back, places = out_of_shape(in_shape(plain, asked, seed), asked, seed)
    assert same(back, plain)
    assert sorted(places.tolist()) == list(range(20))


def test_what_draws_is_known() -> None:
    for name, entry in SHAPES.items():
        orders = {tuple(shape(name).ranks(30, seed).tolist()) for seed in range(4)}
        assert (len(orders) > 1) == entry.draws == shape(name).draws
        jittered = {tuple(shape(f"{name}:window=5").ranks(30, seed).tolist()) for seed in range(4)}
        assert len(jittered) > 1
        assert shape(f"{name}:window=5").draws
        assert entry.does
        assert entry.source
        assert all(param.does for param in entry.params.values())
    one = np.ones((3, 1), dtype=np.float32)
    assert not draws_by_chance("tma", SelectionInput(one, one))


BAD = [
    ("fold", "unknown shape 'fold': did you mean 'folded'"),
    ("folded:layer=3", "unknown parameter of the shape 'folded' 'layer': did you mean 'layers'"),
    ("folded:layers=0", "parameter 'layers' of 'folded' must be a whole number from 1 up, got 0"),
    ("folded:layers", "must be NAME=VALUE,NAME=VALUE, each once"),
    ("folded:layers=2,layers=3", "each once"),
    ("folded:", "must be NAME=VALUE"),
    ("sorted:by=size", "unknown by of 'sorted' 'size'"),
    ("sorted:by=loss", "must be written by=loss:MODEL, a folder or a hub name, got 'by=loss'"),
    ("sorted:by=loss:", "must be written by=loss:MODEL"),
    ("sorted:by=length:gpt2", "must be written by=length, which takes no model, got 'by=length:gpt2'"),
    ("sorted:by=loss:gpt2", "by loss must have rows, but here there are only vectors"),
    ("stairs:sections=5,radius=0.1", "radius must be below half a section, which is 0.1 of the rows, got 0.1"),
    ("segments:front=60,back=50", "100 per cent at most together, got 110"),
]


@pytest.mark.parametrize(("text", "sentence"), BAD)
def test_bad_shapes_get_their_sentence(text: str, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        arrange_embeddings(**some(), shape=text)


def test_a_score_that_is_not_there_is_refused() -> None:
    with pytest.raises(SettingsError, match="by length needs the text of every pool row"):
        arrange_embeddings(**{**some(), "texts": None}, shape="sorted:by=length")
    with pytest.raises(SettingsError, match="by similarity is for methods that look at it"):
        arrange_embeddings(**some(), method="random", shape="sorted:by=similarity")
