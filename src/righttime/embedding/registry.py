"""Embedders by name: what `embedder` and `precision` take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from righttime.embedding import combined, given, gradients, hidden_states, static
from righttime.embedding.centring import CENTRINGS, SAMPLE, Centring
from righttime.embedding.int8 import Int8Embedder
from righttime.embedding.models import DEFAULT_MODEL, FULL, checked_weights, load_embedder
from righttime.embedding.protocol import Embedder
from righttime.embedding.run_checkpoints import checkpoints_of_run
from righttime.errors import SettingsError, unknown_name

__all__ = [
    "EMBEDDERS",
    "PRECISIONS",
    "EmbedderKind",
    "Option",
    "Precision",
    "check_embedder",
    "embedder_named",
    "live_options",
]


@dataclass(frozen=True)
class EmbedderKind:
    """One line of the table of embedders.

    Attributes:
        spelled: How `embedder` names one.
        does: What its vectors are, in a few words.
        source: The paper or package it comes from.
        make: Makes one of the model's name and the settings that it takes; None where vectors are read, not made.
        takes: The settings that it takes, besides the model.
        alone: Whether the kind alone, without a model, names one.
        options: What may follow the model's name after a ``#``, with commas between: name to option.
        read: What `make` gets of the options given; refuses those that do not go together.
        parts: The embedders that a name names, with weights, where it names several.
    """

    spelled: str
    does: str
    source: str
    make: Callable[..., Embedder] | None
    takes: frozenset[str]
    alone: bool = False
    options: Mapping[str, Option] = field(default_factory=dict)
    read: Callable[[Mapping[str, Any]], dict[str, Any]] = dict
    parts: Callable[[str], list[tuple[str, float]]] | None = None


@dataclass(frozen=True)
class Option:
    """One option of an embedder.

    Attributes:
        spelled: How it is written.
        does: What it does, in a few words.
        read: What it makes of its value; None where it has none.
    """

    spelled: str
    does: str
    read: Callable[[str], Any] | None = None


@dataclass(frozen=True)
class Precision:
    """One line of the table of precisions that a sentence-transformers model can be run in.

    Attributes:
        does: What it is for, in a few words.
        make: Makes an embedder of a model's name, maximum length, prefix, device and, where `passed`, the precision.
        passed: Whether `make` is given the precision's name.
    """

    does: str
    make: Callable[..., Embedder]
    passed: bool = True


def _loaded(name: str, **settings: Any) -> Embedder:
    return load_embedder(name, **settings)


def _int8(name: str, *, prompts: str | None = None, centring: Centring | None = None, **settings: Any) -> Embedder:
    if prompts is not None:
        raise SettingsError(f"`prompts` do not go with int8, got {prompts!r}.", setting="precision")
    if (weights := settings.pop("weights", FULL)) != FULL:
        raise SettingsError(f"`weights` do not go with int8, got {weights!r}.", setting="precision")
    embedder = Int8Embedder(name, **settings)
    embedder.centring = centring
    return embedder


PRECISIONS: Mapping[str, Precision] = {
    FULL: Precision("the model's own vectors", _loaded),
    "float16": Precision("nearly the same, for GPUs", _loaded),
    "bfloat16": Precision("nearly the same, for GPUs and CPUs with AMX", _loaded),
    "int8": Precision("near, for CPUs: the order may differ in places", _int8, passed=False),
}
"""Name in `precision` to precision, the default first."""


def _positive(value: str) -> int:
    if int(value) < 1:
        raise ValueError
    return int(value)


def _name(value: str) -> str:
    if not all(value.split(":")) or value.count(":") > 1:
        raise ValueError
    return value


def _of_texts(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a sentence-transformers model that options are."""
    return {"prompts": options.get("prompts"), "centring": _centring_in(options), **_held(options)}


def _of_states(options: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of hidden states that options are."""
    layer: int | None = options.get("layer")
    if layer == 0:
        raise SettingsError("`layer` must be 1 or more, or -1 or less from the end, got 0.", setting="embedder")
    return {"layer": layer, "centring": _centring_in(options), **_held(options)}


def _held(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("weights",) if name in options}


def _centring_in(options: Mapping[str, Any]) -> Centring | None:
    how = [name for name in CENTRINGS if name in options]
    drawn = {name: options[name] for name in ("sample", "seed") if name in options}
    if len(how) > 1 or (drawn and not how):
        raise SettingsError(
            f"`sample` and `seed` go with one of {' and '.join(CENTRINGS)}, got {', '.join(options)}.",
            setting="embedder",
        )
    return Centring(how[0], **drawn) if how else None


_WEIGHTS = {
    "weights": Option(
        "weights=TYPE",
        "the type of its weights: float32 (default); bfloat16, in half the memory; stored, as in its files",
        checked_weights,
    )
}
_CENTRING = {
    **{name: Option(name, does) for name, does in CENTRINGS.items()},
    "sample": Option("sample=N", f"how many different texts of the pool that sample has, default {SAMPLE:,}", int),
    "seed": Option("seed=N", "draws them, default 0", int),
}


def _combined(spec: str, **settings: Any) -> Embedder:
    """A combination, each part with the settings that it takes."""
    named = combined.weighted_parts(spec)
    takes = [_entry(name)[1].takes for name, _ in named]
    precision = settings.pop("precision")
    if precision != FULL and not any("precision" in one for one in takes):
        raise _no_precision(precision, combined.joined(named))
    made = [
        (embedder_named(name, **settings, precision=precision if "precision" in one else FULL), weight)
        for (name, weight), one in zip(named, takes, strict=True)
    ]
    parts = [part for one, weight in made for part in combined.parts_of(one, weight)]
    weights = [weight for _, weight in parts]
    return combined.CombinedEmbedder([part for part, _ in parts], weights, combined.joined(named))


def _gradients(name: str, **settings: Any) -> Embedder:
    """Gradients of a model, or of a run's checkpoints together, each weighing its mean learning rate."""
    found = checkpoints_of_run(name)
    if len(found) < 2:
        return gradients.GradientEmbedder(str(found[0].path) if found else name, **settings)
    parts = [gradients.GradientEmbedder(str(one.path), **settings) for one in found]
    return combined.CombinedEmbedder(parts, [one.rate for one in found], f"{gradients.PREFIX}{name}")


def _of_precision(name: str, *, precision: str, **settings: Any) -> Embedder:
    entry = PRECISIONS[precision]
    return entry.make(name, **settings, **({"precision": precision} if entry.passed else {}))


EMBEDDERS: Mapping[str, EmbedderKind] = {
    "": EmbedderKind(
        "MODEL",
        "a sentence-transformers model, a folder or hub name; default: all-MiniLM-L6-v2",
        "Reimers and Gurevych 2019",
        _of_precision,
        frozenset({"max_length", "prefix", "device", "precision"}),
        options={
            "prompts": Option(
                "prompts=WHICH",
                "the model's prompts: card, the name of one, or POOL:TARGET, the names of two; with prefix that "
                "setting stands before the target's rows alone",
                _name,
            ),
            **_WEIGHTS,
            **_CENTRING,
        },
        read=_of_texts,
    ),
    static.PREFIX: EmbedderKind(
        "static[:MODEL]",
        "a mean of token vectors, distilled from the default or that model",
        "model2vec, Minish Lab",
        lambda model, max_length: static.StaticEmbedder(model or DEFAULT_MODEL, max_length=max_length),
        frozenset({"max_length"}),
        alone=True,
    ),
    hidden_states.PREFIX.rstrip(":"): EmbedderKind(
        "lm:MODEL",
        "a causal model's hidden states, averaged with weights that grow with the position",
        "Ivison et al. 2025 (RDS+)",
        hidden_states.HiddenStateEmbedder,
        frozenset({"max_length", "prefix", "device"}),
        options={
            "layer": Option("layer=L", "the layer, from 1, or from -1 backwards; default: the last, normed", int),
            **_WEIGHTS,
            **_CENTRING,
        },
        read=_of_states,
    ),
    gradients.PREFIX.rstrip(":"): EmbedderKind(
        "gradients:MODEL",
        "gradients of a causal model's adapters, fresh or trained, projected at random; MODEL may be a folder of "
        "`righttime tune`: then at all its checkpoints, each weighing its mean learning rate",
        "Xia et al. 2024 (LESS)",
        _gradients,
        frozenset({"max_length", "device"}),
        options={
            "adam": Option("adam", "of a checkpoint of adapters: pool rows by Adam's next step, as in LESS"),
            "subspace": Option("subspace=K", "K directions of the target's gradients, as in GIST", _positive),
            **_WEIGHTS,
        },
    ),
    combined.PREFIX.rstrip(":"): EmbedderKind(
        "combine:A*W+B*W",
        "those of several embedders: similarities are summed with weights",
        "ours",
        _combined,
        frozenset({"max_length", "device", "precision"}),
        parts=combined.weighted_parts,
    ),
    given.PREFIX.rstrip(":"): EmbedderKind(
        "vectors:FILE[#NAME]", "vectors of your own, in a file", "yours", None, frozenset()
    ),
}
"""Kind, which stands before the colon in `embedder`, to embedder; the first, without one, is the default."""


def embedder_named(
    name: str,
    *,
    max_length: int | None = None,
    prefix: str = "",
    device: str | None = None,
    precision: str = FULL,
) -> Embedder:
    """The embedder of that name.

    Args:
        name: As `EMBEDDERS` spells it, with options after a ``#``. MODEL is a folder or a hub name.
        max_length: Tokens to read of each text; None takes the model's own.
        prefix: Put before every text.
        device: ``cpu``, ``cuda``, ...; None takes the best there is.
        precision: A name of `PRECISIONS`.

    Raises:
        EmbeddingError: If there is no such model; names it.
        SettingsError: If a setting is unknown or does not go with the embedder.
    """
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    model, entry = _entry(name)
    if precision != FULL and "precision" not in entry.takes:
        raise _no_precision(precision, name)
    if prefix and "prefix" not in entry.takes:
        raise SettingsError(f"`prefix` does not go with {entry.spelled}, got {prefix!r}.", setting="prefix")
    settings = {"max_length": max_length, "prefix": prefix, "device": device, "precision": precision}
    taken: dict[str, Any] = {setting: settings[setting] for setting in settings if setting in entry.takes}
    if entry.options:
        model, options = _options(model, entry)
        taken |= options
    assert entry.make is not None
    return entry.make(model, **taken)


def live_options(kind: str, options: str) -> dict[str, Any]:
    """The settings that options are, of an embedder that a model which is loaded already makes.

    Args:
        kind: A name of `EMBEDDERS`.
        options: As they follow the ``#`` after a model's name, such as ``layer=12,centred``.

    Raises:
        SettingsError: As `embedder_named`; or if an option says how a model is to be loaded.
    """
    found = _options(f"#{options}", EMBEDDERS[kind])[1]
    if "weights" in found:
        raise SettingsError(
            f"`weights` says how a model is loaded, but this one is loaded already, got {options!r}. "
            "Hint: leave it out.",
            setting="embedder",
        )
    return found


def _no_precision(precision: str, name: str) -> SettingsError:
    return SettingsError(
        f"`precision` is for sentence-transformers models, got {precision} with {name!r}.", setting="precision"
    )


def check_embedder(name: str) -> None:
    """Refuse wrong options of an embedder before anything is loaded.

    Raises:
        SettingsError: As `embedder_named`.
    """
    model, entry = _entry(name)
    if entry.options:
        _options(model, entry)
    for part, _ in entry.parts(model) if entry.parts else ():
        check_embedder(part)


def _entry(name: str) -> tuple[str, EmbedderKind]:
    """The model's name with its options, and the entry of its kind."""
    kind, colon, model = name.partition(":")
    entry = EMBEDDERS.get(kind) if kind and (colon or EMBEDDERS.get(kind, EMBEDDERS[""]).alone) else None
    return (model, entry) if entry is not None and entry.make is not None else (name, EMBEDDERS[""])


def _options(model: str, entry: EmbedderKind) -> tuple[str, dict[str, Any]]:
    """The model's name, and the settings that follow it after a ``#``.

    Raises:
        SettingsError: If an option is unknown, given twice, or has no value or the wrong one.
    """
    name, mark, rest = model.rpartition("#")
    if not mark or Path(model).exists():
        return model, entry.read({})
    found: dict[str, Any] = {}
    for word in rest.split(","):
        option, equals, value = word.strip().partition("=")
        if option not in entry.options:
            raise unknown_name(f"option of {entry.spelled}", option, entry.options, setting="embedder")
        read, spelled = entry.options[option].read, entry.options[option].spelled
        if option in found or bool(equals) != (read is not None):
            raise SettingsError(f"an option must be given once, as {spelled}, got {rest!r}.", setting="embedder")
        try:
            found[option] = read(value) if read else True
        except SettingsError:
            raise
        except ValueError:
            raise SettingsError(f"an option must be {spelled}, got {word!r}.", setting="embedder") from None
    return name, entry.read(found)
