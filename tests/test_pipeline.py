from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import righttime
from righttime.cli import main
from righttime.errors import EmptyDataError, RighttimeError, SettingsError
from righttime.formats import read_rows
from righttime.inputs import read_side
from righttime.pipeline import arrange_rows
from righttime.results import Request
from righttime.rows import Rows


class Letters:
    """A fast embedder: how often each letter occurs."""

    identity: Mapping[str, str | int] = {"model": "letters", "revision": "1", "max_length": 8, "dtype": "float32"}

    def lengths(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        letters = "abcdefghijklmnopqrstuvwxyz"
        return np.array([[1 + text.lower().count(letter) for letter in letters] for text in texts], dtype=np.float32)


POOL = righttime.builtin_rows("pool", rows_per_family=4)
TARGET = righttime.builtin_rows("target", rows_per_family=2)


def arranged(pool: Any = POOL, target: Any = TARGET, **settings: Any) -> righttime.Arrangement:
    return righttime.arrange(pool, target, **{"embedder": Letters(), **settings})


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_files_data_sets_and_dicts_give_the_same_order(tmp_path: Path) -> None:
    import datasets

    pool, target = write(tmp_path / "pool.jsonl", POOL), write(tmp_path / "target.jsonl", TARGET)
    want = arranged().order.tolist()
    assert arranged(pool, str(target)).order.tolist() == want
    assert arranged([pool], [target]).order.tolist() == want
    assert arranged(datasets.Dataset.from_list(POOL), datasets.Dataset.from_list(TARGET)).order.tolist() == want
    assert arranged(read_rows([pool], role="pool"), TARGET).order.tolist() == want


def test_the_arrangement_carries_its_rows() -> None:
    import datasets

    arrangement = arranged(budget=20)
    assert arrangement.labels is not None
    assert [row["id"] for row in arrangement.replay(POOL)] == list(arrangement.labels.id)
    mine = arrangement.to_dataset()
    assert mine["id"] == list(arrangement.labels.id)
    first = POOL[arrangement.order[0]]
    assert mine[0]["messages"] == [
        {"role": "user", "content": first["prompt"]},
        {"role": "assistant", "content": first["response"]},
    ]
    theirs = arrangement.to_dataset(datasets.Dataset.from_list(POOL))
    assert theirs["id"] == mine["id"]
    assert theirs.column_names == list(POOL[0])


def test_replay_refuses_the_pool_in_another_order() -> None:
    with pytest.raises(SettingsError, match="must have the id .* Hint: this is another pool, or another order of it"):
        list(arranged().replay(POOL[::-1]))
    import datasets

    with pytest.raises(SettingsError, match="must have the id .* Hint: this is another pool, or another order of it"):
        arranged().to_dataset(datasets.Dataset.from_list(POOL).shuffle(seed=1))


def test_tool_calls_of_any_shape_fit_a_data_set() -> None:
    def call(arguments: object) -> dict[str, Any]:
        calls = [{"type": "function", "function": {"name": "f", "arguments": arguments}}]
        turns = [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": calls}]
        return {"messages": turns, "tools": [{"name": "f", "takes": arguments}]}

    pool = [call({"x": 1}), call({"x": "one"}), call([1])]
    rows = arranged(pool, [{"prompt": "go"}]).to_dataset()
    assert json.loads(rows[1]["messages"][1]["tool_calls"])[0]["function"]["arguments"] == {"x": "one"}
    assert json.loads(rows[1]["tools"]) == [{"name": "f", "takes": {"x": "one"}}]


def test_a_target_without_responses_makes_both_sides_go_by_prompt() -> None:
    target = [{**row, "response": ""} if number == 3 else row for number, row in enumerate(TARGET)]
    result = arrange_rows(POOL, target, Request(embedder=Letters()))
    assert result.text == "prompt"
    assert result.notes == (
        f"1 of 12 target rows have no response (first: {TARGET[3]['id']}), "
        "so both sides are embedded by their prompts alone.",
    )
    by_prompt = arranged(text="prompt")
    assert result.arrangement.order.tolist() == by_prompt.order.tolist()
    assert result.arrangement.order.tolist() != arranged().order.tolist()


def test_a_target_whose_first_rows_lack_responses_keeps_the_others_responses() -> None:
    read = read_side(
        [{"prompt": "a"}, {"prompt": "b", "response": "c"}, {"prompt": "d", "completion": "e"}], "target", Request()
    )
    assert [row.response for row in read.examples] == [None, "c", "e"]


def test_texts_differ() -> None:
    system = {"role": "system", "content": "zzzz zzzz"}
    turns = [("user", "aaa"), ("assistant", "bbb"), ("user", "ccc"), ("assistant", "ddd")]
    messages = [system, *({"role": role, "content": content} for role, content in turns)]
    rows = read_rows_of([{"messages": messages}])
    texts = {which: next(rows.texts(which)) for which in ("prompt+response", "prompt", "all")}
    assert texts == {"prompt+response": "aaa bbb", "prompt": "aaa", "all": "zzzz zzzz aaa bbb ccc ddd"}


def read_rows_of(records: list[dict[str, Any]]) -> Rows:
    from righttime.formats import from_records

    return from_records(records, role="pool").rows


def test_where_quality_falls_is_known_from_the_search() -> None:
    result = arrange_rows(POOL, TARGET, Request(embedder=Letters(), budget=5))
    assert result.seen is not None
    assert result.seen.of_pool is not None
    anew = dataclasses.replace(result, seen=None)
    assert result.falloff == anew.falloff is not None


def test_in_is_out_plus_left_out_with_reasons() -> None:
    bad: list[dict[str, Any]] = [{"prompt": "no answer", "response": " "}, {"prompt": 3, "response": "x"}]
    pool = [*POOL, POOL[0] | {"id": "again"}, *bad]
    request = Request(embedder=Letters(), bad_rows="skip", duplicates="drop", budget=30)
    result = arrange_rows(pool, TARGET, request)
    reasons = [row.reason for row in result.left_out]
    assert {reason: reasons.count(reason) for reason in reasons} == {
        "bad-row": 2,
        "duplicate": 1,
        "not-chosen": len(POOL) - 30,
    }
    assert len(result.arrangement) + len(result.left_out) == len(pool)
    duplicate = next(row for row in result.left_out if row.reason == "duplicate")
    assert (duplicate.id, duplicate.row) == ("again", len(POOL))
    assert POOL[0]["id"] in duplicate.detail
    assert result.duplicates == 1


def test_left_out_rows_keep_pool_numbers_right() -> None:
    """Rows that do not take part leave gaps: `order` still names rows of the pool as it was read."""
    pool = [POOL[0] | {"id": "first"}, *POOL]
    arrangement = arranged(pool, duplicates="drop")
    assert sorted(arrangement.order.tolist()) == [0, *range(2, len(pool))]
    assert arrangement.labels is not None
    assert [pool[row]["id"] for row in arrangement.order] == list(arrangement.labels.id)


def test_leaks_are_counted_whatever_the_white_space() -> None:
    pool = [*POOL, {"prompt": TARGET[5]["prompt"].replace(" ", "  "), "response": "other"}]
    assert arrange_rows(pool, TARGET, Request(method="random")).leaks == {5: len(POOL)}


def test_methods_that_need_no_vectors_embed_nothing() -> None:
    for method in ("random", "cluster", "round-robin"):
        assert len(arranged(method=method, embedder=Never())) == len(POOL)


def test_given_vectors_go_by_pool_row_past_left_out_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(len(POOL) + 1, 5))
    np.save(tmp_path / "pool.npy", vectors)
    np.save(tmp_path / "target.npy", rng.normal(size=(len(TARGET), 5)))
    pool = [*POOL[:7], POOL[0] | {"id": "again"}, *POOL[7:]]
    given = {"embedder": f"vectors:{tmp_path / 'pool.npy'}", "target_embedder": f"vectors:{tmp_path / 'target.npy'}"}
    got = arranged(pool, duplicates="drop", **given)
    kept = np.array([*range(7), *range(8, len(pool))])
    want = righttime.arrange_embeddings(vectors[kept], np.load(tmp_path / "target.npy"))
    assert got.order.tolist() == kept[want.order].tolist()


def test_given_vectors_of_one_side_do_not_stand_for_both(tmp_path: Path) -> None:
    np.save(tmp_path / "pool.npy", np.ones((len(POOL), 2)))
    np.savez(tmp_path / "one.npz", pool=np.ones((len(POOL), 2)))
    with pytest.raises(RighttimeError, match=r"holds the vectors of one side.*`target_embedder="):
        arranged(POOL, POOL, embedder=f"vectors:{tmp_path / 'pool.npy'}")
    with pytest.raises(RighttimeError, match="must hold a tensor 'target', got pool"):
        arranged(POOL, POOL, embedder=f"vectors:{tmp_path / 'one.npz'}")


def test_a_bad_vector_is_named_by_its_row_in_the_file(tmp_path: Path) -> None:
    vectors = np.ones((len(POOL) + 1, 2))
    vectors[5] = 0
    np.savez(tmp_path / "v.npz", pool=vectors, target=np.ones((len(TARGET), 2)))
    pool = [POOL[0], POOL[0] | {"id": "again"}, *POOL[1:]]
    with pytest.raises(RighttimeError, match=r"pool vectors must be .* got row 5 \(all zeros\)"):
        arranged(pool, duplicates="drop", embedder=f"vectors:{tmp_path / 'v.npz'}")


def test_files_and_rows_in_one_list_are_refused(tmp_path: Path) -> None:
    pool: Any = [write(tmp_path / "p.jsonl", POOL), POOL[0]]
    with pytest.raises(SettingsError, match="must be files or rows, got 1 file names and 1 rows in one list"):
        arranged(pool)


@pytest.mark.parametrize("pool", [None, 3, {"train": POOL}])
def test_what_is_no_data_is_refused(pool: Any) -> None:
    with pytest.raises(SettingsError, match=r"the pool must be files, a data set or rows, got .*data\['train'\]"):
        arranged(pool)


def test_numpy_numbers_are_numbers_and_other_things_are_not(tmp_path: Path) -> None:
    out = tmp_path / "out"
    righttime.arrange(
        POOL, TARGET, embedder=Letters(), budget=np.int64(5), seed=np.int32(1), rounds=(np.int64(0), None), out=out
    )
    assert json.loads((out / "manifest.json").read_text())["settings"]["budget"] == 5
    bad: list[dict[str, Any]] = [{"budget": 2.0}, {"budget": "5"}, {"seed": "1"}, {"rounds": "0:5"}, {"rounds": (0,)}]
    for settings in bad:
        with pytest.raises(SettingsError, match="must be a"):
            arranged(**settings)


def test_an_embedder_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="the embedder must be a name, a folder, or an object with identity"):
        arranged(embedder=3)


def test_a_folder_as_a_path_is_an_embedder() -> None:
    from righttime.embedding.models import find_model

    assert len(arranged(POOL[:5], TARGET[:2], embedder=Path(find_model().path))) == 5


@pytest.mark.parametrize("method", ["tma", "nearest", "round-robin"])
def test_a_seed_that_changes_nothing_is_said_to_change_nothing(method: str, tmp_path: Path) -> None:
    result = arrange_rows(POOL, TARGET, Request(method=method, embedder=Letters(), seed=3))
    within = " with `within_round='similarity'`" if method == "tma" else ""
    assert result.notes == (
        f"`seed=3` changes nothing: method {method}{within} draws nothing by chance. "
        "For replicates, draw a part of the pool: `subsample=0.5` with `seed=1`.",
    )
    righttime.arrange(POOL, TARGET, method=method, embedder=Letters(), seed=0, out=tmp_path / "out")
    assert "`seed=0` changes nothing" in json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"][0]
    assert not arrange_rows(POOL, TARGET, Request(method=method, embedder=Letters())).notes, "none was given"


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "random"},
        {"method": "tma", "within_round": "random"},
        {"method": "tma", "subsample": 0.5},
        {"method": "dsir"},
        {"method": "kcenter", "params": {"start": "random"}},
    ],
)
def test_a_seed_that_decides_something_needs_no_note(settings: dict[str, Any]) -> None:
    notes = arrange_rows(POOL, TARGET, Request(**settings, embedder=Letters(), seed=3)).notes
    assert not any("changes nothing" in note for note in notes)


def test_a_draw_of_the_whole_pool_leaves_the_seed_idle() -> None:
    result = arrange_rows(POOL, TARGET, Request(embedder=Letters(), seed=3, subsample=len(POOL)))
    assert result.notes[0].startswith("`seed=3` changes nothing")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"budget": 10_000}, rf"budget must be at most the pool's {len(POOL)} rows, got 10000"),
        ({"metod": "tma"}, "unknown setting 'metod': did you mean 'method'"),
        ({"text": "promt"}, "unknown text 'promt': did you mean 'prompt'"),
        ({"duplicates": "remove"}, "unknown choice for duplicates 'remove'"),
        ({"max_tokens": 10}, "`tokenizer` and `max_tokens` go together"),
        ({"tokenizer": "x", "max_tokens": 0}, "`max_tokens` must be at least 1, got 0"),
        ({"max_length": 0}, "`max_length` must be at least 1 token, got 0"),
        ({"target_embedder": "x"}, "`target_embedder` is only for given vectors"),
    ],
)
def test_what_is_wrong_is_said(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        arranged(**settings)


def test_settings_are_refused_before_anything_is_read() -> None:
    never = map(pytest.fail, ["read for nothing"])
    with pytest.raises(SettingsError, match="unknown method"):
        righttime.arrange(never, never, method="tme")


class Never(Letters):
    """An embedder that must not be asked, and of which nothing is in the cache."""

    identity: Mapping[str, str | int] = {**Letters.identity, "model": "never"}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise AssertionError("embedded for nothing")


UNTASKED = [{"prompt": row["prompt"], "response": row["response"]} for row in POOL]


@pytest.mark.parametrize(
    ("pool", "settings", "sentence"),
    [
        (POOL, {"method": "tsds", "params": {"alpha": 2}}, "'alpha' of 'tsds' must be .* from 0 to 1, got 2.0"),
        (POOL, {"method": "kcenter", "params": {"start": "end"}}, "unknown start of 'kcenter' 'end'"),
        (POOL, {"method": "mixture", "params": {"shares": "nobody=1"}}, "unknown target task in shares 'nobody'"),
        (POOL, {"method": "mixture", "params": {"shares": "x"}}, "shares must be TASK=NUMBER"),
        (POOL, {"method": "granular", "params": {"groups": 9999}}, f"from 1 to the pool's {len(POOL)} rows, got 9999"),
        (
            POOL,
            {"method": "polar", "params": {"k": 1}, "budget": 100},
            "at most [0-9]+, which is k=1 rows of each task",
        ),
        (UNTASKED, {"method": "coarse"}, "pool row 0 has none"),
        (UNTASKED, {"method": "uniform"}, "pool row 0 has none"),
        (POOL, {"method": "nearest", "distance": "md", "params": {"w_avg": 1}}, "weights of the distance wsd"),
    ],
)
def test_what_a_method_cannot_do_is_said_before_anything_is_embedded(
    pool: Any, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        arranged(pool, embedder=Never(), **settings)


def test_what_is_too_large_is_said_before_anything_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("righttime.arrangement.methods.facility.FACILITY_ROWS", 20)
    with pytest.raises(SettingsError, match=f"facility takes at most 20 pool rows, got {len(POOL)}"):
        arranged(method="facility", embedder=Never())
    monkeypatch.setattr("righttime.similarity.transport.MOST_PAIRS", 20)
    with pytest.raises(SettingsError, match="exact transport needs at most 20 pairs"):
        arranged(method="nearest", distance="ot", embedder=Never())
    monkeypatch.setattr("righttime.similarity.transport.MOST_PAIRS", 1000)
    with pytest.raises(AssertionError, match="embedded for nothing"):
        arranged(method="coarse", distance="ot", embedder=Never())  # of its means, one for each task


@pytest.mark.parametrize(("pool", "target"), [([], TARGET), (POOL, [])])
def test_empty_sides_are_refused(pool: Any, target: Any) -> None:
    with pytest.raises(EmptyDataError):
        arranged(pool, target)


def test_over_long_rows_are_left_out(tmp_path: Path) -> None:
    from righttime.embedding.models import find_model

    tokenizer = find_model().path
    request = Request(method="random", tokenizer=tokenizer, max_tokens=40)
    result = arrange_rows(POOL, TARGET, request)
    out = [row for row in result.left_out if row.reason == "too-long"]
    assert 0 < len(out) < len(POOL)
    assert len(result.arrangement) + len(out) == len(POOL)
    assert all("tokens, more than 40" in row.detail for row in out)
    from transformers import AutoTokenizer

    loaded = AutoTokenizer.from_pretrained(tokenizer)
    for row in out:
        assert row.row is not None
        text = POOL[row.row]["prompt"] + "\n" + POOL[row.row]["response"]
        assert row.detail.startswith(f"{len(loaded(text, truncation=False)['input_ids'])} tokens")
    with pytest.raises(EmptyDataError, match=r"no pool row is left: all \d+ were left out, the first: \d+ tokens"):
        arrange_rows(POOL, TARGET, Request(method="random", tokenizer=tokenizer, max_tokens=2))
    with pytest.raises(RighttimeError, match="the tokenizer '/nowhere' must be a folder"):
        arrange_rows(POOL, TARGET, Request(method="random", tokenizer="/nowhere", max_tokens=40))


def test_a_chat_template_counts_what_it_writes(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from righttime.embedding.models import find_model
    from righttime.tokenization.counts import token_counts

    tokenizer = AutoTokenizer.from_pretrained(find_model().path)
    plain = token_counts(read_rows_of([POOL[0]]), find_model().path)
    tokenizer.chat_template = "{% for m in messages %}extra words here {{ m['content'] }}\n{% endfor %}"
    tokenizer.save_pretrained(tmp_path)
    with_template = token_counts(read_rows_of([POOL[0]]), str(tmp_path))
    assert with_template[0] == plain[0] - 2 + 6  # [CLS] and [SEP] are the template's business


def test_tools_count_and_a_template_that_refuses_a_row_names_it(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from righttime.embedding.models import find_model
    from righttime.tokenization.counts import token_counts

    plain = {"messages": [{"role": "user", "content": "go"}, {"role": "assistant", "content": "gone"}]}
    rows = read_rows_of([plain, plain | {"tools": json.dumps([{"name": "word " * 500}])}])
    tokenizer = AutoTokenizer.from_pretrained(find_model().path)
    for template in (None, "{% for t in tools or [] %}{{ t.name }}{% endfor %}{{ messages[0].content }}"):
        tokenizer.chat_template = template
        tokenizer.save_pretrained(tmp_path)
        few, many = token_counts(rows, str(tmp_path))
        assert few < 10
        assert many > 500
    tokenizer.chat_template = "{{ raise_exception('no system role') }}"
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(RighttimeError, match=r"memory:1: the tokenizer's chat template .* no system role"):
        token_counts(rows, str(tmp_path))


def test_fields_by_name_reach_result_manifest_check_and_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = [{"title": f"What is {n}+{n}?", "reply": str(2 * n), "why": "sums"} for n in range(4)]
    (tmp_path / "pool.jsonl").write_text("\n".join(json.dumps(row) for row in pool))
    (tmp_path / "target.csv").write_text("What is 7+7?,14\nWhat is 9+9?,18\n")
    files = [str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.csv")]
    named = ["--fields", "prompt=title, response=reply", "--target-fields", "prompt=1,response=2"]
    out = tmp_path / "out"
    assert main(["arrange", *files, *named, "--method", "random", "--out", str(out)]) == 0
    assert "fields (jsonl), 4 rows; text that no rule reads: `why` (every row)" in capsys.readouterr().out
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["settings"]["fields"] == {"prompt": "title", "response": "reply"}
    assert manifest["inputs"]["pool"][0]["unread"] == {"why": 1.0}
    assert manifest["inputs"]["target"][0]["note"] == "the table has no header; its columns are taken as 1, 2"
    assert main(["verify", str(out), "--pool", files[0], "--target", files[2]]) == 0
    assert main(["show", str(out)]) == 0
    assert main(["arrange", *files, "--fields", "title", "--out", str(out), "--overwrite"]) == 1
    assert "--fields must be PART=FIELD,..., such as prompt=title,response=reply" in capsys.readouterr().err


def test_split_takes_fields_and_tells_what_is_unread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"title": str(n), "reply": "r", "kind": "ab"[n % 2], "why": "sums"} for n in range(4)]
    (tmp_path / "pool.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    fields = ["--fields", "prompt=title,response=reply,task=kind"]
    assert main(["split", str(tmp_path / "pool.jsonl"), "--tasks", "a", "--out", str(tmp_path / "out"), *fields]) == 0
    assert "text that no rule reads: `why` (every row)" in capsys.readouterr().out
