from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tiers import examples

ROOT = Path(__file__).resolve().parents[1]

os.environ["HF_HUB_OFFLINE"] = "1"  # tests never look at the network
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nor does Ray, whose thread would log into the tests that follow

settings.register_profile("default", deadline=None, max_examples=examples(100))
settings.load_profile("default")

gc.disable()  # until tests run: what is imported and collected stays


def pytest_collection_finish() -> None:
    """Collect garbage from here on."""
    gc.enable()


@pytest.fixture(autouse=True, scope="module")
def heap_of_one_module() -> None:
    """Let the garbage collector pass over all that earlier modules left: `tune` calls it, and it took half the time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data; where it is missing the test is skipped, or fails if it is required."""
    folder = Path(os.environ.get("RIGHTTIME_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "niv2_pool.jsonl.gz").exists():
        if os.environ.get("RIGHTTIME_REQUIRE_DATA") == "1":
            pytest.fail(f"the real data is required, but {folder} does not hold it (set RIGHTTIME_DATA)")
        pytest.skip(f"no real data in {folder} (set RIGHTTIME_DATA)")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a random Llama of some 20,000 parameters."""
    from tiny_model import save_tiny_model

    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of such a Llama without chat template and padding token."""
    from tiny_model import save_bare_model

    return save_bare_model(tmp_path_factory.mktemp("bare"))


@pytest.fixture
def bare_tokenizer(bare: Path) -> Any:
    """Its tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(bare)


@pytest.fixture
def bare_model(bare: Path) -> Any:
    """The model, in evaluation mode."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(bare).eval()


@pytest.fixture(scope="session")
def arranged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An arrangement of 37 rows."""
    from tiny_model import save_arrangement

    return save_arrangement(tmp_path_factory.mktemp("arranged"), 37)


@pytest.fixture(scope="session")
def experiment(tiny: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished experiment of three orders and three replicates; not to be changed."""
    from made_experiments import InProcess, made_data, written
    from righttime.experiment import read_experiment, run_experiment

    out = tmp_path_factory.mktemp("experiment") / "out"
    asked = read_experiment(written(made_data(tmp_path_factory.mktemp("data")), tiny))
    run_experiment(asked, out, place=InProcess())
    return out


@pytest.fixture(scope="session")
def ray_home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One home for every cluster of this process: Ray keeps the first token that it finds in one."""
    return str(tmp_path_factory.mktemp("ray-home"))


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the user's cache of vectors, nor does a fixture of any scope."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIGHTTIME_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """For commands that need no model."""
    from faulty_commands import prepare
    from warm import WORDS_ONLY, Warm

    warm = Warm(tmp_path_factory.mktemp("light"), WORDS_ONLY)
    prepare(warm)
    yield warm
    warm.close()


@pytest.fixture(scope="module")
def heavy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two for commands that need a model."""
    from faulty_commands import prepare
    from warm import TRAINING, Warm

    both = tuple(Warm(tmp_path_factory.mktemp("heavy"), TRAINING) for _ in range(2))
    for warm in both:
        prepare(warm, models=True)
    yield both[0], both[1]
    for warm in both:
        warm.close()
