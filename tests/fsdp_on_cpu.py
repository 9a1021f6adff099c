"""``righttime`` fully sharded over CPUs: accelerate shards over accelerators only, so it is told that it has some.

Run by `accelerate launch` with a configuration for FSDP; the words after this file's name are those of ``righttime``.
"""

from __future__ import annotations

import sys
from typing import Any

from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

from righttime.cli import main

_init = PartialState.__init__


def _init_as_gpus(self: Any, cpu: bool = False, **settings: Any) -> None:
    _init(self, cpu, **settings)
    if self.distributed_type == DistributedType.MULTI_CPU:
        self.distributed_type = DistributedType.MULTI_GPU


if __name__ == "__main__":
    PartialState.__init__ = _init_as_gpus
    code = main(sys.argv[1:])
    print(AcceleratorState().distributed_type)
    sys.exit(code)
