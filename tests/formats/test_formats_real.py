"""Every real sample gives what its README says."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, Literal

import pytest

from righttime.errors import FormatError
from righttime.formats import read_rows

pytestmark = pytest.mark.real

Expected = int | str
SILENT = "got none in all"
TABLE: dict[str, tuple[Expected, Expected]] = {
    "alpaca_dolly_with_category.json": (200, 200),
    "alpaca_en_demo.json": (200, 200),
    "alpaca_llms_from_scratch.json": (200, 200),
    "alpaca_zh_demo.json": (100, 100),
    "bbh_boolean_expressions.json": (100, 100),
    "flan_cot_ecqa.tsv": (200, 200),
    "gpteacher_roleplay.json": (200, 200),
    "gsm8k_train.jsonl": (200, 200),
    "ifeval_input_data.jsonl": (SILENT, 200),
    "messages_kto_en.json": ("preference data (KTO)", "preference data (KTO)"),
    "messages_mllm.json": ("comes with images", "comes with images"),
    "messages_reason_tool_use.jsonl": (50, 50),
    "messages_v1_sft.jsonl": (200, 200),
    "mt_bench_question.jsonl": (SILENT, 80),
    "natural_instructions_v1_subtask045.json": (100, 100),
    "oasst_tree.jsonl": ("message trees", "message trees"),
    "p3_t0_per_template/ag_news_classify.jsonl": (40, 40),
    "p3_t0_per_template/common_gen_random_task_template_prompt.jsonl": (40, 40),
    "p3_t0_per_template/cosmos_qa_no_prompt_text.jsonl": (40, 40),
    "p3_t0_per_template/gigaword_TLDR.jsonl": (40, 40),
    "p3_t0_per_template/trec_what_category_best_describe.jsonl": (SILENT, 40),
    "self_instruct_seed_tasks.jsonl": (175, 175),
    "sharegpt_dpo_en.json": ("preference data (DPO)", "preference data (DPO)"),
    "sharegpt_dummy_conversation.json": (200, 200),
    "sharegpt_glaive_toolcall_en.json": (200, 200),
}


def test_the_table_names_every_sample(real_data: Path) -> None:
    folder = real_data / "formats"
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert there - {"README.md"} == set(TABLE)


@pytest.mark.parametrize("role", ["pool", "target"])
@pytest.mark.parametrize("name", TABLE)
def test_sample(real_data: Path, name: str, role: Literal["pool", "target"]) -> None:
    file = real_data / "formats" / name
    expected = TABLE[name][role == "target"]
    if isinstance(expected, str):
        with pytest.raises(FormatError) as caught:
            read_rows([file], role=role)
        assert str(file) in str(caught.value)
        assert expected in str(caught.value)
        return
    reading = read_rows([file], role=role)
    assert (len(reading.examples), len(reading.left_out)) == (expected, 0)
    assert all(row.prompt.strip() for row in reading.examples)
    assert len({row.id for row in reading.examples}) == expected
    if TABLE[name][0] == expected:
        assert all(row.response and row.response.strip() for row in reading.examples)


def test_tools_are_kept_where_given(real_data: Path) -> None:
    glaive = read_rows([real_data / "formats" / "sharegpt_glaive_toolcall_en.json"], role="pool")
    assert sum(row.tools is not None for row in glaive.examples) == 119
    assert sum(bool(turn.tool_calls) for row in glaive.examples for turn in row.messages) == 137
    reason = read_rows([real_data / "formats" / "messages_reason_tool_use.jsonl"], role="pool")
    turns = [turn for row in reason.examples for turn in row.messages]
    assert sum(len(turn.tool_calls) for turn in turns) == 41 + 2 * 9 + 3 * 3
    assert sum("reasoning_content" in dict(turn.extra) for turn in turns) == 59 + 41 + 9 + 3


def test_details_of_the_samples(real_data: Path) -> None:
    formats = real_data / "formats"
    news = read_rows([formats / "p3_t0_per_template" / "ag_news_classify.jsonl"], role="pool").examples
    assert news[0].response == "Business"
    assert not any("endoftext" in turn.content for row in news for turn in row.messages)
    assert read_rows([formats / "p3_t0_per_template" / "gigaword_TLDR.jsonl"], role="pool").inputs[0].duplicates == 2
    cot = read_rows([formats / "flan_cot_ecqa.tsv"], role="pool").examples[0]
    assert "\nOptions:\n- bloody mess\n" in cot.prompt
    assert cot.response is not None
    assert cot.response.startswith("Bloody mess is covered")
    assert cot.response.endswith("\nbloody mess")
    dolly = read_rows([formats / "alpaca_dolly_with_category.json"], role="pool").examples[0]
    assert (dolly.task, dolly.line) == ("general_qa", 2)
    seeds = read_rows([formats / "self_instruct_seed_tasks.jsonl"], role="pool").examples[0]
    assert (seeds.id, seeds.task) == ("seed_task_0", "breakfast_suggestion")
    bench = read_rows([formats / "mt_bench_question.jsonl"], role="target").examples
    assert {row.response for row in bench} == {None}
    assert (bench[0].id, bench[0].task) == ("81", "writing")


def test_real_preferences_are_read_where_they_are_named(real_data: Path) -> None:
    read = read_rows([real_data / "formats" / "sharegpt_dpo_en.json"], role="pool", format="preference")
    assert (len(read.rows), len(read.left_out), read.inputs[0].note) == (50, 0, None)
    assert {row.kind for row in read.examples} == {"preference"}


def test_task_folder_and_flat_file_say_the_same(real_data: Path) -> None:
    pool, target = (read_rows([real_data / "niv2"], role=role) for role in ("pool", "target"))
    assert (len(pool.examples), len(target.examples)) == (4000, 1200)
    assert pool.inputs[0].note is not None  # task files hold more than a row is given
    assert pool.inputs[0].note.startswith("text that no rule reads: `Negative Examples` (every row)")
    flat = {}
    for name in ("niv2_pool.jsonl.gz", "niv2_target.jsonl.gz"):
        with gzip.open(real_data / name, "rt", encoding="utf-8") as stream:
            flat.update({row["id"]: row for row in map(json.loads, stream)})
    both = [row for row in (*pool.examples, *target.examples) if row.id in flat]
    assert len(both) == 2329
    for row in both:
        expected = flat[row.id]
        assert (row.task, row.prompt, row.response) == (expected["task"], expected["prompt"], expected["response"])


def test_flat_pool_and_target(real_data: Path) -> None:
    pool = read_rows([real_data / "niv2_pool.jsonl.gz"], role="pool")
    target = read_rows([real_data / "niv2_target.jsonl.gz"], role="target")
    assert (len(pool.examples), len(pool.left_out)) == (44950, 0)
    assert (len(target.examples), len({row.task for row in target.examples})) == (260, 13)
    assert pool.examples[0].id == "task389-3adb7a5db9d14522806000bd44488456"
    assert pool.examples[-1].line == 44950


def test_whole_folder_of_templates_is_a_target(real_data: Path) -> None:
    reading = read_rows([real_data / "formats" / "p3_t0_per_template"], role="target", task_field="@file")
    assert [file.rows for file in reading.inputs] == [40] * 5
    assert {row.task for row in reading.examples} == {file.source for file in reading.inputs}


def test_the_docs_name_every_real_file_with_its_true_count(real_data: Path) -> None:
    """The table of `docs/formats.md` is what reading gives, row for row."""
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    lines = text.partition("## Real files tried")[2].partition("\n## ")[0].splitlines()
    told = [tuple(cell.strip().strip("`") for cell in line.strip("| ").split("|")) for line in lines if "| `" in line]
    names = [*sorted(TABLE), "niv2/", "niv2_pool.jsonl.gz", "niv2_target.jsonl.gz"]
    assert [cells[0] for cells in told] == names
    for name, form, as_pool, as_target, _ in told:
        path = real_data / name if name.startswith("niv2") else real_data / "formats" / name
        for role, cell in (("pool", as_pool), ("target", as_target)):
            assert cell == _outcome(path, role, form)


def _outcome(path: Path, role: Any, form: str) -> str:
    try:
        read = read_rows([path], role=role)
    except FormatError as error:
        for what, why in (("preference", "preference data"), ("images", "images"), ("trees", "message trees")):
            if what in str(error):
                return f"refused: {why}"
        return "refused: no responses"
    assert read.inputs[0].format == form
    return f"{len(read.examples):,}"
