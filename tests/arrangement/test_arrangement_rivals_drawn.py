"""DSIR and TSDS: what is drawn from against its definition, and the drawing itself."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import warnings
from collections import Counter
from typing import Any

import numpy as np
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from righttime import arrange_embeddings
from righttime.arrangement.methods.dsir import hashed_ngrams
from righttime.arrangement.methods.tsds import kernel_density, level, spread
from righttime.errors import SettingsError
from righttime.similarity import unit_rows
from tiers import examples

TEXTS = ["The cat sat.", "the cat ran!", "Numbers: 1, 2, 3", "", "cats don't sum", "Add 1 and 2.", "the the the"]
LONG: dict[str, Any] = {"min_words": 0}
GOALS = ["add 3 and 4", "sum 1, 2"]


def dsir(texts: list[str], goals: list[str], **settings: Any) -> Any:
    ones = np.ones((len(texts), 1)), np.ones((len(goals), 1))
    return arrange_embeddings(*ones, method="dsir", texts=texts, target_texts=goals, **settings)


def grams(text: str, n_max: int) -> list[str]:
    words = regex.findall(r"\w+|[^\w\s]+", text.lower())
    return [" ".join(words[i : i + n]) for n in range(1, n_max + 1) for i in range(len(words) - n + 1)]


def bucket(gram: str, n: int) -> int:
    return int(hashlib.sha256(gram.encode()).hexdigest(), 16) % n


@pytest.mark.parametrize(("buckets", "ngrams"), [(10_000, 2), (7, 2), (50, 1), (10_000, 3)])
def test_dsir_weights_are_as_defined(buckets: int, ngrams: int) -> None:
    def shares(texts: list[str]) -> list[float]:
        counts = Counter(bucket(gram, buckets) for text in texts for gram in grams(text, ngrams))
        return [counts[b] / sum(counts.values()) for b in range(buckets)]

    p, q = shares(GOALS), shares(TEXTS)
    want = [
        sum(math.log(p[b] + 1e-8) - math.log(q[b] + 1e-8) for b in (bucket(g, buckets) for g in grams(text, ngrams)))
        for text in TEXTS
    ]
    found = dsir(TEXTS, GOALS, params={**LONG, "buckets": buckets, "ngrams": ngrams, "draw": "top"})
    assert found.order.tolist() == sorted(range(len(TEXTS)), key=lambda i: (-round(want[i], 9), i))
    assert np.allclose(-found.distance, [want[i] for i in found.order], atol=1e-9)


def test_dsir_hashes_are_stable() -> None:
    assert hashed_ngrams("Don't stop", 10_000, 2) == [bucket(g, 10_000) for g in grams("don't stop", 2)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),  # the standard library's \w would end a word at each vowel sign
        ("हिन्दी में लिखिए।", ["हिन्दी", "में", "लिखिए", "।"]),
        ("ภาษาไทย ที่นี่", ["ภาษาไทย", "ที่นี่"]),
        ("اَلْعَرَبِيَّة", ["اَلْعَرَبِيَّة"]),
        ("L'été, 3.5", ["l", "'", "été", ",", "3", ".", "5"]),
    ],
)
def test_dsir_words_hold_their_combining_marks(text: str, words: list[str]) -> None:
    want = [*words, *(f"{a} {b}" for a, b in itertools.pairwise(words))]
    assert hashed_ngrams(text, 10_000, 2) == [bucket(gram, 10_000) for gram in want]


@pytest.mark.parametrize("draw", ["sample", "top"])
def test_dsir_takes_short_rows_last_and_says_so(draw: str) -> None:
    texts = ["add 1 " * 50, "add 3", "the cat " * 49 + "the", "sum 1, 2", "the cat " * 60]
    with pytest.warns(
        UserWarning, match=r'dsir: 3 of 5 pool rows have fewer than 100 words.*`params=\{"min_words": 0\}`'
    ):
        found = dsir(texts, GOALS, params={"draw": draw}, seed=1)
    assert {0, 4} == set(found.order[:2].tolist())
    assert sorted(found.order.tolist()) == [0, 1, 2, 3, 4], "no row is dropped"
    assert np.isposinf(found.distance).tolist() == [False, False, True, True, True]
    assert found.settings["short_rows"] == 3
    assert "come last" in found.settings["warning"]
    assert found.settings["params"]["min_words"] == 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        free = dsir(texts, GOALS, params={"draw": draw, "min_words": 0}, seed=1)
    assert free.settings["short_rows"] == 0
    score = (-free.distance)[np.argsort(free.order)]
    short = [row for row in free.order.tolist() if row not in (0, 4)]
    assert found.order[2:].tolist() == short, "among themselves they go by the same score"
    assert (-found.distance[:2]).tolist() == sorted(score[[0, 4]].tolist(), reverse=True)


def test_dsir_bags_hold_short_rows_too() -> None:
    """A long row's weight is the same whatever the minimum: only who is drawn changes."""
    texts = ["add 1 " * 50, "add 3", "the cat " * 60]
    some, every = (dsir(texts, GOALS, params={"draw": "top", "min_words": n}) for n in (100, 0))
    assert some.distance[some.order == 0] == every.distance[every.order == 0]


def test_dsir_draws_in_proportion_without_replacement() -> None:
    texts, goals = ["a"] * 2 + ["b"], ["a b b"]
    # Weights: a (1/3)/(2/3) = 1/2 each, b (2/3)/(1/3) = 2; n-grams of one word.
    firsts = Counter(int(dsir(texts, goals, seed=seed, params={**LONG, "ngrams": 1}).order[0]) for seed in range(3000))
    assert abs(firsts[2] / 3000 - 2 / 3) < 0.03
    assert abs(firsts[0] / 3000 - 1 / 6) < 0.03


def test_dsir_needs_texts_and_looks_at_no_vectors() -> None:
    with pytest.raises(SettingsError, match="needs the text of every pool row"):
        arrange_embeddings(np.ones((2, 1)), np.ones((1, 1)), method="dsir")
    found = dsir(TEXTS, GOALS, params=LONG)
    assert found.picked_by is None
    assert found.similarity is None


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]), st.sampled_from([0.1, 1.0, 5.0]))
@settings(max_examples=examples(60))
def test_tsds_is_the_linear_programs_optimum(seed: int, alpha: float, c: float) -> None:
    """min α/C·Σ γ·d + (1−α)·M·u, γ_ij <= u·w_j, Σ_j γ_ij = 1/M, solved by a general solver."""
    linprog = pytest.importorskip("scipy.optimize").linprog
    rng = np.random.default_rng(seed)
    m, n = int(rng.integers(1, 4)), int(rng.integers(2, 8))
    d = rng.random((m, n)).round(1 if seed % 2 else 9)
    w = 1.0 / (1.0 + 3 * rng.random(n))
    order = np.argsort(d, axis=1, kind="stable")
    near, weight = np.take_along_axis(d, order, axis=1), w[order]
    s = level(near, weight, alpha, c)
    share = spread(weight, s)
    assert np.allclose(share.sum(axis=1), 1.0)
    assert (share >= 0).all()
    u = (share / weight).max() / m
    got = alpha / c * (share * near).sum() / m + (1 - alpha) * m * u
    cost = np.concatenate([alpha / c * d.ravel(), [(1 - alpha) * m]])
    rows = np.kron(np.eye(m), np.ones(n))
    caps = np.hstack([np.eye(m * n), -np.tile(w, m)[:, None]])
    solved = linprog(
        cost, A_ub=caps, b_ub=np.zeros(m * n), A_eq=np.hstack([rows, np.zeros((m, 1))]), b_eq=np.full(m, 1 / m)
    )
    assert got <= solved.fun + 1e-7
    assert got >= solved.fun - 1e-7


def test_tsds_density_is_the_kernel_sum() -> None:
    x = unit_rows(np.random.default_rng(0).normal(size=(60, 3)))
    gap = ((x[:, None].astype(np.float64) - x[None]) ** 2).sum(axis=2)
    want = np.maximum(0.0, 1.0 - gap / 0.75**2).sum(axis=1)
    assert np.allclose(kernel_density(x, 0.75), want, atol=1e-5)


def test_tsds_extremes() -> None:
    rng = np.random.default_rng(2)
    both: dict[str, Any] = {"pool_vectors": rng.normal(size=(100, 5)), "target_vectors": rng.normal(size=(6, 5))}
    nearest = arrange_embeddings(**both, method="tsds", params={"alpha": 1.0})
    alone = {int(np.argmax(row)) for row in unit_rows(both["target_vectors"]) @ unit_rows(both["pool_vectors"]).T}
    assert nearest.settings["rows_with_mass"] == len(alone)
    assert set(nearest.order[: len(alone)].tolist()) == alone
    wide = arrange_embeddings(**both, method="tsds-uniform", params={"alpha": 0.0, "max_k": 10})
    assert 10 <= wide.settings["rows_with_mass"] <= 60


def shares(both: dict[str, Any], method: str, **params: float) -> tuple[int, list[int]]:
    """How many rows have mass, and the order."""
    found = arrange_embeddings(**both, method=method, params=params)
    return found.settings["rows_with_mass"], found.order.tolist()


@pytest.mark.parametrize("method", ["tsds", "tsds-uniform"])
def test_tsds_follows_alpha_at_its_defaults(method: str) -> None:
    """Lists of a tenth of the pool are full for every alpha up to 0.7 here; they grow until the optimum lies inside."""
    rng = np.random.default_rng(4)
    pool, target = rng.normal(size=(300, 8)), rng.normal(size=(12, 8))
    both: dict[str, Any] = {"pool_vectors": pool, "target_vectors": target + 0.5}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = [shares(both, method, alpha=alpha) for alpha in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    assert len({tuple(order) for _, order in found}) == len(found)
    counts = [count for count, _ in found]
    assert counts == sorted(counts, reverse=True), "the larger alpha, the nearer"
    # The optimum over the whole pool, without any list.
    d = np.sqrt(np.maximum(2 - 2 * unit_rows(target + 0.5).astype(np.float64) @ unit_rows(pool).T, 0))
    order = np.argsort(d, axis=1, kind="stable")
    w = (1 / kernel_density(unit_rows(pool), 0.75) if method == "tsds" else np.ones(300))[order]
    share = spread(w, level(np.take_along_axis(d, order, axis=1), w, 0.2, 5.0))
    assert counts[0] == len(np.unique(order[share > 0]))


def test_tsds_says_where_alpha_has_no_effect() -> None:
    rng = np.random.default_rng(4)
    both: dict[str, Any] = {"pool_vectors": rng.normal(size=(300, 8)), "target_vectors": rng.normal(size=(12, 8))}
    with pytest.warns(UserWarning, match=r"alpha=0.5 changes nothing here: .* list of 20 nearest rows is full"):
        found = arrange_embeddings(**both, method="tsds", params={"max_k": 20})
    said = re.search(r"every alpha below (0\.\d\d) gives this order", found.settings["warning"])
    assert said is not None
    edge = float(said[1])
    for alpha, same in ((0.01, True), (edge - 0.01, True), (edge + 0.01, False)):
        again = arrange_embeddings(**both, method="tsds", params={"max_k": 20, "alpha": alpha})
        assert (again.order.tolist() == found.order.tolist()) == same
        assert ("warning" in again.settings) == same
    wide = arrange_embeddings(**both, method="tsds", params={"max_k": 20, "alpha": 0})
    assert "warning" not in wide.settings, "0 asks for full lists"
    assert wide.order.tolist() == found.order.tolist()
    few = arrange_embeddings(both["pool_vectors"][:9], both["target_vectors"], method="tsds")
    assert "spreads over the whole pool" in few.settings["warning"]


def test_tsds_near_duplicates_share_what_one_row_would_get() -> None:
    """Twenty copies of a row and nineteen lone rows, as near: with the kernel the copies together count as one row."""
    angles = np.linspace(0.5, 5.8, 19)
    lone = np.stack([np.full(19, 2.0), 2 * np.cos(angles), 2 * np.sin(angles)], axis=1)
    pool = np.concatenate([np.tile([[2.0, 2.0, 0.0]], (20, 1)), lone])
    share: dict[str, float] = {}
    for method in ("tsds", "tsds-uniform"):
        params = {"alpha": 0.1, "max_k": 39} | ({"sigma": 0.1} if method == "tsds" else {})
        drawn = [
            int(arrange_embeddings(pool, [[1.0, 0.0, 0.0]], method=method, params=params, seed=seed).order[0])
            for seed in range(400)
        ]
        share[method] = sum(row < 20 for row in drawn) / 400
    assert share["tsds"] < 0.15
    assert share["tsds-uniform"] > 0.4


def test_tsds_rows_without_mass_come_last_by_similarity() -> None:
    rng = np.random.default_rng(2)
    both: dict[str, Any] = {"pool_vectors": rng.normal(size=(100, 5)), "target_vectors": rng.normal(size=(6, 5))}
    found = arrange_embeddings(**both, method="tsds", params={"alpha": 0.9})
    n = found.settings["rows_with_mass"]
    assert 0 < n < 100
    assert found.distance is not None
    assert found.similarity is not None
    assert np.isfinite(found.distance[:n]).all()
    assert (np.diff(found.distance[:n]) >= 0).all()
    assert np.isposinf(found.distance[n:]).all()
    assert (np.diff(found.similarity[n:]) <= 0).all()
