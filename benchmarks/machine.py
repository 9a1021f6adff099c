"""What a measurement was made on, and where it is written: the machine and the versions beside every number."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import righttime

RESULTS = Path(__file__).parent / "results"
LIBRARIES = (
    "numpy",
    "scipy",
    "torch",
    "transformers",
    "sentence-transformers",
    "onnxruntime",
    "model2vec",
    "faiss-cpu",
    "ray",
)


def about() -> dict[str, Any]:
    """Processor, cores, memory, BLAS, and the versions of what is installed here; how busy the machine is now."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "blas": blas(),
        "versions": versions,
        "righttime": righttime.__version__,
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "load": round(os.getloadavg()[0], 2),
    }


def blas() -> dict[str, Any]:
    """NumPy's BLAS: library, version, the kernels it took for this processor, threads."""
    import threadpoolctl

    found = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    names = {"library": "internal_api", "version": "version", "kernels": "architecture", "threads": "num_threads"}
    return {name: found[0].get(key) for name, key in names.items()} if found else {}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of this checkout, marked where source files differ from it; None outside one."""
    here = Path(__file__).parent
    try:
        ask = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"]
        return subprocess.run(ask, cwd=here, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def parser(doc: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--results", type=Path, default=RESULTS, help="the folder to write to")
    made.add_argument("--quick", action="store_true", help="small sizes, to try the script")
    return made


def save(folder: Path, name: str, result: dict[str, Any]) -> None:
    """Write FOLDER/NAME.json: what was measured, and on what."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"made_on": about(), **result}, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path}", flush=True)
