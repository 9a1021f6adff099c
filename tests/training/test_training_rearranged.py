"""Rearranging while the model learns: by the definition, after kills, in every layout; refused where it cannot be."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
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
from righttime.embedding import embedder_named
from righttime.embedding.represent import represent
from righttime.errors import OrderError, SettingsError, StoreError
from righttime.experiment import read_experiment, run_experiment
from righttime.inputs import read_side
from righttime.pipeline import arrange_into
from righttime.results import Request, open_result
from righttime.tokenization.counts import token_counts
from righttime.training import Lora, Oracle, Plan, TuneSettings, first_difference, open_run, read_records, tune
from righttime.training.anew import left_places, rounds_over
from righttime.training.live import Asked, said_by
from righttime.training.rearranged import read_rearranged
from righttime.training.rearranger import rearranged_sides
from righttime.verification.run import verify
from stopped_runs import StopAt, weights
from tiers import quick
from tiny_model import save_tiny_model
from twin import matrix, tma_order


@pytest.fixture(scope="module")
def undisturbed(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """37 rows in 10 steps, rearranged four times, every checkpoint kept."""
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    tune(arranged, tiny, run, FAST)
    return run


def texts_of(arranged: Path) -> tuple[list[str], list[str]]:
    """Prompt and response of each row and of each target row, from the files alone."""
    rows = [json.loads(line)["messages"] for line in (arranged / "train.jsonl").read_text().splitlines()]
    target = [json.loads(line) for line in (arranged.parent / "data" / "target.jsonl").read_text().splitlines()]
    return [" ".join(turn["content"] for turn in row) for row in rows], [
        f"{x['prompt']} {x['response']}" for x in target
    ]


def by_hand(checkpoint: Path, texts: list[str], n_left: int) -> NDArray[np.float64]:
    """Hidden states of one text at a time, weighted by position, less the mean of the rows left, of length 1."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(checkpoint), AutoTokenizer.from_pretrained(checkpoint)
    vectors = []
    for text in texts:
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            states = model.model(input_ids=ids).last_hidden_state[0].double().numpy()
        weight = np.arange(1, len(states) + 1)
        vectors.append((states * weight[:, None]).sum(axis=0) / weight.sum())
    different = np.array([vectors[texts.index(text)] for text in dict.fromkeys(texts[:n_left])])
    moved = np.array(vectors) - different.mean(axis=0)
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True))


def test_each_rearrangement_is_the_definition_by_the_checkpoint_of_its_step(arranged: Path, undisturbed: Path) -> None:
    rows, target = texts_of(arranged)
    consumed = pq.read_table(undisturbed / "consumed.parquet")["place"].to_pylist()
    assert consumed[:8] == list(range(8)), "the arrangement, until the first rearrangement"
    orders = []
    for step in STEPS:
        left = sorted(set(range(37)) - set(consumed[: 4 * step]))
        checkpoint = undisturbed / "checkpoints" / f"checkpoint-{step}"
        unit = by_hand(checkpoint, [*(rows[place] for place in left), *target], len(left))
        found = read_rearranged(undisturbed, step)
        assert found is not None
        assert np.allclose(found.numbers, unit, atol=2e-6, rtol=0)
        near = np.asarray(unit[: len(left)] @ unit[len(left) :].T, dtype=np.float32)
        want = [(left[row], number, by) for row, number, by, _ in tma_order(near, 8)]
        columns = ("place", "round", "picked_by_row")
        assert list(zip(*(found.order[name].to_pylist() for name in columns), strict=True)) == want
        assert found.order["similarity"].to_numpy() == pytest.approx([one[3] for one in tma_order(near, 8)], abs=2e-6)
        assert consumed[4 * step : 4 * (step + 2)] == [place for place, _, _ in want]
        orders.append(left)
    assert sorted(consumed) == list(range(37)), "each row once"
    assert consumed[8:16] != orders[0][:8], "it did rearrange"


@given(st.data())
def test_rounds_over_stored_vectors_are_the_twins(data: st.DataObject) -> None:
    """Vectors of few directions, so that ties are many."""
    n_left, n_target, width = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    numbers = st.lists(st.integers(-2, 2), min_size=width, max_size=width).filter(any)
    raw = np.array(data.draw(st.lists(numbers, min_size=n_left + n_target, max_size=n_left + n_target)), np.float32)
    unit = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)
    count = data.draw(st.integers(1, n_left))
    made = rounds_over(unit, n_left, count)
    assert made.round is not None
    assert made.picked_by is not None
    assert made.similarity is not None
    found = zip(
        made.order.tolist(), made.round.tolist(), made.picked_by.tolist(), made.similarity.tolist(), strict=True
    )
    want = tma_order(matrix(unit[:n_left], unit[n_left:]), count)
    assert list(found)[:count] == [(row, number, by, float(value)) for row, number, by, value in want]


@given(st.integers(1, 30), st.data())
def test_what_is_left_is_what_was_not_consumed(n: int, data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, n - 1)))
    window = data.draw(st.none() | st.integers(1, 40))
    left = [place for place in range(n) if place not in gone][:window]
    assert left_places(n, np.array(sorted(gone), dtype=np.int64), window).tolist() == left


@pytest.mark.parametrize("stop", [2, 4, *(pytest.param(stop, marks=pytest.mark.slow) for stop in (0, 1, 3, 5, 8, 9))])
def test_a_stopped_run_goes_on_to_the_same_bytes(
    tiny: str, arranged: Path, undisturbed: Path, tmp_path: Path, stop: int
) -> None:
    """Stopped after a rearrangement was written and before its first row was consumed, and elsewhere."""
    run, rarely = tmp_path / "run", dataclasses.replace(FAST, save_every=3)
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, rarely, callbacks=[StopAt(stop)])
    written = {path: path.stat().st_mtime_ns for path in (run / "plans").rglob("*.*")}
    assert len(written) == 3 * len([step for step in STEPS if step <= stop]), "written before the step"
    done = tune(arranged, tiny, run, rarely)
    assert (done.start.attempt, done.start.step) == (2, stop // 3 * 3)
    assert contents(run) == contents(undisturbed)
    assert all(path.stat().st_mtime_ns == time for path, time in written.items()), "what was written is used"
    assert not list(run.glob(".*.partial"))
    ends, wanted = weights(run), weights(undisturbed)
    assert all(torch.equal(value, wanted[name]) for name, value in ends.items())
    assert first_difference(done.job.plan, read_records(run / "consumed")) is None
    assert all(finding.ok for finding in verify(run, arranged))


def test_what_was_written_decides_even_where_the_model_would_say_otherwise(
    tiny: str, arranged: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, FAST, callbacks=[StopAt(4)])
    planted = planted_order(run, 4)
    done = tune(arranged, tiny, run, FAST)
    assert effective(run)[16:24] == planted, "a resumed run never makes what is there again"
    assert done.manifest.first_difference is None
    assert said(verify(run, arranged), False) == [
        "every rearrangement is TMA's rounds over its vectors and the rows left"
    ]


def test_it_is_all_verified(arranged: Path, undisturbed: Path) -> None:
    findings = verify(undisturbed, arranged)
    assert [finding for finding in findings if not finding.ok] == []
    details = {finding.what: finding.detail for finding in findings}
    assert details["every rearrangement is TMA's rounds over its vectors and the rows left"] == "4 of them"
    model = details["the vectors are those of the model of that step"]
    assert model == "of 4 of 4 steps, whose checkpoints were kept, to the bit"


def test_where_no_checkpoint_was_kept_that_is_said(arranged: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    shutil.rmtree(run / "checkpoints")
    findings = verify(run, arranged)
    assert said(findings, None) == ["the vectors are those of the model of that step"]
    assert said(findings, False) == []


def nudged(found: NDArray[np.float32]) -> None:
    """Change a number of the first row's vector by little."""
    found[0, 0] += np.float32(1e-3)


def replanned(run: Path) -> None:
    """Reorder a rearrangement and every record of what was consumed, as one who wants to hide it would."""
    planted = planted_order(run, 8)
    path = next((run / "consumed").glob("*.jsonl"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    fed = [line for line in lines[1:] if line["step"] >= 8]
    known = {
        place: (row, name)
        for line in lines[1:]
        for place, row, name in zip(line["places"], line["rows"], line["tokens"], strict=True)
    }
    coming = iter(planted)
    for line in fed:
        line["places"] = [next(coming) for _ in line["places"]]
        line["rows"], line["tokens"] = ([known[place][n] for place in line["places"]] for n in (0, 1))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    pq.write_table(read_records(run / "consumed").to_table(), run / "consumed.parquet")


ROUNDS = "every rearrangement is TMA's rounds over its vectors and the rows left"
THERE = "every rearrangement is there and as it was written, vectors too"
FORGERIES: dict[str, tuple[Edit, str]] = {
    "an order turned around": (lambda run: void(planted_order(run, 4)), ROUNDS),
    "an order turned around, and all records": (replanned, ROUNDS),
    "another place": (of_step(4, column("place", 0, 3)), THERE),
    "another round": (of_step(4, column("round", 0, 3)), ROUNDS),
    "another picker": (of_step(4, column("picked_by_row", 0, 59)), ROUNDS),
    "another picker's id": (of_step(4, column("picked_by", 0, "forged")), ROUNDS),
    "another similarity": (of_step(4, column("similarity", 0, 0.5)), ROUNDS),
    "another id": (of_step(4, column("id", 0, "forged")), ROUNDS),
    "vectors of two rows exchanged": (of_step(4, numbers(lambda v: v.__setitem__([0, 1], v[[1, 0]]))), ""),
    "a number of a vector": (of_step(4, numbers(nudged)), ""),
    "a vector's bit": (lambda run: flipped(run / "plans" / "step-00000004" / "vectors.npy"), THERE),
    "a plan that is gone": (lambda run: shutil.rmtree(run / "plans" / "step-00000006"), THERE),
    "vectors that are gone": (lambda run: (run / "plans" / "step-00000006" / "vectors.npy").unlink(), THERE),
    "other texts": (
        of_step(2, parsed("plan.json", put("rows_sha256", value="0" * 64))),
        "the rows embedded were those left and the target's, by their texts",
    ),
    "another target": (
        of_step(2, parsed("plan.json", put("target_sha256", value="0" * 64))),
        "the rows embedded were those left and the target's, by their texts",
    ),
    "a plan of another step": (of_step(2, parsed("plan.json", put("step", value=4))), THERE),
    "less often, it is said": (
        each(*(parsed(name, put("settings", "rearrange_every", value=3)) for name in ("run.json", "manifest.json"))),
        "plan and settings name the steps between rearrangements",
    ),
    "never, it is said": (
        each(*(parsed(name, lambda m: m["plan"].pop("rearrange_every")) for name in ("run.json", "manifest.json"))),
        "every attempt followed that plan",
    ),
    "a window, it is said": (
        each(*(parsed(name, put("settings", "window", value=9)) for name in ("run.json", "manifest.json"))),
        THERE,
    ),
    "another layer, it is said": (
        each(
            *(parsed(name, put("settings", "rearrange_by", value="layer=1")) for name in ("run.json", "manifest.json"))
        ),
        "the vectors are those of the model of that step",
    ),
}


def void(_: object) -> None:
    """Nothing."""


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("what", FORGERIES)
def test_what_was_planted_is_found(arranged: Path, undisturbed: Path, tmp_path: Path, what: str) -> None:
    """With every hash brought in line."""
    run = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    edit, finding = FORGERIES[what]
    edit(run)
    sealed(run)
    failed = said(verify(run, arranged), False)
    assert failed
    assert not finding or finding in failed, failed


def test_changed_vectors_are_found_without_the_model_too(arranged: Path, undisturbed: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    shutil.rmtree(run / "checkpoints")
    of_step(4, numbers(lambda v: v.__setitem__([0, 1], v[[1, 0]])))(run)
    assert ROUNDS in said(verify(run, arranged), False)


def test_an_unfinished_run_is_verified_as_far_as_it_came(tiny: str, arranged: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, FAST, callbacks=[StopAt(5)])
    findings = verify(run, arranged)
    assert said(findings, False) == [
        "the run is finished",
        "what led to the weights is the plan, every row in its place",
    ]
    details = {finding.what: finding.detail for finding in findings}
    assert details[ROUNDS] == "2 of them"
    assert details["what led to the weights is the plan, every row in its place"].startswith("step 5, ")


@pytest.mark.parametrize(
    "changes",
    quick(
        [
            {"window": 9},
            {"pack_tokens": 200},
            {"rearrange_by": "layer=-1,whitened,sample=20"},
            {"rearrange_by": "layer=1"},
            {"batch_tokens": 200},
            {"lora": Lora(rank=4)},
            {"precision": "bf16"},
            {"precision": "bf16", "weights": "bf16"},
            {"rearrange_every": 1},
        ],
        0,
        1,
        2,
    ),
    ids=str,
)
def test_it_goes_with_windows_layers_packs_groups_adapters_and_precisions(
    tiny: str, arranged: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    settings = dataclasses.replace(FAST, **changes)
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(settings, save_every=3), callbacks=[StopAt(5)])
    done = tune(arranged, tiny, tmp_path / "run", settings)
    assert done.manifest.counts.consumed == 37
    assert [finding for finding in verify(tmp_path / "run", arranged) if not finding.ok] == []
    found = read_rearranged(tmp_path / "run", 4)
    assert found is not None
    assert found.about["candidates"] == (9 if "window" in changes else 21)
    if "window" in changes:
        consumed = effective(tmp_path / "run")
        assert set(consumed[16:24]) <= set(sorted(set(range(37)) - set(consumed[:16]))[:9])


def test_the_model_is_read_as_lm_reads_it_saved_and_is_left_as_it_was(
    arranged: Path, undisturbed: Path, tmp_path: Path
) -> None:
    name = save_tiny_model(tmp_path / "model", dropout=0.1)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name)
    model.train()
    state, before = torch.get_rng_state(), {key: value.clone() for key, value in model.state_dict().items()}
    rows, target = texts_of(arranged)
    texts = [*rows, *target]
    how: dict[str, Any] = {"name": name, "step": 1, "max_length": 512, "folder": tmp_path}
    for by in ("layer=1,centred", "layer=-1"):
        settings = dataclasses.replace(FAST, rearrange_by=by)
        live = said_by(model, tokenizer, Asked(texts, 37), settings, **how)
        saved = represent(texts, 37, embedder_named(f"lm:{name}#{by}"), tmp_path / "cache")
        assert np.array_equal(live.numbers, saved.vectors)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert len(model.model.layers) == 2
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    model(input_ids=torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    assert not list(tmp_path.glob(".embedding*"))


def test_rows_that_do_not_differ_are_taken_as_they_are(tiny: str, tmp_path: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tiny), AutoTokenizer.from_pretrained(tiny)
    how: dict[str, Any] = {"name": tiny, "step": 1, "max_length": 512, "folder": tmp_path}
    asked = Asked(["one", "two"], 1)
    plain = said_by(model, tokenizer, asked, dataclasses.replace(FAST, rearrange_by="layer=-1"), **how)
    one = said_by(model, tokenizer, asked, FAST, **how)
    assert np.array_equal(one.numbers, plain.numbers)
    assert "at least 2 different texts" in one.about["not_centred"]


def test_without_it_nothing_is_said_of_it(tiny: str, arranged: Path, tmp_path: Path) -> None:
    plain = dataclasses.replace(FAST, rearrange_every=None)
    tune(arranged, tiny, tmp_path / "run", plain)
    for name in ("run.json", "manifest.json"):
        text = (tmp_path / "run" / name).read_text()
        assert "rearrange" not in text
        assert "window" not in text
    assert not (tmp_path / "run" / "plans").exists()
    assert not open_run(tmp_path / "run").plans.exists()
    assert "rearrange_every" not in Plan(("a", "b")).facts()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 2}, "`rearrange_every` must have one epoch, whose rows are consumed once, got epochs 2"),
        ({"shuffle_after": 3}, "`rearrange_every` and `shuffle_after` must not be given together"),
        ({"rearrange_every": None, "window": 9}, "`window` must go with `rearrange_every`, which is not given"),
        ({"rearrange_every": None, "rearrange_by": "layer=1"}, "`rearrange_by` must go with `rearrange_every`"),
        ({"rearrange_every": 0}, "rearrange_every must be at least 1, got 0"),
        ({"rearrange_by": "layr=1"}, "unknown option of lm:MODEL 'layr': did you mean 'layer'"),
        ({"rearrange_by": "layer=0"}, "`layer` must be 1 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        dataclasses.replace(FAST, **changes)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("ACCELERATE_USE_FSDP", "must have the whole model on one process, but FSDP shards it"),
        ("ACCELERATE_USE_DEEPSPEED", "must have the whole model on one process, but DeepSpeed shards it"),
    ],
)
def test_sharded_models_are_refused(
    tiny: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, message: str
) -> None:
    monkeypatch.setenv(variable, "true")
    with pytest.raises(SettingsError, match=f"`rearrange_every` {message}"):
        tune(arranged, tiny, tmp_path / "run", FAST)


def test_several_processes_are_refused(
    tiny: str, arranged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("righttime.training.run._processes", lambda: (True, 0, 2))
    with pytest.raises(SettingsError, match="`rearrange_every` must have one process, got 2"):
        tune(arranged, tiny, tmp_path / "run", FAST)


def test_a_run_that_ends_before_is_refused(tiny: str, arranged: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="must be less than the run's 10 steps, got 10"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, rearrange_every=10))
    with pytest.raises(SettingsError, match="must hold the 8 rows that 2 steps consume, got 7. Hint: `window=32`"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, window=7))
    with pytest.raises(SettingsError, match="layer` must be one of the 2 layers"):
        tune(arranged, tiny, tmp_path / "other", dataclasses.replace(FAST, rearrange_by="layer=3"))
    assert not read_records(tmp_path / "other" / "consumed").consumed, "before the first step"


@pytest.mark.parametrize(
    ("more", "name"),
    [(("--apart", "0.1"), "apart"), (("--shape", "folded"), "shape"), (("--within-round", "index"), "within_round")],
)
def test_orders_that_it_would_undo_are_refused(
    arranged: Path, tmp_path: Path, more: tuple[str, str], name: str
) -> None:
    data = arranged.parent / "data"
    np.savez(tmp_path / "v.npz", pool=np.eye(105, 8) + 1, target=np.eye(60, 8) + 2)
    words = ["arrange", str(data / "pool.jsonl"), "--target", str(data / "target.jsonl"), "--budget", "20"]
    words += ["--embedder", f"vectors:{tmp_path / 'v.npz'}", "--out", str(tmp_path / "out")]
    assert main([*words, *more]) == 0
    with pytest.raises(SettingsError, match=f"must start from an arrangement without {name}, which rearranging"):
        rearranged_sides(tmp_path / "out")


def test_a_target_that_is_gone_or_another_one_is_refused(tiny: str, arranged: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(arranged.parent, tmp_path / "moved"))
    words = ["arrange", str(moved / "data" / "pool.jsonl"), "--target", str(moved / "data" / "target.jsonl")]
    words += ["--method", "random", "--budget", "37", "--overwrite", "--out", str(moved / "out")]
    assert main(words) == 0
    with pytest.raises(RuntimeError, match="power failure"):
        tune(moved / "out", tiny, tmp_path / "run", FAST, callbacks=[StopAt(5)])
    lines = (moved / "data" / "target.jsonl").read_text().splitlines(keepends=True)
    (moved / "data" / "target.jsonl").write_text("".join(lines[:-1]))
    with pytest.raises(StoreError, match="must have the target of .* which is not at hand: the target was changed"):
        tune(moved / "out", tiny, tmp_path / "run", FAST)
    assert main(words) == 0
    assert open_result(moved / "out").manifest.ids_sha256 == open_result(arranged).manifest.ids_sha256
    with pytest.raises(SettingsError, match="a run must go on around the target that it began with"):
        tune(moved / "out", tiny, tmp_path / "run", FAST)


def test_a_plan_that_is_lost_is_said_and_not_made_by_another_model(tiny: str, arranged: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, FAST, callbacks=[StopAt(5)])
    shutil.rmtree(run / "plans" / "step-00000002")
    with pytest.raises(OrderError, match="must be rearranged at step 2 by the model of that step, but it is not there"):
        tune(arranged, tiny, run, FAST)


def test_the_oracle_stops_what_leaves_a_rearrangement(tmp_path: Path) -> None:
    orders = {1: np.array([3, 2]), 2: np.array([4])}
    plan = Plan(tuple("abcde"), batch=2, rearrange_every=1, orders=orders.__getitem__)
    assert [one.places for one in plan.batches(0)] == [(0, 1), (3, 2), (4,)]
    hashes = [str(number) for number in range(5)]
    oracle = Oracle(plan, hashes, tmp_path)
    row = {"input_ids": torch.zeros((2, 1), dtype=torch.int64)}
    with pytest.raises(OrderError, match=r"step 1, micro-batch 0, process 0, row 0 must be 'd' of place 3"):
        oracle.consume(1, {**row, "places": torch.tensor([2, 3])})


def test_orders_of_an_experiment_may_be_rearranged_around_the_rows_that_steer(tiny: str, tmp_path: Path) -> None:
    learning = {"method": "tma", "tuning": {"rearrange_every": 1, "window": 5}}
    file = written(
        made_data(tmp_path / "data"),
        tiny,
        replicates=1,
        orders={"tma": {}, "learning": learning},
        baseline="tma",
        tuning={"batch_size": 2, "learning_rate": 1e-3, "save_every": 1},
    )
    out = tmp_path / "out"
    run_experiment(read_experiment(file), out, place=InProcess())
    cell = out / "replicate-1" / "runs" / "learning"
    found = read_rearranged(cell / "run", 2)
    assert found is not None
    steering = (out / "replicate-1" / "steer.jsonl").read_text().splitlines()
    assert found.about["targets"] == len(steering)
    assert set(found.order["picked_by"].to_pylist()) <= {json.loads(line)["id"] for line in steering}
    arrangement = next(path for path in (out / "replicate-1" / "arrangements").iterdir() if path.is_dir())
    assert said(verify(cell / "run", arrangement), False) == []
    assert not (cell.parent / "tma" / "run" / "plans").exists()


def test_the_command_says_what_it_does(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["tune", str(arranged), "--model", tiny, "--batch-size", "8", "--rearrange-every", "1", "--window", "12"]
    assert main([*words, "--rearrange-by", "layer=1", "--out", str(run)]) == 0
    told = capsys.readouterr().out
    assert "every step rows that are left are arranged anew by the hidden states (layer=1)" in told
    assert "4 times, 41 rows embedded in all beside the target's" in told
    assert "step 1: 12 rows that are left embedded by the model as it is, and arranged anew" in told
    assert main(["verify", str(run), str(arranged)]) == 0
    assert main([*words[:4], "--rearrange-every", "1", "--epochs", "2", "--out", str(tmp_path / "other")]) == 1
    assert "--rearrange-every must have one epoch" in capsys.readouterr().err


@pytest.fixture(scope="module")
def larger(arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool to choose from beside the arrangement: its own pool, a row of the target, and one whose id clashes."""
    data, path = arranged.parent / "data", tmp_path_factory.mktemp("larger") / "larger.jsonl"
    rows = [json.loads(line) for line in (data / "pool.jsonl").read_text().splitlines()]
    leak = json.loads((data / "target.jsonl").read_text().splitlines()[0])
    taken = json.loads((arranged / "train.jsonl").read_text().splitlines()[0])["id"]
    rows = [row for row in rows if row["id"] != taken]
    rows += [{**leak, "id": "leak"}, {"id": taken, "prompt": "Which row clashes?", "response": "This one."}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def beyond(tiny: str, arranged: Path, larger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same 37 rows in 10 steps, of which those after the second step are chosen from a larger pool."""
    run = tmp_path_factory.mktemp("runs") / "beyond"
    tune(arranged, tiny, run, dataclasses.replace(FAST, rearrange_pool=str(larger)))
    return run


def test_rows_beyond_the_arrangement_are_chosen_by_the_definition(arranged: Path, larger: Path, beyond: Path) -> None:
    """Places behind the arrangement's are the pool's rows that it has not; as many are consumed as it holds."""
    own, target = texts_of(arranged)
    more = [json.loads(line) for line in larger.read_text().splitlines()]
    texts = [f"{row['prompt']} {row['response']}" for row in more if row["id"] != "leak"]
    new = [text for text in dict.fromkeys(texts) if text not in own]
    ids = pq.read_table(beyond / "rows.parquet")["id"].to_pylist()
    assert len(ids) == 37 + len(new)
    assert len(set(ids)) == len(ids)
    assert "leak" not in ids
    assert ids[-1] == f"pool:{ids[0]}"
    rows, consumed = [*own, *new], pq.read_table(beyond / "consumed.parquet")["place"].to_pylist()
    assert len(consumed) == len(set(consumed)) == 37
    assert consumed[:8] == list(range(8))
    assert max(consumed) >= 37, "some are of the pool"
    for step in STEPS:
        left = sorted(set(range(len(rows))) - set(consumed[: 4 * step]))
        checkpoint, count = beyond / "checkpoints" / f"checkpoint-{step}", min(8, 37 - 4 * step)
        unit = by_hand(checkpoint, [*(rows[place] for place in left), *target], len(left))
        near = np.asarray(unit[: len(left)] @ unit[len(left) :].T, dtype=np.float32)
        want = [left[row] for row, *_ in tma_order(near, count)]
        assert consumed[4 * step : 4 * (step + 2)] == want


def test_a_run_beyond_its_arrangement_is_verified(arranged: Path, larger: Path, beyond: Path, tmp_path: Path) -> None:
    findings = verify(beyond, arranged)
    assert [finding for finding in findings if not finding.ok] == []
    note = next(one for one in open_run(beyond).manifest.notes if "beside the arrangement's" in one)
    assert "1 that give a row of the target away" in note
    run = Path(shutil.copytree(beyond, tmp_path / "run"))
    planted_order(run, 4)
    assert ROUNDS in said(verify(run, arranged), False)
    other = tmp_path / "other.jsonl"
    other.write_text(larger.read_text().replace("Which row clashes?", "Which row is another?"))
    for name in ("run.json", "manifest.json"):
        parsed(name, put("settings", "rearrange_pool", value=str(other)))(run)
    assert "the rows' texts are those that were tokenized" in said(verify(run, arranged), False)
    other.write_text(larger.read_text() + json.dumps({"id": "new", "prompt": "One more?", "response": "Yes."}) + "\n")
    assert "the run was planned for this arrangement" in said(verify(run, arranged), False)


def test_a_stopped_run_goes_on_beyond_its_arrangement(
    tiny: str, arranged: Path, larger: Path, beyond: Path, tmp_path: Path
) -> None:
    """To the bytes of the undisturbed one; the pool may lie elsewhere by then, but not be another."""
    run = tmp_path / "run"
    asked = dataclasses.replace(FAST, rearrange_pool=str(larger), save_every=3)
    with pytest.raises(RuntimeError, match="power failure"):
        tune(arranged, tiny, run, asked, callbacks=[StopAt(5)])
    grown = tmp_path / "grown.jsonl"
    grown.write_text(larger.read_text() + json.dumps({"id": "new", "prompt": "One more?", "response": "Yes."}) + "\n")
    with pytest.raises(SettingsError, match="a run must go on with what it began with, but plan.beyond was"):
        tune(arranged, tiny, run, dataclasses.replace(asked, rearrange_pool=str(grown)))
    moved = Path(shutil.copy(larger, tmp_path / "larger.jsonl"))
    tune(arranged, tiny, run, dataclasses.replace(asked, rearrange_pool=str(moved)))
    assert contents(run) == contents(beyond)
    ends, wanted = weights(run), weights(beyond)
    assert all(torch.equal(value, wanted[name]) for name, value in ends.items())


def test_a_window_and_packs_go_beyond_the_arrangement(
    tiny: str, arranged: Path, larger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    words = ["tune", str(arranged), "--model", tiny, "--batch-size", "8", "--rearrange-every", "2", "--window", "40"]
    assert main([*words, "--pool", str(larger), "--pack-tokens", "200", "--out", str(run)]) == 0
    assert f"rows of {larger} may be consumed beside the arrangement's" in capsys.readouterr().out
    found = read_rearranged(run, 2)
    assert found is not None
    assert found.about["candidates"] == 40
    assert len(effective(run)) == 37
    assert main(["verify", str(run), str(arranged)]) == 0


def test_a_pool_beyond_is_read_as_the_arrangement_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def line(name: str, prompt: str) -> str:
        return json.dumps({"id": name, "prompt": prompt, "response": "Yes."}) + "\n"

    (tmp_path / "pool.jsonl").write_text(line("a", "One?") + line("a", "Two?") + line("b", "Three?"))
    (tmp_path / "target.jsonl").write_text(line("t", "Nothing like these?"))
    (tmp_path / "more.jsonl").write_text(line("c", "Four?") + line("c", "Five?") + '{"id": "d"}\n')
    names = [str(tmp_path / name) for name in ("pool.jsonl", "target.jsonl")]
    asked = Request(method="random", guard="off", repeated_ids="number", bad_rows="skip")
    arrange_into(tmp_path / "out", names[:1], names[1:], asked)

    def read(pool: str, *how: Any) -> Any:
        return read_side(str(tmp_path / Path(pool.split("?")[0]).name), *how)

    monkeypatch.setattr("righttime.training.beyond.read_side", read)  # in place of a server
    sides = rearranged_sides(tmp_path / "out", "https://me:word@example.org/more.jsonl?X-Amz-Signature=1f")
    assert sides.beyond == 2
    assert sides.note.startswith("2 rows of https://example.org/more.jsonl may be consumed")
    assert sides.note.endswith("and 1 that cannot be used.")


def test_a_pool_beyond_keeps_to_what_the_arrangement_keeps_to(arranged: Path, larger: Path, tmp_path: Path) -> None:
    """To its longest row. Caps, which it would break, are refused; a least similarity is not asked of it, and said."""
    data, tokenizer = arranged.parent / "data", save_tiny_model(tmp_path / "tiny")
    read = read_side(str(larger), "side", Request()).rows
    lengths = np.array(token_counts(read.take(np.sort(np.unique(read.contents, return_index=True)[1])), tokenizer))
    most = int(np.median(lengths))
    np.savez(tmp_path / "v.npz", pool=np.eye(105, 8) + 1, target=np.eye(60, 8) + 2)
    asked = Request(embedder=f"vectors:{tmp_path / 'v.npz'}", budget=20, min_similarity=0.5, guard="off")
    changes: dict[str, dict[str, Any]] = {"capped": {"cap_task": 4}}
    changes["short"] = {"tokenizer": tokenizer, "max_tokens": most}
    for name, more in changes.items():
        request = dataclasses.replace(asked, **more)
        arrange_into(tmp_path / name, [str(data / "pool.jsonl")], [str(data / "target.jsonl")], request)
    with pytest.raises(SettingsError, match=r"an arrangement without cap_task, .* has it \(4\)"):
        rearranged_sides(tmp_path / "capped", str(larger))
    sides = rearranged_sides(tmp_path / "short", str(larger))
    assert sides.beyond > 0
    assert max(token_counts(sides.rows, tokenizer)) <= most
    assert f" {(lengths > most).sum()} that are too long" in sides.note
    assert sides.note.endswith("was held to the arrangement's min_similarity, which goes by other vectors.")


def test_a_pool_that_adds_nothing_is_refused(tiny: str, arranged: Path, tmp_path: Path) -> None:
    same = tmp_path / "same.jsonl"
    shutil.copy(arranged / "train.jsonl", same)
    with pytest.raises(SettingsError, match="`rearrange_pool` must hold a row that .* does not, got none in"):
        tune(arranged, tiny, tmp_path / "run", dataclasses.replace(FAST, rearrange_pool=str(same)))
    with pytest.raises(SettingsError, match="`rearrange_pool` must go with `rearrange_every`"):
        TuneSettings(rearrange_pool=str(same))
    with pytest.raises(SettingsError, match="beyond must be some of the 2 rows of a plan with rearrange_every, got 1"):
        Plan(("a", "b"), beyond=1)
