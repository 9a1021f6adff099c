"""Commands in processes of their own, several of them for one run; and accelerate's shipped configurations on CPUs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

__all__ = ["SHARDING", "TORCHRUN", "finish", "kill", "launcher_on_two", "start", "wait_for"]

DEADLINE = 300.0
ROOT = Path(__file__).resolve().parents[1]
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node", "2")
"""What launches two processes."""
SHARDING = [
    "fsdp",
    pytest.param(
        "deepspeed", marks=pytest.mark.skipif(not find_spec("deepspeed"), reason="DeepSpeed is not installed")
    ),
]
"""What shards a model, for tests' parameters."""


def launcher_on_two(name: str, folder: Path) -> tuple[str, ...]:
    """What launches two processes under a shipped configuration, ``fsdp`` or ``deepspeed``."""
    shipped, config = (ROOT / "configs" / f"accelerate_{name}.yaml").read_text(), folder / "config.yaml"
    config.write_text(
        shipped.replace("use_cpu: false", "use_cpu: true").replace("num_processes: 8", "num_processes: 2")
    )
    return "accelerate.commands.launch", "--config_file", str(config)


def start(words: list[str], *launcher: str, here: Path | None = None) -> subprocess.Popen[str]:
    """Start ``righttime`` with these words, or a launcher, which gets them as they are, in a session of its own."""
    command = [*(launcher or ("righttime.cli",)), *words]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo", "DS_ACCELERATOR": "cpu"}
    settings["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", *command],
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        cwd=here,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit status and all that it said; it is killed with all its workers if it takes too long."""
    try:
        said, _ = process.communicate(timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, said


def _steps_of(run: Path, attempt: int) -> int:
    """How many micro-batches the first process of an attempt has consumed so far."""
    try:
        return (run / "consumed" / f"attempt-{attempt:04d}-process-0000.jsonl").read_bytes().count(b"\n") - 1
    except OSError:
        return -1


def wait_for(process: subprocess.Popen[str], run: Path, attempt: int, consumed: int) -> None:
    """Wait until the first process of a run's attempt has consumed so many micro-batches."""
    deadline = time.monotonic() + DEADLINE
    while _steps_of(run, attempt) < consumed:
        assert process.poll() is None, f"it should be killed, not end: {process.communicate()[0]}"
        assert time.monotonic() < deadline, "too slow"
        time.sleep(0.001)


def kill(process: subprocess.Popen[str], all_of_them: bool = True) -> None:
    """Kill a launcher and its workers, or only its last worker."""
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    pids = [int(worker) for worker in workers]
    for pid in [*pids, process.pid] if all_of_them else pids[-1:]:
        os.kill(pid, signal.SIGKILL)
