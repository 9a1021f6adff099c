from __future__ import annotations

from pathlib import Path

import pytest

from made_experiments import InProcess, made_data, written
from righttime.experiment import read_experiment, run_experiment


@pytest.fixture(scope="session")
def experiment(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished experiment of three orders and three replicates; not to be changed."""
    out = tmp_path_factory.mktemp("experiment") / "out"
    asked = read_experiment(written(made_data(tmp_path_factory.mktemp("data")), tiny))
    run_experiment(asked, out, place=InProcess())
    return out
