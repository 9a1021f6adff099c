"""The tables of docs/reproduction.md: of one experiment, and of several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median

from claims import claims
from collected import Collected
from righttime.analysis import PRIMARY, Analysis, Difference, verdict
from righttime.analysis.verdict import replicates_told, rows_told
from righttime.measures import MEASURES
from tables import grid

_DROPS_SHOWN, _TASKS_SHOWN = 10, 3
LEFT_OUT = {"off": "same prompts alone", "report": "same prompts; other leaks were kept", "remove": "all leaks found"}
"""By the experiment's guard; results that name none were made before there was one."""
_NARROW = ("confirm-narrow", "order-narrow", "confirm-vectors", "best-narrow", "screen-narrow", "rearranged-narrow")
WHICH = (*_NARROW, "mixed-02", "mixed-06", "order-same", "tma", "wsd")
"""The experiments that say which order to use: a narrow target in a mixed pool, then pool and target of one form."""
MIXED = "mixed-"
"""How experiments are called that differ in the share of useful pool rows; the share in percent follows."""


def number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:+.{digits}f}"


def spread(mean: float | None, interval: Sequence[float] | None, digits: int = 3) -> str:
    """A mean with its interval, where there is one."""
    if interval is None:
        return signed(mean, digits)
    return f"{signed(mean, digits)} [{signed(interval[0], digits)}, {signed(interval[1], digits)}]"


def orders(found: Collected, analysis: Analysis) -> str:
    """Every order: losses, area, and what the primary comparison says."""
    differences = {one.order: one for one in analysis.differences}
    rows = []
    for order in _orders(analysis):
        runs = [run for run in analysis.runs if run.order == order]
        means = [number(fmean(column)) for column in zip(*((r.first, r.last, r.area) for r in runs), strict=True)]
        rows.append([f"`{order}`", len(runs), *means, *_compared(differences.get(order))])
    heads = ["order", "replicates", f"loss at step {analysis.steps[0]}", f"at step {analysis.steps[-1]}", "area"]
    heads += [f"difference in area from `{analysis.baseline}` [95%, all orders at once]", "verdict"]
    return grid([*heads, "smallest visible", "replicates needed"], rows)


def _compared(one: Difference | None) -> list[str]:
    if one is None:
        return ["", "baseline", "", ""]
    needed = f"{one.needed:,}" if one.needed else "-" if one.visible is None else "more than 1,000"
    return [spread(one.mean, one.simultaneous), one.verdict, number(one.visible), needed]


def steps(found: Collected, analysis: Analysis) -> str:
    """The mean loss on the judge rows at every step."""
    at = {(one.order, one.step): one.mean for one in analysis.curves if (one.set, one.metric) == _judged(analysis)}
    rows = [[f"`{order}`", *(number(at[order, step]) for step in analysis.steps)] for order in _orders(analysis)]
    return grid(["order", *(f"step {step}" for step in analysis.steps)], rows)


def early(found: Collected, analysis: Analysis) -> str:
    """How early the loss falls: onset, and which share of its whole fall is reached at each step."""
    curves: dict[str, list[float]] = {}
    for one in analysis.curves:
        if (one.set, one.metric) == _judged(analysis):
            curves.setdefault(one.order, []).append(one.mean)
    rows = []
    for order, curve in curves.items():
        onsets = [one.step for one in analysis.onsets if one.order == order and one.replicate is not None]
        over = [one.step for one in analysis.onsets if one.order == order and one.replicate is None]
        whole = curve[0] - min(curve)
        shares = [f"{(curve[0] - loss) / whole:.0%}" if whole > 0 else "-" for loss in curve[1:]]
        told = ", ".join("none" if step is None else str(step) for step in onsets)
        whole_order = "-" if not over else "none" if over[0] is None else str(over[0])
        rows.append([f"`{order}`", whole_order, told, number(whole), *shares])
    heads = ["order", "onset over replicates (step)", "of each run, by its tasks", "fall to the lowest loss"]
    return grid([*heads, *(f"of it at step {step}" for step in analysis.steps[1:])], rows)


def harm(found: Collected, analysis: Analysis) -> str:
    """Increases on other sets, each with its upper bound."""
    rows = [
        [f"`{one.order}`", one.set, one.against, one.step, signed(one.mean), signed(one.bound), _each(one.each)]
        for one in analysis.harm
    ]
    heads = ["order", "set", "against", "step", "mean increase of the loss", "at most (95%, all at once)"]
    return grid([*heads, "by replicate"], rows) if rows else "*(no other sets)*"


def drops(found: Collected, analysis: Analysis) -> str:
    """The largest falls of single tasks beyond their noise, with the tasks of the rows consumed just before.

    Most fall at once when the form of the answers is learnt, in the first interval; these are only counted.
    """
    later = [one for one in analysis.drops if one.before != analysis.steps[0]]
    largest, rows = sorted(later, key=lambda one: -one.fall)[:_DROPS_SHOWN], []
    for one in largest:
        tasks = list(one.tasks.items())
        told = [f"{count} of {task}" for task, count in tasks[:_TASKS_SHOWN]]
        if rest := sum(count for _, count in tasks[_TASKS_SHOWN:]):
            told.append(f"{rest} of {len(tasks) - _TASKS_SHOWN} others")
        where = f"`{one.order}`, {one.replicate}", one.task, f"{one.before} to {one.step}"
        rows.append([*where, f"{one.fall:.2f} ± {one.error:.2f}", f"{one.share:.0%}", ", ".join(told) or "-"])
    heads = ["order, replicate", "task", "steps", "fall ± standard error", "of its whole fall"]
    first = len(analysis.drops) - len(later)
    count = f"{len(later):,} drops after the first interval, {len(rows):,} of them shown; {first:,} in the first."
    return count + (f"\n\n{grid([*heads, 'rows consumed between'], rows)}" if rows else "")


def metrics(found: Collected, analysis: Analysis) -> str:
    """How good an indicator each metric is."""
    rows = []
    for one in analysis.indicators:
        noise = [number(one.between_steps), number(one.between_replicates)]
        rows.append([one.metric, signed(one.change), *noise, number(one.ratio, 1)])
    heads = ["metric", "change", "noise between steps", "between replicates", "change ÷ the larger noise"]
    return grid(heads, rows)


def measures(found: Collected, analysis: Analysis) -> str:
    """Rank correlations of the data-set measures with the loss across orders, by step."""
    links = {(one.measure, one.step): one for one in analysis.measured if one.task is None}
    at = sorted({step for _, step in links})
    rows = []
    for name in MEASURES:
        here = [links.get((name, step)) for step in at]
        if any(one is not None and one.mean is not None for one in here):
            rows.append([name, *(spread(one.mean, one.interval, 2) if one else "-" for one in here)])
    return grid(["measure", *(f"step {step}" for step in at)], rows) if rows else "*(fewer than four orders)*"


def said(found: Collected, analysis: Analysis) -> str:
    """The analysis in words, and what limits it."""
    return "\n".join([verdict(analysis), "", *(f"- {note}" for note in analysis.notes)]).strip()


def line(found: Collected, analysis: Analysis) -> str:
    """What it rests on, in one line; the experiment is named by its config."""
    asked = found.about["experiment"]
    batch = asked["tuning"].get("batch", 16) * asked["tuning"].get("accumulation", 1)
    last = f"{analysis.steps[-1]:,} steps of {batch} rows"
    told = [replicates_told(analysis), f"{rows_told(analysis)} each", last, " and ".join(found.processors)]
    return f"`configs/small/{found.name}.yaml`: {', '.join(one for one in told if one)}."


def experiments(all_found: Mapping[str, Collected]) -> str:
    """What was run."""
    rows = []
    for name, found in all_found.items():
        asked, runs = found.about["experiment"], found.about["runs"]
        seconds = [run["seconds"] for run in runs if run["seconds"] is not None]
        analysis = found.analysis
        rows.append(
            [
                f"`{name}.yaml`",
                f"{len(runs)} of {len(runs) + len(found.about['missing'])}",
                replicates_told(analysis) if analysis else "-",
                rows_told(analysis) if analysis else "-",
                f"{asked['budget']:,}" if isinstance(asked["budget"], int) else asked["budget"],
                analysis.steps[-1] if analysis else "-",
                f"{median(seconds) / 60:.1f}" if seconds else "-",
                LEFT_OUT[asked.get("guard", "off")],
                ", ".join(found.processors) or "-",
            ]
        )
    heads = ["experiment", "runs finished", "compared", "judged on", "budget", "steps", "minutes a run (median)"]
    return grid([*heads, "pool rows left out", "processor"], rows)


def mixed(all_found: Mapping[str, Collected]) -> str:
    """Gain on a narrow target and harm elsewhere, by the share of the pool that is of use."""
    rows = []
    for found in _by_share(all_found):
        analysis = found.analysis
        for one in analysis.differences if analysis else ():
            assert analysis is not None
            gain = None if one.simultaneous is None else (-one.simultaneous[1], -one.simultaneous[0])
            elsewhere = [h for h in analysis.harm if (h.order, h.against) == (one.order, "baseline")]
            told = [f"{h.set}: {signed(h.mean)}, at most {signed(h.bound)}" for h in elsewhere]
            useful, total = share_of_use(found)
            head = [f"{useful / total:.0%} ({useful:,} of {total:,})", f"`{one.order}`", one.replicates]
            rows.append([*head, spread(-one.mean, gain), one.verdict, "; ".join(told) or "-"])
    heads = ["useful rows of the pool", "order", "replicates", "gain on the target, in area [95%, all orders at once]"]
    return grid([*heads, "its loss is", "increase on other sets at the last step (95% bound)"], rows)


def which(all_found: Mapping[str, Collected]) -> str:
    """What every order gains over random rows, and what it costs elsewhere, by experiment; open cells are shown."""
    rows: list[list[object]] = []
    for name in WHICH:
        found = all_found.get(name)
        analysis = found.analysis if found else None
        if found is None or analysis is None:
            rows.append([f"`{name}`", "", "*not run*", *[""] * 5])
            continue
        for one in sorted(analysis.differences, key=lambda one: one.mean):
            gain = None if one.simultaneous is None else (-one.simultaneous[1], -one.simultaneous[0])
            last = [(h.set, h.mean, h.bound) for h in analysis.harm if (h.order, h.against) == (one.order, "baseline")]
            told = "; ".join(
                f"{where}: {signed(mean)}" + ("" if bound is None else f", at most {signed(bound)}")
                for where, mean, bound in last
            )
            end = [run.last for run in analysis.runs if run.order == one.order]
            needed = "" if one.verdict == "lower" else f"{one.needed:,}" if one.needed else "-"
            head = [f"`{name}`", f"`{one.order}`", one.replicates, spread(-one.mean, gain), one.verdict]
            rows.append([*head, needed, number(fmean(end)), told or "-"])
    heads = ["experiment", "order", "replicates", "gain over random, in area [95%, all orders of it at once]"]
    heads += ["its loss is", "replicates that would show it", "loss at the end", "elsewhere (95% bound)"]
    return grid(heads, rows)


def _by_share(all_found: Mapping[str, Collected]) -> Iterable[Collected]:
    named = {name.removeprefix(MIXED): found for name, found in all_found.items() if name.startswith(MIXED)}
    return [named[share] for share in sorted(named, key=lambda share: int(share) if share.isdigit() else 1_000)]


def share_of_use(found: Collected) -> tuple[int, int]:
    """Pool rows of the target's own files, and all pool rows that a replicate draws."""
    asked = found.about["experiment"]
    files = {source["path"] for source in asked["target"]}
    total = next(draw["counts"]["pool"] for draw in found.about["draws"].values() if draw)
    return sum(source["rows"] for source in asked["pool"] if source["path"] in files), total


def _orders(analysis: Analysis) -> list[str]:
    return list(dict.fromkeys(run.order for run in analysis.runs))


def _judged(analysis: Analysis) -> tuple[str, str]:
    return analysis.judge, PRIMARY


def _each(values: Sequence[float]) -> str:
    return ", ".join(signed(one) for one in values)


OF_ONE: dict[str, Callable[[Collected, Analysis], str]] = {
    "orders": orders,
    "steps": steps,
    "early": early,
    "harm": harm,
    "drops": drops,
    "metrics": metrics,
    "measures": measures,
    "said": said,
    "line": line,
}
"""Tables of one experiment; in the page they are called EXPERIMENT.TABLE."""
OF_ALL: dict[str, Callable[[Mapping[str, Collected]], str]] = {
    "claims": claims,
    "experiments": experiments,
    "mixed": mixed,
    "which": which,
}


def made(name: str, all_found: Mapping[str, Collected]) -> str:
    """The table of a name, or what it lacks.

    Raises:
        KeyError: If there is no such table.
    """
    if name in OF_ALL:
        return OF_ALL[name](all_found)
    experiment, _, what = name.rpartition(".")
    table, found = OF_ONE[what], all_found.get(experiment)
    if found is None:
        return "*(not run yet)*"
    if found.analysis is None:
        return "*(not enough runs to compare yet)*"
    return table(found, found.analysis)
