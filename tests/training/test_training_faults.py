"""Real processes, killed: what led to the weights is the plan all the same, and so are the weights."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from processes import SHARDING, TORCHRUN, finish, kill, launcher_on_two, start, wait_for
from righttime.cli import main
from righttime.evaluation import open_evaluation
from righttime.training import Lora, first_difference, read_records, tune
from righttime.training.plan import Plan
from righttime.training.records import last_attempt
from righttime.training.settings import TuneSettings
from stopped_runs import weights
from tiny_model import save_arrangement

pytestmark = [pytest.mark.slow, pytest.mark.linux]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An arrangement of 105 rows."""
    return save_arrangement(tmp_path_factory.mktemp("many"), 105)


def start_two(words: list[str]) -> subprocess.Popen[str]:
    return start(words, *TORCHRUN, "-m", "righttime.cli", "--")  # without -- torchrun takes --run for its own


def test_killed_ten_times_over(tmp_path: Path, tiny: str, many: Path) -> None:
    rng = random.Random(7)
    settings = TuneSettings(batch=1, epochs=3, learning_rate=1e-3, save_every=10)
    tune(many, tiny, tmp_path / "undisturbed", settings)
    run = tmp_path / "run"
    words = ["tune", str(many), "--model", tiny, "--run", str(run), "--batch", "1", "--epochs", "3"]
    words += ["--learning-rate", "1e-3", "--save-every", "10"]
    for attempt in range(1, 11):
        process = start(words)
        wait_for(process, run, attempt, rng.randint(1, 30))
        time.sleep(rng.random() * 0.02)  # in the middle of a step, or of writing a checkpoint
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (run / "manifest.json").exists()
    code, said = finish(start(words))
    assert code == 0, said
    assert "attempt 11, going on from step" in said
    records = read_records(run / "consumed")
    plan = Plan(tuple(_ids(many)), epochs=3)
    assert len(records.attempts) == 11
    assert first_difference(plan, records) is None
    effective = [name for record in records.effective() for name in record.rows]
    assert effective == 3 * _ids(many), "once in each epoch, in order"
    table = pq.read_table(run / "consumed.parquet")
    assert sum(table["superseded"].to_pylist()) == len(table) - 315 > 0
    assert main(["verify", str(run), str(many)]) == 0
    undisturbed = weights(tmp_path / "undisturbed")
    assert all(torch.equal(value, undisturbed[name]) for name, value in weights(run).items())


@pytest.mark.parametrize("by", ["lm", "gradients:subspace=4", "gradients:adam", "loss"])
def test_killed_ten_times_over_while_rows_are_rearranged(tmp_path: Path, tiny: str, many: Path, by: str) -> None:
    """105 rows in 105 steps, rearranged 13 times; no attempt comes by more than one checkpoint."""
    rng = random.Random(11)
    lora = Lora() if "adam" in by else None
    how: dict[str, Any] = {"rearrange_every": 8, "rearrange_by": by, "lora": lora}
    settings = TuneSettings(batch=1, learning_rate=1e-3, save_every=10, keep=None, **how)
    tune(many, tiny, tmp_path / "undisturbed", settings)
    run = tmp_path / "run"
    words = ["tune", str(many), "--model", tiny, "--out", str(run), "--batch-size", "1", "--learning-rate", "1e-3"]
    words += ["--save-every", "10", "--keep", "0", "--rearrange-every", "8", "--rearrange-by", by]
    words += ["--lora"] if lora else []
    for attempt in range(1, 11):
        process = start(words)
        wait_for(process, run, attempt, rng.randint(1, 9))
        time.sleep(rng.random() * 0.02)  # while a step is taken, rows are embedded, or a plan is written
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert not (run / "manifest.json").exists()
    code, said = finish(start(words))
    assert code == 0, said
    assert len(read_records(run / "consumed").attempts) == 11
    undisturbed = tmp_path / "undisturbed"
    assert _plans(run) == _plans(undisturbed)
    assert len(_plans(run)) == 3 * 13
    assert not list(run.glob(".*.partial"))
    assert main(["verify", str(run), str(many)]) == 0
    assert all(torch.equal(value, weights(undisturbed)[name]) for name, value in weights(run).items())


def _plans(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in (run / "plans").rglob("*.*")}


def _ids(out: Path) -> list[str]:
    ids: list[str] = pq.read_table(out / "arrangement.parquet")["id"].to_pylist()
    return ids


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, tiny: str, many: Path) -> Any:
    """A run of two processes: 105 rows by 2 × 2 × 3, so the last step has 9 rows and one micro-batch none."""
    run = tmp_path_factory.mktemp("two") / "run"
    code, said = finish(start_two(_two_words(tiny, many, run)))
    assert code == 0, said
    return run, said


def _two_words(tiny: str, out: Path, run: Path, batch: int = 2) -> list[str]:
    words = ["tune", str(out), "--model", tiny, "--run", str(run), "--batch", str(batch), "--accumulation", "3"]
    return [*words, "--epochs", "2", "--learning-rate", "1e-3", "--save-every", "4"]


def test_two_processes_with_an_uneven_remainder(tmp_path: Path, tiny: str, many: Path, two: Any) -> None:
    run, said = two
    assert "the next 2 × 2 × 3 (processes × batch × accumulation) = 12 rows, in order; the last of an epoch 9" in said
    assert said.count("the model is in") == 1, "one process speaks"
    consumed = pq.read_table(run / "consumed.parquet")
    assert consumed["id"].to_pylist() == 2 * _ids(many)
    assert consumed["step"].to_pylist() == [epoch * 9 + place // 12 for epoch in range(2) for place in range(105)]
    assert consumed["process"].to_pylist()[:8] == [0, 0, 1, 1, 0, 0, 1, 1]
    empty = [record for record in read_records(run / "consumed").consumed if not record.rows]
    assert [(record.step, record.micro, record.process) for record in empty] == [(8, 2, 1), (17, 2, 1)]
    assert main(["verify", str(run), str(many)]) == 0
    tune(many, tiny, tmp_path / "one", TuneSettings(batch=4, accumulation=3, epochs=2, learning_rate=1e-3))
    alone = weights(tmp_path / "one")
    assert all(torch.allclose(value, alone[name], atol=2e-5, rtol=0) for name, value in weights(run).items())


@pytest.mark.parametrize("whom", ["both", "one"])
def test_two_processes_killed(tmp_path: Path, tiny: str, many: Path, two: Any, whom: str) -> None:
    run, words = tmp_path / "run", _two_words(tiny, many, tmp_path / "run")
    process = start_two(words)
    wait_for(process, run, 1, 20)
    kill(process, all_of_them=whom == "both")
    code, _ = finish(process)
    assert code != 0
    _refused(words, 1, "plan.world was 2 and is 1 now")
    _refused(_two_words(tiny, many, run, batch=1), 2, "plan.batch was 2 and is 1 now")
    assert last_attempt(run / "consumed") == 1, "a refused start is no attempt"
    code, said = finish(start_two(words))
    assert code == 0, said
    assert "attempt 2, going on from step 4" in said
    assert main(["verify", str(run), str(many)]) == 0
    undisturbed = weights(two[0])
    assert all(torch.equal(value, undisturbed[name]) for name, value in weights(run).items())


@pytest.mark.parametrize("layout", ["--batch-tokens", "--pack-tokens"])
def test_two_processes_with_grouped_or_packed_rows_killed(
    tmp_path: Path, tiny: str, many: Path, two: Any, layout: str
) -> None:
    """Steps of changing numbers of micro-batches, as many on each process; the weights are those of plain steps."""
    undisturbed, run = tmp_path / "undisturbed", tmp_path / "run"
    code, said = finish(start_two([*_two_words(tiny, many, undisturbed), layout, "160"]))
    assert code == 0, said
    words = [*_two_words(tiny, many, run), layout, "160"]
    process = start_two(words)
    wait_for(process, run, 1, 20)
    kill(process)
    assert finish(process)[0] != 0
    code, said = finish(start_two(words))
    assert code == 0, said
    assert "attempt 2, going on from step" in said
    assert main(["verify", str(run), str(many)]) == 0
    same = weights(undisturbed)
    assert all(torch.equal(value, same[name]) for name, value in weights(run).items())
    assert all(torch.allclose(value, same[name], atol=2e-5, rtol=0) for name, value in weights(two[0]).items())
    consumed = [record for record in read_records(run / "consumed").effective() if record.step == 0]
    assert sorted(place for record in consumed for place in record.places if place is not None) == list(range(12))


def _refused(words: list[str], processes: int, message: str) -> None:
    code, said = finish(start_two(words) if processes == 2 else start(words))
    assert code == 1, said
    assert message in said


def _measured_as_later(run: Path, words: list[str], later: Path) -> None:
    """Every step was measured, and the last as the saved model is by one process."""
    assert main(["evaluate", str(run / "model"), *words, "--out", str(later)]) == 0
    while_training, wanted = open_evaluation(run / "evaluation").table, open_evaluation(later).table
    assert set(while_training["step"].to_pylist()) == {0, 6, 12, 18}
    last = while_training.filter([step == 18 for step in while_training["step"].to_pylist()])
    assert set(last["metric"].to_pylist()) == {"loss", "rouge1", "rougeL", "em"}
    for column in ("metric", "id", "tokens"):
        assert last[column].to_pylist() == wanted[column].to_pylist()
    assert last["value"].to_pylist() == pytest.approx(wanted["value"].to_pylist(), rel=1e-5)


@pytest.mark.parametrize("name", SHARDING)
def test_sharded(tmp_path: Path, tiny: str, many: Path, two: Any, name: str) -> None:
    """The shipped configurations, on CPUs; killed once. The sharded model is measured as it trains."""
    script = [str(ROOT / "tests" / "fsdp_on_cpu.py")] if name == "fsdp" else ["-m", "righttime.cli"]
    launcher = (*launcher_on_two(name, tmp_path), *script)
    run = tmp_path / "run"
    measured = ["--target", str(many.parent / "data" / "target.jsonl"), "--metrics", "loss,rouge,em"]
    measured += ["--max-new-tokens", "6"]
    words = [*_two_words(tiny, many, run), *measured, "--evaluate-every", "6"]
    process = start(words, *launcher)
    wait_for(process, run, 1, 20)
    kill(process)
    assert finish(process)[0] != 0
    code, said = finish(start(words, *launcher))
    assert code == 0, said
    assert "attempt 2, going on from step 4" in said
    assert name == "deepspeed" or said.count("DistributedType.FSDP") == 2
    assert main(["verify", str(run), str(many)]) == 0
    _measured_as_later(run, measured, tmp_path / "later")
    sharded = weights(run)  # names the tied embedding twice
    assert all(torch.allclose(value, sharded[name], atol=2e-5, rtol=0) for name, value in weights(two[0]).items())
