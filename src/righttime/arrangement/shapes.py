"""Shapes: the rows that a method chose, in another order: sorted by a score, folded into cycles, jittered, ...

Folding is Dai et al. 2025 (DELT); the others are those of DataFlex 1.1, which has them from *Demystifying Data
Organization for Enhanced LLM Training*. All are defined on ranks 0 to n - 1 of rows that are sorted already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement.arrangement import Arrangement
from righttime.arrangement.selection import Param, Scores
from righttime.errors import SettingsError, unknown_name

__all__ = ["SCORES", "SHAPES", "Shape", "ShapeKind", "in_shape", "length_scores", "out_of_shape", "read_shape"]

Ranks = NDArray[np.int64]
SCORES: Mapping[str, bool] = {"order": False, "length": False, "similarity": False, "loss": True}
"""What rows are sorted by first, and whether a model follows behind a colon: the method's own order, characters of all
turns (shortest first), similarity to the target row that picked each (most similar first), or the mean loss of each
row's answers under a model (lowest first)."""
_STREAM = b"shape"  # apart from what a method draws with the same seed


@dataclass(frozen=True)
class ShapeKind:
    """One line of the table of shapes.

    Attributes:
        of: From sorted ranks, its parameters and a generator to the ranks in their new order.
        does: What it does, in a few words.
        source: Where it comes from.
        params: Its own parameters.
        draws: Whether chance decides anything, jitter apart.
    """

    of: Callable[[Ranks, Mapping[str, Any], np.random.Generator], Ranks]
    does: str
    source: str
    params: Mapping[str, Param] = dataclasses.field(default_factory=dict)
    draws: bool = False


def _cycles(ranks: Ranks, layers: int) -> list[Ranks]:
    return [ranks[layer::layers] for layer in range(layers)]


def _folded(ranks: Ranks, layers: int) -> Ranks:
    return np.concatenate(_cycles(ranks, layers))


def _zigzag(ranks: Ranks, layers: int) -> Ranks:
    return np.concatenate([cycle[::-1] if k % 2 else cycle for k, cycle in enumerate(_cycles(ranks, layers))])


def _locally(ranks: Ranks, params: Mapping[str, Any], change: Callable[[Ranks, int], Ranks]) -> Ranks:
    """Sorted but around the borders of sections, where a stretch of `radius`·n on either side is changed."""
    n, sections, radius = len(ranks), params["sections"], params["radius"]
    if 2 * radius * sections >= 1:
        raise SettingsError(
            f"radius must be below half a section, which is {1 / (2 * sections):g} of the rows, got {radius:g}. "
            "Hint: fewer sections or a smaller radius.",
            setting="shape",
        )
    parts, done, reach = [], 0, round(n * radius)
    for section in range(1, sections):
        border = round(n * section / sections)
        start, end = max(done, border - reach), min(n, border + reach)
        parts += [ranks[done:start], change(ranks[start:end], params["layers"])]
        done = end
    return np.concatenate([*parts, ranks[done:]])


def _segments(ranks: Ranks, params: Mapping[str, Any], rng: np.random.Generator) -> Ranks:
    """The first and the last so many per cent keep their ends; inside each of the three parts rows are shuffled."""
    front, back = (int(len(ranks) * params[name] // 100) for name in ("front", "back"))
    if params["front"] + params["back"] > 100:
        raise SettingsError(
            f"front and back must be 100 per cent at most together, got {params['front'] + params['back']:g}.",
            setting="shape",
        )
    return np.concatenate([rng.permutation(part) for part in np.split(ranks, [front, len(ranks) - back])])


_DELT = "Dai et al. 2025 (DELT), arXiv 2506.21545"
_DATAFLEX = "DataFlex 1.1"
_LAYERS = Param(int, 5, "cycles through the whole range", least=1)
_BORDERS = {
    "sections": Param(int, 2, "sections of the order", least=1),
    "radius": Param(float, 0.1, "share of all rows on either side of a border", least=0),
    "layers": Param(int, 2, "cycles at a border", least=1),
}

SHAPES: Mapping[str, ShapeKind] = {
    "sorted": ShapeKind(lambda ranks, params, rng: ranks, "by the score", "curricula"),
    "folded": ShapeKind(
        lambda ranks, params, rng: _folded(ranks, params["layers"]),
        "L cycles, each through the whole range: ranks k, k + L, k + 2L, … for k < L",
        _DELT,
        {"layers": _LAYERS},
    ),
    "zigzag": ShapeKind(
        lambda ranks, params, rng: _zigzag(ranks, params["layers"]),
        "the same with every other cycle backwards",
        _DATAFLEX,
        {"layers": _LAYERS},
    ),
    "stairs": ShapeKind(
        lambda ranks, params, rng: _locally(ranks, params, _folded),
        "sorted, but folded around the borders of sections",
        _DATAFLEX,
        _BORDERS,
    ),
    "saw": ShapeKind(
        lambda ranks, params, rng: _locally(ranks, params, _zigzag),
        "sorted, but in zigzag around the borders of sections",
        _DATAFLEX,
        _BORDERS,
    ),
    "segments": ShapeKind(
        _segments,
        "the first and the last per cent stay at the ends; shuffled inside the three parts",
        _DATAFLEX,
        {
            "front": Param(float, 10.0, "per cent in front", least=0, most=100),
            "back": Param(float, 10.0, "per cent at the end", least=0, most=100),
        },
        draws=True,
    ),
}
"""Every shape by name."""

_COMMON: Mapping[str, Param] = {
    "by": Param(str, next(iter(SCORES)), "what rows are sorted by first"),
    "reverse": Param(int, 0, "1 turns the sorted rows round first", least=0, most=1),
    "window": Param(int, 1, "rows are shuffled at last inside windows of so many (jitter); 1: not", least=1),
}


@dataclass(frozen=True)
class Shape:
    """A shape that is asked for.

    Attributes:
        name: A name of `SHAPES`.
        params: All parameters, resolved.
        given: As it was written.
    """

    name: str
    params: Mapping[str, Any]
    given: str

    @property
    def by(self) -> str:
        """What rows are sorted by: a name of `SCORES`."""
        return str(self.params["by"]).partition(":")[0]

    @property
    def model(self) -> str | None:
        """The model that scores rows; None where none does."""
        return str(self.params["by"]).partition(":")[2] or None

    @property
    def scored(self) -> bool:
        """Whether it goes by a score that the method does not know."""
        return self.by == "length" or self.model is not None

    @property
    def draws(self) -> bool:
        """Whether chance decides anything."""
        return SHAPES[self.name].draws or self.params["window"] > 1

    def ranks(self, n: int, seed: int) -> Ranks:
        """The ranks of n sorted rows in the order of the shape: int64, a permutation.

        Example:
            >>> read_shape("zigzag:layers=2").ranks(6, seed=0).tolist()
            [0, 2, 4, 5, 3, 1]
        """
        rng = np.random.default_rng([seed, *_STREAM])
        ranks = np.arange(n, dtype=np.int64)
        found = SHAPES[self.name].of(ranks[::-1] if self.params["reverse"] else ranks, self.params, rng)
        window = self.params["window"]
        if window == 1 or not n:
            return found
        return np.concatenate([rng.permutation(found[start : start + window]) for start in range(0, n, window)])


def read_shape(given: Any) -> Shape | None:
    """``folded``, or with parameters ``folded:layers=3,by=length,window=64``.

    Raises:
        SettingsError: If the name or a parameter is unknown or out of range.
    """
    if given is None:
        return None
    name, colon, rest = str(given).partition(":")
    if name not in SHAPES:
        raise unknown_name("shape", name, SHAPES)
    known = {**SHAPES[name].params, **_COMMON}
    params: dict[str, Any] = {key: param.default for key, param in known.items()}
    seen = set()
    for entry in rest.split(",") if colon else ():
        key, equals, value = (part.strip() for part in entry.partition("="))
        if not equals or key in seen:
            raise SettingsError(
                f"the parameters of a shape must be NAME=VALUE,NAME=VALUE, each once, got {given!r}.", setting="shape"
            )
        if key not in known:
            raise unknown_name(f"parameter of the shape {name!r}", key, known, setting="shape")
        seen.add(key)
        params[key] = known[key].read(key, name, value)
    _check_score(params["by"], name)
    shape = Shape(name, params, str(given))
    shape.ranks(0, 0)  # refuses parameters that do not go together
    return shape


def _check_score(by: str, name: str) -> None:
    kind, colon, model = by.partition(":")
    if kind not in SCORES:
        raise unknown_name(f"by of {name!r}", by, SCORES, setting="shape")
    if SCORES[kind] != bool(model) or (colon and not model):
        wanted = f"by={kind}:MODEL, a folder or a hub name" if SCORES[kind] else f"by={kind}, which takes no model"
        raise SettingsError(f"the score of a shape must be written {wanted}, got 'by={by}'.", setting="shape")


def shape_bytes(n: int) -> int:
    """Bytes that another order of n rows takes: scores, places, and the arrangement's columns a second time."""
    return (2 * 8 + 8 + 4 + 8 + 4 + 8 + 8) * n


def length_scores(texts_of: Callable[[list[int]], Iterable[str]]) -> Scores:
    """The score of shapes by length: characters.

    Args:
        texts_of: From pool rows to their texts, in the same order.
    """

    def scores(rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], Mapping[str, Any]]:
        return np.array([len(text) for text in texts_of(rows.tolist())], dtype=np.float64), {}

    return scores


def in_shape(found: Arrangement, shape: Shape, seed: int, scores: Scores | None = None) -> Arrangement:
    """The rows of an arrangement in the order of a shape, each with its reasons.

    Args:
        found: The arrangement, as the method has it.
        shape: The shape.
        seed: For shapes that draw.
        scores: Gives the score of pool rows, for shapes by one that the method does not know.

    Raises:
        SettingsError: If the shape goes by something that is not there.
    """
    found = _with_score(found, shape, scores)
    return found.at_places(_sorted(found, shape)[shape.ranks(len(found), seed)])


def out_of_shape(found: Arrangement, shape: Shape, seed: int) -> tuple[Arrangement, Ranks]:
    """The arrangement that a shape by ``order`` was made of, and where each of its rows stands in the shape."""
    places = np.argsort(shape.ranks(len(found), seed)).astype(np.int64)
    return found.at_places(places), places


def _with_score(found: Arrangement, shape: Shape, scores: Scores | None) -> Arrangement:
    """The rows with the score that the shape sorts them by, and what to say of it among the settings."""
    if not shape.scored:
        return found
    if scores is None:
        raise SettingsError(f"a shape by {shape.by} needs the text of every pool row, got none.", setting="shape")
    score, about = scores(found.order)
    more = {f"shape_{shape.by}": dict(about)} if about else {}
    return dataclasses.replace(found, score=score, settings={**found.settings, **more})


def _sorted(found: Arrangement, shape: Shape) -> Ranks:
    """The places of an arrangement by the score; equal ones keep their order."""
    score: NDArray[Any] | None = np.arange(len(found))
    if shape.by == "similarity":
        if found.similarity is None:
            raise SettingsError(
                "a shape by similarity is for methods that look at it, got it with another one.", setting="shape"
            )
        score = -found.similarity
    elif shape.scored:
        score = found.score
    assert score is not None
    return np.argsort(score, kind="stable").astype(np.int64)
