"""Two runs into one folder: the second is refused at once, and a killed one leaves no lock."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from made_experiments import InProcess, made_data, written
from made_runs import made_family
from righttime.cli import main
from righttime.errors import StoreError
from righttime.experiment import cells, read_experiment, run_experiment
from righttime.experiment.store import state_experiment
from righttime.locks import hold, let_all_go, let_go, locked, unlocked
from righttime.store import cache_folder, prepare_folder, staged, take

HOLDING = """
import sys, time
from pathlib import Path
from righttime.store import staged, take
with staged(Path(sys.argv[1])) as staging:
    (staging / "half").write_text("written so far")
    print("holding", flush=True)
    time.sleep(600)
"""
Hold = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture
def other(own_cache: None) -> Iterator[Hold]:
    """Start processes that are writing to folders, staging folders and all."""
    running = []

    def start(folder: Path) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", HOLDING, str(folder)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_the_second_is_refused_and_what_the_first_writes_stays(other: Hold, tmp_path: Path) -> None:
    process = other(tmp_path / "out")
    said = rf"must be free, but another process writes there \(process {process.pid}"
    with pytest.raises(StoreError, match=said):
        prepare_folder(tmp_path / "out", ["a"])
    with pytest.raises(StoreError, match=said):
        take(tmp_path / "sub" / ".." / "out")
    with pytest.raises(StoreError, match="since 20"), staged(tmp_path / "out"):
        pass
    assert [path.read_text() for path in tmp_path.glob("out/.*.partial/half")] == ["written so far"]


def test_a_lock_goes_with_its_process(other: Hold, tmp_path: Path) -> None:
    process = other(tmp_path / "out")
    process.send_signal(signal.SIGKILL)
    process.wait()
    prepare_folder(tmp_path / "out", ["a"])
    with staged(tmp_path / "out") as staging:
        (staging / "a").write_text("whole")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a"], "nothing is left of the killed one"
    other(tmp_path / "out")


def test_what_failed_lets_go(tmp_path: Path, other: Hold) -> None:
    with pytest.raises(RuntimeError), staged(tmp_path / "out"):
        raise RuntimeError
    other(tmp_path / "out")
    assert main(["split", str(tmp_path / "none.jsonl"), "--tasks", "t1", "--out", str(tmp_path / "more")]) != 0
    other(tmp_path / "more")


def test_a_process_may_prepare_a_folder_twice(tmp_path: Path) -> None:
    for _ in range(2):
        prepare_folder(tmp_path / "out", ["a"])
    let_go(tmp_path / "out")
    let_go(tmp_path / "out")


def test_without_a_place_for_locks_nothing_is_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    hold(tmp_path / "out", tmp_path / "file" / "locks")
    let_all_go()
    lock = locked(tmp_path / "lock")
    assert lock is not None
    unlocked(lock)
    unlocked(None)


def _rows(folder: Path) -> dict[str, str]:
    for side, n in (("pool", 12), ("target", 3)):
        lines = (
            f'{{"id": "{side}-{k}", "task": "t{k % 4}", "prompt": "ask {k}", "response": "{k}"}}\n' for k in range(n)
        )
        (folder / f"{side}.jsonl").write_text("".join(lines))
    np.savez(folder / "v.npz", pool=np.eye(12, 4) + 0.1, target=np.eye(3, 4))
    pool, target, vectors = (str(folder / name) for name in ("pool.jsonl", "target.jsonl", "v.npz"))
    assert (
        main(["arrange", pool, "--target", target, "--embedder", f"vectors:{vectors}", "--out", f"{folder}/done"]) == 0
    )
    return {"pool": pool, "target": target, "vectors": f"vectors:{vectors}", "done": f"{folder}/done"}


COMMANDS = {
    "builtin": "builtin",
    "split": "split {pool} --tasks t1",
    "guard": "guard {pool} --target {target}",
    "arrange": "arrange {pool} --target {target} --embedder {vectors}",
    "similarity": "similarity {done} --target {target}",
    "export": "export {done} --to messages",
    "pretrain": "pretrain",
    "evaluate": "evaluate {tiny} --target {target}",
    "compare": "compare {runs}",
    "tune": "tune {done} --model {tiny}",
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_writes_refuses_a_folder_in_use(
    name: str, other: Hold, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {**_rows(tmp_path), "tiny": tiny}
    runs = made_family(tmp_path / "runs", {"random": 0.0, "tma": 0.1}) if name == "compare" else []
    words = [word.format(**given) for word in COMMANDS[name].split() if word != "{runs}"] + runs
    process = other(tmp_path / "out")
    capsys.readouterr()
    began = time.monotonic()
    assert main([*words, "--out", str(tmp_path / "out")]) == 1
    assert time.monotonic() - began < 30
    said = capsys.readouterr().err
    assert f"must be free, but another process writes there (process {process.pid}" in said
    assert len(list((tmp_path / "out").iterdir())) == 1, "nothing but the first's staging folder"


@pytest.mark.parametrize("name", ["experiment", "pilot"])
def test_replicates_that_another_process_makes_are_refused(
    name: str, other: Hold, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_data(tmp_path / "data")
    words = [name, str(written(tmp_path / "data", tiny))]
    if name == "pilot":
        sides = [str(tmp_path / "data" / f"{side}.jsonl") for side in ("pool", "target")]
        words = ["pilot", sides[0], "--target", sides[1], "--model", tiny, "--budget", "8"]
    process = other(tmp_path / "out" / "replicate-2")
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert f"replicate-2 must be free, but another process writes there (process {process.pid}" in said
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["replicate-2"], "nothing was begun"


def test_another_replicate_may_be_made_meanwhile(other: Hold, tiny: str, tmp_path: Path) -> None:
    asked = read_experiment(written(made_data(tmp_path / "data"), tiny))
    state_experiment(asked, tmp_path / "out")
    process = other(tmp_path / "out" / "replicate-2")
    done = run_experiment(asked, tmp_path / "out", replicates=[1], place=InProcess())
    assert done.count("finished") == 3
    process.kill()
    process.wait()
    (left_over,) = (tmp_path / "out" / "replicate-2").glob(".*.partial")
    assert (left_over / "half").exists()
    partial = next(iter(cells(asked, tmp_path / "out"))).folder / ".took.json.0123.partial"
    partial.touch()
    run_experiment(asked, tmp_path / "out", place=InProcess())
    assert not partial.exists(), "what a killed process was just writing beside a finished run"


def test_locks_lie_in_the_cache_folder_alone(tmp_path: Path) -> None:
    take(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list((cache_folder() / "locks").glob("*.lock"))
    let_all_go()
