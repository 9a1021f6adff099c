"""An experiment's file: every problem at once, by its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from made_experiments import made_data, written
from righttime.errors import SettingsError
from righttime.experiment import Source, read_experiment
from righttime.experiment.store import is_experiment, open_experiment, state_experiment
from righttime.pipeline import arrange_rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return made_data(tmp_path / "data")


def refused(path: Path, *changes: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_experiment(path, changes)
    return str(caught.value)


def test_an_experiment_is_read_whole(data: Path, tiny: str) -> None:
    found = read_experiment(written(data, tiny, judge_share="25%", subsample=30))
    assert found.pool == (Source(str(data / "pool.jsonl")),)
    assert list(found.orders) == ["random", "tma", "back"]
    assert found.orders["tma"].arranging == {"embedder": f"vectors:{data / 'both.npz'}", "method": "tma"}
    assert found.orders["back"].arranging["method"] == "tma-farthest"
    assert found.tuning == {"batch": 4, "learning_rate": 1e-3}
    assert (found.judge_share, found.subsample, found.evaluation.at) == (0.25, 30, (0, 1))
    settings = found.tune_settings("tma", 2)
    assert (settings.batch, settings.rate, settings.seed, settings.save_model) == (4, 1e-3, 2, False)


def test_vectors_at_an_address_are_no_file_beside_it(data: Path, tiny: str) -> None:
    embedder = "vectors:s3://bucket/both.npz#pool"
    found = read_experiment(written(data, tiny, arrange={"embedder": embedder}, orders={"random": None, "tma": None}))
    assert found.request("tma", 1).embedder == embedder


def test_what_is_written_is_read_back(data: Path, tiny: str, tmp_path: Path) -> None:
    orders = {"random": None, "few": {"method": "tma", "rounds": "0:2", "tuning": {"schedule": "cosine"}}}
    asked = read_experiment(written(data, tiny, orders=orders))
    state_experiment(asked, tmp_path / "out")
    assert is_experiment(tmp_path / "out")
    assert open_experiment(tmp_path / "out") == asked
    assert asked.request("few", 1).rounds == (0, 2)


def test_orders_take_every_setting_of_an_order(data: Path, tiny: str, tmp_path: Path) -> None:
    first = {"method": "tma", "weave": 0.2, "cap_task": "50%", "apart": 0.05, "shape": "folded:layers=2"}
    second = {"method": "tma", "anneal": "1:0.5", "target_weight": {"add_target": 3}}
    asked = read_experiment(written(data, tiny, orders={"random": None, "first": first, "second": second}))
    state_experiment(asked, tmp_path / "out")
    assert open_experiment(tmp_path / "out") == asked
    for name in ("first", "second"):
        request = asked.request(name, 2)
        assert request.seed == 2
        found = arrange_rows([str(data / "pool.jsonl")], [str(data / "target.jsonl")], request).arrangement
        assert found.woven is not None
        assert len(found) == 8
        assert int(found.woven.sum()) == 2
    assert found.settings["target_rows_by_weight"] == {"1": 12, "3": 6}


def test_a_share_that_yaml_takes_for_a_time_of_day_is_explained(data: Path, tiny: str) -> None:
    path = written(data, tiny, orders={"random": None, "tma": {"anneal": "SHARES"}})
    path.write_text(path.read_text(encoding="utf-8").replace("SHARES", "1:0.5"), encoding="utf-8")
    told = refused(path)
    assert "got 60.5" in told
    assert "in a YAML file it stands in quotes" in told


def test_all_problems_are_named_with_their_lines(data: Path) -> None:
    path = data / "wrong.yaml"
    path.write_text(
        "pool: nowhere.jsonl\n"
        "target: target.jsonl\n"
        "model: some-model\n"
        "budgt: 8\n"
        "replicates: 0\n"
        "orders:\n"
        "  random:\n"
        "  tma: {methd: tma}\n"
        "  tma:\n"
        "tuning: {learning_rte: 1}\n"
        "evaluate: {metrics: [los]}\n",
        encoding="utf-8",
    )
    told = refused(path)
    for line, part in (
        (1, "nowhere.jsonl"),
        (4, "'budgt' in an experiment: did you mean 'budget'"),
        (5, "'replicates' must be a whole number"),
        (8, "'methd' in order tma: did you mean 'method'"),
        (9, "'tma' stands twice"),
        (10, "'learning_rte' in 'tuning': did you mean 'learning_rate'"),
        (11, "'los': did you mean 'loss'"),
    ):
        assert any(row.startswith(f"{path}:{line}: ") and part in row for row in told.splitlines()), (line, told)
    assert "'budget' must be given" in told


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"orders": {"random": None}}, "at least two orders"),
        ({"baseline": "randm"}, "'baseline' must be one of the orders, got 'randm': did you mean 'random'"),
        ({"orders": {"random": None, "tma": {"method": "tmaa"}}}, "order tma: unknown method 'tmaa'"),
        ({"tuning": {"batch_size": -1}}, "batch must be at least 1"),
        ({"evaluate": {"at": [0, 9]}}, "steps to evaluate at must be at most the last, which is 2, got 9"),
        ({"evaluate": {"at": [0, 0]}}, "each once"),
        ({"judge_share": 2}, "a share above 0 and below 1"),
        ({"hold_out": "grop"}, "one of none, task, group"),
        ({"sets": {"judge": "other.jsonl"}}, "none of pool, steer, judge, target"),
        ({"sets": {"pool": "other.jsonl"}}, "none of pool, steer, judge, target"),
        ({"pool": [{"rows": 3}]}, "as 'path'"),
        ({"pool": [{"path": "pool.jsonl", "rows": 0}]}, "'rows' must be a whole number of rows from 1"),
        ({"tuning": {"learning_rate": "fast"}}, "of the wrong kind"),
        ({"tuning": {"lora": 8}}, "'lora' must be true, false or a mapping"),
        ({"orders": {"random": None, "tma": {"workers": "4"}}}, "order tma: a value is of the wrong kind"),
        ({"evaluate": {"at": []}}, "steps of 0 or more"),
        ({"evaluate": {"at": ["x"]}}, "steps of 0 or more"),
        ({"evaluate": {"metrics": 3}}, "unknown metric 3"),
        ({"judge_share": "150%"}, "'judge_share' must be a share above 0 and below 1"),
        ({"orders": {"random": None, "tma": {"embedder": "vectors:other.npz"}}}, "the same for all orders"),
        ({"subsample": 1.5}, "'subsample' must be a share"),
        ({"orders": {"random": None, "tma": {"cap_source": "x"}}}, "order tma: 'cap_source' must be a whole number"),
        ({"orders": {"random": None, "tma": {"cap_task": "x"}}}, "order tma: 'cap_task' must be a whole number"),
        ({"orders": {"random": None, "tma": {"weave": 1.5}}}, "order tma: 'weave' must be a share above 0"),
        (
            {"orders": {"random": None, "tma": {"weave": "0.2:x.jsonl"}}},
            "'weave' must name a pool under 'side_pools' in an experiment",
        ),
    ],
)
def test_wrong_values_are_refused(data: Path, tiny: str, changes: dict[str, Any], part: str) -> None:
    assert part in refused(written(data, tiny, **changes))


def test_problems_of_several_parts_are_told_together(data: Path, tiny: str) -> None:
    orders = {"random": None, "tma": {"method": "tmaa"}}
    told = refused(written(data, tiny, pool="nope.jsonl", tuning={"batch_size": -1}, orders=orders))
    for part in ("nope.jsonl", "batch must be at least 1", "unknown method 'tmaa'"):
        assert part in told


def test_words_change_settings(data: Path, tiny: str) -> None:
    path = written(data, tiny)
    found = read_experiment(path, ["tuning.batch_size=2", "orders.tma.within_round=index", "evaluate.at=[0, 3]"])
    assert (found.tuning["batch"], found.orders["tma"].arranging["within_round"]) == (2, "index")
    assert found.evaluation.at == (0, 3)
    assert "`changes`: unknown name 'such'" in refused(path, "such=1")
    assert "NAME=VALUE" in refused(path, "budget")


def test_variables_are_replaced(data: Path, tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(data)
    monkeypatch.setenv("POOL_FOLDER", ".")
    path = written(data, tiny, pool="${POOL_FOLDER}/pool.jsonl", target="${NOT_SET:-target}.jsonl")
    found = read_experiment(path)
    assert (found.pool[0].path, found.target[0].path) == (str(data / "pool.jsonl"), str(data / "target.jsonl"))
    assert ":1: the variable NOT_SET is not set" in refused(written(data, tiny, pool="${NOT_SET}/pool.jsonl"))


def test_what_is_no_yaml_is_refused_by_its_line(data: Path) -> None:
    path = data / "broken.yaml"
    path.write_text("pool: a\norders: [\n", encoding="utf-8")
    assert refused(path).startswith(f"{path}:3: must be YAML")
    assert "must be a YAML file" in refused(data / "missing.yaml")


def test_a_folder_holds_one_experiment(data: Path, tiny: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    state_experiment(read_experiment(written(data, tiny)), out)
    state_experiment(read_experiment(written(data, tiny, replicates=5)), out)  # more of the same
    state_experiment(read_experiment(written(data, tiny, replicates=5, seed=7)), out)  # nothing was drawn yet
    state_experiment(read_experiment(written(data, tiny, replicates=5)), out)
    (out / "replicate-1").mkdir()
    (out / "replicate-1/draw.json").write_text("{}")
    with pytest.raises(SettingsError, match="5 replicates, which must stay"):
        state_experiment(read_experiment(written(data, tiny)), out)
    fewer = read_experiment(written(data, tiny, replicates=5, orders={"random": None, "tma": None}))
    with pytest.raises(SettingsError, match="the order back, which must stay"):
        state_experiment(fewer, out)
    with pytest.raises(SettingsError, match="whose budget is 8, not 12"):
        state_experiment(read_experiment(written(data, tiny, replicates=5, budget=12)), out)
    orders = {"random": None, "tma": {"within_round": "index"}, "back": {"method": "tma-farthest"}}
    other = read_experiment(written(data, tiny, replicates=5, orders=orders))
    with pytest.raises(SettingsError, match="an order tma with other settings"):
        state_experiment(other, out)
