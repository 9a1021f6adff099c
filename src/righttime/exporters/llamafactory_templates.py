"""Which chat template LLaMA-Factory has to be told, so that it writes rows as the model's own template does.

LLaMA-Factory does not run a tokenizer's template. Left without a name it reads four pieces off it (`parse_template` in
`data/template.py`, 0.9.5): what stands around a system, a user and an assistant turn, and the default system text. It
joins those, or the pieces of a template of its own, around each turn. Where that gives the text of the tokenizer's
template is not to be seen from either: so the rows are written both ways here and compared.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from righttime.exporters.tokenizers import tokenizer_on_disk

__all__ = ["Pieces", "Template", "candidates", "chosen_template", "read_pieces", "written"]

_HERE = "{{content}}"
_COMPARED = 1000  # rows at most, evenly spread
_LIST = "https://github.com/hiyouga/LLaMA-Factory#supported-models"


@dataclass(frozen=True)
class Template:
    """What the config says of the chat template.

    Attributes:
        name: LLaMA-Factory's name for it; None lets it read the tokenizer's own.
        why: How that was found.
        sure: Whether the rows were written both ways, and all came out the same.
    """

    name: str | None
    why: str
    sure: bool


@dataclass(frozen=True)
class Pieces:
    """What LLaMA-Factory joins around the turns, each with ``{{content}}`` where the turn's text goes.

    Attributes:
        system: Around a system turn.
        user: Around a user turn, up to where the answer begins.
        assistant: Around an answer.
        prefix: Before everything.
        default_system: The system text of rows that bring none.
        merged: A system turn goes into the first user turn.
        thinks: Before an answer without thoughts stand empty ones.
    """

    system: str
    user: str
    assistant: str
    prefix: str = ""
    default_system: str = ""
    merged: bool = False
    thinks: bool = False


_LLAMA3 = "<|start_header_id|>{}<|end_header_id|>\n\n"
_NAMED: Mapping[str, Pieces] = {
    "llama3": Pieces(
        _LLAMA3.format("system") + f"{_HERE}<|eot_id|>",
        _LLAMA3.format("user") + f"{_HERE}<|eot_id|>" + _LLAMA3.format("assistant"),
        f"{_HERE}<|eot_id|>",
        "BOS",
    ),
    "gemma": Pieces(
        f"{_HERE}\n\n",
        f"<start_of_turn>user\n{_HERE}<end_of_turn>\n<start_of_turn>model\n",
        f"{_HERE}<end_of_turn>\n",
        "BOS",
        merged=True,
    ),
    "mistral": Pieces(f"{_HERE}\n\n", f"[INST] {_HERE}[/INST]", f" {_HERE}EOS", "BOS", merged=True),
    "phi4": Pieces(
        f"<|im_start|>system<|im_sep|>{_HERE}<|im_end|>",
        f"<|im_start|>user<|im_sep|>{_HERE}<|im_end|><|im_start|>assistant<|im_sep|>",
        f"{_HERE}<|im_end|>",
    ),
}
"""Templates of LLaMA-Factory for models whose own it cannot read off the tokenizer, by their names there.

``BOS`` and ``EOS`` represent the tokenizer's tokens.
"""

_MARKS = {"llama3": "<|start_header_id|>", "gemma": "<start_of_turn>", "mistral": "[INST]", "phi4": "<|im_sep|>"}


def chosen_template(model: str, rows: Sequence[Mapping[str, Any]]) -> Template:
    """The template under which LLaMA-Factory writes the rows as the model's own template does.

    Args:
        model: A folder or hub name.
        rows: At least one; each an optional system turn, then alternating user and assistant turns.
    """
    tokenizer = tokenizer_on_disk(model)
    if tokenizer is None:
        return Template(
            None,
            f"The tokenizer of {model} is not on this disk, so what LLaMA-Factory reads off its chat template could "
            "not be compared with it. Look at the first example that it prints, and name a template if need be: "
            f"{_LIST}",
            sure=False,
        )
    if not isinstance(tokenizer.chat_template, str):
        return Template(
            "default",
            f"The tokenizer of {model} has no chat template. LLaMA-Factory's default is 'Human: ...', "
            f"'Assistant:...'; what asks the model later must write so too, or name another here: {_LIST}",
            sure=False,
        )
    some = rows[:: -(-len(rows) // _COMPARED)]
    own = [_rendered(tokenizer, row) for row in some]
    agree = {
        name: [text == written(pieces, row["messages"]) for text, row in zip(own, some, strict=True)]
        for name, pieces in candidates(tokenizer).items()
    }
    return _best(agree, some, tokenizer.chat_template)


def _best(
    agree: Mapping[str | None, Sequence[bool]], rows: Sequence[Mapping[str, Any]], chat_template: str
) -> Template:
    """One that writes every row as the tokenizer's template does; else the one it looks like; else what is read."""
    for name in agree:
        if all(agree[name]):
            how = "reads it off the tokenizer" if name is None else f"has it as {name}"
            why = f"The model's own chat template: LLaMA-Factory {how}; {len(rows):,} rows compared, all equal."
            return Template(name, why, sure=True)
    like = [name for name in agree if name and _MARKS[name] in chat_template]
    if not like and None not in agree:
        return Template(
            None,
            "The model's own chat template cannot be told: LLaMA-Factory cannot read this one off the tokenizer, and "
            f"will stop. Name the template that comes nearest: {_LIST}",
            sure=False,
        )
    name = like[0] if like else None
    first = next(row["id"] for row, equal in zip(rows, agree[name], strict=True) if not equal)
    how = "what it reads off the tokenizer" if name is None else f"its template {name}"
    return Template(
        name,
        f"LLaMA-Factory cannot write all rows as the model's own chat template does: with {how}, "
        f"{len(rows) - sum(agree[name]):,} of {len(rows):,} rows compared come out differently, the first is {first}. "
        f"Another may come nearer: {_LIST}. TRL and Axolotl take the model's own.",
        sure=False,
    )


def candidates(tokenizer: Any) -> dict[str | None, Pieces]:
    """What LLaMA-Factory could join: what it reads off a tokenizer, under None, if it can; its own, by name."""
    special = {"BOS": tokenizer.bos_token or "", "EOS": tokenizer.eos_token or ""}
    found: dict[str | None, Pieces] = {}
    with contextlib.suppress(Exception):  # a template may refuse a lone system turn; LLaMA-Factory stops there as well
        found[None] = read_pieces(tokenizer)
    for name, pieces in _NAMED.items():
        prefix, assistant = (special.get(pieces.prefix, ""), pieces.assistant.replace("EOS", special["EOS"]))
        found[name] = Pieces(pieces.system, pieces.user, assistant, prefix, merged=pieces.merged)
    return found


def read_pieces(tokenizer: Any) -> Pieces:
    """What LLaMA-Factory 0.9.5 reads off a tokenizer's chat template.

    Raises:
        ValueError: If a piece has no place for the turn's text.
        Exception: Whatever the template raises.
    """

    def text(*turns: tuple[str, str], ask: bool) -> str:
        said = [{"role": role, "content": content} for role, content in turns]
        return str(tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=ask))

    prefix = str(tokenizer.decode(tokenizer.encode("")))
    system = text(("system", _HERE), ask=False)[len(prefix) :]
    emptied = text(("system", ""), ("user", _HERE), ask=True)[len(prefix) :]
    user = text(("user", _HERE), ask=True)[len(prefix) :]
    assistant = text(("user", _HERE), ("assistant", _HERE), ask=False)[len(prefix) + len(user) :]
    thinks = "<think>" in assistant
    assistant = assistant.replace("<think>", "").replace("</think>", "").lstrip("\n")
    default = ""
    if len(user) > len(emptied):
        default = _added(emptied, user)
        user = user[len(system.replace(_HERE, default, 1)) :]
    for piece in (system, user, assistant):
        if _HERE not in piece:
            raise ValueError(f"a piece must have a place for the turn's text, got {piece!r}")
    return Pieces(system, user, assistant, prefix, default, thinks=thinks)


def _added(short: str, long: str) -> str:
    """The characters of `long` that `short` skips, up to where `short` ends."""
    at, added = 0, ""
    for letter in long:
        if at == len(short):
            break
        if short[at] == letter:
            at += 1
        else:
            added += letter
    return added


def written(pieces: Pieces, turns: Sequence[Mapping[str, str]]) -> str:
    """The text that LLaMA-Factory makes of a conversation.

    Example:
        >>> written(Pieces("S:{{content}} ", "U:{{content}} A:", "{{content}}."), [{"role": "user", "content": "hi"}])
        'U:hi A:'
    """
    system, text = pieces.default_system, pieces.prefix
    if turns[0]["role"] == "system":
        system, turns = turns[0]["content"] or system, turns[1:]
    before = pieces.system.replace(_HERE, system, 1) if system else ""
    if not pieces.merged:
        text, before = text + before, ""
    for turn in turns:
        content = turn["content"]
        if turn["role"] == "user":
            text += pieces.user.replace(_HERE, before + content, 1)
            before = ""
        else:
            empty = pieces.thinks and "<think>" not in content and "</think>" not in content
            text += ("<think>\n\n</think>\n\n" if empty else "") + pieces.assistant.replace(_HERE, content, 1)
    return text


def _rendered(tokenizer: Any, row: Mapping[str, Any]) -> str | None:
    try:
        return str(tokenizer.apply_chat_template(row["messages"], tokenize=False))
    except Exception:  # a template may refuse anything, in any way; then no other text is the same
        return None
