"""What `righttime arrange`, `similarity` and `plan` print at their end."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from righttime.arrangement import method_named
from righttime.cli.flags import in_flags
from righttime.cli.guard_text import leak_counts, leak_lines
from righttime.cli.output import say
from righttime.cli.show import falloff_text, file_text, rounds_text, widening_lines
from righttime.cli.text import printable, table
from righttime.embedding import Fidelity
from righttime.inputs import Inputs, exchanged_sides
from righttime.leaving import reasons_of
from righttime.planning.stages import peak_of
from righttime.progress import lasting

if TYPE_CHECKING:
    from righttime.extending import Saved
    from righttime.measures.curves import Measured
    from righttime.planning import Stage
    from righttime.results import Result

__all__ = [
    "arranged_facts",
    "measured_facts",
    "measured_summary",
    "planned_facts",
    "planned_summary",
    "reading_teller",
    "saved_line",
    "summary",
]

_FILES = 4  # of one side that are named


def reading_teller() -> Callable[[Inputs], None]:
    """What says, before the slow part, what was found in each side; of a pool once, for several targets."""
    told: set[str] = set()

    def tell(read: Inputs) -> None:
        lines = [printable(line) for line in _read(read) if line not in told]
        told.update(lines)
        say("\n".join(lines))

    return tell


def summary(result: Result, out: Path) -> str:
    """A dozen lines for a person, beside what `reading_teller` has said.

    Args:
        result: What `arrange_rows` returned.
        out: The folder that it was written to.
    """
    widened = widening_lines(result.widening) if result.widening else []
    lines = [*widened, *_embedded(result), *_warned(result)]
    found = result.falloff
    if found is not None:
        lines += ["", falloff_text(found, alone=3, explain=False)]
    folder = shlex.quote(str(out))
    lines += ["", *_written(result, out), f"look     righttime show {folder}"]
    if method_named(result.request.method).ordered:
        lines.append(
            f"train    righttime export {folder} --to trl --model MODEL --out FOLDER   (trainers shuffle otherwise)"
        )
    return printable("\n".join(lines))


def saved_line(saved: Saved) -> str:
    """What looking at an earlier arrangement first has saved, in a line or two."""
    if saved.why:
        return printable(f"extended by arranging the whole pool, since {in_flags(saved.why)}")
    share = saved.pairs / max(1, saved.whole)
    settled = "" if not saved.again else f"; some choices were not settled by the earlier arrangement ({saved.again:,})"
    if share > 1:
        return (
            f"extended by looking at {saved.pairs:,} pairs of rows, more than the {saved.whole:,} of one look at the "
            f"whole pool: nothing was saved, as happens where little stays as it was{settled}"
        )
    return f"extended by looking at {saved.pairs:,} pairs of rows, {share:.0%} of one look at the whole pool{settled}"


def arranged_facts(result: Result, out: Path) -> dict[str, Any]:
    """The same for a program."""
    reasons = reasons_of(result.left_out)
    return {
        "out": out,
        "method": result.request.method,
        "pool": result.pool.inputs,
        "target": result.target.inputs,
        "rows": len(result.arrangement),
        "rounds": result.arrangement.n_rounds if result.arrangement.round is not None else None,
        "left_out": sum(reasons.values()),
        "left_out_by_reason": reasons,
        "duplicates": result.duplicates,
        "target_prompts_in_pool": len(result.leaks),
        "guard": leak_counts(result.guard) if result.guard else None,
        "embedding": result.embedding,
        "falloff": result.falloff,
        "widening": result.widening,
        "notes": (*result.notes, *result.of_run),
    }


def _read(read: Inputs) -> Iterator[str]:
    for side, reading in (("pool", read.pool), ("target", read.target), ("side", read.side)):
        if reading is None:
            continue
        # A file with something to say is named in any case.
        named = [file for n, file in enumerate(reading.inputs) if n < _FILES or file.note or file.left_out]
        for file in named:
            yield f"{side:<8} {file_text(file)}"
        if len(named) < len(reading.inputs):
            rows = sum(file.rows for file in reading.inputs) - sum(file.rows for file in named)
            yield f"{side:<8} and {len(reading.inputs) - len(named):,} more files, {rows:,} rows"
    yield from (f"warning: {what}" for what in exchanged_sides(len(read.pool.rows), len(read.target.rows)))


def _embedded(result: Result) -> Iterator[str]:
    about = result.embedding
    if "max_length" in about:
        cached = f", {about['from_cache']:,} from the cache" if about["from_cache"] else ""
        if about.get("cache_damaged"):
            cached += f" ({about['cache_damaged']:,} cached vectors were damaged and embedded again)"
        yield f"embedder {about['model']}, text: {result.text}; {about['embedded_now']:,} texts embedded now{cached}"
        if about["pool_truncated"] or about["target_truncated"]:
            yield (
                f"note: {about['pool_truncated']:,} pool rows and {about['target_truncated']:,} target rows are longer "
                f"than the {about['max_length']} tokens that the model reads"
            )
        for part in about.get("parts", [about]):
            name = f"{part['model']} " if "parts" in about else ""
            if "centring" in part:
                yield f"         {name}{_centred(part['centring'])}"
            if "subspace" in part:
                kept = part["subspace"]
                yield (
                    f"         {name}projected on {kept['directions']:,} directions of the target, which hold "
                    f"{kept['energy']:.0%} of its squared lengths"
                )
            if "agreement" in part:
                yield f"         {name}stands in for the float32 model; {Fidelity(**part['agreement'])}"
    elif about:
        yield f"vectors  {about['model'].removeprefix('vectors:')}"


def _centred(about: Mapping[str, Any]) -> str:
    """What centring did to vectors."""
    return (
        f"{about['how']} on {about['sample']:,} texts of the pool (seed {about['seed']}): their mean cosine was "
        f"{about['mean_cosine']:.3f} and is {about['mean_cosine_after']:.3f}"
    )


def _warned(result: Result) -> Iterator[str]:
    if result.duplicates:
        did = "kept; --duplicates drop leaves them out" if result.request.duplicates == "keep" else "left out"
        yield f"note: {result.duplicates:,} pool rows repeat an earlier row ({did})"
    own = result.widening.own if result.widening else len(result.target.rows)
    told = exchanged_sides(len(result.pool.rows), own)
    for note in (*result.notes, *result.of_run):
        if note not in told:
            yield f"note: {in_flags(note)}"
    if result.leaks:
        row, place = next(iter(result.leaks.items()))
        first = f"target {result.target.rows.ids[row]}, pool {result.pool.rows.ids[place]}"
        yield (
            f"warning: the pool contains {len(result.leaks):,} of {len(result.target.rows):,} target prompts word "
            f"for word (first: {first})" + ("; nearest-first puts such rows in front" if result.embedding else "")
        )
    if result.guard is not None:
        yield from leak_lines(result.guard, result.request.guard == "remove")


def _written(result: Result, out: Path) -> Iterator[str]:
    arrangement = result.arrangement
    rounds = f" in {rounds_text(arrangement.n_rounds)}" if arrangement.round is not None else ""
    woven = "" if arrangement.woven is None else f", {int(arrangement.woven.sum()):,} of them woven in at random,"
    yield f"wrote    {len(arrangement):,} rows{rounds}{woven} to {out / 'train.jsonl'}"
    if result.left_out:
        yield f"         {len(result.left_out):,} rows left out, each with its reason in {out / 'left_out.parquet'}"


def measured_facts(measured: Measured, out: Path) -> dict[str, Any]:
    """Every measure of every prefix, for a program."""
    picture = out / "measures.svg"
    return {
        "out": out,
        "measures": measured.to_table().to_pylist(),
        "picture": picture if picture.exists() else None,
        "notes": measured.notes,
    }


def measured_summary(measured: Measured, out: Path) -> str:
    """Two small tables: every measure of the first prefix and of the whole order.

    Args:
        measured: What `measure_folders` returned.
        out: The folder that it was written to.
    """
    parts = [f"note: {in_flags(note)}" for note in measured.notes]
    parts += ["the shortest prefix", _measures_at(measured, 0), "", "the whole order", _measures_at(measured, -1), ""]
    n_curves = {len(curves.task or ()) for curves in measured.by_task.values()}
    by_task = f", and the same for each of {n_curves.pop()} target tasks" if n_curves else ""
    parts.append(f"wrote {out / 'measures.parquet'}: every prefix{by_task}")
    picture = out / "measures.svg"
    no_picture = "no picture: that takes matplotlib (pip install righttime[report])"
    parts.append(f"wrote {picture} and .png" if picture.exists() else no_picture)
    return printable("\n".join(parts))


def _measures_at(measured: Measured, place: int) -> str:
    curves = measured.whole.values()
    rows = [["rows", *(f"{found.n[place]:,}" for found in curves)]]
    for name in next(iter(curves)).columns:
        values = [found.columns[name][place] for found in curves]
        rows.append([name, *("-" if value != value else f"{value:.4f}" for value in values)])
    return table(["", *measured.whole], rows)


def planned_facts(stages: Sequence[Stage]) -> dict[str, Any]:
    """Seconds and bytes of each stage and of all, for a program."""
    known = [stage.seconds for stage in stages if stage.seconds is not None]
    return {
        "stages": stages,
        "seconds": sum(known),
        "seconds_complete": _complete(stages),
        "memory": peak_of(stages),
        "disk": sum(stage.disk for stage in stages),
    }


def planned_summary(stages: Sequence[Stage]) -> str:
    """A line for each stage, and what they take together.

    Args:
        stages: What `righttime.planning.plan` returned.
    """
    rows = [
        [
            stage.name,
            str(stage.passes or ""),
            _lasts(stage.seconds) if stage.passes else "",
            _size(stage.memory),
            _size(sum(one.memory for one in stages[: number + 1]) + stage.passing),
            _size(stage.disk),
        ]
        for number, stage in enumerate(stages)
    ]
    known = [stage.seconds for stage in stages if stage.seconds is not None]
    more = "more than " * (not _complete(stages))
    lasts = more + _lasts(sum(known)) if any(stage.passes for stage in stages) else ""
    kept, disk = (sum(getattr(stage, name) for stage in stages) for name in ("memory", "disk"))
    rows.append(["together", "", lasts, _size(kept), _size(peak_of(stages)), _size(disk)])
    lines = [table(["stage", "passes", "time", "memory kept", "process then", "disk"], rows), ""]
    return "\n".join([*lines, *(f"{stage.name}: {stage.note}" for stage in stages)])


def _complete(stages: Sequence[Stage]) -> bool:
    """Whether the time of all that takes any is told; what holds memory alone has no passes."""
    return all(stage.seconds is not None for stage in stages if stage.passes) and any(stage.passes for stage in stages)


def _lasts(seconds: float | None) -> str:
    return "not told" if seconds is None else lasting(seconds)


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count < 2**33 else f"{count / 2**30:,.0f} GiB"
