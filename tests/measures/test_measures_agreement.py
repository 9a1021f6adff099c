from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import righttime
from righttime import Arrangement
from righttime.arrangement import Labels
from righttime.cli import main
from righttime.cli.agreement_tables import agreement_table, read_at
from righttime.errors import SettingsError
from righttime.measures.agreement import agreement
from tiers import examples


def arrangement(rows: Any, n_pool: int = 12, ids: str | None = None) -> Arrangement:
    labels = None
    if ids is not None:
        names = tuple(f"{ids}{row}" for row in rows)
        labels = Labels(names, (None,) * len(names), ("pool",) * len(names), (None,) * len(names))
    return Arrangement(np.asarray(rows, dtype=np.int64), None, None, None, None, n_pool, 1, {}, labels)


@settings(max_examples=examples(200))
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.sampled_from(["spearman", "kendall"]))
def test_equals_the_definitions(seed: int, count: int, rank: Any) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.permutation(12).tolist(), rng.permutation(12).tolist()
    found = agreement([arrangement(a), arrangement(b)], at=[count], rank=rank)
    common = set(a[:count]) & set(b[:count])
    assert found.jaccard[0, 0, 1] == len(common) / len(set(a[:count]) | set(b[:count]))
    if len(common) < 2:
        assert np.isnan(found.rank[0, 0, 1])
    else:
        places = [[order.index(row) for row in common] for order in (a, b)]
        want = (stats.spearmanr if rank == "spearman" else stats.kendalltau)(*places).statistic
        assert found.rank[0, 0, 1] == pytest.approx(want)
    assert np.array_equal(found.rank, found.rank.transpose(0, 2, 1), equal_nan=True)


def test_shares_and_counts() -> None:
    both = [arrangement(range(12)), arrangement(range(11, -1, -1))]
    found = righttime.agreement(both, at=[0.5, 7, 1.0])
    assert found.at == (6, 7, 12)
    assert found.jaccard[:, 0, 1].tolist() == [0.0, 2 / 12, 1.0]
    assert found.rank[2, 0, 1] == pytest.approx(-1)
    assert righttime.agreement([arrangement([1, 2, 3]), both[0]]).at == (3,)
    assert read_at("0.5, 7,1.0") == [0.5, 7, 1.0]


BAD: list[tuple[list[Arrangement], dict[str, Any], str]] = [
    ([arrangement([1])], {}, "at least two arrangements, got 1"),
    ([arrangement([1]), arrangement([1], 13)], {}, "a pool of 12 rows, arrangement 1 of one of 13"),
    ([arrangement([1], ids="a"), arrangement([1], ids="b")], {}, "pool row 1 is 'a1' in arrangement 0 and 'b1'"),
    ([arrangement([1]), arrangement([1])], {"at": [2]}, "at 2 is 2 rows, but arrangement 0 holds 1"),
    ([arrangement([1]), arrangement([1])], {"at": [0.0]}, "shares above 0 up to 1.0, or whole counts .* got 0.0"),
    ([arrangement([1]), arrangement([1])], {"at": [1.5]}, "whole counts up to the pool's 12 rows, got 1.5"),
    ([arrangement([1]), arrangement([1])], {"at": [13]}, "whole counts up to the pool's 12 rows, got 13"),
    ([arrangement([1]), arrangement([1])], {"at": [float("inf")]}, "up to the pool's 12 rows, got inf"),
    ([arrangement([1]), arrangement([1])], {"at": [float("nan")]}, "up to the pool's 12 rows, got nan"),
    ([arrangement([1]), arrangement([1])], {"at": []}, "at least one share or count"),
    ([arrangement([1]), arrangement([1])], {"rank": "tau"}, "rank must be 'spearman' or 'kendall', got 'tau'"),
    ([arrangement([1]), arrangement([1])], {"names": ["a"]}, "one for each of the 2 arrangements, got 1"),
]


@pytest.mark.parametrize(("given_", "asked", "sentence"), BAD)
def test_bad_input_gets_its_sentence(given_: list[Arrangement], asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        agreement(given_, **asked)


def test_the_table_names_and_numbers_all() -> None:
    said = agreement_table(agreement([arrangement([1, 2]), arrangement([3, 4])], names=["tma", "random"], at=[2]))
    assert "first 2 rows (16.7% of the pool): Jaccard index of the rows" in said
    assert "Spearman correlation of the rows in common" in said
    assert "1  tma     1.00  0.00" in said
    assert "2  random     -  1.00" in said


def test_from_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    assert main(["builtin", "--out", str(data), "--rows", "3", "--target-rows", "2"]) == 0
    other = tmp_path / "other"
    assert main(["builtin", "--out", str(other), "--rows", "3", "--target-rows", "2", "--seed", "1"]) == 0
    for name, folder, method in (("a", data, "random"), ("b", data, "cluster"), ("c", other, "random")):
        sides = [str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl"), "--out", str(tmp_path / name)]
        assert main(["arrange", *sides, "--method", method, "--budget", "30"]) == 0
    capsys.readouterr()
    assert main(["agreement", str(tmp_path / "a"), str(tmp_path / "b"), "--at", "0.1,30", "--rank", "kendall"]) == 0
    said = capsys.readouterr().out
    assert "Kendall correlation" in said
    assert "first 30 rows" in said
    parquet = str(tmp_path / "b" / "arrangement.parquet")
    assert main(["agreement", str(tmp_path / "a"), parquet]) == 0
    assert main(["agreement", str(tmp_path / "a"), str(tmp_path / "c")]) == 1
    assert "only arrangements of one pool can be compared" in capsys.readouterr().err
    assert main(["agreement", str(tmp_path / "a"), str(tmp_path / "b"), "--at", "x"]) == 1
    assert "--at must be shares or counts" in capsys.readouterr().err


def test_methods_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from righttime.arrangement import METHODS

    assert main(["methods"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in METHODS)
    for name, entry in METHODS.items():
        assert main(["methods", "--method", name]) == 0
        said = capsys.readouterr().out
        assert entry.does in said
        assert all(param in said for param in entry.params)
    assert main(["methods", "--method", "kcenter"]) == 0
    said = capsys.readouterr().out
    assert "start    target or random  target " in said
    assert "weight   number from 0 up  0.0 " in said
    assert main(["methods", "--method", "nearst"]) == 1
    assert "did you mean 'nearest'" in capsys.readouterr().err


def test_a_method_is_named_with_or_without_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    said = []
    for words in (["tsds"], ["--method", "tsds"], ["tsds", "--method", "tsds"]):
        assert main(["methods", *words]) == 0
        said.append(capsys.readouterr().out)
    assert len(set(said)) == 1
    assert "--param" in said[0]
    assert main(["methods", "nearst"]) == 1
    assert "did you mean 'nearest'" in capsys.readouterr().err
    assert main(["methods", "tma", "--method", "nearest"]) == 1
    assert "one method must be named, got tma and --method nearest" in capsys.readouterr().err
