"""What a run computed on is recorded, and decides nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from righttime import processor as room
from righttime.processor import processor, processor_text

CPUINFO = """processor\t: 0
model name\t: Some CPU @ 2.00GHz
flags\t\t: fpu avx2 avx512_bf16 avx512fp16

processor\t: 1
model name\t: Another
flags\t\t: avx512f
"""


def test_a_processor_is_known_by_its_name_and_its_instructions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    assert processor() == {"cpu": "Some CPU @ 2.00GHz", "instructions": "avx2 avx512_bf16", "gpu": ""}
    assert processor_text(processor()) == "Some CPU @ 2.00GHz (avx2 avx512_bf16)"
    (tmp_path / "cpuinfo").unlink()
    monkeypatch.setattr("platform.processor", lambda: "arm")
    assert processor() == {"cpu": "arm", "instructions": "", "gpu": ""}
    assert processor_text(processor()) == "arm"
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert processor()["cpu"] == "arm64"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    assert processor_text(processor()) == "Some GPU"


def test_what_is_not_known_is_no_kind() -> None:
    assert processor_text({}) == ""
    assert processor_text({"cpu": "", "instructions": "avx2"}) == "avx2"
