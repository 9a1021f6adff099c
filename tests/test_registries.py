"""Every list of things has one registry: each entry answers what is asked of it, and nothing else names an entry."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import righttime
from righttime.arrangement import METHODS
from righttime.cli import main
from righttime.cli.choices import NAMES, with_names
from righttime.embedding import EMBEDDERS, PRECISIONS
from righttime.evaluation import METRICS
from righttime.exporters import TRAINERS
from righttime.formats import FORMATS
from righttime.measures import MEASURES
from righttime.measures.prefixes import VECTOR_MEASURES
from righttime.neighbours import ENGINES
from righttime.similarity import DISTANCES
from righttime.similarity.distances import Asked
from syntax_trees import tree

ROOT = Path(righttime.__file__).parent
TOP = Path(__file__).parents[1]

# Where each name is at home: its own module, and its registry.
HOMES: Mapping[str, set[str]] = {
    **{name: {str(Path(inspect.getfile(m.order)).relative_to(ROOT))} for name, m in METHODS.items()},
    **{name: {"similarity/distances.py"} for name in DISTANCES},
    **{name: {"evaluation/registry.py"} for name in METRICS},
    **{name: {"exporters/registry.py", f"exporters/{name}.py"} for name in TRAINERS},
    **{kind: {"embedding/registry.py"} for kind in EMBEDDERS if kind},
}

_DEFAULT = "a default, shown in a signature"
ALLOWED: Mapping[tuple[str, str], str] = {
    **{(file, "tma"): _DEFAULT for file in ("arrangement/embeddings.py", "results/request.py", "api.py")},
    **{(file, "tma"): _DEFAULT for file in ("cli/arrange.py", "cli/plan.py")},
    **{(file, "wsd"): _DEFAULT for file in ("arrangement/embeddings.py", "arrangement/selection.py")},
    **{(file, "wsd"): _DEFAULT for file in ("cli/arrange.py", "cli/plan.py")},
    **{(file, "random"): _DEFAULT for file in ("analysis/analyse.py", "cli/compare.py")},
    ("analysis/comparable.py", "loss"): "the metric that runs are compared by",
    ("choices.py", "random"): "an order inside rounds",
    ("cli/flags.py", "reward"): "a setting",
    **{(file, "loss"): _DEFAULT for file in ("cli/evaluate.py", "evaluation/while_training.py")},
    ("evaluation/measurement.py", "loss"): _DEFAULT,
    ("arrangement/methods/rds.py", "md"): "the distance of `rds-max`, in its line of the registry",
    ("arrangement/registry.py", "random"): "an order inside rounds",
    ("arrangement/methods/tma.py", "random"): "an order inside rounds",
    ("arrangement/methods/kcenter.py", "random"): "a choice of its parameter `start`",
    ("planning/search.py", "random"): "random vectors to measure on",
    ("planning/search.py", "nearest"): "a way to look at the pool, `Method.looks`",
    ("arrangement/selection.py", "nearest"): "a way to look at the pool, `Method.looks`",
    ("arrangement/methods/rds.py", "nearest"): "a way to look at the pool, `Method.looks`",
    ("neighbours/shards.py", "nearest"): "a function of a search",
    ("evaluation/offline.py", "loss"): "the one metric that is drawn",
    ("arrangement/shapes.py", "loss"): "a score of shapes",
    ("embedding/losses.py", "loss"): "its own module",
    ("training/ways.py", "loss"): "a way to rearrange, in its line of the registry",
    ("training/anew.py", "loss"): "a column of a rearrangement",
    ("verification/rearranged.py", "vectors"): "what a finding calls them",
    ("training/picture.py", "loss"): "a column of the training log",
    ("report/trials.py", "loss"): "the metric that runs are compared by, and a column of the training log",
    ("report/vectors.py", "vectors"): "what a method needs, `Method.needs`",
    ("training/trainer.py", "loss"): "a key of Transformers' log",
    ("training/job.py", "loss"): "a column of the training log",
    ("exporters/torchtune.py", "loss"): "a key of torchtune's config",
    ("training/job.py", "trl"): "a Python package",
    ("training/versions.py", "trl"): "a Python package",
    **{
        (file, "vectors"): "what a method needs, `Method.needs`"
        for file in ("arrangement/floor.py", "cli/lookup.py", "ordering.py", "results/request.py")
    },
    **{(f"planning/{name}.py", "vectors"): "the same" for name in ("copies", "plan")},
    **{
        (f"arrangement/methods/{path.name}", "vectors"): "the same" for path in (ROOT / "arrangement/methods").iterdir()
    },
    **{(file, "vectors"): "what an error calls them" for file in ("similarity/pairs.py", "embedding/fidelity.py")},
    ("embedding/represent.py", "vectors"): "what an error calls them",
    **{("experiment/pilot.py", name): "the orders of a pilot" for name in ("random", "tma", "nearest")},
    ("experiment/settings.py", "random"): "the usual baseline",
    ("experiment/estimate.py", "random"): "an order that takes no vectors, to try",
    ("training/trial.py", "random"): "the same",
    ("experiment/prepare.py", "vectors"): "an entry of draw.json",
    **{("experiment/reading.py", name): "a prefix before a path" for name in ("vectors", "lm", "gradients")},
    **{("planning/vectors.py", name): "the name of a stage" for name in ("combine", "vectors")},
    ("embedding/static.py", "static"): "its own module",
    ("embedding/gradients.py", "gradients"): "its own module",
    ("embedding/hidden_states.py", "lm"): "its own module",
}
"""(file, name) to why it may stand there. `messages`, the key of a row's turns, is not sought."""


def literals() -> set[tuple[str, str]]:
    """Every text in the code that is the name of an entry, where it is not at home."""
    found = set()
    for path in ROOT.rglob("*.py"):
        file = path.relative_to(ROOT).as_posix()
        for node in ast.walk(tree(path)):
            name = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if name in HOMES and name != "messages" and file not in HOMES[name] and not _is_export(path, name):
                found.add((file, name))
    return found


def _is_export(path: Path, name: str) -> bool:
    """Whether a module defines or re-exports something of that name, in its ``__all__``."""
    return bool(re.search(rf"^(def {name}\(|from .* import .*\b{name}\b)", path.read_text(encoding="utf-8"), re.M))


def test_nothing_names_an_entry_but_its_registry_and_its_module() -> None:
    assert sorted(literals() - set(ALLOWED)) == []


def test_every_exception_is_still_needed() -> None:
    stale = set(ALLOWED) - literals()
    assert {one for one in stale if ALLOWED[one] not in (_DEFAULT, "the same")} == set()


@pytest.mark.parametrize("name", list(METHODS))
def test_a_method_answers(name: str) -> None:
    entry = METHODS[name]
    assert entry.does
    assert entry.source
    assert entry.paper
    assert entry.cost
    assert entry.needs <= {"vectors", "tasks", "target_tasks", "texts", "rounds", "distance"}
    assert all(param.does for param in entry.params.values())
    assert entry.passes >= 1
    assert (entry.passes == 1) or entry.looks
    assert entry.looks is None or "vectors" in entry.needs
    assert entry.ranks_by is None or (entry.ranks_by in DISTANCES and "distance" not in entry.needs)
    if entry.verified_by == "ranking":
        assert entry.ranks_by or "distance" in entry.needs
    if entry.verified_by == "rounds":
        assert "rounds" in entry.needs


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.verified_by == "ranking"])
def test_a_ranking_is_turned_back(name: str) -> None:
    """Sorted by its distance, which the ranking must be whatever the method made of it."""
    entry, rng = METHODS[name], np.random.default_rng(0)
    pool, target = rng.normal(size=(40, 5)), rng.normal(size=(4, 5))
    found = righttime.arrange_embeddings(pool, target, method=name, seed=7, budget=25)
    assert found.distance is not None
    place = np.empty(40, dtype=np.int64)
    place[found.order] = np.arange(25)
    ranked = found.distance[place[entry.ranking(found.order, 7)]]
    assert (np.diff(-ranked if entry.farthest else ranked) >= 0).all()


def searches(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """The looks at the whole pool that a method takes: rounds played, or searches for the nearest target row."""
    looks: list[str] = []
    import righttime.arrangement.candidates as candidates
    from righttime.neighbours import BlockSearch

    made, nearest = candidates.CandidateLists.__init__, BlockSearch.nearest

    def counted(self: Any, *args: Any, **named: Any) -> None:
        looks.append("rounds")
        made(self, *args, **named)

    def looked(self: Any, *args: Any, **named: Any) -> Any:
        looks.append("nearest")
        return nearest(self, *args, **named)

    monkeypatch.setattr(candidates.CandidateLists, "__init__", counted)
    monkeypatch.setattr(BlockSearch, "nearest", looked)
    rng = np.random.default_rng(0)
    tasks = [f"t{number % 3}" for number in range(40)]
    righttime.arrange_embeddings(
        rng.normal(size=(40, 5)), rng.normal(size=(4, 5)), method=name, tasks=tasks, target_tasks=tasks[:4], budget=10
    )
    return looks


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.looks])
def test_a_method_looks_as_often_as_it_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert searches(monkeypatch, name) == [METHODS[name].looks] * METHODS[name].passes


@pytest.mark.parametrize("name", list(DISTANCES))
def test_a_distance_answers(name: str) -> None:
    entry = DISTANCES[name]
    assert entry.does
    assert entry.source
    assert entry.cost
    assert entry.memory
    if name == "ot":
        pytest.importorskip("ot")
    rng = np.random.default_rng(0)
    sides = [rng.normal(size=(n, 4)) for n in (6, 3)]
    pool, target = ((side / np.linalg.norm(side, axis=1, keepdims=True)).astype(np.float32) for side in sides)
    asked = Asked(pool, target, (pool @ target.T).max(axis=1), 1.0 if entry.weighted else None)
    found = entry.of(asked)
    assert found.values.shape == (6,)
    assert found.values.dtype == np.float64
    assert bool(found.weights) == entry.weighted


@pytest.mark.parametrize("name", list(METRICS))
def test_a_metric_answers(name: str) -> None:
    entry = METRICS[name]
    assert entry.source
    assert len(entry.does) == len(entry.values) >= 1
    assert all(entry.does)
    assert sum(way is not None for way in (entry.score, entry.of_model, entry.of_rewards)) == 1
    assert entry.needs == ("references" if entry.score else entry.needs)
    if entry.score is not None:
        scores = entry.score("yes it is", ["no", "yes it is"])
        assert len(scores) == len(entry.values)
        assert all(score == 1 for score in scores)


def test_values_have_one_metric_each() -> None:
    values = [value for entry in METRICS.values() for value in entry.values]
    assert len(values) == len(set(values))


@pytest.mark.parametrize("name", list(TRAINERS))
def test_a_trainer_answers(name: str) -> None:
    entry = TRAINERS[name]
    assert entry.title
    assert "train.jsonl" in entry.files
    assert bool(entry.run) == bool(entry.written_for) == bool(entry.switches)
    assert all(switch.why for switch in entry.switches)


@pytest.mark.parametrize("kind", list(EMBEDDERS))
def test_an_embedder_answers(kind: str) -> None:
    entry = EMBEDDERS[kind]
    assert entry.does
    assert entry.source
    assert entry.spelled.startswith(kind)
    assert ("[" in entry.spelled.partition(":")[0]) == entry.alone
    assert entry.takes <= {"max_length", "prefix", "device", "precision"}
    assert (entry.make is None) == (not entry.takes)
    if isinstance(entry.make, type):
        assert all(hasattr(entry.make, name) for name in ("identity", "lengths", "embed"))
        assert entry.takes <= set(inspect.signature(entry.make).parameters)


def test_precisions_engines_formats_and_measures_answer() -> None:
    entries: list[Any] = [*PRECISIONS.values(), *ENGINES.values(), *MEASURES.values()]
    assert all(entry.does for entry in entries)
    assert all(entry.cost for entry in MEASURES.values())
    assert (*VECTOR_MEASURES, "kl") == tuple(MEASURES)
    for name, entry in FORMATS.items():
        assert entry.looks, name
        assert entry.needs, name


def test_the_docs_are_as_the_registries_say() -> None:
    done = subprocess.run(
        [sys.executable, "tools/registry_tables.py", "--check"], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("arrange", (METHODS, DISTANCES, PRECISIONS, ENGINES, FORMATS)),
        ("export", (TRAINERS,)),
        ("evaluate", (METRICS,)),
    ],
)
def test_help_lists_the_names_of_the_registries(
    command: str,
    names: tuple[Mapping[str, Any], ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "4000")
    monkeypatch.setenv("TERMINAL_WIDTH", "4000")
    main([command, "--help"])
    text = re.sub(r"-\s+", "-", capsys.readouterr().out)
    assert not [name for registry in names for name in registry if name not in text]
    assert not re.search(r"\{[a-z]+\}", text)


def test_names_are_listed_in_words() -> None:
    assert with_names("one of {metrics}, {unknown}") == "one of loss, rouge, em or reward, {unknown}"
    assert all(list(names()) for names in NAMES.values())
