"""The text of the TRL script. It stands alone: it needs TRL, not righttime."""

from __future__ import annotations

__all__ = ["READ_CONVERSATIONS", "READ_PAIRS", "READ_ROWS", "SCRIPT", "TEMPLATE", "TRAIN", "TRAIN_WATCHED"]

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
$watching
"""

from __future__ import annotations

$contextlib_import
$json_import
import os
$re_import
import sys
from importlib.metadata import version
from pathlib import Path

MODEL = $model
ROWS = $rows
EVALUATION_ROWS = $evaluation_rows
BATCH_SIZE = $batch_size
WRITTEN_FOR = $written_for

if tuple(int(part) for part in version("transformers").split(".")[:2]) < (5, 2):
    sys.exit(f"transformers must be 5.2 or newer, older ones shuffle without a word; this is {version('transformers')}")
for package, number in WRITTEN_FOR.items():
    if version(package) != number:
        print(f"written for {package} {number}, this is {version(package)}: see its notes on sampling", file=sys.stderr)
processes = int(os.environ.get("WORLD_SIZE", "1"))
for count in (ROWS, EVALUATION_ROWS):
    if processes > 1 and count % (processes * BATCH_SIZE):
        sys.exit(
            f"{count} rows must be a multiple of {processes} processes x batch size {BATCH_SIZE}: some would be left"
        )

import torch  # noqa: E402
from datasets import Dataset, load_dataset  # noqa: E402
$peft_import
from transformers import AutoTokenizer  # noqa: E402
from trl import ${trainer}Config, ${trainer}Trainer  # noqa: E402

tokenizer = AutoTokenizer.from_pretrained(MODEL)
if tokenizer.chat_template is None:
    tokenizer.chat_template = Path("template.jinja").read_text(encoding="utf-8").rstrip("\\n")
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token

$read
rows = read("train.jsonl")
evaluation_rows = read("eval.jsonl") if EVALUATION_ROWS else None

config = ${trainer}Config(
    output_dir="output",
    # What keeps the order; every one of these is needed.
$switches
$loss
    max_length=$max_length,
    per_device_train_batch_size=BATCH_SIZE,
    gradient_accumulation_steps=$accumulation,
    # A decaying rate would confound what a row does with when it comes.
    learning_rate=$learning_rate,
    lr_scheduler_type="constant",
    bf16=$bf16,
    use_cpu=not torch.accelerator.is_available(),
$evaluation
    logging_steps=$logging_steps,
    report_to=$report_to,
    project="righttime",  # for trackio
)
trainer = ${trainer}Trainer(
    model=MODEL,
    args=config,
    train_dataset=rows,
    eval_dataset=evaluation_rows,
    processing_class=tokenizer,
$peft
)
if trainer.accelerator.num_processes != processes:
    sys.exit(f"{processes} processes were started, but each of them would train alone on all rows")

# TRL drops rows whose whole answer lies beyond max_length, and moves all rows behind them up by one.
for name, before, after in (
    ("train.jsonl", rows, trainer.train_dataset),
    ("eval.jsonl", evaluation_rows, trainer.eval_dataset),
):
    if before is not None and (planned := list(before["id"])) != (kept := list(after["id"])):
        lost = sorted(set(planned) - set(kept))
        sys.exit(
            f"{name}: {len(lost)} rows would be dropped, first {lost[:1]}: their answers begin behind "
            f"{config.max_length} tokens. Raise max_length, or leave them out: "
            "righttime arrange ... --tokenizer MODEL --max-tokens N"
        )

$train
trainer.save_model()
'''
"""The script; each `$name` is filled in, a line of its own where it stands alone."""

TRAIN = 'trainer.train(resume_from_checkpoint="--resume" in sys.argv[1:])'
TRAIN_WATCHED = """resume, watched = "--resume" in sys.argv[1:], contextlib.nullcontext()
if "--watch" in sys.argv[1:]:
    from righttime.training import watched_preferences  # needs righttime[train]

    out = sys.argv[sys.argv.index("--watch") + 1]
    watched = watched_preferences(trainer, out, "consumed", resumed=resume)
with watched:
    trainer.train(resume_from_checkpoint=resume)"""
"""The same under the oracle where that is asked for."""

READ_PAIRS = '''
def read(file: str) -> Dataset:
    """Rows of a prompt and an answer, which TRL masks by itself."""
    return load_dataset("json", data_files=file, split="train")
'''

READ_ROWS = READ_PAIRS.replace(
    "Rows of a prompt and an answer, which TRL masks by itself.", "Rows that TRL tokenizes and masks by itself."
)
"""The same of plain texts and preferences."""

READ_CONVERSATIONS = '''
$answers

def read(file: str) -> Dataset:
    """Rows of several answers as tokens and labels: TRL masks them only under templates that mark answers."""
    made = []
    for line in Path(file).read_text(encoding="utf-8").split("\\n"):
        if line:
            row = json.loads(line)
            try:
                ids, labels = learnt(row["messages"], row.get("tools"), tokenizer)
            except Exception as error:  # a template may refuse anything, in any way
                sys.exit(f"{file}: the answers of row {row['id']} must be found in the text of {MODEL}: {error}")
            made.append({"id": row["id"], "input_ids": ids, "labels": labels})
    return Dataset.from_list(made)
'''
