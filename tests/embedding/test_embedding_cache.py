from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from righttime.embedding import Embedded, embed_texts
from righttime.embedding.cache import VectorCache
from righttime.embedding.embed import plan_batches, uncached
from righttime.errors import EmbeddingError, StoreError
from righttime.store import cache_folder


class Counting:
    """An embedder whose vectors depend on their company, as a real model's last bits do."""

    def __init__(self, **identity: str | int) -> None:
        self.identity: Mapping[str, str | int] = {"model": "counting", "revision": "1", "max_length": 5, **identity}
        self.seen: list[str] = []

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += texts
        company = float(sum(len(text) for text in texts))
        return np.array([[len(text), text.count("a"), company] for text in texts], dtype=np.float32)


TEXTS = [f"{'a' * (number % 7)} word{number}" for number in range(300)]


def test_each_distinct_text_is_embedded_once(tmp_path: Path) -> None:
    embedder = Counting()
    done = embed_texts([*TEXTS, *TEXTS[:50]], embedder, tmp_path)
    assert sorted(embedder.seen) == sorted(TEXTS)
    assert (done.n_embedded, done.n_cached) == (300, 0)
    assert done.vectors.shape == (350, 3)
    assert np.array_equal(done.vectors[:50], done.vectors[300:])
    assert done.vectors[:, 0].tolist() == [len(text) for text in [*TEXTS, *TEXTS[:50]]]


def test_a_pool_that_grew_by_a_tenth_embeds_a_tenth(tmp_path: Path) -> None:
    before = embed_texts(TEXTS, Counting(), tmp_path)
    embedder = Counting()
    new = [f"new {number}" for number in range(30)]
    after = embed_texts([*new, *TEXTS], embedder, tmp_path)
    assert sorted(embedder.seen) == sorted(new)
    assert (after.n_embedded, after.n_cached) == (30, 300)
    assert np.array_equal(after.vectors[30:], before.vectors)


@pytest.mark.parametrize(
    "change", [{"model": "other"}, {"revision": "2"}, {"max_length": 6}, {"dtype": "f2"}, {"prefix": "q"}]
)
def test_another_model_revision_length_dtype_or_prefix_shares_nothing(tmp_path: Path, change: dict[str, Any]) -> None:
    embed_texts(TEXTS, Counting(), tmp_path)
    embedder = Counting(**change)
    assert embed_texts(TEXTS, embedder, tmp_path).n_embedded == 300
    assert len(embedder.seen) == 300


def test_lengths_are_known_of_cached_rows_too(tmp_path: Path) -> None:
    texts = ["one", "one two three four five six", "a b c d e"]
    for _ in range(2):
        assert embed_texts(texts, Counting(), tmp_path).lengths.tolist() == [1, 6, 5]


class Dying(Counting):
    """Dies, as by SIGKILL between two batches, after some batches."""

    def __init__(self, batches: int) -> None:
        super().__init__(max_length=200)
        self.batches = batches

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not self.batches:
            raise KeyboardInterrupt
        self.batches -= 1
        return super().embed(texts)


@pytest.mark.parametrize("batches", [0, 1, 2, 5])
def test_a_stopped_run_goes_on_with_the_same_batches(tmp_path: Path, batches: int) -> None:
    texts = [f"{number} " + "w " * (number * 37 % 97) for number in range(400)]
    want = embed_texts(texts, Counting(max_length=200), tmp_path / "undisturbed")
    dying = Dying(batches)
    with pytest.raises(KeyboardInterrupt):
        embed_texts(texts, dying, tmp_path / "killed")
    embedder = Counting(max_length=200)
    got = embed_texts(texts, embedder, tmp_path / "killed")
    assert np.array_equal(got.vectors, want.vectors), "the same company, so the same bytes"
    assert not set(dying.seen) & set(embedder.seen), "finished work is not done again"
    assert set(dying.seen) | set(embedder.seen) == set(texts)


@pytest.mark.linux
def test_sigkill_in_the_middle_loses_no_finished_work(tmp_path: Path) -> None:
    texts = [f"text {number} " + "w " * (number % 50) for number in range(1500)]
    want = embed_texts(texts, Counting(), tmp_path / "undisturbed")
    cache = tmp_path / "killed"
    script = (
        "import sys, time, numpy as np\n"
        "from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_embedding_cache import Counting, embed_texts\n"
        "class Slow(Counting):\n"
        "    def embed(self, texts):\n"
        "        time.sleep(0.2)\n"
        "        return super().embed(texts)\n"
        "texts = [f'text {number} ' + 'w ' * (number % 50) for number in range(1500)]\n"
        "embed_texts(texts, Slow(), Path(sys.argv[2]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent), str(cache)])
    deadline = time.monotonic() + 60
    while _rows(cache) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = _rows(cache)
    assert 0 < finished < 1500, "killed in the middle"
    embedder = Counting()
    got = embed_texts(texts, embedder, cache)
    assert len(embedder.seen) == 1500 - finished
    assert np.array_equal(got.vectors, want.vectors)


def _rows(cache: Path) -> int:
    try:
        with sqlite3.connect(next(cache.glob("*.sqlite"))) as db:
            return int(db.execute("SELECT count(*) FROM vectors").fetchone()[0])
    except (StopIteration, sqlite3.Error):
        return 0


@pytest.mark.parametrize("identity", ["mine-1", {"model": "mine"}])
def test_an_identity_that_does_not_tell_models_apart_is_refused(tmp_path: Path, identity: Any) -> None:
    embedder = Counting()
    embedder.identity = identity
    with pytest.raises(EmbeddingError, match="must be a mapping with model, revision and max_length"):
        embed_texts(["hello"], embedder, tmp_path)


def test_nan_from_a_model_names_the_text(tmp_path: Path) -> None:
    class Broken(Counting):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.full((len(texts), 2), np.nan, dtype=np.float32)

    with pytest.raises(EmbeddingError, match="NaN or infinity for the text 'hello'"):
        embed_texts(["hello"], Broken(), tmp_path)


def test_a_cache_that_cannot_be_written_gets_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cache of vectors .* must be readable and writable.*`cache`"):
        embed_texts(["hello"], Counting(), tmp_path / "file" / "cache")


@given(st.lists(st.integers(0, 700), max_size=300), st.randoms(use_true_random=False))
def test_taking_whole_batches_away_leaves_the_others_as_they_were(lengths: list[int], random: Any) -> None:
    batches = plan_batches(lengths)
    done = [batch for batch in batches if random.random() < 0.5]
    left = sorted(set(range(len(lengths))) - {place for batch in done for place in batch})
    again = [[left[place] for place in batch] for batch in plan_batches([lengths[place] for place in left])]
    assert sorted(again) == sorted(batch for batch in batches if batch not in done)


def test_batches_hold_every_text_once_and_few_tokens() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 3000, size=500).tolist()
    batches = plan_batches(lengths)
    assert sorted(place for batch in batches for place in batch) == list(range(500))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= 2048
    assert max(lengths) in [lengths[place] for place in batches[0]], "the longest first: memory fails early"
    assert plan_batches([]) == []


def test_vectors_go_into_a_file_a_part_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("righttime.embedding.cache._ROWS_WRITTEN_AT_A_TIME", 64)
    texts = [*TEXTS, *TEXTS[:50]]
    want = embed_texts(texts, Counting(), tmp_path / "cache")
    got = embed_texts(texts, Counting(), tmp_path / "cache", into=tmp_path / "vectors.npy")
    assert isinstance(got.vectors, np.memmap)
    assert got.vectors.dtype == np.float32
    assert np.array_equal(got.vectors, want.vectors)
    assert np.array_equal(got.lengths, want.lengths)
    assert np.array_equal(np.load(tmp_path / "vectors.npy"), want.vectors)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["cache", "vectors.npy"], (
        "nothing half written is left"
    )
    assert embed_texts([], Counting(), tmp_path / "cache", into=tmp_path / "none.npy").vectors.shape == (0, 0)
    with pytest.raises(StoreError, match="nowhere"):
        embed_texts(texts, Counting(), tmp_path / "cache", into=tmp_path / "nowhere" / "vectors.npy")


def test_the_cache_is_where_the_system_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIGHTTIME_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "Library" / "Caches" / "righttime")
    for variables, folder in (({}, ".cache"), ({"XDG_CACHE_HOME": str(tmp_path / "xdg")}, "xdg")):
        with monkeypatch.context() as patch:
            patch.delenv("XDG_CACHE_HOME", raising=False)
            for name, value in variables.items():
                patch.setenv(name, value)
            assert cache_folder() == tmp_path / "Library" / "Caches" / "righttime"
            (tmp_path / folder / "righttime").mkdir(parents=True)
            assert cache_folder() == tmp_path / folder / "righttime", "what is cached already is found again"
    monkeypatch.setenv("RIGHTTIME_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"


@pytest.mark.linux
def test_on_linux_the_cache_is_where_it_always_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RIGHTTIME_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "righttime"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "righttime"


class Alone(Counting):
    """Its vectors do not depend on their company, so those made anew are the old ones."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.seen += texts
        digests = [hashlib.sha256(text.encode()).digest() * 8 for text in texts]
        return np.array([np.frombuffer(digest, dtype=np.uint8) for digest in digests], dtype=np.float32)


def cached_file(cache: Path) -> Path:
    (path,) = cache.glob("*.sqlite")
    return path


def embedded_or_refused(cache: Path) -> Embedded | None:
    try:
        return embed_texts(TEXTS, Alone(), cache)
    except StoreError:
        return None


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bits_anywhere_never_change_a_vector(tmp_path: Path, seed: int) -> None:
    want = embed_texts(TEXTS, Alone(), tmp_path / "sound")
    whole = cached_file(tmp_path / "sound").read_bytes()
    rng = np.random.default_rng(seed)
    said = remade = 0
    for number in range(150):
        cache = tmp_path / str(number)
        cache.mkdir()
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), size=1 + number % 3).tolist():
            damaged[place] ^= 1 << int(rng.integers(8))
        (cache / cached_file(tmp_path / "sound").name).write_bytes(damaged)
        got = embedded_or_refused(cache)
        if got is None:
            said += 1
            continue
        assert np.array_equal(got.vectors, want.vectors)
        assert np.array_equal(got.lengths, want.lengths)
        remade += got.n_embedded > 0
    assert remade > 30, "many hit a row"
    assert said < 30, "few hit what SQLite itself needs"


def test_a_damaged_vector_is_made_anew_and_counted(tmp_path: Path) -> None:
    want = embed_texts(TEXTS, Alone(), tmp_path)
    with sqlite3.connect(cached_file(tmp_path)) as db:
        db.execute("UPDATE vectors SET vector = zeroblob(1024) WHERE key = (SELECT min(key) FROM vectors)")
        db.execute("UPDATE vectors SET length = length + 1 WHERE key = (SELECT max(key) FROM vectors)")
    embedder = Alone()
    assert len(uncached(TEXTS, Alone(), tmp_path)) == 2
    with sqlite3.connect(cached_file(tmp_path)) as db:
        db.execute("UPDATE vectors SET vector = 'text' WHERE key = (SELECT min(key) FROM vectors)")
    got = embed_texts(TEXTS, embedder, tmp_path)
    assert (got.n_embedded, got.n_damaged) == (3, 1)
    assert np.array_equal(got.vectors, want.vectors)
    assert embed_texts(TEXTS, Alone(), tmp_path).n_damaged == 0, "it was written anew"


def test_a_vector_damaged_between_two_looks_is_not_taken(tmp_path: Path) -> None:
    keys = [bytes([number]) * 32 for number in range(9)]
    with VectorCache(tmp_path, {"model": "m"}) as cache:
        cache.add(keys, [1] * 9, np.ones((9, 4), dtype=np.float32))
        assert not len(cache.missing(keys))
        with sqlite3.connect(cache.path) as db:
            db.execute("UPDATE vectors SET vector = zeroblob(16) WHERE length = 1 AND key = ?", (keys[3],))
        with pytest.raises(StoreError, match=r"the 9 vectors asked for as they were written, got 8"):
            cache.get(keys)


def test_a_cache_without_checksums_is_made_anew(tmp_path: Path) -> None:
    embedder = Alone()
    about = json.dumps(dict(embedder.identity), sort_keys=True)
    earlier = tmp_path / f"vectors-{hashlib.sha256(about.encode()).hexdigest()[:16]}.sqlite"
    with sqlite3.connect(earlier) as db:
        db.execute("CREATE TABLE vectors (key BLOB PRIMARY KEY, length INTEGER, vector BLOB) WITHOUT ROWID")
    assert embed_texts(TEXTS, embedder, tmp_path).n_embedded == 300
    assert len(list(tmp_path.glob("*.sqlite"))) == 2
