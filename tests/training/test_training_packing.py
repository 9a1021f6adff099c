"""Rows packed in order: the gradients and weights of plain steps, every row in its place inside its pack."""

from __future__ import annotations

import dataclasses
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
)

from one_step import PLAIN, distance, step_gradients
from righttime.cli import main
from righttime.errors import OrderError, SettingsError
from righttime.tokenization.loading import load_tokenizer
from righttime.training import Lora, Oracle, Plan, TuneSettings, apart, begun_run, open_run, read_records, tune
from righttime.training.apart import require_rows_apart
from righttime.training.batches import packed
from righttime.training.layout import packed_layout
from righttime.training.models import load_model
from righttime.training.row_attention import inside_rows
from righttime.training.token_rows import TokenRows, arranged_rows, token_rows
from righttime.verification.run import verify
from stopped_runs import StopAt, weights
from tiny_model import save_tiny_mixture, save_tiny_model

PACKED = dataclasses.replace(PLAIN, pack_tokens=200)


@pytest.fixture(scope="module")
def run(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed") / "run"
    tune(arranged, tiny, folder, PACKED)
    return folder


@pytest.fixture(scope="module")
def rows(tiny: str, arranged: Path) -> TokenRows:
    return token_rows(arranged_rows(arranged), load_tokenizer(tiny), "chat", 512)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(1, 60), st.integers(1, 4))
def test_packs_are_next_fit_whole_and_in_order(lengths: list[int], budget: int, world: int) -> None:
    micros = packed_layout(range(len(lengths)), lengths, budget, world)
    packs = [pack for micro in micros for pack in micro]
    assert [place for pack in packs for place in pack] == list(range(len(lengths))), "whole, once, in order"
    assert all(len(micro) == world for micro in micros)
    filled = [pack for pack in packs if pack]
    assert packs[: len(filled)] == filled, "empty ones only at the end"
    assert len(packs) - len(filled) < world
    sizes = [sum(lengths[place] for place in pack) for pack in filled]
    assert all(size <= budget or len(pack) == 1 for size, pack in zip(sizes, filled, strict=True))
    following = [lengths[pack[0]] for pack in filled[1:]]
    assert all(size + first > budget for size, first in zip(sizes[:-1], following, strict=True)), "no pack ends early"


@given(st.integers(1, 30), st.integers(1, 3), st.integers(1, 5), st.integers(1, 60), st.data())
def test_packs_never_reach_across_a_step(n: int, world: int, batch: int, budget: int, data: st.DataObject) -> None:
    lengths = tuple(data.draw(st.lists(st.integers(1, 30), min_size=n, max_size=n)))
    ids = tuple(map(str, range(n)))
    plain = Plan(ids, 2, world, batch, shuffle_after=data.draw(st.none() | st.integers(0, 9)))
    plan = dataclasses.replace(plain, pack_tokens=budget, lengths=lengths)
    assert plan.fingerprint != plain.fingerprint
    assert plan.n_batches == len(list(plan.all_batches()))
    assert _steps(plan) == _steps(plain), "the same rows in the same order in every step"


def _steps(plan: Plan) -> list[list[int]]:
    steps = groupby(plan.all_batches(), key=lambda batch: batch.step)
    return [[place for batch in together for place in batch.places] for _, together in steps]


def test_a_plan_either_groups_or_packs() -> None:
    with pytest.raises(SettingsError, match="either grouped or packed, got batch_tokens 5 and pack_tokens 6"):
        Plan(("a",), batch_tokens=5, pack_tokens=6, lengths=(1,))
    with pytest.raises(SettingsError, match="`batch_tokens` and `pack_tokens` must not be given together"):
        TuneSettings(batch_tokens=5, pack_tokens=6)
    with pytest.raises(SettingsError, match="pack_tokens must be at least 1, got 0"):
        TuneSettings(pack_tokens=0)
    with pytest.raises(SettingsError, match="with pack_tokens a plan must have a length for each of 1 rows, got 0"):
        Plan(("a",), pack_tokens=5)
    with pytest.raises(SettingsError, match="every row must have a token, got none in 'b'"):
        Plan(("a", "b"), pack_tokens=5, lengths=(3, 0))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    "changes",
    [
        {"batch_tokens": 160},
        {"pack_tokens": 1},
        {"pack_tokens": 200},
        {"pack_tokens": 10_000},
        {"pack_tokens": 200, "recompute": True},
    ],
    ids=["grouped", "alone", "packed", "one-pack", "recomputed"],
)
def test_the_gradients_of_packed_grouped_and_plain_steps_are_equal(
    tiny: str, rows: TokenRows, tmp_path: Path, changes: dict[str, Any], attention: Any
) -> None:
    plain = dataclasses.replace(PLAIN, attention=attention)
    wanted = step_gradients(load_model(tiny, plain), rows, plain, tmp_path / "plain")
    other = dataclasses.replace(plain, **changes)
    found = step_gradients(load_model(tiny, other), rows, other, tmp_path / "other")
    assert distance(found, wanted) < 1e-5
    assert distance(found, {name: 2 * value for name, value in wanted.items()}) > 0.4, "the test can tell"


def test_rows_that_saw_one_another_would_give_other_gradients(
    tiny: str, rows: TokenRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same packs without positions: what the test above must tell from right ones."""
    wanted = step_gradients(load_model(tiny, PLAIN), rows, PLAIN, tmp_path / "plain")

    def leaking(*about: Any, **more: Any) -> dict[str, Any]:
        batch = packed(*about, **more)
        batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]
        return batch

    monkeypatch.setattr("righttime.training.trainer.packed", leaking)
    monkeypatch.setattr(Oracle, "consume", lambda *about: None)
    found = step_gradients(load_model(tiny, PACKED), rows, PACKED, tmp_path / "packed")
    assert distance(found, wanted) > 1e-3


def test_the_weights_after_twenty_steps_are_those_of_plain_and_grouped_steps(
    tiny: str, arranged: Path, run: Path, tmp_path: Path
) -> None:
    done = tune(arranged, tiny, tmp_path / "plain", PLAIN)
    tune(arranged, tiny, tmp_path / "grouped", dataclasses.replace(PLAIN, batch_tokens=160))
    assert done.manifest.counts.steps == 20
    before = dict(load_file(Path(tiny) / "model.safetensors"))
    assert distance(weights(run), weights(tmp_path / "plain")) < 1e-5
    assert distance(weights(run), weights(tmp_path / "grouped")) < 1e-5
    assert distance(weights(run), before) > 1e-2, "they did learn"
    logs = [(folder / "train_log.jsonl").read_text().splitlines() for folder in (run, tmp_path / "plain")]
    losses = [[json.loads(line)["loss"] for line in lines] for lines in logs]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4), "the mean over the same tokens"


def test_what_lies_on_disk(arranged: Path, run: Path, rows: TokenRows) -> None:
    ids = [json.loads(line)["id"] for line in (arranged / "train.jsonl").read_text().splitlines()]
    consumed = pq.read_table(run / "consumed.parquet").to_pandas()
    assert consumed["id"].tolist() == 4 * ids, "in order, packed or not"
    assert consumed[consumed["step"] == 0]["micro"].nunique() > 1
    for _, together in consumed.groupby(["step", "micro"]):
        assert len(together) == 1 or sum(rows.lengths[place] for place in together["place"]) <= 200
    manifest = open_run(run).manifest
    assert manifest.first_difference is None
    assert manifest.plan.pack_tokens == manifest.settings.pack_tokens == 200
    assert manifest.plan.lengths_sha256
    assert manifest.notes == ()
    assert all(finding.ok for finding in verify(run, arranged))


@pytest.mark.parametrize("stop", [3, 13])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path, arranged: Path, stop: int) -> None:
    """With dropout and a shuffle, so that the random generators and the later packs must go on too."""
    model = save_tiny_model(tmp_path / "model", dropout=0.1)
    settings = dataclasses.replace(PACKED, shuffle_after=3)
    done = tune(arranged, model, tmp_path / "undisturbed", settings)
    assert "the model has dropout, and with `pack_tokens` other tokens are dropped" in done.manifest.notes[0]
    run = tmp_path / "stopped"
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, model, run, settings, callbacks=[StopAt(stop)])
    findings = {finding.what: finding.ok for finding in verify(run, arranged)}
    assert findings["every attempt followed that plan"], "by the recorded lengths: there is no tuned model yet"
    assert begun_run(run).begun.plan.pack_tokens == 200
    with pytest.raises(SettingsError, match=r"plan\.pack_tokens was 200 and is 100 now"):
        tune(arranged, model, run, dataclasses.replace(settings, pack_tokens=100))
    done = tune(arranged, model, run, settings)
    assert done.start.step == stop // 5 * 5
    one, other = weights(run), weights(tmp_path / "undisturbed")
    assert all(torch.equal(one[name], other[name]) for name in other)
    assert all(finding.ok for finding in verify(run, arranged))


def test_adapters_are_trained_on_packs(tiny: str, arranged: Path, tmp_path: Path) -> None:
    both = [dataclasses.replace(settings, lora=Lora(rank=4), epochs=1) for settings in (PLAIN, PACKED)]
    for settings, name in zip(both, ("plain", "packed"), strict=True):
        tune(arranged, tiny, tmp_path / name, settings)
    one, other = (load_file(tmp_path / name / "model" / "adapter_model.safetensors") for name in ("plain", "packed"))
    assert distance(one, other) < 1e-4


def test_the_oracle_stops_at_a_row_in_another_place_of_its_pack(rows: TokenRows, tmp_path: Path) -> None:
    plan = Plan(rows.ids, batch=8, pack_tokens=400, lengths=rows.lengths)
    first = list(next(plan.batches(0)).places)
    assert len(first) > 2
    right = packed(first, rows, pad=0)
    swapped = packed([first[1], first[0], *first[2:]], rows, pad=0)
    positions = right["position_ids"]
    wrong = {
        "another order": swapped,
        "the order kept in words alone": {**swapped, "places": right["places"]},
        "one row less": packed(first[:-1], rows, pad=0),
        "one row more": packed([*first, first[-1] + 1], rows, pad=0),
        "rows that see one another": {**right, "position_ids": torch.arange(positions.shape[1])[None]},
        "rows cut elsewhere": {**right, "position_ids": torch.roll(positions, 1, dims=1)},
    }
    for number, (why, batch) in enumerate(wrong.items()):
        with pytest.raises(OrderError, match="step 0, micro-batch 0, process 0"):
            Oracle(plan, rows.hashes, tmp_path / str(number)).consume(0, batch)
        assert len(read_records(tmp_path / str(number)).consumed) == 1, why
    assert Oracle(plan, rows.hashes, tmp_path / "right").consume(0, right).places == tuple(first)


def test_another_size_of_packs_is_a_difference(arranged: Path, run: Path) -> None:
    original = (run / "run.json").read_text()
    for budget in (100, None):
        begun = json.loads(original)
        begun["plan"]["pack_tokens"] = budget
        (run / "run.json").write_text(json.dumps(begun))
        try:
            wrong = [finding.what for finding in verify(run, arranged) if not finding.ok]
        finally:
            (run / "run.json").write_text(original)
        assert "every attempt followed that plan" in wrong
        assert "what led to the weights is the plan, every row in its place" in wrong


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_the_rows_of_a_pack_are_read_as_they_are_alone(tiny: str, rows: TokenRows, attention: Any) -> None:
    """Transformers' own handling of positions that begin anew."""
    model = load_model(tiny, TuneSettings(attention=attention)).eval()
    model.config.use_cache = False  # as the Trainer does: with a cache nothing is taken apart
    batch = packed([0, 1, 2], rows, pad=0)
    with torch.no_grad():
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits[0]
        alone = [model(input_ids=torch.tensor(rows.tokens[place].ids)[None].long()).logits[0] for place in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_a_model_that_does_not_keep_rows_apart_is_refused(tiny: str) -> None:
    model = load_model(tiny, TuneSettings()).train()
    model.config.use_cache = False
    require_rows_apart(model)
    assert model.training
    model.config.use_cache = True
    with pytest.raises(SettingsError, match="in LlamaForCausalLM the second of two rows changes with the first"):
        require_rows_apart(model)
    assert model.training, "as it was, whatever came of it"


def test_positions_that_a_model_does_not_read_are_found() -> None:
    class OwnPositions(GPT2LMHeadModel):  # type: ignore[misc]
        def forward(self, input_ids: Any = None, position_ids: Any = None, **more: Any) -> Any:
            apart = self.transformer.wpe
            kept = apart.weight.data.clone()
            moved = torch.roll(kept, shifts=len(input_ids[0]), dims=0)
            apart.weight.data = moved
            try:
                return super().forward(input_ids=input_ids, position_ids=position_ids, **more)
            finally:
                apart.weight.data = kept

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50, n_embd=16, n_layer=1, n_head=2, n_positions=64, use_cache=False)
    require_rows_apart(GPT2LMHeadModel(config))
    with pytest.raises(SettingsError, match="in OwnPositions a row is not read as it is alone"):
        require_rows_apart(OwnPositions(config))


@pytest.mark.parametrize("by_gradient", [True, False])
@pytest.mark.parametrize("size", [1e-2, 1e-3, 1e-6])
def test_a_small_leak_is_found(size: float, by_gradient: bool) -> None:
    """Of the row before it a row learns by so much of its logits; in steps, a gradient does not see it."""

    class Leaking(LlamaForCausalLM):  # type: ignore[misc]
        def forward(self, input_ids: Any = None, **more: Any) -> Any:
            found = super().forward(input_ids=input_ids, **more)
            first = self.get_input_embeddings()(input_ids)[0, 0].mean() if by_gradient else input_ids[0, 0]
            found.logits = found.logits * (1 + size * first)
            return found

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Leaking(LlamaConfig(vocab_size=50, **sizes, use_cache=False))
    if not by_gradient and size < 1e-4:  # below rounding: nothing is learnt from that
        require_rows_apart(model)
        return
    with pytest.raises(SettingsError, match="in Leaking the second of two rows changes with the first"):
        require_rows_apart(model)
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_experts_that_round_by_their_tokens_keep_rows_apart(tmp_path: Path, precision: str) -> None:
    changed = []
    for seed in range(4):
        model = load_model(save_tiny_mixture(tmp_path, seed), PLAIN)
        model.config.use_cache = False
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            require_rows_apart(model)
            row = torch.arange(5, 9)
            one, other = (apart._last_logits(model.eval(), before, row) for before in (row - 5, row))
        changed.append(not torch.equal(one, other))
    assert any(changed) or precision == "bfloat16", "the test can tell"


def test_a_mixture_of_experts_is_packed_as_it_is_trained_row_by_row(
    arranged: Path, rows: TokenRows, tmp_path: Path
) -> None:
    model = save_tiny_mixture(tmp_path / "model")
    wanted = step_gradients(load_model(model, PLAIN), rows, PLAIN, tmp_path / "plain")
    found = step_gradients(load_model(model, PACKED), rows, PACKED, tmp_path / "packed")
    assert distance(found, wanted) < 1e-5
    done = tune(arranged, model, tmp_path / "run", dataclasses.replace(PACKED, epochs=1))
    assert done.manifest.first_difference is None


def test_a_recurrent_model_is_refused() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4, use_cache=False)

    class Positioned(MambaForCausalLM):  # type: ignore[misc]
        def forward(self, input_ids: Any = None, position_ids: Any = None, **more: Any) -> Any:
            return super().forward(input_ids=input_ids, **more)

    with pytest.raises(SettingsError, match="changes with the first. Hint: `batch_tokens`"):
        require_rows_apart(Positioned(config))


def test_the_command_packs_and_tells(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["tune", str(arranged), "--model", tiny, "--out", str(tmp_path / "run"), "--batch-size", "8"]
    assert main([*words, "--pack-tokens", "200"]) == 0
    assert "inside a step rows are packed in order into sequences of at most 200 tokens" in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "run"), str(arranged)]) == 0
    capsys.readouterr()
    assert main([*words, "--pack-tokens", "200", "--batch-tokens", "200", "--overwrite"]) == 1
    assert "--batch-tokens and --pack-tokens must not be given together" in capsys.readouterr().err
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    assert main([*words, "--pack-tokens", "200", "--overwrite"]) == 1
    assert "--pack-tokens must train without DeepSpeed" in capsys.readouterr().err


def _attended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of queries that attention is computed for, from now on."""
    found: list[int] = []
    attend = torch.nn.functional.scaled_dot_product_attention

    def watched(query: torch.Tensor, *others: Any, **how: Any) -> torch.Tensor:
        found.append(query.shape[2])
        return attend(query, *others, **how)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    return found


def test_no_pairs_of_different_rows_are_computed(
    tiny: str, rows: TokenRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _attended(monkeypatch)
    model = load_model(tiny, PACKED)
    step_gradients(model, rows, PACKED, tmp_path)
    plan = Plan(rows.ids, batch=PACKED.batch, pack_tokens=PACKED.pack_tokens, lengths=rows.lengths)
    assert len(next(plan.batches(0)).places) > 1, "there is a pack"
    assert max(found) <= max(rows.lengths)


def _sliding(window: int) -> MistralForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    return MistralForCausalLM(
        MistralConfig(vocab_size=64, num_key_value_heads=2, sliding_window=window, use_cache=False, **sizes)
    ).eval()


@pytest.mark.parametrize("window", [3, 1_000])
def test_rows_are_attended_to_by_the_models_own_mask(window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row of one token among them, a window shorter than the others, and gradients."""
    model, positions = _sliding(window), torch.cat([torch.arange(n) for n in (9, 1, 12, 5)])[None]
    ids = torch.randint(64, positions.shape, generator=torch.Generator().manual_seed(1))
    asked = {"input_ids": ids, "position_ids": positions, "labels": ids}
    wanted = model(**asked)
    wanted.loss.backward()
    gradients = {name: one.grad.clone() for name, one in model.named_parameters()}
    model.zero_grad()
    found = _attended(monkeypatch)
    with inside_rows(positions):
        ours = model(**asked)
        ours.loss.backward()
    assert found == 2 * [9, 1, 12, 5]
    assert torch.allclose(ours.logits, wanted.logits, atol=1e-6)
    assert distance({name: one.grad for name, one in model.named_parameters()}, gradients) < 1e-6


def test_what_is_no_pack_is_attended_to_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that the mask lets see one another, padded rows, and all that comes afterwards."""
    model, ids = _sliding(1_000), torch.arange(8)[None]
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]])
    found = _attended(monkeypatch)
    with torch.no_grad():
        seen = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        with inside_rows(positions):
            assert torch.equal(model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits, seen)
            model(input_ids=ids[:, :4], attention_mask=torch.tensor([[1, 1, 1, 0]]))
        with pytest.raises(RuntimeError, match="in between"), inside_rows(positions):
            raise RuntimeError("in between")
        model(input_ids=ids, position_ids=positions)
    assert found == [8, 8, 8, 8, 4, 4, 8, 8]
