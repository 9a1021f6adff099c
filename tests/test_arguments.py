"""The library speaks of arguments, the command line alone of flags."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

import righttime
from righttime.cli import app, main
from righttime.cli.flags import in_flags, spoken_by
from righttime.errors import SettingsError
from syntax_trees import tree

ROOT = Path(righttime.__file__).parent
FLAG = re.compile(r"(?<![\w-])--[a-z]")
OF_OTHERS = {
    "exporters/torchtune.py": {
        "tune run {} --config torchtune.yaml",
        "`tune run full_finetune_single_device --config torchtune.yaml`, with adapters `lora_finetune_single_device`",
    },
    "exporters/trl.py": {
        "`python train_trl.py`, or `accelerate launch --num_processes N train_trl.py`",
        "Under righttime's oracle: python train_trl.py --watch OUT (the arrangement that this was exported from)",
    },
    "exporters/trl_script.py": {
        "Run in this folder: python train_trl.py (go on after a kill: python train_trl.py --resume)",
        "In several processes: accelerate launch --num_processes $processes train_trl.py",
        '"righttime arrange ... --tokenizer MODEL --max-tokens N"',
        'trainer.train(resume_from_checkpoint="--resume" in sys.argv[1:])',
        'resume, watched = "--resume" in sys.argv[1:], contextlib.nullcontext()',
        'if "--watch" in sys.argv[1:]:',
        'out = sys.argv[sys.argv.index("--watch") + 1]',
    },
    "gguf.py": {"pip install --no-deps {}=={}"},
    "report/atlas.py": {
        "``neighbors`` is what `embedding-atlas --neighbors` reads: "
        '``{"ids": rows of the table, "distances": 1 - cosine}``.',
        "embedding-atlas {} --text text --x x --y y",
        "--neighbors neighbors",
    },
}
"""Lines with flags of other programs, and of what a generated script says."""


def texts(tree: ast.AST) -> list[str]:
    """Every string constant of a module, docstrings too; an f-string as one, with its fields empty."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            found.append(node.value)
    return found


def test_no_string_outside_the_command_line_holds_a_flag() -> None:
    found: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        lines = [" ".join(line.split()) for text in texts(tree(path)) for line in text.split("\n")]
        flagged = {line for line in lines if FLAG.search(line)}
        if flagged and not name.startswith("cli/"):
            found[name] = flagged
    assert found == OF_OTHERS


def context(command: str) -> Any:
    """The context that a command would run in."""
    group = typer.main.get_command(app)
    made: Any = group
    root = made.context_class(group, info_name="righttime")
    return made.context_class(made.commands[command], info_name=command, parent=root)


@pytest.mark.parametrize(
    ("command", "said", "shown"),
    [
        ("arrange", "`workers` must be at least 1", "--workers must be at least 1"),
        ("arrange", "Hint: `form='chat'`, or `overwrite=True`.", "Hint: --form chat, or --overwrite."),
        ("arrange", "`format` and `as='original'`", "--format and --as original"),
        ("arrange", '`params={"min_words": 0}` draws', "--param min_words=0 draws"),
        (
            "arrange",
            "`fields={'prompt': 'NAME', 'response': 'two words'}`",
            "--fields 'prompt=NAME,response=two words'",
        ),
        ("arrange", "`max_length=512`", "--max-length 512"),
        ("tune", "`shuffle_after`", "--curriculum-then-shuffle"),
        ("tune", "`learning_rate=2e-05`", "--learning-rate 2e-05"),
        ("export", "the rows of `evaluation`", "the rows of --eval"),
        ("export", "arrange with `budget=8`", "arrange with --budget 8"),  # of another command
        ("export", "`batch_size` and `batch`", "--batch-size and --batch-size"),
        ("plan", "`n_pool`, `n_target` and `dimension`", "--rows, --target-rows and --dim"),
        ("arrange", "`such` is `no=setting`", "`such` is `no=setting`"),
    ],
)
def test_settings_are_shown_as_flags(command: str, said: str, shown: str) -> None:
    with spoken_by(context(command)):
        assert in_flags(said) == shown
    assert in_flags(said) == said  # in the library it stays as it is


def test_fields_of_data_stay_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"instruction": "a", "output": "b", "text": 3}\n{"instruction": ["x"], "output": "b"}\n')
    assert main(["arrange", str(bad), "--target", str(bad), "--out", str(tmp_path / "out"), "--method", "random"]) == 1
    shown = capsys.readouterr().err
    assert "bad.jsonl:2: `instruction` must be text" in shown
    assert "(--bad-rows skip leaves bad rows out" in shown


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--workers", "0"], "error: --workers must be at least 1, got 0."),
        (["--method", "random", "--distance", "md"], "error: --distance is for methods that rank by it"),
        (["--max-tokens", "9"], "error: --tokenizer and --max-tokens go together"),
        (["--subsample", "2"], ""),
        (["--subsample", "0"], "error: --subsample must be a share above 0"),
    ],
)
def test_the_command_line_names_flags(words: list[str], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["arrange", "no.jsonl", "--target", "no.jsonl", "--out", "no", *words])
    error = capsys.readouterr().err
    assert shown in error
    assert "`" not in error.partition("error:")[2].partition("\n")[0]


def test_the_library_names_arguments() -> None:
    with pytest.raises(SettingsError, match="`workers` must be at least 1, got 0"):
        righttime.arrange("a", "b", workers=0)
