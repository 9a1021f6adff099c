"""Figures: what they show, that nothing overlaps, and that any name can be drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from made_runs import made_evaluation, made_family, made_run
from righttime.analysis import Analysis, GivenRun, analyse, read_given, read_runs
from righttime.analysis.figures import FIGURES, figures
from righttime.analysis.panels import look, step_axis
from righttime.measures import MEASURES
from righttime.store import write_parquet

pytest.importorskip("matplotlib")

STEPS = (0, 1, 2, 4, 8, 10)
ORDERS = {"random": 0.0, "tma": 0.3, "nearest": 0.2, "tma-rt": 0.25, "cluster": 0.05, "round-robin": 0.1}


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Six orders of three replicates with several metrics, another set, sudden drops and measures."""
    root, rng = tmp_path_factory.mktemp("six"), np.random.default_rng(0)
    learnt = np.asarray(1 - np.exp(-np.asarray(STEPS)[:, None] / 2), np.float64)
    consumed = {step: [f"r{step}-{i}" for i in range(16)] for step in range(10)}
    tasks = {one: "a$b" * 12 if one.endswith("0") else "coqa" for ids in consumed.values() for one in ids}
    given = []
    for name, by in ORDERS.items():
        for k in range(3):
            losses: NDArray[np.float64] = (
                3 - (1 + by + rng.normal(0, 0.03)) * learnt + rng.normal(0, 0.01, (6, 24)) * (learnt > 0)
            )
            losses[3:, k::8] -= 0.8 * (name == "cluster")
            values = {("target", "loss"): losses, ("other", "loss"): losses[:, :6]}
            values["target", "em"] = (losses < 2.5).astype(np.float64)
            run = made_run(root / f"{name}{k}", losses, steps=STEPS, consumed=consumed, row_tasks=tasks)
            made_evaluation(run / "again", values, STEPS, tasks=8)
            (run / "evaluation").rename(run / "before")
            (run / "again").rename(run / "evaluation")
            lines = [
                {"step": step, "task": None, "measure": measure, "value": -by + rng.normal(0, 0.1)}
                for step in STEPS[1:]
                for measure in MEASURES
            ]
            write_parquet(run / "measures.parquet", pa.Table.from_pylist(lines))
            given.append(GivenRun(name, k + 1, run, run / "measures.parquet"))
    return analyse(read_given(given))


def drawn(figure: Any) -> Any:
    figure.savefig(io.BytesIO(), format="png")  # which lays it out
    return figure


def texts_of(figure: Any) -> list[Any]:
    """All texts that are shown, those of ticks too."""
    found = [figure._supxlabel, *(text for legend in figure.legends for text in legend.get_texts())]
    for panel in figure.axes:
        if panel.get_visible():
            found += [panel.title, panel._left_title, panel.xaxis.label, panel.yaxis.label]
            for axis, (low, high) in ((panel.xaxis, panel.get_xlim()), (panel.yaxis, panel.get_ylim())):
                ticks = zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=True)
                found += [label for place, label in ticks if min(low, high) <= place <= max(low, high)]
    return [text for text in found if text.get_text()]


def overlapping(figure: Any) -> list[tuple[str, str]]:
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts_of(figure)]
    return [(a, b) for i, (a, one) in enumerate(boxes) for b, two in boxes[:i] if one.overlaps(two)]


@pytest.mark.parametrize("name", FIGURES)
def test_no_labels_overlap_and_all_lie_inside(six: Analysis, name: str) -> None:
    figure = drawn(FIGURES[name](six))
    assert overlapping(figure) == []
    for text in texts_of(figure):
        box = text.get_window_extent()
        inside = box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1
        assert inside, text.get_text()
    caption = figure._supxlabel.get_text().replace("\n", " ")
    assert ("18 runs" if name == "drops" else "6 orders") in caption
    assert name == "drops" or "3 replicates" in caption
    assert all(panel.get_ylabel() or name in ("differences", "tasks", "measured") for panel in figure.axes[:4])


def test_steps_are_named_where_they_were_evaluated(six: Analysis) -> None:
    (panel,) = drawn(FIGURES["curves"](six)).axes
    assert [label.get_text() for label in panel.get_xticklabels()] == ["0", "1", "2", "4", "8", "10"]
    assert panel.get_xlabel() == "optimizer steps (log from 1)"


@pytest.mark.parametrize(
    "steps", [range(41), range(0, 2001, 50), (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128), (0, 5, 10), (0, 7)]
)
def test_steps_never_touch(steps: Sequence[int]) -> None:
    from matplotlib.figure import Figure

    figure: Any = Figure((9.5, 3), layout="constrained")
    panels = figure.subplots(1, 3)
    for panel in panels:
        panel.plot(steps, steps)
        step_axis(panel, list(steps))
    figure._supxlabel = panels[0].title
    assert overlapping(drawn(figure)) == []
    assert (panels[0].get_xscale() == "symlog") == (len(steps) > 3)


def test_drops_are_shown_with_the_rows_before_them(six: Analysis) -> None:
    assert len(six.falling) == 6
    first = six.falling[0]
    assert (first.order, first.before, first.step) == ("cluster", 2, 4)
    assert first.rows == 3
    assert [one.task for one in six.falling] == list(dict.fromkeys(one.task for one in six.falling))
    falls = [one.losses[one.steps.index(one.before)] - one.losses[one.steps.index(one.step)] for one in six.falling]
    assert falls == sorted(falls, reverse=True)
    assert falls[0] == pytest.approx(max(one.fall for one in six.drops))
    title = FIGURES["drops"](six).axes[0].get_title(loc="left")
    assert title.startswith(f"{first.task}: cluster, replicate {first.replicate}\n32 rows: 28 of coqa, 4 of a\\$ba\\$b")


def test_figures_with_nothing_to_show_are_left_out(tmp_path: Path) -> None:
    flat = np.full((5, 6), 3.0)
    runs = read_runs([f"{name}={made_run(tmp_path / name, flat, tasks=0)}" for name in ("random", "tma")])
    assert {name.split(".")[0] for name in figures(analyse(runs))} == {"curves", "differences"}


def test_figures_show_any_name_and_are_well_formed(tmp_path: Path) -> None:
    lower = {"random": 0.0, **{f"_x$^{{{k}}}$<&>" + "long" * 9 * (k == 3): 0.05 * k for k in range(9)}}
    words = made_family(tmp_path, lower, replicates=3)
    found = analyse(read_runs(words))
    for name, data in figures(found).items():
        if name.endswith(".svg"):
            ElementTree.fromstring(data)
    looks = {tuple(look(found, run.order).values()) for run in found.runs}
    assert len(looks) == 10, "no two orders look alike"
    for name in ("curves", "differences", "tasks", "harm"):
        figure = drawn(FIGURES[name](found))
        (legend,) = figure.legends
        assert len(legend.get_texts()) in (9, 10), "every order has its line, that of a leading underscore too"
        boxes = [text.get_window_extent() for text in (*legend.get_texts(), figure._supxlabel)]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.x1 for box in boxes)
        for panel in figure.axes:
            if panel.get_visible():
                assert panel.get_xlabel()
