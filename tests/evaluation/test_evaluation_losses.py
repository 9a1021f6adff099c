"""Losses against the plain computation: one row at a time, without padding, token by token."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from righttime.errors import ModelError, SettingsError
from righttime.evaluation import row_losses
from righttime.evaluation.batches import length_batches, shared_out
from righttime.tokenization.masking import Tokens


def plain_loss(model: Any, row: Tokens) -> tuple[float, int]:
    """The sum of the row's token losses and how many they are."""
    import torch

    with torch.no_grad():
        logits = model(input_ids=torch.tensor([row.ids.tolist()])).logits[0].double()
    total, count = 0.0, 0
    for place in range(1, len(row.ids)):
        if row.learnt[place]:
            total -= float(torch.log_softmax(logits[place - 1], 0)[int(row.ids[place])])
            count += 1
    return total, count


def random_rows(seed: int, n: int, longest: int, max_length: int) -> list[Tokens]:
    """Rows of any lengths, any of their tokens learnt, cut as the tokenizing cuts them."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        length = int(rng.integers(1, longest + 1))
        ids = rng.integers(0, 257, length).astype(np.int32)
        start = int(rng.integers(0, length + 1))
        learnt = (np.arange(length) >= start) & (rng.random(length) < rng.choice([0.3, 1.0]))
        learnt[0] = False
        rows.append(Tokens(ids[:max_length], learnt[:max_length], max(0, length - max_length)))
    return rows


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 12),
    longest=st.integers(1, 60),
    max_length=st.integers(1, 60),
    batch_tokens=st.integers(1, 400),
    half=st.integers(0, 2),
)
def test_every_loss_equals_the_plain_computation(
    bare_model: Any, seed: int, n: int, longest: int, max_length: int, batch_tokens: int, half: int
) -> None:
    rows = random_rows(seed, n, longest, max_length)
    parts = [row_losses(bare_model, rows, batch_tokens, (process, half + 1)) for process in range(half + 1)]
    found = {int(row): (t, c) for p in parts for row, t, c in zip(p.rows, p.total, p.count, strict=True)}
    assert sum(len(part.rows) for part in parts) == len(found), "each row by one process"
    want = [plain_loss(bare_model, row) for row in rows]
    assert set(found) == {number for number, (_, count) in enumerate(want) if count}
    for number, (total, count) in found.items():
        assert count == want[number][1]
        assert total / count == pytest.approx(want[number][0] / want[number][1], abs=1e-5)
    assert parts[0].left_out.tolist() == [number for number, (_, count) in enumerate(want) if not count]
    assert all(np.isfinite(part.mean).all() for part in parts)


def test_a_model_of_another_kind_and_one_with_adapters(bare_model: Any) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    rows = random_rows(3, 9, 50, 40)
    gpt2 = GPT2LMHeadModel(GPT2Config(vocab_size=257, n_positions=64, n_embd=32, n_layer=2, n_head=2)).eval()
    lora = get_peft_model(bare_model, LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")).eval()
    with torch.no_grad():
        for name, weights in lora.named_parameters():
            if "lora_B" in name:
                weights.normal_()
    for other in (gpt2, lora):
        found = row_losses(other, rows, 200)
        for row, mean in zip(found.rows.tolist(), found.mean.tolist(), strict=True):
            total, count = plain_loss(other, rows[row])
            assert mean == pytest.approx(total / count, abs=1e-5)


def test_logits_are_made_only_where_a_learnt_token_comes_next(bare_model: Any) -> None:
    rows = random_rows(5, 9, 50, 50)
    made: list[int] = []
    hook = bare_model.lm_head.register_forward_hook(lambda _, __, logits: made.append(logits.shape[:-1].numel()))
    found = row_losses(bare_model, rows, 200)
    hook.remove()
    assert len(made) > 1
    assert sum(made) == found.count.sum()


def test_a_model_that_cannot_make_logits_at_some_places_only(bare_model: Any) -> None:
    import torch

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.device = bare_model, bare_model.device

        def forward(self, input_ids: Any, attention_mask: Any = None, use_cache: bool = True) -> Any:
            return self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache)

    rows = random_rows(4, 9, 50, 50)
    assert row_losses(Plain(), rows, 200).mean == pytest.approx(row_losses(bare_model, rows, 200).mean, abs=1e-6)


def test_transformers_own_loss_of_one_row_is_the_same(bare_model: Any) -> None:
    import torch

    row = Tokens(np.arange(5, 25, dtype=np.int32), np.arange(20) >= 8)
    ids = torch.tensor([row.ids.tolist()])
    labels = torch.where(torch.tensor([row.learnt.tolist()]), ids, -100)
    with torch.no_grad():
        theirs = float(bare_model(input_ids=ids, labels=labels).loss)
    assert row_losses(bare_model, [row]).mean[0] == pytest.approx(theirs, abs=1e-5)


def test_rows_without_a_token_to_learn_are_left_out_even_if_there_are_no_others(bare_model: Any) -> None:
    rows = [Tokens(np.arange(4, dtype=np.int32), np.zeros(4, np.bool_))] * 3
    found = row_losses(bare_model, rows)
    assert len(found.rows) == len(found.total) == 0
    assert found.left_out.tolist() == [0, 1, 2]


def test_a_loss_that_is_no_number_is_an_error(bare_model: Any) -> None:
    import torch

    with torch.no_grad():
        bare_model.lm_head.weight.fill_(math.nan)
    with pytest.raises(ModelError, match="must be a number, but the model gives 1 rows NaN or infinity, first row 0"):
        row_losses(bare_model, [Tokens(np.arange(4, dtype=np.int32), np.arange(4) > 1)])


@given(st.lists(st.integers(0, 50)), st.integers(1, 200))
def test_batches_hold_every_row_once_and_no_more_tokens_than_allowed(lengths: list[int], batch_tokens: int) -> None:
    batches = length_batches(lengths, batch_tokens)
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[row] for row in batch)
        assert len(batch) == 1 or longest * len(batch) <= batch_tokens
    flat = [lengths[row] for batch in batches for row in batch]
    assert flat == sorted(flat, reverse=True)
    with pytest.raises(SettingsError, match="at least 1 token"):
        length_batches(lengths, 0)


@given(st.integers(0, 20), st.integers(1, 5))
def test_shares_hold_every_batch_once_and_all_are_as_long(n: int, processes: int) -> None:
    shares = [shared_out(n, process, processes) for process in range(processes)]
    assert sorted(number for share in shares for number, counted in share if counted) == list(range(n))
    assert len({len(share) for share in shares}) == 1
    assert all(number < n for share in shares for number, _ in share)
