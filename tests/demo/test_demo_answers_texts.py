"""Answers about logic, tables, code and sentences, worked out again from what the prompt shows."""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Callable
from functools import cache
from itertools import combinations, permutations
from typing import Any

import pytest

from righttime.demo import FAMILIES
from righttime.demo.family import Fields

# Base, past and participle, as a grammar lists them.
VERBS = """paint painted painted; write wrote written; clean cleaned cleaned; sing sang sung; drive drove driven;
    choose chose chosen; repair repaired repaired; carry carried carried; break broke broken; bake baked baked;
    teach taught taught; steal stole stolen; wash washed washed; draw drew drawn; sell sold sold; open opened opened;
    buy bought bought; hide hid hidden; take took taken; find found found"""
FORMS = [tuple(line.split()) for line in VERBS.split(";")]


def instances(name: str) -> list[tuple[Fields, str]]:
    """The fields of many instances of a family, and the response that goes with them."""
    drawn = [FAMILIES[name].make(random.Random(f"{name} {number}")) for number in range(200)]
    return [(fields, fields.pop("response")) for fields in drawn]


def third_person(base: str) -> str:
    return f"{base[:-1]}ies" if base == "carry" else f"{base}es" if base in ("teach", "wash") else f"{base}s"


PRESENT = {third_person(base): (base, past) for base, past, _ in FORMS}
PAST = {past: base for base, past, _ in FORMS}


def taken_apart(sentence: str) -> tuple[str, str, str]:
    match = re.fullmatch(r"((?:The )?\w+) (\w+) (the .+)\.", sentence)
    assert match, sentence
    return match[1], match[2], match[3]


def ranked(f: Fields) -> str:
    clues: list[tuple[str, str, str]] = re.findall(r"(\w+) is (\w+) than (\w+)\.", f["clues"])
    over = {"taller", "older", "faster", "richer", "stronger"}
    pairs = [(left, right) if word in over else (right, left) for left, word, right in clues]
    names = sorted({name for pair in pairs for name in pair})
    (order,) = (p for p in permutations(names) if all(p.index(high) < p.index(low) for high, low in pairs))
    return order[0] if f["end"].replace("est", "er") in over else order[-1]


def concluded(f: Fields) -> str:
    """Yes or no if so in every world in which the premises hold: a world is the kinds of beings that exist in it."""
    premises = f["premises"].rstrip(".").split(". ")
    classes = sorted({word.removesuffix("s") for word in re.findall(r"\b[a-z]{3,6}\b", f["premises"])} - {"are", "not"})
    kinds = [frozenset(chosen) for size in range(4) for chosen in combinations(classes, size)]
    worlds = [world for size in range(1, len(kinds) + 1) for world in combinations(kinds, size)]
    verdicts = {
        holds(f["question"], world, me)
        for world in worlds
        for me in world
        if all(holds(premise, world, me) for premise in premises)
    }
    return "cannot tell" if len(verdicts) == 2 else "yes" if verdicts.pop() else "no"


@cache
def holds(sentence: str, world: tuple[frozenset[str], ...], me: frozenset[str]) -> bool:
    rules: list[tuple[str, Callable[[str, str], bool]]] = [
        (r"All (\w+)s are (\w+)s", lambda a, b: all(b in t for t in world if a in t)),
        (r"Some (\w+)s are (\w+)s", lambda a, b: any(a in t and b in t for t in world)),
        (r"No (\w+) is a (\w+)", lambda a, b: not any(a in t and b in t for t in world)),
        (r"Is every (\w+) a (\w+)\?", lambda a, b: all(b in t for t in world if a in t)),
        (r"Can a (\w+) be a (\w+)\?", lambda a, b: any(a in t and b in t for t in world)),
        (r"([A-Z]\w+) is not a (\w+)", lambda _, b: b not in me),
        (r"(?:Is )?([A-Z]\w+)(?: is)? a (\w+)\??", lambda _, b: b in me),
    ]
    for pattern, rule in rules:
        if match := re.fullmatch(pattern, sentence):
            return rule(match[1], match[2])
    raise AssertionError(sentence)


def cells_of(table: str) -> tuple[list[str], list[list[str]]]:
    lines = [line.strip("| ").split(" | ") for line in table.strip().split("\n")]
    assert set(lines[1]) == {"---"}
    return lines[0], lines[2:]


def looked_up(f: Fields) -> str:
    header, rows = cells_of(f["table"])
    (answer,) = (row[header.index(f["column"])] for row in rows if row[0] == f["row"])
    return answer


def extreme(f: Fields) -> str:
    header, rows = cells_of(f["table"])
    assert f["key"] == header[0]
    values = {int(row[header.index(f["column"])]): row[0] for row in rows}
    assert len(values) == len(rows)
    return values[{"lowest": min, "highest": max}[f["end"]](values)]


def described(f: Fields) -> str:
    cell = dict(zip(f["header"].split(","), f["line"].split(","), strict=True))
    article = "an" if cell["job"].startswith(tuple("aeiou")) else "a"
    return f"{cell['name']} is {cell['age']}, works as {article} {cell['job']} and lives in {cell['city']}."


def made_active(f: Fields) -> str:
    match = re.fullmatch(r"The (\w+) was (\w+) by (.+)\.", f["sentence"])
    assert match
    (past,) = (past for _, past, participle in FORMS if participle == match[2])
    return f"{match[3][0].upper()}{match[3][1:]} {past} the {match[1]}."


def negated(f: Fields) -> str:
    who, verb, rest = taken_apart(f["sentence"])
    helper, base = ("does", PRESENT[verb][0]) if verb in PRESENT else ("did", PAST[verb])
    return f"{who} {helper} not {base} {rest}."


def in_past(f: Fields) -> str:
    who, verb, rest = taken_apart(f["sentence"])
    return f"{who} {PRESENT[verb][1]} {rest}."


def in_future(f: Fields) -> str:
    who, verb, rest = taken_apart(f["sentence"])
    return f"{who} will {PRESENT[verb][0]} {rest}."


def people_of(text: str) -> list[dict[str, str]]:
    patterns = (
        r"(?P<name>\w+) lives in (?P<city>\w+), works as an? (?P<job>\w+) and has a (?P<pet>\w+)\.",
        r"(?P<name>\w+) is an? (?P<job>\w+) in (?P<city>\w+) who owns a (?P<pet>\w+)\.",
        r"In (?P<city>\w+) you will find (?P<name>\w+), an? (?P<job>\w+) with a (?P<pet>\w+)\.",
    )
    return [match.groupdict() for pattern in patterns for match in re.finditer(pattern, text)]


def fact(f: Fields) -> str:
    questions = (
        (r"Where is (\w+) at home\?", "name", "city"),
        (r"What is (\w+)'s job\?", "name", "job"),
        (r"Which pet does (\w+) keep\?", "name", "pet"),
        (r"Who is the (\w+)\?", "job", "name"),
        (r"Who has the (\w+)\?", "pet", "name"),
        (r"What does the person in (\w+) do for a living\?", "city", "job"),
    )
    ((given, asked, key),) = ((m[1], b, a) for p, a, b in questions if (m := re.fullmatch(p, f["question"])))
    (answer,) = (person[asked] for person in people_of(f["text"]) if person[key] == given)
    return answer


def agrees(f: Fields) -> str:
    (person,) = (person for person in people_of(f["text"]) if person["name"] == f["name"])
    verb, value = f["claim"].split()[0], f["claim"].split()[-1]
    return "yes" if person[{"live": "city", "work": "job", "own": "pet"}[verb]] == value else "no"


def happened(f: Fields) -> str:
    events = sorted(re.findall(r"In (\d+) (\w+ .+?\.)", f["text"]))
    assert len({year for year, _ in events}) == 3
    return str(events[{"first": 0, "last": -1}[f["end"]]][1])


def joined(f: Fields) -> str:
    parts = {verb: re.search(rf"(\w+) {verb} ([^.]+)\.", f["facts"]) for verb in ("works as", "lives in", "has")}
    (name,) = {match[1] for match in parts.values() if match}
    job, city, pet = (match[2] for match in parts.values() if match)
    return f"{name} is {job} in {city} with {pet}."


def extracted(f: Fields) -> str:
    patterns = {
        "email address": r"[\w.]+@[\w.]+\w",
        "phone number": r"555-\d{4}",
        "time": r"\d+:\d\d",
        "surname": r"(?:Call |with |^)[A-Z]\w+ ([A-Z]\w+)",
        "city": r"\b(?:in|from|moves to) ([A-Z]\w+)",
    }
    match = re.search(patterns[f["field"]], f["note"])
    assert match
    return match[match.re.groups]


def barista(f: Fields) -> str:
    prices = dict(re.findall(r"([a-z][a-z ]*?) \$(\d+)", f["prices"]))
    articled = re.findall(rf"an? (?:{'|'.join(prices)})", f["order"])
    assert len(articled) == 2
    assert [re.sub("^an? ", "", wish) for wish in articled] == [*prices]
    start = articled[0][0].upper() + articled[0][1:]
    return f"Of course! {start} and {articled[1]}, that is ${sum(map(int, prices.values()))}, please."


ANSWERS: dict[str, Callable[[Fields], str]] = {
    "boolean": lambda f: str(eval(f["expression"], {"__builtins__": {}})),
    "ranking": ranked,
    "syllogism": concluded,
    "table-lookup": looked_up,
    "table-extreme": extreme,
    "csv-sentence": described,
    "python-output": lambda f: str(eval(f["code"])),
    "active-voice": made_active,
    "polite-request": lambda f: f"Could you please {f['sentence'][0].lower()}{f['sentence'][1:-1]}?",
    "negate": negated,
    "past-tense": in_past,
    "future-tense": in_future,
    "fact-question": fact,
    "fact-yes-no": agrees,
    "timeline": happened,
    "summary": joined,
    "extract-field": extracted,
    "cafe-reply": barista,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_is_right(name: str) -> None:
    for fields, response in instances(name):
        assert ANSWERS[name](fields) == response, fields


TASKS: tuple[tuple[str, Callable[[Any, int], object]], ...] = (
    (r"adds (\d+) to", lambda x, k: x + k),
    (r"subtracts (\d+) from", lambda x, k: x - k),
    (r"multiplies its argument n by (\d+)", lambda x, k: x * k),
    (r"is greater than (\d+)", lambda x, k: x > k),
    (r"is divisible by (\d+)", lambda x, k: x in range(0, 1000, k)),
    (r"to the power of (\d+)", lambda x, k: pow(x, k)),
    (r"first (\d+) characters", lambda x, k: "".join(c for i, c in enumerate(x) if i < k)),
    (r"last (\d+) characters", lambda x, k: "".join(c for i, c in enumerate(x) if i >= len(x) - k)),
    (r"repeats the string text (\d+) times", lambda x, k: "".join([x] * k)),
    (r"more than (\d+) characters", lambda x, k: len(x) > k),
    (r"without its first (\d+) entries", lambda x, k: [v for i, v in enumerate(x) if i >= k]),
    (r"counts how often (\d+) occurs", lambda x, k: sum(v == k for v in x)),
    (r"tells whether (\d+) is in", lambda x, k: any(v == k for v in x)),
)


def test_written_functions_do_what_was_asked() -> None:
    for fields, response in instances("write-function"):
        scope: dict[str, Any] = {}
        exec(response, scope)
        ((k, reference),) = ((int(m[1]), rule) for pattern, rule in TASKS if (m := re.search(pattern, fields["task"])))
        text, many = "a string of some length", [1, 2, 3, 4, 5, 5, 6, 7, 7, 7, 8, 9, 10, 11, 12, 2, 3]
        trials: list[Any] = [0, 1, k - 1, k, k + 1, 2 * k, 37]
        if "string" in fields["task"] or "text" in fields["task"]:
            trials = ["", text[:k], text[: k + 1], text]
        elif "items" in fields["task"]:
            trials = [[], [k], many, many[:4]]
        for trial in trials:
            assert scope[fields["name"]](trial) == reference(trial, k), fields


def test_fixed_code_compiles_and_differs_in_one_sign() -> None:
    for fields, response in instances("fix-syntax"):
        with pytest.raises(SyntaxError):
            compile(fields["code"], "<row>", "exec")
        compile(response, "<row>", "exec")
        changes = [change for change in difflib.ndiff(fields["code"], response) if change[0] != " "]
        assert len(changes) == 1, (fields, response)


def test_emails_say_every_point() -> None:
    for fields, response in instances("short-email"):
        assert response.startswith(f"Dear {fields['reader']},\nThe ")
        assert response.endswith(f"\nBest wishes, {fields['writer']}")
        points = [point for point in re.split(r"; |\n?- ", fields["points"]) if point]
        event, hour = points[0].split(" on ")
        assert f"The {event} is on {hour} {points[1]}. Please {points[2]}." in response
        assert ("Let me know if you can come." in response) == ("ask for a reply" in points)


@pytest.mark.parametrize(("name", "labels"), [("sentiment", 2), ("topic", 5)])
def test_labels_are_among_those_offered_and_balanced(name: str, labels: int) -> None:
    responses = [response for _, response in instances(name)]
    assert len(set(responses)) == labels
    assert min(map(responses.count, set(responses))) > 0.5 * len(responses) / labels
