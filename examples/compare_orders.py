"""Compare two orders of one pool: which rows they share, and how near to the target their first rows are.

python examples/compare_orders.py [FOLDER]
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

for method in ("tma", "random"):
    righttime.arrange(
        folder / "pool.jsonl", folder / "target.jsonl", method=method, out=folder / method, overwrite=True
    )

found = righttime.agreement([folder / "tma", folder / "random"], at=[0.1, 100], rank="kendall")
for count, jaccard, rank in zip(found.at, found.jaccard, found.rank, strict=True):
    print(f"first {count} rows: Jaccard index {jaccard[0, 1]:.2f}, Kendall correlation {rank[0, 1]:.2f}")

# The paper's nine measures of the first 50, 100, ... rows of each order.
command(
    *("similarity", folder / "tma", folder / "random", "--target", folder / "target.jsonl"),
    *("--every", 50, "--out", folder / "measures", "--overwrite"),
)
