"""The report page in a real browser: opened from disk, clicked through, walked by keys, looked at."""

from __future__ import annotations

import base64
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from chromium import Tab
from made_page import MARKUP, PLANTED, made_data, write_page

pytestmark = pytest.mark.linux  # the browser's processes are ended as a group

Show = Callable[..., Tab]

LIST = "document.querySelector('[data-view={side}] .list')"
DETAIL = "document.querySelector('[data-view={side}] .detail')"
FIGURES = (".facts", ".table table", ".curves canvas", ".intervals svg", ".shares .piece", ".matrix td", ".pre pre")


def text(tab: Tab, selector: str) -> str:
    return str(tab.run(f"document.querySelector({json.dumps(selector)}).innerText"))


def middle(tab: Tab, selector: str) -> tuple[float, float]:
    """The middle of an element, scrolled into sight."""
    script = """(() => {{ const one = document.querySelector({});
        one.scrollIntoView({{ block: 'center', behavior: 'instant' }});
        const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
    x, y = tab.run(script.format(json.dumps(selector)))
    return x, y


def choose(tab: Tab, view: str, label: str, value: str) -> None:
    """An option of the select with this label."""
    tab.run(
        f"""(() => {{ const boxes = [...document.querySelectorAll('[data-view={view}] .controls label')];
        const box = boxes.find((one) => one.firstChild.textContent === {json.dumps(label)}).querySelector('select');
        box.value = {json.dumps(value)}; box.dispatchEvent(new Event('change')); }})()"""
    )


def search(tab: Tab, side: str, sought: str) -> None:
    field = f"document.querySelector('[data-view={side}] input[type=search]')"
    tab.run(f"{field}.value = {json.dumps(sought)}; {field}.dispatchEvent(new Event('input'))")


def seen(png: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_every_kind_of_block_is_drawn(show: Show, page: Path) -> None:
    tab = show(page)
    for selector in FIGURES:
        assert tab.run(f"document.querySelectorAll({json.dumps(selector)}).length") > 0, selector
    assert "could not be shown" not in text(tab, "main")
    assert text(tab, "h1") == "righttime: made"
    assert text(tab, ".tone.warning").startswith("Warning:")
    links = tab.run("[...document.querySelectorAll('nav a')].map((one) => one.hash)")
    assert links == ["#summary", "#map", "#targets", "#pool"]


def test_charts_have_drawn_something(show: Show, page: Path) -> None:
    tab = show(page)
    tab.wait("document.querySelectorAll('.curves canvas').length === 2")
    for number in range(2):
        colours = f"""(() => {{ const one = document.querySelectorAll('.curves canvas')[{number}];
            const all = new Uint32Array(one.getContext('2d').getImageData(0, 0, one.width, one.height).data.buffer);
            return new Set(all).size; }})()"""
        assert tab.run(colours) > 20


def test_a_series_is_hidden_by_its_name(show: Show, page: Path) -> None:
    tab = show(page)
    tab.run("document.querySelector('.curves .toggle').click()")
    assert tab.run("document.querySelector('.curves .toggle').getAttribute('aria-pressed')") == "false"


def test_tables_are_sorted_by_number_and_what_has_none_comes_last(show: Show, page: Path) -> None:
    tab = show(page)
    values = "[...document.querySelectorAll('.table tbody td:first-child')].map((one) => one.textContent)"
    sort = "document.querySelectorAll('.table .sort')[1].click()"
    tab.run(sort)
    assert tab.run(values) == ["rds", "tma", "random", "nearest"]
    tab.run(sort)
    assert tab.run(values) == ["random", "tma", "rds", "nearest"]
    assert tab.run("document.querySelectorAll('.table th')[1].getAttribute('aria-sort')") == "descending"


def test_numbers_of_a_column_stand_below_one_another(show: Show, page: Path) -> None:
    tab = show(page)
    values = "[...document.querySelectorAll('.table tbody td:last-child')].map((one) => one.textContent)"
    assert tab.run(values) == ["310.25", "640.00", "–", "1.2e−5"]


def test_a_small_table_needs_no_scrolling_on_a_phone(show: Show, page: Path) -> None:
    data = made_data(200, 20)
    names = ["first rows", "mean similarity", "coverage", "found its nearest"]
    columns = [{"name": name, "align": "right"} for name in names]
    rows = [[14, 0.7439, 0.4124, 0.2667], [1400, 0.614, 0.5181, 1]]
    data["page"]["sections"][0]["blocks"] = [
        {"kind": "table", "title": "Quality", "columns": columns, "rows": rows, "caption": ""}
    ]
    tab = show(write_page(page.with_name("small.html"), data), 360)
    assert tab.run("[...document.querySelectorAll('.wide')].every((one) => one.scrollWidth <= one.clientWidth)")


def test_search_finds_the_planted_row(show: Show, page: Path) -> None:
    tab = show(page)
    search(tab, "pool", PLANTED.upper())
    tab.wait("document.querySelector('[data-view=pool] .tally').textContent === '1 of 6,000 rows'")
    tab.run(f"{LIST.format(side='pool')}.querySelector('.item').click()")
    tab.wait(f"{DETAIL.format(side='pool')}.innerText.includes({json.dumps(PLANTED)})")
    search(tab, "pool", "")
    tab.wait("document.querySelector('[data-view=pool] .tally').textContent === '6,000 rows'")


def test_a_pool_row_says_its_place_or_why_it_has_none(show: Show, page: Path) -> None:
    tab = show(page)
    choose(tab, "pool", "Rows", "out")
    tally = "document.querySelector('[data-view=pool] .tally').textContent"
    assert tab.run(tally) == "600 of 6,000 rows"
    tab.run(f"{LIST.format(side='pool')}.querySelector('.item').click()")
    tab.wait(f"{DETAIL.format(side='pool')}.innerText.includes('left out: ')")
    choose(tab, "pool", "Rows", "in")
    tab.run(f"{LIST.format(side='pool')}.querySelector('.item').click()")
    tab.wait(f"{DETAIL.format(side='pool')}.innerText.includes('1 of 5,400, round 0, similarity 0.9500')")
    said = tab.run(f"{DETAIL.format(side='pool')}.innerText")
    assert "Nearest target rows" in said
    assert "Picked by" in said


def test_pool_rows_are_filtered_by_task_source_and_round(show: Show, page: Path) -> None:
    tab = show(page)
    tally = "document.querySelector('[data-view=pool] .tally').textContent"
    choose(tab, "pool", "Task", "3")
    of_task = int(tab.run(tally).split()[0])
    assert 150 < of_task < 350
    choose(tab, "pool", "Source", "0")
    assert tab.run(tally) == "0 of 6,000 rows"  # task 3 is of source 1
    choose(tab, "pool", "Source", "1")
    assert tab.run(tally) == f"{of_task} of 6,000 rows"
    tab.run("""(() => { const one = document.querySelector('[data-view=pool] input[type=number]');
        one.value = '0'; one.dispatchEvent(new Event('input')); })()""")
    assert 0 < int(tab.run(tally).split()[0]) < of_task / 5


def test_a_target_row_shows_what_it_picked_side_by_side(show: Show, page: Path) -> None:
    tab = show(page)
    tab.run(f"{LIST.format(side='targets')}.querySelector('.item').click()")
    tab.wait("document.querySelectorAll('[data-view=targets] .pair .turns').length === 2")
    assert "Round 0" in text(tab, "[data-view=targets] .rounds")
    pressed = "[...document.querySelectorAll('.rounds button')].findIndex((one) => one.ariaPressed === 'true')"
    assert tab.run(pressed) == 0
    before = text(tab, "[data-view=targets] .pair")
    tab.run("document.querySelector('[data-view=targets] .rounds [aria-pressed=true]').focus()")
    tab.press("ArrowRight", "ArrowRight", "ArrowDown", "End", "Home", "ArrowRight", "ArrowRight", "ArrowRight")
    tab.wait(f"document.querySelector('[data-view=targets] .pair').innerText !== {json.dumps(before)}")
    assert tab.run(pressed) == 3


def test_shared_words_are_marked_on_both_sides(show: Show, page: Path) -> None:
    tab = show(page)
    marks = "[...document.querySelectorAll('.pair > div')].map((one) => [...one.querySelectorAll('mark')].map("
    marks += "(mark) => mark.textContent.toLowerCase()))"
    tab.run(f"{LIST.format(side='targets')}.querySelector('.item').click()")
    tab.wait("document.querySelectorAll('[data-view=targets] .pair .turns').length === 2")
    found: set[str] = set()
    for number in range(8):
        tab.run(f"document.querySelectorAll('[data-view=targets] .rounds button')[{number}].click()")
        tab.run("new Promise((go) => setTimeout(go, 60))")
        mine, theirs = tab.run(marks)
        assert set(mine) == set(theirs)
        found |= set(mine)
    assert found
    assert not found & {"what", "these", "have", "common", "number"}  # in every row


def test_target_rows_served_worst_come_first(show: Show, page: Path) -> None:
    tab = show(page)
    remarks = "[...document.querySelectorAll('[data-view=targets] .item-top span')].map((one) => one.textContent)"
    tab.run("new Promise((go) => setTimeout(go, 60))")
    values = [float(one.split()[-1]) for one in tab.run(remarks)]
    assert values == sorted(values)
    assert len(values) > 5
    choose(tab, "targets", "Show", "poor")
    tab.run(f"{LIST.format(side='targets')}.querySelector('.item').click()")
    tab.wait(f"{DETAIL.format(side='targets')}.innerText.includes('no pool row is near')")


def test_another_order_is_shown_everywhere(show: Show, page: Path) -> None:
    tab = show(page)
    choose(tab, "pool", "Sort", "row")
    first = "document.querySelector('[data-view=pool] .item-top span').textContent"
    before = tab.run(first)
    choose(tab, "map", "Order", "1")
    assert tab.run(first) != before
    assert tab.run("document.querySelector('[data-view=pool] .controls select').value") == "1"


def map_pixels(tab: Tab) -> np.ndarray:
    tab.run("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
    script = """(() => { const one = document.querySelector('.map-box canvas');
        return one.toDataURL('image/png').split(',')[1]; })()"""
    return seen(base64.b64decode(tab.run(script)))


def test_the_map_zooms_pans_and_is_coloured(show: Show, page: Path) -> None:
    tab = show(page)
    tab.run("document.querySelector('.map-box canvas').focus()")
    pictures = [map_pixels(tab)]
    assert len(np.unique(pictures[0].reshape(-1, 3), axis=0)) > 10
    for key in ("+", "ArrowLeft", "-"):
        tab.press(key)
        pictures.append(map_pixels(tab))
    tab.press("0")
    assert all((one != other).any() for one, other in itertools.pairwise(pictures))
    assert (map_pixels(tab) == pictures[0]).all()
    for way in ("place", "similarity", "order", "task", "source", "reason"):
        choose(tab, "map", "Colour by", way)
        assert tab.run("document.querySelector('[data-view=map] .legend').innerText"), way
        assert (map_pixels(tab) != pictures[0]).any(), way


def test_the_map_is_dragged(show: Show, page: Path) -> None:
    tab = show(page)
    x, y = middle(tab, ".map-box canvas")
    before = map_pixels(tab)
    tab.pointer("Pressed", x, y, "left")
    for step in range(1, 6):
        tab.pointer("Moved", x + 20 * step, y, "left")
    tab.pointer("Released", x + 100, y, "left")
    after = map_pixels(tab)
    assert (after[:, 300:400] == before[:, 200:300]).mean() > 0.9
    assert text(tab, ".map-side") == "Click a point to pin it here."  # a drag is no click


def test_a_point_is_hovered_pinned_and_looked_up(show: Show, page: Path) -> None:
    tab = show(page)
    tab.run("document.querySelector('.map-box canvas').focus()")
    tab.press("n")
    tab.wait("!document.querySelector('.tip').hidden")
    name = tab.run("document.querySelector('.tip b').textContent").removeprefix("Target: ")
    x, y = middle(tab, ".map-box canvas")
    tab.pointer("Moved", x, y)
    tab.press("n", "p", "Enter")
    tab.wait("document.querySelector('.map-side h3')")
    assert text(tab, ".map-side h3") == name
    tab.run("document.querySelector('.map-side button').click()")
    tab.wait(f"[...document.querySelectorAll('.detail h3')].some((one) => one.textContent === {json.dumps(name)})")


def test_a_click_pins_the_point_under_it(show: Show, page: Path) -> None:
    tab = show(page)
    x, y = middle(tab, ".map-box canvas")
    for down in range(-200, 201, 40):  # somewhere on this grid there is a point
        for right in range(-200, 201, 40):
            tab.pointer("Moved", x + right, y + down)
            if not tab.run("new Promise((go) => setTimeout(() => go(document.querySelector('.tip').hidden), 30))"):
                name = tab.run("document.querySelector('.tip b').textContent").removeprefix("Target: ")
                tab.click(x + right, y + down)
                tab.wait("document.querySelector('.map-side h3')")
                assert text(tab, ".map-side h3") == name
                return
    pytest.fail("no point was met")


def test_the_order_is_played_and_paused(show: Show, page: Path) -> None:
    tab = show(page)
    value = "Number(document.querySelector('.player input').value)"
    assert tab.run(value) == 5400
    whole = map_pixels(tab)
    tab.run("document.querySelector('.player button').click()")
    tab.wait(f"{value} > 50 && {value} < 5400")
    tab.run("document.querySelector('.player button').click()")
    stopped = tab.run(value)
    assert (map_pixels(tab) != whole).any()
    tab.run("new Promise((go) => setTimeout(go, 150))")
    assert tab.run(value) == stopped
    assert "of 5,400" in text(tab, ".player output")


def test_keys_alone_walk_through_the_page(show: Show, page: Path) -> None:
    tab = show(page)
    tab.press("Tab")
    assert tab.run("document.activeElement.className") == "skip"
    visited, visible = [], []
    for _ in range(90):
        tab.press("Tab")
        visited.append(tab.run("document.activeElement.id || document.activeElement.className || ''"))
        visible.append(tab.run("getComputedStyle(document.activeElement).outlineStyle !== 'none'"))
        if visited[-1] == "list" and visited.count("list") == 2:
            break
    choose(tab, "pool", "Sort", "row")
    assert {"theme", "sort", "toggle", "list"} <= set(visited)
    assert all(visible)
    tab.press("Home", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowUp")
    tab.wait(f"{DETAIL.format(side='pool')}.innerText.includes('pool-00002')")
    active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"
    assert tab.run(f"{active}.getAttribute('aria-selected')") == "true"
    tab.press("End")
    tab.wait(f"{DETAIL.format(side='pool')}.innerText.includes('pool-05999')")
    assert tab.run(f"{active}.getAttribute('aria-posinset')") == "6000"
    assert tab.run("document.querySelectorAll('[data-view=pool] .item').length") < 60


def test_everything_that_acts_has_a_name(show: Show, page: Path) -> None:
    tab = show(page)
    tab.ask("Accessibility.enable")
    nodes = tab.ask("Accessibility.getFullAXTree")["nodes"]
    acts = {"button", "link", "combobox", "searchbox", "spinbutton", "slider", "checkbox", "listbox", "application"}
    found = [node for node in nodes if not node.get("ignored") and node["role"]["value"] in acts]
    assert {"button", "link", "listbox", "slider", "application"} <= {node["role"]["value"] for node in found}
    assert [node["role"]["value"] for node in found if not node["name"]["value"].strip()] == []


def test_what_texts_say_stays_text(show: Show, hostile: Path) -> None:
    tab = show(hostile)
    for side in ("targets", "pool"):
        choose(tab, side, "Sort", "row")
        for number in range(5):
            tab.run(f"{LIST.format(side=side)}.querySelectorAll('.item')[{number}].click()")
            tab.run("new Promise((go) => setTimeout(go, 150))")
            assert tab.run(f"{DETAIL.format(side=side)}.querySelectorAll('.turns').length") > 0
    search(tab, "pool", MARKUP[:40])
    tab.wait("document.querySelector('[data-view=pool] .tally').textContent === '1 of 600 rows'")
    assert tab.run("document.querySelectorAll('img, iframe, object, embed').length") == 0
    assert tab.run("document.querySelectorAll('script').length") == 4
    assert tab.run("document.title") == "righttime: made"
    assert text(tab, "h1") == MARKUP


def test_controls_and_marks_of_direction_are_shown_not_obeyed(show: Show, hostile: Path) -> None:
    tab = show(hostile)
    for side in ("targets", "pool"):
        choose(tab, side, "Sort", "row")
        tab.run("new Promise((go) => setTimeout(go, 100))")
    for selector in ("main", "[data-view=pool]"):
        said = tab.run(f"document.querySelector('{selector}').textContent")
        assert not set(said) & set("\x1b\x07\x08\x7f\u202e\u2066\u2069\u200f\u061c\u2028\u2029")
    said = tab.run("document.querySelector('main').textContent")
    assert "⟨U+001B⟩[31mred⟨U+001B⟩[0m" in said
    assert "access ⟨U+202E⟩⟨U+2066⟩// admin⟨U+2069⟩" in said


@pytest.mark.parametrize("width", [320, 360, 1200])
def test_a_line_of_a_megabyte_neither_widens_nor_stops_the_page(show: Show, hostile: Path, width: int) -> None:
    tab = show(hostile, width)
    choose(tab, "pool", "Sort", "row")
    tab.run(f"{LIST.format(side='pool')}.querySelectorAll('.item')[3].click()")
    tab.wait(f"{DETAIL.format(side='pool')}.innerText.includes('Show all 1,000,000 characters')")
    assert tab.run("document.documentElement.scrollWidth") == width
    if width == 1200:
        buttons = "[...document.querySelectorAll('.detail button')]"
        tab.run(f"{buttons}.find((one) => one.innerText.startsWith('Show all')).click()")
        assert tab.run(f"{DETAIL.format(side='pool')}.textContent.length") > 1_000_000
        assert tab.run("document.documentElement.scrollWidth") == width


def test_it_follows_the_size_of_the_window(show: Show, page: Path) -> None:
    tab = show(page, 1400)
    for width in (500, 1000, 330):
        tab.size(width, 800)
        tab.wait(f"document.documentElement.scrollWidth === {width}")
        tab.wait(
            "[...document.querySelectorAll('.chart')].every((one) => one.firstChild.offsetWidth === one.clientWidth)"
        )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_it_is_drawn_at_every_width_in_dark_and_light(show: Show, page: Path, width: int, dark: bool) -> None:
    tab = show(page, width, 800, dark=dark)
    assert tab.run("document.documentElement.scrollWidth") == width
    for section in ("summary", "map", "targets", "pool"):
        tab.run(f"document.getElementById('{section}').scrollIntoView({{ behavior: 'instant' }})")
        tab.run("new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))")
        picture = seen(tab.picture())
        assert picture.shape[:2] == (800, width)
        ground = picture[-3, 3].astype(int)
        assert (ground.mean() < 60) == dark
        assert 0.01 < (np.abs(picture - ground).sum(axis=2) > 60).mean() < 0.6, section


def test_the_theme_is_chosen_by_a_button(show: Show, page: Path) -> None:
    tab = show(page, dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = tab.run(ground)
    tab.run("document.getElementById('theme').click()")
    assert text(tab, "#theme") == "Theme: light"
    assert tab.run(ground) == "rgb(255, 255, 255)"
    tab.run("document.getElementById('theme').click()")
    assert tab.run(ground) == dark


def test_print_leaves_out_what_only_a_screen_can_do(show: Show, page: Path) -> None:
    tab = show(page, dark=True)
    tab.media(kind="print", dark=True)
    shown = "[...document.querySelectorAll('{}')].filter((one) => one.offsetParent).length"
    assert tab.run(shown.format("nav, .controls, .player, .browser, .copy")) == 0
    assert tab.run(shown.format(".curves canvas, .map-box, .facts")) > 3
    assert len(tab.ask("Page.printToPDF")["data"]) > 20_000


def test_what_is_dark_is_printed_light(show: Show, page: Path) -> None:
    tab = show(page, dark=True)
    dark = map_pixels(tab)
    tab.run("document.getElementById('theme').click(); document.getElementById('theme').click()")
    script = "document.querySelector('.map-box canvas').toDataURL('image/png').split(',')[1]"
    printed = tab.run(f"(() => {{ dispatchEvent(new Event('beforeprint')); return {script}; }})()")
    assert seen(base64.b64decode(printed))[0, 0].tolist() == [255, 255, 255]
    tab.run("dispatchEvent(new Event('afterprint'))")
    assert (map_pixels(tab) == dark).all()
    tab.media(kind="print", dark=True)
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_lines_are_told_apart_without_their_colours(show: Show, page: Path) -> None:
    tab = show(page)
    samples = "[...document.querySelectorAll('.curves')].at(-1).querySelectorAll('.sample line')"
    told = f"[...{samples}].map((one) => [one.getAttribute('stroke'), one.getAttribute('stroke-dasharray')].join())"
    both = tab.run(told)
    assert len(both) == 9 == len(set(both))
    assert len({one.split(",", 1)[1] for one in both[:5]}) == 5
    drawn = """(async () => { const dashes = new Set(), was = CanvasRenderingContext2D.prototype.setLineDash;
        const heard = function (dash) { dashes.add(dash.join(' ')); was.call(this, dash); };
        CanvasRenderingContext2D.prototype.setLineDash = heard;
        document.getElementById('theme').click();
        await new Promise((go) => setTimeout(go, 300)); return [...dashes]; })()"""
    assert {"", "9 4", "2 3", "11 3 2 3", "5 2 5 6"} <= set(tab.run(drawn))


def test_steps_and_rounds_have_no_halves(show: Show, tmp_path: Path) -> None:
    page = made_data(200, 20)["page"]
    series = {"name": "tma", "x": [0, 1, 2, 3, 4], "y": [0.5, 0.4, 0.3, 0.2, 0.1], "low": None, "high": None}
    chart = {"kind": "chart", "title": "By round", "x": {"label": "round", "log": False}, "y": {"label": "similarity"}}
    blocks = [{**chart, "series": [{**series, "grey": False}], "marks": [], "caption": ""}]
    page["sections"] = [{"id": "summary", "title": "Summary", "view": None, "blocks": blocks}]
    tab = show(write_page(tmp_path / "page.html", {"page": page}))
    said = """(async () => { const said = [], was = CanvasRenderingContext2D.prototype.fillText;
        const heard = function (text, x, y) { said.push([text, y]); was.call(this, text, x, y); };
        CanvasRenderingContext2D.prototype.fillText = heard;
        document.getElementById('theme').click();
        await new Promise((go) => setTimeout(go, 300)); return said; })()"""
    texts = tab.run(said)
    lowest = max(y for text, y in texts if text.replace(".", "").isdecimal())
    assert {text for text, y in texts if y == lowest} == {"0", "1", "2", "3", "4"}


def test_kinds_have_shapes_on_paper(show: Show, page: Path) -> None:
    tab = show(page, dark=True)
    choose(tab, "map", "Colour by", "task")
    screen = map_pixels(tab)
    tab.run("dispatchEvent(new Event('beforeprint'))")
    signs = tab.run("[...document.querySelectorAll('[data-view=map] .legend .sign')].map((one) => one.textContent)")
    assert len(signs) == len(set(signs)) == 8, "seven kinds, and one for all others"
    assert not tab.run("document.querySelectorAll('[data-view=map] .legend .swatch').length")
    printed = tab.run("document.querySelector('.map-box canvas').width")
    assert printed == 3 * screen.shape[1]
    tab.run("dispatchEvent(new Event('afterprint'))")
    assert (map_pixels(tab) == screen).all()
    assert not tab.run("document.querySelectorAll('[data-view=map] .legend .sign').length")


def test_shares_are_numbered_on_paper(show: Show, page: Path) -> None:
    tab = show(page)
    shown = "[...document.querySelectorAll('.shares .key')].filter((one) => one.offsetWidth > 0).length"
    assert tab.run(shown) == 0
    tab.media(kind="print")
    assert tab.run(shown) > 20
    pieces = "[...document.querySelectorAll('.shares .piece')].filter((one) => one.querySelector('.key')).map((one) => "
    pieces += "one.querySelector('.key').textContent + one.title.split(':')[0])"
    legend = "[...document.querySelectorAll('.shares .legend li')].map((one) => one.textContent)"
    assert set(tab.run(pieces)) <= set(tab.run(legend))


def test_who_picked_a_row_is_shown_first(show: Show, tmp_path: Path) -> None:
    """A random order has neither pickers nor rounds, wherever it stands."""
    data = made_data(200, 20)
    data["rows"]["orders"][0]["columns"] |= dict.fromkeys(("round", "picked_by", "similarity"))
    tab = show(write_page(tmp_path / "page.html", data))
    assert tab.run("document.querySelector('[data-view=map] .controls select').value") == "1"
    tab.wait("document.querySelector('[data-view=targets] .rounds')")
    choose(tab, "map", "Order", "0")
    assert text(tab, "[data-view=map] .caption") == "This order has no round."


def test_a_map_of_an_order_without_rounds_is_coloured_by_place(show: Show, tmp_path: Path) -> None:
    data = made_data(200, 20)
    data["rows"]["orders"][0]["columns"]["round"] = None
    tab = show(write_page(tmp_path / "page.html", data))
    assert tab.run("document.querySelectorAll('[data-view=map] .controls select')[1].value") == "place"
    assert "place in the order:" in text(tab, "[data-view=map] .legend")


@pytest.mark.parametrize("width", [320, 360])
def test_names_of_intervals_stand_on_one_line_of_a_phone(show: Show, page: Path, width: int) -> None:
    tab = show(page, width)
    heights = tab.run("[...document.querySelectorAll('.intervals th')].slice(0, 3).map((one) => one.offsetHeight)")
    assert max(heights) < 40


def test_a_manifest_is_shown_when_it_is_opened(show: Show, tmp_path: Path) -> None:
    page = made_data(200, 20)["page"]
    folded = {"kind": "pre", "text": '{"seed": 3}', "title": "The manifest"}
    blocks = [{"kind": "heading", "text": MARKUP}, folded]
    page["sections"] = [{"id": "provenance", "title": "Provenance", "view": None, "blocks": blocks}]
    tab = show(write_page(tmp_path / "page.html", {"page": page}))
    assert text(tab, "h3") == MARKUP
    assert "seed" not in text(tab, "main")
    tab.run("document.querySelector('summary').click()")
    assert '{"seed": 3}' in text(tab, "main")


def test_a_page_without_rows_works(show: Show, tmp_path: Path) -> None:
    page = made_data(200, 20)["page"]
    page["sections"] = page["sections"][:1]
    tab = show(write_page(tmp_path / "page.html", {"page": page}))
    tab.wait("document.querySelectorAll('.curves canvas').length === 2")


def test_columns_that_are_not_there_are_done_without(show: Show, tmp_path: Path) -> None:
    """As an arrangement by a method of texts alone leaves them: no rounds, pickers, similarities, map, texts."""
    data = made_data(200, 20)
    rows = data["rows"]
    for order in rows["orders"]:
        order["columns"] |= dict.fromkeys(("round", "picked_by", "similarity"))
    rows["pool"] |= dict.fromkeys(("near", "near_similarity", "x", "y", "line"))
    rows["target"] |= dict.fromkeys(("best", "x", "y", "line"))
    rows |= {"has_map": False, "pool_median": None, "k": 0}
    del data["texts"]
    tab = show(write_page(tmp_path / "page.html", data))
    for side in ("targets", "pool"):
        tab.run(f"{LIST.format(side=side)}.querySelector('.item').click()")
        tab.wait(f"{DETAIL.format(side=side)}.innerText.includes('is not in the page')")
    assert "could not be shown" not in text(tab, "main")
