from __future__ import annotations

import io
import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

import righttime
from righttime import progress
from righttime.cli import main
from righttime.progress import counting
from righttime.quiet import without_foreign_bars
from tiny_model import save_tiny_model

LINE = re.compile(
    r"^[^:]+: [\d,]+( of [\d,]+)? \w+, [\d,.]+ \w+/s, (.* left|done in .*|finishing|time left not known)$"
)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that goes on by what its one entry says at every look."""
    now, step = [0.0], [0.0]

    def look() -> float:
        now[0] += step[0]
        return now[0]

    monkeypatch.setattr("righttime.progress.time.monotonic", look)
    return step


@pytest.fixture
def lines_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0.0)


def told(err: str) -> list[str]:
    assert "\r" not in err
    assert "\x1b" not in err
    return err.splitlines()


def test_a_file_gets_a_plain_line_every_ten_seconds(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    clock[0] = 3.0
    with counting("embedding", 20) as tell:
        for _ in range(20):
            tell(1)
    lines = told(capsys.readouterr().err)
    assert all(LINE.match(line) for line in lines)
    # A look every 3 seconds and one more for each line: every line comes 12 to 15 seconds after the last.
    assert 4 <= len(lines) <= 7
    assert lines[0] == "embedding: 4 of 20 rows, 0.3 rows/s, 48.0 s left"
    assert lines[-1].startswith("embedding: 20 of 20 rows, ")
    assert "done in" in lines[-1]


def test_a_short_stage_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with counting("embedding", 2) as tell:
        tell(2)
    with counting("embedding", 2, shown=False) as tell:
        tell(2)
    assert capsys.readouterr().err == ""


def test_a_total_may_be_unknown_or_learnt_later(capsys: pytest.CaptureFixture[str], lines_at_once: None) -> None:
    with counting("reading", None) as tell:
        tell(5)
        tell.expect(10)
        tell(7)
    unknown, learnt, _ = told(capsys.readouterr().err)
    assert unknown.endswith("time left not known")
    assert learnt.startswith("reading: 10 of 10 rows")
    assert learnt.endswith("finishing")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with counting("embedding", 2) as tell:
        tell(1)
        tell(5)
    assert stream.getvalue().startswith("\rembedding:   0%|")
    assert "0/2 [" in stream.getvalue()


def test_foreign_bars_are_not_drawn_and_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    from tqdm.auto import tqdm

    with without_foreign_bars():
        assert list(tqdm([1, 2])) == [1, 2]
    assert capsys.readouterr().err == ""
    list(tqdm([1, 2]))
    assert "2/2" in capsys.readouterr().err


def test_every_stage_of_arranging_and_measuring_tells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines_at_once: None
) -> None:
    rows = [{"prompt": f"What is {n}?", "response": str(n)} for n in range(1200)]
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "target.jsonl").write_text("\n".join(map(json.dumps, rows[:3])))
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "v.npz", pool=rng.normal(size=(1200, 8)), target=rng.normal(size=(3, 8)))
    target = ["--target", str(tmp_path / "target.jsonl")]
    how = ["--embedder", f"vectors:{tmp_path / 'v.npz'}", "--cache", str(tmp_path / "cache")]
    assert main(["arrange", str(tmp_path / "pool.jsonl"), *target, *how, "--out", str(tmp_path / "out")]) == 0
    arranged = told(capsys.readouterr().err)
    assert all(LINE.match(line) for line in arranged)
    stages = {"reading pool.jsonl", "searching"}
    assert {line.partition(":")[0] for line in arranged} == stages
    assert main(["similarity", str(tmp_path / "out"), *target, "--out", str(tmp_path / "m"), *how[2:]]) == 0
    measured = told(capsys.readouterr().err)
    assert "measuring out" in {line.partition(":")[0] for line in measured}


def test_how_long_reading_takes_is_told_by_what_is_read_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lines_at_once: None
) -> None:
    import gzip

    rng = np.random.default_rng(0)
    texts = [str(rng.integers(1 << 62, size=60).tolist()) for _ in range(3000)]  # does not fit a reader's buffer
    lines = "\n".join(json.dumps({"prompt": f"{n} {text}", "response": "x"}) for n, text in enumerate(texts))
    (tmp_path / "pool.jsonl").write_text(lines)
    (tmp_path / "target.jsonl").write_text("\n".join(lines.splitlines()[:2]))
    (tmp_path / "pool.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    for name in ("pool.jsonl", "pool.jsonl.gz"):
        righttime.read_rows([tmp_path / name], role="pool", progress=True)
        first = told(capsys.readouterr().err)[0]
        expected = re.match(rf"reading {name}: 1,000 of ([\d,]+) rows, .* left$", first)
        assert expected, first
        assert abs(int(expected[1].replace(",", "")) - 3000) < 300
    righttime.read_rows([tmp_path / "pool.jsonl.gz", tmp_path / "target.jsonl"], role="pool", progress=True)
    last = [line for line in told(capsys.readouterr().err) if "done in" in line]
    assert [line.split(" rows")[0] for line in last] == [
        "reading pool.jsonl.gz: 3,000 of 3,000",
        "reading target.jsonl: 2 of 2",
    ]


def test_embedding_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str], lines_at_once: None) -> None:
    pool, target = ([{"prompt": f"{side} {n}", "response": "x"} for n in range(9)] for side in ("pool", "target"))
    righttime.arrange(pool, target, cache=tmp_path, progress=True)
    stages = {line.partition(":")[0] for line in told(capsys.readouterr().err)}
    assert {"counting tokens", "embedding", "searching"} <= stages


def test_evaluation_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str], lines_at_once: None) -> None:
    model = save_tiny_model(tmp_path / "model")
    capsys.readouterr()
    (tmp_path / "t.jsonl").write_text('{"prompt": "2+2?", "response": "4"}\n{"prompt": "3+3?", "response": "6"}')
    words = ["evaluate", model, "--target", str(tmp_path / "t.jsonl"), "--out", str(tmp_path / "ev")]
    assert main([*words, "--metrics", "loss,em", "--max-new-tokens", "2"]) == 0
    lines = told(capsys.readouterr().err)
    for stage in ("loss on target", "answering target"):
        assert any(re.match(rf"{stage}: 2 of 2 rows, .*, done in ", line) for line in lines), lines


@pytest.mark.parametrize("kind", [FutureWarning, DeprecationWarning, PendingDeprecationWarning])
def test_what_libraries_tell_developers_does_not_reach_the_user(
    kind: type[Warning], monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    def listed(name: str | None) -> str:
        warnings.warn("this argument will go away", kind, stacklevel=1)
        warnings.warn("your data look odd", UserWarning, stacklevel=1)
        return "methods"

    monkeypatch.setattr("righttime.cli.methods.methods_text", listed)
    monkeypatch.setattr("sys.warnoptions", [])
    warnings.simplefilter("always")
    assert main(["methods"]) == 0
    assert [str(one.message) for one in recwarn] == ["your data look odd"]
    warnings.warn("still seen by who calls the library", kind, stacklevel=1)
    assert len(recwarn) == 2
    monkeypatch.setattr("sys.warnoptions", ["default"])
    assert main(["methods"]) == 0
    assert len(recwarn) == 4
