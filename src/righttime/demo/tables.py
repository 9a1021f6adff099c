"""Families about small tables."""

from __future__ import annotations

import random
from collections.abc import Sequence

from righttime.demo.family import Family, Fields
from righttime.demo.words import CATEGORIES, CITIES, JOBS, NAMES

__all__ = ["FAMILIES"]

# Of each table: its first column, what stands there, and two columns of numbers with their range.
_TABLES: tuple[tuple[str, tuple[str, ...], tuple[tuple[str, int, int], ...]], ...] = (
    ("person", NAMES, (("age", 18, 80), ("score", 1, 100))),
    ("fruit", CATEGORIES["fruits"], (("price", 1, 30), ("stock", 5, 300))),
    ("animal", CATEGORIES["animals"], (("age", 1, 25), ("popularity", 1, 100))),
    ("city", CITIES, (("temperature", 2, 38), ("rainfall", 10, 300))),
    ("instrument", CATEGORIES["instruments"], (("price", 90, 900), ("rent", 5, 60))),
)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown writes it."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows))


def _table(rng: random.Random) -> tuple[list[str], list[list[str]]]:
    """A header and three or four rows; no column repeats a value."""
    key, names, columns = rng.choice(_TABLES)
    count = rng.choice((3, 4))
    cells = [rng.sample(names, count)]
    cells += [[str(n) for n in rng.sample(range(low, high), count)] for _, low, high in columns]
    return [key, *(name for name, _, _ in columns)], [list(row) for row in zip(*cells, strict=True)]


def table_lookup(rng: random.Random) -> Fields:
    """One cell of a table."""
    header, rows = _table(rng)
    row, column = rng.choice(rows), rng.choice((1, 2))
    return {"table": _markdown(header, rows), "column": header[column], "row": row[0], "response": row[column]}


def table_extreme(rng: random.Random) -> Fields:
    """The row with the highest or lowest number."""
    header, rows = _table(rng)
    column = rng.choice((1, 2))
    ranked = sorted(rows, key=lambda row: int(row[column]))
    end, row = rng.choice((("lowest", ranked[0]), ("highest", ranked[-1])))
    return {
        "table": _markdown(header, rows),
        "key": header[0],
        "column": header[column],
        "end": end,
        "response": row[0],
    }


def csv_sentence(rng: random.Random) -> Fields:
    """One line of a CSV file, as a sentence."""
    name, city, job, age = rng.choice(NAMES), rng.choice(CITIES), rng.choice(JOBS), rng.randrange(20, 80)
    columns = [("name", name), ("age", str(age)), ("job", job), ("city", city)]
    rng.shuffle(columns)
    header, line = (",".join(cells) for cells in zip(*columns, strict=True))
    article = "an" if job[0] in "aeiou" else "a"
    return {
        "header": header,
        "line": line,
        "response": f"{name} is {age}, works as {article} {job} and lives in {city}.",
    }


FAMILIES = (
    Family(
        "table-lookup",
        "tables",
        table_lookup,
        (
            "{table}\n\nWhat is the {column} of {row}?",
            "Look up the {column} for {row} in this table.\n\n{table}",
            "Using the table, give the {column} listed next to {row}.\n\n{table}",
            "{table}\n\nWhich {column} does the table show for {row}?",
        ),
    ),
    Family(
        "table-extreme",
        "tables",
        table_extreme,
        (
            "{table}\n\nWhich {key} has the {end} {column}?",
            "In the table below, find the {key} with the {end} {column}.\n\n{table}",
            "Name the {key} whose {column} is the {end}.\n\n{table}",
            "{table}\n\nLook at the column '{column}'. Which {key} has the {end} value?",
        ),
    ),
    Family(
        "csv-sentence",
        "tables",
        csv_sentence,
        (
            "Turn this CSV record into a sentence.\n{header}\n{line}",
            "{header}\n{line}\n\nSay in one sentence what this data row tells us.",
            "Describe the person in this comma-separated file:\n{header}\n{line}",
            "The columns are {header}. Write the row {line} as plain English.",
        ),
    ),
)
