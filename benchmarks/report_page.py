"""The report page with 50,000 rows in headless Chromium: size, first paint, script time a frame while panning, search.

    python benchmarks/report_page.py [--rows 50000] [--target 500]

Prints what was measured and writes benchmarks/results/report_page.json. Needs Chromium, and websockets from the extra
`dev`. Times of frames are those of the callbacks that draw; headless, the processor does what a graphics card would.
Search waits 180 ms for more to be typed, which counts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from chromium import Browser, Tab, chromium, running
from machine import parser, save
from made_page import PLANTED, made_data, write_page

ROUNDS, MOVES = 5, 120
TIMED = """window.frames_ms = []; (() => { const ask = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (work) => ask((now) => { const start = performance.now(); work(now);
        window.frames_ms.push(performance.now() - start); }); })()"""
PAINT = """performance.getEntriesByName('first-contentful-paint').map((one) => one.startTime)[0]"""
MARK = """performance.getEntriesByName('righttime-{}')[0].startTime"""
SEARCH = """(async () => {{ const field = document.querySelector('[data-view=pool] input[type=search]');
    const tally = document.querySelector('[data-view=pool] .tally');
    field.value = ''; field.dispatchEvent(new Event('input'));
    while (tally.textContent.includes(' of ')) await new Promise((go) => setTimeout(go, 2));
    const start = performance.now();
    field.value = {!r}; field.dispatchEvent(new Event('input'));
    while (!tally.textContent.startsWith('1 of') || tally.textContent.includes('searching')) await new Promise((go) => setTimeout(go, 2));
    return performance.now() - start; }})()"""  # noqa: E501


def opened(browser: Browser, path: Path, ratio: float) -> tuple[Tab, dict[str, float]]:
    """The page, and when it showed what."""
    tab = browser.tab(1400, 900, ratio=ratio)
    tab.ask("Page.addScriptToEvaluateOnNewDocument", source=TIMED)
    tab.open(path)
    tab.wait(f"{PAINT} > 0")
    marks = {"summary_ms": MARK.format("page"), "ready_ms": MARK.format("ready")}
    return tab, {"first_paint_ms": tab.run(PAINT)} | {name: tab.run(script) for name, script in marks.items()}


def panned(tab: Tab, zooms: int) -> dict[str, float]:
    """Script time of each frame while the map is dragged to and fro, after so many steps of zoom."""
    tab.run("document.querySelector('.map-box').scrollIntoView({ block: 'center', behavior: 'instant' })")
    tab.run("document.querySelector('.map-box canvas').focus()")
    tab.press("0", *"+" * zooms)
    x, y = tab.run("(() => { const box = document.querySelector('.map-box').getBoundingClientRect(); "
                   "return [box.x + box.width / 2, box.y + box.height / 2]; })()")  # fmt: skip
    tab.pointer("Moved", x, y)
    tab.pointer("Pressed", x, y, "left")
    tab.run("window.frames_ms.length = 0")
    for step in range(MOVES):
        tab.pointer("Moved", x + (step % 40 if step % 80 < 40 else 40 - step % 40) * 4, y, "left")
    frames = sorted(tab.run("window.frames_ms"))
    tab.pointer("Released", x, y, "left")
    middle, most = statistics.median(frames), frames[-1]
    return {"frame_ms_median": middle, "frame_ms_p95": frames[int(0.95 * len(frames))], "frame_ms_most": most}


def looked_at(browser: Browser, path: Path, ratio: float) -> list[dict[str, Any]]:
    """A page at so many pixels of the screen for each of its own: opened, panned at two zooms, searched."""
    loads = []
    for _ in range(ROUNDS):
        tab, times = opened(browser, path, ratio)
        loads.append(times)
        if len(loads) < ROUNDS:
            tab.close()
    about: dict[str, Any] = {"pixel_ratio": ratio} | {
        name: statistics.median(one[name] for one in loads) for name in loads[0]
    }
    about["search_ms"] = statistics.median(tab.run(SEARCH.format(PLANTED)) for _ in range(3))
    found = [about | {"zoom": round(1.4**zooms, 1)} | panned(tab, zooms) for zooms in (0, 3)]
    if errors := tab.errors():
        sys.exit(f"the page must work, got {errors}")
    tab.close()
    return found


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--rows", type=int, default=50_000)
    made.add_argument("--target", type=int, default=500)
    args = made.parse_args()
    if args.quick:
        args.rows, args.target = 5_000, 100
    command = chromium() or sys.exit("a browser must be there: install Chromium, or name one in RIGHTTIME_BROWSER.")
    version = subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder, running(command) as browser:
        path = write_page(Path(folder) / "page.html", made_data(args.rows, args.target))
        pages = [page for ratio in (1, 2) for page in looked_at(browser, path, ratio)]
        size = path.stat().st_size
    rows = f"made, {args.rows:,} × {args.target:,}"
    pages = [{"rows": rows, "bytes": size} | page for page in pages]
    for page in pages:
        print(page)
    save(args.results, "report_page", {"browser": version, "window": [1400, 900], "pages": pages})


if __name__ == "__main__":
    main()
