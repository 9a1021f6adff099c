"""Answers of a model that is sharded over two processes are those of the whole model, whichever process ends first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from processes import SHARDING, finish, launcher_on_two, start
from righttime.evaluation import Answers, GenerationSettings, generated

ENDS = list(range(1, 40))
"""So many tokens end an answer that some are short and others are not."""


def prompts() -> list[NDArray[np.int32]]:
    rng = np.random.default_rng(0)
    return [rng.integers(2, 257, int(rng.integers(1, 40))).astype(np.int32) for _ in range(21)]


def loaded(bare: str, adapters: bool) -> tuple[Any, Any]:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(bare), AutoTokenizer.from_pretrained(bare)
    model.generation_config.eos_token_id = ENDS
    if adapters:
        torch.manual_seed(0)
        drawn = LoraConfig(task_type="CAUSAL_LM", r=8, target_modules="all-linear", init_lora_weights=False)
        model = get_peft_model(model, drawn)
    return model, tokenizer


def answered(model: Any, tokenizer: Any, share: tuple[int, int] = (0, 1)) -> Answers:
    return generated(model, tokenizer, prompts(), GenerationSettings(30), batch_tokens=300, share=share)


TWO = """
import json, sys
from pathlib import Path
bare, folder, tests, name, adapters = sys.argv[1:]
sys.path.append(tests)
import torch
from accelerate import Accelerator, PartialState
from fsdp_on_cpu import _init_as_gpus
from test_evaluation_sharded import answered, loaded
if name == "fsdp":
    PartialState.__init__ = _init_as_gpus
PartialState(cpu=True)
accelerator = Accelerator()
model, tokenizer = loaded(bare, adapters == "True")
optimizer = torch.optim.AdamW(model.parameters())
if name == "deepspeed":
    accelerator.state.deepspeed_plugin.deepspeed_config["train_micro_batch_size_per_gpu"] = 1
inner = model
model, optimizer = accelerator.prepare(model, optimizer)
model = inner if name == "deepspeed" else model  # what transformers' Trainer hands to callbacks
process = accelerator.process_index
found = answered(model, tokenizer, (process, accelerator.num_processes))
loss = model(input_ids=torch.arange(4)[None]).logits.sum()
loss.backward() if name == "fsdp" else None  # it can be trained on
facts = [str(accelerator.distributed_type), "generate" in vars(model)]
rows = zip(found.rows.tolist(), found.texts, found.tokens.tolist())
(Path(folder) / f"{process}.json").write_text(json.dumps([facts, list(rows)]))
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.linux
@pytest.mark.parametrize("adapters", [False, True], ids=["whole", "adapters"])
@pytest.mark.parametrize("name", SHARDING)
def test_answers_are_those_of_the_whole_model(bare: Path, tmp_path: Path, name: str, adapters: bool) -> None:
    (tmp_path / "two.py").write_text(TWO)
    words = [str(tmp_path / "two.py"), str(bare), str(tmp_path), str(Path(__file__).parent), name, str(adapters)]
    code, said = finish(start(words, *launcher_on_two(name, tmp_path)))
    assert code == 0, said
    shares = [json.loads((tmp_path / f"{process}.json").read_text()) for process in range(2)]
    kind = {"fsdp": "DistributedType.FSDP", "deepspeed": "DistributedType.DEEPSPEED"}[name]
    assert [facts for facts, _ in shares] == [[kind, False]] * 2
    whole = answered(*loaded(str(bare), adapters))
    want = [list(row) for row in zip(whole.rows.tolist(), whole.texts, whole.tokens.tolist(), strict=True)]
    assert sorted(row for _, rows in shares for row in rows) == want
    assert len({text for _, text, _ in want}) > 15, "the model answers differently"
    spent = [sum(tokens for _, _, tokens in rows) for _, rows in shares]
    assert spent[0] != spent[1], "one process is done before the other"
