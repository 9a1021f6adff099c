"""Files that people bring: prompts alone, tables without a header, benchmarks, fields that the user names."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, Literal

import pytest

from righttime.errors import DataError, FormatError, RowError, SettingsError
from righttime.formats import from_records, read_rows

SAMPLES = Path(__file__).parent / "samples"

READ: dict[str, tuple[str, int, int, str, str | None]] = {
    # file: format, rows, rows with a response, task of the first, response of the first
    "arc.jsonl": ("multiple-choice", 1, 1, "", "A"),
    "arena_hard_v0.1.jsonl": ("mt-bench", 2, 0, "arena-hard-v0.1", None),
    "arena_hard_v2.0.jsonl": ("prompt", 2, 0, "hard_prompt", None),
    "boolq.jsonl": ("question-answer", 1, 1, "", "yes"),
    "cmmlu_test.csv": ("multiple-choice", 2, 2, "", "A"),
    "human_eval.jsonl": ("prompt-completion", 2, 2, "", "    return 2 * x\n"),
    "lima.jsonl": ("sharegpt", 2, 2, "stackexchange", "Some fold their leaves at night."),
    "lmsys_chat_1m.jsonl": ("conversation", 1, 1, "", "Hi! How can I help?"),
    "math_500.jsonl": ("problem-solution", 1, 1, "Prealgebra", "It is $\\boxed{12}$."),
    "math_algebra_1.json": ("problem-solution", 1, 1, "Algebra", "Subtracting $3$ gives $x = \\boxed{2}$."),
    "mbpp.jsonl": ("text-code", 2, 2, "", "def add(a, b):\r\n  return a + b"),
    "metamathqa.json": ("query-response", 1, 1, "GSM_Rephrased", "She has 2 + 2 = 4.\nThe answer is: 4"),
    "mmlu_hub.jsonl": ("multiple-choice", 1, 1, "elementary_mathematics", "C"),
    "mmlu_test.csv": ("multiple-choice", 2, 2, "", "C"),
    "prompts.json": ("prompt", 2, 0, "", None),
    "prompts.txt": ("prompt", 2, 0, "", None),
    "race.jsonl": ("multiple-choice", 1, 1, "", "B"),
    "sanitized_mbpp.json": ("prompt-completion", 1, 1, "", "def halve(a):\n  return a / 2"),
    "squad_hub.jsonl": ("question-answer", 1, 1, "", "in the Giant Mountains"),
    "squad_v2.0.json": ("squad", 3, 2, "", "in the Giant Mountains"),
    "wizardlm_testset.jsonl": ("instruction", 2, 0, "Math", None),
}


def test_every_sample_is_in_the_table() -> None:
    assert {file.name for file in SAMPLES.iterdir()} == {*READ, "README.md"}


@pytest.mark.parametrize("name", READ)
def test_sample(name: str) -> None:
    form, rows, answered, task, response = READ[name]
    reading = read_rows([SAMPLES / name], role="target")
    first = reading.examples[0]
    assert (reading.inputs[0].format, len(reading.examples), len(reading.left_out)) == (form, rows, 0)
    assert sum(row.response is not None for row in reading.examples) == answered
    assert (first.task or "", first.response) == (task, response)


@pytest.mark.parametrize("name", READ)
def test_docs_name_each_sample_as_it_is_read(name: str) -> None:
    form, rows, answered, *_ = READ[name]
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    lines = text.partition("## Samples made by hand")[2].partition("\n## ")[0].splitlines()
    told = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines if line.startswith(f"| `{name}`")]
    assert [cells[1:4] for cells in told] == [[f"`{form}`", str(rows), str(answered)]]


def test_both_forms_of_mmlu_and_of_squad_give_the_same_rows() -> None:
    csv, hub = (read_rows([SAMPLES / name], role="target").examples[0] for name in ("mmlu_test.csv", "mmlu_hub.jsonl"))
    assert csv.messages == hub.messages
    raw = read_rows([SAMPLES / "squad_v2.0.json"], role="target", keep_original=True).examples
    assert [(row.id, row.prompt.partition("\n")[0], row.response) for row in raw] == [
        ("s01", "Where does the Elbe rise?", "in the Giant Mountains"),
        ("s02", "How long is the Elbe?", None),
        ("s03", "Which city is on the Po?", "Turin"),
    ]


def test_original_of_a_squad_row_is_read_back_the_same(tmp_path: Path) -> None:
    rows = read_rows([SAMPLES / "squad_v2.0.json"], role="target", keep_original=True).examples
    (tmp_path / "x.jsonl").write_text("\n".join(row.original or "" for row in rows))
    again = read_rows([tmp_path / "x.jsonl"], role="target").examples
    assert [(row.id, row.messages) for row in again] == [(row.id, row.messages) for row in rows]


def test_text_file_is_a_prompt_a_line(tmp_path: Path) -> None:
    file = tmp_path / "p.v1.txt.gz"
    file.write_bytes(gzip.compress(b"\xef\xbb\xbf[INST] one\r\n\r\n  two {}  \n"))
    reading = read_rows([file], role="target", keep_original=True)
    assert [(row.line, row.prompt, row.response) for row in reading.examples] == [
        (1, "[INST] one", None),
        (3, "two {}", None),
    ]
    assert (reading.inputs[0].container, reading.inputs[0].source) == ("text", "p.v1")
    with pytest.raises(FormatError, match=r"got none in all 2 rows; the file may serve as the target"):
        read_rows([file], role="pool")
    bad = tmp_path / "bad.txt"
    bad.write_bytes(b"one\n\xff\n")
    with pytest.raises(RowError, match=r"bad\.txt:2: the line must be UTF-8, got byte 0xff at byte 1"):
        read_rows([bad], role="target")


def test_text_files_of_a_folder_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "LICENSE.txt").write_text("Do what you like.\n")
    (tmp_path / "x.jsonl").write_text('{"prompt": "q", "completion": "a"}\n')
    assert read_rows([tmp_path], role="pool").total == 1


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("x.json", '["one",\n "two"]', [1, 2]),
        ("x.jsonl", '["one", "two"]\n', [1, 1]),
        ("x.jsonl", '"one"\n"two"\n', [1, 2]),
        ("x.txt", '["one", "two"]', [1, 1]),
        ("x.json", '{"prompts": ["one", "two"]}', [1, 1]),
    ],
)
def test_lists_of_texts_are_prompts(tmp_path: Path, name: str, text: str, lines: list[int]) -> None:
    (tmp_path / name).write_text(text)
    rows = read_rows([tmp_path / name], role="target").examples
    assert [(row.prompt, row.line) for row in rows] == [("one", lines[0]), ("two", lines[1])]


def table_of(tmp_path: Path, text: str, name: str = "x.csv", **settings: Any) -> Any:
    (tmp_path / name).write_text(text)
    return read_rows([tmp_path / name], role="target", **settings)


NO_HEADER = [
    ('"Why, then?",Because.\nHow?,So.\n', "prompt, response", [("Why, then?", "Because."), ("How?", "So.")]),
    ('"Why, then?"\nHow?\n', "prompt", [("Why, then?", None), ("How?", None)]),
    ("2+2?,3,4,A\n3+3?,6,7,A\n", "question, A, B, answer", [("2+2?\nA. 3\nB. 4", "A"), ("3+3?\nA. 6\nB. 7", "A")]),
    ("1,2,3,4,5,B\n", "question, A, B, C, D, answer", [("1\nA. 2\nB. 3\nC. 4\nD. 5", "B")]),
]


@pytest.mark.parametrize(("text", "columns", "expected"), NO_HEADER)
@pytest.mark.parametrize("tabs", [False, True])
def test_table_without_a_header_is_known_and_said_to_be_one(
    tmp_path: Path, text: str, columns: str, expected: list[tuple[str, str | None]], tabs: bool
) -> None:
    text = text.replace("Why, then?", "Why then?").replace(",", "\t") if tabs else text
    expected = [(prompt.replace("Why, then?", "Why then?") if tabs else prompt, said) for prompt, said in expected]
    reading = table_of(tmp_path, text, "x.tsv" if tabs else "x.csv")
    assert [(row.prompt, row.response) for row in reading.examples] == expected
    assert reading.inputs[0].container == f"{'tsv' if tabs else 'csv'}-without-header"
    assert reading.inputs[0].note == f"the table has no header; its columns are taken as {columns}"


def test_unknown_columns_are_asked_for_by_number(tmp_path: Path) -> None:
    text = "Is it so?,2020-01-01,Yes it is.\nIs it?,2020-01-02,No.\n"
    with pytest.raises(FormatError, match=r"got 1, 2, 3; .*`(target_)?fields=\{'prompt': '1', 'response': '2'\}`"):
        table_of(tmp_path, text)
    reading = table_of(tmp_path, text, fields={"prompt": "1", "response": "3"})
    assert [(row.prompt, row.response) for row in reading.examples] == [("Is it so?", "Yes it is."), ("Is it?", "No.")]
    assert reading.inputs[0].unread == {"2": 1.0}


def test_numbers_say_that_a_first_line_like_a_header_is_none(tmp_path: Path) -> None:
    reading = table_of(tmp_path, "hello,bye\nhi,see you\n", fields={"prompt": "1", "response": "2"})
    assert [(row.prompt, row.response) for row in reading.examples] == [("hello", "bye"), ("hi", "see you")]


@pytest.mark.parametrize("header", ["Question Text,Answer (short)", ",id_of,Text", "q,a,e"])
def test_names_no_format_knows_are_a_header_still(tmp_path: Path, header: str) -> None:
    with pytest.raises(FormatError, match=r"x\.csv:2: the keys must be those of a known format"):
        table_of(tmp_path, f"{header}\n{','.join('123'[: header.count(',') + 1])}\n")


ODD = {"title": "T", "Body": ["B", "C"], "reply": {"text": ["R", "S"]}, "n": 7, "role_text": "Be brief.", "stars": 4.5}


def fields_of(**fields: str) -> dict[str, str]:
    return fields


FIELDS: list[tuple[dict[str, str], list[str], str | None, str | None]] = [
    (fields_of(prompt="title"), ["T"], None, None),
    (fields_of(prompt="title", response="reply.text"), ["T", "R"], None, None),
    (fields_of(prompt="title", response="reply.text.1", id="n"), ["T", "S"], "7", None),
    (fields_of(prompt="title", response="stars", task="n"), ["T", "4.5"], None, "7"),
    (fields_of(prompt="title", context="body", system="role_text"), ["Be brief.", "T\nB\nC"], None, None),
    (fields_of(prompt="title", options="Body", response="n"), [], None, None),
]


@pytest.mark.parametrize(("fields", "said", "name", "task"), FIELDS)
def test_fields_by_name(fields: dict[str, str], said: list[str], name: str | None, task: str | None) -> None:
    if not said:
        with pytest.raises(RowError, match="`n` must number one of the 2 options from 0, got 7"):
            from_records([ODD], role="target", fields=fields)
        return
    reading = from_records([ODD], role="target", fields=fields)
    row = reading.examples[0]
    assert [turn.content for turn in row.messages] == said
    assert reading.inputs[0].format == "fields"
    assert row.task == task
    assert name is None or row.id == name


def test_a_field_of_turns_is_a_conversation() -> None:
    turns = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]
    assert from_records([{"dialog": turns}], role="pool", fields={"prompt": "dialog"}).examples[0].response == "y"
    row = {"question": "x", "chosen": turns, "rejected": turns}
    read = from_records([row], role="pool", fields={"prompt": "question", "response": "chosen"})
    assert [turn.content for turn in read.examples[0].messages] == ["x", "y"]


BAD_FIELDS: list[tuple[dict[str, str], str]] = [
    ({"response": "reply"}, "fields must name the prompt's field, got response"),
    ({"prompt": "title", "respones": "reply"}, "unknown part of a row 'respones': did you mean 'response'"),
    ({"prompt": ""}, "fields must give a field's name for prompt, got ''"),
]


@pytest.mark.parametrize(("fields", "what"), BAD_FIELDS)
def test_bad_fields(fields: dict[str, str], what: str) -> None:
    with pytest.raises(SettingsError) as caught:
        from_records([ODD], role="target", fields=fields)
    assert what in str(caught.value)


def test_fields_that_no_row_has() -> None:
    with pytest.raises(FormatError, match="`bodi`, named as context, must be a field of some row; did you mean Body"):
        from_records([ODD], role="target", fields={"prompt": "title", "context": "bodi"})
    with pytest.raises(RowError, match="row 1: `titel`, named as the prompt, must be there and not empty"):
        from_records([ODD], role="target", fields={"prompt": "titel"})
    with pytest.raises(SettingsError, match="a format or fields may be given, not both"):
        from_records([ODD], role="target", fields={"prompt": "title"}, format="alpaca")
    with pytest.raises(SettingsError, match="the task may be named once"):
        from_records([ODD], role="target", fields={"prompt": "title", "task": "n"}, task_field="n")


def test_a_pool_without_the_named_response() -> None:
    with pytest.raises(
        FormatError, match=r"a pool's rows must have responses, .*`fields=\{'prompt': 'NAME', 'response': 'NAME'\}`"
    ):
        from_records([{"a": "x", "b": ""}], role="pool", fields={"prompt": "a", "response": "b"})
    with pytest.raises(FormatError, match="`c`, named as response, must be a field of some row; the fields are a, b"):
        from_records([{"a": "x", "b": "y"}], role="pool", fields={"prompt": "a", "response": "c"})


REMOTE = [
    ("https://huggingface.co/datasets/o/n/tree/main", "this is a page", "the data set on the hub is named hf:o/n"),
    ("hdfs://h/x", "hdfs://h/x: reading from hdfs:// is not supported", "copy it here first"),
    (Path("sftp://h/x.jsonl"), "sftp://h/x.jsonl: reading from sftp://", "only s3://, gs://"),
    ("shards-*.jsonl", "shards-*.jsonl: no file matches", "look for a slip in the pattern"),
]


@pytest.mark.parametrize(("path", "what", "hint"), REMOTE)
@pytest.mark.parametrize("role", ["pool", "target"])
def test_addresses_get_a_true_sentence(path: str | Path, what: str, hint: str, role: Literal["pool", "target"]) -> None:
    with pytest.raises(DataError) as caught:
        read_rows([path], role=role)
    assert what in str(caught.value)
    assert hint in str(caught.value)
