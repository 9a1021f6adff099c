"""Tables: plain text in a pipe, fitted to a terminal."""

from __future__ import annotations

import sys

import pytest

from righttime.cli.text import table


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
    assert "[red]b[/red]�[31m" in fitted, "data is neither markup nor an escape"
