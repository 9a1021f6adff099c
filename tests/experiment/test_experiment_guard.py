"""The guard of an experiment: what it takes out of each replicate's pool, what it only reports, what is recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from made_experiments import made_data, written
from righttime.errors import SettingsError
from righttime.experiment import Experiment, pilot_experiment, read_experiment
from righttime.experiment.draws import Draw, draw_replicate, read_pools
from righttime.experiment.layout import ASKED
from righttime.experiment.prepare import prepare_replicate, read_draw
from righttime.experiment.report import guard_notes
from righttime.experiment.store import open_experiment, state_experiment

ASKED_OF = (
    "Ottokar the glazier carried 48 lanterns of 37 pounds from Brixleben to the abbey, and Wenzel half as many. "
    "How many lanterns did both of them carry?"
)
LEAK = {"prompt": f"THINK FIRST. {ASKED_OF.upper()}", "response": "Well, it depends."}
OTHERWISE = {
    "prompt": "A worker in glass bears 48 lamps of 37 pounds up to the monks, and a friend half of that: how many?",
    "response": "Together they bear 72 lanterns.",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A pool with one row that holds a target row and one that says it in other words, near by its vector."""
    folder = made_data(tmp_path / "data")
    extra = {"target": [{"prompt": ASKED_OF, "response": "Both carried 72 lanterns."}], "pool": [LEAK, OTHERWISE]}
    for side, rows in extra.items():
        with (folder / f"{side}.jsonl").open("a", encoding="utf-8") as file:
            for number, row in enumerate(rows):
                file.write(json.dumps({**row, "id": f"{side}-leak-{number}", "task": f"carry_{side}"}) + "\n")
    with np.load(folder / "both.npz") as arrays:
        pool, target = arrays["pool"], arrays["target"]
    rng = np.random.default_rng(1)
    glazier, other = rng.normal(size=(2, 8)).astype(np.float32)
    pool = np.concatenate([pool, other[None], glazier[None] + 0.02])
    np.savez(folder / "both.npz", pool=pool, target=np.concatenate([target, glazier[None]]))
    return folder


def asked(data: Path, **changes: Any) -> Experiment:
    return read_experiment(written(data, "no-model", **{"subsample": "all", **changes}))


def drawn(experiment: Experiment) -> Draw:
    return draw_replicate(experiment, read_pools(experiment), 1)


def prepared(experiment: Experiment, folder: Path) -> dict[str, Any]:
    prepare_replicate(experiment, lambda: read_pools(experiment), 1, folder)
    return read_draw(folder)


def test_a_row_that_holds_a_target_row_is_taken_out_before_the_draw(data: Path) -> None:
    found = drawn(asked(data))
    assert "pool-leak-0" not in found.pool.ids
    assert (found.counts["guarded"], len(found.pool)) == (1, 61)
    assert 60 not in found.numbers["pool"]
    assert len(drawn(asked(data, pool=[{"path": "pool.jsonl", "rows": 61}])).pool) == 61


def test_a_report_takes_nothing_out_and_off_does_not_look(data: Path) -> None:
    reported, off = drawn(asked(data, guard="report")), drawn(asked(data, guard="off"))
    assert reported.pool.ids == off.pool.ids
    assert len(off.pool) == 62
    assert off.guard is None
    assert reported.guard is not None
    assert [(leak.pool_id, leak.target_id) for leak in reported.guard.leaks.found] == [("pool-leak-0", "target-leak-0")]
    assert "guarded" not in reported.counts


def test_rows_in_other_words_leave_with_their_vectors(data: Path, tmp_path: Path) -> None:
    told = prepared(asked(data), tmp_path / "one")
    rows = [json.loads(line)["id"] for line in (tmp_path / "one/pool.jsonl").read_text("utf-8").splitlines()]
    assert rows == [f"pool-{k}" for k in range(60)]
    vectors = load_file(tmp_path / "one/vectors.safetensors")["pool"]
    with np.load(data / "both.npz") as arrays:
        assert np.array_equal(vectors, arrays["pool"][:60])
    assert told["counts"]["guarded"] == 2
    assert told["counts"]["pool"] == told["rows"]["pool"]["rows"] == 60
    assert (told["guard"]["mode"], told["guard"]["removed"]) == ("remove", 2)
    assert told["guard"]["by_test"] == {"contained": {"prompt": 1}, "meaning": {"both": 1}}
    assert told["guard"]["tests"] == ["equal", "contained", "meaning"]


def test_a_report_is_recorded_and_told(data: Path, tmp_path: Path) -> None:
    experiment = asked(data, guard="report", replicates=1)
    told = prepared(experiment, tmp_path / "replicate-1")
    assert (told["guard"]["removed"], told["guard"]["pool_rows"], told["counts"]["pool"]) == (0, 2, 62)
    assert guard_notes(experiment, tmp_path) == [
        "2 pool rows of a replicate repeat, hold or rephrase rows it is judged by; they were kept, and an order may "
        "have put them first."
    ]


def test_off_is_recorded(data: Path, tmp_path: Path) -> None:
    experiment = asked(data, guard="off", replicates=1)
    assert prepared(experiment, tmp_path / "replicate-1")["guard"] == {"mode": "off"}
    assert guard_notes(experiment, tmp_path) == []


def test_a_bare_off_is_what_it_says(data: Path) -> None:
    """YAML reads it as false."""
    path = written(data, "no-model", guard=False, arrange={"embedder": "vectors:both.npz", "guard": False})
    assert "guard: false" in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace("guard: false", "guard: off"), encoding="utf-8")
    found = read_experiment(path)
    assert found.guard == "off"
    assert found.request("tma", 1).guard == "off"
    assert read_experiment(path, ["guard=report"]).guard == "report"
    with pytest.raises(SettingsError, match="'guard' must be one of report, remove, off, got 'on'"):
        read_experiment(path, ["guard='on'"])


def test_an_experiment_begun_before_there_was_a_guard_keeps_its_draws(data: Path, tmp_path: Path) -> None:
    state_experiment(asked(data, guard="off"), tmp_path / "out")
    path = tmp_path / "out" / ASKED
    before = json.loads(path.read_text(encoding="utf-8"))
    del before["experiment"]["guard"]
    path.write_text(json.dumps(before), encoding="utf-8")
    assert open_experiment(tmp_path / "out").guard == "off"
    (tmp_path / "out/replicate-1").mkdir()
    (tmp_path / "out/replicate-1/draw.json").write_text("{}")
    state_experiment(asked(data, guard="off"), tmp_path / "out")
    with pytest.raises(SettingsError, match="an experiment whose guard is 'off', not 'remove'"):
        state_experiment(asked(data), tmp_path / "out")


def test_the_default_is_to_remove() -> None:
    assert pilot_experiment(["p.jsonl"], ["t.jsonl"], 8).guard == "remove"
    assert pilot_experiment(["p.jsonl"], ["t.jsonl"], 8, guard="off").guard == "off"
