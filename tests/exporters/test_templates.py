"""Chat templates of real models: which tokens the TRL script learns, and what LLaMA-Factory is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import trl
import yaml

from righttime.cli import main
from righttime.errors import FormatError
from righttime.exporters import ExportSettings, export
from righttime.exporters.answers import answers_source, learnt
from righttime.exporters.llamafactory_templates import chosen_template, read_pieces, written
from tiny_model import CHATML, save_tiny_model

REAL = Path(trl.__file__).parent / "chat_templates"
ENDS = ["<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|end|>", "<|user|>", "<｜end▁of▁sentence｜>", "<｜Assistant｜>"]

WithTemplate = Callable[[str], Any]


def turns(*said: str) -> list[dict[str, Any]]:
    """User and assistant by turns."""
    return [{"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(said)]


TALK = turns("one?", "first", "two?", "second", "three?", "third")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_tiny_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def with_template(folder: Path) -> WithTemplate:
    """Makes a tokenizer with a chat template: the name of a real model's, or its text."""
    from transformers import AutoTokenizer

    def make(template: str) -> Any:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_special_tokens({"additional_special_tokens": ENDS})
        tokenizer.chat_template = template if "{" in template else (REAL / f"{template}.jinja").read_text("utf-8")
        return tokenizer

    return make


def texts_of(labels: Sequence[int], tokenizer: Any) -> list[str]:
    """The learnt stretches, each as text."""
    runs: list[list[int]] = [[]]
    for label in labels:
        if label == -100:
            runs.append([])
        else:
            runs[-1].append(label)
    return [tokenizer.decode(run) for run in runs if run]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (CHATML, ["first<|im_end|>", "second<|im_end|>", "third<|im_end|>"]),
        ("qwen2_5", ["first<|im_end|>", "second<|im_end|>", "third<|im_end|>"]),
        # The last answer alone is written with empty thoughts.
        ("qwen3", ["first<|im_end|>", "second<|im_end|>", "<think>\n\n</think>\n\nthird<|im_end|>"]),
        ("llama3_1", ["first<|eot_id|>", "second<|eot_id|>", "third<|eot_id|>"]),
        ("gemma", ["first<end_of_turn>", "second<end_of_turn>", "third<end_of_turn>"]),
        # What stands behind the last answer stands behind no other.
        ("phi3", ["first<|end|>", "second<|end|>", "third<|end|>\n</s>"]),
        # What asks for an answer opens thoughts, which the answer does not keep.
        ("deepseek_r1_distill", [f"{said}<｜end▁of▁sentence｜>" for said in ("first", "second", "third")]),
        ("{% for m in messages %}{{ m.content }}\n{% endfor %}", ["first\n", "second\n", "third\n"]),
        # Marked by the template itself.
        (
            "qwen3_training",
            ["<think>\n\n</think>\n\n" + f"{said}<|im_end|>\n" for said in ("first", "second", "third")],
        ),
    ],
)
def test_the_answers_are_learnt_and_what_ends_them(
    with_template: WithTemplate, template: str, expected: list[str]
) -> None:
    tokenizer = with_template(template)
    ids, labels = learnt(TALK, None, tokenizer)
    assert tokenizer.decode(ids) == tokenizer.apply_chat_template(TALK, tokenize=False), "the template's own text"
    assert [label for label in labels if label != -100] == [
        token for token, label in zip(ids, labels, strict=True) if label != -100
    ]
    assert texts_of(labels, tokenizer) == expected


def test_calls_of_tools_and_dropped_thoughts(with_template: WithTemplate) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    row: list[dict[str, Any]] = [
        {"role": "user", "content": "what?"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "1"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nit is 1"},
        *turns("and?", "<think>\nwell\n</think>\n\nnothing"),
    ]
    tokenizer = with_template("qwen3")
    _, labels = learnt(row, json.dumps([call]), tokenizer)
    assert texts_of(labels, tokenizer) == [
        '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call><|im_end|>',
        "it is 1<|im_end|>",  # the template drops the thoughts of earlier answers
        "<think>\nwell\n</think>\n\nnothing<|im_end|>",
    ]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("gptoss", "does not show where an answer ends"),
        ("smolvlm", "does not write what the turns say"),
        (
            "{% for m in messages %}{{ messages | length }}{{ m.role }}{{ m.content }}{% endfor %}",
            "writes earlier turns otherwise",
        ),
    ],
)
def test_a_template_under_which_answers_cannot_be_told_is_refused(
    with_template: WithTemplate, template: str, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        learnt(TALK, None, with_template(template))


def test_the_source_that_goes_into_the_script_stands_alone(with_template: WithTemplate) -> None:
    tokenizer, names = with_template("qwen3"), {"json": json, "re": re}
    exec("from __future__ import annotations\n" + answers_source(), names)
    assert names["learnt"](TALK, None, tokenizer) == learnt(TALK, None, tokenizer)  # type: ignore[operator]


@pytest.fixture
def arranged(tmp_path: Path) -> Path:
    """An arrangement of four rows of three answers each."""
    pool = tmp_path / "pool.jsonl"
    pool.write_text("".join(json.dumps({"id": f"r{i}", "messages": TALK}) + "\n" for i in range(4)))
    words = ["arrange", str(pool), "--target", str(pool), "--out", str(tmp_path / "out"), "--method", "random"]
    assert main(words) == 0
    return tmp_path / "out"


def saved(tokenizer: Any, folder: Path) -> ExportSettings:
    tokenizer.save_pretrained(folder)
    return ExportSettings(str(folder), batch_size=4)


def test_the_export_itself_tries_the_answers_where_the_tokenizer_is_on_disk(
    with_template: WithTemplate, arranged: Path, tmp_path: Path
) -> None:
    with pytest.raises(FormatError, match=r"train\.jsonl:1: the answers of row r\d must be found .* an answer ends"):
        export(arranged, "trl", tmp_path / "export", saved(with_template("gptoss"), tmp_path / "model"))
    assert not (tmp_path / "export").exists()
    export(arranged, "trl", tmp_path / "export", saved(with_template("qwen3"), tmp_path / "qwen3"))


SYSTEM = [{"role": "system", "content": "Be."}, *TALK[:2]]


@pytest.mark.parametrize(
    ("template", "rows", "name", "sure", "said"),
    [
        (CHATML, [TALK, SYSTEM], None, True, "reads it off the tokenizer; 2 rows compared, all equal"),
        ("qwen2_5", [TALK, SYSTEM], None, True, "all equal"),  # with its default system text
        ("qwen3", [TALK[:2]], None, True, "all equal"),
        ("qwen3", [TALK[:2], TALK], None, False, "1 of 2 rows compared come out differently, the first is 1"),
        ("gemma", [TALK], "gemma", True, "has it as gemma"),  # refuses a system turn, so it cannot be read
        ("llama3", [TALK, SYSTEM], "llama3", True, "has it as llama3"),
        # Its header with the date would stand before every turn, were it read.
        ("llama3_1", [TALK], "llama3", False, "1 of 1 rows"),
        ("idefics3", [TALK], None, False, "cannot read this one off the tokenizer, and will stop"),
    ],
)
def test_llamafactory_is_told_the_template_that_writes_the_models_own_text(
    with_template: WithTemplate,
    tmp_path: Path,
    template: str,
    rows: list[list[dict[str, Any]]],
    name: str | None,
    sure: bool,
    said: str,
) -> None:
    with_template(template).save_pretrained(tmp_path)
    chosen = chosen_template(str(tmp_path), [{"id": str(n), "messages": row} for n, row in enumerate(rows)])
    assert (chosen.name, chosen.sure) == (name, sure)
    assert said in chosen.why


def test_what_llamafactory_makes_of_a_conversation(with_template: WithTemplate) -> None:
    pieces = read_pieces(with_template(CHATML))
    assert pieces.user == "<|im_start|>user\n{{content}}<|im_end|>\n<|im_start|>assistant\n"
    assert written(pieces, SYSTEM) == with_template(CHATML).apply_chat_template(SYSTEM, tokenize=False)
    assert "Alibaba" in read_pieces(with_template("qwen2_5")).default_system


def unwrapped(text: str) -> str:
    return " ".join(line.strip().removeprefix("# ") for line in text.splitlines())


def test_the_config_and_the_screen_say_what_template_it_is(
    with_template: WithTemplate, arranged: Path, tmp_path: Path, folder: Path
) -> None:
    def exported(settings: ExportSettings) -> tuple[Mapping[str, Any], Sequence[str], str]:
        done = export(arranged, "llamafactory", tmp_path / "export", settings, overwrite=True)
        text = (tmp_path / "export" / "llamafactory.yaml").read_text(encoding="utf-8")
        return yaml.safe_load(text), [note for note in done.notes if "template" in note], unwrapped(text)

    config, notes, text = exported(saved(with_template(CHATML), tmp_path / "chatml"))
    assert config["template"] is None
    assert notes == []
    assert "4 rows compared, all equal" in text
    config, notes, text = exported(saved(with_template("llama3_1"), tmp_path / "llama"))
    assert config["template"] == "llama3"
    assert "4 of 4 rows compared come out differently" in notes[0]
    assert notes[0] in text
    config, notes, text = exported(ExportSettings("some/model", batch_size=4))
    assert config["template"] is None
    assert "some/model is not on this disk" in notes[0]
    assert notes[0] in text
    bare = with_template(CHATML)
    bare.chat_template = None
    config, notes, text = exported(saved(bare, tmp_path / "bare"))
    assert config["template"] == "default"
    assert "has no chat template" in notes[0]
    assert notes[0] in text


def test_axolotl_is_told_the_token_that_ends_an_answer(
    with_template: WithTemplate, arranged: Path, tmp_path: Path
) -> None:
    for template, ends in ((CHATML, ["<|im_end|>"]), ("{% for m in messages %}{{ m.content }}</s>{% endfor %}", None)):
        settings = saved(with_template(template), tmp_path / "model")
        export(arranged, "axolotl", tmp_path / "export", settings, overwrite=True)
        config = yaml.safe_load((tmp_path / "export" / "axolotl.yaml").read_text(encoding="utf-8"))
        assert config.get("eot_tokens") == ends
