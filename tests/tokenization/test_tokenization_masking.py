from __future__ import annotations

from typing import Any

import pytest
from transformers import AutoTokenizer

from righttime.errors import RowError, SettingsError
from righttime.examples import Example, Message
from righttime.tokenization.masking import Form, resolve_form, tokenised
from righttime.training.pretrain import CHAT_TEMPLATE as TEMPLATE
from righttime.training.token_rows import token_rows

UNMARKED = TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", "")


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
    rows = token_rows([TALK], tokenizer, form, 8)
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
