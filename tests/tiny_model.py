"""A random Llama of some 20,000 parameters with a tokenizer of its own, and arrangements to tune it on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from righttime.cli import main
from righttime.demo import builtin_rows
from righttime.training.pretrain import CHAT_TEMPLATE

_TURN = (
    "{%% for message in messages %%}%(start)s{{ message['role'] }}%(mid)s{%% if message['role'] == 'assistant' %%}"
    "{%% generation %%}{{ message['content'] }}%(end)s{%% endgeneration %%}{%% else %%}{{ message['content'] }}%(end)s"
    "{%% endif %%}{%% endfor %%}{%% if add_generation_prompt %%}%(start)sassistant%(mid)s{%% endif %%}"
)

CHATML = _TURN % {"start": "<|im_start|>", "mid": "{{ '\\n' }}", "end": "{{ '<|im_end|>\\n' }}"}
"""Its answers are marked; a line break follows their end token."""

GEMMA = _TURN % {"start": "<start_of_turn>", "mid": "{{ '\\n' }}", "end": "{{ '<end_of_turn>\\n' }}"}
"""The same with other tokens."""

LLAMA3 = _TURN % {"start": "<|start_header_id|>", "mid": "{{ '<|end_header_id|>\\n\\n' }}", "end": "<|eot_id|>"}
"""Nothing follows its end token."""


def without_marks(template: str) -> str:
    """A template that does not tell where its answers are, as most."""
    return template.replace("{% generation %}", "").replace("{% endgeneration %}", "")


def save_tiny_model(
    folder: Path,
    *,
    template: str | None = CHAT_TEMPLATE,
    dropout: float = 0.0,
    ends: str = "</s>",
    width: int = 24,
) -> str:
    """Make the model and its tokenizer in `folder`; the same bytes every time. `ends` is a token of the template."""
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
    tokenizer.add_tokens([ends], special_tokens=True)
    if template:
        tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
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


def save_tiny_mixture(folder: Path, seed: int = 0, **changes: Any) -> str:
    """A Mixtral of four experts with the same tokenizer; `changes` are of its configuration."""
    import torch
    from transformers import AutoConfig, MixtralConfig, MixtralForCausalLM

    save_tiny_model(folder)
    same = AutoConfig.from_pretrained(folder).to_dict()
    names = [f"{what}_token_id" for what in ("bos", "eos", "pad")]
    names += ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"]
    names += ["num_key_value_heads", "max_position_embeddings"]
    torch.manual_seed(seed)
    config = MixtralConfig(**{name: same[name] for name in names}, num_local_experts=4, **changes)
    MixtralForCausalLM(config).save_pretrained(folder)
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


CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""ChatML as most models have it: it does not mark the answers."""


def save_chatml_model(folder: Path, template: str = CHATML) -> Path:
    """Such a Llama whose turns end with a token of their own, under a template without `generation`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    save_tiny_model(folder, template=template)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.save_pretrained(folder)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    return folder
