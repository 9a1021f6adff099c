"""A run's folder: begun once, gone on with as often as needed, finished by its manifest.

    RUN/run.json           what decides the run: plan, settings, model, rows; written before the first step
    RUN/rows.parquet       place, id, task, tokens, learnt, cut, hash of every row as the model is fed it
    RUN/consumed/          what each attempt and process consumed, written as it went
    RUN/plans/             what rearranging made, each with its vectors, before its first row is consumed; only with it
    RUN/checkpoints/       the newest whole checkpoints
    RUN/model/             the tuned model (or its adapters) as safetensors, with its tokenizer, if it is saved
    RUN/average/           the mean of the last checkpoints, where that was asked for
    RUN/average_evaluation/ what was measured of it
    RUN/consumed.parquet   the same records as one table, with what was superseded
    RUN/evaluation/        what was measured while it trained, where that was asked for
    RUN/train_log.jsonl    loss, rate and gradient norm as they were logged
    RUN/loss.png           the same as a picture, with the losses on evaluated sets, where matplotlib is installed
    RUN/manifest.json      written last

A run without a manifest is not finished.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from righttime.errors import SettingsError, StoreError
from righttime.locks import let_go, locked, unlocked
from righttime.store import MANIFEST, clear_partial, make_folder, take, take_away, write_json
from righttime.training.checkpoints import clear_after_missing, clear_broken, whole_checkpoints
from righttime.training.manifest import BEGUN, read_begun, with_defaults
from righttime.training.rearranged import PLANS
from righttime.training.records import last_attempt

__all__ = ["Start", "begin", "end"]

_FILES = (BEGUN, "rows.parquet", "consumed.parquet", "train_log.jsonl", "loss.png")
_LOCK = ".lock"
_DEFAULTED = {"rows.answer_end": "answer_end", "settings.learning_rate": "learning_rate"}
"""Options whose defaults were others once: the same words mean something else now."""
_FOLDERS = ("consumed", PLANS, "checkpoints", "model", "evaluation", "average", "average_evaluation")


@dataclass(frozen=True)
class Start:
    """How an attempt starts.

    Attributes:
        attempt: Its number, from 1.
        step: The step it goes on from.
        checkpoint: The checkpoint it goes on from, or None.
        broken: Names of checkpoints that were incomplete or damaged and were taken away.
        dropped: Names of checkpoints that were taken away because an earlier one, which is to be averaged, is missing.
        lock: What the main process holds the folder by, until `end`.
        folder: The folder.
    """

    attempt: int
    step: int
    checkpoint: str | None
    broken: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    lock: FileLock | None = None
    folder: Path | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Of several processes the main one alone holds the lock; the others are sent the rest."""
        return {**self.__dict__, "lock": None}


def begin(run: Path, deciding: Mapping[str, Any], overwrite: bool = False, averaged: Sequence[int] = ()) -> Start:
    """Begin a run, or go on with one that was stopped.

    Args:
        run: The folder.
        deciding: What decides the run, as JSON.
        overwrite: Take away what an earlier run left there, and begin anew.
        averaged: Steps whose checkpoints the run needs at its end; it goes on from before one that is missing.

    Raises:
        StoreError: If the folder holds a finished run or somebody else's files, another process trains there, or it
            cannot be written.
        SettingsError: If it was begun with something else; names what.
    """
    make_folder(run)
    names = {entry.name for entry in run.iterdir() if not entry.name.endswith(".partial")} - {_LOCK}
    strangers = names - {MANIFEST, *_FILES, *_FOLDERS}
    # Without run.json even names like ours may be somebody's; only `overwrite` takes those away.
    if BEGUN not in names and (strangers or (names and not overwrite)):
        raise StoreError(
            f"{run} must be empty or hold a run, but it holds {min(strangers or names)!r}. Hint: choose another `out`."
        )
    lock = _locked(run)
    try:
        clear_partial(run)
        if overwrite:
            _clear(run)
        _no_links(run)
        return _begun(run, deciding, averaged, lock)
    except BaseException:
        unlocked(lock)
        let_go(run)
        raise


def end(start: Start) -> None:
    """Let another process train in the run's folder."""
    unlocked(start.lock)
    if start.folder is not None:
        let_go(start.folder)


def _begun(run: Path, deciding: Mapping[str, Any], averaged: Sequence[int], lock: FileLock | None) -> Start:
    if (run / MANIFEST).exists():
        raise StoreError(f"{run} holds a finished run already. Hint: choose another `out`, or `overwrite=True`.")
    if not (run / BEGUN).exists():
        write_json(run / BEGUN, deciding)
    asked = json.loads(json.dumps(deciding))
    asked["settings"] = with_defaults(asked["settings"])
    for what, then, now in _deciding_changes(read_begun(run), asked):
        again = f"`{_DEFAULTED[what]}={then!r}`" if what in _DEFAULTED else "run the first command again"
        raise SettingsError(
            f"a run must go on with what it began with, but {what} was {then!r} and is {now!r} now ({run}). "
            f"Hint: {again}, or choose another `out`, or `overwrite=True`."
        )
    broken = tuple(clear_broken(run / "checkpoints"))
    dropped = tuple(clear_after_missing(run / "checkpoints", averaged))
    whole = whole_checkpoints(run / "checkpoints", hashed=False)  # what is left was hashed just now
    number = last_attempt(run / "consumed") + 1
    if not whole:
        return Start(number, 0, None, broken, dropped, lock, run)
    return Start(number, whole[-1].step, str(whole[-1].path), broken, dropped, lock, run)


def _locked(run: Path) -> FileLock | None:
    """Hold a run's folder: two processes that trained in one would mix their checkpoints and records.

    By the lock of all results, which says who holds it, and by one in the folder, for processes with other homes.
    """
    taken = take(run)
    try:
        return locked(run / _LOCK)
    except Timeout as error:
        if taken:
            let_go(run)
        raise StoreError(
            f"{run} must be free, but another process trains there. Hint: wait for it, or end it."
        ) from error


def _no_links(run: Path) -> None:
    """A link may lead into another run's folder, or nowhere, which is found out only at the first checkpoint."""
    for name in _FOLDERS:
        if (run / name).is_symlink():
            raise StoreError(
                f"{run / name} must be a folder of the run's own, but it is a link to {os.readlink(run / name)}. "
                "Hint: remove the link, or link all of the run's folder."
            )


def _clear(run: Path) -> None:
    for name in (MANIFEST, *_FILES, *_FOLDERS):  # the manifest first: a folder half cleared is no finished run
        take_away(run / name)


def _deciding_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Where two runs differ in what decides the weights."""
    found = list(_changes(then, now))
    # Where answers end decides by the tokens that are learnt alone: with many templates both ways learn the same.
    if all(what != "rows.learnt_sha256" for what, *_ in found):
        found = [one for one in found if one[0] != "rows.answer_end"]
    return found


def _changes(then: Any, now: Any, what: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two JSON values differ, by the dotted names of the entries."""
    if isinstance(then, dict) and isinstance(now, dict):
        for name in sorted({*then, *now}):
            yield from _changes(then.get(name), now.get(name), f"{what}.{name}" if what else name)
    elif then != now and what not in ("model.name", "settings.rearrange_pool"):  # the same may lie elsewhere
        yield what, then, now
