"""A target that is widened by a side pool: against a slow twin, from the command to the disk and back, forgeries."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import righttime
import twin
from righttime.cli import main
from righttime.each_target import arrange_each_into
from righttime.errors import SettingsError, StoreError
from righttime.extending import extend_into
from righttime.formats import Reading, from_records
from righttime.inputs import read_side
from righttime.pipeline import arrange_rows
from righttime.results import Neighbour, Request, Result, Widening, open_result
from righttime.similarity import unit_rows
from righttime.store import write_json
from righttime.verification.result import check
from righttime.verification.widened import widening_holds
from righttime.widening import widen

Record = dict[str, Any]


class Digits:
    """An embedder of texts that end in numbers, which are their vectors; such texts tie often."""

    identity: Mapping[str, str | int] = {"model": "digits", "revision": "1", "max_length": 64, "dtype": "float32"}

    def __init__(self, noise: float = 0.0) -> None:
        self.noise = noise

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.array([[float(one) for one in re.findall(r"-?\d+", text)[-3:]] for text in texts])
        return np.asarray(vectors * (1 + self.noise) + self.noise / 10, dtype=np.float32)


def record(name: str, vector: Sequence[int]) -> Record:
    return {"id": name, "prompt": f"{name} " + " ".join(map(str, vector)), "response": "so"}


def written(path: Path, rows: Sequence[Record]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(rows: Sequence[Record], role: Any = "target") -> Reading:
    return from_records(rows, source=role, role=role)


VECTORS = st.lists(st.tuples(*[st.integers(-2, 2)] * 3).filter(any), min_size=1, max_size=12)


@settings(max_examples=20, phases=[Phase.generate])
@given(side=VECTORS, target=VECTORS, each=st.integers(1, 4))
def test_the_rows_taken_are_those_of_a_slow_twin(
    side: list[tuple[int, ...]], target: list[tuple[int, ...]], each: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("twin")
    path = written(folder / "side.jsonl", [record(f"s{n}", one) for n, one in enumerate(side)])
    own = read([record(f"t{n}", one) for n, one in enumerate(target)])
    request = Request(embedder=Digits(), widen=f"{path}:{each}")
    wide, widening = widen(own, request, cache=folder / "cache")
    assert widening is not None
    sides = [unit_rows(np.array(one, dtype=np.float32)) for one in (side, target)]
    want = [
        (row, by, number, value)
        for number, played in enumerate(twin.tma(twin.matrix(*sides))[:each])
        for row, by, value in sorted(played, key=lambda pick: (-pick[2], pick[0]))
    ]
    got: list[tuple[Any, ...]] = [(one.row, one.brought_by, one.round, one.similarity) for one in widening.rows]
    assert got == want
    assert wide.rows.ids == (*own.rows.ids, *(f"s{row}" for row, *_ in want))
    assert [one.target_row for one in widening.rows] == list(range(len(target), len(wide.rows)))
    assert list(wide.rows.texts("prompt"))[len(target) :] == [
        record(f"s{row}", side[row])["prompt"] for row, *_ in want
    ]


def test_rows_that_say_nothing_new_take_no_part(tmp_path: Path) -> None:
    side = [record("a", (1, 0, 0)), record("t", (1, 0, 0)), record("a", (1, 0, 0)), record("b", (0, 1, 0))]
    path = written(tmp_path / "side.jsonl", [{**row, "id": str(n)} for n, row in enumerate(side)])
    own = read([record("t", (1, 0, 0))])
    _, widening = widen(own, Request(embedder=Digits(), widen=f"{path}:9"), cache=tmp_path)
    assert widening is not None
    assert [one.row for one in widening.rows] == [0, 3], "neither the target's own row nor the second of two"
    assert widening.no_part == 2
    nothing = written(tmp_path / "nothing.jsonl", side[1:2])
    with pytest.raises(SettingsError, match="must hold a row that the target does not"):
        widen(own, Request(embedder=Digits(), widen=f"{nothing}:1"), cache=tmp_path)


def test_ids_that_clash_name_their_file(tmp_path: Path) -> None:
    path = written(tmp_path / "side.jsonl", [record("1", (1, 0, 1))])
    own = read([record("1", (1, 0, 0))])
    wide, _ = widen(own, Request(embedder=Digits(), widen=f"{path}:1"), cache=tmp_path)
    assert wide.rows.ids == ("target:1", "side:1")


def neighbour(row: int, by: int) -> Neighbour:
    return Neighbour(3 + row, str(row), "side.jsonl", row + 1, row, by, 0, 1.0)


def test_a_row_shares_its_weight_with_those_it_brought() -> None:
    uneven = Widening((), 3, 0, tuple(neighbour(row, by) for row, by in enumerate((0, 0, 0, 1))))
    quarter, half, one = Fraction(1, 4), Fraction(1, 2), Fraction(1)
    assert uneven.weights(None) == (quarter, half, one, quarter, quarter, quarter, half)
    assert uneven.weights((Fraction(4), one, one)) == (one, half, one, one, one, one, half)
    even = dataclasses.replace(uneven, rows=tuple(neighbour(row, row % 3) for row in range(6)))
    assert even.weights(None) is None


def near(count: int, seed: int, name: str) -> list[Record]:
    rng = np.random.default_rng(seed)
    return [record(f"{name}{row}", (rng.integers(-9, 10, 3) * 2 + 1).tolist()) for row in range(count)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, count in (("pool", 60), ("side", 30), ("target", 3)):
        written(tmp_path / f"{name}.jsonl", near(count, count, name[0]))
    return tmp_path


def arranged(data: Path, **asked: Any) -> Result:
    request = Request(embedder=Digits(), widen=f"{data}/side.jsonl:4", **asked)
    return arrange_rows(data / "pool.jsonl", data / "target.jsonl", request, cache=data / "cache")


@pytest.mark.parametrize("method", ["tma", "nearest", "rds", "tma-farthest", "random", "kcenter"])
def test_the_pool_is_arranged_around_the_wide_target(data: Path, method: str) -> None:
    """As around a target file that holds the same rows, with the weights that are said of them."""
    got = arranged(data, method=method)
    assert got.widening is not None
    rows = [row.as_dict() for row in got.target.rows.examples()]
    weights = got.request.target_weights(got.target.rows, got.widening)
    assert len(rows) == 3 + len(got.widening.rows) > 3
    named = [{**row, "task": str(number)} for number, row in enumerate(rows)]
    by_task = {} if weights is None else {str(n): str(weight) for n, weight in enumerate(weights)}
    request = Request(embedder=Digits(), method=method, target_weight=by_task)
    want = arrange_rows(data / "pool.jsonl", named, request, cache=data / "cache").arrangement
    for column in ("order", "round", "picked_by", "similarity", "distance"):
        ours, theirs = getattr(got.arrangement, column), getattr(want, column)
        assert (ours is None) == (theirs is None)
        assert ours is None or np.array_equal(ours, theirs)


def test_weights_by_name_are_those_of_the_targets_own_rows(data: Path) -> None:
    got = arranged(data, target_weight={"target": 2})
    assert got.widening is not None
    assert got.request.target_weights(got.target.rows, got.widening) == got.widening.weights(None)
    with pytest.raises(SettingsError, match="file or task of the target"):
        arranged(data, target_weight={"side": 2})


def test_the_guard_looks_for_the_rows_that_were_brought(data: Path) -> None:
    side = [json.loads(line) for line in (data / "side.jsonl").read_text().splitlines()]
    with (data / "pool.jsonl").open("a") as file:
        file.writelines(json.dumps({**row, "id": f"again {row['id']}"}) + "\n" for row in side)
    got = arranged(data, guard="remove")
    assert got.widening is not None
    brought = {one.id for one in got.widening.rows}
    left = {row.id for row in got.left_out if row.reason == "leak"}
    assert {f"again {one}" for one in brought} <= left


@pytest.mark.parametrize(
    "wrong", ["side.jsonl", "side.jsonl:", ":3", "side.jsonl:0", "side.jsonl:-1", "side.jsonl:1.5"]
)
def test_what_names_no_pool_and_number_is_refused(wrong: str) -> None:
    with pytest.raises(SettingsError, match="`widen` must be a file or folder and, behind a colon"):
        Request(widen=wrong).check()


def test_given_vectors_are_refused() -> None:
    with pytest.raises(SettingsError, match="`widen` must have a model"):
        Request(widen="side.jsonl:3", embedder="vectors:x.npz").check()


def test_the_address_of_a_side_pool_is_kept_without_secrets() -> None:
    asked = Request(widen="https://me:word@example.org/side.jsonl?key=1:3").widens
    assert asked is not None
    assert asked.kept == "https://example.org/side.jsonl:3"


def test_a_wide_target_is_not_taken_for_the_pool(tmp_path: Path) -> None:
    own = [record(f"t{number}", (12 * number + 6, 1000, 1)) for number in range(100)]
    side = [record(f"s{number}", (number, 1000, 1)) for number in range(1200)]
    pool = [record(f"p{number}", (1, 1000, number)) for number in range(100)]
    widen = f"{written(tmp_path / 'side.jsonl', side)}:12"
    result = arrange_rows(pool, own, Request(widen=widen, embedder=Digits(), guard="off"), cache=tmp_path / "cache")
    assert len(result.target.rows) >= 1000
    assert [note for note in result.notes if "each other's place" in note] == []


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows that the default embedder reads: a pool, a side pool, and a target of three."""
    folder = tmp_path_factory.mktemp("real")
    for name, rows, seed in (("pool", 3, 0), ("side", 2, 5)):
        written(folder / f"{name}.jsonl", righttime.builtin_rows("pool", rows_per_family=rows, seed=seed))
    written(folder / "target.jsonl", righttime.builtin_rows("target", rows_per_family=1, seed=1)[:3])
    return folder


def words(folder: Path, out: Path, *more: str) -> list[str]:
    sides = [f"{folder}/pool.jsonl", "--target", f"{folder}/target.jsonl", "--widen", f"{folder}/side.jsonl:3"]
    return ["arrange", *sides, "--budget", "30", "--out", str(out), *more]


@pytest.fixture(scope="module")
def out(real: Path) -> Path:
    assert main(words(real, real / "out")) == 0
    return real / "out"


def test_it_is_written_shown_and_verified(real: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads((out / "manifest.json").read_text())
    widening = said["widening"]
    assert widening["own"] == 3
    assert said["counts"]["target_rows"] == 3 + len(widening["rows"])
    assert [file["path"] for file in widening["pool"]] == [f"{real}/side.jsonl"]
    found = check(out)
    assert [one for one in found if one.ok is not True] == []
    assert "the target was widened by the nearest rows of the side pool, each once, to the bit" in {
        one.what for one in found
    }
    assert main(["verify", str(out), "--pool", f"{real}/pool.jsonl", "--target", f"{real}/target.jsonl"]) == 0
    assert "ok     the side pool is the same data" in capsys.readouterr().out
    assert main(["show", str(out)]) == 0
    told = capsys.readouterr().out
    rows = len((real / "side.jsonl").read_text().splitlines())
    note = "labels that no rule reads: `category`"
    assert f"widened  {real}/side.jsonl: prompt-completion (jsonl), {rows} rows; {note}\n" in told
    assert f"3 target rows took {len(widening['rows'])} of them in 3 rounds" in told
    last = widening["rows"][-1]
    assert main(["show", str(out), "--target-row", last["id"]]) == 0
    own = [json.loads(line)["id"] for line in (real / "target.jsonl").read_text().splitlines()]
    assert f"brought by {own[last['brought_by']]} in round {last['round']}" in capsys.readouterr().out


def test_two_runs_write_the_same_bytes(real: Path, out: Path, tmp_path: Path) -> None:
    assert main(words(real, tmp_path / "again")) == 0
    for name in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_the_wide_target_is_read_again(out: Path) -> None:
    read_now, why = open_result(out).read_again("target")
    assert read_now is not None, why
    widening = open_result(out).manifest.widening
    assert widening is not None
    assert [read_now.rows.ids[one.target_row] for one in widening.rows] == [one.id for one in widening.rows]


def change(out: Path, to: Path, do: Any) -> Path:
    shutil.copytree(out, to)
    said = json.loads((to / "manifest.json").read_text())
    do(said)
    write_json(to / "manifest.json", said)
    return to


def other_row(said: Record) -> None:
    taken = {one["row"] for one in said["widening"]["rows"]}
    said["widening"]["rows"][-1]["row"] = next(row for row in range(99) if row not in taken)


def other_picker(said: Record) -> None:
    said["widening"]["rows"][0]["brought_by"] = (said["widening"]["rows"][0]["brought_by"] + 1) % 3


def other_name(said: Record) -> None:
    said["widening"]["rows"][0]["line"] += 1


def twice(said: Record) -> None:
    said["widening"]["rows"][1]["row"] = said["widening"]["rows"][0]["row"]


def fewer(said: Record) -> None:
    said["settings"]["widen"] = said["settings"]["widen"][:-1] + "2"


def unasked(said: Record) -> None:
    said["settings"]["widen"] = None


def nobody(said: Record) -> None:
    said["widening"]["rows"][0]["brought_by"] = 3


@pytest.mark.parametrize("do", [other_row, other_picker, other_name, twice, fewer, unasked, nobody])
def test_a_forgery_is_noticed(out: Path, tmp_path: Path, do: Any) -> None:
    assert False in {one.ok for one in check(change(out, tmp_path / "forged", do))}


def test_a_side_pool_that_was_changed_is_told(real: Path, tmp_path: Path) -> None:
    for name in ("pool", "side", "target"):
        shutil.copy(real / f"{name}.jsonl", tmp_path)
    assert main(words(tmp_path, tmp_path / "out")) == 0
    with (tmp_path / "side.jsonl").open("a") as file:
        file.write(json.dumps(record("new", (1, 2, 3))) + "\n")
    found = check(tmp_path / "out")
    assert [(one.ok, one.detail) for one in found if one.ok is not True] == [(None, "the side pool was changed since")]
    assert open_result(tmp_path / "out").read_again("target") == (None, "the side pool was changed since")
    with pytest.raises(StoreError, match="the side pool of .* must be as it was"):
        extend_into(tmp_path / "more", tmp_path / "out", [tmp_path / "pool.jsonl"])


def test_a_grown_pool_is_extended(real: Path, out: Path, tmp_path: Path) -> None:
    more = written(tmp_path / "more.jsonl", righttime.builtin_rows("pool", rows_per_family=1, seed=9))
    extend_into(tmp_path / "extended", out, [more])
    asked = words(real, tmp_path / "whole")
    assert main([*asked[:2], str(more), *asked[2:]]) == 0
    for name in ("train.jsonl", "arrangement.parquet"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "extended" / name).read_bytes()


def test_vectors_that_differ_in_their_last_bits_are_allowed_for(data: Path) -> None:
    """And a row that is not near enough is not."""
    path = data / "side.jsonl"
    own = read([json.loads(line) for line in (data / "target.jsonl").read_text().splitlines()])
    made = widen(own, Request(embedder=Digits(), widen=f"{path}:4"), cache=data / "a")[1]
    assert made is not None
    moved = Request(embedder=Digits(noise=1e-6), widen=f"{path}:4")

    def holds(widening: Widening) -> bool | None:
        return widening_holds(widening, own, moved, data / "b", False).ok

    assert widen(own, moved, cache=data / "b")[1] != made
    assert holds(made) is True
    rows = list(made.rows)
    free = next(row for row in range(30) if row not in {one.row for one in rows})
    assert holds(dataclasses.replace(made, rows=(*rows[:-1], dataclasses.replace(rows[-1], row=free)))) is False
    assert holds(dataclasses.replace(made, rows=tuple(rows[:-1]))) is False, "a row of the last round is missing"
    assert holds(dataclasses.replace(made, rows=tuple(one for one in rows if one.round < 3))) is False


def test_each_target_is_widened_on_its_own(real: Path, out: Path, tmp_path: Path) -> None:
    targets = [json.loads(line) for line in (real / "target.jsonl").read_text().splitlines()]
    names = [str(written(tmp_path / f"{name}.jsonl", targets[:count])) for name, count in (("two", 2), ("three", 3))]
    asked = words(real, tmp_path / "each", "--each-target")
    at = asked.index("--target")
    assert main([*asked[:at], "--target", names[0], "--target", names[1], *asked[at + 2 :]]) == 0
    for name, count in (("two", 2), ("three", 3)):
        widening = open_result(tmp_path / "each" / name).manifest.widening
        assert widening is not None
        assert widening.own == count
    for file in ("train.jsonl", "arrangement.parquet"):
        assert (tmp_path / "each" / "three" / file).read_bytes() == (out / file).read_bytes()


def test_several_targets_share_side_pool_and_model(real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets of which one has a row of the side pool, so that other rows of it take part."""
    target, side = ((real / f"{name}.jsonl").read_text().splitlines(keepends=True) for name in ("target", "side"))
    for name, lines in (("a", target[:2]), ("b", [*target[1:], side[0]]), ("c", target)):
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    names = [str(tmp_path / f"{name}.jsonl") for name in "abc"]
    asked = Request(widen=f"{real}/side.jsonl:2", budget=20)
    loaded, opened = [], []
    model, reading = Request.model, read_side

    def counted(self: Request) -> Any:
        loaded.append(self.embedder)
        return model(self)

    def read_once(data: Any, role: Any, *more: Any, **how: Any) -> Reading:
        opened.append(role)
        return reading(data, role, *more, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Request, "model", counted)
        for module in ("inputs", "widening"):
            patch.setattr(f"righttime.{module}.read_side", read_once)
        how: dict[str, Any] = {"cache": tmp_path / "cache"}
        each = dict(arrange_each_into(tmp_path / "each", str(real / "pool.jsonl"), names, asked, **how))
    assert [one for one in loaded if isinstance(one, str)] == [asked.embedder], "loaded once"
    assert opened.count("side") == 1
    for name, result in each.items():
        alone = arrange_rows(str(real / "pool.jsonl"), str(tmp_path / f"{name}.jsonl"), asked, **how)
        assert result.widening == alone.widening, name
        assert np.array_equal(result.arrangement.order, alone.arrangement.order)
    assert each["b"].widening.no_part == each["a"].widening.no_part + 1  # type: ignore[union-attr]


def test_the_side_pool_is_told_before_anything_is_embedded(
    real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfit(*_: Any, **__: Any) -> Any:
        raise SettingsError("nothing is embedded here", setting="embedder")

    monkeypatch.setattr("righttime.embedding.vectors.represent", unfit)
    assert main(words(real, tmp_path / "never")) == 1
    told = capsys.readouterr()
    assert "nothing is embedded here" in told.err
    assert f"side     {real}/side.jsonl: prompt-completion (jsonl), " in told.out


@pytest.mark.slow
def test_a_plan_knows_names_of_the_targets_own_rows_alone(
    real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = words(real, tmp_path / "never")
    asked = ["plan", *asked[1 : asked.index("--out")]]
    assert main([*asked, "--target-weight", "side=2"]) == 1
    refused = capsys.readouterr().err
    assert main([*words(real, tmp_path / "out"), "--target-weight", "side=2"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == refused.splitlines()[-1], "as arranging refuses it"
    assert main([*asked, "--target-weight", "target=2"]) == 0


def test_a_plan_counts_the_wide_target(real: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = words(real, real / "never")
    at = asked.index("--out")
    assert main(["plan", *asked[1:at]]) == 0
    told = capsys.readouterr().out
    assert "widen: the target's 3 rows take at most 9 of the side pool's " in told
    assert main(["plan", "--rows", "9", "--target-rows", "2", "--dim", "4", "--widen", "side.jsonl:3"]) == 1
    assert "--widen must have the side pool and the target to plan for" in capsys.readouterr().err
