"""What shards have answered is kept on disk: found again for the same question alone, and never in anybody's way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from righttime.cli import main
from righttime.neighbours import BlockSearch, KeptAnswers, answers
from small_cluster import arranging, clustered, one_node

__all__ = ["one_node"]

MANY = 1 << 30


def questions(target: NDArray[np.float32], n: int) -> dict[str, tuple[Any, ...]]:
    """One question, and others that differ from it in one thing each."""
    other, marks = target.copy(), np.zeros(n, dtype=np.bool_)
    other[-1, -1] = np.nextafter(other[-1, -1], np.float32(2))
    marks[-1] = True
    one = ("nominees", 0, 2, target, 9, None)
    changed = {"name": "best", "shard": 1, "shards": 3, "target": other, "wanted": 8, "marks": marks}
    apart = [(*one[:place], value, *one[place + 1 :]) for place, value in enumerate(changed.values())]
    return {"same": one, **dict(zip(changed, apart, strict=True))}


def test_an_answer_is_found_for_its_own_question_alone(tmp_path: Path) -> None:
    pool, target = clustered(500, 7)
    kept, asked = KeptAnswers(tmp_path, pool, "these", MANY), questions(target, len(pool))
    search = BlockSearch("cpu")
    of_names = {"nominees": search.nominees, "best": search.best}
    for number, question in enumerate(asked.values()):
        assert kept.find(pool, question) is None
        kept.keep(pool, question, of_names[question[0]](pool, question[3], 3 + number, None), 99)
    for number, question in enumerate(asked.values()):
        want, got = of_names[question[0]](pool, question[3], 3 + number, None), kept.find(pool, question)
        for name in ("start", "rows", "value", "cut"):
            assert getattr(got, name).tobytes() == getattr(want, name).tobytes()
            assert getattr(got, name).dtype == getattr(want, name).dtype
        assert (got.margin, got.limit) == (want.margin, want.limit)
    assert KeptAnswers(tmp_path, pool, "others", MANY).find(pool, asked["same"]) is None
    assert KeptAnswers(tmp_path, pool[:-1], "these", MANY).find(pool[:-1], asked["same"]) is None
    assert KeptAnswers(tmp_path, pool, "these", MANY).find(pool.copy(), asked["same"]) is None
    kept.clear()
    assert not list(tmp_path.iterdir())


def test_nearest_rows_are_kept_and_pairs_are_not(tmp_path: Path) -> None:
    pool, target = clustered(500, 7)
    kept = KeptAnswers(tmp_path, pool, "these", MANY)
    want = BlockSearch("cpu").nearest(pool, target)
    kept.keep(pool, ("nearest", 0, 1, target), want, 99)
    assert [part.tobytes() for part in kept.find(pool, ("nearest", 0, 1, target))] == [one.tobytes() for one in want]
    kept.keep(pool, ("pairs", 0, 1, target), want, 99)
    assert kept.find(pool, ("pairs", 0, 1, target)) is None


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:40], lambda data: data[:-9] + b"x" + data[-8:], lambda _: b""]
)
def test_a_damaged_answer_is_asked_for_again(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    pool, target = clustered(500, 7)
    kept, question = KeptAnswers(tmp_path, pool, "these", MANY), ("nearest", 0, 1, target)
    kept.keep(pool, question, BlockSearch("cpu").nearest(pool, target), 99)
    (file,) = tmp_path.glob("*/*")
    file.write_bytes(damage(file.read_bytes()))
    assert kept.find(pool, question) is None


def test_quick_answers_are_not_kept(tmp_path: Path) -> None:
    pool, target = clustered(500, 7)
    KeptAnswers(tmp_path, pool, "these", MANY).keep(
        pool, ("nearest", 0, 1, target), BlockSearch("cpu").nearest(pool, target), 0.1
    )
    assert not list(tmp_path.iterdir())


def test_answers_take_no_more_room_than_they_may_and_the_oldest_go_first(tmp_path: Path) -> None:
    pool, target = clustered(500, 7)
    answer, question = BlockSearch("cpu").nearest(pool, target), ("nearest", 0, 1, target)
    searches = [KeptAnswers(tmp_path, pool, told, 20_000) for told in "abcd"]
    for search in searches:  # each takes some 6 kB
        search.keep(pool, question, answer, 99)
    assert [search.find(pool, question) is not None for search in searches] == [False, True, True, True]
    for shard in range(1, 5):
        searches[-1].keep(pool, ("nearest", shard, 5, target), answer, 99)
    assert sum(file.stat().st_size for file in tmp_path.glob("*/*")) <= 20_000
    assert searches[-1].find(pool, question) is not None


def test_a_disk_that_refuses_is_no_error(tmp_path: Path) -> None:
    pool, target = clustered(500, 7)
    (tmp_path / "file").write_text("no folder")
    kept, question = KeptAnswers(tmp_path / "file", pool, "these", MANY), ("nearest", 0, 1, target)
    kept.keep(pool, question, BlockSearch("cpu").nearest(pool, target), 99)
    assert kept.find(pool, question) is None
    kept.clear()


class DiedError(Exception):
    """Stands for the end of a driver."""


@pytest.mark.slow
def test_a_run_takes_what_the_shards_of_the_one_before_had_found(
    one_node: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    from righttime.neighbours.shards import ShardedSearch

    command = arranging(tmp_path)
    assert main([*command, "--out", str(tmp_path / "here")]) == 0
    command += ["--engine", "ray", "--out", str(tmp_path / "there")]
    monkeypatch.setattr(answers, "_WORTH", 0.0)
    plain, asked = ShardedSearch._of_shards, list[str]()

    def dying(search: ShardedSearch, question: str, target: Any, left: Mapping[int, Any]) -> Iterator[tuple[int, Any]]:
        asked.extend([question] * len(left))
        for number, answer in enumerate(plain(search, question, target, left)):
            if number and len(asked) <= 4:
                raise DiedError
            yield answer

    monkeypatch.setattr(ShardedSearch, "_of_shards", dying)
    with pytest.raises(DiedError):
        main(command)
    assert asked == ["nominees"] * 2, "both shards were asked once, and one has answered"
    folder = tmp_path / "cache" / "searches"
    assert len(list(folder.glob("*/*"))) == 1
    capsys.readouterr()
    monkeypatch.setattr(ShardedSearch, "_of_shards", plain)
    counted = list[int]()

    def counting(search: ShardedSearch, question: str, target: Any, left: Mapping[int, Any]) -> Any:
        counted.append(len(left))
        return plain(search, question, target, left)

    monkeypatch.setattr(ShardedSearch, "_of_shards", counting)
    assert main(command) == 0
    assert counted[0] == 1
    assert set(counted[1:]) == {2}
    assert "what its shards had found by then was taken from disk" in "".join(capsys.readouterr())
    assert not list(folder.iterdir()), "nothing stays once the arrangement is written"
    for name in ("train.jsonl", "arrangement.parquet", "left_out.parquet"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
