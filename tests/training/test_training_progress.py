"""What stderr says while something runs: lines in a file, a bar on a terminal, and nothing of the libraries' own."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

from righttime import progress
from righttime.cli import main
from righttime.quiet import quietly
from righttime.training import pretrain, trainer


def tuned(tiny: str, arranged: Path, run: Path, *more: str) -> list[str]:
    return ["tune", str(arranged), "--model", tiny, "--run", str(run), "--batch", "4", "--epochs", "2", *more]


def test_redirected_output_has_lines_and_no_carriage_return(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_EVERY", 0.0)
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    target = arranged.parent / "data" / "target.jsonl"
    watch = ["--target", str(target), "--evaluate-every", "9"]
    assert main(tuned(tiny, arranged, tmp_path / "run", *watch)) == 0
    said = capsys.readouterr()
    assert "\r" not in said.err + said.out
    lines = said.err.splitlines()
    assert [line for line in lines if line.startswith("tokenizing: ")][-1].startswith("tokenizing: 37 of 37 rows, ")
    assert any(re.fullmatch(r"loss on target: \d+ of 60 rows, .* rows/s, .* left", line) for line in lines)
    steps = [line for line in lines if line.startswith("step ")]
    assert re.fullmatch(r"step 1 of 20, 4 of 74 rows, loss \d\.\d{4}, \d+\.\d s left", steps[1])
    assert [line.split(", loss")[0] for line in steps[-2:]] == [
        "step 19 of 20, 73 of 74 rows",
        "step 20 of 20, 74 of 74 rows",
    ]
    assert set(lines) == {line for line in lines if line.startswith(("tokenizing: ", "loss on target: ", "step "))}, (
        "nothing else"
    )


def test_a_line_comes_every_few_seconds_and_one_at_the_end(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(tuned(tiny, arranged, tmp_path / "run")) == 0
    steps = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert len(steps) < 10
    assert steps[-1].startswith("step 20 of 20, 74 of 74 rows, loss ")


def test_a_terminal_has_a_bar(
    tiny: str, arranged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "redrawn", lambda stream: True)
    assert main(tuned(tiny, arranged, tmp_path / "run")) == 0
    said = capsys.readouterr()
    assert "\r" in said.err
    assert "20/20" in said.err
    assert "step 20" not in said.err
    assert "'loss'" not in said.out + said.err


def test_a_tiny_base_tells_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "_EVERY", 0.0)
    monkeypatch.setattr(pretrain, "_ROWS_PER_FAMILY", 20)
    monkeypatch.setattr(pretrain, "_BATCH", 2)
    assert main(["pretrain", "--out", str(tmp_path / "base"), "--tokens", "1024"]) == 0
    said = capsys.readouterr().err
    assert "\r" not in said
    assert re.search(r"step 1 of 2, loss \d\.\d+, \d+\.\d s left\nstep 2 of 2, loss \d\.\d+\n$", said)


def test_no_warning_of_a_library_reaches_the_user(
    tiny: str, arranged: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of adapters, of a checkpoint that is read again, of generation."""
    target, run = arranged.parent / "data" / "target.jsonl", tmp_path / "run"
    watch = ["--target", str(target), "--evaluate-every", "9", "--lora"]
    assert main(tuned(tiny, arranged, run, *watch)) == 0
    (run / "manifest.json").unlink()
    assert main(tuned(tiny, arranged, run, *watch)) == 0, "it resumes from its last checkpoint"
    words = ["evaluate", str(run), "--target", str(target), "--out", str(tmp_path / "eval"), "--device", "cpu"]
    assert main([*words, "--metrics", "loss,em", "--max-new-tokens", "2"]) == 0
    assert [str(one.message) for one in recwarn if issubclass(one.category, FutureWarning | UserWarning)] == []
    said = capsys.readouterr().err
    assert "\r" not in said
    assert "Loading" not in said


def warn_as(module: str, category: type[Warning], text: str = "x is deprecated") -> None:
    warnings.warn_explicit(text, category, f"{module}.py", 1, module=module)


def test_only_what_is_about_their_own_code_is_kept_back() -> None:
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with quietly():
            warn_as("transformers.modeling_utils", FutureWarning)
            warn_as("peft.tuners", DeprecationWarning)
            warn_as(
                "torch.utils.data.dataloader", UserWarning, "'pin_memory' argument is set as true but no accelerator"
            )
            warn_as("transformers.modeling_utils", UserWarning, "the weights are tied")
            warn_as("torchmetrics", FutureWarning, "another library")
            warn_as("my_model", FutureWarning, "the user's own")
        warn_as("transformers.modeling_utils", FutureWarning, "afterwards")
    assert [str(one.message) for one in shown] == [
        "the weights are tied",
        "another library",
        "the user's own",
        "afterwards",
    ]
