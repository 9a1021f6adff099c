"""Answers: greedy ones against picking the likeliest token one row at a time; drawn ones by their seed."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from righttime.errors import SettingsError
from righttime.evaluation import GenerationSettings, generated


def prompts(n: int) -> list[NDArray[np.int32]]:
    rng = np.random.default_rng(0)
    return [rng.integers(2, 257, int(rng.integers(1, 40))).astype(np.int32) for _ in range(n)]


def likeliest(model: Any, prompt: NDArray[np.int32], most: int, end: int) -> list[int]:
    import torch

    said: list[int] = []
    while len(said) < most and (not said or said[-1] != end):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[*prompt.tolist(), *said]])).logits[0, -1]
        said.append(int(logits.argmax()))
    return said


def test_greedy_answers_do_not_depend_on_their_batch(bare_model: Any, bare_tokenizer: Any) -> None:
    asked, settings = prompts(9), GenerationSettings(max_new_tokens=12)
    want = [likeliest(bare_model, prompt, 12, bare_tokenizer.eos_token_id) for prompt in asked]
    for batch_tokens in (1, 150, 10_000):
        got = generated(bare_model, bare_tokenizer, asked, settings, batch_tokens)
        assert got.rows.tolist() == list(range(9))
        assert got.texts == tuple(bare_tokenizer.decode(said, skip_special_tokens=True).strip() for said in want)
        assert got.tokens.tolist() == [len(said) for said in want]
        assert got.cut == 0


def test_each_token_after_the_first_is_made_from_one(bare_model: Any, bare_tokenizer: Any) -> None:
    """The keys and values of the tokens before it are kept, also while training, which turns that off."""
    read: list[int] = []
    bare_model.config.use_cache = False
    bare_model.model.register_forward_hook(lambda _, __, found: read.append(found.last_hidden_state.shape[1]))
    bare_model.generation_config.eos_token_id = bare_tokenizer.eos_token_id = None
    got = generated(bare_model, bare_tokenizer, [np.arange(2, 12, dtype=np.int32)], GenerationSettings(4))
    assert got.tokens.tolist() == [4]
    assert read == [10, 1, 1, 1]


def test_an_answer_ends_where_the_model_ends_it(bare_model: Any, bare_tokenizer: Any) -> None:
    import torch

    with torch.no_grad():
        bare_model.model.norm.weight.zero_()  # all logits alike, so the first token, which is made the end
    bare_tokenizer.eos_token = "<s>"
    got = generated(bare_model, bare_tokenizer, prompts(3), GenerationSettings(max_new_tokens=12))
    assert got.tokens.tolist() == [1, 1, 1]
    assert got.texts == ("", "", "")


def test_drawn_answers_go_by_their_seed_and_leave_no_trace(bare_model: Any, bare_tokenizer: Any) -> None:
    import torch

    bare_model.train()
    bare_model.lm_head.eval()  # as frozen parts may be, beside others that train
    states = (torch.get_rng_state(), random.getstate(), np.random.get_state(legacy=False)["state"]["key"].copy())
    asked = prompts(6)
    drawn = [
        generated(bare_model, bare_tokenizer, asked, GenerationSettings(8, sample=True, seed=seed)).texts
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0] != generated(bare_model, bare_tokenizer, asked, GenerationSettings(8)).texts
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert (np.random.get_state(legacy=False)["state"]["key"] == states[2]).all()
    assert bare_model.training
    assert bare_model.model.training
    assert not bare_model.lm_head.training


def test_a_prompt_that_is_too_long_loses_its_front(bare_model: Any, bare_tokenizer: Any) -> None:
    long = np.tile(prompts(1)[0], 40)[:600]
    got = generated(bare_model, bare_tokenizer, [long], GenerationSettings(max_new_tokens=4))
    assert got.cut == 1
    want = generated(bare_model, bare_tokenizer, [long[-508:]], GenerationSettings(max_new_tokens=4))
    assert (got.texts, want.cut) == (want.texts, 0)
    with pytest.raises(SettingsError, match="must leave room for a prompt, but the model reads 512"):
        generated(bare_model, bare_tokenizer, [long], GenerationSettings(max_new_tokens=512))


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(SettingsError, match="max_new_tokens must be at least 1"):
        GenerationSettings(0)
    with pytest.raises(SettingsError, match="got 0 and 1.0"):
        GenerationSettings(temperature=0)
