"""The memory that tuning will take, told from a model's configuration alone: nothing is loaded.

Weights, gradients and optimizer states are counted on a model without storage. Activations are those that PyTorch
keeps for the backward pass, written down for decoders that are built like Llama; of others they are not told.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from righttime.embedding.adapters import ADAPTED
from righttime.embedding.gradients import DIM, RANK
from righttime.errors import SettingsError
from righttime.planning.stages import Stage, resident
from righttime.training.bases import BASES, base_bytes
from righttime.training.models import configuration, trainable_length
from righttime.training.optimizers import OPTIMIZERS, state_bytes

if TYPE_CHECKING:
    from righttime.training.settings import TuneSettings

__all__ = ["FAMILIES", "Load", "tuning_stages"]

FAMILIES = ("llama", "mistral", "qwen2")
"""Kinds of configuration whose activations are told: decoders of RMS norms, rotary positions and gated layers."""

_LEARNT = 4  # one in so many tokens, where nobody says it
_LOGITS = {4: 12, 2: 16}  # bytes of a logit at the peak, with its loss and gradient, by the bytes of a product's result
_OF_CHUNK = {4: 4, 2: 6}  # the same where logits are made in chunks
_ADAM = 2.95  # times its passes is what rearranging by Adam's steps took: SmolLM2-135M, `benchmarks/rearranging.py`
_KEPT_ONCE = {"q_proj": "norm", "k_proj": "norm", "v_proj": "norm", "gate_proj": "norm 2", "up_proj": "norm 2"}
"""What several layers read, and adapters of any keep for all; what `o_proj` reads is kept by attention anyway."""


@dataclass(frozen=True)
class Load:
    """The largest micro-batch.

    Attributes:
        rows: Sequences in it.
        length: Tokens of each, with padding.
        learnt: Learnt tokens in all of it.
        several: Whether a step has more than one micro-batch, so that gradients are held beside activations.
    """

    rows: int
    length: int
    learnt: int
    several: bool

    @property
    def tokens(self) -> int:
        """Of all its sequences."""
        return self.rows * self.length


def tuning_stages(
    model: str, settings: TuneSettings, row_tokens: int | None = None, learnt: int | None = None, shards: int = 1
) -> tuple[Stage, ...]:
    """What `righttime.tune` will hold in memory on one process, with the whole model on it or a share.

    Args:
        model: A model's folder or hub name, of which the configuration alone is read.
        settings: How to tune.
        row_tokens: Tokens of the longest rows; None takes the most that the settings let a row have.
        learnt: Learnt tokens of each such row; None ASSUMES a quarter.
        shards: Processes that share weights, gradients and states, as under FSDP2.

    Returns:
        Stages without a duration, which is not told: weights, optimizer, gradients, with shards what is gathered of
        other processes for a moment, activations, and rearranging where that is asked for.

    Raises:
        SettingsError: If a number is out of range.
        ModelError: If there is no such model.
    """
    length = trainable_length(model, settings.max_length)
    row_tokens = length if row_tokens is None else row_tokens
    if not 1 <= row_tokens <= length:
        raise SettingsError(
            f"`row_tokens` must be from 1 to the {length:,} tokens that a row may have, got {row_tokens}.",
            setting="row_tokens",
        )
    assumed = "" if learnt is not None else f"; one token in {_LEARNT} ASSUMED to be learnt"
    if learnt is not None and not 0 <= learnt <= row_tokens:
        raise SettingsError(f"`learnt` must be from 0 to {row_tokens:,} tokens, got {learnt}.", setting="learnt")
    _check_shards(settings, shards)
    load = _load(settings, row_tokens, row_tokens // _LEARNT if learnt is None else learnt)
    config = configuration(model)
    counted = _counted(config, settings)
    shared = [_share(stage, shards) for stage in counted.stages(settings)]
    shared += [counted.gathered()] if shards > 1 else []
    activations = _activations(config, settings, load, counted, assumed, shards)
    return (_libraries(), *shared, activations, *_rearranging(config, settings, counted))


def _libraries() -> Stage:
    """What training imports, resident once it is; tokenizer and buffers of products come on top."""
    import righttime.training.trainer  # noqa: F401

    return Stage("libraries", 0, None, resident(), 0, "Python and what training imports; resident now")


def _check_shards(settings: TuneSettings, shards: int) -> None:
    if shards < 1:
        raise SettingsError(f"`shards` must be at least 1, got {shards}.", setting="shards")
    kind, lora = OPTIMIZERS[settings.optimizer], settings.lora
    whole = {
        '`weights="bf16"`': settings.weights == "bf16",
        f'`optimizer="{settings.optimizer}"`': kind.eight_bit or kind.paged,
        f'`base="{lora.base if lora else None}"`': lora is not None and lora.base in BASES,
        "`rearrange_every`": settings.rearrange_every is not None,
    }
    if shards > 1 and (given := next((name for name, asked in whole.items() if asked), None)):
        raise SettingsError(
            f"`shards` must go without {given}, with which no model is sharded, got {shards}. "
            "Hint: leave one of them out.",
            setting="shards",
        )


def _share(stage: Stage, shards: int) -> Stage:
    """What one process of several holds of it."""
    if shards == 1:
        return stage
    memory, passing = (-(-size // shards) for size in (stage.memory, stage.passing))
    return replace(stage, memory=memory, passing=passing, note=f"a share of {shards}: {stage.note}")


def _load(settings: TuneSettings, row_tokens: int, learnt: int) -> Load:
    budget, step = settings.batch_tokens or settings.pack_tokens, settings.batch * settings.accumulation
    if budget is None:
        return Load(settings.batch, row_tokens, settings.batch * learnt, settings.accumulation > 1)
    rows = max(1, min(step, budget // row_tokens))
    if settings.pack_tokens is not None:
        return Load(1, rows * row_tokens, rows * learnt, rows < step)
    return Load(rows, row_tokens, rows * learnt, rows < step)


@dataclass(frozen=True)
class _Counted:
    """Numbers of weights.

    Attributes:
        all: Of the model itself.
        trained: That are trained, adapters included.
        adapters: Of adapters.
        adapted: Inputs and outputs of the layers in one decoder layer that have adapters, by name.
        linear: In linear layers of the model itself.
        output: Of the output layer.
        quantised: In layers in 4 bits.
        held: Bytes of those layers.
        states: Bytes that the optimizer keeps.
        largest: Of the largest trained tensor.
        fresh: Of B in fresh adapters, which gradients are taken of where none are trained.
        layer: In one of the repeated layers of the model itself.
        layers: How many of these there are.
        itemsize: Bytes of a weight of the model itself, of those in 4 bits when they are computed with.
        gradient: Bytes of a number of the gradient.
    """

    all: int
    trained: int
    adapters: int
    adapted: dict[str, tuple[int, int]]
    linear: int
    output: int
    quantised: int
    held: int
    states: int
    largest: int
    fresh: int
    layer: int
    layers: int
    itemsize: int
    gradient: int

    def stages(self, settings: TuneSettings) -> Iterator[Stage]:
        """Those that follow from the numbers alone."""
        rest = self.all - self.quantised
        told = f"{rest:,} of {self.itemsize} bytes"
        told += f", {self.quantised:,} of 4 bits with their scales" if self.quantised else ""
        told += f", and {self.adapters:,} of adapters of 4" if self.adapters else ""
        yield Stage("weights", 0, None, rest * self.itemsize + self.held + 4 * self.adapters, 0, told)
        if settings.weights == "bf16":
            yield Stage("masters", 0, None, 4 * self.trained, 0, f"{self.trained:,} of 4 bytes")
        kind = OPTIMIZERS[settings.optimizer]
        passing = 3 * 4 * self.largest if kind.factored else 0
        note = f"{settings.optimizer}, states of {self.trained:,} weights"
        note += "; moved to the CPU's memory where the GPU's is full" if kind.paged else ""
        note += f"; on a CPU {16 * self.largest:,} bytes more for a moment" if kind.eight_bit and not kind.paged else ""
        yield Stage("optimizer", 0, None, self.states, 0, note, passing + 4 * self.trained)
        told = f"{self.trained:,} of {self.gradient} bytes"
        yield Stage("gradient", 0, None, self.gradient * self.trained, 0, told)

    def gathered(self) -> Stage:
        """What a process holds for a moment of the others' weights and gradients, as FSDP2 does.

        Weights outside layers stay gathered throughout, of layers this one and the next; a gradient is whole until it
        is shared out.
        """
        outside = self.all - self.layers * self.layer
        weights = outside + min(2, self.layers) * self.layer
        gradients = outside + self.layer if not self.adapters else self.adapters // max(1, self.layers)
        size = weights * self.itemsize + gradients * self.gradient
        told = f"{weights:,} weights and {gradients:,} numbers of the gradient, whole for a moment; an upper ESTIMATE"
        return Stage("gathered", 0, None, size, 0, told)


def _counted(config: Any, settings: TuneSettings) -> _Counted:
    """Count on a model that has shapes and no storage."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    output = model.get_output_embeddings()
    lists = [one for one in model.modules() if isinstance(one, torch.nn.ModuleList)]
    repeated = max(lists, key=len, default=torch.nn.ModuleList())
    layers = {name: one for name, one in model.named_modules() if isinstance(one, torch.nn.Linear)}
    looked_up = {id(one.weight) for one in model.modules() if isinstance(one, torch.nn.Embedding)}
    own = [(tuple(weight.shape), id(weight) in looked_up) for weight in model.parameters()]
    adapted = {name: one for name, one in layers.items() if one is not output and _has_adapter(name, settings)}
    added = [(shape, False) for shape in _adapter_shapes(adapted, settings)]
    trained = own if settings.lora is None else added
    base = "" if settings.lora is None else settings.lora.base
    quantised = [one.weight.numel() for one in layers.values() if one is not output] if base in BASES else []
    return _Counted(
        all=sum(math.prod(shape) for shape, _ in own),
        trained=sum(math.prod(shape) for shape, _ in trained),
        adapters=sum(math.prod(shape) for shape, _ in added),
        adapted={name.rpartition(".")[2]: (one.in_features, one.out_features) for name, one in adapted.items()},
        linear=sum(one.weight.numel() for one in layers.values()),
        output=0 if output is None else output.weight.numel(),
        quantised=sum(quantised),
        held=sum(base_bytes(base, n) for n in quantised),
        states=sum(state_bytes(settings.optimizer, *one) for one in trained),
        largest=max(math.prod(shape) for shape, _ in trained),
        fresh=RANK * sum(one.out_features for name, one in layers.items() if name.rpartition(".")[2] in ADAPTED),
        layer=sum(weight.numel() for weight in repeated[0].parameters()) if len(repeated) else 0,
        layers=len(repeated),
        itemsize=_itemsize(config, settings),
        gradient=2 if settings.weights == "bf16" else 4,
    )


def _has_adapter(name: str, settings: TuneSettings) -> bool:
    lora = settings.lora
    return lora is not None and (lora.target_modules is None or name.rpartition(".")[2] in lora.target_modules)


def _adapter_shapes(adapted: Any, settings: TuneSettings) -> Iterator[tuple[int, ...]]:
    lora = settings.lora
    if lora is None:
        return
    for layer in adapted.values():
        yield lora.rank, layer.in_features
        yield layer.out_features, lora.rank
        if lora.dora:
            yield (layer.out_features,)


def _itemsize(config: Any, settings: TuneSettings) -> int:
    base = settings.weights if settings.lora is None else settings.lora.base
    stored = getattr(config, "dtype", None)
    return {"float32": 4, "stored": stored.itemsize if stored is not None else 4}.get(base, 2)


def _activations(
    config: Any, settings: TuneSettings, load: Load, counted: _Counted, assumed: str, shards: int
) -> Stage:
    """What the forward pass keeps for the backward pass, at its peak, as far as gradients do not take its place."""
    from righttime.training.chunks import worth_chunks

    what = f"{load.rows:,} × {load.length:,} tokens a micro-batch, {load.learnt:,} of them learnt{assumed}"
    if config.model_type not in FAMILIES:
        note = f"NOT TOLD for {config.model_type}, only for {', '.join(FAMILIES)}, and not in the peak; {what}"
        return Stage("activations", 0, None, 0, 0, note)
    layer, between = _layer_bytes(config, settings, load, counted)
    half = settings.precision == "bf16" or counted.itemsize == 2
    chunked = worth_chunks(load.learnt, config.vocab_size)
    logits, merged = _loss_bytes(config, settings, load, counted, 2 if half else 4), _merged_bytes(settings, counted)
    copies = 2 * counted.linear if settings.precision == "bf16" and counted.itemsize == 4 else 0  # in bfloat16
    kept = 2 * config.hidden_size * load.tokens * 4  # of the last norm
    if settings.recompute:  # of one layer at a time, and the logits are gone by then
        kept += config.num_hidden_layers * between + max(logits, layer + merged + copies // config.num_hidden_layers)
    else:
        kept += config.num_hidden_layers * layer + max(logits, merged) + copies
    second = 0  # the embeddings' gradient, before it is added to the output layer's, whose weights they are
    if settings.lora is None and getattr(config, "tie_word_embeddings", False):
        second = counted.gradient * counted.output
    kept += 0 if chunked else second
    if not load.several:  # gradients come while activations go: one takes the other's place
        gradients = counted.gradient * (
            counted.trained - (counted.output if settings.lora is None and not chunked else 0)
        )
        kept = max(layer + (second if chunked else 0), kept - gradients // shards)
    return Stage(
        "activations", 0, None, 0, 0, f"{what}; kept for the backward pass; what the allocator keeps comes on top", kept
    )


def _loss_bytes(config: Any, settings: TuneSettings, load: Load, counted: _Counted, each: int) -> int:
    """Bytes that the loss takes, of all logits at once or of a chunk.

    With chunks the gradients of states and, where it is trained, of the output layer are there before all others: that
    of the layer in float32, and a chunk's part of it beside.
    """
    from righttime.training.chunks import chunk_rows, worth_chunks

    if not worth_chunks(load.learnt, config.vocab_size):
        return int(load.learnt * config.vocab_size * _LOGITS[each])
    found = chunk_rows(load.learnt, config.vocab_size) * config.vocab_size * _OF_CHUNK[each]
    found += load.learnt * config.hidden_size * 4
    return int(found + ((4 + each) * counted.output if settings.lora is None else 0))


def _rearranging(config: Any, settings: TuneSettings, counted: _Counted) -> Iterator[Stage]:
    """Numbers of the rows that are left, which are made between two steps; the target's rows are not known."""
    from righttime.training.ways import GRADIENTS, LM, way_named

    if settings.rearrange_every is None:
        return
    by = way_named(settings.rearrange_by)
    trained = settings.rearrange_every * settings.batch * settings.accumulation
    share = by.way.passes / (4 if settings.recompute else 3)  # of a step: a backward pass costs two forward ones
    share *= _ADAM if by.adam else 1
    told = f"every {settings.rearrange_every:,} steps" + ", beside the target's rows" * by.way.around + ": "
    signs = DIM * (counted.adapters or counted.fresh) if by.name == GRADIENTS else 0
    if settings.window is None:
        told += f"NOT TOLD of all rows left, and not in the peak; {share:.0%} of the time that they take in training"
        yield Stage("rearranging", 0, None, 0, 0, f"{told}. Hint: `window=` bounds how many", signs)
        return
    each = {LM: 4 * config.hidden_size, GRADIENTS: 4 * int(by.read.get("subspace") or DIM)}.get(by.name, 8)
    told += f"{settings.window:,} rows {by.way.done} in about {settings.window / trained * share:.0%} of the time that "
    told += f"the {trained:,} rows of these steps train; bytes on disk each time"
    yield Stage("rearranging", 0, None, 0, settings.window * each, told, 2 * settings.window * each + signs)


def _layer_bytes(config: Any, settings: TuneSettings, load: Load, counted: _Counted) -> tuple[int, int]:
    """Bytes that one layer keeps, and those of its input alone.

    Numbers of a token are of the width (h), of all attention heads (a: queries, keys and values after they are
    repeated, and what attention returns), and of the gated layer (i: gate, its activation, the other half, their
    product). In half precision the norms stay float32, and each linear layer keeps a copy of its input of its own. A
    layer that is not trained keeps nothing of its input; its adapter does.
    """
    width, inner = config.hidden_size, config.intermediate_size
    heads = config.num_attention_heads * (getattr(config, "head_dim", None) or width // config.num_attention_heads)
    autocast, half = settings.precision == "bf16", counted.itemsize == 2
    if settings.lora is not None:
        each = (8, 8, 6) if autocast or half else (8, 16, 12)  # each norm: what comes in
    elif not autocast:
        each = (24, 16, 16)  # each norm: what comes in, normalised, what goes out
    else:
        each = (16, 8, 8) if half else (26, 8, 8)
    found = load.tokens * (each[0] * width + each[1] * heads + each[2] * inner)
    if settings.attention == "eager":  # all pairs, and what attention returns in the order of tokens
        found += load.tokens * heads * (2 if autocast or half else 4)
        found += load.rows * config.num_attention_heads * load.length**2 * (6 if autocast or half else 4)
    return found + _adapter_bytes(settings, load, counted), load.tokens * width * (2 if half else 4)


def _adapter_bytes(settings: TuneSettings, load: Load, counted: _Counted) -> int:
    """Bytes that the adapters of one layer keep: what A and B read, and with DoRA what its sizes multiply.

    With dropout A reads a copy, and the mask, as large as a float32 of it on a CPU, is kept beside it. DoRA's sizes
    multiply the output of the layer and of B; with dropout the first is made anew of what was not dropped, and the
    layer's weights, cast for that, are kept.
    """
    lora = settings.lora
    if lora is None:
        return 0
    autocast, half = settings.precision == "bf16", counted.itemsize == 2
    each = 2 if autocast else 4
    if lora.dropout or autocast or half:
        numbers = sum(read for read, _ in counted.adapted.values())
    else:
        once = {_KEPT_ONCE.get(name, name): read for name, (read, _) in counted.adapted.items() if name != "o_proj"}
        numbers = sum(once.values())
    of_token = each * (numbers + lora.rank * len(counted.adapted))
    of_token += 4 * sum(read for read, _ in counted.adapted.values()) if lora.dropout else 0
    if not lora.dora:
        return load.tokens * of_token
    own = 2 if autocast or (half and not lora.dropout) else 4
    of_token += (own + each) * sum(made for _, made in counted.adapted.values())
    cast = each if lora.dropout and (autocast or half) else 0
    return load.tokens * of_token + cast * sum(math.prod(shape) for shape in counted.adapted.values())


def _merged_bytes(settings: TuneSettings, counted: _Counted) -> int:
    """Bytes that DoRA takes for a moment to measure a layer's weights with B·A: a unit matrix, B·A, scaled, the sum.

    The weights of a base in half precision are widened besides.
    """
    if settings.lora is None or not settings.lora.dora or not counted.adapted:
        return 0
    weights = 4 if counted.itemsize == 2 else 3
    return max(4 * (read**2 + weights * read * made) for read, made in counted.adapted.values())
