"""Sets: prompts that end where the answer begins, references, categories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from righttime.errors import SettingsError
from righttime.evaluation import prepare_set, read_set
from righttime.evaluation.sets import prompt_tokens
from righttime.examples import Example, Message
from righttime.rows import ExampleRows

CHAT = (
    "{% for turn in messages %}<{{ turn['role'] }}>{{ turn['content'] }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
MARKED = CHAT.replace(
    "<{{ turn['role'] }}>{{ turn['content'] }}{{ eos_token }}",
    "<{{ turn['role'] }}>{% if turn['role'] == 'assistant' %}{% generation %}{{ turn['content'] }}{{ eos_token }}"
    "{% endgeneration %}{% else %}{{ turn['content'] }}{{ eos_token }}{% endif %}",
)
UNLEARNT_END = MARKED.replace("{{ eos_token }}{% endgeneration %}", "{% endgeneration %}{{ eos_token }}")
CHATS = ("<user>q</s><assistant>", "<user>q</s><assistant>r</s><user>s</s><assistant>")


def row(*said: str) -> Example:
    turns = tuple(Message("assistant" if place % 2 else "user", text) for place, text in enumerate(said))
    return Example("a", None, "p", "p.jsonl", 1, turns)


@pytest.mark.parametrize(
    ("form", "template", "wanted"),
    [
        ("paper", None, ["<s>User: q\nAssistant: ", "<s>User: q\nAssistant: r</s>User: s\nAssistant: "]),
        ("chat", CHAT, list(CHATS)),
        ("chat", UNLEARNT_END, list(CHATS)),
        ("chat", MARKED, list(CHATS)),
    ],
)
def test_a_prompt_ends_where_the_last_answer_begins(
    bare_tokenizer: Any, form: Any, template: str | None, wanted: list[str]
) -> None:
    bare_tokenizer.chat_template = template
    for rows, text in (
        ((row("q"), row("q", "r")), wanted[0]),
        ((row("q", "r", "s"), row("q", "r", "s", "t")), wanted[1]),
    ):
        for one in rows:
            assert bare_tokenizer.decode(prompt_tokens(one, bare_tokenizer, form)) == text
        whole = prepare_set("x", ExampleRows(rows[1:]), bare_tokenizer, form, 512).tokens[0]
        prompt = prompt_tokens(rows[1], bare_tokenizer, form)
        assert whole.ids[: len(prompt)].tolist() == prompt.tolist(), "the very tokens that training sees"
        assert whole.learnt[len(prompt)]
        assert whole.learnt[len(prompt) :].all() or template == UNLEARNT_END


def test_references_and_categories_come_from_the_file(bare_tokenizer: Any, tmp_path: Path) -> None:
    task = {
        "Categories": ["Sums"],
        "Definition": ["Add."],
        "Instances": [{"id": "1", "input": "1+1", "output": ["2", "two"]}],
    }
    (tmp_path / "task1_sums.json").write_text(json.dumps(task))
    (tmp_path / "rows.jsonl").write_text(
        json.dumps({"id": "x", "task": "t", "category": "c", "prompt": "q", "response": "r"})
        + "\n"
        + json.dumps({"id": "y", "prompt": "q"})
        + "\n"
    )
    sums = read_set("sums", tmp_path / "task1_sums.json", bare_tokenizer, "paper", 512)
    assert sums.references == (("2", "two"),)
    assert sums.categories == ("Sums",)
    assert list(sums.rows.tasks) == ["task1_sums"]
    rows = read_set("rows", tmp_path / "rows.jsonl", bare_tokenizer, "paper", 512)
    assert rows.references == (("r",), ())
    assert rows.categories == ("c", None)
    assert [bool(one.learnt.any()) for one in rows.tokens] == [True, False]


def test_a_set_has_a_name_that_files_can_have(bare_tokenizer: Any) -> None:
    with pytest.raises(SettingsError, match="letters, digits, - and _, got 'a/b'"):
        prepare_set("a/b", ExampleRows([row("q", "r")]), bare_tokenizer, "paper", 512)


@pytest.mark.real
def test_real_rows_have_prompts_categories_and_references(bare_tokenizer: Any, real_data: Path) -> None:
    target = read_set("target", real_data / "niv2_target.jsonl.gz", bare_tokenizer, "paper", 1024)
    assert len(target.rows) == 260
    assert len(set(target.categories)) == 5
    for tokens, prompt, references in zip(target.tokens, target.prompts, target.references, strict=True):
        assert prompt[: len(tokens.ids)].tolist() == tokens.ids[: len(prompt)].tolist()
        assert references[0]
    folder = read_set("folder", real_data / "niv2", bare_tokenizer, "paper", 1024)
    assert any(len(references) > 1 for references in folder.references)
