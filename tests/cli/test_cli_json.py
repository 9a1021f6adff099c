"""``--json``: one object on stdout, with the keys that the documents name; and help that fits 80 columns."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from made_runs import made_family
from righttime.cli import app, main

ROOT = Path(__file__).parents[2]
KEYS = {
    re.findall(r"`([^`]*)`", row.split("|")[1])[0]: row.split("|")[2]
    for row in (ROOT / "docs" / "json.md").read_text(encoding="utf-8").splitlines()
    if row.startswith("| `")
}


def keys(command: str) -> list[str]:
    """The outermost keys that the documents name."""
    row, was = KEYS[command].partition(": ")[0] if command == "methods" else KEYS[command], ""
    while was != row:
        was, row = row, re.sub(r"\([^()]*\)", "", row)
    return re.findall(r"`([^`]*)`", row)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    assert main(["builtin", "--out", str(folder), "--rows", "2", "--target-rows", "1"]) == 0
    for method in ("tma", "random"):
        words = [str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl"), "--method", method]
        assert main(["arrange", *words, "--out", str(folder / method)]) == 0
    made_family(folder / "runs", {"random": 0.0, "tma": 0.1}, replicates=1)
    return folder


WORDS = [
    "builtin --out NEW --rows 1",
    "split POOL --out NEW --count 2",
    "guard POOL --target TARGET --out NEW",
    "arrange POOL --target TARGET --out NEW",
    "arrange --each-target POOL --target TARGET --out NEW",
    "plan --rows 1000 --target-rows 10 --dim 8",
    "methods",
    "show ARRANGED --first 2",
    "show --row ARRANGED ID",
    "show --target-row ARRANGED TARGET_ID",
    "verify ARRANGED",
    "similarity ARRANGED --target TARGET --out NEW",
    "agreement ARRANGED OTHER",
    "export ARRANGED --to messages --out NEW",
    "compare RUN BASE_RUN --out NEW --baseline random-0",
]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: " ".join(words.split()[:2]))
def test_json_is_one_object_with_the_documented_keys(
    words: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"POOL": "pool.jsonl", "TARGET": "target.jsonl", "ARRANGED": "tma", "OTHER": "random"}
    known |= {"RUN": "runs/tma-0", "BASE_RUN": "runs/random-0"}
    values = {name: str(data / file) for name, file in known.items()} | {"NEW": str(tmp_path / "new")}
    for name, file in (("ID", "pool"), ("TARGET_ID", "target")):
        values[name] = json.loads((data / f"{file}.jsonl").read_text(encoding="utf-8").splitlines()[0])["id"]
    said = words.split()
    command = " ".join(said[:2]) if said[1:2] in (["--row"], ["--target-row"], ["--each-target"]) else said[0]
    if command.startswith("show --"):
        said = ["show", said[2], said[1], said[3]]
    assert main([*(values.get(word, word) for word in said), "--json"]) == 0
    out = capsys.readouterr().out
    found: dict[str, Any] = json.loads(out)
    assert list(found) == keys(command)
    assert out.count("\n") == 1


@pytest.mark.parametrize("command", ["", *get_command(app).commands])  # type: ignore[attr-defined]
def test_help_fits_80_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command.split(), "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if line.endswith("...") and not line.endswith(" ...") and "Usage" not in line]


def test_commands_stand_in_panels_with_short_first_lines(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    out = capsys.readouterr().out
    assert re.findall(r"^(\w+):$", out, re.M)[1:] == ["Data", "Arrange", "Inspect", "Train", "Evaluate"]
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        first = str(command.help).splitlines()[0]
        assert len(first) < 45, name
        assert command.hidden or re.search(rf"^  {name} +{re.escape(first)}$", out, re.M), "whole, not cut"


def test_old_spellings_of_options_work(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["export", str(data / "tma"), "--to", "trl", "--model", "m", "--dir", str(out), "--dtype", "fp32"]) == 0
    assert json.loads((out / "manifest.json").read_text())["settings"]["dtype"] == "fp32"
    assert main(["export", str(data / "tma"), "--to", "trl", "--dir", str(out), "--out", str(out)]) == 2
    assert "--out must be given once, got it twice" in capsys.readouterr().err
    main(["export", "--help"])
    assert "--dir" not in capsys.readouterr().out
