"""Tables: plain text in a pipe, fitted to a terminal."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

import righttime.cli
from righttime.cli import main
from righttime.cli.text import table
from syntax_trees import tree

STEERS = "\x1b[31m\u202e\x9b\u200b"


def test_a_table_wraps_in_a_terminal_and_not_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    head, rows = ["name", "rows"], [["word " * 20, "1,000"], ["[red]b[/red]\x1b[31m", "7"]]
    plain = table(head, rows)
    assert len(plain.splitlines()) == 3
    assert max(map(len, plain.splitlines())) > 40
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    fitted = table(head, rows)
    assert max(map(len, fitted.splitlines())) <= 40
    assert fitted.count("word") == 20
    assert r"[red]b[/red]\x1b[31m" in fitted, "data is neither markup nor an escape"


def rows(path: Path, task: str, n: int = 3) -> str:
    lines = [{"task": f"{task}{one}", "prompt": f"question {one}", "response": "answer"} for one in range(n)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def steering(text: str) -> list[str]:
    return [character for character in text if not (character.isprintable() or character == "\n")]


def test_split_shows_no_escapes_of_tasks_and_cuts_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = rows(tmp_path / "pool.jsonl", STEERS + "x" * 5000)
    assert main(["split", pool, "--count", "1", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert not steering(said)
    assert r"\x1b[31m\u202e\x9b\u200bxxx" in said
    assert len(said) < 1000


def test_json_keeps_what_it_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pool = rows(tmp_path / "pool.jsonl", STEERS)
    assert main(["split", pool, "--count", "1", "--json", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert not steering(said)
    (held_out,) = json.loads(said)["held_out"]
    assert held_out.startswith(STEERS)


@pytest.mark.parametrize("value", ['{"prompt": "a", "response": "b", "%s": 1, "%s": 2}', '{"%s": 1}'])
def test_an_error_shows_no_escapes_and_cuts_what_is_long(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    key = "\\u001b[31m\\u202e" + "k" * 9000
    (tmp_path / "pool.jsonl").write_text(value.replace("%s", key) + "\n")
    assert main(["split", str(tmp_path / "pool.jsonl"), "--count", "1", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert not steering(said)
    assert said.startswith("righttime: error: ")
    assert "[31m" in said
    assert len(said) < 2000


def test_all_that_is_printed_passes_one_place() -> None:
    folder = Path(righttime.cli.__file__).parent
    places = {
        path.name
        for path in folder.glob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "typer.echo", "click.echo")
    }
    assert places == {"output.py", "run.py", "app.py"}, "app.py prints the version"
