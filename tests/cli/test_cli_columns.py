"""Files of a user's own columns, and names that are not paths: what the commands say, and that they go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from righttime.cli import main
from righttime.cli.text import table as table_text
from righttime.errors import DataError
from righttime.experiment import pilot_experiment
from righttime.formats import read_rows

NAMED = "prompt=ask,response=gold"


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "rows.csv"
    path.write_text("ask,gold,topic\n" + "".join(f"What is {n} plus {n}?,{2 * n},sums\n" for n in range(4)))
    return str(path)


def _arrange(table: str, out: Path, *options: str) -> int:
    return main(["arrange", table, "--target", table, "--method", "random", "--out", str(out), *options])


def test_the_hint_names_both_columns_and_the_option_of_that_side(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert _arrange(table, out) == 1
    said = capsys.readouterr().err
    assert f"got ask, gold, topic; name the fields, such as --fields {NAMED} (" in said
    assert said.index("--fields") < said.index("natural-instructions"), "the list of formats comes last"
    assert _arrange(table, out, "--fields", NAMED) == 1
    said = capsys.readouterr().err
    assert f"name the fields, such as --target-fields {NAMED} (" in said
    assert "or a known format with --target-format NAME: " in said
    assert " --fields" not in said
    assert _arrange(table, out, "--fields", NAMED, "--target-fields", NAMED) == 0


def test_the_next_command_can_be_pasted(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "my run"
    target = table.replace("rows.csv", "target.jsonl")
    Path(target).write_text('{"prompt": "What is 1 plus 1?"}\n')
    assert main(["arrange", table, "--fields", NAMED, "--target", target, "--out", str(out), "--budget", "1"]) == 0
    said = capsys.readouterr().out
    assert f"look     righttime show '{out}'\n" in said
    assert f"train    righttime export '{out}' --to trl" in said
    assert "wrote    1 rows in 1 round to " in said


def test_a_share_is_a_number_or_a_percentage(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["split", table, "--fields", f"{NAMED},task=gold", "--out"]
    for name, share in (("a", "50%"), ("b", "0.5")):
        assert main([*words, str(tmp_path / name), "--share", share]) == 0
    assert (tmp_path / "a" / "target.jsonl").read_bytes() == (tmp_path / "b" / "target.jsonl").read_bytes()
    assert main([*words, str(tmp_path / "c"), "--share", "half"]) == 1
    assert "--share must be a share such as 0.1 or 10%, got 'half'." in capsys.readouterr().err


def test_rounds_left_out_of_a_table_leave_its_numbers_to_the_right() -> None:
    lines = table_text(["round", "rows"], [["0", "185"], ["…", ""], ["12", "63"]]).splitlines()
    assert lines == ["  round  rows", "      0   185", "      …", "     12    63"]


def test_one_column_is_a_prompt_and_the_other_is_to_be_named(tmp_path: Path) -> None:
    (tmp_path / "one.jsonl").write_text('{"wort": "Hallo"}\n')
    with pytest.raises(DataError, match=r"such as `fields=\{'prompt': 'wort', 'response': 'NAME'\}`, or a known"):
        read_rows([tmp_path / "one.jsonl"], role="pool")


def test_a_pilot_reads_its_pool_and_target_by_named_fields() -> None:
    asked = pilot_experiment(["p.csv"], ["t.csv"], 8, fields={"prompt": "ask"}, target_fields={"prompt": "q"})
    assert [source.fields for source in (*asked.pool, *asked.target)] == [{"prompt": "ask"}, {"prompt": "q"}]


def test_a_name_of_the_hub_is_told_from_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"^owner/data-1\.0: no such file or folder; .* named hf:owner/data-1\.0$"):
        read_rows(["owner/data-1.0"], role="pool")
    (tmp_path / "owner").mkdir()
    with pytest.raises(DataError, match="look for a slip in the path"):
        read_rows(["owner/data-1.0"], role="pool")
