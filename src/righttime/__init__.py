"""righttime: arrange a pool of instruction-tuning data around what the model will be judged on.

Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from righttime.arrangement import Arrangement, arrange_embeddings
    from righttime.demo import builtin_rows
    from righttime.errors import RighttimeError
    from righttime.examples import Example, Message
    from righttime.formats import read_rows
    from righttime.pipeline import arrange
    from righttime.training import TuneSettings, tune

__version__ = "0.1.0"

_HOME = {
    "Arrangement": "righttime.arrangement",
    "Example": "righttime.examples",
    "Message": "righttime.examples",
    "RighttimeError": "righttime.errors",
    "TuneSettings": "righttime.training",
    "agreement": "righttime.measures.agreement",
    "arrange": "righttime.pipeline",
    "arrange_embeddings": "righttime.arrangement",
    "builtin_rows": "righttime.demo",
    "read_rows": "righttime.formats",
    "tune": "righttime.training",
}

__all__ = [
    "Arrangement",
    "Example",
    "Message",
    "RighttimeError",
    "TuneSettings",
    "agreement",
    "arrange",
    "arrange_embeddings",
    "builtin_rows",
    "read_rows",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'righttime' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
