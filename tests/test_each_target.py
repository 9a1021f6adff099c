"""One arrangement for each target from one reading of the pool, as if each had been arranged for alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from righttime.arrangement.falloff import falloff
from righttime.cli import main
from righttime.neighbours import BlockSearch, FirstPass, Nominees, Seen, products
from righttime.neighbours.protocol import Vectors
from righttime.similarity import unit_rows
from tiny_model import save_tiny_model

NAMES = ("maths", "chat.v2", "code")
FILES = ("train.jsonl", "arrangement.parquet", "left_out.parquet")


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of 400 rows, three targets of different sizes, and vectors of all; one pool row is in a target too."""
    folder = tmp_path_factory.mktemp("each")
    rng = np.random.default_rng(7)
    pool = [{"id": f"r{row}", "prompt": f"what is pool {row}?", "response": f"answer {row}"} for row in range(400)]
    arrays: dict[str, Any] = {"pool": rng.normal(size=(400, 6))}
    for name, size in zip(NAMES, (3, 20, 1), strict=True):
        rows = [{"id": f"{name}{row}", "prompt": f"{name} asks {row}", "response": "x y"} for row in range(size)]
        write(folder / f"{name}.jsonl", rows)
        arrays[name] = rng.normal(size=(size, 6))
    pool[11] |= {"prompt": "code asks 0"}
    write(folder / "pool.jsonl", pool)
    np.savez(folder / "v.npz", **arrays)
    return folder


def words(data: Path, *more: str) -> list[str]:
    targets = [word for name in NAMES for word in ("--target", f"{data}/{name}.jsonl")]
    vectors = ["--embedder", f"vectors:{data}/v.npz#pool", "--target-embedder", f"vectors:{data}/v.npz#{{NAME}}"]
    return ["arrange", f"{data}/pool.jsonl", *targets, *vectors, "--each-target", *more]


METHODS = (
    ("--method", "tma", "--budget", "90"),
    ("--method", "tma-farthest", "--budget", "90"),
    ("--method", "nearest", "--budget", "50%"),
    ("--method", "tma", "--guard", "remove"),
    ("--method", "tma", "--min-similarity", "0.3", "--duplicates", "drop", "--subsample", "0.7"),
    ("--method", "random", "--seed", "3"),
)


@pytest.mark.parametrize("more", METHODS, ids=" ".join)
def test_each_folder_holds_what_its_target_alone_gives(data: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    given = more if "random" not in more else (*more, "--embedder", "unused")
    together = words(data, *more)
    if "random" in more:
        together = [word for word in together if not word.startswith(("vectors:", "--embedder", "--target-embedder"))]
        given = more
    assert main([*together, "--out", str(tmp_path / "each")]) == 0
    for name in NAMES:
        alone = ["arrange", f"{data}/pool.jsonl", "--target", f"{data}/{name}.jsonl", *given]
        if "random" not in more:
            alone += ["--embedder", f"vectors:{data}/v.npz#pool", "--target-embedder", f"vectors:{data}/v.npz#{name}"]
        assert main([*alone, "--out", str(tmp_path / name)]) == 0
        for file in FILES:
            assert (tmp_path / "each" / name / file).read_bytes() == (tmp_path / name / file).read_bytes(), (name, file)
        one, other = (
            json.loads((folder / name / "manifest.json").read_text()) for folder in (tmp_path / "each", tmp_path / ".")
        )
        of_the_hour = {"time": "", "manifest_sha256": ""}
        assert {**one, **of_the_hour} == {**other, **of_the_hour}


def test_each_is_verified_with_its_data(data: Path, tmp_path: Path) -> None:
    assert main(words(data, "--out", str(tmp_path))) == 0
    for name in NAMES:
        side = ["--pool", f"{data}/pool.jsonl", "--target", f"{data}/{name}.jsonl"]
        assert main(["verify", str(tmp_path / name), *side]) == 0


def test_a_models_vectors_give_the_same_orders(tmp_path: Path) -> None:
    assert main(["builtin", "--out", str(tmp_path), "--rows", "3"]) == 0
    rows = (tmp_path / "target.jsonl").read_text().splitlines(keepends=True)
    for name, some in (("one", rows[::2]), ("two", rows[1::2])):
        (tmp_path / f"{name}.jsonl").write_text("".join(some))
    targets = ["--target", f"{tmp_path}/one.jsonl", "--target", f"{tmp_path}/two.jsonl"]
    cache = ["--cache", f"{tmp_path}/cache"]
    assert main(["arrange", f"{tmp_path}/pool.jsonl", *targets, "--each-target", "--out", f"{tmp_path}/e", *cache]) == 0
    for name in ("one", "two"):
        alone = ["arrange", f"{tmp_path}/pool.jsonl", "--target", f"{tmp_path}/{name}.jsonl", *cache]
        assert main([*alone, "--out", f"{tmp_path}/{name}-alone"]) == 0
        both = [tmp_path / "e" / name, tmp_path / f"{name}-alone"]
        assert len({(folder / "train.jsonl").read_bytes() for folder in both}) == 1
        about = [json.loads((folder / "manifest.json").read_text())["embedding"] for folder in both]
        for facts in about:  # how many were in the cache differs
            del facts["embedded_now"], facts["from_cache"]
        assert about[0] == about[1]


@pytest.mark.parametrize(
    "spec",
    [
        "lm:{}#centred,sample=20",
        "combine:lm:{}#whitened+lm:{}#layer=1",
        "combine:lm:{}#centred+gradients:{}#subspace=3",
    ],
)
def test_vectors_that_pool_or_target_shape_are_those_of_each_alone(tmp_path: Path, spec: str) -> None:
    """A sample is the pool's, whatever the target; a subspace is of one target, so pools have vectors of their own."""
    model = save_tiny_model(tmp_path / "model")
    assert main(["builtin", "--out", str(tmp_path), "--rows", "2"]) == 0
    rows = (tmp_path / "target.jsonl").read_text().splitlines(keepends=True)
    for name, some in (("one", rows[:5]), ("two", rows[-5:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(some))
    targets = ["--target", f"{tmp_path}/one.jsonl", "--target", f"{tmp_path}/two.jsonl"]
    how = ["--cache", f"{tmp_path}/cache", "--device", "cpu", "--embedder", spec.replace("{}", model)]
    assert main(["arrange", f"{tmp_path}/pool.jsonl", *targets, "--each-target", "--out", f"{tmp_path}/e", *how]) == 0
    for name in ("one", "two"):
        alone = ["arrange", f"{tmp_path}/pool.jsonl", "--target", f"{tmp_path}/{name}.jsonl", *how]
        assert main([*alone, "--out", f"{tmp_path}/{name}-alone"]) == 0
        both = [tmp_path / "e" / name, tmp_path / f"{name}-alone"]
        assert len({(folder / "train.jsonl").read_bytes() for folder in both}) == 1
        about = [json.loads((folder / "manifest.json").read_text())["embedding"] for folder in both]
        parts = [part for facts in about for part in facts.get("parts", ())]
        for facts in [*about, *parts]:
            del facts["embedded_now"], facts["from_cache"]
        assert about[0] == about[1]


def test_json_holds_each(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words(data, "--out", str(tmp_path), "--json", "--budget", "9")) == 0
    found = json.loads(capsys.readouterr().out)["each"]
    assert list(found) == list(NAMES)
    assert {facts["rows"] for facts in found.values()} == {9}
    assert main(["show", str(tmp_path)]) == 1  # the folder of all is no result
    assert f"Hint: it holds results, such as {tmp_path / 'chat.v2'}." in capsys.readouterr().err


def test_targets_of_one_name_are_refused_before_anything_is_read(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = tmp_path / "maths.json"
    twin.write_text("[]")
    targets = ["--target", f"{data}/maths.jsonl", "--target", str(twin)]
    assert main(["arrange", "nowhere", *targets, "--each-target", "--out", str(tmp_path / "o")]) == 1
    assert "both give 'maths'" in capsys.readouterr().err


def test_given_vectors_need_a_name_for_each_target(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    targets = ["--target", f"{data}/maths.jsonl", "--target", f"{data}/code.jsonl"]
    one = ["arrange", f"{data}/pool.jsonl", *targets, "--each-target", "--embedder", f"vectors:{data}/v.npz"]
    assert main([*one, "--out", str(tmp_path / "o")]) == 1
    assert "must have a file or tensor each, named by `{NAME}`" in capsys.readouterr().err


class Counted(BlockSearch):
    """A search that counts its passes."""

    passes: ClassVar[list[int]] = []

    def nominees(self, pool: Vectors, target: Vectors, wanted: int, taken: Any) -> Nominees:
        self.passes.append(len(target))
        return super().nominees(pool, target, wanted, taken)


def test_targets_share_one_pass() -> None:
    rng = np.random.default_rng(0)
    pool, targets = rng.normal(size=(5000, 8)).astype("f4"), [rng.normal(size=(m, 8)).astype("f4") for m in (4, 9)]
    search = Counted()
    Counted.passes.clear()
    first = FirstPass(pool, targets)
    for target in targets:
        found = first.before(search).nominees(pool, target, 50, None)
        for row, vector in enumerate(target):
            some = found.rows[found.start[row] : found.start[row + 1]]
            looked = np.flatnonzero(pool @ vector > found.cut[row] + found.margin)
            assert set(looked) <= set(some.tolist())
    assert Counted.passes == [13]
    first.before(search).nominees(pool, targets[0], 50, None)
    assert Counted.passes == [13, 4], "only once from the shared pass"


@pytest.mark.parametrize("engine", ["cpu", "torch"])
@pytest.mark.parametrize("memory", [1 << 30, 1 << 17])
def test_where_quality_falls_needs_no_pass_of_its_own(
    engine: str, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    monkeypatch.setattr(products, "_TARGET_ROWS", 3)  # so that one look holds rows of two targets
    pool, *targets = (unit_rows(rng.normal(size=(n, 8)).astype("f4"), "rows") for n in (5000, 4, 9, 1))
    place = np.where(np.arange(5000) < 50, np.arange(5000), -1)
    first = FirstPass(pool, targets)
    Counted.passes.clear()
    for target in targets:
        seen = Seen(pool, target)
        first.before(Counted(engine, memory, seen=seen)).nominees(pool, target, 50, None)
        assert (seen.of_pool is not None) == (memory > 1 << 20)
        if seen.of_pool is not None:
            assert np.allclose(seen.of_pool, (pool @ target.T).max(axis=1), atol=1e-6)
        assert falloff(pool, target, place, None, seen=seen) == falloff(pool, target, place, None)
    assert Counted.passes == [14]


@pytest.fixture(scope="module")
def with_tasks(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same targets with tasks: sums and proofs in the first, sums and talk in the second, none in the third."""
    folder = tmp_path_factory.mktemp("tasks")
    for name, tasks in zip(NAMES, (("sums", "proofs"), ("sums", "talk"), (None,)), strict=True):
        rows = [json.loads(line) for line in (data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        write(folder / f"{name}.jsonl", [{**row, "task": tasks[k % len(tasks)]} for k, row in enumerate(rows)])
    for name in ("pool.jsonl", "v.npz"):
        (folder / name).write_bytes((data / name).read_bytes())
    return folder


OWN_WEIGHTS: dict[str, dict[str, str]] = {
    "maths": {"sums": "3", "proofs": "1/2"},
    "chat.v2": {"sums": "3", "talk": "2"},
    "code": {},
}


@pytest.mark.parametrize(
    "more", [("--method", "tma"), ("--method", "nearest", "--distance", "ad"), ("--method", "rds")]
)
def test_each_target_takes_the_weights_that_it_has(with_tasks: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    given = [word for pair in ("sums=3", "proofs=1/2", "talk=2") for word in ("--target-weight", pair)]
    how = [*more, "--budget", "40"]
    assert main([*words(with_tasks, *how, *given), "--out", str(tmp_path / "each")]) == 0
    for name, weights in OWN_WEIGHTS.items():
        own = [word for what, weight in weights.items() for word in ("--target-weight", f"{what}={weight}")]
        alone = ["arrange", f"{with_tasks}/pool.jsonl", "--target", f"{with_tasks}/{name}.jsonl", *how, *own]
        alone += ["--embedder", f"vectors:{with_tasks}/v.npz#pool"]
        alone += ["--target-embedder", f"vectors:{with_tasks}/v.npz#{name}", "--out", str(tmp_path / "alone" / name)]
        assert main(alone) == 0
        one, other = tmp_path / "each" / name, tmp_path / "alone" / name
        for file in FILES:
            assert (one / file).read_bytes() == (other / file).read_bytes(), (name, file)
        settings = [json.loads((folder / "manifest.json").read_text("utf-8"))["settings"] for folder in (one, other)]
        assert settings[0] == settings[1]
        assert settings[0].get("target_weight", {}) == weights
        assert main(["verify", str(one)]) == 0


def test_weights_change_what_they_are_for(with_tasks: Path, tmp_path: Path) -> None:
    how = ["--method", "tma", "--budget", "40"]
    assert main([*words(with_tasks, *how), "--out", str(tmp_path / "plain")]) == 0
    assert main([*words(with_tasks, *how, "--target-weight", "talk=4"), "--out", str(tmp_path / "weighed")]) == 0
    orders = [
        [(tmp_path / out / name / "arrangement.parquet").read_bytes() for name in NAMES] for out in ("plain", "weighed")
    ]
    assert [one == other for one, other in zip(*orders, strict=True)] == [True, False, True]


def test_a_weight_that_no_target_has_is_refused(
    with_tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--target-weight", "sums=3", "--target-weight", "prooves=2"]
    assert main([*words(with_tasks, "--budget", "40", *given), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert "unknown file or task of any target 'prooves': did you mean 'proofs'?" in told
    assert "Known: chat.v2, code, maths, proofs, sums, talk." in told
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())
