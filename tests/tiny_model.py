"""A random Llama of some 20,000 parameters with a tokenizer of its own, and arrangements to tune it on."""

from __future__ import annotations

from pathlib import Path

from righttime.cli import main
from righttime.demo import builtin_rows
from righttime.training.pretrain import CHAT_TEMPLATE


def save_tiny_model(folder: Path, *, template: str | None = CHAT_TEMPLATE, dropout: float = 0.0) -> str:
    """Make the model and its tokenizer in `folder`; the same bytes every time."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    texts = [row["prompt"] + "\n" + row["response"] for row in builtin_rows("pool", rows_per_family=3)]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>", "<pad>"]
    bpe.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    if template:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        attention_dropout=dropout,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def save_arrangement(folder: Path, rows: int, seed: int = 0) -> Path:
    """Arrange some built-in rows at random in `folder`/out."""
    assert main(["builtin", "--out", str(folder / "data"), "--rows", "3", "--overwrite"]) == 0
    words = ["arrange", str(folder / "data" / "pool.jsonl"), "--target", str(folder / "data" / "target.jsonl")]
    words += ["--method", "random", "--budget", str(rows), "--seed", str(seed)]
    assert main([*words, "--out", str(folder / "out")]) == 0
    return folder / "out"


def save_bare_model(folder: Path) -> Path:
    """The same with larger weights, so that answers differ, and without chat template and padding token, as LLaMA-2."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    save_tiny_model(folder, template=None)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(10)
    model.config.pad_token_id = None
    model.save_pretrained(folder)
    return folder
