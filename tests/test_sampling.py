"""`--subsample`: a part of the pool, drawn before anything else is done with it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import righttime
from righttime.cli import main
from righttime.errors import SettingsError
from righttime.pipeline import arrange_rows
from righttime.planning import plan
from righttime.results import Request, Result
from righttime.sampling import check_subsample, drawn

ROWS = [{"id": str(row), "prompt": f"what is {row}?", "response": f"it is {row}", "task": "t"} for row in range(40)]
TARGET = [{"prompt": "what is 7?", "response": "seven"}, {"prompt": "who?", "response": "me"}]


@pytest.mark.parametrize(
    ("asked", "read"),
    [(None, None), ("0.5", 0.5), ("50%", 0.5), ("12.5 %", 0.125), (".25", 0.25), ("1000", 1000), (3, 3), (0.3, 0.3)],
)
def test_what_can_be_asked_for(asked: Any, read: Any) -> None:
    got = check_subsample(asked)
    assert got == read
    assert type(got) is type(read)


@pytest.mark.parametrize(
    "asked", ["0", "0.0", "1.0", "100%", "120%", "-3", "half", "", ".", "%", 0, -1, 1.0, True, "1e3"]
)
def test_what_cannot(asked: Any) -> None:
    with pytest.raises(
        SettingsError, match=r"share above 0 and below 1, such as 0.5 or 50%, or a whole number of rows"
    ):
        check_subsample(asked)


@given(st.integers(1, 200), st.integers(0, 2**40), st.data())
def test_a_draw_is_of_distinct_rows_and_a_larger_one_holds_it(n: int, seed: int, data: st.DataObject) -> None:
    small, large = sorted((data.draw(st.integers(1, n)), data.draw(st.integers(1, n))))
    few, many = drawn(n, small, seed), drawn(n, large, seed)
    assert few == sorted(set(few))
    assert len(few) == small
    assert set(few) <= set(many) <= set(range(n))
    assert drawn(n, None, seed) == list(range(n))


def test_every_row_is_as_likely_and_seeds_differ() -> None:
    counts = Counter(row for seed in range(2000) for row in drawn(10, 0.3, seed))
    assert all(abs(counts[row] / 2000 - 0.3) < 0.05 for row in range(10))
    assert len({tuple(drawn(40, 10, seed)) for seed in range(50)}) == 50


def test_the_draw_is_apart_from_what_the_method_draws() -> None:
    found = arranged(subsample=0.5, seed=3)
    places = [int(place) for place in np.random.default_rng(3).permutation(40)[:20]]
    assert set(found.kept) != set(places)


def arranged(pool: Any = ROWS, **settings: Any) -> Result:
    return arrange_rows(pool, TARGET, Request(**{"method": "random", **settings}))


def test_rows_not_drawn_are_left_out_with_their_reason() -> None:
    result = arranged(subsample="25%", seed=2, budget=6)
    reasons = Counter(row.reason for row in result.left_out)
    assert reasons == {"sampled-away": 30, "not-chosen": 4}
    assert len(result.arrangement) + len(result.left_out) == len(ROWS)
    assert sorted(result.kept) == drawn(40, 0.25, 2)
    away = next(row for row in result.left_out if row.reason == "sampled-away")
    assert away.detail == "not among the 10 of 40 rows that `subsample=0.25` drew with `seed=2`"
    assert not {row.row for row in result.left_out if row.reason == "sampled-away"} & set(result.kept)


def test_the_draw_depends_on_the_seed_alone() -> None:
    want = arranged(subsample=10, seed=5).kept
    for settings in ({"method": "round-robin"}, {"budget": 3}, {"duplicates": "drop"}, {"positive_examples": 1}):
        assert arranged(subsample=10, seed=5, **settings).kept == want
    assert arranged(subsample=10, seed=6).kept != want


def test_repeats_are_looked_for_among_the_rows_drawn() -> None:
    pool = [row | {"prompt": "same", "response": "same"} for row in ROWS]
    result = arranged(pool, subsample=10, seed=5, duplicates="drop")
    first = drawn(40, 10, 5)[0]
    assert first > 0, "row 0 was not drawn, so row 0 makes no other a repeat"
    assert list(result.kept) == [first]
    assert result.duplicates == 9
    assert Counter(row.reason for row in result.left_out) == {"sampled-away": 30, "duplicate": 9}


def test_long_rows_are_counted_among_the_rows_drawn() -> None:
    from righttime.embedding.models import find_model

    pool = [row | {"response": "word " * (100 if number % 2 else 1)} for number, row in enumerate(ROWS)]
    result = arranged(pool, subsample=10, seed=5, tokenizer=find_model().path, max_tokens=50)
    assert list(result.kept) == [row for row in drawn(40, 10, 5) if row % 2 == 0]
    assert Counter(row.reason for row in result.left_out)["sampled-away"] == 30


def test_bad_rows_are_no_part_of_the_draw() -> None:
    pool = [{"prompt": "no answer", "response": " "}, *ROWS]
    result = arranged(pool, subsample=10, seed=5, bad_rows="skip")
    assert list(result.kept) == drawn(40, 10, 5)


def test_leaks_are_of_the_rows_drawn() -> None:
    inside, outside = (next(s for s in range(99) if (7 in drawn(40, 10, s)) is wanted) for wanted in (True, False))
    assert arranged(subsample=10, seed=inside).leaks == {0: 7}
    assert arranged(subsample=10, seed=outside).leaks == {}


def test_the_budget_is_of_what_is_left() -> None:
    with pytest.raises(SettingsError, match="budget must be at most the pool's 10 rows, got 11"):
        arranged(subsample=10, budget=11)
    with pytest.raises(SettingsError, match="budget must be at most the pool's 10 rows, got 11"):
        plan(ROWS, TARGET, Request(method="random", subsample=10, budget=11))
    with pytest.raises(SettingsError, match="`subsample` must be at most the pool's 40 rows, got 41"):
        arranged(subsample=41)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, rows in (("pool", ROWS), ("target", TARGET)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "v.npz", pool=rng.normal(size=(40, 4)), target=rng.normal(size=(2, 4)))
    return tmp_path


def test_from_the_command_with_check_measure_and_plan(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sides = [f"{data}/pool.jsonl", "--target", f"{data}/target.jsonl", "--embedder", f"vectors:{data}/v.npz"]
    out = data / "out"
    assert main(["arrange", *sides, "--subsample", "50%", "--seed", "3", "--out", str(out)]) == 0
    assert "changes nothing" not in capsys.readouterr().out, "the draw is by the seed"
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["settings"]["subsample"], manifest["settings"]["seed"]) == (0.5, 3)
    assert manifest["counts"]["left_out_by_reason"] == {"sampled-away": 20}
    assert set(pq.read_table(out / "arrangement.parquet")["row"].to_pylist()) == set(drawn(40, 0.5, 3))
    assert main(["verify", str(out), "--pool", f"{data}/pool.jsonl", "--target", f"{data}/target.jsonl"]) == 0
    assert "come out again, to the bit" in capsys.readouterr().out
    measure = ["similarity", str(out), "--target", f"{data}/target.jsonl", "--out", str(data / "measures")]
    assert main([*measure, "--every", "5"]) == 0, "the vectors are those of the rows drawn, not another file's"
    whole, half = (plan(f"{data}/pool.jsonl", f"{data}/target.jsonl", request(data, part)) for part in (None, 0.5))
    assert half[-1].disk < whole[-1].disk
    assert main(["plan", *sides, "--subsample", "0.5", "--seed", "3", "--budget", "21"]) == 1
    assert "budget must be at most the pool's 20 rows, got 21" in capsys.readouterr().err


def request(data: Path, part: float | None) -> Request:
    return Request(embedder=f"vectors:{data}/v.npz", subsample=part)


def test_replicates_differ_and_a_method_without_chance_follows_the_draw(data: Path) -> None:
    orders = set()
    for seed in range(5):
        found = righttime.arrange(ROWS, TARGET, embedder=f"vectors:{data}/v.npz", subsample=0.5, seed=seed)
        vectors = np.load(data / "v.npz")
        kept = drawn(40, 0.5, seed)
        want = righttime.arrange_embeddings(vectors["pool"][kept], vectors["target"])
        assert found.order.tolist() == np.asarray(kept)[want.order].tolist()
        orders.add(tuple(found.order.tolist()))
    assert len(orders) == 5


def test_a_split_of_named_tasks_says_that_its_seed_changes_nothing(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "two.jsonl").write_text("".join(json.dumps(row | {"task": row["id"][-1]}) + "\n" for row in ROWS))
    words = ["split", f"{data}/two.jsonl", "--seed", "3", "--out"]
    for name, more, idle in (
        ("named", ["--tasks", "1,2"], True),
        ("few", ["--tasks", "1,2", "--max-per-pool-task", "9"], True),
        ("many", ["--tasks", "1,2", "--max-per-pool-task", "2"], False),
        ("count", ["--count", "2"], False),
    ):
        assert main([*words, str(data / name), *more]) == 0
        assert ("--seed 3 changes nothing" in capsys.readouterr().out) == idle, name


@pytest.mark.parametrize("value", [np.int64(10), np.float64(0.25)])
def test_numpy_numbers_are_recorded(value: Any, tmp_path: Path) -> None:
    righttime.arrange(ROWS, TARGET, method="random", subsample=value, out=tmp_path / "out")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]["arranged"] == 10
