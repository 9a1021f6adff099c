"""A tiny base model, made in minutes on a CPU: a Llama of 1.3 million parameters and its own tokenizer.

It reads the built-in data set's pool, drawn with a seed of its own, and any text files given. Prompts and answers are
read apart from one another and shuffled, so that the model comes to know words and phrases, and not which answer
belongs to which prompt: that is left to tuning. Families that are held out as the target are never read.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from righttime.demo import builtin_rows
from righttime.errors import DataError
from righttime.quiet import quietly
from righttime.store import MANIFEST, file_sha256, ordinary_permissions, prepare_folder, staged, write_json, write_lines
from righttime.training.checkpoints import saving
from righttime.training.versions import check_versions

__all__ = ["CHAT_TEMPLATE", "Pretrained", "pretrain"]

_FILES = (
    "README.md",
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)
_BLOCK, _BATCH, _VOCABULARY, _READS = 256, 16, 4096, 1024
_ROWS_PER_FAMILY = 300
_SPECIAL = ("<s>", "</s>", "<pad>")

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}Assistant:\n{% generation %}{{ message['content'] }}{{ eos_token }}"
    "{% endgeneration %}{% else %}{{ message['role'] | capitalize }}: {{ message['content'] }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)
"""The tiny model's chat template; it marks the answers, so that tuning knows what to learn.

The line break before an answer is never part of a longer token, as a space would be.
"""


@dataclass(frozen=True)
class Pretrained:
    """How a tiny base came out.

    Attributes:
        parameters: How many it has.
        tokens: How many tokens it was trained on, repeated ones too.
        text_tokens: How many tokens its text has.
        first_loss: Loss per token on the held-out text before the first step, in nats.
        held_out_loss: The same after the last step.
    """

    parameters: int
    tokens: int
    text_tokens: int
    first_loss: float
    held_out_loss: float


def pretrain(
    out: Path,
    texts: Sequence[Path] = (),
    *,
    tokens: int = 1_000_000,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> Pretrained:
    """Make a tiny base model and its tokenizer.

    Args:
        out: The folder to write to.
        texts: UTF-8 text files to read as well, paragraph by paragraph.
        tokens: Tokens to train on.
        seed: Decides the text drawn, its order, and the first weights.
        overwrite: Replace a finished model in `out`.
        progress: Show progress on stderr.

    Returns:
        How it came out.

    Raises:
        DataError: If a text file cannot be read.
        SettingsError: If a package for training is missing.
        StoreError: If `out` holds something else or cannot be written.
    """
    check_versions("transformers", "accelerate")
    prepare_folder(out, _FILES, overwrite)
    documents = _documents(texts, seed)
    tokenizer = _tokenizer(documents)
    blocks = _blocks(documents, tokenizer)
    with quietly():
        model, about = _trained(blocks, tokenizer, tokens, seed, progress)
    with staged(out) as staging, quietly():
        with saving(out):
            model.save_pretrained(staging)
            tokenizer.save_pretrained(staging)
        ordinary_permissions(staging)
        write_lines(staging / "README.md", [_card(about, texts)])
        read = [{"path": str(path), "sha256": file_sha256(path)} for path in texts]
        files = {path.name: file_sha256(path) for path in sorted(staging.iterdir())}
        write_json(staging / MANIFEST, {**asdict(about), "seed": seed, "texts": read, "files": files})
    return about


def _documents(texts: Sequence[Path], seed: int) -> list[str]:
    """Prompts and answers apart, and the paragraphs of the files, in an order that tells nothing."""
    rows = builtin_rows("pool", rows_per_family=_ROWS_PER_FAMILY, seed=1_000_003 + seed)
    documents = [row[part] for row in rows for part in ("prompt", "response")]
    for path in texts:
        try:
            documents += [part for part in path.read_text(encoding="utf-8").split("\n\n") if part.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} must be a readable UTF-8 text file: {error}.") from error
    random.Random(seed).shuffle(documents)
    return documents


def _tokenizer(documents: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(documents, trainer)
    names = dict(zip(("bos_token", "eos_token", "pad_token"), _SPECIAL, strict=True))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, model_max_length=_READS, **names)
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _blocks(documents: Sequence[str], tokenizer: Any) -> Any:
    """All documents one after the other, each ended by ``</s>``, cut into blocks: int64, shape (n, 256)."""
    import numpy as np

    encoded = tokenizer(list(documents), add_special_tokens=False, verbose=False)["input_ids"]
    stream = np.fromiter((token for ids in encoded for token in (*ids, tokenizer.eos_token_id)), dtype=np.int64)
    return stream[: len(stream) // _BLOCK * _BLOCK].reshape(-1, _BLOCK)


def _trained(blocks: Any, tokenizer: Any, tokens: int, seed: int, progress: bool) -> tuple[Any, Pretrained]:
    import datasets
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed

    from righttime.training.trainer import show_progress

    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=_READS,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    held_out = max(1, len(blocks) // 50)
    rows, unseen = blocks[held_out:], torch.from_numpy(blocks[:held_out])
    steps = max(1, tokens // (_BATCH * _BLOCK))
    first_loss = _loss(model, unseen)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=_BATCH,
            max_steps=steps,
            learning_rate=3e-3,
            lr_scheduler_type="cosine",
            warmup_steps=steps // 20,
            weight_decay=0.1,
            adam_beta2=0.95,
            seed=seed,
            use_cpu=not torch.accelerator.is_available(),
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            logging_steps=1,
            dataloader_pin_memory=torch.accelerator.is_available(),
        )
        data = datasets.Dataset.from_dict({"input_ids": rows, "labels": rows}).with_format("torch")
        trainer = Trainer(model, arguments, train_dataset=data)
        show_progress(trainer, progress)
        trainer.train()
    trained_on = steps * _BATCH * _BLOCK
    about = Pretrained(model.num_parameters(), trained_on, int(blocks.size), first_loss, _loss(model, unseen))
    return model, about


def _loss(model: Any, blocks: Any) -> float:
    """Mean loss per token, in nats."""
    import torch

    parts = blocks.to(model.device).split(16)
    with torch.inference_mode():
        losses = [float(model(input_ids=part, labels=part).loss) * len(part) for part in parts]
    return sum(losses) / len(blocks)


def _card(about: Pretrained, texts: Sequence[Path]) -> str:
    others = f" and {len(texts)} text files given by its maker" if texts else ""
    return f"""# A tiny base model made by `righttime pretrain`

A Llama of {about.parameters:,} parameters with a byte-level BPE tokenizer, made to try tuning on a machine without GPU.

- **It is no good for anything else.** It has seen {about.tokens:,} tokens, from a text of {about.text_tokens:,}, of
  small made-up exercises{others}. It knows some words and phrases, nothing of the world, and it answers nothing.
- Prompts and answers were read apart from one another. The families that righttime's built-in data set holds out were
  not read.
- Loss per token on held-out text of its kind: {about.first_loss:.2f} nats before, {about.held_out_loss:.2f} after.
- It was trained on blocks of {_BLOCK} tokens. It accepts {_READS:,}; beyond {_BLOCK} it was never trained.
- What tuning it shows is how the machinery works, and not what a data order does to a real model.
"""
