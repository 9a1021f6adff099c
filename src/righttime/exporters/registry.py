"""Every trainer that an arrangement can be exported to: one line for each."""

from __future__ import annotations

from collections.abc import Mapping

from righttime.errors import unknown_name
from righttime.exporters.axolotl import AXOLOTL
from righttime.exporters.llamafactory import LLAMA_FACTORY
from righttime.exporters.messages import MESSAGES
from righttime.exporters.settings import Trainer
from righttime.exporters.torchtune import TORCHTUNE
from righttime.exporters.trl import TRL

__all__ = ["TRAINERS", "trainer_named"]

TRAINERS: Mapping[str, Trainer] = {
    "trl": TRL,
    "axolotl": AXOLOTL,
    "llamafactory": LLAMA_FACTORY,
    "torchtune": TORCHTUNE,
    "messages": MESSAGES,
}
"""Name to trainer."""


def trainer_named(name: str) -> Trainer:
    """The trainer of a name.

    Raises:
        SettingsError: If there is none.
    """
    if name not in TRAINERS:
        raise unknown_name("trainer", name, TRAINERS, setting="to")
    return TRAINERS[name]
