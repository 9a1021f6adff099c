"""Losses of the same rows under the same model, our way and the paper's way; and what a run's losses weigh on disk.

    python benchmarks/evaluation.py [--checkpoints 2] [--width 256] [--device cuda]

The paper's way: each checkpoint is loaded from disk, every row padded to 1,024 tokens, logits made at every place. For
a fairer rival the same again, padded to the longest row of each batch only. Ours, later: the same checkpoint folders,
whose weights are exchanged in place. Ours, while training: without loading. What bounds ours is a bare forward pass of
the same batches, made beforehand on the device: with logits at every place, and of the layers alone, without logits.
Rows: the 260 NIV2 target rows where RIGHTTIME_DATA holds them, else the built-in target. The model is a Llama of random
weights; what it says does not matter for time. Ratios are of CPU time within this run, one thread; with `--device cuda`
of time on the clock. Writes benchmarks/results/evaluation.json.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from machine import parser, save
from righttime.demo import builtin_rows
from righttime.evaluation import EvaluationFolder, EvaluationSet, RowLosses, Value, prepare_set, row_losses
from righttime.evaluation.batches import length_batches
from righttime.evaluation.checkpoints import find_checkpoints, load_evaluated, models_in_turn
from righttime.formats import from_records, read_rows

PADDED, PAPER_BATCH, EVALUATIONS = 1024, 8, 180


def target() -> Any:
    """The rows, and what they are."""
    file = Path(os.environ.get("RIGHTTIME_DATA", "../shared/data")) / "niv2_target.jsonl.gz"
    if file.exists():
        return read_rows([file], role="target").rows, "260 NIV2 target rows"
    return from_records(builtin_rows("target"), role="target").rows, "the built-in target"


def make_checkpoints(folder: Path, n: int, width: int, texts: list[str]) -> None:
    """Checkpoints of a Llama of four layers and 4,096 pieces, its tokenizer made from the texts."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=4096, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    pieces.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pieces, bos_token="<s>", eos_token="</s>")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=PADDED,
    )
    for number in range(n):
        torch.manual_seed(number)
        LlamaForCausalLM(config).save_pretrained(folder / f"checkpoint-{10 * (number + 1)}")
        tokenizer.save_pretrained(folder / f"checkpoint-{10 * (number + 1)}")


def padded_rows(rows: Any, length: int, device: str) -> tuple[Any, Any, Any]:
    """Token numbers, which are real, and labels, on the device."""
    import torch

    ids = torch.zeros((len(rows), length), dtype=torch.int64)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for number, row in enumerate(rows):
        n = len(row.ids)
        ids[number, :n], mask[number, :n] = torch.from_numpy(row.ids.astype(np.int64)), 1
        labels[number, :n] = torch.from_numpy(np.where(row.learnt, row.ids, -100).astype(np.int64))
    return ids.to(device), mask.to(device), labels.to(device)


def paper_way(name: str, data: EvaluationSet, padded: int | None, device: str) -> NDArray[np.float64]:
    """Mean loss of each row: load, pad to full length (or, with None, to the longest of a batch), logits everywhere."""
    import torch

    model, found = load_evaluated(name, device), []
    for start in range(0, len(data.tokens), PAPER_BATCH):
        rows = data.tokens[start : start + PAPER_BATCH]
        ids, mask, labels = padded_rows(rows, padded or max(len(row.ids) for row in rows), device)
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none"
        )
        found.append((losses.sum(1) / (labels[:, 1:] != -100).sum(1)).cpu().numpy())
    return np.concatenate(found)


def bare_batches(data: EvaluationSet, device: str) -> list[tuple[Any, Any]]:
    """The batches of ours, on the device, of all rows that have a loss."""
    rows = [row for row in data.tokens if row.learnt.any()]
    batches = [[rows[number] for number in batch] for batch in length_batches([len(row.ids) for row in rows])]
    return [padded_rows(batch, max(len(row.ids) for row in batch), device)[:2] for batch in batches]


def bare_forward(model: Any, batches: list[tuple[Any, Any]]) -> None:
    """A model, or its layers alone, over batches, and nothing with what comes of it."""
    import torch

    with torch.no_grad():
        for ids, mask in batches:
            model(input_ids=ids, attention_mask=mask, use_cache=False)


def timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """What work gives, with its time on the clock and on the CPU."""
    import torch

    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}, found


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def on_disk(folder: Path, data: EvaluationSet, losses: RowLosses) -> dict[str, int]:
    """The bytes of 180 evaluations of these rows, while they are written and afterwards."""
    rng = np.random.default_rng(0)
    place = EvaluationFolder(folder, "benchmark")
    place.begin({})
    for number in range(EVALUATIONS):
        drawn = losses.mean * rng.uniform(
            0.2, 1.0, len(losses.rows)
        )  # no two alike, so that nothing compresses by luck
        rows = zip(losses.rows.tolist(), drawn.tolist(), losses.count.tolist(), strict=True)
        place.add(10 * number, data, [Value(row, "loss", mean, count) for row, mean, count in rows])
    before = size(folder)
    place.finish({})
    return {"while_running": before, "finished": size(folder)}


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--checkpoints", type=int, default=2)
    made.add_argument("--width", type=int, default=256)
    made.add_argument("--turns", type=int, default=3, help="of ours and the bare passes; the median counts")
    made.add_argument("--device", default="cpu")
    args = made.parse_args()
    if args.quick:
        args.checkpoints, args.width, args.turns = 1, 64, 1
    device, kind = args.device, "cpu_s" if args.device == "cpu" else "wall_s"
    import torch
    from transformers import AutoTokenizer

    torch.set_num_threads(1)
    rows, what = target()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_checkpoints(folder, args.checkpoints, args.width, list(rows.texts("prompt+response")))
        checkpoints = find_checkpoints(name)
        tokenizer = AutoTokenizer.from_pretrained(checkpoints[0].name)
        data = prepare_set("target", rows, tokenizer, "paper", PADDED)
        model = load_evaluated(checkpoints[-1].name, device)
        row_losses(model, data.tokens[:8])  # memory is warm before anything counts
        full, want = timed(lambda: [paper_way(one.name, data, PADDED, device) for one in checkpoints])
        later, found = timed(
            lambda: [row_losses(model, data.tokens) for _, model in models_in_turn(checkpoints, device)]
        )
        longest, _ = timed(lambda: [paper_way(one.name, data, None, device) for one in checkpoints])
        batches, turns = bare_batches(data, device), list[dict[str, float]]()
        work = {
            "ours": lambda: row_losses(model, data.tokens),
            "logits": lambda: bare_forward(model, batches),
            "layers": lambda: bare_forward(model.model, batches),
        }
        for _ in range(args.turns):
            turns.append({name: timed(one)[0][kind] for name, one in work.items()})
        now = {name: statistics.median(turn[name] for turn in turns) for name in work}
        apart = [float(np.abs(got.mean - all_of[got.rows]).max()) for got, all_of in zip(found, want, strict=True)]
        disk = on_disk(folder / "evaluation", data, found[-1])
        checkpoint = size(folder / "checkpoint-10")
        n_parameters = sum(weight.numel() for weight in model.parameters())
    lengths = [len(row.ids) for row in data.tokens]
    result = {
        "rows": what,
        "tokens": {"median": statistics.median(lengths), "mean": float(np.mean(lengths)), "longest": max(lengths)},
        "parameters": n_parameters,
        "checkpoints": len(checkpoints),
        "paper_way": full,
        "paper_way_padded_to_the_longest_of_a_batch": longest,
        "ours_from_checkpoints": later,
        "time": kind,
        "one_pass": now,
        "turns": turns,
        "ratio_from_checkpoints": full[kind] / later[kind],
        "ratio_while_training": full[kind] / (len(checkpoints) * now["ours"]),
        "ratio_padded_to_the_longest_of_a_batch": longest[kind] / later[kind],
        "rate_to_a_bare_pass": {name: now[name] / now["ours"] for name in ("logits", "layers")},
        "largest_difference_of_a_loss": max(apart),
        "disk_bytes_of_180_evaluations": disk,
        "disk_bytes_of_one_checkpoint": checkpoint,
        "disk_ratio_this_model": EVALUATIONS * checkpoint / disk["finished"],
        "disk_ratio_at_13_GB_a_checkpoint": EVALUATIONS * 13e9 / disk["finished"],
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device != "cpu" else "cpu",
    }
    print(json.dumps(result, indent=2))
    save(args.results, "evaluation", result)


if __name__ == "__main__":
    main()
