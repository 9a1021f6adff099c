"""`righttime report` of arrangements: what the page holds is what the result holds, and nothing else can run in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from opened_page import data_of, numbers, policy_of, rows_of
from righttime.cli import main
from righttime.report import make_report
from righttime.report.html import assets, page_html
from righttime.similarity import pair_similarity, unit_rows

N_POOL, N_TARGET = 40, 6
HOSTILE = "</script><img src=x onerror=alert(1)><!-- \u2028 \x1b[31m \u202e & <b>"


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    pool = [
        {"id": f"row-{n}", "task": f"task{n % 3}", "prompt": f"ask {n} plainly", "response": f"say {n}"}
        for n in range(N_POOL - 1)
    ]
    pool.append({"id": "row-hostile", "task": HOSTILE, "prompt": HOSTILE, "response": "x" * 50_000})
    write(tmp_path / "pool.jsonl", pool)
    write(
        tmp_path / "target.jsonl",
        [
            {"id": f"aim-{n}", "task": f"aims{n % 2}", "prompt": f"want {n}", "response": f"{n}"}
            for n in range(N_TARGET)
        ],
    )
    np.savez(tmp_path / "v.npz", pool=rng.normal(size=(N_POOL, 5)), target=rng.normal(size=(N_TARGET, 5)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arrange(out: str, *more: str) -> None:
    words = ["arrange", "pool.jsonl", "--target", "target.jsonl", "--embedder", "vectors:v.npz", "--out", out]
    assert main([*words, *more]) == 0


def section(page: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in page["sections"] if one["id"] == name)
    return found


def said(page: dict[str, Any]) -> str:
    return " ".join(block["text"] for one in page["sections"] for block in one["blocks"] if block["kind"] == "text")


@pytest.mark.usefixtures("data")
def test_columns_are_those_of_the_result() -> None:
    arrange("out", "--budget", "25")
    rows = data_of(make_report(["out"]).html)["rows"]
    (order,) = rows["orders"]
    table = pq.read_table("out/arrangement.parquet").to_pylist()
    place = numbers(order["columns"]["position"])
    assert len(place) == N_POOL
    for entry in table:
        row = entry["row"]
        assert place[row] == entry["position"]
        assert numbers(order["columns"]["round"])[row] == entry["round"]
        assert numbers(order["columns"]["picked_by"])[row] == entry["picked_by_row"]
        assert numbers(order["columns"]["similarity"])[row] == np.float32(entry["similarity"])
        assert numbers(order["columns"]["reason"])[row] == 0xFFFF
    out = [row for row in range(N_POOL) if place[row] == 0xFFFFFFFF]
    assert len(out) == N_POOL - 25
    reasons = {rows["names"]["reason"][code] for code in numbers(order["columns"]["reason"])[out]}
    assert reasons == set(pq.read_table("out/left_out.parquet")["reason"].to_pylist())
    names = [rows["names"]["task"][code] for code in numbers(rows["pool"]["task"])]
    assert names == [*(f"task{n % 3}" for n in range(N_POOL - 1)), HOSTILE]
    assert numbers(rows["pool"]["line"]).tolist() == list(range(1, N_POOL + 1))


@pytest.mark.usefixtures("data")
def test_neighbours_are_exact_and_the_median_is_the_pools_own() -> None:
    arrange("out")
    rows = data_of(make_report(["out"]).html)["rows"]
    with np.load("v.npz") as arrays:
        pool, target = unit_rows(arrays["pool"]), unit_rows(arrays["target"])
    every = np.stack([pair_similarity(np.repeat(pool[i : i + 1], N_TARGET, 0), target) for i in range(N_POOL)])
    near = numbers(rows["pool"]["near"]).reshape(N_POOL, rows["k"])
    assert rows["k"] == 3
    for i in range(N_POOL):
        assert near[i].tolist() == np.argsort(-every[i], kind="stable")[:3].tolist()
        assert numbers(rows["pool"]["near_similarity"]).reshape(N_POOL, 3)[i].tolist() == every[i][near[i]].tolist()
    assert numbers(rows["target"]["best"]).tolist() == every.max(axis=0).tolist()
    own = pool @ pool.T
    np.fill_diagonal(own, -1)
    assert rows["pool_median"] == pytest.approx(float(np.median(own.max(axis=1))), abs=1e-6)


@pytest.mark.usefixtures("data")
def test_texts_are_whole_or_say_how_long_they_were() -> None:
    arrange("out", "--budget", "5")
    texts = data_of(make_report(["out"]).html)["texts"]
    pool, target = rows_of(texts, "pool"), rows_of(texts, "target")
    assert [row["id"] for row in pool][:2] == ["row-0", "row-1"]
    assert pool[3] == {"id": "row-3", "t": [["user", "ask 3 plainly"], ["assistant", "say 3"]], "cut": 0}
    assert [row["id"] for row in target] == [f"aim-{n}" for n in range(N_TARGET)]
    turns = pool[-1]["t"]
    assert turns[0] == ["user", HOSTILE]
    assert sum(len(content) for _, content in turns) == texts["shown_chars"] == 20_000
    assert pool[-1]["cut"] == len(HOSTILE) + 50_000


@pytest.mark.usefixtures("data")
def test_nothing_but_the_pages_own_scripts_and_style_can_run() -> None:
    arrange("out")
    html = make_report(["out"]).html
    policy = policy_of(html)
    assert policy["default-src"] == "'none'"
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    for directive, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert policy[directive] == f"'sha256-{digest}'"
    assert "unsafe" not in str(policy)
    outside = html.replace(script, "").replace(style, "")
    assert "<img" not in outside
    assert " style=" not in outside
    assert "\u2028" not in outside
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", outside), "nothing is fetched"
    assert HOSTILE in data_of(html)["rows"]["names"]["task"]


def test_a_template_keeps_what_looks_like_a_placeholder() -> None:
    html = page_html("a {{data}} <b>", {"page": "{{script}}"}, ("<t>{{title}}</t>{{data}}|{{script}}", "", "{{title}}"))
    assert html == (
        '<t>a {{data}} &lt;b&gt;</t><script type="application/json" id="page">"{{script}}"</script>|{{title}}'
    )


def test_every_asset_is_in_the_order_and_no_script_ends_its_element() -> None:
    template, style, script = assets()
    assert all(f"{{{{{name}}}}}" in template for name in ("csp", "title", "style", "data", "script"))
    assert "</script" not in script.lower()
    assert "</style" not in style.lower()
    folder = Path(__file__).parents[2] / "src" / "righttime" / "report" / "assets"
    named = set((folder / "order.txt").read_text().split())
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".js", ".css")}
    assert named == there


@pytest.mark.usefixtures("data")
def test_the_same_folders_give_the_same_bytes_but_for_the_time() -> None:
    arrange("out")

    def timeless() -> str:
        return re.sub(r'"time":"[^"]*"', "", make_report(["out"]).html)

    assert timeless() == timeless()


@pytest.mark.usefixtures("data")
def test_more_rows_than_fit_are_chosen_by_the_stated_rule() -> None:
    arrange("out", "--budget", "8")
    report = make_report(["out"], max_rows=20)
    assert report.shown == (16, 4)
    found = data_of(report.html)
    (order,) = found["rows"]["orders"]
    shown = numbers(found["rows"]["pool"]["row"])
    arranged = {entry["row"] for entry in pq.read_table("out/arrangement.parquet").to_pylist()}
    assert arranged < set(shown.tolist()), "what was chosen comes first"
    assert found["rows"]["sampling"] in said(found["page"])
    assert found["rows"]["sampling"].startswith("Shown are 16 of 40 pool rows (the first 8 arranged rows and 8 others")
    ids = [row["id"] for row in rows_of(found["texts"], "pool")]
    assert ids == [f"row-{n}" if n < N_POOL - 1 else "row-hostile" for n in shown.tolist()]
    picked = numbers(order["columns"]["picked_by"])
    targets = numbers(found["rows"]["target"]["row"]).tolist()
    for entry in pq.read_table("out/arrangement.parquet").to_pylist():
        at = picked[shown.tolist().index(entry["row"])]
        if entry["picked_by_row"] in targets:
            assert targets[at] == entry["picked_by_row"]
        else:
            assert at == 0xFFFFFFFF


def test_what_is_gone_or_changed_is_said_and_the_rest_is_there(data: Path) -> None:
    arrange("out", "--budget", "10")
    (data / "target.jsonl").unlink()
    report = make_report(["out"])
    found = data_of(report.html)
    assert {one.part for one in report.missing} >= {"texts of the pool", "texts of the target", "map, nearest rows"}
    assert "target.jsonl is gone" in said(found["page"])
    pool = rows_of(found["texts"], "pool")
    assert sum(row["t"] is not None for row in pool) == 10, "the training file holds those that were chosen"
    assert found["rows"]["pool"]["near"] is None
    names = {row["id"] for row in rows_of(found["texts"], "target")}
    assert {entry["picked_by"] for entry in pq.read_table("out/arrangement.parquet").to_pylist()} <= names


def test_changed_data_is_never_shown(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrange("out")
    text = (data / "pool.jsonl").read_text()
    (data / "pool.jsonl").write_text(text.replace("ask 3 plainly", "ask 3 otherwise"))
    report = make_report(["out"])
    assert "the pool was changed since" in said(data_of(report.html)["page"])
    assert all("otherwise" not in str(row) for row in rows_of(data_of(report.html)["texts"], "pool"))
    assert main(["report", "out", "--pool", "pool.jsonl"]) == 1
    assert "must be the data that out was made from" in capsys.readouterr().err


def test_other_vectors_make_no_map(data: Path) -> None:
    arrange("out")
    rng = np.random.default_rng(1)
    np.savez(data / "v.npz", pool=rng.normal(size=(N_POOL, 5)), target=rng.normal(size=(N_TARGET, 5)))
    report = make_report(["out"])
    assert [one.why for one in report.missing] == [
        "the vectors are not those that the rows were arranged by: they were changed since"
    ]
    assert not data_of(report.html)["rows"]["has_map"]


def test_moved_data_is_named(data: Path) -> None:
    arrange("out")
    (data / "moved").mkdir()
    for name in ("pool.jsonl", "target.jsonl"):
        (data / name).rename(data / "moved" / name)
    report = make_report(["out"], pool=["moved/pool.jsonl"], target=["moved/target.jsonl"])
    assert all(row["t"] for row in rows_of(data_of(report.html)["texts"], "pool"))


@pytest.mark.usefixtures("data")
def test_several_orders_share_a_page_with_their_agreement() -> None:
    arrange("tma", "--budget", "20")
    arrange("random", "--budget", "20", "--method", "random")
    found = data_of(make_report(["tma", "random"]).html)
    assert [order["method"] for order in found["rows"]["orders"]] == ["tma", "random"]
    matrices = [block for block in section(found["page"], "agreement")["blocks"] if block["kind"] == "matrix"]
    both = [set(pq.read_table(f"{name}/arrangement.parquet")["row"].to_pylist()) for name in ("tma", "random")]
    assert matrices[0]["values"][0][1] == len(both[0] & both[1]) / len(both[0] | both[1])
    assert found["rows"]["orders"][1]["columns"]["round"] is None


@pytest.mark.usefixtures("data")
def test_what_the_summary_counts_and_warns_of() -> None:
    arrange("out", "--budget", "10", "--duplicates", "drop")
    page = data_of(make_report(["out"]).html)["page"]
    counts = next(block for block in section(page, "summary")["blocks"] if block["kind"] == "table")
    (row,) = counts["rows"]
    assert row[1] == N_POOL == row[2] + row[3]
    assert "10 of 40 pool rows, arranged by tma" in said(page)
    told = [block for block in section(page, "summary")["blocks"] if "farther from the pool than" in str(block)]
    assert len(told) == 1
    assert "warning" not in json.dumps(told), "arrange does not warn of it either"


@pytest.mark.usefixtures("data")
def test_shares_are_of_the_first_rows_and_of_the_pool() -> None:
    arrange("out", "--budget", "10")
    page = data_of(make_report(["out"]).html)["page"]
    (shares,) = section(page, "composition")["blocks"]
    tasks = pq.read_table("out/arrangement.parquet")["task"].to_pylist()
    assert shares["columns"] == ["all 10", "pool, 40"]
    for part in shares["rows"]:
        n = 1 if part["name"] == HOSTILE else 13
        assert part["shares"] == [tasks.count(part["name"]) / 10, n / 40]


@pytest.mark.usefixtures("data")
def test_the_commands_make_the_same_result_again(tmp_path: Path) -> None:
    import shlex

    arrange("out", "--budget", "50%", "--method", "nearest", "--distance", "md", "--duplicates", "drop")
    arrange("tma", "--rounds", "1:3", "--within-round", "random", "--seed", "3")
    for name in ("out", "tma"):
        page = data_of(make_report([name]).html)["page"]
        command = next(block["text"] for block in section(page, "provenance")["blocks"] if block["kind"] == "pre")
        there, line = command.split("\n")
        assert there == f"cd {tmp_path}"
        words = shlex.split(line)
        assert words[0] == "righttime"
        assert main([*words[1:-1], f"{name}-again"]) == 0
        for file in ("train.jsonl", "arrangement.parquet"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / f"{name}-again" / file).read_bytes()


def test_leaks_have_their_spans(data: Path) -> None:
    rows = [json.loads(line) for line in (data / "pool.jsonl").read_text().splitlines()]
    long = "How many wagons of coal does the old brass engine pull across the northern viaduct on Thursdays?"
    rows[4] |= {"prompt": f"Please answer. {long} Thank you."}
    write(data / "pool.jsonl", rows)
    target = [json.loads(line) for line in (data / "target.jsonl").read_text().splitlines()]
    target[1] |= {"prompt": long, "response": "Forty-one wagons, all of them green."}
    write(data / "target.jsonl", target)
    arrange("out")
    page = data_of(make_report(["out"]).html)["page"]
    table = next(block for block in section(page, "leaks")["blocks"] if block["kind"] == "table")
    (leak,) = table["rows"]
    assert leak[:2] == ["row-4", "aim-1"]
    assert "brass engine pull across the northern viaduct" in leak[5]
    assert "1 pool rows give away 1 target rows; they were kept" in said(page)


def leaking(data: Path, n: int) -> None:
    """Make the first rows of the pool hold target rows."""
    rows = [json.loads(line) for line in (data / "pool.jsonl").read_text().splitlines()]
    target = [json.loads(line) for line in (data / "target.jsonl").read_text().splitlines()]
    for row in rows[:n]:
        row |= {key: target[0][key] for key in ("prompt", "response")}
    write(data / "pool.jsonl", rows)


def test_leaks_that_a_manifest_does_not_name_are_counted_or_read_where_the_guard_wrote_them(data: Path) -> None:
    leaking(data, 25)
    arrange("out")
    first = next(
        b for b in section(data_of(make_report(["out"]).html)["page"], "leaks")["blocks"] if b["kind"] == "table"
    )
    assert len(first["rows"]) == 20
    assert "Shown are the first 20 of 25; `righttime guard` writes all of them to leaks.parquet." in first["caption"]
    words = ["guard", "pool.jsonl", "--target", "target.jsonl", "--meaning", "--embedder", "vectors:v.npz"]
    assert main([*words, "--out", "guarded"]) == 0
    page = data_of(make_report(["out", "guarded"]).html)["page"]
    every = next(block for block in section(page, "leaks")["blocks"] if block["kind"] == "table")
    wanted = pq.read_table("guarded/leaks.parquet").to_pylist()
    assert [row[:2] for row in every["rows"]] == [[one["pool_id"], one["target_id"]] for one in wanted]
    assert len(every["rows"]) == 25
    assert "Shown are" not in every["caption"]
    assert not [one for one in page["sections"] if one["id"].startswith("guard-")], "they are shown once"


def test_leaks_that_orders_share_are_listed_once(data: Path) -> None:
    leaking(data, 4)
    arrange("kept")
    arrange("clean", "--guard", "remove")
    page = data_of(make_report(["kept", "clean"]).html)["page"]
    tables = [block for block in section(page, "leaks")["blocks"] if block["kind"] == "table"]
    assert [block["title"] for block in tables].count("Leaks") == 1
    assert len(tables[0]["rows"]) == 4
    assert "the pool rows were kept in kept and left out in clean." in tables[0]["caption"]


def test_what_the_guard_found_elsewhere_stands_by_itself(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrange("out")
    leaking(data, 3)
    assert main(["guard", "pool.jsonl", "--target", "target.jsonl", "--out", "guarded", "--remove"]) == 0
    page = data_of(make_report(["out", "guarded"]).html)["page"]
    found = next(block for block in section(page, "guard-1")["blocks"] if block["kind"] == "table")
    assert [row[0] for row in found["rows"]] == ["row-0", "row-1", "row-2"]
    assert "taken out of the pool that was written" in found["caption"]
    assert "The guard found no pool row" in said(page)
    (data / "guarded" / "leaks.parquet").write_bytes(b"other")
    assert main(["report", "guarded", "--out", "page.html"]) == 1
    assert "leaks.parquet must be what was written" in capsys.readouterr().err


@pytest.mark.usefixtures("data")
def test_a_task_has_one_colour_in_all_orders() -> None:
    arrange("one", "--budget", "9")
    arrange("two", "--budget", "9", "--method", "random")
    page = data_of(make_report(["one", "two"]).html)["page"]
    one, two = section(page, "composition")["blocks"]
    assert [part["name"] for part in one["rows"]] == [part["name"] for part in two["rows"]]


@pytest.mark.usefixtures("data")
def test_the_command_says_what_it_wrote_and_refuses_what_it_must(capsys: pytest.CaptureFixture[str]) -> None:
    arrange("out")
    assert main(["report", "out", "--out", "page.html"]) == 0
    assert "wrote page.html" in capsys.readouterr().out
    assert main(["report", "out", "--out", "page.html"]) == 1
    assert "page.html is there already" in capsys.readouterr().err
    assert main(["report", "out", "--out", "page.html", "--overwrite", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["shown"] == [N_POOL, N_TARGET]
    assert main(["report", "nowhere", "--out", "other.html"]) == 1
    assert "nowhere must be a folder that righttime wrote" in capsys.readouterr().err
    assert main(["report", "out", "--out", "other.html", "--max-rows", "3"]) == 1
    assert "must be at least 10" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ((), ("--fields", "prompt=response,response=prompt"), "its pool in one way"),
        ((), ("--target-fields", "prompt=response,response=prompt"), "its target in one way"),
        ((), ("--task-field", "id"), "with the task field of its format and two with id"),
    ],
)
def test_orders_of_one_file_that_was_read_in_two_ways_are_refused(
    data: Path, capsys: pytest.CaptureFixture[str], one: tuple[str, ...], other: tuple[str, ...], what: str
) -> None:
    arrange("one", *one)
    arrange("two", *other)
    capsys.readouterr()
    assert main(["report", "one", "two", "--out", "page.html"]) == 1
    said = capsys.readouterr().err
    assert what.replace("its", "their") in said or what in said
    assert "Hint: make a page of each." in said
    assert not Path("page.html").exists()


@pytest.mark.usefixtures("data")
def test_a_format_that_is_named_is_the_one_that_is_found() -> None:
    arrange("one")
    arrange("two", "--format", "prompt-completion")
    assert make_report(["one", "two"]).shown == (N_POOL, N_TARGET)


def test_orders_of_other_data_are_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrange("one")
    text = (data / "pool.jsonl").read_text()
    (data / "pool.jsonl").write_text(text.replace("ask 3 plainly", "ask 3 otherwise"))
    arrange("two")
    assert main(["report", "one", "two", "--out", "page.html"]) == 1
    assert "must be of one pool" in capsys.readouterr().err
    assert not Path("page.html").exists()
