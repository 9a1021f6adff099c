"""Ways to rearrange the rows that are left while a model trains: what `rearrange_by` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from righttime.embedding import gradients, hidden_states
from righttime.embedding.registry import EMBEDDERS, live_options
from righttime.errors import unknown_name
from righttime.training.anew import FOCUSES

__all__ = ["WAYS", "By", "Way", "way_named"]

LM, GRADIENTS, LOSS = hidden_states.PREFIX.rstrip(":"), gradients.PREFIX.rstrip(":"), "loss"


@dataclass(frozen=True)
class Way:
    """One line of the table of ways.

    Attributes:
        told: What rows are arranged by, as an announcement says it; `{}` takes the options.
        done: What is done to a row, in the past tense.
        read: What it makes of the options after the colon.
        fed: Whether it reads rows as the run feeds them, for their loss; else their texts.
        around: Whether the target decides.
        usual: The options where none are given.
        passes: Forward passes that a row costs, with a third of a training step for one.
    """

    told: str
    done: str
    read: Callable[[str], Mapping[str, Any]]
    fed: bool
    around: bool
    usual: str
    passes: int


@dataclass(frozen=True)
class By:
    """A way with its options.

    Attributes:
        name: The way's.
        way: The way.
        options: As they were given.
        read: What the way made of them.
    """

    name: str
    way: Way
    options: str
    read: Mapping[str, Any]

    @property
    def focus(self) -> str | None:
        """Which losses come first; None where rows are not arranged by their losses."""
        return self.read.get("focus")

    @property
    def adam(self) -> bool:
        """Whether pool rows are compared by the step that Adam would take by them, so with its moments."""
        return bool(self.read.get("adam"))

    @property
    def told(self) -> str:
        """What rows are arranged by, in words."""
        return self.way.told.format(self.options) if self.options else self.way.told.replace(" ({})", "")


def _focus(options: str) -> dict[str, str]:
    if options not in FOCUSES:
        raise unknown_name("loss to begin with", options, FOCUSES, setting="rearrange_by")
    return {"focus": options}


WAYS: Mapping[str, Way] = {
    LM: Way(
        "the hidden states ({}) of the model as it is",
        "embedded",
        lambda options: live_options(LM, options),
        fed=False,
        around=True,
        usual="centred",
        passes=1,
    ),
    GRADIENTS: Way(
        "the projected gradients ({}) of the model as it is",
        "passed forward and backward",
        lambda options: live_options(GRADIENTS, options) if options else {},
        fed=True,
        around=True,
        usual="",
        passes=2,
    ),
    LOSS: Way(
        "the loss of the model as it is on each of them, {} first",
        "scored",
        _focus,
        fed=True,
        around=False,
        usual=next(iter(FOCUSES)),
        passes=1,
    ),
}
"""Name to way, the default first: TMA over hidden states, or over projected gradients of the loss, or by the loss."""


def way_named(text: str) -> By:
    """The way of that name with its options; options alone are those of hidden states.

    Args:
        text: ``lm:OPTIONS``, ``gradients``, ``gradients:adam,subspace=K``, ``loss`` or ``loss:FOCUS``.

    Raises:
        SettingsError: If the way or an option is unknown.

    Example:
        >>> way_named("loss:low").focus, way_named("centred").name
        ('low', 'lm')
    """
    name, colon, options = text.partition(":")
    if name not in WAYS:
        known = EMBEDDERS[LM].options
        if colon or (not any(word.partition("=")[0] in known for word in text.split(",")) and "=" not in text):
            raise unknown_name("way to rearrange", name, [*WAYS, *known], setting="rearrange_by")
        name, options = LM, text
    way = WAYS[name]
    options = options or way.usual
    return By(name, way, options, way.read(options))
