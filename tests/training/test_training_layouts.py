"""Plain, grouped, packed and sharded steps: one gradient, one set of weights, and the same bits after a kill."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from one_step import PLAIN, distance
from processes import finish, kill, launcher_on_two, start, wait_for
from righttime.cli import main
from righttime.training import tune
from stopped_runs import weights

LAYOUTS: dict[str, dict[str, Any]] = {"plain": {}, "grouped": {"batch_tokens": 160}, "packed": {"pack_tokens": 200}}
"""Of 37 rows, 8 a step, four times over: 20 steps."""


class FirstGradients(TrainerCallback):  # type: ignore[misc]
    """Writes the gradients of the first step, as the optimizer gets them, whole."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:
        if state.global_step:
            return
        slopes = {name: weight.grad for name, weight in model.named_parameters()}
        whole = {
            name: slope.full_tensor() if hasattr(slope, "full_tensor") else slope for name, slope in slopes.items()
        }
        if state.is_world_process_zero:
            save_file({name: slope.contiguous() for name, slope in whole.items()}, self._file)


def tuned(out: Path, model: str, run: Path, layout: str, batch: int) -> None:
    """Tune, and leave the first gradients beside the run; nothing is clipped."""
    settings = dataclasses.replace(PLAIN, batch=batch, clip=1e9, **LAYOUTS[layout])
    tune(out, model, run, settings, callbacks=[FirstGradients(run.with_suffix(".safetensors"))])


TWO = """
import json, sys
from pathlib import Path
out, model, run, layout, tests = sys.argv[1:]
sys.path.append(tests)
from accelerate import PartialState
from accelerate.state import AcceleratorState
from fsdp_on_cpu import _init_as_gpus
from test_training_layouts import tuned
PartialState.__init__ = _init_as_gpus
tuned(Path(out), model, Path(run), layout, batch=2)
print(AcceleratorState().distributed_type)
"""


@pytest.fixture(scope="module")
def plain(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("plain") / "run"
    tuned(arranged, tiny, run, "plain", batch=4)
    return run


def equal(run: Path, plain: Path) -> None:
    """Gradients of the first step and weights after 20, relative to their norms."""
    gradients = [load_file(one.with_suffix(".safetensors")) for one in (run, plain)]
    assert distance(*gradients) < 1e-5
    found, wanted = weights(run), weights(plain)
    assert distance({name: found[name] for name in wanted}, wanted) < 1e-5  # sharded, the tied embedding is there twice


@pytest.mark.slow
@pytest.mark.linux
@pytest.mark.parametrize("layout", LAYOUTS)
def test_gradients_and_weights_are_those_of_plain_steps_sharded_and_killed_too(
    tmp_path: Path, tiny: str, arranged: Path, plain: Path, layout: str
) -> None:
    """FSDP2 on two processes, by gloo; killed once, and resumed to the same bits."""
    if layout != "plain":
        tuned(arranged, tiny, tmp_path / "whole", layout, batch=4)
        equal(tmp_path / "whole", plain)
    (tmp_path / "two.py").write_text(TWO)
    launcher = (*launcher_on_two("fsdp", tmp_path), str(tmp_path / "two.py"))
    folders = {name: tmp_path / name for name in ("undisturbed", "killed")}
    words = {name: [str(arranged), tiny, str(run), layout, str(Path(__file__).parent)] for name, run in folders.items()}
    code, said = finish(start(words["undisturbed"], *launcher))
    assert code == 0, said
    assert said.count("DistributedType.FSDP") == 2
    equal(folders["undisturbed"], plain)
    process = start(words["killed"], *launcher)
    wait_for(process, folders["killed"], 1, 20)
    kill(process)
    assert finish(process)[0] != 0
    code, said = finish(start(words["killed"], *launcher))
    assert code == 0, said
    first, second = json.loads((folders["killed"] / "manifest.json").read_text())["attempts"]
    assert (first["resumed_from"], first["world"], second["world"]) == (0, 2, 2)
    assert second["resumed_from"] > 0
    assert main(["verify", str(folders["killed"]), str(arranged)]) == 0
    same = weights(folders["undisturbed"])
    assert all(torch.equal(value, same[name]) for name, value in weights(folders["killed"]).items())
