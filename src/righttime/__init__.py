"""righttime: arrange a pool of instruction-tuning data around what the model will be judged on.

Nothing heavy is imported until a name is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from righttime.api import arrange
    from righttime.arrangement import Arrangement, arrange_embeddings
    from righttime.demo import builtin_rows
    from righttime.errors import RighttimeError
    from righttime.examples import Example, Message
    from righttime.exporters import ExportSettings
    from righttime.exporters.export import export
    from righttime.formats import read_rows
    from righttime.measures.agreement import agreement
    from righttime.training import Lora, TuneSettings, tune

from righttime.version import __version__ as __version__

_HOME = {
    "Arrangement": "righttime.arrangement",
    "Example": "righttime.examples",
    "ExportSettings": "righttime.exporters",
    "Lora": "righttime.training",
    "Message": "righttime.examples",
    "RighttimeError": "righttime.errors",
    "TuneSettings": "righttime.training",
    "agreement": "righttime.measures.agreement",
    "arrange": "righttime.api",
    "arrange_embeddings": "righttime.arrangement",
    "builtin_rows": "righttime.demo",
    "export": "righttime.exporters",
    "read_rows": "righttime.formats",
    "tune": "righttime.training",
}

__all__ = [
    "Arrangement",
    "Example",
    "ExportSettings",
    "Lora",
    "Message",
    "RighttimeError",
    "TuneSettings",
    "agreement",
    "arrange",
    "arrange_embeddings",
    "builtin_rows",
    "export",
    "read_rows",
    "tune",
]


if not TYPE_CHECKING:  # a type checker would take every unknown name for Any

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'righttime' has no attribute {name!r}")
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
