"""Write the tables of docs/reliability.md from what the fault suites recorded.

    python benchmarks/reliability.py            write them
    python benchmarks/reliability.py --check    change nothing, and fail where one is not what was recorded

The suites record when RIGHTTIME_RECORD_FAULTS=1 is set; each file names the command, the date and the processor.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from machine import RESULTS
from tables import grid

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
FOLDER = RESULTS / "reliability"
_MARKED = re.compile(r"(<!-- faults: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
SUITES = {
    "kills": "kills by SIGKILL, then run again",
    "disks": "disks that refuse",
    "corruptions": "damaged files",
    "tamper": "forged results, hashes updated",
    "tamper_runs": "forged runs",
    "fuzz": "fuzzed inputs",
}
Recorded = Mapping[str, Any]


def overview(recorded: Mapping[str, Recorded]) -> str:
    """A line for each suite that was recorded."""
    rows = []
    for name, what in SUITES.items():
        if name not in recorded:
            continue
        lines = recorded[name].get("rows", [])
        made = recorded[name].get("made_on", {})
        counts = [sum(int(line.get(key, 0)) for line in lines) for key in ("count", "wrong")]
        date = str(made.get("date", ""))[:10]
        rows.append(
            [what, f"{counts[0]:,}", f"{counts[1]:,}", date, f"{made.get('processor')}, {made.get('cores')} cores"]
        )
    return grid(["what", "how many", "wrong", "date", "processor"], rows)


def _lines(recorded: Recorded) -> str:
    rows = [[f"`{line['what']}`", f"{line['count']:,}", f"{line['wrong']:,}"] for line in recorded["rows"]]
    return grid(["command", "how many", "wrong"], rows)


def _came_out(recorded: Recorded) -> str:
    rows = []
    for line in recorded["rows"]:
        out = ", ".join(f"{count:,} {what}" for what, count in Counter(line["came_out"]).most_common())
        rows.append([line["what"], f"{line['count']:,}", out, f"{line['wrong']:,}"])
    return grid(["damaged", "how often", "what came of it", "wrong"], rows)


def _tamper(recorded: Recorded) -> str:
    return grid(["forged", "`verify`"], [[line["what"], line["said"]] for line in recorded["rows"]])


def _fuzz(recorded: Recorded) -> str:
    counted = ("count", "read", "refused", "other_exceptions", "too_slow")
    rows = [[f"`{line['what']}`", *(f"{line[name]:,}" for name in counted)] for line in recorded["rows"]]
    return grid(["reader", "inputs", "read", "refused in a sentence", "another exception", "more than 5 s"], rows)


TABLES: Mapping[str, Callable[[Recorded], str]] = {
    "kills": _lines,
    "disks": _lines,
    "corruptions": _came_out,
    "tamper": _tamper,
    "tamper_runs": _tamper,
    "fuzz": _fuzz,
}


def filled(text: str, folder: Path = FOLDER) -> str:
    """The page with every marked table written anew."""
    recorded = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}

    def table(found: re.Match[str]) -> str:
        name = found[2]
        if name == "overview":
            made = overview(recorded)
        else:
            made = TABLES[name](recorded[name]) if name in recorded else "Not recorded."
        return f"{found[1]}\n{made}\n\n{found[3]}"

    return _MARKED.sub(table, text)


def main() -> None:
    """Write or check the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    after = filled(before)
    if args.check and after != before:
        sys.exit(f"{PAGE.name} is not what was recorded. Hint: python benchmarks/reliability.py")
    PAGE.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
