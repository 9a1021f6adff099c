"""Pins what righttime computes on the built-in data, so that a change of the code can be shown to change nothing.

    python tests/pinned/pin.py --write              record
    python tests/pinned/pin.py --check              compare, and name every difference; exit code 1 where there is one
    python tests/pinned/pin.py --check --anywhere   only what must be the same on every machine
    python tests/pinned/pin.py --check --only tma   only the cases whose name contains this, and what they stand on

Only the command line is used, so modules may be moved and renamed. PYTHONPATH says which righttime is run. Cases of
the part `anywhere` arrange by given, seeded vectors: their orders are the same on every machine. Cases of the part
`here` embed or train, which rounds as the processor does: compare those on the machine that recorded them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contents import (
    Read,
    arrangement,
    column_hashes,
    column_sums,
    exported,
    failures,
    files,
    losses,
    numbers,
    of,
    rounded,
    sha256,
    told,
)

os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1")  # sums round as the number of threads has it

PINS = Path(__file__).parent / "pins.json"
DISTANCES = ("wsd", "ad", "md", "ot", "ot-entropic")
TRAINERS = ("messages", "trl", "axolotl", "llamafactory", "torchtune")
VARIANTS: Mapping[str, Sequence[str]] = {
    "tma, budget": ("--method", "tma", "--budget", "50"),
    "tma, rounds 1:3": ("--method", "tma", "--rounds", "1:3"),
    "tma, by index": ("--method", "tma", "--within-round", "index"),
    "tma, at random": ("--method", "tma", "--within-round", "random", "--seed", "3"),
    "tma, original rows": ("--method", "tma", "--budget", "50", "--as", "original"),
    "tma, no duplicates": ("--method", "tma", "--duplicates", "drop"),
    "tma, little memory": ("--method", "tma", "--engine", "cpu", "--memory", "64MiB"),
    "tma-rt, seed": ("--method", "tma-rt", "--budget", "60", "--seed", "3"),
    "nearest, weights": ("--method", "nearest", "--param", "w_avg=0.3", "--param", "w_min=2"),
    "nearest-shuffled, seed": ("--method", "nearest-shuffled", "--budget", "60", "--seed", "3"),
    "farthest, budget": ("--method", "farthest", "--budget", "60"),
    "polar, ad": ("--method", "polar", "--distance", "ad"),
    "uniform, md": ("--method", "uniform", "--distance", "md"),
    "mixture, budget": ("--method", "mixture", "--budget", "60"),
    "random, seed": ("--method", "random", "--seed", "3"),
    "dsir, seed": ("--method", "dsir", "--seed", "3"),
    "tsds, seed": ("--method", "tsds", "--budget", "60", "--seed", "3"),
    "kcenter, weight": ("--method", "kcenter", "--param", "weight=1", "--param", "start=random"),
    "rds-max, budget": ("--method", "rds-max", "--budget", "60"),
}
DATA = ("data/pool.jsonl", "--target", "data/target.jsonl")

MODEL_CASES = (
    *("pretrain", "arrange/lm, tma", "arrange/gradients, less", "arrange/gradients, tma", "arrange/max tokens"),
    *("arrange/to tune", "tune", "tune, adapters", "verify", "evaluate"),
)

Pins = dict[str, dict[str, Any]]


@dataclass
class Recorder:
    """Runs commands and keeps what they computed.

    Attributes:
        only: Part of the names of cases to keep; empty keeps all.
        pins: What was computed, by case.
        failed: What a command said that did not succeed, by case.
    """

    only: str = ""
    pins: Pins = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def case(self, name: str, words: Sequence[str], read: Read, base: bool = False) -> None:
        """Run a command, and keep what `read` makes of it.

        Args:
            name: What to call it.
            words: The words after ``righttime``.
            read: From the command's output to what is pinned.
            base: Whether other cases stand on it, so that it is run even where it is not asked for.
        """
        if self.only not in name and not base:
            return
        try:
            found = dict(read(told(*words)))
        except (RuntimeError, OSError, ValueError, KeyError) as error:
            self.failed[name] = f"{type(error).__name__}: {error}"
            return
        if self.only in name:
            self.pins[name] = found


def methods() -> list[str]:
    """The names of all methods, as ``righttime methods`` lists them."""
    return re.findall(r"^  ([a-z][a-z-]*)  +\S", told("methods").partition("\n")[2], re.MULTILINE)


def make_data(record: Recorder) -> None:
    """The built-in data, and seeded vectors for it: noise around a direction of each task."""
    import numpy as np

    words = ("builtin", "--out", "data", "--rows", "8", "--target-rows", "4", "--overwrite")
    record.case("builtin", words, files("data", "pool.jsonl", "target.jsonl"), base=True)
    rng, vectors = np.random.default_rng(10), {}
    directions: dict[str, Any] = {}
    for name in ("pool", "target"):
        tasks = [json.loads(line)["task"] for line in Path("data", f"{name}.jsonl").read_text("utf-8").splitlines()]
        for task in tasks:
            directions.setdefault(task, rng.standard_normal(16))
        noise = rng.standard_normal((len(tasks), 16))
        vectors[name] = (np.stack([directions[task] for task in tasks]) + noise).astype(np.float32)
    np.savez("vectors.npz", pool=vectors["pool"], target=vectors["target"])


def arrange_all(record: Recorder, part: str, embedder: Sequence[str], known: Sequence[str] = ()) -> None:
    """Every method, every distance and the variants of them, with these vectors."""
    anywhere = part == "anywhere"
    cases: dict[str, tuple[str, ...]] = {name: ("--method", name) for name in sorted({*methods(), *known})}
    for distance in DISTANCES:
        cases[f"nearest, {distance}"] = ("--method", "nearest", "--distance", distance)
        cases[f"granular, {distance}"] = ("--method", "granular", "--param", "groups=12", "--distance", distance)
    for name, words in {**cases, **VARIANTS}.items():
        out = f"{part}/{name.replace(', ', '-').replace(' ', '-').replace(':', '-')}"
        command = ("arrange", *DATA, *embedder, *words, "--out", out)
        record.case(f"arrange/{name}", command, arrangement(out, anywhere), base=name in ("tma", "nearest", "random"))


def compare(record: Recorder, part: str) -> None:
    """``measure``, ``agreement``, ``check``."""
    three = [f"{part}/{name}" for name in ("tma", "nearest", "random")]
    for name, more in (("measures", ()), ("measures by task", ("--per-task", "--kl-over-occurrences"))):
        out = Path(part, name.replace(" ", "-"))
        read = column_sums if part == "anywhere" else column_hashes
        command = ("similarity", *three, "--target", "data/target.jsonl", "--every", "40", *more, "--out", str(out))
        record.case(name, command, of(out / "measures.parquet", read))
    for rank in ("spearman", "kendall"):
        record.case(f"agreement by {rank}", ("agreement", *three, "--at", "0.1,100", "--rank", rank), numbers)
    check = ("verify", three[0], "--pool", "data/pool.jsonl", "--target", "data/target.jsonl")
    record.case("check", check, failures)


def export_all(record: Recorder, part: str) -> None:
    """The order for every trainer."""
    for trainer in TRAINERS:
        model = () if trainer == "messages" else ("--model", "a/model")
        words = ("export", f"{part}/tma", "--to", trainer, "--out", f"export/{trainer}", "--batch-size", "8", *model)
        record.case(f"export/{trainer}", words, exported(f"export/{trainer}"))


def hold_out(record: Recorder) -> None:
    """``split``."""
    words = ("split", "data/pool.jsonl", "--share", "0.2", "--by", "group", "--out", "split")
    record.case("split", words, files("split", "pool.jsonl", "target.jsonl"))


def with_a_model(record: Recorder) -> None:
    """A tiny base model; arranging by its hidden states and gradients; tuning it in an order; evaluating it."""
    if not any(record.only in name for name in MODEL_CASES):
        return
    words = ("pretrain", "--out", "base", "--tokens", "1000", "--overwrite")
    record.case("pretrain", words, files("base", "model.safetensors", "tokenizer.json"), base=True)
    for name, method in (("lm", "tma"), ("gradients", "less"), ("gradients", "tma")):
        out = f"here/{name}-{method}"
        command = ("arrange", *DATA, "--embedder", f"{name}:base", "--method", method, "--out", out)
        record.case(f"arrange/{name}, {method}", command, arrangement(out, False))
    limit = ("--tokenizer", "base", "--max-tokens", "120", "--method", "random")
    limited = ("arrange", *DATA, *limit, "--out", "here/tokens")
    record.case("arrange/max tokens", limited, arrangement("here/tokens", False))
    tune(record)


def tune(record: Recorder) -> None:
    """A short run in TMA's order, whole weights and adapters, measured as it goes and afterwards."""
    record.case(
        "arrange/to tune",
        ("arrange", *DATA, "--embedder", "vectors:vectors.npz", "--budget", "64", "--out", "here/to-tune"),
        arrangement("here/to-tune", False),
        base=True,
    )
    common = ("--model", "base", "--learning-rate", "1e-3", "--batch-size", "8", "--max-length", "256")
    along = ("--target", "data/target.jsonl", "--evaluate-every", "4", "--keep", "0", "--save-every", "4")
    for name, more in (("tune", along), ("tune, adapters", ("--lora", "--accumulation", "2", "--preset", "paper"))):
        run = Path("here", name.replace(", ", "-"))
        words = ("tune", "here/to-tune", *common, *more, "--out", str(run))
        record.case(name, words, of(run, tuned), base=name == "tune")
    record.case("verify", ("verify", "here/tune", "here/to-tune"), failures)
    what = ("--target", "data/target.jsonl", "--metrics", "loss,rouge,em", "--max-new-tokens", "8")
    record.case(
        "evaluate",
        ("evaluate", "here/tune", *what, "--out", "here/evaluation"),
        of(Path("here/evaluation/evaluation.parquet"), rounded),
    )


def tuned(run: Path) -> dict[str, Any]:
    """What a run consumed, its losses, and the weights it ended with."""
    evaluation = run / "evaluation" / "evaluation.parquet"
    weights = next((run / "model").glob("*.safetensors"))
    return {
        **column_hashes(run / "consumed.parquet", ["time"]),
        **losses(run / "train_log.jsonl"),
        **(rounded(evaluation) if evaluation.exists() else {}),
        weights.name: sha256(weights.read_bytes()),
    }


@contextlib.contextmanager
def working_in(folder: str | None) -> Iterator[None]:
    """A folder of its own as the working directory, with a cache of vectors that starts empty."""
    before = os.getcwd()
    own = tempfile.TemporaryDirectory(prefix="righttime-pins-") if folder is None else contextlib.nullcontext(folder)
    with own as at:
        os.makedirs(at, exist_ok=True)
        os.chdir(at)
        os.environ["RIGHTTIME_CACHE"] = os.path.abspath("cache")
        try:
            yield
        finally:
            os.chdir(before)


def computed(anywhere_only: bool, only: str, known: Mapping[str, Pins]) -> tuple[dict[str, Pins], dict[str, str]]:
    """All pins of both parts, or of the first, and what failed."""
    parts: dict[str, Pins] = {}
    failed: dict[str, str] = {}
    for part in ("anywhere",) if anywhere_only else ("anywhere", "here"):
        record, began = Recorder(only), time.monotonic()
        cases = [name.removeprefix("arrange/") for name in known.get(part, {}) if name.startswith("arrange/")]
        pinned = [name for name in cases if "," not in name and " " not in name]
        make_data(record)
        arrange_all(record, part, ("--embedder", "vectors:vectors.npz") if part == "anywhere" else (), pinned)
        compare(record, part)
        if part == "anywhere":
            export_all(record, part)
            hold_out(record)
        else:
            with_a_model(record)
        parts[part] = record.pins
        failed |= {f"{part}: {name}": why for name, why in record.failed.items()}
        print(f"{part}: {len(record.pins)} cases in {time.monotonic() - began:.0f} s", file=sys.stderr)
    return parts, failed


def differences(pinned: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A line for every case that is new, and every value that is another one."""
    for case in sorted({*pinned, *now}):
        if case not in now or case not in pinned:
            yield f"{case}: {'not there any more' if case in pinned else 'not pinned yet'}"
            continue
        for what in sorted({*pinned[case], *now[case]}):
            was, is_ = pinned[case].get(what), now[case].get(what)
            if not alike(was, is_):
                yield f"{case}: {what}: was {was}, is {is_}"


def alike(was: Any, now: Any) -> bool:
    """Equal; numbers of a list to six digits, since sums round as the processor does."""
    if isinstance(was, list) and isinstance(now, list):
        return len(was) == len(now) and all(
            math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in zip(was, now, strict=True)
        )
    return bool(was == now)


def machine() -> dict[str, str]:
    """What decides how sums round."""
    from importlib import metadata

    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        processor = found[1] if found else processor
    libraries = ("numpy", "torch", "transformers", "scikit-learn", "POT", "sentence-transformers")
    return {"processor": processor, **{name: metadata.version(name) for name in libraries}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--write", action="store_true", help="record what is computed now")
    what.add_argument("--check", action="store_true", help="compare what is computed now with what was recorded")
    parser.add_argument("--anywhere", action="store_true", help="only what is the same on every machine")
    parser.add_argument("--only", default="", metavar="PART", help="only cases whose name contains this")
    parser.add_argument("--pins", type=Path, default=PINS, help="the file of pins; default: %(default)s")
    parser.add_argument("--work", metavar="DIR", help="write to this folder, which must be new, and keep it")
    asked = parser.parse_args()
    pins, file = {}, asked.pins.resolve()
    if file.exists():
        pins = json.loads(file.read_text(encoding="utf-8"))
    elif asked.check:
        parser.error(f"{file} must hold pins, but there is no such file. Hint: --write")
    with working_in(asked.work):
        parts, failed = computed(asked.anywhere, asked.only, pins)
    for name, why in failed.items():
        print(f"FAILED {name}: {why}")
    return (write(file, pins, parts, asked) if asked.write else check(pins, parts, asked)) or int(bool(failed))


def write(file: Path, pins: Mapping[str, Any], parts: Mapping[str, Pins], asked: argparse.Namespace) -> int:
    """Record; with a part or `only` asked for, leave the other pins as they are."""
    kept = {part: dict(pins.get(part, {})) if asked.only else {} for part in parts}
    recorded = {**pins, **{part: {**kept[part], **parts[part]} for part in parts}}
    if "here" in parts:
        recorded["machine"] = machine()
    file.write_text(json.dumps(recorded, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"wrote {sum(map(len, parts.values()))} cases to {file}")
    return 0


def check(pins: Mapping[str, Any], parts: Mapping[str, Pins], asked: argparse.Namespace) -> int:
    """Print every difference; 1 where there is one."""
    found = 0
    for part, now in parts.items():
        pinned = {name: case for name, case in pins.get(part, {}).items() if asked.only in name}
        for line in differences(pinned, now):
            print(f"{part}: {line}")
            found += 1
    if found and "here" in parts and pins.get("machine") != machine():
        print(f"note: `here` was recorded on another machine: {pins.get('machine')}; this is {machine()}")
    print(f"{found} differences in {sum(map(len, parts.values()))} cases")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
