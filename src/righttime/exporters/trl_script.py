"""The text of the TRL script. It stands alone: it needs TRL, not righttime."""

from __future__ import annotations

__all__ = ["SCRIPT", "TEMPLATE"]

TEMPLATE = (
    "{% if tools %}{{ raise_exception('rows with tools need a tokenizer with a chat template of its own') }}{% endif %}"
    "{{ bos_token }}{% for turn in messages %}"
    "{% if turn['role'] == 'user' %}{{ 'User: ' + turn['content'] + '\\n' }}"
    "{% elif turn['role'] == 'assistant' %}{{ 'Assistant: ' }}"
    "{% generation %}{{ turn['content'] + eos_token }}{% endgeneration %}{{ '\\n' if not loop.last else '' }}"
    "{% else %}{{ turn['content'] + '\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)
"""The paper's form, for tokenizers that bring no template; `generation` marks what the loss is on."""

SCRIPT = '''"""Tune on train.jsonl in exactly its order, with TRL.

Written by righttime $version for $named.

Run in this folder:   python train_trl.py            (go on after a kill: python train_trl.py --resume)
In several processes: accelerate launch --num_processes $processes train_trl.py
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path

MODEL = $model
ROWS = $rows
BATCH_SIZE = $batch_size
WRITTEN_FOR = $written_for

if tuple(int(part) for part in version("transformers").split(".")[:2]) < (5, 2):
    sys.exit(f"transformers must be 5.2 or newer, older ones shuffle without a word; this is {version('transformers')}")
for package, number in WRITTEN_FOR.items():
    if version(package) != number:
        print(f"written for {package} {number}, this is {version(package)}: see its notes on sampling", file=sys.stderr)
processes = int(os.environ.get("WORLD_SIZE", "1"))
if processes > 1 and ROWS % (processes * BATCH_SIZE):
    sys.exit(f"{ROWS} rows must be a multiple of {processes} processes x batch size {BATCH_SIZE}: some would be left")

import torch  # noqa: E402
from datasets import load_dataset  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402
from trl import SFTConfig, SFTTrainer  # noqa: E402

rows = load_dataset("json", data_files="train.jsonl", split="train")
tokenizer = AutoTokenizer.from_pretrained(MODEL)
if tokenizer.chat_template is None:
    tokenizer.chat_template = Path("template.jinja").read_text(encoding="utf-8").rstrip("\\n")
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token

config = SFTConfig(
    output_dir="output",
    # What keeps the order; every one of these is needed.
$switches
    # The loss is on the assistant's words alone.
    $loss=True,
    max_length=$max_length,
    per_device_train_batch_size=BATCH_SIZE,
    gradient_accumulation_steps=$accumulation,
    # A decaying rate would confound what a row does with when it comes.
    learning_rate=$learning_rate,
    lr_scheduler_type="constant",
    bf16=$bf16,
    use_cpu=not torch.accelerator.is_available(),
    report_to="none",
)
trainer = SFTTrainer(model=MODEL, args=config, train_dataset=rows, processing_class=tokenizer)
if trainer.accelerator.num_processes != processes:
    sys.exit(f"{processes} processes were started, but each of them would train alone on all rows")

# TRL drops rows whose whole answer lies beyond max_length, and moves all rows behind them up by one.
planned, kept = list(rows["id"]), list(trainer.train_dataset["id"])
if kept != planned:
    lost = sorted(set(planned) - set(kept))
    sys.exit(
        f"{len(lost)} rows would be dropped, first {lost[:1]}: their answers begin behind {config.max_length} tokens. "
        "Raise max_length, or leave them out: righttime arrange ... --tokenizer MODEL --max-tokens N"
    )

trainer.train(resume_from_checkpoint="--resume" in sys.argv[1:])
trainer.save_model()
'''
