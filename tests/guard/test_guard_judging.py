"""A judge: a function or a command that has the last word on what is not equal."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from righttime.cli import main
from righttime.contamination.leaks import Leak
from righttime.errors import SettingsError
from righttime.examples import Example
from righttime.formats import from_records
from righttime.guard import CommandJudge, find_leaks
from righttime.guard.guarded import guard_into
from righttime.results import Request

ASKED = (
    "Ottokar the glazier carried 48 lanterns from Brixleben to the abbey, and Wenzel half as many before dusk. "
    "How many lanterns did both of them carry?"
)
TARGET = [{"prompt": ASKED, "response": "Both carried 72 lanterns."}]
POOL = [
    {"prompt": ASKED, "response": "Both carried 72 lanterns."},
    {"prompt": f"Think first. {ASKED}", "response": "Let me see."},
    {"prompt": f"Now another one \u2028 caf\u00e9. {ASKED}", "response": "Well."},
    *({"prompt": f"How does one boil {n} eggs in the morning?", "response": f"For {n} minutes."} for n in range(40)),
]
DENIES_ANOTHER = """
import json, sys
for line in sys.stdin:
    pair = json.loads(line)
    said = pair["pool"]["messages"][0]["content"]
    assert pair["target"]["messages"][0]["content"].startswith("Ottokar") and pair["test"] == "contained"
    print(json.dumps({"leak": "another" not in said, "reason": f"it begins with {said.split()[0]}"}))
"""


def judge(folder: Path, script: str) -> CommandJudge:
    (folder / "judge.py").write_text(script, encoding="utf-8")
    return CommandJudge(f"{sys.executable} {folder / 'judge.py'}")


def test_a_command_is_asked_about_all_pairs_that_are_not_equal(tmp_path: Path) -> None:
    done = guard_into(tmp_path / "G", POOL, TARGET, Request(), judge=judge(tmp_path, DENIES_ANOTHER))
    assert [(leak.pool_row, leak.test) for leak in done.leaks.found] == [(0, "equal"), (1, "contained")]
    said = pq.read_table(tmp_path / "G" / "judged.parquet").to_pylist()
    assert [(one["pool_row"], one["leak"], one["reason"]) for one in said] == [
        (1, True, "it begins with Think"),
        (2, False, "it begins with Now"),
    ]
    manifest = json.loads((tmp_path / "G" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["judge"].endswith("judge.py")
    assert set(manifest["files"]) == {"leaks.parquet", "judged.parquet"}


def test_a_function_is_asked_the_same(tmp_path: Path) -> None:
    def not_another(leak: Leak, row: Example, wanted: Example) -> bool:
        return "another" not in row.prompt and wanted.prompt == ASKED and leak.test == "contained"

    by_function = guard_into(tmp_path / "F", POOL, TARGET, Request(), judge=not_another).leaks
    by_command = guard_into(tmp_path / "C", POOL, TARGET, Request(), judge=judge(tmp_path, DENIES_ANOTHER)).leaks
    assert by_function.found == by_command.found
    assert [one.is_leak for one in by_function.judged] == [True, False]


def test_a_command_is_not_run_where_there_is_nothing_to_ask(tmp_path: Path) -> None:
    done = guard_into(tmp_path / "G", POOL[3:], TARGET, Request(), judge=judge(tmp_path, "raise SystemExit(1)"))
    assert not done.leaks.found
    assert not done.leaks.judged


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("raise SystemExit(3)", "must end with exit code 0, got 3"),
        ("print('{\"leak\": true}')", "must answer each of 2 pairs, got 1 answers"),
        ("print('{\"leak\": true}\\n' * 3)", "must answer each of 2 pairs, got 3 answers"),
        ("print('yes')", "got 'yes' as answer 1"),
        ("print('{\"leak\": 1}')", "got '.*1.*' as answer 1"),
        ("print('[' * 100000)", "must answer with JSON"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\n')", "must answer with JSON"),
    ],
)
def test_a_command_that_does_not_answer_ends_in_a_sentence(tmp_path: Path, script: str, told: str) -> None:
    pool, target = (from_records(rows, source="rows", role="pool").rows for rows in (POOL, TARGET))
    with pytest.raises(SettingsError, match=told):
        find_leaks(pool, target, judge=judge(tmp_path, script))


def test_a_command_must_be_one() -> None:
    for wrong in ("", "'unclosed", "   "):
        with pytest.raises(SettingsError, match="must be a program and its arguments"):
            CommandJudge(wrong)
    pool, target = (from_records(rows, source="rows", role="pool").rows for rows in (POOL, TARGET))
    with pytest.raises(SettingsError, match="must be a command that can be run: No such file"):
        find_leaks(pool, target, judge=CommandJudge("/no/such/judge"))


def test_the_command_line_takes_a_judge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, rows in (("pool", POOL), ("target", TARGET)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["guard", str(tmp_path / "pool.jsonl"), "--target", str(tmp_path / "target.jsonl")]
    command = judge(tmp_path, "import sys\nfor _ in sys.stdin: print('{\"leak\": false}')").command
    assert main([*words, "--out", str(tmp_path / "G"), "--judge", command]) == 0
    assert "judge: asked about 2 pairs, 2 of them no leak" in capsys.readouterr().out
    assert main([*words, "--out", str(tmp_path / "H"), "--judge", "false"]) == 1
    assert "the judge 'false' must end with exit code 0, got 1" in capsys.readouterr().err
    assert not (tmp_path / "H").exists()
