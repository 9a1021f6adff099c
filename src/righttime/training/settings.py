"""Everything that decides how a model is tuned."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

from righttime.errors import SettingsError, unknown_name
from righttime.formats.remote import without_secrets
from righttime.keywords import named_fields
from righttime.tokenization.masking import AnswerEnd
from righttime.training.adapters import Lora
from righttime.training.bases import BASES
from righttime.training.optimizers import OPTIMIZERS

if TYPE_CHECKING:
    from typing_extensions import Unpack  # of typing from Python 3.11

__all__ = ["PRESETS", "TuneSettings"]

Form = Literal["auto", "chat", "paper"]
Schedule = Literal["constant", "cosine"]
Precision = Literal["float32", "bf16"]
Weights = Literal["float32", "bf16"]
Optimizer = Literal["adamw", "adafactor", "adamw-8bit", "paged-adamw", "paged-adamw-8bit"]
"""`righttime.training.optimizers.OPTIMIZERS`."""
Attention = Literal["auto", "eager", "sdpa", "flash"]
Kernels = Literal["torch", "liger"]


_CENTRED = "centred"  # as they are, hidden states are all nearly alike


class TuneChanges(TypedDict, total=False):
    """Any of the fields of `TuneSettings`, as keywords."""

    batch: int
    accumulation: int
    batch_tokens: int | None
    pack_tokens: int | None
    epochs: int
    shuffle_after: int | None
    rearrange_every: int | None
    window: int | None
    rearrange_by: str
    rearrange_pool: str | None
    learning_rate: float | None
    schedule: Schedule
    min_rate: float
    warmup: int
    betas: tuple[float, float]
    eps: float
    weight_decay: float
    clip: float
    max_length: int | None
    form: Form
    answer_end: AnswerEnd
    lora: Lora | None
    precision: Precision
    weights: Weights
    optimizer: Optimizer
    attention: Attention
    kernels: Kernels
    recompute: bool
    compile: bool
    seed: int | None
    save_every: int
    keep: int | None
    average_last: int | None
    average_decay: float | None
    save_model: bool
    log_every: int
    report_to: tuple[str, ...]
    allow_reorder: bool


@named_fields
@dataclass(frozen=True)
class TuneSettings:
    """How a model is tuned. The defaults compare orders: a rate that decays would confound the order with the rate.

    Attributes:
        batch: Rows of one micro-batch of one process.
        accumulation: Micro-batches of one optimizer step.
        batch_tokens: Inside an optimizer step, which consumes the same rows, group them by length into micro-batches of
            at most so many tokens with padding; None cuts it into `accumulation` micro-batches of `batch` rows.
        pack_tokens: Inside an optimizer step, which consumes the same rows, pack them in order, each whole, into
            sequences of at most so many tokens, one for a micro-batch; None packs nothing.
        epochs: How often every row is consumed.
        shuffle_after: Follow the arrangement for so many steps, then shuffle; None follows it throughout.
        rearrange_every: Every so many steps, arrange the rows that are left anew by the model as it is, and go on in
            that order; None follows the arrangement throughout.
        window: With `rearrange_every`: look at only the next so many rows of the arrangement that are left; None: all.
        rearrange_by: With `rearrange_every`: by what; `righttime.training.ways.WAYS`. TMA over hidden states, such as
            ``lm:layer=12,centred``, or the options alone (``layer=-1`` takes the last as they are); over ``gradients``
            of the loss, or with ``gradients:adam`` of pool rows the step that Adam would take by them; or by the
            ``loss`` itself: ``loss:high``, ``loss:medium``, ``loss:low``.
        rearrange_pool: With `rearrange_every`: a file or folder of more rows, behind the arrangement's, which may be
            consumed in their place; the run still consumes as many rows as the arrangement has. None: none.
        learning_rate: The highest rate; None takes 1e-5, or 1e-4 with adapters. `rate` tells it.
        schedule: ``constant``, or ``cosine``, which falls to `min_rate` times the rate.
        min_rate: What ``cosine`` leaves of the rate at the end, as a share.
        warmup: Steps in which the rate rises from 0.
        betas: AdamW's two decay rates.
        eps: AdamW's epsilon.
        weight_decay: AdamW's decay of weights.
        clip: The largest norm of the gradient; larger ones are scaled down to it.
        max_length: The most tokens of a row; what is longer is cut at the end, and counted. None takes 2,048, or what
            the model reads where that is less.
        form: ``chat``, ``paper`` or ``auto``; see `righttime.tokenization.masking`.
        answer_end: Where an answer ends: ``token`` or ``template``; see `righttime.tokenization.masking`.
        lora: Adapters instead of all weights, or None.
        precision: ``float32``, or ``bf16`` for bfloat16 arithmetic on float32 weights.
        weights: ``float32``, or ``bf16`` for weights in bfloat16 that are the rounding of float32 masters, which the
            optimizer trains; only without adapters, and with the precision ``bf16``.
        optimizer: ``adamw``, or ``adafactor``, whose state is much smaller and which has neither `betas` nor `eps`;
            with bitsandbytes ``adamw-8bit``, and on a GPU ``paged-adamw`` and ``paged-adamw-8bit``.
        attention: How attention is computed: ``eager``, ``sdpa``, ``flash`` (needs ``flash-attn`` and ``bf16``), or
            ``auto`` for what transformers takes.
        kernels: What computes norms, gates and rotations: ``torch``, or ``liger`` for Liger's kernels, which need CUDA
            and ``liger-kernel``.
        recompute: Recompute activations in the backward pass, for less memory.
        compile: Compile the layers by `torch.compile` for training steps; evaluations stay uncompiled.
        seed: Decides what is drawn by chance: shuffles, adapters, dropout. None takes 0, and asks for no word where
            nothing is. `chance` tells it.
        save_every: A checkpoint every so many steps, and one at the end.
        keep: How many checkpoints are kept; None keeps all.
        average_last: Keep the mean of the last so many checkpoints beside the last, and measure it too where the run is
            evaluated; at least these are kept. None averages nothing.
        average_decay: In that mean each checkpoint weighs so many times what the next one does, above 0 and below 1;
            None weighs all alike.
        save_model: Save the tuned model. Without it records and evaluation alone are kept: no checkpoint is written at
            the end, and earlier ones, which a stopped run resumes from, are removed when the run is finished.
        log_every: The training loss is logged every so many steps.
        report_to: Names of trackers, as transformers knows them.
        allow_reorder: Record differences from the plan instead of stopping.

    Raises:
        SettingsError: If one is out of range or unknown.
    """

    batch: int = 16
    accumulation: int = 1
    batch_tokens: int | None = None
    pack_tokens: int | None = None
    epochs: int = 1
    shuffle_after: int | None = None
    rearrange_every: int | None = None
    window: int | None = None
    rearrange_by: str = _CENTRED
    rearrange_pool: str | None = None
    learning_rate: float | None = None
    schedule: Schedule = "constant"
    min_rate: float = 0.1
    warmup: int = 0
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-5
    weight_decay: float = 0.0
    clip: float = 1.0
    max_length: int | None = None
    form: Form = "auto"
    answer_end: AnswerEnd = "token"
    lora: Lora | None = None
    precision: Precision = "float32"
    weights: Weights = "float32"
    optimizer: Optimizer = "adamw"
    attention: Attention = "auto"
    kernels: Kernels = "torch"
    recompute: bool = False
    compile: bool = False
    seed: int | None = None
    save_every: int = 500
    keep: int | None = 2
    average_last: int | None = None
    average_decay: float | None = None
    save_model: bool = True
    log_every: int = 1
    report_to: tuple[str, ...] = ()
    allow_reorder: bool = False

    def __post_init__(self) -> None:
        for name in (
            "batch",
            "accumulation",
            "batch_tokens",
            "pack_tokens",
            "epochs",
            "rearrange_every",
            "window",
            "max_length",
            "save_every",
            "log_every",
            "keep",
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} must be at least 1, got {value}.", setting=name)
        for name in ("learning_rate", "eps", "clip"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"{name} must be above 0, got {value}.", setting=name)
        for name in ("warmup", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} must not be negative, got {getattr(self, name)}.", setting=name)
        if not 0 <= self.min_rate <= 1:
            raise SettingsError(f"min_rate must be between 0 and 1, got {self.min_rate}.", setting="min_rate")
        chosen: tuple[tuple[str, Any], ...] = ("schedule", Schedule), ("answer_end", AnswerEnd)
        chosen += ("precision", Precision), ("weights", Weights), ("optimizer", Optimizer), ("attention", Attention)
        chosen += (("kernels", Kernels),)
        for kind, known in chosen:
            if (value := getattr(self, kind)) not in get_args(known):
                raise unknown_name(kind, value, get_args(known))
        self._check_effect()

    def _check_effect(self) -> None:
        """Refuse what would be given without effect."""
        if self.average_last is not None and self.average_last < 2:
            raise SettingsError(
                f"average_last must be at least 2, got {self.average_last}: one checkpoint is its own mean.",
                setting="average_last",
            )
        if self.average_decay is not None and self.average_last is None:
            raise SettingsError(
                "`average_decay` must go with `average_last`, which is not given. Hint: `average_last=4`.",
                setting="average_decay",
            )
        if self.average_decay is not None and not 0 < self.average_decay < 1:
            raise SettingsError(
                f"average_decay must be above 0 and below 1, got {self.average_decay}.", setting="average_decay"
            )
        if self.batch_tokens is not None and self.pack_tokens is not None:
            raise SettingsError(
                "`batch_tokens` and `pack_tokens` must not be given together: rows are either grouped or packed. "
                "Hint: give one of them.",
                setting="pack_tokens",
            )
        self._check_rearranging()
        self._check_weights()
        if self.compile and self.lora is not None and self.lora.base in BASES:
            raise SettingsError(
                f'`compile` must have a base that is not in 4 bits, got `base="{self.lora.base}"`. '
                "Hint: leave one of them out.",
                setting="compile",
            )
        for name in ("compile", "rearrange_every") if self.kernels == "liger" else ():
            if getattr(self, name):
                raise SettingsError(
                    f'`kernels="liger"` must go without `{name}`, with which it was not tried. '
                    "Hint: leave one of them out.",
                    setting="kernels",
                )
        defaults = {entry.name: entry.default for entry in dataclasses.fields(self)}
        for name in ("betas", "eps") if OPTIMIZERS[self.optimizer].factored else ():
            if getattr(self, name) != defaults[name]:
                raise SettingsError(
                    f"{name} must not be given with {self.optimizer}, which has none, got {getattr(self, name)}.",
                    setting=name,
                )
        if self.attention == "flash" and self.precision != "bf16":
            raise SettingsError(
                f'`attention="flash"` must compute in bfloat16, got precision {self.precision!r}. '
                'Hint: `precision="bf16"`.',
                setting="attention",
            )

    def _check_weights(self) -> None:
        """Refuse bfloat16 weights where no masters would be trained, or that would be computed with otherwise."""
        if self.weights == "float32":
            return
        if self.lora is not None:
            raise SettingsError(
                '`weights="bf16"` must train all weights, but with `lora` only adapters are trained, in float32. '
                'Hint: `base="bf16"` of the adapters holds their base in bfloat16.',
                setting="weights",
            )
        if self.precision != "bf16":
            raise SettingsError(
                f'`weights="bf16"` must compute in bfloat16, got precision {self.precision!r}. '
                'Hint: `precision="bf16"`.',
                setting="weights",
            )

    def _check_rearranging(self) -> None:
        """Refuse what does not go with an order that changes while the model trains."""
        if self.rearrange_every is None:
            plain = {"window": None, "rearrange_pool": None, "rearrange_by": _CENTRED}
            if given := next((name for name, value in plain.items() if getattr(self, name) != value), None):
                raise SettingsError(f"`{given}` must go with `rearrange_every`, which is not given.", setting=given)
            return
        if self.epochs > 1:
            raise SettingsError(
                f"`rearrange_every` must have one epoch, whose rows are consumed once, got epochs {self.epochs}. "
                "Hint: leave one of them out.",
                setting="rearrange_every",
            )
        if self.lora is not None and self.lora.base in BASES:
            raise SettingsError(
                f"`rearrange_every` must have a base that is not in 4 bits, since `verify` reads it whole, got "
                f'`base="{self.lora.base}"`. Hint: `base="bf16"`.',
                setting="rearrange_every",
            )
        if self.shuffle_after is not None:
            raise SettingsError(
                "`rearrange_every` and `shuffle_after` must not be given together: what is left is either arranged or "
                "shuffled. Hint: give one of them.",
                setting="rearrange_every",
            )
        from righttime.training.ways import way_named  # late: it imports what tuning may not need

        if way_named(self.rearrange_by).adam and (self.lora is None or not OPTIMIZERS[self.optimizer].keeps_moments):
            got = "all weights" if self.lora is None else f"adapters trained by {self.optimizer}"
            raise SettingsError(
                f"`rearrange_by` must have adapters trained by adamw, whose moments are read, to take `adam`, got "
                f'{got}. Hint: `lora` and `optimizer="adamw"`, or leave `adam` out.',
                setting="rearrange_by",
            )

    @classmethod
    def preset(cls, name: str, **changes: Unpack[TuneChanges]) -> TuneSettings:
        """A named set of settings, with some changed.

        With adapters the learning rate is theirs: a preset's own is meant for all weights.

        Args:
            name: One of `PRESETS`.
            changes: Fields that are to differ from it.

        Raises:
            SettingsError: If the name is unknown.

        Example:
            >>> TuneSettings.preset("paper", batch=4).learning_rate
            1e-06
        """
        if name not in PRESETS:
            raise unknown_name("preset", name, PRESETS)
        of_preset = dict(PRESETS[name])
        if changes.get("lora") is not None:
            of_preset.pop("learning_rate", None)
        fields: dict[str, Any] = {**of_preset, **changes}
        return cls(**fields)

    @property
    def kept(self) -> int | None:
        """How many checkpoints are kept: those that are averaged at the least."""
        return None if self.keep is None else max(self.keep, self.average_last or 0)

    @property
    def budgeted(self) -> str | None:
        """The setting by which the layout inside a step follows from the rows' lengths; None where none is given."""
        return next((name for name in ("batch_tokens", "pack_tokens") if getattr(self, name) is not None), None)

    @property
    def by_length(self) -> bool:
        """Whether the layout inside a step follows from the rows' lengths."""
        return self.budgeted is not None

    @property
    def rate(self) -> float:
        """The highest learning rate."""
        if self.learning_rate is not None:
            return self.learning_rate
        return _RATE if self.lora is None else _LORA_RATE

    @property
    def chance(self) -> int:
        """The seed that is used."""
        return self.seed or 0

    def facts(self) -> dict[str, Any]:
        """All settings as JSON, what was not given as it is used; nothing of rearranging where that is not asked for.

        So a run without it is described as by earlier versions.
        """
        facts = {**dataclasses.asdict(self), "learning_rate": self.rate, "seed": self.chance}
        facts["rearrange_pool"] = self.rearrange_pool and without_secrets(self.rearrange_pool)
        apart = ["rearrange_pool"] if self.rearrange_pool is None else []
        apart += [] if self.rearrange_every is not None else ["rearrange_every", "window", "rearrange_by"]
        return {name: value for name, value in facts.items() if name not in apart}

    def deciding(self) -> dict[str, Any]:
        """What decides the weights and the order: all that must not change when a run goes on."""
        return {name: value for name, value in self.facts().items() if name not in _FREE}


_RATE = 1e-5
# Adapters want about ten times the rate of all weights: "LoRA Without Regret" (Thinking Machines, 2025).
_LORA_RATE = 1e-4


# Where answers end decides too, by the tokens that are learnt: those are compared themselves.
_FREE = {"save_every", "keep", "average_last", "average_decay", "save_model", "log_every", "report_to"}
_FREE |= {"allow_reorder", "answer_end"}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "constant": {},
        "paper": {
            "batch": 16,
            "learning_rate": 1e-6,
            "schedule": "cosine",
            "min_rate": 0.1,
            "betas": (0.9, 0.95),
            "eps": 1e-5,
            "weight_decay": 0.0,
            "clip": 1.0,
            "max_length": 2048,
            "form": "paper",
        },
    }
)
"""Named settings: ``constant``, the defaults, for comparing orders; ``paper``, those of the paper's code."""
