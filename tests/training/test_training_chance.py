"""A seed that can change nothing is said to change nothing, and no other is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from one_step import PLAIN, distance, step_gradients
from righttime.cli import main
from righttime.tokenization.loading import load_tokenizer
from righttime.training import Lora, Plan, TuneSettings, tune
from righttime.training.chance import drawn_by_chance
from righttime.training.models import load_model
from righttime.training.token_rows import arranged_rows, token_rows
from tiers import quick
from tiny_model import save_tiny_mixture, save_tiny_model

QUICK = TuneSettings(batch=10, learning_rate=1e-2)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A plain one, one with dropout in its attention, and one that lacks a weight."""
    folder = tmp_path_factory.mktemp("models")
    found = {name: save_tiny_model(folder / name) for name in ("plain", "lacking")}
    found["dropping"] = save_tiny_model(folder / "dropping", dropout=0.5)
    weights = load_file(folder / "lacking" / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, folder / "lacking" / "model.safetensors", metadata={"format": "pt"})
    return found


@pytest.mark.parametrize(
    ("model", "changes", "drawn"),
    quick(
        [
            ("plain", {}, []),
            ("plain", {"shuffle_after": 4}, []),  # of four steps: nothing is left to shuffle
            ("plain", {"shuffle_after": 1}, ["shuffle"]),
            ("plain", {"shuffle_after": 4, "epochs": 2}, ["shuffle"]),  # the second epoch is
            ("plain", {"lora": Lora(rank=2)}, ["adapters"]),
            ("plain", {"lora": Lora(rank=2, dropout=0.5)}, ["adapters", "dropout"]),
            ("dropping", {}, ["dropout"]),
            ("lacking", {}, ["missing weights"]),
        ],
        0,
        2,
        5,
    ),
)
def test_what_the_seed_decides_is_told_as_the_weights_have_it(
    models: dict[str, str], arranged: Path, tmp_path: Path, model: str, changes: dict[str, object], drawn: list[str]
) -> None:
    made = []
    for seed in (1, 2):
        settings = dataclasses.replace(QUICK, seed=seed, **changes)  # type: ignore[arg-type]
        said: list[str] = []
        done = tune(arranged, models[model], tmp_path / str(seed), settings, say=said.append)
        assert list(done.manifest.drawn_by_chance) == drawn
        notes = [line for line in "\n".join(said).splitlines() if "changes nothing" in line]
        assert [line.removeprefix("note: ") for line in notes] == list(done.manifest.notes)
        assert len(notes) == (not drawn)
        made.append(load_file(next((tmp_path / str(seed) / "model").glob("*.safetensors"))))
    same = all(torch.equal(made[0][name], made[1][name]) for name in made[0])
    assert same == (not drawn)


def test_who_gives_no_seed_is_told_nothing_of_it(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["tune", str(arranged), "--model", tiny, "--run", str(tmp_path / "run"), "--batch", "37"]
    assert main(words) == 0
    assert "changes nothing" not in capsys.readouterr().out
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["settings"]["seed"], manifest["drawn_by_chance"], manifest["notes"]) == (0, [], [])
    assert main([*words, "--seed", "0", "--overwrite"]) == 0
    assert "note: seed 0 changes nothing in this run" in capsys.readouterr().out


@pytest.mark.parametrize("part", [None, "attn_pdrop", "resid_pdrop", "embd_pdrop"])
def test_dropout_is_found_wherever_it_is(part: str | None) -> None:
    """A GPT-2 has four, and the fourth is of a head that a language model lacks."""
    none = dict.fromkeys(("attn_pdrop", "resid_pdrop", "embd_pdrop"), 0.0)
    config = GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=9, **{**none, **({part: 0.1} if part else {})})
    assert config.summary_first_dropout > 0
    plan = Plan(("a",))
    assert drawn_by_chance(plan, QUICK, GPT2LMHeadModel(config), False) == (["dropout"] if part else [])


@pytest.mark.parametrize(
    "layout", quick([{}, {"batch_tokens": 160}, {"pack_tokens": 200}], 2), ids=["plain", "grouped", "packed"]
)
def test_the_loss_of_a_router_is_left_out_and_that_is_said(
    arranged: Path, tmp_path: Path, layout: dict[str, Any]
) -> None:
    """A router's loss that would change every gradient changes none, in any layout."""
    asked = save_tiny_mixture(tmp_path / "asked", output_router_logits=True, router_aux_loss_coef=10.0)
    not_asked = save_tiny_mixture(tmp_path / "not-asked", router_aux_loss_coef=10.0)
    rows = token_rows(arranged_rows(arranged), load_tokenizer(asked), "chat", 512)
    settings = dataclasses.replace(PLAIN, epochs=1, **layout)
    found = step_gradients(load_model(asked, settings), rows, settings, tmp_path / "1")
    wanted = step_gradients(load_model(not_asked, PLAIN), rows, PLAIN, tmp_path / "2")
    assert distance(found, wanted) < 1e-5
    said: list[str] = []
    done = tune(arranged, asked, tmp_path / "run", settings, say=said.append)
    (note,) = done.manifest.notes
    assert "asks for a loss of its router (router_aux_loss_coef 10.0), which is left out" in note
    assert f"note: {note}" in said
    assert tune(arranged, not_asked, tmp_path / "other", settings).manifest.notes == ()
