"""Pages that `righttime report` made, in a real browser: what the result holds is what is seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from chromium import Tab
from righttime.cli import main

pytestmark = pytest.mark.linux  # the browser's processes are ended as a group

Show = Callable[..., Tab]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page of two arrangements, one of which leaves rows out."""
    folder = tmp_path_factory.mktemp("reported")
    rng = np.random.default_rng(0)
    for side, n in (("pool", 60), ("target", 5)):
        rows = [
            {"id": f"{side}-{at}", "task": f"t{at % 3}", "prompt": f"ask {at} <b>plainly</b>", "response": f"say {at}"}
            for at in range(n)
        ]
        (folder / f"{side}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    np.savez(folder / "v.npz", pool=rng.normal(size=(60, 6)), target=rng.normal(size=(5, 6)))
    data = [str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl")]
    common = ["arrange", *data, "--embedder", f"vectors:{folder / 'v.npz'}"]
    assert main([*common, "--budget", "40", "--out", str(folder / "tma")]) == 0
    assert main([*common, "--method", "nearest", "--out", str(folder / "nearest")]) == 0
    outs = [str(folder / "tma"), str(folder / "nearest")]
    assert main(["report", *outs, "--out", str(folder / "page.html"), "--projection", "pca"]) == 0
    return folder


def test_the_first_row_of_the_list_is_the_first_of_the_arrangement(show: Show, reported: Path) -> None:
    tab = show(reported / "page.html")
    assert "could not be shown" not in tab.run("document.querySelector('main').innerText")
    first = pq.read_table(reported / "tma" / "arrangement.parquet").slice(0, 1).to_pylist()[0]
    tab.run("document.querySelector('[data-view=pool] .list .item').click()")
    tab.wait(f"document.querySelector('[data-view=pool] .detail h3')?.textContent === {json.dumps(first['id'])}")
    said = tab.run("document.querySelector('[data-view=pool] .detail').innerText")
    assert f"1 of 40, round {first['round']}, similarity {first['similarity']:.4f}" in said
    assert first["picked_by"] in said
    assert "<b>plainly</b>" in said


def test_a_target_row_shows_as_many_rows_as_picked_it(show: Show, reported: Path) -> None:
    tab = show(reported / "page.html")
    picked = pq.read_table(reported / "tma" / "arrangement.parquet").column("picked_by").to_pylist()
    for number in range(5):
        tab.run(f"document.querySelectorAll('[data-view=targets] .list .item')[{number}].click()")
        tab.wait("document.querySelector('[data-view=targets] .list .item[aria-selected=true] b').textContent === "
                 "document.querySelector('[data-view=targets] .detail h3')?.textContent")  # fmt: skip
        name = tab.run("document.querySelector('[data-view=targets] .detail h3').textContent")
        shown = tab.run("document.querySelectorAll('[data-view=targets] .rounds button').length")
        assert shown == picked.count(name)


def test_rows_left_out_are_counted(show: Show, reported: Path) -> None:
    tab = show(reported / "page.html")
    tab.run("""(() => { const labels = [...document.querySelectorAll('[data-view=pool] label')];
        const box = labels.find((one) => one.firstChild.textContent === 'Rows').querySelector('select');
        box.value = 'out'; box.dispatchEvent(new Event('change')); })()""")
    left = pq.read_table(reported / "tma" / "left_out.parquet")
    assert tab.run("document.querySelector('[data-view=pool] .tally').textContent") == f"{left.num_rows} of 60 rows"


@pytest.mark.parametrize("width", [360, 1300])
@pytest.mark.parametrize("dark", [False, True])
def test_a_page_of_an_experiment_is_whole(show: Show, tried: Path, width: int, dark: bool) -> None:
    tab = show(tried, width, dark=dark)
    main_ = "document.querySelector('main')"
    assert "could not be shown" not in tab.run(f"{main_}.innerText")
    titles = tab.run("[...document.querySelectorAll('main > section > h2')].map((one) => one.textContent)")
    assert titles[:3] == ["Experiment: out", "Rows of replicate 1", "Map"]
    assert titles[-1] == "Provenance"
    assert tab.run("document.documentElement.scrollWidth") == width
    assert tab.run("document.querySelector('[data-view=map] .controls select').value") == "1", "random picks nothing"
    tab.wait("document.querySelector('[data-view=targets] .detail .turns')")
    drawn = "[...document.querySelectorAll('.curves .chart')].every((one) => one.querySelector('canvas'))"
    tab.wait(drawn)
    tab.run("document.querySelector('#provenance .folded summary').click()")
    assert '"baseline": "random"' in tab.run("document.querySelector('#provenance .folded').innerText")


@pytest.fixture(scope="module")
def tried(experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of an experiment."""
    page = tmp_path_factory.mktemp("tried") / "page.html"
    assert main(["report", str(experiment), "--out", str(page)]) == 0
    return page
