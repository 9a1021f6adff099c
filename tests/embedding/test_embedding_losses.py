"""Losses as scores, against a plain computation of one row at a time; cached, resumed, refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from righttime.embedding.losses import LossScorer, losses_of
from righttime.errors import EmbeddingError, RighttimeError
from righttime.examples import Example, Message
from righttime.rows import ExampleRows
from tiny_model import CHATML, save_tiny_model


def row(number: int, *turns: str) -> Example:
    roles = ("user", "assistant")
    messages = tuple(Message(roles[place % 2], turn) for place, turn in enumerate(turns))
    return Example(f"row-{number}", None, "pool", "pool.jsonl", number + 1, messages)


ROWS = [
    row(0, "2+2?", "4"),
    row(1, "Name three colours of a traffic light.", "Red, yellow and green."),
    row(2, "Say it.", "It. " * 40),
    row(3, "Who?", "Me.", "Why?", "Because I was there."),
    row(4, "2+2?", "4"),
]


@pytest.fixture(scope="module", params=["paper", "chat"])
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    if request.param == "paper":
        return save_tiny_model(folder, template=None)
    return save_tiny_model(folder, template=CHATML, ends="<|im_end|>")


def twin(model: str, rows: Sequence[Example]) -> list[float]:
    """Mean loss over the tokens of the answers, one row at a time: all logits, no padding, probabilities by hand."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, net = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model).eval()
    found = []
    for one in rows:
        ids: list[int] = []
        answers: list[int] = []
        if not tokenizer.chat_template:
            ids += [tokenizer.bos_token_id]
        for turn in one.messages:
            learnt = turn.role == "assistant"
            around = {True: ("\nAssistant: ", "</s>"), False: ("User: ", "")}[learnt]
            if tokenizer.chat_template:
                around = (f"<|im_start|>{turn.role}\n", "<|im_end|>")
            parts = [(around[0], False), (turn.content + around[1], learnt)]
            if tokenizer.chat_template:
                parts.append(("\n", False))
            elif not learnt:
                parts = [(around[0] + turn.content, False)]
            for text, counts in parts:
                new = tokenizer(text, add_special_tokens=False)["input_ids"]
                answers += range(len(ids), len(ids) + len(new)) if counts else []
                ids += new
        with torch.no_grad():
            logits = net(torch.tensor([ids])).logits[0].double()
        losses_ = [float(torch.logsumexp(logits[at - 1], 0) - logits[at - 1, ids[at]]) for at in answers]
        found.append(sum(losses_) / len(losses_))
    return found


def scored(model: str, rows: Sequence[Example], cache: Path, **how: Any) -> NDArray[np.float64]:
    return losses_of(ExampleRows(rows), LossScorer(model, device="cpu", **how), cache)[0]


def test_losses_equal_the_twin(tiny: str, tmp_path: Path) -> None:
    found = scored(tiny, ROWS, tmp_path)
    assert found == pytest.approx(twin(tiny, ROWS), rel=1e-5)
    assert found[0] == found[4], "equal rows are computed once"
    assert len(set(found.tolist())) == 4


def test_they_are_those_of_evaluation(tiny: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from righttime.evaluation import row_losses
    from righttime.tokenization.masking import resolve_form, tokenised

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokens = [tokenised(one, tokenizer, resolve_form(tokenizer, "auto"), 512) for one in ROWS]
    want = row_losses(AutoModelForCausalLM.from_pretrained(tiny), tokens).mean
    assert scored(tiny, ROWS, tmp_path) == pytest.approx(want, rel=1e-6)


def test_a_long_row_keeps_its_answers_beginning(tiny: str, tmp_path: Path) -> None:
    scorer = LossScorer(tiny, max_length=24, device="cpu")
    long = row(0, "word " * 60, "Yes, it is.")
    ids, _, learnt = scorer.text_of(long).partition("|")
    read = scorer._read(scorer.text_of(long))
    assert len(read.ids) == 24
    assert read.learnt.sum() == learnt.count("1")
    assert read.ids.tolist() == [int(one) for one in ids.split()][-24:]
    answer = scorer._read(scorer.text_of(row(1, "word " * 60, "no " * 90)))
    assert len(answer.ids) == 24
    assert answer.learnt.tolist() == [False] + [True] * 23, "one token before the answer, and its first ones"
    assert losses_of(ExampleRows([long]), scorer, tmp_path)[1]["truncated"] == 1


def test_a_killed_run_continues(tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LossScorer, "tokens_per_batch", 60, raising=False)
    whole, seen = scored(tiny, ROWS, tmp_path / "whole"), []
    embed = LossScorer.embed

    def dying(scorer: LossScorer, texts: Sequence[str]) -> NDArray[np.float32]:
        seen.append(list(texts))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return embed(scorer, texts)

    monkeypatch.setattr(LossScorer, "embed", dying)
    with pytest.raises(KeyboardInterrupt):
        scored(tiny, ROWS, tmp_path / "killed")
    again = scored(tiny, ROWS, tmp_path / "killed")
    assert again.tolist() == whole.tolist()
    assert all(seen.count(batch) == 1 for batch in seen if batch != seen[1]), "what was done is not done again"
    n = len(seen)
    assert scored(tiny, ROWS, tmp_path / "killed").tolist() == whole.tolist()
    assert len(seen) == n


def test_a_row_without_an_answer_is_named(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"needs an answer in every row, but row row-7 \(pool.jsonl:8\) has none"):
        scored(tiny, [*ROWS, row(7, "Alone?")], tmp_path)


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(RighttimeError, match="nobody/nothing"):
        _ = LossScorer("nobody/nothing").form
