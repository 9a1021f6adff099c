"""``verify`` of an arrangement or a run, and the old names of commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from righttime.cli import main


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    assert main(["builtin", "--out", str(folder), "--rows", "1", "--target-rows", "1"]) == 0
    sides = [str(folder / "pool.jsonl"), "--target", str(folder / "target.jsonl")]
    assert main(["arrange", *sides, "--method", "random", "--out", str(folder / "arranged")]) == 0
    return folder


def test_a_run_alone_asks_for_its_arrangement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert main(["verify", str(tmp_path)]) == 1
    assert f"righttime verify {tmp_path} ARRANGEMENT" in capsys.readouterr().err


def test_two_folders_are_a_run_and_its_arrangement(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arranged = str(data / "arranged")
    assert main(["verify", arranged, arranged]) == 1
    assert "must be a folder of righttime tune" in capsys.readouterr().err
    assert main(["verify", arranged, arranged, "--no-data"]) == 1
    assert "are for verifying an arrangement alone" in capsys.readouterr().err


@pytest.mark.parametrize(("old", "new"), [("check", "verify"), ("measure", "similarity")])
def test_the_old_name_of_a_command_works_out_of_sight(
    old: str, new: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--help"])
    listed = {line.strip("│ ").split(" ")[0] for line in capsys.readouterr().out.splitlines()}
    assert new in listed
    assert old not in listed
    words = ["--no-data"] if old == "check" else ["--target", str(data / "target.jsonl"), "--out", str(tmp_path)]
    said = []
    for name in (new, old):
        assert main([name, str(data / "arranged"), *words, *(["--overwrite"] if old == "measure" else [])]) == 0
        said.append(capsys.readouterr())
    assert said[0].out == said[1].out
    assert f"note: `righttime {old}` is now `righttime {new}`." in said[1].err
    assert "is now" not in said[0].err
