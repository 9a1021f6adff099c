"""Arrange vectors: the checks that every method shares, and the exact budget."""

from __future__ import annotations

import dataclasses
import operator
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from righttime.arrangement.apart import check_apart
from righttime.arrangement.arrangement import Arrangement
from righttime.arrangement.budget import rows_of
from righttime.arrangement.caps import check_caps, read_caps, with_names
from righttime.arrangement.floor import check_floor, near_enough
from righttime.arrangement.methods.distance import in_order
from righttime.arrangement.methods.tma import WITHIN_ROUND
from righttime.arrangement.registry import METHODS, method_named, resolved_params
from righttime.arrangement.selection import Method, Selection, SelectionInput
from righttime.arrangement.shapes import Shape, in_shape, length_scores, read_shape
from righttime.arrangement.walking import walked
from righttime.arrangement.weaving import still_in_room, what_is_woven, woven
from righttime.arrangement.weights import equal_is_none, weight_of
from righttime.choices import Engine, FirstLook, WithinRound
from righttime.errors import EmptyDataError, SettingsError, ShapeError, unknown_name
from righttime.keywords import named_settings
from righttime.neighbours import ENGINES, MEMORY, Progress, search_named
from righttime.similarity import DISTANCES, as_array, distance_names, mapped_rows, unit_rows

__all__ = ["arrange_embeddings", "arrange_unit_vectors", "check_settings", "check_weighing", "weighs"]


@named_settings
def arrange_embeddings(
    pool_vectors: Any,
    target_vectors: Any,
    *,
    method: str = "tma",
    budget: int | str | None = None,
    min_similarity: float | None = None,
    tasks: Sequence[str | None] | None = None,
    target_tasks: Sequence[str | None] | None = None,
    texts: Sequence[str] | None = None,
    target_texts: Sequence[str] | None = None,
    seed: int = 0,
    distance: str = "wsd",
    rounds: tuple[int, int | None] | None = None,
    within_round: WithinRound = "similarity",
    params: Mapping[str, Any] | None = None,
    weave: str | float | None = None,
    anneal: str | None = None,
    cap_task: str | float | None = None,
    cap_source: str | float | None = None,
    sources: Sequence[str] | None = None,
    apart: float | None = None,
    target_weights: Sequence[float | str] | None = None,
    shape: str | None = None,
    engine: Engine = "auto",
    memory: int = MEMORY,
    first_look: FirstLook = "float32",
    block_rows: int | None = None,
    progress: Progress | None = None,
) -> Arrangement:
    """Arrange a pool of vectors around target vectors.

    The result is exact and the same for every `block_rows`, thread count and BLAS: similarity is defined pair
    by pair (`righttime.similarity.pair_similarity`), ties go to the lower pool row.

    Args:
        pool_vectors: Any real dtype, shape (n_pool, d). Widened to float32 and normalised row by row.
        target_vectors: Any real dtype, shape (n_target, d).
        method: A name of `righttime.arrangement.METHODS`.
        budget: The exact number of rows, or a share of the pool such as ``"10%"``; None takes all.
        min_similarity: Leave out pool rows whose most similar target row is less similar than this, as if they were
            not there; in ``tma`` and ``rds`` a target row whose nearest row still there is below it picks no more.
        tasks: The task of each pool row; needed by ``cluster``, ``coarse`` and ``polar``, for example.
        target_tasks: The task of each target row, where the method looks at it.
        texts: The text of each pool row, where the method looks at it.
        target_texts: The text of each target row, where the method looks at it.
        seed: For everything that is drawn by chance.
        distance: What methods of distance rank by: ``wsd``, ``ad``, ``md``, ``ot`` or ``ot-entropic``.
        rounds: Keep only the rounds start <= r < stop of TMA (stop None: to the end), before the budget cuts.
        within_round: The order inside a round: ``similarity``, ``index`` (the paper's code) or ``random``.
        params: The method's own parameters; see its entry in `righttime.arrangement.METHODS`.
        weave: A share of the rows, such as 0.2, that is drawn by the seed from what the method has not taken and woven
            evenly among the others. The budget counts both.
        anneal: The same with a share that changes along the order: ``"1:0.5"`` begins with rows of the method alone
            and ends with half of them.
        cap_task: The most rows of one task: a number, or a share of the budget such as ``"10%"``.
        cap_source: The same of one entry of `sources`.
        sources: Where each pool row comes from; needed by `cap_source`.
        apart: No two rows of a round of TMA are nearer to each other than this cosine distance, such as 0.1.
        target_weights: What each target row weighs, above 0; None: all the same.
        shape: Another order of the rows chosen: a name of `righttime.arrangement.SHAPES`, with parameters as in
            ``"folded:layers=3"``. Length is that of `texts`; a loss cannot be computed from vectors.
        engine: Where neighbours are looked for: ``auto``, ``cpu``, ``cuda`` or ``ray``. Speed only.
        memory: Bytes that the search may hold above the vectors. Vectors that have to be normalised and take more are
            written to a file in the folder for temporary files, and mapped. With ``ray``, an array that is mapped from
            a file (``np.load(FILE, mmap_mode="r")``) is not copied: each machine that sees the file reads its rows.
        first_look: Precision of the products that nominate, on CUDA: ``float32``, ``float16`` or ``bfloat16``.
            Speed only.
        block_rows: Pool rows per matrix product; None chooses. Memory and speed only.
        progress: Called with the number of pool rows searched since the last call.

    Returns:
        The arrangement; see `Arrangement`.

    Raises:
        ShapeError: If a matrix is not two-dimensional, dimensions differ, or `tasks` has another length.
        NonFiniteError: If a vector is zero or holds NaN or infinity; names the rows.
        EmptyDataError: If the pool or the target is empty.
        SettingsError: If a name is unknown, or a budget, window or seed is out of range.

    Example:
        >>> import righttime
        >>> pool = [[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]
        >>> righttime.arrange_embeddings(pool, [[0.0, 1.0]], method="tma", budget=2).order.tolist()
        [1, 2]
    """
    how: dict[str, Any] = {"first_look": first_look, "block_rows": block_rows, "progress": progress}
    search = search_named(engine, memory=memory, told=lambda said: warnings.warn(said, stacklevel=2), **how)
    weaving = what_is_woven(weave, anneal)
    if weaving is not None and weaving.pool is not None:
        raise SettingsError(
            f"`{weaving.setting}` must be a share where there are only vectors, got "
            f"{weaving.given!r}. Hint: `righttime.arrange` reads rows of another pool.",
            setting=weaving.setting,
        )
    shared = mapped_rows(pool_vectors, "pool_vectors") if ENGINES[engine].cluster else None
    pool = unit_rows(pool_vectors, "pool_vectors", most_bytes=memory) if shared is None else shared.standing_in
    target = unit_rows(target_vectors, "target_vectors")
    inputs = SelectionInput(
        pool=pool,
        target=target,
        tasks=tasks,
        target_tasks=target_tasks,
        texts=texts,
        target_texts=target_texts,
        budget=rows_of(budget, len(pool)),
        rounds=rounds,
        min_similarity=min_similarity,
        within_round=within_round,
        distance=distance,
        seed=seed,
        params=params or {},
        search=search,
        progress=progress,
        weave=weaving,
        caps=with_names(read_caps(cap_task, cap_source), tasks, sources),
        apart=apart,
        target_weights=_weights(target_weights, len(target)),
        scores=None if texts is None else length_scores(lambda rows: (texts[row] for row in rows)),
    )
    asked = read_shape(shape)
    if asked is not None and asked.model is not None:
        raise SettingsError(
            f"a shape by {asked.by} must have rows, but here there are only vectors, got {shape!r}. "
            "Hint: `righttime.arrange` reads rows.",
            setting="shape",
        )
    return arrange_unit_vectors(method, inputs, shape=asked, most_bytes=memory)


def _weights(given: Sequence[Any] | None, n_target: int) -> tuple[Fraction, ...] | None:
    if given is None:
        return None
    if len(given) != n_target:
        raise ShapeError(f"target_weights must have one entry for each of the {n_target} rows, got {len(given)}.")
    return equal_is_none(tuple(weight_of(weight) for weight in given))


def arrange_unit_vectors(
    method: str,
    inputs: SelectionInput,
    *,
    shape: Shape | None = None,
    most_bytes: int | None = None,
    folder: Path | None = None,
) -> Arrangement:
    """Arrange vectors that are float32 and of unit length already; see `arrange_embeddings`.

    Args:
        method: The method's name.
        inputs: Vectors and settings.
        shape: Another order of the rows that the method chooses.
        most_bytes: Vectors that have to be copied, such as those that a least similarity leaves, are copied to a file
            and mapped where they take more bytes than this.
        folder: Where that file lies.
    """
    n_pool, n_target = len(inputs.pool), len(inputs.target)
    for name, count in (("pool", n_pool), ("target", n_target)):
        if not count:
            raise EmptyDataError(f"the {name} must hold at least one row, got none.")
    if inputs.pool.shape[1] != inputs.target.shape[1]:
        raise ShapeError(
            f"pool and target vectors must have the same dimension, got {inputs.pool.shape[1]} and "
            f"{inputs.target.shape[1]}. Hint: embed both with the same model."
        )
    sides = {"tasks": n_pool, "texts": n_pool, "target_tasks": n_target, "target_texts": n_target}
    for name, count in sides.items():
        given = getattr(inputs, name)
        if given is not None and len(given) != count:
            raise ShapeError(f"{name} must have one entry for each of the {count} rows, got {len(given)}.")
    rows = None
    if check_settings(method, inputs).min_similarity is not None:
        rows, inputs = near_enough(inputs, most_bytes, folder)
    inputs = check_settings(method, inputs, len(inputs.pool))
    if method_named(method).looks is None:
        inputs = dataclasses.replace(inputs, pool=as_array(inputs.pool, most_bytes, folder))
    found = _cut(_order(method_named(method), inputs.own), method, inputs.own)
    if shape is not None:
        found = in_shape(found, shape, inputs.seed, inputs.scores)
        found = dataclasses.replace(found, settings={**found.settings, "shape": shape.given})
    others = 0
    if inputs.weave is not None:
        others = inputs.weave.others or 0
        found = woven(found, inputs.weave, inputs.budget, inputs.seed, still_in_room(inputs.caps, found))
        found = dataclasses.replace(
            found, settings={**found.settings, "budget": inputs.budget, inputs.weave.setting: inputs.weave.given}
        )
    if rows is None:
        return found
    rows = np.concatenate([rows, np.arange(n_pool, n_pool + others, dtype=np.int64)])
    return dataclasses.replace(found, order=rows[found.order], n_pool=n_pool + others)


def _order(method: Method, inputs: SelectionInput) -> Selection:
    """What a method chooses, within caps."""
    if not inputs.caps or method.caps_itself:
        return method.order(inputs)
    return walked(method.order, inputs)


def check_settings(method: str, inputs: SelectionInput, n_pool: int | None = None) -> SelectionInput:
    """Refuse unknown names and numbers out of range before any work is done.

    Args:
        method: The method's name.
        inputs: The settings to check; its vectors are not looked at.
        n_pool: The pool's size, where it is known already; then the input's tasks and the number of its vectors
            are checked too.

    Returns:
        The inputs, with plain integers, and with all parameters of the method resolved.

    Raises:
        SettingsError: If anything is wrong; says what must hold and what was got.
    """
    params = resolved_params(method, inputs.params)
    if inputs.within_round not in WITHIN_ROUND:
        raise unknown_name("order within a round", inputs.within_round, WITHIN_ROUND, setting="within_round")
    if inputs.distance not in distance_names():
        raise unknown_name("distance", inputs.distance, distance_names())
    seed = _whole("seed", inputs.seed)
    if seed < 0:
        raise SettingsError(f"seed must be 0 or more, got {seed}.", setting="seed")
    budget = rows_of(inputs.budget, None)
    rounds = None if inputs.rounds is None else _window(method, inputs.rounds)
    floor = check_floor(inputs.min_similarity, method, method_named(method).needs)
    checked = dataclasses.replace(inputs, budget=budget, seed=seed, rounds=rounds, params=params, min_similarity=floor)
    _check_weave(checked, n_pool is not None)
    if inputs.target_weights is not None:
        check_weighing(method, checked.distance)
    nested, needs = method_named(method).nested, method_named(method).needs
    checked = dataclasses.replace(
        checked,
        caps=check_caps(checked.caps, budget, method, nested, n_pool is not None),
        apart=check_apart(inputs.apart, method, nested and "rounds" in needs),
    )
    if n_pool is not None and (checked.from_pool or 0) > n_pool:
        raise SettingsError(
            f"budget must be at most the pool's {n_pool} rows, got {checked.from_pool}. "
            f"Hint: leave it out to take all{_or_exchanged(checked)}.",
            setting="budget",
        )
    check = method_named(method).check
    if n_pool is not None and check is not None:
        check(checked.own)
    return checked


def _or_exchanged(inputs: SelectionInput) -> str:
    """What else may be wrong with a budget that only the target has rows for."""
    n = len(inputs.target)
    return f", or exchange pool and target: the target has {n:,} rows" if n >= (inputs.from_pool or 0) else ""


def check_weighing(method: str, distance: str) -> None:
    """Refuse weights of target rows where they would change nothing.

    Raises:
        SettingsError: If the method does not take turns or means, or its distance takes no mean.
    """
    told = f"the distance {distance!r}" if "distance" in method_named(method).needs else f"{method!r}"
    if not weighs(method, distance):
        having = ", ".join(name for name, kind in DISTANCES.items() if kind.averages)
        raise SettingsError(
            f"`target_weight` is for methods whose target rows take turns (rounds), and for the distances {having}, "
            f"got it with {told}.",
            setting="target_weight",
        )


def weighs(method: str, distance: str) -> bool:
    """Whether weights of target rows change anything: the method takes turns, or its distance a mean.

    Args:
        method: The method's name.
        distance: What it ranks by, where it ranks by a distance.
    """
    entry = method_named(method)
    if "distance" in entry.needs:
        return DISTANCES[distance].averages
    return "rounds" in entry.needs or entry.verified_by == "turns"


def _check_weave(inputs: SelectionInput, known: bool) -> None:
    """Refuse a budget of which weaving leaves nothing to arrange; `known`: whether it is known if there is one."""
    weave = inputs.weave
    if weave is not None and weave.last is not None and inputs.budget is None and known:
        raise SettingsError(
            "`anneal` must have a `budget`, which says where the order ends, but there is none.", setting="anneal"
        )
    if weave is not None and inputs.own.budget == 0:
        raise SettingsError(
            f"`{weave.setting}` must leave a row to arrange, but of a budget of {inputs.budget} it takes all. "
            "Hint: a smaller share.",
            setting=weave.setting,
        )


def _whole(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise SettingsError(f"{name} must be a whole number, got {value!r}.", setting=name) from None


def _whole_or_none(name: str, value: Any) -> int | None:
    return None if value is None else _whole(name, value)


def _window(method: str, rounds: Any) -> tuple[int, int | None]:
    if "rounds" not in method_named(method).needs:
        having = ", ".join(name for name, entry in METHODS.items() if "rounds" in entry.needs)
        raise SettingsError(
            f"rounds can be chosen only of methods that have them ({having}), got {method!r}.", setting="rounds"
        )
    if not isinstance(rounds, tuple | list) or len(rounds) != 2:
        raise SettingsError(f"rounds must be a pair (start, stop), got {rounds!r}.", setting="rounds")
    start, stop = _whole("rounds", rounds[0]), _whole_or_none("rounds", rounds[1])
    if start < 0 or (stop is not None and stop <= start):
        raise SettingsError(f"rounds must be start:stop with 0 <= start < stop, got {start}:{stop}.", setting="rounds")
    return start, stop


def _cut(found: Selection, method: str, inputs: SelectionInput) -> Arrangement:
    """Cut to the budget, which is exact, and record how the order came about."""
    n = len(found.order) if inputs.budget is None else inputs.budget
    if n > len(found.order) and inputs.caps:
        told = " and ".join(f"`{cap.setting}={cap.most}`" for cap in inputs.caps)
        raise SettingsError(
            f"budget must be at most the {len(found.order)} rows that there are within {told}, got {n}. "
            "Hint: raise the cap or lower the budget.",
            setting="budget",
        )
    if n > len(found.order):
        raise SettingsError(
            f"budget must be at most the {len(found.order)} rows of the chosen rounds, got {n}. "
            "Hint: widen the window of rounds or lower the budget.",
            setting="budget",
        )
    needs = METHODS[method].needs
    settings: dict[str, Any] = {"method": method, "budget": inputs.budget, "seed": inputs.seed}
    if "rounds" in needs:
        settings["within_round"] = inputs.within_round
        settings["rounds"] = list(inputs.rounds) if inputs.rounds else None
    if "distance" in needs:
        settings["distance"] = inputs.distance
    if inputs.min_similarity is not None:
        settings["min_similarity"] = inputs.min_similarity
    if inputs.caps:
        settings["caps"] = {cap.of: cap.most for cap in inputs.caps}
    if inputs.target_weights is not None:
        counts = Counter(inputs.target_weights)
        settings["target_rows_by_weight"] = {str(weight): counts[weight] for weight in sorted(counts)}
    if inputs.apart is not None:
        settings["apart"] = inputs.apart
    if inputs.params:
        settings["params"] = dict(inputs.params)
    taken = in_order(found, np.arange(n))
    return Arrangement(
        order=taken.order,
        round=taken.round,
        picked_by=taken.picked_by,
        similarity=taken.similarity,
        distance=taken.distance,
        n_pool=len(inputs.pool),
        n_target=len(inputs.target),
        settings={**settings, **found.resolved},
    )
