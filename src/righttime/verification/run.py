"""Verify a run against the arrangement that it was to follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from righttime.errors import StoreError
from righttime.store import MANIFEST, ids_sha256, read_manifest
from righttime.tokenization.loading import load_tokenizer
from righttime.training.folder import read_run
from righttime.training.job import result_files
from righttime.training.oracle import first_difference
from righttime.training.plan import Plan
from righttime.training.records import Records, read_records
from righttime.training.token_rows import TokenRows, arranged_rows, token_rows
from righttime.verification.result import Finding

__all__ = ["verify"]


def verify(run: Path, out: Path) -> list[Finding]:
    """Compare what a run consumed with the order of an arrangement.

    The plan is made again from `out`, and `out`'s rows are tokenized again; of the run only its numbers (batch,
    processes, epochs, ...), its records and its files are taken.

    Args:
        run: A folder that ``righttime tune`` wrote; what is there of an unfinished run is compared too.
        out: The folder that ``righttime arrange`` wrote.

    Returns:
        Everything that was verified, good and bad.

    Raises:
        StoreError: If a folder is not what it should be.
    """
    began, arranged = read_run(run), arranged_rows(out)
    plan, records = _plan(tuple(arranged.ids), began, run), read_records(run / "consumed")
    findings = [
        _finished(run),
        Finding("the run was planned for this arrangement", began["plan"].get("ids_sha256") == ids_sha256(plan.ids)),
        Finding(
            "every attempt followed that plan", all(attempt.plan == plan.fingerprint for attempt in records.attempts)
        ),
    ]
    difference = first_difference(plan, records)
    shuffled = "" if plan.shuffle_after is None else f"the order for {plan.shuffle_after} steps, then a shuffle"
    told = difference or shuffled
    findings.append(Finding("what led to the weights is the plan, every row in its place", difference is None, told))
    if (run / MANIFEST).exists():
        findings += _files(run)
    if (run / "model").is_dir() and findings[1].ok:
        fed = began["rows"]
        tokenizer, length, ends = load_tokenizer(str(run / "model")), fed["max_length"], fed["answer_end"]
        rows = token_rows(arranged, tokenizer, fed["form"], length, answer_end=ends)
        findings += _tokens(rows, records, fed)
    return findings


def _plan(ids: tuple[str, ...], began: Mapping[str, Any], run: Path) -> Plan:
    """The plan of a run's numbers for these ids."""
    numbers = {name: value for name, value in began["plan"].items() if name not in ("rows", "ids_sha256")}
    try:
        return Plan(ids, **numbers)
    except TypeError as error:
        raise StoreError(f"{run / 'run.json'} must hold the numbers of a plan, but it was changed: {error}.") from error


def _finished(run: Path) -> Finding:
    finished = (run / MANIFEST).exists()
    return Finding("the run is finished", finished, "" if finished else "it has no manifest.json")


def _files(run: Path) -> Iterator[Finding]:
    written, found = read_manifest(run).get("files"), result_files(run)
    if not isinstance(written, dict):
        yield Finding("every file is as it was written", False, "the manifest names none")
        return
    # An evaluation may be put there later; a record or a weight more would change what the others mean.
    of_run = (name for name in found if not name.startswith("evaluation/"))
    for name in sorted({*written, *of_run}):
        if written.get(name) != found.get(name):
            why = "it is gone" if name not in found else "its sha256 is not the manifest's"
            yield Finding(f"{name} is as it was written", False, why if name in written else "the run did not write it")
            return
    yield Finding("every file is as it was written, the model's too", True)


def _tokens(rows: TokenRows, records: Records, fed: Mapping[str, Any]) -> Iterator[Finding]:
    """That the model was fed this arrangement's texts, and not only its ids, and learnt the answers in them."""
    yield Finding("the rows' texts are those that were tokenized", ids_sha256(rows.hashes) == fed["hashes_sha256"])
    yield Finding("the tokens that were learnt are the answers'", rows.learnt_sha256 == fed["learnt_sha256"])
    for record in records.effective():
        for place, name, tokens in zip(record.places, record.rows, record.tokens, strict=True):
            if place is None or not place < len(rows.ids) or rows.ids[place] != name or rows.hashes[place] != tokens:
                where = f"step {record.step}, micro-batch {record.micro}, process {record.process}, row {name}"
                yield Finding("the model was fed the tokens of those texts", False, where)
                return
    yield Finding("the model was fed the tokens of those texts", True)
