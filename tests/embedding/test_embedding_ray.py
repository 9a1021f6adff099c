"""Embedded on a cluster: the pool's vectors lie in a file that each shard reads, and the bytes are one machine's."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from righttime.choices import Engine
from righttime.embedding import CombinedEmbedder, Embedder, embed
from righttime.embedding.centring import Centring
from righttime.embedding.on_ray import embed_on_ray
from righttime.embedding.vectors import embedded
from righttime.inputs import read_side
from righttime.neighbours import shards
from righttime.pipeline import arrange_into
from righttime.results import Request
from righttime.similarity import shared_or_none
from small_cluster import cluster, losing_a_node

__all__ = ["cluster"]

pytest.importorskip("ray")


class Made:
    """Vectors by the hash of a text, of any length; a seed of their own makes others of the target's."""

    def __init__(self, d: int = 12, seed: int = 0, **how: Any) -> None:
        self.identity: dict[str, str | int] = {"model": "made", "revision": f"{d} {seed}", "max_length": 100}
        self.d, self.seed = d, seed
        vars(self).update(how)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        seeds = [int.from_bytes(hashlib.sha256(f"{self.seed}{text}".encode()).digest()[:8], "big") for text in texts]
        made = np.stack([np.random.default_rng(seed).normal(1, size=self.d) for seed in seeds]).astype(np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True) if self.d == 8 else made


class ForTarget(Made):
    """The target's rows are read in another way."""

    def for_target(self) -> Made:
        return Made(self.d, 1)


CENTRED = Made(centring=Centring("centred", sample=200))


class Slow(Made):
    """Takes half a second for some forty texts."""

    tokens_per_batch = 600

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        time.sleep(0.5)
        return super().embed(texts)


VARIANTS: dict[str, Embedder] = {
    "any length": Made(),
    "length 1": Made(8),
    "a target of its own": ForTarget(),
    "centred": CENTRED,
    "whitened": Made(centring=Centring("whitened", sample=200)),
    "subspace": Made(subspace=3),
    "combined": CombinedEmbedder([CENTRED, Made(8), ForTarget(5)], [3, 1, 1]),
}


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def sides(folder: Path, n_pool: int, n_target: int) -> tuple[str, str]:
    """Files of a pool, of which a tenth of the rows repeats another, and of a target."""
    pool = [{"id": f"p{n}", "prompt": f"what is {n - n % 10 // 9}?", "response": "x"} for n in range(n_pool)]
    target = [{"id": f"t{n}", "prompt": f"which is {n}?", "response": "y"} for n in range(n_target)]
    return write(folder / "pool.jsonl", pool), write(folder / "target.jsonl", target)


@pytest.mark.parametrize("kind", VARIANTS)
def test_the_pools_vectors_lie_in_a_file_and_are_those_of_one_machine(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "embed_on_ray", lambda embedder, batches, _: embed._one_by_one(embedder, batches))
    files, request = sides(tmp_path, 2_500, 7), Request()
    pool, target = read_side([files[0]], "pool", request).rows, read_side([files[1]], "target", request).rows
    want, found = (
        embedded(pool, target, "prompt", VARIANTS[kind], tmp_path / str(on_ray), memory=1 << 30, on_ray=on_ray)
        for on_ray in (False, True)
    )
    shared = shared_or_none(found.pool)
    assert shared is not None
    assert shared[:].tobytes() == np.asarray(want.pool).tobytes()
    assert np.asarray(found.target).tobytes() == np.asarray(want.target).tobytes()
    assert not isinstance(found.target, np.memmap)
    assert found.about == want.about
    del found, shared
    gc.collect()
    assert not list((tmp_path / "True").glob(".lent*.partial")), "the file goes with the vectors"


@pytest.fixture
def nothing_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where this process, the driver, hands out rows."""
    dealt = shards._dealt

    def watched(column: Any, shard: int, n_shards: int) -> Any:
        assert column.ndim == 1 or len(column) < 100, "marks of taken rows, and the few that a method took, alone"
        return dealt(column, shard, n_shards)

    monkeypatch.setattr(shards, "_dealt", watched)


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("any length", {"budget": 300, "guard": "remove", "duplicates": "drop"}),
        ("combined", {"min_similarity": 0.6, "budget": 200}),
        ("length 1", {"method": "kcenter", "budget": 40, "guard": "off"}),
    ],
)
def test_a_cluster_writes_the_bytes_of_one_machine(
    cluster: Any, kind: str, how: dict[str, Any], tmp_path: Path
) -> None:
    same_on_both(tmp_path, VARIANTS[kind], **how)


def same_on_both(folder: Path, embedder: Any, **how: Any) -> None:
    """Arrange a pool of two files on one machine and on a cluster, and compare."""
    pool, target = sides(folder, 1_500, 20)
    rows = [{"id": f"m{n}", "prompt": f"what was {n}?", "response": "z"} for n in range(9)]
    pools: Any = [pool, write(folder / "more.jsonl", rows)]
    engines: tuple[Engine, Engine] = ("cpu", "ray")
    here, there = (
        arrange_into(
            folder / engine,
            pools,
            target,
            Request(engine=engine, embedder=embedder, **how),
            cache=folder / "cache" / engine,
        )
        for engine in engines
    )
    assert here.embedding == there.embedding
    assert not there.of_run, "every machine sees the file"
    for file in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        assert (folder / "cpu" / file).read_bytes() == (folder / "ray" / file).read_bytes(), file


class Batches(Sequence[list[str]]):
    """Batches of which it is known which were looked at."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, number: Any) -> Any:
        self.read.append(number)
        return [f"text {number}", "another"]


@pytest.mark.slow
def test_a_batchs_texts_are_read_when_an_actor_is_to_have_it(cluster: Any) -> None:
    batches, done = Batches(40), []
    for number, vectors in embed_on_ray(Made(), batches):
        done.append(number)
        assert len(batches.read) <= len(done) + 2 * 3, "two for each of three actors, beside those that are done"
        assert vectors.tobytes() == Made().embed([f"text {number}", "another"]).tobytes()
    assert sorted(done) == batches.read == list(range(40))


@pytest.mark.slow
@pytest.mark.linux
def test_a_node_that_is_lost_while_it_embeds_changes_nothing(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once, told = losing_a_node(cluster)

    def losing(*how: Any) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for number, vectors in embed_on_ray(*how):
            once(len(vectors))
            yield number, vectors

    monkeypatch.setattr(embed, "embed_on_ray", losing)
    same_on_both(tmp_path, Slow(), budget=300)
    assert len(told) > 20


class Signed(Made):
    """Leaves the number of its process in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        (self.folder / str(os.getpid())).touch()
        time.sleep(0.2)
        return super().embed(texts)


@pytest.mark.slow
def test_a_machine_that_joins_embeds_too(cluster: Any, tmp_path: Path) -> None:
    joined, done = None, 0
    with closing(embed_on_ray(Signed(tmp_path), Batches(2_000))) as embedding:
        for number, vectors in embedding:
            assert vectors.tobytes() == Made().embed([f"text {number}", "another"]).tobytes()
            joined, done = joined or cluster.add_node(num_cpus=2), done + 1
            if len(list(tmp_path.iterdir())) == 3 + 2:
                break
    cluster.remove_node(joined)
    assert done < 2_000


@pytest.mark.slow
def test_workers_without_a_place_are_not_waited_for(cluster: Any, tmp_path: Path) -> None:
    assert sorted(dict(embed_on_ray(Signed(tmp_path), Batches(30), workers=7))) == list(range(30))
