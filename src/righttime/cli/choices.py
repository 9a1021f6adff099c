"""The names that options take, from the registries: `{methods}` in an option's help stands for all methods."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

__all__ = ["NAMES", "with_names"]


def _methods() -> Iterable[str]:
    from righttime.arrangement import METHODS

    return METHODS


def _distances() -> Iterable[str]:
    from righttime.similarity import DISTANCES

    return DISTANCES


def _embedders() -> Iterable[str]:
    from righttime.embedding import EMBEDDERS

    return [entry.spelled for kind, entry in EMBEDDERS.items() if kind]


def _precisions() -> Iterable[str]:
    from righttime.embedding import PRECISIONS

    return PRECISIONS


def _engines() -> Iterable[str]:
    from righttime.neighbours import ENGINES

    return ENGINES


def _formats() -> Iterable[str]:
    from righttime.formats import FORMATS

    return FORMATS


def _metrics() -> Iterable[str]:
    from righttime.evaluation import METRICS

    return METRICS


def _own_metrics() -> Iterable[str]:
    from righttime.evaluation.registry import OWN_METRICS

    return OWN_METRICS


def _shapes() -> Iterable[str]:
    from righttime.arrangement import SHAPES

    return SHAPES


def _trainers() -> Iterable[str]:
    from righttime.exporters import TRAINERS

    return TRAINERS


NAMES: Mapping[str, Callable[[], Iterable[str]]] = {
    "methods": _methods,
    "distances": _distances,
    "embedders": _embedders,
    "precisions": _precisions,
    "engines": _engines,
    "formats": _formats,
    "metrics": _metrics,
    "own_metrics": _own_metrics,
    "shapes": _shapes,
    "trainers": _trainers,
}


def with_names(text: str) -> str:
    """A help text with the names of each registry that it mentions in braces.

    Example:
        >>> with_names("Rank by {distances}.")
        'Rank by wsd, ad, md, ot or ot-entropic.'
    """
    return re.sub(r"\{(\w+)\}", lambda found: _listed(NAMES[found[1]]()) if found[1] in NAMES else found[0], text)


def _listed(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last
