"""Evaluation while training changes nothing of the training, loses nothing to a kill, and shares out work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from righttime.errors import SettingsError
from righttime.evaluation import (
    EvaluationSet,
    GenerationSettings,
    MeasureSettings,
    means_by,
    measured_set,
    open_evaluation,
    prepare_set,
    read_evaluation,
    row_losses,
)
from righttime.examples import Example, Message
from righttime.rows import ExampleRows


def examples(n: int, first: int = 0) -> ExampleRows:
    return ExampleRows(
        Example(
            f"r{i}",
            f"t{i % 3}",
            "p",
            "p.jsonl",
            i,
            (Message("user", f"question {i} " * (i % 5 + 1)), Message("assistant", f"{i}")),
        )
        for i in range(first, first + n)
    )


@pytest.fixture
def sets(bare_tokenizer: Any) -> list[EvaluationSet]:
    return [
        prepare_set("target", examples(7), bare_tokenizer, "paper", 128),
        prepare_set("other", examples(5, 100), bare_tokenizer, "paper", 36),  # so short that some answers are cut away
    ]


def train(bare: Path, folder: Path, callbacks: Sequence[Any], steps: int = 6, **more: Any) -> Any:
    """Train with dropout, whose draws would show a disturbance."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments, set_seed

    set_seed(0)
    config = AutoConfig.from_pretrained(bare, attention_dropout=0.3)
    model = AutoModelForCausalLM.from_pretrained(bare, config=config)
    rows = [{"input_ids": torch.arange(i, i + 20), "labels": torch.arange(i, i + 20)} for i in range(24)]
    arguments = TrainingArguments(
        str(folder),
        max_steps=steps,
        per_device_train_batch_size=2,
        learning_rate=0.01,
        lr_scheduler_type="constant",
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        save_steps=3,
        logging_steps=1,
    )
    trainer = Trainer(model, arguments, train_dataset=rows, callbacks=list(callbacks))
    trainer.train(**more)
    return trainer


def weights(trainer: Any) -> dict[str, Any]:
    return {name: weight.clone() for name, weight in trainer.model.state_dict().items()}


def same(one: dict[str, Any], two: dict[str, Any]) -> bool:
    import torch

    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


ALL = MeasureSettings(("loss", "rouge", "em"), GenerationSettings(4, sample=True))


def dense(sets: Sequence[EvaluationSet], folder: Path, tokenizer: Any, **more: Any) -> Any:
    from righttime.evaluation.callback import DenseEvaluation

    return DenseEvaluation(sets, folder, run="one", tokenizer=tokenizer, **{"every": 2, "settings": ALL, **more})


def test_the_weights_are_the_same_with_and_without_it(
    bare: Path, bare_tokenizer: Any, sets: list[EvaluationSet], tmp_path: Path
) -> None:
    plain = weights(train(bare, tmp_path / "a", []))
    watched = train(bare, tmp_path / "b", [dense(sets, tmp_path / "eval", bare_tokenizer)])
    assert same(plain, weights(watched))
    other = weights(train(bare, tmp_path / "c", [], steps=5))
    assert not same(plain, other), "what this test would see"
    values = read_evaluation(tmp_path / "eval")
    assert sorted(set(values["step"].to_pylist())) == [0, 2, 4, 6]
    assert set(values["metric"].to_pylist()) == {"loss", "rouge1", "rougeL", "em"}
    assert set(values["run"].to_pylist()) == {"one"}
    assert {path.name for path in (tmp_path / "eval").iterdir()} == {
        "evaluation.parquet",
        "manifest.json",
        "settings.json",
    }
    assert any("target_loss" in entry for entry in watched.state.log_history)


def test_steps_can_be_listed_and_a_killed_run_goes_on_with_the_same_list(
    bare: Path, bare_tokenizer: Any, sets: list[EvaluationSet], tmp_path: Path
) -> None:
    from transformers import TrainerCallback

    class Stop(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.global_step == 5:
                raise KeyboardInterrupt

    def listed(folder: str, at: Sequence[int] = (1, 4, 5), **more: Any) -> Any:
        return dense(sets, tmp_path / folder, bare_tokenizer, **{"every": None, "at": at, "settings": None, **more})

    plain = weights(train(bare, tmp_path / "a", []))
    assert same(plain, weights(train(bare, tmp_path / "b", [listed("whole")])))
    whole = read_evaluation(tmp_path / "whole")
    assert sorted(set(whole["step"].to_pylist())) == [1, 4, 5, 6], "the last step always, step 0 where it is listed"
    settings = json.loads((tmp_path / "whole" / "settings.json").read_text())
    assert (settings["every"], settings["at"]) == (None, [1, 4, 5])
    with pytest.raises(KeyboardInterrupt):
        train(bare, tmp_path / "c", [listed("cut"), Stop()])
    with pytest.raises(SettingsError, match="at differ from"):
        train(bare, tmp_path / "c", [listed("cut", (1, 4))], resume_from_checkpoint=True)
    train(bare, tmp_path / "c", [listed("cut")], resume_from_checkpoint=True)
    assert read_evaluation(tmp_path / "cut").equals(whole)
    train(bare, tmp_path / "d", [listed("both", (0, 1), every=4)])
    assert sorted(set(read_evaluation(tmp_path / "both")["step"].to_pylist())) == [0, 1, 4, 6]


def test_impossible_lists_of_steps_are_refused(
    bare: Path, bare_tokenizer: Any, sets: list[EvaluationSet], tmp_path: Path
) -> None:
    for at, message in (((), "got neither"), ((1, -2), "0 or more"), ((1, 1), "each once, got 1, 1")):
        with pytest.raises(SettingsError, match=message):
            dense(sets, tmp_path / "eval", bare_tokenizer, every=None, at=at)
    with pytest.raises(SettingsError, match="at most the run's last, 6, got 7"):
        train(bare, tmp_path / "a", [dense(sets, tmp_path / "eval", bare_tokenizer, at=(0, 7))])
    assert not (tmp_path / "eval").exists()


def test_the_values_are_those_of_the_model_at_that_step(
    bare: Path, bare_model: Any, bare_tokenizer: Any, sets: list[EvaluationSet], tmp_path: Path
) -> None:
    trainer = train(bare, tmp_path / "a", [dense(sets, tmp_path / "eval", bare_tokenizer, settings=None)])
    table = read_evaluation(tmp_path / "eval").to_pylist()
    for step, at in ((0, bare_model), (6, trainer.model.eval())):
        for data in sets:
            want = row_losses(at, data.tokens)
            got = [line for line in table if line["step"] == step and line["set"] == data.name]
            assert [line["row"] for line in got] == want.rows.tolist()
            assert [line["id"] for line in got] == [data.rows.ids[row] for row in want.rows]
            assert [line["task"] for line in got] == [data.rows.tasks[row] for row in want.rows]
            assert [line["value"] for line in got] == pytest.approx(want.mean.tolist(), abs=1e-6)
            assert [line["tokens"] for line in got] == want.count.tolist()
    manifest = json.loads((tmp_path / "eval" / "manifest.json").read_text())
    left_out = manifest["without_loss"]["other"]
    assert left_out, "the answers of some rows are cut away"
    assert len(left_out) + sum(line["step"] == 0 and line["set"] == "other" for line in table) == 5
    assert all(np.isfinite(line["value"]) for line in table)


def test_a_resumed_run_ends_with_the_values_of_an_undisturbed_one(
    bare: Path, bare_tokenizer: Any, sets: list[EvaluationSet], tmp_path: Path
) -> None:
    from transformers import TrainerCallback

    class Stop(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.global_step == 5:
                raise KeyboardInterrupt

    train(bare, tmp_path / "a", [dense(sets, tmp_path / "eval", bare_tokenizer, every=1, settings=None)])
    with pytest.raises(KeyboardInterrupt):
        train(bare, tmp_path / "b", [dense(sets, tmp_path / "again", bare_tokenizer, every=1, settings=None), Stop()])
    assert sorted(set(read_evaluation(tmp_path / "again")["step"].to_pylist())) == [0, 1, 2, 3, 4, 5]
    assert not (tmp_path / "again" / "manifest.json").exists()
    with pytest.raises(SettingsError, match=r"must go on with what it began with, but every differ"):
        train(bare, tmp_path / "b", [dense(sets, tmp_path / "again", bare_tokenizer, every=3, settings=None)])
    go_on = [dense(sets, tmp_path / "again", bare_tokenizer, every=1, settings=None)]
    train(bare, tmp_path / "b", go_on, resume_from_checkpoint=True)
    assert read_evaluation(tmp_path / "again").equals(read_evaluation(tmp_path / "eval"))
    # Killed right after the last step: the evaluation was finished, the run was not.
    train(bare, tmp_path / "b", go_on, resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-3"))
    assert read_evaluation(tmp_path / "again").equals(read_evaluation(tmp_path / "eval"))


@pytest.mark.slow
def test_the_values_at_step_0_may_be_those_of_another_run(
    bare: Path, bare_tokenizer: Any, sets: list[EvaluationSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from righttime.evaluation import callback

    steps: list[int] = []

    def counted(*words: Any) -> Any:
        steps.append(0)
        return measured_set(*words)

    monkeypatch.setattr(callback, "measured_set", counted)

    def measured(folder: str, first: Path | None, with_sets: Sequence[EvaluationSet] = tuple(sets), **more: Any) -> Any:
        steps.clear()
        watch = dense(with_sets, tmp_path / folder, bare_tokenizer, first=first, **more)
        train(bare, tmp_path / "out" / folder, [watch])
        return read_evaluation(tmp_path / folder), len(steps), open_evaluation(tmp_path / folder).manifest.first_from

    own, n, told = measured("own", None)
    assert (n, told) == (8, None), "two sets at four steps"
    name = f"{tmp_path.name}/own"
    taken, n, told = measured("taken", tmp_path / "own", deciding={"learning": "rate"})
    assert (n, told) == (6, name)
    assert taken.equals(own)
    other = prepare_set("other", examples(5, 101), bare_tokenizer, "paper", 36)
    longer = MeasureSettings(("loss", "rouge", "em"), GenerationSettings(5, sample=True))
    changes: list[tuple[list[EvaluationSet], dict[str, Any]]] = [
        ([sets[0], other], {}),
        ([sets[0]], {}),
        (sets, {"settings": None}),
        (sets, {"settings": longer}),
        (sets, {"deciding": {"form": "chat"}}),
        (sets, {"deciding": {"max_length": 64}}),
        (sets, {"deciding": {"answer_end": "template"}}),
    ]
    for number, (changed, more) in enumerate(changes):
        _, n, told = measured(f"changed{number}", tmp_path / "own", changed, **more)
        assert (n, told) == (4 * len(changed), None)
    assert measured("nothing", tmp_path / "none")[1:] == (8, None)


def test_an_unfinished_evaluation_gives_what_it_has_whole_at_step_0(
    bare: Path, bare_tokenizer: Any, sets: list[EvaluationSet], tmp_path: Path
) -> None:
    from transformers import TrainerCallback

    class Stop(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if state.global_step == 5:
                raise KeyboardInterrupt

    def run(folder: str, first: str | None, *stop: Any, **more: Any) -> str | None:
        watch = dense(
            sets,
            tmp_path / folder / "evaluation",
            bare_tokenizer,
            settings=None,
            reopen=True,
            first=tmp_path / first / "evaluation" if first else None,
        )
        train(bare, tmp_path / folder, [watch, *stop], **more)
        return open_evaluation(tmp_path / folder / "evaluation").manifest.first_from

    with pytest.raises(KeyboardInterrupt):
        run("cut", None, Stop())
    assert run("b", "cut") == "cut/evaluation"
    (part,) = (tmp_path / "cut" / "evaluation" / "parts").glob("step-00000000.other.0.*")
    part.write_bytes(b"half")
    assert run("c", "cut") is None, "one set of two is damaged"
    part.unlink()
    assert run("d", "cut") is None, "one set of two is not there"
    with pytest.raises(KeyboardInterrupt):
        run("e", "b", Stop())
    assert run("e", None, resume_from_checkpoint=True) == "b/evaluation", "it is remembered over a stop"
    again = str(tmp_path / "e" / "checkpoint-3")
    assert run("e", None, resume_from_checkpoint=again) == "b/evaluation", "and where it was finished already"
    assert run("e", None) is None, "measured again at step 0"
    with (tmp_path / "e" / "evaluation" / "evaluation.parquet").open("ab") as file:
        file.write(b"more")
    assert run("f", "e") is None, "it is not as it was written"
    tables = [read_evaluation(tmp_path / name / "evaluation") for name in "bcdf"]
    assert all(table.equals(tables[0]) for table in tables)


def test_trl_is_measured_and_trackers_are_told(
    bare: Path, bare_tokenizer: Any, sets: list[EvaluationSet], tmp_path: Path
) -> None:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    class Tracker(TrainerCallback):  # type: ignore[misc]
        told: ClassVar[list[Any]] = []

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            if "target_loss" in logs:
                self.told.append((state.global_step, logs["target_loss"]))

    rows = Dataset.from_list([{"prompt": f"question {i}", "completion": f" {i}"} for i in range(8)])
    bare_tokenizer.pad_token = "</s>"
    config = SFTConfig(str(tmp_path), max_steps=3, bf16=False, use_cpu=True, report_to="none", disable_tqdm=True)
    watch = dense(sets, tmp_path / "eval", bare_tokenizer, settings=None)
    trainer = SFTTrainer(
        str(bare), config, train_dataset=rows, processing_class=bare_tokenizer, callbacks=[watch, Tracker()]
    )
    watch.attach(trainer)
    trainer.train()
    found = means_by(read_evaluation(tmp_path / "eval"), "set", "step")
    assert Tracker.told == [(step, pytest.approx(found["target", step].over_rows)) for step in (0, 2, 3)]


def test_settings_that_make_no_sense(
    bare_tokenizer: Any, sets: list[EvaluationSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="every 1 step or more, got 0"):
        dense(sets, tmp_path, bare_tokenizer, every=0)
    with pytest.raises(SettingsError, match="different names, got target, target"):
        dense([sets[0], sets[0]], tmp_path, bare_tokenizer)
    with pytest.raises(SettingsError, match="go together"):
        MeasureSettings(("reward",))
    monkeypatch.setattr("righttime.evaluation.measurement.find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="needs rouge-score"):
        MeasureSettings(("rouge",))
    with pytest.raises(SettingsError, match="unknown metric 'los': did you mean 'loss'"):
        MeasureSettings(("los",))


TWO = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[3], str(Path(sys.argv[3]) / "evaluation")]
from test_evaluation_callback import dense, examples, train
from transformers import AutoTokenizer
from righttime.evaluation import prepare_set
bare, folder = Path(sys.argv[1]), Path(sys.argv[2])
tokenizer = AutoTokenizer.from_pretrained(bare)
sizes = {"target": 7, "few": 1}
sets = [prepare_set(name, examples(n), tokenizer, "paper", 128) for name, n in sizes.items()]
train(bare, folder / "out", [dense(sets, folder / "eval", tokenizer, settings=None)], steps=4)
again = dense(sets, folder / "again", tokenizer, settings=None, first=folder / "eval")
train(bare, folder / "out2", [again], steps=4)
"""


@pytest.mark.slow
def test_two_processes_measure_each_row_once(bare: Path, tmp_path: Path, bare_model: Any, bare_tokenizer: Any) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script), str(bare), str(tmp_path)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words, str(Path(__file__).parents[1])], check=True, env=env)
    assert open_evaluation(tmp_path / "again").manifest.first_from == f"{tmp_path.name}/eval"
    assert read_evaluation(tmp_path / "again").equals(read_evaluation(tmp_path / "eval"))
    values = read_evaluation(tmp_path / "eval").to_pylist()
    for step in (0, 2, 4):
        at = [line for line in values if line["step"] == step]
        assert [line["row"] for line in at if line["set"] == "target"] == list(range(7))
        assert [line["row"] for line in at if line["set"] == "few"] == [0]
    want = row_losses(bare_model, prepare_set("target", examples(7), bare_tokenizer, "paper", 128).tokens).mean
    got = [line["value"] for line in values if line["step"] == 0 and line["set"] == "target"]
    assert got == pytest.approx(want.tolist(), abs=1e-6)
