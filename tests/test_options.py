"""How every command reads its options: each once, with hyphens or underscores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from righttime.cli import app, main

REPEATABLE = {
    "arrange": {"--target", "--param"},
    "plan": {"--target"},
    "similarity": {"--target"},
    "verify": {"--pool", "--target"},
    "evaluate": {"--target", "--set"},
    "tune": {"--target", "--set", "--report-to", "--target-modules"},
    "pretrain": {"--text"},
}
"""What has to be repeatable; every option that is not, walked below, is meant once."""


def options() -> Iterator[tuple[str, Any]]:
    """Every option of every command, but --help."""
    group: Any = get_command(app)
    for name, command in group.commands.items():
        for option in command.params:
            if option.param_type_name == "option" and not option.is_eager:
                yield name, option


def given(option: Any, spelled: str) -> list[str]:
    return [spelled] if option.is_flag else [spelled, "1"]


ONCE = [
    pytest.param(command, option, id=f"{command} {option.opts[0]}")
    for command, option in options()
    if not option.multiple
]


def test_options_that_may_be_repeated_are_known() -> None:
    found: dict[str, set[str]] = {}
    for command, option in options():
        if option.multiple:
            found.setdefault(command, set()).add(option.opts[0])
    assert {command: names & found.get(command, set()) for command, names in REPEATABLE.items()} == REPEATABLE
    assert len(ONCE) > 80


@pytest.mark.parametrize(("command", "option"), ONCE)
def test_an_option_given_twice_is_refused(command: str, option: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for first in option.opts:  # --batch and --batch-size are one option
        for second in option.opts:
            assert main([command, *given(option, first), *given(option, second)]) == 2
            said = capsys.readouterr().err.splitlines()[-1]
            assert said == f"Error: {option.opts[0]} must be given once, got it twice. Hint: leave out all but one."


@pytest.mark.parametrize(("command", "option"), ONCE)
def test_underscores_name_the_same_option(command: str, option: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in option.opts:
        spelled = "--" + name.removeprefix("--").replace("-", "_")
        assert main([command, *given(option, spelled), *given(option, name)]) == 2
        assert f"{option.opts[0]} must be given once, got it twice" in capsys.readouterr().err


def test_three_times_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arrange", "--seed", "1", "--seed=2", "--seed", "1"]) == 2
    assert "--seed must be given once, got it 3 times" in capsys.readouterr().err


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, rows in (("pool", 3), ("target", 2)):
        made = ({"prompt": f"{name} {row}", "response": str(row), "some_field": "task"} for row in range(rows))
        lines = (json.dumps(row) + "\n" for row in made)
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    return tmp_path


def arrange(data: Path, *more: str) -> int:
    return main(["arrange", f"{data}/pool.jsonl", "--target", f"{data}/target.jsonl", "--out", f"{data}/out", *more])


def settings(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data / "out" / "manifest.json").read_text())["settings"]
    return found


def test_values_and_what_follows_two_hyphens_are_left_as_they_are(data: Path) -> None:
    values = ["--bad_rows", "skip", "--prefix", "--a_b", "--task_field=some_field"]
    assert arrange(data, "--method", "random", *values) == 0
    found = settings(data)
    assert (found["bad_rows"], found["prefix"], found["task_field"]) == ("skip", "--a_b", "some_field")
    (data / "--my_pool.jsonl").write_bytes((data / "pool.jsonl").read_bytes())
    words = ["arrange", "--target", f"{data}/target.jsonl", "--out", f"{data}/out", "--method", "random", "--overwrite"]
    assert main([*words, "--", f"{data}/--my_pool.jsonl"]) == 0


def test_names_of_params_keep_their_underscores_and_come_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = ["--param", "w_avg=2", "--param", "w_min=0.5"]
    assert arrange(data, "--method", "nearest", *weights) == 0
    assert settings(data)["params"] == {"w_avg": 2.0, "w_min": 0.5}
    assert arrange(data, "--method", "nearest", "--param", "w_avg=2", "--param", "w_avg=3") == 1
    assert "--param w_avg must be given once, got it more often" in capsys.readouterr().err


def test_an_unknown_option_is_named_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arrange", "--not_there", "1"]) == 2
    assert "No such option: --not_there" in capsys.readouterr().err


def test_help_may_be_asked_for_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["arrange", "--help", "--help"]) == 0
    assert "--subsample" in capsys.readouterr().out
