"""Every line of the table forges one thing in a run and updates what hashes it names, and `verify RUN OUT` notices."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forging import Edit, each, parsed, put
from recording import record
from righttime.cli import main
from righttime.errors import RighttimeError
from righttime.store import file_sha256, write_json
from righttime.verification.run import verify

RECORDS = "consumed/attempt-0001-process-0000.jsonl"
VALUES = "evaluation/evaluation.parquet"


@pytest.fixture(scope="module")
def run(tiny: str, arranged: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of ten steps with an evaluation and two checkpoints."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["tune", str(arranged), "--model", tiny, "--batch-size", "4", "--learning-rate", "0.003"]
    words += ["--save-every", "4", "--keep", "2", "--target", str(arranged.parent / "data" / "target.jsonl")]
    assert main([*words, "--evaluate-every", "5", "--out", str(folder)]) == 0
    return folder


def lines(name: str, change: Callable[[list[Any]], object]) -> Edit:
    """Change the lines of a file of JSON lines."""

    def edit(run: Path) -> None:
        found = [json.loads(line) for line in (run / name).read_text().splitlines()]
        change(found)
        (run / name).write_text("".join(json.dumps(line) + "\n" for line in found))

    return edit


def table(name: str, change: Callable[[dict[str, list[Any]]], object]) -> Edit:
    """Change the columns of a table."""

    def edit(run: Path) -> None:
        before = pq.read_table(run / name)
        columns = before.to_pydict()
        change(columns)
        pq.write_table(pa.table(columns, schema=before.schema), run / name)

    return edit


def flipped(name: str) -> Edit:
    """Flip a bit in the middle of the first file of that name."""

    def edit(run: Path) -> None:
        path = min(run.glob(name))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    return edit


def both(change: Callable[[Any], object]) -> Edit:
    """Change what decides the run, in both files that say it."""
    return each(parsed("run.json", change), parsed("manifest.json", change))


def swap_rows(found: list[Any]) -> None:
    """Exchange the first rows of the first two steps, with all that is said of them."""
    for name in ("rows", "places", "tokens"):
        found[1][name][0], found[2][name][0] = found[2][name][0], found[1][name][0]


def swap_steps(found: list[Any]) -> None:
    found[1]["step"], found[2]["step"] = found[2]["step"], found[1]["step"]


def copied(run: Path) -> None:
    shutil.copy(run / RECORDS, run / RECORDS.replace("0001", "0002"))


def one_less(columns: dict[str, list[Any]]) -> None:
    for values in columns.values():
        values.pop()


def one_more(columns: dict[str, list[Any]]) -> None:
    for values in columns.values():
        values.append(values[0])


def more(value: Any) -> Any:
    return value + 1


def retold(run: Path) -> None:
    """Write consumed.parquet anew from the records, as a forger would."""
    from righttime.training.records import read_records

    pq.write_table(read_records(run / "consumed").to_table(), run / "consumed.parquet")


def manifest(change: Callable[[Any], object]) -> Edit:
    """Change the run's manifest."""
    return parsed("manifest.json", change)


FORGERIES: dict[str, Edit] = {
    "records: two rows exchanged": each(lines(RECORDS, swap_rows), retold),
    "records: two steps exchanged": each(lines(RECORDS, swap_steps), retold),
    "records: a step that is gone": each(lines(RECORDS, lambda found: found.pop(3)), retold),
    "records: a step twice": each(lines(RECORDS, lambda found: found.append(found[3])), retold),
    "records: another row": each(lines(RECORDS, put(2, "rows", 0, value="forged")), retold),
    "records: another place": each(lines(RECORDS, put(2, "places", 0, value=36)), retold),
    "records: other tokens": each(lines(RECORDS, put(2, "tokens", 0, value="0" * 16)), retold),
    "records: another epoch": each(lines(RECORDS, put(2, "epoch", by=more)), retold),
    "records: another plan": lines(RECORDS, put(0, "plan", value="0" * 64)),
    "records: resumed from elsewhere": each(lines(RECORDS, put(0, "resumed_from", value=2)), retold),
    "records: a second attempt": copied,
    "records: all gone": lambda run: (run / RECORDS).unlink(),
    **{
        f"consumed.parquet: `{name}`": table("consumed.parquet", put(name, 0, value=value))
        for name, value in {
            "attempt": 2,
            "step": 9,
            "micro": 1,
            "process": 1,
            "epoch": 1,
            "place": 9,
            "id": "forged",
            "tokens": "0",
            "superseded": True,
        }.items()
    },
    **{
        f"rows.parquet: `{name}`": table("rows.parquet", put(name, 0, value=value))
        for name, value in {
            "place": 9,
            "id": "forged",
            "task": "forged",
            "tokens": 1,
            "learnt": 1,
            "cut": 1,
            "hash": "0",
        }.items()
    },
    "plan: another arrangement": both(put("plan", "ids_sha256", value="0" * 64)),
    "plan: another batch": both(put("plan", "batch", value=2)),
    "plan: more epochs": both(put("plan", "epochs", value=2)),
    "plan: more processes": both(put("plan", "world", value=2)),
    "plan: a shuffle": both(put("plan", "shuffle_after", value=3)),
    "plan: a number that is none": both(put("plan", "batch", value="x")),
    "run.json: the learning rate": parsed("run.json", put("settings", "learning_rate", value=1.0)),
    "run.json: the model": parsed("run.json", put("model", "revision", value="0" * 64)),
    "the form of text": both(put("rows", "form", value="plain")),
    "the most tokens of a row": both(put("rows", "max_length", value=9)),
    "the fingerprint of the tokens": both(put("rows", "hashes_sha256", value="0" * 64)),
    "what was learnt": both(put("rows", "learnt_sha256", value="0" * 64)),
    "manifest: the learning rate": manifest(put("settings", "learning_rate", value=1.0)),
    "manifest: the seed": manifest(put("settings", "seed", value=5)),
    "manifest: the model": manifest(put("model", "revision", value="0" * 64)),
    "manifest: the plan's fingerprint": manifest(put("plan_fingerprint", value="0" * 64)),
    "manifest: the method": manifest(put("method", value="tma-x")),
    "manifest: an attempt more": manifest(put("attempts", by=lambda found: found + found)),
    "manifest: a first difference": manifest(put("first_difference", value="step 3")),
    "manifest: a row with nothing to learn": manifest(put("unlearnt", value=["forged"])),
    **{
        f"manifest: the count `{name}`": manifest(put("counts", name, by=more))
        for name in (
            "rows",
            "tokens",
            "learnt_tokens",
            "cut_rows",
            "cut_tokens",
            "unlearnt_rows",
            "consumed",
            "superseded",
            "steps",
        )
    },
    "manifest: no files": manifest(put("files", value={})),
    "evaluation: a value that is gone": table(VALUES, one_less),
    "evaluation: a value twice": table(VALUES, one_more),
    "evaluation: a row beyond the set": table(VALUES, put("row", 0, value=10_000)),
    "evaluation: another step": table(VALUES, put("step", 0, value=7)),
    "evaluation: another run": table(VALUES, put("run", 0, value="other")),
    "evaluation: another id": table(VALUES, put("id", 0, value="forged")),
    "evaluation: its settings": parsed("evaluation/settings.json", put("max_length", value=9)),
    "evaluation: its manifest": parsed("evaluation/manifest.json", put("max_length", value=9)),
    "evaluation: the last step": parsed("evaluation/manifest.json", put("steps", by=more)),
    "evaluation: no files": parsed("evaluation/manifest.json", put("files", value={})),
}
"""All hashes updated: of the run's files, of the evaluation's, and those of both manifests."""

UNHASHED: dict[str, Edit] = {
    "a weight of the model": flipped("model/model.safetensors"),
    "the model's tokenizer": flipped("model/tokenizer.json"),
    "a file more in the model": lambda run: (run / "model" / "adapter_config.json").touch(),
    "a logged loss": lines("train_log.jsonl", put(0, "loss", value=0.1)),
    "a loss of the evaluation": table(VALUES, put("value", 0, value=0.0)),
    "a weight of a checkpoint": flipped("checkpoints/*/model.safetensors"),
    "an optimizer's state": flipped("checkpoints/*/optimizer.*"),
    "a checkpoint's mark that is gone": lambda run: min(run.glob("checkpoints/*/complete.json")).unlink(),
    "manifest: the time": manifest(put("time", value="2020-01-01T00:00:00+00:00")),
    "manifest: a version": manifest(put("versions", "torch", value="1.0")),
    "manifest: a note": manifest(put("notes", value=["certified"])),
}
"""What only hashes tell of, which are left as they were."""
SAID: dict[str, str] = {}


@pytest.fixture(scope="module", autouse=True)
def recorded() -> Iterator[None]:
    yield
    if len(SAID) == len(FORGERIES) + len(UNHASHED):
        rows = [
            {"what": what, "said": said, "count": 1, "wrong": int(said != "noticed")} for what, said in SAID.items()
        ]
        record("tamper_runs", rows, whole=True)


def rehashed(run: Path) -> None:
    """Bring every hash in line with what is there."""
    evaluation = json.loads((run / "evaluation" / "manifest.json").read_text())
    if evaluation["files"]:
        evaluation["files"] = {name: file_sha256(run / "evaluation" / name) for name in evaluation["files"]}
    write_json(run / "evaluation" / "manifest.json", evaluation)
    said = json.loads((run / "manifest.json").read_text())
    names = {*said["files"], *(f"consumed/{path.name}" for path in (run / "consumed").iterdir())}
    if said["files"]:
        said["files"] = {name: file_sha256(run / name) for name in sorted(names) if (run / name).exists()}
    write_json(run / "manifest.json", said)


def judged(what: str, run: Path, out: Path) -> None:
    SAID[what] = "missed"
    try:
        noticed = any(finding.ok is False for finding in verify(run, out))
    except RighttimeError:
        noticed = True
    SAID[what] = "noticed" if noticed else "missed"
    assert noticed


def test_what_is_sound_is_found_sound(run: Path, arranged: Path, tmp_path: Path) -> None:
    assert [one for one in verify(run, arranged) if one.ok is not True] == []
    shutil.copytree(run, tmp_path / "run")
    rehashed(tmp_path / "run")
    assert [one for one in verify(tmp_path / "run", arranged) if one.ok is not True] == []


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forgery_is_noticed(what: str, run: Path, arranged: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    FORGERIES[what](tmp_path / "run")
    rehashed(tmp_path / "run")
    judged(what, tmp_path / "run", arranged)


@pytest.mark.parametrize("what", UNHASHED)
def test_what_was_changed_without_its_hash_is_noticed(what: str, run: Path, arranged: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    UNHASHED[what](tmp_path / "run")
    judged(f"{what}, its hash left", tmp_path / "run", arranged)
