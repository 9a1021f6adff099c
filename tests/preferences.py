"""Preferences and plain texts in files, and arrangements of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from righttime.cli import main

__all__ = ["arranged_of", "preferences", "texts", "written"]


def preferences(rows: int) -> list[dict[str, Any]]:
    """Rows of different prompts, answers and lengths, the plain shape and the conversational one by turns."""
    made: list[dict[str, Any]] = []
    for number in range(rows):
        asked = f"What is {number} + {number}?{' Think.' * (number % 3)}"
        better, worse = str(2 * number), f"no {number}"
        if number % 2:
            made.append({"id": f"p{number}", "prompt": asked, "chosen": better, "rejected": worse})
            continue
        answers = {"chosen": better, "rejected": worse}
        turns = {key: [{"role": "assistant", "content": said}] for key, said in answers.items()}
        made.append({"id": f"p{number}", "prompt": [{"role": "user", "content": asked}], **turns})
    return made


def texts(rows: int) -> list[dict[str, Any]]:
    """Plain texts of different lengths."""
    said = "rivers run to the sea. "
    return [{"id": f"t{number}", "text": f"{number} {said * (1 + number % 4)}"} for number in range(rows)]


def written(file: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows as a file."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def arranged_of(folder: Path, name: str, rows: Sequence[dict[str, Any]], *more: str) -> Path:
    """Arrange rows of a format that must be named, around some of their own kind, in `folder`/out."""
    pool, target = written(folder / "pool.jsonl", rows), written(folder / "target.jsonl", rows[:2])
    words = ["arrange", str(pool), "--target", str(target), "--format", name, "--target-format", name]
    assert main([*words, "--out", str(folder / "out"), "--guard", "off", *more]) == 0
    return folder / "out"
