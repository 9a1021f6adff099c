"""What a trainer asks of rows. One that skips or changes a row silently would shift every row behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from righttime.errors import FormatError, SettingsError
from righttime.exporters.data import ExportData
from righttime.exporters.settings import ExportSettings
from righttime.store import write_lines

__all__ = [
    "check_alternating",
    "check_answered",
    "check_even_rounds",
    "check_plain",
    "check_whole_steps",
    "conversations",
    "plain_row",
    "single_answers",
    "write_rows",
]


def check_plain(data: ExportData, title: str) -> None:
    """Refuse rows with tools or more than a role and a text in a turn, which `title` reads otherwise or not at all.

    Raises:
        FormatError: Names the first such row.
    """
    for place, row in data.placed_rows:
        more = ["tools"] if row.get("tools") is not None else []
        for turn in row["messages"]:
            more += [key for key in turn if key not in ("role", "content")]
            more += ["a tool's turn"] if turn["role"] == "tool" else []
        if more:
            raise _refused(
                place, row, title, f"hold only roles and texts, got {more[0]}", "`to='trl'` and `to='messages'`"
            )


def check_alternating(data: ExportData, title: str) -> None:
    """Refuse rows that are not an optional system turn, then user and assistant by turns.

    Raises:
        FormatError: Names the first such row.
    """
    for place, row in data.placed_rows:
        roles = [turn["role"] for turn in row["messages"]]
        said = roles[1:] if roles[0] == "system" else roles
        if not said or said != ["user", "assistant"] * (len(said) // 2):
            what = f"go user, assistant, user, …, assistant (after at most one system turn), got {', '.join(roles)}"
            raise _refused(place, row, title, what, "`to='trl'`")


def check_answered(data: ExportData, title: str) -> None:
    """Refuse rows whose last turn is not the assistant's.

    Raises:
        FormatError: Names the first such row.
    """
    for place, row in data.placed_rows:
        if (role := row["messages"][-1]["role"]) != "assistant":
            raise _refused(place, row, title, f"end with the assistant's turn, got {role}", "`to='messages'`")


def check_even_rounds(data: ExportData, settings: ExportSettings) -> None:
    """Refuse a last round, of training or evaluation, in which some of several processes would have no batch.

    Raises:
        SettingsError: Names numbers that would do.
    """
    step = settings.rows_a_round
    left = len(data.rows) % step
    if settings.processes > 1 and left:
        raise SettingsError(
            f"with several processes the rows must be a multiple of processes x batch size = {step}, "
            f"got {len(data.rows):,}: {left} rows would be left, and would be dropped, or filled up with the first "
            f"rows, or leave a process waiting. Hint: {_whole_rounds(len(data.rows) - left, step)}."
        )
    over = len(data.evaluation) % settings.rows_a_round
    if settings.processes > 1 and over:
        raise SettingsError(
            f"with several processes the rows of `evaluation` must be a multiple of processes x batch size = "
            f"{settings.rows_a_round}, got {len(data.evaluation):,}: a process without a batch would leave the "
            f"others waiting. Hint: leave {over} of them out, or choose another `batch_size`."
        )


def check_whole_steps(data: ExportData, settings: ExportSettings, title: str) -> None:
    """Refuse rows that a trainer, dropping its last incomplete step, would never see.

    Raises:
        SettingsError: Names numbers that would do.
    """
    step = settings.rows_a_round * settings.accumulation
    left = len(data.rows) % step
    if left:
        raise SettingsError(
            f"{title} drops an incomplete last step and cannot be told otherwise, so the rows must be a multiple of "
            f"processes x batch size x accumulation = {step}, got {len(data.rows):,}: {left} rows would be lost. "
            f"Hint: {_whole_rounds(len(data.rows) - left, step)}, or choose another `batch_size`."
        )


def _whole_rounds(rows: int, step: int) -> str:
    """What to do so that the rows are a multiple of a step; fewer rows than one step cannot be cut to one."""
    return f"arrange with `budget={rows}`" if rows else f"arrange {step} rows or more"


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with nothing but its id, roles and texts."""
    return {
        "id": row["id"],
        "messages": [{"role": turn["role"], "content": turn["content"]} for turn in row["messages"]],
    }


def conversations(data: ExportData, answer: str) -> ExportData:
    """The same with each preference as a conversation that ends with one of its answers, ``chosen`` or ``rejected``."""

    def joined(row: Mapping[str, Any]) -> dict[str, Any]:
        more = {"tools": row["tools"]} if "tools" in row else {}
        return {"id": row["id"], "messages": [*row["prompt"], *row[answer]], **more}

    return replace(data, rows=list(map(joined, data.rows)), evaluation=list(map(joined, data.evaluation)))


def single_answers(data: ExportData) -> bool:
    """Whether every row has one assistant turn and ends with it, so that all before it is the prompt."""
    return all(
        [turn["role"] for turn in row["messages"]].index("assistant") == len(row["messages"]) - 1
        for _, row in data.placed_rows
    )


def write_rows(data: ExportData, folder: Path, form: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
    """Write `train.jsonl`, and `eval.jsonl` where there are rows for evaluation, each row in a trainer's form."""
    for name, rows in (("train.jsonl", data.rows), ("eval.jsonl", data.evaluation)):
        if rows:
            write_lines(folder / name, (json.dumps(form(row), ensure_ascii=False) for row in rows))


def _refused(place: str, row: Mapping[str, Any], title: str, must: str, instead: str) -> FormatError:
    return FormatError(
        f"{place}: for {title} a row must {must} (id {row['id']}); {title} would "
        f"skip or change it, and with it the order. Hint: {instead} can take it.",
        row=row["id"],
    )
