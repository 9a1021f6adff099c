"""Real Natural Instructions rows, in both forms of text: what is learnt is the answer and its end, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from righttime.formats import read_rows
from righttime.tokenization.masking import Form, tokenised

pytestmark = pytest.mark.real


@pytest.mark.parametrize("form", ["chat", "paper"])
def test_the_answers_of_real_rows_are_learnt(real_data: Path, tiny: str, form: Form) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    rows = read_rows([real_data / "niv2_pool.jsonl.gz"], role="pool").examples[::60]
    assert len(rows) == 750
    for row in rows:
        made = tokenised(row, tokenizer, form, 2**31)
        learnt, fed = made.ids[made.learnt].tolist(), made.ids[~made.learnt].tolist()
        assert tokenizer.decode(learnt) == f"{row.response}</s>", row.id
        ending = "\nAssistant: " if form == "paper" else "\nAssistant:\n"
        assert tokenizer.decode(fed) == f"<s>User: {row.prompt}{ending}", row.id
