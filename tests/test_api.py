"""The public names: what the docs list is there, every keyword is named once, and a wrong one ends in a sentence."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import righttime
from righttime import choices
from righttime.arrangement import WITHIN_ROUND
from righttime.embedding.models import PRECISIONS
from righttime.errors import SettingsError
from righttime.examples import TEXTS
from righttime.neighbours import ENGINES, products
from righttime.results import Request
from righttime.training import settings as tuning

DOCS = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_docs_list_every_public_name() -> None:
    listed = re.findall(r"^\| `righttime\.(\w+)` \|", DOCS, re.MULTILINE)
    assert listed == sorted(righttime.__all__)


def test_every_name_in_the_docs_is_public() -> None:
    named = set(re.findall(r"(?<!from )\brighttime\.(\w+)", DOCS))
    assert named <= {*righttime.__all__, "__version__"}
    for name in named:
        assert inspect.getdoc(getattr(righttime, name)), name
    for module, imported in re.findall(r"^from (righttime\.[\w.]+) import (.+)$", DOCS, re.MULTILINE):
        assert {*imported.split(", ")} <= set(importlib.import_module(module).__all__), module


@pytest.mark.parametrize("file", sorted((Path(__file__).parents[1] / "docs").glob("*.md")), ids=lambda file: file.name)
def test_python_examples_in_the_docs_use_what_is_there(file: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", file.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for name in re.findall(r"\brighttime\.(\w+)\(", "\n".join(blocks)):
        assert hasattr(righttime, name), name


def test_arrange_names_every_field_of_a_request_with_its_default() -> None:
    given = inspect.signature(righttime.arrange).parameters
    own = {"pool", "target", "out", "overwrite", "cache", "progress"}
    fields = {field.name: field for field in dataclasses.fields(Request)}
    assert set(given) == own | set(fields)
    hints, types = get_type_hints(inspect.unwrap(righttime.arrange)), get_type_hints(Request)
    for name, field in fields.items():
        if field.default is dataclasses.MISSING:  # an empty mapping
            assert (given[name].default, hints[name]) == (None, types[name] | None), name
        else:
            assert given[name].default == field.default, name
            assert name == "embedder" or hints[name] == types[name], name


def test_changes_of_a_preset_are_the_fields_of_the_settings() -> None:
    assert get_type_hints(tuning.TuneChanges) == get_type_hints(righttime.TuneSettings)


@pytest.mark.parametrize(
    ("choice", "table"),
    [
        (choices.Text, TEXTS),
        (choices.WithinRound, WITHIN_ROUND),
        (choices.Engine, ENGINES),
        (choices.Precision, (*PRECISIONS, "int8")),
        (choices.FirstLook, products.PRECISIONS),
    ],
)
def test_types_list_what_the_tables_hold(choice: Any, table: Any) -> None:
    assert get_args(choice) == tuple(table)


def wrong(name: str) -> dict[str, Any]:
    return {name: 3}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: righttime.arrange("a", "b", **wrong("budgget")), "unknown setting 'budgget': did you mean 'budget'"),
        (lambda: righttime.arrange_embeddings([], [], **wrong("metod")), "'metod': did you mean 'method'"),
        (lambda: righttime.tune("a", "b", "c", **wrong("overwritte")), "did you mean 'overwrite'"),
        (lambda: righttime.export("a", "b", "c", **wrong("setings")), "did you mean 'settings'"),
        (lambda: righttime.TuneSettings(**wrong("bacth")), "'bacth': did you mean 'batch'"),
        (lambda: righttime.TuneSettings.preset("paper", **wrong("bacth")), "'bacth': did you mean 'batch'"),
        (lambda: righttime.ExportSettings(**wrong("modle")), "'modle': did you mean 'model'"),
        (lambda: righttime.Lora(**wrong("alfa")), "'alfa': did you mean 'alpha'"),
        (lambda: dataclasses.replace(righttime.Lora(), **wrong("alfa")), "'alfa': did you mean 'alpha'"),
    ],
)
def test_an_unknown_keyword_is_refused_with_the_near_name(call: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        call()
