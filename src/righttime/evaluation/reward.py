"""What a reward model thinks of answers: any sequence-classification model with one output.

Two traps are avoided. Padding is on the right, since the score is read at a row's last token. And that token is found
by looking for the padding token, which many tokenizers lack, or give the number of the end of text: then the score
would be read one token too early. So where a text holds the padding token, one that no text holds takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.errors import ModelError
from righttime.evaluation.batches import DEFAULT_BATCH_TOKENS, length_batches
from righttime.examples import Message, said
from righttime.model_files import fetched
from righttime.progress import Counter
from righttime.training.undisturbed import undisturbed

__all__ = ["RewardModel"]


class RewardModel:
    """A reward model, loaded when it is first needed."""

    def __init__(self, name: str, max_length: int = 2048, device: str | None = None) -> None:
        """Name a model.

        Args:
            name: A folder or hub name, with safetensors weights.
            max_length: Tokens of a conversation; longer ones lose their front.
            device: ``cpu``, ``cuda``, ...; None takes the best there is.
        """
        self.name = name
        self._max_length, self._device = max_length, device

    @cached_property
    def model(self) -> Any:
        """The model, in evaluation mode."""
        import torch
        from transformers import AutoModelForSequenceClassification

        fetched(self.name, ModelError)
        model = self._loaded(AutoModelForSequenceClassification, use_safetensors=True)
        if model.config.num_labels != 1:
            raise ModelError(f"a reward model must have 1 output, but {self.name} has {model.config.num_labels}.")
        return model.to(self._device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()

    @cached_property
    def tokenizer(self) -> Any:
        """Its tokenizer."""
        from transformers import AutoTokenizer

        return self._loaded(AutoTokenizer)

    def rewards(
        self,
        conversations: Sequence[Sequence[Message]],
        batch_tokens: int = DEFAULT_BATCH_TOKENS,
        counter: Counter | None = None,
    ) -> NDArray[np.float64]:
        """The reward of each conversation's last answer.

        Args:
            conversations: Turns, the last of them the answer; written by the model's chat template, or, where it has
                none, as ``User: …`` and ``Assistant: …`` lines.
            batch_tokens: The most tokens of a batch.
            counter: Called for every finished conversation.

        Returns:
            float64, shape (n,).

        Raises:
            ModelError: If the model is missing, has not one output, or gives a reward that is no number.
        """
        import torch

        ids = [self._ids(turns)[-self._max_length :] for turns in conversations]
        pad = self._pad(ids)
        found = np.empty(len(ids))
        with undisturbed(self.model), torch.no_grad():
            self.model.config.get_text_config().pad_token_id = pad
            for batch in length_batches([len(row) for row in ids], batch_tokens):
                found[batch] = self._scored([ids[row] for row in batch.tolist()], pad)
                if counter is not None:
                    counter(len(batch))
        if not np.isfinite(found).all():
            bad = int(np.flatnonzero(~np.isfinite(found))[0])
            raise ModelError(f"a reward must be a number, but {self.name} gives conversation {bad} NaN or infinity.")
        return found

    def _ids(self, turns: Sequence[Message]) -> list[int]:
        if self.tokenizer.chat_template:
            text = self.tokenizer.apply_chat_template([turn.as_dict() for turn in turns], tokenize=False)
            return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        text = "\n".join(f"{turn.role.capitalize()}: {said(turn)}" for turn in turns)
        return list(self.tokenizer(text, verbose=False)["input_ids"])

    def _pad(self, ids: Sequence[Sequence[int]]) -> int:
        own = self.tokenizer.pad_token_id
        held = {token for row in ids for token in row}
        if own is not None and own not in held:
            return int(own)
        return next(token for token in range(self.model.config.get_text_config().vocab_size) if token not in held)

    def _scored(self, ids: Sequence[Sequence[int]], pad: int) -> NDArray[np.float64]:
        import torch

        longest = max(len(row) for row in ids)
        tokens = torch.full((len(ids), longest), pad, dtype=torch.int64)
        mask = torch.zeros_like(tokens)
        for number, row in enumerate(ids):
            tokens[number, : len(row)], mask[number, : len(row)] = torch.tensor(row), 1
        device = self.model.device
        logits = self.model(input_ids=tokens.to(device), attention_mask=mask.to(device)).logits
        result: NDArray[np.float64] = logits[:, 0].double().cpu().numpy()
        return result

    def _loaded(self, kind: Any, **settings: Any) -> Any:
        try:
            return kind.from_pretrained(self.name, trust_remote_code=False, **settings)
        except Exception as error:  # hub, file and configuration errors of several libraries
            first = (str(error).strip().splitlines() or ["no message"])[0][:200]
            raise ModelError(
                f"the reward model {self.name!r} must be a folder or hub name of a sequence-classification model with "
                f"safetensors weights; loading it failed: {type(error).__name__}: {first}. Hint: check the name."
            ) from error
