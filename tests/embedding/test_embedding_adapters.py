"""Gradients of adapters after a warm-up, as `righttime tune` leaves them, against autograd and Adam's own step."""

from __future__ import annotations

import json
import math
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import righttime
from righttime.cli import main
from righttime.embedding import CombinedEmbedder, GradientEmbedder, embedder_named
from righttime.embedding.adapters import MOMENTS
from righttime.embedding.gradients import SEPARATOR
from righttime.embedding.represent import represent
from righttime.errors import EmbeddingError
from righttime.training import Lora, TuneSettings, tune
from righttime.verification.result import check
from tiny_model import save_arrangement, save_tiny_model

ROWS = [("2 + 2?", "4"), ("Name three fruits, the best you know.", "pear, fig, plum"), ("Say hello " * 9, "hello")]
TEXTS = [SEPARATOR.join(row) for row in ROWS]


@pytest.fixture(scope="module")
def warmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints of a warm-up: adapters of all linear layers of a tiny model, trained for some steps."""
    folder = tmp_path_factory.mktemp("warmed")
    model = save_tiny_model(folder / "model")
    out = save_arrangement(folder, 24)
    lora = Lora(rank=2, alpha=8, dropout=0.0)
    how: dict[str, Any] = {"lora": lora, "betas": (0.9, 0.95), "eps": 1e-6}
    settings = TuneSettings(batch=4, epochs=1, learning_rate=5e-3, save_every=3, keep=None, **how)
    tune(out, model, folder / "run", settings)
    return folder / "run" / "checkpoints"


def plain(checkpoint: Path, prompt: str, response: str) -> list[tuple[str, Any, Any]]:
    """Every layer's gradient of B and of A, by PEFT and autograd, of one row."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    model = AutoPeftModelForCausalLM.from_pretrained(checkpoint, is_trainable=True).eval().float()
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    parts = [f"User: {prompt}", "\nAssistant: ", response]
    first, bridge, answer = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in parts)
    asked = [tokenizer.bos_token_id, *first, *bridge]
    ids = torch.tensor([[*asked, *answer, tokenizer.eos_token_id]])
    labels = ids.clone()
    labels[:, : len(asked)] = -100
    model(input_ids=ids, labels=labels).loss.backward()
    found = []
    for name, layer in model.named_modules():
        if hasattr(layer, "lora_A"):
            found.append((name, layer.lora_B["default"].weight.grad, layer.lora_A["default"].weight.grad))
    return found


def projected(embedder: GradientEmbedder, gradients: list[Any]) -> Any:
    flat = [
        one.reshape(-1).double() @ adapter.signs.double()
        for one, adapter in zip(gradients, embedder._adapters, strict=True)
    ]
    return (torch.stack(flat).sum(dim=0) / math.sqrt(64)).numpy()


def test_gradients_of_trained_adapters_equal_autograd(warmed: Path) -> None:
    checkpoint = warmed / "checkpoint-3"
    embedder = GradientEmbedder(str(checkpoint), device="cpu", dim=64)
    got = embedder.embed(TEXTS)
    for (prompt, response), vector in zip(ROWS, got, strict=True):
        found = plain(checkpoint, prompt, response)
        assert len(found) == 14, "seven layers of each of the two blocks"
        assert all(a.abs().max() > 0 for _, _, a in found), "B is not zero any more"
        want = projected(embedder, [torch.cat([b.flatten(), a.flatten()]) for _, b, a in found])
        assert np.abs(vector - want).max() <= 1e-4 * np.abs(want).max()
    about = embedder.identity
    assert (about["layers"], about["rank"]) == ("those of the adapter", 2)


def test_an_adapted_output_layer_sees_each_row_by_itself(warmed: Path, tmp_path: Path) -> None:
    out, model = warmed.parents[1] / "out", warmed.parents[1] / "model"
    adapted = Lora(rank=2, target_modules=("v_proj", "lm_head"))
    tune(out, str(model), tmp_path / "run", TuneSettings(batch=4, learning_rate=5e-3, lora=adapted))
    embedder = GradientEmbedder(str(tmp_path / "run" / "model"), device="cpu", dim=64)
    for (prompt, response), vector in zip(ROWS, embedder.embed(TEXTS), strict=True):
        found = plain(tmp_path / "run" / "model", prompt, response)
        assert [name.rpartition(".")[2] for name, *_ in found] == ["v_proj", "v_proj", "lm_head"]
        want = projected(embedder, [torch.cat([b.flatten(), a.flatten()]) for _, b, a in found])
        assert np.abs(vector - want).max() <= 1e-4 * np.abs(want).max()


def test_adam_takes_the_step_that_torch_would_take(warmed: Path) -> None:
    """Moments of the checkpoint put into a fresh AdamW, one step with one row's gradient: what it moves by."""
    checkpoint = warmed / "checkpoint-6"
    embedder = GradientEmbedder(str(checkpoint), device="cpu", dim=64, adam=True)
    held = load_file(checkpoint / MOMENTS)
    vector = embedder.embed(TEXTS[1:2])[0]
    moves = []
    for name, *gradients in plain(checkpoint, *ROWS[1]):
        moved = []
        for matrix, gradient in zip("BA", gradients, strict=True):
            weight = torch.zeros_like(gradient, requires_grad=True)
            weight.grad = gradient
            adam = torch.optim.AdamW([weight], lr=1.0, weight_decay=0.0, betas=(0.9, 0.95), eps=1e-6)
            (key,) = {
                one.rpartition(".")[0]
                for one in held
                if f"{name.removeprefix('base_model.model.')}.lora_{matrix}" in one
            }
            state = {"exp_avg": held[f"{key}.mean"], "exp_avg_sq": held[f"{key}.square"], "step": torch.tensor(6.0)}
            adam.state[weight] = state
            adam.step()
            moved.append(-weight.detach().flatten())
        moves.append(torch.cat(moved))
    want = projected(embedder, moves)
    assert np.abs(vector - want).max() <= 1e-3 * np.abs(want).max()
    plainly = GradientEmbedder(str(checkpoint), device="cpu", dim=64).embed(TEXTS[1:2])[0]
    asks = embedder.for_target()
    assert np.allclose(asks.embed(TEXTS[1:2])[0], plainly, atol=1e-7), "of target rows it is the gradient"
    assert asks._adapters is embedder._adapters, "their signs are large"
    assert (embedder.identity["gradient"], asks.identity["gradient"]) == ("adam", "plain")


def test_both_sides_of_adams_steps_go_to_another_process_with_one_model(warmed: Path) -> None:
    pool = GradientEmbedder(str(warmed / "checkpoint-6"), adam=True, device="cpu")
    want = [side.embed(TEXTS) for side in (pool, pool.for_target())]
    for side, vectors in zip((pool, pool.for_target()), want, strict=True):
        there = pickle.loads(pickle.dumps(side)).for_worker(1)
        assert np.array_equal(there.embed(TEXTS), vectors)
    assert there._pool_side._causal is there._causal, "loaded once"


def test_the_batch_does_not_matter(warmed: Path) -> None:
    embedder = embedder_named(f"gradients:{warmed / 'checkpoint-6'}#adam", device="cpu")
    alone, together = np.concatenate([embedder.embed([text]) for text in TEXTS]), embedder.embed(TEXTS)
    assert np.abs(alone - together).max() <= 1e-3 * np.abs(together).max()


def test_less_over_several_checkpoints(warmed: Path, tmp_path: Path) -> None:
    """Σ_i η_i·cos(Γ(x; θ_i), ∇(t; θ_i)), the rates from the checkpoints: as the paper has it, but for 1/Σ η_i."""
    sides = [warmed.parents[1] / "data" / f"{side}.jsonl" for side in ("pool", "target")]
    rates = [1.0, 0.25]
    specs = [f"gradients:{warmed / f'checkpoint-{step}'}#adam" for step in (3, 6)]
    spec = "combine:" + "+".join(f"{one}*{rate}" for one, rate in zip(specs, rates, strict=True))
    words = ["arrange", str(sides[0]), "--target", str(sides[1]), "--method", "less", "--embedder", spec]
    words += ["--device", "cpu", "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    for cache in (tmp_path / "cache", tmp_path / "cold"):
        assert [finding.what for finding in check(tmp_path / "out", cache=cache) if finding.ok is False] == []
    found = righttime.Arrangement.load(tmp_path / "out")
    want: Any = 0
    for one, rate in zip(specs, rates, strict=True):
        embedder = embedder_named(one, device="cpu")
        rows = [righttime.read_rows([side], role="pool").rows.examples() for side in sides]
        texts = [[embedder.text_of(row) for row in some] for some in rows]  # type: ignore[attr-defined]
        n = len(texts[0])
        vectors = represent([*texts[0], *texts[1]], n, embedder, tmp_path / "cache").vectors.astype(np.float64)
        want = want + rate / sum(rates) * (vectors[:n] @ vectors[n:].T)
    assert found.similarity is not None
    assert found.picked_by is not None
    assert np.abs(found.similarity - want[found.order, found.picked_by]).max() < 1e-6
    about = json.loads((tmp_path / "out" / "manifest.json").read_text())["embedding"]["parts"]
    assert [(part["gradient"], part["target_gradient"]) for part in about] == [("adam", "plain")] * 2


@pytest.fixture(scope="module")
def cooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A warm-up whose learning rate rises, then falls, with three checkpoints."""
    folder = tmp_path_factory.mktemp("cooled")
    model, out = save_tiny_model(folder / "model"), save_arrangement(folder, 24)
    how: dict[str, Any] = {"lora": Lora(rank=2, alpha=8, dropout=0.0), "schedule": "cosine", "warmup": 2}
    tune(out, model, folder / "run", TuneSettings(batch=3, learning_rate=5e-3, save_every=3, keep=None, **how))
    return folder / "run"


@pytest.mark.slow
def test_a_run_weighs_its_checkpoints_by_their_mean_rates(cooled: Path, tmp_path: Path) -> None:
    """LESS with nothing written by hand, against a plain computation from the logged rates and each checkpoint."""
    rates = [json.loads(line)["learning_rate"] for line in (cooled / "train_log.jsonl").read_text().splitlines()]
    assert len(rates) == 8
    means = {3: sum(rates[:3]) / 3, 6: sum(rates[3:6]) / 3, 8: sum(rates[6:]) / 2}
    assert len(set(means.values())) == 3
    sides = [cooled.parent / "data" / f"{side}.jsonl" for side in ("pool", "target")]
    words = ["arrange", str(sides[0]), "--target", str(sides[1]), "--method", "less", "--out", str(tmp_path / "out")]
    assert main([*words, "--embedder", f"gradients:{cooled}#adam", "--device", "cpu", "--cache", str(tmp_path)]) == 0
    found = righttime.Arrangement.load(tmp_path / "out")
    assert found.similarity is not None
    assert found.picked_by is not None
    want: Any = 0
    for step, rate in means.items():
        embedder = GradientEmbedder(str(cooled / "checkpoints" / f"checkpoint-{step}"), device="cpu", adam=True)
        rows = [list(righttime.read_rows([side], role="pool").rows.examples()) for side in sides]
        pool, target = ([embedder.text_of(row) for row in some] for some in rows)
        x, t = embedder.embed(pool).astype(np.float64), embedder.for_target().embed(target).astype(np.float64)
        cosines = (x / np.linalg.norm(x, axis=1)[:, None]) @ (t / np.linalg.norm(t, axis=1)[:, None]).T
        want = want + rate / sum(means.values()) * cosines
    assert np.abs(found.similarity - want[found.order, found.picked_by]).max() < 1e-5
    assert [finding.what for finding in check(tmp_path / "out", cache=tmp_path) if finding.ok is False] == []


def test_a_run_is_one_part_of_a_combination(cooled: Path) -> None:
    alone = embedder_named(f"gradients:{cooled}", device="cpu")
    both = embedder_named(f"combine:gradients:{cooled}*3+static*1", device="cpu")
    assert isinstance(alone, CombinedEmbedder)
    assert isinstance(both, CombinedEmbedder)
    assert np.allclose(both.weights, [*(0.75 * weight for weight in alone.weights), 0.25])
    assert [part.identity for part in both.parts[:3]] == [part.identity for part in alone.parts]


def test_a_run_that_does_not_tell_its_rates_is_refused(cooled: Path, tmp_path: Path) -> None:
    one = Path(shutil.copytree(cooled, tmp_path / "one"))
    for step in (3, 6):
        shutil.rmtree(one / "checkpoints" / f"checkpoint-{step}")
    assert isinstance(embedder_named(f"gradients:{one}"), GradientEmbedder), "a single checkpoint needs no weight"
    log = (one / "train_log.jsonl").read_text().splitlines(keepends=True)
    (one / "train_log.jsonl").write_text("".join(log[1:]))
    with pytest.raises(EmbeddingError, match="of each of the 8 steps that led to the last checkpoint, .* that of 7"):
        embedder_named(f"gradients:{one}")
    (one / "train_log.jsonl").write_text("{}\n")
    with pytest.raises(EmbeddingError, match="train_log.jsonl must be as `righttime tune` wrote it"):
        embedder_named(f"gradients:{one}")
    (one / "train_log.jsonl").unlink()
    with pytest.raises(EmbeddingError, match="gradients of a run need one that is finished"):
        embedder_named(f"gradients:{one}")
    shutil.rmtree(one / "checkpoints")
    with pytest.raises(EmbeddingError, match="holds no whole one"):
        embedder_named(f"gradients:{one}")


def test_the_rate_of_a_checkpoint_is_written(warmed: Path) -> None:
    from safetensors import safe_open

    steps = {}
    for checkpoint in warmed.iterdir():
        with safe_open(checkpoint / MOMENTS, framework="pt") as file:
            steps[int(file.metadata()["step"])] = float(file.metadata()["rate"])
    assert sorted(steps) == [3, 6]
    assert steps[3] > 0


def test_what_is_missing_is_told(warmed: Path, tmp_path: Path) -> None:
    bare = Path(shutil.copytree(warmed / "checkpoint-3", tmp_path / "bare"))
    (bare / MOMENTS).unlink()
    with pytest.raises(EmbeddingError, match=r"`#adam` needs a checkpoint of adapters that `righttime tune` trained"):
        _ = embedder_named(f"gradients:{bare}#adam", device="cpu").identity
    shutil.copy(warmed / "checkpoint-3" / MOMENTS, warmed.parents[1] / "model")
    with pytest.raises(EmbeddingError, match=r"whose adam.safetensors holds Adam's moments, but .* has none for them"):
        embedder_named(f"gradients:{warmed.parents[1] / 'model'}#adam", device="cpu").embed(TEXTS)
    assert np.isfinite(embedder_named(f"gradients:{bare}", device="cpu").embed(TEXTS)).all()
