"""What a type checker makes of the public names. mypy reads this file (`make check`); nothing runs it.

Every `type: ignore` is a case that must fail: mypy warns where one is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import righttime
from righttime.choices import Precision
from righttime.exporters import Exported
from righttime.formats import Reading
from righttime.measures.agreement import Agreement
from righttime.training import Tuned


class Mine:
    """An embedder of a user's own."""

    identity: Mapping[str, Any] = {"model": "mine"}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.ones((len(texts), 2), dtype=np.float32)


def arranging(vectors: NDArray[np.float64], precision: Precision) -> None:
    made = righttime.arrange(
        "pool.jsonl", [Path("a.jsonl"), Path("b.jsonl")], budget="10%", rounds=(0, None), engine="cpu"
    )
    assert_type(made, righttime.Arrangement)
    assert_type(made.order, NDArray[np.int64])
    assert_type(len(made), int)
    assert_type(righttime.arrange([{"prompt": "a"}], "b.jsonl", embedder=Mine()), righttime.Arrangement)
    righttime.arrange("a", "b", embedder=Path("model"), precision=precision, out=Path("out"), engine="cpu")
    righttime.arrange("a", "b", budgget=3)  # type: ignore[call-arg]
    righttime.arrange("a", "b", budget=[3])  # type: ignore[arg-type]
    righttime.arrange("a", "b", precision="float8")  # type: ignore[arg-type]
    righttime.arrange("a", "b", text="answer")  # type: ignore[arg-type]
    righttime.arrange("a", "b", bad_rows="ignore")  # type: ignore[arg-type]
    righttime.arrange("a", "b", duplicates="sort")  # type: ignore[arg-type]
    righttime.arrange("a", "b", engine="gpu")  # type: ignore[arg-type]
    righttime.arrange("a", "b", within_round="nearest")  # type: ignore[arg-type]
    righttime.arrange("a")  # type: ignore[call-arg]
    assert_type(righttime.arrange_embeddings(vectors, vectors, first_look="float16"), righttime.Arrangement)
    righttime.arrange_embeddings(vectors, vectors, metod="tma")  # type: ignore[call-arg]
    righttime.arrange_embeddings(vectors, vectors, first_look="int8")  # type: ignore[arg-type]


def tuning() -> None:
    settings = righttime.TuneSettings(batch=4, precision="bf16", lora=righttime.Lora(rank=8))
    assert_type(righttime.tune("out", "model", Path("run"), settings, overwrite=True), Tuned)
    assert_type(righttime.TuneSettings.preset("paper", batch=4), righttime.TuneSettings)
    righttime.tune("out", "model", "run", {"batch": 4})  # type: ignore[arg-type]
    righttime.tune("out", "model", "run", overwritte=True)  # type: ignore[call-arg]
    righttime.TuneSettings(bacth=4)  # type: ignore[call-arg]
    righttime.TuneSettings(schedule="linear")  # type: ignore[arg-type]
    righttime.TuneSettings(form="plain")  # type: ignore[arg-type]
    righttime.TuneSettings.preset("paper", bacth=4)  # type: ignore[call-arg]
    righttime.Lora(rang=8)  # type: ignore[call-arg]


def exporting() -> None:
    settings = righttime.ExportSettings(model="m", dtype="fp32", report_to=("wandb",))
    assert_type(righttime.export("out", "trl", "folder", settings), Exported)
    righttime.export("out", "trl", "folder", setings=settings)  # type: ignore[call-arg]
    righttime.ExportSettings(modell="m")  # type: ignore[call-arg]
    righttime.ExportSettings(dtype="fp16")  # type: ignore[arg-type]


def comparing(made: righttime.Arrangement) -> None:
    assert_type(righttime.agreement([made, "out"], at=[0.01, 500], rank="kendall"), Agreement)
    assert_type(righttime.agreement([made, made]).jaccard, NDArray[np.float64])
    righttime.agreement([made, made], rank="pearson")  # type: ignore[arg-type]
    righttime.agreement([made, made], ranks="kendall")  # type: ignore[call-arg]


def reading() -> None:
    assert_type(righttime.read_rows(["a.jsonl"], role="pool"), Reading)
    assert_type(righttime.read_rows(["a.jsonl"], role="pool").examples, tuple[righttime.Example, ...])
    assert_type(righttime.builtin_rows("pool"), list[dict[str, str]])
    assert_type(righttime.__version__, str)
    righttime.read_rows(["a.jsonl"], role="both")  # type: ignore[arg-type]
    righttime.builtin_rows("both")  # type: ignore[arg-type]


def failing(error: righttime.RighttimeError, message: righttime.Message) -> None:
    assert_type(str(error), str)
    assert_type(message.content, str)
    _ = righttime.arange  # type: ignore[attr-defined]
