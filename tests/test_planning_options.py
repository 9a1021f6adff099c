"""Planning knows the options of `arrange` that change time or memory: each room's estimate beside what was measured."""

from __future__ import annotations

import dataclasses
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from righttime.arrangement import METHODS, SelectionInput, arrange_unit_vectors, tma_rounds
from righttime.arrangement.apart import Apart, apart_bytes
from righttime.arrangement.caps import Cap, Room, room_bytes
from righttime.arrangement.shapes import in_shape, length_scores, read_shape, shape_bytes
from righttime.arrangement.walking import times_walked, walked
from righttime.arrangement.weaving import read_weave, still_in_room, weave_bytes, woven
from righttime.cli import main
from righttime.errors import SettingsError
from righttime.planning import plan
from righttime.planning.search import order_stages
from righttime.results import Request
from righttime.similarity import unit_rows
from test_planning import POOL, TARGET, by_name, given

N = 50_000


def peak(work: Callable[[], object]) -> int:
    work()  # imports what it needs
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def vectors(n: int, dimension: int = 16) -> NDArray[np.float32]:
    return unit_rows(np.random.default_rng(0).standard_normal((n, dimension), dtype=np.float32))


@pytest.mark.parametrize("n_caps", [1, 2])
def test_the_bytes_of_caps(n_caps: int) -> None:
    caps = [Cap("cap_task", 5, [f"t{row % 100}" for row in range(N)])] * n_caps
    assert room_bytes(n_caps, N) == pytest.approx(peak(lambda: Room(caps)), rel=0.2)
    assert room_bytes(0, N) == 0


@pytest.mark.parametrize("in_round", [100, 2_000])
def test_the_bytes_of_rows_that_stay_apart(in_round: int) -> None:
    pool = vectors(N)

    def one_round() -> None:
        apart = Apart(pool, 0.1)
        apart.start()
        for row in range(in_round):
            apart.add(row)
        apart.free(np.arange(in_round, N))

    assert apart_bytes(N, in_round, 16) == pytest.approx(peak(one_round), rel=0.2)


def test_the_bytes_of_weaving_and_of_a_shape() -> None:
    inputs = SelectionInput(pool=vectors(N), target=vectors(20), budget=5_000)
    found, weave = arrange_unit_vectors("tma", inputs), read_weave("0.2")
    assert weave is not None
    measured = peak(lambda: woven(found, weave, None, 0, still_in_room((), found)))
    assert weave_bytes(N) == pytest.approx(measured, rel=0.2)
    whole = arrange_unit_vectors("tma", dataclasses.replace(inputs, budget=None))
    shape, texts = read_shape("sorted:by=length"), ["x"] * N
    assert shape is not None
    measured = peak(lambda: in_shape(whole, shape, 0, length_scores(lambda rows: (texts[row] for row in rows))))
    assert shape_bytes(N) == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize(("most", "budget"), [(1_000, 900), (10, 100), (3, 250), (2, 200)])
def test_a_method_that_is_walked_is_asked_as_often_as_planned(most: int, budget: int) -> None:
    names = [f"t{row % 100}" for row in range(2_000)]
    caps, asked = (Cap("cap_task", most, names),), [0]
    inputs = SelectionInput(pool=vectors(2_000), target=vectors(5), budget=budget, caps=caps)

    def order(one: SelectionInput) -> Any:
        asked[0] += 1
        return METHODS["random"].order(one)

    walked(order, inputs)
    assert times_walked(caps, 2_000, budget) == asked[0]


def test_rounds_are_measured_with_caps_distances_and_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def rounds(*sides: Any, **how: Any) -> Any:
        seen.append(how)
        return tma_rounds(*sides, **how)

    monkeypatch.setattr("righttime.planning.search.tma_rounds", rounds)
    target = [{**row, "task": f"t{place % 2}"} for place, row in enumerate(TARGET)]
    plainly = Request(budget=40, guard="off", **given(tmp_path))
    request = dataclasses.replace(plainly, cap_task=2, apart=0.05, target_weight={"t0": 2})
    stages, plain = (by_name(plan(POOL, target, asked, tmp_path)) for asked in (request, plainly))
    assert seen[0]["room"] is not None
    assert seen[0]["apart"] == 0.05
    assert set(seen[0]["weights"]) == {1, 2}
    assert (seen[-1]["room"], seen[-1]["apart"], seen[-1]["weights"]) == (None, None, None)
    more = stages["order"].passing - plain["order"].passing
    assert more == room_bytes(1, len(POOL)) + apart_bytes(len(POOL), len(TARGET), 12)


def test_a_capped_order_by_distance_is_looked_at_several_times() -> None:
    caps = (Cap("cap_task", 2, [f"t{row % 100}" for row in range(5_000)]),)
    inputs = SelectionInput(pool=vectors(5_000), target=vectors(5), budget=200)
    request = Request(method="nearest", budget=200)
    (once,) = order_stages(5_000, 5, 8, None, request, None, inputs)
    (often,) = order_stages(5_000, 5, 8, None, request, None, dataclasses.replace(inputs, caps=caps))
    assert once.passes == 1
    assert often.passes == times_walked(caps, 5_000, 200) > 1


def test_what_is_woven_is_no_part_of_the_order(tmp_path: Path) -> None:
    half = by_name(plan(POOL, TARGET, Request(budget=20, weave="0.5", guard="off", **given(tmp_path)), tmp_path))
    plain = by_name(plan(POOL, TARGET, Request(budget=20, guard="off", **given(tmp_path)), tmp_path))
    assert half["order"].memory * 2 == plain["order"].memory
    assert half["weave"].note == f"10 rows drawn from {len(POOL) - 10:,}"
    assert half["weave"].passing == weave_bytes(len(POOL))
    assert half["write"].disk == plain["write"].disk
    assert "weave" not in plain
    fading = by_name(plan(POOL, TARGET, Request(budget=20, anneal="1:0.5", guard="off", **given(tmp_path)), tmp_path))
    assert fading["weave"].note == f"5 rows drawn from {len(POOL) - 15:,}"


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_rows_of_another_pool_are_read_and_embedded_but_not_searched(tmp_path: Path) -> None:
    replay = write(tmp_path / "replay.jsonl", [{"prompt": f"more {n}", "response": "r"} for n in range(30)])
    pool, target = write(tmp_path / "pool.jsonl", POOL), write(tmp_path / "target.jsonl", TARGET)
    asked = Request(method="random", budget=20, weave=f"0.5:{replay}", guard="off")
    assert by_name(plan(pool, target, asked, tmp_path))["weave"].note == "10 rows drawn from 30"
    npz = tmp_path / "v.npz"
    rng = np.random.default_rng(0)
    np.savez(npz, pool=rng.normal(size=(len(POOL) + 30, 12)), target=rng.normal(size=(len(TARGET), 12)))
    asked = Request(budget=20, weave=f"0.5:{replay}", guard="off", embedder=f"vectors:{npz}", subsample=0.5)
    stages = by_name(plan(pool, target, asked, tmp_path))
    assert stages["weave"].note == "10 rows drawn from 30"
    assert stages["weave"].passing == weave_bytes(len(POOL) // 2 + 30)


def test_a_shape_by_length_reads_the_chosen_rows(tmp_path: Path) -> None:
    asked = Request(method="random", budget=20, shape="sorted:by=length", guard="off")
    stage = by_name(plan(POOL, TARGET, asked, tmp_path))["shape"]
    assert "lengths of 20 rows" in stage.note
    assert stage.passing == shape_bytes(20)
    assert (stage.seconds or 0) > 0


def test_each_of_several_targets_is_arranged_for_and_the_pool_read_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = write(tmp_path / "pool.jsonl", POOL)
    targets = [write(tmp_path / f"{name}.jsonl", TARGET[place::3]) for place, name in enumerate("abc")]
    request = Request(method="random", budget=20)
    joint = by_name(plan(pool, targets, request, tmp_path))
    each = by_name(plan(pool, targets, request, tmp_path, each_target=True))
    assert each["read"].passes == joint["read"].passes == 1
    assert each["guard"].passes == each["write"].passes == 3
    assert each["write"].disk == 3 * joint["write"].disk
    assert each["write"].memory == joint["write"].memory
    assert "for each of 3 targets" in each["order"].note
    words = ["arrange", pool, *(word for target in targets for word in ("--target", target)), "--each-target"]
    assert main([*words, "--method", "random", "--budget", "20", "--seed", "3", "--out", str(tmp_path / "out")]) == 0
    written = sum(file.stat().st_size for file in tmp_path.glob("out/*/train.jsonl"))
    tables = each["write"].disk - 3 * 120 * len(POOL)  # what the plan allows for the tables
    assert tables == pytest.approx(written, rel=0.25)
    with pytest.raises(SettingsError, match="must be files, got list"):
        plan(POOL, TARGET, request, tmp_path, each_target=True)


def test_each_of_several_targets_has_vectors_of_its_own(tmp_path: Path) -> None:
    pool = write(tmp_path / "pool.jsonl", POOL)
    targets = [write(tmp_path / f"{name}.jsonl", TARGET[place::2]) for place, name in enumerate("ab")]
    rng = np.random.default_rng(0)
    sizes = {"pool": len(POOL), "a": len(TARGET[::2]), "b": len(TARGET[1::2])}
    made: dict[str, Any] = {name: rng.normal(size=(n, 12)) for name, n in sizes.items()}
    np.savez(tmp_path / "v.npz", **made)
    request = Request(embedder=f"vectors:{tmp_path}/v.npz#pool", target_embedder=f"vectors:{tmp_path}/v.npz#{{NAME}}")
    each = by_name(plan(pool, targets, request, tmp_path, each_target=True))
    assert f"given, {len(POOL):,} and {len(TARGET):,} of 12 dimensions" in each["vectors"].note
    assert "for each of 2 targets" in each["order"].note
    with pytest.raises(SettingsError, match="must have a file or tensor each"):
        plan(pool, targets, dataclasses.replace(request, target_embedder="vectors:v.npz#a"), each_target=True)


def test_columns_by_number_are_of_a_table_without_a_header(tmp_path: Path) -> None:
    (tmp_path / "pool.csv").write_text("title,reply,note\nwhat is this?,that,x\n")
    (tmp_path / "target.csv").write_text("one of these?,\n")
    np.savez(tmp_path / "v.npz", pool=np.eye(2, 4), target=np.eye(1, 4))
    columns: dict[str, Any] = {"fields": {"prompt": "1", "response": "2"}, "target_fields": {"prompt": "1"}}
    request = Request(embedder=f"vectors:{tmp_path}/v.npz", **columns)
    stages = by_name(plan(str(tmp_path / "pool.csv"), str(tmp_path / "target.csv"), request, tmp_path))
    assert "measured on 2 and 1 rows" in stages["read"].note


def test_the_command_takes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = write(tmp_path / "pool.jsonl", POOL)
    target = write(tmp_path / "target.jsonl", [{**row, "task": "t"} for row in TARGET])
    words = ["plan", pool, "--target", target, "--guard", "off", "--embedder", given(tmp_path)["embedder"]]
    more = ["--weave", "0.2", "--cap-task", "3", "--cap-source", "90%", "--apart", "0.1", "--target-weight", "t=2"]
    assert main([*words, *more, "--budget", "20", "--shape", "zigzag:layers=2", "--each-target", "--json"]) == 0
    stages = [stage["name"] for stage in json.loads(capsys.readouterr().out)["stages"]]
    assert stages == ["libraries", "read", "vectors", "order", "shape", "weave", "write"]
    sizes = ["plan", "--rows", "500", "--target-rows", "5", "--dim", "8", "--guard", "off"]
    assert main([*sizes, "--apart", "0.1", "--anneal", "1:0.5", "--budget", "50"]) == 0
    assert re.search(r"weave: 1[23] rows drawn from", capsys.readouterr().out)
    for option in (["--cap-task", "3"], ["--target-weight", "t=2"], ["--weave", "0.2:x.jsonl"]):
        assert main([*sizes, *option]) == 1
        assert f"{option[0]} goes by the rows' tasks or files" in capsys.readouterr().err
    assert main([*sizes, "--each-target"]) == 1
    assert "--each-target must be planned with data" in capsys.readouterr().err
