"""The configs of the paper's experiments are read without a problem, whatever the data and the model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from righttime.cli import main
from righttime.experiment import Experiment, read_experiment
from righttime.experiment.draws import draw_replicate, read_pools

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*/*.yaml"))
IN_FLOAT32 = ("confirm-vectors",)  # many machines lack bfloat16 products
PAPER = ("FLAN_MINI", "FLAN_MINI_40", "SHAREGPT", "NOROBOTS")


def flan(k: int, side: str) -> dict[str, object]:
    said = [{"from": "human", "value": f"{side} question {k}"}, {"from": "gpt", "value": f"answer {k}"}]
    return {"id": f"{side}-{k}", "source": f"task{k % 3}", "conversations": said}


def written(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small made-up files in the formats that the configs name, and the variables that say where."""
    for name in PAPER:
        monkeypatch.setenv(name, str(tmp_path / name))
        for side in ("pool", "target", "train", "test"):
            written(tmp_path / name / f"{side}.jsonl", [flan(k, side) for k in range(12)])
    monkeypatch.setenv("NIV2", str(tmp_path / "NIV2"))
    for split in ("train", "test"):
        (tmp_path / "NIV2/splits/default").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"NIV2/splits/default/{split}_tasks.txt").write_text(f"task1_{split}\n", encoding="utf-8")
        task = {"Definition": ["Answer."], "Positive Examples": [], "Instances": [{"input": "1", "output": ["2"]}]}
        (tmp_path / "NIV2/tasks").mkdir(exist_ok=True)
        (tmp_path / f"NIV2/tasks/task1_{split}.json").write_text(json.dumps(task), encoding="utf-8")
    monkeypatch.setenv("RIGHTTIME_DATA", str(tmp_path / "data"))
    named = {name for path in CONFIGS for name in re.findall(r"shared/data\}/(\S+)", path.read_text(encoding="utf-8"))}
    for name in named:
        written(tmp_path / "data" / name, [])
    return tmp_path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_config_is_read_without_a_problem(path: Path, data: Path) -> None:
    found = read_experiment(path)
    assert found.baseline == "random"
    assert found.replicates >= 3 or path.stem.startswith("screen-"), "a screen reaches no verdict"
    assert found.judge_share == 0.5
    assert found.question.endswith("?")
    assert all(source.path.startswith(str(data)) for source in (*found.pool, *found.target))
    varies = [source.rows or found.subsample for source in found.pool]
    assert all(varies), "replicates draw"
    paper = path.parent.name == "paper"
    assert found.model == ("meta-llama/Llama-2-7b-hf" if paper else "smollm2-135m")
    for order in found.orders:
        settings = found.tune_settings(order, 1)
        assert (settings.form, settings.rate) == (("paper", 1e-6) if paper else ("auto", 3e-5))
        assert settings.precision == ("float32" if path.stem in IN_FLOAT32 else "bf16")
    assert (found.evaluation.every == 10) is paper


def test_the_configs_of_the_paper_and_what_it_lacks_are_there() -> None:
    names = {path.stem for path in CONFIGS if path.parent.name == "small"}
    assert names >= {"tma", "early", "wsd", "granularity", "windows", "distances", "decay", "category"}
    assert [useful_share(read_experiment(path)) for path in CONFIGS if path.stem.startswith("mixed-")] == [
        pytest.approx(share, abs=0.002) for share in (0.02, 0.06, 1.0, 0.2)
    ]
    assert {path.stem for path in CONFIGS if path.parent.name == "paper"} == {
        *("early", "random-cluster-round-robin", "wsd", "granularity", "windows"),
        *("tma-flan-mini", "tma-sharegpt", "tma-norobots"),
    }


def useful_share(found: Experiment) -> float:
    rows = {Path(source.path).name: source.rows for source in found.pool}
    assert all(isinstance(each, int) for each in rows.values())
    return rows["gsm8k_train.jsonl"] / sum(rows.values())  # type: ignore[operator,arg-type]


@pytest.mark.parametrize("name", ["tma-flan-mini", "tma-norobots", "wsd"])
def test_the_data_of_a_config_is_read_and_drawn(name: str) -> None:
    asked = read_experiment(ROOT / f"configs/paper/{name}.yaml")
    counts = draw_replicate(asked, read_pools(asked), 1).counts
    assert (counts["pool"], counts["steer"], counts["judge"]) == (6, 6, 6)


def test_a_dry_run_says_what_would_run_where_the_model_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    path = ROOT / "configs/paper/tma-flan-mini.yaml"
    assert main(["experiment", str(path), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "6 orders × 3 replicates = 18 runs, 18 of them not done" in shown
    assert "how long it takes cannot be told here" in shown
    assert "Llama-2-7b-hf" in shown
    assert not (tmp_path / "out").exists()
