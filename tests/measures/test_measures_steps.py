"""Measures of what a run had consumed at each step, against the definition of every prefix by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import twin_measures as twin
from righttime.errors import SettingsError, ShapeError
from righttime.measures import MEASURES, step_measures
from righttime.similarity import unit_rows

RNG = np.random.default_rng(0)
POOL, JUDGE = unit_rows(RNG.normal(size=(12, 5))), unit_rows(RNG.normal(size=(5, 5)))
WORDS = ["the", "cat", "sat", "on", "the", "mat", "and", "the", "dog", "on", "the", "cat"]
POOL_TEXTS = [" ".join(RNG.choice(WORDS, 6)) for _ in POOL]
JUDGE_TEXTS = [" ".join(RNG.choice(WORDS, 9)) for _ in JUDGE]
TASKS = ["b", "a", None, "b", "a"]
SIZES = {4: 8, 0: 0, 1: 2, 9: 12, 10: 12}


def asked(**changed: Any) -> Any:
    given = {"pool": POOL, "pool_texts": POOL_TEXTS, "judge": JUDGE, "judge_texts": JUDGE_TEXTS}
    return step_measures(**{**given, "judge_tasks": TASKS, "sizes": SIZES, **changed})


def test_every_step_task_and_measure_equals_the_definition() -> None:
    found = asked()
    assert {name: str(found.schema.field(name).type) for name in found.column_names} == {
        "step": "int64",
        "rows": "int64",
        "task": "string",
        "measure": "string",
        "value": "double",
    }
    lines = found.to_pylist()
    assert [line["step"] for line in lines[:: 3 * 9]] == [1, 4, 9, 10], "rising, and step 0 had consumed nothing"
    assert [line["task"] for line in lines[: 3 * 9 : 9]] == [None, "b", "a"]
    assert [line["measure"] for line in lines[:9]] == list(MEASURES)
    for line in lines:
        places = [place for place, task in enumerate(TASKS) if line["task"] in (None, task)]
        assert line["rows"] == SIZES[line["step"]]
        if line["measure"] == "kl":
            want = twin.kl(POOL_TEXTS[: line["rows"]], [JUDGE_TEXTS[place] for place in places])
        else:
            want = twin.vector_measures(POOL, JUDGE[places], line["rows"])[line["measure"]]
        assert line["value"] == pytest.approx(want, rel=1e-5)


def test_no_step_is_an_empty_table() -> None:
    assert asked(sizes={0: 0}).num_rows == 0
    assert asked(sizes={}).schema == asked().schema


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"sizes": {3: 13}}, SettingsError, "from 0 to the 12 arranged rows, got 13 at step 3"),
        ({"judge_tasks": ["a"]}, ShapeError, "judge_tasks must hold one task for each of the 5 rows, got 1"),
        ({"judge_texts": ["a"]}, ShapeError, "judge_texts must hold one text for each of the 5 rows, got 1"),
        ({"pool_texts": ["a"]}, ShapeError, "pool_texts must hold one text for each of the 12 rows, got 1"),
        ({"judge": JUDGE[:, :4]}, ShapeError, "pool and judge vectors must have the same width, got 5 and 4"),
    ],
)
def test_sides_that_do_not_agree_are_refused(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        asked(**changed)
