"""A judge: a person, a model or a command that has the last word on leaks that are not equal. None is needed."""

from __future__ import annotations

import dataclasses
import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from righttime import strict_json
from righttime.contamination.leaks import Judged, Leak, Leaks
from righttime.errors import SettingsError
from righttime.examples import Example
from righttime.rows import Rows

__all__ = ["CommandJudge", "Judge", "judged_by"]

Pair = tuple[Leak, Example, Example]
"""A leak, its pool row and its target row."""
_QUOTED = 200  # characters of a wrong answer that are shown


@dataclass(frozen=True)
class CommandJudge:
    """A command that is asked about all pairs at once.

    It gets a line of JSON for each pair on its standard input: ``test``, ``part``, ``score``, ``span``, and ``pool``
    and ``target``, each with ``id`` and ``messages``. It must print one for each, in the same order, with ``leak``,
    true or false, and it may give a ``reason``. It runs without a shell, and its standard error is shown.

    Attributes:
        command: The program and its arguments, as a shell would split them.
    """

    command: str

    def __post_init__(self) -> None:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise self._wrong(f"must be a program and its arguments, got {self.command!r}: {error}") from error
        if not words:
            raise self._wrong(f"must be a program and its arguments, got {self.command!r}")

    def verdicts(self, pairs: Iterator[Pair]) -> list[tuple[bool, str]]:
        """Its answers, in the order of the pairs; the pairs are kept in a file, not in memory.

        Raises:
            SettingsError: If the command cannot be run, fails, or does not answer each pair.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8") as asked, tempfile.TemporaryFile("w+b") as answered:
            count = 0
            for pair in pairs:
                asked.write(json.dumps(_question(*pair), default=str) + "\n")
                count += 1
            asked.seek(0)
            self._run(asked, answered)
            answered.seek(0)
            found = list(self._read(answered))
        if len(found) != count:
            raise self._wrong(f"{self.command!r} must answer each of {count:,} pairs, got {len(found):,} answers")
        return found

    def _run(self, asked: IO[str], answered: IO[bytes]) -> None:
        asked.flush()
        try:
            code = subprocess.run(shlex.split(self.command), stdin=asked, stdout=answered, check=False).returncode
        except OSError as error:
            raise self._wrong(f"{self.command!r} must be a command that can be run: {error.strerror}") from error
        if code:
            raise self._wrong(f"{self.command!r} must end with exit code 0, got {code}")

    def _read(self, answered: IO[bytes]) -> Iterator[tuple[bool, str]]:
        for number, line in enumerate((line for line in answered if line.strip()), 1):
            try:
                said = strict_json.loads(line)
                leak = said["leak"]
            except (ValueError, KeyError, TypeError, RecursionError):
                said, leak = None, None
            if not isinstance(leak, bool):
                shown = line[:_QUOTED].decode("utf-8", "replace").strip()
                raise self._wrong(
                    f'{self.command!r} must answer with JSON such as {{"leak": true, "reason": "..."}}, got {shown!r} '
                    f"as answer {number:,}"
                )
            yield leak, str(said.get("reason") or "")

    def _wrong(self, what: str) -> SettingsError:
        return SettingsError(f"the judge {what}.", setting="judge")


Judge = Callable[[Leak, Example, Example], bool] | CommandJudge
"""A function that is given a leak, its pool row and its target row, and says whether it is one; or a command."""


def judged_by(leaks: Leaks, pool: Rows, target: Rows, judge: Judge) -> Leaks:
    """The leaks without those that a judge denies; equal parts are not asked about.

    Args:
        leaks: What was found.
        pool: The pool.
        target: The target.
        judge: The judge.

    Raises:
        SettingsError: If the judge is a command that does not answer.
    """
    asked = [leak for leak in leaks.found if leak.test != "equal"]
    pairs = ((leak, _row(pool, leak.pool_row), _row(target, leak.target_row)) for leak in asked)
    if isinstance(judge, CommandJudge):
        said = judge.verdicts(pairs) if asked else []
    else:
        said = [(bool(judge(*pair)), "") for pair in pairs]
    judged = tuple(Judged(leak, *verdict) for leak, verdict in zip(asked, said, strict=True))
    denied = {(one.leak.pool_row, one.leak.target_row) for one in judged if not one.is_leak}
    kept = tuple(leak for leak in leaks.found if (leak.pool_row, leak.target_row) not in denied)
    return dataclasses.replace(leaks, found=kept, judged=judged)


def _row(rows: Rows, number: int) -> Example:
    return next(iter(rows.examples([number])))


def _question(leak: Leak, row: Example, wanted: Example) -> dict[str, Any]:
    about = {name: getattr(leak, name) for name in ("test", "part", "score", "span")}
    return {**about, "pool": row.as_dict(), "target": wanted.as_dict()}
