"""The scripts in examples/, run as a reader would run them."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = {
    "arrange_files": r"0  \S+  picked by \S+, similarity 0\.\d{3}[\s\S]*50 rows in order: ",
    "arrange_vectors": r"pool rows in order: \[\d+,[\s\S]*saved and loaded 100 of 1000 rows: ",
    "compare_orders": r"first 100 rows: Jaccard index 0\.\d\d, Kendall correlation [\s\S]*cosine-avg",
    "export_to_trl": r"ok [\s\S]*wrote 64 rows in order for .*TRL.*[\s\S]*64 rows in the arranged order: ",
    "tune_and_verify": r"first difference from the planned order: None[\s\S]*ok ",
}


def test_every_script_is_tested() -> None:
    assert sorted(path.stem for path in EXAMPLES.glob("*.py")) == sorted(SCRIPTS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "tune" in name else ()) for name in SCRIPTS]
)
def test_it_runs_and_says_what_it_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "out"])
    for _ in range(2):  # a second time replaces the first
        runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
        printed = capsys.readouterr().out
        assert re.search(SCRIPTS[name], printed), printed
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "it writes nowhere else"
