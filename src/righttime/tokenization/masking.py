r"""One conversation as tokens, and which of them the model is to learn: the assistant's.

Two forms of text. ``chat`` is the tokenizer's own chat template. ``paper`` is that of the paper's code,
``<s>User: {prompt}`` + ``\nAssistant: `` + ``{response}</s>``, each part tokenized by itself, where the response and
``</s>`` are learnt; ``<s>`` and ``</s>`` are the tokenizer's own. How the paper writes several exchanges is not known:
here they follow one another in the same form, ``<s>`` only before the first; system turns stand before the prompt.

Many chat templates put a line break after the token that ends an answer (ChatML: ``<|im_end|>`` and a line break). No
model has to say it: generation stops at the token before. Where it counts as learnt it is one more token, soon of no
loss, and lowers the mean of a short answer far more than that of a long one. So an answer ends with its end token
(``token``). The other way (``template``) learns all that the template adds for an answer, as TRL does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from righttime.errors import RowError, SettingsError, unknown_name
from righttime.examples import Example, said
from righttime.tokenization.counts import tools_of

__all__ = ["AnswerEnd", "Form", "Tokens", "resolve_form", "tokenised"]

Form = Literal["chat", "paper"]
AnswerEnd = Literal["token", "template"]
_GENERATION = re.compile(r"\{%-?\s*generation\b")


@dataclass(frozen=True, eq=False)
class Tokens:
    """One row as the model is fed it.

    Attributes:
        ids: int32, shape (tokens,), the token numbers.
        learnt: bool, shape (tokens,), the tokens that the loss is taken over; never the first, which nothing predicts.
        cut: How many tokens were cut off at the end because the row was too long.
    """

    ids: NDArray[np.int32]
    learnt: NDArray[np.bool_]
    cut: int = 0


def resolve_form(tokenizer: Any, form: str) -> Form:
    """The form of text: ``auto`` takes the chat template where the tokenizer has one, else the paper's form.

    Raises:
        SettingsError: If the form is unknown, or the tokenizer lacks what it needs.
    """
    if form == "auto":
        form = "chat" if tokenizer.chat_template else "paper"
    if form == "chat":
        if not tokenizer.chat_template:
            raise SettingsError(
                "the form 'chat' needs a tokenizer with a chat template. Hint: `form='paper'`.", setting="form"
            )
        return "chat"
    if form == "paper":
        if tokenizer.eos_token is None:
            raise SettingsError(
                "the form 'paper' needs a tokenizer with an end-of-text token. Hint: `form='chat'`.", setting="form"
            )
        return "paper"
    raise SettingsError(f"unknown form {form!r}. Known: auto, chat, paper.", setting="form")


def tokenised(row: Example, tokenizer: Any, form: Form, max_length: int, answer_end: AnswerEnd = "token") -> Tokens:
    """A row's tokens, cut at the end to `max_length`.

    Args:
        row: The row.
        tokenizer: A tokenizer of transformers.
        form: The form of text.
        max_length: The most tokens of a row.
        answer_end: Of the chat template: ``token`` ends an answer with its end token; ``template`` learns the white
            space behind that token too. Without an end token both learn all that the template adds.

    A plain text is fed as it is, whatever the form, with the tokens that the tokenizer puts around a text and its
    end-of-text token behind it; all of it is learnt.

    Raises:
        SettingsError: If there is no such end of an answer.
        RowError: If the form cannot hold the row; names it.
    """
    if answer_end not in get_args(AnswerEnd):
        raise unknown_name("answer_end", answer_end, get_args(AnswerEnd))
    if row.kind == "preference":
        raise _refused_pair(row)
    if row.kind == "text":
        ids, learnt = _plain(row, tokenizer)
    else:
        ids, learnt = _chat(row, tokenizer) if form == "chat" else _paper(row, tokenizer)
    if row.kind == "messages" and form == "chat" and answer_end == "token":
        _forget_behind_end(ids, learnt, tokenizer)
    if not ids:
        raise _refused(row, "its text has not one token")
    learnt[0] = 0
    cut = max(0, len(ids) - max_length)
    return Tokens(np.asarray(ids[:max_length], np.int32), np.asarray(learnt[:max_length], np.bool_), cut)


def _plain(row: Example, tokenizer: Any) -> tuple[list[int], list[int]]:
    """A text as it is, and its end, which generation is to stop at."""
    ids = list(tokenizer(row.messages[0].content, verbose=False)["input_ids"])
    end = tokenizer.eos_token_id
    if end is not None and ids[-1:] != [end]:
        ids.append(end)
    return ids, [1] * len(ids)


def _paper(row: Example, tokenizer: Any) -> tuple[list[int], list[int]]:
    ids: list[int] = []
    learnt: list[int] = []
    for text, wanted in _paper_parts(row, tokenizer.bos_token or "", tokenizer.eos_token):
        part = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        ids += part
        learnt += [int(wanted)] * len(part)
    return ids, learnt


def _paper_parts(row: Example, bos: str, eos: str) -> Iterator[tuple[str, bool]]:
    """The parts of the paper's form, and whether each is learnt."""
    front, prompts = bos, list[str]()
    for message in row.messages:
        if message.role == "tool":
            raise _refused(row, "the paper's form has no place for the turn of a tool")
        if message.role != "assistant":
            prompts.append(message.content)
            continue
        if prompts:
            yield front + "User: " + "\n".join(prompts), False
            front, prompts = "", []
        yield "\nAssistant: ", False
        yield said(message) + eos, True
    if prompts:
        yield front + "User: " + "\n".join(prompts), False


def _chat(row: Example, tokenizer: Any) -> tuple[list[int], list[int]]:
    turns = [message.as_dict() for message in row.messages]
    tools = tools_of(row)
    try:
        if _GENERATION.search(tokenizer.get_chat_template(tools=tools)):
            made = tokenizer.apply_chat_template(
                turns, tools=tools, tokenize=True, return_dict=True, return_assistant_tokens_mask=True, truncation=False
            )
            return list(made["input_ids"]), list(made["assistant_masks"])
        text, spans = _answers(turns, tools, tokenizer)
    except Exception as error:  # a template may refuse anything, in any way
        raise _refused(row, f"the tokenizer's chat template refuses it: {error}") from error
    made = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    inside = [any(start < b and a < stop for a, b in spans) for start, stop in made["offset_mapping"]]
    return list(made["input_ids"]), [int(learnt) for learnt in inside]


def _forget_behind_end(ids: Sequence[int], learnt: list[int], tokenizer: Any) -> None:
    """Let each learnt stretch end with its last end token, if only white space follows that in it."""
    ends = _added(tokenizer, len(tokenizer))
    for stop in range(len(ids), 0, -1):
        if not learnt[stop - 1] or (stop < len(ids) and learnt[stop]):
            continue  # no end of a stretch
        last = stop
        while last and learnt[last - 1] and ids[last - 1] not in ends and not tokenizer.decode([ids[last - 1]]).strip():
            last -= 1
        if last and learnt[last - 1] and ids[last - 1] in ends:
            learnt[last:stop] = [0] * (stop - last)


@lru_cache(maxsize=4)
def _added(tokenizer: Any, size: int) -> frozenset[int]:
    """The tokens that stand beside the learnt vocabulary: ends of turns are among them. White space is none."""
    named = {number for number, token in tokenizer.added_tokens_decoder.items() if token.content.strip()}
    return frozenset(named.union(tokenizer.all_special_ids))


def _answers(turns: list[dict[str, Any]], tools: Any, tokenizer: Any) -> tuple[str, list[tuple[int, int]]]:
    """The text of a template that does not mark the answers, and where in it they stand.

    An answer is what a turn adds to the text of the turns before it with the prompt for an answer. A token that stands
    across its border is learnt, as where a template marks the answers.
    """

    def text_of(until: int, ask: bool) -> str:
        return str(tokenizer.apply_chat_template(turns[:until], tools=tools, tokenize=False, add_generation_prompt=ask))

    whole, spans = text_of(len(turns), False), []
    for number, turn in enumerate(turns):
        if turn["role"] == "assistant" and number:
            before = text_of(number, True)
            after = whole if number + 1 == len(turns) else text_of(number + 1, False)
            if not (after.startswith(before) and whole.startswith(after)):
                raise ValueError("it has no {% generation %}, and later turns change how earlier ones are written")
            spans.append((len(before), len(after)))
    return whole, spans


def _refused_pair(row: Example) -> RowError:
    return RowError(
        f"{row.file}:{row.line}: a row must hold a conversation or a text to take the loss of, but row {row.id} holds "
        "two answers to a prompt. Hint: `righttime export` with `to='trl'` writes a script that trains on preferences.",
        **row.where,
    )


def _refused(row: Example, why: str) -> RowError:
    return RowError(
        f"{row.file}:{row.line}: every row must fit the form of text, but not row {row.id}: {why}. "
        "Hint: `form='chat'` or `form='paper'`, or another tokenizer.",
        **row.where,
    )
