"""Verify a run against the arrangement that it was to follow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from righttime.errors import ModelError, SettingsError, StoreError
from righttime.results import open_result
from righttime.rows import Rows
from righttime.store import ids_sha256
from righttime.tokenization.loading import load_tokenizer
from righttime.training import FinishedRun, Plan, Records, Run, begun_run, first_difference
from righttime.training.average import average_steps, is_average
from righttime.training.manifest import BEGUN, FedRows
from righttime.training.rearranger import rearranged_sides, woven_places
from righttime.training.token_rows import TokenRows, arranged_rows, token_rows
from righttime.verification.finding import Finding
from righttime.verification.rearranged import FoundOrders, rearranged_holds
from righttime.verification.run_contents import checkpoints_hold, evaluation_holds, run_contents_hold

__all__ = ["verify"]


def verify(run: Path, out: Path) -> list[Finding]:
    """Compare what a run consumed with the order of an arrangement.

    The plan is made again from `out`, and `out`'s rows are tokenized again, which also gives the lengths by which a
    step's rows were grouped or packed; of the run only its numbers (batch, processes, epochs, ...), its records and its
    files are taken. While there is no tokenizer to be had, the lengths are those that the run recorded. What the
    manifest and the tables say is compared with plan, records and rows. Weights and losses are what their hashes say;
    only training and evaluating again could tell more. What was rearranged while the model trained is arranged again
    from the vectors beside it; these are compared with those of the model where the checkpoint of that step was kept.

    Args:
        run: A folder that ``righttime tune`` wrote; what is there of an unfinished run is compared too.
        out: The folder that ``righttime arrange`` wrote.

    Returns:
        Everything that was verified, good and bad.

    Raises:
        StoreError: If a folder is not what it should be.
    """
    opened, arranged = begun_run(run), arranged_rows(out)
    if (pool := opened.begun.settings.rearrange_pool) is not None:
        arranged = rearranged_sides(out, pool).rows
    rows = _tokenized(opened, arranged)
    plan, records = _plan(tuple(arranged.ids), opened, rows), opened.records
    orders = FoundOrders(opened, plan, woven_places(open_result(out)))
    if plan.rearrange_every is not None:
        plan = dataclasses.replace(plan, orders=orders)
    findings = [
        _finished(opened),
        Finding("the run was planned for this arrangement", opened.begun.plan.of(plan.ids)),
        Finding(
            "every attempt followed that plan", all(attempt.plan == plan.fingerprint for attempt in records.attempts)
        ),
    ]
    if plan.rearrange_every is not None or opened.begun.settings.rearrange_every is not None:
        findings += rearranged_holds(orders, arranged, rows if isinstance(rows, TokenRows) else None, out)
    difference = first_difference(plan, records)
    shuffled = "" if plan.shuffle_after is None else f"the order for {plan.shuffle_after} steps, then a shuffle"
    told = difference or shuffled
    findings.append(Finding("what led to the weights is the plan, every row in its place", difference is None, told))
    if isinstance(opened, FinishedRun):
        files = list(_files(opened))
        findings += [*files, *_average(opened)]
        if all(finding.ok for finding in files):  # else what follows would only repeat it
            fed = rows if isinstance(rows, TokenRows) else None
            findings += run_contents_hold(opened, plan, fed, open_result(out).manifest.method)
    findings += [*evaluation_holds(opened), *checkpoints_hold(opened)]
    if findings[1].ok:
        findings += _texts(opened, rows)
    return findings


def _plan(ids: tuple[str, ...], opened: Run, rows: TokenRows | ModelError | None) -> Plan:
    """The plan of a run's numbers for these ids."""
    lengths: tuple[int, ...] = ()
    if opened.begun.plan.by_length:
        # A row that the run does not know makes another plan, which is found, whatever its length.
        lengths = rows.lengths if isinstance(rows, TokenRows) else tuple(opened.lengths.get(name, 1) for name in ids)
    try:
        return opened.begun.plan.plan(ids, lengths)
    except (SettingsError, TypeError) as error:
        raise StoreError(
            f"{opened.folder / BEGUN} must hold the numbers of a plan, but it was changed: {error}."
        ) from error


def _finished(opened: Run) -> Finding:
    finished = isinstance(opened, FinishedRun)
    return Finding("the run is finished", finished, "" if finished else "it has no manifest.json")


def _files(opened: FinishedRun) -> Iterator[Finding]:
    if not opened.manifest.files:
        yield Finding("every file is as it was written", False, "the manifest names none")
        return
    for file in opened.files():
        if not file.unchanged:
            why = "its sha256 is not the manifest's" if file.found else "it is gone"
            detail = why if file.written is not None else "the run did not write it"
            yield Finding(f"{file.name} is as it was written", False, detail)
            return
    if opened.manifest.settings.save_model:
        yield Finding("every file is as it was written, the model's too", True)
    else:
        yield Finding("every file is as it was written", True, "the model was not saved")


def _average(opened: FinishedRun) -> Iterator[Finding]:
    """That the averaged weights are the mean of the checkpoints, as long as those are kept."""
    manifest = opened.manifest
    if not manifest.averaged or not manifest.settings.save_model:
        return
    decay = manifest.settings.average_decay
    weighing = "" if decay is None else f", each weighing {decay:g} times the next"
    what = f"the average is the mean of the checkpoints of steps {', '.join(map(str, manifest.averaged))}{weighing}"
    planned = average_steps(manifest.settings, manifest.counts.steps)
    if planned != manifest.averaged:
        yield Finding(what, False, f"by the settings it is of steps {', '.join(map(str, planned))}")
        return
    there = {checkpoint.step: checkpoint.path for checkpoint in opened.checkpoints}
    gone = [step for step in planned if step not in there]
    if gone:
        yield Finding(what, None, f"checkpoint-{gone[0]} was removed or changed since")
    else:
        same = is_average([there[step] for step in planned], opened.average, manifest.settings.average_decay)
        yield Finding(what, same)


def _tokenized(opened: Run, arranged: Rows) -> TokenRows | ModelError | None:
    """Tokenize the texts again, with the tuned model's tokenizer or, where that was not saved, the first model's.

    None while there is no tuned model yet, or another arrangement's rows are of no use; the error where the first
    model is gone.
    """
    unsaved = isinstance(opened, FinishedRun) and not opened.manifest.settings.save_model
    if not opened.begun.plan.of(arranged.ids) or not (opened.model.is_dir() or unsaved):
        return None
    try:
        tokenizer = load_tokenizer(opened.begun.model.name if unsaved else str(opened.model))
    except ModelError as error:
        if not unsaved:
            raise
        return error
    fed = opened.begun.rows
    return token_rows(arranged, tokenizer, fed.form, fed.max_length, answer_end=fed.answer_end)


def _texts(opened: Run, rows: TokenRows | ModelError | None) -> Iterator[Finding]:
    if isinstance(rows, ModelError):
        why = f"the run kept no tokenizer, and {rows}"
        yield Finding("the rows' texts are those that were tokenized", None, why)
    elif rows is not None:
        yield from _tokens(rows, opened.records, opened.begun.rows)


def _tokens(rows: TokenRows, records: Records, fed: FedRows) -> Iterator[Finding]:
    """That the model was fed this arrangement's texts, and not only its ids, and learnt the answers in them."""
    yield Finding("the rows' texts are those that were tokenized", ids_sha256(rows.hashes) == fed.hashes_sha256)
    yield Finding("the tokens that were learnt are the answers'", rows.learnt_sha256 == fed.learnt_sha256)
    for record in records.effective():
        for place, name, tokens in zip(record.places, record.rows, record.tokens, strict=True):
            if place is None or not place < len(rows.ids) or rows.ids[place] != name or rows.hashes[place] != tokens:
                where = f"step {record.step}, micro-batch {record.micro}, process {record.process}, row {name}"
                yield Finding("the model was fed the tokens of those texts", False, where)
                return
    yield Finding("the model was fed the tokens of those texts", True)
