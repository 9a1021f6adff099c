"""Steps whose rows are grouped by length: the same rows, gradients and weights as plain steps, up to rounding."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from one_step import PLAIN, distance, step_gradients
from righttime.cli import main
from righttime.errors import OrderError, SettingsError
from righttime.tokenization.loading import load_tokenizer
from righttime.training import Oracle, begun_run, open_run, read_records, tune
from righttime.training.models import load_model
from righttime.training.plan import Plan
from righttime.training.token_rows import TokenRows, arranged_rows, token_rows
from righttime.verification.run import verify
from stopped_runs import StopAt, weights
from tiers import quick
from tiny_model import save_tiny_model

GROUPED = dataclasses.replace(PLAIN, batch_tokens=160)


@pytest.fixture(scope="module")
def grouped(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("grouped") / "run"
    tune(arranged, tiny, run, GROUPED)
    return run


@pytest.fixture(scope="module")
def rows(tiny: str, arranged: Path) -> TokenRows:
    return token_rows(arranged_rows(arranged), load_tokenizer(tiny), "chat", 512)


@pytest.mark.parametrize("budget", [1, 100, 160, 10_000])
def test_a_steps_gradients_are_those_of_a_plain_step(tiny: str, rows: TokenRows, tmp_path: Path, budget: int) -> None:
    model = load_model(tiny, PLAIN)
    plain = step_gradients(model, rows, PLAIN, tmp_path / "plain")
    found = step_gradients(model, rows, dataclasses.replace(PLAIN, batch_tokens=budget), tmp_path / "grouped")
    assert distance(found, plain) < 1e-5
    assert distance(found, {name: 2 * value for name, value in plain.items()}) > 0.4, "the test can tell"


def test_the_weights_after_twenty_steps_are_those_of_plain_steps(
    tiny: str, arranged: Path, grouped: Path, tmp_path: Path
) -> None:
    done = tune(arranged, tiny, tmp_path / "plain", PLAIN)
    assert done.manifest.counts.steps == 20
    before = dict(load_file(Path(tiny) / "model.safetensors"))
    assert distance(weights(grouped), weights(tmp_path / "plain")) < 1e-5
    assert distance(weights(grouped), before) > 1e-2, "they did learn"


def test_what_lies_on_disk(tiny: str, arranged: Path, grouped: Path, rows: TokenRows) -> None:
    ids = [json.loads(line)["id"] for line in (arranged / "train.jsonl").read_text().splitlines()]
    consumed = pq.read_table(grouped / "consumed.parquet").to_pandas()
    first = consumed[consumed["step"] == 0]
    assert sorted(first["place"]) == list(range(8)), "the step's rows are the next eight"
    assert first["micro"].nunique() > 1
    for _, together in consumed.groupby(["step", "micro"]):
        lengths = [rows.lengths[place] for place in together["place"]]
        assert len(lengths) == 1 or len(lengths) * max(lengths) <= 160
    assert sorted(consumed["id"]) == sorted(4 * ids)
    manifest = open_run(grouped).manifest
    assert manifest.first_difference is None
    assert manifest.plan.batch_tokens == manifest.settings.batch_tokens == 160
    assert manifest.plan.lengths_sha256
    assert manifest.notes == ()
    assert all(finding.ok for finding in verify(grouped, arranged))


@pytest.mark.parametrize("stop", quick([3, 5, 13], 0))
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path, arranged: Path, stop: int) -> None:
    """With dropout and a shuffle, so that the random generators and the later layouts must go on too."""
    model = save_tiny_model(tmp_path / "model", dropout=0.1)
    settings = dataclasses.replace(GROUPED, shuffle_after=3)
    done = tune(arranged, model, tmp_path / "undisturbed", settings)
    assert "the model has dropout, and with `batch_tokens` other tokens are dropped" in done.manifest.notes[0]
    run = tmp_path / "stopped"
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, model, run, settings, callbacks=[StopAt(stop)])
    findings = {finding.what: finding.ok for finding in verify(run, arranged)}
    assert findings["every attempt followed that plan"], "by the recorded lengths: there is no tuned model yet"
    assert begun_run(run).begun.plan.batch_tokens == 160
    done = tune(arranged, model, run, settings)
    assert done.start.step == stop // 5 * 5
    one, other = weights(run), weights(tmp_path / "undisturbed")
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert all(finding.ok for finding in verify(run, arranged))


def test_a_run_goes_on_only_with_the_same_budget(tiny: str, arranged: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", GROUPED, callbacks=[StopAt(1)])
    with pytest.raises(SettingsError, match=r"plan\.batch_tokens was 160 and is 200 now"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(GROUPED, batch_tokens=200))
    with pytest.raises(SettingsError, match=r"plan\.batch_tokens was 160 and is None now"):
        tune(arranged, tiny, tmp_path / "run", PLAIN)


def test_another_layout_is_a_difference(arranged: Path, grouped: Path, tmp_path: Path) -> None:
    """Records of the right rows in the right steps, held against another budget, are not that plan."""
    begun = json.loads((grouped / "run.json").read_text())
    begun["plan"]["batch_tokens"] = 80
    original = (grouped / "run.json").read_text()
    (grouped / "run.json").write_text(json.dumps(begun))
    try:
        wrong = [finding.what for finding in verify(grouped, arranged) if not finding.ok]
    finally:
        (grouped / "run.json").write_text(original)
    assert "every attempt followed that plan" in wrong
    assert "what led to the weights is the plan, every row in its place" in wrong


def test_the_oracle_stops_at_a_row_in_another_group(rows: TokenRows, tmp_path: Path) -> None:
    plan = Plan(rows.ids, batch=8, batch_tokens=160, lengths=rows.lengths)
    first = next(plan.batches(0))
    others = [place for place in range(8) if place not in first.places]
    oracle = Oracle(plan, rows.hashes, tmp_path)
    ids = torch.tensor(rows.tokens[others[0]].ids)[None].long()
    with pytest.raises(
        OrderError, match=f"step 0, micro-batch 0, process 0, row 0 must be .* of place {first.places[0]}"
    ):
        oracle.consume(0, {"input_ids": ids, "places": torch.tensor([others[0]])})
    assert len(read_records(tmp_path).consumed) == 1


def test_the_command_takes_the_budget_and_tells(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["tune", str(arranged), "--model", tiny, "--out", str(tmp_path / "run"), "--batch-size", "8"]
    assert main([*words, "--batch-tokens", "160"]) == 0
    said = capsys.readouterr().out
    assert "inside a step rows are grouped by length into micro-batches of at most 160 tokens with padding" in said
    assert main(["verify", str(tmp_path / "run"), str(arranged)]) == 0
    capsys.readouterr()
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    assert main([*words, "--batch-tokens", "160", "--overwrite"]) == 1
    assert "--batch-tokens must train without DeepSpeed" in capsys.readouterr().err
