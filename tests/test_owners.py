"""Manifests have owners: nobody else reads their entries by name. Those of earlier versions are still read."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import righttime
from righttime.errors import StoreError
from righttime.evaluation import GenerationSettings, open_evaluation
from righttime.evaluation.folder import schema
from righttime.training import FinishedRun, begun_run, open_run
from syntax_trees import parsed, tree

ROOT = Path(righttime.__file__).parent
EARLIER = Path(__file__).parent / "earlier"
OWNERS = {
    "results/manifest.py",
    "training/manifest.py",
    "evaluation/manifest.py",
    "measures/finished.py",
    "guard/finished.py",
}
NAMES = {"manifest", "began", "begun"}


def read_by_name(source: str) -> Iterator[int]:
    """Lines on which an entry of a manifest is read by its name."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            held, key = node.value, node.slice
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            held, key = node.func.value, (node.args or [ast.Constant(None)])[0]
        else:
            continue
        if isinstance(held, ast.Call):
            held = held.func
        name = held.id if isinstance(held, ast.Name) else held.attr if isinstance(held, ast.Attribute) else ""
        if name in NAMES | {"read_manifest"} and isinstance(key, ast.Constant) and isinstance(key.value, str):
            yield node.lineno


def test_reading_by_name_is_seen() -> None:
    seen = 'manifest["a"]\ndone.manifest["a"]\nbegan.get("a")\nread_manifest(run).get("a")\n'
    assert sorted(read_by_name(seen + 'manifest["a"] = 1\nmanifest.settings["a"]\n')) == [1, 2, 3, 4]


def test_only_owners_read_the_entries_of_manifests() -> None:
    found = {
        f"{path.relative_to(ROOT).as_posix()}:{line}"
        for path in ROOT.rglob("*.py")
        if path.relative_to(ROOT).as_posix() not in {*OWNERS, "store.py"}
        for line in read_by_name(path.read_text(encoding="utf-8"))
    }
    assert not found


def test_only_owners_open_manifests() -> None:
    callers = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "read_manifest"
    }
    assert callers == OWNERS


def test_a_run_of_an_earlier_version_is_read() -> None:
    run = open_run(EARLIER / "run")
    assert run.begun.rows.answer_end == "template"
    assert (run.begun.plan.batch, run.manifest.counts.consumed, run.manifest.notes) == (4, 8, ())
    assert run.manifest.settings.keep is None
    assert run.manifest.settings.betas == (0.9, 0.95)
    assert run.manifest.processor == {}
    assert run.records.attempts == run.manifest.attempts
    ids = tuple(name for record in run.records.effective() for name in record.rows if name)
    assert run.begun.plan.plan(ids).fingerprint == run.manifest.plan_fingerprint
    states = {file.name: file for file in run.files()}
    assert states["run.json"].unchanged
    assert states["rows.parquet"].found == "", "it is not kept here"


def test_an_unfinished_run_is_open_to_those_who_ask_for_it(tmp_path: Path) -> None:
    run = shutil.copytree(EARLIER / "run", tmp_path / "run")
    assert isinstance(begun_run(run), FinishedRun)
    (run / "manifest.json").unlink()
    assert not isinstance(begun_run(run), FinishedRun)
    with pytest.raises(StoreError, match=r"must hold manifest\.json, but there is none"):
        open_run(run)


@pytest.mark.parametrize("entry", ["counts", "plan", "settings"])
def test_a_run_whose_manifest_was_changed_is_refused(tmp_path: Path, entry: str) -> None:
    run = shutil.copytree(EARLIER / "run", tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({name: manifest[name] for name in manifest if name != entry}))
    with pytest.raises(StoreError, match=f"as `righttime tune` wrote it, but it was changed: KeyError: '{entry}'"):
        open_run(run)


def test_settings_out_of_range_are_a_changed_file(tmp_path: Path) -> None:
    run = shutil.copytree(EARLIER / "run", tmp_path / "run")
    began = json.loads((run / "run.json").read_text())
    began["settings"]["batch"] = 0
    (run / "run.json").write_text(json.dumps(began))
    with pytest.raises(StoreError, match="batch must be at least 1, got 0"):
        begun_run(run)


def test_an_evaluation_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    folder = shutil.copytree(EARLIER / "evaluation", tmp_path / "evaluation")
    with pytest.raises(StoreError, match=r"says that evaluation\.parquet is there, but it is gone"):
        open_evaluation(folder)
    pq.write_table(schema().empty_table(), folder / "evaluation.parquet")
    found = open_evaluation(folder)
    settings = found.manifest.settings
    assert settings.sets["target"].rows == 60
    assert settings.generation == GenerationSettings(max_new_tokens=2)
    assert settings.models == ((2, "run/checkpoints/checkpoint-2"),)
    assert (settings.answer_end, found.manifest.processes, found.manifest.inputs) == ("template", 1, {})
    assert (found.manifest.processor, found.manifest.first_from) == ({}, None)
    assert found.table.column_names == schema().names
    assert [file.unchanged for file in found.files()] == [False]
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match="but it was changed: KeyError: 'generation'"):
        open_evaluation(folder)
