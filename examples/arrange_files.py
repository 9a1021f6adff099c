"""Arrange a file of instruction data around a target file, and look at what came first.

python examples/arrange_files.py [FOLDER]
"""

import sys
from pathlib import Path

import righttime
from righttime.cli import main


def command(*words: object) -> None:
    """What `righttime WORDS...` does on the command line."""
    if main([str(word) for word in words]):
        sys.exit(1)


folder = Path(sys.argv[1] if len(sys.argv) > 1 else "examples_out")

# Two files in one of the known formats; yours may be JSON, JSONL, CSV, Parquet, a folder, or hf:owner/name.
command("builtin", "--out", folder, "--rows", 4, "--target-rows", 2, "--overwrite")

arrangement = righttime.arrange(
    folder / "pool.jsonl",
    folder / "target.jsonl",
    method="tma",
    budget=50,
    out=folder / "arranged",
    overwrite=True,
)

table = arrangement.to_table().to_pylist()
for place in table[:5]:
    print(f"{place['position']}  {place['id']}  picked by {place['picked_by']}, similarity {place['similarity']:.3f}")
print(f"{len(arrangement)} rows in order: {folder / 'arranged' / 'train.jsonl'}")
