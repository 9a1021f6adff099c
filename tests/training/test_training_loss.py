"""Logits only where a token is learnt: the loss and the gradients are those of all logits, up to rounding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from righttime.evaluation import row_losses
from righttime.tokenization.masking import Tokens
from righttime.training import Lora, Oracle, Plan, TuneSettings
from righttime.training.batches import collated
from righttime.training.loss import IGNORED, learnt_logits, next_tokens, summed_loss
from righttime.training.models import load_model
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
    tiny: str, rows: TokenRows, tmp_path: Path, case: str, lora: Lora | None
) -> None:
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
    learnt = [max(1, int((batch["labels"] != IGNORED).sum())) for batch in batches]
    assert shapes == [(1, k, model.config.vocab_size) for k in learnt], "logits of learnt places alone"


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
