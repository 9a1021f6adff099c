"""``righttime tune``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from righttime.cli.app import OLD_PRECISIONS, Out, TargetFields, app, fields_in
from righttime.cli.evaluate import AnswerEnding, named_sets
from righttime.cli.flags import in_flags
from righttime.cli.output import Json, emit, say
from righttime.errors import SettingsError

__all__ = ["tune"]

EVALUATION, OPTIMIZATION, ROWS, RECORDS = "Evaluation", "Optimization", "Rows and texts", "Checkpoints and logging"
_ARITHMETIC = {"float32": "float32", "bfloat16": "bf16"}
"""As runs' folders have it."""


@app.command(
    rich_help_panel="Train",
    old_options={"--run": "--out", "--batch": "--batch-size"},
    old_values={"--precision": OLD_PRECISIONS},
)
def tune(
    arrangement: Annotated[
        Path, typer.Argument(metavar="ARRANGEMENT", help="A folder that `righttime arrange` wrote.")
    ],
    model: Annotated[str, typer.Option(help="The model to tune: a folder or hub name, with safetensors weights.")],
    out: Out,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TARGET",
            help="Rows to evaluate the loss on while training; may be repeated.",
            rich_help_panel=EVALUATION,
        ),
    ] = None,
    target_fields: TargetFields = None,
    evaluate_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="STEPS",
            help="With --target: evaluate at step 0, every STEPS steps, and at the end.",
            rich_help_panel=EVALUATION,
        ),
    ] = None,
    evaluate_at: Annotated[
        str | None,
        typer.Option(
            metavar="STEPS",
            help="With --target: evaluate at these steps, such as 0,1,2,4,8,16, and at the end.",
            rich_help_panel=EVALUATION,
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=FILE",
            help="With --target: another set to evaluate, such as one that must not suffer; may be repeated.",
            rich_help_panel=EVALUATION,
        ),
    ] = None,
    target_format: Annotated[
        str | None,
        typer.Option(help="The target's format, such as text.", show_default="detected", rich_help_panel=EVALUATION),
    ] = None,
    preset: Annotated[
        Literal["constant", "paper"],
        typer.Option(
            help="constant: the defaults, for comparing orders; paper: the settings of the paper's code.",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = "constant",
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Rows of one batch of one process.", show_default="16", rich_help_panel=OPTIMIZATION),
    ] = None,
    accumulation: Annotated[
        int | None,
        typer.Option(min=1, help="Batches of one optimizer step.", show_default="1", rich_help_panel=OPTIMIZATION),
    ] = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Inside a step, group rows by length into micro-batches of at most N tokens with padding; each step "
            "consumes the same rows.",
            show_default="in order",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    pack_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Inside a step, pack whole rows in order into sequences of at most N tokens, without padding; each "
            "step consumes the same rows.",
            show_default="no packing",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="The (highest) learning rate.",
            show_default="1e-5; paper: 1e-6; with --lora 1e-4",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    schedule: Annotated[
        Literal["constant", "cosine"] | None,
        typer.Option(
            help="A constant rate, or cosine decay to a tenth.",
            show_default="constant; paper: cosine",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="STEPS",
            help="Steps in which the rate rises from 0.",
            show_default="0",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    lora: Annotated[
        bool,
        typer.Option(
            "--lora", help="Train adapters of all linear layers, not all weights.", rich_help_panel=OPTIMIZATION
        ),
    ] = False,
    lora_rank: Annotated[
        int,
        typer.Option(
            min=1, help="With --lora: the adapters' rank; alpha is twice the rank.", rich_help_panel=OPTIMIZATION
        ),
    ] = 16,
    lora_base: Annotated[
        Literal["float32", "bfloat16", "stored", "nf4", "nf4-double"],
        typer.Option(
            help="With --lora: how the base is held. stored: as in its files; nf4: in 4 bits, with -double its scales "
            "too (QLoRA; extra quantized). Adapters are float32.",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = "float32",
    target_modules: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="With --lora: a layer that gets adapters, such as q_proj; may be repeated.",
            show_default="all linear layers",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    dora: Annotated[
        bool,
        typer.Option("--dora", help="With --lora: train size and direction (DoRA).", rich_help_panel=OPTIMIZATION),
    ] = False,
    rank_stabilised: Annotated[
        bool,
        typer.Option(
            "--rank-stabilised",
            help="With --lora: scale by the root of the rank (rsLoRA).",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = False,
    optimizer: Annotated[
        Literal["adamw", "adafactor", "adamw-8bit", "paged-adamw", "paged-adamw-8bit"] | None,
        typer.Option(
            help="adafactor: a much smaller state than AdamW's. 8bit: states in 8 bits; paged: moved to the CPU's "
            "memory where the GPU's is full (CUDA); both need the extra quantized.",
            show_default="adamw",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    attention: Annotated[
        Literal["auto", "eager", "sdpa", "flash"] | None,
        typer.Option(
            help="How attention is computed; flash needs flash-attn and --precision bfloat16.",
            show_default="what transformers takes",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16"] | None,
        typer.Option(
            help="bfloat16: bfloat16 arithmetic on float32 weights.",
            show_default="float32",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    weights: Annotated[
        Literal["float32", "bfloat16"] | None,
        typer.Option(
            help="bfloat16: bfloat16 weights, float32 masters in the optimizer; needs --precision bfloat16.",
            show_default="float32",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    recompute: Annotated[
        bool,
        typer.Option("--recompute", help="Recompute activations, for less memory.", rich_help_panel=OPTIMIZATION),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Seed of everything that is drawn at random: shuffles, adapters, dropout.",
            show_default="0",
            rich_help_panel=OPTIMIZATION,
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="How often every row is consumed.", show_default="1", rich_help_panel=ROWS),
    ] = None,
    curriculum_then_shuffle: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="STEPS", help="Follow the order for STEPS steps only, then shuffle.", rich_help_panel=ROWS
        ),
    ] = None,
    rearrange_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="STEPS",
            help="Rearrange what is left every STEPS steps by the model as it is; see --rearrange-by.",
            rich_help_panel=ROWS,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="ROWS",
            help="With --rearrange-every: look at only the next ROWS rows that are left.",
            show_default="all that are left",
            rich_help_panel=ROWS,
        ),
    ] = None,
    rearrange_by: Annotated[
        str | None,
        typer.Option(
            metavar="WAY",
            help="With --rearrange-every: by what. lm[:OPTIONS]: TMA over hidden states, such as lm:layer=12,whitened "
            "(lm: may be left out). gradients[:subspace=K]: TMA over gradients of the loss. loss[:high|medium|low]: by "
            "the loss on each row, without the target.",
            show_default="lm:centred",
            rich_help_panel=ROWS,
        ),
    ] = None,
    rearrange_pool: Annotated[
        str | None,
        typer.Option(
            "--pool",
            metavar="POOL",
            help="With --rearrange-every: more rows to choose from, behind the arrangement's; as many are consumed as "
            "the arrangement has.",
            show_default="the arrangement's alone",
            rich_help_panel=ROWS,
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Most tokens of a row; longer ones are cut, and counted.",
            show_default="2048 or the model's",
            rich_help_panel=ROWS,
        ),
    ] = None,
    form: Annotated[
        Literal["auto", "chat", "paper"] | None,
        typer.Option(
            help="The tokenizer's chat template, or the paper's User: … Assistant: …",
            show_default="chat if there is a template",
            rich_help_panel=ROWS,
        ),
    ] = None,
    answer_end: AnswerEnding = "token",
    allow_reorder: Annotated[
        bool,
        typer.Option(
            "--allow-reorder", help="Record rows that are out of order instead of stopping.", rich_help_panel=ROWS
        ),
    ] = False,
    save_every: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="STEPS",
            help="Save a checkpoint every STEPS steps.",
            show_default="500",
            rich_help_panel=RECORDS,
        ),
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(min=0, help="Checkpoints to keep; 0 keeps all.", show_default="2", rich_help_panel=RECORDS),
    ] = None,
    average_last: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="K",
            help="Keep the mean of the last K checkpoints too, in OUT/average, and evaluate it where asked.",
            rich_help_panel=RECORDS,
        ),
    ] = None,
    average_decay: Annotated[
        float | None,
        typer.Option(
            metavar="D",
            help="With --average-last: weigh each of the K checkpoints D times the next one, 0 < D < 1.",
            show_default="all alike",
            rich_help_panel=RECORDS,
        ),
    ] = None,
    no_model: Annotated[
        bool,
        typer.Option(
            "--no-model",
            help="Keep records and evaluation only; do not save the tuned model.",
            rich_help_panel=RECORDS,
        ),
    ] = False,
    report_to: Annotated[
        list[str] | None,
        typer.Option(
            help="A tracker: tensorboard, trackio, wandb, mlflow, ...; may be repeated.", rich_help_panel=RECORDS
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete a run in --out and start again.")] = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a model in an arrangement's order.

    Every row is recorded as the model is fed it. The same command resumes a run that was stopped.
    """
    from righttime.cli.tune_text import tuned_facts, tuned_lines
    from righttime.evaluation.while_training import dense_evaluation
    from righttime.training import Lora, TuneSettings
    from righttime.training import tune as tuned

    given: dict[str, Any] = {
        "batch": batch_size,
        "accumulation": accumulation,
        "batch_tokens": batch_tokens,
        "pack_tokens": pack_tokens,
        "epochs": epochs,
        "shuffle_after": curriculum_then_shuffle,
        "rearrange_every": rearrange_every,
        "window": window,
        "rearrange_by": rearrange_by,
        "rearrange_pool": rearrange_pool,
        "learning_rate": learning_rate,
        "schedule": schedule,
        "warmup": warmup,
        "max_length": max_length,
        "form": form,
        "answer_end": answer_end,
        "precision": _ARITHMETIC.get(precision or ""),
        "weights": _ARITHMETIC.get(weights or ""),
        "optimizer": optimizer,
        "attention": attention,
        "seed": seed,
        "save_every": save_every,
        "keep": keep,
        "average_last": average_last,
        "average_decay": average_decay,
        "report_to": tuple(report_to) if report_to else None,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    if keep == 0:
        changes["keep"] = None
    of_lora: dict[str, Any] = {
        "target_modules": tuple(target_modules) if target_modules else None,
        "dora": dora,
        "rank_stabilised": rank_stabilised,
        "base": _ARITHMETIC.get(lora_base, lora_base),
    }
    adapters = Lora(lora_rank, 2 * lora_rank, **of_lora)
    if not lora and adapters != Lora(lora_rank, 2 * lora_rank):
        given_alone = next(name for name, value in of_lora.items() if value != getattr(Lora(), name))
        option = "lora-base" if given_alone == "base" else given_alone.replace("_", "-")
        raise SettingsError(f"--{option} must go with --lora, which is not given. Hint: add --lora.")
    flags: dict[str, Any] = {"lora": adapters if lora else None, "recompute": recompute}
    flags["save_model"] = not no_model
    settings = TuneSettings.preset(preset, **changes, **flags, allow_reorder=allow_reorder)
    callbacks: Sequence[Any] = ()
    steps = _steps_in(evaluate_at)
    if target and (evaluate_every is not None or steps):
        measured = {"target": tuple(target), **named_sets(sets)}
        ends = settings.answer_end
        how: dict[str, Any] = {
            "every": evaluate_every,
            "at": steps,
            "form": settings.form,
            "answer_end": ends,
            "target_format": target_format,
            "target_fields": fields_in(target_fields, "--target-fields"),
            "progress": True,
        }
        callbacks = [dense_evaluation(out, model, measured, **how)]
    elif target or target_format is not None or target_fields or evaluate_every is not None or steps or sets:
        raise SettingsError(
            "--target and --evaluate-every go together (or --evaluate-at), and --set and --target-fields go with them; "
            "got only some. "
            "Hint: --target FILE --evaluate-every 10."
        )
    done = tuned(
        arrangement,
        model,
        out,
        settings,
        callbacks=callbacks,
        overwrite=overwrite,
        progress=True,
        say=lambda line: say(in_flags(line), err=as_json),
    )
    if done.main:
        evaluated = bool(callbacks)
        emit(
            as_json,
            lambda: tuned_facts(done, arrangement, evaluated),
            lambda: "\n".join(tuned_lines(done, arrangement, evaluated)),
        )
    _leave_others()


def _leave_others() -> None:
    """Part from the other processes: with their threads alive, an interpreter that ends may abort after all is done."""
    from torch import distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _steps_in(given: str | None) -> tuple[int, ...]:
    """`0,1,2,4` as numbers; nothing as none.

    Raises:
        SettingsError: If it is not in that form.
    """
    words = [] if given is None else [word.strip() for word in given.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise SettingsError(f"--evaluate-at must be steps with commas between, such as 0,1,2,4,8, got {given!r}.")
    return tuple(map(int, words))
