"""A picture of one part of a report page, as README has it: opened in headless Chromium, one part of it in sight.

    make demo
    python tools/picture_of_page.py demo/page.html docs/img/report.png --part map --colour place

Needs Chromium.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from chromium import chromium, running


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("page", type=Path)
    words.add_argument("out", type=Path)
    words.add_argument("--part", default="map", help="the id of a section")
    words.add_argument("--colour", default="", help="what the map is coloured by: round, place, similarity, task, ...")
    words.add_argument("--width", type=int, default=1200)
    words.add_argument("--height", type=int, default=860)
    words.add_argument("--dark", action="store_true")
    args = words.parse_args()
    command = chromium() or sys.exit("a browser must be there: install Chromium, or name one in RIGHTTIME_BROWSER.")
    with running(command) as browser:
        tab = browser.tab(args.width, args.height, dark=args.dark)
        tab.open(args.page)
        tab.run(f"document.getElementById({args.part!r}).scrollIntoView({{ behavior: 'instant' }})")
        canvas = f"document.querySelector('#{args.part} .map-box canvas')"
        if tab.run(f"Boolean({canvas})"):  # a point in the middle, as one who looks would have pinned it
            if args.colour:
                chooser = f"document.querySelector('[data-view=map] option[value={args.colour}]')"
                tab.run(f"{chooser}.selected = true; {chooser}.parentElement.dispatchEvent(new Event('change'))")
            tab.run(f"{canvas}.focus({{ preventScroll: true }})")
            tab.press("n", "Enter", "Escape")
            tab.wait("document.querySelector('.map-side h3')")
        tab.run("document.activeElement.blur(); new Promise((go) => setTimeout(go, 300))")
        args.out.write_bytes(tab.picture())
    print(f"{args.out}: {args.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
