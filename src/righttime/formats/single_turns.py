r"""Two formats of their own kind: FLAN's chain-of-thought TSV and MT-bench's questions.

FLAN CoT, no header, literal ``\n`` for newlines (question TAB answer TAB explanation):

    What might a person see?\nOptions:\n- bloody mess\n- cake TAB bloody mess TAB Bloody mess is covered with blood.

MT-bench, prompts without responses, the first turn counts:

    {"question_id": 81, "category": "writing", "turns": ["Compose a blog post.", "Rewrite it."], "reference": ["..."]}

Arena-Hard v0.1 is the same with objects as turns; v2.0 has its text under `prompt`:

    {"question_id": "96d2", "category": "arena-hard-v0.1", "cluster": "Keyboards", "turns": [{"content": "Why ...?"}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from righttime.examples import Message
from righttime.formats.fields import BadRowError, exchange, kind_of, optional, text
from righttime.formats.seen import forgo, has_text

__all__ = ["flan_cot", "mt_bench"]


def flan_cot(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read a question whose response is the explanation, then the answer."""
    question = text(record, "question").replace("\\n", "\n")
    said = (optional(record, "explanation"), optional(record, "answer"))
    return exchange(question, "\n".join(part.replace("\\n", "\n") for part in said if part.strip()))


def mt_bench(record: Mapping[str, Any]) -> tuple[Message, ...]:
    """Read the first of a question's turns."""
    turns = record["turns"]
    if not isinstance(turns, list) or not turns:
        raise BadRowError(f"`turns` must be a list of at least one text, got {kind_of(turns)}")
    first = turns[0].get("content") if isinstance(turns[0], Mapping) else turns[0]
    if has_text(turns[1:]):
        forgo(record, "turns[1:]")
    return exchange(text({"turns[0]": first}, "turns[0]"), "")
