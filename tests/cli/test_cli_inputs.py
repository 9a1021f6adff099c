"""Inputs that used to end in a traceback, by the command's own main."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from righttime.cli import main
from righttime.cli.app import bytes_in
from righttime.errors import SettingsError


@pytest.fixture
def pool(tmp_path: Path) -> str:
    path = tmp_path / "pool.jsonl"
    path.write_text('{"question": "2+2?", "answer": "4"}\n{"question": "3+2?", "answer": "5"}\n')
    return str(path)


def test_a_size_of_400_digits_is_refused() -> None:
    with pytest.raises(SettingsError, match="a size must be less than"):
        bytes_in("9" * 400)


def test_a_folder_with_a_name_of_300_characters_ends_in_one_sentence(
    pool: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / ("n" * 300))

    assert main(["arrange", pool, "--target", pool, "--method", "random", "--out", out]) == 1
    assert "name too long" in capsys.readouterr().err


def test_a_key_that_stands_twice_in_a_row_is_refused_with_file_and_line(
    pool: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = tmp_path / "twice.jsonl"
    twice.write_text('{"question": "1?", "question": "2?", "answer": "4"}\n')

    assert main(["arrange", str(twice), "--target", pool, "--method", "random", "--out", str(tmp_path / "o")]) == 1
    assert "twice.jsonl:1: the line must be one JSON object, but an object must hold each key once" in (
        capsys.readouterr().err
    )


class _Full(io.StringIO):
    def flush(self) -> None:
        raise OSError(28, "No space left on device")


class _Closed(io.StringIO):
    def flush(self) -> None:
        raise BrokenPipeError(32, "Broken pipe")


def test_output_that_cannot_be_written_ends_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", _Full())

    assert main(["methods"]) == 1
    assert "No space left on device" in capsys.readouterr().err


def test_a_failing_check_into_a_closed_pipe_still_fails(
    pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert main(["arrange", pool, "--target", pool, "--method", "random", "--out", str(out)]) == 0
    (out / "train.jsonl").write_text("changed")
    monkeypatch.setattr(sys, "stdout", _Closed())

    assert main(["verify", str(out)]) == 1
