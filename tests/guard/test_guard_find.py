"""The guard: what it finds of a leak in whatever writing, what it does not call one, and what it says it cannot see."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from righttime.contamination.leaks import Leak
from righttime.contamination.scan import few, scan
from righttime.demo import builtin_rows
from righttime.errors import SettingsError, ShapeError
from righttime.examples import Example
from righttime.formats import from_records
from righttime.guard import Leaks, find_leaks, find_text_leaks
from righttime.rows import Rows

POOL = builtin_rows("pool", rows_per_family=8)
PROBLEM = {
    "prompt": "Ottokar the glazier carried 48 lanterns from Brixleben to the abbey, and Wenzel carried half as many "
    "before dusk. Each lantern weighs 3 pounds. How many pounds did both of them carry?",
    "response": "Wenzel carried 24 lanterns, so both carried 72 lanterns, which weigh 216 pounds.",
}
PASSAGE = (
    "The viaduct of Ostenbruck was finished in 1874 after nine years. Its architect Livia Marquard never saw it, since "
    "she had moved to Valparaiso. Granite from the quarry of Kell was used for the pillars."
)


def rows(records: list[dict[str, Any]], role: Any = "pool") -> Rows:
    return from_records(records, source=role, role=role).rows


def leaks(*planted: dict[str, Any], target: dict[str, Any] = PROBLEM, **how: Any) -> Leaks:
    plain = [{part: row[part] for part in ("prompt", "response")} for row in POOL]
    as_turns = any("messages" in row for row in planted)
    records = [turns(row) for row in [*plain, *planted]] if as_turns else [*plain, *planted]
    return find_leaks(rows(records), rows([target], "target"), **how)


def turns(row: dict[str, Any]) -> dict[str, Any]:
    if "messages" in row:
        return row
    pairs = (("user", "prompt"), ("assistant", "response"))
    return {"messages": [{"role": role, "content": row[part]} for role, part in pairs]}


def changed(**parts: str) -> dict[str, str]:
    return {**PROBLEM, **parts}


LONG = f"{POOL[0]['prompt']} {POOL[1]['response']} {PROBLEM['prompt']} {POOL[2]['prompt']}"
SHUFFLED = " ".join(sorted(PROBLEM["prompt"].split(), key=lambda word: word[::-1]))
SYSTEM = "You keep the ledger of the glaziers of Brixleben and must never mention the abbot's debts."


@pytest.mark.parametrize(
    ("planted", "test", "part"),
    [
        (PROBLEM, "equal", "both"),
        (changed(prompt="\n" + PROBLEM["prompt"].upper().replace(" ", "  ") + " !"), "equal", "both"),
        (changed(prompt="\u200b".join(PROBLEM["prompt"])), "equal", "both"),
        (changed(response="No idea."), "equal", "prompt"),
        (changed(prompt="Write about a sunny day."), "equal", "response"),
        (changed(prompt=f"Think step by step. {PROBLEM['prompt']}"), "equal", "response"),
        (changed(prompt=f"Think first. {PROBLEM['prompt']}", response="Let me see."), "contained", "prompt"),
        ({"prompt": LONG, "response": "It depends."}, "contained", "prompt"),
        ({"prompt": LONG, "response": f"Well. {PROBLEM['response']}"}, "contained", "both"),
        (changed(prompt=SHUFFLED, response=f"Well. {PROBLEM['response']}"), "contained", "both"),
        (changed(prompt=PROBLEM["prompt"].replace("48", "forty-eight")), "equal", "both"),
        (
            changed(
                prompt=PROBLEM["prompt"].replace("Wenzel", "Jurek").replace("Ottokar", "Zdenka"),
                response=PROBLEM["response"].replace("Wenzel", "Jurek"),
            ),
            "contained",
            "prompt",
        ),
    ],
)
def test_a_leak_is_found_in_whatever_writing(planted: dict[str, str], test: str, part: str) -> None:
    found = leaks(planted).found
    assert [(leak.pool_row, leak.target_row, leak.test) for leak in found] == [(len(POOL), 0, test)]
    assert found[0].part == part or (found[0].part == "both" and part == "prompt")
    assert found[0].span
    assert 0.7 < found[0].score <= 1


def test_later_turns_and_system_turns_are_looked_at() -> None:
    later = [*turns(POOL[0])["messages"], *turns(PROBLEM)["messages"]]
    assert [leak.part for leak in leaks({"messages": later}).found] == ["turn"]
    target = {"messages": [{"role": "system", "content": SYSTEM}, *turns(POOL[5])["messages"]]}
    planted = {"messages": [{"role": "system", "content": SYSTEM.lower()}, *turns(POOL[0])["messages"]]}
    own = [leak for leak in leaks(planted, target=target).found if leak.pool_row == len(POOL)]
    assert [(leak.test, leak.part) for leak in own] == [("equal", "system")]


@pytest.mark.parametrize(
    "planted",
    [
        changed(prompt=PROBLEM["prompt"].replace("48", "36"), response="Both carried 54, which weigh 162 pounds."),
        changed(prompt="Who carried the lanterns to the abbey?", response="Nobody did, that night."),
        {"prompt": "Does glass bend?", "response": "No."},
    ],
)
def test_what_is_no_leak(planted: dict[str, str]) -> None:
    assert not leaks(planted).found


def test_another_question_about_a_passage_is_no_leak() -> None:
    target = {"prompt": f"{PASSAGE}\n\nWho was the architect of the viaduct?", "response": "Livia Marquard"}
    other = {"prompt": f"{PASSAGE}\n\nIn which year was the viaduct finished?", "response": "1874"}
    same = {"prompt": f"Read this.\n{PASSAGE}\n\nWho was the architect of the viaduct?", "response": "Marquard"}
    assert [leak.pool_row for leak in leaks(other, same, target=target).found] == [len(POOL) + 1]


def test_what_is_common_in_the_pool_gives_nothing_away() -> None:
    """A definition that many rows have is learnt from the pool, however long and rare its words are."""
    definition = "Decide whether the enclosed ornithological statement concerns plumage, migration or nesting habits. "
    birds = ("wren", "rook", "kite", "teal", "swift", "heron", "crane", "stork")
    planted = [{"prompt": definition + bird, "response": "plumage"} for bird in birds]
    target = {"prompt": definition + "osprey", "response": "plumage"}
    assert not leaks(*planted, target=target).found
    assert leaks(*planted[:1], {"prompt": definition + "Osprey!", "response": "nesting"}, target=target).found


def test_a_short_answer_is_not_telling() -> None:
    yes = {"prompt": "Is the abbey of Brixleben older than its glaziers' guild?", "response": "Yes."}
    assert not leaks({"prompt": "Do cats purr?", "response": "yes"}, target=yes).found


def test_a_pair_counts_once_by_its_surest_test() -> None:
    found = leaks(PROBLEM, PROBLEM)
    assert [leak.test for leak in found.found] == ["equal", "equal"]
    assert found.pool_rows == [len(POOL), len(POOL) + 1]
    assert found.target_rows == [0]
    assert found.counts() == {"equal": {"both": 2}}
    assert (found.n_pool, found.n_target) == (len(POOL) + 2, 1)


def test_some_rows_alone_are_looked_at() -> None:
    assert leaks(PROBLEM, PROBLEM, numbers=[3, len(POOL) + 1]).pool_rows == [len(POOL) + 1]
    with pytest.raises(SettingsError, match="one pool row at least"):
        leaks(PROBLEM, numbers=[])


def test_groups_that_share_a_source_are_reported() -> None:
    pool = rows([{**PROBLEM, "task": "task12_squad_a"}, {**PROBLEM, "task": "task13_squad_b"}])
    target = rows([{**POOL[0], "task": "task99_squad_c"}, {**POOL[1], "task": "drop"}], "target")
    found = find_text_leaks(pool, target).leaks.groups
    assert [dataclasses.astuple(group) for group in found] == [("squad", 2, 1)]


def vectors_of(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(count, 32))


PARAPHRASE = {
    "prompt": "A glass worker brings 48 lamps, each of 3 pounds, up to the monks; a friend of his brings half of that. "
    "What is the weight of everything?",
    "response": "All lamps together weigh 216 pounds.",
}


def test_another_wording_is_found_by_its_vector_where_numbers_and_answers_agree() -> None:
    pool, target = vectors_of(len(POOL) + 2), vectors_of(1, 9)
    pool[len(POOL)] = pool[len(POOL) + 1] = target[0] + 0.1
    other = {"prompt": PARAPHRASE["prompt"].replace("48", "30"), "response": "They weigh 135 pounds."}
    found = leaks(PARAPHRASE, other, vectors=(pool, target))
    assert [(leak.pool_row, leak.test) for leak in found.found] == [(len(POOL), "meaning")]
    assert 0.9 < found.found[0].score < 1
    assert set(found.threshold) == {"telling", "weak"}
    assert found.tests == ("equal", "contained", "meaning")
    assert not leaks(PARAPHRASE, other).found
    assert "rows in other words are not seen" in leaks(PARAPHRASE).unseen[-1]


def test_what_is_not_seen_is_said() -> None:
    about = {"pool_truncated": 3, "target_truncated": 0, "max_length": 256}
    found = leaks(PROBLEM, vectors=(vectors_of(len(POOL) + 1), vectors_of(1)), about=about)
    assert found.unseen == ("of 3 pool rows and 0 target rows the meaning past 256 tokens is not seen",)
    short = leaks(PROBLEM, target={"prompt": "Say cheese.", "response": "Cheese."})
    assert "1 of 1 target rows have too few telling words" in short.unseen[0]


def test_vectors_must_fit_the_rows() -> None:
    with pytest.raises(ShapeError, match="the pool must have a vector for each of 281 rows, got 2"):
        leaks(PROBLEM, vectors=(vectors_of(2), vectors_of(1)))


def test_a_judge_has_the_last_word_on_what_is_not_equal() -> None:
    asked: list[str] = []

    def never(leak: Leak, row: Example, target: Example) -> bool:
        asked.append(f"{leak.test} {row.prompt == LONG} {target.prompt == PROBLEM['prompt']}")
        return False

    found = leaks(PROBLEM, {"prompt": LONG, "response": "It depends."}, judge=never)
    assert [leak.test for leak in found.found] == ["equal"]
    assert asked == ["contained True True"]


def test_memory_is_bounded_by_the_target() -> None:
    """Of words and runs that many pool rows have no row is kept."""
    pool = rows([{"prompt": f"{PROBLEM['prompt']} {n}", "response": "x"} for n in range(400)])
    found = scan(pool, rows([PROBLEM], "target"))
    assert not any(len(some) > few(400) for some in found.gram_rows.values())
    assert not any(len(some) > 256 for some in found.word_rows.values())
    assert found.words["glazier"] == 400


def test_the_same_twice() -> None:
    how: dict[str, Any] = {"vectors": (vectors_of(len(POOL) + 1), vectors_of(1))}
    assert leaks(PROBLEM, **how) == leaks(PROBLEM, **how)
