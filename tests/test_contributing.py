"""The examples of `docs/contributing.md` are registered and run, as they stand on the page."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import righttime
import test_registries
from righttime.arrangement import registry as methods
from righttime.cli import main
from righttime.evaluation import Answers, MeasureSettings, measured_set
from righttime.evaluation import registry as metrics
from righttime.exporters import registry as exporters
from righttime.formats import FORMATS, read_rows
from righttime.formats import registry as formats
from righttime.similarity import distances

PAGE = Path(__file__).parents[1] / "docs" / "contributing.md"
_BLOCK = re.compile(r"<!-- (example|line): (\w+) -->\n\n```python\n(.*?)```", re.DOTALL)
BLOCKS = {(kind, name): code for kind, name, code in _BLOCK.findall(PAGE.read_text(encoding="utf-8"))}
REGISTRIES: dict[str, tuple[ModuleType, str]] = {
    "method": (methods, "METHODS"),
    "distance": (distances, "DISTANCES"),
    "format": (formats, "FORMATS"),
    "exporter": (exporters, "TRAINERS"),
    "metric": (metrics, "METRICS"),
}

Add = Callable[[str], None]


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Add:
    """Puts an example into its registry, by the line of the page, for the time of a test."""

    def added(name: str) -> None:
        code = BLOCKS["example", name]
        stem = Path(code.splitlines()[0].removeprefix("# ").split(",")[0]).stem
        module = ModuleType(stem)
        exec(compile(code, f"{PAGE.name}:{name}", "exec"), module.__dict__)
        registry, table = REGISTRIES[name]
        there = {**vars(registry), **vars(module), stem: module}
        for key, entry in eval("{" + BLOCKS["line", name] + "}", there).items():
            assert key not in vars(registry)[table]
            monkeypatch.setitem(vars(registry)[table], key, entry)

    return added


def test_the_page_has_an_example_of_each_and_names_files_that_are_there() -> None:
    assert set(BLOCKS) == {(kind, name) for kind in ("example", "line") for name in REGISTRIES}
    root, text = PAGE.parents[1], PAGE.read_text(encoding="utf-8")
    files = [file for file in re.findall(r"`([\w/.]+\.py)`", text) if "NAME" not in file]
    assert len(files) > 8
    missing = [
        file for file in files if not any((root / at / file).is_file() for at in (".", "src/righttime", "tests"))
    ]
    assert not missing
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120


def test_the_method(add: Add, tmp_path: Path) -> None:
    add("method")
    test_registries.test_a_method_answers("longest")
    rows = [{"id": f"r{n}", "prompt": "p" * size, "response": "r"} for n, size in enumerate((3, 9, 1, 9))]
    found = righttime.arrange(rows, rows[:1], method="longest", budget=3)
    assert found.order.tolist() == [1, 3, 0]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    where = [str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "pool.jsonl"), "--out", str(tmp_path / "out")]
    assert main(["arrange", *where, "--method", "longest"]) == 0


def test_the_distance(add: Add) -> None:
    add("distance")
    test_registries.test_a_distance_answers("max")
    rng = np.random.default_rng(0)
    pool, target = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in rng.normal(size=(2, 9, 4)))
    found = righttime.arrange_embeddings(pool, target, method="nearest", distance="max")
    assert found.order.tolist() == np.argsort(-(pool @ target.T).min(axis=1)).tolist()


def test_the_format(add: Add, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    add("format")
    monkeypatch.setitem(formats._FOLDED, "essay", formats._folded(FORMATS["essay"]))  # made when it is imported
    (tmp_path / "essays.jsonl").write_text('{"topic": "Rivers", "essay": "They flow.", "subject": "land"}\n')
    read = read_rows([tmp_path / "essays.jsonl"], role="pool")
    assert read.inputs[0].format == "essay"
    row = read.examples[0]
    assert (row.prompt, row.response, row.task) == ("Write an essay on this topic: Rivers", "They flow.", "land")


def test_the_exporter(add: Add, tmp_path: Path) -> None:
    add("exporter")
    test_registries.test_a_trainer_answers("openai")
    rows = [{"id": str(n), "prompt": f"p{n}", "response": "r"} for n in range(4)]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    where = [str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "pool.jsonl"), "--out", str(tmp_path / "out")]
    assert main(["arrange", *where, "--method", "random"]) == 0
    assert main(["export", str(tmp_path / "out"), "--to", "openai", "--dir", str(tmp_path / "export")]) == 0
    lines = (tmp_path / "export" / "train.jsonl").read_text().splitlines()
    ours = (tmp_path / "out" / "train.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"messages": json.loads(line)["messages"]} for line in ours]


def test_the_metric(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    add("metric")
    test_registries.test_a_metric_answers("contains")
    answers = Answers(np.arange(3), ("It is Paris.", "No idea.", "x"), np.array([4, 3, 1]), 0)
    monkeypatch.setattr("righttime.evaluation.measurement.generated", lambda *_: answers)
    data: Any = SimpleNamespace(name="dev", prompts=[0, 1, 2], references=[("paris",), ("Rome",), ()])
    values = measured_set(None, None, data, MeasureSettings(("contains",)))
    assert [(value.row, value.metric, value.value) for value in values] == [(0, "contains", 1.0), (1, "contains", 0.0)]
