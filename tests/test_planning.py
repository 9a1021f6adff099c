from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import righttime
from righttime import growing
from righttime.arrangement import METHODS
from righttime.cli import main
from righttime.embedding.glimpse import glimpse
from righttime.errors import EmbeddingError, SettingsError, ShapeError
from righttime.examples import Example, Message
from righttime.formats.reading import read_head
from righttime.inputs import read_side
from righttime.planning import Stage, plan, plan_sizes
from righttime.planning.finishing import once, with_falloff, writing_stage
from righttime.planning.losses import loss_stage
from righttime.planning.search import MOST_NUMBERS, cluster_of, order_stages, random_sides
from righttime.planning.stages import peak_of
from righttime.results import Request
from righttime.rows import ExampleRows
from righttime.similarity import unit_rows
from tiny_model import save_tiny_model

POOL = righttime.builtin_rows("pool", rows_per_family=4)
TARGET = righttime.builtin_rows("target", rows_per_family=3)


def by_name(stages: tuple[Stage, ...]) -> dict[str, Stage]:
    return {stage.name: stage for stage in stages}


def given(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    np.savez(folder / "v.npz", pool=rng.normal(size=(len(POOL), 12)), target=rng.normal(size=(len(TARGET), 12)))
    return {"embedder": f"vectors:{folder / 'v.npz'}"}


def test_only_what_is_not_cached_has_to_be_embedded(tmp_path: Path) -> None:
    cold = by_name(plan(POOL, TARGET, Request(budget=10), tmp_path))
    assert list(cold) == ["libraries", "read", "guard", "embed", "guard by vectors", "order", "write"]
    assert cold["embed"].seconds is not None
    assert cold["embed"].seconds > 0
    distinct = len({row["prompt"] + " " + row["response"] for row in [*POOL, *TARGET]})
    assert cold["embed"].note.startswith(f"{distinct:,} of {len(POOL) + len(TARGET):,} texts")
    assert cold["embed"].disk > distinct * 384 * 4
    righttime.arrange(POOL, TARGET, cache=tmp_path, budget=10)
    warm = by_name(plan(POOL, TARGET, Request(budget=10), tmp_path))
    assert warm["embed"].seconds == 0
    assert warm["embed"].disk == 0


def test_a_larger_budget_and_two_walks_take_more(tmp_path: Path) -> None:
    small, large = (by_name(plan(POOL, TARGET, Request(budget=n, **given(tmp_path)), tmp_path)) for n in (1, None))
    assert small["write"].disk < large["write"].disk
    assert by_name(plan(POOL, TARGET, Request(method="tma-nft", **given(tmp_path)), tmp_path))["order"].passes == 2
    assert "filled again" in large["order"].note
    assert "filled again" not in small["order"].note


def test_vectors_beyond_the_memory_are_told_to_lie_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("righttime.neighbours.registry.LEAST_MEMORY", 1)
    stages = by_name(plan(POOL, TARGET, Request(memory=1000, budget=5, **given(tmp_path)), tmp_path))
    assert stages["vectors"].memory == 0
    assert stages["vectors"].disk == (len(POOL) + len(TARGET)) * 12 * 4


def test_what_cannot_be_measured_is_not_told(tmp_path: Path) -> None:
    stages = by_name(plan(POOL, TARGET, Request(method="kcenter", budget=5, **given(tmp_path)), tmp_path))
    assert stages["order"].seconds is None
    assert METHODS["kcenter"].cost in stages["order"].note


def test_what_arrange_would_refuse_is_refused() -> None:
    with pytest.raises(SettingsError, match="budget must be at most the pool's"):
        plan(POOL, TARGET, Request(budget=10_000))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["builtin", "--out", str(tmp_path), "--rows", "4"]) == 0
    files = [str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl")]
    assert main(["plan", *files, "--budget", "20", "--cache", str(tmp_path / "cache")]) == 0
    told = capsys.readouterr().out
    assert "passes" in told
    assert "together" in told
    assert "texts/s measured" in told
    assert main(["plan", *files, "--memory", "a lot"]) == 1
    assert "a size must be a number with K, M, G or T, such as 512MiB, got 'a lot'" in capsys.readouterr().err


def test_given_vectors_are_sampled_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, target = _many(tmp_path)
    monkeypatch.setattr("righttime.embedding.given.given_vectors", _refused)
    monkeypatch.setattr("righttime.formats.reading.read_rows", _refused)
    monkeypatch.setattr("righttime.inputs.read_rows", _refused)
    stages = by_name(plan(pool, target, Request(embedder=f"vectors:{tmp_path / 'v.npz'}"), tmp_path))
    assert list(stages) == ["libraries", "read", "guard", "vectors", "guard by vectors", "order", "write"]
    assert "measured on 4,000 and 5 rows, scaled to 20,000 and 5" in stages["read"].note
    assert stages["vectors"].memory == 4 * 8 * 20_005
    assert stages["order"].seconds is not None
    with pytest.raises(SettingsError, match="budget must be at most the pool's 20000 rows"):
        plan(pool, target, Request(embedder=f"vectors:{tmp_path / 'v.npz'}", budget=20_001), tmp_path)


def _refused(*args: object, **settings: object) -> None:
    raise AssertionError("read whole")


def _many(folder: Path) -> tuple[str, str]:
    lines = [json.dumps({"prompt": f"What is {n}?", "response": str(n)}) for n in range(20_000)]
    (folder / "pool.jsonl").write_text("\n".join(lines))
    (folder / "target.jsonl").write_text("\n".join(lines[:5]))
    rng = np.random.default_rng(0)
    np.savez(folder / "v.npz", pool=rng.normal(size=(20_000, 8)), target=rng.normal(size=(5, 8)))
    return str(folder / "pool.jsonl"), str(folder / "target.jsonl")


def test_what_reading_needs_is_scaled_by_how_much_of_the_files_was_read(tmp_path: Path) -> None:
    pool, target = _many(tmp_path)
    part = by_name(plan(pool, target, Request(embedder=f"vectors:{tmp_path / 'v.npz'}"), tmp_path))["read"]
    tracemalloc.start()
    whole = [righttime.read_rows([path], role="target") for path in (pool, target)]
    needed = tracemalloc.get_traced_memory()[0]  # what is kept; what passes is another entry of the stage
    tracemalloc.stop()
    assert [len(side.examples) for side in whole] == [20_000, 5]
    assert 0.5 < part.memory / needed < 2


@pytest.mark.parametrize("kind", ["npy", "npz", "compressed", "float16", "safetensors", "parquet"])
def test_a_glimpse_has_the_shape_and_rows_of_all(kind: str, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 6)).astype(np.float16 if kind == "float16" else np.float32)
    file = tmp_path / {"compressed": "v.npz", "float16": "v.npz"}.get(kind, f"v.{kind}")
    if kind == "npy":
        np.save(file, rows)
    elif kind == "safetensors":
        from safetensors.numpy import save_file

        save_file({"pool": rows}, file)
    elif kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table({"embedding": pa.array(rows.tolist(), pa.list_(pa.float32()))}), file)
    else:
        (np.savez_compressed if kind == "compressed" else np.savez)(file, pool=rows)
    seen = glimpse(f"vectors:{file}", "pool", 160)
    assert seen.shape == (5000, 6)
    assert seen.itemsize == rows.dtype.itemsize
    assert len(seen.some) == 160
    known = {row.tobytes() for row in rows}
    assert all(row.astype(rows.dtype).tobytes() in known for row in seen.some)
    if kind not in ("compressed", "parquet"):  # those are read from their start
        assert rows[-1].tobytes() in {row.tobytes() for row in seen.some}


def test_a_glimpse_refuses_what_arranging_would(tmp_path: Path) -> None:
    np.save(tmp_path / "flat.npy", np.ones(5))
    np.savez(tmp_path / "flat.npz", pool=np.ones(5))
    for name in ("flat.npy", "flat.npz"):
        with pytest.raises(ShapeError, match=r"must have shape \(rows, dimensions\), got shape \(5,\)"):
            glimpse(f"vectors:{tmp_path / name}", "pool", 10)
    with pytest.raises(EmbeddingError, match="must hold a tensor 'nothing'"):
        glimpse(f"vectors:{tmp_path / 'flat.npz'}#nothing", "pool", 10)
    with pytest.raises(EmbeddingError, match=r"must be a file ending in \.npy"):
        glimpse("vectors:x.txt", "pool", 10)
    np.savez(tmp_path / "v.npz", pool=np.ones((len(POOL), 4)), target=np.ones((len(TARGET), 5)))
    with pytest.raises(ShapeError, match="same dimension, got 4 .* and 5"):
        plan(POOL, TARGET, Request(embedder=f"vectors:{tmp_path / 'v.npz'}"), tmp_path)


def test_the_head_of_many_files_tells_how_much_there_is(tmp_path: Path) -> None:
    for number in range(40):
        lines = [json.dumps({"prompt": f"{number} {n}", "response": "x"}) for n in range(100)]
        (tmp_path / f"{number:02}.jsonl").write_text("\n".join(lines))
    head = read_head([tmp_path], 130, role="pool")
    assert 100 < len(head.examples) < 200
    assert len(head.examples) / head.share == pytest.approx(4000, rel=0.1)
    assert read_head([tmp_path], 10_000, role="pool").share == pytest.approx(14 / 40)
    (tmp_path / "one.json").write_text(json.dumps([{"prompt": str(n), "response": "x"} for n in range(900)]))
    assert read_head([tmp_path / "one.json"], 100, role="pool").share == 1


def test_the_libraries_count_and_the_peak_is_that_of_the_highest_stage(tmp_path: Path) -> None:
    stages = plan(POOL, TARGET, Request(**given(tmp_path)), tmp_path)
    libraries = by_name(stages)["libraries"].memory
    assert libraries > 30 << 20  # Python with NumPy and PyArrow
    assert peak_of(stages) > libraries


def test_what_a_command_does_once_is_measured_and_not_scaled(tmp_path: Path) -> None:
    seconds = once()
    assert seconds is not None
    assert seconds > 0.05, "a Python that imports NumPy and PyArrow"
    small, large = (by_name(plan_sizes(n, 20, 16, Request(budget=100))) for n in (5_000, 500_000))
    assert small["libraries"].seconds == large["libraries"].seconds == seconds


def test_where_no_process_can_be_started_the_time_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert once.__wrapped__() is None


def test_rows_that_are_left_out_are_written_too() -> None:
    rows = read_side(POOL, "pool", Request()).rows
    few, many = (writing_stage(rows, n, n, Request(budget=100)) for n in (1_000, 1_000_000))
    assert few.seconds is not None
    assert many.seconds is not None
    assert many.seconds > 10 * few.seconds
    assert "999,900 rows that are left out" in many.note


def test_where_quality_falls_takes_a_look_at_the_pool_unless_the_search_tells() -> None:
    sides = random_sides(100_000, 200, 64)
    stage = Stage("write", 1, 0.0, 0, 0, "")
    took = {}
    for method in ("tma", "nearest"):
        took[method] = with_falloff(stage, sides, 1_000_000, 200, Request(method=method, budget=1_000)).seconds
    assert took["tma"] is not None
    assert took["nearest"] is not None
    assert took["nearest"] > 10 * took["tma"]


@pytest.mark.slow
def test_a_file_of_unit_vectors_is_used_as_it_is(tmp_path: Path) -> None:
    pool, target = _many(tmp_path)
    with np.load(tmp_path / "v.npz") as arrays:
        for name, scale in (("unit", 1), ("long", 3)):
            for side in ("pool", "target"):
                np.save(tmp_path / f"{name}-{side}.npy", scale * unit_rows(arrays[side]))
    passing = {}
    for name in ("unit", "long"):
        files = [f"vectors:{tmp_path / name}-{side}.npy" for side in ("pool", "target")]
        request = Request(embedder=files[0], target_embedder=files[1], guard="off")
        passing[name] = by_name(plan(pool, target, request, tmp_path))["vectors"].passing
    assert passing == {"unit": 0, "long": 4 * 8 * 20_005}


def test_without_data(capsys: pytest.CaptureFixture[str]) -> None:
    small = by_name(plan_sizes(5_000, 20, 16, Request(budget=100)))
    large = by_name(plan_sizes(50_000, 20, 16, Request(budget=100)))
    assert small["vectors"].memory == 4 * 16 * 5_020
    assert small["read"].disk == 0
    assert 40e6 < large["read"].disk < 80e6, "texts of more than 16 MiB lie in a file"
    assert 5 < (large["read"].memory + large["read"].disk) / small["read"].memory < 20
    assert "ASSUMED" in small["read"].note
    assert "ASSUMED" in small["vectors"].note
    assert main(["plan", "--rows", "2000", "--dim", "16", "--target-rows", "9"]) == 0
    assert "2,009 of 16 dimensions" in capsys.readouterr().out
    for wrong in (["--rows", "2000"], ["--rows", "2000", "--dim", "0", "--target-rows", "9"], ["x.jsonl"]):
        assert main(["plan", *wrong]) == 1
        assert "a plan needs data (POOL and --target) or sizes" in capsys.readouterr().err
    with pytest.raises(SettingsError, match="budget must be at most"):
        plan_sizes(10, 2, 4, Request(budget=11))


def test_vectors_longer_than_any_model_gives_are_refused_before_they_are_sampled() -> None:
    with pytest.raises(SettingsError, match=r"`dimension` must be at most 65,536, got 65,537\."):
        plan_sizes(1_000, 10, 65_537, Request())


def test_the_sample_of_long_vectors_is_bounded() -> None:
    pool, target = random_sides(100_000, 100_000, 65_536)
    assert max(pool.size, target.size) <= MOST_NUMBERS


@pytest.mark.slow
def test_a_budget_whose_lists_do_not_fit_takes_more_passes() -> None:
    (one,), (many,) = (
        order_stages(1_000_000, 10_000, 4, None, Request(budget=1_000_000, memory=memory))
        for memory in (1 << 33, 1 << 28)
    )
    # 2^28 B ÷ 128 B ÷ 10,000 target rows = 209 nominees each, 8 for each row taken: 26 x 10,000 rows a pass.
    assert one.passes == 1
    assert many.passes == 4
    assert many.seconds is not None
    assert one.seconds is not None
    assert one.seconds < many.seconds


def test_a_plan_for_ray_shares_out_the_search_and_not_the_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr("righttime.planning.search._best", lambda work: 1.0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    one, four = (
        {stage.name: stage for stage in order_stages(200_000, 100, 32, None, Request(engine="ray", budget=900), nodes)}
        for nodes in (1, 4)
    )
    assert list(four) == ["hand out", "search", "merge", "rounds"]
    assert one["search"].seconds == pytest.approx(4 * (four["search"].seconds or 0))
    assert one["rounds"].seconds == four["rounds"].seconds
    assert one["hand out"].seconds == 0  # nothing goes over the network
    assert four["hand out"].seconds == pytest.approx(200_000 * 32 * 4 * 0.75 / 1.25e9)
    assert four["hand out"].memory == 200_000 * 32 * 4
    assert "8 shards; 4 nodes ASSUMED like this machine, 2 cores each" in four["hand out"].note
    assert "Memory of each node" in four["search"].note
    assert all("ESTIMATE" in four[name].note for name in ("hand out", "search", "merge"))


def test_nodes_are_for_ray() -> None:
    with pytest.raises(SettingsError, match="`nodes` is for `engine='ray'`, got it with auto"):
        plan_sizes(2000, 9, 4, Request(), nodes=2)
    with pytest.raises(SettingsError, match="`nodes` must be at least 1, got 0"):
        cluster_of(0)


@pytest.mark.real
def test_the_peak_that_is_planned_is_near_the_one_that_is_reached() -> None:
    data = Path(os.environ.get("RIGHTTIME_DATA", "../shared/data"))
    words = [str(data / "niv2_pool.jsonl.gz"), "--target", str(data / "niv2_target.jsonl.gz")]
    words += ["--embedder", f"vectors:{data / 'niv2_vectors.npz'}", "--budget", "4495"]
    run = "import sys; from righttime.cli import main; from righttime.planning.stages import most_resident;"
    run += "code = main(sys.argv[1:]); print(most_resident(), file=sys.stderr); sys.exit(code)"
    told = subprocess.run([sys.executable, "-c", run, "plan", *words], capture_output=True, text=True, check=True)
    peak = re.search(r"together .* ([\d,]+) MiB +[\d,]+ MiB$", told.stdout, re.MULTILINE)
    assert peak
    with tempfile.TemporaryDirectory() as folder:
        words += ["--out", f"{folder}/out", "--cache", f"{folder}/cache"]
        done = subprocess.run(
            [sys.executable, "-c", run, "arrange", *words], capture_output=True, text=True, check=True
        )
    reached = int(done.stderr.split()[-1]) / 2**20
    assert int(peak[1].replace(",", "")) == pytest.approx(reached, rel=0.25)


def test_given_vectors_of_a_method_that_looks_at_tasks_too(tmp_path: Path) -> None:
    file = tmp_path / "vectors.npz"
    rng = np.random.default_rng(0)
    np.savez(file, pool=rng.normal(size=(len(POOL), 4)), target=rng.normal(size=(len(TARGET), 4)))
    stages = {stage.name: stage for stage in plan(POOL, TARGET, Request(method="coarse", embedder=f"vectors:{file}"))}
    assert f"given, {len(POOL):,} and {len(TARGET):,} of 4 dimensions" in stages["vectors"].note


def test_a_drawn_part_of_the_pool_and_a_share_of_it_are_planned_for(tmp_path: Path) -> None:
    whole, part = (
        {stage.name: stage for stage in plan_sizes(10_000, 10, 8, Request(budget="10%", subsample=subsample))}
        for subsample in (None, 0.1)
    )
    assert part["write"].disk < whole["write"].disk / 5


@pytest.mark.parametrize(
    ("more", "idle"),
    [(("--seed", "3"), True), ((), False), (("--seed", "3", "--subsample", "0.5"), False)],
)
@pytest.mark.parametrize("method", ["tma", "random"])
def test_a_seed_that_decides_nothing_is_named(
    capsys: pytest.CaptureFixture[str], method: str, more: tuple[str, ...], idle: bool
) -> None:
    sizes = ("--rows", "100", "--target-rows", "5", "--dim", "8")
    assert main(["plan", *sizes, "--method", method, *more]) == 0
    assert ("note: --seed 3 changes nothing" in capsys.readouterr().err) == (idle and method == "tma")


class Reader:
    """An embedder that reads ten words of a text."""

    def __init__(self) -> None:
        self.identity: dict[str, str | int] = {"model": "reader", "revision": "1", "max_length": 10}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[len(text), 1 + text.count("a")] for text in texts], dtype=np.float32)


class Own(Reader):
    """Reads rows in a way of its own."""

    def text_of(self, row: Example) -> str:
        return row.prompt


def test_texts_are_counted_on_disk_where_the_embedder_makes_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(growing, "_HELD", 100)  # bytes; above it a file
    named, own = (
        by_name(plan(POOL, TARGET, Request(budget=5, guard="off", text="prompt", embedder=one), tmp_path))["embed"]
        for one in (Reader(), Own())
    )
    said = sum(len(row["prompt"].encode()) for row in [*POOL, *TARGET])
    assert 0.8 * said < own.disk - named.disk < 1.25 * said
    assert named.passing >= 84 * len([*POOL, *TARGET])


def test_the_guard_is_counted(tmp_path: Path) -> None:
    few, many = (plan_sizes(n, 20, 16, Request(budget=100)) for n in (5_000, 500_000))
    assert (by_name(many)["guard"].seconds or 0) > 5 * (by_name(few)["guard"].seconds or 0) > 0
    assert (by_name(few)["guard by vectors"].seconds or 0) > 0
    assert min(by_name(few)[name].passing for name in ("guard", "guard by vectors")) > 0
    off = by_name(plan_sizes(5_000, 20, 16, Request(budget=100, guard="off")))
    assert not [name for name in off if "guard" in name]
    drawn = by_name(plan(POOL, TARGET, Request(method="random", budget=5), tmp_path))
    assert list(drawn) == ["libraries", "read", "guard", "order", "write"]


def test_losses_of_a_shape_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = save_tiny_model(tmp_path / "tiny")
    asked: dict[str, Any] = {"method": "random", "shape": f"sorted:by=loss:{tiny}", "guard": "off"}
    cold = by_name(plan(POOL, TARGET, Request(budget=10, **asked), tmp_path))
    assert list(cold) == ["libraries", "read", "order", "losses", "write"]
    assert "about 10 of 10 rows not in the cache yet" in cold["losses"].note
    whole = by_name(plan(POOL, TARGET, Request(**asked), tmp_path))["losses"]
    assert whole.seconds is not None
    assert cold["losses"].seconds is not None
    assert whole.seconds > cold["losses"].seconds > 0
    righttime.arrange(POOL, TARGET, cache=tmp_path, **asked)
    warm = by_name(plan(POOL, TARGET, Request(**asked), tmp_path))["losses"]
    assert f"about 0 of {len(POOL):,} rows" in warm.note
    assert warm.disk == 0
    prompts = ExampleRows([Example("a", None, "p", "p.jsonl", 1, (Message("user", "2+2?"),))])
    assert loss_stage(prompts, 1, Request(**asked), tmp_path)[0].seconds is None
    assert "losses" not in by_name(plan(POOL, TARGET, Request(method="random", shape="sorted"), tmp_path))
    capsys.readouterr()
    words = ["--rows", "50", "--target-rows", "3", "--dim", "4", "--method", "random", "--shape", asked["shape"]]
    assert main(["plan", *words]) == 0
    assert "losses" in capsys.readouterr().out


def test_chunks_for_the_guard_are_counted(tmp_path: Path) -> None:
    request = Request(budget=5, embedder=Reader(), guard_chunks=True)
    stage = by_name(plan(POOL, TARGET, request, tmp_path))["guard in chunks"]
    assert (stage.seconds or 0) > 0
    assert stage.disk > 0
    assert "chunks of 10 tokens" in stage.note
    short = [{"prompt": "Say a.", "response": "a"}] * 3
    assert (
        by_name(plan(short, short, Request(embedder=Reader(), guard_chunks=True), tmp_path))["guard in chunks"].seconds
        == 0
    )
    with pytest.raises(SettingsError, match="`guard_chunks` must have a model"):
        plan(POOL, TARGET, Request(guard_chunks=True, **given(tmp_path)), tmp_path)
