"""What the fault suites found, as JSON, when RIGHTTIME_RECORD_FAULTS is set; shown by `benchmarks/reliability.py`."""

from __future__ import annotations

import json
import os
from typing import Any

from machine import RESULTS, about

__all__ = ["record"]

COMMAND = "RIGHTTIME_RECORD_FAULTS=1 python -m pytest tests/faults tests/verification"


def record(name: str, rows: list[dict[str, Any]], *, whole: bool = False) -> None:
    """Write lines of benchmarks/results/reliability/NAME.json, where that is wanted.

    Args:
        name: Which suite.
        rows: A line of the table each: what, count, and what came out.
        whole: Whether these are all lines; else lines of other things stay.
    """
    if os.environ.get("RIGHTTIME_RECORD_FAULTS") != "1":
        return
    machine = {key: value for key, value in about().items() if key in ("processor", "cores", "python", "date")}
    path = RESULTS / "reliability" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() and not whole else []
    lines = {row["what"]: row for row in (*before, *({**row, "date": machine["date"]} for row in rows))}
    text = json.dumps({"command": COMMAND, "made_on": machine, "rows": list(lines.values())}, indent=2) + "\n"
    path.write_text(text, encoding="utf-8")
