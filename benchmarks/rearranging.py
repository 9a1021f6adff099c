"""What rearranging while a model trains costs, beside the bare forward pass of the rows that it embeds.

    python benchmarks/rearranging.py [--model small|smollm2-135m] [--rows 240] [--targets 40] [--turns 3]
        [--by lm gradients gradients:subspace=4 gradients:adam loss]

`righttime tune` with `--rearrange-every`, five stretches, so four rearrangements of what is left: NIV2 pool rows drawn
at random, in steps of 8, around NIV2 target rows, by each way of `--rearrange-by`. Whenever rows are rearranged, the
same tokens are also fed through the same model with nothing around it, in the batches and the padding that embedding
takes: no head, no vectors. `ratio` is the CPU time of the whole rearrangement (tokenizing, embedding, centring, TMA's
rounds, writing and reading the plan) by that of the bare passes, which are run before and after it. Of gradients the
bare pass goes forward and, from the sum of its states, backward to its inputs, without the gradient of any weight;
`to_forward` is the ratio to its forward part alone. `gradients:adam` trains adapters, the others all weights. Prints
JSON, a line for each turn.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import about, parser
from training import make_model

LENGTH, BATCH = 512, 8


def made(folder: Path, rows: int, targets: int) -> Path:
    """An arrangement of random NIV2 rows around some target rows."""
    from righttime.formats import read_rows
    from righttime.pipeline import arrange_into
    from righttime.results import Request

    data = Path(os.environ.get("RIGHTTIME_DATA", "../shared/data"))
    for name, count in (("pool", rows), ("target", targets)):
        found = read_rows([data / f"niv2_{name}.jsonl.gz"], role="pool").examples
        some = found[:: len(found) // count][:count]
        lines = [json.dumps({"prompt": row.prompt, "response": row.response}) + "\n" for row in some]
        (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    sides = [str(folder / "pool.jsonl")], [str(folder / "target.jsonl")]
    arrange_into(folder / "out", *sides, Request(method="random", guard="off"))
    return folder / "out"


def bare(model: Any, tokenizer: Any, asked: Any, backward: bool) -> tuple[float, float]:
    """CPU seconds of bare forward and backward passes of different rows, in the batches that embedding takes."""
    import torch

    from righttime.embedding.causal import CausalModel
    from righttime.embedding.embed import plan_batches

    inner = (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model
    causal = CausalModel.of(inner, tokenizer, "bare", "", LENGTH)
    if asked.tokens:
        ids = [row.ids.tolist() for row in dict(zip(asked.texts, asked.tokens, strict=True)).values()]
    else:
        ids = [row[:LENGTH] for row in causal.tokens(list(dict.fromkeys(asked.texts)), special=True)]
    batches = [causal.padded([ids[place] for place in batch]) for batch in plan_batches([len(row) for row in ids])]
    model.eval()
    took = [0.0, 0.0]  # forward, and both
    for tokens, mask in batches:
        began = time.process_time()
        with torch.set_grad_enabled(backward):
            embedded = inner.get_input_embeddings()(tokens).detach().requires_grad_(backward)
            states = inner(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
        took[0] += time.process_time() - began
        if backward:
            torch.autograd.backward([states.sum()], inputs=[embedded])
            took[1] += time.process_time() - began
    model.train()
    return took[0], max(took)


def measured(folder: Path, out: Path, every: int, by: str, run: Path) -> dict[str, Any]:
    """One run: CPU seconds of each rearrangement, of the bare passes, and of all else."""
    from righttime.training import Lora, TuneSettings, rearranger, tune
    from righttime.training.anew import left_places
    from righttime.training.ways import way_named

    way = way_named(by)
    ours: list[float] = []
    floors: list[tuple[float, float]] = []
    make = rearranger.Rearranger._made

    def timed(self: Any, step: int) -> Any:
        left = left_places(len(self.sides.rows), rearranger.consumed_before(self._known, self._follow, step), None)
        asked = self.sides.asked(left)
        known = self.learning.model, self.learning.tokenizer, asked, way.way.passes > 1
        forward, passes = bare(*known)
        began = time.process_time()
        found = make(self, step)
        ours.append(time.process_time() - began)
        again = bare(*known)
        floors.append(((forward + again[0]) / 2, (passes + again[1]) / 2))
        return found

    rearranger.Rearranger._made = timed  # type: ignore[method-assign]
    lora = Lora() if way.adam else None
    how: dict[str, Any] = {"rearrange_every": every, "rearrange_by": by, "lora": lora, "save_model": False}
    settings = TuneSettings(batch=BATCH, max_length=LENGTH, **how)
    began = time.process_time()
    tune(out, str(folder / "model"), run, settings)
    rearranger.Rearranger._made = make  # type: ignore[method-assign]
    forward, passes = (sum(each) for each in zip(*floors, strict=True))
    whole = time.process_time() - began - 2 * passes
    return {
        "by": by,
        "ratio": round(sum(ours) / passes, 3),
        "ratios": [round(one / other, 3) for one, (_, other) in zip(ours, floors, strict=True)],
        "to_forward": round(sum(ours) / forward, 3),
        "rearranging": round(sum(ours), 2),
        "run": round(whole, 2),
    }


def main() -> None:
    """Run it."""
    words = parser(__doc__)
    words.add_argument("--model", choices=("small", "smollm2-135m"), default="small")
    words.add_argument("--rows", type=int, default=240)
    words.add_argument("--targets", type=int, default=40)
    words.add_argument("--turns", type=int, default=3)
    words.add_argument("--by", nargs="+", default=["lm"], help="ways of --rearrange-by")
    args = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder / "model", args.model)
        out = made(folder, args.rows, args.targets)
        for turn in range(args.turns):
            for number, by in enumerate(args.by):
                run = folder / f"run-{turn}-{number}"
                print(json.dumps(measured(folder, out, args.rows // BATCH // 5, by, run)), flush=True)
        print(json.dumps({name: about()[name] for name in ("processor", "load", "commit")}))


if __name__ == "__main__":
    main()
