"""``righttime tune``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from righttime.cli.app import ARITHMETIC, OLD_PRECISIONS, BaseName, Out, TargetFields, app, fields_in
from righttime.cli.evaluate import AnswerEnding, named_metrics, named_sets
from righttime.cli.flags import in_flags, option_of
from righttime.cli.output import Json, emit, say
from righttime.errors import SettingsError

__all__ = ["tune"]

_evaluation: Callable[..., Any] = partial(typer.Option, rich_help_panel="Evaluation")
_optimization: Callable[..., Any] = partial(typer.Option, rich_help_panel="Optimization")
_rows: Callable[..., Any] = partial(typer.Option, rich_help_panel="Rows and texts")
_records: Callable[..., Any] = partial(typer.Option, rich_help_panel="Checkpoints and logging")
"""Options by their panel in the help."""


@app.command(
    rich_help_panel="Train",
    old_options={"--run": "--out", "--batch": "--batch-size"},
    old_values={"--precision": OLD_PRECISIONS},
)
def tune(
    ctx: typer.Context,
    arrangement: Annotated[
        Path, typer.Argument(metavar="ARRANGEMENT", help="A folder that `righttime arrange` wrote.")
    ],
    model: Annotated[str, typer.Option(help="The model to tune: a folder or hub name, with safetensors weights.")],
    out: Out,
    target: Annotated[
        list[str] | None,
        _evaluation(metavar="TARGET", help="Rows to evaluate the loss on while training; may be repeated."),
    ] = None,
    target_fields: TargetFields = None,
    evaluate_every: Annotated[
        int | None,
        _evaluation(
            min=1, metavar="STEPS", help="With --target: evaluate at step 0, every STEPS steps, and at the end."
        ),
    ] = None,
    evaluate_at: Annotated[
        str | None,
        _evaluation(
            metavar="STEPS", help="With --target: evaluate at these steps, such as 0,1,2,4,8,16, and at the end."
        ),
    ] = None,
    sets: Annotated[
        list[str] | None,
        _evaluation(
            "--set",
            metavar="NAME=FILE",
            help="With --target: another set to evaluate, such as one that must not suffer; may be repeated.",
        ),
    ] = None,
    target_format: Annotated[
        str | None, _evaluation(help="The target's format, such as text.", show_default="detected")
    ] = None,
    metrics: Annotated[
        str | None,
        _evaluation(help="With --target: any of {own_metrics}, separated by commas.", show_default="the loss"),
    ] = None,
    max_new_tokens: Annotated[
        int | None, _evaluation(min=1, help="With --metrics of answers: most tokens of an answer.", show_default="128")
    ] = None,
    keep_answers: Annotated[
        bool, _evaluation("--keep-answers", help="With --metrics of answers: keep them beside their scores.")
    ] = False,
    preset: Annotated[
        Literal["constant", "paper"],
        _optimization(help="constant: the defaults, for comparing orders; paper: the settings of the paper's code."),
    ] = "constant",
    batch_size: Annotated[
        int | None, _optimization(min=1, help="Rows of one batch of one process.", show_default="16")
    ] = None,
    accumulation: Annotated[
        int | None, _optimization(min=1, help="Batches of one optimizer step.", show_default="1")
    ] = None,
    batch_tokens: Annotated[
        int | None,
        _optimization(
            min=1,
            metavar="N",
            help="Inside a step, group rows by length into micro-batches of at most N tokens with padding; each step "
            "consumes the same rows.",
            show_default="in order",
        ),
    ] = None,
    pack_tokens: Annotated[
        int | None,
        _optimization(
            min=1,
            metavar="N",
            help="Inside a step, pack whole rows in order into sequences of at most N tokens, without padding; each "
            "step consumes the same rows.",
            show_default="no packing",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        _optimization(help="The (highest) learning rate.", show_default="1e-5; paper: 1e-6; with --lora 1e-4"),
    ] = None,
    schedule: Annotated[
        Literal["constant", "cosine"] | None,
        _optimization(help="A constant rate, or cosine decay to a tenth.", show_default="constant; paper: cosine"),
    ] = None,
    warmup: Annotated[
        int | None,
        _optimization(min=0, metavar="STEPS", help="Steps in which the rate rises from 0.", show_default="0"),
    ] = None,
    lora: Annotated[
        bool, _optimization("--lora", help="Train adapters of all linear layers, not all weights.")
    ] = False,
    lora_rank: Annotated[
        int, _optimization(min=1, help="With --lora: the adapters' rank; alpha is twice the rank.")
    ] = 16,
    lora_base: Annotated[
        BaseName,
        _optimization(
            help="With --lora: how the base is held. stored: as in its files; nf4: in 4 bits, with -double its scales "
            "too (QLoRA; extra quantized). Adapters are float32."
        ),
    ] = "float32",
    target_modules: Annotated[
        list[str] | None,
        _optimization(
            metavar="NAME",
            help="With --lora: a layer that gets adapters, such as q_proj; may be repeated.",
            show_default="all linear layers",
        ),
    ] = None,
    dora: Annotated[bool, _optimization("--dora", help="With --lora: train size and direction (DoRA).")] = False,
    rank_stabilised: Annotated[
        bool, _optimization("--rank-stabilised", help="With --lora: scale by the root of the rank (rsLoRA).")
    ] = False,
    optimizer: Annotated[
        Literal["adamw", "adafactor", "adamw-8bit", "paged-adamw", "paged-adamw-8bit"] | None,
        _optimization(
            help="adafactor: a much smaller state than AdamW's. 8bit: states in 8 bits; paged: moved to the CPU's "
            "memory where the GPU's is full (CUDA); both need the extra quantized.",
            show_default="adamw",
        ),
    ] = None,
    attention: Annotated[
        Literal["auto", "eager", "sdpa", "flash"] | None,
        _optimization(
            help="How attention is computed; flash needs flash-attn and --precision bfloat16.",
            show_default="what transformers takes",
        ),
    ] = None,
    kernels: Annotated[
        Literal["torch", "liger"] | None,
        _optimization(
            help="liger: Liger's kernels for norms, gates and rotations (CUDA; needs liger-kernel).",
            show_default="torch",
        ),
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16"] | None,
        _optimization(help="bfloat16: bfloat16 arithmetic on float32 weights.", show_default="float32"),
    ] = None,
    weights: Annotated[
        Literal["float32", "bfloat16"] | None,
        _optimization(
            help="bfloat16: bfloat16 weights, float32 masters in the optimizer; needs --precision bfloat16.",
            show_default="float32",
        ),
    ] = None,
    recompute: Annotated[bool, _optimization("--recompute", help="Recompute activations, for less memory.")] = False,
    compile: Annotated[  # noqa: A002 (the name of the setting)
        bool, _optimization("--compile", help="Compile the layers for training steps; takes a minute or more at first.")
    ] = False,
    seed: Annotated[
        int | None,
        _optimization(
            help="Seed of everything that is drawn at random: shuffles, adapters, dropout.", show_default="0"
        ),
    ] = None,
    epochs: Annotated[int | None, _rows(min=1, help="How often every row is consumed.", show_default="1")] = None,
    curriculum_then_shuffle: Annotated[
        int | None, _rows(min=0, metavar="STEPS", help="Follow the order for STEPS steps only, then shuffle.")
    ] = None,
    rearrange_every: Annotated[
        int | None,
        _rows(
            min=1,
            metavar="STEPS",
            help="Rearrange what is left every STEPS steps by the model as it is; see --rearrange-by.",
        ),
    ] = None,
    window: Annotated[
        int | None,
        _rows(
            min=1,
            metavar="ROWS",
            help="With --rearrange-every: look at only the next ROWS rows that are left.",
            show_default="all that are left",
        ),
    ] = None,
    rearrange_by: Annotated[
        str | None,
        _rows(
            metavar="WAY",
            help="With --rearrange-every: by what. lm[:OPTIONS]: TMA over hidden states, such as lm:layer=12,whitened "
            "(lm: may be left out). gradients[:adam,subspace=K]: TMA over gradients of the loss; adam, with --lora: by "
            "the step that Adam would take. loss[:high|medium|low]: by the loss on each row, without the target.",
            show_default="lm:centred",
        ),
    ] = None,
    rearrange_pool: Annotated[
        str | None,
        _rows(
            "--pool",
            metavar="POOL",
            help="With --rearrange-every: more rows to choose from, behind the arrangement's; as many are consumed as "
            "the arrangement has.",
            show_default="the arrangement's alone",
        ),
    ] = None,
    max_length: Annotated[
        int | None,
        _rows(
            min=1, help="Most tokens of a row; longer ones are cut, and counted.", show_default="2048 or the model's"
        ),
    ] = None,
    form: Annotated[
        Literal["auto", "chat", "paper"] | None,
        _rows(
            help="The tokenizer's chat template, or the paper's User: … Assistant: …",
            show_default="chat if there is a template",
        ),
    ] = None,
    answer_end: AnswerEnding = "token",
    allow_reorder: Annotated[
        bool, _rows("--allow-reorder", help="Record rows that are out of order instead of stopping.")
    ] = False,
    save_every: Annotated[
        int | None, _records(min=1, metavar="STEPS", help="Save a checkpoint every STEPS steps.", show_default="500")
    ] = None,
    keep: Annotated[int | None, _records(min=0, help="Checkpoints to keep; 0 keeps all.", show_default="2")] = None,
    average_last: Annotated[
        int | None,
        _records(
            min=2,
            metavar="K",
            help="Keep the mean of the last K checkpoints too, in OUT/average, and evaluate it where asked.",
        ),
    ] = None,
    average_decay: Annotated[
        float | None,
        _records(
            metavar="D",
            help="With --average-last: weigh each of the K checkpoints D times the next one, 0 < D < 1.",
            show_default="all alike",
        ),
    ] = None,
    no_model: Annotated[
        bool, _records("--no-model", help="Keep records and evaluation only; do not save the tuned model.")
    ] = False,
    report_to: Annotated[
        list[str] | None, _records(help="A tracker: tensorboard, trackio, wandb, mlflow, ...; may be repeated.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete a run in --out and start again.")] = False,
    as_json: Json = False,
) -> None:
    """Fine-tune a model in an arrangement's order.

    Every row is recorded as the model is fed it. The same command resumes a run that was stopped.
    """
    from righttime.cli.tune_text import tuned_facts, tuned_lines
    from righttime.evaluation import METRICS, GenerationSettings, MeasureSettings
    from righttime.evaluation.while_training import dense_evaluation
    from righttime.training import Lora, TuneSettings
    from righttime.training import tune as tuned

    given = {entry.name: ctx.params.get(option_of(entry.name)) for entry in dataclasses.fields(TuneSettings)}
    changes = {name: value for name, value in given.items() if value is not None}
    changes |= {name: ARITHMETIC[changes[name]] for name in ("precision", "weights") if name in changes}
    changes |= {"report_to": tuple(report_to or ()), "save_model": not no_model}
    if keep == 0:
        changes["keep"] = None
    of_lora: dict[str, Any] = {
        "target_modules": tuple(target_modules) if target_modules else None,
        "dora": dora,
        "rank_stabilised": rank_stabilised,
        "base": ARITHMETIC.get(lora_base, lora_base),
    }
    adapters = Lora(lora_rank, 2 * lora_rank, **of_lora)
    if not lora and adapters != Lora(lora_rank, 2 * lora_rank):
        given_alone = next(name for name, value in of_lora.items() if value != getattr(Lora(), name))
        option = "lora-base" if given_alone == "base" else given_alone.replace("_", "-")
        raise SettingsError(f"--{option} must go with --lora, which is not given. Hint: add --lora.")
    settings = TuneSettings.preset(preset, **{**changes, "lora": adapters if lora else None})
    steps, callbacks = _steps_in(evaluate_at), list[Any]()
    if target and (evaluate_every is not None or steps):
        asked = MeasureSettings().metrics if metrics is None else named_metrics(metrics)
        if max_new_tokens is not None and not any(METRICS[name].answers for name in asked if name in METRICS):
            raise SettingsError("--max-new-tokens must go with metrics of answers. Hint: --metrics loss,rouge,em.")
        how: dict[str, Any] = {
            "every": evaluate_every,
            "at": steps,
            "form": settings.form,
            "metrics": asked,
            "keep_answers": keep_answers,
            "generation": GenerationSettings() if max_new_tokens is None else GenerationSettings(max_new_tokens),
            "answer_end": settings.answer_end,
            "target_format": target_format,
            "target_fields": fields_in(target_fields, "--target-fields"),
            "progress": True,
        }
        callbacks = [dense_evaluation(out, model, {"target": tuple(target), **named_sets(sets)}, **how)]
    elif any(
        (target, target_format, target_fields, evaluate_every, steps, sets, metrics, max_new_tokens, keep_answers)
    ):
        raise SettingsError(
            "--target and --evaluate-every go together (or --evaluate-at), and --set, --metrics, --max-new-tokens, "
            "--keep-answers, --target-format and --target-fields go with them; got only some. "
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
