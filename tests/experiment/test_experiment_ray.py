"""Runs on a Ray cluster give the numbers of runs on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from made_experiments import InProcess, made_data, written
from righttime.experiment import cells, read_experiment, run_experiment
from righttime.experiment.places import place_named

pytestmark = [pytest.mark.slow, pytest.mark.linux]


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, ray_home: str) -> Iterator[None]:
    import ray

    monkeypatch.setenv("HOME", ray_home)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, _temp_dir=str(tmp_path_factory.mktemp("ray")))
    yield
    ray.shutdown()


def test_runs_on_a_cluster(cluster: None, tiny: str, tmp_path: Path) -> None:
    asked = read_experiment(written(made_data(tmp_path / "data"), tiny, replicates=1))
    done = run_experiment(asked, tmp_path / "ray", jobs=2, place=place_named("ray"))
    assert not done.failures
    assert done.count("finished") == 3
    run_experiment(asked, tmp_path / "here", place=InProcess())
    for one, two in zip(cells(asked, tmp_path / "ray"), cells(asked, tmp_path / "here"), strict=True):
        assert _values(one.run) == _values(two.run)


def _values(run: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = pq.read_table(run / "evaluation/evaluation.parquet").to_pylist()
    return found
