"""Rearranging by the model's loss and by gradients: by the definition, after kills, verified; refused where it cannot.

What holds of every way, hidden states' too, is in ``test_training_rearranged.py``.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from forging import Edit, each, parsed, put
from made_experiments import InProcess, made_data, written
from rearranged_runs import (
    FAST,
    STEPS,
    column,
    contents,
    effective,
    numbers,
    of_step,
    planted_order,
    said,
    sealed,
)
from righttime.cli import main
from righttime.embedding.adapters import ADAPTED
from righttime.errors import EmbeddingError, ModelError, SettingsError, StoreError
from righttime.evaluation.checkpoints import load_evaluated
from righttime.experiment import read_experiment, run_experiment
from righttime.rows import Rows
from righttime.training import Lora, TuneSettings, first_difference, open_run, read_records, tune
from righttime.training.anew import FOCUSES, by_loss, order_table
from righttime.training.live import Asked, said_by
from righttime.training.rearranged import read_rearranged
from righttime.training.rearranger import rearranged_sides
from righttime.training.token_rows import arranged_rows, token_rows, tokens_key
from righttime.training.ways import WAYS, way_named
from righttime.verification.run import verify
from stopped_runs import StopAt, weights
from tiers import quick
from tiny_model import save_tiny_model
from twin import matrix, tma_order

BY = {name: dataclasses.replace(FAST, rearrange_by=name) for name in ("loss", "gradients")}
ADAM = "gradients:adam"
BY[ADAM] = dataclasses.replace(FAST, rearrange_by=ADAM, lora=Lora(rank=4))
WHOLE = [by for by in BY if by != ADAM]  # of a model without adapters
LOSSES = "every rearrangement is the rows left by their losses, high first"
ROUNDS = "every rearrangement is TMA's rounds over its vectors and the rows left"
MODEL = {"loss": "the losses are those of the model of that step"}
MODEL["gradients"] = MODEL[ADAM] = "the vectors are those of the model of that step"
ORDER = {"loss": LOSSES, "gradients": ROUNDS, ADAM: ROUNDS}


@pytest.fixture(scope="module")
def runs(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """37 rows in 10 steps, rearranged four times by each way, every checkpoint kept."""
    folder = tmp_path_factory.mktemp("runs")
    for name, settings in BY.items():
        tune(arranged, tiny, folder / name, settings)
    return {name: folder / name for name in BY}


def fed(tiny: str, rows: Rows) -> list[tuple[Any, Any]]:
    """Tokens of rows and their labels, each a batch of one."""
    found = []
    for row in token_rows(rows, AutoTokenizer.from_pretrained(tiny), "chat", 512).tokens:
        ids = torch.from_numpy(row.ids.astype(np.int64))
        found.append((ids[None], torch.where(torch.from_numpy(row.learnt), ids, -100)[None]))
    return found


def mean_loss(model: Any, row: tuple[Any, Any]) -> Any:
    return model(input_ids=row[0], labels=row[1]).loss


def sorts_by(focus: str, loss: float, middle: float) -> float:
    """What rows are sorted by, ascending."""
    return {"high": -loss, "low": loss, "medium": abs(loss - middle)}[focus]


def left_at(consumed: list[int], step: int) -> list[int]:
    return sorted(set(range(37)) - set(consumed[: 4 * step]))


@pytest.mark.parametrize("focus", FOCUSES)
def test_each_order_by_loss_is_the_definition_by_the_checkpoint_of_its_step(
    tiny: str, arranged: Path, tmp_path: Path, focus: str
) -> None:
    tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, rearrange_by=f"loss:{focus}"))
    rows, consumed = fed(tiny, arranged_rows(arranged)), effective(tmp_path / "run")
    assert consumed[:8] == list(range(8)), "the arrangement, until the first rearrangement"
    for step in STEPS:
        left = left_at(consumed, step)
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "checkpoints" / f"checkpoint-{step}")
        with torch.no_grad():
            loss = {place: float(mean_loss(model, rows[place])) for place in left}
        middle = median(loss.values())
        key = {place: sorts_by(focus, value, middle) for place, value in loss.items()}
        want = sorted(left, key=key.__getitem__)[:8]
        assert consumed[4 * step : 4 * (step + 2)] == want
        found = read_rearranged(tmp_path / "run", step)
        assert found is not None
        assert found.numbers == pytest.approx([loss[place] for place in left], abs=1e-6)
        assert found.order["loss"].to_pylist() == pytest.approx([loss[place] for place in want], abs=1e-6)
    assert sorted(consumed) == list(range(37)), "each row once"


def projected(model: Any, row: tuple[Any, Any]) -> NDArray[np.float64]:
    """A row's gradient of B in W + 4·B·A with B = 0, of rank 8, projected by the signs of 1,024 dimensions."""
    parts = []
    layers = [layer for name, layer in model.named_modules() if name.rpartition(".")[2] in ADAPTED]
    for place, layer in enumerate(layers):
        rng, (n_out, n_in) = np.random.default_rng([0, place]), layer.weight.shape
        bound = 1 / np.sqrt(n_in)
        a = torch.tensor(rng.uniform(-bound, bound, size=(8, n_in)), dtype=torch.float32)
        b = torch.zeros((n_out, 8), requires_grad=True)
        signs = torch.tensor(rng.integers(0, 2, size=(n_out * 8, 1024), dtype=np.int8) * 2 - 1)
        layer.forward = lambda x, w=layer.weight, b=b, a=a: x @ (w + 4 * b @ a).T
        parts.append((b, signs))
    mean_loss(model, row).backward()
    flat = [b.grad.reshape(-1).double() @ signs.double() for b, signs in parts if b.grad is not None]
    assert len(flat) == len(layers)
    return np.asarray(torch.stack(flat).sum(dim=0).numpy())


def test_each_order_by_gradients_is_the_definition_by_the_checkpoint_of_its_step(
    tiny: str, arranged: Path, runs: dict[str, Path]
) -> None:
    run, sides = runs["gradients"], rearranged_sides(arranged, None, way_named("gradients"))
    rows, target, consumed = fed(tiny, sides.rows), fed(tiny, sides.target), effective(runs["gradients"])
    for step in STEPS:
        left = left_at(consumed, step)
        path = run / "checkpoints" / f"checkpoint-{step}"
        each_row = [*(rows[place] for place in left), *target]
        raw = np.array([projected(AutoModelForCausalLM.from_pretrained(path), row) for row in each_row])
        unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
        near = np.asarray(unit[: len(left)] @ unit[len(left) :].T, dtype=np.float32)
        want = [left[row] for row, *_ in tma_order(near, 8)]
        assert consumed[4 * step : 4 * (step + 2)] == want
        found = read_rearranged(run, step)
        assert found is not None
        assert np.allclose(found.numbers, unit, atol=1e-5, rtol=0)


def adams_step(weight: Any, state: dict[str, Any]) -> Any:
    """What torch's AdamW moves a weight by at a rate of 1, by its gradient and the state that it had."""
    moved = torch.zeros_like(weight, requires_grad=True)
    moved.grad = weight.grad
    adam = torch.optim.AdamW([moved], lr=1.0, weight_decay=0.0, betas=FAST.betas, eps=FAST.eps)
    adam.state[moved] = {name: value.clone() for name, value in state.items()}
    adam.step()
    return -moved.detach()


def signed(model: Any, parts: dict[str, Any]) -> NDArray[np.float64]:
    """Numbers of adapters' weights, projected by the signs of 1,024 dimensions, B's of a layer before A's."""
    total = np.zeros(1024)
    layers = [name for name, layer in model.named_modules() if hasattr(layer, "lora_A")]
    for place, layer in enumerate(layers):
        flat = np.concatenate([parts[f"{layer}.lora_{matrix}.default.weight"].flatten().double() for matrix in "BA"])
        signs = np.random.default_rng([0, place]).integers(0, 2, size=(len(flat), 1024), dtype=np.int8)
        total += flat @ (signs.astype(np.float64) * 2 - 1)
    return total


def test_the_first_and_last_order_by_adams_steps_are_the_definition_by_the_optimizer_of_that_step(
    tiny: str, arranged: Path, runs: dict[str, Path]
) -> None:
    """From the state that the Trainer keeps to resume from, which rearranging does not read."""
    sides = rearranged_sides(arranged, None, way_named(ADAM))
    rows, target, consumed = fed(tiny, sides.rows), fed(tiny, sides.target), effective(runs[ADAM])
    for step in (STEPS[0], STEPS[-1]):
        left = left_at(consumed, step)
        path = runs[ADAM] / "checkpoints" / f"checkpoint-{step}"
        model = AutoPeftModelForCausalLM.from_pretrained(path, is_trainable=True).eval()
        trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        states = torch.load(path / "optimizer.pt", weights_only=True)["state"]
        raw = []
        for number, row in enumerate([*(rows[place] for place in left), *target]):
            model.zero_grad()
            mean_loss(model, row).backward()
            parts = {name: weight.grad for name, weight in trained.items()}
            if number < len(left):
                parts = {name: adams_step(weight, states[n]) for n, (name, weight) in enumerate(trained.items())}
            raw.append(signed(model, parts))
        unit = np.array(raw) / np.linalg.norm(raw, axis=1, keepdims=True)
        found = read_rearranged(runs[ADAM], step)
        assert found is not None
        assert np.allclose(found.numbers, unit, atol=1e-5, rtol=0)
        near = np.asarray(unit[: len(left)] @ unit[len(left) :].T, dtype=np.float32)
        assert consumed[4 * step : 4 * (step + 2)] == [left[row] for row, *_ in tma_order(near, 8)]


def test_a_step_on_the_row_of_the_best_gradient_lowers_the_targets_loss_most(tiny: str, arranged: Path) -> None:
    """What the products stand for: against the plain way, a small step on each row and the target evaluated anew."""
    sides = rearranged_sides(arranged, None, way_named("gradients"))
    rows, target = fed(tiny, sides.rows)[:12], fed(tiny, sides.target)[:1]
    tokens = token_rows(sides.rows, AutoTokenizer.from_pretrained(tiny), "chat", 512).tokens[:12]
    asks = token_rows(sides.target, AutoTokenizer.from_pretrained(tiny), "chat", 512).tokens[:1]
    model = AutoModelForCausalLM.from_pretrained(tiny).eval()
    asked = Asked([tokens_key(row) for row in (*tokens, *asks)], 12, (*tokens, *asks))
    unit = ask(model, tiny, asked, "gradients").numbers
    falls = []
    for row in rows:
        stepped = AutoModelForCausalLM.from_pretrained(tiny).eval()
        layers = [one for name, one in stepped.named_modules() if name.rpartition(".")[2] in ADAPTED]
        stepped.requires_grad_(False)
        for layer in layers:
            layer.weight.requires_grad_(True)
        mean_loss(stepped, row).backward()
        length = torch.sqrt(sum((layer.weight.grad**2).sum() for layer in layers))
        with torch.no_grad():
            for layer in layers:
                layer.weight -= 1e-2 * layer.weight.grad / length
            falls.append(float(mean_loss(model, target[0]) - mean_loss(stepped, target[0])))
    products = unit[:12] @ unit[12]
    assert np.corrcoef(falls, products)[0, 1] > 0.8


def ask(model: Any, name: str, asked: Asked, by: str, **changes: Any) -> Any:
    settings = dataclasses.replace(FAST, rearrange_by=by, **changes)
    tokenizer = AutoTokenizer.from_pretrained(name)
    return said_by(model, tokenizer, asked, settings, name=name, step=1, max_length=512, folder=None)


@given(st.lists(st.none() | st.integers(0, 4), min_size=1, max_size=9), st.sampled_from(list(FOCUSES)))
def test_losses_are_sorted_as_the_twin_sorts_them(losses: list[int | None], focus: str) -> None:
    """Few different losses, so that ties are many; a row without one comes last."""
    having = [loss for loss in losses if loss is not None]
    keys = [(loss is None, 0.0 if loss is None else sorts_by(focus, loss, median(having))) for loss in losses]
    raw = np.array([np.nan if loss is None else loss for loss in losses], dtype=np.float64)
    assert by_loss(raw, focus).tolist() == sorted(range(len(losses)), key=keys.__getitem__)


@given(st.data())
def test_rows_without_a_gradient_stand_behind_the_rounds(data: st.DataObject) -> None:
    n_left, n_target = data.draw(st.integers(1, 7)), data.draw(st.integers(1, 3))
    numbers_of = st.lists(st.integers(-1, 1), min_size=2, max_size=2)
    raw = np.array(data.draw(st.lists(numbers_of, min_size=n_left + n_target, max_size=n_left + n_target)), np.float32)
    length = np.linalg.norm(raw, axis=1, keepdims=True)
    unit = np.divide(raw, length, out=np.zeros_like(raw), where=length > 0)
    count, names = data.draw(st.integers(1, n_left)), tuple("abcdefg"[:n_left])
    targets = tuple("xyz"[:n_target])
    rows = [row for row in range(n_left) if unit[row].any()]
    asks = [row for row in range(n_target) if unit[n_left + row].any()]
    want: list[tuple[Any, ...]] = []
    if rows and asks:
        near = matrix(unit[rows], unit[[n_left + row for row in asks]])
        want = [(10 + rows[row], number, asks[by], value) for row, number, by, value in tma_order(near, None)]
    want += [(10 + row, None, None, None) for row in range(n_left) if 10 + row not in {one[0] for one in want}]
    table = order_table(unit, np.arange(10, 10 + n_left), np.full(count, -1), (("",) * 10 + names, targets), None)
    columns = ("place", "round", "picked_by_row", "similarity")
    assert list(zip(*(table[name].to_pylist() for name in columns), strict=True)) == want[:count]
    assert table["picked_by"].to_pylist() == [None if one[2] is None else targets[one[2]] for one in want[:count]]


@pytest.mark.parametrize("by", ["loss", "gradients", "gradients:subspace=2"])
def test_rows_with_nothing_to_learn_have_no_number(tiny: str, arranged: Path, by: str) -> None:
    sides = rearranged_sides(arranged)
    tokens = list(token_rows(sides.rows, AutoTokenizer.from_pretrained(tiny), "chat", 512).tokens[:6])
    tokens[1] = dataclasses.replace(tokens[1], learnt=np.zeros_like(tokens[1].learnt))
    asked = Asked([tokens_key(row) for row in tokens], 4 if "gradients" in by else 6, tokens)
    model = AutoModelForCausalLM.from_pretrained(tiny)
    found = ask(model, tiny, asked, by).numbers
    there = ~np.isnan(found) if by == "loss" else found.any(axis=1)
    assert there.tolist() == [True, False, True, True, True, True]
    without = Asked(asked.texts[1:2], 1, tokens[1:2])
    assert not np.nan_to_num(ask(model, tiny, without, by).numbers).any(), "none has any"


def test_rows_with_nothing_to_learn_have_no_step_of_adams(tiny: str, arranged: Path, runs: dict[str, Path]) -> None:
    """Neither of the pool nor of the target; a row on both sides has a step on one and a gradient on the other."""
    checkpoint = runs[ADAM] / "checkpoints" / "checkpoint-2"
    tokenizer, model = AutoTokenizer.from_pretrained(tiny), load_evaluated(str(checkpoint))
    one, other, third = token_rows(rearranged_sides(arranged).rows, tokenizer, "chat", 512).tokens[:3]
    none = dataclasses.replace(third, learnt=np.zeros_like(third.learnt))
    tokens = [one, none, other, none, one, third]
    asked = Asked([tokens_key(row) for row in tokens], 3, tokens)
    settings: dict[str, Any] = {"name": tiny, "step": 2, "max_length": 512, "folder": None, "moments": checkpoint}
    found = said_by(model, tokenizer, asked, BY[ADAM], **settings)
    assert found.numbers.any(axis=1).tolist() == [True, False, True, False, True, True]
    assert (found.about["gradient"], found.about["target_gradient"]) == ("adam", "plain")
    assert found.numbers[0] @ found.numbers[4] < 0.99
    plain = said_by(model, tokenizer, asked, dataclasses.replace(BY[ADAM], rearrange_by="gradients"), **settings)
    assert np.allclose(plain.numbers[4], found.numbers[4], atol=1e-6)
    without = dataclasses.replace(asked, texts=asked.texts[1:4:2], n_left=1, tokens=[none, none])
    assert not said_by(model, tokenizer, without, BY[ADAM], **settings).numbers.any()


@pytest.mark.parametrize("by", WHOLE)
def test_the_model_is_left_as_it_was(arranged: Path, tmp_path: Path, by: str) -> None:
    name = save_tiny_model(tmp_path / "model", dropout=0.1)
    model = AutoModelForCausalLM.from_pretrained(name)
    model.train()
    state, before = torch.get_rng_state(), {key: value.clone() for key, value in model.state_dict().items()}
    tokens = token_rows(arranged_rows(arranged), AutoTokenizer.from_pretrained(name), "chat", 512).tokens[:9]
    asked = Asked([tokens_key(row) for row in tokens], 5, tokens)
    once, twice = ask(model, name, asked, by).numbers, ask(model, name, asked, by).numbers
    assert np.array_equal(once, twice), "no dropout"
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()


@pytest.mark.parametrize("by", WHOLE)
def test_a_model_whose_weights_diverged_is_said(tiny: str, arranged: Path, by: str) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny)
    torch.nn.init.constant_(model.lm_head.weight, float("nan"))
    tokens = token_rows(arranged_rows(arranged), AutoTokenizer.from_pretrained(tiny), "chat", 512).tokens[:3]
    with pytest.raises((ModelError, EmbeddingError), match="NaN or infinity"):
        ask(model, tiny, Asked([tokens_key(row) for row in tokens], 2, tokens), by)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("stop", [4, *(pytest.param(stop, marks=pytest.mark.slow) for stop in (2, 5, 9))])
def test_a_stopped_run_goes_on_to_the_same_bytes(
    tiny: str, arranged: Path, runs: dict[str, Path], tmp_path: Path, by: str, stop: int
) -> None:
    run, rarely = tmp_path / "run", dataclasses.replace(BY[by], save_every=3)
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, rarely, callbacks=[StopAt(stop)])
    there = {path: path.stat().st_mtime_ns for path in (run / "plans").rglob("*.*")}
    assert len(there) == 3 * len([step for step in STEPS if step <= stop]), "written before the step"
    done = tune(arranged, tiny, run, rarely)
    assert contents(run) == contents(runs[by])
    assert all(path.stat().st_mtime_ns == time for path, time in there.items()), "what was written is used"
    ends, wanted = weights(run), weights(runs[by])
    assert all(torch.equal(value, wanted[name]) for name, value in ends.items())
    assert first_difference(done.job.plan, read_records(run / "consumed")) is None


@pytest.mark.parametrize("by", WHOLE)
def test_what_was_written_decides_after_a_stop(tiny: str, arranged: Path, tmp_path: Path, by: str) -> None:
    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, BY[by], callbacks=[StopAt(4)])
    planted = planted_order(run, 4)
    done = tune(arranged, tiny, run, BY[by])
    assert effective(run)[16:24] == planted
    assert done.manifest.first_difference is None
    assert said(verify(run, arranged), False) == [ORDER[by]]


@pytest.mark.parametrize("by", BY)
def test_it_is_all_verified(arranged: Path, runs: dict[str, Path], tmp_path: Path, by: str) -> None:
    findings = verify(runs[by], arranged)
    assert [finding for finding in findings if not finding.ok] == []
    details = {finding.what: finding.detail for finding in findings}
    assert details[ORDER[by]] == "4 of them"
    assert details[MODEL[by]] == "of 4 of 4 steps, whose checkpoints were kept, to the bit"
    run = Path(shutil.copytree(runs[by], tmp_path / "run"))
    shutil.rmtree(run / "checkpoints")
    findings = verify(run, arranged)
    assert said(findings, None) == [MODEL[by]]
    assert said(findings, False) == []


def settled(name: str, value: Any) -> Edit:
    """Say another setting, wherever it is said."""
    return each(*(parsed(file, put("settings", name, value=value)) for file in ("run.json", "manifest.json")))


def exchanged(found: NDArray[Any]) -> None:
    """Exchange the highest loss, or the first vector, with another."""
    one = int(found.argmax()) if found.ndim == 1 else 0
    found[[one, 5]] = found[[5, one]]


def nudged(found: NDArray[Any]) -> None:
    """Change a number by little, so that the order stays."""
    at = (int(found.argmin()),) if found.ndim == 1 else (0, 0)
    found[at] += 2e-4


def turned(run: Path) -> None:
    planted_order(run, 4)


FORGERIES: dict[str, tuple[Edit, dict[str, str]]] = {
    "an order turned around": (turned, ORDER),
    "numbers of two rows exchanged": (of_step(4, numbers(exchanged)), ORDER),
    "a number": (of_step(4, numbers(nudged)), MODEL),
    "another way, it is said": (settled("rearrange_by", "lm:centred"), dict.fromkeys(BY, ROUNDS)),
    "without Adam, it is said": (settled("rearrange_by", "gradients"), {ADAM: MODEL[ADAM]}),
    "another loss first, it is said": (settled("rearrange_by", "loss:low"), {"loss": LOSSES.replace("high", "low")}),
    "another loss": (of_step(4, column("loss", 0, 0.5)), {"loss": LOSSES}),
    "another picker": (of_step(4, column("picked_by_row", 0, 59)), {"gradients": ROUNDS}),
    "other rows": (
        of_step(2, parsed("plan.json", put("rows_sha256", value="0" * 64))),
        {
            "loss": "the rows scored were those left, by their texts",
            "gradients": "the rows passed forward and backward were those left and the target's, by their texts",
        },
    ),
}


@pytest.mark.parametrize(("what", "by"), [(what, by) for what, (_, finds) in FORGERIES.items() for by in finds])
def test_what_was_planted_is_found(arranged: Path, runs: dict[str, Path], tmp_path: Path, what: str, by: str) -> None:
    """With every hash brought in line."""
    run = Path(shutil.copytree(runs[by], tmp_path / "run"))
    edit, finding = FORGERIES[what]
    edit(run)
    sealed(run)
    assert finding[by] in said(verify(run, arranged), False)


@pytest.mark.parametrize("by", WHOLE)
@pytest.mark.parametrize(
    "changes",
    quick(
        [
            {"window": 9},
            {"lora": Lora(rank=4, base="bf16")},
            {"precision": "bf16", "weights": "bf16"},
            {"lora": Lora(rank=4)},
            {"pack_tokens": 200},
            {"precision": "bf16"},
            {"recompute": True},
        ],
        0,
    ),
    ids=str,
)
def test_it_goes_with_windows_packs_adapters_precisions_and_recomputing(
    tiny: str, arranged: Path, tmp_path: Path, by: str, changes: dict[str, Any]
) -> None:
    settings = dataclasses.replace(BY[by], **changes)
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(settings, save_every=3), callbacks=[StopAt(5)])
    done = tune(arranged, tiny, tmp_path / "run", settings)
    assert done.manifest.counts.consumed == 37
    assert [finding for finding in verify(tmp_path / "run", arranged) if not finding.ok] == []


def test_gradients_may_be_compared_in_few_directions(tiny: str, arranged: Path, tmp_path: Path) -> None:
    tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, rearrange_by="gradients:subspace=3"))
    found = read_rearranged(tmp_path / "run", 4)
    assert found is not None
    assert found.numbers.shape == (21 + 60, 3)
    assert found.about["representation"]["subspace"]["directions"] == 3
    assert [finding for finding in verify(tmp_path / "run", arranged) if not finding.ok] == []


@pytest.mark.slow
def test_adams_steps_may_be_compared_in_few_directions_of_packed_rows(
    tiny: str, arranged: Path, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"window": 9, "pack_tokens": 200, "precision": "bf16", "save_every": 3}
    settings = dataclasses.replace(BY[ADAM], rearrange_by=f"{ADAM},subspace=3", **changes)
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", settings, callbacks=[StopAt(5)])
    tune(arranged, tiny, tmp_path / "run", dataclasses.replace(settings, save_every=1))
    found = read_rearranged(tmp_path / "run", 4)
    assert found is not None
    assert found.numbers.shape == (9 + 60, 3)
    assert [finding for finding in verify(tmp_path / "run", arranged) if not finding.ok] == []


def test_moments_that_were_restored_give_the_same_plan(
    tiny: str, arranged: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    """Stopped between a checkpoint and the rearrangement that follows it."""
    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, BY[ADAM], callbacks=[StopAt(4)])
    shutil.rmtree(run / "plans" / "step-00000004")
    done = tune(arranged, tiny, run, BY[ADAM])
    assert done.start.step == 4
    assert contents(run) == contents(runs[ADAM])


@pytest.mark.parametrize("by", WHOLE)
def test_it_chooses_beyond_the_arrangement(tiny: str, arranged: Path, tmp_path: Path, by: str) -> None:
    pool = arranged.parent / "data" / "pool.jsonl"
    settings = dataclasses.replace(BY[by], rearrange_pool=str(pool))
    tune(arranged, tiny, tmp_path / "run", settings)
    assert max(effective(tmp_path / "run")) >= 37
    assert [finding for finding in verify(tmp_path / "run", arranged) if not finding.ok] == []


def without_target(arranged: Path, tmp_path: Path) -> Path:
    """An arrangement whose target is gone."""
    moved = Path(shutil.copytree(arranged.parent, tmp_path / "moved"))
    words = ["arrange", str(moved / "data" / "pool.jsonl"), "--target", str(moved / "data" / "target.jsonl")]
    assert main([*words, "--method", "random", "--budget", "37", "--overwrite", "--out", str(moved / "out")]) == 0
    (moved / "data" / "target.jsonl").unlink()
    return moved / "out"


def test_losses_need_no_target(tiny: str, arranged: Path, tmp_path: Path) -> None:
    out = without_target(arranged, tmp_path)
    tune(out, tiny, tmp_path / "run", BY["loss"])
    assert read_rearranged(tmp_path / "run", 2).about["targets"] == 0  # type: ignore[union-attr]
    assert [finding for finding in verify(tmp_path / "run", out) if not finding.ok] == []
    with pytest.raises(StoreError, match="must have the target of .* which is not at hand"):
        tune(out, tiny, tmp_path / "other", BY["gradients"])


def test_a_target_without_responses_is_refused(tiny: str, arranged: Path, tmp_path: Path) -> None:
    data = arranged.parent / "data"
    (tmp_path / "asked.jsonl").write_text('{"id": "a", "prompt": "Which?"}\n{"id": "b", "prompt": "Who?"}\n')
    words = ["arrange", str(data / "pool.jsonl"), "--target", str(tmp_path / "asked.jsonl"), "--text", "prompt"]
    assert main([*words, "--method", "random", "--budget", "20", "--out", str(tmp_path / "out")]) == 0
    with pytest.raises(SettingsError, match="must have a target with a row to take the loss on, but 0 of its 2 rows"):
        tune(tmp_path / "out", tiny, tmp_path / "run", BY["gradients"])
    wide = dataclasses.replace(FAST, rearrange_by="gradients:subspace=61")
    with pytest.raises(SettingsError, match="must have a target with 61 rows to take the loss on, but 60 of its 60"):
        tune(arranged, tiny, tmp_path / "run", wide)


def test_adapters_that_have_no_plain_gradients_are_refused_before_the_first_step(
    tiny: str, arranged: Path, tmp_path: Path
) -> None:
    with pytest.raises(EmbeddingError, match="need one LoRA adapter of two matrices in every layer"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(BY["gradients"], lora=Lora(rank=4, dora=True)))
    assert not read_records(tmp_path / "run" / "consumed").consumed


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("los", "unknown way to rearrange 'los': did you mean 'loss'"),
        ("gradient:subspace=3", "unknown way to rearrange 'gradient': did you mean 'gradients'"),
        ("loss:middle", "unknown loss to begin with 'middle'. Known: high, low, medium."),
        ("loss:high,low", "unknown loss to begin with 'high,low'"),
        ("gradients:adam", "must have adapters trained by adamw, whose moments are read, to take `adam`, got all wei"),
        ("gradients:subspace=0", "an option must be subspace=K, got 'subspace=0'"),
        ("gradients:layer=3", "unknown option of gradients:MODEL"),
        ("lm:layr=1", "unknown option of lm:MODEL 'layr': did you mean 'layer'"),
        ("", "unknown way to rearrange ''"),
    ],
)
def test_ways_that_there_are_not_are_refused(by: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        dataclasses.replace(FAST, rearrange_by=by)


@pytest.mark.parametrize("optimizer", ["adafactor", "adamw-8bit", "paged-adamw"])
def test_optimizers_without_adams_moments_are_refused(optimizer: Any) -> None:
    betas = TuneSettings.betas, TuneSettings.eps
    with pytest.raises(SettingsError, match=f"to take `adam`, got adapters trained by {optimizer}. Hint: .* leave"):
        dataclasses.replace(BY[ADAM], optimizer=optimizer, betas=betas[0], eps=betas[1])


def test_a_way_is_named_with_its_options_or_without() -> None:
    assert way_named("centred").read == way_named("lm").read == way_named("lm:centred").read
    assert way_named("loss").read == way_named("loss:high").read == {"focus": "high"}
    assert way_named("gradients").read == {}
    assert TuneSettings(rearrange_every=2).rearrange_by in WAYS["lm"].usual


def test_a_run_does_not_go_on_by_another_way(tiny: str, arranged: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", BY["loss"], callbacks=[StopAt(5)])
    with pytest.raises(SettingsError, match="must go on with what it began with, but settings.rearrange_by was"):
        tune(arranged, tiny, tmp_path / "run", BY["gradients"])


@pytest.mark.slow
def test_orders_of_an_experiment_may_be_rearranged_by_loss_and_by_gradients(tiny: str, tmp_path: Path) -> None:
    orders = {name: {"method": "tma", "tuning": {"rearrange_every": 2, "rearrange_by": name}} for name in WHOLE}
    file = written(
        made_data(tmp_path / "data"),
        tiny,
        replicates=1,
        orders={"tma": {}, **orders},
        baseline="tma",
        tuning={"batch_size": 2, "learning_rate": 1e-3, "save_every": 1},
    )
    out = tmp_path / "out"
    run_experiment(read_experiment(file), out, place=InProcess())
    arrangement = next(path for path in (out / "replicate-1" / "arrangements").iterdir() if path.is_dir())
    steering = (out / "replicate-1" / "steer.jsonl").read_text().splitlines()
    for name in WHOLE:
        run = out / "replicate-1" / "runs" / name / "run"
        found = read_rearranged(run, 2)
        assert found is not None
        assert found.about["targets"] == (0 if name == "loss" else len(steering))
        assert open_run(run).manifest.settings.rearrange_by == name
        assert said(verify(run, arrangement), False) == []


@pytest.mark.parametrize(
    ("by", "announced", "done"),
    [
        (
            "loss",
            "by the loss of the model as it is on each of them, high first: 4 times, 41 rows scored in all\n",
            "scored",
        ),
        (
            "gradients",
            "by the projected gradients of the model as it is: 4 times, 41 rows passed forward and backward in all "
            "beside the target's\n",
            "passed forward and backward",
        ),
    ],
)
def test_the_command_says_what_it_does(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], by: str, announced: str, done: str
) -> None:
    words = ["tune", str(arranged), "--model", tiny, "--batch-size", "8", "--rearrange-every", "1", "--window", "12"]
    assert main([*words, "--rearrange-by", by, "--out", str(tmp_path / "run")]) == 0
    told = capsys.readouterr().out
    assert f"every step rows that are left are arranged anew {announced}" in told
    assert f"step 1: 12 rows that are left {done} by the model as it is, and arranged anew" in told
    assert main(["verify", str(tmp_path / "run"), str(arranged)]) == 0
    assert main([*words, "--rearrange-by", "los", "--out", str(tmp_path / "other")]) == 1
    assert "unknown way to rearrange 'los': did you mean 'loss'" in capsys.readouterr().err
