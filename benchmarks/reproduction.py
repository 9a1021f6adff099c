"""The paper at small scale, and beyond: results of experiments, small enough to commit, and the pages made from them.

    python benchmarks/reproduction.py collect EXP... [--results DIR]
    python benchmarks/reproduction.py report [--results DIR] [--check]

EXP is a folder of `righttime experiment`, finished or not; its name becomes the experiment's, such as `tma` for
configs/small/tma.yaml. `collect` writes what is needed to analyse it again, without any text of the data; what is
written for which name is in collected.py. `report` needs these files alone: it writes the tables of
docs/reproduction.md and docs/which-order.md between `<!-- table: NAME -->` and `<!-- end -->` (`<!-- figure: NAME -->`
on one line), and the figures to docs/img/reproduction. --check changes nothing and fails where the page is not what the
results give.

NAME is `claims`, `experiments`, `mixed`, `which`, or EXPERIMENT.TABLE with a TABLE of `OF_ONE`, or EXPERIMENT.pictures.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from collected import Collected, collect, read_collected
from machine import RESULTS
from reproduction_tables import made
from righttime.analysis.figures import figures
from tables import replaced

_ROOT = Path(__file__).parents[1]
COLLECTED = RESULTS / "reproduction"
PAGE, PICTURES = _ROOT / "docs" / "reproduction.md", _ROOT / "docs" / "img" / "reproduction"
PAGES = (PAGE, _ROOT / "docs" / "which-order.md")
SHOWN = {
    "curves": "Loss on the judge rows",
    "differences": "Differences from the baseline",
    "harm": "Loss on other sets",
    "metrics": "Every metric",
    "measured": "Data-set measures against the loss",
    "drops": "Sudden drops",
}
"""Figures that are kept, where an experiment has them, and what they show."""


def filled(text: str, found: Mapping[str, Collected], pictures: Path = PICTURES) -> str:
    """The page with every table written again; pictures are those that exist."""

    def table(name: str) -> str:
        experiment, _, what = name.rpartition(".")
        return pictured(experiment, pictures) if what == "pictures" else made(name, found)

    return replaced(text, table, lambda name: made(name, found))


def pictured(experiment: str, pictures: Path) -> str:
    """The experiment's pictures, as Markdown."""
    there = [(name, told) for name, told in SHOWN.items() if (pictures / f"{experiment}-{name}.svg").exists()]
    return (
        "\n\n".join(
            f"![{told}, {experiment}](img/{pictures.name}/{experiment}-{name}.svg)\n"
            f"([PNG](img/{pictures.name}/{experiment}-{name}.png))"
            for name, told in there
        )
        or "*(no figures yet)*"
    )


def draw(found: Mapping[str, Collected], pictures: Path) -> list[Path]:
    """Write the figures of every experiment; those of an earlier state are removed."""
    wanted = {}
    for name, one in found.items():
        drawn = figures(one.analysis) if one.analysis else {}
        wanted.update({f"{name}-{file}": data for file, data in drawn.items() if file.partition(".")[0] in SHOWN})
        if one.analysis and not drawn:
            sys.exit("figures need matplotlib. Hint: pip install 'righttime[report]'")
    pictures.mkdir(parents=True, exist_ok=True)
    for path in [*pictures.glob("*.svg"), *pictures.glob("*.png")]:
        if path.name not in wanted:
            path.unlink()
    for file, data in wanted.items():
        (pictures / file).write_bytes(data)
    return [pictures / file for file in wanted]


def report(results: Path, pages: Sequence[Path] = PAGES, pictures: Path = PICTURES, check: bool = False) -> None:
    """Write figures and tables, or fail where the tables are not what the results give."""
    found = read_collected(results)
    if not check:
        print(f"wrote {len(draw(found, pictures))} figures to {pictures}")
    for page in pages:
        before = page.read_text(encoding="utf-8")
        after = filled(before, found, pictures)
        if check and after != before:
            sys.exit(f"{page.name} is not what the results give. Hint: python benchmarks/reproduction.py report")
        if not check:
            page.write_text(after, encoding="utf-8")
            print(f"wrote the tables of {page}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect", help="write the small files of experiments")
    collecting.add_argument("experiments", metavar="EXP", nargs="+", type=Path)
    reporting = commands.add_parser("report", help="make page and figures from them")
    reporting.add_argument("--check", action="store_true", help="change nothing; fail where the page differs")
    for command in (collecting, reporting):
        command.add_argument("--results", type=Path, default=COLLECTED)
    args = parser.parse_args()
    if args.command == "report":
        report(args.results, check=args.check)
        return
    for root in args.experiments:
        for path in collect(root, args.results):
            print(f"wrote {path}, {path.stat().st_size / 1024:,.0f} KiB")


if __name__ == "__main__":
    main()
