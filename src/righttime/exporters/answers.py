"""Which tokens of a conversation are answers, under any chat template: for scripts that train without righttime.

The functions go into such a script as they stand here, so they use nothing but `json` and `re`. The text is always the
chat template's own; what is worked out is where in it the answers stand.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

__all__ = ["answers_source", "learnt"]


def learnt(turns: list[dict[str, Any]], tools: Any, tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens of a conversation, and the same as labels: -100 where the model is to learn nothing.

    Where the template marks answers with `generation`, they are what it marks. Elsewhere an answer is what its turn
    adds to the turns before it and the prompt for an answer, up to the token that ends the turn.

    Raises:
        ValueError: If the template writes turns so that the answers cannot be told.
    """
    tools = json.loads(tools) if isinstance(tools, str) else tools
    if re.search(r"\{%-?\s*generation\b", tokenizer.get_chat_template(tools=tools)):
        made = tokenizer.apply_chat_template(turns, tools=tools, return_dict=True, return_assistant_tokens_mask=True)
        mask = made["assistant_masks"]
    else:
        text, spans = answer_spans(turns, tools, tokenizer)
        made = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        mask = [any(start < b and a < stop for a, b in spans) for start, stop in made["offset_mapping"]]
    return made["input_ids"], [token if kept else -100 for token, kept in zip(made["input_ids"], mask, strict=True)]


def answer_spans(turns: list[dict[str, Any]], tools: Any, tokenizer: Any) -> tuple[str, list[tuple[int, int]]]:
    """The text of a conversation, and where in it the answers stand, as characters."""

    def text(some: list[dict[str, Any]], ask: bool = False) -> str:
        return str(tokenizer.apply_chat_template(some, tools=tools, tokenize=False, add_generation_prompt=ask))

    ending = turn_ending(text, tokenizer)
    whole, spans = text(turns), []
    for number, turn in enumerate(turns):
        if turn["role"] != "assistant" or not number:
            continue
        before, asked, after = text(turns[:number]), text(turns[:number], ask=True), text(turns[: number + 1])
        # What asks for an answer may say more than the answer keeps, such as an opening for thoughts.
        apart = (at for at, (a, b) in enumerate(zip(asked, whole, strict=False)) if a != b)
        start = next(apart, min(len(asked), len(whole)))
        if start < len(asked) and not whole[:start].startswith(before):
            raise ValueError("its chat template writes earlier turns otherwise once others follow")
        stop = len(after) if whole.startswith(after) else whole.find(ending, start) + len(ending)
        if stop <= start or not (ending or whole.startswith(after)):
            raise ValueError("its chat template does not show where an answer ends once other turns follow")
        # The token that ends the turn is learnt, the line break behind it is not.
        end = whole.rfind(ending, start, stop) + len(ending) if ending else stop
        spans.append((start, end if end > start and not whole[end:stop].strip() else stop))
    return whole, spans


def turn_ending(text: Any, tokenizer: Any) -> str:
    """What ends an answer, whether or not other turns follow; empty where that is nothing or differs."""
    mark = "an answer that no template knows"
    asked, answered = {"role": "user", "content": "?"}, {"role": "assistant", "content": mark}
    last = text([asked, answered]).partition(mark)
    inner = text([asked, answered, asked, answered]).partition(mark)
    if not (last[1] and inner[1]):
        raise ValueError("its chat template does not write what the turns say")
    if inner[2].startswith(last[2].strip()):
        return str(last[2].strip())
    shared = next((at for at, (a, b) in enumerate(zip(last[2], inner[2], strict=False)) if a != b), 0)
    ends = [inner[2].find(token) + len(token) for token in tokenizer.get_added_vocab() if token in inner[2][:shared]]
    return str(inner[2][: max(ends, default=0)].strip())


def answers_source() -> str:
    """The source of what a script needs to call `learnt`; it must import `json` and `re`."""
    return "\n\n".join(inspect.getsource(function) for function in (learnt, answer_spans, turn_ending))
