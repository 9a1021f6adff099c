"""`arrange --extend`: the bytes of arranging the whole pool, and what was saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from righttime.cli import main
from tiers import quick

FILES = ("train.jsonl", "arrangement.parquet", "left_out.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An old pool of 3,000 rows, 300 more, a target of 20, and vectors; one of the new rows repeats an old one."""
    folder = tmp_path_factory.mktemp("extend")
    rng = np.random.default_rng(5)
    arrays: dict[str, Any] = {}
    for name, size in (("old", 3000), ("more", 300), ("target", 20)):
        rows = [{"id": f"{name}{row}", "prompt": f"{name} asks {row}", "response": "x y"} for row in range(size)]
        if name == "more":
            rows[7] |= {"prompt": "old asks 3"}
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        arrays[name] = rng.normal(size=(size, 8)).astype("f4")
    arrays["more"][7] = arrays["old"][3]
    np.savez(folder / "v.npz", **arrays, pool=np.concatenate([arrays["old"], arrays["more"]]))
    return folder


def arrange(data: Path, out: Path, pools: tuple[str, ...], vectors: str, *more: str) -> int:
    sides = [*(f"{data}/{name}.jsonl" for name in pools), "--target", f"{data}/target.jsonl"]
    given = ["--embedder", f"vectors:{data}/v.npz#{vectors}", "--target-embedder", f"vectors:{data}/v.npz#target"]
    return main(["arrange", *sides, *given, "--out", str(out), *more])


def extend(data: Path, old: Path, out: Path, *more: str) -> int:
    given = ["--embedder", f"vectors:{data}/v.npz#pool"]
    return main(["arrange", "--extend", str(old), f"{data}/more.jsonl", *given, "--out", str(out), *more])


def grown_is_what_is_arranged_anew(folder: Path) -> None:
    """Its files, but for the time, and it is verified."""
    for file in FILES:
        assert (folder / "grown" / file).read_bytes() == (folder / "anew" / file).read_bytes(), file
    one, other = (json.loads((folder / name / "manifest.json").read_text()) for name in ("grown", "anew"))
    of_the_hour = {"time": "", "manifest_sha256": ""}
    assert {**one, **of_the_hour} == {**other, **of_the_hour}
    assert main(["verify", str(folder / "grown")]) == 0


SAVING = (
    "--budget 60",
    "--method tma-farthest --budget 100",
    "--rounds 0:3 --duplicates drop",
    "--budget 60 --as original --guard off",
)
FALLING_BACK = (
    "--method nearest --budget 60",
    "--budget 60 --min-similarity 0.2",
    "--budget 60 --apart 0.01",
    "--budget 60 --subsample 0.5",
    "--budget 60 --weave 0.2",
    "--rounds 1:3",
)


@pytest.mark.parametrize("more", quick([*SAVING, *FALLING_BACK], 0, 3, 4))
def test_what_is_written_is_what_the_whole_pool_gives(
    data: Path, tmp_path: Path, more: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert arrange(data, tmp_path / "old", ("old",), "old", *more.split()) == 0
    assert arrange(data, tmp_path / "anew", ("old", "more"), "pool", *more.split()) == 0
    capsys.readouterr()
    assert extend(data, tmp_path / "old", tmp_path / "grown", "--json") == 0
    said = json.loads(capsys.readouterr().out)["extended"]
    assert bool(said["why"]) == (more in FALLING_BACK)
    if more in SAVING:
        assert said["pairs"] < 0.4 * said["whole"]
        assert said["whole"] == 20 * (3299 if "drop" in more else 3300)
        assert said["again"] == 0
    grown_is_what_is_arranged_anew(tmp_path)


def test_a_models_vectors_are_those_of_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["builtin", "--out", str(tmp_path), "--rows", "3"]) == 0
    rows = (tmp_path / "pool.jsonl").read_text().splitlines(keepends=True)
    for name, some in (("old", rows[:-20]), ("more", rows[-20:])):
        (tmp_path / f"{name}.jsonl").write_text("".join(some))
    cache, target = ["--cache", f"{tmp_path}/cache"], ["--target", f"{tmp_path}/target.jsonl"]
    old = ["arrange", f"{tmp_path}/old.jsonl", *target, *cache, "--budget", "12", "--out", f"{tmp_path}/o"]
    assert main(old) == 0
    capsys.readouterr()
    assert (
        main(["arrange", f"{tmp_path}/more.jsonl", "--extend", f"{tmp_path}/o", *cache, "--out", f"{tmp_path}/n"]) == 0
    )
    assert "extended by looking at" in capsys.readouterr().out
    anew = ["arrange", f"{tmp_path}/old.jsonl", f"{tmp_path}/more.jsonl", *target, *cache, "--budget", "12"]
    assert main([*anew, "--out", f"{tmp_path}/a"]) == 0
    for file in FILES:
        assert (tmp_path / "n" / file).read_bytes() == (tmp_path / "a" / file).read_bytes(), file


def test_what_belongs_to_the_arrangement_is_not_given_again(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert arrange(data, tmp_path / "old", ("old",), "old", "--budget", "9") == 0
    for more in (("--budget", "9"), ("--target", f"{data}/target.jsonl"), ("--guard", "off"), ("--each-target",)):
        assert extend(data, tmp_path / "old", tmp_path / "grown", *more) == 1
        assert f"got {more[0]} with it" in capsys.readouterr().err
    words = ["arrange", "--extend", str(tmp_path / "old"), f"{data}/more.jsonl", "--out", str(tmp_path / "grown")]
    assert main(words) == 1
    assert "was made with given vectors" in capsys.readouterr().err
    assert main(["arrange", f"{data}/old.jsonl", "--out", str(tmp_path / "grown")]) == 2
    assert "Missing option '--target'" in capsys.readouterr().err


def test_a_pool_that_was_changed_is_named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("old.jsonl", "more.jsonl", "target.jsonl", "v.npz"):
        (tmp_path / name).write_bytes((data / name).read_bytes())
    assert arrange(tmp_path, tmp_path / "first", ("old",), "old", "--budget", "9") == 0
    with (tmp_path / "old.jsonl").open("a") as file:
        file.write("\n")
    assert extend(tmp_path, tmp_path / "first", tmp_path / "grown") == 1
    assert "the pool of" in capsys.readouterr().err
    (tmp_path / "old.jsonl").unlink()
    assert extend(tmp_path, tmp_path / "first", tmp_path / "grown") == 1
    assert "is gone" in capsys.readouterr().err


@pytest.fixture(scope="module")
def with_other(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same data with another pool of two files in a folder, and vectors that have it last."""
    folder = tmp_path_factory.mktemp("other")
    for name in ("old.jsonl", "more.jsonl", "target.jsonl"):
        (folder / name).write_bytes((data / name).read_bytes())
    (folder / "other").mkdir()
    for name in ("a", "b"):
        rows = [{"id": f"{name}{row}", "prompt": f"other {name} asks {row}", "response": "z"} for row in range(30)]
        (folder / f"other/{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with np.load(data / "v.npz") as arrays:
        given = {name: arrays[name] for name in arrays}
    other = np.random.default_rng(3).normal(size=(60, 8)).astype("f4")
    given |= {"old": np.concatenate([given["old"], other]), "pool": np.concatenate([given["pool"], other])}
    np.savez(folder / "v.npz", **given)
    return folder


@pytest.mark.parametrize(
    "more",
    quick(
        [
            "--budget 60 --weave 0.2:other",
            "--budget 60 --anneal 1:0.5:other/a.jsonl",
            "--method nearest --budget 40 --weave 0.5:other --duplicates drop",
        ],
        0,
    ),
)
def test_another_pool_stays_the_last(
    with_other: Path,
    tmp_path: Path,
    more: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data, asked = with_other, more.split()
    if more.endswith("a.jsonl"):
        with np.load(data / "v.npz") as arrays:
            given = {name: arrays[name] for name in arrays}
        np.savez(data / "w.npz", **{**given, "old": given["old"][:-30], "pool": given["pool"][:-30]})
    vectors = "w.npz" if more.endswith("a.jsonl") else "v.npz"

    def given_(name: str) -> list[str]:
        return ["--embedder", f"vectors:{data}/{vectors}#{name}"]

    target = ["--target", f"{data}/target.jsonl", "--target-embedder", f"vectors:{data}/{vectors}#target"]
    monkeypatch.chdir(data)
    assert main(["arrange", f"{data}/old.jsonl", *target, *given_("old"), *asked, "--out", f"{tmp_path}/old"]) == 0
    sides = [f"{data}/old.jsonl", f"{data}/more.jsonl", *target, *given_("pool")]
    assert main(["arrange", *sides, *asked, "--out", f"{tmp_path}/anew"]) == 0
    extended = ["arrange", "--extend", f"{tmp_path}/old", f"{data}/more.jsonl", *given_("pool")]
    capsys.readouterr()
    assert main([*extended, "--out", f"{tmp_path}/grown", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["extended"]["why"]
    grown_is_what_is_arranged_anew(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main([*extended, "--out", f"{tmp_path}/there"]) == 0
    assert (tmp_path / "there/train.jsonl").read_bytes() == (tmp_path / "anew/train.jsonl").read_bytes()
    assert main(["verify", str(tmp_path / "there")]) == 0


def test_another_pool_that_was_changed_is_named(
    with_other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = with_other
    how = ["--target", f"{data}/target.jsonl", "--method", "random", "--seed", "1"]
    for name in ("a", "b"):
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / f"other/{name}.jsonl").write_bytes((data / f"other/{name}.jsonl").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(["arrange", f"{data}/old.jsonl", *how, "--budget", "20", "--weave", "0.5:other", "--out", "out"]) == 0
    extended = ["arrange", "--extend", "out", f"{data}/more.jsonl", "--out", "grown"]
    added = tmp_path / "other/c.jsonl"
    added.write_text('{"id": "c", "prompt": "new", "response": "z"}\n')
    capsys.readouterr()
    assert main(extended) == 1
    assert "the pool of out must be as it was" in capsys.readouterr().err
    added.unlink()
    assert main(extended) == 0
    (tmp_path / "other/b.jsonl").unlink()
    assert main([*extended[:-1], "again"]) == 1
    assert "the pool of out must be as it was" in capsys.readouterr().err
