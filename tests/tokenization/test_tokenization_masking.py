from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoTokenizer

from righttime.errors import RowError, SettingsError
from righttime.examples import Example, Message
from righttime.rows import ExampleRows
from righttime.tokenization.masking import AnswerEnd, Form, resolve_form, tokenised
from righttime.training.pretrain import CHAT_TEMPLATE as TEMPLATE
from righttime.training.token_rows import token_rows
from tiny_model import CHATML, GEMMA, LLAMA3, without_marks

UNMARKED = without_marks(TEMPLATE)
NO_END = (
    "{% for m in messages %}{% if m['role'] == 'assistant' %}A:\n{{ m['content'] }}\n{% else %}"
    "{{ m['role'] }}: {{ m['content'] }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}A:\n{% endif %}"
)


def row(*turns: tuple[str, str], name: str = "r") -> Example:
    return Example(name, None, "p", "p.jsonl", 1, tuple(Message(role, content) for role, content in turns))


@pytest.fixture
def tokenizer(tiny: str) -> Any:
    return AutoTokenizer.from_pretrained(tiny)


def learnt(example: Example, tokenizer: Any, form: Form, max_length: int = 512) -> tuple[str, list[str]]:
    """The text as a whole, and its stretches that are learnt."""
    made = tokenised(example, tokenizer, form, max_length)
    stretches: list[list[int]] = []
    before = False
    for number, wanted in zip(made.ids.tolist(), made.learnt.tolist(), strict=True):
        if wanted and not before:
            stretches.append([])
        if wanted:
            stretches[-1].append(number)
        before = wanted
    return tokenizer.decode(made.ids.tolist()), [tokenizer.decode(part) for part in stretches]


TALK = row(
    ("system", "Be brief."), ("user", "Two and two?"), ("assistant", "four"), ("user", "Ünd?"), ("assistant", "日本!")
)


def test_the_papers_form_is_tokenized_part_by_part(tokenizer: Any) -> None:
    one = row(("user", "Two and two?"), ("assistant", "It is four."))
    made = tokenised(one, tokenizer, "paper", 512)
    parts = ["<s>User: Two and two?", "\nAssistant: ", "It is four.</s>"]
    ids = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in parts]
    assert made.ids.tolist() == ids[0] + ids[1] + ids[2]
    assert made.learnt.tolist() == [False] * len(ids[0] + ids[1]) + [True] * len(ids[2])


def test_several_exchanges_in_the_papers_form(tokenizer: Any) -> None:
    text, parts = learnt(TALK, tokenizer, "paper")
    assert text == "<s>User: Be brief.\nTwo and two?\nAssistant: four</s>User: Ünd?\nAssistant: 日本!</s>"
    assert parts == ["four</s>", "日本!</s>"]


@pytest.mark.parametrize("template", [TEMPLATE, UNMARKED], ids=["marked", "unmarked"])
def test_a_chat_template_marked_or_not_gives_the_answers_with_their_end(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    text, parts = learnt(TALK, tokenizer, "chat")
    assert text == tokenizer.apply_chat_template([turn.as_dict() for turn in TALK.messages], tokenize=False)
    assert parts == ["four</s>", "日本!</s>"]


@pytest.mark.parametrize("before", [":\n", ": "], ids=["line break", "space that is one token with the answer"])
def test_marked_and_unmarked_templates_mask_alike(tokenizer: Any, before: str) -> None:
    tokenizer.chat_template = TEMPLATE.replace("Assistant:\n", f"Assistant{before}")
    marked = tokenised(TALK, tokenizer, "chat", 512)
    tokenizer.chat_template = UNMARKED.replace("Assistant:\n", f"Assistant{before}")
    unmarked = tokenised(TALK, tokenizer, "chat", 512)
    assert marked.ids.tolist() == unmarked.ids.tolist()
    assert marked.learnt.tolist() == unmarked.learnt.tolist()


def test_a_template_that_rewrites_earlier_turns_is_refused(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ messages | length }}: {% for m in messages %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(RowError, match=r"p\.jsonl:1: .* not row r: .* later turns change how earlier ones are written"):
        tokenised(TALK, tokenizer, "chat", 512)


def test_a_template_that_refuses_a_row_is_named(tokenizer: Any) -> None:
    tokenizer.chat_template = "{{ raise_exception('no system turns') }}"
    with pytest.raises(RowError, match="refuses it: no system turns"):
        tokenised(TALK, tokenizer, "chat", 512)


@pytest.mark.parametrize("form", ["chat", "paper"])
def test_cutting_is_counted_and_may_leave_nothing_to_learn(tokenizer: Any, form: Form) -> None:
    whole = tokenised(TALK, tokenizer, form, 512)
    cut = tokenised(TALK, tokenizer, form, 8)
    assert whole.cut == 0
    assert cut.cut == len(whole.ids) - 8
    assert cut.ids.tolist() == whole.ids[:8].tolist()
    assert not cut.learnt.any()
    rows = token_rows(ExampleRows([TALK]), tokenizer, form, 8)
    assert rows.unlearnt == ["r"]
    assert rows.counts()["cut_rows"] == 1
    assert rows.counts()["unlearnt_rows"] == 1
    assert len(rows.ids) == 1, "it keeps its place"


@pytest.mark.parametrize("form", ["chat", "paper"])
def test_a_row_without_an_answer_teaches_nothing(tokenizer: Any, form: Form) -> None:
    made = tokenised(row(("user", "Two and two?")), tokenizer, form, 512)
    assert len(made.ids)
    assert not made.learnt.any()


def test_nothing_predicts_the_first_token(tokenizer: Any) -> None:
    tokenizer.chat_template = "{% for m in messages %}{% generation %}{{ m['content'] }}{% endgeneration %}{% endfor %}"
    made = tokenised(row(("assistant", "four and five")), tokenizer, "chat", 512)
    assert made.learnt.tolist() == [False] + [True] * (len(made.ids) - 1)


def test_turns_of_tools_have_no_place_in_the_papers_form(tokenizer: Any) -> None:
    with pytest.raises(RowError, match="no place for the turn of a tool"):
        tokenised(row(("user", "?"), ("tool", "4"), ("assistant", "4")), tokenizer, "paper", 512)


def test_the_form_is_resolved(tokenizer: Any) -> None:
    assert resolve_form(tokenizer, "auto") == "chat"
    tokenizer.chat_template = None
    assert resolve_form(tokenizer, "auto") == "paper"
    with pytest.raises(SettingsError, match="needs a tokenizer with a chat template"):
        resolve_form(tokenizer, "chat")
    with pytest.raises(SettingsError, match="unknown form 'llama'"):
        resolve_form(tokenizer, "llama")


@pytest.mark.parametrize("special", [True, False], ids=["special", "only added"])
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
@pytest.mark.parametrize(
    ("template", "end", "behind"),
    [(CHATML, "<|im_end|>", "\n"), (GEMMA, "<end_of_turn>", "\n"), (LLAMA3, "<|eot_id|>", "")],
    ids=["ChatML", "Gemma", "Llama 3"],
)
def test_an_answer_ends_with_its_end_token(
    tokenizer: Any, template: str, end: str, behind: str, marked: bool, special: bool
) -> None:
    names = ["<|im_start|>", "<start_of_turn>", "<|start_header_id|>", "<|end_header_id|>", end]
    tokenizer.add_tokens(names, special_tokens=special)
    tokenizer.chat_template = template if marked else without_marks(template)
    text, parts = learnt(TALK, tokenizer, "chat")
    assert f"four{end}{behind}" in text, "the text is the template's"
    assert parts == [f"four{end}", f"日本!{end}"]
    whole = tokenised(TALK, tokenizer, "chat", 512, "template")
    assert tokenizer.decode(whole.ids[whole.learnt]) == f"four{end}{behind}日本!{end}{behind}"
    assert whole.ids.tolist() == tokenised(TALK, tokenizer, "chat", 512).ids.tolist()


@pytest.mark.parametrize("end", ["token", "template"])
def test_without_an_end_token_the_line_break_is_the_end(tokenizer: Any, end: AnswerEnd) -> None:
    tokenizer.chat_template = NO_END
    made = tokenised(TALK, tokenizer, "chat", 512, end)
    assert tokenizer.decode(made.ids[made.learnt]) == "four\n日本!\n"


def test_white_space_of_the_answer_itself_is_learnt(tokenizer: Any) -> None:
    """Also an answer of nothing else, and one with an added token inside, which ends nothing."""
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>", "</think>", "  "])
    tokenizer.chat_template = CHATML
    for said in ("\n", "a\n\n", "hm</think>\nfour", "hm</think>\n"):
        assert learnt(row(("user", "?"), ("assistant", said)), tokenizer, "chat")[1] == [said + "<|im_end|>"]
    tokenizer.chat_template = NO_END
    assert learnt(row(("user", "?"), ("assistant", "hm</think>\nfour")), tokenizer, "chat")[1] == ["hm</think>\nfour\n"]


def test_a_row_cut_inside_its_answer_keeps_what_is_left(tokenizer: Any) -> None:
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"])
    tokenizer.chat_template = CHATML
    whole = tokenised(TALK, tokenizer, "chat", 512)
    for length in range(1, len(whole.ids) + 1):
        assert tokenised(TALK, tokenizer, "chat", length).learnt.tolist() == whole.learnt[:length].tolist()


def test_an_unknown_end_of_answers_is_refused(tokenizer: Any) -> None:
    with pytest.raises(SettingsError, match="unknown answer_end 'tokens'.*did you mean 'token'"):
        tokenised(TALK, tokenizer, "chat", 512, "tokens")  # type: ignore[arg-type]
