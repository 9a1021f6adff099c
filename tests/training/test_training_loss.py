"""Logits only where a token is learnt: the loss and the gradients are those of all logits, up to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import Gemma2Config, Gemma2ForCausalLM, GraniteConfig, GraniteForCausalLM

from held import Held
from righttime.evaluation import row_losses
from righttime.tokenization.masking import Tokens
from righttime.training import Lora, Oracle, Plan, TuneSettings, chunks
from righttime.training.batches import collated
from righttime.training.chunks import chunk_rows, chunked_loss
from righttime.training.loss import IGNORED, bare_logits, learnt_logits, next_tokens, summed_loss
from righttime.training.models import load_model
from righttime.training.sharding import runs_unwrapped
from righttime.training.token_rows import TokenRows
from righttime.training.trainer import OrderedTrainer, training_arguments

LENGTHS, LEARNT = (9, 14, 5, 11), ((6, 9), (2, 3), (), (1, 4))  # tokens of each row; which of them are learnt, from–to


def tokens(place: int) -> Tokens:
    ids = np.arange(10 + place, 10 + place + LENGTHS[place], dtype=np.int32)
    learnt = np.zeros(len(ids), np.bool_)
    if LEARNT[place]:
        learnt[slice(*LEARNT[place])] = True
    return Tokens(ids, learnt, 0)


@pytest.fixture(scope="module")
def rows() -> TokenRows:
    made = [tokens(place) for place in range(len(LENGTHS))]
    ids = tuple(f"r{place}" for place in range(len(made)))
    return TokenRows(ids, tuple(made), "chat", 99)


def defined(model: Any, batches: Sequence[dict[str, Tensor]]) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of a step from all logits, token by token."""
    model.zero_grad()
    total, count = torch.zeros(()), 0
    for batch in batches:
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        for row, labels in enumerate(batch["labels"].tolist()):
            for at, wanted in enumerate(labels[1:]):
                if wanted != IGNORED:
                    total, count = total - logits[row, at].log_softmax(-1)[wanted], count + 1
        total = total + 0 * logits.sum()
    loss = total / max(count, 1)
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss.detach()), gradients(model)


def gradients(model: Any) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def trainer_of(model: Any, rows: TokenRows, folder: Path) -> OrderedTrainer:
    plan = Plan(rows.ids, batch=2, accumulation=2)
    oracle = Oracle(plan, rows.hashes, folder / "consumed")
    arguments = training_arguments(TuneSettings(batch=2, accumulation=2), folder / "checkpoints")
    return OrderedTrainer(plan=plan, rows=rows, oracle=oracle, keep=None, pad=2, model=model, args=arguments)


CASES = {
    "one micro-batch": [[0, 1, 3]],
    "two of them": [[0, 1], [2, 3]],
    "one with nothing to learn": [[0], [2]],
    "nothing to learn at all": [[2]],
    "a filler": [[0, 3], [-1]],
    "a filler alone": [[-1]],
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("lora", [None, Lora(rank=2)], ids=["all weights", "adapters"])
def test_loss_and_gradients_are_those_of_all_logits(
    tiny: str, rows: TokenRows, tmp_path: Path, case: str, lora: Lora | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunks, "LOGITS", 2 * load_model(tiny, TuneSettings()).config.vocab_size)  # two at a time
    torch.manual_seed(0)
    model = load_model(tiny, TuneSettings(lora=lora))
    with torch.no_grad():  # adapters begin at 0, where half of their gradients are 0
        for name, weight in model.named_parameters():
            weight += 0.02 * torch.randn_like(weight) if "lora_B" in name else 0
    batches = [collated(places, rows, pad=2) for places in CASES[case]]
    want, wanted = defined(model, batches)
    trainer, shapes = trainer_of(model, rows, tmp_path), []
    model.get_output_embeddings().register_forward_hook(lambda _, __, made: shapes.append(tuple(made.shape)))
    model.zero_grad()
    count, total = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches), 0.0
    for batch in batches:
        fed = {name: value for name, value in batch.items() if name != "places"}
        loss = trainer.compute_loss(model, fed, num_items_in_batch=torch.tensor(count))
        loss.backward()
        total += float(loss.detach())
    assert total == pytest.approx(want, abs=1e-6)
    assert total > 0 or not count
    found = gradients(model)
    assert found.keys() == wanted.keys() != set()
    assert all(torch.allclose(found[name], wanted[name], atol=1e-6) for name in wanted)
    assert any(bool(one.any()) for one in found.values()) == bool(count)
    words = model.config.vocab_size
    learnt = [max(1, int((batch["labels"] != IGNORED).sum())) for batch in batches]
    of_loss = [(1, 1, 1) if k > 2 else (1, k, words) for k in learnt]
    assert shapes == [(1, 4, words), *of_loss], "one look at the model; then the loss or, of few places, their logits"


def test_a_model_that_hides_its_output_layer_makes_all_logits(
    tiny: str, rows: TokenRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = load_model(tiny, TuneSettings()), collated([0, 1, 2, 3], rows, pad=2)
    want, wanted = defined(model, [batch])
    trainer, shapes = trainer_of(model, rows, tmp_path), []
    model.lm_head.register_forward_hook(lambda _, __, made: shapes.append(made.shape[:2]))
    monkeypatch.setattr(type(model), "get_output_embeddings", lambda _: None)
    model.zero_grad()
    loss = trainer.compute_loss(model, {name: value for name, value in batch.items() if name != "places"})
    loss.backward()
    assert float(loss.detach()) == pytest.approx(want, abs=1e-6)
    assert all(torch.allclose(value, wanted[name], atol=1e-6) for name, value in gradients(model).items())
    assert shapes == [batch["labels"].shape]


def test_evaluation_and_generation_see_all_logits_again(tiny: str, rows: TokenRows) -> None:
    model, batch = load_model(tiny, TuneSettings()).eval(), collated([0, 1], rows, pad=2)
    ids = batch["input_ids"][:1]
    before, losses = model(ids).logits, row_losses(model, rows.tokens).mean
    answer = model.generate(ids, max_new_tokens=3, do_sample=False)
    with learnt_logits(model, batch["labels"]):
        assert model(batch["input_ids"]).logits.shape[:2] == (1, 4)
        assert model(ids).logits.shape[:2] == ids.shape, "not the batch that was named"
    with pytest.raises(IndexError), learnt_logits(model, batch["labels"]):
        model(batch["input_ids"] + 10_000)
    assert torch.equal(model(ids).logits, before)
    assert row_losses(model, rows.tokens).mean.tolist() == losses.tolist()
    assert torch.equal(model.generate(ids, max_new_tokens=3, do_sample=False), answer)


def test_the_last_place_of_a_row_never_counts(rows: TokenRows) -> None:
    places, wanted = next_tokens(torch.tensor([[5, 6], [IGNORED, 7]]))
    assert places.tolist() == [[True, False], [True, False]]
    assert wanted.tolist() == [6, 7]
    logits = torch.randn(2, 2, 9)
    loss = summed_loss({"logits": logits}, torch.tensor([[5, 6], [IGNORED, 7]]))
    want = -(logits[0, 0].log_softmax(-1)[6] + logits[1, 0].log_softmax(-1)[7]) / 2
    assert float(loss) == pytest.approx(float(want))


def plain_loss(states: Tensor, weight: Tensor, wanted: Tensor) -> Tensor:
    """By its definition, token by token."""
    return -torch.stack(
        [(weight @ state).log_softmax(0)[word] for state, word in zip(states, wanted, strict=True)]
    ).sum()


@given(st.integers(1, 30), st.integers(2, 40), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_chunks_are_all_logits_up_to_rounding(n: int, words: int, at_once: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    states, weight = (torch.randn(size, 8, generator=rng) for size in (n, words))
    wanted = torch.randint(words, (n,), generator=rng)
    before, chunks.LOGITS = chunks.LOGITS, at_once
    try:
        assert chunk_rows(n, words) * words <= max(at_once, words)
        found = {}
        for way in (plain_loss, chunked_loss):
            one, other = states.clone().requires_grad_(), weight.clone().requires_grad_()
            loss = way(one, other, wanted) / n
            loss.backward()  # type: ignore[no-untyped-call]
            found[way] = [loss.detach(), one.grad, other.grad]
    finally:
        chunks.LOGITS = before
    for made, want in zip(found[chunked_loss], found[plain_loss], strict=True):
        assert made is not None
        assert want is not None
        torch.testing.assert_close(made, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("held", [torch.float32, torch.bfloat16], ids=str)
def test_half_precision_rounds_as_all_logits_do(held: torch.dtype) -> None:
    """In bfloat16, by autocast or by the weights: as far from float32 as all logits at once, or nearer."""
    torch.manual_seed(0)
    states, weight, wanted = torch.randn(60, 32), torch.randn(300, 32), torch.randint(300, (60,))

    def gradients_of(chunked: bool, kind: torch.dtype, autocast: bool) -> list[Tensor]:
        one, other = (tensor.clone().to(kind).requires_grad_() for tensor in (states, weight))
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            if chunked:
                loss = chunked_loss(one, other, wanted)
            else:
                logits = torch.nn.functional.linear(one, other)
                loss = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="sum")
        loss.backward()  # type: ignore[no-untyped-call]
        assert one.grad is not None
        assert other.grad is not None
        assert one.grad.dtype == other.grad.dtype == kind
        return [one.grad.float(), other.grad.float()]

    exact = gradients_of(False, torch.float32, False)
    plain, made = (gradients_of(chunked, held, held == torch.float32) for chunked in (False, True))
    for one, other, want in zip(made, plain, exact, strict=True):
        assert (one - want).norm() <= 1.05 * (other - want).norm()
        assert 0 < (other - want).norm() < 0.02 * want.norm()


def test_weights_that_are_not_trained_get_no_gradient() -> None:
    states, weight = torch.randn(5, 4, requires_grad=True), torch.randn(9, 4)
    chunked_loss(states, weight, torch.arange(5)).backward()  # type: ignore[no-untyped-call]
    assert states.grad is not None
    assert weight.grad is None
    with torch.no_grad():
        assert not chunked_loss(states, weight, torch.arange(5)).requires_grad


def test_few_logits_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    n, words = 400, 500
    states, weight, wanted = torch.randn(n, 4, requires_grad=True), torch.randn(words, 4), torch.randint(words, (n,))
    monkeypatch.setattr(chunks, "LOGITS", n * words // 10)
    with Held() as held:
        chunked_loss(states, weight, wanted).backward()  # type: ignore[no-untyped-call]
    assert n * words // 10 * 4 < held.most < n * words // 10 * 4 * 1.5


SMALL: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


@pytest.mark.parametrize("kind", ["capped", "scaled"])
def test_logits_that_a_model_changes_afterwards_are_made_as_they_are(
    rows: TokenRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(chunks, "LOGITS", 1)
    torch.manual_seed(0)
    capped = Gemma2Config(**SMALL, head_dim=8, final_logit_softcapping=1.0, initializer_range=1.0)
    model: Any = Gemma2ForCausalLM(capped)
    if kind == "scaled":
        model = GraniteForCausalLM(GraniteConfig(**SMALL, logits_scaling=3.0, initializer_range=1.0))
    model.train()
    assert not bare_logits(model)
    assert model.training
    batch = collated([0, 1, 3], rows, pad=2)
    want, wanted = defined(model, [batch])
    trainer = trainer_of(model, rows, tmp_path)
    model.zero_grad()
    loss = trainer.compute_loss(model, {name: value for name, value in batch.items() if name != "places"})
    loss.backward()
    assert float(loss.detach()) == pytest.approx(want, rel=1e-5)
    assert all(torch.allclose(value, wanted[name], atol=1e-5) for name, value in gradients(model).items())


def test_looking_at_a_model_leaves_it_as_it_was(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LOGITS", 1)
    model = load_model(tiny, TuneSettings())
    before, chance = set(model.lm_head.__dict__), torch.get_rng_state()
    assert bare_logits(model)
    with learnt_logits(model, torch.tensor([[1, 2, 3]]), summed=True):
        assert model(torch.tensor([[1, 2, 3]])).logits.shape == (1, 1, 1)
        assert model(torch.tensor([[1, 2]])).logits.shape[:2] == (1, 2), "not the batch that was named"
    assert set(model.lm_head.__dict__) == before
    assert torch.equal(torch.get_rng_state(), chance)


@pytest.mark.parametrize(
    ("given", "can"),
    [
        ({}, True),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"}, True),
        ({"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "1"}, False),
        ({"ACCELERATE_USE_FSDP": "true"}, False),
        ({"ACCELERATE_USE_DEEPSPEED": "true"}, False),
    ],
)
def test_a_model_whose_wrapper_gathers_its_weights_is_not_run_without_it(
    given: dict[str, str], can: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "FSDP_VERSION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert runs_unwrapped() is can
