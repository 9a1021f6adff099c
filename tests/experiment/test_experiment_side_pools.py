"""Orders of an experiment that weave or widen by another pool, and caps of its sources."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from made_experiments import InProcess, made_data, written
from righttime.cli import main
from righttime.errors import EmptyDataError, SettingsError, StoreError
from righttime.experiment import Experiment, cells, read_experiment, run_experiment
from righttime.experiment.draws import draw_replicate, read_pools
from righttime.experiment.prepare import prepare_replicate, read_draw, source_files
from righttime.experiment.store import open_experiment
from righttime.report import make_report
from righttime.store import file_sha256
from righttime.verification.result import check

SIDE = {"replay": {"path": "replay.jsonl", "rows": 12}, "more": "more.jsonl"}
ORDERS = {
    "random": None,
    "tma": None,
    "woven": {"method": "tma", "weave": "50%:replay"},
    "annealed": {"method": "tma", "anneal": "1:0.5:replay"},
    "wide": {"method": "tma", "widen": "more:2"},
    "capped": {"method": "tma", "cap_source": 4},
}


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The made rows, a second pool file, and two side pools, one of which has ids and prompts of the others too."""
    folder = made_data(tmp_path_factory.mktemp("data"))
    target, pool = (rows_in(folder / f"{side}.jsonl") for side in ("target", "pool"))
    made = {
        "second": [
            {**row, "id": f"second-{k}", "prompt": f"second {row['prompt']}"} for k, row in enumerate(pool[:20])
        ],
        "replay": [
            *({**row, "prompt": f"replay {row['prompt']}"} for row in pool[:24]),  # ids of the pool
            *({**row, "id": f"leak-{k}"} for k, row in enumerate(target)),  # prompts of the target
        ],
        "more": [{**row, "id": f"more-{k}", "prompt": f"more {row['prompt']}"} for k, row in enumerate(pool[24:42])],
    }
    for name, rows in made.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def asked(data: Path, tiny: str, **changes: Any) -> Experiment:
    usual: dict[str, Any] = {
        "pool": ["pool.jsonl", "second.jsonl"],
        "orders": ORDERS,
        "side_pools": SIDE,
        "arrange": {"embedder": f"lm:{tiny}#centred", "device": "cpu"},
        "replicates": 1,
    }
    return read_experiment(written(data, tiny, **{**usual, **changes}))


@pytest.fixture(scope="module")
def made(data: Path, tiny: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, Path]:
    """An experiment of all these orders."""
    experiment, out = asked(data, tiny), tmp_path_factory.mktemp("experiment") / "out"
    done = run_experiment(experiment, out, place=InProcess())
    assert not done.failures
    return experiment, out


def test_side_pools_are_drawn_as_the_pool_is(data: Path, tiny: str) -> None:
    experiment = asked(data, tiny)
    pools = read_pools(experiment)
    one, two = (draw_replicate(experiment, pools, number) for number in (1, 2))
    assert set(one.side_pools["replay"].ids) != set(two.side_pools["replay"].ids)
    assert draw_replicate(experiment, pools, 1).side_pools["replay"].ids == one.side_pools["replay"].ids
    assert len(one.side_pools["replay"]) == 12
    assert len(one.side_pools["more"]) == 9, "half of it, as of the pool"
    assert one.side_counts["replay"]["leaks"] == 18
    assert sum(one.side_counts["replay"].values()) == 24 + 18
    prompts = {*one.steer.texts("prompt"), *one.judge.texts("prompt")}
    names = [*one.pool.ids, *(name for rows in one.side_pools.values() for name in rows.ids)]
    assert len(set(names)) == len(names)
    assert not prompts & {prompt for rows in one.side_pools.values() for prompt in rows.texts("prompt")}


def test_the_pool_is_drawn_as_without_side_pools(data: Path, tiny: str) -> None:
    plain = asked(data, tiny, side_pools=None, orders={"random": None, "tma": None})
    one, two = (draw_replicate(each, read_pools(each), 1) for each in (plain, asked(data, tiny)))
    assert (one.pool.ids, one.judge.ids, one.counts) == (two.pool.ids, two.judge.ids, two.counts)


def test_the_draw_is_recorded_with_its_hashes(made: tuple[Experiment, Path]) -> None:
    _, out = made
    told = read_draw(out / "replicate-1")
    for name, n in (("replay", 12), ("more", 9)):
        path = out / f"replicate-1/{name}.jsonl"
        assert told["files"][path.name] == file_sha256(path)
        assert told["rows"][name]["rows"] == told["side_pools"][name]["drawn"] == len(rows_in(path)) == n
        assert load_file(out / "replicate-1/vectors.safetensors")[f"side.{name}"].shape[0] == n
    assert {name.partition(":")[0] for name in told["inputs"]} >= {"replay 1", "more 1"}
    assert told["sources"] == [["pool", 30], ["second", 10]]


def test_orders_take_rows_of_the_drawn_side_pools_alone(made: tuple[Experiment, Path]) -> None:
    experiment, out = made
    by_name = {cell.order: cell for cell in cells(experiment, out)}
    replay = {row["id"] for row in rows_in(out / "replicate-1/replay.jsonl")}
    for order, n in (("woven", 4), ("annealed", 2)):
        table = pq.read_table(by_name[order].arrangement / "arrangement.parquet").to_pylist()
        assert {row["id"] for row in table if row["reason"] == "woven"} <= replay
        assert [row["reason"] for row in table].count("woven") == n
    widened = json.loads((by_name["wide"].arrangement / "manifest.json").read_text(encoding="utf-8"))["widening"]
    more = {row["id"] for row in rows_in(out / "replicate-1/more.jsonl")}
    assert {row["id"] for row in widened["rows"]} <= more
    sources = pq.read_table(by_name["capped"].arrangement / "arrangement.parquet")["source"].to_pylist()
    assert sorted(map(sources.count, {*sources})) == [4, 4]


def test_every_arrangement_is_verified_and_measured(made: tuple[Experiment, Path]) -> None:
    experiment, out = made
    for cell in cells(experiment, out):
        assert all(finding.ok for finding in check(cell.arrangement)), cell.order
        table = pq.read_table(cell.measures)
        assert set(table["rows"].to_pylist()) == {4, 8}, cell.order
        assert np.isfinite(table["value"].to_numpy()).all(), cell.order


def test_the_page_shows_orders_of_the_same_rows_and_names_the_others(made: tuple[Experiment, Path]) -> None:
    _, out = made
    page = make_report([out], projection="pca").html
    assert "Not shown, since they are of other rows: woven, annealed, wide, capped." in page
    assert "Not compared, since they are of other rows: annealed, capped, wide, woven." in page


def test_orders_with_side_pools_may_be_added_later(data: Path, tiny: str, tmp_path: Path) -> None:
    some = {name: ORDERS[name] for name in ("random", "woven", "wide")}
    run_experiment(asked(data, tiny, orders=some), tmp_path / "out", place=InProcess())
    place = InProcess()
    done = run_experiment(asked(data, tiny), tmp_path / "out", place=place)
    assert not done.failures
    assert [order for order, _ in place.made] == ["tma", "annealed", "capped"]
    assert open_experiment(tmp_path / "out").side_pools == asked(data, tiny).side_pools


def test_the_guard_takes_leaks_out_of_side_pools_by_text_and_by_vectors(tmp_path: Path) -> None:
    said = (
        "Ottokar the glazier carried 48 lanterns of 37 pounds from Brixleben to the abbey, and Wenzel half as many. "
        "How many lanterns did both of them carry?"
    )
    close = said.replace("carried", "had carried").replace("both of them carry", "the two of them carry")
    folder = made_data(tmp_path / "data")
    target = {"id": "t", "task": "carry", "prompt": said, "response": "Both carried 72 lanterns."}
    with (folder / "target.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(target) + "\n")
    rows = rows_in(folder / "pool.jsonl")[:10]
    leaks = [
        {"id": "held", "task": "x", "prompt": f"THINK FIRST. {said.upper()}", "response": "Well, it depends."},
        {"id": "close", "task": "x", "prompt": close, "response": "Together they carried 72 lanterns."},
    ]
    side = [{**row, "id": f"s{k}", "prompt": f"side {row['prompt']}"} for k, row in enumerate(rows)] + leaks
    (folder / "side.jsonl").write_text("".join(json.dumps(row) + "\n" for row in side), encoding="utf-8")
    orders = {"random": None, "woven": {"method": "tma", "weave": "50%:side"}}
    how: dict[str, Any] = {"side_pools": {"side": "side.jsonl"}, "orders": orders, "arrange": {"device": "cpu"}}
    for guard, left in (("remove", []), ("report", ["held", "close"])):
        asks = read_experiment(written(folder, "no-model", subsample="all", guard=guard, **how))
        prepare_replicate(asks, partial(read_pools, asks), 1, tmp_path / guard)
        told, ids = read_draw(tmp_path / guard), [row["id"] for row in rows_in(tmp_path / guard / "side.jsonl")]
        assert [name for name in ids if name in ("held", "close")] == left
        assert len(load_file(tmp_path / guard / "vectors.safetensors")["side.side"]) == len(ids)
        assert told["guard"]["pool_rows"] == 2
        assert told["side_pools"]["side"].get("guarded", 0) == 2 - len(left)
        assert told["side_pools"]["side"]["drawn"] == len(ids) == 10 + len(left)


def test_caps_of_sources_that_share_a_name(data: Path, tiny: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    lines = (data / "second.jsonl").read_text(encoding="utf-8")
    (tmp_path / "other/pool.jsonl").write_text(lines, encoding="utf-8")
    experiment = asked(data, tiny, pool=["pool.jsonl", str(tmp_path / "other/pool.jsonl")])
    prepare_replicate(experiment, lambda: read_pools(experiment), 1, tmp_path / "drawn")
    assert read_draw(tmp_path / "drawn")["sources"] == [["pool", 30], ["pool@2", 10]]
    files = source_files(tmp_path / "drawn")
    assert [path.name for path in files] == ["1-pool.jsonl", "2-pool-2.jsonl"]
    assert "".join(path.read_text("utf-8") for path in files) == (tmp_path / "drawn/pool.jsonl").read_text("utf-8")
    told = read_draw(tmp_path / "drawn")
    (tmp_path / "drawn/draw.json").write_text(json.dumps({**told, "sources": None}), encoding="utf-8")
    with pytest.raises(StoreError, match="it was drawn by a version that did not keep that"):
        source_files(tmp_path / "drawn")


def test_nothing_left_of_a_side_pool_is_told(data: Path, tiny: str) -> None:
    experiment = asked(data, tiny, side_pools={**SIDE, "more": "target.jsonl"})
    with pytest.raises(EmptyDataError, match=r"rows of the side pool more, but none is left \(18 leaks\)"):
        draw_replicate(experiment, read_pools(experiment), 1)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"side_pools": {"more": "more.jsonl"}}, "'weave' must name a pool under 'side_pools' in an experiment"),
        ({"side_pools": {**SIDE, "rest": "more.jsonl"}}, "but 'rest' is by none. Hint: leave it out"),
        ({"side_pools": {**SIDE, "judge": "more.jsonl"}}, "none of pool, steer, judge, target, other, got 'judge'"),
        ({"side_pools": {**SIDE, "other": "more.jsonl"}}, "none of pool, steer, judge, target, other, got 'other'"),
        ({"side_pools": {**SIDE, "more": "none.jsonl"}}, "there must be a file or folder none.jsonl"),
        (
            {
                "arrange": {"embedder": "vectors:both.npz"},
                "orders": {"random": None, "woven": ORDERS["woven"]},
                "side_pools": {"replay": "replay.jsonl"},
            },
            "'weave' with a side pool must have a model",
        ),
        (
            {"orders": {**ORDERS, "woven": {"method": "tma", "weave": "50%:repley"}}},
            "got 'repley'. Hint: did you mean 'replay'?",
        ),
    ],
)
def test_wrong_side_pools_are_refused(data: Path, tiny: str, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as raised:
        asked(data, tiny, **changes)
    assert told in str(raised.value)


def test_addresses_are_kept_without_secrets(data: Path, tiny: str) -> None:
    address = "https://me:word@example.org/replay.jsonl?sig=1f"
    made = json.dumps(asked(data, tiny, side_pools={**SIDE, "replay": address}).as_json())
    assert "https://example.org/replay.jsonl" in made
    assert "word" not in made.replace("--words", "")


def test_a_dry_run_tells_what_side_pools_give(
    made: tuple[Experiment, Path], data: Path, tiny: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(data, tiny)
    assert main(["experiment", str(data / "experiment.yaml"), "--out", str(made[1]), "--dry-run"]) == 0
    assert "of the side pool replay: 18 leaks, 12 not drawn, 12 drawn" in capsys.readouterr().out
