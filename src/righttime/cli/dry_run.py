"""``righttime experiment --dry-run``: what would run, and how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.analysis.differences import LEAST, spreads_visible
from righttime.cli.analysis_text import matrix_table
from righttime.cli.output import emit, say
from righttime.cli.text import printable, table
from righttime.errors import ModelError
from righttime.progress import lasting

if TYPE_CHECKING:
    from righttime.experiment import Experiment

__all__ = ["dry"]


def dry(asked: Experiment, out: Path, jobs: int, as_json: bool, replicates: Sequence[int] = ()) -> None:
    """Say what an experiment would do, without doing it."""
    from righttime.experiment import Outcome, state_of, wanted_cells
    from righttime.experiment.draws import draw_replicate, read_pools
    from righttime.experiment.estimate import estimate_by_runs, estimate_by_trial, evaluations_of
    from righttime.experiment.matrix import check_model

    every = wanted_cells(asked, out, replicates)
    states = Outcome(tuple((cell, state_of(cell)) for cell in every), ())
    open_runs = len(every) - states.count("finished")
    facts: dict[str, Any] = {"runs": len(every), "open": open_runs, "budget": asked.budget, "model": asked.model}
    n, family = asked.replicates, len(asked.orders) - 1
    tried = (n, max(n + 1, LEAST), max(2 * n, LEAST + 1))
    facts["visible"] = {str(each): spreads_visible(each, family) for each in tried}
    try:
        check_model(asked)
        draw = draw_replicate(asked, read_pools(asked, progress=True), 1)
        steps = max(asked.steps(order, len(draw.pool)) or 0 for order in asked.orders)
        facts |= {"draw": dict(draw.counts), "steps": steps}
        facts |= {"side_pools": draw.side_counts} if draw.side_pools else {}
        facts["evaluations"] = evaluations_of(asked.evaluation, steps)
        found = estimate_by_runs(every) or estimate_by_trial(asked, draw, jobs, lambda line: say(line, err=True))
        facts |= {"seconds_a_run": found.seconds, "seconds": found.seconds * open_runs / jobs, "by": found.told}
    except ModelError as error:
        facts["cannot_tell"] = str(error)
    emit(as_json, lambda: facts, lambda: "\n".join(_lines(asked, states, facts, jobs)))


def _lines(asked: Experiment, states: Any, facts: dict[str, Any], jobs: int) -> list[str]:
    orders, runs = len(asked.orders), facts["runs"]
    lines = [
        *([printable(asked.question), ""] if asked.question else []),
        f"{orders} orders × {runs // orders} replicates = {runs:,} runs, {facts['open']:,} of them not done",
    ]
    if "draw" in facts:
        told = ", ".join(f"{count:,} {what}" for what, count in facts["draw"].items() if count)
        lines.append(f"each of {facts['steps']:,} steps and {facts['evaluations']:,} evaluations")
        lines.append(f"replicate 1 draws: {told}")
    for name, counts in facts.get("side_pools", {}).items():
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        lines.append(f"of the side pool {name}: {told}")
    settings = [[name, str(order.arranging.get("method")), _more(order)] for name, order in asked.orders.items()]
    lines += ["", table(["order", "method", "settings"], settings), "", matrix_table(states), ""]
    lines += [_visible(facts["visible"], orders - 1), ""]
    if "seconds" in facts:
        at_once = f", {jobs} at a time" if jobs > 1 else ""
        each, whole = lasting(facts["seconds_a_run"]), lasting(facts["seconds"])
        lines.append(f"about {each} a run, {whole} in all{at_once} ({facts['by']})")
    else:
        lines.append(f"how long it takes cannot be told here: {printable(facts['cannot_tell'])}")
    return lines


def _visible(found: dict[str, float | None], compared: int) -> str:
    """What so many replicates can show, and what more of them could."""
    first, *others = [f"{one:.1f} for {n}" for n, one in found.items() if one is not None]
    at_once = "one order" if compared == 1 else f"{compared} orders at once"
    none = f" (fewer than {LEAST} give no verdict)" if None in found.values() else ""
    return (
        f"comparing {at_once} with the baseline, the smallest visible difference, in standard deviations between "
        f"replicates, is {', '.join([f'{first} replicates', *others])}{none}"
    )


def _more(order: Any) -> str:
    settings = {name: value for name, value in order.arranging.items() if name != "method"} | dict(order.tuning)
    return ", ".join(f"{name}={value}" for name, value in settings.items())
