"""Continued pre-training: every token of a plain text is learnt, as in a plain loop, and in TRL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from preferences import arranged_of, preferences, texts, written
from righttime.cli import main
from righttime.errors import RowError
from righttime.evaluation import row_losses
from righttime.formats import from_records
from righttime.rows import Rows
from righttime.tokenization.counts import token_counts
from righttime.tokenization.masking import tokenised
from righttime.training import Oracle, Plan, TuneSettings, first_difference, read_records, tune, watch
from righttime.training.batches import collated
from righttime.training.models import load_model
from righttime.training.token_rows import TokenRows, token_rows
from righttime.training.trainer import OrderedTrainer, training_arguments

ROWS, BATCH = 7, 3


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return arranged_of(tmp_path_factory.mktemp("texts"), "text", texts(ROWS), "--method", "random")


def rows_of(rows: int) -> Rows:
    return from_records(texts(rows), role="pool", format="text").rows


@pytest.mark.parametrize("form", ["chat", "paper"])
def test_a_text_is_its_tokens_and_its_end_and_all_are_learnt(tiny: str, form: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    for row in rows_of(ROWS).examples():
        tokens = tokenised(row, tokenizer, form, 512)
        assert tokenizer.decode(tokens.ids) == row.as_dict()["text"] + "</s>"
        assert tokens.learnt.tolist() == [False] + [True] * (len(tokens.ids) - 1)
        cut = tokenised(row, tokenizer, form, 5)
        assert (cut.ids.tolist(), cut.cut) == (tokens.ids[:5].tolist(), len(tokens.ids) - 5)
    lengths = [len(tokenised(row, tokenizer, form, 512).ids) for row in rows_of(ROWS).examples()]
    assert token_counts(rows_of(ROWS), tiny) == lengths


def test_a_preference_has_the_tokens_of_its_longer_conversation_and_no_loss(tiny: str) -> None:
    made = from_records(preferences(4), role="pool", format="preference").rows
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    longest = [
        max(
            len(tokenizer.apply_chat_template([*row["prompt"], *row[key]], return_dict=True)["input_ids"])
            for key in ("chosen", "rejected")
        )
        for row in (one.as_dict() for one in made.examples())
    ]
    assert token_counts(made, tiny) == longest
    with pytest.raises(RowError, match=r"memory:1: a row must hold .* but row p0 holds two answers.*`to='trl'`"):
        tokenised(next(made.examples()), tokenizer, "chat", 512)


def test_gradients_are_those_of_a_plain_loop(tiny: str, tmp_path: Path) -> None:
    """transformers' own causal loss of each text by itself, tokens weighted alike."""
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    rows = token_rows(rows_of(ROWS), tokenizer, "chat", 512)
    model = load_model(tiny, TuneSettings())
    total = sum(len(row.ids) - 1 for row in rows.tokens)
    for row in texts(ROWS):
        ids = torch.tensor([[*tokenizer(row["text"])["input_ids"], tokenizer.eos_token_id]])
        (model(input_ids=ids, labels=ids).loss * (ids.shape[1] - 1) / total).backward()
    wanted = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    _trainer(model, rows, tmp_path).training_step(model, collated(range(ROWS), rows, pad=2), torch.tensor(total))
    for name, weight in model.named_parameters():
        torch.testing.assert_close(weight.grad, wanted[name], rtol=1e-5, atol=1e-7)


def _trainer(model: Any, rows: TokenRows, folder: Path) -> OrderedTrainer:
    plan = Plan(rows.ids, batch=ROWS)
    oracle = Oracle(plan, rows.hashes, folder / "consumed")
    arguments = training_arguments(TuneSettings(batch=ROWS), folder / "checkpoints")
    return OrderedTrainer(plan=plan, rows=rows, oracle=oracle, keep=None, pad=2, model=model, args=arguments)


def test_texts_are_tuned_on_measured_and_verified(tiny: str, out: Path, tmp_path: Path) -> None:
    target, run = str(out.parent / "target.jsonl"), tmp_path / "run"
    words = [
        "tune",
        str(out),
        "--model",
        tiny,
        "--out",
        str(run),
        "--batch-size",
        str(BATCH),
        "--learning-rate",
        "0.01",
    ]
    words += ["--target", target, "--target-format", "text", "--evaluate-every", "2"]
    assert main(words) == 0
    assert main(["verify", str(run), str(out)]) == 0
    assert main(["verify", str(out)]) == 0
    from righttime.evaluation import open_evaluation

    losses = open_evaluation(run / "evaluation").table.to_pylist()
    at = {step: [one["value"] for one in losses if one["step"] == step] for step in (0, 3)}
    assert sum(at[3]) < sum(at[0])
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    tokens = [tokenised(row, tokenizer, "chat", 512) for row in rows_of(2).examples()]
    by_hand = row_losses(AutoModelForCausalLM.from_pretrained(tiny), tokens).mean
    assert sorted(at[0]) == pytest.approx(sorted(by_hand.tolist()), rel=1e-6)


def test_an_arrangement_of_preferences_is_not_tuned_on(tiny: str, tmp_path: Path) -> None:
    out = arranged_of(tmp_path, "preference", preferences(4), "--method", "random", "--seed", "1")
    with pytest.raises(RowError, match=r"train.jsonl:1: a row must hold a conversation or a text to take the loss of"):
        tune(out, tiny, tmp_path / "run")


@pytest.mark.slow
def test_trl_is_fed_the_same_tokens_in_the_same_order(tiny: str, tmp_path: Path) -> None:
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    rows, plan = token_rows(rows_of(ROWS), tokenizer, "chat", 512), Plan(tuple(rows_of(ROWS).ids), batch=BATCH)
    config = SFTConfig(
        str(tmp_path / "out"),
        per_device_train_batch_size=BATCH,
        use_cpu=True,
        bf16=False,
        report_to="none",
        num_train_epochs=1,
        train_sampling_strategy="sequential",
    )
    trainer = SFTTrainer(tiny, config, train_dataset=Dataset.from_list(texts(ROWS)), processing_class=tokenizer)
    watch(trainer, Oracle(plan, rows.hashes, tmp_path / "consumed"))
    trainer.train()
    assert first_difference(plan, read_records(tmp_path / "consumed")) is None


def test_a_target_of_texts_must_be_named(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(tmp_path / "target.jsonl", texts(2))
    assert main(["evaluate", tiny, "--target", str(file), "--out", str(tmp_path / "out")]) == 1
    assert "plain texts for continued pre-training are read with" in capsys.readouterr().err
    words = ["evaluate", tiny, "--target", str(file), "--target-format", "text", "--metrics", "rouge"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 1
    assert "must have a row with an answer to take rouge of" in capsys.readouterr().err
