"""Write an order for TRL: the data, and a script that keeps the order. Check the arrangement before.

python examples/export_to_trl.py [FOLDER]
"""

import json
import sys
from pathlib import Path

import righttime
from righttime.cli import main


def command(*words: object) -> None:
    """What `righttime WORDS...` does on the command line."""
    if main([str(word) for word in words]):
        sys.exit(1)


folder = Path(sys.argv[1] if len(sys.argv) > 1 else "examples_out")
command("builtin", "--out", folder, "--rows", 4, "--target-rows", 2, "--overwrite")
pool, target = folder / "pool.jsonl", folder / "target.jsonl"
arrangement = righttime.arrange(pool, target, budget=64, out=folder / "arranged", overwrite=True)

# Every hash, count, similarity and round, computed anew from the data; exit code 1 where something differs.
command("verify", folder / "arranged", "--pool", pool, "--target", target)

command(
    *("export", folder / "arranged", "--to", "trl", "--model", "my/model"),
    *("--batch-size", 8, "--out", folder / "trl", "--overwrite"),
)

# What the trainer will read is the order that was arranged.
rows = [json.loads(line)["id"] for line in (folder / "trl" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
assert arrangement.labels is not None
assert rows == list(arrangement.labels.id)
print(f"{len(rows)} rows in the arranged order: {folder / 'trl' / 'train.jsonl'}")
