"""Rewards read at the last token of each conversation, whatever the tokenizer pads with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from righttime.errors import ModelError
from righttime.evaluation import RewardModel
from righttime.examples import Message

TALKS = [
    [Message("user", "question " * n), Message("assistant", "answer" + " word" * (3 * n % 7))] for n in range(1, 9)
]


@pytest.fixture(params=["none", "end of text", "its own"])
def reward_folder(request: pytest.FixtureRequest, bare: Path, bare_tokenizer: Any, tmp_path: Path) -> Path:
    """A reward model whose bare_tokenizer has no padding token, the end of text for one, or one of its own."""
    import torch
    from transformers import AutoConfig, LlamaForSequenceClassification

    torch.manual_seed(1)
    config = AutoConfig.from_pretrained(bare, num_labels=1)
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    if request.param == "end of text":
        bare_tokenizer.pad_token = "</s>"
    if request.param == "its own":
        bare_tokenizer.pad_token = "q"
    # Every text ends with the end of text, as reward models' templates have it.
    bare_tokenizer.chat_template = "{% for turn in messages %}{{ turn['content'] }}{{ eos_token }}{% endfor %}"
    bare_tokenizer.save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("batch_tokens", [1, 60, 10_000])
def test_rewards_are_those_of_each_conversation_alone(reward_folder: Path, batch_tokens: int) -> None:
    import torch

    judge = RewardModel(str(reward_folder), device="cpu")
    got = judge.rewards(TALKS, batch_tokens)
    for talk, value in zip(TALKS, got.tolist(), strict=True):
        text = "".join(turn.content + "</s>" for turn in talk)
        ids = judge.tokenizer(text, return_tensors="pt")["input_ids"]
        assert int(ids[0, -1]) == judge.tokenizer.eos_token_id
        with torch.no_grad():
            states = judge.model.model(input_ids=ids).last_hidden_state[0, -1]
            want = float(judge.model.score(states)[0])
        assert value == pytest.approx(want, abs=1e-5)


def test_a_reward_that_is_no_number_is_an_error(reward_folder: Path) -> None:
    import torch

    judge = RewardModel(str(reward_folder), device="cpu")
    with torch.no_grad():
        judge.model.score.weight.fill_(float("nan"))
    with pytest.raises(ModelError, match="gives conversation 0 NaN"):
        judge.rewards(TALKS)


def test_a_model_that_is_no_reward_model_is_refused(bare: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig, LlamaForSequenceClassification

    with pytest.raises(ModelError, match="must be a folder or hub name of a sequence-classification model"):
        RewardModel(str(tmp_path)).rewards(TALKS)
    LlamaForSequenceClassification(AutoConfig.from_pretrained(bare, num_labels=3)).save_pretrained(tmp_path)
    for file in bare.glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ModelError, match="must have 1 output, but .* has 3"):
        RewardModel(str(tmp_path)).rewards(TALKS)
