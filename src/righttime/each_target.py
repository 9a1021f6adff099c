"""One arrangement for each of several targets, from one reading of the pool."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from righttime.arrangement import method_named
from righttime.embedding.given import kept_spec
from righttime.embedding.vectors import PoolOnce, vectors_given
from righttime.errors import SettingsError, unknown_name
from righttime.filtering import TakingPart
from righttime.formats.files import stem_of
from righttime.inputs import Inputs, read_inputs
from righttime.neighbours import FirstPass
from righttime.pipeline import Begun, begin, finish, taking_part
from righttime.results import Data, Request, Result, prepare_result, write_result

__all__ = ["arrange_each_into", "named_targets", "of_target"]

_UNFIT = re.compile(r"[^\w.-]+")  # what the name of a folder should not hold
As = Literal["messages", "original"]


def arrange_each_into(
    out: str | os.PathLike[str],
    pool: Data,
    targets: Sequence[str | os.PathLike[str]],
    request: Request,
    *,
    as_: As = "messages",
    overwrite: bool = False,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = False,
    on_read: Callable[[Inputs], None] | None = None,
) -> Iterator[tuple[str, Result]]:
    """Arrange a pool around each of several targets, and write each result to a folder of its own.

    The pool is read and embedded once, a side pool is read once, and the model is loaded once. Where targets share the
    pool's rows, methods of rounds look at them in one pass for all targets. Each folder holds what `arrange_into` would
    write for that target alone; of a model's vectors but for rounding, since texts are embedded in other company. Of
    the weights of `target_weight` each target takes those of its own file and tasks.

    Args:
        out: The folder of the folders, which are named as the targets' files without their endings.
        pool: See `righttime.arrange`, as for all that follow but `targets`, `request` and `as_`.
        targets: A file, folder or hub name of each target.
        request: What is asked for. ``{NAME}`` in its `target_embedder` stands for the target's name.
        as_: See `arrange_into`.
        overwrite: See `righttime.arrange`.
        cache: See `righttime.arrange`.
        progress: See `righttime.arrange`.
        on_read: See `arrange_into`; is told of the pool with each target.

    Yields:
        The name of each target and its result, once it is written.

    Raises:
        RighttimeError: As `righttime.arrange`. Settings, names and folders are looked at before anything is read,
            and whether some target has what is weighed before anything is embedded.
    """
    named = named_targets(targets)
    asked = {name: of_target(request, name, len(named)) for name in named}
    for name, one in asked.items():
        one.check()
        prepare_result(Path(out) / name, overwrite)
    how: dict[str, Any] = {"cache": cache, "progress": progress}
    vectors = PoolOnce()
    begun = _begun(pool, named, asked, vectors, as_ == "original", on_read, **how)
    if request.guard == "remove" or "rounds" not in method_named(request.method).needs:
        # Targets have pools of their own, or share no pass: nothing is gained by holding all of them.
        for name, arranged in begun:
            yield name, _written(arranged, Path(out) / name, as_, **how)
        return
    waiting = dict(begun)
    first = FirstPass(vectors.pool, [one.ready.inputs.target for one in waiting.values()])
    for name in list(waiting):
        yield name, _written(waiting.pop(name), Path(out) / name, as_, search=first.before, **how)


def _begun(
    pool: Data,
    targets: Mapping[str, str | os.PathLike[str]],
    asked: Mapping[str, Request],
    vectors: PoolOnce,
    keep_original: bool,
    on_read: Callable[[Inputs], None] | None,
    *,
    cache: str | os.PathLike[str] | None,
    progress: bool,
) -> Iterator[tuple[str, Begun]]:
    """All but the choice for each target, the pool read once."""
    reads = _read(pool, targets, asked, keep_original, on_read, progress)
    if any(one.target_weight for one in asked.values()):  # whether a name is any target's is known when all are read
        held = dict(reads)
        asked, reads = _with_own_weights(asked, held), iter(held.items())
    taking: TakingPart | None = None
    side_vectors = PoolOnce(vectors)
    for name, read in reads:
        taking = taking or taking_part(read, asked[name])
        shared: dict[str, Any] = {"cache": cache, "progress": progress}
        yield name, begin(read, asked[name], taking, vectors=vectors, side_vectors=side_vectors, **shared)


def _read(
    pool: Data,
    targets: Mapping[str, str | os.PathLike[str]],
    asked: Mapping[str, Request],
    keep_original: bool,
    on_read: Callable[[Inputs], None] | None,
    progress: bool,
) -> Iterator[tuple[str, Inputs]]:
    """Each target with the pool, which is read once."""
    first: Inputs | None = None
    for name, target in targets.items():
        known, side = (first.pool, first.side) if first else (pool, None)
        how: dict[str, Any] = {"keep_original": keep_original, "progress": progress}
        read = read_inputs(known, target, asked[name], side=side, **how)
        if on_read:
            on_read(read)
        first = first or read
        yield name, dataclasses.replace(read, given={**read.given, "pool": first.given["pool"]})


def _with_own_weights(asked: Mapping[str, Request], reads: Mapping[str, Inputs]) -> dict[str, Request]:
    """The requests, each with the weights of what its own target has.

    Raises:
        SettingsError: If a weight is of no target's file or task.
    """
    names = {name: {*read.target.rows.sources, *read.target.rows.tasks} - {None} for name, read in reads.items()}
    every = {one for some in names.values() for one in some if one is not None}
    for weighed in (weighed for one in asked.values() for weighed in one.target_weight):
        if weighed not in every:
            raise unknown_name("file or task of any target", weighed, every, setting="target_weight")
    return {
        name: dataclasses.replace(
            one, target_weight={what: weight for what, weight in one.target_weight.items() if what in names[name]}
        )
        for name, one in asked.items()
    }


def named_targets(targets: Sequence[str | os.PathLike[str]]) -> dict[str, str | os.PathLike[str]]:
    """The targets by their names.

    Args:
        targets: A file, folder or hub name of each.

    Raises:
        SettingsError: If two have the same name.
    """
    named: dict[str, str | os.PathLike[str]] = {}
    for target in targets:
        name = _UNFIT.sub("-", stem_of(os.fspath(target))).lstrip(".") or "target"
        if name in named:
            raise SettingsError(
                f"targets that are arranged for one by one must differ in name, got {os.fspath(named[name])} and "
                f"{os.fspath(target)}, which both give {name!r}. Hint: rename or link one of the files.",
                setting="target",
            )
        named[name] = target
    return named


def of_target(request: Request, name: str, n_targets: int) -> Request:
    """The request for one of the targets: of given vectors, with those of that target.

    Args:
        request: The request for all of them.
        name: The target's name.
        n_targets: How many there are.

    Raises:
        SettingsError: If given vectors are not named for each of several targets.
    """
    if not vectors_given(request.embedder):
        return request
    spec = request.target_embedder
    if n_targets > 1 and "{NAME}" not in (spec or ""):
        got = "none" if spec is None else repr(kept_spec(spec))
        raise SettingsError(
            "given vectors of several targets must have a file or tensor each, named by `{NAME}`, got "
            f"{got}. Hint: `target_embedder='vectors:targets.npz#{{NAME}}'`.",
            setting="target_embedder",
        )
    return request if spec is None else dataclasses.replace(request, target_embedder=spec.replace("{NAME}", name))


def _written(begun: Begun, out: Path, as_: As, **how: Any) -> Result:
    result = finish(begun, **how)
    write_result(result, out, as_)
    return result
