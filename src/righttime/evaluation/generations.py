"""What a model answers: greedy by default, sampled with a seed if asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import SettingsError
from righttime.evaluation.batches import DEFAULT_BATCH_TOKENS, length_batches, shared_out
from righttime.progress import Counter
from righttime.training.sharding import gathering, sharded_by
from righttime.training.undisturbed import undisturbed

__all__ = ["Answers", "GenerationSettings", "generated"]


@dataclass(frozen=True)
class GenerationSettings:
    """How answers are made.

    Attributes:
        max_new_tokens: The most tokens of an answer; 128 as the paper.
        sample: Draw each token instead of taking the likeliest.
        temperature: With `sample`: below 1 sharpens.
        top_p: With `sample`: draw among the likeliest tokens that make up this share.
        seed: With `sample`: decides what is drawn. The same rows in the same batches give the same answers.
    """

    max_new_tokens: int = 128
    sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise SettingsError(
                f"max_new_tokens must be at least 1, got {self.max_new_tokens}.", setting="max_new_tokens"
            )
        if not (self.temperature > 0 and 0 < self.top_p <= 1):
            raise SettingsError(
                f"temperature must be above 0 and top_p above 0 and at most 1, "
                f"got {self.temperature} and {self.top_p}.",
                setting="temperature",
            )


@dataclass(frozen=True)
class Answers:
    """What a model answered.

    Attributes:
        rows: int64, shape (k,), ascending: whose prompts these answer; with several processes this one's share.
        texts: The answers, special tokens left out, white space around them stripped.
        tokens: int64, shape (k,): how many tokens each has, its end counted.
        cut: Prompts that lost tokens at their front so that prompt and answer fit.
    """

    rows: NDArray[np.int64]
    texts: tuple[str, ...]
    tokens: NDArray[np.int64]
    cut: int


def generated(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[NDArray[np.int32]],
    settings: GenerationSettings | None = None,
    batch_tokens: int = DEFAULT_BATCH_TOKENS,
    share: tuple[int, int] = (0, 1),
    counter: Counter | None = None,
) -> Answers:
    """Answer every prompt, rows of like length together.

    Processes that share one sharded model make as many tokens as the slowest of them: each needs all for every token.

    Args:
        model: A causal language model of transformers; it is left as it was.
        tokenizer: Its tokenizer.
        prompts: Token numbers, ending where the answer begins.
        settings: How; None takes the defaults.
        batch_tokens: The most tokens of a batch, answers counted.
        share: Number and count of processes; each answers its share of the prompts.
        counter: Is told of every prompt answered.

    Raises:
        SettingsError: If the model reads fewer tokens than an answer may have.
    """
    import torch

    settings = settings or GenerationSettings()
    room = _room(model, settings)
    kept = [ids[-room:] for ids in prompts]
    batches = length_batches([len(ids) + settings.max_new_tokens for ids in kept], batch_tokens)
    found: dict[int, NDArray[np.int64]] = {}
    together = share[1] > 1 and bool(sharded_by())
    with undisturbed(model), torch.no_grad(), gathering(model, "generate"):
        torch.manual_seed(settings.seed)
        for number, counted in shared_out(len(batches), *share):
            answers = _answered(model, tokenizer, [kept[row] for row in batches[number]], settings, together)
            if counted:
                found.update(zip(batches[number].tolist(), answers, strict=True))
                if counter is not None:
                    counter(len(answers))
    rows = sorted(found)
    texts = tokenizer.batch_decode([found[row].tolist() for row in rows], skip_special_tokens=True) if rows else []
    return Answers(
        np.asarray(rows, dtype=np.int64),
        tuple(text.strip() for text in texts),
        np.asarray([len(found[row]) for row in rows], dtype=np.int64),
        sum(len(ids) > room for ids in prompts),
    )


def _room(model: Any, settings: GenerationSettings) -> int:
    """The most tokens of a prompt."""
    reads = getattr(model.config, "max_position_embeddings", None) or 2**31
    if reads <= settings.max_new_tokens:
        raise SettingsError(
            f"an answer of {settings.max_new_tokens} tokens must leave room for a prompt, but the model reads {reads}. "
            "Hint: lower `max_new_tokens`.",
            setting="max_new_tokens",
        )
    return int(reads - settings.max_new_tokens)


def _answered(
    model: Any, tokenizer: Any, prompts: Sequence[NDArray[np.int32]], settings: GenerationSettings, together: bool
) -> list[NDArray[np.int64]]:
    import torch

    longest = max(1, *(len(ids) for ids in prompts))
    ends = _ends(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (ends[0] if ends else 0)
    ids, mask = np.full((len(prompts), longest), pad, dtype=np.int64), np.zeros((len(prompts), longest), dtype=np.int64)
    for number, prompt in enumerate(prompts):
        if len(prompt):  # padding on the left, so that every answer begins right behind its prompt
            ids[number, -len(prompt) :], mask[number, -len(prompt) :] = prompt, 1
    made = model.generate(
        input_ids=torch.from_numpy(ids).to(model.device),
        attention_mask=torch.from_numpy(mask).to(model.device),
        generation_config=_config(settings, ends, pad),
        synced_gpus=together,
    )
    return [_until_end(row, ends) for row in made[:, longest:].cpu().numpy()]


def _config(settings: GenerationSettings, ends: list[int], pad: int) -> Any:
    from transformers import GenerationConfig

    # Everything that a model's own configuration might bring is said, lest two models be asked differently.
    drawn = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0} if settings.sample else {}
    return GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        do_sample=settings.sample,
        num_beams=1,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        eos_token_id=ends or None,
        pad_token_id=pad,
        **drawn,
    )


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: the tokenizer's, and those of the model's own configuration."""
    named = getattr(model.generation_config, "eos_token_id", None)
    of_model = named if isinstance(named, list) else [named]
    return list(dict.fromkeys(end for end in [tokenizer.eos_token_id, *of_model] if end is not None))


def _until_end(row: NDArray[np.int64], ends: Sequence[int]) -> NDArray[np.int64]:
    """An answer up to and with its first end; what follows is padding."""
    found = np.flatnonzero(np.isin(row, ends))
    return row[: found[0] + 1] if len(found) else row
