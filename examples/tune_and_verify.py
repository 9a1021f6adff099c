"""Tune a tiny model in the order of an arrangement, and verify that it was fed in that order.

python examples/tune_and_verify.py [FOLDER]
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
command("builtin", "--out", folder, "--rows", 4, "--target-rows", 2, "--overwrite")
righttime.arrange(folder / "pool.jsonl", folder / "target.jsonl", budget=64, out=folder / "arranged", overwrite=True)

# A tiny base model, made in seconds; take a model of your own instead.
command("pretrain", "--out", folder / "base", "--tokens", "20000", "--overwrite")

tuned = righttime.tune(
    folder / "arranged",
    str(folder / "base"),
    folder / "run",
    righttime.TuneSettings(batch=8, learning_rate=1e-3),
    overwrite=True,
)
print("first difference from the planned order:", tuned.manifest.first_difference)

# The same from the records on disk: exit code 1 where a row was out of place.
command("verify", folder / "run", folder / "arranged")
