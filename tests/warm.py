"""Commands of righttime in real processes that start in milliseconds, with a fault at a chosen place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["TRAINING", "WORDS_ONLY", "Ended", "Warm", "unclear"]

WORDS_ONLY = ("righttime.cli", "righttime.pipeline", "pyarrow.parquet", "numpy")
"""What is imported before commands that need no model."""
TRAINING = (
    *WORDS_ONLY,
    "torch",
    "transformers",
    "accelerate",
    "safetensors.torch",
    "sentence_transformers",
    "matplotlib.figure",
    "righttime.training",
    "righttime.training.trainer",
    "righttime.evaluation",
    "righttime.evaluation.while_training",
    "righttime.experiment",
    "righttime.experiment.cell",
    "transformers.models.llama.modeling_llama",
)


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code; negative the signal that ended it.
        out: What it printed.
        err: What it printed as errors.
        seams: Every place where it touched the disk: what it did, and the path.
    """

    code: int
    out: str
    err: str
    seams: tuple[tuple[str, str], ...]

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it."""
        return self.code == -9


class Warm:
    """One warm Python; see `warm_server.py`."""

    def __init__(self, folder: Path, modules: Sequence[str] = WORDS_ONLY) -> None:
        """Start it.

        Args:
            folder: Where it keeps what commands print; commands run in `folder`/here.
            modules: What it imports first.
        """
        self.here = folder / "here"
        self.here.mkdir(parents=True, exist_ok=True)
        self._told = folder / "told"
        path = os.pathsep.join(entry for entry in sys.path if entry)
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        environment |= {"RIGHTTIME_CACHE": str(self.here / "cache"), "COLUMNS": "200"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm_server.py")), *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(
        self,
        words: Sequence[str | Path],
        *,
        fault: Mapping[str, Any] | None = None,
        root: Path | None = None,
        **how: Any,
    ) -> Ended:
        """Run a command.

        Args:
            words: The words after ``righttime``.
            fault: Where it is to be killed or refused.
            root: The folder whose seams count; `here` if None.
            how: More of the job: env, limit_s.
        """
        job: dict[str, Any] = {"words": [str(word) for word in words], "fault": dict(fault or {}), **how}
        job |= {"cwd": str(self.here), "root": str(root or self.here), "told": str(self._told)}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert not answer["late"], f"{words} took too long: {answer['err'][-2000:]}"
        seams = tuple((kind, path) for kind, path in answer["seams"])
        return Ended(answer["code"], answer["out"], answer["err"], seams)

    def close(self) -> None:
        """End it."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=30)


def unclear(done: Ended) -> str:
    """What is wrong with how a refused command ended."""
    if "Traceback" in done.err:
        return f"a traceback: {done.err[-1200:]}"
    if done.code not in (0, 1):
        return f"it ends with {done.code}: {done.err[-500:]}"
    if done.code == 1 and done.err.count("righttime: error: ") != 1:
        return f"not one sentence: {done.err[-500:]}"
    return ""
