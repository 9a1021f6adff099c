"""Losses of the same rows under the same model, our way and the paper's way; and what a run's losses weigh on disk.

    python benchmarks/evaluation.py [--checkpoints 2] [--width 256]

The paper's way: each checkpoint is loaded from disk, every row padded to 1,024 tokens, logits made at every place. For
a fairer rival the same again, padded to the longest row of each batch only. Ours, later: the same checkpoint folders,
whose weights are exchanged in place. Ours, while training: without loading. Rows: the 260 NIV2 target rows where
RIGHTTIME_DATA holds them, else the built-in target. The model is a Llama of random weights; what it says does not
matter for time. Ratios are of CPU time within this run, one thread. Writes benchmarks/results/evaluation.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from righttime.demo import builtin_rows
from righttime.evaluation import EvaluationFolder, EvaluationSet, RowLosses, Value, prepare_set, row_losses
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


def paper_way(name: str, data: EvaluationSet, padded: int | None) -> NDArray[np.float64]:
    """Mean loss of each row: load, pad to full length (or, with None, to the longest of a batch), logits everywhere."""
    import torch

    model, found = load_evaluated(name, "cpu"), []
    for start in range(0, len(data.tokens), PAPER_BATCH):
        rows = data.tokens[start : start + PAPER_BATCH]
        ids = torch.zeros((len(rows), padded or max(len(row.ids) for row in rows)), dtype=torch.int64)
        mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
        for number, row in enumerate(rows):
            n = len(row.ids)
            ids[number, :n], mask[number, :n] = torch.from_numpy(row.ids.astype(np.int64)), 1
            labels[number, :n] = torch.from_numpy(np.where(row.learnt, row.ids, -100).astype(np.int64))
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].transpose(1, 2), labels[:, 1:], ignore_index=-100, reduction="none"
        )
        found.append((losses.sum(1) / (labels[:, 1:] != -100).sum(1)).numpy())
    return np.concatenate(found)


def timed(work: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """What work gives, with its time on the clock and on the CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoints", type=int, default=2)
    parser.add_argument("--width", type=int, default=256)
    args = parser.parse_args()
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
        model = load_evaluated(checkpoints[-1].name, "cpu")
        row_losses(model, data.tokens[:8])  # memory is warm before anything counts
        full, want = timed(lambda: [paper_way(one.name, data, PADDED) for one in checkpoints])
        later, found = timed(
            lambda: [row_losses(model, data.tokens) for _, model in models_in_turn(checkpoints, "cpu")]
        )
        longest, _ = timed(lambda: [paper_way(one.name, data, None) for one in checkpoints])
        now, _ = timed(lambda: [row_losses(model, data.tokens) for _ in checkpoints])
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
        "ours_while_training": now,
        "ratio_from_checkpoints": full["cpu_s"] / later["cpu_s"],
        "ratio_while_training": full["cpu_s"] / now["cpu_s"],
        "ratio_padded_to_the_longest_of_a_batch": longest["cpu_s"] / later["cpu_s"],
        "largest_difference_of_a_loss": max(apart),
        "disk_bytes_of_180_evaluations": disk,
        "disk_bytes_of_one_checkpoint": checkpoint,
        "disk_ratio_this_model": EVALUATIONS * checkpoint / disk["finished"],
        "disk_ratio_at_13_GB_a_checkpoint": EVALUATIONS * 13e9 / disk["finished"],
        "threads": torch.get_num_threads(),
        "cpu": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }
    print(json.dumps(result, indent=2))
    out = Path(__file__).parent / "results" / "evaluation.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
