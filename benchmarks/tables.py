"""Write the tables of the docs from the JSON that the benchmarks write, so that every number has a file behind it.

    python benchmarks/tables.py [--results benchmarks/results] [--check | --print]

In README.md and the pages of `DOCS`, what stands between `<!-- table: NAME -->` and `<!-- end -->` is the table NAME,
and what stands between `<!-- figure: NAME -->` and `<!-- end -->`, on one line, is the figure NAME. --check changes
nothing and fails where one is not what its JSON gives; --print only shows them all.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import growth as growing
import scaling
from machine import RESULTS

_ROOT = Path(__file__).parents[1]
_PAGES = (
    "performance.md",
    "scaling.md",
    "embedding.md",
    "fidelity.md",
    "method.md",
    "analysis.md",
    "guard.md",
    "report.md",
    "tuning.md",
    "evaluation.md",
)
DOCS = [_ROOT / "README.md", *(_ROOT / "docs" / name for name in _PAGES)]
_MARKED = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_FIGURE = re.compile(r"(<!-- figure: (\S+) -->).*?(<!-- end -->)")
WAYS = {
    "top_k": "righttime `top_k`",
    "first_look": "righttime, first look only",
    "faiss": "FAISS flat, `knn`",
    "semantic_search": "`semantic_search`",
}


def grid(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])


def time_of(seconds: float | None) -> str:
    """Three digits, or a dash."""
    if seconds is None:
        return "-"
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.1f} s" if seconds >= 10 else f"{seconds:.2f} s"


def times(ratio: dict[str, float]) -> str:
    """A ratio of the best, and the median of the turns."""
    return f"{ratio['of_best']:.2f} ({ratio['median']:.2f})"


def mib(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f} MiB"


def machine(results: dict[str, Any]) -> str:
    rows = []
    for name, result in results.items():
        made = result.get("made_on")
        if made is None:  # a file whose parts were measured at different times
            continue
        blas = made.get("blas", {})
        rows.append(
            [
                f"`{name}.json`",
                f"{made['cores']} cores of {made['processor']}, {made['memory_gib']} GiB",
                f"{made['python']}, {made['versions'].get('numpy')}",
                f"{blas.get('library')} {blas.get('version')}, {blas.get('kernels')}, {blas.get('threads')} threads",
                f"{made.get('commit')}, {made.get('date')}, {made.get('load')}",
            ]
        )
    return grid(["file", "machine", "Python, NumPy", "BLAS", "commit, end of the run, load then"], rows)


def arrange(results: dict[str, Any]) -> str:
    rows = []
    for pool in results["arrange"]["pools"]:
        for row in pool["rows"]:
            best = {name: min(seconds) for name, seconds in row["seconds"].items()}
            rows.append(
                [
                    f"{pool['vectors']}, {pool['pool']:,} × {pool['target']:,}",
                    "all" if row["budget"] == pool["pool"] else f"{row['budget']:,}",
                    row["rounds"],
                    time_of(best["floor"]),
                    time_of(best["rounds"]),
                    times(row["to_floor"]["rounds"]),
                    mib(row["peak_mib"]["rounds"]),
                    time_of(best["whole"]),
                    times(row["to_floor"]["whole"]),
                    mib(row["peak_mib"]["whole"]),
                ]
            )
    heads = ["pool × target", "budget", "rounds", "floor", "`tma_rounds`", "× floor", "peak"]
    return grid([*heads, "`arrange_embeddings`", "× floor", "peak"], rows)


def profiles(results: dict[str, Any]) -> str:
    """Where the time of whole pools goes."""
    rows = []
    for pool in results["arrange"]["pools"]:
        for row in pool["rows"]:
            if row["profile"]:
                parts = ", ".join(f"`{part['function']}` {part['own_s']:.2f}" for part in row["profile"][:5])
                rows.append([f"{pool['vectors']}, {pool['pool']:,} × {pool['target']:,}", parts])
    return grid(["pool × target, all", "seconds in a function itself, under a profiler"], rows)


def rivals(results: dict[str, Any]) -> str:
    rows = []
    for pool in results["arrange"]["pools"]:
        for row in pool["rows"]:
            ours = median(row["seconds"]["rounds"])
            cells: list[object] = [
                f"{pool['vectors']}, {pool['pool']:,} × {pool['target']:,}",
                "all" if row["budget"] == pool["pool"] else f"{row['budget']:,}",
                f"{time_of(ours)}, {mib(row['peak_mib']['rounds'])}",
            ]
            for name in ("released", "one_product"):
                rival = pool["rivals"][name]
                seconds = rival["seconds"][str(row["budget"])]
                if seconds is None:
                    cells += [f"{rival['reason']}; {rival['rounds_done']:,} rounds, {rival['rows_done']:,} rows", "-"]
                else:
                    cells += [f"{time_of(seconds)}, {mib(rival['peak_mib'])}", f"{seconds / ours:.2f}"]
            rows.append(cells)
    heads = ["pool × target", "budget", "righttime", "released procedure", "÷ ours", "one product", "÷ ours"]
    return grid(heads, rows)


def required(results: dict[str, Any]) -> str:
    """The lines that were asked for, as far as this run has them."""
    found = {(pool["pool"], row["budget"]): (pool, row) for pool in results["arrange"]["pools"] for row in pool["rows"]}
    rows: list[list[object]] = []

    def line(key: tuple[int, int], what: str, target: str, got: Callable[[Any, Any], tuple[str, bool | None]]) -> None:
        text, met = got(*found[key]) if key in found else ("not measured", None)
        rows.append([what, target, text, {True: "met", False: "**missed**", None: "not measured"}[met]])

    def to_floor(most: float) -> Callable[[Any, Any], tuple[str, bool | None]]:
        return lambda _, row: (
            times(row["to_floor"]["rounds"]),
            row["to_floor"]["rounds"]["of_best"] <= most,
        )

    def against(pool: Any, row: Any) -> tuple[str, bool | None]:
        other, ours = pool["rivals"]["released"], median(row["seconds"]["rounds"])
        seconds = other["seconds"][str(row["budget"])]
        second = pool["rivals"]["one_product"]["seconds"][str(row["budget"])]
        beside = "second rival not finished" if second is None else f"second rival {second / ours:.2f} ×"
        if seconds is None:
            return f"more than {other['rival_limit_s'] / ours:.0f} ×, it was stopped; {beside}", None
        return f"{seconds / ours:.0f} ×; {beside}", seconds / ours >= 20

    def peak(pool: Any, row: Any) -> tuple[str, bool | None]:
        own, other = row["peak_mib"]["rounds"], pool["rivals"]["released"]["peak_mib"]
        return f"{mib(own)}; released {mib(other)}", own is not None and own <= 512 and other > 1024

    def ends(_: Any, row: Any) -> tuple[str, bool | None]:
        done = row["rounds"] is not None
        text = f"{time_of(min(row['seconds']['rounds']))}, {mib(row['peak_mib']['rounds'])}, {row['rounds']} rounds"
        return text if done else str(row["not_finished"]), done

    line((200_000, 10_000), "200,000 × 1,000, budget 10,000, against the floor", "≤ 1.3 ×", to_floor(1.3))
    line((200_000, 200_000), "200,000 × 1,000, whole pool, against the floor", "≤ 3 ×", to_floor(3.0))
    line((100_000, 100_000), "100,000 × 1,000, whole pool, against the released procedure", "≥ 20 ×", against)
    line((100_000, 100_000), "its peak above the input", "≤ 512 MiB, theirs > 1 GiB", peak)
    line((1_000_000, 30_000), "1,000,000 × 1,000, budget 30,000", "runs to the end", ends)
    return grid(["what", "target", "measured: best (median)", ""], rows)


def lists(results: dict[str, Any]) -> str:
    rows = []
    for source in results["neighbours"]["sources"]:
        for row in source["lists"]:
            for name, seconds in row["seconds"].items():
                same = row["same_as_ours"].get(name)
                differs = "" if same is None else f"{same['places_that_differ']:.2%}, {same['of_them_ties']:.1%}"
                rows.append(
                    [
                        f"{source['vectors']}, {source['pool']:,} × {source['target']:,}",
                        f"{row['k']:,}",
                        WAYS[name],
                        time_of(min(seconds)),
                        "1" if name == "top_k" else times(row["to_top_k"][name]),
                        "" if same is None else f"{same['same_order']:.1%}",
                        "" if same is None else f"{same['same_rows']:.1%}",
                        differs,
                    ]
                )
    heads = [
        "pool × target",
        "k",
        "way",
        "best time",
        "÷ `top_k`",
        "lists equal ours",
        "as sets",
        "places that differ, ties",
    ]
    return grid(heads, rows)


def orders(results: dict[str, Any]) -> str:
    rows = []
    for source in results["neighbours"]["sources"]:
        for row in source["orders"]:
            place = row["first_place_that_differs"]
            rows.append(
                [
                    f"{source['vectors']}, {source['pool']:,} × {source['target']:,}",
                    f"`{row['method']}`, {row['budget']:,}",
                    time_of(min(row["seconds"]["ours"])),
                    f"{row['rival']}: {time_of(min(row['seconds']['theirs']))}",
                    times(row["theirs_to_ours"]),
                    "equal" if place is None else f"from place {place:,}",
                    f"{row['rows_shared']:.2%}",
                ]
            )
    return grid(["pool × target", "order", "righttime", "rival", "rival ÷ ours", "differs", "rows shared"], rows)


def growth(results: dict[str, Any]) -> str:
    rows = []
    for curve in results["growth"]["curves"]:
        done = [point for point in curve["points"] if point["reason"] is None]
        fits = growing.fits(curve["grows"], curve["points"])
        rows.append(
            [
                curve["grows"],
                ", ".join(f"{point[curve['grows']]:,}" for point in done),
                ", ".join(f"{min(point['seconds']):.3g}" for point in done),
                ", ".join(f"{point['peak_mib']:.0f}" for point in done),
                *(fits[name] if fits[name].refused is None else f"none ({fits[name]})" for name in fits),
            ]
        )
    heads = ["grows", "sizes", "seconds", "peak, MiB", "exponent of time", "of the floor", "of the peak"]
    return middle(results) + "\n\n" + grid(heads, rows)


def middle(results: dict[str, Any]) -> str:
    """What the other sizes were, and whether those are the sizes that the page speaks of."""
    sizes = results["growth"]["middle"]
    said = f"The others at {sizes['pool']:,} × {sizes['target']:,} × {sizes['dimension']}, budget {sizes['budget']:,}."
    if sizes == growing.MIDDLE:
        return said
    return f"{said} **These are the sizes of `--quick`: they try the script, and no exponent can be told from them.**"


def ray(results: dict[str, Any]) -> str:
    rows = []
    for job in results["ray_nodes"]["jobs"]:
        cpu = min(run["seconds"] for run in job["cpu"])
        budget = "all" if job["budget"] == results["ray_nodes"]["pool"] else f"{job['budget']:,}"
        peak = mib(max(run["driver_anonymous_mib"] for run in job["cpu"]))
        rows.append([budget, "CPU engine", "", time_of(cpu), "1", peak, "", ""])
        for row in job["ray"]:
            killed = ""
            if "processes_killed" in row:
                killed = f", one killed ({row['processes_killed']} processes, {row['shards_killed']} shards)"
            seconds = min(run["seconds"] for run in row["runs"])
            nodes = f"{row['nodes']} node" + ("s" if row["nodes"] > 1 else "")
            peak = mib(max(run["driver_anonymous_mib"] for run in row["runs"]))
            stored = mib(row["object_store_mib"]) if "object_store_mib" in row else ""
            same = "same bytes" if row["same_bytes"] else "**different**"
            columns = [nodes + killed, row["way"], time_of(seconds), f"{seconds / cpu:.1f}", peak]
            rows.append([budget, *columns, stored, same])
    heads = ["budget", "on", "vectors", "best time", "÷ CPU engine", "driver's anonymous memory", "object store"]
    return grid([*heads, "arrangement.parquet"], rows)


def directions(results: dict[str, Any]) -> str:
    rows = []
    for row in results["directions"]["rows"]:
        rows.append(
            [
                f"{row['vectors']}, {row['pool']:,} × {row['target']:,}",
                row["k"],
                row["leading"],
                f"{row['left']:.1%}",
                time_of(min(row["seconds"]["full"])),
                *(times(row["to_full"][name]) for name in ("first_look", "by_bound", "turn")),
            ]
        )
    heads = ["pool × target", "k", "directions", "pairs left", "full product", "first look ÷ full"]
    return grid([*heads, "with the pairs left ÷ full", "turn ÷ full"], rows)


def embedding_rates(results: dict[str, Any]) -> str:
    rows = [
        [
            way["way"],
            f"{way['rows_per_s']:,.1f}",
            f"{way['ratio']:.2f}",
            f"{way['ratio_of_cpu']:.2f}",
            "other dimensions" if way["cosine_min_to_rival"] is None else f"{way['cosine_min_to_rival']:.6f}",
        ]
        for way in results["embedding"]["rates"]["ways"]
    ]
    return grid(["way", "rows/s", "× rival, wall (median)", "× rival, CPU time", "least cosine to the rival"], rows)


def embedding_fidelity(results: dict[str, Any]) -> str:
    found = results["embedding"]["fidelity"]
    budgets = list(found["by_chance"])
    rows = [
        [
            way["way"],
            "-" if way["cosine_mean"] is None else f"{way['cosine_mean']:.5f} / {way['cosine_min']:.5f}",
            f"{way['similarity_correlation']:.3f}",
            f"{way['neighbours_shared']:.0%}",
            *(f"{way['tma_jaccard'][budget]:.2f}" for budget in budgets),
        ]
        for way in found["ways"]
    ]
    rows.append(["by chance", "", "", "", *(f"{found['by_chance'][budget]:.2f}" for budget in budgets)])
    heads = ["way", "cosine, mean / least", "similarities correlate", "5 nearest shared"]
    return grid([*heads, *(f"TMA {budget}" for budget in budgets)], rows)


def embedding_processes(results: dict[str, Any]) -> str:
    rows = [
        [run["workers"], f"{run['start_s']:.1f} s", f"{run['rows_per_s_then']:.1f}"]
        for run in results["embedding"]["processes"]["runs"]
    ]
    return grid(["processes", "all at work after", "then rows/s"], rows)


def fidelity_rds(results: dict[str, Any]) -> str:
    rows = [
        [
            f"{row['share']:.0%}: {row['budget']:,}",
            f"{row['jaccard']:.2f}",
            f"{row['jaccard_cut_in_turn']:.2f}",
            f"{row['turns_lost']:,} of {row['turns']:,} ({row['turns_lost'] / row['turns']:.0%})",
        ]
        for row in results["fidelity"]["rds"]["rows"]
    ]
    return grid(["budget", "Jaccard index, as released", "cut in the order taken", "turns lost there"], rows)


def fidelity_gradients(results: dict[str, Any]) -> str:
    found = results["fidelity"]["gradients"]
    rows = [
        [
            f"{row['dim']:,}",
            f"{row['rms_error']:.3f}",
            f"{row['largest_error']:.3f}",
            f"{found['smaller_than_error'][str(row['dim'])]:.0%}",
            f"{row['same_nearest']:.0%}",
            f"{row['tenth_shared']:.2f}",
        ]
        for row in found["projections"]
    ]
    heads = ["dimensions", "rms error", "largest", "cosines smaller than the rms error", "same nearest pool row"]
    return grid([*heads, "first tenth by mean cosine (Jaccard)"], rows)


def fidelity_facility(results: dict[str, Any]) -> str:
    rows = []
    for line in results["fidelity"]["facility"]["lines"]:
        place = line["first_place_that_differs"]
        there = "" if place is None else f"{place:,}: {line['gain_ours_there']:.8g}, {line['gain_theirs_there']:.8g}"
        rows.append(
            [
                {"exact": "ours, sums exact", "float64": "float64 cosines"}[line["similarities"]],
                f"`{line['optimizer']}`",
                f"{line['places_equal']:.1%}",
                there,
                f"{line['rows_shared']:.1%}",
                f"{line['objective_to_ours']:.6f}",
            ]
        )
    heads = ["similarities", "optimizer", "places equal", "first that differs: gain of ours, theirs", "rows shared"]
    return grid([*heads, "f, theirs ÷ ours"], rows)


def calibration(results: dict[str, Any]) -> str:
    rows = [
        [
            line["scenario"],
            line["replicates"],
            *(f"{line[name]:,} of {line['families']:,}" for name in ("false", "covered", "found_once", "found_twice")),
        ]
        for line in results["calibration"]["rows"]
    ]
    heads = ["errors", "replicates", "families with a false verdict", "intervals all hold the truth"]
    return grid([*heads, "stated difference found", "twice that found"], rows)


def guard_kinds(results: dict[str, Any]) -> str:
    """Of each kind of plant how many were found, by source."""
    sources = results["guard"]["sources"]
    rows = []
    for number, line in enumerate(sources[0]["kinds"]):
        cells: list[object] = [line["group"], line["kind"]]
        for source in sources:
            found = source["kinds"][number]
            cells += [f"{found[way]} of {found['planted']}" for way in ("by_text", "with_vectors")]
        rows.append(cells)
    heads = [f"{source['source']}, {way}" for source in sources for way in ("texts", "and vectors")]
    return grid(["group", "kind", *heads], [[("-" if cell == "0 of 0" else cell) for cell in row] for row in rows])


def guard_groups(results: dict[str, Any]) -> str:
    """The same by group, and the rows that were innocent."""
    sources = results["guard"]["sources"]
    rows = []
    for group in dict.fromkeys(line["group"] for line in sources[0]["kinds"]):
        cells: list[object] = [group]
        for source in sources:
            lines = [line for line in source["kinds"] if line["group"] == group]
            planted = sum(line["planted"] for line in lines)
            cells += [_share(sum(line[way] for line in lines), planted) for way in ("by_text", "with_vectors")]
        rows.append(cells)
    innocent = [source["innocent"] for source in sources]
    flagged = [_share(one[way], one["rows"]) for one in innocent for way in ("by_text", "with_vectors")]
    rows.append(["target rows of which nothing was planted", *flagged])
    heads = [f"{source['source']}, {way}" for source in sources for way in ("texts", "and vectors")]
    return grid(["found", *heads], rows)


def _share(found: int, planted: int) -> str:
    return f"{found / planted:.1%} of {planted:,}" if planted else "-"


def guard_speed(results: dict[str, Any]) -> str:
    """Both commands on the same rows."""
    rows = []
    for one in results["guard_speed"]["sets"]:
        rival = median(one["ways"][1]["processor_seconds"])
        for way in one["ways"]:
            processor = median(way["processor_seconds"])
            rows.append(
                [
                    f"{one['rows']}, {one['pool']:,} × {one['target']:,}",
                    f"`{way['way']}`",
                    time_of(processor),
                    f"{processor / rival:.2f}",
                    time_of(median(way["wall_seconds"])),
                    f"{way['rows_per_s']:,.0f}",
                    mib(way["peak_mib"]),
                    f"{way['found']:,} of {one['planted']:,}",
                    f"{way['near_found']:,} of {one['near']:,}",
                ]
            )
    heads = ["rows", "command", "processor time", "ratio", "wall time", "rows/s", "peak memory", "leaks found"]
    return grid([*heads, "flagged that are no leaks"], rows)


def guard_long(results: dict[str, Any]) -> str:
    """Leaks past what the embedder reads, by group of kinds."""
    rows = []
    for one in results["guard"]["long"]:
        for group in one["groups"]:
            found = [_share(group[way], group["planted"]) for way in ("texts", "chunks", "either")]
            alarms = f"{one['alarms']} of {one['innocent']}"
            rows.append([one["source"], group["group"], *found, alarms, f"{one['chunks']:,} of {one['tokens']}"])
    heads = ["target rows", "paraphrases", "texts", "chunks alone", "either", "other target rows flagged by chunks"]
    return grid([*heads, "chunks, of tokens"], rows)


def report(results: dict[str, Any]) -> str:
    """Pages of some 50,000 rows: bytes and seconds."""
    heads = ["rows", "map", "page", "beyond texts and ids", "to make", "CPU", "again, map kept"]
    rows = []
    for page in results["report"]["pages"]:
        sizes = [f"{page[name] / 1e6:.1f} MB" for name in ("bytes", "beyond_texts_bytes")]
        seconds = [f"{page[name]:.1f} s" for name in ("wall_s", "cpu_s", "again_wall_s")]
        rows.append([page["rows"], page["projection"], *sizes, *seconds])
    return grid(heads, rows)


def report_page(results: dict[str, Any]) -> str:
    """The page in a browser: milliseconds."""
    heads = ["rows", "pixel ratio", "zoom", "first paint", "all ready", "search", "frame, median", "95%", "most"]
    rows = []
    for page in results["report_page"]["pages"]:
        times = [f"{page[name]:.0f} ms" for name in ("first_paint_ms", "ready_ms", "search_ms")]
        frames = [f"{page[name]:.1f} ms" for name in ("frame_ms_median", "frame_ms_p95", "frame_ms_most")]
        rows.append([page["rows"], str(page["pixel_ratio"]), f"{page['zoom']}×", *times, *frames])
    return grid(heads, rows)


def training(results: dict[str, Any]) -> str:
    """Tokens a second of every way to tune, and against TRL and the floor."""
    lines = []
    for found in (results[name] for name in sorted(results) if name.startswith("training")):
        for way, value in found["ways"].items():
            rate = f"{value['tokens_per_cpu_s']:,.0f}", f"{value['tokens_per_wall_s']:,.0f}"
            ratios = f"{found['to_trl'][way]:.2f}", f"{found['floor_to'][way]:.2f}"
            lines.append([f"{found['model']}, {found['precision']}", way, *rate, mib(value["peak_mib"]), *ratios])
    heads = ["model", "way", "tokens a CPU second", "a second", "peak", "× TRL, CPU", "× the floor's CPU time"]
    return grid(heads, lines)


def planned_training(results: dict[str, Any]) -> str:
    """What a plan of a training says beside what its process held."""
    lines = []
    for one in results["planned_training"]["cases"]:
        held = [one["gives_back"], one["as_it_comes"]]
        size = f"{one['batch']} × {one['length']:,}"
        ratios = [f"{one['planned_mib'] / each:.2f}" for each in held]
        lines.append([one["model"], _trained(one), size, mib(one["planned_mib"]), mib(held[0]), *ratios])
    heads = ["model", "trained", "micro-batch", "planned", "held", "planned ÷ held"]
    return grid([*heads, "the same, no setting"], lines)


def _trained(case: dict[str, Any]) -> str:
    """What is trained of a model, in words."""
    lora = case.get("lora")
    words = [f"LoRA {lora['rank']}" if lora else "all weights"]
    words += [f"base {lora['base']}"] if lora and "base" in lora else []
    words += [f"weights {case['weights']}"] if "weights" in case else []
    words += [case.get("precision", "float32")]
    words += [case["optimizer"]] if "optimizer" in case else []
    return ", ".join([*words, *(["recomputed"] if case.get("recompute") else [])])


def evaluation(results: dict[str, Any]) -> str:
    """Losses of the same rows in every way, and beside a bare pass."""
    found = results["evaluation"]
    kind, n, once = found["time"], found["checkpoints"], found["one_pass"]
    took = {
        "the paper's: one load for each checkpoint, rows padded to 1,024 tokens, logits at every place": "paper_way",
        "the same, padded to the longest row of each batch of 8": "paper_way_padded_to_the_longest_of_a_batch",
        "ours from checkpoints": "ours_from_checkpoints",
    }
    times = {way: found[key][kind] / n for way, key in took.items()}
    times |= {
        "ours while training": once["ours"],
        "a bare pass of the same batches, logits at every place": once["logits"],
        "a bare pass of the same batches, layers alone": once["layers"],
    }
    lines = [[way, time_of(seconds), f"{seconds / once['ours']:.2f}"] for way, seconds in times.items()]
    return grid(["way", "time of a checkpoint", "÷ ours while training"], lines)


def whole_way(results: dict[str, Any]) -> str:
    """The whole of `arrange` beside `datasets`."""
    rows = []
    for pool in results["whole_way"]["pools"]:
        ours, theirs = (median(turn[way]["cpu_s"] for turn in pool["turns"]) for way in ("arrange", "datasets"))
        alone = median(float(turn["search"]["said"]) for turn in pool["turns"])
        memory = [max(turn[way]["anonymous_mib"] for turn in pool["turns"]) for way in ("arrange", "datasets")]
        rows.append(
            [
                f"{pool['rows']:,}, {pool['container']}, {pool['bytes'] / 1e6:,.0f} MB",
                time_of(ours),
                time_of(alone),
                time_of(theirs),
                f"{(ours - alone) / theirs:.2f}",
                *(f"{one:,.0f} MiB" for one in memory),
            ]
        )
    heads = ["pool", "`arrange`", "of it search", "`datasets`", "(`arrange` − search) ÷ `datasets`"]
    return grid([*heads, "anonymous memory of `arrange`", "of `datasets`"], rows)


def planned(results: dict[str, Any]) -> str:
    """What a plan says beside what the job takes."""
    rows = []
    for one in results["planned"]["pools"]:
        took, run = one["run"]["cpu_s"], one["run"]
        needed = run["anonymous_mib"] + results["planned"]["libraries_mib"]
        rows.append(
            [
                f"{one['rows']:,}",
                time_of(one["planned_s"]),
                time_of(took),
                f"{one['planned_s'] / took:.2f}",
                f"{one['planned_mib']:,.0f} MiB",
                f"{needed:,.0f} MiB",
                f"{one['planned_mib'] / needed:.2f}",
                f"{run['resident_mib']:,.0f} MiB",
            ]
        )
    heads = ["pool", "CPU time planned", "CPU time taken", "ratio", "peak planned", "peak needed"]
    return grid([*heads, "planned ÷ needed", "resident, files mapped included"], rows)


def five_million(results: dict[str, Any]) -> str:
    """Five million rows: time, the stages of `arrange`, memory."""
    ways = results["five_million"]["ways"]
    rows = [[f"`{name}`", *_taken(one)] for name, one in ways.items()]
    stages = dict(ways["arrange"]["stages"])
    stages["the rest"] = stages.pop("all") - sum(stages[name] for name in ("reading", "searching"))
    rows[1:1] = [[f"of it {stage}", time_of(seconds), "", "", ""] for stage, seconds in stages.items()]
    return grid(["way", "time", "CPU time", "anonymous memory at the peak", "resident, files mapped included"], rows)


def five_million_afar(results: dict[str, Any]) -> str:
    """The same rows from a disk, from S3 whose requests fail, and on nodes of which one dies."""
    found = results["five_million_afar"]
    what: dict[str, Callable[[dict[str, Any]], str]] = {
        "disk": lambda one: "on disk",
        "s3": lambda one: f"in S3, {one['failed']:,} of {one['requests']:,} requests answered with 503",
        "ray": lambda one: f"on disk, {one['nodes']} Ray nodes, one killed at work{_stages_of(one)}",
    }
    rows = [
        [what[name](one), time_of(one["cpu_s"]), mib(one["anonymous_mib"]), _same(one)]
        for name, one in found["ways"].items()
    ]
    return grid(["shards", "CPU time of the command", "its anonymous memory", "same bytes"], rows)


def _stages_of(one: dict[str, Any]) -> str:
    """In which stages nodes were killed, where that is more than the search."""
    stages = list(one.get("killed", ["search"]))
    return "" if stages == ["search"] else f" in each stage ({', '.join(stages)})"


def _same(one: dict[str, Any]) -> str:
    return "yes" if all(one["same"].values()) else "**no**"


def _taken(one: dict[str, Any]) -> list[str]:
    return [time_of(one["wall_s"]), time_of(one["cpu_s"]), mib(one["anonymous_mib"]), mib(one["resident_mib"])]


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "report": report,
    "report_page": report_page,
    "calibration": calibration,
    "guard_groups": guard_groups,
    "guard_kinds": guard_kinds,
    "guard_long": guard_long,
    "guard_speed": guard_speed,
    "machine": machine,
    "required": required,
    "arrange": arrange,
    "profiles": profiles,
    "rivals": rivals,
    "lists": lists,
    "orders": orders,
    "growth": growth,
    "ray": ray,
    "directions": directions,
    "whole_way": whole_way,
    "five_million": five_million,
    "five_million_afar": five_million_afar,
    "planned": planned,
    "rates": scaling.rates,
    "pass": scaling.one_pass,
    "limits": scaling.limits,
    "fidelity_rds": fidelity_rds,
    "fidelity_gradients": fidelity_gradients,
    "fidelity_facility": fidelity_facility,
    "embedding_rates": embedding_rates,
    "embedding_fidelity": embedding_fidelity,
    "embedding_processes": embedding_processes,
    "training": training,
    "planned_training": planned_training,
    "evaluation": evaluation,
}


def _to_floor(results: dict[str, Any], wanted: Callable[[Any, Any], bool]) -> str:
    """The smallest and the largest of the whole call's ratios to the floor, of the lines wanted."""
    ratios = [
        row["to_floor"]["whole"]["of_best"]
        for pool in results["arrange"]["pools"]
        for row in pool["rows"]
        if wanted(pool["pool"], row["budget"])
    ]
    return f"{_short(min(ratios))} to {_short(max(ratios))}"


def _short(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"


def _jaccards(results: dict[str, Any]) -> str:
    found = [row["jaccard"] for row in results["fidelity"]["rds"]["rows"]]
    return f"{min(found):.2f} to {max(found):.2f}"


def _projected(results: dict[str, Any]) -> dict[str, Any]:
    """At the default of 1,024 dimensions."""
    found: dict[int, dict[str, Any]] = {row["dim"]: row for row in results["fidelity"]["gradients"]["projections"]}
    return found[1024]


FIGURES: dict[str, Callable[[dict[str, Any]], str]] = {
    "bootstrap_alarms": lambda results: f"{results['calibration']['bootstrap']:,}",
    "components": lambda results: str(results["calibration"]["components"]["source"]),
    "large_part": lambda results: _to_floor(results, lambda n, budget: n >= 100_000 and budget < n),
    "small_part": lambda results: _to_floor(results, lambda n, budget: n < 100_000 and budget < n),
    "whole_pools": lambda results: _to_floor(results, lambda n, budget: budget == n),
    "rds_jaccard": _jaccards,
    "gradient_rms": lambda results: f"{_projected(results)['rms_error']:.3f}",
    "gradient_median": lambda results: f"{results['fidelity']['gradients']['similarity']['median']:.3f}",
    "gradient_nearest": lambda results: f"{_projected(results)['same_nearest']:.0%}",
    "gradient_smaller": lambda results: f"{results['fidelity']['gradients']['smaller_than_error']['1024']:.0%}",
}


def made(name: str, results: dict[str, Any]) -> str:
    """A table, or the file that it lacks."""
    try:
        return TABLES[name](results)
    except KeyError as missing:
        return f"*(not measured yet: no {missing} in the results)*"


def figure(name: str, results: dict[str, Any]) -> str:
    """A figure, or that it is missing."""
    try:
        return FIGURES[name](results)
    except KeyError as missing:
        return f"*(not measured yet: no {missing} in the results)*"


def read(folder: Path) -> dict[str, Any]:
    """All results of a folder, by the name of their file."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def filled(text: str, results: dict[str, Any]) -> str:
    """A document with every marked table and figure written again."""
    return replaced(text, lambda name: made(name, results), lambda name: figure(name, results))


def replaced(text: str, table: Callable[[str], str], one_line: Callable[[str], str]) -> str:
    """A document with what stands between its marks written again.

    Args:
        text: The document.
        table: Gives the table of a name.
        one_line: Gives the figure of a name.
    """
    text = _MARKED.sub(lambda found: f"{found[1]}\n{table(found[2])}\n\n{found[3]}", text)
    return _FIGURE.sub(lambda found: f"{found[1]}{one_line(found[2])}{found[3]}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--print", action="store_true")
    args = parser.parse_args()
    results = read(args.results)
    if args.print:
        for name in TABLES:
            print(f"{name}\n\n{made(name, results)}\n")
        return
    for path in DOCS:
        before = path.read_text(encoding="utf-8")
        after = filled(before, results)
        if args.check and after != before:
            sys.exit(f"{path.name} is not what the results give. Hint: python benchmarks/tables.py")
        if not args.check:
            path.write_text(after, encoding="utf-8")
            print(f"wrote the tables of {path}")


if __name__ == "__main__":
    main()
