"""Several processes give what one gives, survive the death of one of them, and end with the process that began."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from righttime.embedding import embed_texts, embedder_named, load_embedder
from righttime.embedding.gradients import SEPARATOR
from righttime.embedding.losses import LossScorer
from righttime.embedding.models import DEFAULT_MODEL
from righttime.embedding.workers import embed_in_processes
from righttime.errors import EmbeddingError, SettingsError

TEXTS = [f"{number} " + "w " * (number * 37 % 97) for number in range(400)]


class Company:
    """An embedder whose vectors depend on their company; what it does on the way is up to `mishap`."""

    identity: Mapping[str, str | int] = {"model": "company", "revision": "1", "max_length": 200}

    def __init__(self, folder: Path, mishap: str = "") -> None:
        self.folder, self.mishap = folder, mishap

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if "7 w" in texts[0][:4]:
            self._happen()
        (self.folder / str(os.getpid())).touch()
        company = float(sum(len(text) for text in texts))
        return np.array([[len(text), company] for text in texts], dtype=np.float32)

    def _happen(self) -> None:
        if self.mishap == "raise":
            raise RuntimeError("no such kernel")
        first = not (self.folder / "died").exists()
        if self.mishap == "die" or (self.mishap == "die once" and first):
            (self.folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Slow(Company):
    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        time.sleep(0.3)
        return super().embed(texts)


def batches_with(first: str) -> list[list[str]]:
    return [[text, "a b c"] for text in ["1 w", "2 w", first, "3 w", "4 w"]]


@pytest.mark.slow
def test_several_processes_end_with_the_same_bytes(tmp_path: Path) -> None:
    embedder = Company(tmp_path)
    alone = embed_texts(TEXTS, embedder, tmp_path / "one")
    together = embed_texts(TEXTS, embedder, tmp_path / "two", workers=2)
    assert np.array_equal(alone.vectors, together.vectors)
    assert (together.n_embedded, together.n_cached) == (400, 0)
    assert str(os.getpid()) in {entry.name for entry in tmp_path.iterdir()}, "the first run embedded here"
    assert embed_texts(TEXTS, embedder, tmp_path / "two", workers=2).n_cached == 400


KINDS = [DEFAULT_MODEL, "lm:{tiny}#layer=1", "gradients:{tiny}", "loss"]


def named(kind: str, tiny: str, device: str | None) -> Any:
    if kind == "loss":
        return LossScorer(tiny, device=device)
    return embedder_named(kind.format(tiny=tiny), device=device)


@pytest.mark.parametrize("kind", KINDS)
def test_each_process_has_a_gpu_of_its_own(tiny: str, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def devices(device: str | None) -> list[str | None]:
        there = [pickle.loads(pickle.dumps(named(kind, tiny, device))).for_worker(number) for number in range(3)]
        return [getattr(one, "_causal", one)._device for one in there]

    assert devices(None) == devices("cuda") == ["cuda:0", "cuda:1", "cuda:0"]
    assert devices("cpu") == ["cpu", "cpu", "cpu"]
    assert devices("cuda:1") == ["cuda:1", "cuda:1", "cuda:1"]


@pytest.mark.parametrize("kind", KINDS[1:3])
def test_a_copy_of_a_causal_model_for_another_process_embeds_alike(tiny: str, kind: str) -> None:
    texts = [SEPARATOR.join(("2 + 2?", answer)) for answer in ("four", "4 and no more")]
    embedder = named(kind, tiny, "cpu")
    want = embedder.embed(texts)
    sent = pickle.dumps(embedder)
    there = pickle.loads(sent).for_worker(1)
    assert there._causal.model is not embedder._causal.model
    assert np.array_equal(there.embed(texts), want)


@pytest.mark.linux
def test_a_process_that_dies_is_replaced_and_its_batch_done_again(tmp_path: Path) -> None:
    batches = batches_with("7 w")
    done = dict(embed_in_processes(Company(tmp_path, "die once"), batches, 2))
    assert (tmp_path / "died").exists()
    want = Company(tmp_path)
    assert sorted(done) == [0, 1, 2, 3, 4]
    for number, vectors in done.items():
        assert np.array_equal(vectors, want.embed(batches[number]))


@pytest.mark.slow
@pytest.mark.linux
def test_a_batch_that_kills_every_process_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"batch of 2 texts, .* died \(exit code -9\); .* begins '7 w'.*`workers`"):
        list(embed_in_processes(Company(tmp_path, "die"), batches_with("7 w"), 2))


@pytest.mark.slow
def test_what_a_model_raises_is_told(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"worker process \d could not embed: RuntimeError: no such kernel"):
        list(embed_in_processes(Company(tmp_path, "raise"), batches_with("7 w"), 2))


def test_an_embedder_that_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    embedder = Company(tmp_path)
    embedder.handle = (tmp_path / "file").open("w")  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match=r"must be picklable .* got Company.*__getstate__"):
        embed_texts(TEXTS, embedder, tmp_path, workers=2)


@pytest.mark.parametrize("workers", [0, -1])
def test_too_few_workers_are_refused(tmp_path: Path, workers: int) -> None:
    with pytest.raises(SettingsError, match=f"`workers` must be at least 1, got {workers}"):
        embed_texts(TEXTS, Company(tmp_path), tmp_path, workers=workers)


@pytest.mark.slow
@pytest.mark.linux
def test_when_the_starting_process_is_killed_the_others_end(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_embedding_workers import Slow, TEXTS, embed_texts\n"
        "if __name__ == '__main__':\n"
        "    embed_texts(TEXTS, Slow(Path(sys.argv[2])), Path(sys.argv[2]) / 'cache', workers=2)\n"
    )
    process = subprocess.Popen([sys.executable, str(script), str(Path(__file__).parent), str(tmp_path)])
    pids: list[int] = []
    deadline = time.monotonic() + 120
    while len(pids) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        pids = [int(entry.name) for entry in tmp_path.iterdir() if entry.name.isdecimal()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert len(pids) == 2
    while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_lives(pid) for pid in pids)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.slow
def test_the_default_model_in_two_processes_gives_the_bytes_of_one(tmp_path: Path) -> None:
    """Not promised for every machine, since threads may decide how sums are split; it held wherever it was tried."""
    import torch

    texts = [
        f"Question {number}: how many {'very ' * (number % 40)}large ships are there? Some." for number in range(90)
    ]
    alone = embed_texts(texts, load_embedder(device="cpu"), tmp_path / "one")
    threads = torch.get_num_threads()
    together = embed_texts(texts, load_embedder(device="cpu"), tmp_path / "two", workers=2)
    assert torch.get_num_threads() == threads
    assert np.abs(alone.vectors - together.vectors).max() < 1e-6
    if threads == 1:
        assert np.array_equal(alone.vectors, together.vectors), "the same batches on as many threads"
