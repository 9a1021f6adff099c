"""What the commands compute on the built-in data is what was recorded; see pin.py for how to record it anew."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from righttime.cli import main
from tiers import quick

HERE = Path(__file__).parent


def pin(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, HERE / "pin.py", *words], capture_output=True, text=True)


@pytest.mark.parametrize("only", quick(["", "tma"], 1), ids=["all", "tma"])
def test_what_is_computed_from_given_vectors_is_what_was_recorded(only: str) -> None:
    done = pin("--check", "--anywhere", "--only", only)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    assert re.search(r"^0 differences in \d{2,} cases$", done.stdout, re.MULTILINE)


def test_every_method_is_pinned(capsys: pytest.CaptureFixture[str]) -> None:
    pins = json.loads((HERE / "pins.json").read_text(encoding="utf-8"))
    assert main(["methods"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.partition("\n\n")[0].splitlines()[1:]]
    assert len(listed) > 20
    for part in ("anywhere", "here"):
        assert [name for name in listed if f"arrange/{name}" not in pins[part]] == [], part


@pytest.mark.slow
def test_differences_are_named(tmp_path: Path) -> None:
    pins = json.loads((HERE / "pins.json").read_text(encoding="utf-8"))
    cases = pins["anywhere"]
    cases["arrange/nearest"]["train.jsonl"] = "another"
    cases["arrange/nearest, md"]["arrangement.parquet: distance, sums"][1] *= 1.001
    cases["arrange/nearest, gone"] = cases.pop("arrange/nearest, ad")
    (tmp_path / "pins.json").write_text(json.dumps(pins), encoding="utf-8")
    done = pin("--check", "--anywhere", "--only", "nearest", "--pins", str(tmp_path / "pins.json"))
    assert done.returncode == 1
    lines = [line.removeprefix("anywhere: arrange/nearest") for line in done.stdout.splitlines()]
    assert lines[0].startswith(": train.jsonl: was another, is ")
    assert lines[1:3] == [", ad: not pinned yet", ", gone: not there any more"]
    assert lines[3].startswith(", md: arrangement.parquet: distance, sums: was [280.0, ")
    assert lines[4].startswith("4 differences in ")
