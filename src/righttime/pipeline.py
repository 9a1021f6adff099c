"""From data to an arrangement: read both sides, embed what stands for each row, order the pool."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from righttime.arrangement import (
    METHODS,
    Arrangement,
    Question,
    arrange_unit_vectors,
    check_settings,
    draws_by_chance,
    method_named,
)
from righttime.arrangement.budget import rows_of
from righttime.arrangement.floor import reaches
from righttime.contamination.prompts import same_prompts
from righttime.embedding import DEFAULT_MODEL, Embedder, default_cache, embedder_named
from righttime.embedding.vectors import Sides, embedded, given, vectors_given
from righttime.errors import EmptyDataError, SettingsError, unknown_name
from righttime.examples import TEXTS, Example, LeftOut, content_id, text_of
from righttime.falloff import Falloff, falloff
from righttime.formats import Reading, from_records, read_rows
from righttime.neighbours import MEMORY, search_named
from righttime.progress import counting
from righttime.sampling import check_subsample, drawn, sampled_away
from righttime.similarity import distance_names
from righttime.tokenization.counts import token_counts

__all__ = ["Request", "Result", "arrange", "arrange_rows", "question_of", "read_side", "resolve_text"]

BAD_TARGET = "bad-target-row"
"""The reason of rows that the target lacks; they do not count among the pool's."""

Data = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Iterable[Mapping[str, Any]] | Reading


@dataclass(frozen=True)
class Request:
    """Everything that decides a result besides the data; recorded in the manifest. See `arrange` for each."""

    method: str = "tma"
    distance: str | None = None
    budget: int | str | None = None
    min_similarity: float | None = None
    rounds: tuple[int, int | None] | None = None
    within_round: str = "similarity"
    params: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    subsample: str | float | None = None
    text: str = "prompt+response"
    embedder: str | Embedder = DEFAULT_MODEL
    target_embedder: str | None = None
    max_length: int | None = None
    prefix: str = ""
    device: str | None = None
    precision: str = "float32"
    workers: int = 1
    duplicates: Literal["keep", "drop"] = "keep"
    bad_rows: Literal["stop", "skip"] = "stop"
    format: str | None = None
    target_format: str | None = None
    positive_examples: int = 0
    task_field: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    target_fields: Mapping[str, str] = field(default_factory=dict)
    tokenizer: str | None = None
    max_tokens: int | None = None
    engine: str = "auto"
    memory: int = MEMORY

    def __post_init__(self) -> None:
        object.__setattr__(self, "subsample", check_subsample(self.subsample))  # as a number, for the manifest

    def question(self, pool: NDArray[np.float32], target: NDArray[np.float32]) -> Question:
        """The part of the request that a method looks at, with the vectors; how to search is left at its default."""
        return Question(
            pool=pool,
            target=target,
            budget=rows_of(self.budget, len(pool) or None),
            min_similarity=self.min_similarity,
            rounds=self.rounds,
            within_round=self.within_round,
            distance=self.distance or distance_names()[0],
            seed=0 if self.seed is None else self.seed,
            params=self.params,
        )

    def model(self) -> Embedder:
        """The embedder, found by its name and the settings that go with it, or as it was given."""
        if not isinstance(self.embedder, str):
            return self.embedder
        names = ("max_length", "prefix", "device", "precision")
        return embedder_named(self.embedder, **{name: getattr(self, name) for name in names})

    def check(self) -> None:
        """Refuse what can be refused before anything is read."""
        nothing = np.empty((0, 1), dtype=np.float32)
        check_settings(self.method, self.question(nothing, nothing))
        search_named(self.engine, memory=self.memory)
        if self.distance is not None and "distance" not in method_named(self.method).needs:
            having = ", ".join(name for name, entry in METHODS.items() if "distance" in entry.needs)
            raise SettingsError(f"--distance is for methods that rank by it ({having}), got it with {self.method!r}.")
        if not isinstance(self.embedder, str | Embedder):
            raise SettingsError(
                "the embedder must be a name, a folder, or an object with identity, lengths and embed, "
                f"got {type(self.embedder).__name__}."
            )
        if self.precision != "float32" and (not isinstance(self.embedder, str) or vectors_given(self.embedder)):
            raise SettingsError(
                f"--precision is for models that are named, got {self.precision} with another embedder."
            )
        if self.workers < 1:
            raise SettingsError(f"--workers must be at least 1, got {self.workers}.")
        if self.max_length is not None and self.max_length < 1:
            raise SettingsError(f"--max-length must be at least 1 token, got {self.max_length}.")
        if self.text not in TEXTS:
            raise unknown_name("text", self.text, TEXTS)
        if self.duplicates not in ("keep", "drop"):
            raise unknown_name("choice for duplicates", self.duplicates, ("keep", "drop"))
        if (self.tokenizer is None) != (self.max_tokens is None):
            raise SettingsError("--tokenizer and --max-tokens go together, got only one of them.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise SettingsError(f"--max-tokens must be at least 1, got {self.max_tokens}.")


@dataclass(frozen=True)
class Result:
    """An arrangement and everything that a person should know of how it came about.

    Attributes:
        arrangement: The order, with its rows.
        request: What was asked for.
        pool: The pool as it was read.
        target: The target as it was read.
        left_out: Every row of the pool that is not in the arrangement.
        left_out_of_target: Every row of the target that could not be used.
        text: Which text stood for each row.
        embedding: Model, counts, truncation and the vectors' fingerprints; empty if no vectors were needed.
        duplicates: How many pool rows repeat an earlier row's content.
        leaks: Target rows whose prompt the pool contains word for word: target row to pool row.
        notes: Sentences that a person should read.
        kept: The pool rows that took part, ascending.
        vectors: Unit vectors of those rows and of the target, float32, shapes (n_kept, d) and (n_target, d).
        best: Of each of those rows its similarity to its most similar target row; known with a least similarity.
        given: The names of files and folders that each side was read from; None where it was not read from any.
    """

    arrangement: Arrangement
    request: Request
    pool: Reading
    target: Reading
    left_out: tuple[LeftOut, ...]
    left_out_of_target: tuple[LeftOut, ...]
    text: str
    embedding: Mapping[str, Any]
    duplicates: int
    leaks: Mapping[int, int]
    notes: tuple[str, ...]
    kept: Sequence[int]
    vectors: tuple[NDArray[np.float32], NDArray[np.float32]]
    best: NDArray[np.float32] | None = None
    given: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)

    @cached_property
    def falloff(self) -> Falloff | None:
        """Where quality falls along the order; None where the method looks at no vectors. One more look at the pool."""
        if not self.vectors[0].shape[1]:
            return None
        place = np.full(self.arrangement.n_pool, -1, dtype=np.int64)
        place[self.arrangement.order] = np.arange(len(self.arrangement))
        rounds = self.arrangement.round if self.request.method == "tma" else None
        return falloff(*self.vectors, place[np.asarray(self.kept)], rounds, self.request.min_similarity)


def arrange(
    pool: Data,
    target: Data,
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
    **settings: Any,
) -> Arrangement:
    """Arrange a pool of instruction data around a target.

    Args:
        pool: File or folder names, ``hf:owner/name``, a `datasets.Dataset`, or dicts in any known format.
        target: The same; several files are one joint target. Rows without a response will do here.
        out: A folder to write the result to, as ``righttime arrange --out`` does.
        overwrite: Replace a finished result there.
        cache: The folder of cached vectors; None takes the user's.
        progress: Show progress on stderr.
        **settings: The fields of `righttime.pipeline.Request`: method ("tma"), distance ("wsd" where there is one),
            budget (all; a number or a share such as "10%"), min_similarity (none), rounds,
            within_round ("similarity"), params (a dict of the method's own), seed (0),
            subsample (all; a share such as 0.5 or "50%", or a number of rows, drawn by the seed before anything else),
            text ("prompt+response"), embedder (a model name, a folder, ``vectors:FILE``, or any object with the
            methods of `righttime.embedding.Embedder`), target_embedder, max_length, prefix, device,
            precision ("float32"), workers (1, processes that embed), duplicates ("keep"), bad_rows ("stop"), format,
            target_format, positive_examples (0), task_field, fields and target_fields (dicts of which field of a row
            is its prompt, response, system, context, options, task or id), tokenizer, max_tokens, engine ("auto",
            "cpu", "cuda" or "ray"; never changes a result), memory (bytes that the search may hold above the vectors:
            1 GiB).

    Returns:
        The arrangement, carrying the rows it arranges.

    Raises:
        RighttimeError: A kind of it, for anything wrong with data, settings, model or disk; one clear sentence.

    Example:
        >>> import righttime
        >>> pool = righttime.builtin_rows("pool", rows_per_family=2)
        >>> target = righttime.builtin_rows("target", rows_per_family=1)
        >>> len(righttime.arrange(pool, target, method="random", budget=10))
        10
    """
    known = {entry.name for entry in dataclasses.fields(Request)}
    for name in settings:
        if name not in known:
            raise unknown_name("setting", name, known | {"out", "overwrite", "cache", "progress"})
    if isinstance(settings.get("embedder"), os.PathLike):
        settings["embedder"] = os.fspath(settings["embedder"])
    request = Request(**settings)
    if out is None:
        return arrange_rows(pool, target, request, cache=cache, progress=progress).arrangement
    from righttime.results import prepare_result, write_result

    request.check()
    prepare_result(Path(out), overwrite)
    result = arrange_rows(pool, target, request, cache=cache, progress=progress)
    write_result(result, Path(out))
    return result.arrangement


def read_side(
    data: Data, role: Literal["pool", "target"], request: Request, keep_original: bool = False, progress: bool = False
) -> Reading:
    """Read a pool or a target from wherever it is."""
    if isinstance(data, Reading):
        return data
    settings: dict[str, Any] = {
        "role": role,
        "format": request.format if role == "pool" else request.target_format,
        "bad_rows": request.bad_rows,
        "positive_examples": request.positive_examples,
        "task_field": request.task_field,
        "fields": request.fields if role == "pool" else request.target_fields,
        "keep_original": keep_original,
        "progress": progress,
    }
    if isinstance(data, str | os.PathLike):
        return read_rows([data], **settings)
    if isinstance(data, Mapping) or not isinstance(data, Iterable):
        raise SettingsError(
            f"the {role} must be files, a data set or rows, got {type(data).__name__}. "
            "Hint: of a DatasetDict pass one split, such as data['train']."
        )
    rows = list(data)
    paths = [row for row in rows if isinstance(row, str | os.PathLike)]
    records = [row for row in rows if not isinstance(row, str | os.PathLike)]
    if paths and records:
        raise SettingsError(
            f"the {role} must be files or rows, got {len(paths)} file names and {len(records)} rows in one list. "
            "Hint: read the files first, or save the rows."
        )
    return read_rows(paths, **settings) if paths else from_records(records, source=role, **settings)


def arrange_rows(
    pool: Data,
    target: Data,
    request: Request,
    *,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
    keep_original: bool = False,
) -> Result:
    """Arrange and tell everything about it; see `arrange`."""
    request.check()
    names = {"pool": _names(pool), "target": _names(target)}
    read_pool = read_side(pool, "pool", request, keep_original, progress)
    formats = sorted({file.format for file in read_pool.inputs})
    if keep_original and len(formats) > 1:
        raise SettingsError(
            f"--as original needs pools of one format, got {', '.join(formats)}: no trainer reads a file of both. "
            "Hint: leave --as out."
        )
    read_target = read_side(target, "target", request)
    part = drawn(len(read_pool.examples), request.subsample, request.seed or 0)
    kept, dropped, duplicates = _keep(read_pool.examples, part, request)
    if not kept:
        raise EmptyDataError(f"no pool row is left: all {len(dropped)} were left out, the first: {dropped[0].detail}.")
    rows = [read_pool.examples[number] for number in kept]
    tasked = question_of(request, rows, read_target.examples)
    # Budget, parameters and tasks are checked before hours of embedding, not after.
    checked = check_settings(request.method, tasked, len(rows))
    text, notes = resolve_text(request, read_target.examples)
    if not (draws_by_chance(request.method, checked) or len(part) < len(read_pool.examples)):
        notes += _idle_seed(request)
    needs = method_named(request.method).needs
    sides = Sides(tasked.pool, tasked.target, {})
    if "vectors" in needs:
        place = Path(cache) if cache else default_cache()
        sides = _sides(kept, read_pool.examples, read_target.examples, text, request, place, progress)
    with (
        counting("searching", len(rows), shown=progress) as tell,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", UserWarning)  # told in the notes instead
        # Lists that run out take more passes than the one that can be foreseen.
        search = search_named(request.engine, memory=request.memory, progress=tell)
        best = None if request.min_similarity is None else search.nearest(sides.pool, sides.target)[1]
        question = dataclasses.replace(
            tasked,
            pool=sides.pool,
            target=sides.target,
            best=best,
            search=search,
            texts=[text_of(row, text) for row in rows] if "texts" in needs else None,
            target_texts=[text_of(row, text) for row in read_target.examples] if "texts" in needs else None,
            progress=tell,
        )
        folder = Path(cache) if cache else default_cache()
        found = arrange_unit_vectors(request.method, question, most_bytes=request.memory, folder=folder)
    if "warning" in found.settings:
        notes.append(found.settings["warning"])
    arrangement = dataclasses.replace(
        found, order=np.asarray(kept, dtype=np.int64)[found.order], n_pool=len(read_pool.examples)
    ).with_rows(read_pool.examples, read_target.examples)
    return Result(
        arrangement=arrangement,
        request=request,
        pool=read_pool,
        target=read_target,
        left_out=(*read_pool.left_out, *dropped, *_not_chosen(kept, read_pool.examples, arrangement, request, best)),
        left_out_of_target=tuple(dataclasses.replace(row, reason=BAD_TARGET) for row in read_target.left_out),
        text=sides.about.get("text", text),
        embedding=sides.about,
        duplicates=duplicates,
        leaks=_leaks(read_pool.examples, part, read_target.examples),
        notes=tuple(notes),
        kept=kept,
        vectors=(sides.pool, sides.target),
        best=best,
        given=names,
    )


def _names(data: Data) -> tuple[str, ...] | None:
    """The names of the files and folders that a side is read from; None where it is rows in memory."""
    if isinstance(data, str | os.PathLike):
        return (os.fspath(data),)
    if not isinstance(data, list | tuple) or not all(isinstance(name, str | os.PathLike) for name in data):
        return None
    return tuple(os.fspath(name) for name in data)


def question_of(request: Request, pool: Sequence[Example], target: Sequence[Example]) -> Question:
    """What a method is asked, as far as that is known before there are vectors."""
    question = request.question(*(np.empty((len(side), 0), dtype=np.float32) for side in (pool, target)))
    return dataclasses.replace(question, tasks=[row.task for row in pool], target_tasks=[row.task for row in target])


def _idle_seed(request: Request) -> list[str]:
    """What to say of a seed that decides nothing, where one was given."""
    if request.seed is None:
        return []
    within = f" with --within-round {request.within_round}" if "rounds" in method_named(request.method).needs else ""
    return [
        f"--seed {request.seed} changes nothing: method {request.method}{within} draws nothing by chance. "
        "For replicates, draw a part of the pool: --subsample 0.5 --seed 1."
    ]


def _leaks(rows: Sequence[Example], part: Sequence[int], target: Sequence[Example]) -> dict[int, int]:
    """Target rows whose prompt the drawn part of the pool contains; see `righttime.contamination.prompts.same_prompts`."""
    found = same_prompts([rows[number] for number in part], target)
    return {row: part[place] for row, place in found.items()}


def _keep(rows: Sequence[Example], part: Sequence[int], request: Request) -> tuple[list[int], list[LeftOut], int]:
    """The rows that take part, those that do not and why, and how many repeat an earlier row.

    The draw comes first, so that it depends on nothing but the seed: rows are repeats, or too long, among those drawn.
    """
    first: dict[str, int] = {}
    again = {}
    for number in part:
        earlier = first.setdefault(content_id(rows[number].messages, rows[number].tools), number)
        if earlier != number:
            again[number] = earlier
    lengths = token_counts([rows[number] for number in part], request.tokenizer) if request.tokenizer else None
    counts = None if lengths is None else dict(zip(part, lengths, strict=True))
    kept, dropped = [], sampled_away(rows, part, request.subsample, request.seed or 0)
    for number in part:
        row = rows[number]
        if request.duplicates == "drop" and number in again:
            twin = rows[again[number]]
            dropped.append(_out(row, number, "duplicate", f"the same content as {twin.id} ({twin.file}:{twin.line})"))
        elif counts is not None and request.max_tokens is not None and counts[number] > request.max_tokens:
            dropped.append(_out(row, number, "too-long", f"{counts[number]} tokens, more than {request.max_tokens}"))
        else:
            kept.append(number)
    return kept, dropped, len(again)


def _out(row: Example, number: int, reason: str, detail: str) -> LeftOut:
    return LeftOut(row.file, row.line, number, row.id, reason, detail)


def _not_chosen(
    kept: Sequence[int],
    rows: Sequence[Example],
    arrangement: Arrangement,
    request: Request,
    best: NDArray[np.float32] | None,
) -> list[LeftOut]:
    """Rows that took part in vain, and before them those that no target row is near enough to."""
    chosen = set(arrangement.order.tolist())
    far = np.zeros(len(kept), dtype=np.bool_) if best is None else ~reaches(best, request.min_similarity)
    share = f" ({request.budget})" if isinstance(request.budget, str) else ""
    limits = [f"budget {arrangement.settings['budget']}{share}"] if request.budget is not None else []
    if request.rounds is not None:
        start, stop = request.rounds
        limits.insert(0, f"rounds {start}:{'' if stop is None else stop}")
    limits = limits or [f"method {request.method}"]
    detail = f"not among the rows that {' and '.join(limits)} took"
    left = []
    for place, number in enumerate(kept):
        if best is not None and far[place]:
            why = f"its most similar target row is at {best[place]:.4f}, below {request.min_similarity:g}"
            left.append(_out(rows[number], number, "too-dissimilar", why))
        elif number not in chosen:
            left.append(_out(rows[number], number, "not-chosen", detail))
    return left


def resolve_text(request: Request, target: Sequence[Example]) -> tuple[str, list[str]]:
    """The text that stands for a row, the prompt alone on both sides where a target row has no response; and notes."""
    lacking = [row for row in target if row.response is None]
    if request.text == "prompt" or not lacking:
        return request.text, []
    return "prompt", [
        f"{len(lacking):,} of {len(target):,} target rows have no response (first: {lacking[0].id}), "
        "so both sides are embedded by their prompts alone."
    ]


def _sides(
    kept: Sequence[int],
    pool: Sequence[Example],
    target: Sequence[Example],
    text: str,
    request: Request,
    cache: Path,
    progress: bool,
) -> Sides:
    if vectors_given(request.embedder):
        return given(request.embedder, request.target_embedder, kept, len(pool), len(target), request.memory, cache)
    if request.target_embedder is not None:
        raise SettingsError("--target-embedder is only for given vectors: one model must embed both sides.")
    return embedded(
        [pool[number] for number in kept],
        target,
        text,
        request.model(),
        cache,
        memory=request.memory,
        workers=request.workers,
        on_ray=request.engine == "ray",
        progress=progress,
    )
