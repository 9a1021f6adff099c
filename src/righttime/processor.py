"""What computes here: for the record, since two kinds of processor round differently. It decides nothing."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

__all__ = ["computes_bfloat16", "processor", "processor_text"]

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Sets of instructions by which libraries choose how they multiply matrices."""
_CPUINFO = Path("/proc/cpuinfo")


def processor() -> dict[str, str]:
    """The kind of processor of this machine.

    Returns:
        ``cpu``: its name; ``instructions``: those of avx2, avx512f, avx512_bf16 and amx_bf16 that it has; ``gpu``: the
        name of the accelerator that torch takes, or nothing. What is not known is empty.
    """
    about = _cpuinfo()
    flags = set(about.get("flags", "").split())
    return {
        "cpu": about.get("model name") or platform.processor() or platform.machine(),
        "instructions": " ".join(name for name in _INSTRUCTIONS if name in flags),
        "gpu": _gpu(),
    }


def processor_text(found: Mapping[str, str]) -> str:
    """What computed, in words: the GPU, or without one the CPU with its instructions; nothing where it is not known.

    Example:
        >>> processor_text({"cpu": "AMD EPYC", "instructions": "avx2 avx512f", "gpu": ""})
        'AMD EPYC (avx2 avx512f)'
    """
    if gpu := found.get("gpu"):
        return gpu
    cpu, instructions = found.get("cpu", ""), found.get("instructions", "")
    return f"{cpu} ({instructions})" if cpu and instructions else cpu or instructions


def _cpuinfo() -> dict[str, str]:
    """What Linux says of its first processor."""
    try:
        first = _CPUINFO.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _gpu() -> str:
    if not find_spec("torch"):
        return ""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name(0)
    kind = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return kind.type if kind is not None else ""


def computes_bfloat16() -> bool:
    """Whether bfloat16 arithmetic is faster than float32 here: on a GPU, or on a CPU with instructions for it."""
    found = processor()
    return bool(found["gpu"]) or any(one in found["instructions"] for one in ("avx512_bf16", "amx_bf16"))
