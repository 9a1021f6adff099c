"""Bits flipped, blocks zeroed, files cut, exchanged and gone: no command takes what is left for what it was."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from faulty_commands import contents, differing
from machine import RESULTS
from recording import record
from warm import Ended, Warm

pytestmark = pytest.mark.linux
ARRANGE = ("arrange", "pool.jsonl", "--target", "target.jsonl", "--embedder", "words", "--out", "L")
TUNE = ("tune", "OUT", "--model", "tiny", "--learning-rate", "1e-3", "--batch-size", "4", "--save-every", "3")
EVALUATE = ("evaluate", "RUN", "--target", "target.jsonl", "--out", "V")


def corrupt(path: Path, rng: random.Random, others: list[Path]) -> str:
    """Damage a file in one of five ways; says how."""
    data = bytearray(path.read_bytes())
    how = rng.choice(["bit", "cut", "zeros", "other", "gone"]) if data else "gone"
    place = rng.randrange(len(data)) if data else 0
    if how == "bit":
        data[place] ^= 1 << rng.randrange(8)
    elif how == "cut":
        del data[place:]
    elif how == "zeros":
        data[place : place + 64] = bytes(len(data[place : place + 64]))
    elif how == "other":
        data = bytearray(rng.choice(others).read_bytes())
    before = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(data)
        how = "nothing" if bytes(data) == before else how
    return how


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".lock"))


class Damaged:
    """Damages one file of a kept state at a time and judges what a command makes of it."""

    def __init__(self, warm: Warm, what: str, state: Path, into: str) -> None:
        self.warm, self.what, self.state, self.into = warm, what, state, warm.here / into
        self.came_out: Counter[str] = Counter()
        self.wrong: list[str] = []

    def each(self, times: int, seed: int, names: Callable[[Path], bool], judge: Callable[[], str]) -> None:
        """Damage so often; `judge` says what came out, beginning with "wrong" where it must not."""
        rng = random.Random(seed)
        done = 0
        while done < times:
            shutil.rmtree(self.into, ignore_errors=True)
            shutil.copytree(self.state, self.into)
            files = [path for path in files_in(self.into) if names(path)]
            path = rng.choice(files)
            if (how := corrupt(path, rng, files)) == "nothing":
                continue
            done += 1
            came_out = judge()
            self.came_out[came_out.partition(":")[0]] += 1
            if came_out.startswith("wrong"):
                self.wrong.append(f"{self.what}, {path.relative_to(self.into)}, {how}: {came_out}")

    def row(self) -> dict[str, Any]:
        count = sum(self.came_out.values())
        return {"what": self.what, "count": count, "wrong": len(self.wrong), "came_out": dict(self.came_out)}


def clear_error(done: Ended) -> str:
    """An error in one sentence, or what is wrong with it."""
    if done.code == 1 and "Traceback" not in done.err and "righttime: error: " in done.err:
        return "a clear error"
    return f"wrong: ended with {done.code}: {done.err[-800:]}"


def keep(warm: Warm, name: str, *words: str, fault: dict[str, Any] | None = None) -> Path:
    """A folder as a command left it, kept aside."""
    kept = warm.here.parent / f"kept-{name}"
    for earlier in (warm.here / name, kept):
        shutil.rmtree(earlier, ignore_errors=True)
    done = warm.run(words, fault=fault)
    assert done.killed if fault else done.code == 0, done.err
    shutil.copytree(warm.here / name, kept)
    return kept


def verified(warm: Warm, *words: str) -> Callable[[], str]:
    """That `verify` notices."""

    def judge() -> str:
        done = warm.run(["verify", *words])
        if "Traceback" in done.err or done.code not in (0, 1):
            return f"wrong: ended with {done.code}: {done.err[-800:]}"
        return "noticed" if done.code == 1 else f"wrong: not noticed: {done.out}"

    return judge


def test_damage_of_a_result_is_noticed(light: Warm) -> None:
    state = light.here.parent / "kept-OUT"
    shutil.copytree(light.here / "OUT", state)
    damaged = Damaged(light, "arrangement, by `verify`", state, "OUT")
    damaged.each(12, 1, lambda path: True, verified(light, "OUT", "--pool", "pool.jsonl", "--target", "target.jsonl"))
    assert not damaged.wrong, "\n".join(damaged.wrong)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["results", "cache", "runs", "checkpoints", "parts", "experiment"])
def test_damage_is_noticed_or_made_good(heavy: tuple[Warm, Warm], what: str) -> None:
    found = DAMAGES[what](heavy[0])
    record("corruptions", [one.row() for one in found])
    wrong = [line for one in found for line in one.wrong]
    assert not wrong, "\n".join(wrong)


def _results(warm: Warm) -> list[Damaged]:
    state = warm.here.parent / "kept-OUT"
    shutil.copytree(warm.here / "OUT", state)
    by_verify = Damaged(warm, "arrangement, by `verify`", state, "OUT")
    by_verify.each(60, 2, lambda path: True, verified(warm, "OUT", "--pool", "pool.jsonl", "--target", "target.jsonl"))
    by_export = Damaged(warm, "arrangement, by `export`", state, "OUT")
    shutil.rmtree(by_export.into)
    shutil.copytree(state, by_export.into)
    wanted = contents(keep(warm, "E", "export", "OUT", "--to", "messages", "--out", "E"))

    def judge() -> str:
        done = warm.run(["export", "OUT", "--to", "messages", "--out", "E", "--overwrite"])
        if done.code:
            return clear_error(done)
        changed = differing(contents(warm.here / "E"), wanted)
        return f"wrong: other {changed}" if changed else "the right bytes"

    by_export.each(40, 3, lambda path: True, judge)
    shutil.rmtree(by_export.into)
    shutil.copytree(state, by_export.into)
    return [by_verify, by_export]


def _cache(warm: Warm) -> list[Damaged]:
    wanted = contents(keep(warm, "L", *ARRANGE))
    state = warm.here.parent / "kept-cache"
    shutil.copytree(warm.here / "cache", state)
    damaged = Damaged(warm, "cache of vectors", state, "cache")
    damaged.each(70, 4, lambda path: True, _again(warm, ARRANGE, "L", wanted))
    return [damaged]


def _again(warm: Warm, words: tuple[str, ...], leaves: str, wanted: dict[str, Any]) -> Callable[[], str]:
    """That a command gives the same bytes, or says why not."""

    def judge() -> str:
        if leaves == "L":
            shutil.rmtree(warm.here / leaves, ignore_errors=True)
        done = warm.run(words)
        if done.code:
            return clear_error(done)
        changed = differing(contents(warm.here / leaves), wanted)
        changed = [name for name in changed if not name.startswith("checkpoints/")]  # no part of a result
        return f"wrong: other {changed}" if changed else "the right bytes"

    return judge


def _runs(warm: Warm) -> list[Damaged]:
    state = keep(warm, "R", *TUNE, "--out", "R")
    damaged = Damaged(warm, "run, by `verify`", state, "R")

    def part_of_result(path: Path) -> bool:
        return "checkpoints" not in path.parts and path.name != "loss.png"

    damaged.each(50, 5, part_of_result, verified(warm, "R", "OUT"))
    return [damaged]


def _checkpoints(warm: Warm) -> list[Damaged]:
    wanted = contents(keep(warm, "R", *TUNE, "--out", "R"))
    seams = _seams(warm, "R", *TUNE, "--out", "R")
    place = next(n for n, (kind, path) in enumerate(seams) if (kind, path) == ("mkdir", "R/model"))
    state = keep(warm, "R", *TUNE, "--out", "R", fault={"kill_at": place})
    damaged = Damaged(warm, "checkpoints of a killed run, resumed", state, "R")
    damaged.each(45, 6, lambda path: "checkpoints" in path.parts, _again(warm, (*TUNE, "--out", "R"), "R", wanted))
    return [damaged]


def _seams(warm: Warm, leaves: str, *words: str) -> list[tuple[str, str]]:
    shutil.rmtree(warm.here / leaves, ignore_errors=True)
    done = warm.run(words)
    assert done.code == 0, done.err
    shutil.rmtree(warm.here / leaves)
    return list(done.seams)


def _parts(warm: Warm) -> list[Damaged]:
    kept = keep(warm, "V", *EVALUATE)
    wanted = contents(kept)
    seams = _seams(warm, "V", *EVALUATE)
    shutil.rmtree(kept)
    place = next(n for n, (kind, path) in enumerate(seams) if kind == "open" and "evaluation.parquet" in path)
    state = keep(warm, "V", *EVALUATE, fault={"kill_at": place})
    damaged = Damaged(warm, "parts of a killed evaluation, resumed", state, "V")
    damaged.each(30, 7, lambda path: True, _again(warm, EVALUATE, "V", wanted))
    return [damaged]


def _experiment(warm: Warm) -> list[Damaged]:
    words = ("experiment", "experiment.yaml", "--out", "X")
    state = keep(warm, "X", *words)
    damaged = Damaged(warm, "experiment, resumed", state, "X")
    wanted = contents(state / "analysis")

    def matters(path: Path) -> bool:
        return "checkpoints" not in path.parts and "took.json" not in path.name and path.suffix != ".log"

    damaged.each(25, 8, matters, _again(warm, words, "X/analysis", wanted))
    return [damaged]


DAMAGES: dict[str, Callable[[Warm], list[Damaged]]] = {
    "results": _results,
    "cache": _cache,
    "runs": _runs,
    "checkpoints": _checkpoints,
    "parts": _parts,
    "experiment": _experiment,
}
"""By the names of the test, in the order in which one may leave what the next one finds."""


def test_more_than_three_hundred_files_were_damaged() -> None:
    rows = json.loads((RESULTS / "reliability" / "corruptions.json").read_text())["rows"]
    assert sum(row["count"] for row in rows) >= 300
