"""Files read on a Ray cluster, of which a machine dies, give what reading them here gives."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from readings import all_of
from righttime.errors import RowError
from righttime.formats import read_rows, side_by_side
from righttime.formats.records import Settings
from small_cluster import cluster, losing_a_node

__all__ = ["cluster"]

pytestmark = [pytest.mark.slow, pytest.mark.linux]

pytest.importorskip("ray")


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{number:02}.jsonl" for number in range(24)]
    for number, path in enumerate(made):
        rows = [{"id": f"{number}-{row}", "prompt": f"what is {row}?", "response": "x"} for row in range(3_000)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return made


def test_a_machine_that_dies_changes_nothing(cluster: Any, shards: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    once, told = losing_a_node(cluster)
    on_ray = side_by_side._on_ray

    def losing(files: Any, settings: Settings) -> Any:
        for answer in on_ray(files, settings):
            assert isinstance(answer, tuple), "read there"
            once(1)
            yield answer

    monkeypatch.setattr(side_by_side, "_on_ray", losing)
    assert all_of(read_rows(shards, role="pool", on_ray=True)) == all_of(read_rows(shards, role="pool"))
    assert len(told) == 24


def test_an_error_of_a_row_is_that_of_this_machine(cluster: Any, shards: list[Path]) -> None:
    with shards[3].open("a") as file:
        file.write('{"id": "z"}\n')
    said = []
    for on_ray in (False, True):
        with pytest.raises(RowError) as error:
            read_rows(shards, role="pool", on_ray=on_ray)
        said.append((str(error.value), vars(error.value)))
    assert said[0] == said[1]
    assert "03.jsonl:3001" in said[0][0]


class Pretended:
    """What stands for Ray: tasks are done when they are asked for, and a machine joins after the third."""

    def __init__(self) -> None:
        self.asked = self.done = 0

    def remote(self, do: Any = None, **_: Any) -> Any:
        if do is None:
            return self.remote

        def ask(how: Any, file: Any) -> Any:
            self.asked += 1
            return do, how, file

        return SimpleNamespace(remote=ask)

    def put(self, value: Any) -> Any:
        return value

    def get(self, task: Any) -> Any:
        self.done += 1
        do, how, file = task
        return do(how, file)

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 1.0 if self.done < 3 else 4.0}


def test_more_files_are_asked_for_once_a_machine_has_joined(
    shards: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray, ahead = Pretended(), []
    on_ray = side_by_side._on_ray

    def watched(files: Any, settings: Settings) -> Any:
        for answer in on_ray(files, settings):
            ahead.append(ray.asked - ray.done)
            yield answer

    monkeypatch.setattr(side_by_side, "started_ray", lambda: ray)
    monkeypatch.setattr(side_by_side, "_on_ray", watched)
    assert all_of(read_rows(shards, role="pool", on_ray=True)) == all_of(read_rows(shards, role="pool"))
    assert ahead[:5] == [1, 1, 1, 7, 7]
    assert ray.asked == ray.done == 24
