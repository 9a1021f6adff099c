"""The commands that a page names are read by the command line as what they stand for."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import righttime.pipeline
import righttime.report
import righttime.training
from opened_page import data_of
from righttime.cli import main
from righttime.report.commands import arrange_again, tune_again
from righttime.results import FinishedResult, Request
from righttime.results.manifest import typed_manifest
from righttime.training import Lora, TuneSettings
from righttime.training.adapters import Base
from righttime.training.optimizers import OPTIMIZERS

# Whatever a shell would take apart; commas and equals signs part the words of some options themselves.
WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters=",=/\\"), min_size=1, max_size=8).map(
    lambda text: f"{text}.x"
)
NAMES = WORDS.filter(lambda text: text == text.strip() and not text.startswith("hf:"))
MAPS = st.dictionaries(st.sampled_from(["prompt", "response"]), NAMES, max_size=2)
REQUESTS = st.builds(
    Request,
    method=st.sampled_from(["tma", "nearest", "random"]),
    budget=st.sampled_from([None, 7, "50%"]),
    min_similarity=st.sampled_from([None, -0.5, 0.25]),
    rounds=st.sampled_from([None, (1, 3), (2, None)]),
    within_round=st.sampled_from(["similarity", "random"]),
    shape=st.sampled_from([None, "zigzag:layers=3"]),
    seed=st.sampled_from([None, 3]),
    weave=st.none() | NAMES.map(lambda name: f"0.2:{name}"),
    anneal=st.sampled_from([None, "0.9:0.1"]),
    cap_task=st.sampled_from([None, "10%"]),
    cap_source=st.sampled_from([None, "3"]),
    apart=st.sampled_from([None, 0.25]),
    target_weight=st.dictionaries(NAMES, st.sampled_from(["2", "0.5"]), max_size=2),
    subsample=st.sampled_from([None, 0.5]),
    text=st.sampled_from(["prompt", "prompt+response"]),
    embedder=NAMES,
    target_embedder=st.none() | NAMES,
    max_length=st.sampled_from([None, 64]),
    prefix=st.just("") | WORDS,
    precision=st.sampled_from(["float32", "bfloat16"]),
    duplicates=st.sampled_from(["keep", "drop"]),
    guard=st.sampled_from(["report", "remove", "off"]),
    guard_chunks=st.booleans(),
    bad_rows=st.sampled_from(["stop", "skip"]),
    format=st.sampled_from([None, "alpaca"]),
    target_format=st.sampled_from([None, "alpaca"]),
    positive_examples=st.sampled_from([0, 2]),
    task_field=st.none() | NAMES,
    fields=MAPS,
    target_fields=MAPS,
    max_row_bytes=st.sampled_from([Request().max_row_bytes, 1 << 20]),
)


def finished(request: Request, pool: list[str], target: list[str], as_: str) -> FinishedResult:
    """A result of these settings, as far as its command looks at it."""
    settings = {**dataclasses.asdict(request), "text_asked": request.text, "budget_asked": request.budget, "as": as_}
    counts = dict.fromkeys(("pool_read", "pool_rows", "target_rows", "target_bad_rows", "arranged", "left_out"), 1)
    found: dict[str, Any] = {
        "inputs": {"pool": [], "target": []},
        "given": {"folder": "/data of mine", "pool": pool, "target": target},
        "settings": settings,
        "embedding": {},
        "counts": {**counts, "left_out_by_reason": {}, "target_prompts_in_pool": 0},
        "notes": [],
        "ids_sha256": "",
        "files": {},
    }
    return FinishedResult(Path("out"), typed_manifest(found, Path()))


@settings(max_examples=40)
@given(REQUESTS, st.lists(NAMES, min_size=1, max_size=2), st.lists(NAMES, min_size=1, max_size=2), st.booleans())
def test_an_arrangements_command_asks_for_what_was_asked(
    request_: Request, pool: list[str], target: list[str], original: bool
) -> None:
    as_ = "original" if original else "messages"
    command = arrange_again(finished(request_, pool, target, as_))
    into, line = command.split("\n", 1)
    assert shlex.split(into) == ["cd", "/data of mine"]
    asked: dict[str, Any] = {}

    def arrange_into(out: Path, pools: Any, targets: Any, request: Request, *, as_: str, **_: Any) -> None:
        asked.update(pool=list(pools), target=list(targets), request=request, as_=as_)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(righttime.pipeline, "arrange_into", arrange_into)
        main(shlex.split(line)[1:])
    assert [name.removeprefix("./") for name in asked["pool"]] == [name.removeprefix("./") for name in pool]
    assert asked["target"] == target
    assert asked["as_"] == as_
    assert asked["request"] == dataclasses.replace(request_, memory=asked["request"].memory)


TUNED = st.builds(
    TuneSettings,
    batch=st.sampled_from([16, 4]),
    accumulation=st.sampled_from([1, 2]),
    batch_tokens=st.sampled_from([None, 4096]),
    epochs=st.sampled_from([1, 3]),
    shuffle_after=st.sampled_from([None, 0, 5]),
    learning_rate=st.sampled_from([1e-5, 2.5e-4]),
    schedule=st.sampled_from(["constant", "cosine"]),
    warmup=st.sampled_from([0, 7]),
    max_length=st.sampled_from([None, 512]),
    form=st.sampled_from(["auto", "paper"]),
    answer_end=st.sampled_from(["token", "template"]),
    lora=st.none()
    | st.builds(
        lambda rank, **more: Lora(rank, 2 * rank, **more),
        st.sampled_from([8, 16]),
        target_modules=st.sampled_from([None, ("q_proj", "v_proj")]),
        dora=st.booleans(),
        rank_stabilised=st.booleans(),
        base=st.sampled_from(get_args(Base)),
    ),
    precision=st.sampled_from(["float32", "bf16"]),
    optimizer=st.sampled_from(list(OPTIMIZERS)),
    attention=st.sampled_from(["auto", "eager"]),
    recompute=st.booleans(),
    seed=st.sampled_from([0, 4]),
    save_every=st.sampled_from([500, 20]),
    keep=st.sampled_from([None, 2, 5]),
    save_model=st.booleans(),
    report_to=st.sampled_from([(), ("trackio", "wandb")]),
    allow_reorder=st.booleans(),
) | st.just(TuneSettings(precision="bf16", weights="bf16"))


@settings(max_examples=40)
@given(TUNED, WORDS, WORDS)
def test_a_runs_command_tunes_as_it_was_tuned(tuned: TuneSettings, model: str, arrangement: str) -> None:
    words = shlex.split(tune_again(tuned, model, arrangement, "run", None))
    asked: dict[str, Any] = {}

    def tune(arrangement: Path, model: str, out: Path, settings: TuneSettings, **_: Any) -> None:
        asked.update(arrangement=arrangement, model=model, settings=settings)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(righttime.training, "tune", tune)
        main(words[1:])
    assert (str(asked["arrangement"]), asked["model"]) == (str(Path(arrangement)), model)
    assert asked["settings"].facts() == tuned.facts()


def test_settings_without_an_option_give_no_command() -> None:
    assert tune_again(TuneSettings(weight_decay=0.1), "m", "out", "run", None) == ""
    assert tune_again(TuneSettings(lora=Lora(8, 64)), "m", "out", "run", None) == ""
    assert tune_again(TuneSettings(), "m", "out", "run", None, world=2) == ""


def test_a_pages_command_makes_the_page_with_the_same_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = tmp_path / "a folder; of $mine"
    here.mkdir()
    monkeypatch.chdir(here)
    (here / "pool's.jsonl").write_text("".join(f'{{"prompt": "p {k}", "response": "r"}}\n' for k in range(12)))
    (here / "-target.jsonl").write_text('{"prompt": "t", "response": "r"}\n')
    arrange = ["arrange", "pool's.jsonl", "--target", "-target.jsonl", "--method", "random", "--out", "out of it"]
    assert main(arrange) == 0
    more = ["--max-rows", "10", "--projection", "pca", "--pool", "pool's.jsonl", "--target", "-target.jsonl"]
    words = ["report", "out of it", *more, "--cache", "c d", "--out", "my page.html"]
    assert main(words) == 0
    page = data_of((here / "my page.html").read_text(encoding="utf-8"))["page"]
    shown = [block["text"] for block in page["sections"][-1]["blocks"] if block["kind"] == "pre" and not block["title"]]
    into, line = shown[-1].split("\n")
    assert shlex.split(into) == ["cd", str(here)]
    assert line == page["made"]["command"]
    asked: list[tuple[Any, ...]] = []

    def write_report(folders: Any, out: Any, **how: Any) -> None:
        asked.append((folders, out, {name: one for name, one in how.items() if name not in ("command", "progress")}))
        raise KeyboardInterrupt

    monkeypatch.setattr(righttime.report, "write_report", write_report)
    main(words)
    main(shlex.split(line)[1:])
    assert asked[0] == asked[1]
    assert asked[0][2]["max_rows"] == 10
    main([*words, "--overwrite"])
    capsys.readouterr()
