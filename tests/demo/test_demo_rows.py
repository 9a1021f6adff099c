from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from string import Formatter
from typing import Any, cast

import pytest

import righttime.demo
from righttime.demo import FAMILIES, HELD_OUT, Family, Split, builtin_rows
from righttime.demo.words import CATEGORIES, WORDS
from righttime.errors import SettingsError

POOL = [name for name in FAMILIES if name not in HELD_OUT]
SPLITS: tuple[Split, ...] = ("pool", "target")


def test_there_are_two_dozen_families_or_more_in_about_ten_groups() -> None:
    assert len(FAMILIES) >= 24
    assert len({family.group for family in FAMILIES.values()}) >= 10
    assert all(name == family.name for name, family in FAMILIES.items())


def test_names_are_unique_over_the_modules() -> None:
    modules = righttime.demo._MODULES
    assert len(FAMILIES) == sum(len(module.FAMILIES) for module in modules)


def test_held_out_families_are_four_with_relatives_and_two_without() -> None:
    relatives = {name: [n for n in POOL if FAMILIES[n].group == FAMILIES[name].group] for name in HELD_OUT}
    assert [name for name, near in relatives.items() if near] == list(HELD_OUT[:4])
    assert [name for name, near in relatives.items() if not near] == ["number-words", "facing"]


@pytest.mark.parametrize("split", SPLITS)
def test_rows_have_their_fields_and_plain_text(split: Split) -> None:
    for row in builtin_rows(split):
        assert list(row) == ["id", "task", "category", "prompt", "response"]
        family = FAMILIES[row["task"]]
        assert row["category"] == family.group
        assert (row["task"] in HELD_OUT) == (split == "target")
        for text in row.values():
            assert text
            assert text == text.strip()
            assert text.encode().decode() == text
            assert all(sign.isprintable() or sign == "\n" for sign in text)
            assert " \n" not in text


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("count", [0, 1, 3, 57])
def test_every_family_gives_exactly_its_rows(split: Split, count: int) -> None:
    rows = builtin_rows(split, rows_per_family=count)
    counts = Counter(row["task"] for row in rows)
    names = HELD_OUT if split == "target" else POOL
    assert counts == Counter(dict.fromkeys(names, count))
    expected = {f"{name}-{number:05d}" for name in names for number in range(count)}
    assert {row["id"] for row in rows} == expected


def test_default_sizes() -> None:
    assert len(builtin_rows("pool")) == 40 * len(POOL)
    assert len(builtin_rows("target")) == 10 * len(HELD_OUT)


@pytest.mark.parametrize("split", SPLITS)
def test_the_seed_decides(split: Split) -> None:
    assert builtin_rows(split, seed=3) == builtin_rows(split, seed=3)
    prompts = [{row["prompt"] for row in builtin_rows(split, seed=seed)} for seed in (3, 4)]
    assert len(prompts[0] & prompts[1]) < len(prompts[0]) / 4


@pytest.mark.parametrize("split", SPLITS)
def test_fewer_rows_are_the_first_of_more(split: Split) -> None:
    fewer, more = (builtin_rows(split, rows_per_family=count) for count in (7, 30))
    by_id = {row["id"]: row for row in more}
    assert all(by_id[row["id"]] == row for row in fewer)


def test_a_family_does_not_depend_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [row for row in builtin_rows("pool") if row["task"] == "acronym"]
    new = Family("aaa", "new", lambda rng: {"n": str(rng.random()), "response": "x"}, ("{n}",))
    monkeypatch.setattr(righttime.demo, "FAMILIES", {"aaa": new, "acronym": FAMILIES["acronym"]})
    after = [row for row in builtin_rows("pool") if row["task"] == "acronym"]
    assert sorted(before, key=lambda row: row["id"]) == sorted(after, key=lambda row: row["id"])


def test_a_family_with_nothing_new_to_give_repeats_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    poor = Family("poor", "new", lambda rng: {"n": rng.choice("ab"), "response": "x"}, ("Say {n}.",))
    monkeypatch.setattr(righttime.demo, "FAMILIES", {"poor": poor})
    prompts = [row["prompt"] for row in sorted(builtin_rows("pool", rows_per_family=5), key=lambda row: row["id"])]
    assert len(prompts) == 5
    assert set(prompts[:2]) == {"Say a.", "Say b."}


def test_no_prompt_twice_in_or_across_the_splits() -> None:
    rows = [row for split in SPLITS for row in builtin_rows(split, rows_per_family=300, seed=5)]
    prompts = Counter(row["prompt"] for row in rows)
    assert [prompt for prompt, count in prompts.items() if count > 1] == []


def test_wordings_are_at_least_four_and_of_one_family_only() -> None:
    wordings = [wording for family in FAMILIES.values() for wording in family.wordings]
    assert all(len(family.wordings) >= 4 for family in FAMILIES.values())
    assert len(set(wordings)) == len(wordings)


def test_every_wording_shows_all_that_the_answer_needs() -> None:
    not_needed = {"dish", "item", "end of sort-numbers", "name of timeline"}
    for name, family in FAMILIES.items():
        needed = {field for field in family.make(random.Random(0)) if not {field, f"{field} of {name}"} & not_needed}
        for wording in family.wordings:
            shown = {field for _, field, _, _ in Formatter().parse(wording) if field}
            assert needed - {"response"} <= shown, wording


@pytest.mark.parametrize("name", FAMILIES)
def test_wordings_take_turns(name: str) -> None:
    family = FAMILIES[name]
    rows = builtin_rows("target" if name in HELD_OUT else "pool", rows_per_family=2 * len(family.wordings))
    mine = sorted((row for row in rows if row["task"] == name), key=lambda row: row["id"])
    for turn, row in enumerate(mine):
        words = [
            w
            for literal, *_ in Formatter().parse(family.wordings[turn % len(family.wordings)])
            for w in literal.split()
        ]
        assert all(word in row["prompt"] for word in words)


def test_the_order_mixes_the_families() -> None:
    tasks = [row["task"] for row in builtin_rows("pool")]
    assert sum(a == b for a, b in pairwise(tasks)) < len(tasks) / 10
    assert len(set(tasks[:100])) > 20


def test_prompts_and_responses_are_short() -> None:
    rows = builtin_rows("pool") + builtin_rows("target")
    lengths = sorted(len(row["prompt"].split()) for row in rows)
    assert lengths[len(lengths) // 2] < 60
    assert lengths[-1] < 80
    assert max(len(row["response"].split()) for row in rows) < 40


def test_no_word_stands_in_two_categories() -> None:
    assert len(set(WORDS)) == len(WORDS) == sum(map(len, CATEGORIES.values()))


def test_an_unknown_split_is_named_with_the_near_one() -> None:
    with pytest.raises(SettingsError, match=r"unknown split 'pol': did you mean 'pool'"):
        builtin_rows(cast(Any, "pol"))


def test_a_negative_number_of_rows_is_refused() -> None:
    with pytest.raises(SettingsError, match="got -1"):
        builtin_rows("pool", rows_per_family=-1)
